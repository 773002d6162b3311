//! What is configured about routers that are asked over SNMP?

use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::model::unit;
use crate::source::routing::settings::is_name;

/// Port of agents.
const PORT: u16 = 161;

/// How long all questions of a round may take.
pub(super) const ROUND: Duration = Duration::from_secs(30);

/// `[[routing.snmp]]`: one router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Router {
    /// What it is called here.
    pub name: String,
    /// Its address, with a port if that is not 161.
    pub address: Endpoint,
    /// Version of the protocol.
    #[serde(default)]
    pub version: Version,
    /// File of the community, for version 2c.
    #[serde(default)]
    pub community_file: PathBuf,
    /// Name of the user, for version 3.
    #[serde(default)]
    pub user: String,
    /// How the user proves who asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<Auth>,
    /// File of the password for that.
    #[serde(default)]
    pub auth_file: PathBuf,
    /// How it is hidden what is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,
    /// File of the password for that.
    #[serde(default)]
    pub privacy_file: PathBuf,
    /// Whether it is asked for the LSAs and links in its databases, too, which may be many.
    #[serde(default)]
    pub database: bool,
    /// How often it is asked.
    #[serde(default = "interval")]
    pub interval: Span,
    /// How long it may take to answer a question.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

impl Router {
    /// Files of secrets that it takes, with the keys that name them.
    pub fn files(&self) -> Vec<(&'static str, &PathBuf)> {
        let hidden = self.privacy.map(|_| ("privacy_file", &self.privacy_file));
        match self.version {
            Version::Two => vec![("community_file", &self.community_file)],
            Version::Three => self.auth.map(|_| ("auth_file", &self.auth_file)).into_iter().chain(hidden).collect(),
        }
    }

    /// Nothing heard of it for so long means that nobody asks it any more: two intervals, and the longest round.
    pub fn silence(&self) -> Duration {
        self.interval.0 * 2 + ROUND + self.timeout.0
    }

    /// What does not fit together: the key, what is wrong, and what to do.
    pub fn mistakes(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut wrong: Vec<(&'static str, String, &'static str)> = Vec::new();
        if !is_name(&self.name) {
            wrong.push(("name", format!("`{}` is no name", self.name.escape_debug()), "for example \"core-1\""));
        }
        let is_three = self.version == Version::Three;
        if is_three && self.user.is_empty() {
            wrong.push(("name", format!("router `{}` has no user", self.name), "user = \"NAME\" names one"));
        }
        if is_three && self.privacy.is_some() && self.auth.is_none() {
            let hint = "auth = \"sha256\" and auth_file = \"FILE\" say how the user proves who asks";
            wrong.push(("privacy", "nothing is hidden from who may be anybody".to_owned(), hint));
        }
        if self.privacy == Some(Privacy::Aes256) && matches!(self.auth, Some(Auth::Sha1 | Auth::Sha224)) {
            wrong.push(("privacy", "a digest is too short for such a key".to_owned(), "auth = \"sha256\", or aes128"));
        }
        if let Some(hint) = self.address.cannot_answer() {
            wrong.push(("address", format!("no router answers at {}", self.address), hint));
        }
        if self.interval.0 < LEAST {
            wrong.push(("interval", "a router is not asked more often than once a second".to_owned(), ""));
        }
        let keys: [(&'static str, bool, bool); 6] = [
            ("community_file", !self.community_file.as_os_str().is_empty(), !is_three),
            ("user", !self.user.is_empty(), is_three),
            ("auth", self.auth.is_some(), is_three),
            ("auth_file", !self.auth_file.as_os_str().is_empty(), is_three && self.auth.is_some()),
            ("privacy", self.privacy.is_some(), is_three),
            ("privacy_file", !self.privacy_file.as_os_str().is_empty(), is_three && self.privacy.is_some()),
        ];
        for (key, is_there, fits) in keys {
            if is_there && !fits {
                wrong.push((key, format!("{key} is not for what else is said of this router"), "leave it out"));
            }
        }
        for (key, path) in self.files() {
            if path.as_os_str().is_empty() {
                wrong.push((
                    "name",
                    format!("router `{}` has no {key}", self.name),
                    "only its owner may read that file",
                ));
            } else if !path.is_absolute() {
                wrong.push((key, format!("`{}` is no path from the root on", path.display()), ""));
            }
        }
        wrong
    }
}

/// Version of SNMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub enum Version {
    /// With a community.
    #[default]
    #[serde(rename = "2c")]
    Two,
    /// With a user.
    #[serde(rename = "3")]
    Three,
}

