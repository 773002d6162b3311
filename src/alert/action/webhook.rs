//! How is somebody told by a request over HTTP?

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use futures_util::StreamExt as _;
use hyper::Method as HttpMethod;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::{Value, json};

use super::Means;
use super::connect::Trust;
use super::http::{self, Request};
use super::place::Url;
use super::settings::{Method, Template, Webhook};
use super::words::{self, Urgency};
use super::{digest, template as template_file};
use crate::alert::{Change, Failure, Message, Notification};
use crate::model::Level;
use crate::source::routing::secret::Secret;

/// What stands for the token in a URL.
pub(super) const TOKEN: &str = "{token}";

/// What of a token is escaped in a URL: those of Slack have slashes in them.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b':');

/// Type of a body.
const JSON: &str = "application/json";

/// Longest text that is taken: of a message of Slack or ntfy, and of a summary of PagerDuty.
const MAX_SLACK: usize = 3000;
const MAX_NTFY: usize = 4000;
const MAX_SUMMARY: usize = 1024;

/// Bytes of them that a subject may take.
const SUBJECT: usize = 800;

/// Bytes of what is told over Matrix, which takes events of 64 KiB: it is in there twice, and JSON may double it.
const MAX_MATRIX: usize = 14_000;

/// Requests at once, where each change is one.
const AT_ONCE: usize = 8;

/// Tells it.
///
/// # Errors
/// It was not taken.
pub(super) async fn send(
    hook: &Webhook,
    means: &Means,
    message: &Message,
    addresses: &[SocketAddr],
    until: Instant,
) -> Result<(), Failure> {
    let token = means.files.secret(&hook.token_file)?;
    let url = url(hook, token.as_ref())?;
    let trust = Trust::of(&means.files, url.is_tls, &hook.ca_file)?;
    let requests = requests(hook, url, token.as_ref(), means, message)?;
    let ask = |request| http::ask(request, addresses, trust.as_ref(), until);
    let asked: Vec<_> = futures_util::stream::iter(requests.into_iter().map(ask)).buffered(AT_ONCE).collect().await;
    if is_each(hook) { each(message, asked) } else { asked.into_iter().collect() }
}

/// What came of requests of which each is about one change, and the same however often it is asked.
fn each(message: &Message, asked: Vec<Result<(), Failure>>) -> Result<(), Failure> {
    let (mut told, mut failure): (Vec<String>, Option<Failure>) = (Vec::new(), None);
    for (one, result) in message.notifications.iter().zip(asked) {
        match result.map_err(Failure::repeatable) {
            Ok(()) => told.push(one.id.clone()),
            Err(new) if failure.as_ref().is_none_or(|known| new.fate < known.fate) => failure = Some(new),
            Err(_) => {}
        }
    }
    failure.map_or(Ok(()), |failure| Err(failure.but(told)))
}

/// Bytes of changes that a message has room for, as [`words::weight`] counts them.
pub(super) fn room(hook: &Webhook) -> usize {
    match template(hook) {
        Some(Template::Slack) => MAX_SLACK - SUBJECT,
        Some(Template::Ntfy) => MAX_NTFY,
        Some(Template::Matrix) => MAX_MATRIX,
        Some(Template::Plain | Template::Pagerduty) | None => usize::MAX,
    }
}

/// Whether each change is a request.
pub(super) fn is_each(hook: &Webhook) -> bool {
    template(hook) == Some(Template::Pagerduty)
}

/// The template that is taken, if it is none of a file.
fn template(hook: &Webhook) -> Option<Template> {
    hook.template_file.as_os_str().is_empty().then_some(hook.template)
}

/// Where a webhook goes.
///
/// # Errors
/// Nowhere.
pub(super) fn url(hook: &Webhook, token: Option<&Secret>) -> Result<Url, Failure> {
    let mut url = Url::parse(&hook.url).map_err(|error| Failure::refused(format!("read a URL: {error}")))?;
    if let Some(token) = token {
        url.target = url.target.replace(TOKEN, &percent_encode(token.bytes(), ESCAPED).to_string());
    }
    if !url.is_tls && !url.place.is_here() && !hook.insecure {
        return Err(Failure::refused(format!("ask {url}: other hosts are told over TLS only")));
    }
    Ok(url)
}

