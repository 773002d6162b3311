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

/// Who, what, in which table and under which name, and how it was written before and after.
type Told = (u64, String, String, Option<String>, Option<String>);

/// A collector that stays.
struct Watched {
    collector: Box<dyn Collect>,
    roots: Roots,
    /// Rows that tell of what showed that it has begun.
    first: usize,
}

impl Watched {
    fn start() -> Self {
        let entry = COLLECTORS.iter().find(|entry| entry.name == "ruleset_change").unwrap();
        let mut watched = Self { collector: (entry.make)(), roots: Roots::live(), first: 0 };
        watched.rows();
        // how things were written is known when the first change is told, and not before
        nft("add table ip first\ndelete table ip first");
        watched.wait(2);
        watched.first = 2;
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
        (self.first..rows.len()).map(|row| cells(&*rows, row)).collect()
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
    let place = format!("{} {} {}", need("family"), need("table"), cell(row, "name").unwrap_or_default());
    let place = place.trim_end().to_owned();
    (need("pid").parse().unwrap(), what, place, cell(row, "before"), cell(row, "after"))
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

/// A thing that has a name.
struct Thing {
    /// When it was made, compared with others.
    made: u64,
    kind: &'static str,
    /// Its table with the family.
    table: String,
    /// Nothing for a table.
    name: String,
    /// What it is made of, in braces.
    body: String,
}

impl Thing {
    fn place(&self) -> String {
        format!("{} {}", self.table, self.name).trim_end().to_owned()
    }

    fn add(&self) -> String {
        format!("add {} {}{}", self.kind, self.place(), self.body)
    }

    fn delete(&self) -> String {
        format!("delete {} {}", self.kind, self.place())
    }

    fn text(&self) -> String {
        let name = if self.kind == "table" { &self.table } else { &self.name };
        format!("{} {name}{}", self.kind, self.body)
    }

    fn told(&self, action: &str, before: Option<String>, after: Option<String>) -> Told {
        (0, format!("{action} {}", self.kind), self.place(), before, after)
    }
}

/// What there is, most of it in table `inet t`, and what the kernel is to tell.
struct Model {
    chance: Chance,
    rules: Vec<String>,
    /// Handles of the rules that were there before this batch, in the same order, as `nft` tells them.
    handles: Vec<u64>,
    /// Things that were there before this batch, and are as they were.
    things: Vec<Thing>,
    /// Those that this batch has made or changed.
    fresh: Vec<Thing>,
    /// Tables that this batch has changed, and those in which it has changed something.
    touched: [BTreeSet<String>; 2],
    /// What can be made.
    kinds: Vec<&'static str>,
    /// Elements of set `s` and of map `m`.
    elements: [BTreeSet<u64>; 2],
    made: u64,
}

impl Model {
    fn new(has_flowtables: bool) -> Self {
        let mut kinds = vec!["table", "chain", "chain", "set", "map", "counter", "quota", "limit"];
        kinds.extend(has_flowtables.then_some("flowtable"));
        Self {
            chance: Chance(4711),
            rules: Vec::new(),
            handles: Vec::new(),
            things: Vec::new(),
            fresh: Vec::new(),
            touched: [BTreeSet::new(), BTreeSet::new()],
            kinds,
            elements: [BTreeSet::new(), BTreeSet::new()],
            made: 0,
        }
    }

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
        self.things.append(&mut self.fresh);
        self.touched = [BTreeSet::new(), BTreeSet::new()];
    }

    fn touch(&mut self, thing: &Thing) {
        self.touched[usize::from(thing.kind != "table")].insert(thing.table.clone());
    }

    /// What a thing is made of; that of no two is the same, unless it is nothing.
    fn body(&mut self, kind: &str) -> String {
        self.made += 1;
        let made = self.made;
        match kind {
            "table" if self.chance.below(2) == 0 => " { flags dormant; }".to_owned(),
            "chain" if self.chance.below(2) == 0 => {
                let hook = ["input", "forward", "output"][self.chance.below(3) as usize];
                format!(" {{ type filter hook {hook} priority {made}; policy accept; }}")
            }
            "set" => format!(" {{ type ipv4_addr; flags timeout; timeout {made}s; }}"),
            "map" => format!(" {{ type inet_service : verdict; size {made}; }}"),
            // never so many that `nft` writes them with a larger unit
            "quota" => format!(" {{ over {} mbytes; }}", 2 * made + 1),
            "limit" => format!(" {{ rate {made}/second burst 7 packets; }}"),
            "flowtable" => format!(" {{ hook ingress priority {made}; devices = {{ lo }}; }}"),
            _ => String::new(),
        }
    }

    /// A command and what becomes of it, without the process.
    fn change(&mut self) -> (String, Vec<Told>) {
        let own = |text: &str| Some(text.to_owned());
        let rule = |action: &str, before, after| (0, format!("{action} rule"), "inet t c".to_owned(), before, after);
        match self.chance.below(10) {
            0..3 => {
                let text = self.rule();
                self.rules.push(text.clone());
                (format!("add rule inet t c {text}"), vec![rule("added", None, own(&text))])
            }
            3 if !self.handles.is_empty() => {
                let (handle, text) = self.known();
                (format!("delete rule inet t c handle {handle}"), vec![rule("deleted", own(&text), None)])
            }
            4 if !self.handles.is_empty() => {
                let ((handle, before), text) = (self.known(), self.rule());
                self.rules.push(text.clone());
                let line = format!("replace rule inet t c handle {handle} {text}");
                (line, vec![rule("replaced", own(&before), own(&text))])
            }
            other @ 5..8 => match self.calm() {
                Some(thing) if other == 5 => self.delete(thing),
                Some(thing) => self.replace(thing),
                None => self.add(),
            },
            _ => self.add(),
        }
    }

    fn add(&mut self) -> (String, Vec<Told>) {
        let kind = self.kinds[self.chance.below(self.kinds.len() as u64) as usize];
        let body = self.body(kind);
        let other_tables: Vec<_> = self.things.iter().filter(|thing| thing.kind == "table").collect();
        let place = self.chance.below(2 * other_tables.len() as u64 + 1) as usize;
        let table = match (kind, other_tables.get(place)) {
            ("table", _) => format!("ip table{}", self.made),
            ("chain", Some(table)) => table.table.clone(),
            _ => "inet t".to_owned(),
        };
        let name = if kind == "table" { String::new() } else { format!("{kind}{}", self.made) };
        let thing = Thing { made: self.made, kind, table, name, body };
        let done = (thing.add(), vec![thing.told("added", None, Some(thing.text()))]);
        self.touch(&thing);
        self.fresh.push(thing);
        done
    }

    /// Takes out a thing that was there before this batch. A table is changed apart from what is in it: while its flags
    /// change, the kernel lets no chain with a hook come or go.
    fn calm(&mut self) -> Option<Thing> {
        let is_calm = |thing: &Thing| !self.touched[usize::from(thing.kind == "table")].contains(&thing.table);
        let calm: Vec<usize> = (0..self.things.len()).filter(|place| is_calm(&self.things[*place])).collect();
        let place = *calm.get(self.chance.below(calm.len() as u64 + 1) as usize)?;
        let thing = self.things.remove(place);
        self.touch(&thing);
        Some(thing)
    }

    /// With a table goes what is in it.
    fn delete(&mut self, thing: Thing) -> (String, Vec<Told>) {
        let line = thing.delete();
        let within = |other: &mut Thing| thing.kind == "table" && other.table == thing.table;
        let mut gone: Vec<Thing> = self.things.extract_if(.., within).collect();
        gone.sort_by_key(|thing| thing.made);
        gone.push(thing);
        (line, gone.iter().map(|thing| thing.told("deleted", Some(thing.text()), None)).collect())
    }

    /// Makes another one of it, or, of what the kernel cannot change, deletes it and adds one of the same name.
    fn replace(&mut self, mut thing: Thing) -> (String, Vec<Told>) {
        let (before, delete) = (Some(thing.text()), thing.delete());
        let other = match (thing.kind, thing.body.as_str()) {
            ("table", "") => Some(" { flags dormant; }".to_owned()),
            ("table", _) => Some(String::new()),
            ("chain", body) if body.contains("accept") => Some(body.replace("accept", "drop")),
            ("chain", body) if body.contains("drop") => Some(body.replace("drop", "accept")),
            ("set" | "quota", _) => Some(self.body(thing.kind)),
            _ => None,
        };
        let done = if let Some(body) = other {
            thing.body = body;
            (thing.add(), vec![thing.told("replaced", before, Some(thing.text()))])
        } else {
            let deleted = thing.told("deleted", before, None);
            (thing.body, thing.made) = (self.body(thing.kind), self.made);
            (format!("{delete}\n{}", thing.add()), vec![deleted, thing.told("added", None, Some(thing.text()))])
        };
        self.fresh.push(thing);
        done
    }

    /// Elements come or go; those of one set in one generation are one change.
    fn elements(&mut self, of: usize) -> (String, Told) {
        let name = ["s", "m"][of];
        let list = |elements: &[u64]| {
            let text = |last: &u64| if of == 0 { format!("192.0.2.{last}") } else { format!("{last} : accept") };
            let texts: Vec<_> = elements.iter().map(text).collect();
            let several = if texts.len() == 1 { "" } else { "s" };
            (texts.join(", "), format!("{} element{several}: {{ {} }}", texts.len(), texts.join(", ")))
        };
        let place = format!("inet t {name}");
        if self.elements[of].len() > 4 {
            let gone: Vec<u64> = std::mem::take(&mut self.elements[of]).into_iter().collect();
            let (texts, told) = list(&gone);
            let told = (0, "deleted element".to_owned(), place, Some(told), None);
            return (format!("delete element inet t {name} {{ {texts} }}"), told);
        }
        let free: Vec<u64> = (1..250).filter(|last| !self.elements[of].contains(last)).collect();
        let begin = self.chance.below(free.len() as u64 - 3) as usize;
        let new = &free[begin..begin + 3];
        self.elements[of].extend(new);
        let (texts, told) = list(new);
        let told = (0, "added element".to_owned(), place, None, Some(told));
        (format!("add element inet t {name} {{ {texts} }}"), told)
    }
}

/// Whether this kernel has flowtables.
fn has_flowtables() -> bool {
    let script =
        "nft 'add table inet f; add flowtable inet f f { hook ingress priority 0; }' && nft delete table inet f";
    Command::new("sh").args(["-c", script]).stderr(Stdio::null()).status().unwrap().success()
}

/// Fails unless there was everything that can become of each part; of limits and maps a new one takes the place.
fn all_of_it(found: &[Told]) {
    let kinds = ["chain", "counter", "element", "limit", "map", "quota", "rule", "set", "table"];
    let mut whats: BTreeSet<String> =
        kinds.iter().flat_map(|kind| ["added", "deleted"].map(|action| format!("{action} {kind}"))).collect();
    whats.extend(["chain", "quota", "rule", "set", "table"].map(|kind| format!("replaced {kind}")));
    for (_, what, ..) in found {
        whats.remove(what);
    }
    assert!(whats.is_empty(), "never {whats:?}");
}

#[test]
fn root_a_thousand_random_changes_are_told_once_each_with_their_process() {
    in_own_network(|| {
        let mut model = Model::new(has_flowtables());
        nft("add table inet t\nadd chain inet t c\nadd set inet t s { type ipv4_addr; }\n\
            add map inet t m { type inet_service : verdict; }");
        let mut watched = Watched::start();
        assert!(watched.rows().is_empty(), "nothing was changed since");
        let mut expected: Vec<Told> = Vec::new();
        while expected.len() < 1000 {
            let batch = if model.chance.below(3) == 0 { 1 + model.chance.below(20) } else { 1 };
            model.learn();
            let (mut lines, told): (Vec<_>, Vec<_>) = (0..batch).map(|_| model.change()).unzip();
            let mut told = told.concat();
            // elements are told behind the others, those of the map first
            for of in [1, 0] {
                if model.chance.below(4) == 0 {
                    let (line, change) = model.elements(of);
                    lines.insert(0, line);
                    told.push(change);
                }
            }
            let pid = nft(&lines.join("\n"));
            expected.extend(told.into_iter().map(|(_, what, place, before, after)| (pid, what, place, before, after)));
        }
        let rows = watched.wait(expected.len());
        let found: Vec<Told> = rows.iter().map(|row| told(row)).collect();
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "change {place}");
        }
        assert_eq!(found.len(), expected.len());
        let seqs: Vec<u64> = rows.iter().map(|row| cell(row, "seq").unwrap().parse().unwrap()).collect();
        assert_eq!(seqs, (watched.first as u64 + 1..).take(expected.len()).collect::<Vec<_>>());
        assert!(rows.iter().all(|row| cell(row, "program").as_deref() == Some("nft")));
        all_of_it(&found);
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
