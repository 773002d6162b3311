//! A known amount of work: is it what the table shows? Half a core, a number of bytes, threads, memory and a nice value.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use netglance::collect::{Batch, Collect, Cx, Wants, process};
use netglance::model::{Cell, Demand, Mono, Owners, Rows, Sample, Timestamp};
use netglance::source::file::Roots;
use netglance::store::rate::{Mode, View};

/// A child that does something known, then waits until it is killed.
pub(crate) struct Known {
    pid: u32,
    /// A byte arrives for each step that the child has done.
    steps: std::fs::File,
    /// A byte lets a child go on that waits.
    go: Option<std::fs::File>,
    /// Set for a child that is another program.
    program: Option<Child>,
}

impl Drop for Known {
    fn drop(&mut self) {
        if let Some(child) = &mut self.program {
            let _ = child.kill();
            let _ = child.wait();
            return;
        }
        // SAFETY: the child is this process's and was not reaped.
        unsafe {
            libc::kill(self.pid as i32, libc::SIGKILL);
            libc::waitpid(self.pid as i32, std::ptr::null_mut(), 0);
        }
    }
}

/// Name that the environment has in a child of [`Known::shape`].
const SHAPE: &str = "NETGLANCE_TEST_SHAPE";
const THREADS: usize = 5;
const MEMORY: usize = 64 << 20;

impl Known {
    /// Forks. `work` may do only what is safe after a fork of a program with threads: no memory, no locks.
    fn fork(work: impl FnOnce(&dyn Fn())) -> Self {
        Self::fork_told(|step, _| work(step))
    }

    /// Forks. The second argument of `work` waits until [`Self::proceed`] is called here.
    pub(crate) fn fork_told(work: impl FnOnce(&dyn Fn(), &dyn Fn())) -> Self {
        let ([steps, done], [wait, go]) = (pipe(), pipe());
        let (fd, wait_fd) = (done.as_raw_fd(), wait.as_raw_fd());
        // SAFETY: the child calls async-signal-safe functions only and never returns.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: as above; the byte is a constant.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                let step = || assert_eq!(libc::write(fd, b".".as_ptr().cast(), 1), 1);
                let proceed = || {
                    let mut byte = 0_u8;
                    assert_eq!(libc::read(wait_fd, (&raw mut byte).cast(), 1), 1);
                };
                work(&step, &proceed);
                loop {
                    libc::pause();
                }
            }
        }
        assert!(pid > 0, "{}", std::io::Error::last_os_error());
        Self { pid: pid as u32, steps: steps.into(), go: Some(go.into()), program: None }
    }

    /// Does nothing.
    pub(crate) fn pausing() -> Self {
        let known = Self::fork(|step| step());
        known.wait(1);
        known
    }

    /// Runs this test program again as a process with known threads, memory and nice value.
    pub(crate) fn shape() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "work::a_process_of_known_shape_is_shown_as_it_is", "--nocapture", "--test-threads=1"])
            .env(SHAPE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().ends_with("shaped")), "the child says when it is ready");
        Self { pid: child.id(), steps: std::fs::File::open("/dev/null").unwrap(), go: None, program: Some(child) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets a child go on that waits for it.
    pub(crate) fn proceed(&self) {
        self.go.as_ref().unwrap().write_all(b".").unwrap();
    }

    /// Waits for so many steps.
    pub(crate) fn wait(&self, steps: usize) {
        (&self.steps).read_exact(&mut vec![0; steps]).unwrap();
    }

    /// CPU time that the kernel charged, in seconds.
    fn charged(&self) -> f64 {
        let mut clock = 0;
        // SAFETY: both pointers are those of locals.
        unsafe {
            assert_eq!(libc::clock_getcpuclockid(self.pid as i32, &raw mut clock), 0);
            let mut time = std::mem::zeroed::<libc::timespec>();
            assert_eq!(libc::clock_gettime(clock, &raw mut time), 0);
            seconds(&time)
        }
    }
}

fn pipe() -> [OwnedFd; 2] {
    let mut ends = [0; 2];
    // SAFETY: the array has room for the two descriptors, which nobody else owns.
    unsafe {
        assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
        ends.map(|fd| OwnedFd::from_raw_fd(fd))
    }
}

