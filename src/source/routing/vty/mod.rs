//! What do daemons tell at their terminal?
//!
//! Those of Quagga, and of FRR as far as it tells the same, listen for people on a TCP port of this host: where there is no
//! control socket that is the only way. [`super::ask`] has a thread for each of them, which stays logged in and asks what somebody
//! at a terminal can ask, never for more rights. What was heard is text; [`told`] reads it as what the control socket of Quagga tells.

mod client;
mod peers;
pub mod settings;
mod telnet;

use std::sync::Arc;

pub(super) use client::Client;
pub use peers::Peers;
pub use telnet::Telnet;

use self::settings::Program;
use super::database::Link;
use super::frr;
use super::lsa::Lsa;
use super::ospf::{Place, RouteCount};
use super::told::Told;
use crate::model::{Text, Timestamp};
use crate::source::bounded::Bounded;

/// Questions of a round at most, with those before the first.
pub(super) const QUESTIONS: u32 = 20;

/// How often it is asked what may be much.
const EVERY: std::time::Duration = std::time::Duration::from_secs(5);

/// What a daemon has answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// What it says of its version.
    pub version: String,
    /// What it is asked every time, in the order of the questions.
    pub state: Vec<String>,
    /// What it is asked now and then.
    pub database: Option<Arc<Stored>>,
}

/// What is in the databases of a daemon.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// When it was told.
    pub at: Timestamp,
    /// Answers, in the order of the questions.
    pub answers: Vec<String>,
    /// Why there are none.
    pub untold: Option<String>,
}

impl Answers {
    /// Takes from those before what was not asked this time.
    pub(super) fn follow(&mut self, before: &Self) {
        if self.database.is_none() {
            self.database.clone_from(&before.database);
        }
    }

    /// Name and version of the program, such as `Quagga 1.2.4`.
    pub fn version(&self) -> Option<Text> {
        frr::version_in(self.version.as_bytes())
    }

    /// What it says of neighbors, interfaces and areas.
    pub fn told(&self, program: Program, at: Timestamp) -> Told {
        let [one, two, three, four] = texts(&self.state);
        match program {
            Program::Ospfd => frr::read_quagga([one, two, three], at),
            Program::Ospf6d => frr::read_quagga6([one, two, three, four], at),
        }
    }
}

impl Stored {
    /// How many routes it has found.
    pub fn routes(&self, program: Program) -> Bounded<RouteCount> {
        let [routes, ..] = texts::<1>(&self.answers);
        match program {
            Program::Ospfd => frr::read_routes(routes),
            Program::Ospf6d => {
                let mut counts = Bounded::new(super::ospf::MOST);
                counts.extend(frr::read_routes6(Place { instance: None, vrf: None, version: 3 }, routes));
                counts
            }
        }
    }

    /// LSAs, with their lengths.
    pub fn lsas(&self, program: Program) -> Bounded<Lsa> {
        let [_, list] = texts(&self.answers);
        match program {
            Program::Ospfd => {
                let mut lsas = frr::read_lsas(list);
                for answer in self.answers.iter().skip(2) {
                    frr::read_lengths(answer, lsas.kept_mut());
                }
                lsas
            }
            Program::Ospf6d => frr::read6_lsas(list),
        }
    }

    /// Who is linked to whom; `ospf6d` tells that in no text.
    pub fn links(&self, program: Program) -> Bounded<Link> {
        let [_, _, routers, networks] = texts(&self.answers);
        match program {
            Program::Ospfd => frr::read_links([routers, networks]).done(),
            Program::Ospf6d => Bounded::new(0),
        }
    }
}

/// The first answers; what is missing is empty.
fn texts<const COUNT: usize>(answers: &[String]) -> [&str; COUNT] {
    std::array::from_fn(|at| answers.get(at).map_or("", String::as_str))
}

/// What a daemon is asked every time.
fn state(program: Program) -> &'static [&'static str] {
    match program {
        Program::Ospfd => &["show ip ospf neighbor detail", "show ip ospf interface", "show ip ospf"],
        Program::Ospf6d => &[
            "show ipv6 ospf6 neighbor",
            "show ipv6 ospf6 neighbor detail",
            "show ipv6 ospf6 interface",
            "show ipv6 ospf6",
        ],
    }
}

/// What it is asked now and then; the second answer is a list, from which more questions follow.
fn stored(program: Program) -> &'static [&'static str] {
    match program {
        Program::Ospfd => &[
            "show ip ospf route",
            "show ip ospf database",
            "show ip ospf database router",
            "show ip ospf database network",
        ],
        Program::Ospf6d => &["show ipv6 ospf6 route summary", "show ipv6 ospf6 database detail"],
    }
}

/// Those questions: how long LSAs are is told of each type by itself.
fn more(program: Program, list: &str) -> Vec<String> {
    let names = || frr::types_in(list).filter(|name| !["router", "network"].contains(name));
    match program {
        Program::Ospfd => names().map(|name| format!("show ip ospf database {name}")).collect(),
        Program::Ospf6d => Vec::new(),
    }
}
