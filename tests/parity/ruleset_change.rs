//! Changes of the packet filter: what `nft` was told to do, by which process.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netglance::collect::{Batch, COLLECTORS, Collect, Cx, Wants};
use netglance::model::{Cell, Mono, Owners, Rows, Timestamp};
use netglance::source::file::Roots;

use super::network::in_own_network;
use super::said;

/// Who, what and how it was written before and after.
type Told = (u64, String, String, Option<String>, Option<String>);

/// A collector that stays.
struct Watched {
    collector: Box<dyn Collect>,
    roots: Roots,
}

impl Watched {
    fn start() -> Self {
        let entry = COLLECTORS.iter().find(|entry| entry.name == "ruleset_change").unwrap();
        let mut watched = Self { collector: (entry.make)(), roots: Roots::live() };
        watched.rows();
        watched
    }

    fn rows(&mut self) -> Vec<Vec<(String, String)>> {
        let (wants, owners) = (Wants::default(), Owners::default());
        let (time, mono) = (Timestamp::now(), Mono::now());
        let cx = Cx { roots: &self.roots, wants: &wants, owners: &owners, time, mono };
        let mut out = Batch::default();
        self.collector.collect(&cx, &mut out).unwrap();
        let (_, rows) = out.into_tables().into_iter().next().unwrap();
        let rows = rows.unwrap();
        (0..rows.len()).map(|row| cells(&*rows, row)).collect()
    }

