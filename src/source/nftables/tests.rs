//! Is a rule's text that of `nft`?

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::decode::{Attrs, instructions};
use super::follow::{Action, Commit, Follower};
use super::instruction::{Bytes, Combined, HeaderOption, Instruction, Payload, Register, Source};
use super::text::{Names, Scene, declaration};
use super::{Family, Ruleset, message, read};
use crate::source::netlink::attr::push;
use crate::source::netlink::nfnetlink::Subsystem;
use crate::source::netlink::testing::{in_own_network, run};
use crate::source::netlink::{Changing, Family as Netlink, Message, Socket};
use crate::source::xtables::Sets;

/// Names of the namespace in which only the loopback interface is.
struct Loopback;

impl Sets for Loopback {
    fn set(&self, _: u16) -> Option<String> {
        None
    }
}

impl Names for Loopback {
    fn interface(&self, index: u32) -> Option<String> {
        (index == 1).then(|| "lo".to_owned())
    }

    fn cgroup(&self, _: u64) -> Option<String> {
        None
    }

    fn utc_offset(&self, _: Option<i64>) -> i64 {
        0
    }
}

fn nft(script: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Rules as `nft` lists them, by table and chain; a chain without a name is written into its rule.
fn listed() -> BTreeMap<(String, String), Vec<String>> {
    let mut chains = BTreeMap::<_, Vec<String>>::new();
    let (mut table, mut chain, mut block) = (String::new(), None, None::<String>);
    // times are told in the time zone
    let listing = Command::new("nft").args(["-nn", "list", "ruleset"]).env("TZ", "UTC").output().unwrap();
    for line in String::from_utf8(listing.stdout).unwrap().lines() {
        let depth = line.len() - line.trim_start_matches('\t').len();
        let text = line.trim();
        match (depth, block.as_mut()) {
            (0, _) if !text.starts_with("table ") => {}
            (0, _) => table = text.trim_start_matches("table ").trim_end_matches(" {").to_owned(),
            (1, _) if text.starts_with("chain ") => {
                chain = Some(text.trim_start_matches("chain ").trim_end_matches(" {").to_owned());
                chains.insert((table.clone(), chain.clone().unwrap()), Vec::new());
            }
            (1, _) => chain = None,
            (2, Some(rule)) => {
                *rule = format!("{} {text}", rule.trim_end_matches(';'));
                chains.get_mut(&(table.clone(), chain.clone().unwrap())).unwrap().push(block.take().unwrap());
            }
            (3, Some(rule)) => {
                rule.push(' ');
                rule.push_str(text);
                rule.push(';');
            }
            (2, None) if text.ends_with('{') && chain.is_some() => block = Some(text.to_owned()),
            (2, None) if text.starts_with("type ") => {}
            (2, None) => {
                if let Some(chain) = &chain {
                    chains.get_mut(&(table.clone(), chain.clone())).unwrap().push(text.to_owned());
                }
            }
            _ => {}
        }
    }
    chains
}

/// Rules as they are written here.
fn written() -> BTreeMap<(String, String), Vec<String>> {
    let mut socket = Socket::open(Netlink::Netfilter).unwrap();
    let ruleset = read::ruleset(&mut socket, None).unwrap();
    let key = |family: Family, table: &[u8], chain: &[u8]| {
        let lossy = String::from_utf8_lossy;
        (format!("{} {}", family.name(), lossy(table)), lossy(chain).into_owned())
    };
    let mut chains = BTreeMap::<_, Vec<String>>::new();
    for chain in &ruleset.chains {
        chains.insert(key(chain.family, &chain.table, &chain.name), Vec::new());
    }
    for rule in &ruleset.rules {
        let scene = Scene::new(rule.family, &rule.table, &ruleset.names, &Loopback);
        chains.get_mut(&key(rule.family, &rule.table, &rule.chain)).unwrap().push(scene.rule(rule));
    }
    chains
}

/// Lines that differ between a script as `nft` lists it and as it is written here.
fn differences(script: &str) -> (usize, Vec<String>) {
    in_own_network(|| {
        run("ip", "link set lo up");
        nft(script);
        let (theirs, ours) = (listed(), written());
        assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>());
        let (mut count, mut different) = (0, Vec::new());
        for (chain, theirs) in &theirs {
            let ours = &ours[chain];
            assert_eq!(theirs.len(), ours.len(), "{chain:?}\n{theirs:#?}\n{ours:#?}");
            for (theirs, ours) in theirs.iter().zip(ours) {
                count += 1;
                if theirs != ours {
                    different.push(format!("{chain:?}\n  nft  {theirs}\n  here {ours}"));
                }
            }
        }
        (count, different)
    })
}

