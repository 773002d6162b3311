//! What does the database of Open vSwitch say?
//!
//! RFC 7047: values of JSON, one after another. The server tells all rows once that were asked for (`monitor`), and from then on
//! those that change, so that nothing is read again while nothing changes. An `echo` behind them says that all was heard.
//! Statistics are not asked for: the server has them every five seconds only, and a bridge tells them itself. Rows refer to each
//! other, and many may refer to the same: how many references are followed is bounded, too.

mod row;

pub use row::Port;

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Instant;

use self::row::{joined, kind, list, read_interface, read_port, set, text, uuid};
use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::control::json::{Json, documents};
use crate::source::control::line::Line;
use crate::source::control::trust::Trust;

/// Rows of a table at most.
const MAX_ROWS: usize = 1 << 14;

/// Memory of all rows at most: there is room for what a server may tell at once, and half as much again.
const MAX_BYTES: usize = 32 << 20;

/// Bridges of a database at most: each has a connection of its own.
pub const MOST_BRIDGES: usize = 1 << 10;

/// Interfaces of the ports of all bridges of a database at most, one as often as a port names it.
pub const MOST_PORTS: usize = 1 << 14;

/// What is asked for: tables and their columns, as `vswitch.ovsschema` names them.
const TABLES: [(&str, &[&str]); 5] = [
    ("Open_vSwitch", &["ovs_version", "bridges"]),
    (
        "Bridge",
        &[
            "name",
            "datapath_type",
            "datapath_id",
            "fail_mode",
            "stp_enable",
            "rstp_enable",
            "protocols",
            "controller",
            "ports",
        ],
    ),
    ("Port", &["name", "interfaces", "tag", "trunks", "vlan_mode", "bond_mode", "lacp", "bond_active_slave"]),
    (
        "Interface",
        &["name", "type", "ofport", "ifindex", "mac_in_use", "mtu", "admin_state", "link_state", "error", "options"],
    ),
    ("Controller", &["is_connected"]),
];

// places in that list
const SWITCH: usize = 0;
const BRIDGE: usize = 1;
const PORT: usize = 2;
const INTERFACE: usize = 3;
const CONTROLLER: usize = 4;

/// A bridge.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bridge {
    /// Its name, as files have it.
    pub file: Box<str>,
    /// The same for the screen.
    pub name: Text,
    /// What forwards packets: `system` for the kernel, `netdev` for a process.
    pub datapath: Text,
    /// Its number for controllers.
    pub datapath_id: Option<Text>,
    /// What becomes of it without a controller.
    pub fail_mode: Option<Text>,
    /// Whether it speaks the spanning tree protocol.
    pub stp: Option<bool>,
    /// Whether it speaks the rapid one.
    pub rstp: Option<bool>,
    /// Versions of OpenFlow that it speaks, where they were chosen.
    pub protocols: Option<Text>,
    /// Controllers that it should have.
    pub controllers: u64,
    /// Those of them that it is connected to.
    pub connected: u64,
    /// Its ports, one for each interface.
    pub ports: Vec<Port>,
    /// Interfaces of its ports for which there was no room.
    pub left_out: usize,
}

type Rows = HashMap<Box<str>, Json>;

/// What the database has told so far.
#[derive(Debug, Default)]
pub struct Told {
    tables: [Rows; TABLES.len()],
    /// Memory that they take.
    bytes: usize,
}

/// What is made of references: how many more are followed, and what was made of rows that they have led to.
struct Trail<'a> {
    room: usize,
    ports: HashMap<&'a str, Port>,
    interfaces: HashMap<&'a str, Port>,
}

