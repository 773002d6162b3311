//! Which processes run, and what does each use?
//!
//! Cheap by construction: who a process is (user, command) is read when it appears, when its name changes, and then
//! about every two minutes; only `stat` is read on each tick, from a kept descriptor; every other file only while somebody
//! wants a column of it. What is remembered is one entry per process that exists now.

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip, Want};
use crate::model::{Text, Timestamp, Value};
use crate::source::Error;
use crate::source::file::Roots;
use crate::source::process::{Comm, File, Handle, Io, Scanner, Stat, boot_time, detail, parse};
use crate::source::user::Users;
use crate::{label, table};

mod refused;

use refused::Refused;

label! {
    /// What a task does.
    pub enum TaskState {
        /// On a CPU or waiting for one.
        Running = "running",
        /// Waiting for an event.
        Sleeping = "sleeping",
        /// Waiting for a device, not to be interrupted.
        DiskSleep = "disk_sleep" => Careful,
        /// Ended, and its parent does not ask how.
        Zombie = "zombie" => Careful,
        /// Stopped by a signal.
        Stopped = "stopped" => Careful,
        /// Stopped by a debugger.
        Tracing = "tracing",
        /// An idle thread of the kernel.
        Idle = "idle",
        /// A parked thread of the kernel.
        Parked = "parked",
        /// Almost gone.
        Dead = "dead",
        /// A letter that this version does not know.
        Unknown = "unknown",
    }
}

impl TaskState {
    /// State of a letter in `stat`.
    pub(super) fn of(letter: u8) -> Self {
        match letter {
            b'R' => Self::Running,
            b'S' => Self::Sleeping,
            b'D' => Self::DiskSleep,
            b'Z' => Self::Zombie,
            b'T' => Self::Stopped,
            b't' => Self::Tracing,
            b'I' => Self::Idle,
            b'P' => Self::Parked,
            b'X' | b'x' => Self::Dead,
            _ => Self::Unknown,
        }
    }
}

