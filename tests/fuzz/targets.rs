//! What is read that strangers write? One function for each reader; it may refuse, but neither panic nor take much memory.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use netglance::alert::action::Action;
use netglance::alert::dispatch::{Dispatch, Recipient};
use netglance::alert::run::Rules;
use netglance::alert::slots::{ROOM, SLOT, Slots};
use netglance::alert::{self, Engine, Moment};
use netglance::collect::schedule;
use netglance::config;
use netglance::model::text::MAX_LONG;
use netglance::model::{Mono, Mute, Sample, Snapshot, TableState, Timestamp};
use netglance::source::conntrack::{expect, flow};
use netglance::source::ipset::{self, element};
use netglance::source::netfilter::{acct, timeout};
use netglance::source::netlink::fib::{self, Nexthops};
use netglance::source::netlink::nfnetlink::Subsystem;
use netglance::source::netlink::{
    Message, bridge, neighbor, netdev, packet_diag, qdisc, rule, tcp_metrics, virtual_link, wireguard,
};
use netglance::source::nftables::follow::Follower;
use netglance::source::nftables::text::Names;
use netglance::source::ovs::openflow::{self, Bytes, TableCounts};
use netglance::source::ovs::{database, flow as flows, text};
use netglance::source::routing::vty::Telnet;
use netglance::source::routing::{bird, database as link_state, frr, lsa, ospf, snmp};
use netglance::source::xtables::{Sets, legacy};
use netglance::store::expr::Filter;
use netglance::store::level::Thresholds;
use netglance::store::rate::{Mode, View};
use netglance::wire::mirror::Mirror;
use netglance::wire::schema::Schema;
use netglance::wire::{bounded, convert, proto, schema};
use prost::Message as _;

/// Cells of a sample that are looked at.
const LOOKED_AT: usize = 4096;

/// Bytes of a slot before what it holds.
const HEAD: usize = 56;

/// Reads what a stranger wrote.
type Target = fn(&[u8]);

/// Every reader by its name, which is that of its directory in the corpus.
pub(crate) const TARGETS: &[(&str, Target)] = &[
    ("stream", stream),
    ("schema", schema),
    ("message", message),
    ("request", request),
    ("expression", expression),
    ("netfilter", netfilter),
    ("nftables", nftables),
    ("xtables", xtables),
    ("rtnetlink", rtnetlink),
    ("routing", routing),
    ("snmp", snmp),
    ("vty", vty),
    ("ovs", ovs),
    ("alerts", alerts),
    ("slots", slots),
    ("kept", kept),
];

/// The stream of an agent of this version: frames, each with its length before it.
fn stream(bytes: &[u8]) {
    frames(Arc::clone(schema::own()), bytes);
}

/// The stream of an agent of another version: its schema, then frames.
fn schema(mut bytes: &[u8]) {
    // what a process has learned of schemas stays for good, so that it learns no more than some
    static FIRST: OnceLock<Arc<Schema>> = OnceLock::new();
    let Ok(described) = proto::Schema::decode_length_delimited(&mut bytes) else { return };
    if let Ok(adopted) = schema::adopt(&described) {
        frames(Arc::clone(&adopted), bytes);
        FIRST.get_or_init(|| adopted);
    } else if let Some(first) = FIRST.get() {
        frames(Arc::clone(first), bytes);
    }
}

fn frames(schema: Arc<Schema>, bytes: &[u8]) {
    let mut mirror = Mirror::new(schema);
    let mut left = bytes;
    while let Some((frame, rest)) = split(left) {
        left = rest;
        let Ok(frame) = bounded::frame(frame) else { break };
        if mirror.apply(&frame).is_err() {
            break;
        }
    }
    for state in mirror.snapshot().tables.values() {
        look(state);
    }
}

/// A message with its length before it, and what follows.
fn split(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = prost::decode_length_delimiter(&mut bytes).ok()?;
    bytes.split_at_checked(length)
}