impl Told {
    /// Takes rows as an answer to `monitor` or an `update` has them.
    ///
    /// # Errors
    /// There are more than any host has.
    pub fn take(&mut self, updates: &Json) -> io::Result<()> {
        for (rows, (table, _)) in self.tables.iter_mut().zip(TABLES) {
            for (id, change) in updates.get(&[table]).into_iter().flat_map(Json::members) {
                let new = change.get(&["new"]);
                let is_room = rows.len() < MAX_ROWS || rows.contains_key(id) || new.is_none();
                let before = rows.remove(id).map_or(0, |row| weight(id, &row));
                self.bytes = self.bytes.saturating_sub(before);
                let Some(new) = new else { continue };
                self.bytes += weight(id, new);
                if !is_room || self.bytes > MAX_BYTES {
                    return Err(io::Error::other(format!("more rows of {table} than are read")));
                }
                rows.insert(id.into(), new.clone());
            }
        }
        Ok(())
    }

    fn rows<'a>(&'a self, table: usize, ids: Option<&'a Json>) -> impl Iterator<Item = &'a Json> {
        let rows = self.tables.get(table);
        set(ids).iter().filter_map(move |atom| rows?.get(uuid(atom)?))
    }

    /// Version of the program.
    pub fn version(&self) -> Option<Text> {
        self.switch().find_map(|row| text(row, "ovs_version"))
    }

    fn switch(&self) -> impl Iterator<Item = &Json> {
        self.tables.get(SWITCH).into_iter().flat_map(HashMap::values)
    }

    /// Bridges with their ports, by name.
    pub fn bridges(&self) -> Bounded<Bridge> {
        let mut trail = Trail { room: MOST_PORTS, ports: HashMap::new(), interfaces: HashMap::new() };
        let mut seen = HashSet::new();
        let ids = self.switch().flat_map(|row| set(row.get(&["bridges"]))).filter_map(uuid);
        let rows = ids.filter(|id| seen.insert(*id)).filter_map(|id| self.tables.get(BRIDGE)?.get(id));
        let mut rows: Vec<(&str, &Json)> = rows.filter_map(|row| Some((row.str(&["name"])?, row))).collect();
        rows.sort_by_key(|(name, _)| *name);
        let mut bridges = Bounded::new(MOST_BRIDGES);
        for (at, (file, row)) in rows.into_iter().enumerate() {
            if at < MOST_BRIDGES {
                bridges.push(self.bridge(file, row, &mut trail));
            } else {
                bridges.leave_out();
            }
        }
        bridges
    }

    fn bridge<'a>(&'a self, file: &str, row: &'a Json, trail: &mut Trail<'a>) -> Bridge {
        let is_connected = |row: &&Json| row.flag(&["is_connected"]) == Some(true);
        let controllers: Vec<&Json> = self.rows(CONTROLLER, row.get(&["controller"])).collect();
        let (mut ports, left_out) = self.ports(row, trail);
        ports.sort_by(|a, b| (a.number, &a.name, &a.interface).cmp(&(b.number, &b.name, &b.interface)));
        Bridge {
            file: file.into(),
            name: Text::from(file),
            datapath: kind(row, "datapath_type"),
            datapath_id: text(row, "datapath_id"),
            fail_mode: text(row, "fail_mode"),
            stp: row.flag(&["stp_enable"]),
            rstp: row.flag(&["rstp_enable"]),
            protocols: list(row, "protocols"),
            controllers: controllers.len() as u64,
            connected: controllers.iter().copied().filter(is_connected).count() as u64,
            ports,
            left_out,
        }
    }

    /// Interfaces of the ports of a bridge, and for how many there was no room.
    fn ports<'a>(&'a self, bridge: &'a Json, trail: &mut Trail<'a>) -> (Vec<Port>, usize) {
        let (mut ports, mut left_out) = (Vec::new(), 0_usize);
        for id in set(bridge.get(&["ports"])).iter().filter_map(uuid) {
            let Some(row) = self.tables.get(PORT).and_then(|rows| rows.get(id)) else { continue };
            let interfaces = set(row.get(&["interfaces"]));
            let (followed, rest) = interfaces.split_at(trail.room.min(interfaces.len()));
            // one that leads nowhere has cost as much
            trail.room -= followed.len();
            left_out = left_out.saturating_add(rest.len());
            if followed.is_empty() {
                continue;
            }
            let port = trail.ports.entry(id).or_insert_with(|| read_port(row));
            for id in followed.iter().filter_map(uuid) {
                let Some(row) = self.tables.get(INTERFACE).and_then(|rows| rows.get(id)) else { continue };
                let interface = trail.interfaces.entry(id).or_insert_with(|| read_interface(row));
                ports.push(joined(port, interface));
            }
        }
        (ports, left_out)
    }
}

