//! How often, and why, did the virtual CPUs of a guest leave it for the host?
//!
//! KVM counts that. Of each guest it shows the sums below `kvm` of debugfs, in a directory named after the thread that made the
//! guest and its descriptor; of each virtual CPU only who holds its descriptor may read them, which QEMU does when it is asked
//! over QMP. Architectures count what they have: what is a reason is known by the name, such as `halt_exits`.
//!
//! Source: `Documentation/virt/kvm/api.rst` (`KVM_GET_STATS_FD`), `virt/kvm/kvm_main.c` (`kvm_create_vm_debugfs`), `arch/*/kvm` for
//! the names; `qapi/stats.json` and `qapi/machine.json` of QEMU.

use std::collections::BTreeMap;

use crate::model::Text;
use crate::source::control::json::Json;
use crate::source::file::Root;
use crate::source::process::parse;

/// Where the kernel shows them.
const PLACE: &str = "kernel/debug/kvm";

/// The first namespace of processes, by whose numbers directories are named (`include/uapi/linux/nsfs.h`).
const FIRST: &str = "pid:[4026531836]";

/// Reasons that are told apart; no architecture has so many.
const MAX_REASONS: usize = 64;

/// Virtual CPUs that are told apart.
const MAX_VCPUS: usize = 4096;

/// What was counted of a guest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exits {
    /// All of them.
    pub all: Option<u64>,
    /// Those that were to halt.
    pub halts: Option<u64>,
    /// By reason.
    pub reasons: BTreeMap<Text, u64>,
    /// All of each virtual CPU, where that is told.
    pub vcpus: BTreeMap<u32, u64>,
}

impl Exits {
    fn count(&mut self, name: &str, value: u64) {
        if name == "exits" {
            self.all = Some(self.all.unwrap_or(0).saturating_add(value));
            return;
        }
        let Some(reason) = reason(name).map(Text::from) else { return };
        if reason.as_str() == "halt" {
            self.halts = Some(self.halts.unwrap_or(0).saturating_add(value));
        }
        if self.reasons.len() < MAX_REASONS || self.reasons.contains_key(&reason) {
            let sum = self.reasons.entry(reason).or_default();
            *sum = sum.saturating_add(value);
        }
    }
}

/// The reason that is counted under a name: `halt` of `halt_exits`, `wfi` of `wfi_exit_stat`.
fn reason(name: &str) -> Option<&str> {
    let reason = name.strip_suffix("_exits").or_else(|| name.strip_suffix("_exit_stat"));
    reason.or_else(|| name.strip_prefix("exit_")).filter(|reason| !reason.is_empty())
}

/// Where the kernel shows guests, by the process that made each.
#[derive(Clone, Debug, Default)]
pub struct Places(BTreeMap<u32, Vec<String>>);

impl Places {
    /// Looks which there are; none where debugfs is not mounted or may not be read, or where processes have other numbers here.
    pub fn of(proc: &Root, sys: &Root, is_live: bool) -> Self {
        let own = || std::fs::read_link(proc.join("self/ns/pid"));
        if is_live && !own().is_ok_and(|own| own.to_str() == Some(FIRST)) {
            return Self::default();
        }
        let mut places = Self::default();
        for name in sys.list(PLACE).unwrap_or_default() {
            let Some(name) = name.to_str() else { continue };
            let pid = name.split_once('-').and_then(|(pid, _)| parse::number(pid.as_bytes()));
            if let Some(pid) = pid.and_then(|pid| u32::try_from(pid).ok()) {
                places.0.entry(pid).or_default().push(name.to_owned());
            }
        }
        places
    }

    fn of_guest(&self, pid: u32) -> &[String] {
        self.0.get(&pid).map(Vec::as_slice).unwrap_or_default()
    }

    /// All exits of a guest, and those that were to halt.
    pub fn sums(&self, sys: &Root, pid: u32) -> [Option<u64>; 2] {
        ["exits", "halt_exits"].map(|name| {
            let read = |place: &String| number(&sys.read(format!("{PLACE}/{place}/{name}")).ok()?);
            self.of_guest(pid).iter().filter_map(read).reduce(u64::saturating_add)
        })
    }

