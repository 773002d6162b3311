//! What does the database of Open vSwitch say?
//!
//! RFC 7047: values of JSON, one after another. The server tells all rows once that were asked for (`monitor`), and from then on
//! those that change, so that nothing is read again while nothing changes. An `echo` behind them says that all was heard.
//! Statistics are not asked for: the server has them every five seconds only, and a bridge tells them itself.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Instant;

use crate::model::Text;
use crate::source::Error;
use crate::source::control::json::{Json, documents};
use crate::source::control::line::Line;
use crate::source::control::trust::Trust;

/// Rows of a table at most.
const MAX_ROWS: usize = 1 << 14;

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
}

/// An interface of a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Port {
    /// Name of the port; a bond has one name for several interfaces.
    pub name: Text,
    /// Name of the interface.
    pub interface: Text,
    /// Number of the interface in OpenFlow.
    pub number: Option<u32>,
    /// Number of the interface in the kernel.
    pub index: Option<u32>,
    /// What it is, such as `system`, `internal`, `patch` or `vxlan`.
    pub kind: Text,
    /// VLAN of what comes without one.
    pub tag: Option<u32>,
    /// VLANs that it carries; all where none are named.
    pub trunks: Option<Text>,
    /// What it does with VLANs.
    pub vlan_mode: Option<Text>,
    /// How a bond shares packets out.
    pub bond_mode: Option<Text>,
    /// Whether it speaks the protocol of link aggregation.
    pub lacp: Option<Text>,
    /// Address of the interface that a bond sends by.
    pub active: Option<Text>,
    /// Whether it is switched on.
    pub admin: Option<Text>,
    /// Whether it has a carrier.
    pub link: Option<Text>,
    /// Why it could not be made.
    pub error: Option<Text>,
    /// Its address.
    pub mac: Option<Text>,
    /// Longest packet.
    pub mtu: Option<u64>,
    /// Where a tunnel leads, or the port that a patch leads to.
    pub remote: Option<Text>,
    /// Key of a tunnel.
    pub key: Option<Text>,
}

type Rows = HashMap<Box<str>, Json>;

/// What the database has told so far.
#[derive(Debug, Default)]
pub struct Told {
    tables: [Rows; TABLES.len()],
}

