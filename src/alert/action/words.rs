//! How is an alert put into words?

use std::fmt::Write as _;

use crate::alert::told::digest;
use crate::alert::{Change, Message, Notification};
use crate::model::Level;

/// Bytes of a name and of a comment at most, and rows at the top.
const MAX_NAME: usize = 200;
const MAX_COMMENT: usize = 512;
const MAX_TOP: usize = 8;

/// One line: how bad it is, and what it is.
pub(in crate::alert) fn headline(one: &Notification) -> String {
    let severity = one.severity.name();
    match one.change {
        Change::Fired => format!("{severity}: {}", one.text),
        Change::Cleared => format!("over: {}", one.text),
        change => format!("{severity}, {}: {}", change.name(), one.text),
    }
}

/// One line about all of a message, with the host.
pub(in crate::alert) fn subject(message: &Message) -> String {
    let all = message.notifications.len() as u64 + message.more;
    let first = message.notifications.first().map(headline).unwrap_or_default();
    if all < 2 {
        format!("{}: {first}", message.host)
    } else {
        format!("{}: {all} alerts, the worst {first}", message.host)
    }
}

/// More about one change: what is known, a line each.
pub(in crate::alert) fn details(one: &Notification) -> Vec<String> {
    let mut lines = Vec::new();
    let instance = if one.instance.is_empty() { String::new() } else { format!(" of {}", one.instance) };
    lines.push(format!("rule {}, table {}{instance}", one.rule, one.table));
    let known = [("value", &one.value), ("worst", &one.peak)];
    let values: Vec<String> =
        known.iter().filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?))).collect();
    if !values.is_empty() {
        lines.push(values.join(", "));
    }
    let mut times = format!("since {}", time(one.begin));
    if let Some(end) = one.end {
        let _ = write!(times, " until {}", time(end));
    }
    lines.push(times);
    if one.flaps > 0 {
        lines.push(format!("it went and came back, times: {}", one.flaps));
    }
    if !one.top.is_empty() {
        lines.push(format!("at the top when it began: {}", one.top.join(", ")));
    }
    if let Some(comment) = &one.comment {
        lines.push(format!("comment: {comment}"));
    }
    lines
}

/// All of a message; lines that say more about the one before are indented.
pub(in crate::alert) fn text(message: &Message) -> String {
    let mut text = String::new();
    for one in &message.notifications {
        text.push_str(&headline(one));
        text.push('\n');
        for line in details(one) {
            let _ = writeln!(text, "  {line}");
        }
    }
    if message.more > 0 {
        let _ = writeln!(text, "and more, for which there was no room: {}", message.more);
    }
    text
}

/// A time of the Unix epoch as RFC 3339 has it, with milliseconds; the epoch itself for what is none.
pub(in crate::alert) fn time(seconds: f64) -> String {
    let known = jiff::Timestamp::from_millisecond((seconds * 1e3) as i64).unwrap_or_default();
    format!("{known:.3}")
}

/// A change whose names leave room for others: those that are long are cut, and go on being different ones.
pub(in crate::alert) fn short(mut one: Notification) -> Notification {
    let cut_name = |word: &mut String| {
        if word.len() > MAX_NAME {
            let mark = format!("…{}", digest(&[word.as_str()]));
            *word = format!("{}{mark}", cut(word, MAX_NAME.saturating_sub(mark.len())));
        }
    };
    one.top.truncate(MAX_TOP);
    for word in one.top.iter_mut().chain(one.labels.values_mut()).chain([&mut one.instance]) {
        cut_name(word);
    }
    one.comment = one.comment.map(|comment| cut(&comment, MAX_COMMENT).to_owned());
    one
}

/// Bytes that a change takes in a message at most, in whichever words.
pub(in crate::alert) fn weight(one: &Notification) -> usize {
    html(&headline(one)).len() + details(one).iter().map(|line| html(line).len() + 3).sum::<usize>() + 1
}

/// What of a text has room, cut where a character ends.
pub(in crate::alert) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

/// The end of a text, as far as it has room, from where a character begins.
pub(in crate::alert) fn end(text: &str, most: usize) -> &str {
    let begin = (text.len().saturating_sub(most)..=text.len()).find(|begin| text.is_char_boundary(*begin));
    begin.and_then(|begin| text.get(begin..)).unwrap_or_default()
}