/// Reads cells as panels do, with their change.
fn look(state: &TableState) {
    let Some(Sample { rows, .. }) = &state.now else { return };
    let columns = state.table.columns.len().max(1);
    for row in 0..rows.len().min(LOOKED_AT / columns + 1) {
        (0..columns).for_each(|column| drop(rows.cell(row, column).to_value()));
    }
    if let Some(now) = state.now.as_ref().filter(|now| now.rows.len() * columns < LOOKED_AT) {
        let view = View::new(now, state.before.as_ref(), Mode::Rate);
        (0..view.len()).for_each(|row| (0..columns).for_each(|column| drop(view.cell(row, column).to_value())));
    }
}

/// Messages that a client sends, and answers of an agent beside its stream.
fn message(bytes: &[u8]) {
    if let Ok(request) = proto::WatchRequest::decode(bytes) {
        let _ = convert::demands(&request.demands);
    }
    if let Ok(request) = proto::HistoryRequest::decode(bytes) {
        let _ = convert::ask(&request);
    }
    if let Ok(request) = proto::ActRequest::decode(bytes) {
        let _ = convert::action(&request);
    }
    if let Ok(reply) = proto::HistoryReply::decode(bytes) {
        let _ = convert::series(&reply);
    }
    if let Ok(ask) = proto::Ask::decode(bytes) {
        drop(ask);
    }
    if let Ok(answer) = proto::Answer::decode(bytes) {
        drop(answer);
    }
}

/// A request over HTTP: its target, and on the next line what it accepts.
fn request(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (target, accept) = text.split_once('\n').unwrap_or((&text, ""));
    let status = netglance::server::read_request(target, accept);
    assert!([200, 400, 404, 406].contains(&status), "{status}");
}

/// A message of netfilter: its type in network byte order, and its body. What is in it comes from packets of strangers.
fn netfilter(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first_chunk() else { return };
    let message = Message { kind: u16::from_be_bytes(*kind), flags: 0, body };
    if let Ok(Some(glimpse)) = flow::glimpse(message) {
        let _ = glimpse.flow();
    }
    let _ = expect::expectation(message);
    let _ = acct::account(message);
    let _ = timeout::policy(message);
    let _ = ipset::set(message);
    // what is not the first message of a set has no type in it
    for kind in ["", "hash:ip,port,net", "bitmap:ip,mac", "hash:net,iface", "list:set"] {
        let mut written = 0;
        let _ = element::each(message, &mut kind.as_bytes().to_vec(), |element| written += element.text.len());
        assert!(written <= 4 * bytes.len() + 256 * bytes.len() / 8, "{written}");
    }
}

/// A host of which nothing is known.
struct Nowhere;

impl Sets for Nowhere {
    fn set(&self, _: u16) -> Option<String> {
        None
    }
}

impl Names for Nowhere {
    fn interface(&self, _: u32) -> Option<String> {
        None
    }
    fn cgroup(&self, _: u64) -> Option<String> {
        None
    }
    fn utc_offset(&self, _: Option<i64>) -> i64 {
        0
    }
}

/// Messages that tell of changes of the packet filter, each with its number, flags and length before it. Whoever has a network
/// namespace of his own decides what is in them.
fn nftables(mut bytes: &[u8]) {
    let mut follower = Follower::default();
    while let Some(([number, high, low, many, few], rest)) = bytes.split_first_chunk() {
        let Some((body, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([*many, *few]))) else { break };
        bytes = rest;
        let (kind, flags) = (Subsystem::Nftables.kind(*number), u16::from_be_bytes([*high, *low]));
        if let Ok(Some(commit)) = follower.read(Message { kind, flags, body }, &Nowhere) {
            let texts = commit.changes.iter().flat_map(|change| [&change.before, &change.after]).flatten();
            assert!(texts.map(|text| text.len()).max().is_none_or(|longest| longest <= MAX_LONG + 3));
        }
    }
}

/// A table of iptables as the kernel tells it: a byte that is 1 for IPv6, the answer to `IPT_SO_GET_INFO`, and that to
/// `IPT_SO_GET_ENTRIES`. Whoever has a network namespace of his own decides what is in them.
fn xtables(bytes: &[u8]) {
    let Some((is_ipv6, answers)) = bytes.split_first() else { return };
    let Some((info, entries)) = answers.split_first_chunk::<84>() else { return };
    let Some(rules) = legacy::rules(*is_ipv6 == 1, info, entries, &Nowhere) else { return };
    assert!(rules.len() <= entries.len() / 112, "{}", rules.len());
    let written: usize = rules.iter().map(|rule| rule.chain.len() + rule.text.len()).sum();
    assert!(written <= 8 * entries.len(), "{written}");
}

