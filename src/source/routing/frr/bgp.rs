//! What does `bgpd` tell of its peers?
//!
//! Of each VRF an object with a peer for each address, or for the name of its interface, among words about the VRF itself.
//! Times are whole seconds, written as milliseconds.

use std::time::{Duration, Instant};

use super::super::peer::{BgpPeer, BgpState};
use super::super::told::Told;
use super::{bfd_state, query_parts, values_of};
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::control::json::Json;
use crate::source::control::line::Line;

/// Asks for all peers.
///
/// # Errors
/// As [`Line::ask`], or the answer is no JSON.
pub(in super::super) fn ask(line: &mut Line, deadline: Instant) -> Result<Told, Error> {
    let answer = query_parts(line, "show bgp vrf all neighbors json", deadline, is_wanted)?;
    let told = compose(&answer, Timestamp::now());
    Ok(Told { excuse: answer.excuse, ..told })
}

/// Reads what `bgpd` answered when it was asked for its neighbors.
///
/// # Errors
/// It is no JSON.
pub fn read(answer: &[u8], at: Timestamp) -> std::io::Result<Told> {
    Ok(compose(&values_of(answer, is_wanted)?, at))
}

/// What is looked at of a peer, which has a hundred members and more: VRFs and peers, what is told of a peer, of it families,
/// messages and BFD, and prefixes of a family.
fn is_wanted(depth: usize, key: &str) -> bool {
    match depth {
        2 => PEER.contains(&key),
        4 => [ACCEPTED, SENT].contains(&key),
        _ => true,
    }
}

/// Members of a peer that are looked up.
const PEER: [&str; 17] = [
    "bgpState",
    "bgpTimerUpMsec",
    "lastResetTimerMsecs",
    "addressFamilyInfo",
    "messageStats",
    "hostLocal",
    "hostname",
    "nbrDesc",
    "remoteRouterId",
    "remoteAs",
    "localAs",
    "connectionsEstablished",
    "connectionsDropped",
    "bgpTimerHoldTimeMsecs",
    "peerBfdInfo",
    "lastNotificationReason",
    "lastResetDueTo",
];

/// Members of a family.
const ACCEPTED: &str = "acceptedPrefixCounter";
const SENT: &str = "sentPrefixCounter";

fn compose(documents: &[Json], at: Timestamp) -> Told {
    let mut told = Told::new(at);
    for (vrf, inside) in documents.iter().flat_map(Json::members) {
        let vrf = inside.str(&["vrfName"]).unwrap_or(vrf);
        for (name, found) in inside.members().filter(|(_, found)| found.get(&["bgpState"]).is_some()) {
            told.bgp.push(peer(vrf, name, found, at));
        }
    }
    told
}

fn peer(vrf: &str, name: &str, found: &Json, at: Timestamp) -> BgpPeer {
    let state = found.str(&["bgpState"]).map(BgpState::of);
    // what was never lost has not been up either
    let age = match state {
        Some(BgpState::Established) => found.millis(&["bgpTimerUpMsec"]),
        _ => found.millis(&["lastResetTimerMsecs"]),
    };
    let families = found.get(&["addressFamilyInfo"]);
    let sum = |key: &str| {
        families.and_then(|all| all.members().filter_map(|(_, one)| one.count(&[key])).reduce(u64::saturating_add))
    };
    let names = families.map(|all| all.members().map(|(name, _)| name).collect::<Vec<_>>().join(" "));
    let messages = found.get(&["messageStats"]);
    // one that was never lost is said to have been waited for
    let is_first = state == Some(BgpState::Established) && found.count(&["connectionsDropped"]) == Some(0);
    let reset = found.text(&["lastResetDueTo"]).filter(|_| !is_first);
    BgpPeer {
        instance: None,
        vrf: Some(Text::from(vrf)),
        peer: Text::from(name),
        local: found.ip(&["hostLocal"]),
        name: found.text(&["hostname"]),
        description: found.text(&["nbrDesc"]).filter(|words| !words.is_empty()),
        router: found.ip(&["remoteRouterId"]),
        remote_as: found.count(&["remoteAs"]),
        local_as: found.count(&["localAs"]),
        state,
        since: age.map(|age| at.before(age)),
        is_dated: false,
        families: names.map(Text::from),
        accepted: sum(ACCEPTED),
        sent: sum(SENT),
        received_messages: messages.and_then(|counts| counts.count(&["totalRecv"])),
        sent_messages: messages.and_then(|counts| counts.count(&["totalSent"])),
        established: found.count(&["connectionsEstablished"]),
        dropped: found.count(&["connectionsDropped"]),
        hold: found.millis(&["bgpTimerHoldTimeMsecs"]).filter(|hold| *hold > Duration::ZERO),
        bfd: bfd_state(found),
        reason: found.text(&["lastNotificationReason"]).or(reset),
    }
}
