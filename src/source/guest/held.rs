//! What do the descriptors of a virtual machine monitor say of its guest?

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt as _;

use super::disk::{self, Disk};
use crate::source::Error;
use crate::source::file::Root;
use crate::source::process::parse;

/// Descriptors of one process that are looked at; a guest of many disks and queues has some hundreds.
const MAX_DESCRIPTORS: usize = 8192;

/// The descriptors that matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Whether one of them is a KVM guest.
    pub guest: bool,
    /// Number of a virtual CPU by its descriptor.
    pub vcpus: BTreeMap<u32, u32>,
    /// Its taps, each once.
    pub taps: BTreeSet<Tap>,
    /// Files and devices by their descriptors, as the kernel calls them.
    pub files: Vec<(u32, Vec<u8>)>,
}

/// The end of a network card that is the host's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tap {
    /// Made through `/dev/net/tun`, by the name that it has now.
    Name(Vec<u8>),
    /// Made by macvtap, whose device is named after the number of the interface.
    Index(u32),
}

/// What one link below `/proc/PID/fd` says.
enum Link {
    Guest,
    Vcpu(u32),
    Tun,
    Macvtap(u32),
    File(Vec<u8>),
    Other,
}

fn link(target: &[u8]) -> Link {
    match target {
        b"anon_inode:kvm-vm" => Link::Guest,
        b"/dev/net/tun" => Link::Tun,
        _ => {
            let after = |start: &[u8]| u32::try_from(parse::number(target.strip_prefix(start)?)?).ok();
            // the descriptor of its statistics is called kvm-vcpu-stats
            match (after(b"anon_inode:kvm-vcpu:"), after(b"/dev/tap")) {
                (Some(index), _) => Link::Vcpu(index),
                (_, Some(index)) => Link::Macvtap(index),
                _ if target.starts_with(b"/") => Link::File(target.to_vec()),
                _ => Link::Other,
            }
        }
    }
}

/// Descriptors of a process, smallest first.
///
/// # Errors
/// The process is gone, or belongs to another user.
pub(super) fn descriptors(proc: &Root, pid: u32) -> Result<impl Iterator<Item = (u32, Result<Vec<u8>, Error>)>, Error> {
    let dir = format!("{pid}/fd");
    let names = proc.list(&dir)?;
    let numbers = names.iter().filter_map(|name| u32::try_from(parse::number(name.as_bytes())?).ok());
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.truncate(MAX_DESCRIPTORS);
    let base = proc.join(dir);
    Ok(numbers.into_iter().map(move |fd| {
        let path = base.join(fd.to_string());
        let target = std::fs::read_link(&path).map_err(|cause| Error::new("read", path, cause));
        (fd, target.map(|target| target.into_os_string().as_bytes().to_vec()))
    }))
}

impl Held {
    /// Disks among its files, `others` left out, from `/proc` and `/sys`.
    pub fn disks(&self, roots: [&Root; 2], pid: u32, others: &[Vec<u8>]) -> Vec<Disk> {
        disk::disks(roots, pid, &self.files, others)
    }

    /// Reads the descriptors of a process.
    ///
    /// # Errors
    /// The process is gone, or belongs to another user.
    pub fn read(proc: &Root, pid: u32) -> Result<Self, Error> {
        let mut held = Self::default();
        for (fd, target) in descriptors(proc, pid)? {
            let target = match target {
                Ok(target) => target,
                // root without CAP_SYS_PTRACE may list them and no more
                Err(error) if error.is_denied() => return Err(error),
                // closed since it was listed
                Err(_) => continue,
            };
            match link(&target) {
                Link::Guest => held.guest = true,
                Link::Vcpu(index) => {
                    held.vcpus.insert(fd, index);
                }
                Link::Tun => {
                    let info = proc.read(format!("{pid}/fdinfo/{fd}")).ok();
                    let name = info.as_deref().and_then(|info| parse::field(info, b"iff:"));
                    held.taps.extend(name.filter(|name| !name.is_empty()).map(|name| Tap::Name(name.to_vec())));
                }
                Link::Macvtap(index) => {
                    held.taps.insert(Tap::Index(index));
                }
                Link::File(path) => held.files.push((fd, path)),
                Link::Other => {}
            }
        }
        Ok(held)
    }
}

/// Whether a process holds a KVM guest.
///
/// # Errors
/// The process is gone, or belongs to another user.
pub(super) fn holds_guest(proc: &Root, pid: u32, read: &mut usize) -> Result<bool, Error> {
    for (_, target) in descriptors(proc, pid)? {
        *read += 1;
        match target {
            Ok(target) if matches!(link(&target), Link::Guest) => return Ok(true),
            Err(error) if error.is_denied() => return Err(error),
            _ => {}
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn descriptors_are_told_apart_by_what_the_kernel_calls_them() {
        let dir = tempfile::tempdir().unwrap();
        for part in ["7/fd", "7/fdinfo"] {
            std::fs::create_dir_all(dir.path().join(part)).unwrap();
        }
        let links = [
            ("3", "anon_inode:kvm-vm"),
            ("4", "anon_inode:kvm-vcpu:0"),
            ("5", "anon_inode:kvm-vcpu-stats:0"),
            ("6", "anon_inode:kvm-vcpu:99999999999"),
            ("9", "/dev/net/tun"),
            ("10", "/dev/net/tun"),
            ("11", "/var/lib/images/a b.raw"),
            ("12", "anon_inode:kvm-vcpu:17"),
            ("13", "/dev/tap9"),
            ("14", "/dev/net/tun"),
            ("x", "socket:[1]"),
        ];
        for (fd, target) in links {
            symlink(target, dir.path().join("7/fd").join(fd)).unwrap();
        }
        std::fs::write(dir.path().join("7/fdinfo/9"), "pos:\t0\niff:\ttap-web\n").unwrap();
        std::fs::write(dir.path().join("7/fdinfo/10"), "pos:\t0\n").unwrap();
        // one queue more of the first one
        std::fs::write(dir.path().join("7/fdinfo/14"), "pos:\t0\niff:\ttap-web\n").unwrap();
        let proc = Root::new(dir.path());
        let held = Held::read(&proc, 7).unwrap();
        assert!(held.guest && holds_guest(&proc, 7, &mut 0).unwrap());
        assert_eq!(held.vcpus, BTreeMap::from([(4, 0), (12, 17)]));
        assert_eq!(held.taps, BTreeSet::from([Tap::Name(b"tap-web".to_vec()), Tap::Index(9)]));
        assert_eq!(held.files, [(11, b"/var/lib/images/a b.raw".to_vec())]);
        assert!(Held::read(&proc, 8).is_err());
    }
}
