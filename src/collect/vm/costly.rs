//! What of a guest takes long to find out?
//!
//! The kernel walks all pages of a process to share them out, or to say on which node they are, and all virtual CPUs to sum up
//! their exits. That is done while somebody looks, for a moment on each tick, in turn: the others keep what was found last.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Guest, VmRow};
use crate::collect::Cx;
use crate::model::Text;
use crate::source::guest::exits::Places;
use crate::source::guest::memory;
use crate::source::process::detail;

/// How long it may take on a tick.
const MOMENT: Duration = Duration::from_millis(50);

/// What was found last.
#[derive(Default)]
pub(super) struct Costly {
    /// Turn of that.
    turn: u64,
    pub(super) pss: Option<u64>,
    pub(super) numa: Option<Text>,
    /// Waits of its control group.
    pub(super) waited: [Option<f64>; 3],
    /// Exits, and those that were to halt.
    pub(super) exits: [Option<u64>; 2],
}

/// Finds out what somebody looks at, of those first of which it was found longest ago.
pub(super) fn find<'a>(cx: &Cx<'_>, turn: u64, guests: impl Iterator<Item = &'a mut Guest>) {
    let wants = |column| cx.wants.column(VmRow::TABLE, column);
    let (pss, numa) = (wants("pss"), wants("numa"));
    let waits = ["cpu_waited", "memory_waited", "io_waited"].into_iter().any(wants);
    let places = ["exits", "halt_exits"].into_iter().any(wants).then(|| {
        let roots = cx.roots;
        Places::of(&roots.proc, &roots.sys, roots.live)
    });
    let mut guests: Vec<&mut Guest> = guests.collect();
    for guest in &mut guests {
        let pid = guest.handle.pid();
        guest.costly.exits = places.as_ref().map_or([None; 2], |places| places.sums(&cx.roots.sys, pid));
        guest.costly.waited = match &guest.group {
            Some(group) if waits => memory::waited(&cx.roots.sys, group),
            _ => [None; 3],
        };
        if !pss && !numa {
            let Costly { waited, exits, .. } = guest.costly;
            guest.costly = Costly { waited, exits, ..Costly::default() };
        }
    }
    if !pss && !numa {
        return;
    }
    guests.sort_by_key(|guest| guest.costly.turn);
    let end = Instant::now() + MOMENT;
    for guest in guests {
        let (proc, pid) = (&cx.roots.proc, guest.handle.pid());
        guest.costly.turn = turn;
        guest.costly.pss = if pss { detail::proportional(proc, pid).ok().flatten() } else { None };
        guest.costly.numa = if numa { memory::nodes(proc, pid).ok().and_then(|nodes| shares(&nodes)) } else { None };
        if Instant::now() >= end {
            return;
        }
    }
}

/// Which part of all is on each node, in whole percent.
fn shares(nodes: &BTreeMap<u32, u64>) -> Option<Text> {
    let all: u128 = nodes.values().map(|bytes| u128::from(*bytes)).sum();
    let share = |(node, bytes): (&u32, &u64)| {
        Some(format!("{node}:{}%", (u128::from(*bytes) * 100 + all / 2).checked_div(all)?))
    };
    let shares: Vec<String> = nodes.iter().map(share).collect::<Option<_>>()?;
    (!shares.is_empty()).then(|| Text::from(shares.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_by_node_and_nothing_has_none() {
        let told = |nodes: &[(u32, u64)]| shares(&nodes.iter().copied().collect()).map(|text| text.to_string());
        assert_eq!(told(&[(0, 4096), (1, 8192)]).as_deref(), Some("0:33% 1:67%"));
        assert_eq!((told(&[]), told(&[(0, 0)])), (None, None));
        assert_eq!(told(&[(0, u64::MAX), (3, u64::MAX)]).as_deref(), Some("0:50% 3:50%"));
    }
}
