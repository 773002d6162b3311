//! How are matches written that depend on how often, how much, or when?

use super::List;
use super::info::{Info, Options, names};

pub(super) const LIST: List = &[
    ("limit", limit),
    ("hashlimit", hashlimit),
    ("statistic", statistic),
    ("time", time),
    ("recent", recent),
    ("quota", quota),
    ("nfacct", nfacct),
    ("rateest", super::estimate::compared),
];

fn nfacct(info: &Info<'_>, out: &mut Options) -> Option<()> {
    // with two spaces, as iptables-save has it
    out.put(false, "nfacct-name", format_args!(" {}", info.text(0, 32)?));
    Some(())
}

/// Spans that rates are told for, in seconds.
const SPANS: [(&str, u64); 4] = [("day", 86_400), ("hour", 3600), ("min", 60), ("sec", 1)];

/// A rate, and the milliseconds of the span that it is told for; `period` is the time of one packet in parts of a second.
fn rate(period: u64, parts: u64) -> Option<(String, u64)> {
    let fits = |(_, seconds): &&(&str, u64)| {
        let whole = seconds * parts;
        period <= whole && whole / period >= whole % period
    };
    if period == 0 {
        return None;
    }
    let (name, seconds) = SPANS.iter().take_while(fits).last().or_else(|| SPANS.first())?;
    Some((format!("{}/{name}", seconds * parts / period), seconds * 1000))
}

fn limit(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const PARTS: u64 = 10_000;
    const USUAL: u32 = 5;
    let (period, burst) = (info.u32(0)?, info.u32(4)?);
    out.put(false, "limit", rate(period.into(), PARTS)?.0);
    if burst != USUAL {
        out.put(false, "limit-burst", burst);
    }
    Some(())
}

/// `XT_HASHLIMIT_*`
mod mode {
    pub(super) const ADDRESSES: [(u32, &str); 4] = [(4, "srcip"), (8, "srcport"), (1, "dstip"), (2, "dstport")];
    pub(super) const INVERTED: u32 = 1 << 4;
    pub(super) const BYTES: u32 = 1 << 5;
    pub(super) const RATE: u32 = 1 << 6;
}

/// Whole units of bytes, of the largest unit that `fits`.
fn bytes(count: u64, fits: impl Fn(u64) -> bool) -> String {
    for (shift, unit) in [(20, "mb"), (10, "kb")] {
        let whole = count >> shift;
        if whole > 0 && fits(whole << shift) {
            return format!("{whole}{unit}");
        }
    }
    format!("{count}b")
}

/// What the kernel counts down for a rate of so many bytes, in steps of sixteen.
fn cost(count: u64) -> u64 {
    u64::from(u32::MAX) / ((count >> 4) + 1)
}

/// What `struct hashlimit_cfg` of all revisions has.
struct Hashed {
    period: u64,
    burst: u64,
    mode: u32,
    /// Where the size of the table stands.
    rest: usize,
    /// Where the masks stand.
    masks: usize,
    name: String,
    parts: u64,
}

fn hashed(info: &Info<'_>) -> Option<Hashed> {
    Some(match info.revision {
        1 => Hashed {
            period: info.u32(20)?.into(),
            burst: info.u32(24)?.into(),
            mode: info.u32(16)?,
            rest: 28,
            masks: 44,
            name: info.text(0, 16)?,
            parts: 10_000,
        },
        revision @ (2 | 3) => Hashed {
            period: info.u64(256)?,
            burst: info.u64(264)?,
            mode: info.u32(272)?,
            rest: 276,
            masks: if revision == 2 { 292 } else { 296 },
            name: info.text(0, 255)?,
            parts: 1_000_000,
        },
        _ => return None,
    })
}