fn seconds(time: &libc::timespec) -> f64 {
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

pub(crate) fn clock(id: libc::clockid_t) -> f64 {
    // SAFETY: the pointer is that of a local.
    unsafe {
        let mut time = std::mem::zeroed::<libc::timespec>();
        libc::clock_gettime(id, &raw mut time);
        seconds(&time)
    }
}

/// Burns half a core for ever: no more CPU time than half of the time that has passed. A step is a tenth of a second of it.
fn burn_half(step: &dyn Fn()) {
    // root may: then the burner gets its half on a busy host, too
    let first = libc::sched_param { sched_priority: 1 };
    // SAFETY: the pointer is that of a local.
    let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const first) };
    let (mut begin, mut told) = (clock(libc::CLOCK_MONOTONIC), 0.1);
    loop {
        let burnt = clock(libc::CLOCK_PROCESS_CPUTIME_ID);
        // what it was not given it does not make up for later
        let owed = (clock(libc::CLOCK_MONOTONIC) - begin) / 2.0 - burnt;
        begin += (owed - 0.005).max(0.0) * 2.0;
        if burnt >= told {
            told += 0.1;
            step();
        }
        if burnt > (clock(libc::CLOCK_MONOTONIC) - begin) / 2.0 {
            let pause = libc::timespec { tv_sec: 0, tv_nsec: 2_000_000 };
            // SAFETY: the pointer is that of a local, and what is left is not asked for.
            unsafe { libc::nanosleep(&raw const pause, std::ptr::null_mut()) };
        }
    }
}

/// A collector of processes with what it is asked for.
struct Live {
    collector: Box<dyn Collect>,
    wants: Wants,
}

impl Live {
    fn new(columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        let wants = Wants::union(&[Demand { columns, ..Demand::table("process") }]);
        Self { collector: (process::ENTRY.make)(), wants }
    }

    fn sample(&mut self) -> Sample {
        let (roots, owners) = (Roots::live(), Owners::default());
        let (time, mono) = (Timestamp::now(), Mono::now());
        let cx = Cx { roots: &roots, wants: &self.wants, owners: &owners, time, mono };
        let mut out = Batch::default();
        self.collector.collect(&cx, &mut out).unwrap();
        let rows = Arc::clone(out.rows(process::ProcessRow::TABLE).unwrap());
        Sample { rows, time, mono }
    }
}

fn at(column: &str) -> usize {
    process::ProcessRow::TABLE.position(column).unwrap()
}

fn row(rows: &dyn Rows, pid: u32) -> usize {
    (0..rows.len()).find(|row| rows.cell(*row, at("pid")) == Cell::U64(pid.into())).unwrap()
}

fn number(sample: &Sample, pid: u32, column: &str) -> f64 {
    sample.rows.cell(row(&*sample.rows, pid), at(column)).number().unwrap()
}

/// What the kernel has charged, and when, around something.
fn around<T>(known: &Known, what: impl FnOnce() -> T) -> (T, [f64; 4]) {
    let (before, charged) = (clock(libc::CLOCK_MONOTONIC), known.charged());
    let done = what();
    (done, [before, charged, known.charged(), clock(libc::CLOCK_MONOTONIC)])
}

/// Whether the kernel lets the burner have its half whatever else runs.
fn preferred(burner: &Known) -> bool {
    // SAFETY: a plain question about a child of this process.
    unsafe { libc::sched_getscheduler(burner.pid as i32) == libc::SCHED_RR }
}

// on a busy host the burner may not get its half, but it is shown for what it got
#[test]
fn the_cpu_use_of_a_process_is_what_the_kernel_charged_meanwhile() {
    let burner = Known::fork(burn_half);
    let mut live = Live::new(&[]);
    burner.wait(1);
    for _ in 0..2 {
        let (first, [begin, least, most, begun]) = around(&burner, || live.sample());
        burner.wait(10);
        let (second, [end, least2, most2, ended]) = around(&burner, || live.sample());
        let view = View::new(&second, Some(&first), Mode::Rate);
        let cpu = view.cell(row(&*second.rows, burner.pid), at("cpu")).number().unwrap();
        // user and system time are each cut to a tick, at both ends
        let ticks = 0.02 / (end - begun);
        let (low, high) = ((least2 - most) / (ended - begin) - ticks, (most2 - least) / (end - begun) + ticks);
        assert!((low..=high).contains(&cpu), "{cpu} is not between {low} and {high}");
    }
}

#[test]
fn root_show_process_with_rates_says_half_a_core() {
    let burner = Known::fork(burn_half);
    burner.wait(1);
    assert!(preferred(&burner), "this test needs root");
    let mut seen = Vec::new();
    for _ in 0..8 {
        let ask = || {
            Command::new(env!("CARGO_BIN_EXE_netglance"))
                .args(["show", "process", "--rate", "--every", "2s", "--count", "1", "--format", "json"])
                .args(["--where", &format!("pid == {}", burner.pid), "--columns", "pid,cpu"])
                .output()
                .unwrap()
        };
        let (output, [begin, least, most, end]) = around(&burner, ask);
        let rows: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let [row] = rows.as_array().unwrap().as_slice() else { panic!("{rows}") };
        let cpu = row["cpu"].as_f64().unwrap();
        // a guest whose hypervisor stops it for a while cannot burn anything then, and what it lost is seen here
        let charged = (most - least) / (end - begin);
        if (charged - 0.5).abs() < 0.02 {
            assert!((cpu - 0.5).abs() < 0.06, "{row}");
            return;
        }
        seen.push((cpu, charged));
    }
    panic!("this machine gets no CPU; shown and charged: {seen:?}");
}

