//! What does the process that somebody looks at hold?
//!
//! On-demand tables: readers name processes, and only those are read. A reader that names none gets a hint instead of
//! the open files of thousands.

use super::process::TaskState;
use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, MAX_IDS, Skip};
use crate::model::{Row, Text, Value};
use crate::source::Error;
use crate::source::file::Root;
use crate::source::process::Stat;
use crate::source::process::detail::{self, Limit, OpenFile, Variable};
use crate::{label, table};

label! {
    /// What a descriptor leads to.
    pub enum FileKind {
        /// A path.
        Path = "path",
        /// A path that was removed while it is open.
        Deleted = "deleted" => Careful,
        /// A socket.
        Socket = "socket",
        /// A pipe.
        Pipe = "pipe",
        /// Memory with a descriptor.
        Memory = "memory",
        /// Something of the kernel's: an event counter, a timer, a KVM guest, a BPF program.
        Anonymous = "anonymous",
    }
}

label! {
    /// What may be done through a descriptor.
    pub enum FileAccess {
        /// Read.
        Read = "read",
        /// Write.
        Write = "write",
        /// Both.
        Both = "read_write",
        /// Only name it.
        Path = "path",
    }
}

table! {
    /// One open file of a process that a reader has named.
    ///
    /// Access and position are missing when the kernel does not show them to this user.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/{fd,fdinfo}`.
    pub struct ProcessFileRow = "process_file" { title: Some("Open files"), demand: true } {
        /// Process that has it open.
        Id(None) pid: u64 { required: true },
        /// Number of the descriptor.
        Id(None) fd: u64,
        /// What it leads to.
        Text(None) kind: FileKind,
        /// What may be done through it.
        Text(None) access: Option<FileAccess>,
        /// Path, or the kernel's name for what has none.
        Text(None) target: Text { label: true, secret: true },
        /// Where the next read or write begins.
        Gauge(Bytes) position: Option<u64> { wide: true },
    }
}

table! {
    /// One variable of the environment that a process was started with; changes since then are not seen.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/environ`.
    pub struct ProcessEnvironmentRow = "process_environment" { title: Some("Environment"), demand: true } {
        /// Process that was started with it.
        Id(None) pid: u64 { required: true },
        /// Place in the list, because a name may be there twice.
        Id(None) place: u64 { wide: true },
        /// Name of the variable.
        Text(None) name: Text { label: true },
        /// What it is set to.
        Text(None) value: Text { last: true, secret: true },
    }
}

table! {
    /// One resource limit of a process; a limit that is missing is unlimited.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/limits`; `getrlimit(2)`.
    pub struct ProcessLimitRow = "process_limit" { title: Some("Limits"), demand: true } {
        /// Process that it binds.
        Id(None) pid: u64 { required: true },
        /// What is limited.
        Id(None) name: Text { label: true },
        /// Where the process is stopped.
        Gauge(None) soft: Option<u64>,
        /// How far it may raise that itself.
        Gauge(None) hard: Option<u64>,
        /// What is counted.
        Text(None) counted: Text,
    }
}

table! {
    /// One thread of a process that a reader has named.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/task/TID/stat`.
    pub struct ProcessThreadRow = "process_thread" { title: Some("Threads"), demand: true } {
        /// Process that it belongs to.
        Id(None) pid: u64 { required: true },
        /// Number of the thread.
        Id(None) thread: u64,
        /// Start in clock ticks since boot.
        Id(None) start: u64 { wide: true },
        /// What its program calls it, at most 15 bytes.
        Text(None) name: Text { label: true },
        /// What it does now.
        Text(None) state: TaskState,
        /// Nice value.
        Gauge(None) nice: i64,
        /// Priority as the scheduler has it.
        Gauge(None) priority: i64 { wide: true },
        /// CPU time used in user mode and in the kernel.
        Counter(Seconds) cpu_time: f64 { title: Some("time+"), cpu: true },
        /// CPU time spent running a virtual CPU.
        Counter(Seconds) guest_time: Option<f64> { cpu: true, wide: true },
        /// CPU it last ran on.
        Gauge(None) last_cpu: Option<u64>,
    }
    derived {
        /// Share of a CPU kept busy.
        cpu(Ratio) = "rate(cpu_time)" { title: Some("CPU%"), top: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "process_detail",
    tables: &[ProcessFileRow::TABLE, ProcessThreadRow::TABLE, ProcessLimitRow::TABLE, ProcessEnvironmentRow::TABLE],
    interval: EVERY_SECOND,
    // an environment is read through the memory lock of a process that may be stuck
    blocks: true,
    needs: super::OTHERS_PROCESSES,
    make: || Box::new(DetailCollector),
};

struct DetailCollector;

impl Collect for DetailCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        fill(cx, out, detail::files, |pid, _, file| file_row(pid, &file));
        fill(cx, out, detail::threads, |pid, _, stat| thread_row(pid, &stat, ticks));
        fill(cx, out, detail::limits, |pid, _, limit| limit_row(pid, &limit));
        fill(cx, out, detail::environment, |pid, place, variable| variable_row(pid, place, &variable));
        Ok(())
    }
}

