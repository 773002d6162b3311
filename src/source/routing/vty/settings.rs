//! What is configured about daemons that are asked at their terminal?

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use super::QUESTIONS;
use crate::source::routing::settings::is_name;
use crate::source::routing::snmp::settings::Span;

/// `[[routing.vty]]`: one daemon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Vty {
    /// What it is called here.
    pub name: String,
    /// Where it listens on this host.
    #[serde(deserialize_with = "loopback")]
    #[schemars(with = "String")]
    pub address: SocketAddr,
    /// Which daemon it is, where the port does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Program>,
    /// File of the password that its terminal asks for.
    #[serde(default)]
    pub password_file: PathBuf,
    /// Whether it is asked for its routes and the links and LSAs in its databases, too, which may be many.
    #[serde(default)]
    pub database: bool,
    /// How often it is asked.
    #[serde(default = "interval")]
    pub interval: Span,
    /// How long it may take to answer a question.
    #[serde(default = "timeout")]
    pub timeout: Span,
}

impl Vty {
    /// Which daemon it is.
    pub fn program(&self) -> Option<Program> {
        self.program.or_else(|| Program::at(self.address.port()))
    }

    /// Nothing heard of it for so long means that nobody asks it any more: two intervals, and the longest round.
    pub fn silence(&self) -> Duration {
        self.interval.0 * 2 + self.timeout.0 * QUESTIONS
    }

    /// What does not fit together: the key, what is wrong, and what to do.
    pub fn mistakes(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut wrong: Vec<(&'static str, String, &'static str)> = Vec::new();
        if !is_name(&self.name) {
            wrong.push(("name", format!("`{}` is no name", self.name.escape_debug()), "for example \"quagga\""));
        }
        if self.program().is_none() {
            let message = format!("nothing says which daemon listens on port {}", self.address.port());
            wrong.push(("address", message, "program = \"ospfd\" or \"ospf6d\" does"));
        }
        if self.password_file.as_os_str().is_empty() {
            let message = format!("daemon `{}` has no password_file", self.name);
            wrong.push(("name", message, "only its owner may read that file"));
        } else if !self.password_file.is_absolute() {
            let message = format!("`{}` is no path from the root on", self.password_file.display());
            wrong.push(("password_file", message, ""));
        }
        if self.interval.0 < LEAST {
            wrong.push(("interval", "a daemon is not asked more often than once a second".to_owned(), ""));
        }
        if self.timeout.0 > LONGEST {
            wrong.push(("timeout", "a daemon of this host is not waited for longer than 10 s".to_owned(), ""));
        }
        wrong
    }
}

/// A daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Program {
    /// OSPF, version 2.
    Ospfd,
    /// OSPF, version 3.
    Ospf6d,
}

impl Program {
    /// The one whose port it is, as `/etc/services` has them.
    fn at(port: u16) -> Option<Self> {
        match port {
            2604 => Some(Self::Ospfd),
            2606 => Some(Self::Ospf6d),
            _ => None,
        }
    }
}

/// Where a daemon of this host listens, written like `127.0.0.1:2604` or `[::1]:2606`. What is said there is not hidden, so that
/// other hosts are not asked.
fn loopback<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    let place = text.parse::<SocketAddr>().ok().filter(|place| place.ip().is_loopback() && place.port() != 0);
    let why = || {
        format!("`{text}` is no loopback address with a port, such as 127.0.0.1:2604: passwords do not leave this host")
    };
    place.ok_or_else(|| D::Error::custom(why()))
}

/// Shortest interval, and longest time for an answer.
const LEAST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10);

fn interval() -> Span {
    Span(Duration::from_secs(1))
}

fn timeout() -> Span {
    Span(Duration::from_millis(500))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vty(more: &str) -> Result<Vty, toml::de::Error> {
        toml::from_str(&format!("name = 'quagga'\n{more}"))
    }

    fn wrong(more: &str) -> Vec<&'static str> {
        vty(more).unwrap().mistakes().into_iter().map(|(key, ..)| key).collect()
    }

    const TWO: &str = "address = '127.0.0.1:2604'\npassword_file = '/etc/p'\n";

    #[test]
    fn a_daemon_is_read_as_it_is_written() {
        let two = vty(TWO).unwrap();
        assert_eq!((two.program(), two.interval, two.timeout), (Some(Program::Ospfd), interval(), timeout()));
        let three = vty("address = '[::1]:7'\nprogram = 'ospf6d'\npassword_file = '/p'\ndatabase = true").unwrap();
        assert_eq!((three.program(), three.address.to_string()), (Some(Program::Ospf6d), "[::1]:7".to_owned()));
        assert_eq!(toml::from_str::<Vty>(&toml::to_string(&three).unwrap()).unwrap(), three);
        assert!(two.mistakes().is_empty() && three.mistakes().is_empty());
        let moved = vty("address = '127.9.9.9:2606'\nprogram = 'ospfd'").unwrap();
        assert_eq!(moved.program(), Some(Program::Ospfd), "what is said of it wins over the port");
    }

    #[test]
    fn what_makes_no_sense_is_told_at_its_key() {
        for address in ["10.0.0.1:2604", "127.0.0.1", "127.0.0.1:0", "localhost:2604", "[::]:2604", "0.0.0.0:2604", ""]
        {
            assert!(vty(&format!("address = '{address}'")).is_err(), "{address}");
        }
        assert!(vty("address = '[::ffff:127.0.0.1]:2604'").is_err(), "one address is not written in two ways");
        assert!(vty("address = '127.0.0.1:2604'\npassword = 'zebra'").is_err(), "secrets are in files");
        assert!(vty("address = '127.0.0.1:2605'\nprogram = 'bgpd'").is_err());
        assert_eq!(wrong("address = '127.0.0.1:2604'"), ["name"]);
        assert_eq!(wrong("address = '127.0.0.1:2605'\npassword_file = '/p'"), ["address"]);
        assert_eq!(wrong("address = '127.0.0.1:2604'\npassword_file = 'p'"), ["password_file"]);
        assert_eq!(wrong(&format!("{TWO}interval = '500ms'")), ["interval"]);
        assert_eq!(wrong(&format!("{TWO}timeout = '11s'")), ["timeout"]);
        for name in ["", "a\u{7}", "a\u{202e}b"] {
            let named = Vty { name: name.to_owned(), ..vty(TWO).unwrap() };
            assert_eq!(named.mistakes().into_iter().map(|(key, ..)| key).collect::<Vec<_>>(), ["name"], "{name:?}");
        }
    }
}