/// A text as HTML that says the same.
pub(in crate::alert) fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for ch in text.chars() {
        match ch {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(ch),
        }
    }
    escaped
}

/// How urgent something is for who knows three steps; what is over is not.
pub(in crate::alert) fn urgency(message: &Message) -> Urgency {
    match message.severity() {
        _ if message.is_over() => Urgency::Low,
        Level::Critical => Urgency::High,
        Level::Warning => Urgency::Normal,
        Level::Careful | Level::Ok => Urgency::Low,
    }
}

/// Three steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::alert) enum Urgency {
    Low,
    Normal,
    High,
}

/// One change, for tests.
#[cfg(test)]
pub(in crate::alert) fn example(text: &str) -> Notification {
    Notification {
        id: "id-1".to_owned(),
        alert: "alert-1".to_owned(),
        rule: "guest_cpu".to_owned(),
        instance: text.to_owned(),
        table: "vm".to_owned(),
        severity: Level::Critical,
        change: Change::Fired,
        text: text.to_owned(),
        value: Some("98 %".to_owned()),
        peak: Some("99 %".to_owned()),
        begin: 1_790_000_000.5,
        end: None,
        labels: [("name".to_owned(), text.to_owned())].into(),
        top: vec![text.to_owned()],
        flaps: 0,
        comment: None,
        tell: Level::Ok,
    }
}

/// A message with one change, for tests.
#[cfg(test)]
pub(in crate::alert) fn message(text: &str) -> Message {
    Message { host: "hv1".to_owned(), notifications: vec![example(text)], more: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_a_line_and_what_is_known_of_it() {
        let mut one = example("vm1 is busy");
        assert_eq!(headline(&one), "critical: vm1 is busy");
        one.change = Change::Better;
        one.severity = Level::Warning;
        assert_eq!(headline(&one), "warning, better: vm1 is busy");
        (one.change, one.end, one.flaps) = (Change::Cleared, Some(1_790_000_060.0), 2);
        (one.comment, one.value) = (Some("known".to_owned()), None);
        let wanted = "over: vm1 is busy\n  rule guest_cpu, table vm of vm1 is busy\n  worst 99 %\n  since \
                      2026-09-21T14:13:20.500Z until 2026-09-21T14:14:20.000Z\n  it went and came back, times: 2\n  \
                      at the top when it began: vm1 is busy\n  comment: known\nand more, for which there was no room: 3\n";
        let mut message = Message { host: "hv1".to_owned(), notifications: vec![one], more: 3 };
        assert_eq!(text(&message), wanted);
        assert_eq!(subject(&message), "hv1: 4 alerts, the worst over: vm1 is busy");
        message.more = 0;
        assert_eq!(subject(&message), "hv1: over: vm1 is busy");
    }

    #[test]
    fn long_names_are_cut_and_stay_different() {
        let long = |end: &str| format!("{}{end}", "ä".repeat(2048));
        let of = |end: &str| {
            let mut one = example(&long(end));
            one.text = "short".to_owned();
            (one.top, one.comment) = (vec![long(end); 100], Some(long(end)));
            short(one)
        };
        let (one, other) = (of("1"), of("2"));
        assert!(one.instance.len() <= MAX_NAME && one.instance.starts_with("ää"), "{}", one.instance);
        assert!(one.instance != other.instance && one.labels != other.labels && one.instance == one.labels["name"]);
        assert!(weight(&one) < 3000, "{}", weight(&one));
        assert_eq!(short(example("vm1")), example("vm1"));
    }

    #[test]
    fn times_that_are_none_and_ends_inside_a_character_do_no_harm() {
        assert_eq!([f64::NAN, f64::INFINITY, -1e300].map(time)[0], "1970-01-01T00:00:00.000Z");
        assert_eq!((cut("größe", 3), cut("größe", 4), cut("a", 9), cut("ö", 1)), ("gr", "grö", "a", ""));
        assert_eq!((end("größe", 3), end("größe", 4), end("a", 9), end("ö", 1)), ("ße", "ße", "a", ""));
    }
}
