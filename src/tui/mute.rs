//! How does one say of alerts that they are known, or that they may be silent for a time?
//!
//! What is asked names the alerts that it is for, so that nobody speaks of one that has just taken the place of another. What
//! was said is taken back by the same keys.

use std::time::Duration;

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_input::Input;

use super::acting::{self, What};
use super::app::App;
use super::overlay::{Overlay, framed_popup, plain, typed};
use super::paint::{clear, put};
use super::text::{width, wrap};
use crate::model::{Action, Allowed, Level, Mute, Text, Timestamp, unit};
use crate::panel::{Fate, Role, Said};

/// Widest question.
const WIDE: u16 = 78;
/// Alerts that one answer is for at most.
const MOST: usize = 100;
/// Alerts that are named one by one.
const NAMED: usize = 4;
/// How long something is silent unless somebody says otherwise, and how long at most.
const USUAL: &str = "1h";
const LONGEST: Duration = Duration::from_hours(366 * 24);
/// What takes a silence back.
const BACK: &str = "0";
/// What stands where the question has no room.
const UNNAMED: &str = "nothing is said: no room to name the alert";

/// What is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// That they are known.
    Known,
    /// That they may be silent for a time.
    Silent,
    /// That what was said before does not hold any more.
    Lift,
}

/// Alerts of which something is to be said.
#[derive(Debug)]
pub(super) struct Asked {
    alerts: Vec<Said>,
    how: How,
    /// Whether it is said of all alerts of their rules.
    whole: bool,
    input: Input,
    /// Whether what stands there was typed by nobody: another time takes its place, and a comment follows it.
    is_usual: bool,
    error: Option<String>,
}

/// Asks what is to be said of the selected alert, or of that above the last row: that it is known, or no more.
pub(super) fn acknowledge(app: &mut App) -> bool {
    let Some((said, is_selected)) = meant(app) else { return false };
    if let Some(why) = refusal(app).filter(|_| !is_selected) {
        app.notices.acknowledge();
        app.say(format!("hidden here only: {why}"), Level::Careful);
        return true;
    }
    match &said.fate {
        Fate::Waits => app.say("nobody is told of it yet: it may be silent before it is, though", Level::Ok),
        Fate::Over => app.say("it is over", Level::Ok),
        Fate::Known(_) => ask(app, vec![said], How::Lift, ""),
        Fate::Fires | Fate::Silent(..) => ask(app, vec![said], How::Known, ""),
    }
    true
}

/// Asks whether all alerts that fire are known.
pub(super) fn acknowledge_all(app: &mut App) {
    let alerts: Vec<Said> = app.notices.told().take(MOST).cloned().collect();
    match refusal(app) {
        _ if alerts.is_empty() => app.notices.acknowledge_all(),
        Some(why) => {
            app.notices.acknowledge_all();
            app.say(format!("hidden here only: {why}"), Level::Careful);
        }
        None => ask(app, alerts, How::Known, ""),
    }
}

/// Asks for how long the selected alert is to be silent, or that above the last row.
pub(super) fn silence(app: &mut App) {
    match meant(app) {
        Some((Said { fate: Fate::Silent(None, _), .. }, _)) => {
            app.say("the configuration makes it silent: [[silence]] of alerts.toml", Level::Ok);
        }
        Some((said, _)) => {
            let first = if matches!(said.fate, Fate::Silent(..)) { BACK } else { USUAL };
            ask(app, vec![said], How::Silent, first);
        }
        None => app.say("select an alert first", Level::Careful),
    }
}

/// The selected alert, or that above the last row, and whether it is the selected one.
fn meant(app: &mut App) -> Option<(Said, bool)> {
    let selected = app.focus().and_then(|(_, view, state)| crate::panel::said(&view, state.row(&view)?));
    selected.map(|said| (said, true)).or_else(|| app.notices.told().next().map(|said| (said.clone(), false)))
}

/// Why nothing can be said to the host.
fn refusal(app: &App) -> Option<Text> {
    let read_only = app.config.settings.allowed() == Allowed::Nothing;
    read_only.then(|| Text::from("this dashboard is read-only")).or_else(|| app.host.refusal())
}