/// Bytes that the test below writes and reads: whole pages of every size in use.
const BYTES: usize = 3 << 20;

#[test]
fn a_process_that_writes_and_reads_known_bytes_shows_them() {
    // the target directory lies on a disk; a temporary one may be memory
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bytes-{}", std::process::id()));
    let buffer = vec![7_u8; BYTES];
    let file = std::fs::File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let (fd, bytes) = (file.as_raw_fd(), buffer.as_ptr().cast_mut());
    let child = Known::fork_told(|step, proceed| {
        step();
        proceed();
        // SAFETY: the buffer has `BYTES` bytes in this copy of the parent's memory.
        unsafe {
            assert_eq!(libc::pwrite(fd, bytes.cast(), BYTES, 0), BYTES as isize);
            assert_eq!(libc::fsync(fd), 0);
        }
        step();
        proceed();
        // SAFETY: as above; the pages are clean now and can be given up.
        unsafe {
            assert_eq!(libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED), 0);
            assert_eq!(libc::pread(fd, bytes.cast(), BYTES, 0), BYTES as isize);
        }
        step();
    });
    let mut live = Live::new(&["read_bytes", "write_bytes"]);
    child.wait(1);
    let first = live.sample();
    child.proceed();
    child.wait(1);
    let second = live.sample();
    child.proceed();
    child.wait(1);
    let third = live.sample();
    let change =
        |a: &Sample, b: &Sample, column| (number(b, child.pid, column) - number(a, child.pid, column)) as usize;
    // the file system may touch a few pages of its own besides
    let known = BYTES..BYTES + (256 << 10);
    let (written, read) = (change(&first, &second, "write_bytes"), change(&second, &third, "read_bytes"));
    assert!(known.contains(&written) && known.contains(&read), "{BYTES}: {written} written, {read} read");
    let others = (change(&first, &second, "read_bytes"), change(&second, &third, "write_bytes"));
    assert!(others.0 < 256 << 10 && others.1 < 256 << 10, "{others:?}");
}

/// Nice value that [`take_shape`] gives itself, above that of the tests, which may have been started with `nice`.
fn nicer() -> i32 {
    (own_nice() + 7).min(19)
}

fn own_nice() -> i32 {
    rustix::process::getpriority_process(None).unwrap()
}

/// What the child of [`Known::shape`] does.
fn take_shape() {
    let memory = vec![1_u8; MEMORY];
    let barrier = Arc::new(std::sync::Barrier::new(THREADS + 1));
    // SAFETY: plain integers; threads made from here on inherit the value.
    unsafe { assert_eq!(libc::setpriority(libc::PRIO_PROCESS, 0, nicer()), 0) };
    for index in 0..THREADS {
        let barrier = Arc::clone(&barrier);
        let run = move || {
            barrier.wait();
            std::thread::park();
        };
        std::thread::Builder::new().name(format!("known-{index}")).spawn(run).unwrap();
    }
    barrier.wait();
    println!("shaped");
    // the end of the input is the end of the test
    let _ = std::io::stdin().read(&mut [0]);
    assert_eq!(memory.iter().step_by(4096).map(|byte| u64::from(*byte)).sum::<u64>(), (MEMORY / 4096) as u64);
}

#[test]
fn a_process_of_known_shape_is_shown_as_it_is() {
    if std::env::var_os(SHAPE).is_some() {
        return take_shape();
    }
    let known = Known::shape();
    let sample = Live::new(&["pss"]).sample();
    let threads = std::fs::read_dir(format!("/proc/{}/task", known.pid)).unwrap().flatten();
    let names = threads.map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap());
    let names: Vec<String> = names.filter(|name| name.starts_with("known-")).collect();
    assert_eq!(names.len(), THREADS);
    let shown = |column| number(&sample, known.pid, column);
    // its test runner has one or two of its own
    assert!((shown("threads") as usize).abs_diff(THREADS + 1) <= 1, "{}", shown("threads"));
    assert_eq!(shown("parent") as u32, std::process::id());
    for column in ["rss", "pss"] {
        let more = shown(column) - MEMORY as f64;
        assert!((0.0..32e6).contains(&more), "{column} is {}", shown(column));
    }
    // the nice value is that of the thread which set it; the first one of the test runner may be another
    let single = shown("threads") as usize == THREADS + 1;
    let nice = sample.rows.cell(row(&*sample.rows, known.pid), at("nice"));
    let (set, inherited) = (Cell::I64(nicer().into()), Cell::I64(own_nice().into()));
    assert!(nice == set || (!single && nice == inherited), "{nice:?}");
}