    /// The rows once there are so many.
    fn wait(&mut self, count: usize) -> Vec<Vec<(String, String)>> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let rows = self.rows();
            if rows.len() >= count || Instant::now() > deadline {
                return rows;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn cells(rows: &dyn Rows, row: usize) -> Vec<(String, String)> {
    let words = |cell: Cell<'_>| match cell {
        Cell::Missing => None,
        Cell::Text(text) | Cell::Label(text) => Some(text.to_owned()),
        Cell::U64(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    };
    let columns = rows.table().columns.iter().enumerate();
    columns.filter_map(|(place, column)| Some((column.name.to_string(), words(rows.cell(row, place))?))).collect()
}

fn cell(row: &[(String, String)], name: &str) -> Option<String> {
    row.iter().find(|(column, _)| column == name).map(|(_, text)| text.clone())
}

fn told(row: &[(String, String)]) -> Told {
    let need = |name| cell(row, name).unwrap_or_else(|| panic!("{name} is missing in {row:?}"));
    let what = format!("{} {}", need("action"), need("part"));
    (need("pid").parse().unwrap(), what, cell(row, "name").unwrap_or_default(), cell(row, "before"), cell(row, "after"))
}

/// Runs `nft -f -`; the process that it was.
fn nft(script: &str) -> u64 {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{script}");
    child.id().into()
}

/// Numbers that look like chance, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

/// What there is in table `inet t`, and what the kernel is to tell.
struct Model {
    chance: Chance,
    rules: Vec<String>,
    /// Handles of the rules that were there before this batch, in the same order, as `nft` tells them.
    handles: Vec<u64>,
    chains: Vec<String>,
    elements: BTreeSet<u64>,
    made: u64,
}

impl Model {
    fn rule(&mut self) -> String {
        self.made += 1;
        match self.chance.below(3) {
            0 => format!("tcp dport {} accept", self.made),
            1 => format!(
                "ip saddr 10.0.{}.{} counter drop comment \"no {}\"",
                self.made / 250,
                self.made % 250,
                self.made
            ),
            _ => format!("udp dport {{ {}, {} }} accept", self.made, self.made + 2000),
        }
    }

    /// Takes out a rule that was there before this batch.
    fn known(&mut self) -> (u64, String) {
        let place = self.chance.below(self.handles.len() as u64) as usize;
        (self.handles.remove(place), self.rules.remove(place))
    }

    /// Learns which handles rules have got, and in which order they stand.
    fn learn(&mut self) {
        let list = said("nft", &["-a", "-s", "-nn", "list", "chain", "inet", "t", "c"]);
        let lines = list.lines().filter(|line| line.starts_with("\t\t"));
        let rules = lines.map(|line| line.trim().split_once(" # handle ").unwrap());
        (self.rules, self.handles) =
            rules.map(|(text, handle)| (text.to_owned(), handle.parse::<u64>().unwrap())).unzip();
    }

    /// A command and what becomes of it, without the process.
    fn change(&mut self) -> (String, Told) {
        let own = |text: &str| Some(text.to_owned());
        match self.chance.below(8) {
            0..3 => {
                let text = self.rule();
                self.rules.push(text.clone());
                let told = (0, "added rule".to_owned(), "c".to_owned(), None, own(&text));
                (format!("add rule inet t c {text}"), told)
            }
            3 if !self.handles.is_empty() => {
                let (handle, text) = self.known();
                let told = (0, "deleted rule".to_owned(), "c".to_owned(), own(&text), None);
                (format!("delete rule inet t c handle {handle}"), told)
            }
            4 if !self.handles.is_empty() => {
                let ((handle, before), text) = (self.known(), self.rule());
                self.rules.push(text.clone());
                let told = (0, "replaced rule".to_owned(), "c".to_owned(), own(&before), own(&text));
                (format!("replace rule inet t c handle {handle} {text}"), told)
            }
            5 if !self.chains.is_empty() => {
                let name = self.chains.pop().unwrap();
                let told = (0, "deleted chain".to_owned(), name.clone(), Some(format!("chain {name}")), None);
                (format!("delete chain inet t {name}"), told)
            }
            6 => {
                self.made += 1;
                let name = format!("counter{}", self.made);
                let told = (0, "added counter".to_owned(), name.clone(), None, Some(format!("counter {name}")));
                (format!("add counter inet t {name}"), told)
            }
            _ => {
                self.made += 1;
                let name = format!("chain{}", self.made);
                self.chains.push(name.clone());
                let told = (0, "added chain".to_owned(), name.clone(), None, Some(format!("chain {name}")));
                (format!("add chain inet t {name}"), told)
            }
        }
    }

    /// Elements come or go; those of one set in one generation are one change.
    fn elements(&mut self) -> (String, Told) {
        let list = |elements: &[u64]| {
            let texts: Vec<_> = elements.iter().map(|last| format!("192.0.2.{last}")).collect();
            let several = if texts.len() == 1 { "" } else { "s" };
            (texts.join(", "), format!("{} element{several}: {{ {} }}", texts.len(), texts.join(", ")))
        };
        if self.elements.len() > 4 {
            let gone: Vec<u64> = std::mem::take(&mut self.elements).into_iter().collect();
            let (texts, told) = list(&gone);
            let told = (0, "deleted element".to_owned(), "s".to_owned(), Some(told), None);
            return (format!("delete element inet t s {{ {texts} }}"), told);
        }
        let free: Vec<u64> = (1..250).filter(|last| !self.elements.contains(last)).collect();
        let begin = self.chance.below(free.len() as u64 - 3) as usize;
        let new = &free[begin..begin + 3];
        self.elements.extend(new);
        let (texts, told) = list(new);
        (
            format!("add element inet t s {{ {texts} }}"),
            (0, "added element".to_owned(), "s".to_owned(), None, Some(told)),
        )
    }
}

#[test]
fn root_a_thousand_random_changes_are_told_once_each_with_their_process() {
    in_own_network(|| {
        nft("add table inet t\nadd chain inet t c\nadd set inet t s { type ipv4_addr; }");
        let mut watched = Watched::start();
        assert!(watched.rows().is_empty(), "nothing was changed since");
        let mut model = Model {
            chance: Chance(4711),
            rules: Vec::new(),
            handles: Vec::new(),
            chains: Vec::new(),
            elements: BTreeSet::new(),
            made: 0,
        };
        let mut expected: Vec<Told> = Vec::new();
        while expected.len() < 1000 {
            let batch = if model.chance.below(3) == 0 { 1 + model.chance.below(20) } else { 1 };
            model.learn();
            let (mut lines, mut told): (Vec<_>, Vec<_>) = (0..batch).map(|_| model.change()).unzip();
            if model.chance.below(4) == 0 {
                let (line, change) = model.elements();
                lines.insert(0, line);
                told.push(change);
            }
            let pid = nft(&lines.join("\n"));
            expected.extend(told.into_iter().map(|(_, what, name, before, after)| (pid, what, name, before, after)));
        }
        let rows = watched.wait(expected.len());
        let found: Vec<Told> = rows.iter().map(|row| told(row)).collect();
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "change {place}");
        }
        assert_eq!(found.len(), expected.len());
        let seqs: Vec<u64> = rows.iter().map(|row| cell(row, "seq").unwrap().parse().unwrap()).collect();
        assert_eq!(seqs, (1..=expected.len() as u64).collect::<Vec<_>>());
        assert!(rows.iter().all(|row| cell(row, "program").as_deref() == Some("nft")));
    });
}

