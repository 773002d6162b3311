//! What does an instruction load of a packet that is in a tunnel?
//!
//! Source: `net/netfilter/nft_inner.c`.

use super::header::Layer;
use crate::source::nftables::instruction::{Instruction, Payload, Register, Source};

/// Name of a tunnel, and what of the packet in it goes into which register; `None` if one of them has no name.
pub(super) fn inner(instruction: &Instruction) -> Option<(&'static str, Register, &Source)> {
    /// `NFT_INNER_LL`
    const LINK: u32 = 2;
    /// Bytes of the header of GRE.
    const GRE: u32 = 4;
    let Instruction::Inner { kind, flags, header, with } = instruction else { return None };
    let Instruction::Load { to, what } = &**with else { return None };
    let tunnel = match (kind, *header) {
        (1, _) => "vxlan",
        (2, _) => "geneve",
        (0, GRE) => {
            if flags & LINK == 0 {
                "gre"
            } else {
                "gretap"
            }
        }
        _ => return None,
    };
    let has_name = match what {
        Source::Payload(payload) => Layer::of(payload.base).is_some() || kind != &0 && is_vni(what),
        _ => true,
    };
    has_name.then_some((tunnel, *to, what))
}

/// Whether this is the number of a network in the header of a tunnel.
pub(super) fn is_vni(what: &Source) -> bool {
    /// `NFT_PAYLOAD_TUN_HEADER`
    const TUNNEL: u32 = 4;
    matches!(what, Source::Payload(Payload { base: TUNNEL, offset: 4, length: 3 }))
}
