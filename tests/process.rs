//! Does the table of processes say what `ps`, `wait4` and the kernel say, on this machine, now?

#![cfg(test)]

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;

use netglance::collect::process::{ENTRY, ProcessRow};
use netglance::collect::{Batch, Collect, Cx, Skip, Wants};
use netglance::model::{Action, ActionError, Cell, Demand, Done, Mono, Owners, Rows, Timestamp};
use netglance::source::file::{Root, Roots};

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use support::process::Guard;

fn sleeping() -> Guard {
    Guard::start(Command::new("sleep").arg("1000"))
}

/// A collector with the roots and demands that it is asked with.
struct Live {
    collector: Box<dyn Collect>,
    roots: Roots,
    wants: Wants,
    partly: Vec<String>,
}

impl Live {
    fn new() -> Self {
        Self { collector: (ENTRY.make)(), roots: Roots::live(), wants: Wants::default(), partly: Vec::new() }
    }

    fn try_sample(&mut self) -> Result<Arc<dyn Rows>, Skip> {
        let owners = Owners::default();
        let (time, mono) = (Timestamp::now(), Mono::now());
        let cx = Cx { roots: &self.roots, wants: &self.wants, owners: &owners, time, mono };
        let mut out = Batch::default();
        self.collector.collect(&cx, &mut out)?;
        self.partly = out.take_partly().iter().map(|(_, status)| status.reason.to_string()).collect();
        Ok(Arc::clone(out.rows(ProcessRow::TABLE).unwrap()))
    }

    fn sample(&mut self) -> Arc<dyn Rows> {
        self.try_sample().unwrap()
    }

    /// Samples until a cell of a process is as wanted.
    fn until(&mut self, pid: u32, column: &str, wanted: impl Fn(&Cell<'_>) -> bool) -> Arc<dyn Rows> {
        let begin = std::time::Instant::now();
        loop {
            let rows = self.sample();
            if wanted(&cell(&*rows, pid, column)) {
                return rows;
            }
            assert!(begin.elapsed().as_secs() < 60, "{column} of {pid} is {:?}", cell(&*rows, pid, column));
        }
    }
}

fn at(column: &str) -> usize {
    ProcessRow::TABLE.position(column).unwrap()
}

fn cell<'a>(rows: &'a dyn Rows, pid: u32, column: &str) -> Cell<'a> {
    let row = (0..rows.len()).find(|row| rows.cell(*row, at("pid")) == Cell::U64(pid.into()));
    row.map_or(Cell::Missing, |row| rows.cell(row, at(column)))
}

fn number(rows: &dyn Rows, pid: u32, column: &str) -> u64 {
    cell(rows, pid, column).number().unwrap() as u64
}

fn pids(rows: &dyn Rows) -> Vec<u64> {
    (0..rows.len()).map(|row| rows.cell(row, at("pid")).number().unwrap() as u64).collect()
}

/// What both `ps` and the table say of each process, as `ps` writes it.
fn facts(rows: &dyn Rows) -> BTreeMap<u32, String> {
    pids(rows)
        .into_iter()
        .filter_map(|pid| {
            let pid = pid as u32;
            let integer = |column: &str| match cell(rows, pid, column) {
                Cell::U64(v) => v.to_string(),
                Cell::I64(v) => v.to_string(),
                other => panic!("{column} is {other:?}"),
            };
            let columns = ["parent", "nice", "threads", "virtual_size"].map(integer);
            // of one that ended while it was looked at nobody knows whose it was
            let user = cell(rows, pid, "user").text()?.to_owned();
            Some((pid, format!("{} {user}", columns.join(" "))))
        })
        .collect()
}

fn ps() -> BTreeMap<u32, String> {
    let output = Command::new("ps").args(["-eo", "pid=,ppid=,ni=,nlwp=,vsz=,user:64="]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut fields: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
            let pid = fields.remove(0).parse().unwrap();
            // the idle-class threads of the kernel have no nice value in ps
            (fields[1] != "-").then(|| {
                fields[3] = (fields[3].parse::<u64>().unwrap() * 1024).to_string();
                (pid, fields.join(" "))
            })
        })
        .collect()
}

