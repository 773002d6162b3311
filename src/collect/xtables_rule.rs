//! Which rules has the older interface of iptables, and what do they count?
//!
//! Only while somebody looks: the kernel hands out a table as a whole, and sums the counters of all CPUs for it. Tables that
//! are not there are not asked for, because that would load them. Rules of iptables-nft are rules of nf_tables.

use rustix::fs::{Mode, OFlags};

use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::Text;
use crate::source::Error;
use crate::source::file::read_fd;
use crate::source::netlink::Family;
use crate::source::netlink::common::Common;
use crate::source::netns::{self, Rooms};
use crate::source::xtables::legacy::{Reader, Rule};
use crate::source::xtables::names::SetNames;
use crate::{label, table};

label! {
    /// Address family of a table of iptables.
    pub enum XtablesFamily {
        Ip = "ip",
        Ip6 = "ip6",
    }
}

table! {
    /// One rule of iptables' older interface, or the policy of a chain. Rules that iptables-nft has made are in `nft_rule`.
    ///
    /// Source: `getsockopt` with `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`, `include/uapi/linux/netfilter_ipv4/ip_tables.h`;
    /// the text is that of `iptables-save`.
    pub struct XtablesRuleRow = "xtables_rule" { title: Some("Legacy rules"), demand: true } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family.
        Id(None) family: XtablesFamily,
        /// Table that it is in.
        Id(None) table: Text,
        /// Chain that it is in.
        Id(None) chain: Text,
        /// Place in its chain, from 1 on; 0 is the policy.
        Id(None) position: u64,
        /// What becomes of packets that it fits.
        Text(None) target: Option<Text>,
        /// Packets that it has counted.
        Counter(Packets) packets: u64,
        /// Bytes of those.
        Counter(Bytes) bytes: u64 { top: true },
        /// Matches and target.
        Text(None) rule: Text { label: true, last: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "xtables_rule",
    tables: &[XtablesRuleRow::TABLE],
    interval: EVERY_SECOND,
    // ten thousand rules take their time
    blocks: true,
    // which tables there are is told to root only
    needs: Capabilities::NET_ADMIN.union(Capabilities::DAC_READ_SEARCH),
    make: || Box::<XtablesCollector>::default(),
};

#[derive(Default)]
struct XtablesCollector {
    own: Option<Tables>,
    others: Rooms<Tables>,
}

/// One family of one network namespace, and the list of its tables.
struct Listed {
    family: XtablesFamily,
    names: std::os::fd::OwnedFd,
}

/// What is read in one network namespace.
struct Tables {
    families: Vec<Listed>,
    reader: Reader,
    sets: Common,
}

/// Files that name the tables of a family.
const NAMES: [(XtablesFamily, &str); 2] = [
    (XtablesFamily::Ip, "/proc/thread-self/net/ip_tables_names"),
    (XtablesFamily::Ip6, "/proc/thread-self/net/ip6_tables_names"),
];

fn open() -> Result<Tables, Error> {
    let mut families = Vec::new();
    for (family, path) in NAMES {
        match rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(names) => families.push(Listed { family, names }),
            Err(rustix::io::Errno::NOENT) => {}
            Err(cause) => return Err(Error::new("open", path, cause)),
        }
    }
    if families.is_empty() {
        // looked for again the next time
        return Err(Error::new("open", "/proc/net/ip_tables_names", rustix::io::Errno::NOENT));
    }
    Ok(Tables { families, reader: Reader::open()?, sets: Common::open(Family::Netfilter)? })
}

impl Collect for XtablesCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if cx.wants.table(XtablesRuleRow::TABLE).is_none() {
            return Ok(());
        }
        if !cx.roots.live {
            return Err(Skip::absent("a recorded host tells no rules"));
        }
        let mut rows = Vec::new();
        if cx.roots.netns.has_host() {
            let mut tables = self.own.take().map_or_else(open, Ok).map_err(told)?;
            tables.read(&netns::host(), &mut rows).map_err(told)?;
            // a family that is loaded later has a file that is not open yet
            self.own = (tables.families.len() == NAMES.len()).then_some(tables);
        }
        let troubles = self.others.read(&cx.roots.netns, open, |netns, tables| tables.read(netns, &mut rows));
        out.push_netns(cx, rows, &troubles)
    }
}

