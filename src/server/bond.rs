//! Which parts of the agent are joined, and when do they get another link?
//!
//! Each bond is a socket pair between two parts, made when one of them starts and when one of them says that it has lost it.
//! What the kernel refuses is tried again: the past is the sampler's, and must not end with a moment in which there is no
//! memory.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::pass::{self, Word};
use super::supervisor::Part;
use super::{Level, Log};
use crate::model::unit;

/// Wait after a link could not be made.
const RELINK: Duration = Duration::from_secs(1);

/// Two parts, each with the word that it is given its end with, and asks for another one.
const BONDS: [[(Part, Word); 2]; 3] = [
    [(Part::Sampler, Word::Link), (Part::Front, Word::Link)],
    [(Part::Sampler, Word::Courier), (Part::Courier, Word::Link)],
    [(Part::Courier, Word::Runner), (Part::Runner, Word::Link)],
];

/// Two parts that are to be joined.
struct Bond {
    ends: [(Part, Word); 2],
    /// When both are to be given a link, if they lack it.
    due: Option<Instant>,
    /// When they were given one last.
    joined: Option<Instant>,
}

/// All of them.
pub(super) struct Bonds([Bond; 3]);

impl Bonds {
    /// None of which is joined yet.
    pub(super) fn new() -> Self {
        Self(BONDS.map(|ends| Bond { ends, due: None, joined: None }))
    }

    /// A part was started, which has no link yet.
    pub(super) fn begun(&mut self, part: Part) {
        for bond in self.0.iter_mut().filter(|bond| bond.ends.iter().any(|(end, _)| *end == part)) {
            bond.due = Some(Instant::now());
        }
    }

    /// A part has lost a link and asks with its word for another. One that was taken over may say so all the time.
    pub(super) fn parted(&mut self, part: Part, word: Word) {
        let now = Instant::now();
        for bond in self.0.iter_mut().filter(|bond| bond.ends.contains(&(part, word))) {
            let due = bond.joined.map_or(now, |joined| now.max(joined + RELINK));
            bond.due = Some(bond.due.map_or(due, |known| known.min(due)));
        }
    }

    /// When the next link is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.0.iter().filter_map(|bond| bond.due).min()
    }

    /// Makes the links that are due; `control` is the control socket of a part that runs.
    pub(super) fn join<'a>(&mut self, control: &dyn Fn(Part) -> Option<&'a UnixStream>, log: &Log) {
        for bond in self.0.iter_mut().filter(|bond| bond.due.is_some_and(|due| due <= Instant::now())) {
            (bond.due, bond.joined) = (None, Some(Instant::now()));
            if let Err(cause) = bond.join(control) {
                let ([_, (part, _)], again) = (bond.ends, unit::duration(RELINK));
                log.say(Level::Error, &format!("no link for the {}: {cause}; tried again in {again}", part.name()));
                bond.due = Some(Instant::now() + RELINK);
            }
        }
    }
}

impl Bond {
    /// Gives both a new link, if both run.
    fn join<'a>(&self, control: &dyn Fn(Part) -> Option<&'a UnixStream>) -> io::Result<()> {
        let [(one, its), (other, theirs)] = self.ends;
        let (Some(one), Some(other)) = (control(one), control(other)) else { return Ok(()) };
        let (here, there) = UnixStream::pair()?;
        // one that has ended meanwhile is noticed by its end
        let _ = pass::send(one, its, Some(here.as_fd()));
        let _ = pass::send(other, theirs, Some(there.as_fd()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_begins_is_joined_and_who_asks_all_the_time_once_a_second() {
        let mut bonds = Bonds::new();
        let pairs = [Part::Sampler, Part::Courier].map(|part| (part, UnixStream::pair().unwrap()));
        let control = |part| pairs.iter().find(|(known, _)| *known == part).map(|(_, (ours, _))| ours);
        let words = |part: usize| {
            let (_, (_, theirs)) = &pairs[part];
            theirs.set_nonblocking(true).unwrap();
            let words = std::iter::from_fn(|| pass::receive(theirs).ok().flatten());
            words.map(|(word, socket)| (word, socket.is_some())).collect::<Vec<_>>()
        };
        bonds.begun(Part::Courier);
        bonds.join(&control, &Log::default());
        // there is no runner, and the sampler has a front that was not started
        assert_eq!((words(0), words(1)), (vec![(Word::Courier, true)], vec![(Word::Link, true)]));
        assert_eq!(bonds.due(), None);
        bonds.parted(Part::Courier, Word::Link);
        let due = bonds.due().unwrap();
        assert!(due > Instant::now(), "it was given one just now");
        bonds.parted(Part::Courier, Word::Link);
        bonds.parted(Part::Courier, Word::Tokens);
        assert_eq!(bonds.due(), Some(due));
        bonds.join(&control, &Log::default());
        assert!(words(0).is_empty() && words(1).is_empty());
        // what is not its own bond it cannot ask for
        bonds.parted(Part::Front, Word::Courier);
        assert_eq!(bonds.due(), Some(due));
    }
}