fn act(action: &Action) -> Result<Done, ActionError> {
    netglance::source::action::act(action, &"me".into(), &Roots::live())
}

#[test]
fn the_table_agrees_with_ps() {
    let niced = Guard::start(Command::new("nice").args(["-n", "7", "sleep", "1000"]));
    let mut live = Live::new();
    live.until(niced.pid(), "name", |name| name.text() == Some("sleep"));
    // what did not change from before to after was so while ps looked; the child may still be loading its libraries
    let (steady, ps) = (0..1000)
        .find_map(|_| {
            let before = facts(&*live.sample());
            let ps = ps();
            let after = facts(&*live.sample());
            let steady: Vec<_> = before.into_iter().filter(|(pid, facts)| after.get(pid) == Some(facts)).collect();
            steady.iter().any(|(pid, _)| *pid == niced.pid()).then_some((steady, ps))
        })
        .expect("the child stands still at last");
    let compared: Vec<_> = steady.iter().filter_map(|(pid, facts)| Some((pid, facts, ps.get(pid)?))).collect();
    // threads and sizes of busy processes go up and come back between two looks; those of a sleeping child do not
    let lasting = |facts: &str| {
        let fields: Vec<_> = facts.split(' ').collect();
        [fields[0], fields[1], fields[4]].join(" ")
    };
    for (pid, facts, ps) in &compared {
        assert_eq!(lasting(facts), lasting(ps), "process {pid}");
        assert!(**pid != niced.pid() || facts == ps, "the child: {facts}, ps says {ps}");
    }
    assert!(compared.len() * 2 > ps.len(), "{} of {} were compared", compared.len(), ps.len());
    // the tests may have been started with `nice` themselves
    let nice = (rustix::process::getpriority_process(None).unwrap() + 7).min(19);
    assert!(compared.iter().any(|(pid, facts, _)| **pid == niced.pid() && facts.contains(&format!(" {nice} 1 "))));
}

#[test]
fn cpu_time_is_what_the_kernel_charges() {
    let child = Guard::start(Command::new("sh").args(["-c", "while :; do :; done"]));
    let pid = child.pid();
    let mut live = Live::new();
    let rows = live.until(pid, "cpu_time", |time| time.number().is_some_and(|time| time >= 0.3));
    let start = number(&*rows, pid, "start");
    act(&Action::Signal { pid, start, signal: libc::SIGSTOP }).unwrap();
    let rows = live.until(pid, "state", |state| state.text() == Some("stopped"));
    let shown = cell(&*rows, pid, "cpu_time").number().unwrap();
    act(&Action::Signal { pid, start, signal: libc::SIGKILL }).unwrap();
    let mut status = 0;
    // SAFETY: `usage` is plain data that the kernel fills; the child is this process's and not reaped yet.
    let charged = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        assert_eq!(libc::wait4(pid as i32, &raw mut status, 0, &raw mut usage), pid as i32);
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        seconds(usage.ru_utime) + seconds(usage.ru_stime)
    };
    // two counters, each cut down to a tick of 10 ms
    assert!((charged - shown).abs() < 0.03, "charged {charged}, shown {shown}");
    assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL);
}

#[test]
fn renice_reaches_the_process_and_is_shown() {
    let child = sleeping();
    let mut live = Live::new();
    let rows = live.until(child.pid(), "name", |name| name.text() == Some("sleep"));
    let start = number(&*rows, child.pid(), "start");
    act(&Action::Renice { pid: child.pid(), start, nice: 11 }).unwrap();
    assert_eq!(cell(&*live.sample(), child.pid(), "nice"), Cell::I64(11));
    let gone = act(&Action::Renice { pid: child.pid(), start: start + 1, nice: 12 });
    assert!(matches!(gone, Err(ActionError::Gone { .. })));
    assert_eq!(cell(&*live.sample(), child.pid(), "nice"), Cell::I64(11));
}

