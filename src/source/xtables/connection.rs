//! How are matches written that look at the packet's connection?

use super::List;
use super::info::{Info, Options, bits, masked, names, network, quoted, range};

pub(super) const LIST: List = &[
    ("conntrack", conntrack),
    ("state", state),
    ("connmark", connmark),
    ("connlimit", connlimit),
    ("connbytes", connbytes),
    ("helper", helper),
    ("connlabel", connlabel),
    ("cluster", cluster),
];

fn cluster(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u32(12)? & 1 != 0, "cluster-local-nodemask", format_args!("{:#010x}", info.u32(4)?));
    out.put(false, "cluster-total-nodes", info.u32(0)?);
    out.put(false, "cluster-hash-seed", format_args!("{:#010x}", info.u32(8)?));
    Some(())
}

const STATES: [(u32, &str); 7] = [
    (1, "INVALID"),
    (1 << 3, "NEW"),
    (1 << 2, "RELATED"),
    (1 << 1, "ESTABLISHED"),
    (1 << 8, "UNTRACKED"),
    (1 << 6, "SNAT"),
    (1 << 7, "DNAT"),
];

const STATUS: [(u32, &str); 4] = [(1, "EXPECTED"), (2, "SEEN_REPLY"), (4, "ASSURED"), (8, "CONFIRMED")];

/// Places in `struct xt_conntrack_mtinfo3`; those before it are shorter at the end only.
mod place {
    pub(super) const EXPIRES: usize = 128;
    pub(super) const PROTOCOL: usize = 136;
    pub(super) const PORTS: usize = 138;
    pub(super) const FLAGS: usize = 146;
    pub(super) const INVERTED: usize = 148;
    pub(super) const STATE: usize = 150;
    pub(super) const LAST_PORTS: usize = 154;
}

fn conntrack(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const ALIAS: u16 = 1 << 13;
    if !(1..=3).contains(&info.revision) {
        return None;
    }
    let (flags, inverted) = (info.u16(place::FLAGS)?, info.u16(place::INVERTED)?);
    let has = |bit: u32| flags & (1 << bit) != 0;
    let not = |bit: u32| inverted & (1 << bit) != 0;
    let (state, status) = match info.revision {
        1 => (info.u8(place::STATE)?.into(), info.u8(place::STATE + 1)?.into()),
        _ => (info.u16(place::STATE)?, info.u16(place::STATE + 2)?),
    };
    if flags & ALIAS != 0 {
        out.name = "state";
        out.put(not(0), "state", names(state.into(), &STATES));
        return Some(());
    }
    if has(0) {
        out.put(not(0), "ctstate", names(state.into(), &STATES));
    }
    if has(1) {
        out.put(not(1), "ctproto", info.u16(place::PROTOCOL)?);
    }
    for (bit, option) in (2..).zip(["ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst"]) {
        if has(bit) {
            let at = (bit as usize - 2) * 32;
            out.put(not(bit), option, network(info.address(at)?, info.address(at + 16)?, false));
        }
    }
    for (bit, option) in (8..).zip(["ctorigsrcport", "ctorigdstport", "ctreplsrcport", "ctrepldstport"]) {
        if has(bit) {
            let at = (bit as usize - 8) * 2;
            let text = match info.revision {
                3 => range(info.u16(place::PORTS + at)?, info.u16(place::LAST_PORTS + at)?, ':'),
                _ => info.be16(place::PORTS + at)?.to_string(),
            };
            out.put(not(bit), option, text);
        }
    }
    if has(6) {
        let text = if status == 0 { "NONE".to_owned() } else { names(status.into(), &STATUS) };
        out.put(not(6), "ctstatus", text);
    }
    if has(7) {
        out.put(not(7), "ctexpire", range(info.u32(place::EXPIRES)?, info.u32(place::EXPIRES + 4)?, ':'));
    }
    if has(12) {
        out.put(false, "ctdir", if not(12) { "REPLY" } else { "ORIGINAL" });
    }
    Some(())
}

/// The older match of that name.
fn state(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const UNTRACKED: u32 = 1 << 6;
    let mask = info.u32(0)?;
    let mask = if mask & UNTRACKED != 0 { mask & !UNTRACKED | 1 << 8 } else { mask };
    out.put(false, "state", names(mask, &STATES));
    Some(())
}

fn connmark(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u8(8)? != 0, "mark", masked(info.u32(0)?, info.u32(4)?));
    Some(())
}

fn connlimit(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (limit, flags) = (info.u32(16)?, info.u32(20)?);
    out.put(false, if flags & 1 != 0 { "connlimit-upto" } else { "connlimit-above" }, limit);
    out.put(false, "connlimit-mask", bits(info.address(0)?));
    if info.revision > 0 {
        out.flag(false, if flags & 2 != 0 { "connlimit-daddr" } else { "connlimit-saddr" });
    }
    Some(())
}

fn connbytes(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (from, to) = (info.u64(0)?, info.u64(8)?);
    let (inverted, low, high) = if from > to { (true, to, from) } else { (false, from, to) };
    if high == u64::MAX {
        out.put(inverted, "connbytes", low);
    } else {
        out.put(inverted, "connbytes", format_args!("{low}:{high}"));
    }
    out.put(false, "connbytes-mode", *["packets", "bytes", "avgpkt"].get(usize::from(info.u8(16)?))?);
    out.put(false, "connbytes-dir", *["original", "reply", "both"].get(usize::from(info.u8(17)?))?);
    Some(())
}

/// A label goes by its number: the file with names is of no kernel.
fn connlabel(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let flags = info.u16(2)?;
    out.put(flags & 1 != 0, "label", format_args!("\"{}\"", info.u16(0)?));
    out.flags(flags.into(), &[(2, "set")]);
    Some(())
}

fn helper(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u32(0)? != 0, "helper", quoted(&info.text(4, 30)?));
    Some(())
}