impl Told {
    /// Takes rows as an answer to `monitor` or an `update` has them.
    ///
    /// # Errors
    /// There are more than any host has.
    pub fn take(&mut self, updates: &Json) -> io::Result<()> {
        for (rows, (table, _)) in self.tables.iter_mut().zip(TABLES) {
            for (id, change) in updates.get(&[table]).into_iter().flat_map(Json::members) {
                match change.get(&["new"]) {
                    Some(new) if rows.len() < MAX_ROWS || rows.contains_key(id) => {
                        rows.insert(id.into(), new.clone());
                    }
                    Some(_) => return Err(io::Error::other(format!("more rows of {table} than are read"))),
                    None => drop(rows.remove(id)),
                }
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
    pub fn bridges(&self) -> Vec<Bridge> {
        let rows = self.switch().flat_map(|row| self.rows(BRIDGE, row.get(&["bridges"])));
        let mut bridges: Vec<Bridge> = rows.filter_map(|row| self.bridge(row)).collect();
        bridges.sort_by(|a, b| a.name.cmp(&b.name));
        bridges
    }

    fn bridge(&self, row: &Json) -> Option<Bridge> {
        let file = row.str(&["name"])?;
        let is_connected = |row: &&Json| row.flag(&["is_connected"]) == Some(true);
        let controllers: Vec<&Json> = self.rows(CONTROLLER, row.get(&["controller"])).collect();
        let ports = self.rows(PORT, row.get(&["ports"])).flat_map(|port| {
            let interfaces = self.rows(INTERFACE, port.get(&["interfaces"]));
            interfaces.map(|interface| read_port(port, interface))
        });
        let mut ports: Vec<Port> = ports.collect();
        ports.sort_by(|a, b| (a.number, &a.name, &a.interface).cmp(&(b.number, &b.name, &b.interface)));
        Some(Bridge {
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
        })
    }
}

fn read_port(port: &Json, interface: &Json) -> Port {
    let number = |row: &Json, column: &str| u32::try_from(number(row, column)?).ok();
    Port {
        name: text(port, "name").unwrap_or_default(),
        interface: text(interface, "name").unwrap_or_default(),
        // one below zero could not be made
        number: number(interface, "ofport"),
        index: number(interface, "ifindex").filter(|index| *index > 0),
        kind: kind(interface, "type"),
        tag: number(port, "tag"),
        trunks: list(port, "trunks"),
        vlan_mode: text(port, "vlan_mode"),
        bond_mode: text(port, "bond_mode"),
        lacp: text(port, "lacp"),
        active: text(port, "bond_active_slave"),
        admin: text(interface, "admin_state"),
        link: text(interface, "link_state"),
        error: text(interface, "error"),
        mac: text(interface, "mac_in_use"),
        mtu: self::number(interface, "mtu").and_then(|mtu| u64::try_from(mtu).ok()),
        remote: option(interface, &["remote_ip", "peer"]),
        key: option(interface, &["key", "out_key"]),
    }
}

/// Atoms of a set; one that has a single one is written as that.
fn set(value: Option<&Json>) -> &[Json] {
    match value {
        Some(Json::List(pair)) => match pair.as_slice() {
            [Json::Text(kind), Json::List(atoms)] if &**kind == "set" => atoms,
            _ => value.map_or(&[], std::slice::from_ref),
        },
        _ => value.map_or(&[], std::slice::from_ref),
    }
}

fn uuid(atom: &Json) -> Option<&str> {
    match atom.items() {
        [Json::Text(kind), Json::Text(id)] if &**kind == "uuid" => Some(id),
        _ => None,
    }
}

/// The first atom of a column.
fn one<'a>(row: &'a Json, column: &str) -> Option<&'a Json> {
    set(row.get(&[column])).first()
}

fn text(row: &Json, column: &str) -> Option<Text> {
    if let Json::Text(text) = one(row, column)? { Some(Text::from(&**text)) } else { None }
}

fn number(row: &Json, column: &str) -> Option<i64> {
    if let Json::Whole(number) = one(row, column)? { Some(*number) } else { None }
}

/// A type, of which the usual one need not be named.
fn kind(row: &Json, column: &str) -> Text {
    text(row, column).filter(|kind| !kind.is_empty()).unwrap_or_else(|| Text::from("system"))
}

/// Atoms with commas between them; nothing when there are none.
fn list(row: &Json, column: &str) -> Option<Text> {
    let mut words = String::new();
    for atom in set(row.get(&[column])) {
        words.push_str(if words.is_empty() { "" } else { "," });
        let _ = match atom {
            Json::Text(word) => write!(words, "{word}"),
            Json::Whole(number) => write!(words, "{number}"),
            _ => Ok(()),
        };
    }
    (!words.is_empty()).then(|| Text::from(words))
}

/// The first of these keys of the map `options` that there is.
fn option(row: &Json, keys: &[&str]) -> Option<Text> {
    let Some([Json::Text(kind), Json::List(pairs)]) = row.get(&["options"]).map(Json::items) else { return None };
    let value = |wanted: &&str| {
        pairs.iter().find_map(|pair| match pair.items() {
            [Json::Text(key), Json::Text(value)] if **key == **wanted => Some(Text::from(&**value)),
            _ => None,
        })
    };
    if &**kind == "map" { keys.iter().find_map(value) } else { None }
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
            told.bridges()[0].ports.iter().map(|port| port.interface.to_string()).collect()
        };
        assert_eq!(names(&first), ["nowhere", "p2", "q1", "q2", "tunnel", "p1", "br0"]);
        let bridge = &first.bridges()[0];
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
        assert_eq!(told.bridges()[0].ports[4].tag, Some(5));
        assert_eq!(
            (first.version().as_deref(), told.bridges()[1].protocols.as_deref()),
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

    #[test]
    fn one_who_asks_whether_anybody_is_there_is_answered() {
        let answer = |text: &str| echoed(&documents(text.as_bytes()).unwrap()[0]);
        assert_eq!(answer(r#"{"method":"echo","id":"echo","params":[]}"#), r#"{"id":"echo","result":[],"error":null}"#);
        assert_eq!(answer(r#"{"method":"echo","id":7,"params":[]}"#), r#"{"id":7,"result":[],"error":null}"#);
        assert_eq!(answer(r#"{"method":"echo","id":"\"x","params":[]}"#), r#"{"id":null,"result":[],"error":null}"#);
    }
}