/// What is asked to tell a message: one request, or one for each change.
fn requests(
    hook: &Webhook,
    mut url: Url,
    token: Option<&Secret>,
    means: &Means,
    message: &Message,
) -> Result<Vec<Request>, Failure> {
    let is_each = is_each(hook);
    // who takes each change by itself may be told it among others next time
    let key = |n: usize| {
        let of = message.notifications.get(if is_each { n..n + 1 } else { 0..message.notifications.len() });
        digest(of.unwrap_or_default().iter().map(|one| one.id.as_str()))
    };
    let mut method = HttpMethod::POST;
    let bodies: Vec<(&'static str, String)> = if let Some(template) = template(hook) {
        let values = match template {
            Template::Plain => vec![plain(message)],
            Template::Slack => vec![slack(message)],
            Template::Matrix => {
                // the same number twice is one message
                let _ = write!(url.target, "/{}", key(0));
                method = HttpMethod::PUT;
                vec![matrix(message)]
            }
            Template::Ntfy => {
                // what has a topic goes to the server itself, wherever that is
                let (base, topic, query) = topic(&url.target);
                let told = ntfy(message, topic);
                url.target = format!("{base}{query}");
                vec![told]
            }
            Template::Pagerduty => {
                let token = token.map(|token| String::from_utf8_lossy(token.bytes()).into_owned());
                message.notifications.iter().map(|one| pagerduty(one, &message.host, token.as_deref())).collect()
            }
        };
        values.into_iter().map(|value| (JSON, value.to_string())).collect()
    } else {
        let text = template_file::render(&hook.template_file, means.files.text(&hook.template_file)?, message)?;
        vec![(kind(&hook.template_file), text)]
    };
    method = match hook.method {
        Some(Method::Post) => HttpMethod::POST,
        Some(Method::Put) => HttpMethod::PUT,
        None => method,
    };
    let is_bearer = hook.template != Template::Pagerduty && !hook.url.contains(TOKEN);
    let made = bodies.into_iter().enumerate().map(|(n, (kind, body))| {
        let mut request = Request::new(url.clone(), method.clone(), kind, body);
        request.header("idempotency-key", key(n).as_bytes(), false)?;
        for (name, value) in &hook.headers {
            request.header(name, value.as_bytes(), false)?;
        }
        if let Some(token) = token.filter(|_| is_bearer) {
            request.bearer(token.bytes())?;
        }
        Ok(request)
    });
    made.collect()
}