#[test]
fn root_every_rule_of_the_corpus_is_written_as_nft_writes_it() {
    let (mut count, mut different) = (0, Vec::new());
    for name in ["ip", "ip6", "inet", "link"] {
        let path = format!("{}/tests/fixtures/nft/{name}.nft", env!("CARGO_MANIFEST_DIR"));
        let (lines, mut wrong) = differences(&std::fs::read_to_string(path).unwrap());
        count += lines;
        different.append(&mut wrong);
    }
    assert!(different.is_empty(), "{} of {count} differ:\n{}", different.len(), different.join("\n"));
    assert!(count >= 500, "{count}");
}

#[test]
fn what_the_kernel_refused_is_written_as_it_was_fed_to_nft() {
    let mut count = 0;
    for line in include_str!("../../../tests/fixtures/nft/refused.txt").lines().filter(|line| !line.starts_with('#')) {
        let [what, fed, hex] = line.split(" | ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let body: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let (family, attributes) = read::body(Message { kind: 0, flags: 0, body: &body }).unwrap();
        let text = if what.starts_with("flowtable") {
            declaration::flowtable(&message::flowtable(family, attributes).unwrap())
        } else {
            let attrs = Attrs::<5>::read(attributes).unwrap();
            let program = instructions(attrs.need(4).unwrap()).unwrap();
            Scene::new(family, b"t", &super::Names::default(), &Loopback).program(&program)
        };
        assert_eq!((what.split(' ').nth(1), text.as_str()), (Some(family.name()), fed));
        count += 1;
    }
    assert!(count >= 20, "{count}");
}

/// Ends whoever waits for it, also when a test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A table whose rules all say the same number.
fn uniform(number: u32) -> String {
    let rules = format!("add rule ip t c counter meta mark set {number}\n").repeat(200);
    format!("add table ip t\ndelete table ip t\nadd table ip t\nadd chain ip t c\n{rules}")
}

#[test]
fn root_a_ruleset_that_is_replaced_while_it_is_read_is_never_half_of_each() {
    let (whole, changing) = in_own_network(|| {
        nft(&uniform(0));
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in (0..).take_while(|_| !stop.load(Ordering::Relaxed)) {
                    nft(&uniform(number));
                }
            });
            let _stop = Stop(&stop);
            let mut socket = Socket::open(Netlink::Netfilter).unwrap();
            let (mut whole, mut changing) = (0, 0);
            for _ in 0..300 {
                match read::ruleset(&mut socket, None) {
                    Ok(ruleset) => {
                        let first = ruleset.rules.first().map(|rule| &rule.instructions);
                        let same = ruleset.rules.iter().all(|rule| Some(&rule.instructions) == first);
                        assert!(ruleset.rules.len() == 200 && same, "{} rules, same: {same}", ruleset.rules.len());
                        match read::counters(&mut socket, &ruleset) {
                            Ok(counts) => assert!(counts.is_none_or(|counts| counts.len() == 200)),
                            Err(error) => assert!(Changing::is_cause_of(&error), "{error}"),
                        }
                        whole += 1;
                    }
                    Err(error) => {
                        assert!(Changing::is_cause_of(&error), "{error}");
                        changing += 1;
                    }
                }
            }
            (whole, changing)
        })
    });
    assert!(whole > 0, "{changing} times it changed too fast, and never was it read");
}

