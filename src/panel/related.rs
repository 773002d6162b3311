//! What else is there to say of a guest (its parts, its connections, and the rules that name it), or of an alert (its events)?

use super::{Views, alert};
use crate::col;
use crate::collect::alert::{AlertRow, EventRow};
use crate::collect::conntrack_flow::ConntrackFlowRow;
use crate::collect::nftables::NftRuleRow;
use crate::collect::vm::nic::VmNicRow;
use crate::collect::vm::{VcpuRow, VmRow};
use crate::collect::vm_monitor::disk::VmDiskRow;
use crate::model::{Cell, Demand, Table, Value};
use crate::store::rate::View;

/// Tables that have rows about a row of another one, beside those that are asked for its Ids.
pub fn related(table: &str) -> &'static [&'static Table] {
    static OF_GUESTS: [&Table; 5] =
        [VcpuRow::TABLE, VmNicRow::TABLE, VmDiskRow::TABLE, ConntrackFlowRow::TABLE, NftRuleRow::TABLE];
    static OF_ALERTS: [&Table; 1] = [EventRow::TABLE];
    match table {
        table if table == VmRow::TABLE.name => &OF_GUESTS,
        table if table == AlertRow::TABLE.name => &OF_ALERTS,
        _ => &[],
    }
}

/// What is demanded of one of those tables to say more about a row.
pub fn demand(view: &View, row: usize, other: &'static Table) -> Demand {
    if is(other, EventRow::TABLE) {
        return Demand::table(&other.name);
    }
    let shown = other.columns.iter().filter(|column| column.attrs.demand && !column.attrs.wide);
    let columns = shown.map(|column| column.name.to_string()).collect();
    let name = || view.cell(row, col!(VmRow, name)).to_value();
    // of very many those are read that are its own; where both ends are guests' it has the second one maybe
    let only = if is(other, ConntrackFlowRow::TABLE) { vec![("vm".to_owned(), vec![name()])] } else { Vec::new() };
    let only = only.into_iter().filter(|(_, values)| values.iter().all(|value| matches!(value, Value::Text(_))));
    Demand { columns, only: only.collect(), ..Demand::table(&other.name) }
}

fn is(one: &Table, other: &Table) -> bool {
    one.name == other.name
}

/// Rows of one of those tables that are about a row.
pub fn of<V: Views + ?Sized>(views: &V, view: &View, row: usize, rows: &View) -> Vec<usize> {
    let table = rows.table();
    if is(table, EventRow::TABLE) {
        return alert::list::of(view, row, rows);
    }
    let name = view.cell(row, col!(VmRow, name));
    let is_it = |one: usize, column: usize| !name.is_missing() && rows.cell(one, column) == name;
    let all = 0..rows.len();
    if is(table, ConntrackFlowRow::TABLE) {
        let has = |one: &usize| {
            [col!(ConntrackFlowRow, vm), col!(ConntrackFlowRow, reply_vm)].iter().any(|column| is_it(*one, *column))
        };
        return all.filter(has).collect();
    }
    if is(table, NftRuleRow::TABLE) {
        let names = names(views, view, row);
        let has = |one: &usize| {
            let text = rows.cell(*one, col!(NftRuleRow, rule));
            text.text().is_some_and(|text| names.iter().any(|name| mentions(text, name)))
        };
        return all.filter(has).collect();
    }
    // the same columns tell whose its parts are
    let own = [col!(VmRow, pid), col!(VmRow, start)].map(|column| view.cell(row, column));
    let ids: Vec<usize> = ["pid", "start"].iter().filter_map(|name| table.position(name)).collect();
    all.filter(|one| ids.len() == own.len() && ids.iter().zip(&own).all(|(id, own)| rows.cell(*one, *id) == *own))
        .collect()
}

/// What rules may call a guest: its taps and its addresses.
fn names<V: Views + ?Sized>(views: &V, view: &View, row: usize) -> Vec<String> {
    let Some(nics) = views.get(&VmNicRow::TABLE.name) else { return Vec::new() };
    let own = of(views, view, row, &nics);
    let words = |row: &usize| {
        [col!(VmNicRow, tap), col!(VmNicRow, addresses)].map(|column| match nics.cell(*row, column) {
            Cell::Text(words) => words.split(", ").map(str::to_owned).collect(),
            _ => Vec::new(),
        })
    };
    own.iter().flat_map(words).flatten().collect()
}

/// Whether a rule has this name in it, and not a longer one.
fn mentions(rule: &str, name: &str) -> bool {
    let goes_on = |next: Option<char>| next.is_some_and(|next| next.is_alphanumeric() || "._:-@".contains(next));
    !name.is_empty()
        && rule.match_indices(name).any(|(at, _)| {
            let before = rule.get(..at).and_then(|before| before.chars().next_back());
            let after = rule.get(at + name.len()..).and_then(|after| after.chars().next());
            !goes_on(before) && !goes_on(after)
        })
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fake;
    use super::*;

    #[test]
    fn a_rule_names_a_guest_by_whole_words() {
        let rule = "iifname \"tap-a\" ip saddr 10.0.0.5 counter packets 1 bytes 2";
        for (name, is_there) in [("tap-a", true), ("tap", false), ("10.0.0.5", true), ("10.0.0", false), ("", false)] {
            assert_eq!(mentions(rule, name), is_there, "{name}");
        }
        assert!(!mentions("ip saddr 10.0.0.50 drop", "10.0.0.5") && !mentions("ip6 saddr fe80::1 drop", "80::1"));
        assert!(mentions("ip saddr { 10.0.0.4, 10.0.0.5 } drop", "10.0.0.5"));
    }

    #[test]
    fn what_is_said_of_a_guest_is_its_own() {
        let mut fake = Fake::empty();
        fake.put(
            VmRow::TABLE,
            &["pid=7 start=5 name=web state=running", "pid=9 start=5 name=db state=running"].map(str::to_owned),
        );
        fake.put(
            VmNicRow::TABLE,
            &["pid=7 start=5 tap=tap-a guest=web addresses=10.0.0.5", "pid=9 start=5 tap=tap-b guest=db"]
                .map(str::to_owned),
        );
        let flow = |id: u32, guests: &str| {
            format!(
                "netns=host id={id} protocol=tcp source=10.0.0.5 destination=10.0.0.6 status=- nat=none \
                 reply_source=10.0.0.6 reply_destination=10.0.0.5 zone=0 reply_zone=0 offload=none {guests}"
            )
        };
        fake.put(
            ConntrackFlowRow::TABLE,
            &[flow(1, "vm=web"), flow(2, "vm=db reply_vm=web"), flow(3, "vm=db"), flow(4, "")],
        );
        let rule = |handle: u32, name: &str| {
            format!("netns=host family=ip table=t chain=c handle={handle} position=1 rule={name}")
        };
        fake.put(NftRuleRow::TABLE, &[rule(1, "tap-a"), rule(2, "10.0.0.5"), rule(3, "tap-b"), rule(4, "tap-ab")]);
        let cx = fake.cx();
        let guests = cx.views.get("vm").unwrap();
        let own = |row: usize, table: &Table| of(cx.views, &guests, row, &cx.views.get(&table.name).unwrap());
        assert_eq!((own(0, VmNicRow::TABLE), own(1, VmNicRow::TABLE)), (vec![0], vec![1]));
        assert_eq!((own(0, ConntrackFlowRow::TABLE), own(1, ConntrackFlowRow::TABLE)), (vec![0, 1], vec![1, 2]));
        assert_eq!((own(0, NftRuleRow::TABLE), own(1, NftRuleRow::TABLE)), (vec![0, 1], vec![2]));
    }
}
