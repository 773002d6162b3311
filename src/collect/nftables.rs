//! What does the packet filter do, rule by rule?
//!
//! The ruleset is read when its generation has changed, and only then is a rule's text written; on every other tick the
//! counters of its rules and objects are read, and nothing else. Elements of named sets are not read here: there may be a
//! hundred thousand.

pub(super) mod names;
mod rows;

use std::collections::HashMap;

use self::names::{Here, Host};
use self::rows::{Holdings, Reached, Sole, Words, chain_row, flowtable_row, rule_row, set_row, table_row};
use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::text::Spare;
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::file::Root;
use crate::source::netlink::common::Common;
use crate::source::netlink::{Changing, Family as Netlink};
use crate::source::netns::{self, Rooms};
use crate::source::nftables::decode::Counted;
use crate::source::nftables::instruction::Instruction;
use crate::source::nftables::text::Scene;
use crate::source::nftables::{Chain, Family, Object, Ruleset, read};
use crate::{label, table};

label! {
    /// Address family of a table.
    pub enum NftFamily {
        Ip = "ip",
        Ip6 = "ip6",
        Inet = "inet",
        Arp = "arp",
        Bridge = "bridge",
        Netdev = "netdev",
        Other = "other",
    }
}

impl From<Family> for NftFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::Ip => Self::Ip,
            Family::Ip6 => Self::Ip6,
            Family::Inet => Self::Inet,
            Family::Arp => Self::Arp,
            Family::Bridge => Self::Bridge,
            Family::Netdev => Self::Netdev,
            Family::Other(_) => Self::Other,
        }
    }
}

table! {
    /// One table of the packet filter.
    ///
    /// Source: nfnetlink `NFT_MSG_GETTABLE`, `include/uapi/linux/netfilter/nf_tables.h`.
    pub struct NftTableRow = "nft_table" { title: Some("Filter tables") } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family.
        Id(None) family: NftFamily,
        /// Name of the table.
        Id(None) name: Text { label: true },
        /// Number that the kernel knows it by.
        Gauge(None) handle: u64 { wide: true },
        /// Whether its chains are not called.
        Gauge(None) dormant: bool,
        /// Netlink port of the program that it ends with.
        Gauge(None) owner: Option<u32> { wide: true },
        /// Chains that it has.
        Gauge(None) chains: u64,
        /// Rules that it has.
        Gauge(None) rules: u64,
        /// Sets, maps and meters with a name.
        Gauge(None) sets: u64,
    }
}

table! {
    /// One chain of the packet filter. What has a hook is called by the kernel, the others by rules.
    ///
    /// Source: nfnetlink `NFT_MSG_GETCHAIN`, `include/uapi/linux/netfilter/nf_tables.h`.
    pub struct NftChainRow = "nft_chain" { title: Some("Filter chains") } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family of its table.
        Id(None) family: NftFamily,
        /// Table that it is in.
        Id(None) table: Text,
        /// Name of the chain.
        Id(None) name: Text { label: true },
        /// Number that the kernel knows it by.
        Gauge(None) handle: u64 { wide: true },
        /// Type of a chain with a hook: filter, nat or route.
        Text(None) kind: Option<Text> { title: Some("type") },
        /// Where the kernel calls it.
        Text(None) hook: Option<Text>,
        /// Chains with lower numbers are called first.
        Gauge(None) priority: Option<i64>,
        /// Devices that it is for, of families that have such.
        Text(None) devices: Option<Text> { wide: true },
        /// What becomes of packets at its end.
        Text(None) policy: Option<Text>,
        /// Rules that it has.
        Gauge(None) rules: u64,
        /// Packets that came to its end, where that is counted.
        Counter(Packets) packets: Option<u64> { top: true },
        /// Bytes of those.
        Counter(Bytes) bytes: Option<u64>,
    }
}