table! {
    /// One process. Its identity is its number with its start, because numbers are used again.
    ///
    /// Traffic to storage, swap and shared memory are missing for processes of other users. A kernel thread's command is its
    /// name in brackets.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/{stat,statm,cmdline,cgroup,io,schedstat,status,smaps_rollup}`.
    pub struct ProcessRow = "process" { title: Some("Processes"), history: History::Top } {
        /// Number of the process.
        Id(None) pid: u64,
        /// Start in clock ticks since boot; with the number it names the process for good.
        Id(None) start: u64 { wide: true },
        /// Process that started it, or that took it over.
        Gauge(None) parent: u64 { parent: true, wide: true },
        /// User whose rights it has.
        Text(None) user: Option<Text>,
        /// What it does now.
        Text(None) state: TaskState,
        /// Name, at most 15 bytes.
        Text(None) name: Text { label: true, wide: true },
        /// Program with its arguments.
        Text(None) command: Text { last: true, program: true, secret: true },
        /// How many threads run in it, its first one included.
        Gauge(None) threads: u64 { title: Some("thr"), wide: true },
        /// Nice value: -20 gets most, 19 least.
        Gauge(None) nice: i64 { wide: true },
        /// Priority as the scheduler has it.
        Gauge(None) priority: i64 { title: Some("pri"), wide: true },
        /// CPU time used in user mode and in the kernel.
        Counter(Seconds) cpu_time: f64 { title: Some("time+"), total: true, cpu: true },
        /// CPU time used in user mode, that of guests included.
        Counter(Seconds) user_time: f64 { cpu: true, wide: true },
        /// CPU time used in the kernel.
        Counter(Seconds) system_time: f64 { cpu: true, wide: true },
        /// CPU time spent running virtual CPUs.
        Counter(Seconds) guest_time: Option<f64> { cpu: true, wide: true },
        /// Time its main thread was ready to run but waited for a CPU.
        Counter(Seconds) run_delay: Option<f64> { wide: true, demand: true },
        /// Memory that is resident.
        Gauge(Bytes) rss: u64,
        /// Address space.
        Gauge(Bytes) virtual_size: u64 { title: Some("virt"), wide: true },
        /// Memory that was moved to swap.
        Gauge(Bytes) swap: Option<u64> { wide: true, demand: true },
        /// Memory shared out among all who map it.
        Gauge(Bytes) pss: Option<u64> { wide: true, demand: true },
        /// Memory of the host, to compare with.
        Gauge(Bytes) memory_total: Option<u64> { wide: true },
        /// Page faults that needed no input or output.
        Counter(Events) minor_faults: u64 { wide: true },
        /// Page faults that read from storage.
        Counter(Events) major_faults: u64 { wide: true },
        /// Data fetched from storage.
        Counter(Bytes) read_bytes: Option<u64> { title: Some("R/s"), demand: true },
        /// Data sent towards storage.
        Counter(Bytes) write_bytes: Option<u64> { title: Some("W/s"), demand: true },
        /// When it started.
        Gauge(None) started: Option<Timestamp> { wide: true },
        /// CPU it last ran on.
        Gauge(None) last_cpu: Option<u64> { title: Some("on"), wide: true },
        /// Systemd unit or container it belongs to.
        Text(None) unit: Option<Text> { wide: true, demand: true },
        /// Its control group.
        Text(None) cgroup: Option<Text> { wide: true, demand: true },
    }
    derived {
        /// CPUs kept busy.
        cpu(Ratio) = "rate(cpu_time)" { title: Some("CPU%"), top: true },
        /// Share of the host's memory that is resident.
        memory(Ratio) = "rss / memory_total" { title: Some("MEM%") },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "process",
    tables: &[ProcessRow::TABLE],
    interval: EVERY_SECOND,
    // a read of `cmdline` waits for the memory lock of a process that may be stuck
    blocks: true,
    needs: super::OTHERS_PROCESSES,
    make: || Box::new(ProcessCollector::default()),
};

/// Ticks until who a process is is read again: it may have changed its title, user or control group.
const IDENTITY_TURNS: u32 = 128;

/// What is remembered of a process that exists.
struct Known {
    handle: Handle,
    start: u64,
    comm: Comm,
    identity: Identity,
    /// Who it is must be read.
    due: bool,
    /// Seen once only: it may still be between `fork` and `exec`.
    fresh: bool,
    /// Resident pages, and the counts of `stat` that they belong to.
    resident: Option<([u64; 4], u64)>,
}

/// Who a process is.
#[derive(Default)]
struct Identity {
    user: Option<Text>,
    name: Text,
    command: Text,
    /// Read once somebody wants it.
    place: Option<Place>,
}

/// Where a process belongs.
#[derive(Clone, Default)]
struct Place {
    unit: Option<Text>,
    cgroup: Option<Text>,
}

/// On-demand columns that somebody wants.
struct Wanted {
    io: bool,
    run_delay: bool,
    swap: bool,
    place: bool,
    pss: Option<Pids>,
}

/// Which processes a costly column is read for.
enum Pids {
    All,
    Only(Vec<u32>),
}

impl Wanted {
    fn of(cx: &Cx<'_>) -> Self {
        let column = |name| cx.wants.column(ProcessRow::TABLE, name);
        Self {
            io: column("read_bytes") || column("write_bytes"),
            run_delay: column("run_delay"),
            swap: column("swap"),
            place: column("unit") || column("cgroup"),
            pss: cx
                .wants
                .table(ProcessRow::TABLE)
                .filter(|want| want.columns.contains("pss"))
                .map(|want| if want.ids.is_empty() { Pids::All } else { Pids::Only(pids_of(want)) }),
        }
    }

    fn pss(&self, pid: u32) -> bool {
        match &self.pss {
            None => false,
            Some(Pids::All) => true,
            Some(Pids::Only(pids)) => pids.contains(&pid),
        }
    }
}

/// Processes that readers name by their first Id.
fn pids_of(want: &Want) -> Vec<u32> {
    let mut pids: Vec<u32> = want
        .ids
        .iter()
        .filter_map(|ids| match ids.first()? {
            Value::U64(pid) => u32::try_from(*pid).ok(),
            Value::I64(pid) => u32::try_from(*pid).ok(),
            _ => None,
        })
        .collect();
    pids.sort_unstable();
    pids.dedup();
    pids
}

#[derive(Default)]
struct ProcessCollector {
    scanner: Option<Scanner>,
    users: Users,
    pids: Vec<u32>,
    known: Vec<Known>,
    boot: Option<Timestamp>,
    turn: u32,
}

impl Collect for ProcessCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut scanner = match self.scanner.take() {
            Some(scanner) => scanner,
            None => Scanner::new(&cx.roots.proc, cx.roots.live)?,
        };
        scanner.pids(&mut self.pids)?;
        self.users.refresh(&cx.roots.host);
        self.turn = self.turn.wrapping_add(1);
        rebase(&mut self.boot, boot_time(cx.roots, cx.time));
        let wanted = Wanted::of(cx);
        let common = Common::new(cx.roots, self.boot);
        let first_scan = self.known.is_empty();
        let mut before = std::mem::take(&mut self.known).into_iter().peekable();
        // the times of all are read in one go, close to the time of the sample: to tell who is new takes longer
        let mut seen = Vec::with_capacity(self.pids.len());
        for pid in self.pids.iter().copied() {
            while before.next_if(|known| known.handle.pid() < pid).is_some() {}
            let old = before.next_if(|known| known.handle.pid() == pid);
            seen.extend(self.look(&mut scanner, pid, old, first_scan));
        }
        let mut rows = Vec::with_capacity(seen.len());
        let mut refused = Refused::default();
        self.known.reserve(seen.len());
        for (mut known, stat) in seen {
            if std::mem::take(&mut known.due) {
                known.identity = self.identify(&mut scanner, cx, &stat);
            }
            rows.push(common.row(&mut scanner, &wanted, &mut known, &stat, &mut refused));
            self.known.push(known);
        }
        let (complete, hides) = (scanner.complete(), scanner.hides(&self.pids));
        self.scanner = Some(scanner);
        complete?;
        if rows.is_empty() {
            return Err(Skip::absent("no processes are listed"));
        }
        out.push(rows);
        if hides {
            out.partly(ProcessRow::TABLE, &refused::hidden());
        }
        if let Some(skip) = refused.skip() {
            out.partly(ProcessRow::TABLE, &skip);
        }
        Ok(())
    }
}

