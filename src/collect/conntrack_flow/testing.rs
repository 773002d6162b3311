//! Connections that tests make up.

use crate::source::conntrack::flow::{Flow, Tuple};

/// One with these ends that nothing else is known of.
pub(super) fn flow(id: u32, original: Tuple, reply: Tuple) -> Flow {
    Flow {
        id,
        original,
        reply,
        status: 0,
        phase: None,
        mark: None,
        zone: None,
        timeout: None,
        labels: None,
        helper: None,
        carried: None,
        answered: None,
        start: None,
    }
}