fn ask(app: &mut App, alerts: Vec<Said>, how: How, first: &str) {
    if let Some(why) = refusal(app) {
        app.say(format!("nothing is said: {why}"), Level::Warning);
        return;
    }
    app.named.set(false);
    let (input, is_usual) = (Input::new(first.to_owned()), !first.is_empty());
    app.overlay = Overlay::Mute(Asked { alerts, how, whole: false, input, is_usual, error: None });
}

/// What was typed, as it is meant: until when, or that it is taken back, and why.
fn meaning(how: How, typed: &str, now: Timestamp) -> Result<(How, Option<Timestamp>, Option<Text>), String> {
    let comment = |words: &str| Some(Text::from(words.trim())).filter(|words| !words.is_empty());
    if how != How::Silent {
        return Ok((how, None, comment(typed)));
    }
    let (span, why) = typed.trim().split_once(char::is_whitespace).unwrap_or((typed.trim(), ""));
    if span == BACK {
        return Ok((How::Lift, None, None));
    }
    let wrong = || format!("`{}` is no length of time: 30m, 8h or 2d, and then why", Text::from(span));
    // a number alone may be meant as anything
    let known = Some(span).filter(|span| span.ends_with(char::is_alphabetic));
    let known = known.and_then(|span| unit::parse_duration(span).ok());
    let span = known.filter(|span| *span <= LONGEST && !span.is_zero()).ok_or_else(wrong)?;
    let until = now.0.saturating_add(i64::try_from(span.as_nanos()).unwrap_or(i64::MAX));
    Ok((how, Some(Timestamp(until)), comment(why)))
}

impl Asked {
    /// Text that is pasted.
    pub(super) fn input(&mut self) -> &mut Input {
        &mut self.input
    }

    /// Whether it can be said of all alerts of a rule.
    pub(super) fn can_be_whole(&self) -> bool {
        self.how == How::Silent && matches!(self.alerts.as_slice(), [one] if !one.instance.is_empty())
    }

    /// What it is for, in words.
    fn aim(&self) -> String {
        match self.alerts.as_slice() {
            [one] if self.whole => format!("all alerts of {}", one.rule),
            [one] => one.name(),
            several => format!("{} alerts", several.len()),
        }
    }

    /// What is sent to the host.
    fn actions(&self, how: How, until: Option<Timestamp>, comment: Option<&Text>) -> Vec<Action> {
        let of = |one: &Said| -> Vec<Mute> {
            let one = if self.whole { one.clone().whole() } else { one.clone() };
            match how {
                // whatever makes it silent: what was said of it, or of all of its rule
                How::Lift if matches!(one.fate, Fate::Silent(..)) && !self.whole => {
                    vec![one.lift(), one.clone().whole().lift()]
                }
                How::Lift => vec![one.lift()],
                How::Known | How::Silent => vec![one.mute(until, comment.cloned())],
            }
        };
        self.alerts.iter().flat_map(of).map(|mute| Action::Mute { mute }).collect()
    }

    fn title(&self) -> &'static str {
        match self.how {
            How::Known => "Say that it is known",
            How::Silent => "Make silent",
            How::Lift => "Take back that it is known",
        }
    }

    /// What comes of it, and what can be typed.
    fn told(&self) -> (String, &'static str) {
        let silent = |one: &Said| match &one.fate {
            Fate::Silent(Some(user), until) => {
                let until = until.map_or_else(String::new, |until| format!(" until {}", at(until)));
                Some(format!("{user} has made it silent{until}: {BACK} takes that back; else "))
            }
            _ => None,
        };
        match self.how {
            How::Known => {
                ("nobody is told of it any more, until it is over or gets worse".to_owned(), "why, if you like: ")
            }
            How::Silent => {
                let before = self.alerts.iter().find_map(silent).unwrap_or_default();
                (format!("{before}nobody is told of it for that long"), "how long, and why: ")
            }
            How::Lift => ("people are told of it again".to_owned(), ""),
        }
    }
}

