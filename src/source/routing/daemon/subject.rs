//! Of what may a daemon tell?

use super::{Daemon, Program, Source};
use crate::source::control::standing::Standing;

/// What daemons are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Neighbors, interfaces and areas of OSPF.
    Ospf,
    /// How many routes it has found.
    Routes,
    /// The links in its databases.
    Links,
    /// The LSAs in them.
    Lsas,
    /// Sessions of BGP.
    Bgp,
    /// Sessions of bidirectional forwarding detection.
    Bfd,
    /// Adjacencies of IS-IS.
    Isis,
}

impl Daemon {
    /// Whether it is asked for something.
    pub fn tells(&self, subject: Subject) -> bool {
        match self.program {
            Program::Router if self.source == Source::Snmp => {
                matches!(subject, Subject::Ospf | Subject::Links | Subject::Lsas)
            }
            Program::Ospfd | Program::Ospf6d | Program::Router => {
                matches!(subject, Subject::Ospf | Subject::Routes | Subject::Links | Subject::Lsas)
            }
            Program::Bgpd => subject == Subject::Bgp,
            Program::Bfdd => subject == Subject::Bfd,
            Program::Isisd => subject == Subject::Isis,
            Program::Bird => subject != Subject::Isis,
        }
    }

    /// Whether nothing is known of what it could tell. Where nobody listens on a socket of this host there is nothing to tell.
    pub fn is_unheard(&self) -> bool {
        let is_over = self.state.standing == Standing::Down && self.source != Source::Snmp;
        self.told.is_none() && !self.state.is_up() && !is_over
    }
}