/// Memory of a row, about.
fn weight(id: &str, row: &Json) -> usize {
    id.len() + size_of::<Json>() + row.bytes()
}

/// A connection to a server, and what it has told.
#[derive(Debug)]
pub struct Database {
    line: Line,
    told: Told,
    /// Number of the last question.
    asked: i64,
}

impl Database {
    /// Connects to a socket that is trusted, and asks for everything.
    ///
    /// # Errors
    /// As [`Line::open`] and [`Line::part`], or the server has no such database.
    pub fn open(path: &Path, trust: &Trust, deadline: Instant) -> Result<Self, Error> {
        let line = Line::open(path, trust)?;
        line.send(monitor().as_bytes(), deadline)?;
        let mut database = Self { line, told: Told::default(), asked: 0 };
        database.hear(deadline)?;
        Ok(database)
    }

    /// Hears what has changed since; whether anything has.
    ///
    /// # Errors
    /// As [`Line::part`]. Then the connection is of no use any more.
    pub fn follow(&mut self, deadline: Instant) -> Result<bool, Error> {
        self.asked += 1;
        let question = format!("{{\"method\":\"echo\",\"params\":[],\"id\":{}}}", self.asked);
        self.line.send(question.as_bytes(), deadline)?;
        self.hear(deadline)
    }

    /// What it has told.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// Hears everything up to the answer to the last question; whether there was anything else.
    fn hear(&mut self, deadline: Instant) -> Result<bool, Error> {
        let mut is_other = false;
        loop {
            let path = self.line.path().to_owned();
            let fail = |cause: io::Error| Error::new("read what is told by", &path, cause);
            let mut scan = Scan::default();
            let said = self.line.part(|said, _| scan.end(said), deadline)?;
            let said = documents(said).map_err(|cause| fail(cause.into()))?;
            let Some(message) = said.first() else { continue };
            match message.str(&["method"]) {
                Some("update") => {
                    let updates = message.get(&["params"]).and_then(|params| params.items().get(1));
                    updates.map_or(Ok(()), |updates| self.told.take(updates)).map_err(fail)?;
                    is_other = true;
                }
                Some("echo") => self.line.send(echoed(message).as_bytes(), deadline)?,
                _ if message.get(&["id"]) != Some(&Json::Whole(self.asked)) => {}
                _ => {
                    let refused = message.get(&["error"]).filter(|error| **error != Json::Null);
                    if let Some(error) = refused {
                        let words = Text::from(error.str(&["error"]).unwrap_or("it gives no reason"));
                        return Err(fail(io::Error::new(io::ErrorKind::Unsupported, words.to_string())));
                    }
                    let rows = message.get(&["result"]).filter(|_| self.asked == 0);
                    return rows.map_or(Ok(is_other), |rows| self.told.take(rows).map(|()| true)).map_err(fail);
                }
            }
        }
    }
}

/// The question for all rows.
fn monitor() -> String {
    let mut text = String::from("{\"method\":\"monitor\",\"id\":0,\"params\":[\"Open_vSwitch\",null,{");
    for (at, (table, columns)) in TABLES.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(text, "{comma}\"{table}\":{{\"columns\":{columns:?}}}");
    }
    text + "}]}"
}

/// The answer to one who asks whether anybody is there.
fn echoed(message: &Json) -> String {
    let id = match message.get(&["id"]) {
        Some(Json::Text(id)) if id.chars().all(|letter| letter.is_ascii_graphic() && !"\"\\".contains(letter)) => {
            format!("\"{id}\"")
        }
        Some(Json::Whole(number)) => number.to_string(),
        _ => "null".to_owned(),
    };
    format!("{{\"id\":{id},\"result\":[],\"error\":null}}")
}

