//! How does one alert come and go?
//!
//! Each sample says how bad it is, or that nobody knows, which changes nothing: nor does time, when nothing was heard for longer
//! than a few samples take. A severity counts when it has held for as long as the rule wants; an alert is over when nothing has
//! held for its time of calm, which doubles for one that comes back within the hour, so that who flaps pages once.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::{Level, Mono, Text, Timestamp};

/// The severities, mildest first.
const LEVELS: [Level; 3] = [Level::Careful, Level::Warning, Level::Critical];

/// How long it is remembered that an alert fired.
pub(super) const MEMORY: Duration = Duration::from_hours(1);

/// The longest time of calm that flapping leads to.
const LONGEST_CALM: Duration = Duration::from_mins(15);

/// Times of firing that are remembered.
const MOST_FIRES: usize = 8;

/// What has become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Same,
    Fired,
    Worse,
    Better,
    Cleared,
}

/// How long something takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) lasts: Duration,
    pub(super) of: Option<(u32, u32)>,
    pub(super) calm: Duration,
    /// How long after the last thing that was known time still counts.
    pub(super) patience: Duration,
}

/// That an alert is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) user: Text,
    pub(super) comment: Option<Text>,
}

/// One alert.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// What people call it.
    pub(super) name: Text,
    /// The last look that has seen its row, and when that was.
    pub(super) round: u64,
    pub(super) seen: Option<Mono>,
    /// When something was known of it last; after a restart that is when its row was seen.
    pub(super) heard: Option<Mono>,
    /// Since when it is at least that bad.
    pub(super) held: [Option<Mono>; 3],
    /// In which of the last samples it was at least that bad, the newest at the right.
    pub(super) bits: [u64; 3],
    /// How bad it is to people; ok while it does not fire.
    pub(super) level: Level,
    /// How bad it was when it was over.
    pub(super) last: Level,
    /// Since when it has been so.
    pub(super) since: Timestamp,
    pub(super) fired: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    /// Since when it is better than it is told.
    pub(super) down: Option<Mono>,
    /// Whether it was not bad at all meanwhile.
    pub(super) rested: bool,
    pub(super) value: Option<f64>,
    pub(super) peak: Option<f64>,
    /// The limit that it has passed last.
    pub(super) limit: Option<f64>,
    pub(super) flaps: u32,
    pub(super) fires: VecDeque<Mono>,
    pub(super) known: Option<Known>,
    /// What a person reads, and when that was written.
    pub(super) text: Text,
    pub(super) written: Option<Mono>,
    pub(super) labels: Vec<(String, String)>,
    /// Columns by which it makes others needless, or is made so.
    pub(super) facts: Vec<String>,
    pub(super) top: Vec<String>,
    pub(super) is_inhibited: bool,
}

impl Instance {
    pub(super) fn new(name: Text, now: Timestamp) -> Self {
        Self {
            name,
            round: 0,
            seen: None,
            heard: None,
            held: [None; 3],
            bits: [0; 3],
            level: Level::Ok,
            last: Level::Ok,
            since: now,
            fired: None,
            end: None,
            down: None,
            rested: false,
            value: None,
            peak: None,
            limit: None,
            flaps: 0,
            fires: VecDeque::new(),
            known: None,
            text: Text::default(),
            written: None,
            labels: Vec::new(),
            facts: Vec::new(),
            top: Vec::new(),
            is_inhibited: false,
        }
    }

    /// Begins anew with what needs to be known all the time, if nothing was known for too long.
    pub(super) fn resume(&mut self, pace: Pace, mono: Mono) {
        if self.is_heard(pace, mono) {
            return;
        }
        self.bits = [0; 3];
        for (held, level) in self.held.iter_mut().zip(LEVELS) {
            if level > self.level {
                *held = None;
            }
        }
        (self.down, self.rested, self.heard) = (None, false, Some(mono));
    }

    /// Whether what was known of it last still holds.
    fn is_heard(&self, pace: Pace, mono: Mono) -> bool {
        self.heard.is_none_or(|heard| !has_passed(heard, pace.patience, mono))
    }

    /// Takes what a sample says; `None` is that nobody knows.
    pub(super) fn sample(&mut self, level: Option<Level>, pace: Pace, mono: Mono, now: Timestamp) {
        let Some(level) = level else { return };
        self.heard = Some(mono);
        let was_bad = self.held[0].is_some();
        for (at, one) in LEVELS.into_iter().enumerate() {
            let mut holds = level >= one;
            if let Some((n, m)) = pace.of {
                let bits = (self.bits[at] << 1) | u64::from(holds);
                self.bits[at] = bits;
                holds = (bits & window(m)).count_ones() >= n;
            }
            self.held[at] = if holds { self.held[at].or(Some(mono)) } else { None };
        }
        if self.level == Level::Ok && self.held[0].is_some() && !was_bad {
            self.since = now;
            (self.peak, self.flaps, self.end) = (None, 0, None);
            self.labels.clear();
        }
    }

