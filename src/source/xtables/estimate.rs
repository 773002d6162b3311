//! How are the estimators of rates written, and the match that asks them?

use super::info::{Info, Options};

const INVERTED: u16 = 1;
const TWO: u16 = 4;
const CHANGE: u16 = 8;
const BITS: u16 = 0x10;
const PACKETS: u16 = 0x20;

/// Makes one.
pub(super) fn estimator(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(false, "rateest-name", info.text(0, 16)?);
    // from -2 to 3: a quarter of a second, and each time twice as much
    let interval = info.u8(16)?.wrapping_add(2);
    if interval > 5 {
        return None;
    }
    let microseconds = 250_000_u64 << interval;
    out.put(false, "rateest-interval", span(microseconds));
    out.put(false, "rateest-ewmalog", span(microseconds.checked_shl(info.u8(17)?.into())?));
    Some(())
}

fn span(microseconds: u64) -> String {
    match microseconds {
        1_000_000.. => format!("{:.1}s", microseconds as f64 / 1e6),
        1000.. => format!("{:.1}ms", microseconds as f64 / 1e3),
        _ => format!("{microseconds}us"),
    }
}

/// Compares one with a rate, or with another one.
pub(super) fn compared(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (flags, is) = (info.u16(32)?, |bit: u16| info.u16(32).is_some_and(|flags| flags & bit != 0));
    let mode = *["", "rateest-eq", "rateest-lt", "rateest-gt"].get(usize::from(info.u16(34)?))?;
    if is(CHANGE) {
        out.flag(false, "rateest-delta");
    }
    out.put(false, if is(TWO) { "rateest1" } else { "rateest" }, info.text(0, 16)?);
    for (bit, unit, first, second) in [(BITS, "bps", 36, 44), (PACKETS, "pps", 40, 48)] {
        if !is(bit) {
            continue;
        }
        let rate = |place| Some(if bit == BITS { bits(info.u32(place)?) } else { info.u32(place)?.to_string() });
        if is(CHANGE) {
            out.put(false, &format!("rateest-{unit}1"), rate(first)?);
        }
        if !mode.is_empty() {
            out.flag(flags & INVERTED != 0, mode);
        }
        match (is(CHANGE), is(TWO)) {
            (true, _) => out.put(false, &format!("rateest-{unit}2"), rate(second)?),
            (false, false) => out.put(false, &format!("rateest-{unit}"), rate(second)?),
            (false, true) => out.flag(false, &format!("rateest-{unit}")),
        }
    }
    if is(TWO) {
        out.put(false, "rateest2", info.text(16, 16)?);
    }
    Some(())
}

/// Bytes a second as bits.
fn bits(rate: u32) -> String {
    match u64::from(rate) * 8 {
        bits @ 1_000_000_000.. => format!("{:.0}Mbit", bits as f64 / 1e6),
        bits @ 1_000_000.. => format!("{:.0}Kbit", bits as f64 / 1e3),
        bits => format!("{bits}bit"),
    }
}
