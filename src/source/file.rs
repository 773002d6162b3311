//! How is a file of `/proc`, `/sys` or a recorded tree read?
//!
//! [`Root`] is a directory; every path is relative to it. A read is cut off with an error above [`MAX_FILE`].

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::alarm::Board;
use super::deed::Deeds;
use super::netns::{Census, Selection};
use super::routing::settings::Wishes;
use super::trail::Trail;
use super::{Error, meter};

/// Largest file that is read; what is larger is an error, not a cut.
pub const MAX_FILE: usize = 16 << 20;

/// Most names in a directory that is listed; more is an error, not a cut.
pub const MAX_ENTRIES: usize = 1 << 20;

/// The directories that collectors read; each can point at a recorded tree.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/proc`.
    pub proc: Root,
    /// `/sys`.
    pub sys: Root,
    /// `/`, for `/etc/os-release` and `/run`.
    pub host: Root,
    /// Whether these are the live kernel's: only then may system calls and sockets be asked beside the files.
    pub live: bool,
    /// The network namespaces that are read.
    pub netns: Arc<Census>,
    /// What has been done to the host.
    pub deeds: Arc<Deeds>,
    /// Where it is written down what was done to the packet filter.
    pub trail: Arc<Trail>,
    /// Which routing daemons and neighbors there should be.
    pub routing: Arc<Wishes>,
    /// What deserves attention, and what was said of it.
    pub alarm: Arc<Board>,
}

impl Roots {
    /// The running kernel's.
    pub fn live() -> Self {
        Self {
            proc: Root::new("/proc"),
            sys: Root::new("/sys"),
            host: Root::new("/"),
            live: true,
            netns: Arc::default(),
            deeds: Arc::default(),
            trail: Arc::default(),
            routing: Arc::default(),
            alarm: Arc::default(),
        }
    }

    /// The same with other network namespaces.
    ///
    /// # Errors
    /// As [`Self::choose`].
    pub fn choosing(self, netns: Selection) -> std::io::Result<Self> {
        self.choose(netns)?;
        Ok(self)
    }

    /// Reads other network namespaces from now on, as do all that share these roots.
    ///
    /// # Errors
    /// As [`Census::choose`].
    pub fn choose(&self, netns: Selection) -> std::io::Result<()> {
        self.netns.choose(netns, &self.proc, &self.host)
    }

    /// A recorded tree with `proc`, `sys` and `host` below it.
    pub fn recorded(path: &Path) -> Self {
        Self {
            proc: Root::new(path.join("proc")),
            sys: Root::new(path.join("sys")),
            host: Root::new(path.join("host")),
            live: false,
            netns: Arc::default(),
            deeds: Arc::default(),
            trail: Arc::default(),
            routing: Arc::default(),
            alarm: Arc::default(),
        }
    }
}

/// A directory below which files are read.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

impl Root {
    /// A root.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Path of a file below it.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// Reads a whole file into `buffer`, which is cleared first and grows as needed.
    ///
    /// # Errors
    /// The operation that failed with its path; `EFBIG` above [`MAX_FILE`].
    pub fn read_into(&self, path: impl AsRef<Path>, buffer: &mut Vec<u8>) -> Result<(), Error> {
        let full = self.0.join(path);
        read_fd(open(&full)?, &full, buffer)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<OwnedFd, Error> {
        open(&self.0.join(path))
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Vec<u8>, Error> {
        let mut buffer = Vec::new();
        self.read_into(path, &mut buffer)?;
        Ok(buffer)
    }

    /// Reads a whole file of ASCII text; bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Errors
    /// As [`Self::read_into`].
    pub fn text(&self, path: impl AsRef<Path>) -> Result<String, Error> {
        let bytes = self.read(path)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// Reads a whole file of text into `buffer`, which is cleared first.
    ///
    /// # Errors
    /// As [`Self::read_into`], and when it is not UTF-8.
    pub fn text_into<'b>(&self, path: impl AsRef<Path>, buffer: &'b mut Vec<u8>) -> Result<&'b str, Error> {
        self.read_into(&path, buffer)?;
        std::str::from_utf8(buffer).map_err(|_| Error::malformed(self.0.join(path), "text is expected"))
    }

    /// Reads a file that holds one number, as sysfs has many; `None` when it is not there or does not parse.
    pub fn number<T: std::str::FromStr>(&self, path: impl AsRef<Path>) -> Option<T> {
        self.text(path).ok()?.trim().parse().ok()
    }

    /// Names in a directory, sorted.
    ///
    /// # Errors
    /// The directory cannot be read to its end; `EFBIG` above [`MAX_ENTRIES`].
    pub fn list(&self, path: impl AsRef<Path>) -> Result<Vec<std::ffi::OsString>, Error> {
        let full = self.0.join(path);
        let fail = |cause| Error::new("list", &full, cause);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&full).map_err(fail)? {
            if names.len() == MAX_ENTRIES {
                return Err(fail(std::io::Error::from_raw_os_error(libc::EFBIG)));
            }
            names.push(entry.map_err(fail)?.file_name());
        }
        names.sort();
        Ok(names)
    }
}