/// What people write for it, as text or as a number.
const VERSIONS: [&str; 2] = ["2c", "3"];

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Word;
        impl serde::de::Visitor<'_> for Word {
            type Value = Version;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"2c\" or \"3\"")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Version, E> {
                match word {
                    "2c" => Ok(Version::Two),
                    "3" => Ok(Version::Three),
                    other => Err(E::unknown_variant(other, &VERSIONS)),
                }
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Version, E> {
                self.visit_str(&number.to_string())
            }
        }
        deserializer.deserialize_any(Word)
    }
}

/// How a user proves who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// HMAC-SHA-96.
    Sha1,
    /// HMAC-128-SHA-224.
    Sha224,
    /// HMAC-192-SHA-256.
    Sha256,
    /// HMAC-256-SHA-384.
    Sha384,
    /// HMAC-384-SHA-512.
    Sha512,
}

/// How it is hidden what is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Privacy {
    /// AES with a key of 128 bits.
    Aes128,
    /// AES with a key of 256 bits.
    Aes256,
}

/// Where an agent answers, written like `10.0.0.1`, `10.0.0.1:1161` or `[2001:db8::1]:161`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint(pub SocketAddr);

/// A text that is no such place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no address with or without a port; names are not looked up")]
pub struct EndpointError(String);

impl TryFrom<String> for Endpoint {
    type Error = EndpointError;
    fn try_from(text: String) -> Result<Self, EndpointError> {
        let alone = || text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
        match text.parse::<SocketAddr>().or_else(|_| alone()) {
            Ok(place) if place.port() != 0 => Ok(Self(place)),
            _ => Err(EndpointError(text)),
        }
    }
}

impl Endpoint {
    /// Whether nobody can answer there, with what to write instead.
    fn cannot_answer(self) -> Option<&'static str> {
        let lacks_zone = |v6: SocketAddrV6| v6.ip().is_unicast_link_local() && v6.scope_id() == 0;
        let address = self.0.ip();
        match self.0 {
            _ if address.is_unspecified() || address.is_multicast() => Some("the address of one router"),
            SocketAddr::V4(v4) if v4.ip().is_broadcast() => Some("the address of one router"),
            SocketAddr::V6(v6) if lacks_zone(v6) => Some("with the number of an interface, as [fe80::1%2]:161"),
            _ => None,
        }
    }
}

impl From<Endpoint> for String {
    fn from(place: Endpoint) -> Self {
        place.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl schemars::JsonSchema for Endpoint {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Endpoint".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["10.0.0.1", "10.0.0.1:1161", "[2001:db8::1]:161"] })
    }
}

/// A time, written like `10s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Shortest and longest time that makes sense.
const LIMITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_hours(1));

/// Shortest interval: a router has other work than to answer.
const LEAST: Duration = Duration::from_secs(1);

fn interval() -> Span {
    Span(Duration::from_secs(10))
}