table! {
    /// One rule of the packet filter. Counts are missing for rules without a counter, and for those with a named one that other
    /// rules or elements of maps use, too.
    ///
    /// Source: nfnetlink `NFT_MSG_GETRULE`, `include/uapi/linux/netfilter/nf_tables.h`; the text is that of
    /// `nft -nn list ruleset`.
    pub struct NftRuleRow = "nft_rule" { title: Some("Filter rules"), history: History::Top } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family of its table.
        Id(None) family: NftFamily,
        /// Table that it is in.
        Id(None) table: Text,
        /// Chain that it is in.
        Id(None) chain: Text,
        /// Handle, which no other rule of the table has.
        Id(None) handle: u64,
        /// Place in its chain, from 1 on.
        Gauge(None) position: u64 { wide: true },
        /// What becomes of packets that it fits: a verdict, or an action that ends the chain.
        Text(None) verdict: Option<Text>,
        /// Packets that its counter has seen, or a named one that nothing else refers to.
        Counter(Packets) packets: Option<u64>,
        /// Bytes of those.
        Counter(Bytes) bytes: Option<u64> { top: true, traffic: true },
        /// When a packet reached its `last` expression, where it has one and was reached.
        Gauge(None) last: Option<Timestamp> { wide: true },
        /// What its author has written beside it.
        Text(None) comment: Option<Text> { wide: true },
        /// The rule; what is longer than 64 KiB ends with `…`, as does what is longer than 4 KiB when there is too much of that.
        Text(None) rule: Text { label: true, last: true },
    }
    derived {
        /// Packets that its counter has seen in all.
        hits(Packets) = "total(packets)" { title: Some("packets"), wide: true },
        /// Bytes that its counter has seen in all.
        carried(Bytes) = "total(bytes)" { title: Some("bytes"), wide: true, traffic: true },
    }
}

table! {
    /// One set, map or meter with a name.
    ///
    /// Source: nfnetlink `NFT_MSG_GETSET`, `include/uapi/linux/netfilter/nf_tables.h`.
    pub struct NftSetRow = "nft_set" { title: Some("Filter sets") } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family of its table.
        Id(None) family: NftFamily,
        /// Table that it is in.
        Id(None) table: Text,
        /// Name of the set.
        Id(None) set: Text { label: true },
        /// Number that the kernel knows it by.
        Gauge(None) handle: u64 { wide: true },
        /// What its keys are.
        Text(None) key: Text { title: Some("type") },
        /// What a map leads to.
        Text(None) data: Option<Text>,
        /// How it is used: constant, interval, dynamic, timeout.
        Text(None) flags: Option<Text>,
        /// Elements, where the kernel tells (6.16 or later). Of ranges it does not count one that reaches the last value there
        /// is, and nowhere the element for all others; missing where there may be none but those.
        Gauge(None) elements: Option<u64> { top: true },
        /// Most elements that it may have.
        Gauge(None) size: Option<u64>,
        /// How long an element lives if nothing else is said.
        Gauge(Seconds) timeout: Option<f64>,
    }
    derived {
        /// How full it is.
        fill(Ratio) = "elements / size" { title: Some("fill%") },
    }
}

table! {
    /// One named counter.
    ///
    /// Source: nfnetlink `NFT_MSG_GETOBJ`, `include/uapi/linux/netfilter/nf_tables.h`.
    pub struct NftCounterRow = "nft_counter" { title: Some("Filter counters"), history: History::Whole } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family of its table.
        Id(None) family: NftFamily,
        /// Table that it is in.
        Id(None) table: Text,
        /// Name of the counter.
        Id(None) name: Text { label: true },
        /// Packets that it has counted.
        Counter(Packets) packets: u64,
        /// Bytes of those packets.
        Counter(Bytes) bytes: u64 { top: true, traffic: true },
    }
}