/// A key while it is asked.
pub(super) fn key(app: &mut App, mut asked: Asked, key: KeyEvent, event: &Event) -> Overlay {
    match key.code {
        KeyCode::Tab if asked.can_be_whole() => asked.whole = !asked.whole,
        // nobody speaks of what was not seen
        KeyCode::Enter if !app.named.get() => {
            app.say("nothing is said before the alert is on the screen", Level::Warning);
        }
        KeyCode::Enter => match meaning(asked.how, asked.input.value(), app.present()) {
            Ok((how, until, comment)) => {
                let word = match (how, until) {
                    (How::Lift, _) => "taken back: ".to_owned(),
                    (_, Some(until)) => format!("silent until {}: ", at(until)),
                    (_, None) => "known: ".to_owned(),
                };
                let actions = asked.actions(how, until, comment.as_ref());
                acting::act(app, actions, What::Mute(Text::from(format!("{word}{}", asked.aim()))));
                return Overlay::None;
            }
            Err(wrong) => asked.error = Some(wrong),
        },
        _ if asked.how == How::Lift => {}
        _ => {
            asked.error = None;
            let is_time = matches!(key.code, KeyCode::Char(letter) if letter.is_ascii_digit());
            if std::mem::take(&mut asked.is_usual) && is_time {
                asked.input.reset();
            }
            super::dialog::typed(&mut asked.input, event);
        }
    }
    Overlay::Mute(asked)
}

/// Time of day; with the date where that is another day.
fn at(instant: Timestamp) -> String {
    let day = |instant| crate::panel::local(instant, "%Y-%m-%d");
    let format = if day(instant) == day(Timestamp::now()) { "%H:%M" } else { "%Y-%m-%d %H:%M" };
    crate::panel::local(instant, format)
}

/// Draws the question with the alerts that it is for.
pub(super) fn draw(app: &App, buffer: &mut Buffer, area: Rect, asked: &Asked) {
    let size = Rect { width: area.width.min(WIDE), ..area };
    let room = usize::from(size.width.saturating_sub(4)).max(1);
    let mut words: Vec<(String, Role)> = wrap(&asked.aim(), room).into_iter().map(|one| (one, Role::Title)).collect();
    let needed = words.len() as u16;
    let several = asked.alerts.len() > 1;
    let of = |one: &Said| if several { one.name() } else { one.text.to_string() };
    for one in asked.alerts.iter().take(NAMED).filter(|_| !asked.whole) {
        words.extend(wrap(&of(one), room).into_iter().map(|one| (one, Role::Plain)));
    }
    let more = asked.alerts.len().saturating_sub(NAMED);
    words.extend((more > 0).then(|| (format!("and {more} more"), Role::Plain)));
    let (told, before) = asked.told();
    words.extend(wrap(&told, room).into_iter().map(|one| (one, Role::Muted)));
    words.extend(asked.error.iter().flat_map(|wrong| wrap(wrong, room)).map(|one| (one, Role::Level(Level::Warning))));
    // what is typed stands below all that has room
    let framed = area.height >= needed + 3 && area.width >= 8;
    let height = (words.len() as u16 + 1 + 2 * u16::from(framed)).min(area.height);
    let (x, y) = (area.x + (area.width - size.width) / 2, area.y + (area.height - height) / 2);
    let size = Rect { x, y, height, ..size };
    clear(buffer, size, app.theme.base());
    let inner = if framed {
        framed_popup(buffer, size, &plain(asked.title().to_owned(), Role::Title), "", &app.theme)
    } else {
        size
    };
    let widest = words.iter().take(usize::from(needed)).map(|(words, _)| width(words)).max().unwrap_or(0);
    app.named.set(needed < inner.height && widest <= usize::from(inner.width));
    if !app.named.get() {
        for (y, words) in (inner.top()..inner.bottom()).zip(wrap(UNNAMED, usize::from(inner.width))) {
            put(buffer, inner.x, y, inner.width, &words, app.theme.level(Level::Warning));
        }
        return;
    }
    for (y, (words, role)) in (inner.top()..inner.bottom().saturating_sub(1)).zip(words) {
        put(buffer, inner.x, y, inner.width, &words, app.theme.role(role));
    }
    if asked.how != How::Lift {
        typed(app, buffer, Rect { y: inner.bottom().saturating_sub(1), height: 1, ..inner }, before, &asked.input);
    }
}
