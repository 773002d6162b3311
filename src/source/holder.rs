//! Which process holds a socket?
//!
//! The kernel does not say it of a socket; what each process has open is looked through.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::model::Text;
use crate::source::Error;
use crate::source::file::Root;

/// Who holds a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The first process that does.
    pub pid: u32,
    /// How many processes do.
    pub count: u64,
}

impl Holder {
    /// Name of that process, unless it has ended.
    pub fn name(&self, proc: &Root) -> Option<Text> {
        let name = proc.read(format!("{}/comm", self.pid)).ok()?;
        Some(Text::new(name.strip_suffix(b"\n").unwrap_or(&name)))
    }
}

/// Who holds which socket, and the first process that may not be read.
#[derive(Debug)]
pub struct Holders {
    /// By the inode of the socket.
    pub by_inode: HashMap<u32, Holder>,
    /// The first process that may not be read.
    denied: Option<Error>,
}

impl Holders {
    /// Processes and their names by the inodes of sockets.
    pub fn names(&self, proc: &Root) -> HashMap<u32, (u32, Option<Text>)> {
        self.by_inode.iter().map(|(inode, holder)| (*inode, (holder.pid, holder.name(proc)))).collect()
    }

    /// Why nobody is known to hold one of these sockets, if a process that may not be read may be who does.
    pub fn denied(&mut self, mut inodes: impl Iterator<Item = u32>) -> Option<Error> {
        let is_unknown = inodes.any(|inode| inode != 0 && !self.by_inode.contains_key(&inode));
        self.denied.take_if(|_| is_unknown)
    }
}

/// Holders of the given sockets by inode. Processes that may not be read are passed over.
///
/// # Errors
/// The processes cannot be listed.
pub fn holders(proc: &Root, inodes: impl Iterator<Item = u32>) -> Result<Holders, Error> {
    let wanted: HashSet<u32> = inodes.filter(|inode| *inode != 0).collect();
    if wanted.is_empty() {
        return Ok(Holders { by_inode: HashMap::new(), denied: None });
    }
    let mut holders: HashMap<u32, Holder> = HashMap::with_capacity(wanted.len());
    let mut pids: Vec<u32> = proc.list("")?.iter().filter_map(|name| name.to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    let mut denied = None;
    let mut refused = |path: &Path, cause: std::io::Error| {
        let error = Error::new("read", path, cause);
        if error.is_denied() {
            denied.get_or_insert(error);
        }
    };
    for pid in pids {
        let path = proc.join(format!("{pid}/fd"));
        // a process that has gone or belongs to somebody else
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(cause) => {
                refused(&path, cause);
                continue;
            }
        };
        let mut own = Vec::new();
        for entry in entries.flatten() {
            match std::fs::read_link(entry.path()) {
                Ok(target) => own.extend(target.to_str().and_then(socket_inode).filter(|inode| wanted.contains(inode))),
                Err(cause) => refused(&path, cause),
            }
        }
        // a process counts once, however many descriptors of the same socket it has
        own.sort_unstable();
        own.dedup();
        for inode in own {
            holders.entry(inode).or_insert(Holder { pid, count: 0 }).count += 1;
        }
    }
    Ok(Holders { by_inode: holders, denied })
}

/// Inode in the target of a descriptor's link, such as `socket:[4711]`.
fn socket_inode(target: &str) -> Option<u32> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_sockets_have_an_inode() {
        assert_eq!(socket_inode("socket:[4711]"), Some(4711));
        for other in ["pipe:[1]", "socket:[x]", "/dev/null", "socket:[5"] {
            assert_eq!(socket_inode(other), None);
        }
    }
}