table! {
    /// One named quota.
    ///
    /// Source: nfnetlink `NFT_MSG_GETOBJ`, `include/uapi/linux/netfilter/nf_tables.h`.
    pub struct NftQuotaRow = "nft_quota" { title: Some("Filter quotas") } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family of its table.
        Id(None) family: NftFamily,
        /// Table that it is in.
        Id(None) table: Text,
        /// Name of the quota.
        Id(None) name: Text { label: true },
        /// Bytes that it lets through.
        Gauge(Bytes) quota: u64,
        /// Bytes that it has seen.
        Gauge(Bytes) used: u64 { top: true },
        /// Whether it fits what is beyond, and not what is within.
        Gauge(None) over: bool { wide: true },
    }
    derived {
        /// How much of it is used.
        fill(Ratio) = "used / quota" { title: Some("used%") },
    }
}

table! {
    /// One named limit.
    ///
    /// Source: nfnetlink `NFT_MSG_GETOBJ`, `include/uapi/linux/netfilter/nf_tables.h`.
    pub struct NftLimitRow = "nft_limit" { title: Some("Filter limits") } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family of its table.
        Id(None) family: NftFamily,
        /// Table that it is in.
        Id(None) table: Text,
        /// Name of the limit.
        Id(None) name: Text { label: true },
        /// The limit.
        Text(None) limit: Text { last: true },
    }
}

table! {
    /// One table of connections that take the fast path.
    ///
    /// Source: nfnetlink `NFT_MSG_GETFLOWTABLE`, `include/uapi/linux/netfilter/nf_tables.h`.
    pub struct NftFlowtableRow = "nft_flowtable" { title: Some("Flowtables") } {
        /// Network namespace: `host`, or a name that `ip netns` has given it.
        Id(None) netns: Text { several: true },
        /// Address family of its table.
        Id(None) family: NftFamily,
        /// Table that it is in.
        Id(None) table: Text,
        /// Name of the flowtable.
        Id(None) name: Text { label: true },
        /// Number that the kernel knows it by.
        Gauge(None) handle: u64 { wide: true },
        /// Those with lower numbers see packets first.
        Gauge(None) priority: Option<i64>,
        /// Devices whose packets it sees.
        Text(None) devices: Option<Text>,
        /// Whether devices do the work.
        Gauge(None) offload: bool,
        /// Whether packets are counted.
        Gauge(None) counts: bool,
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "nftables",
    tables: &[
        NftTableRow::TABLE,
        NftChainRow::TABLE,
        NftRuleRow::TABLE,
        NftSetRow::TABLE,
        NftCounterRow::TABLE,
        NftQuotaRow::TABLE,
        NftLimitRow::TABLE,
        NftFlowtableRow::TABLE,
    ],
    interval: EVERY_SECOND,
    // ten thousand rules take their time, and a commit of another program holds the kernel's lock
    blocks: true,
    needs: Capabilities::NET_ADMIN,
    make: || Box::<NftablesCollector>::default(),
};

#[derive(Default)]
struct NftablesCollector {
    own: Option<Filter>,
    others: Rooms<Filter>,
}

/// The packet filter of one network namespace.
struct Filter {
    socket: Common,
    links: Common,
    known: Option<Known>,
    reached: Reached,
}

/// A ruleset with what does not change between two generations.
struct Known {
    ruleset: Ruleset,
    /// Of each rule.
    rules: Vec<Words>,
    /// Rules of each chain, in the order of the chains.
    rules_of: Vec<u64>,
    /// What each rule has counted.
    counts: Vec<Counted>,
    /// Named objects with what they have seen.
    objects: Vec<Object>,
}

fn open() -> Result<Filter, Error> {
    let (socket, links) = (Common::open(Netlink::Netfilter)?, Common::open(Netlink::Route)?);
    Ok(Filter { socket, links, known: None, reached: Reached::default() })
}

impl Collect for NftablesCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        if !cx.roots.live {
            return Err(Skip::absent("a recorded host tells no rules"));
        }
        let mut found = Found::default();
        if cx.roots.netns.has_host() {
            // what fails is opened anew
            let mut filter = self.own.take().map_or_else(open, Ok).map_err(told)?;
            found.add(cx, &netns::host(), &mut filter).map_err(told)?;
            self.own = Some(filter);
        }
        let troubles = self.others.read(&cx.roots.netns, open, |netns, filter| found.add(cx, netns, filter));
        if found.changing {
            let words =
                "changing: rules are committed faster than they can be read, and counts are those of the last time";
            for table in ENTRY.tables {
                out.partly(table, &Skip::Failed(super::Reason { error: words.into(), hint: None }));
            }
        }
        out.push_netns(cx, found.tables, &troubles)?;
        out.push_netns(cx, found.chains, &troubles)?;
        out.push_netns(cx, found.rules, &troubles)?;
        out.push_netns(cx, found.sets, &troubles)?;
        out.push_netns(cx, found.counters, &troubles)?;
        out.push_netns(cx, found.quotas, &troubles)?;
        out.push_netns(cx, found.limits, &troubles)?;
        out.push_netns(cx, found.flowtables, &troubles)
    }
}