/// A message of rtnetlink, sock_diag or genetlink: its type in network byte order, and its body. Whoever has a network namespace of his own
/// decides what is in it.
fn rtnetlink(bytes: &[u8]) {
    let Some((kind, body)) = bytes.split_first_chunk() else { return };
    let message = Message { kind: u16::from_be_bytes(*kind), flags: 0, body };
    let mut nexthops = Nexthops::default();
    let _ = nexthops.add(message);
    if let Ok(Some(mut route)) = fib::route(message) {
        nexthops.complete(&mut route);
        assert!(route.hops.len() <= 256);
    }
    let _ = neighbor::neighbor(message);
    let _ = rule::rule(message);
    let _ = virtual_link::link(message);
    let _ = bridge::vlans_of(message);
    let mut groups = 0;
    let _ = bridge::each_group(message, |_| groups += 1);
    assert!(groups <= bytes.len() / 28, "{groups}");
    let _ = qdisc::queue(message);
    let _ = packet_diag::packet_socket(message);
    let _ = netdev::queue(message);
    let _ = tcp_metrics::metrics_of(message);
    let _ = wireguard::each_peer(message, |peer| assert!(peer.networks.len() <= bytes.len() / 8));
}

/// What comes over the control socket of a routing daemon: one answer after another, as FRR ends them, or BIRD.
fn routing(bytes: &[u8]) {
    let at = Timestamp(0);
    let answers = answers(bytes, frr::end);
    let texts: Vec<&[u8]> = answers.iter().map(|answer| answer.get(..answer.len() - 4).unwrap_or_default()).collect();
    if let Some(three) = texts.first_chunk() {
        let _ = frr::read(*three, at);
    }
    if let Some(two) = texts.first_chunk() {
        let (old, new) = (frr::read_database(*two), frr::read6_database(*two));
        assert!([old, new].into_iter().flatten().all(|links| links.done().kept().len() <= link_state::MOST));
    }
    if let Some(four) = texts.first_chunk() {
        let _ = frr::read6(*four, at);
    }
    if let Some(two) = texts.first_chunk() {
        let _ = frr::read_bfd(*two, at);
    }
    let _ = texts.first().map(|one| frr::read_bgp(one, at));
    for text in texts.iter().map(|text| String::from_utf8_lossy(text)) {
        let (mut two, three) = (frr::read_lsas(&text), frr::read6_lsas(&text));
        frr::read_lengths(&text, two.kept_mut());
        assert!(two.kept().len().max(three.kept().len()) <= lsa::MOST);
        assert!(frr::read_links([&text, &text]).done().kept().len() <= link_state::MOST);
    }
    let texts: Vec<_> = self::answers(bytes, bird::end).into_iter().map(String::from_utf8_lossy).collect();
    if let [interfaces, neighbors, areas, ..] = texts.as_slice() {
        let told = bird::read([interfaces, neighbors, areas], at);
        assert!(told.neighbors.kept().len() <= ospf::MOST);
    }
    for text in &texts {
        let clock = bird::Clock::default();
        let _ = (bird::read_bgp(text, &clock, at), bird::read_bfd(text, &clock, at), frr::read_isis(text, at));
        let _ = frr::read_quagga([text, text, text], at);
        let place = || ospf::Place { instance: None, vrf: None, version: 2 };
        let _ = (frr::read_routes6(place(), text), bird::read_routes(place(), [Some(text); 4]));
        assert!(frr::read_routes(text).kept().len() <= ospf::MOST);
        let _ = bird::read_state(2, text);
        let (two, three) = (bird::read_lsas(2, text), bird::read_lsas(3, text));
        assert!(two.kept().len().max(three.kept().len()) <= lsa::MOST);
    }
}

/// A message of a router, or the values that it told.
fn snmp(bytes: &[u8]) {
    snmp::is_answer(bytes);
    if let Ok(values) = snmp::read(bytes) {
        assert!(snmp::read(&snmp::written(&values)).is_ok_and(|again| again == values));
        let (told, _) = snmp::told(&values, Timestamp(0));
        assert!(told.neighbors.kept().len() <= ospf::MOST);
        assert!(snmp::lsas(&values).kept().len() <= lsa::MOST);
    }
}

