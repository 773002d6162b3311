//! What does `bfdd` tell of its sessions?
//!
//! It shows nothing before somebody has said `enable`, which changes nothing. Counters are a list of their own.

use std::collections::HashMap;
use std::time::Instant;

use super::super::ospf::BfdState;
use super::super::peer::BfdPeer;
use super::super::told::Told;
use super::{command, query, values};
use crate::model::Timestamp;
use crate::source::Error;
use crate::source::control::json::Json;
use crate::source::control::line::Line;

/// Asks for all sessions.
///
/// # Errors
/// As [`Line::ask`], or the answer is no JSON.
pub(in super::super) fn ask(line: &mut Line, deadline: Instant) -> Result<Told, Error> {
    command(line, "enable", deadline)?;
    let peers = query(line, "show bfd peers json", deadline)?;
    let at = Timestamp::now();
    let told = compose(&peers, &query(line, "show bfd peers counters json", deadline)?, at);
    Ok(Told { excuse: peers.excuse, ..told })
}

/// Reads what `bfdd` answered when it was asked for its peers and their counters.
///
/// # Errors
/// It is no JSON.
pub fn read([peers, counters]: [&[u8]; 2], at: Timestamp) -> std::io::Result<Told> {
    Ok(compose(&values(peers)?, &values(counters)?, at))
}

fn compose(peers: &[Json], counters: &[Json], at: Timestamp) -> Told {
    let mut told = Told::new(at);
    let key = |found: &Json| ["vrf", "interface", "peer", "local"].map(|name| found.str(&[name]).map(str::to_owned));
    let counters: HashMap<_, _> = counters.iter().flat_map(Json::items).map(|found| (key(found), found)).collect();
    for found in peers.iter().flat_map(Json::items) {
        let counts = counters.get(&key(found)).copied().unwrap_or(&Json::Null);
        told.bfd.push(BfdPeer {
            instance: None,
            vrf: found.text(&["vrf"]),
            interface: found.text(&["interface"]),
            address: found.ip(&["peer"]),
            local: found.ip(&["local"]),
            multihop: found.flag(&["multihop"]),
            state: found.str(&["status"]).map(BfdState::of),
            is_dated: false,
            since: found.seconds(&["uptime", "downtime"]).map(|age| at.before(age)),
            diagnostic: found.text(&["diagnostic"]),
            remote_diagnostic: found.text(&["remote-diagnostic"]),
            transmit: found.millis(&["transmit-interval"]),
            receive: found.millis(&["receive-interval"]),
            multiplier: found.count(&["detect-multiplier"]),
            timeout: None,
            received: counts.count(&["control-packet-input"]),
            sent: counts.count(&["control-packet-output"]),
            ups: counts.count(&["session-up"]),
            downs: counts.count(&["session-down"]),
        });
    }
    told
}
