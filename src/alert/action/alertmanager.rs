//! How is an Alertmanager of Prometheus told?
//!
//! By its interface of version 2. What makes an alert that alert are labels that stay: no number of a process, no value and no
//! time are among them, so that one that is told again, by whichever sampler, is the same. It ends by itself when it is not
//! told again for four times as long as it takes to tell it, so that an agent that has gone leaves nothing behind.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hyper::Method;
use serde_json::{Map, Value, json};

use super::connect::{self, Trust};
use super::http::{self, Request};
use super::place::Url;
use super::settings::Alertmanager;
use super::{Means, talking, words};
use crate::alert::{Change, Failure, Message, Notification};
use crate::model::Level;

/// Where alerts are posted, below the URL.
const PATH: &str = "/api/v2/alerts";

/// How many times an alert is told before it ends by itself.
const TIMES: u32 = 4;

/// Names of labels that say what will be another one next time.
const PASSING: [&str; 6] = ["pid", "start", "seq", "time", "since", "id"];

/// Names of labels that are this program's.
const OWN: [&str; 5] = ["alertname", "host", "instance", "severity", "table"];

/// Severities that an alert may have.
const SEVERITIES: [Level; 3] = [Level::Careful, Level::Warning, Level::Critical];

/// Where one is.
///
/// # Errors
/// Nowhere.
pub(super) fn url(text: &str, insecure: bool) -> Result<Url, Failure> {
    let mut url = Url::parse(text).map_err(|error| Failure::refused(format!("read a URL: {error}")))?;
    if !url.is_tls && !url.place.is_here() && !insecure {
        return Err(Failure::refused(format!("ask {url}: other hosts are told over TLS only")));
    }
    url.target = format!("{}{PATH}", url.target.trim_end_matches('/'));
    Ok(url)
}

/// Tells all of them, side by side; that one of them has taken it is enough. It does no harm to tell it twice.
///
/// # Errors
/// None has taken it, or not all: then all is told, and why one has not taken it.
pub(super) fn send(
    manager: &Alertmanager,
    means: &Means,
    message: &Message,
    name: &str,
    until: Instant,
) -> Result<(), Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let body = alerts(message, now.as_secs_f64(), (manager.resend.0 * TIMES).as_secs_f64()).to_string();
    let token = means.files.secret(&manager.token_file)?;
    let tell = |text: &str| {
        let url = url(text, manager.insecure)?;
        let addresses = connect::route(&url.place, &*means.outside, until)?;
        let trust = Trust::of(&means.files, url.is_tls, &manager.ca_file)?;
        let mut request = Request::new(url, Method::POST, "application/json", body.clone());
        if let Some(token) = &token {
            request.bearer(token.bytes())?;
        }
        talking(name, http::ask(request, &addresses, trust.as_ref(), until))
    };
    // one that hangs, or whose name does, keeps no other from being told
    let told: Vec<Result<(), Failure>> = std::thread::scope(|scope| {
        let tell = &tell;
        let builder = || std::thread::Builder::new().name("deliver".to_owned());
        let start = |url| builder().spawn_scoped(scope, move || tell(url));
        let started: Vec<_> = manager.urls.iter().map(String::as_str).map(start).collect();
        let gone = |cause: &dyn std::fmt::Display| Failure::unsent(format!("tell by {name}: {cause}"));
        let ended = started.into_iter().map(|one| match one.map(std::thread::ScopedJoinHandle::join) {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(gone(&"a thread has ended")),
            Err(cause) => Err(gone(&cause)),
        });
        ended.collect()
    });
    let has_told = told.iter().any(Result::is_ok);
    let failures: Vec<Failure> = told.into_iter().filter_map(|one| one.err().map(Failure::repeatable)).collect();
    let Some(fate) = failures.iter().map(|failure| failure.fate).min() else { return Ok(()) };
    let causes: Vec<&str> = failures.iter().map(|failure| failure.cause.as_str()).collect();
    let all = message.notifications.iter().map(|one| one.id.clone()).filter(|_| has_told).collect();
    let after = failures.iter().filter_map(|failure| failure.after).max();
    Err(Failure { cause: causes.join("; "), fate, told: all, after })
}

/// What is posted.
fn alerts(message: &Message, now: f64, lasts: f64) -> Value {
    let mut all = Vec::new();
    for one in &message.notifications {
        if one.change != Change::Cleared {
            all.push(alert(one, &message.host, one.severity, now + lasts));
        }
        // what has another severity now is another alert there, and the one before is over
        if matches!(one.change, Change::Worse | Change::Better | Change::Cleared) {
            let is_over = |level: &&Level| one.change == Change::Cleared || **level != one.severity;
            let end = one.end.unwrap_or(now).min(now);
            all.extend(SEVERITIES.iter().filter(is_over).map(|level| alert(one, &message.host, *level, end)));
        }
    }
    Value::Array(all)
}

