//! When did something begin, as BIRD writes it?
//!
//! Its configuration says how times are written for people (`timeformat protocol`); where it does not that is the time of day, and
//! after 20 hours the day alone. From version 2.16 on a connection may ask for seconds ([`SECONDS`]), which need no zone. What
//! older ones write is local time, and how that differs from ours is known from what `show status` says of the present.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};

use crate::model::Timestamp;

/// Asks for seconds since the epoch, with what `strftime` and BIRD put in their place.
pub(super) const SECONDS: &str = "timeformat \"%s.%6f\"";

/// Seconds of which zones are multiples.
const QUARTER: i64 = 15 * 60;

/// Nanoseconds by which something may seem to be in the future, because two clocks were read one after the other.
const SLACK: i64 = 1_000_000_000;

/// Whatever is less is no number of seconds since the epoch.
const EPOCH: f64 = 1e8;

/// How the clock of a daemon is set.
#[derive(Clone, Debug)]
pub struct Clock(TimeZone);

impl Default for Clock {
    /// As that of this host.
    fn default() -> Self {
        Self(TimeZone::system())
    }
}

impl Clock {
    /// That of a daemon which answers `show status`; that of this host where it writes the present in a way of its own.
    pub(super) fn of(status: &str, now: Timestamp) -> Self {
        let present = status.lines().find_map(|line| line.split_once("Current server time is "));
        let present = present.and_then(|(_, words)| words.trim().parse::<DateTime>().ok());
        let utc = present.and_then(|present| instant(present, &TimeZone::UTC));
        let ahead = utc.map(|utc| (utc.0.saturating_sub(now.0) / SLACK + QUARTER / 2).div_euclid(QUARTER) * QUARTER);
        let offset = ahead.and_then(|ahead| Offset::from_seconds(i32::try_from(ahead).ok()?).ok());
        let own = Self::default();
        let here = jiff::Timestamp::from_nanosecond(now.0.into()).map(|now| own.0.to_offset(now));
        match (offset, here) {
            // this host's zone knows of summer and winter, too
            (Some(offset), Ok(here)) if offset != here => Self(TimeZone::fixed(offset)),
            _ => own,
        }
    }

    /// Reads an instant that is over; `true` where only the day is known, at the beginning of which it is then.
    pub(super) fn read(&self, words: &[&str], now: Timestamp) -> Option<(Timestamp, bool)> {
        let at = match words {
            [word] => {
                if let Some(seconds) = word.parse().ok().filter(|seconds| *seconds > EPOCH) {
                    return Some((Timestamp::from_seconds(seconds), false)).filter(|(at, _)| is_over(*at, now));
                }
                if let Some(time) = word.parse::<Time>().ok().filter(|_| word.contains(':')) {
                    return Some((self.of_day(time, now)?, false));
                }
                let day = word.parse::<Date>().ok()?;
                return Some((instant(day.at(0, 0, 0, 0), &self.0)?, true)).filter(|(at, _)| is_over(*at, now));
            }
            [day, time] => DateTime::from_parts(day.parse().ok()?, time.parse().ok()?),
            _ => return None,
        };
        Some((instant(at, &self.0)?, false)).filter(|(at, _)| is_over(*at, now))
    }

    /// The last instant with a time of day.
    fn of_day(&self, time: Time, now: Timestamp) -> Option<Timestamp> {
        let today = jiff::Timestamp::from_nanosecond(now.0.into()).ok()?.to_zoned(self.0.clone()).date();
        let days = [Some(today), today.yesterday().ok()];
        days.into_iter()
            .flatten()
            .find_map(|day| instant(DateTime::from_parts(day, time), &self.0).filter(|at| is_over(*at, now)))
    }
}

fn is_over(at: Timestamp, now: Timestamp) -> bool {
    at.0 <= now.0.saturating_add(SLACK)
}

fn instant(at: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    let at = at.to_zoned(zone.clone()).ok()?.timestamp();
    i64::try_from(at.as_nanosecond()).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An instant of UTC.
    fn at(words: &str) -> Timestamp {
        instant(words.parse().unwrap(), &TimeZone::UTC).unwrap()
    }

    #[test]
    fn an_instant_is_read_however_it_is_written() {
        let (clock, now) = (Clock(TimeZone::fixed(Offset::constant(2))), at("2026-11-23 00:30:00"));
        let read = |words: &str| clock.read(&words.split(' ').collect::<Vec<_>>(), now);
        for (words, wanted, is_day) in [
            ("02:29:59.5", "2026-11-23 00:29:59.5", false),
            ("00:10:00", "2026-11-22 22:10:00", false),
            // the evening of the day before
            ("23:10:00.123456", "2026-11-22 21:10:00.123456", false),
            ("2026-11-20 12:00:00.250", "2026-11-20 10:00:00.25", false),
            ("2026-11-20", "2026-11-19 22:00:00", true),
            ("2026-11-23", "2026-11-22 22:00:00", true),
        ] {
            assert_eq!(read(words), Some((at(wanted), is_day)), "{words}");
        }
        let (seconds, is_day) = read("1795393745.250000").unwrap();
        assert!((seconds.seconds() - 1_795_393_745.25).abs() < 1e-6 && !is_day, "{seconds:?}");
        for words in
            ["", "soon", "25:00:00", "2027-01-01", "2026-11-23 09:00:00", "1895393845.0", "12", "1.2.2026", "a b c"]
        {
            assert_eq!(read(words), None, "{words}");
        }
    }

    #[test]
    fn a_daemon_that_lives_in_another_zone_is_understood() {
        let now = at("2026-11-23 00:30:00.2");
        let status = |present: &str| {
            format!(
                "1000-BIRD 2.0.12\n1011-Router ID is 10.9.9.5\n Hostname is r5\n Current server time is {present}\n0013 up\n"
            )
        };
        for (present, written) in [
            ("2026-11-23 06:00:00.150", "06:00:00"),
            ("2026-11-22 17:29:59", "17:30:00"),
            ("2026-11-23 00:30:01", "00:30:00"),
        ] {
            let read = Clock::of(&status(present), now).read(&[written], now);
            assert_eq!(read, Some((at("2026-11-23 00:30:00"), false)), "{present}");
        }
        let own = Clock::default().read(&["00:10:00"], now);
        for present in ["23.11.2026", "9999-12-31 00:00:00", ""] {
            assert_eq!(Clock::of(&status(present), now).read(&["00:10:00"], now), own, "{present}");
        }
    }
}
