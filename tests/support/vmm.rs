//! Guests of KVM whose programs are called as somebody likes: real machines of virtual CPUs that turn, halt or are held, and
//! nothing besides.

use std::ffi::CString;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, RawFd};

use rustix::pipe::{PipeFlags, pipe_with};

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
/// What the stack of a thread takes that makes system calls only.
const STACK: usize = 16 << 10;

/// What the virtual CPUs of a guest do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    /// Wait for an interrupt, which never comes.
    Halt,
    /// Turn in a loop.
    Spin,
    /// Are not run by their program.
    Wait,
}

/// How a program that runs a guest looks, from outside.
pub(crate) struct Shape<'a> {
    /// What the kernel calls it.
    pub(crate) comm: &'a str,
    pub(crate) command: &'a [&'a str],
    /// What the thread of each virtual CPU is called.
    pub(crate) vcpus: &'a [&'a str],
    pub(crate) does: Does,
    /// Its network card.
    pub(crate) tap: Option<&'a str>,
    /// Number of its process, or any.
    pub(crate) number: Option<u32>,
}

/// A program that runs a guest, until it is dropped or the thread that started it ends.
pub(crate) struct Vmm {
    child: libc::pid_t,
    /// Its process as it is numbered where it runs.
    pub(crate) pid: u32,
}

/// Memory of the guest, which is a page of its own.
#[repr(C, align(4096))]
struct Page([u8; PAGE]);

/// What a thread that runs a virtual CPU is told.
struct Vcpu {
    name: CString,
    stack: Vec<u8>,
    fd: RawFd,
    is_run: bool,
}

/// All that the process needs: it shares no lock with the one that has started it, and so only makes system calls.
struct Plan {
    comm: CString,
    /// Where the kernel finds what it shows of the process, `struct prctl_mm_map` of `include/uapi/linux/prctl.h`.
    map: [u64; 13],
    /// As it is shown: each argument with a zero behind it.
    _command: Vec<u8>,
    page: Box<Page>,
    vcpus: Vec<Vcpu>,
    tap: Option<Vec<u8>>,
}

/// Tells the kernel of a command line, and of nothing else that somebody may look at.
fn map(command: &[u8]) -> [u64; 13] {
    let [begin, end] = [0, command.len()].map(|at| command.as_ptr() as u64 + at as u64);
    let (code, data, heap, stack) = ([begin, end], [begin; 2], [begin; 2], begin);
    let (arguments, environment, auxiliary) = ([begin, end], [end; 2], 0);
    // no other program
    let rest = u64::from(u32::MAX) << 32;
    let mut map = [0; 13];
    let all = [&code[..], &data, &heap, &[stack], &arguments, &environment, &[auxiliary, rest]];
    map.copy_from_slice(&all.concat());
    map
}

impl Plan {
    fn of(shape: &Shape<'_>) -> Self {
        let text = |text: &str| CString::new(text).unwrap();
        let code: [u8; 2] = if shape.does == Does::Spin { [0xeb, 0xfe] } else { [0xf4, 0xf4] };
        let mut page = Box::new(Page([0; PAGE]));
        page.0.chunks_mut(2).for_each(|place| place.copy_from_slice(&code));
        let vcpu =
            |name: &&str| Vcpu { name: text(name), stack: vec![0; STACK], fd: -1, is_run: shape.does != Does::Wait };
        let tap = |name: &str| {
            let mut request = name.as_bytes().to_vec();
            request.resize(libc::IFNAMSIZ, 0);
            request.extend((IFF_TAP | IFF_NO_PI).to_ne_bytes());
            request.resize(size_of::<libc::ifreq>(), 0);
            request
        };
        let command: Vec<u8> = shape.command.iter().flat_map(|part| [part.as_bytes(), &[0]].concat()).collect();
        Self {
            comm: text(shape.comm),
            map: map(&command),
            _command: command,
            page,
            vcpus: shape.vcpus.iter().map(vcpu).collect(),
            tap: shape.tap.map(tap),
        }
    }