    /// What is counted of a guest; `None` where the kernel does not show it.
    pub fn exits(&self, sys: &Root, pid: u32) -> Option<Exits> {
        let mut exits = Exits::default();
        for place in self.of_guest(pid) {
            for name in sys.list(format!("{PLACE}/{place}")).unwrap_or_default() {
                let Some(name) = name.to_str().filter(|name| *name == "exits" || reason(name).is_some()) else {
                    continue;
                };
                let value = sys.read(format!("{PLACE}/{place}/{name}")).ok();
                if let Some(value) = value.and_then(|value| number(&value)) {
                    exits.count(name, value);
                }
            }
        }
        (exits != Exits::default()).then_some(exits)
    }
}

fn number(text: &[u8]) -> Option<u64> {
    parse::number(text.trim_ascii_end())
}

/// What QEMU has said: `query-stats` of virtual CPUs, and `query-cpus-fast`, which has the numbers of those.
pub fn of_qemu(stats: &Json, vcpus: &Json) -> Option<Exits> {
    let path = |json: &Json| json.str(&["qom-path"]).map(str::to_owned);
    let numbered = |vcpu: &Json| Some((path(vcpu)?, u32::try_from(vcpu.count(&["cpu-index"])?).ok()?));
    let numbers: BTreeMap<String, u32> = vcpus.items().iter().filter_map(numbered).take(MAX_VCPUS).collect();
    let mut exits = Exits::default();
    for of in stats.items().iter().take(MAX_VCPUS) {
        for stat in of.get(&["stats"]).map(Json::items).unwrap_or_default() {
            let (Some(name), Some(value)) = (stat.str(&["name"]), stat.count(&["value"])) else { continue };
            exits.count(name, value);
            if name == "exits"
                && let Some(number) = path(of).and_then(|path| numbers.get(&path))
            {
                exits.vcpus.insert(*number, value);
            }
        }
    }
    (exits != Exits::default()).then_some(exits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::control::json;

    fn reasons(exits: &Exits) -> Vec<(&str, u64)> {
        exits.reasons.iter().map(|(reason, count)| (reason.as_str(), *count)).collect()
    }

    #[test]
    fn what_the_kernel_shows_of_a_guest_is_that_of_all_its_machines() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(PLACE).join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for (path, text) in [
            ("exits", "99\n"),
            ("7-12/exits", "10\n"),
            ("7-12/halt_exits", "4\n"),
            ("7-12/io_exits", "x\n"),
            ("7-12/pf_taken", "8\n"),
            ("7-12/vcpu0/exits", "1\n"),
            ("7-13/exits", "1\n"),
            ("70-1/exits", "5\n"),
            ("x-1/exits", "5\n"),
        ] {
            put(path, text);
        }
        let sys = Root::new(dir.path());
        let places = Places::of(&sys, &sys, false);
        assert_eq!(places.sums(&sys, 7), [Some(11), Some(4)]);
        let exits = places.exits(&sys, 7).unwrap();
        assert_eq!((exits.all, exits.halts, reasons(&exits)), (Some(11), Some(4), vec![("halt", 4)]));
        assert_eq!((places.sums(&sys, 8), places.exits(&sys, 8)), ([None; 2], None));
        // who has other numbers for processes does not look for them there
        assert_eq!(Places::of(&sys, &sys, true).sums(&sys, 7), [None; 2]);
    }

    #[test]
    fn what_qemu_says_is_summed_up_by_reason_and_kept_by_virtual_cpu() {
        let read = |text: &str| json::documents(text.as_bytes()).unwrap().remove(0);
        let stats = read(
            r#"[{"provider": "kvm", "qom-path": "/b", "stats": [{"name": "exits", "value": 5}, {"name": "io_exits", "value": 2},
                {"name": "halt_wait_hist", "value": [1]}, {"name": "blocking", "value": true}]},
               {"provider": "kvm", "qom-path": "/a", "stats": [{"name": "exits", "value": 7}, {"name": "wfi_exit_stat", "value": 3},
                {"name": "io_exits", "value": 9}, {"name": "_exits", "value": 1}]}, {"stats": 1}, 7]"#,
        );
        let vcpus =
            read(r#"[{"qom-path": "/a", "cpu-index": 0}, {"qom-path": "/b", "cpu-index": 1}, {"cpu-index": 2}]"#);
        let exits = of_qemu(&stats, &vcpus).unwrap();
        assert_eq!((exits.all, exits.halts), (Some(12), None));
        assert_eq!(exits.vcpus, BTreeMap::from([(0, 7), (1, 5)]));
        assert_eq!(reasons(&exits), [("io", 11), ("wfi", 3)]);
        assert_eq!(of_qemu(&read("[]"), &vcpus), None);
    }
}