fn source() -> impl Strategy<Value = Source> {
    let payload = (0_u32..5, 0_u32..300, 1_u32..65);
    let option = (0_u32..5, any::<u8>(), 0_u32..300, 0_u32..65, any::<bool>());
    prop_oneof![
        payload.prop_map(|(base, offset, length)| Source::Payload(Payload { base, offset, length })),
        option.prop_map(|(op, kind, offset, length, present)| {
            Source::Option(HeaderOption { op, kind, offset, length, present })
        }),
        (0_u32..40).prop_map(Source::Meta),
        (0_u32..30, proptest::option::of(0_u8..3)).prop_map(|(key, direction)| Source::Ct { key, direction }),
        (0_u32..70, 0_u32..5).prop_map(|(flags, result)| Source::Fib { flags, result }),
        (0_u8..20, any::<u32>()).prop_map(|(of, length)| Source::Hash {
            of: Some((Register(of), length)),
            modulus: 2,
            seed: None,
            offset: 1
        }),
    ]
}

/// Programs that no program would write: what a kernel of another version, or a liar, might tell.
fn program() -> impl Strategy<Value = Vec<Instruction>> {
    let register = || (0_u8..20).prop_map(Register);
    let bytes = || proptest::collection::vec(any::<u8>(), 0..65).prop_map(Bytes::from_vec);
    let name = || Just(b"none".to_vec());
    let one = prop_oneof![
        (register(), source()).prop_map(|(to, what)| Instruction::Load { to, what }),
        (register(), bytes()).prop_map(|(to, data)| Instruction::Immediate { to, data }),
        (register(), 0_u32..8, bytes()).prop_map(|(of, op, data)| Instruction::Cmp { of, op, data }),
        (register(), bytes(), bytes()).prop_map(|(of, from, to)| Instruction::Range { of, op: 0, from, to }),
        (register(), register(), bytes(), bytes()).prop_map(|(of, to, mask, xor)| Instruction::Bitwise {
            of,
            to,
            mask,
            xor
        }),
        (register(), register(), bytes()).prop_map(|(of, to, by)| Instruction::Shift { of, to, left: true, by }),
        (register(), register()).prop_map(|(of, to)| Instruction::Byteorder { of, to }),
        (name(), register(), register()).prop_map(|(set, of, to)| Instruction::Lookup {
            set,
            of,
            to: Some(Some(to)),
            inverted: true
        }),
        (register(), 0_u32..40).prop_map(|(from, key)| Instruction::SetMeta { key, from }),
        (register(), 0_u32..200, 1_u32..65).prop_map(|(from, offset, length)| {
            Instruction::SetPayload { what: Payload { base: 1, offset, length }, from }
        }),
        (0_u32..4, any::<u8>()).prop_map(|(kind, code)| Instruction::Reject { kind, code }),
    ];
    proptest::collection::vec(one, 0..24)
}

/// The attributes of a message of the packet filter.
fn follow(follower: &mut Follower, number: u8, generation: u32, attributes: &[u8]) -> Option<Commit> {
    let mut body = vec![2, 0];
    body.extend_from_slice(&(generation as u16).to_be_bytes());
    body.extend_from_slice(attributes);
    let message = Message { kind: Subsystem::Nftables.kind(number), flags: 0, body: &body };
    follower.read(message, &Loopback).unwrap_or_default()
}

/// `NFT_MSG_NEWGEN`
fn ends(follower: &mut Follower, generation: u32, pid: u32) -> Commit {
    let mut body = Vec::new();
    push(&mut body, 1, &generation.to_be_bytes());
    push(&mut body, 2, &pid.to_be_bytes());
    follow(follower, 15, generation, &body).unwrap()
}

/// Attributes of a table.
fn table(name: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    push(&mut body, 1, name);
    push(&mut body, 4, &7_u64.to_be_bytes());
    body
}