/// Where a value ends that begins with a brace.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    depth: usize,
    in_text: bool,
    is_escaped: bool,
}

impl Scan {
    fn end(&mut self, said: &[u8]) -> Option<usize> {
        for byte in said.get(self.at..)? {
            self.at += 1;
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.in_text => self.is_escaped = true,
                b'"' => self.in_text = !self.in_text,
                _ if self.in_text => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Reads what a server says, one value after another, as a connection does.
///
/// # Errors
/// It is no JSON, or too much of it.
pub fn read(mut said: &[u8], told: &mut Told) -> io::Result<()> {
    while let Some((message, rest)) = Scan::default().end(said).and_then(|length| said.split_at_checked(length)) {
        said = rest;
        for message in documents(message)? {
            let updates = message.get(&["params"]).and_then(|params| params.items().get(1));
            updates.or_else(|| message.get(&["result"])).map_or(Ok(()), |updates| told.take(updates))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORDED: &[u8] = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fuzz/ovs/database"));

    #[test]
    fn rows_are_told_once_and_then_those_that_change() {
        let mut first = Told::default();
        let length = Scan::default().end(RECORDED).unwrap();
        read(&RECORDED[..length], &mut first).unwrap();
        let names = |told: &Told| -> Vec<String> {
            told.bridges().kept()[0].ports.iter().map(|port| port.interface.to_string()).collect()
        };
        assert_eq!(names(&first), ["nowhere", "p2", "q1", "q2", "tunnel", "p1", "br0"]);
        let bridges = first.bridges();
        let bridge = &bridges.kept()[0];
        assert_eq!((bridge.controllers, bridge.connected), (1, 0));
        assert_eq!((&*bridge.datapath, bridge.fail_mode.as_deref()), ("netdev", Some("secure")));
        let of = |name: &str| bridge.ports.iter().find(|port| &*port.interface == name).unwrap();
        assert_eq!((of("p2").trunks.as_deref(), of("p2").tag), (Some("7,9"), Some(0)));
        assert_eq!((of("tunnel").remote.as_deref(), of("tunnel").key.as_deref()), (Some("10.9.9.9"), Some("77")));
        assert!(of("nowhere").number.is_none() && of("nowhere").error.is_some());
        assert_eq!((&*of("q1").name, of("q1").bond_mode.as_deref()), ("bond0", Some("active-backup")));
        let mut told = Told::default();
        read(RECORDED, &mut told).unwrap();
        assert_eq!(names(&told), ["nowhere", "q1", "q2", "tunnel", "p1", "br0"]);
        assert_eq!(told.bridges().kept()[0].ports[4].tag, Some(5));
        assert_eq!(
            (first.version().as_deref(), told.bridges().kept()[1].protocols.as_deref()),
            (Some("3.1.0"), Some("OpenFlow15"))
        );
    }

    #[test]
    fn a_value_ends_where_its_braces_do() {
        let text = br#"{"a":["}\"",{}]}{"b":1}"#;
        let mut scan = Scan::default();
        for length in 1..16 {
            assert_eq!(scan.end(&text[..length]), None, "{length}");
        }
        assert_eq!(scan.end(text), Some(16));
    }

    #[test]
    fn rows_have_a_bound() {
        let mut told = Told::default();
        let mut text = String::from("{\"id\":0,\"result\":{\"Port\":{");
        for number in 0..=MAX_ROWS {
            let _ = write!(text, "{}\"{number}\":{{\"new\":{{}}}}", if number == 0 { "" } else { "," });
        }
        text.push_str("}}}");
        let refused = read(text.as_bytes(), &mut told).unwrap_err().to_string();
        assert!(refused.contains("more rows of Port"), "{refused}");
    }

    /// A database in which a bridge names ports, each of which names interfaces.
    fn database(bridges: usize, ports: usize, interfaces: usize) -> Told {
        let ids = |what: &str, count: usize| {
            let ids: Vec<String> = (0..count).map(|at| format!("[\"uuid\",\"{what}{at}\"]")).collect();
            format!("[\"set\",[{}]]", ids.join(","))
        };
        let rows = |what: &str, count: usize, columns: &str| {
            let row = |at| format!("\"{what}{at}\":{{\"new\":{{\"name\":\"{what}{at}\"{columns}}}}}");
            (0..count).map(row).collect::<Vec<_>>().join(",")
        };
        let text = format!(
            "{{\"result\":{{\"Open_vSwitch\":{{\"o\":{{\"new\":{{\"bridges\":{}}}}}}},\"Bridge\":{{{}}},\"Port\":{{{}}},\"Interface\":{{{}}}}}}}",
            ids("b", bridges),
            rows("b", bridges, &format!(",\"ports\":{}", ids("p", ports))),
            rows("p", ports, &format!(",\"interfaces\":{}", ids("i", interfaces))),
            rows("i", interfaces, ""),
        );
        let mut told = Told::default();
        read(text.as_bytes(), &mut told).unwrap();
        told
    }

    #[test]
    fn what_many_refer_to_has_a_bound() {
        let bridges = database(60, 60, 60).bridges();
        let ports = |of: fn(&Bridge) -> usize| bridges.kept().iter().map(of).sum::<usize>();
        assert_eq!(ports(|bridge| bridge.ports.len()), MOST_PORTS);
        assert_eq!(ports(|bridge| bridge.left_out), 60 * 60 * 60 - MOST_PORTS);
        assert_eq!((bridges.kept().len(), bridges.left_out()), (60, 0));
        // those of the first are whole
        assert_eq!((bridges.kept()[0].ports.len(), bridges.kept()[0].left_out), (3600, 0));
        let bridges = database(MOST_BRIDGES + 3, 1, 1).bridges();
        assert_eq!((bridges.kept().len(), bridges.left_out()), (MOST_BRIDGES, 3));
    }

    #[test]
    fn a_reference_that_leads_nowhere_counts_as_well() {
        let mut told = database(1, 60, 600);
        told.tables[INTERFACE].clear();
        let bridges = told.bridges();
        assert_eq!((bridges.kept()[0].ports.len(), bridges.kept()[0].left_out), (0, 60 * 600 - MOST_PORTS));
    }

    #[test]
    fn memory_of_rows_has_a_bound_and_is_given_back() {
        let mut told = Told::default();
        let update = |id: usize, size: usize| {
            let text = format!("{{\"Port\":{{\"{id}\":{{\"new\":{{\"name\":\"{}\"}}}}}}}}", "x".repeat(size));
            documents(text.as_bytes()).unwrap().remove(0)
        };
        // one row that is told again and again takes no more
        for _ in 0..40 {
            told.take(&update(0, 4 << 20)).unwrap();
        }
        let refused = (1..40).find_map(|id| told.take(&update(id, 4 << 20)).err()).unwrap().to_string();
        assert!(refused.contains("more rows of Port"), "{refused}");
        let mut told = Told::default();
        told.take(&update(0, 100)).unwrap();
        told.take(&documents(br#"{"Port":{"0":{"old":{}}}}"#).unwrap()[0]).unwrap();
        assert_eq!(told.bytes, 0);
    }

    #[test]
    fn one_who_asks_whether_anybody_is_there_is_answered() {
        let answer = |text: &str| echoed(&documents(text.as_bytes()).unwrap()[0]);
        assert_eq!(answer(r#"{"method":"echo","id":"echo","params":[]}"#), r#"{"id":"echo","result":[],"error":null}"#);
        assert_eq!(answer(r#"{"method":"echo","id":7,"params":[]}"#), r#"{"id":7,"result":[],"error":null}"#);
        assert_eq!(answer(r#"{"method":"echo","id":"\"x","params":[]}"#), r#"{"id":null,"result":[],"error":null}"#);
    }
}
