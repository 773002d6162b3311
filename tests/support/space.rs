//! Namespaces of our own, so that nobody else on this machine meets what tests break.

use std::ffi::CString;
use std::io::Read as _;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::UnshareFlags;

/// Mounts something; `kind` and `options` as `mount(2)` has them.
pub(crate) fn mount(source: &str, target: &Path, kind: &str, flags: libc::c_ulong, options: &str) {
    let [source, kind, options] = [source, kind, options].map(|text| CString::new(text).unwrap());
    let target = CString::new(target.as_os_str().as_bytes()).unwrap();
    // SAFETY: all are terminated strings that live until the call returns.
    let done = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Takes a mount away, even if it is in use.
pub(crate) fn unmount(target: &Path) {
    let target = CString::new(target.as_os_str().as_bytes()).unwrap();
    // SAFETY: a terminated string that lives until the call returns.
    assert_eq!(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }, 0, "{}", std::io::Error::last_os_error());
}

/// Mounts a FUSE file system whose daemon is this test, which reads no request and so answers none.
pub(crate) fn mount_fuse(target: &Path) -> OwnedFd {
    let device = rustix::fs::open("/dev/fuse", rustix::fs::OFlags::RDWR, rustix::fs::Mode::empty()).unwrap();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    mount("silent", target, "fuse", libc::MS_NOSUID, &options);
    device
}

/// Runs on a thread with namespaces of its own; what it starts lives in them too. `/sys` shows the network of the thread.
pub(crate) fn within<T: Send>(namespaces: UnshareFlags, run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the thread has its own mounts and working directory from here on, and shares all else.
            unsafe { rustix::thread::unshare_unsafe(namespaces | UnshareFlags::NEWNS) }.expect("this test needs root");
            mount("none", Path::new("/"), "none", libc::MS_PRIVATE | libc::MS_REC, "");
            if namespaces.contains(UnshareFlags::NEWNET) {
                mount("sysfs", Path::new("/sys"), "sysfs", 0, "");
            }
            run()
        });
        match thread.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// As [`within`], where besides what is started nobody's processes come and go. What it runs gets the `/proc` of outside.
pub(crate) fn alone<T: Send>(namespaces: UnshareFlags, run: impl FnOnce(&Path) -> T + Send) -> T {
    let outside = tempfile::tempdir().unwrap();
    within(namespaces | UnshareFlags::NEWPID, || {
        mount("/proc", outside.path(), "none", libc::MS_BIND, "");
        let _first = First::start();
        run(outside.path())
    })
}

/// Runs `ip` with commands, one a line.
pub(crate) fn ip(batch: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), batch).unwrap();
    let output = Command::new("ip").arg("-batch").arg(file.path()).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{batch}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The first process of a new process namespace, with which all others in it end.
pub(crate) struct First(std::process::Child);

impl First {
    /// Makes every process that this thread starts from now on see only those started after it. The thread must have
    /// mounts of its own and `NEWPID`.
    pub(crate) fn start() -> Self {
        let script = "mount -t proc proc /proc && echo ready && exec sleep 1000";
        let mut command = Command::new("sh");
        let mut child =
            command.args(["-c", script]).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("a first process");
        let mut said = [0; 5];
        child.stdout.take().unwrap().read_exact(&mut said).expect("/proc of the namespace");
        Self(child)
    }
}

impl Drop for First {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
