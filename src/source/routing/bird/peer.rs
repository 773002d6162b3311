//! What does BIRD tell of BGP and of bidirectional forwarding detection?
//!
//! Every session of BGP is a protocol, of which `show protocols all` tells; those of BFD are lines of `show bfd sessions`. When
//! a state began is read as [`super::since`] says: of a session that is not up that is when it was lost.

use std::net::IpAddr;
use std::time::Duration;

use super::super::ospf::BfdState;
use super::super::peer::{BfdPeer, BgpPeer, BgpState};
use super::{Clock, PROTOCOL, lines};
use crate::model::{Text, Timestamp};

/// Code of the lines of `show bfd sessions`.
const SESSIONS: u16 = 1020;

/// Reads `show protocols all`.
pub fn read_bgp(answer: &str, clock: &Clock, now: Timestamp) -> Vec<BgpPeer> {
    let mut peers: Vec<BgpPeer> = Vec::new();
    // lines of a protocol that is none of BGP are those of nobody
    let mut inside = false;
    for (code, words) in lines(answer) {
        if code == PROTOCOL {
            let columns: Vec<&str> = words.split_ascii_whitespace().collect();
            inside = columns.get(1) == Some(&"BGP");
            if let (true, [name, _, _, _, since @ ..]) = (inside, columns.as_slice()) {
                let since = began(since, clock, now);
                let (since, is_dated) = (since.map(|(at, _)| at), since.is_some_and(|(_, is_day)| is_day));
                peers.push(BgpPeer { instance: Some(Text::from(*name)), since, is_dated, ..BgpPeer::default() });
            }
        } else if let (true, Some(peer)) = (inside, peers.last_mut()) {
            line(peer, words.trim());
        }
    }
    peers
}

fn line(peer: &mut BgpPeer, words: &str) {
    if let Some(family) = words.strip_prefix("Channel ") {
        let before = peer.families.as_deref().map_or(String::new(), |families| format!("{families} "));
        peer.families = Some(Text::from(format!("{before}{family}")));
        return;
    }
    let Some((key, value)) = words.split_once(':') else { return };
    let value = value.trim();
    let add = |sum: Option<u64>, word: &str| counted(value, word).map(|count| sum.unwrap_or(0).saturating_add(count));
    match key {
        "BGP state" => peer.state = Some(BgpState::of(value)),
        "VRF" => peer.vrf = Some(Text::from(value)),
        "Neighbor address" => peer.peer = Text::from(value),
        "Neighbor AS" => peer.remote_as = value.parse().ok(),
        "Local AS" => peer.local_as = value.parse().ok(),
        "Neighbor ID" => peer.router = value.parse().ok(),
        "Source address" => peer.local = value.parse().ok(),
        "Description" => peer.description = Some(Text::from(value)),
        "Hostname" => peer.name = Some(Text::from(value)),
        "Last error" => peer.reason = Some(Text::from(value)),
        "Hold timer" => {
            let whole = value.rsplit('/').next().and_then(|seconds| seconds.parse().ok());
            peer.hold = whole.map(Duration::from_secs);
        }
        "Routes" => {
            peer.accepted = add(peer.accepted, "imported").or(peer.accepted);
            peer.sent = add(peer.sent, "exported").or(peer.sent);
        }
        _ => {}
    }
}

/// When a state began, of which the first words say it; what follows them is for people.
fn began(words: &[&str], clock: &Clock, now: Timestamp) -> Option<(Timestamp, bool)> {
    [2, 1].into_iter().find_map(|count| clock.read(words.get(..count)?, now))
}

/// The number before a word in `2 imported, 10 exported, 0 preferred`.
fn counted(words: &str, wanted: &str) -> Option<u64> {
    words.split(',').find_map(|part| part.trim().strip_suffix(wanted)?.trim().parse().ok())
}