#[test]
fn hostile_names_are_shown_and_harmless() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("a) R 1\n\x1b[2J");
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let child = Guard::start(Command::new(&program).arg0("x\x1b]0;t\x07\u{202e}").arg("1000"));
    let mut live = Live::new();
    let said = "x\\x1b]0;t\\x07\\u{202e} 1000";
    let rows = live.until(child.pid(), "command", |command| command.text() == Some(said));
    assert_eq!(cell(&*rows, child.pid(), "name"), Cell::Text("a) R 1\\x0a\\x1b[2J"));
    assert_eq!(cell(&*rows, child.pid(), "parent"), Cell::U64(std::process::id().into()));
}

#[test]
fn a_fork_storm_is_no_error_and_leaves_nothing_behind() {
    let mut storm =
        Guard::start(Command::new("sh").args(["-c", "i=0; while [ $i -lt 300 ]; do /bin/true; i=$((i+1)); done"]));
    let mut live = Live::new();
    let mut samples = 0;
    while storm.0.try_wait().unwrap().is_none() {
        live.sample();
        samples += 1;
    }
    assert!(samples > 1);
    let rows = live.sample();
    let left = (0..rows.len()).filter(|row| rows.cell(*row, at("parent")) == Cell::U64(storm.pid().into())).count();
    assert_eq!(left, 0);
}

/// Makes a child with exactly this number that waits for a signal.
fn child_with_number(pid: u32) -> u32 {
    let number = pid as libc::pid_t;
    // SAFETY: all of `clone_args` is plain data. The child shares nothing and only calls `pause`, which is
    // async-signal-safe, so that locks held by other threads at the time of the fork do not matter.
    unsafe {
        let mut args: libc::clone_args = std::mem::zeroed();
        args.exit_signal = libc::SIGCHLD as u64;
        args.set_tid = (&raw const number) as u64;
        args.set_tid_size = 1;
        let made = libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>());
        if made == 0 {
            loop {
                libc::pause();
            }
        }
        assert_eq!(made, i64::from(number), "{}", std::io::Error::last_os_error());
    }
    pid
}

#[test]
fn root_a_reused_number_is_another_process_and_is_not_hit() {
    let mut first = sleeping();
    let pid = first.pid();
    let mut live = Live::new();
    let rows = live.until(pid, "name", |name| name.text() == Some("sleep"));
    let old = number(&*rows, pid, "start");
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    // the start is counted in ticks of 10 ms: let the next one begin
    let ticks = || {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        now.tv_sec as u64 * 100 + now.tv_nsec as u64 / 10_000_000
    };
    while ticks() <= old + 1 {
        std::hint::spin_loop();
    }
    let second = child_with_number(pid);
    let rows = live.sample();
    let new = number(&*rows, second, "start");
    assert!(new > old, "{new} after {old}");
    let comm = std::fs::read_to_string(format!("/proc/{second}/comm")).unwrap();
    assert_eq!(cell(&*rows, second, "name").text(), Some(comm.trim_end()), "not the name of the one before");
    let got = act(&Action::Signal { pid, start: old, signal: libc::SIGKILL });
    assert!(matches!(got, Err(ActionError::Gone { .. })), "{got:?}");
    assert_eq!(cell(&*live.sample(), second, "start"), Cell::U64(new), "it lives");
    act(&Action::Signal { pid, start: new, signal: libc::SIGKILL }).unwrap();
    let mut status = 0;
    // SAFETY: plain wait for a child of this process.
    assert_eq!(unsafe { libc::waitpid(pid as i32, &raw mut status, 0) }, pid as i32);
    assert_eq!(libc::WTERMSIG(status), libc::SIGKILL);
}