/// Says which capability is missing.
pub(super) fn told(error: Error) -> Skip {
    let denied = error.is_denied();
    let skip = Skip::from(error);
    if denied { skip.hint("run as root, or grant CAP_NET_ADMIN") } else { skip }
}

/// Rows of all network namespaces.
#[derive(Default)]
struct Found {
    tables: Vec<NftTableRow>,
    chains: Vec<NftChainRow>,
    rules: Vec<NftRuleRow>,
    sets: Vec<NftSetRow>,
    counters: Vec<NftCounterRow>,
    quotas: Vec<NftQuotaRow>,
    limits: Vec<NftLimitRow>,
    flowtables: Vec<NftFlowtableRow>,
    changing: bool,
}

impl Found {
    fn add(&mut self, cx: &Cx<'_>, netns: &Text, filter: &mut Filter) -> Result<(), Error> {
        match filter.read(&cx.roots.sys, cx.time) {
            Err(error) if Changing::is_cause_of(&error) && filter.known.is_some() => self.changing = true,
            read => read?,
        }
        let Some(known) = &filter.known else { return Ok(()) };
        let ruleset = &known.ruleset;
        let holdings = Holdings::of(ruleset, &known.rules_of);
        self.tables.extend(ruleset.tables.iter().map(|table| table_row(netns, table, &holdings)));
        let chains = ruleset.chains.iter().zip(&known.rules_of);
        self.chains.extend(chains.map(|(chain, rules)| chain_row(netns, chain, *rules)));
        let named = Sole::of(&known.objects);
        for (index, (rule, words)) in ruleset.rules.iter().zip(&known.rules).enumerate() {
            let counter = known.counts.get(index).and_then(|counted| counted.counter);
            self.rules.push(rule_row(
                netns,
                rule,
                words,
                counter.or_else(|| named.counted(rule, words)),
                &filter.reached,
            ));
        }
        let mut sets: Vec<_> = ruleset.names.sets_and_meters().collect();
        sets.sort_by_key(|set| set.handle);
        self.sets.extend(sets.into_iter().map(|set| set_row(netns, set)));
        self.flowtables.extend(ruleset.flowtables.iter().map(|table| flowtable_row(netns, table)));
        for object in &known.objects {
            self.object(netns, object, ruleset);
        }
        Ok(())
    }

    fn object(&mut self, netns: &Text, object: &Object, ruleset: &Ruleset) {
        let (family, netns) = (object.family.into(), netns.clone());
        let (table, name) = (Text::new(&object.table), Text::new(&object.name));
        match &object.state {
            Some(Instruction::Counter { packets, bytes }) => {
                self.counters.push(NftCounterRow { netns, family, table, name, packets: *packets, bytes: *bytes });
            }
            Some(Instruction::Quota { bytes, used, over }) => {
                self.quotas.push(NftQuotaRow { netns, family, table, name, quota: *bytes, used: *used, over: *over });
            }
            Some(limit @ Instruction::Limit { .. }) => {
                let scene = Scene::new(object.family, &object.table, &ruleset.names, &Host);
                let text = scene.without_counts().program(std::slice::from_ref(limit));
                let limit = Text::from(text.strip_prefix("limit ").unwrap_or(&text));
                self.limits.push(NftLimitRow { netns, family, table, name, limit });
            }
            _ => {}
        }
    }
}