/// Reads `show bfd sessions`.
pub fn read_bfd(answer: &str, clock: &Clock, now: Timestamp) -> Vec<BfdPeer> {
    let (mut instance, mut peers) = (None, Vec::new());
    for (_, words) in lines(answer).filter(|(code, _)| *code == SESSIONS) {
        if let Some(name) = words.strip_suffix(':').filter(|name| !name.contains(' ')) {
            instance = Some(Text::from(name));
            continue;
        }
        let columns: Vec<&str> = words.split_ascii_whitespace().collect();
        let [address, interface, state, since @ .., interval, timeout] = columns.as_slice() else { continue };
        let Ok(address) = address.parse::<IpAddr>() else { continue };
        let since = clock.read(since, now);
        let seconds = |text: &str| text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        peers.push(BfdPeer {
            instance: instance.clone(),
            interface: Some(*interface).filter(|name| *name != "---").map(Text::from),
            address: Some(address),
            state: Some(BfdState::of(state)),
            since: since.map(|(at, _)| at),
            is_dated: since.is_some_and(|(_, is_day)| is_day),
            transmit: seconds(interval),
            timeout: seconds(timeout),
            ..BfdPeer::default()
        });
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(version: &str, name: &str) -> String {
        let path = format!("{}/tests/fixtures/routing/{version}/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A noon after which the sessions of the fixtures have begun.
    fn now() -> Timestamp {
        Timestamp::from_seconds(1_795_435_200.0)
    }

    /// What was written, as the clock of this host has it.
    fn at(words: &[&str]) -> Timestamp {
        Clock::default().read(words, now()).unwrap().0
    }

    #[test]
    fn sessions_of_bgp_are_protocols() {
        let described = answer("bird-2.0", "protocols-all").replace(
            "  BGP state:          Established",
            "  Description:    to: r1\n  BGP state:          Established",
        );
        let peers = read_bgp(&described, &Clock::default(), now());
        assert_eq!(peers[0].description.as_deref(), Some("to: r1"));
        let [one, two] = peers.as_slice() else { panic!("{peers:?}") };
        assert_eq!((one.instance.as_deref(), one.peer.as_str()), (Some("peer1"), "10.0.15.1"));
        assert_eq!((one.state, one.name.as_deref()), (Some(BgpState::Established), Some("r1")));
        assert_eq!((one.remote_as, one.local_as, one.router), (Some(65_001), Some(65_005), "10.9.9.1".parse().ok()));
        assert_eq!((one.local, one.hold), ("10.0.15.5".parse().ok(), Some(Duration::from_secs(9))));
        assert_eq!((one.families.as_deref(), one.accepted, one.sent), (Some("ipv4"), Some(2), Some(10)));
        assert_eq!((one.since, two.since), (Some(at(&["15:23:03.697"])), Some(at(&["15:23:02.345"]))));
        assert_eq!((two.state, two.families.as_deref()), (Some(BgpState::Active), Some("ipv4 ipv6")));
        assert_eq!((two.reason.as_deref(), two.accepted), (Some("Socket: No route to host"), None));
    }

    #[test]
    fn sessions_of_bfd_are_lines() {
        let peers = read_bfd(&answer("made-bird-3.3", "bfd"), &Clock::default(), now());
        let seen: Vec<_> = peers.iter().map(|peer| (peer.interface.as_deref(), peer.state, peer.timeout)).collect();
        assert_eq!(
            seen,
            [
                (Some("eth0"), Some(BfdState::Up), Some(Duration::from_millis(900))),
                (Some("eth0"), Some(BfdState::Down), Some(Duration::ZERO)),
                (None, Some(BfdState::AdminDown), Some(Duration::from_secs(5))),
            ]
        );
        let began: Vec<_> = peers.iter().map(|peer| (peer.since, peer.is_dated)).collect();
        let [early, late] = [&["15:23:03.697"][..], &["2026-11-22", "15:23:03"]].map(|words| Some(at(words)));
        assert_eq!(began, [(early, false), (late, false), (early, false)]);
        assert_eq!((peers[0].instance.as_deref(), peers[0].transmit), (Some("b1"), Some(Duration::from_millis(300))));
        assert_eq!((peers[2].instance.as_deref(), peers[2].address), (Some("b2"), "2001:db8::1".parse().ok()));
    }
}