fn timeout() -> Span {
    Span(Duration::from_secs(2))
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let span = unit::parse_duration(&text).map_err(serde::de::Error::custom)?;
        if span < LIMITS.0 || span > LIMITS.1 {
            return Err(serde::de::Error::custom(format!("time `{text}` is not between 100ms and 1h")));
        }
        Ok(Self(span))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&unit::duration(self.0))
    }
}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["2s", "10s"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn router(more: &str) -> Result<Router, toml::de::Error> {
        toml::from_str(&format!("name = 'core-1'\n{more}"))
    }

    fn wrong(more: &str) -> Vec<&'static str> {
        router(more).unwrap().mistakes().into_iter().map(|(key, ..)| key).collect()
    }

    const TWO: &str = "address = '10.0.0.1'\ncommunity_file = '/etc/c'\n";
    const THREE: &str = "address = '[::1]:1161'\nversion = '3'\nuser = 'ng'\nauth = 'sha256'\nauth_file = '/a'\n";

    #[test]
    fn a_router_is_read_as_it_is_written() {
        let two = router(TWO).unwrap();
        assert_eq!(
            (two.address.to_string(), two.interval, two.timeout),
            ("10.0.0.1:161".to_owned(), interval(), timeout())
        );
        assert_eq!(two.files(), [("community_file", &PathBuf::from("/etc/c"))]);
        let three = router(&format!("{THREE}privacy = 'aes256'\nprivacy_file = '/p'\ninterval = '1m'")).unwrap();
        assert_eq!(three.address.to_string(), "[::1]:1161");
        assert_eq!((three.privacy, three.interval.0), (Some(Privacy::Aes256), Duration::from_mins(1)));
        let written = toml::to_string(&three).unwrap();
        assert_eq!(toml::from_str::<Router>(&written).unwrap(), three);
        assert!(two.mistakes().is_empty() && three.mistakes().is_empty());
        assert_eq!(router(&THREE.replace("'3'", "3")).unwrap(), router(THREE).unwrap(), "a number is one, too");
        let refused = router(&format!("{TWO}version = 1")).unwrap_err().to_string();
        assert!(refused.contains("unknown variant `1`, expected `2c` or `3`"), "{refused}");
    }

    #[test]
    fn what_makes_no_sense_is_told_at_its_key() {
        for address in ["router", "10.0.0.1:0", "10.0.0.1:99999", "", "::1:161:"] {
            assert!(router(&format!("address = '{address}'")).is_err(), "{address}");
        }
        assert!(router("address = '10.0.0.1'\ntimeout = '10ms'").is_err());
        assert!(router("address = '10.0.0.1'\ncommunity = 'public'").is_err(), "secrets are in files");
        assert_eq!(wrong("address = '10.0.0.1'"), ["name"]);
        for name in ["", "a\u{7}", "a\u{202e}b", "a\u{200b}b", &"a".repeat(65)] {
            let named = Router { name: name.to_owned(), ..router(TWO).unwrap() };
            assert_eq!(named.mistakes().into_iter().map(|(key, ..)| key).collect::<Vec<_>>(), ["name"], "{name:?}");
        }
        assert_eq!(wrong("address = '10.0.0.1'\ncommunity_file = 'c'"), ["community_file"]);
        assert_eq!(wrong(&format!("{TWO}interval = '500ms'")), ["interval"]);
        for address in ["0.0.0.0", "[::]:161", "255.255.255.255", "224.0.0.5", "ff02::5", "fe80::1"] {
            assert_eq!(wrong(&TWO.replace("10.0.0.1", address)), ["address"], "{address}");
        }
        assert!(wrong(&TWO.replace("10.0.0.1", "[fe80::1%2]:161")).is_empty());
        assert_eq!(wrong(&format!("{TWO}user = 'ng'")), ["user"]);
        assert_eq!(wrong("address = '10.0.0.1'\nversion = '3'"), ["name"]);
        assert_eq!(wrong(&format!("{THREE}privacy = 'aes128'")), ["name"]);
        assert_eq!(
            wrong(&THREE.replace("sha256", "sha1").replace("auth_file", "privacy = 'aes256'\nauth_file")),
            ["privacy", "name"]
        );
        assert_eq!(
            wrong("address = '10.0.0.1'\nversion = '3'\nuser = 'x'\nprivacy = 'aes128'\nprivacy_file = '/p'"),
            ["privacy"]
        );
    }
}