fn hashlimit(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const USUAL_CLEANING: u32 = 1000;
    let Hashed { period, burst, mode, rest, masks, name, parts } = hashed(info)?;
    if mode & mode::RATE != 0 && info.revision < 3 {
        return None;
    }
    let option = if mode & mode::INVERTED != 0 { "hashlimit-above" } else { "hashlimit-upto" };
    let expires = if mode & mode::BYTES != 0 {
        let most = u64::from(u32::MAX);
        let count = most.checked_div(period).unwrap_or(most).saturating_sub(1) << 4;
        // many rates have one cost, and the shortest was meant
        out.put(false, option, format_args!("{}/s", bytes(count, |rounded| cost(rounded) == period)));
        if burst == 0 {
            15_000
        } else {
            out.put(false, "hashlimit-burst", bytes(count.saturating_mul(burst), |_| true));
            60_000
        }
    } else {
        let (rate, span) = rate(period, parts)?;
        out.put(false, option, rate);
        out.put(false, "hashlimit-burst", burst);
        span
    };
    let by = names(mode, &mode::ADDRESSES);
    if !by.is_empty() {
        out.put(false, "hashlimit-mode", by);
    }
    out.put(false, "hashlimit-name", name);
    let (size, most, cleaning, expire) =
        (info.u32(rest)?, info.u32(rest + 4)?, info.u32(rest + 8)?, info.u32(rest + 12)?);
    let whole = if info.is_ipv6 { 128 } else { 32 };
    for (is_usual, option, value) in [
        (size == 0, "htable-size", size),
        (most == 0, "htable-max", most),
        (cleaning == USUAL_CLEANING, "htable-gcinterval", cleaning),
        (u64::from(expire) == expires, "htable-expire", expire),
        (info.u8(masks)? == whole, "srcmask", info.u8(masks)?.into()),
        (info.u8(masks + 1)? == whole, "dstmask", info.u8(masks + 1)?.into()),
    ] {
        if !is_usual {
            out.put(false, &format!("hashlimit-{option}"), value);
        }
    }
    if mode & mode::RATE != 0 {
        out.flag(false, "hashlimit-rate-match");
        let interval = info.u32(rest + 16)?;
        if interval != 1 {
            out.put(false, "hashlimit-rate-interval", interval);
        }
    }
    Some(())
}

fn statistic(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const WHOLE: f64 = 2_147_483_648.0;
    let inverted = info.u16(2)? & 1 != 0;
    match info.u16(0)? {
        0 => {
            out.put(false, "mode", "random");
            out.put(inverted, "probability", format_args!("{:.11}", f64::from(info.u32(4)?) / WHOLE));
        }
        1 => {
            out.put(false, "mode", "nth");
            out.put(inverted, "every", u64::from(info.u32(4)?) + 1);
            out.put(false, "packet", info.u32(8)?);
        }
        _ => return None,
    }
    Some(())
}

const WEEKDAYS: [(u32, &str); 7] =
    [(2, "Mon"), (4, "Tue"), (8, "Wed"), (16, "Thu"), (32, "Fri"), (64, "Sat"), (128, "Sun")];

fn time(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const LAST_SECOND: u32 = 86_399;
    const ALL_DAYS: u32 = 0xffff_fffe;
    const ALL_WEEKDAYS: u32 = 0xfe;
    let (begin, end, days) = (info.u32(8)?, info.u32(12)?, info.u32(16)?);
    let (weekdays, flags) = (u32::from(info.u8(20)?), u32::from(info.u8(21)?));
    let clock = |second: u32| format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    if (begin, end) != (0, LAST_SECOND) {
        out.put(false, "timestart", clock(begin));
        out.put(false, "timestop", clock(end));
    }
    if days != ALL_DAYS {
        let listed: Vec<_> = (1..32).filter(|day| days & (1 << day) != 0).map(|day: u32| day.to_string()).collect();
        out.put(false, "monthdays", listed.join(","));
    }
    if weekdays != ALL_WEEKDAYS {
        out.put(false, "weekdays", names(weekdays, &WEEKDAYS));
    }
    for (place, option) in [(0, "datestart"), (4, "datestop")] {
        let date = info.u32(place)?;
        if date != 0 {
            let at = jiff::Timestamp::from_second(date.into()).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
            out.put(false, option, at.strftime("%Y-%m-%dT%H:%M:%S"));
        }
    }
    out.flags(flags, &[(1, "kerneltz"), (2, "contiguous")]);
    Some(())
}

fn recent(info: &Info<'_>, out: &mut Options) -> Option<()> {
    const ACTIONS: [(u8, &str); 4] = [(2, "set"), (1, "rcheck"), (4, "update"), (8, "remove")];
    const TTL: u8 = 0x10;
    const REAP: u8 = 0x20;
    let (seconds, hits, how, inverted) = (info.u32(0)?, info.u32(4)?, info.u8(8)?, info.u8(9)? != 0);
    for (_, option) in ACTIONS.iter().filter(|(bit, _)| how & bit != 0) {
        out.flag(inverted, option);
    }
    if seconds != 0 {
        out.put(false, "seconds", seconds);
    }
    if how & REAP != 0 {
        out.flag(false, "reap");
    }
    if hits != 0 {
        out.put(false, "hitcount", hits);
    }
    if how & TTL != 0 {
        out.flag(false, "rttl");
    }
    out.put(false, "name", info.text(10, 200)?);
    if info.revision > 0 {
        out.put(false, "mask", info.address(212)?);
    }
    out.flag(false, if info.u8(210)? == 0 { "rsource" } else { "rdest" });
    Some(())
}

fn quota(info: &Info<'_>, out: &mut Options) -> Option<()> {
    out.put(info.u32(0)? & 1 != 0, "quota", info.u64(8)?);
    Some(())
}