impl Filter {
    /// Reads what rules have counted, and when they were reached, and the ruleset before it if that is another one.
    fn read(&mut self, sys: &Root, now: Timestamp) -> Result<(), Error> {
        self.read_known(sys)?;
        if let Some(known) = &self.known {
            self.reached.follow(&known.ruleset, &known.counts, now);
        }
        Ok(())
    }

    fn read_known(&mut self, sys: &Root) -> Result<(), Error> {
        let generation = self.socket.with(read::generation)?;
        if self.known.as_ref().is_none_or(|known| known.ruleset.generation != generation) {
            self.read_all(sys)?;
        }
        if self.count()? {
            return Ok(());
        }
        // it was changed between the two
        let former = self.read_all(sys)?;
        if self.count()? {
            return Ok(());
        }
        // and once more: what was known before is whole at least
        self.known = former;
        Err(Error::new("count", "rules", std::io::Error::other(Changing)))
    }

    /// Reads what rules have counted; false if they are not those that are known.
    fn count(&mut self) -> Result<bool, Error> {
        let Some(known) = &mut self.known else { return Ok(true) };
        // a table goes with the program that owns it, and nothing tells
        let is_owned = known.ruleset.tables.iter().any(|table| table.owner.is_some());
        if is_owned && self.socket.with(read::tables)? != known.ruleset.tables {
            return Ok(false);
        }
        let Some(counts) = self.socket.with(|socket| read::counters(socket, &known.ruleset))? else { return Ok(false) };
        self.socket.with(|socket| read::refresh(socket, &mut known.ruleset))?;
        (known.counts, known.objects) = (counts, self.socket.with(read::objects)?);
        Ok(true)
    }

