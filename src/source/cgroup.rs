//! Which control group has this number?
//!
//! Rules of the packet filter know control groups of version 2 by the number that the kernel has given them, which is that of
//! their directory, and nothing but a walk tells where it is.
//!
//! Source: `Documentation/admin-guide/cgroup-v2.rst`; `cgroup_id` of `include/linux/cgroup.h`.

use std::collections::HashMap;
use std::os::unix::fs::DirEntryExt as _;
use std::path::{Path, PathBuf};

use super::file::Root;

/// Groups that are known; others have no path.
const MAX_GROUPS: usize = 1 << 16;
/// Deepest group that is looked for.
const MAX_DEPTH: usize = 32;

/// Paths of the control groups of this host.
#[derive(Debug, Default)]
pub struct Groups(HashMap<u64, PathBuf>);

impl Groups {
    /// Walks the tree of version 2. What cannot be read, or is gone by then, is not known.
    pub fn read(sys: &Root) -> Self {
        let (root, mut found) = (sys.join("fs/cgroup"), HashMap::new());
        // a host with both versions has that of version 2 beside the others
        let top = if root.join("cgroup.controllers").exists() { "" } else { "unified" };
        walk(&root, Path::new(top), 0, &mut found);
        Self(found)
    }

    /// Path of a group below `/sys/fs/cgroup`.
    pub fn path(&self, id: u64) -> Option<&Path> {
        self.0.get(&id).map(PathBuf::as_path)
    }
}

fn walk(root: &Path, path: &Path, depth: usize, found: &mut HashMap<u64, PathBuf>) {
    let Ok(entries) = std::fs::read_dir(root.join(path)) else { return };
    for entry in entries.flatten() {
        if found.len() >= MAX_GROUPS || depth >= MAX_DEPTH {
            return;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            let below = path.join(entry.file_name());
            walk(root, &below, depth + 1, found);
            found.insert(entry.ino(), below);
        }
    }
}
