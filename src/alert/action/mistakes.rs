//! Which actions cannot be meant as they were written?

use std::path::Path;
use std::time::Duration;

use super::place::{Place, Url};
use super::settings::{Action, Alertmanager, Command, Mail, Settings, Syslog, Template, Tls, Way, Webhook};
use super::webhook::{TOKEN, topic};
use crate::model::Text;
use crate::store::expr::regex;

/// Actions at most.
const MOST: usize = 64;

/// Longest name of an action.
const MAX_NAME: usize = 64;

/// Shortest time after which an Alertmanager is told again: an alert is over there after four of them.
const RESEND: Duration = Duration::from_secs(10);

/// Shortest and longest time that an attempt may have.
const TIMES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_hours(1));

/// Headers that say who asks, which is secret, or that belong to the request itself.
const OWN: [&str; 9] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "expect",
];

/// Something that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which action, from 0.
    pub index: usize,
    /// The key, with that of its table in front.
    pub key: Vec<&'static str>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: &'static str,
}

/// Everything that makes no sense.
pub fn mistakes(settings: &Settings) -> Vec<Mistake> {
    let mut found = Found { index: 0, all: Vec::new() };
    for (index, action) in settings.iter().enumerate() {
        found.index = index;
        found.of_action(action);
        if settings.iter().take(index).any(|other| other.name == action.name) {
            found.add(&["name"], format!("there are two that are called `{}`", Text::from(action.name.as_str())), "");
        }
        if index == MOST {
            found.add(&["name"], format!("more than {MOST} are not carried out"), "");
        }
        match action.ways().as_slice() {
            [way] => found.of_way(*way),
            [] => found.add(
                &["name"],
                "nothing says how".to_owned(),
                "command, webhook, mail, syslog, journald or alertmanager does",
            ),
            _ => {
                found.add(&["name"], "there is more than one way".to_owned(), "an action has one; make another action");
            }
        }
    }
    found.all
}

struct Found {
    index: usize,
    all: Vec<Mistake>,
}

impl Found {
    fn add(&mut self, key: &[&'static str], message: String, hint: &'static str) {
        self.all.push(Mistake { index: self.index, key: key.to_vec(), message, hint });
    }

    fn of_action(&mut self, action: &Action) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = !action.name.is_empty() && action.name.len() <= MAX_NAME && action.name.bytes().all(plain);
        if !is_name {
            let message = format!("`{}` is no name of an action", Text::from(action.name.as_str()));
            self.add(&["name"], message, "small letters, digits and hyphens, for example \"page\"");
        }
        if action.on.is_empty() {
            self.add(
                &["on"],
                "nothing is ever told".to_owned(),
                "leave it out, or name careful, warning, critical, recovery",
            );
        }
        for pattern in &action.rules {
            if let Err(cause) = regex(pattern) {
                self.add(&["rules"], cause, "");
            }
        }
        if action.timeout.0 < TIMES.0 || action.timeout.0 > TIMES.1 {
            self.add(&["timeout"], "an attempt has between 100ms and 1h".to_owned(), "");
        }
        if action.repeat.is_some_and(|repeat| repeat < action.window) {
            self.add(&["repeat"], "it is repeated within the time in which it is not told twice".to_owned(), "");
        }
    }

    fn of_way(&mut self, way: Way<'_>) {
        match way {
            Way::Command(command) => self.of_command(command),
            Way::Webhook(hook) => self.of_webhook(hook),
            Way::Mail(mail) => self.of_mail(mail),
            Way::Syslog(syslog) => self.of_syslog(syslog),
            Way::Journald => {}
            Way::Alertmanager(manager) => self.of_alertmanager(manager),
        }
    }

    fn of_command(&mut self, command: &Command) {
        let key = ["command", "argv"];
        match command.argv.first() {
            None => self.add(&key, "there is no program".to_owned(), "for example [\"/usr/local/bin/page\", \"me\"]"),
            Some(program) if !program.starts_with('/') => {
                let message = format!("`{}` is no path from the root on", Text::from(program.as_str()));
                self.add(
                    &key,
                    message,
                    "no shell looks for it; one that is wanted is named: [\"/bin/sh\", \"-c\", ...]",
                );
            }
            Some(_) => {}
        }
        if command.argv.iter().any(|argument| argument.contains('\0')) {
            self.add(&key, "an argument ends in its middle".to_owned(), "");
        }
    }

