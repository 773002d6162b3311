//! Why did the guest that somebody looks at leave its virtual CPUs to the host?

use std::collections::BTreeMap;
use std::time::Instant;

use super::Known;
use crate::collect::{Batch, Cx, MAX_IDS, Skip};
use crate::model::{Machine, Text, Value};
use crate::source::guest::exits::{Exits, Places};
use crate::source::guest::qmp::{self, Process};
use crate::table;

table! {
    /// Exits of a guest that a reader has named: how often its virtual CPUs left it for the host, by what KVM counts as a reason.
    /// Each virtual CPU has a row of its own for all reasons together, where QEMU tells.
    ///
    /// Read every five seconds while somebody looks, from debugfs or else from QEMU; missing where neither tells.
    ///
    /// Source: `Documentation/virt/kvm/api.rst` (`KVM_GET_STATS_FD`), `/sys/kernel/debug/kvm`; `query-stats` of QMP.
    pub struct VmExitRow = "vm_exit" { title: Some("Exits"), demand: true } {
        /// Process that runs the guest.
        Id(None) pid: u64 { required: true },
        /// Start of the process in clock ticks since boot.
        Id(None) start: u64 { wide: true },
        /// Number of the virtual CPU, or `all`.
        Id(None) vcpu: Text,
        /// What it left for, as KVM calls it, or `all`.
        Id(None) reason: Text { label: true },
        /// Guest that it belongs to.
        Text(None) guest: Text { wide: true },
        /// Times that it left.
        Counter(Events) exits: u64 { top: true },
    }
}

/// Fills the table for the guests that readers have named.
pub(super) fn fill(cx: &Cx<'_>, known: &BTreeMap<u32, Known>, end: Instant, out: &mut Batch) {
    let Some(want) = cx.wants.table(VmExitRow::TABLE) else { return };
    if want.ids.is_empty() {
        let skip = Skip::absent("no guest is named").hint("name one by its process, for example `pid == 4242`");
        out.skip(VmExitRow::TABLE, &skip);
        return;
    }
    let places = Places::of(&cx.roots.proc, &cx.roots.sys, cx.roots.live);
    let (mut rows, mut trouble) = (Vec::new(), None);
    for id in want.ids.iter().filter_map(|ids| ids.first()) {
        let pid = if let Value::U64(pid) = id { u32::try_from(*pid).ok() } else { None };
        let Some((pid, machine)) = pid.and_then(|pid| Some((pid, cx.owners.machines.get(&pid)?))) else {
            trouble.get_or_insert_with(|| Skip::absent("it is no guest"));
            continue;
        };
        let socket =
            known.get(&pid).filter(|_| cx.roots.live).and_then(|known| Some((known.uid, known.socket.as_ref()?)));
        let asked = socket.filter(|_| Instant::now() < end);
        let said = match asked.map(|(uid, (socket, _))| qmp::exits(socket, Process { pid, uid }, end)) {
            Some(Err(error)) => {
                trouble.get_or_insert(Skip::from(error));
                Exits::default()
            }
            said => said.and_then(Result::ok).flatten().unwrap_or_default(),
        };
        match places.exits(&cx.roots.sys, pid) {
            Some(shown) => self::rows(pid, machine, &Exits { vcpus: said.vcpus, ..shown }, &mut rows),
            None if said != Exits::default() => self::rows(pid, machine, &said, &mut rows),
            None => drop(trouble.get_or_insert_with(|| {
                Skip::absent("neither debugfs nor QEMU tells")
                    .hint("mount debugfs: mount -t debugfs none /sys/kernel/debug")
            })),
        }
    }
    match trouble {
        Some(why) if rows.is_empty() => out.skip(VmExitRow::TABLE, &why),
        why => {
            out.left_out(VmExitRow::TABLE, want.left_out, MAX_IDS, "guests");
            if let Some(why) = why {
                out.partly(VmExitRow::TABLE, &why);
            }
            out.push(rows);
        }
    }
}

fn rows(pid: u32, machine: &Machine, exits: &Exits, rows: &mut Vec<VmExitRow>) {
    let row = |vcpu: Text, reason: Text, exits: u64| VmExitRow {
        pid: u64::from(pid),
        start: machine.start,
        vcpu,
        reason,
        guest: machine.name.clone(),
        exits,
    };
    let all = || Text::from("all");
    rows.extend(exits.all.map(|exits| row(all(), all(), exits)));
    rows.extend(exits.reasons.iter().map(|(reason, exits)| row(all(), reason.clone(), *exits)));
    rows.extend(exits.vcpus.iter().map(|(vcpu, exits)| row(Text::from(vcpu.to_string()), all(), *exits)));
}