/// What a daemon says at its terminal, with the commands of Telnet in it.
fn vty(bytes: &[u8]) {
    let (mut telnet, mut text) = (Telnet::default(), Vec::new());
    let _ = telnet.take(bytes, &mut text);
    assert!(text.len() <= bytes.len() && telnet.answers().len() <= bytes.len());
    let (mut again, mut bytewise) = (Telnet::default(), Vec::new());
    let _ = bytes.chunks(1).try_for_each(|byte| again.take(byte, &mut bytewise));
    assert_eq!(text, bytewise, "wherever it is cut");
    // behind each of them begins another answer
    let text = String::from_utf8_lossy(&text);
    let mut parts = text.split("r1> ");
    let mut part = || parts.next().unwrap_or_default();
    let at = Timestamp(0);
    let two = frr::read_quagga([part(), part(), part()], at);
    let three = frr::read_quagga6([part(), part(), part(), part()], at);
    assert!(two.neighbors.kept().len().max(three.neighbors.kept().len()) <= ospf::MOST);
}

/// What Open vSwitch says: its database in JSON, or a bridge in records of OpenFlow behind the version of their message. Whoever
/// makes flows decides what is in them.
fn ovs(bytes: &[u8]) {
    let mut told = database::Told::default();
    let _ = database::read(bytes, &mut told);
    let ports: usize = told.bridges().kept().iter().map(|bridge| bridge.ports.len()).sum();
    assert!(ports <= bytes.len(), "{ports}");
    let Some((version, records)) = bytes.split_first() else { return };
    let names = text::Names::from([(11, "p1".into())]);
    let _ = flows::each(*version, Bytes(records), |flow| {
        let fields = text::matching(flow.fields, &names).unwrap_or_default();
        assert!(fields.len() <= 32 * flow.fields.len() + 64, "{fields}");
        let actions = text::actions(flow.instructions, &names).unwrap_or_default();
        assert!(actions.len() <= MAX_LONG, "{}", actions.len());
    });
    let _ = openflow::read_ports(*version, Bytes(records), &mut |_, _| {});
    let _ = openflow::read_tables(Bytes(records), &mut TableCounts::default());
}

/// A file of rules of alerts, and what they find on a recorded host.
fn alerts(bytes: &[u8]) {
    let host = host();
    let Ok(settings) = config::read_alerts(&String::from_utf8_lossy(bytes)) else { return };
    let (rules, wrong) = Rules::new(&settings, Thresholds::default());
    assert_eq!(wrong, [""; 0], "what is read can be evaluated");
    let _ = rules.idle(&settings, Timestamp(0));
    let mut engine = Engine::new(rules);
    for (second, snapshot) in host.iter().enumerate() {
        let moment = moment(60 * second as u64);
        let looked = engine.look(snapshot, moment);
        assert!(looked.changed || looked.notifications.is_empty());
        let rows = engine.rows(moment);
        assert!(rows.iter().all(|row| row.text.len() < 4096 && row.end.is_none_or(|end| end >= row.since)));
    }
}

/// A slot of the file of what is known of alerts. Whatever is in it, the other one is read.
fn slots(bytes: &[u8]) {
    let patience = Duration::from_secs(20);
    // what is written last is in the one slot and then in the other
    for saves in 1..=2_u64 {
        let file = in_memory();
        let (slots, before) = Slots::open(file.try_clone().unwrap()).unwrap();
        assert!(before.is_empty());
        for save in 1..=saves {
            slots.save(vec![save as u8; 100], patience).unwrap();
        }
        file.write_all_at(bytes, (saves + 1) % 2 * SLOT).unwrap();
        let (_, read) = Slots::open(file).unwrap();
        let is_own = bytes.get(HEAD..HEAD + read.len()) == Some(read.as_slice()) && !read.is_empty();
        assert!(is_own || read == vec![saves as u8; 100], "{} bytes are read", read.len());
    }
}