/// Fills a table for the processes that readers have named. One that is gone or may not be read is a reason why there is no
/// table when there is nothing else to show, and why it is there in part otherwise.
fn fill<T, R: Row>(
    cx: &Cx<'_>,
    out: &mut Batch,
    read: fn(&Root, u32) -> Result<Vec<T>, Error>,
    row: impl Fn(u64, u64, T) -> R,
) {
    let Some(want) = cx.wants.table(R::TABLE) else { return };
    if want.ids.is_empty() {
        out.skip(R::TABLE, &Skip::absent("no process is named").hint("name one, for example `pid == 4242`"));
        return;
    }
    let (mut rows, mut gone, mut refused, mut found) = (Vec::new(), Vec::new(), None, false);
    for id in want.ids.iter().filter_map(|ids| ids.first()) {
        let pid = match id {
            Value::U64(pid) => u32::try_from(*pid).ok(),
            _ => None,
        };
        match pid.map(|pid| (pid, read(&cx.roots.proc, pid))) {
            Some((pid, Ok(items))) => {
                found = true;
                rows.extend((0_u64..).zip(items).map(|(place, item)| row(u64::from(pid), place, item)));
            }
            Some((_, Err(error))) if !error.is_absent() => {
                let hint = "another user's process: run as root, or grant CAP_SYS_PTRACE";
                refused = Some(Skip::from(error).hint(hint));
            }
            _ => gone.push(number(id)),
        }
    }
    let why = refused.or_else(|| (!gone.is_empty()).then(|| Skip::absent(format!("no process {}", gone.join(", ")))));
    match why {
        Some(why) if !found => out.skip(R::TABLE, &why),
        why => {
            out.left_out(R::TABLE, want.left_out, MAX_IDS, "processes");
            if let Some(why) = why {
                out.partly(R::TABLE, &why);
            }
            out.push(rows);
        }
    }
}

/// A number as it was asked for.
fn number(id: &Value) -> String {
    match id {
        Value::U64(pid) => pid.to_string(),
        Value::I64(pid) => pid.to_string(),
        Value::F64(pid) => pid.to_string(),
        _ => "without a number".to_owned(),
    }
}

fn file_row(pid: u64, file: &OpenFile) -> ProcessFileRow {
    ProcessFileRow {
        pid,
        fd: u64::from(file.fd),
        kind: kind_of(&file.target),
        access: file.flags.map(access_of),
        target: Text::new(&file.target),
        position: file.position,
    }
}

fn kind_of(target: &[u8]) -> FileKind {
    if target.starts_with(b"socket:[") {
        FileKind::Socket
    } else if target.starts_with(b"pipe:[") {
        FileKind::Pipe
    } else if target.starts_with(b"/memfd:") {
        FileKind::Memory
    } else if !target.starts_with(b"/") {
        FileKind::Anonymous
    } else if target.ends_with(b" (deleted)") {
        FileKind::Deleted
    } else {
        FileKind::Path
    }
}

fn access_of(flags: u32) -> FileAccess {
    if flags & libc::O_PATH as u32 != 0 {
        return FileAccess::Path;
    }
    match flags & libc::O_ACCMODE as u32 {
        0 => FileAccess::Read,
        1 => FileAccess::Write,
        _ => FileAccess::Both,
    }
}

fn variable_row(pid: u64, place: u64, variable: &Variable) -> ProcessEnvironmentRow {
    ProcessEnvironmentRow { pid, place, name: Text::new(&variable.name), value: Text::new(&variable.value) }
}

fn limit_row(pid: u64, limit: &Limit) -> ProcessLimitRow {
    ProcessLimitRow {
        pid,
        name: Text::new(&limit.name),
        soft: limit.soft,
        hard: limit.hard,
        counted: Text::new(&limit.unit),
    }
}