impl ProcessCollector {
    /// Reads `stat`, and says whether who the process is is not known or may have changed. `None` when it is gone.
    fn look(&self, scanner: &mut Scanner, pid: u32, old: Option<Known>, first_scan: bool) -> Option<(Known, Stat)> {
        let old = old.and_then(|mut known| {
            // a kept descriptor of a process whose number was used again has no answer
            let stat = scanner.stat(&mut known.handle)?;
            (stat.start == known.start).then_some((known, stat))
        });
        let Some((mut known, stat)) = old else {
            let mut handle = Handle::new(pid);
            let stat = scanner.stat(&mut handle)?;
            let identity = Identity::default();
            let fresh = !first_scan;
            let known =
                Known { handle, start: stat.start, comm: stat.comm, identity, due: true, fresh, resident: None };
            return Some((known, stat));
        };
        let is_another = known.comm != stat.comm;
        if known.fresh || is_another || pid.wrapping_add(self.turn).is_multiple_of(IDENTITY_TURNS) {
            known.due = true;
            known.comm = stat.comm;
            // a program that is being started has its name before its arguments
            known.fresh = is_another;
            known.resident = None;
        }
        Some((known, stat))
    }

    fn identify(&self, scanner: &mut Scanner, cx: &Cx<'_>, stat: &Stat) -> Identity {
        // a recorded tree belongs to whoever unpacked it
        let uid = if cx.roots.live {
            scanner.owner(stat.pid)
        } else {
            scanner.once(stat.pid, "status").ok().and_then(parse::uid)
        };
        let command = if stat.kernel { None } else { scanner.once(stat.pid, "cmdline").ok().and_then(parse::command) };
        Identity {
            user: uid.map(|uid| self.users.name(uid)),
            name: Text::new(stat.comm.as_bytes()),
            command: command.map_or_else(
                || Text::new(&[b"[".as_slice(), stat.comm.as_bytes(), b"]"].concat()),
                |command| Text::new(&command),
            ),
            place: None,
        }
    }
}

fn place(scanner: &mut Scanner, wanted: &Wanted, known: &mut Known) -> Place {
    if !wanted.place {
        return Place::default();
    }
    let pid = known.handle.pid();
    let read = || {
        let cgroup = scanner.once(pid, "cgroup").ok().and_then(parse::cgroup);
        Place { unit: cgroup.and_then(parse::unit).map(|unit| Text::new(&unit)), cgroup: cgroup.map(Text::new) }
    };
    known.identity.place.get_or_insert_with(read).clone()
}

/// Moves the remembered boot time only when it is off by more than a second, so that quiet rows stay as they are.
pub(super) fn rebase(boot: &mut Option<Timestamp>, now: Option<Timestamp>) {
    let close = |old: &Timestamp, new: &Timestamp| old.0.abs_diff(new.0) <= 1_000_000_000;
    if !matches!((&*boot, &now), (Some(old), Some(new)) if close(old, new)) {
        *boot = now;
    }
}