    fn of_webhook(&mut self, hook: &Webhook) {
        self.of_url(["webhook", "url"], &hook.url, hook.insecure);
        let (has_file, has_token) = (!is_none(&hook.template_file), !is_none(&hook.token_file));
        if has_file && hook.template != Template::Plain {
            self.add(&["webhook", "template_file"], "there are two templates".to_owned(), "leave one of them out");
        }
        let is_named = hook.url.contains(TOKEN);
        if is_named && !has_token {
            self.add(&["webhook", "url"], "there is no token".to_owned(), "token_file = \"FILE\" names its file");
        }
        if is_named && Url::parse(&hook.url).is_ok_and(|url| !url.target.contains(TOKEN)) {
            self.add(&["webhook", "url"], "the token has to be in the path".to_owned(), "");
        }
        if hook.template == Template::Pagerduty && !has_token {
            self.add(
                &["webhook", "template"],
                "there is no routing key".to_owned(),
                "token_file = \"FILE\" names its file",
            );
        }
        if hook.template == Template::Matrix && !hook.url.ends_with("/send/m.room.message") {
            let hint = "https://HOST/_matrix/client/v3/rooms/ROOM/send/m.room.message";
            self.add(&["webhook", "url"], "no message of Matrix is sent there".to_owned(), hint);
        }
        if hook.template == Template::Ntfy && Url::parse(&hook.url).is_ok_and(|url| topic(&url.target).1.is_empty()) {
            self.add(&["webhook", "url"], "there is no topic".to_owned(), "https://HOST/TOPIC");
        }
        for (name, value) in &hook.headers {
            let is_header = name.parse::<hyper::header::HeaderName>().is_ok()
                && hyper::header::HeaderValue::from_str(value).is_ok();
            if !is_header {
                self.add(&["webhook", "headers"], format!("`{}` is no header", Text::from(name.as_str())), "");
            } else if OWN.iter().any(|own| name.eq_ignore_ascii_case(own)) {
                self.add(
                    &["webhook", "headers"],
                    format!("{name} is not set here"),
                    "a token is in its file: token_file",
                );
            }
        }
        for (key, path) in
            [("template_file", &hook.template_file), ("token_file", &hook.token_file), ("ca_file", &hook.ca_file)]
        {
            self.of_file(["webhook", key], path);
        }
    }

    fn of_mail(&mut self, mail: &Mail) {
        match Place::parse(&mail.server, 25) {
            None => {
                let message = format!("`{}` is no host", Text::from(mail.server.as_str()));
                self.add(&["mail", "server"], message, "for example \"mx.example.org\" or \"mx.example.org:587\"");
            }
            Some(place) if mail.tls == Tls::None && !place.is_here() => {
                self.add(&["mail", "tls"], "other hosts are told over TLS only".to_owned(), "");
            }
            Some(_) => {}
        }
        if !is_address(&mail.from) {
            self.add(&["mail", "from"], format!("`{}` is no address of mail", Text::from(mail.from.as_str())), "");
        }
        if mail.to.is_empty() {
            self.add(&["mail", "to"], "nobody gets it".to_owned(), "to = [\"somebody@example.org\"]");
        }
        for to in mail.to.iter().filter(|to| !is_address(to)) {
            self.add(&["mail", "to"], format!("`{}` is no address of mail", Text::from(to.as_str())), "");
        }
        if mail.user.is_empty() != is_none(&mail.password_file) {
            self.add(
                &["mail", "user"],
                "a user and a password go together".to_owned(),
                "password_file = \"FILE\" names its file",
            );
        }
        if mail.user.contains(char::is_control) {
            self.add(&["mail", "user"], "nobody has such a name".to_owned(), "");
        }
        self.of_file(["mail", "password_file"], &mail.password_file);
        self.of_file(["mail", "ca_file"], &mail.ca_file);
    }

    fn of_syslog(&mut self, syslog: &Syslog) {
        let given = [!is_none(&syslog.socket), !syslog.udp.is_empty(), !syslog.tcp.is_empty()];
        if given.iter().filter(|given| **given).count() > 1 {
            self.add(&["syslog"], "there is more than one place".to_owned(), "one of socket, udp and tcp");
        }
        self.of_file(["syslog", "socket"], &syslog.socket);
        for (key, text) in [("udp", &syslog.udp), ("tcp", &syslog.tcp)] {
            if !text.is_empty() && Place::parse(text, 514).is_none() {
                let message = format!("`{}` is no host", Text::from(text.as_str()));
                self.add(&["syslog", key], message, "for example \"logs.example.org:514\"");
            }
        }
    }