/// What is known of alerts, as it is written down.
fn kept(bytes: &[u8]) {
    let host = host();
    let (mut engine, mut dispatch) = watcher();
    let last = moment(30);
    if !alert::taken_up(bytes, &mut engine, &mut dispatch, last) {
        return;
    }
    for (second, snapshot) in host.iter().enumerate() {
        let moment = moment(30 + 60 * second as u64);
        let looked = engine.look(snapshot, moment);
        dispatch.take(&looked.notifications, &|_| false);
        let _ = (dispatch.prepare(moment), dispatch.due(moment), dispatch.rows(moment), engine.due());
        assert!(engine.rows(moment).len() <= 1024);
    }
    let again = alert::written(&engine, &dispatch, last);
    assert!(again.len() <= ROOM);
    let (mut engine, mut dispatch) = watcher();
    assert!(alert::taken_up(&again, &mut engine, &mut dispatch, last), "what was written can be read");
}

/// What is written down of alerts of a recorded host.
pub(crate) fn written() -> Vec<u8> {
    let (mut engine, mut dispatch) = watcher();
    for (second, snapshot) in host().iter().enumerate() {
        let looked = engine.look(snapshot, moment(second as u64));
        dispatch.take(&looked.notifications, &|_| false);
        let _ = dispatch.prepare(moment(second as u64));
    }
    for (instance, until) in [("", None), ("other", Some(Timestamp::from_seconds(2e9)))] {
        let comment = Some("on it".into());
        let mute = Mute { rule: "few".into(), instance: instance.into(), until, comment, lift: false };
        engine.mute(&"somebody".into(), &mute, moment(2));
    }
    alert::written(&engine, &dispatch, moment(2))
}

/// A slot that holds something.
pub(crate) fn slot(content: &[u8]) -> Vec<u8> {
    let file = in_memory();
    let (slots, _) = Slots::open(file.try_clone().unwrap()).unwrap();
    slots.save(content.to_vec(), Duration::from_secs(20)).unwrap();
    let mut slot = vec![0; HEAD + content.len()];
    file.read_exact_at(&mut slot, SLOT).unwrap();
    slot
}

/// A file that no disk makes slow.
fn in_memory() -> File {
    rustix::fs::memfd_create("slots", rustix::fs::MemfdFlags::CLOEXEC).unwrap().into()
}

fn moment(second: u64) -> Moment {
    Moment { time: Timestamp::from_seconds(1.8e9 + second as f64), mono: Mono((second + 100) * 1_000_000_000) }
}

/// Two samples of recorded hosts.
fn host() -> &'static [Snapshot; 2] {
    static HOST: OnceLock<[Snapshot; 2]> = OnceLock::new();
    HOST.get_or_init(|| {
        [(0, "made-5.10-hypervisor"), (60, "live-6.18")].map(|(at, tree)| crate::recorded(tree, moment(at)))
    })
}

/// Rules of several kinds, and somebody who is told.
fn watcher() -> (Engine, Dispatch) {
    let rule = |name: &str, more: &str| format!("[[alert]]\nname = '{name}'\n{more}\n");
    let text = [
        rule("busy", "table = 'load'\nvalue = 'tasks'\nwarning = 1\nkeep_firing_for = '1h'"),
        rule("few", "table = 'process'\nmin = 1000000"),
        rule("gone", "table = 'process'\ngone = true\nby = ['name']"),
        rule("up", "table = 'link'\nwhen = 'mtu > 0'\nfor = '10m'"),
    ];
    let settings = config::read_alerts(&text.concat()).unwrap();
    let action: Action = toml::from_str("name = 'log'\njournald = {}").unwrap();
    let dispatch = Dispatch::new(vec![Recipient::of(&action)], Arc::default(), "host".to_owned());
    (Engine::new(Rules::new(&settings, Thresholds::default()).0), dispatch)
}

/// Every answer that is whole.
fn answers(mut bytes: &[u8], end: impl Fn(&[u8], usize) -> Option<usize>) -> Vec<&[u8]> {
    let mut answers = Vec::new();
    while let Some((answer, rest)) = end(bytes, 0).and_then(|length| bytes.split_at_checked(length)) {
        answers.push(answer);
        bytes = rest;
    }
    answers
}

/// An expression over each table.
fn expression(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for table in schedule::tables() {
        if let Err(error) = Filter::parse(&text, table) {
            assert!(!error.to_string().is_empty());
        }
    }
}
