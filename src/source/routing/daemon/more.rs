//! What is a daemon asked for that costs more than the rest?
//!
//! How many routes there are, and what is in its databases: only while somebody looks, now and then, and when all others have been
//! asked. What goes wrong with it is of no other consequence.

use std::time::{Duration, Instant};

use super::super::bird;
use super::super::database::{Links, Looked};
use super::super::frr;
use super::super::socket::{Program, Source};
use super::Daemon;
use crate::model::Timestamp;
use crate::source::bounded::Bounded;
use crate::source::control::line::PATIENCE;

/// With less time than this what costs more is not asked: an answer that comes late is lost, and its connection with it.
const ENOUGH: Duration = Duration::from_millis(250);

/// How long a number of routes is good for.
const COUNT_EVERY: Duration = Duration::from_secs(5);

/// What costs more than the rest, and is asked only while somebody looks at it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// How many routes OSPF has found.
    pub routes: bool,
    /// The links in its databases.
    pub links: bool,
    /// The LSAs in its databases.
    pub lsas: bool,
    /// Areas; of BIRD their LSAs are counted.
    pub areas: bool,
    /// How long those are, where a daemon must be asked for more.
    pub lengths: bool,
}

impl Daemon {
    /// Asks for what is wanted and costs more, as far as there is time. What is left is asked in another round.
    pub(super) fn ask_more(&mut self, wanted: Wanted, end: Instant) {
        if !wanted.links {
            self.database.links = Looked::default();
        }
        let lsas = wanted.lsas || (wanted.areas && self.program == Program::Bird);
        if !lsas {
            (self.database.lsas, self.database.counts) = (Looked::default(), Vec::new());
        }
        let (is_up, deadline) = (self.state.is_up(), || {
            let now = Instant::now();
            (now + ENOUGH <= end).then(|| end.min(now + PATIENCE))
        });
        if let Some(deadline) = deadline().filter(|_| is_up && wanted.routes) {
            self.count(deadline);
        }
        if let Some(deadline) = deadline().filter(|_| is_up && wanted.links && self.database.links.is_due()) {
            self.follow(deadline);
        }
        if let Some(deadline) = deadline().filter(|_| is_up && lsas && self.database.lsas.is_due()) {
            self.list(wanted.lengths, deadline);
        }
    }

    /// Asks how many routes there are, if that was long ago. What goes wrong with it is of no other consequence.
    fn count(&mut self, deadline: Instant) {
        if self.counted.is_some_and(|counted| counted.elapsed() < COUNT_EVERY) {
            return;
        }
        let (Some(mut line), Some(told)) = (self.line.take(), &self.told) else { return };
        let counts = match self.program {
            Program::Ospfd => frr::count(&mut line, self.source == Source::Quagga, deadline),
            Program::Ospf6d => frr::count6(&mut line, deadline),
            Program::Bird => self.session.count(&mut line, told, deadline),
            Program::Bgpd | Program::Bfdd | Program::Isisd | Program::Router => Ok(Bounded::new(0)),
        };
        self.counted = Some(Instant::now());
        match counts {
            Ok(counts) => (self.routes, self.uncounted, self.line) = (counts, None, Some(line)),
            // what comes next over this connection is not known
            Err(error) => self.uncounted = Some(error),
        }
    }

    /// Asks for the links in its database.
    fn follow(&mut self, deadline: Instant) {
        let (Some(mut line), Some(told)) = (self.line.take(), &self.told) else { return };
        let links = match self.program {
            Program::Ospfd if self.source == Source::Quagga => Some(frr::links(&mut line, true, deadline)),
            Program::Ospfd => Some(frr::database(&mut line, deadline)),
            Program::Ospf6d => Some(frr::database6(&mut line, deadline)),
            Program::Bird => Some(self.session.database(&mut line, told, deadline)),
            _ => None,
        };
        // what is still to come would be the answer to the next question
        self.line = Some(line).filter(|_| links.as_ref().is_none_or(Result::is_ok));
        if let Some(links) = links {
            self.database.links.hear(links.map(Links::done), Timestamp::now());
        }
    }

    /// Asks for the LSAs in it, and how long they are where that is to be asked by itself.
    fn list(&mut self, lengths: bool, deadline: Instant) {
        let (Some(mut line), Some(told)) = (self.line.take(), &self.told) else { return };
        let is_quagga = self.source == Source::Quagga;
        let lsas = match self.program {
            Program::Ospfd => frr::lsas(&mut line, is_quagga, deadline),
            Program::Ospf6d => frr::lsas6(&mut line, deadline),
            Program::Bird => self.session.lsas(&mut line, told, deadline),
            Program::Bgpd | Program::Bfdd | Program::Isisd | Program::Router => Ok(Bounded::new(0)),
        };
        let at = Timestamp::now();
        let mut unmeasured = None;
        let lsas = lsas.map(|mut lsas| {
            if lengths && self.program == Program::Ospfd {
                unmeasured = frr::measure(&mut line, is_quagga, lsas.kept_mut(), deadline).err();
            }
            lsas
        });
        self.line = Some(line).filter(|_| lsas.is_ok() && unmeasured.is_none());
        if let (Program::Bird, Ok(lsas)) = (self.program, &lsas) {
            // those that were left out may be of any area
            let areas = if lsas.left_out() == 0 { told.areas.kept() } else { &[] };
            self.database.counts = bird::count(lsas.kept(), areas);
        }
        self.database.lsas.hear(lsas, at);
        self.database.lsas.fault = self.database.lsas.fault.take().or(unmeasured);
    }
}