fn open(path: &Path) -> Result<OwnedFd, Error> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .map_err(|cause| Error::new("open", path, cause))
}

/// Reads an open file from its current position to the end.
///
/// # Errors
/// The read failed, or there is more than [`MAX_FILE`].
pub fn read_fd(file: impl std::os::fd::AsFd, path: &Path, buffer: &mut Vec<u8>) -> Result<(), Error> {
    buffer.clear();
    if buffer.capacity() < 4096 {
        buffer.reserve(4096);
    }
    loop {
        if buffer.len() == buffer.capacity() {
            if buffer.len() >= MAX_FILE {
                return Err(Error::new("read", path, std::io::Error::from_raw_os_error(libc::EFBIG)));
            }
            buffer.reserve(buffer.len());
        }
        match rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)) {
            Ok(0) => break,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(cause) => return Err(Error::new("read", path, cause)),
        }
    }
    meter::add(buffer.len());
    Ok(())
}

/// Reads an open file of text from its beginning, as those of `/proc` can be read again and again.
///
/// # Errors
/// As [`read_fd`], and when it is not UTF-8.
pub fn text_again(file: &OwnedFd, path: &Path) -> Result<String, Error> {
    rustix::fs::seek(file, rustix::fs::SeekFrom::Start(0)).map_err(|cause| Error::new("read", path, cause))?;
    let mut bytes = Vec::new();
    read_fd(file, path, &mut bytes)?;
    String::from_utf8(bytes).map_err(|_| Error::malformed(path, "text is expected"))
}

/// A file that stays open, and is read again and again.
#[derive(Debug)]
pub struct Kept(OwnedFd, PathBuf);

impl Kept {
    /// Opens it.
    ///
    /// # Errors
    /// As [`Root::open`].
    pub fn open(root: &Root, path: &str) -> Result<Self, Error> {
        Ok(Self(root.open(path)?, root.join(path)))
    }

    /// Who may do what with it.
    pub fn mode(&self) -> Option<u32> {
        rustix::fs::fstat(&self.0).ok().map(|stat| stat.st_mode)
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.1
    }

    /// What it says now.
    ///
    /// # Errors
    /// As [`text_again`].
    pub fn text(&self) -> Result<String, Error> {
        text_again(&self.0, &self.1)
    }

    /// The number that it says now.
    ///
    /// # Errors
    /// As [`text_again`], and when it says something else.
    pub fn number(&self) -> Result<u64, Error> {
        self.text()?.trim().parse().map_err(|_| Error::malformed(&self.1, "a number is expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_file_names_itself() {
        let error = Root::new("/proc").text("no/such/file").unwrap_err();
        assert!(error.is_absent());
        assert!(error.to_string().contains("/proc/no/such/file"), "{error}");
    }

    #[test]
    fn an_endless_file_is_an_error() {
        let error = Root::new("/dev").read("zero").unwrap_err();
        assert_eq!(error.cause.raw_os_error(), Some(libc::EFBIG));
    }
}
