//! What does it cost to watch very many guests, and how far is that from the floor?
//!
//! `cargo bench --bench guest -- [--guests N] [--vcpus N] [--rounds N]` starts N guests of KVM with a network card each, in a network
//! namespace of its own (root, /dev/kvm, /dev/net/tun), and prints the median wall clock and CPU of a sample, and of one in which
//! somebody looks at every column, beside the floor: the same files read from kept descriptors and not looked at. Guests are
//! real ones, whose virtual CPUs halt, held by a program that does nothing else: what is not measured here is what they do.
//! Nothing is judged here. Without `--guests` it looks at those of this host, and under `cargo test` once.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::fs::FileExt as _;
use std::time::{Duration, Instant};

use netglance::collect::Wants;
use netglance::model::Demand;

#[path = "support/measure.rs"]
mod measure;
#[path = "support/sample.rs"]
mod sampled;

use measure::{Failure, Options, measure, resident};
use sampled::{made, sample};

/// `include/uapi/linux/kvm.h`
const KVM_CREATE_VM: u64 = 0xae01;
const KVM_CREATE_VCPU: u64 = 0xae41;
const KVM_CREATE_IRQCHIP: u64 = 0xae60;
const KVM_RUN: u64 = 0xae80;
const KVM_SET_USER_MEMORY_REGION: u64 = 0x4020_ae46;
/// `include/uapi/linux/if_tun.h`
const TUNSETIFF: u64 = 0x4004_54ca;
const IFF_TAP: u16 = 2;
const IFF_NO_PI: u16 = 0x1000;

/// The last page of the first 4 GiB, in which a CPU begins.
const FIRST: u64 = 0xffff_f000;
const PAGE: usize = 4096;
/// Waits for an interrupt, which never comes.
const HLT: u8 = 0xf4;

/// Guests that end when they are dropped, or when this process dies.
struct Guests(Vec<libc::pid_t>);

impl Drop for Guests {
    fn drop(&mut self) {
        for pid in &self.0 {
            // SAFETY: these are children of this process that nobody else waits for, so their pids are still theirs.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
        for pid in &self.0 {
            // SAFETY: a null status pointer is allowed.
            unsafe { libc::waitpid(*pid, std::ptr::null_mut(), 0) };
        }
    }
}

/// A request without a structure.
fn ask(fd: RawFd, request: u64, number: u64) -> Result<i32, Failure> {
    // SAFETY: these requests take a plain number.
    match unsafe { libc::ioctl(fd, request, number) } {
        -1 => Err(format!("ioctl {request:#x}: {}", std::io::Error::last_os_error()).into()),
        answer => Ok(answer),
    }
}

/// A request with a structure of the kernel's layout, which it reads and keeps no address of.
fn give(fd: RawFd, request: u64, structure: &mut [u8]) -> Result<(), Failure> {
    // SAFETY: the structure is as large as the request says.
    match unsafe { libc::ioctl(fd, request, structure.as_mut_ptr()) } {
        -1 => Err(format!("ioctl {request:#x}: {}", std::io::Error::last_os_error()).into()),
        _ => Ok(()),
    }
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just given it, and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Is a guest until it is killed: its virtual CPUs run in threads that are called as those of QEMU.
fn be_guest(number: u32, vcpus: u32) -> Result<(), Failure> {
    // SAFETY: both calls take plain numbers, and a text that ends with a zero.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_NAME, c"qemu-system-x86".as_ptr());
    }
    let tun = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut name = format!("guest{number}").into_bytes();
    name.resize(libc::IFNAMSIZ, 0);
    name.extend((IFF_TAP | IFF_NO_PI).to_ne_bytes());
    name.resize(size_of::<libc::ifreq>(), 0);
    give(tun.as_raw_fd(), TUNSETIFF, &mut name)?;
    let vm = owned(ask(File::open("/dev/kvm")?.as_raw_fd(), KVM_CREATE_VM, 0)?);
    ask(vm.as_raw_fd(), KVM_CREATE_IRQCHIP, 0)?;
    // SAFETY: nothing else is where the kernel puts it, and it stays there until this process ends.
    let page = unsafe {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let page = libc::mmap(std::ptr::null_mut(), PAGE, prot, flags, -1, 0);
        if page == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error().into());
        }
        std::ptr::write_bytes(page.cast::<u8>(), HLT, PAGE);
        page as u64
    };
    let mut memory: Vec<u8> = 0_u64.to_ne_bytes().to_vec();
    memory.extend([FIRST, PAGE as u64, page].into_iter().flat_map(u64::to_ne_bytes));
    give(vm.as_raw_fd(), KVM_SET_USER_MEMORY_REGION, &mut memory)?;
    for index in 0..vcpus {
        let vcpu = owned(ask(vm.as_raw_fd(), KVM_CREATE_VCPU, index.into())?);
        let thread = std::thread::Builder::new().name(format!("CPU {index}/KVM")).stack_size(64 << 10);
        thread.spawn(move || while ask(vcpu.as_raw_fd(), KVM_RUN, 0).is_ok() {})?;
    }
    loop {
        std::thread::park();
    }
}