/// Says what it means that there is nothing, or that it may not be read.
fn told(error: Error) -> Skip {
    let (absent, denied) = (error.is_absent(), error.is_denied());
    let skip = Skip::from(error);
    if absent {
        skip.hint("no rule was made with iptables-legacy; those of iptables-nft are in nft_rule")
    } else if denied {
        skip.hint("run as root, or grant CAP_NET_ADMIN and CAP_DAC_READ_SEARCH")
    } else {
        skip
    }
}

impl Tables {
    fn read(&mut self, netns: &Text, rows: &mut Vec<XtablesRuleRow>) -> Result<(), Error> {
        let sets = SetNames::new(&self.sets);
        for Listed { family, names } in &self.families {
            let mut list = Vec::new();
            let seek = rustix::fs::seek(names, rustix::fs::SeekFrom::Start(0));
            seek.map_err(|cause| Error::new("read", "/proc/net/ip_tables_names", cause))?;
            read_fd(names, std::path::Path::new("/proc/net/ip_tables_names"), &mut list)?;
            for table in String::from_utf8_lossy(&list).lines() {
                match self.reader.rules(*family == XtablesFamily::Ip6, table, &sets) {
                    Ok(rules) => {
                        let table = Text::from(table);
                        rows.extend(rules.into_iter().map(|rule| row(netns, *family, &table, rule)));
                    }
                    // it was unloaded meanwhile
                    Err(error) if error.is_absent() => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

fn row(netns: &Text, family: XtablesFamily, table: &Text, rule: Rule) -> XtablesRuleRow {
    let text = match rule.position {
        Some(_) => rule.text,
        None => format!("policy {}", rule.target.as_deref().unwrap_or("unknown")),
    };
    XtablesRuleRow {
        netns: netns.clone(),
        family,
        table: table.clone(),
        chain: Text::from(rule.chain),
        position: rule.position.unwrap_or(0),
        target: rule.target.map(Text::from),
        packets: rule.packets,
        bytes: rule.bytes,
        rule: Text::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Wants;
    use crate::model::{Demand, Mono, Owners, Rows, Timestamp};
    use crate::source::file::Roots;
    use crate::source::netlink::testing::{in_own_network, run};
    use std::sync::Arc;

    fn collect(collector: &mut XtablesCollector) -> Arc<dyn Rows> {
        let (roots, owners) = (Roots::live(), Owners::default());
        let wants = Wants::union(&[Demand::table("xtables_rule")]);
        let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono: Mono::now() };
        let mut out = Batch::default();
        collector.collect(&cx, &mut out).unwrap();
        Arc::clone(out.rows(XtablesRuleRow::TABLE).unwrap())
    }

    #[test]
    fn root_rules_and_policies_are_rows_and_no_table_is_loaded_to_be_read() {
        in_own_network(|| {
            let mut collector = XtablesCollector::default();
            assert_eq!(collect(&mut collector).len(), 0);
            let there = || std::fs::read_to_string("/proc/thread-self/net/ip_tables_names").unwrap();
            assert_eq!(there(), "", "to look has made a table");
            run("iptables-legacy", "-P FORWARD DROP");
            run("iptables-legacy", "-A INPUT -p udp --dport 53 -j ACCEPT");
            assert_eq!(there(), "filter\n");
            let rows = collect(&mut collector);
            let text = |row: usize, name: &str| match rows.cell(row, XtablesRuleRow::TABLE.position(name).unwrap()) {
                crate::model::Cell::Text(text) => text.to_owned(),
                crate::model::Cell::U64(number) => number.to_string(),
                other => panic!("{other:?}"),
            };
            let told: Vec<_> = (0..rows.len())
                .map(|row| format!("{} {} {}", text(row, "chain"), text(row, "position"), text(row, "rule")))
                .collect();
            let rules = ["INPUT 1 -p udp -m udp --dport 53 -j ACCEPT", "INPUT 0 policy ACCEPT"];
            assert_eq!(told, [rules[0], rules[1], "FORWARD 0 policy DROP", "OUTPUT 0 policy ACCEPT"]);
        });
    }
}