/// Runs something as uid 65534 without capabilities, on a thread of its own: the system call changes that thread only.
fn as_nobody<T: Send>(prepare: impl FnOnce() + Send, run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            prepare();
            // SAFETY: plain integers; the raw call, unlike the library's, leaves the other threads as they are.
            let changed = unsafe {
                libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>())
                    | libc::syscall(libc::SYS_setresgid, 65534, 65534, 65534)
                    | libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534)
            };
            assert_eq!(changed, 0, "this test needs root: {}", std::io::Error::last_os_error());
            run()
        });
        thread.join().unwrap()
    })
}

#[test]
fn root_without_rights_all_processes_are_shown_and_what_is_denied_is_missing() {
    let mine = Guard::start(Command::new("sleep").arg("1000").uid(65534).gid(65534));
    let others = sleeping();
    let (rows, signal) = as_nobody(
        || (),
        || {
            let mut live = Live::new();
            let columns = vec!["read_bytes".to_owned(), "pss".to_owned()];
            live.wants = Wants::union(&[Demand { columns, ..Demand::table("process") }]);
            live.until(mine.pid(), "name", |name| name.text() == Some("sleep"));
            let rows = live.until(others.pid(), "name", |name| name.text() == Some("sleep"));
            let start = number(&*rows, others.pid(), "start");
            (rows, act(&Action::Signal { pid: others.pid(), start, signal: libc::SIGTERM }))
        },
    );
    assert_eq!(cell(&*rows, others.pid(), "user"), Cell::Text("root"));
    assert_eq!(cell(&*rows, others.pid(), "command"), Cell::Text("sleep 1000"));
    assert_eq!(cell(&*rows, others.pid(), "read_bytes"), Cell::Missing);
    assert_eq!(cell(&*rows, others.pid(), "pss"), Cell::Missing);
    assert!(matches!(cell(&*rows, mine.pid(), "read_bytes"), Cell::U64(_)));
    assert!(matches!(cell(&*rows, mine.pid(), "pss"), Cell::U64(1..)));
    assert!(
        matches!(signal, Err(ActionError::Kernel { op: "signal", ref cause, .. })
        if cause.raw_os_error() == Some(libc::EPERM)),
        "{signal:?}"
    );
}

#[test]
fn root_with_hidepid_own_processes_are_shown_and_that_others_are_hidden_is_said() {
    let mine = Guard::start(Command::new("sleep").arg("1000").uid(65534).gid(65534));
    for options in [c"hidepid=1", c"hidepid=2"] {
        let dir = tempfile::tempdir().unwrap();
        let proc = dir.path();
        let (rows, partly) = as_nobody(
            || {
                // SAFETY: no flag makes the thread share less than it needs: it has its own mounts from here on.
                unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }
                    .expect("this test needs root");
                let target = std::ffi::CString::new(proc.as_os_str().as_encoded_bytes()).unwrap();
                let (root, kind) = (c"/".as_ptr(), c"proc".as_ptr());
                // SAFETY: all are terminated strings that live until the calls return.
                let mounted = unsafe {
                    libc::mount(kind, root, kind, libc::MS_PRIVATE | libc::MS_REC, std::ptr::null())
                        | libc::mount(kind, target.as_ptr(), kind, 0, options.as_ptr().cast())
                };
                assert_eq!(mounted, 0, "{}", std::io::Error::last_os_error());
            },
            || {
                let mut live = Live::new();
                live.roots.proc = Root::new(proc);
                let rows = live.until(mine.pid(), "name", |name| name.text() == Some("sleep"));
                (rows, live.partly)
            },
        );
        assert_eq!(cell(&*rows, mine.pid(), "user"), Cell::Text("nobody"));
        assert_eq!(cell(&*rows, 1, "name"), Cell::Missing);
        assert!(matches!(&*partly, [one] if one.contains("hidepid")), "{options:?}: {partly:?}");
    }
}

#[test]
fn where_nothing_is_hidden_nothing_is_said_of_it() {
    let mut live = Live::new();
    live.sample();
    assert_eq!(live.partly, [""; 0]);
}