#[test]
fn what_somebody_changed_whose_name_was_lost_is_nobody_elses() {
    let mut follower = Follower::default();
    assert_eq!(follow(&mut follower, 0, 4, &table(b"lost\0")), None);
    assert_eq!(follow(&mut follower, 0, 5, &table(b"mine\0")), None);
    let commit = ends(&mut follower, 5, 42);
    let names: Vec<_> = commit.changes.iter().map(|change| change.table.as_slice()).collect();
    assert_eq!((commit.generation, commit.pid, names), (5, Some(42), vec![b"mine".as_slice()]));
    // and the next one begins anew
    assert_eq!(ends(&mut follower, 6, 43).changes, []);
}

#[test]
fn what_was_there_is_known_after_any_number_of_changes() {
    let mut follower = Follower::default();
    follower.begin(Ruleset { generation: 0xffff_f000, ..Ruleset::default() }, &[], &Loopback);
    for step in 1..20_u32 {
        let generation = 0xffff_f000_u32.wrapping_add(step * 0x3000);
        let told = follow(&mut follower, 0, generation, &table(b"t\0"));
        assert_eq!((told, ends(&mut follower, generation, 1).changes[0].action), (None, Action::Added));
        follow(&mut follower, 2, generation.wrapping_add(1), &table(b"t\0"));
        let gone = ends(&mut follower, generation.wrapping_add(1), 1).changes.remove(0);
        assert_eq!((gone.action, gone.before.is_some()), (Action::Deleted, true), "{generation}");
    }
}

/// Attributes of a chain with devices.
fn chain(name: &[u8], devices: &[&[u8]]) -> Vec<u8> {
    let (mut body, mut hook, mut list) = (Vec::new(), Vec::new(), Vec::new());
    for device in devices {
        push(&mut list, 1, device);
    }
    push(&mut hook, 1, &0_u32.to_be_bytes());
    push(&mut hook, 2, &0_u32.to_be_bytes());
    push(&mut hook, 4, &list);
    push(&mut body, 1, b"t\0");
    push(&mut body, 2, &3_u64.to_be_bytes());
    push(&mut body, 3, name);
    if !devices.is_empty() {
        push(&mut body, 4, &hook);
        push(&mut body, 7, b"filter\0");
    }
    body
}

#[test]
fn a_chain_that_loses_a_device_is_another_and_one_that_loses_all_is_gone() {
    let mut follower = Follower::default();
    let mut change = |generation, number, attributes: &[u8]| {
        follow(&mut follower, number, generation, attributes);
        let change = ends(&mut follower, generation, 1).changes.remove(0);
        let words = |text: Option<crate::model::Text>| {
            text.map(|text| text.split(" hook prerouting ").last().unwrap_or_default().replace(" priority 0; }", ""))
        };
        (change.action, words(change.before), words(change.after))
    };
    let text = |text: &str| Some(text.to_owned());
    let (two, one) = (text("devices = { a, b }"), text("device \"a\""));
    assert_eq!(change(1, 3, &chain(b"c\0", &[b"a\0", b"b\0"])), (Action::Added, None, two.clone()));
    assert_eq!(change(2, 5, &chain(b"c\0", &[b"b\0"])), (Action::Replaced, two, one.clone()));
    assert_eq!(change(3, 5, &chain(b"c\0", &[b"a\0"])), (Action::Deleted, one.clone(), None));
    assert_eq!(change(4, 3, &chain(b"c\0", &[b"a\0"])), (Action::Added, None, one.clone()));
    assert_eq!(change(5, 3, &chain(b"d\0", &[b"a\0"])), (Action::Replaced, one.clone(), one.clone()));
    assert_eq!(change(6, 5, &chain(b"d\0", &[])), (Action::Deleted, one, None));
}

