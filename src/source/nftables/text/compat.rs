//! How is an extension of x_tables written?
//!
//! Rules of iptables-nft are programs, too, but for what only an extension can do: that is stored as iptables' own
//! structure. It is written with the options of `iptables-save`; one that this program does not know as name and bytes.

use super::Scene;
use crate::source::nftables::Family;
use crate::source::nftables::instruction::Extension;

/// Writes a match or a target.
pub(super) fn write(out: &mut String, extension: &Extension, scene: &Scene<'_>) {
    out.push_str(&extension.written(scene.family == Family::Ip6, scene.names));
}
