//! Which file systems are mounted where?
//!
//! `mountinfo` of this process, with its octal escapes undone: paths stay raw bytes, because they go back into system calls.
//! The kernel says when it changes, so that hosts with thousands of mounts are not read every second.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags, SeekFrom};

use super::Error;
use super::file::{Roots, read_fd};
use super::process::parse::number;

/// One line of `mountinfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Device number, major and minor.
    pub device: (u32, u32),
    /// Part of the file system that is mounted; `/` is all of it.
    pub root: Vec<u8>,
    /// Where.
    pub target: Vec<u8>,
    /// Options of this mount.
    pub options: Vec<u8>,
    /// Type of the file system.
    pub kind: Vec<u8>,
    /// Device, export or whatever else it comes from.
    pub source: Vec<u8>,
    /// Options of the file system.
    pub super_options: Vec<u8>,
}

impl Mount {
    /// Whether nothing can be written through it.
    pub fn read_only(&self) -> bool {
        [&self.options, &self.super_options].iter().any(|list| list.split(|byte| *byte == b',').any(|one| one == b"ro"))
    }
}

/// Parses `mountinfo`; lines that are cut or none are left out.
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let mut device = fields.nth(2)?.split(|byte| *byte == b':');
    let mut half = || u32::try_from(number(device.next()?)?).ok();
    let device = (half()?, half()?);
    let (root, target, options) = (fields.next()?, fields.next()?, fields.next()?);
    // optional fields such as `shared:1` end with a dash
    fields.find(|field| *field == b"-")?;
    Some(Mount {
        device,
        root: unescape(root),
        target: unescape(target),
        options: options.to_vec(),
        kind: unescape(fields.next()?),
        source: unescape(fields.next()?),
        super_options: fields.next()?.to_vec(),
    })
}

/// Undoes `\040` and the like; a backslash that starts no escape stays.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        if let (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) = (*first, tail) {
            out.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
            rest = after;
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

/// Reads the mounts again only when there are others.
#[derive(Debug, Default)]
pub struct MountReader {
    file: Option<OwnedFd>,
    buffer: Vec<u8>,
}

impl MountReader {
    /// The mounts if they have changed since the last call, `None` if they are the same.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn changed(&mut self, roots: &Roots) -> Result<Option<Vec<Mount>>, Error> {
        if !roots.live {
            return roots.proc.read("self/mountinfo").map(|text| Some(parse(&text)));
        }
        // a thread may have a mount namespace of its own
        let path = roots.proc.join("thread-self/mountinfo");
        let fail = |op, cause: rustix::io::Errno| Error::new(op, &path, cause);
        let file = match self.file.take() {
            Some(file) => {
                let mut wait = [PollFd::new(&file, PollFlags::PRI)];
                let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
                let events = match rustix::event::poll(&mut wait, Some(&at_once)) {
                    // a signal came in between; the next sample asks again
                    Err(rustix::io::Errno::INTR) => 0,
                    events => events.map_err(|cause| fail("poll", cause))?,
                };
                if events == 0 {
                    self.file = Some(file);
                    return Ok(None);
                }
                rustix::fs::seek(&file, SeekFrom::Start(0)).map_err(|cause| fail("seek", cause))?;
                file
            }
            None => rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|cause| fail("open", cause))?,
        };
        read_fd(&file, &path, &mut self.buffer)?;
        self.file = Some(file);
        Ok(Some(parse(&self.buffer)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_optional_fields_are_undone() {
        let text =
            b"36 35 98:0 /a /mnt/with\\040space\\134x rw,noatime master:1 shared:2 - ext3 /dev/r\\011t ro,errors=x\n";
        let mounts = parse(text);
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].device, (98, 0));
        assert_eq!(mounts[0].target, b"/mnt/with space\\x");
        assert_eq!(mounts[0].source, b"/dev/r\tt");
        assert_eq!(mounts[0].kind, b"ext3");
        assert!(mounts[0].read_only());
    }

    #[test]
    fn lines_that_are_cut_are_left_out() {
        assert_eq!(parse(b""), []);
        assert_eq!(parse(b"36 35 98:0 / /mnt rw shared:1\n36 35 98 / /x rw - a b c\n"), []);
        assert_eq!(parse(b"36 35 98:0 / /mnt rw - ext4 /dev/sda1\n"), [], "whether it is read-only is not known");
        assert_eq!(unescape(b"a\\04"), b"a\\04");
        assert_eq!(unescape(b"\\400"), b"\\400");
    }

    #[test]
    fn mounts_are_read_again_only_after_a_change() {
        let mut reader = MountReader::default();
        let roots = Roots::live();
        let mounts = reader.changed(&roots).unwrap().unwrap();
        assert!(mounts.iter().any(|mount| mount.target == b"/proc"));
        // another test may mount something in this namespace at the same time, but not every time
        assert!((0..100).any(|_| reader.changed(&roots).unwrap().is_none()));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = parse(&bytes);
        }
    }
}