    fn of_alertmanager(&mut self, manager: &Alertmanager) {
        if manager.urls.is_empty() {
            self.add(&["alertmanager", "urls"], "there is none".to_owned(), "urls = [\"https://HOST:9093\"]");
        }
        for url in &manager.urls {
            self.of_url(["alertmanager", "urls"], url, manager.insecure);
        }
        if manager.resend.0 < RESEND {
            self.add(&["alertmanager", "resend"], "alerts would end there and begin again".to_owned(), "10s or more");
        }
        self.of_file(["alertmanager", "token_file"], &manager.token_file);
        self.of_file(["alertmanager", "ca_file"], &manager.ca_file);
    }

    /// A URL is not repeated in what is wrong with it: it may have a secret in it.
    fn of_url(&mut self, key: [&'static str; 2], text: &str, insecure: bool) {
        match Url::parse(text) {
            Err(error) => self.add(&key, error.to_string(), "what is secret is in a file: token_file"),
            Ok(url) if !url.is_tls && !url.place.is_here() && !insecure => {
                let message = format!("{} would be told in plain text", url.place);
                self.add(&key, message, "https://, or insecure = true where everybody may read it");
            }
            Ok(url) => {
                let refused = url.place.address().and_then(|address| url.place.refusal(address));
                if let Some(why) = refused {
                    self.add(&key, format!("nothing is sent to {}: {why}", url.place), "");
                }
            }
        }
    }

    fn of_file(&mut self, key: [&'static str; 2], path: &Path) {
        if !is_none(path) && !path.is_absolute() {
            self.add(&key, format!("`{}` is no path from the root on", Text::from(path)), "");
        }
    }
}

fn is_none(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

/// Whether mail can be sent there: one address, without a name and without anything that could end a line or a command.
fn is_address(text: &str) -> bool {
    let fits = |ch: char| {
        ch.is_ascii_graphic() && !matches!(ch, '<' | '>' | '(' | ')' | ',' | ';' | ':' | '"' | '\\' | '[' | ']')
    };
    let parts = text.rsplit_once('@').filter(|(local, _)| !local.is_empty() && !local.contains('@'));
    text.len() <= 254 && text.chars().all(fits) && parts.is_some_and(|(_, host)| Place::parse(host, 25).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys that something is wrong with.
    fn wrong(text: &str) -> Vec<String> {
        let text = format!("[[action]]\nname = 'a'\n{text}");
        let read: std::collections::BTreeMap<String, Settings> = toml::from_str(&text).unwrap();
        mistakes(&read["action"]).into_iter().map(|mistake| mistake.key.join(".")).collect()
    }

    #[test]
    fn what_makes_sense_is_taken() {
        for good in [
            "command = { argv = ['/bin/page'] }",
            "webhook = { url = 'https://h/x', headers = { X-A = 'b' } }",
            "webhook = { url = 'http://localhost:8080/x' }",
            "webhook = { url = 'http://h/x', insecure = true }",
            "webhook = { url = 'https://h/{token}', template = 'slack', token_file = '/t' }",
            "webhook = { url = 'https://h/t', template = 'ntfy' }",
            "webhook = { url = 'https://h/r/send/m.room.message', template = 'matrix', token_file = '/t' }",
            "webhook = { url = 'https://h/v2/enqueue', template = 'pagerduty', token_file = '/t' }",
            "mail = { server = 'mx:587', from = 'a@b', to = ['c@d.example'], user = 'u', password_file = '/p' }",
            "mail = { server = 'localhost', tls = 'none', from = 'a@b', to = ['c@d'] }",
            "syslog = {}",
            "syslog = { tcp = '[2001:db8::1]:601' }",
            "journald = {}",
            "alertmanager = { urls = ['https://a', 'https://b:9093/prefix'] }",
        ] {
            assert!(wrong(good).is_empty(), "{good}: {:?}", wrong(good));
        }
    }

    #[test]
    fn the_examples_in_the_file_of_alerts_make_sense() {
        let text = include_str!("../../../config/alerts.toml");
        let ways = ["command", "webhook", "mail", "syslog", "journald", "alertmanager"];
        let is_way = |line: &&str| ways.iter().any(|way| line.starts_with(&format!("{way} = {{")));
        let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_way).collect();
        assert!(ways.iter().all(|way| lines.iter().any(|line| line.starts_with(way))), "{lines:?}");
        for line in lines {
            assert!(wrong(line).is_empty(), "{line}: {:?}", wrong(line));
        }
    }

    #[test]
    fn what_makes_no_sense_is_told_at_its_key() {
        for (bad, key) in [
            ("", "name"),
            ("journald = {}\nsyslog = {}", "name"),
            ("on = []\njournald = {}", "on"),
            ("rules = ['(']\njournald = {}", "rules"),
            ("repeat = '10s'\njournald = {}", "repeat"),
            ("timeout = '0s'\njournald = {}", "timeout"),
            ("timeout = '2h'\njournald = {}", "timeout"),
            ("command = { argv = [] }", "command.argv"),
            ("command = { argv = ['page'] }", "command.argv"),
            ("command = { argv = ['/p', \"a\\u0000b\"] }", "command.argv"),
            ("webhook = { url = 'http://h/x' }", "webhook.url"),
            ("webhook = { url = 'https://u:p@h/x' }", "webhook.url"),
            ("webhook = { url = 'https://169.254.169.254/' }", "webhook.url"),
            ("webhook = { url = 'https://h/{token}' }", "webhook.url"),
            ("webhook = { url = 'https://h/', template = 'ntfy' }", "webhook.url"),
            ("webhook = { url = 'https://h/ntfy/?x=/y', template = 'ntfy' }", "webhook.url"),
            ("webhook = { url = 'https://h/', template = 'matrix' }", "webhook.url"),
            ("webhook = { url = 'https://h/', template = 'pagerduty' }", "webhook.template"),
            ("webhook = { url = 'https://h/', template = 'slack', template_file = '/t' }", "webhook.template_file"),
            ("webhook = { url = 'https://h/', token_file = 't' }", "webhook.token_file"),
            ("webhook = { url = 'https://h/', headers = { authorization = 'x' } }", "webhook.headers"),
            ("webhook = { url = 'https://h/', headers = { 'a b' = 'x' } }", "webhook.headers"),
            ("mail = { server = '', from = 'a@b', to = ['c@d'] }", "mail.server"),
            ("mail = { server = 'mx', tls = 'none', from = 'a@b', to = ['c@d'] }", "mail.tls"),
            ("mail = { server = 'mx', from = 'a', to = ['c@d'] }", "mail.from"),
            ("mail = { server = 'mx', from = 'a@b', to = [] }", "mail.to"),
            ("mail = { server = 'mx', from = 'a@b', to = ['c@d>\\r\\nRCPT TO:<e@f'] }", "mail.to"),
            ("mail = { server = 'mx', from = 'a@b', to = ['c@d'], user = 'u' }", "mail.user"),
            ("syslog = { udp = 'h', tcp = 'h' }", "syslog"),
            ("syslog = { udp = 'h:0' }", "syslog.udp"),
            ("syslog = { socket = 'log' }", "syslog.socket"),
            ("alertmanager = { urls = [] }", "alertmanager.urls"),
            ("alertmanager = { urls = ['https://h'], resend = '1s' }", "alertmanager.resend"),
            ("alertmanager = { urls = ['http://h:9093'] }", "alertmanager.urls"),
        ] {
            assert_eq!(wrong(bad), [key], "{bad}");
        }
        assert_eq!(wrong("journald = {}\n[[action]]\nname = 'a'\nsyslog = {}"), ["name"]);
        for name in ["", "A", "a b", "ä", &"a".repeat(65)] {
            let action = Action { name: name.to_owned(), ..toml::from_str("name = 'a'\njournald = {}").unwrap() };
            assert_eq!(mistakes(&vec![action]).len(), 1, "{name}");
        }
        let secret = mistakes(
            &toml::from_str::<std::collections::BTreeMap<String, Settings>>(
                "[[action]]\nname = 'a'\nwebhook = { url = 'https://u:s3cret@h/s3cret' }",
            )
            .unwrap()["action"],
        );
        assert!(!format!("{secret:?}").contains("s3cret"));
    }
}