/// Attributes of a flowtable with devices.
fn flowtable(devices: &[&[u8]]) -> Vec<u8> {
    let (mut body, mut hook, mut list) = (Vec::new(), Vec::new(), Vec::new());
    for device in devices {
        push(&mut list, 1, device);
    }
    push(&mut hook, 1, &0_u32.to_be_bytes());
    push(&mut hook, 2, &0_u32.to_be_bytes());
    push(&mut hook, 3, &list);
    push(&mut body, 1, b"t\0");
    push(&mut body, 2, b"f\0");
    if !devices.is_empty() {
        push(&mut body, 3, &hook);
    }
    body
}

#[test]
fn a_flowtable_has_the_devices_that_came_and_not_those_that_went() {
    let mut follower = Follower::default();
    let mut change = |generation, number, devices: &[&[u8]]| {
        follow(&mut follower, number, generation, &flowtable(devices));
        let change = ends(&mut follower, generation, 1).changes.remove(0);
        let words = |text: Option<crate::model::Text>| {
            let text = text?;
            Some(text.split_once("devices = { ")?.1.split_once(" }")?.0.to_owned())
        };
        (change.action, words(change.before), words(change.after))
    };
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(change(1, 22, &[b"a\0"]), (Action::Added, None, text("a")));
    assert_eq!(change(2, 22, &[b"b\0"]), (Action::Replaced, text("a"), text("a, b")));
    assert_eq!(change(3, 24, &[b"a\0"]), (Action::Replaced, text("a, b"), text("b")));
    assert_eq!(change(4, 24, &[]), (Action::Deleted, text("b"), None));
}

#[test]
fn one_instruction_that_does_not_fit_leaves_all_others() {
    let expression = |name: &[u8], data: &[u8]| {
        let mut body = Vec::new();
        push(&mut body, 1, name);
        push(&mut body, 2, data);
        body
    };
    let mut load = Vec::new();
    for (kind, number) in [(1, 8_u32), (2, 1), (3, 0), (4, 65)] {
        push(&mut load, kind, &number.to_be_bytes());
    }
    let mut list = Vec::new();
    push(&mut list, 1, &expression(b"payload\0", &load));
    push(&mut list, 1, &expression(b"notrack\0", &[]));
    let program = instructions(&list).unwrap();
    let names = super::Names::default();
    let text = Scene::new(Family::Ip, b"t", &names, &Loopback).program(&program);
    assert_eq!(text, "[unknown expression payload] notrack");
}

#[test]
fn what_is_not_understood_makes_nothing_else_false() {
    let load = |key| Instruction::Load { to: Register(8), what: Source::Meta(key) };
    let equals = || Instruction::Cmp { of: Register(8), op: 0, data: Bytes::from_slice(&[17]) };
    let unknown = || Instruction::Unknown(b"new".to_vec());
    let combine =
        |with| Instruction::Combine { of: Register(8), with: Register(with), to: Register(8), by: Combined::Or };
    let set = || Instruction::SetMeta { key: 3, from: Register(8) };
    let names = super::Names::default();
    let written =
        |program: &[Instruction]| Scene::new(Family::Inet, b"t", &names, &Loopback).without_counts().program(program);
    assert_eq!(written(&[load(16), unknown(), equals()]), "[unknown expression new] [unfilled register]");
    assert_eq!(written(&[load(3), combine(9), set()]), "[unfilled register] [unfilled register]");
    let mark = Instruction::Load { to: Register(9), what: Source::Ct { key: 3, direction: None } };
    assert_eq!(written(&[load(3), mark, combine(9), set()]), "meta mark set meta mark | ct mark");
}