    /// Is that program from here on; returns only if something is refused.
    ///
    /// # Safety
    /// The process has one thread.
    unsafe fn run(&mut self, ready: BorrowedFd<'_>) -> Option<()> {
        let made = |answer: i32| (answer >= 0).then_some(answer);
        // SAFETY: texts end with a zero, structures are as large as their requests say, stacks are used by one thread each,
        // and all of it stays where it is until the process ends.
        unsafe {
            made(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            made(libc::prctl(libc::PR_SET_NAME, self.comm.as_ptr()))?;
            made(libc::prctl(libc::PR_SET_MM, libc::PR_SET_MM_MAP, self.map.as_ptr(), size_of_val(&self.map), 0))?;
            if let Some(request) = &mut self.tap {
                let tun = made(libc::open(c"/dev/net/tun".as_ptr(), libc::O_RDWR))?;
                made(libc::ioctl(tun, TUNSETIFF, request.as_mut_ptr()))?;
            }
            let kvm = made(libc::open(c"/dev/kvm".as_ptr(), libc::O_RDWR))?;
            let vm = made(libc::ioctl(kvm, KVM_CREATE_VM, 0))?;
            made(libc::ioctl(vm, KVM_CREATE_IRQCHIP, 0))?;
            let region = [0, FIRST, PAGE as u64, (&raw const *self.page) as u64];
            made(libc::ioctl(vm, KVM_SET_USER_MEMORY_REGION, region.as_ptr()))?;
            for (index, vcpu) in self.vcpus.iter_mut().enumerate() {
                vcpu.fd = made(libc::ioctl(vm, KVM_CREATE_VCPU, index))?;
                let top = vcpu.stack.as_mut_ptr().add(STACK);
                let top = top.sub(top as usize % 16);
                let shared = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_SYSVSEM;
                let flags = shared | libc::CLONE_SIGHAND | libc::CLONE_THREAD;
                made(libc::clone(run_vcpu, top.cast(), flags, (&raw mut *vcpu).cast()))?;
            }
            let pid = libc::getpid().to_ne_bytes();
            libc::write(ready.as_raw_fd(), pid.as_ptr().cast(), pid.len());
            loop {
                libc::pause();
            }
        }
    }
}

extern "C" fn run_vcpu(vcpu: *mut libc::c_void) -> libc::c_int {
    // SAFETY: it is the one that was given to this thread, and stays.
    unsafe {
        let vcpu = &*vcpu.cast::<Vcpu>();
        libc::prctl(libc::PR_SET_NAME, vcpu.name.as_ptr());
        loop {
            if !vcpu.is_run || libc::ioctl(vcpu.fd, KVM_RUN, 0) < 0 {
                libc::pause();
            }
        }
    }
}

impl Vmm {
    /// Starts it, and waits until its virtual CPUs are there.
    pub(crate) fn start(shape: &Shape<'_>) -> Self {
        let mut plan = Plan::of(shape);
        let number = shape.number.map(|number| number as libc::pid_t);
        let (said, ready) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        // SAFETY: all of `clone_args` is plain data. The child shares nothing, and makes system calls only, so that locks held
        // by other threads at the time of the fork do not matter.
        let child = unsafe {
            let mut args: libc::clone_args = std::mem::zeroed();
            args.exit_signal = libc::SIGCHLD as u64;
            args.set_tid = number.as_ref().map_or(0, |number| std::ptr::from_ref(number) as u64);
            args.set_tid_size = u64::from(number.is_some());
            let child = libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>());
            if child == 0 {
                plan.run(ready.as_fd());
                libc::_exit(*libc::__errno_location());
            }
            child
        };
        assert!(child > 0, "{}", std::io::Error::last_os_error());
        let mut vmm = Self { child: child as libc::pid_t, pid: 0 };
        let mut pid = [0; 4];
        while rustix::io::read(&said, &mut pid).is_err() {
            vmm.lives();
        }
        vmm.pid = u32::from_ne_bytes(pid);
        while !has_threads(vmm.pid, shape.vcpus) {
            vmm.lives();
        }
        vmm
    }

    /// Its process as it is numbered where the test was started.
    pub(crate) fn outside(&self) -> String {
        self.child.to_string()
    }

    /// Fails if it has ended, and lets it go on.
    fn lives(&self) {
        let mut status = 0;
        // SAFETY: a child of this process that nobody else waits for.
        let ended = unsafe { libc::waitpid(self.child, &raw mut status, libc::WNOHANG) };
        let why = std::io::Error::from_raw_os_error(libc::WEXITSTATUS(status));
        assert_eq!(ended, 0, "no guest: {why} ({status:#x})");
        std::thread::yield_now();
    }
}

/// Whether a process has threads that are called so.
fn has_threads(pid: u32, names: &[&str]) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let comms = threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("comm")).ok());
    let comms: Vec<String> = comms.collect();
    names.iter().all(|name| comms.iter().any(|comm| comm.trim_end() == *name))
}

impl Drop for Vmm {
    fn drop(&mut self) {
        // SAFETY: a child of this process that nobody else waits for, so that its number is its own.
        unsafe {
            libc::kill(self.child, libc::SIGKILL);
            libc::waitpid(self.child, std::ptr::null_mut(), 0);
        }
    }
}