/// Type of what a template makes.
fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|end| end.to_str()) {
        Some("json") => JSON,
        Some("html") => "text/html; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}

/// Everything that is known.
pub(super) fn plain(message: &Message) -> Value {
    let mut all = serde_json::to_value(message).unwrap_or_default();
    if let Some(all) = all.as_object_mut() {
        all.insert("severity".to_owned(), json!(message.severity().name()));
        all.insert("text".to_owned(), json!(words::text(message)));
    }
    all
}

/// Three characters mean something to Slack: what is written with them may call people.
fn slack(message: &Message) -> Value {
    let text = format!("{}\n{}", words::subject(message), words::text(message));
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({ "text": words::cut(&escaped, MAX_SLACK) })
}

fn matrix(message: &Message) -> Value {
    let text = format!("{}\n{}", words::subject(message), words::text(message));
    let html =
        format!("<b>{}</b><pre>{}</pre>", words::html(&words::subject(message)), words::html(&words::text(message)));
    // an empty list of those who are called: no name in the text calls anybody
    json!({
        "msgtype": "m.text", "body": text, "format": "org.matrix.custom.html", "formatted_body": html,
        "m.mentions": {},
    })
}

/// Where the server of a topic is, the topic, and the query behind it.
pub(super) fn topic(target: &str) -> (&str, &str, &str) {
    let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
    let (base, topic) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
    (base, topic, query)
}

/// As JSON, where no text can be taken for a header.
fn ntfy(message: &Message, topic: &str) -> Value {
    let (priority, tag) = match words::urgency(message) {
        _ if message.is_over() => (2, "white_check_mark"),
        Urgency::High => (5, "rotating_light"),
        Urgency::Normal => (4, "warning"),
        Urgency::Low => (3, "warning"),
    };
    let text = words::text(message);
    json!({
        "topic": topic, "title": words::subject(message), "message": words::cut(&text, MAX_NTFY), "priority": priority,
        "tags": [tag],
    })
}

fn pagerduty(one: &Notification, host: &str, key: Option<&str>) -> Value {
    let event = if one.change == Change::Cleared { "resolve" } else { "trigger" };
    let severity = match one.severity {
        Level::Critical => "critical",
        Level::Warning => "warning",
        Level::Careful | Level::Ok => "info",
    };
    json!({
        "routing_key": key, "event_action": event, "dedup_key": digest([host, &one.alert]),
        "payload": {
            "summary": words::cut(&format!("{host}: {}", words::headline(one)), MAX_SUMMARY), "source": host,
            "severity": severity, "timestamp": words::time(one.begin), "component": one.instance, "group": one.table,
            "class": one.rule, "custom_details": one,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::Files;
    use super::*;
    use crate::alert::Fate;
    use std::sync::Arc;

    const HOSTILE: &str = "<!channel> &amp; \"},{\\ \r\nX-Evil: 1 <b>'";

    fn hook(text: &str) -> Webhook {
        toml::from_str(text).unwrap()
    }

    fn asked(hook: &Webhook, token: Option<&str>, message: &Message) -> Result<Vec<Request>, Failure> {
        let token = token.map(|token| Secret::new(Path::new("/t"), token.as_bytes()).unwrap());
        let means =
            Means { files: Files::default(), outside: Arc::new(super::super::Here::new(Vec::new(), Box::new(|_| {}))) };
        requests(hook, url(hook, token.as_ref())?, token.as_ref(), &means, message)
    }

    fn body(request: &Request) -> Value {
        serde_json::from_str(&request.body).unwrap()
    }

    fn key(request: &Request) -> String {
        request.headers["idempotency-key"].to_str().unwrap().to_owned()
    }

    #[test]
    fn what_came_of_each_change_is_told_apart() {
        let mut message = words::message("one");
        for id in ["id-2", "id-3"] {
            message.notifications.push(Notification { id: id.to_owned(), ..words::example("x") });
        }
        let failed = |make: fn(String) -> Failure, cause: &str| Err(make(cause.to_owned()));
        assert_eq!(each(&message, vec![Ok(()); 3]), Ok(()));
        let asked = vec![failed(Failure::refused, "400"), Ok(()), failed(Failure::unknown, "late")];
        let told = each(&message, asked).unwrap_err();
        assert_eq!(told, Failure::unsent("late".to_owned()).but(vec!["id-2".to_owned()]));
        let asked = vec![failed(Failure::refused, "400"), Ok(()), Ok(())];
        assert_eq!(each(&message, asked).unwrap_err().fate, Fate::Refused);
    }

    #[test]
    fn each_template_says_it_in_the_words_of_who_is_told() {
        let message = words::message(HOSTILE);
        let of = |more: &str| {
            let hook = hook(&format!("url = 'https://h/rooms/x/send'\n{more}"));
            asked(&hook, Some("s3cret"), &message).unwrap().remove(0)
        };
        let plain = of("");
        assert_eq!(body(&plain)["notifications"][0]["text"], HOSTILE);
        assert_eq!(plain.headers["authorization"], "Bearer s3cret");
        let slack = body(&of("template = 'slack'"))["text"].as_str().unwrap().to_owned();
        assert!(slack.contains("&lt;!channel&gt; &amp;amp;") && !slack.contains('<'), "{slack}");
        let matrix = of("template = 'matrix'");
        assert_eq!(matrix.method, HttpMethod::PUT);
        assert_eq!(matrix.url.target, format!("/rooms/x/send/{}", key(&matrix)));
        let told = body(&matrix)["formatted_body"].as_str().unwrap().to_owned();
        assert!(told.contains("&lt;b&gt;&#39;") && told.matches('<').count() == 4, "{told}");
        let ntfy = of("template = 'ntfy'");
        assert_eq!(
            (ntfy.url.target.as_str(), &body(&ntfy)["topic"], &body(&ntfy)["priority"]),
            ("/rooms/x/", &json!("send"), &json!(5))
        );
        assert_eq!(topic("/alerts/hv?auth=x/y"), ("/alerts/", "hv", "?auth=x/y"));
        let duty = of("template = 'pagerduty'");
        assert!(!duty.headers.contains_key("authorization"));
        assert_eq!((&body(&duty)["routing_key"], &body(&duty)["event_action"]), (&json!("s3cret"), &json!("trigger")));
    }

    #[test]
    fn many_changes_are_one_request_but_for_pagerduty() {
        let mut message = words::message("one");
        message.notifications.push(Notification {
            change: Change::Cleared,
            id: "id-2".to_owned(),
            ..words::example("two")
        });
        assert_eq!(asked(&hook("url = 'https://h'"), None, &message).unwrap().len(), 1);
        let duty = asked(&hook("url = 'https://h'\ntemplate = 'pagerduty'"), Some("k"), &message).unwrap();
        let events: Vec<_> = duty.iter().map(|request| body(request)["event_action"].clone()).collect();
        assert_eq!(events, ["trigger", "resolve"]);
        assert_ne!(duty[0].headers["idempotency-key"], duty[1].headers["idempotency-key"]);
        let of = |message: &Message| key(&asked(&hook("url = 'https://h'"), None, message).unwrap()[0]);
        let (first, second) = (of(&words::message("a")), of(&message));
        assert!(first == of(&words::message("b")) && first != second, "it is the changes that make it another one");
        assert_eq!(key(&duty[0]), first, "whatever it is told with");
    }

    #[test]
    fn a_token_goes_where_it_is_named_and_nowhere_else() {
        let hook = hook("url = 'https://hooks.example/services/{token}'\ntemplate = 'slack'");
        let request = asked(&hook, Some("T0/B0/x y?#"), &words::message("x")).unwrap().remove(0);
        assert_eq!(request.url.target, "/services/T0/B0/x%20y%3F%23");
        assert!(!request.headers.contains_key("authorization") && !request.url.to_string().contains("B0"));
    }

    #[test]
    fn other_hosts_are_told_over_tls_only() {
        let refused = |text: &str| asked(&hook(text), None, &words::message("x")).err().map(|failure| failure.cause);
        let why = "ask http://h: other hosts are told over TLS only";
        assert_eq!(refused("url = 'http://h/secret'").as_deref(), Some(why));
        assert_eq!(refused("url = 'http://h'\ninsecure = true"), None);
        assert_eq!(refused("url = 'http://127.0.0.1:8080/x'"), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_name_is_each_template_says_it_and_nothing_else(name in ".{0,40}", host in ".{0,10}", way in 0..5_usize) {
            let mut message = words::message(&name);
            message.host = host;
            let template = ["plain", "slack", "matrix", "ntfy", "pagerduty"][way];
            let hook = hook(&format!("url = 'https://h/rooms/x/send'\ntemplate = '{template}'"));
            let request = asked(&hook, Some("s3cret"), &message).unwrap().remove(0);
            let body = body(&request);
            let (text, marks) = match template {
                "slack" => (body["text"].as_str().unwrap(), 0),
                "matrix" => (body["formatted_body"].as_str().unwrap(), 4),
                "ntfy" => (body["title"].as_str().unwrap(), usize::MAX),
                "pagerduty" => (body["payload"]["summary"].as_str().unwrap(), usize::MAX),
                _ => (body["notifications"][0]["text"].as_str().unwrap(), usize::MAX),
            };
            proptest::prop_assert!(marks == usize::MAX || text.matches('<').count() == marks, "{}", text);
            let said = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
            proptest::prop_assert!(said.replace("&amp;", "&").contains(&name), "{}", text);
            proptest::prop_assert_eq!(request.headers.len(), if template == "pagerduty" { 2 } else { 3 });
            for name in ["/t.json", "/t.html", "/t"] {
                let made = template_file::render(Path::new(name), "{\"a\": {{ notifications[0].text }}}", &message).unwrap();
                let is_whole = serde_json::from_str::<Value>(&made).is_ok_and(|made| made["a"] == message.notifications[0].text);
                proptest::prop_assert!(name != "/t.json" || is_whole, "{}", made);
                proptest::prop_assert!(name != "/t.html" || !made.contains(['<', '>']), "{}", made);
            }
        }
    }
}
