//! Which functions does a dashboard call again and again?
//!
//! `cargo bench --bench touched -- PROGRAM [--settle S] [--seconds S] > packaging/touched.ld` starts PROGRAM, a release build
//! with its symbols (`CARGO_PROFILE_RELEASE_STRIP=false cargo build --release`), in a terminal of 200x50, waits until it has
//! settled, puts a breakpoint on the first instruction of each function, takes each away when it is hit, and prints the
//! functions that were hit as the linker script that `packaging/build.rs` hands to the linker. Hashes and crate numbers are left open:
//! other compilers and versions give others. Without PROGRAM it does nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};

type Failure = Box<dyn Error>;

/// The instruction that a breakpoint is: `int3`.
const TRAP: u8 = 0xcc;

/// Functions of a program by their address in its file.
fn functions(program: &str) -> Result<BTreeMap<u64, String>, Failure> {
    let listed = Command::new("nm").arg(program).output()?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let mut found = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(address), Some("t" | "T"), Some(name)) = (words.next(), words.next(), words.next()) {
            found.insert(u64::from_str_radix(address, 16)?, name.to_owned());
        }
    }
    if found.is_empty() {
        return Err(format!("{program} has no symbols: build it with CARGO_PROFILE_RELEASE_STRIP=false").into());
    }
    Ok(found)
}

/// Where a process has the beginning of its program's file in memory.
fn base(pid: i32) -> Result<u64, Failure> {
    let program = std::fs::read_link(format!("/proc/{pid}/exe"))?;
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let path = program.to_string_lossy();
    let line = maps.lines().find(|line| line.ends_with(&*path)).ok_or("the program is not mapped")?;
    Ok(u64::from_str_radix(line.split('-').next().unwrap_or_default(), 16)?)
}

/// One request of `ptrace(2)` about a thread.
fn trace(request: libc::c_uint, thread: i32, data: *mut libc::c_void) -> Result<(), Failure> {
    // SAFETY: the requests used here touch the other process, and of this one what `data` points to, which the caller holds
    let answer = unsafe { libc::ptrace(request, thread, std::ptr::null_mut::<libc::c_void>(), data) };
    if answer < 0 { Err(std::io::Error::last_os_error().into()) } else { Ok(()) }
}

/// The next thread that has stopped or ended, and how; `None` when there is none now.
fn stopped(thread: i32, flags: i32) -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: the kernel writes one integer
    let thread = unsafe { libc::waitpid(thread, &raw mut status, libc::__WALL | flags) };
    (thread > 0).then_some((thread, status))
}

fn threads(pid: i32) -> Result<Vec<i32>, Failure> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))?;
    tasks.map(|task| Ok(task?.file_name().to_string_lossy().parse()?)).collect()
}

/// The breakpoints in a process.
struct Planted {
    memory: File,
    /// What was at an address before, and whose first instruction it is.
    old: BTreeMap<u64, (u8, String)>,
    hit: BTreeSet<String>,
}

impl Planted {
    /// Stops all threads, plants, and lets them go on.
    fn plant(pid: i32, functions: BTreeMap<u64, String>) -> Result<Self, Failure> {
        let (base, threads) = (base(pid)?, threads(pid)?);
        for thread in &threads {
            let options = std::ptr::with_exposed_provenance_mut(libc::PTRACE_O_TRACECLONE as usize);
            trace(libc::PTRACE_SEIZE, *thread, options)?;
            trace(libc::PTRACE_INTERRUPT, *thread, std::ptr::null_mut())?;
            stopped(*thread, 0);
        }
        let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        let mut old = BTreeMap::new();
        for (address, name) in functions {
            let mut byte = [0];
            memory.read_exact_at(&mut byte, base + address)?;
            memory.write_all_at(&[TRAP], base + address)?;
            old.insert(base + address, (byte[0], name));
        }
        for thread in threads {
            trace(libc::PTRACE_CONT, thread, std::ptr::null_mut())?;
        }
        Ok(Self { memory, old, hit: BTreeSet::new() })
    }