    /// Takes its value; worse is more, or less where low is bad.
    pub(super) fn measure(&mut self, value: Option<f64>, low_is_bad: bool) {
        self.value = value;
        let worse = |a: f64, b: f64| if low_is_bad { a.min(b) } else { a.max(b) };
        if let (Some(value), true) = (value, self.held[0].is_some() || self.level > Level::Ok) {
            self.peak = Some(self.peak.map_or(value, |peak| worse(peak, value)));
        }
    }

    /// How bad it is by what is known now, whether or not it has held.
    pub(super) fn now(&self) -> Level {
        LEVELS.iter().zip(self.held).rev().find(|(_, held)| held.is_some()).map_or(Level::Ok, |(level, _)| *level)
    }

    /// Some of its facts; `None` if one of them is not known.
    pub(super) fn facts(&self, places: &[usize]) -> Option<Vec<&str>> {
        places.iter().map(|at| self.facts.get(*at).map(String::as_str).filter(|fact| !fact.is_empty())).collect()
    }

    /// Whether it was bad in one of the last samples that count.
    pub(super) fn counts(&self, pace: Pace) -> bool {
        pace.of.is_some_and(|(_, m)| self.bits[0] & window(m) != 0)
    }

    /// The same of another row, that has taken the place of its own.
    #[must_use]
    pub(super) fn again(self) -> Self {
        let held = if self.level == Level::Ok { [None; 3] } else { self.held };
        Self { held, bits: [0; 3], written: None, labels: Vec::new(), ..self }
    }

    /// Whether it is bad, but not for long enough.
    pub(super) fn is_pending(&self) -> bool {
        self.level == Level::Ok && self.held[0].is_some()
    }

    /// How long it must be calm to be over: longer for who comes back within the hour.
    fn calm(&self, pace: Pace) -> Duration {
        let again = self.fires.len().saturating_sub(1).min(MOST_FIRES) as u32;
        pace.calm.saturating_mul(1 << again).min(LONGEST_CALM.max(pace.calm))
    }

    /// Lets time pass until `mono`.
    pub(super) fn settle(&mut self, pace: Pace, mono: Mono, now: Timestamp) -> Step {
        while self.fires.front().is_some_and(|fired| mono.since(*fired) > MEMORY.as_secs_f64()) {
            self.fires.pop_front();
        }
        if !self.is_heard(pace, mono) {
            return Step::Same;
        }
        let lasted = |held: &Option<Mono>| held.is_some_and(|held| has_passed(held, pace.lasts, mono));
        let reached =
            LEVELS.iter().zip(&self.held).rev().find(|(_, held)| lasted(held)).map_or(Level::Ok, |(level, _)| *level);
        let is = self.now();
        if reached > self.level {
            let step = if self.level == Level::Ok { Step::Fired } else { Step::Worse };
            (self.level, self.last, self.down, self.rested) = (reached, reached, None, false);
            // who has said that it is known has not known that
            self.known = None;
            if step == Step::Fired {
                (self.fired, self.end) = (Some(now), None);
                self.fires.push_back(mono);
                if self.fires.len() > MOST_FIRES {
                    self.fires.pop_front();
                }
            }
            return step;
        }
        if is >= self.level {
            if self.down.take().is_some() && std::mem::take(&mut self.rested) {
                self.flaps = self.flaps.saturating_add(1);
            }
            return Step::Same;
        }
        self.rested |= is == Level::Ok;
        let down = *self.down.get_or_insert(mono);
        if !has_passed(down, self.calm(pace), mono) {
            return Step::Same;
        }
        (self.level, self.down, self.rested) = (is, None, false);
        if is > Level::Ok {
            self.last = is;
            return Step::Better;
        }
        (self.end, self.known) = (Some(now), None);
        Step::Cleared
    }

    /// When something happens without another sample.
    pub(super) fn due(&self, pace: Pace) -> Option<Mono> {
        let fires = LEVELS.iter().zip(self.held).filter(|(level, _)| **level > self.level);
        let fires = fires.filter_map(|(_, held)| Some(after(held?, pace.lasts)));
        let due = fires.chain(self.down.map(|down| after(down, self.calm(pace)))).min()?;
        // nothing happens without another sample then
        self.is_heard(pace, due).then_some(due)
    }
}

/// So many of the newest samples.
fn window(samples: u32) -> u64 {
    if samples >= u64::BITS { u64::MAX } else { (1 << samples) - 1 }
}

fn after(then: Mono, span: Duration) -> Mono {
    Mono(then.0.saturating_add(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)))
}

