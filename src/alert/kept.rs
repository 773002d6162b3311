//! What is known of alerts after a restart?
//!
//! What fires and what waits to, silences, what was acknowledged, the newest events, and what each recipient was told. Times
//! are those of the wall clock: the other one begins anew with the machine.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::{Deserialize, Serialize};

use super::dispatch::{self, Dispatch};
use super::engine::{Engine, Moment};
use super::events::{self, Event};
use super::instance::{Instance, Known};
use super::silence::Said;
use super::slots::ROOM;
use crate::collect::alert::What;
use crate::model::{Key, Level, Mono, Mute, Text, Timestamp};

/// Alerts that are written down at most.
const MOST: usize = 4096;

/// All that is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    version: u32,
    seq: u64,
    events: Vec<KeptEvent>,
    alerts: Vec<Alert>,
    silences: Vec<Silence>,
    recipients: Vec<dispatch::Kept>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptEvent {
    seq: u64,
    time: i64,
    what: String,
    severity: String,
    rule: String,
    instance: String,
    value: Option<String>,
    duration: Option<f64>,
    #[serde(default)]
    told: Option<bool>,
    text: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Alert {
    rule: String,
    key: String,
    name: String,
    level: String,
    last: String,
    held: [Option<i64>; 3],
    since: i64,
    fired: Option<i64>,
    end: Option<i64>,
    down: Option<i64>,
    value: Option<f64>,
    peak: Option<f64>,
    limit: Option<f64>,
    flaps: u32,
    fires: Vec<i64>,
    #[serde(default)]
    seen: Option<i64>,
    #[serde(default)]
    bits: [u64; 3],
    known: Option<(String, Option<String>)>,
    text: String,
    labels: Vec<(String, String)>,
    #[serde(default)]
    facts: Vec<String>,
    top: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Silence {
    user: String,
    rule: String,
    instance: String,
    until: i64,
    comment: Option<String>,
}

/// Two clocks at one moment.
#[derive(Clone, Copy)]
struct Clocks(Moment);

impl Clocks {
    fn wall(self, mono: Mono) -> i64 {
        let ago = i64::try_from(self.0.mono.0.saturating_sub(mono.0)).unwrap_or(i64::MAX);
        self.0.time.0.saturating_sub(ago)
    }

    fn mono(self, wall: i64) -> Mono {
        let ago = u64::try_from(self.0.time.0.saturating_sub(wall)).unwrap_or(0);
        Mono(self.0.mono.0.saturating_sub(ago))
    }
}

fn level(word: &str) -> Level {
    Level::ALL.into_iter().find(|level| level.name() == word).unwrap_or_default()
}

/// All that is worth writing down.
pub(super) fn write(engine: &Engine, recipients: Vec<dispatch::Kept>, moment: Moment) -> Vec<u8> {
    let clocks = Clocks(moment);
    let mut alerts: Vec<(&Text, &Key, &Instance)> = Vec::new();
    for watched in &engine.watched {
        let worth = |one: &&Instance| one.level > Level::Ok || one.held[0].is_some() || one.end.is_some();
        let those = watched.instances.iter().filter(|(_, one)| worth(one));
        alerts.extend(those.map(|(key, one)| (&watched.rule.name, key, one)));
    }
    // those that fire first
    alerts.sort_by_key(|(_, _, one)| (std::cmp::Reverse(one.level), one.since));
    alerts.truncate(MOST);
    let mut kept = Kept {
        version: 1,
        seq: engine.events.seq,
        events: engine.events.kept.iter().map(|(seq, event)| kept_event(*seq, event)).collect(),
        alerts: alerts.into_iter().map(|(rule, key, one)| alert(rule, key, one, clocks)).collect(),
        silences: engine.silences.said.iter().map(silence).collect(),
        recipients,
    };
    loop {
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        if bytes.len() <= ROOM {
            return bytes;
        }
        // what fires matters more than what did
        if kept.events.is_empty() && kept.alerts.is_empty() {
            kept.recipients.clear();
        }
        kept.events.clear();
        kept.alerts.truncate(kept.alerts.len() / 2);
    }
}

/// Takes up what was written down; whether there was anything.
pub(super) fn restore(bytes: &[u8], engine: &mut Engine, moment: Moment) -> Result<Vec<dispatch::Kept>, String> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let kept: Kept = serde_json::from_slice(bytes).map_err(|cause| cause.to_string())?;
    let clocks = Clocks(moment);
    for one in kept.alerts {
        let is_its = |watched: &&mut super::watched::Watched| watched.rule.name.as_str() == one.rule;
        let (Some(watched), Some(key)) =
            (engine.watched.iter_mut().find(is_its), STANDARD_NO_PAD.decode(&one.key).ok())
        else {
            continue;
        };
        watched.restore(Key::from_bytes(&key), instance(one, clocks), moment.mono);
    }
    for said in kept.silences {
        let mute = Mute {
            rule: said.rule.as_str().into(),
            instance: said.instance.as_str().into(),
            until: Some(Timestamp(said.until)),
            comment: said.comment.as_deref().map(Text::from),
            lift: false,
        };
        engine.silences.add(&said.user.as_str().into(), &mute);
    }
    let new = std::mem::take(&mut engine.events.kept);
    for event in kept.events.into_iter().rev().take(events::MOST).rev() {
        engine.events.kept.push_back((event.seq, event_of(&event)));
    }
    engine.events.seq = kept.seq;
    for (_, event) in new {
        engine.events.note(event);
    }
    Ok(kept.recipients)
}

/// What would be written down, for who tries to break the reading.
#[doc(hidden)]
pub fn written(engine: &Engine, dispatch: &Dispatch, moment: Moment) -> Vec<u8> {
    write(engine, dispatch.kept(moment), moment)
}

/// Takes up what was written down; whether it could be read. For who tries to break the reading.
#[doc(hidden)]
pub fn taken_up(bytes: &[u8], engine: &mut Engine, dispatch: &mut Dispatch, moment: Moment) -> bool {
    let kept = restore(bytes, engine, moment);
    let is_read = kept.is_ok();
    dispatch.restore(kept.unwrap_or_default(), moment);
    is_read
}

fn alert(rule: &Text, key: &Key, one: &Instance, clocks: Clocks) -> Alert {
    let wall = |mono: &Mono| clocks.wall(*mono);
    Alert {
        rule: rule.to_string(),
        key: STANDARD_NO_PAD.encode(key.as_bytes()),
        name: one.name.to_string(),
        level: one.level.name().to_owned(),
        last: one.last.name().to_owned(),
        held: one.held.map(|held| held.as_ref().map(wall)),
        since: one.since.0,
        fired: one.fired.map(|fired| fired.0),
        end: one.end.map(|end| end.0),
        down: one.down.as_ref().map(wall),
        value: one.value,
        peak: one.peak,
        limit: one.limit,
        flaps: one.flaps,
        fires: one.fires.iter().map(wall).collect(),
        seen: one.seen.as_ref().map(wall),
        bits: one.bits,
        known: one.known.as_ref().map(|known| (known.user.to_string(), known.comment.as_ref().map(Text::to_string))),
        text: one.text.to_string(),
        labels: one.labels.clone(),
        facts: one.facts.clone(),
        top: one.top.clone(),
    }
}

fn instance(one: Alert, clocks: Clocks) -> Instance {
    let mono = |wall: i64| clocks.mono(wall);
    Instance {
        level: level(&one.level),
        last: level(&one.last),
        held: one.held.map(|held| held.map(mono)),
        since: Timestamp(one.since),
        fired: one.fired.map(Timestamp),
        end: one.end.map(Timestamp),
        down: one.down.map(mono),
        value: one.value,
        peak: one.peak,
        limit: one.limit,
        flaps: one.flaps,
        fires: one.fires.into_iter().take(8).map(mono).collect(),
        seen: one.seen.map(mono),
        heard: one.seen.map(mono),
        bits: one.bits,
        known: one
            .known
            .map(|(user, comment)| Known { user: user.as_str().into(), comment: comment.as_deref().map(Text::from) }),
        text: one.text.as_str().into(),
        labels: one.labels,
        facts: one.facts,
        top: one.top,
        ..Instance::new(one.name.as_str().into(), Timestamp(one.since))
    }
}

fn silence(said: &Said) -> Silence {
    Silence {
        user: said.user.to_string(),
        rule: said.mute.rule.to_string(),
        instance: said.mute.instance.to_string(),
        until: said.mute.until.map_or(0, |until| until.0),
        comment: said.mute.comment.as_ref().map(Text::to_string),
    }
}

fn kept_event(seq: u64, event: &Event) -> KeptEvent {
    KeptEvent {
        seq,
        time: event.time.0,
        what: event.what.name().to_owned(),
        severity: event.severity.name().to_owned(),
        rule: event.rule.to_string(),
        instance: event.instance.to_string(),
        value: event.value.as_ref().map(Text::to_string),
        duration: event.duration,
        told: event.told,
        text: event.text.to_string(),
    }
}

fn event_of(event: &KeptEvent) -> Event {
    Event {
        time: Timestamp(event.time),
        what: What::of(&event.what),
        severity: level(&event.severity),
        rule: event.rule.as_str().into(),
        instance: event.instance.as_str().into(),
        value: event.value.as_deref().map(Text::from),
        duration: event.duration,
        told: event.told,
        text: event.text.as_str().into(),
    }
}
