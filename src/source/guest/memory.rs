//! Where is the memory of a guest, and what does its control group wait for?
//!
//! Source: `Documentation/filesystems/proc.rst` and `Documentation/admin-guide/mm/{ksm,numaperf}.rst`, `numa_maps` of `fs/proc/task_mmu.c`;
//! `Documentation/admin-guide/cgroup-v2.rst`.

use std::collections::BTreeMap;

use crate::source::Error;
use crate::source::file::Root;
use crate::source::pressure;
use crate::source::process::parse;

/// Nodes that are told apart.
const MAX_NODES: usize = 1024;

/// Pages of a process whose contents others have, too, so that they share one; `None` where the kernel does not tell.
pub fn merged(proc: &Root, pid: u32) -> Option<u64> {
    parse::number(proc.read(format!("{pid}/ksm_merging_pages")).ok()?.trim_ascii())
}

/// Bytes of a process on each NUMA node. The kernel walks all of its pages for that.
///
/// # Errors
/// The process is gone, belongs to another user, or the kernel has no NUMA.
pub fn nodes(proc: &Root, pid: u32) -> Result<BTreeMap<u32, u64>, Error> {
    Ok(of_maps(&proc.read(format!("{pid}/numa_maps"))?))
}

fn of_maps(maps: &[u8]) -> BTreeMap<u32, u64> {
    let mut nodes = BTreeMap::new();
    for line in maps.split(|byte| *byte == b'\n') {
        let words = || line.split(|byte| *byte == b' ');
        let size = words().find_map(|word| parse::number(word.strip_prefix(b"kernelpagesize_kB=")?));
        let Some(size) = size.and_then(|kibibytes| kibibytes.checked_mul(1024)) else { continue };
        for word in words() {
            let Some((node, pages)) = word.strip_prefix(b"N").and_then(|word| {
                let equals = word.iter().position(|byte| *byte == b'=')?;
                let (node, pages) = word.split_at_checked(equals)?;
                Some((u32::try_from(parse::number(node)?).ok()?, parse::number(pages.get(1..)?)?))
            }) else {
                continue;
            };
            if nodes.len() < MAX_NODES || nodes.contains_key(&node) {
                let bytes: &mut u64 = nodes.entry(node).or_default();
                *bytes = bytes.saturating_add(pages.saturating_mul(size));
            }
        }
    }
    nodes
}

/// Seconds in which some task of a control group of version 2 has waited for a CPU, for memory and for storage.
pub fn waited(sys: &Root, group: &[u8]) -> [Option<f64>; 3] {
    let Some(group) = std::str::from_utf8(group).ok().filter(|group| !group.split('/').any(|part| part == "..")) else {
        return [None; 3];
    };
    // a host with both versions has that of version 2 beside the others
    let top = if sys.join("fs/cgroup/cgroup.controllers").exists() { "" } else { "unified" };
    ["cpu", "memory", "io"].map(|what| {
        let path = format!("fs/cgroup/{top}{group}/{what}.pressure");
        let text = sys.read(path).ok()?;
        Some(pressure::parse(std::str::from_utf8(&text).ok()?)?.some?.total)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_each_size_are_summed_up_by_node() {
        let maps = b"7f00 default anon=3 dirty=3 N0=2 N1=1 kernelpagesize_kB=4\n\
            7f10 default file=/N9=5 huge anon=1 N1=1 kernelpagesize_kB=2048\n\
            7f20 default\n7f30 default Nx=1 N=2 N3 N2=18446744073709551615 kernelpagesize_kB=4\n";
        let nodes = of_maps(maps);
        assert_eq!(nodes.get(&0), Some(&8192));
        assert_eq!((nodes.get(&1), nodes.get(&2)), (Some(&(4096 + (2 << 20))), Some(&u64::MAX)));
        assert_eq!(nodes.len(), 3);
    }

    #[test]
    fn a_group_that_leads_elsewhere_is_not_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let put = |group: &str| {
            let path = dir.path().join("fs/cgroup").join(group);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("cpu.pressure"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n")
                .unwrap();
        };
        put("unified/a");
        let sys = Root::new(dir.path());
        assert_eq!(waited(&sys, b"/a"), [Some(2.5), None, None]);
        assert_eq!((waited(&sys, b"/b/../a"), waited(&sys, b"/\xff")), ([None; 3], [None; 3]));
        std::fs::write(dir.path().join("fs/cgroup/cgroup.controllers"), "").unwrap();
        put("b");
        assert_eq!((waited(&sys, b"/a"), waited(&sys, b"/b")), ([None; 3], [Some(2.5), None, None]));
    }
}