/// What is the same for all rows of a sample.
struct Common {
    proc: crate::source::file::Root,
    ticks: f64,
    page: u64,
    boot: Option<Timestamp>,
    memory_total: Option<u64>,
}

impl Common {
    fn new(roots: &Roots, boot: Option<Timestamp>) -> Self {
        Self {
            proc: roots.proc.clone(),
            ticks: rustix::param::clock_ticks_per_second() as f64,
            page: rustix::param::page_size() as u64,
            boot,
            memory_total: roots.proc.read("meminfo").ok().and_then(|text| parse::kibibytes(&text, b"MemTotal:")),
        }
    }

    fn row(
        &self,
        scanner: &mut Scanner,
        wanted: &Wanted,
        known: &mut Known,
        stat: &Stat,
        refused: &mut Refused,
    ) -> ProcessRow {
        let seconds = |ticks: u64| ticks as f64 / self.ticks;
        let io = io(scanner, wanted, known).unwrap_or_else(|errno| {
            refused.note(stat.pid, Error::new("read", self.proc.join(format!("{}/io", stat.pid)), errno));
            Io::default()
        });
        let pss = if wanted.pss(stat.pid) { detail::proportional(&self.proc, stat.pid) } else { Ok(None) };
        let pss = pss.unwrap_or_else(|error| {
            refused.note(stat.pid, error);
            None
        });
        let delay = run_delay(scanner, wanted, known);
        let place = place(scanner, wanted, known);
        let resident = resident(scanner, known, stat);
        let mut swap = || scanner.once(stat.pid, "status").ok().and_then(|status| parse::kibibytes(status, b"VmSwap:"));
        let started = |boot: Timestamp| Timestamp(boot.0.saturating_add((seconds(stat.start) * 1e9) as i64));
        let who = &known.identity;
        ProcessRow {
            pid: u64::from(stat.pid),
            start: stat.start,
            parent: u64::from(stat.parent),
            user: who.user.clone(),
            state: TaskState::of(stat.state),
            name: who.name.clone(),
            command: who.command.clone(),
            threads: stat.threads,
            nice: stat.nice,
            priority: stat.priority,
            cpu_time: seconds(stat.user.saturating_add(stat.system)),
            user_time: seconds(stat.user),
            system_time: seconds(stat.system),
            guest_time: stat.guest.map(seconds),
            run_delay: delay,
            rss: resident.saturating_mul(self.page),
            virtual_size: stat.virtual_size,
            swap: if wanted.swap { swap() } else { None },
            pss,
            memory_total: self.memory_total,
            minor_faults: stat.minor_faults,
            major_faults: stat.major_faults,
            read_bytes: io.read,
            write_bytes: io.write,
            started: self.boot.map(started),
            last_cpu: stat.last_cpu,
            unit: place.unit,
            cgroup: place.cgroup,
        }
    }
}

fn io(scanner: &mut Scanner, wanted: &Wanted, known: &mut Known) -> Result<Io, rustix::io::Errno> {
    if !wanted.io {
        known.handle.close(File::Io);
        return Ok(Io::default());
    }
    scanner.every_tick(&mut known.handle, File::Io).map(parse::io)
}

/// Resident pages. Those of `stat` are summed up from each CPU's share only now and then, so they are off by megabytes on
/// hosts with many CPUs; the exact ones cost a file more, which is read only when the process may have changed.
fn resident(scanner: &mut Scanner, known: &mut Known, stat: &Stat) -> u64 {
    // a thread of the kernel has none
    if stat.resident == 0 && stat.virtual_size == 0 {
        return 0;
    }
    let busy = stat.user.saturating_add(stat.system);
    let marks = [busy, stat.minor_faults, stat.major_faults, stat.resident];
    match known.resident {
        Some((old, pages)) if old == marks => pages,
        _ => {
            let pages = scanner.once(stat.pid, "statm").ok().and_then(parse::resident);
            known.resident = pages.map(|pages| (marks, pages));
            pages.unwrap_or(stat.resident)
        }
    }
}

