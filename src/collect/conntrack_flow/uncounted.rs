//! Where does the kernel count no packets and bytes of connections?

use std::collections::BTreeMap;

use crate::collect::Skip;
use crate::model::Text;

/// Says how packets and bytes are had, if there is a network namespace none of whose rows has any.
///
/// `rows` have their network namespace, and whether anything is counted.
pub(super) fn uncounted<'a>(rows: impl Iterator<Item = (&'a Text, bool)>) -> Option<Skip> {
    let mut counted: BTreeMap<&str, bool> = BTreeMap::new();
    for (netns, is_counted) in rows {
        *counted.entry(netns.as_str()).or_default() |= is_counted;
    }
    let mut without = counted.iter().filter(|(_, is_counted)| !**is_counted).map(|(netns, _)| *netns);
    let first = without.next()?;
    let place = match without.count() {
        _ if counted.len() == 1 => String::new(),
        0 => format!(" in {first}"),
        1 => format!(" in {first} and another network namespace"),
        others => format!(" in {first} and {others} more network namespaces"),
    };
    let what = format!("the kernel counts no packets and bytes of connections{place}: nf_conntrack_acct is off");
    Some(Skip::absent(what).hint("`sysctl -w net.netfilter.nf_conntrack_acct=1` counts those of new connections"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rows: &[(&str, bool)]) -> Option<String> {
        let rows: Vec<(Text, bool)> = rows.iter().map(|(netns, is)| (Text::from(*netns), *is)).collect();
        let skip = uncounted(rows.iter().map(|(netns, is)| (netns, *is)))?;
        Some(skip.status().reason.to_string())
    }

    #[test]
    fn it_is_said_where_nothing_is_counted_and_only_there() {
        assert_eq!(told(&[]), None);
        assert_eq!(told(&[("host", false), ("host", true)]), None);
        let alone = told(&[("host", false)]).unwrap();
        assert!(alone.contains("of connections: nf_conntrack_acct is off"), "{alone}");
        for (rows, place) in [
            (&[("host", true), ("b", false)][..], " in b:"),
            (&[("b", false), ("a", false), ("host", true)], " in a and another network namespace:"),
            (&[("c", false), ("b", false), ("a", false)], " in a and 2 more network namespaces:"),
        ] {
            let told = told(rows).unwrap();
            assert!(told.contains(place), "{told}");
        }
    }
}
