//! How is a file read that somebody keeps on a disk, and who else could have had it?
//!
//! Whoever can put something under its name must hold up nobody: a pipe is not waited for, a terminal does not become ours,
//! and a file has its bound. Checks are made on the open file, not on its name.

use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

/// Opens a regular file.
///
/// # Errors
/// It cannot be opened, is a link that leads nowhere, or is something else.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        // somebody has put it there: it is not as if there was none
        Err(rustix::io::Errno::NOENT) if path.symlink_metadata().is_ok() => {
            return Err(io::Error::other("it is a link that leads nowhere"));
        }
        file => File::from(file?),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok((file, meta))
}

/// All of a file that is not too large.
///
/// # Errors
/// It cannot be read, or is larger.
pub fn bytes(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("it is larger than {most} bytes")));
    }
    Ok(bytes)
}

/// Opens and reads a file.
///
/// # Errors
/// As [`open`] and [`bytes`].
pub fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    bytes(open(path)?.0, most)
}

/// Who but root and this user could have done something with a file: those with one of the bits of `mode`, or its owner.
pub fn others(meta: &Metadata, mode: u32) -> Option<String> {
    if meta.uid() != 0 && meta.uid() != rustix::process::geteuid().as_raw() {
        return Some(format!("belongs to user {}, neither to root nor to this user", meta.uid()));
    }
    (meta.mode() & mode != 0).then(|| format!("can be used by others (mode {:04o})", meta.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_file_is_read_and_nobody_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let [pipe, link, file, none] = ["pipe", "link", "file", "none"].map(|name| dir.path().join(name));
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        std::os::unix::fs::symlink(&none, &link).unwrap();
        std::fs::write(&file, "kept").unwrap();
        let told = |path: &Path| read(path, 3).unwrap_err();
        assert_eq!(told(&pipe).to_string(), "it is not a regular file");
        assert_eq!(told(dir.path()).to_string(), "it is not a regular file");
        assert_eq!(told(&link).to_string(), "it is a link that leads nowhere");
        assert_eq!(told(&file).to_string(), "it is larger than 3 bytes");
        assert_eq!(told(&none).kind(), io::ErrorKind::NotFound);
        assert_eq!(read(&file, 4).unwrap(), b"kept");
    }
}