fn alert(one: &Notification, host: &str, severity: Level, end: f64) -> Value {
    let mut labels = Map::new();
    let named = one.labels.iter().filter(|(name, _)| is_label(name));
    let own = [one.rule.as_str(), host, one.instance.as_str(), severity.name(), one.table.as_str()];
    let own = OWN.into_iter().zip(own);
    let all = named.map(|(name, value)| (name.as_str(), value.as_str())).chain(own);
    // an empty label is none
    labels.extend(all.filter(|(_, value)| !value.is_empty()).map(|(name, value)| (name.to_owned(), json!(value))));
    let mut told = Map::new();
    told.insert("summary".to_owned(), json!(words::headline(one)));
    told.insert("description".to_owned(), json!(words::details(one).join("\n")));
    for (name, value) in [("value", &one.value), ("peak", &one.peak), ("comment", &one.comment)] {
        told.extend(value.as_ref().map(|value| (name.to_owned(), json!(value))));
    }
    json!({
        "labels": labels, "annotations": told, "startsAt": words::time(one.begin.min(end)), "endsAt": words::time(end),
    })
}

/// Whether that can be a label that stays.
fn is_label(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let is_name =
        name.bytes().all(fits) && !name.starts_with(|ch: char| ch.is_ascii_digit()) && !name.starts_with("__");
    is_name && !name.is_empty() && !PASSING.contains(&name) && !OWN.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(change: Change, end: Option<f64>) -> Vec<Value> {
        let mut one = Notification { change, end, severity: Level::Warning, ..words::example("vm1") };
        for (name, value) in
            [("pid", "17"), ("severity", "x"), ("__x", "y"), ("empty", ""), ("größe", "1"), ("node", "0")]
        {
            one.labels.insert(name.to_owned(), value.to_owned());
        }
        let message = Message { host: "hv1".to_owned(), notifications: vec![one], more: 0 };
        alerts(&message, 1_790_000_100.0, 240.0).as_array().unwrap().clone()
    }

    #[test]
    fn labels_stay_what_they_are_and_times_do_not() {
        let fired = told(Change::Fired, None);
        let labels = json!({
            "name": "vm1", "node": "0", "alertname": "guest_cpu", "host": "hv1", "instance": "vm1", "severity": "warning",
            "table": "vm",
        });
        assert_eq!(fired.len(), 1);
        assert_eq!(fired[0]["labels"], labels);
        assert_eq!(fired[0]["startsAt"], "2026-09-21T14:13:20.500Z");
        assert_eq!(fired[0]["endsAt"], "2026-09-21T14:19:00.000Z");
        assert_eq!(told(Change::Still, None)[0]["labels"], labels);
    }

    #[test]
    fn what_is_over_ends_with_every_severity_that_it_may_have_had() {
        let severities = |alerts: &[Value]| -> Vec<(String, bool)> {
            let of = |alert: &Value| {
                let is_over = alert["endsAt"].as_str().unwrap() <= "2026-09-21T14:15:00.000Z";
                (alert["labels"]["severity"].as_str().unwrap().to_owned(), is_over)
            };
            alerts.iter().map(of).collect()
        };
        let all = |over: [bool; 3]| {
            ["careful", "warning", "critical"].map(str::to_owned).into_iter().zip(over).collect::<Vec<_>>()
        };
        assert_eq!(severities(&told(Change::Cleared, Some(1_790_000_090.0))), all([true; 3]));
        let mut worse = severities(&told(Change::Worse, None));
        worse.sort_by_key(|(name, _)| ["careful", "warning", "critical"].iter().position(|word| word == name));
        assert_eq!(worse, all([true, false, true]));
        // a clock that was put back makes nothing end before it begins
        let early = told(Change::Cleared, Some(1.0));
        assert_eq!(early[0]["startsAt"], early[0]["endsAt"]);
    }

    #[test]
    fn urls_may_have_a_prefix() {
        assert_eq!(url("https://a:9093/prefix/", false).unwrap().target, "/prefix/api/v2/alerts");
        assert_eq!(url("http://localhost", false).unwrap().target, "/api/v2/alerts");
        assert!(url("http://a", false).is_err() && url("http://a", true).is_ok());
    }
}
