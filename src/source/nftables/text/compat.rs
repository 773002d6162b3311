//! How is an extension of x_tables written?
//!
//! Rules of iptables-nft are programs, too, but for what only an extension can do: that is stored as iptables' own
//! structure. It is written with the options of `iptables-save`; one that this program does not know as name and bytes.

use std::fmt::Write as _;

use crate::source::nftables::instruction::Extension;

/// Writes a match or a target.
pub(super) fn write(out: &mut String, extension: &Extension) {
    let sort = if extension.target { "target" } else { "match" };
    let name = String::from_utf8_lossy(&extension.name);
    // writing into a string cannot fail
    let _ = write!(out, "xt {sort} \"{name}\" revision {} 0x", extension.revision);
    for byte in &extension.info {
        let _ = write!(out, "{byte:02x}");
    }
}