/// `nft` that waits for commands, and ends with the test.
struct Interactive(Child);

impl Drop for Interactive {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn root_who_lives_is_told_with_user_and_command() {
    in_own_network(|| {
        let mut watched = Watched::start();
        let child = Command::new("nft").args(["-nn", "-i"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
        let mut nft = Interactive(child.unwrap());
        nft.0.stdin.as_mut().unwrap().write_all(b"add table ip t\n").unwrap();
        let rows = watched.wait(1);
        let [row] = &rows[..] else { panic!("{rows:?}") };
        assert_eq!(cell(row, "pid"), Some(nft.0.id().to_string()));
        assert_eq!(cell(row, "after").as_deref(), Some("table ip t"));
        let initial = std::fs::read_link("/proc/self/ns/pid").unwrap().to_str() == Some("pid:[4026531836]");
        let command = initial.then(|| "nft -nn -i".to_owned());
        assert_eq!(cell(row, "command"), command, "a process of another PID namespace cannot be asked");
        assert_eq!(cell(row, "user").is_some(), initial);
    });
}

#[test]
fn root_policies_sets_and_objects_are_told_before_and_after() {
    in_own_network(|| {
        let mut watched = Watched::start();
        nft("table inet t {
            set s { type ipv4_addr . inet_service; flags interval; size 99; timeout 1m; }
            map m { type inet_service : verdict; }
            quota q { over 10 mbytes }
            limit l { rate 5/second burst 7 packets }
            chain in { type filter hook input priority 5; policy accept; iif lo tcp dport vmap { 22 : accept }; }
        }");
        nft("add chain inet t in { policy drop; }");
        nft("flush ruleset");
        let rows = watched.wait(7 + 1 + 7);
        let texts = |names: [&str; 3]| -> Vec<String> {
            let text = |row: &Vec<(String, String)>| names.map(|name| cell(row, name).unwrap_or_default()).join("|");
            rows.iter().map(text).collect()
        };
        let found = texts(["action", "before", "after"]);
        let declared = [
            "table inet t",
            "chain in { type filter hook input priority 5; policy accept; }",
            "set s { type ipv4_addr . inet_service; flags interval,timeout; size 99; timeout 60s; }",
            "map m { type inet_service : verdict; }",
            "quota q { over 10 mbytes; }",
            "limit l { rate 5/second burst 7 packets; }",
            "iif \"lo\" tcp dport vmap { 22 : accept }",
        ];
        let mut expected: Vec<String> = declared.iter().map(|text| format!("added||{text}")).collect();
        expected.push(format!("replaced|{}|{}", declared[1], declared[1].replace("accept", "drop")));
        let now = declared.map(|text| text.replace("policy accept", "policy drop"));
        expected.extend(now.iter().map(|text| format!("deleted|{text}|")));
        let sorted = |mut texts: Vec<String>| {
            texts.sort();
            texts
        };
        assert_eq!(sorted(found), sorted(expected));
    });
}

#[test]
fn root_what_objects_are_made_of_is_told_as_nft_lists_it() {
    in_own_network(|| {
        let mut watched = Watched::start();
        nft("table ip t {
            counter c { }
            quota q { over 10 mbytes }
            limit l { rate 5/second burst 7 packets }
            ct helper h { type \"ftp\" protocol tcp; l3proto ip; }
            ct timeout some { protocol tcp; policy = { established : 100, close : 10, syn_sent2 : 7 }; }
            ct timeout every { protocol tcp; l3proto ip; policy = { syn_sent : 1, syn_recv : 2, established : 3, fin_wait : 4, \
                close_wait : 5, last_ack : 6, time_wait : 7, close : 8, syn_sent2 : 9, retrans : 11, unack : 12 }; }
            ct timeout u { protocol udp; policy = { unreplied : 7, replied : 8 }; }
            ct expectation e { protocol udp; dport 9876; timeout 90m; size 12; l3proto ip; }
            synproxy s { mss 1460; wscale 7; timestamp sack-perm; }
        }");
        let found: BTreeSet<_> = watched.wait(10).iter().filter_map(|row| cell(row, "after")).collect();
        // what a counter or quota has seen is not what it is made of
        let listed = said("nft", &["-nn", "-s", "list", "ruleset"]);
        let lines: Vec<_> = listed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut expected = BTreeSet::from(["table ip t".to_owned()]);
        for object in lines[1..lines.len() - 1].split(|line| *line == "}") {
            let [head, parts @ ..] = object else { continue };
            let name = head.trim_end_matches(" {");
            expected.insert(match parts {
                [] => name.to_owned(),
                parts => format!("{name} {{ {}; }}", parts.join("; ")),
            });
        }
        assert_eq!(found, expected);
    });
}

#[test]
fn root_what_becomes_another_is_told_as_it_was_and_as_it_is() {
    in_own_network(|| {
        said("ip", &["link", "add", "v0", "type", "veth", "peer", "name", "v1"]);
        nft("table netdev n {
            chain c { type filter hook ingress devices = { v0 } priority 0; }
        }
        table inet t {
            synproxy sp { mss 1460; wscale 7; }
            set s { type ipv4_addr; flags timeout; timeout 1500ms; gc-interval 500ms; }
            chain side { }
        }");
        let mut watched = Watched::start();
        nft("add chain netdev n c { type filter hook ingress devices = { v1 } priority 0; }");
        nft("rename chain inet t side side2");
        nft("add synproxy inet t sp { mss 1000; wscale 1; timestamp; }");
        nft("add element inet t s { 192.0.2.1 timeout 2500ms }");
        let addresses: Vec<_> = (0..600).map(|n| format!("198.51.{}.{}", 100 + n / 200, n % 200)).collect();
        let long = format!("ip saddr {{ {} }} drop", addresses.join(", "));
        nft(&format!("add rule inet t side2 {long}"));
        nft("delete set inet t s");
        nft("delete chain inet t side2");
        let rows = watched.wait(8);
        let found: Vec<_> =
            rows.iter().map(|row| told(row)).map(|(_, what, _, before, after)| (what, before, after)).collect();
        let row = |what: &str, before: &str, after: &str| {
            let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            (what.to_owned(), text(before), text(after))
        };
        let chain =
            |devices: &str| format!("chain c {{ type filter hook ingress {devices} priority 0; policy accept; }}");
        let expected = [
            row("replaced chain", &chain("device \"v0\""), &chain("devices = { v0, v1 }")),
            row("replaced chain", "chain side", "chain side2"),
            row(
                "replaced object",
                "synproxy sp { mss 1460; wscale 7; }",
                "synproxy sp { mss 1000; wscale 1; timestamp; }",
            ),
            row("added element", "", "1 element: { 192.0.2.1 timeout 2s500ms }"),
            row("added rule", "", &long),
            row("deleted set", "set s { type ipv4_addr; flags timeout; timeout 1s500ms; gc-interval 500ms; }", ""),
            row("deleted rule", &long, ""),
            row("deleted chain", "chain side2", ""),
        ];
        assert_eq!(found, expected);
    });
}
