//! What is configured about routing daemons?

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ask::{Asked, Board};
use super::snmp::settings::Router;
use super::vty::settings::Vty;
use crate::model::{Departed, Key, Text, Timestamp, Value, lock, unit};

/// `[routing]`: where routing daemons listen, which of them are asked at their terminal and which routers over SNMP, and which
/// neighbors they should have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Control sockets elsewhere than where packages put them, those of databases of Open vSwitch included.
    pub sockets: Vec<PathBuf>,
    /// How long a neighbor that has gone stays to be seen.
    pub keep: Keep,
    /// Neighbors that should be there, by router id or address, and interface if that matters.
    pub expect: Vec<Expected>,
    /// Routers that are asked over SNMP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub snmp: Vec<Router>,
    /// Daemons of this host that are asked at their terminal, because they have no control socket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vty: Vec<Vty>,
}

impl Settings {
    /// All who are asked by threads.
    pub fn asked(&self) -> Vec<Asked> {
        let routers = self.snmp.iter().cloned().map(Asked::Router);
        routers.chain(self.vty.iter().cloned().map(Asked::Vty)).collect()
    }
}

/// Whether somebody can be called that.
pub(super) fn is_name(name: &str) -> bool {
    let is_shown = Text::from(name).as_str() == name;
    !name.is_empty() && name.len() <= 64 && is_shown
}

/// How long what has gone stays to be seen, written like `1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep(pub Duration);

/// Shortest and longest time that makes sense.
const LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24 * 30));

impl Default for Keep {
    fn default() -> Self {
        Self(Duration::from_hours(1))
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let keep = unit::parse_duration(&text).map_err(serde::de::Error::custom)?;
        if keep < LIMITS.0 || keep > LIMITS.1 {
            return Err(serde::de::Error::custom(format!("time `{text}` is not between 1s and 30d")));
        }
        Ok(Self(keep))
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&unit::duration(self.0))
    }
}

impl schemars::JsonSchema for Keep {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Keep".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["1h", "2d"] })
    }
}

/// A neighbor that should be there, written like `10.0.0.2` or `10.0.0.2%eth1`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expected {
    /// Its router id or address.
    pub neighbor: IpAddr,
    /// The interface behind which it should be.
    pub interface: Option<String>,
}

/// A text that names no neighbor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no neighbor: a router id or address is wanted, and maybe `%` and an interface")]
pub struct ExpectedError(String);

impl TryFrom<String> for Expected {
    type Error = ExpectedError;
    fn try_from(text: String) -> Result<Self, ExpectedError> {
        let (neighbor, interface) = match text.split_once('%') {
            Some((neighbor, interface)) => (neighbor, Some(interface.to_owned())),
            None => (text.as_str(), None),
        };
        match neighbor.parse() {
            Ok(neighbor) if interface.as_deref() != Some("") => Ok(Self { neighbor, interface }),
            _ => Err(ExpectedError(text)),
        }
    }
}

impl From<Expected> for String {
    fn from(expected: Expected) -> Self {
        expected.to_string()
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.neighbor)?;
        self.interface.as_ref().map_or(Ok(()), |interface| write!(f, "%{interface}"))
    }
}

impl schemars::JsonSchema for Expected {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Expected".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["10.0.0.2", "10.0.0.2%eth1"] })
    }
}

/// What is configured now, for who asks daemons, what others have heard of routers, and who was acknowledged to have gone.
#[derive(Debug, Default)]
pub struct Wishes {
    now: Mutex<Arc<Settings>>,
    /// What those have told who are asked by threads.
    pub board: Arc<Board>,
    /// Whether another process asks them.
    elsewhere: AtomicBool,
    /// Rows that tell who has gone, by table and Ids, each with since when.
    acknowledged: Mutex<HashMap<(Text, Key), Timestamp>>,
}

/// Those who have gone that are acknowledged at once; beyond these the one that has gone first is shown again.
const ACKNOWLEDGED: usize = 8 << 10;

impl Wishes {
    /// Takes what is configured.
    pub fn configure(&self, settings: Settings) {
        self.board.keep(&settings.asked());
        *lock(&self.now) = Arc::new(settings);
    }

    /// Leaves it to another process to ask who has no control socket: this one has no network.
    pub fn leave_routers(&self) {
        self.elsewhere.store(true, Ordering::Relaxed);
    }

    /// Whether this process is to ask routers.
    pub fn asks_routers(&self) -> bool {
        !self.elsewhere.load(Ordering::Relaxed)
    }

    /// What is.
    pub fn now(&self) -> Arc<Settings> {
        Arc::clone(&lock(&self.now))
    }

    /// Somebody knows by now that one has gone.
    pub fn acknowledge(&self, gone: &Departed) {
        let mut known = lock(&self.acknowledged);
        known.insert((gone.table.clone(), Key::from_cells(gone.ids.iter().map(Value::as_cell))), gone.since);
        if known.len() > ACKNOWLEDGED {
            let first = known.iter().min_by_key(|(_, since)| **since).map(|(key, _)| key.clone());
            known.retain(|key, _| Some(key) != first.as_ref());
        }
    }

    /// Whether that is so of one that has gone then.
    pub fn is_acknowledged(&self, table: &str, key: Key, since: Timestamp) -> bool {
        let known = lock(&self.acknowledged);
        !known.is_empty() && known.get(&(Text::from(table), key)).is_some_and(|acknowledged| since <= *acknowledged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Cell;

    #[test]
    fn what_is_written_is_read_again() {
        let text = "sockets = [\"/run/x/ospfd.vty\"]\nkeep = \"2h\"\nexpect = [\"10.0.0.2\", \"fe80::1%eth1\"]\n";
        let read: Settings = toml::from_str(text).unwrap();
        assert_eq!(read.keep, Keep(Duration::from_hours(2)));
        assert_eq!(read.expect[1].interface.as_deref(), Some("eth1"));
        assert_eq!(toml::to_string(&read).unwrap(), text);
    }

    #[test]
    fn who_is_acknowledged_to_have_gone_is_until_it_goes_again() {
        let wishes = Wishes::default();
        let gone = |id: u64, since: i64| Departed {
            table: Text::from("bgp_peer"),
            ids: vec![Value::Missing, Value::U64(id)],
            since: Timestamp(since),
        };
        let key = |id: u64| Key::from_cells([Cell::Missing, Cell::U64(id)]);
        wishes.acknowledge(&gone(1, 100));
        assert!(wishes.is_acknowledged("bgp_peer", key(1), Timestamp(100)));
        for (table, id, since) in [("bgp_peer", 2, 100), ("bfd_peer", 1, 100), ("bgp_peer", 1, 101)] {
            assert!(!wishes.is_acknowledged(table, key(id), Timestamp(since)), "{table} {id} {since}");
        }
        for id in 2..=ACKNOWLEDGED as u64 + 1 {
            wishes.acknowledge(&gone(id, 200));
        }
        assert!(!wishes.is_acknowledged("bgp_peer", key(1), Timestamp(100)), "one too many");
        assert!(wishes.is_acknowledged("bgp_peer", key(2), Timestamp(200)));
    }

    #[test]
    fn what_names_no_neighbor_and_no_time_is_refused() {
        for bad in ["expect = ['router']", "expect = ['10.0.0.2%']", "expect = ['']", "keep = '0s'", "keep = '31d'"] {
            assert!(toml::from_str::<Settings>(bad).is_err(), "{bad}");
        }
    }
}