fn thread_row(pid: u64, stat: &Stat, ticks: f64) -> ProcessThreadRow {
    ProcessThreadRow {
        pid,
        thread: u64::from(stat.pid),
        start: stat.start,
        name: Text::new(stat.comm.as_bytes()),
        state: TaskState::of(stat.state),
        nice: stat.nice,
        priority: stat.priority,
        cpu_time: stat.user.saturating_add(stat.system) as f64 / ticks,
        guest_time: stat.guest.map(|guest| guest as f64 / ticks),
        last_cpu: stat.last_cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Wants;
    use crate::model::{Cell, Demand, Mono, Owners, State, Timestamp};
    use crate::source::file::Roots;

    fn collect(demands: &[Demand]) -> Batch {
        let (roots, wants, owners) = (Roots::live(), Wants::union(demands), Owners::default());
        let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
        let mut out = Batch::default();
        DetailCollector.collect(&cx, &mut out).unwrap();
        out
    }

    fn of(table: &str, pid: u32) -> Demand {
        Demand { ids: vec![Value::U64(u64::from(pid))], ..Demand::table(table) }
    }

    #[test]
    fn nothing_is_read_that_nobody_wants() {
        assert!(collect(&[]).into_tables().is_empty());
        let out = collect(&[of("process_limit", std::process::id())]);
        assert_eq!(out.rows(ProcessLimitRow::TABLE).unwrap().len(), 16);
        assert_eq!(out.into_tables().len(), 1);
    }

    #[test]
    fn without_a_named_process_the_table_says_so() {
        let tables = collect(&[Demand::table("process_file")]).into_tables();
        let Err(status) = &tables[0].1 else { panic!("rows without a process") };
        assert_eq!(status.state, State::Absent);
        assert!(status.hint.contains("pid =="));
    }

    #[test]
    fn a_process_that_is_gone_has_no_table_and_is_named_beside_others() {
        let tables = || [("process_thread", ProcessThreadRow::TABLE), ("process_limit", ProcessLimitRow::TABLE)];
        for (name, table) in tables()
            .into_iter()
            .chain([("process_file", ProcessFileRow::TABLE), ("process_environment", ProcessEnvironmentRow::TABLE)])
        {
            let mut out = collect(&[of(name, u32::MAX), of(name, std::process::id())]);
            assert!(!out.rows(table).unwrap().is_empty());
            let part = out.take_partly();
            assert!(matches!(&part[..], [(_, status)] if status.reason.contains("no process 4294967295")), "{part:?}");
            let filled = collect(&[of(name, u32::MAX)]).into_tables();
            let Err(status) = &filled[0].1 else { panic!("rows of {name}") };
            assert_eq!((status.state, &*status.reason), (State::Absent, "no process 4294967295"));
        }
    }

    #[test]
    fn a_number_that_no_process_can_have_is_none_that_is_there() {
        for (value, shown) in [(Value::I64(-1), "-1"), (Value::F64(1.5), "1.5"), (Value::U64(1 << 32), "4294967296")] {
            let demand = Demand { ids: vec![value], ..Demand::table("process_limit") };
            let filled = collect(&[demand]).into_tables();
            let Err(status) = &filled[0].1 else { panic!("rows") };
            assert_eq!(*status.reason, format!("no process {shown}"));
        }
    }

    #[test]
    fn an_open_file_and_the_environment_of_this_process_are_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let me = std::process::id();
        let out = collect(&[of("process_file", me), of("process_environment", me)]);
        let files = out.rows(ProcessFileRow::TABLE).unwrap();
        let target = ProcessFileRow::TABLE.position("target").unwrap();
        let path = file.path().to_str().unwrap();
        assert!((0..files.len()).any(|row| files.cell(row, target) == Cell::Text(path)));
        let names = ProcessEnvironmentRow::TABLE.position("name").unwrap();
        let variables = out.rows(ProcessEnvironmentRow::TABLE).unwrap();
        assert!((0..variables.len()).any(|row| variables.cell(row, names) == Cell::Text("PATH")));
    }

    #[test]
    fn targets_are_told_apart() {
        for (target, want) in [
            ("socket:[12]", FileKind::Socket),
            ("pipe:[7]", FileKind::Pipe),
            ("/memfd:x (deleted)", FileKind::Memory),
            ("anon_inode:kvm-vcpu:0", FileKind::Anonymous),
            ("/no/such/file (deleted)", FileKind::Deleted),
            ("/etc/passwd", FileKind::Path),
        ] {
            assert_eq!(kind_of(target.as_bytes()), want, "{target}");
        }
        assert_eq!(access_of(libc::O_PATH as u32), FileAccess::Path);
        assert_eq!(access_of(0o100_002), FileAccess::Both);
    }
}