    /// Takes the breakpoint away at which a thread has stopped, and sets the thread back onto it; false if it is at none.
    #[cfg(target_arch = "x86_64")]
    fn take(&mut self, thread: i32) -> Result<bool, Failure> {
        // SAFETY: integers, of which zeros are a valid value
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        trace(libc::PTRACE_GETREGS, thread, (&raw mut registers).cast())?;
        let Some((byte, name)) = self.old.get(&(registers.rip - 1)) else { return Ok(false) };
        registers.rip -= 1;
        self.memory.write_all_at(&[*byte], registers.rip)?;
        self.hit.insert(name.clone());
        trace(libc::PTRACE_SETREGS, thread, (&raw mut registers).cast())?;
        Ok(true)
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn take(&mut self, _: i32) -> Result<bool, Failure> {
        Err("breakpoints are known for x86_64 only".into())
    }

    /// Waits for hits.
    fn watch(&mut self, pid: i32, span: Duration) -> Result<(), Failure> {
        let begin = Instant::now();
        while begin.elapsed() < span {
            let Some((thread, status)) = stopped(-1, libc::WNOHANG) else {
                std::thread::sleep(Duration::from_micros(200));
                continue;
            };
            if !libc::WIFSTOPPED(status) {
                if thread == pid {
                    return Err("the program has ended".into());
                }
                continue;
            }
            // an event of the tracing itself, a breakpoint, or else a signal that the program is to have
            let signal = libc::WSTOPSIG(status);
            let own = status >> 16 != 0 || (signal == libc::SIGTRAP && self.take(thread)?);
            let passed = if own { 0 } else { signal };
            // a thread may have been killed meanwhile
            let _ = trace(libc::PTRACE_CONT, thread, std::ptr::without_provenance_mut(passed as usize));
        }
        Ok(())
    }
}

/// A symbol with its hash and the numbers of its crates left open; `None` for one that is not of Rust.
fn pattern(symbol: &str) -> Option<String> {
    let symbol = symbol.split(".llvm.").next()?;
    if symbol.starts_with("_ZN") {
        let (path, _) = symbol.rsplit_once("17h")?;
        return Some(format!("{path}17h*"));
    }
    let mut rest = symbol.strip_prefix("_R")?;
    let mut open = String::from("_R");
    // a number of a crate is `Cs`, digits of base 62, `_`
    while let Some((before, after)) = rest.split_once("Cs") {
        open.push_str(before);
        match after.split_once('_') {
            Some((number, after)) if number.len() > 5 && number.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                open.push_str("Cs*_");
                rest = after;
            }
            _ => {
                open.push_str("Cs");
                rest = after;
            }
        }
    }
    Some(open + rest)
}

/// Writes the linker script.
fn script(hit: &BTreeSet<String>, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(
        out,
        "/* made by `cargo bench --bench touched`, which says how: what a dashboard calls while it stands */"
    )?;
    writeln!(out, "SECTIONS {{\n  .text.touched : {{")?;
    for pattern in hit.iter().filter_map(|symbol| pattern(symbol)).collect::<BTreeSet<_>>() {
        writeln!(out, "    *(.text.{pattern})")?;
    }
    writeln!(out, "  }}\n}}\nINSERT BEFORE .text;")?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut program = None;
    let (mut settle, mut seconds) = (Duration::from_secs(15), Duration::from_secs(90));
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--settle" => settle = Duration::from_secs(words.next().ok_or("--settle needs seconds")?.parse()?),
            "--seconds" => seconds = Duration::from_secs(words.next().ok_or("--seconds needs a number")?.parse()?),
            _ => program = Some(word),
        }
    }
    let Some(program) = program else { return Ok(()) };
    let functions = functions(&program)?;
    let pty = native_pty_system().openpty(PtySize { rows: 50, cols: 200, pixel_width: 0, pixel_height: 0 })?;
    let mut child = pty.slave.spawn_command(CommandBuilder::new(&program))?;
    let pid = i32::try_from(child.process_id().ok_or("no pid")?)?;
    let mut screen = pty.master.try_clone_reader()?;
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while screen.read(&mut bytes).is_ok_and(|count| count > 0) {}
    });
    std::thread::sleep(settle);
    let hit = Planted::plant(pid, functions).and_then(|mut planted| {
        planted.watch(pid, seconds)?;
        Ok(planted.hit)
    });
    child.kill()?;
    script(&hit?, &mut std::io::stdout().lock())
}