/// Moves this process into a network namespace of its own and starts so many guests.
fn make(guests: u32, vcpus: u32) -> Result<Guests, Failure> {
    // SAFETY: this program has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
        return Err(format!("unshare (needs root): {}", std::io::Error::last_os_error()).into());
    }
    let mut made = Guests(Vec::new());
    for number in 0..guests {
        // SAFETY: this program has one thread.
        match unsafe { libc::fork() } {
            -1 => return Err(std::io::Error::last_os_error().into()),
            0 => {
                let ended = be_guest(number, vcpus);
                let _ = writeln!(std::io::stderr(), "no guest: {ended:?}");
                std::process::exit(1);
            }
            pid => made.0.push(pid),
        }
    }
    let threads = |pid: &libc::pid_t| std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let late = Instant::now() + Duration::from_mins(1);
    while made.0.iter().any(|pid| threads(pid) <= vcpus as usize) {
        if Instant::now() > late {
            return Err("the guests do not start".into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(made)
}

/// What a sample has to read at least, kept open.
struct Floor {
    kept: Vec<File>,
    /// Read anew.
    named: Vec<String>,
    buffer: Vec<u8>,
}

impl Floor {
    fn of(guests: &Guests) -> Result<Self, Failure> {
        let (mut kept, mut named) = (Vec::new(), Vec::new());
        for pid in &guests.0 {
            for file in ["stat", "io"] {
                kept.push(File::open(format!("/proc/{pid}/{file}"))?);
            }
            for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                let thread = thread?;
                if thread.file_name().to_str() != Some(&pid.to_string()) {
                    kept.push(File::open(thread.path().join("schedstat"))?);
                }
            }
            named.push(format!("/proc/{pid}/statm"));
        }
        Ok(Self { kept, named, buffer: vec![0; 4096] })
    }

    fn read(&mut self) -> Result<String, Failure> {
        for file in &self.kept {
            file.read_at(&mut self.buffer, 0)?;
        }
        for name in &self.named {
            File::open(name)?.read_at(&mut self.buffer, 0)?;
        }
        Ok((self.kept.len() + self.named.len()).to_string())
    }
}

fn main() -> Result<(), Failure> {
    let Some(options) = Options::read() else { return Ok(()) };
    let rounds = options.rounds()?;
    let vcpus = options.number("--vcpus")?.unwrap_or(4);
    let guests = options.number("--guests")?.map(|guests| make(guests, vcpus)).transpose()?;
    measure::head()?;
    let before = resident()?;
    let mut collector = made("vm")?;
    if let Some(guests) = &guests {
        let mut floor = Floor::of(guests)?;
        measure("(floor)", rounds, || floor.read())?;
    }
    let all = |table: &str, columns: &[&str]| Demand {
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        ..Demand::table(table)
    };
    measure("vm", rounds, || Ok(sample(&mut *collector, &Wants::default())))?;
    let added = resident()?.saturating_sub(before) >> 10;
    let wants = Wants::union(&[all("vm", &["pss"]), all("vcpu", &["guest_time", "last_cpu"])]);
    measure("vm, looked at", rounds, || Ok(sample(&mut *collector, &wants)))?;
    let mut processes = made("process")?;
    measure("process", rounds, || Ok(sample(&mut *processes, &Wants::default())))?;
    drop(guests);
    Ok(writeln!(std::io::stdout().lock(), "{added} KiB of memory added by the first samples of guests")?)
}