fn run_delay(scanner: &mut Scanner, wanted: &Wanted, known: &mut Known) -> Option<f64> {
    if !wanted.run_delay {
        known.handle.close(File::Schedstat);
        return None;
    }
    let text = scanner.every_tick(&mut known.handle, File::Schedstat).ok()?;
    Some(parse::schedstat(text)?.1 as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Wants;
    use crate::model::{Cell, Demand, Mono, Owners, Rows};
    use std::path::Path;
    use std::sync::Arc;

    fn sample(collector: &mut dyn Collect, roots: &Roots, demands: &[Demand]) -> Result<Arc<dyn Rows>, Skip> {
        let (wants, owners) = (Wants::union(demands), Owners::default());
        let cx = Cx { roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
        let mut out = Batch::default();
        collector.collect(&cx, &mut out)?;
        Ok(Arc::clone(out.rows(ProcessRow::TABLE).expect("rows")))
    }

    fn cell<'a>(rows: &'a dyn Rows, pid: u32, column: &str) -> Cell<'a> {
        let at = |name: &str| ProcessRow::TABLE.position(name).expect("a column");
        let row = (0..rows.len()).find(|row| rows.cell(*row, at("pid")) == Cell::U64(u64::from(pid)));
        row.map_or(Cell::Missing, |row| rows.cell(row, at(column)))
    }

    fn wanting(columns: &[&str], ids: Vec<Value>) -> Vec<Demand> {
        let columns = columns.iter().map(|&name| name.to_owned()).collect();
        vec![Demand { columns, ids, ..Demand::table("process") }]
    }

    fn write(dir: &Path, file: &str, text: &[u8]) {
        let path = dir.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn stat_line(pid: u32, comm: &str, flags: u32, start: u64) -> Vec<u8> {
        format!(
            "{pid} ({comm}) S 1 1 1 0 -1 {flags} 11 0 13 0 150 50 0 0 20 -5 3 0 {start} 8192 3 0 0 0 0 0 0 0 0 0 0 0 0 0 0 5 0 0 0 0 0\n"
        )
        .into_bytes()
    }

    fn recorded() -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path();
        write(path, "proc/stat", b"cpu 1\nbtime 1700000000\n");
        write(path, "proc/meminfo", b"MemTotal: 1000 kB\n");
        write(path, "host/etc/passwd", b"web:x:33:33::/:/bin/sh\n");
        write(path, "proc/7/stat", &stat_line(7, "a) b", 0, 500));
        write(path, "proc/7/status", b"Uid:\t0\t33\t0\t0\nVmSwap:\t 4 kB\n");
        write(path, "proc/7/cmdline", b"web\0--x\x1b[2J\0");
        write(path, "proc/7/cgroup", b"0::/system.slice/web.service\n");
        write(path, "proc/7/io", b"read_bytes: 70\nwrite_bytes: 90\n");
        write(path, "proc/7/schedstat", b"1 2500000000 3\n");
        write(path, "proc/2/stat", &stat_line(2, "kthreadd", 0x0020_0000, 0));
        write(path, "proc/2/cmdline", b"");
        let roots = Roots::recorded(path);
        (dir, roots)
    }

    #[test]
    fn a_recorded_tree_is_read_like_a_live_one() {
        let (_dir, roots) = recorded();
        let mut collector = ProcessCollector::default();
        let rows = sample(&mut collector, &roots, &[]).unwrap();
        for (column, want) in [
            ("start", Cell::U64(500)),
            ("user", Cell::Text("web")),
            ("name", Cell::Text("a) b")),
            ("command", Cell::Text("web --x\\x1b[2J")),
            ("unit", Cell::Missing),
            ("nice", Cell::I64(-5)),
            ("cpu_time", Cell::F64(2.0)),
            ("memory_total", Cell::U64(1_024_000)),
            ("started", Cell::Timestamp(Timestamp(1_700_000_005_000_000_000))),
            ("last_cpu", Cell::U64(5)),
            ("read_bytes", Cell::Missing),
            ("swap", Cell::Missing),
        ] {
            assert_eq!(cell(&*rows, 7, column), want, "{column}");
        }
        assert_eq!(cell(&*rows, 2, "command"), Cell::Text("[kthreadd]"));
        assert_eq!(cell(&*rows, 2, "user"), Cell::Missing);
    }

    #[test]
    fn a_costly_column_is_read_only_when_wanted() {
        let (_dir, roots) = recorded();
        let mut collector = ProcessCollector::default();
        let rows =
            sample(&mut collector, &roots, &wanting(&["read_bytes", "run_delay", "swap", "unit"], vec![])).unwrap();
        assert_eq!(cell(&*rows, 7, "read_bytes"), Cell::U64(70));
        assert_eq!(cell(&*rows, 7, "write_bytes"), Cell::U64(90));
        assert_eq!(cell(&*rows, 7, "run_delay"), Cell::F64(2.5));
        assert_eq!(cell(&*rows, 7, "swap"), Cell::U64(4096));
        assert_eq!(cell(&*rows, 7, "unit"), Cell::Text("web.service"));
        assert_eq!(cell(&*rows, 7, "cgroup"), Cell::Text("/system.slice/web.service"));
        assert_eq!(cell(&*rows, 2, "read_bytes"), Cell::Missing, "not readable is not zero");
    }

    #[test]
    fn a_reused_number_is_another_process() {
        let (dir, roots) = recorded();
        let mut collector = ProcessCollector::default();
        sample(&mut collector, &roots, &[]).unwrap();
        write(dir.path(), "proc/7/stat", &stat_line(7, "other", 0, 900));
        write(dir.path(), "proc/7/cmdline", b"other\0");
        let rows = sample(&mut collector, &roots, &[]).unwrap();
        assert_eq!(cell(&*rows, 7, "start"), Cell::U64(900));
        assert_eq!(cell(&*rows, 7, "command"), Cell::Text("other"));
        std::fs::remove_dir_all(dir.path().join("proc/7")).unwrap();
        let rows = sample(&mut collector, &roots, &[]).unwrap();
        assert_eq!((rows.len(), collector.known.len()), (1, 1), "what is gone is forgotten");
    }

    #[test]
    fn a_command_that_is_cut_says_so() {
        let (dir, roots) = recorded();
        write(dir.path(), "proc/7/cmdline", &[b'a'; 5000]);
        let rows = sample(&mut ProcessCollector::default(), &roots, &[]).unwrap();
        assert_eq!(cell(&*rows, 7, "command"), Cell::Text(&format!("{}…", "a".repeat(4096))));
    }

    #[test]
    fn a_changed_name_means_a_new_command() {
        let (dir, roots) = recorded();
        let mut collector = ProcessCollector::default();
        sample(&mut collector, &roots, &[]).unwrap();
        write(dir.path(), "proc/7/stat", &stat_line(7, "execed", 0, 500));
        write(dir.path(), "proc/7/cmdline", b"");
        let rows = sample(&mut collector, &roots, &[]).unwrap();
        assert_eq!(cell(&*rows, 7, "command"), Cell::Text("[execed]"), "its arguments come behind its name");
        write(dir.path(), "proc/7/cmdline", b"execed\0now\0");
        let rows = sample(&mut collector, &roots, &[]).unwrap();
        assert_eq!(cell(&*rows, 7, "command"), Cell::Text("execed now"));
    }

    #[test]
    fn shared_memory_is_read_for_the_named_process_only() {
        let roots = Roots::live();
        let me = std::process::id();
        let mut collector = ProcessCollector::default();
        let rows = sample(&mut collector, &roots, &wanting(&["pss"], vec![Value::U64(u64::from(me))])).unwrap();
        let pss = ProcessRow::TABLE.position("pss").unwrap();
        assert!(matches!(cell(&*rows, me, "pss"), Cell::U64(1..)));
        assert_eq!((0..rows.len()).filter(|row| !rows.cell(*row, pss).is_missing()).count(), 1);
    }

    #[test]
    fn without_descriptors_the_list_fails_and_is_not_short() {
        let with_own_descriptors = || {
            // SAFETY: from here on this thread has a copy of the descriptors; what others open or close it does not see
            unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }.unwrap();
            let mut collector = ProcessCollector::default();
            sample(&mut collector, &Roots::live(), &[]).unwrap();
            let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
            let file = std::fs::File::open("/dev/null").unwrap();
            let mut taken = Vec::new();
            while let Ok(copy) = file.try_clone() {
                taken.push(copy);
            }
            let short = sample(&mut collector, &Roots::live(), &[]);
            drop(taken);
            let whole = sample(&mut collector, &Roots::live(), &[]).unwrap();
            let found = cell(&*whole, child.id(), "name");
            assert!(!found.is_missing());
            child.kill().unwrap();
            child.wait().unwrap();
            assert!(matches!(short, Err(Skip::Failed(_))));
        };
        std::thread::scope(|scope| scope.spawn(with_own_descriptors).join().unwrap());
    }

    #[test]
    fn an_empty_tree_is_absent() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("proc")).unwrap();
        let got = sample(&mut ProcessCollector::default(), &Roots::recorded(dir.path()), &[]);
        assert!(matches!(got, Err(Skip::Absent(_))));
    }
}
