//! How do two who would change the same thing at once wait for each other?
//!
//! By a lock on a file beside it that only its owner can open: a directory, or a file that others may read, anybody could keep
//! locked. The file is there only while somebody holds the lock.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, OFlags};

use crate::source::kept;

/// Longest wait for whoever holds the lock: what is done under it takes no time.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A lock that is held. It ends with this, or with the process.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Waits until nobody else holds the lock of a file.
    ///
    /// # Errors
    /// Somebody holds it for longer than `patience`, or there can be no such file.
    pub(super) fn take(of: &Path, patience: Duration) -> io::Result<Self> {
        let mut name = std::ffi::OsString::from(".");
        name.push(of.file_name().unwrap_or_default());
        name.push(".lock");
        let path = of.with_file_name(name);
        let since = Instant::now();
        loop {
            let file = open(&path)?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // whoever held it has taken the file away, and the lock of the next one is on another file
                Ok(()) if is_there(&path, &file)? => return Ok(Self { path, _file: file }),
                Ok(()) => {}
                Err(rustix::io::Errno::WOULDBLOCK) if since.elapsed() < patience => {
                    let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
                    let _ = rustix::event::poll(&mut [], Some(&moment));
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let waited = crate::model::unit::duration(patience);
                    let why = format!("another netglance holds {} for {waited} already", path.display());
                    return Err(io::Error::new(io::ErrorKind::TimedOut, why));
                }
                Err(cause) => return Err(cause.into()),
            }
        }
    }
}

impl Drop for Lock {
    /// Takes the file away, before somebody else has the lock of it.
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Opens the file of a lock, or makes it.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(flags.bits().cast_signed());
    let wrong = |why: &dyn std::fmt::Display| io::Error::other(format!("{}: {why}", path.display()));
    let file = options.open(path).map_err(|cause| io::Error::new(cause.kind(), wrong(&cause)))?;
    match kept::others(&file.metadata()?, 0o077) {
        Some(why) => Err(wrong(&format_args!("it {why}: remove it"))),
        None => Ok(file),
    }
}

fn is_there(path: &Path, file: &File) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::symlink_metadata(path) {
        Ok(now) => Ok((now.dev(), now.ino()) == (own.dev(), own.ino())),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn one_at_a_time_holds_the_lock_and_nothing_is_left_of_it() {
        static INSIDE: AtomicUsize = AtomicUsize::new(0);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept");
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..25 {
                        let lock = Lock::take(&path, Duration::from_mins(1)).unwrap();
                        assert_eq!(INSIDE.fetch_add(1, Ordering::SeqCst), 0);
                        std::thread::yield_now();
                        assert_eq!(INSIDE.fetch_sub(1, Ordering::SeqCst), 1);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn whoever_waits_too_long_is_told_for_what() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept");
        let held = Lock::take(&path, Duration::ZERO).unwrap();
        let told = Lock::take(&path, Duration::from_millis(20)).unwrap_err();
        assert!(told.kind() == io::ErrorKind::TimedOut && told.to_string().contains(".kept.lock for 20ms"), "{told}");
        drop(held);
        drop(Lock::take(&path, Duration::ZERO).unwrap());
        // a file that others could open, or that leads elsewhere
        let file = dir.path().join(".kept.lock");
        std::fs::write(&file, "").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Lock::take(&path, Duration::ZERO).unwrap_err().to_string().contains("remove it"));
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(dir.path().join("elsewhere"), &file).unwrap();
        assert!(Lock::take(&path, Duration::ZERO).is_err() && !dir.path().join("elsewhere").exists());
    }
}
