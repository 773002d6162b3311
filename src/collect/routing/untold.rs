//! Who could not be asked, and which tables lack rows therefore?
//!
//! A table of which nobody has told anything has no rows and says why; one that lacks those of some daemons says that beside
//! its rows.

use super::{
    AdjacencyRow, BfdPeerRow, BgpPeerRow, IsisAdjacencyRow, JOIN, OspfAreaRow, OspfInterfaceRow, OspfLinkRow,
    OspfLsaRow, OspfNeighborRow, OspfRouteRow,
};
use crate::collect::{Batch, Skip};
use crate::model::{Row, Table};
use crate::source::Error;
use crate::source::control::standing::Standing;
use crate::source::routing::daemon::{Daemon, Subject};

/// Of what the rows of a table are told.
const TABLES: [(&Table, &[Subject]); 10] = [
    (OspfNeighborRow::TABLE, &[Subject::Ospf]),
    (OspfInterfaceRow::TABLE, &[Subject::Ospf]),
    (OspfAreaRow::TABLE, &[Subject::Ospf]),
    (OspfRouteRow::TABLE, &[Subject::Routes]),
    (OspfLinkRow::TABLE, &[Subject::Links]),
    (OspfLsaRow::TABLE, &[Subject::Lsas]),
    (BfdPeerRow::TABLE, &[Subject::Bfd]),
    (BgpPeerRow::TABLE, &[Subject::Bgp]),
    (IsisAdjacencyRow::TABLE, &[Subject::Isis]),
    (AdjacencyRow::TABLE, &[Subject::Ospf, Subject::Bfd, Subject::Bgp, Subject::Isis]),
];

/// What to do about a socket that is somebody else's.
const STRANGER: &str = "not asked, it is another user's: remove the socket, or run the daemon as a user it is made for";

/// Daemons that may tell something, and a directory in which there may be more.
pub(super) struct Untold<'a> {
    daemons: &'a [&'a Daemon],
    denied: Option<&'a Error>,
}

impl<'a> Untold<'a> {
    pub(super) fn new(daemons: &'a [&'a Daemon], denied: Option<&'a Error>) -> Self {
        Self { daemons, denied }
    }

    /// Adds the rows of a table, and says who has not told the rest of it.
    pub(super) fn push<R: Row>(&self, rows: Vec<R>, out: &mut Batch) {
        let subjects = TABLES.iter().find(|(table, _)| table.name == R::TABLE.name).map_or(&[][..], |(_, all)| all);
        let tellers = || self.daemons.iter().filter(|daemon| subjects.iter().any(|one| daemon.tells(*one)));
        let denied = self.denied.map(|error| Skip::from(error.again()).hint(JOIN));
        let skips: Vec<Skip> = tellers().filter_map(|daemon| skip(daemon)).chain(denied).collect();
        let is_told = !rows.is_empty() || tellers().any(|daemon| daemon.told.is_some());
        match skips.first() {
            Some(skip) if !is_told => out.skip(R::TABLE, skip),
            _ => {
                out.push(rows);
                for skip in &skips {
                    out.partly(R::TABLE, skip);
                }
            }
        }
    }
}

/// Why a daemon tells nothing.
fn skip(daemon: &Daemon) -> Option<Skip> {
    let skip = Skip::from(daemon.state.fault.as_ref()?.again());
    Some(match daemon.state.standing {
        Standing::Denied if daemon.has_socket() => skip.hint(JOIN),
        Standing::Untrusted => skip.hint(STRANGER),
        _ => skip,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{State, Status, Timestamp};
    use crate::source::routing::told::Told;

    /// A daemon that answers or does not, with whether it has answered before.
    fn daemon(socket: &str, fault: Option<std::io::ErrorKind>, is_told: bool) -> Daemon {
        let mut daemon = Daemon::testing(socket, Timestamp(0));
        daemon.state.fault = fault.map(|kind| Error::new("hear", socket, std::io::Error::from(kind)));
        daemon.state.standing = daemon.state.fault.as_ref().map_or(Standing::Up, Standing::of);
        daemon.told = is_told.then(|| Told::new(Timestamp(0)));
        daemon
    }

    fn tell<R: Row>(daemons: &[Daemon]) -> (Option<Status>, Option<Status>) {
        let (mut out, daemons) = (Batch::default(), daemons.iter().collect::<Vec<_>>());
        Untold::new(&daemons, None).push(Vec::<R>::new(), &mut out);
        let partly = out.take_partly().pop().map(|(_, status)| status);
        (out.into_tables().pop().unwrap().1.err(), partly)
    }

    #[test]
    fn a_table_of_which_nobody_tells_says_why_and_one_of_which_some_do_says_what_is_missing() {
        let silent = Some(std::io::ErrorKind::TimedOut);
        let denied = Some(std::io::ErrorKind::PermissionDenied);
        let (ospfd, bgpd) = ("/run/frr/ospfd.vty", "/run/frr/bgpd.vty");
        let all = [daemon(ospfd, silent, false), daemon(bgpd, None, true)];
        let why = tell::<OspfInterfaceRow>(&all).0.unwrap();
        assert!(why.state == State::Failed && why.reason.contains(ospfd), "{why:?}");
        assert_eq!(tell::<BgpPeerRow>(&all), (None, None));
        assert_eq!(tell::<BfdPeerRow>(&all), (None, None), "nobody is there who would tell of it");
        let (none, partly) = tell::<AdjacencyRow>(&all);
        assert!(none.is_none() && partly.unwrap().reason.contains(ospfd));
        // what it told before is shown, but it is not all
        let (none, partly) = tell::<OspfNeighborRow>(&[daemon(ospfd, silent, true)]);
        assert!(none.is_none() && partly.is_some());
        let why = tell::<BgpPeerRow>(&[daemon(bgpd, denied, false)]).0.unwrap();
        assert!(why.state == State::Denied && why.hint.contains("frrvty"), "{why:?}");
        let mut stranger = daemon(bgpd, denied, false);
        stranger.state.standing = Standing::Untrusted;
        let why = tell::<BgpPeerRow>(&[stranger]).0.unwrap();
        assert!(why.hint.contains("another user's") && !why.hint.contains("capability"), "{why:?}");
    }
}