pub(super) fn has_passed(then: Mono, span: Duration, now: Mono) -> bool {
    now >= after(then, span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Mono {
        Mono((seconds * 1e9) as u64)
    }

    fn pace(lasts: u64, calm: u64) -> Pace {
        Pace {
            lasts: Duration::from_secs(lasts),
            of: None,
            calm: Duration::from_secs(calm),
            patience: Duration::from_hours(1),
        }
    }

    /// What happens at each second with these severities.
    fn steps(pace: Pace, levels: &[Level]) -> Vec<(usize, Step)> {
        let mut one = Instance::new("one".into(), Timestamp(0));
        let mut steps = Vec::new();
        for (second, level) in levels.iter().enumerate() {
            let (mono, now) = (at(second as f64), Timestamp::from_seconds(second as f64));
            one.sample(Some(*level), pace, mono, now);
            match one.settle(pace, mono, now) {
                Step::Same => {}
                step => steps.push((second, step)),
            }
        }
        steps
    }

    use Level::{Critical as C, Ok as O, Warning as W};

    #[test]
    fn it_fires_when_it_has_held_and_is_over_when_it_has_been_calm() {
        assert_eq!(
            steps(pace(3, 2), &[O, W, W, W, O, W, W, W, W, W, O, O, O, O]),
            [(8, Step::Fired), (12, Step::Cleared)]
        );
        assert_eq!(steps(pace(0, 0), &[O, C, O]), [(1, Step::Fired), (2, Step::Cleared)]);
    }

    #[test]
    fn it_gets_worse_after_as_long_and_better_after_the_calm() {
        let levels = [W, W, C, C, C, W, W, W, W, O, O, O, O, O, O];
        assert_eq!(
            steps(pace(2, 2), &levels),
            [(2, Step::Fired), (4, Step::Worse), (7, Step::Better), (11, Step::Cleared)]
        );
    }

    #[test]
    fn what_nobody_knows_changes_nothing() {
        let pace = pace(3, 3);
        let mut one = Instance::new("one".into(), Timestamp(0));
        let mut step = |second: u64, level: Option<Level>| {
            one.sample(level, pace, at(second as f64), Timestamp(0));
            one.settle(pace, at(second as f64), Timestamp(0))
        };
        assert_eq!([step(1, Some(W)), step(2, None), step(4, None)], [Step::Same, Step::Same, Step::Fired]);
        assert_eq!([step(5, Some(O)), step(6, None), step(8, None)], [Step::Same, Step::Same, Step::Cleared]);
    }

    #[test]
    fn time_does_not_count_when_nothing_is_known() {
        let pace = Pace { patience: Duration::from_secs(3), ..pace(5, 4) };
        let mut one = Instance::new("one".into(), Timestamp(0));
        let mut step = |second: u64, level: Option<Level>| {
            one.resume(pace, at(second as f64));
            one.sample(level, pace, at(second as f64), Timestamp(0));
            (one.settle(pace, at(second as f64), Timestamp(0)), one.due(pace).is_some())
        };
        assert_eq!(step(1, Some(W)), (Step::Same, false));
        // a collector that hangs makes nobody believe that it goes on
        assert_eq!([step(7, None), step(8, Some(W))], [(Step::Same, false); 2]);
        assert_eq!([step(10, Some(W)), step(12, Some(W))], [(Step::Same, false), (Step::Same, true)]);
        assert_eq!(step(13, Some(W)), (Step::Fired, false));
        // nor that it is over
        assert_eq!([step(14, Some(O)), step(19, None), step(20, Some(O))], [(Step::Same, false); 3]);
        assert_eq!([step(22, Some(O)).0, step(24, Some(O)).0], [Step::Same, Step::Cleared]);
    }

    #[test]
    fn it_fires_to_the_moment_without_another_sample() {
        let pace = pace(30, 10);
        let mut one = Instance::new("one".into(), Timestamp(0));
        one.sample(Some(W), pace, at(1.5), Timestamp(0));
        let due = one.due(pace).unwrap();
        assert_eq!(due, at(31.5));
        assert_eq!(one.settle(pace, Mono(due.0 - 1), Timestamp(0)), Step::Same);
        assert_eq!(one.settle(pace, due, Timestamp(0)), Step::Fired);
    }

    #[test]
    fn some_of_the_last_samples_are_enough() {
        let pace = Pace { of: Some((3, 5)), ..pace(0, 0) };
        assert_eq!(steps(pace, &[W, O, W, O, W, O, O, O]), [(4, Step::Fired), (5, Step::Cleared)]);
    }

    #[test]
    fn who_comes_and_goes_is_told_once_and_who_comes_back_later_is_told_less_and_less() {
        let flapping: Vec<Level> = (0..300).map(|second| if second % 10 < 5 { W } else { O }).collect();
        assert_eq!(steps(pace(0, 10), &flapping), [(0, Step::Fired)]);
        // slower than its calm
        let slow: Vec<Level> = (0..3600).map(|second| if second % 120 < 60 { W } else { O }).collect();
        let fired = steps(pace(0, 30), &slow).into_iter().filter(|(_, step)| *step == Step::Fired).count();
        assert_eq!(fired, 2);
    }

    #[test]
    fn the_newest_returns_are_remembered() {
        let pace = pace(0, 0);
        let mut one = Instance::new("one".into(), Timestamp(0));
        let mut step = |second: f64, level| {
            one.sample(Some(level), pace, at(second), Timestamp(0));
            (one.settle(pace, at(second), Timestamp(0)), one.fires.len(), one.fires.back().copied())
        };
        for return_of in 0..12 {
            let second = f64::from(return_of) * 300.0;
            let known = MOST_FIRES.min(return_of as usize + 1);
            assert_eq!(step(second, W), (Step::Fired, known, Some(at(second))));
            assert_eq!(step(second + 1.0, O).0, Step::Cleared);
        }
    }
}