#[test]
fn what_is_in_a_tunnel_is_named_as_nft_names_it() {
    let names = super::Names::default();
    let written = |program: &[Instruction]| Scene::new(Family::Inet, b"t", &names, &Loopback).program(program);
    let register = Register(8);
    let cmp = |data: &[u8]| Instruction::Cmp { of: register, op: 0, data: Bytes::from_slice(data) };
    let payload = |base, offset, length| Source::Payload(Payload { base, offset, length });
    let load = |what| Instruction::Load { to: register, what };
    // programs that newer versions of nft make of the text, from its own tests
    let within = |kind, header, flags, what| Instruction::Inner { kind, header, flags, with: Box::new(load(what)) };
    let vxlan = |what| within(1, 8, 15, what);
    let udp = || vec![load(Source::Meta(16)), cmp(&[17]), load(payload(2, 2, 2)), cmp(&[0x12, 0xb5])];
    let with = |more: &[Instruction]| written(&[&udp()[..], more].concat());
    let ip = || [vxlan(Source::Meta(1)), cmp(&[8, 0])];
    assert_eq!(with(&[vxlan(payload(4, 4, 3)), cmp(&[0, 0, 10])]), "udp dport 4789 vxlan vni 10");
    let address = [vxlan(payload(1, 12, 4)), cmp(&[10, 141, 11, 2])];
    assert_eq!(with(&[&ip()[..], &address].concat()), "udp dport 4789 vxlan ip saddr 10.141.11.2");
    let network = [vxlan(payload(1, 12, 3)), cmp(&[10, 141, 11])];
    assert_eq!(with(&[&ip()[..], &network].concat()), "udp dport 4789 vxlan ip saddr 10.141.11.0/24");
    let port = [vxlan(Source::Meta(16)), cmp(&[17]), vxlan(payload(2, 0, 2)), cmp(&[0x22, 0xb8])];
    assert_eq!(with(&port), "udp dport 4789 vxlan udp sport 8888");
    let ether = [vxlan(payload(0, 6, 6)), cmp(&[0x62, 0x87, 0x4d, 0xd6, 0x19, 5])];
    assert_eq!(with(&ether), "udp dport 4789 vxlan ether saddr 62:87:4d:d6:19:05");
    let counter = || Instruction::Counter { packets: 0, bytes: 0 };
    let twice = [&ip()[..], &address, &[counter(), vxlan(payload(1, 16, 4)), cmp(&[1, 2, 3, 4])]].concat();
    assert_eq!(
        with(&twice),
        "udp dport 4789 vxlan ip saddr 10.141.11.2 counter packets 0 bytes 0 vxlan ip daddr 1.2.3.4"
    );
    let gre = |what| within(0, 4, 12, what);
    let gre = [load(Source::Meta(16)), cmp(&[47]), gre(Source::Meta(1)), cmp(&[8, 0]), gre(payload(1, 16, 4))];
    assert_eq!(written(&[&gre[..], &[cmp(&[1, 2, 3, 4])]].concat()), "meta l4proto 47 gre ip daddr 1.2.3.4");
    assert_eq!(
        with(&[within(7, 8, 15, payload(1, 12, 4)), cmp(&[1, 2, 3, 4])]),
        "udp dport 4789 [inner header of tunnel type 7] [unfilled register]"
    );
}

proptest! {
    #[test]
    fn any_messages_of_changes_are_followed(
        messages in proptest::collection::vec((0_u8..40, 0_u32..4, proptest::collection::vec(any::<u8>(), 0..96)), 0..40),
    ) {
        let mut follower = Follower::default();
        for (number, generation, attributes) in messages {
            follow(&mut follower, number, generation, &attributes);
        }
        prop_assert!(ends(&mut follower, 9, 1).changes.is_empty(), "they were of other generations");
    }

    #[test]
    fn any_program_is_written_to_its_end(program in program(), family in 0_u8..12) {
        let names = super::Names::default();
        let text = Scene::new(Family::of(family), b"t", &names, &Loopback).program(&program);
        // every step says something short
        prop_assert!(text.len() <= 4096 * (program.len() + 1));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = (instructions(&bytes), message::element(&bytes), message::set(Family::Inet, &bytes));
        let _ = (message::rule(Family::Ip, &bytes), message::chain(Family::Ip, &bytes), message::table(Family::Ip, &bytes));
    }
}