    /// Reads the ruleset, and gives what was known before.
    fn read_all(&mut self, sys: &Root) -> Result<Option<Known>, Error> {
        let before = self.known.as_ref().map(|known| &known.ruleset);
        let ruleset = self.socket.with(|socket| read::ruleset(socket, before))?;
        let names = Here::new(sys, &self.links, Some(&self.socket));
        let mut positions: HashMap<(Family, &[u8], &[u8]), u64> = HashMap::new();
        let mut spare = Spare::default();
        let rules = ruleset.rules.iter().map(|rule| {
            let position = positions.entry((rule.family, &rule.table, &rule.chain)).or_default();
            *position += 1;
            Words::of(rule, *position, &ruleset, &names, &mut spare)
        });
        let rules = rules.collect();
        let of = |chain: &Chain| positions.get(&(chain.family, &chain.table[..], &chain.name[..])).copied();
        // a chain without a rule has no last one
        let rules_of = ruleset.chains.iter().map(|chain| of(chain).unwrap_or(0)).collect();
        let known = Known { ruleset, rules, rules_of, counts: Vec::new(), objects: Vec::new() };
        Ok(self.known.replace(known))
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::super::testing::run;
    use super::*;
    use crate::model::Cell;
    use crate::source::file::Roots;
    use crate::source::netlink::attr::{push, push_nested};
    use crate::source::netlink::nfnetlink::Subsystem;
    use crate::source::netlink::testing::{in_own_network, run as command};

    /// Appends a message with what it is for and its attributes.
    fn push_message(batch: &mut Vec<u8>, kind: u16, flags: i32, header: [u8; 4], attributes: &[u8]) {
        batch.extend_from_slice(&(20 + attributes.len() as u32).to_ne_bytes());
        batch.extend_from_slice(&kind.to_ne_bytes());
        batch.extend_from_slice(&((libc::NLM_F_REQUEST | flags) as u16).to_ne_bytes());
        batch.extend_from_slice(&[0; 8]);
        batch.extend_from_slice(&header);
        batch.extend_from_slice(attributes);
    }

    /// Adds a rule that is nothing but `last` to a chain of the table `ip t`, reached so many milliseconds ago, if it was. Not
    /// every `nft` can write it.
    fn add_last(chain: &[u8], ago: Option<u64>) {
        const BATCH_HEADER: [u8; 4] = [0, 0, 0, 10];
        let mut attributes = Vec::new();
        push(&mut attributes, 1, b"t\0");
        push(&mut attributes, 2, chain);
        push_nested(&mut attributes, 4, |list| {
            push_nested(list, 1, |expression| {
                push(expression, 1, b"last\0");
                push_nested(expression, 2, |data| {
                    if let Some(ago) = ago {
                        push(data, 1, &1_u32.to_be_bytes());
                        push(data, 2, &ago.to_be_bytes());
                    }
                });
            });
        });
        let mut batch = Vec::new();
        push_message(&mut batch, libc::NFNL_MSG_BATCH_BEGIN as u16, 0, BATCH_HEADER, &[]);
        // NFT_MSG_NEWRULE
        let flags = libc::NLM_F_CREATE | libc::NLM_F_APPEND;
        push_message(&mut batch, Subsystem::Nftables.kind(6), flags, [2, 0, 0, 0], &attributes);
        push_message(&mut batch, libc::NFNL_MSG_BATCH_END as u16, 0, BATCH_HEADER, &[]);
        let mut socket = netlink_sys::Socket::new(libc::NETLINK_NETFILTER as isize).unwrap();
        socket.bind_auto().unwrap();
        socket.send(&batch, 0).unwrap();
    }

    /// When each rule was reached last, in their order.
    fn lasts(collector: &mut dyn Collect) -> Vec<Option<Timestamp>> {
        let batch = run(collector, &Roots::live()).unwrap_or_else(|skip| panic!("{:?}", skip.status()));
        let rows = batch.rows(NftRuleRow::TABLE).unwrap();
        let column = rows.table().position("last").unwrap();
        let cell = |row| match rows.cell(row, column) {
            Cell::Timestamp(at) => Some(at),
            _ => None,
        };
        (0..rows.len()).map(cell).collect()
    }

    /// The rules with what they have counted, as `nft -nn` writes them.
    fn texts() -> Vec<String> {
        let ruleset = Common::open(Netlink::Netfilter).unwrap().with(|socket| read::ruleset(socket, None)).unwrap();
        let scene = Scene::new(Family::Ip, b"t", &ruleset.names, &Host);
        ruleset.rules.iter().map(|rule| scene.rule(rule)).collect()
    }

    #[test]
    fn root_a_rule_says_when_a_packet_reached_it_and_the_instant_stays() {
        in_own_network(|| {
            command("nft", "add table ip t");
            command("nft", "add chain ip t side");
            command("nft", "add chain ip t out { type filter hook output priority 0 ; }");
            add_last(b"side\0", None);
            add_last(b"side\0", Some(90_000));
            add_last(b"out\0", None);
            assert_eq!(texts(), ["last used never", "last used 90s", "last used never"]);
            let mut collector = (ENTRY.make)();
            let before = Timestamp::now();
            let first = lasts(&mut *collector);
            let long_ago = first[1].unwrap();
            assert!((before.0 - long_ago.0).abs_diff(90_000_000_000) < 2_000_000_000, "{}", before.age(long_ago));
            assert_eq!((first[0], first[2]), (None, None));
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"one", "127.0.0.1:9").unwrap();
            let second = lasts(&mut *collector);
            let reached = second[2].unwrap();
            assert!((Timestamp::now().0 - reached.0).abs() < 2_000_000_000, "{reached:?}");
            assert_eq!(second, [None, Some(long_ago), Some(reached)]);
            assert_eq!(lasts(&mut *collector), second, "nothing has come, and the kernel tells another number");
        });
    }
}
