//! Who is told of alerts, and how?

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::alert::Change;
use crate::alert::settings::Span;
use crate::model::Level;

/// All actions of a configuration.
pub type Settings = Vec<Action>;

/// `[[action]]`: one way to tell somebody. It has exactly one of the tables from `command` on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// What it is called here: small letters, digits and hyphens.
    pub name: String,
    /// What is told.
    #[serde(default = "on")]
    pub on: Vec<Occasion>,
    /// Regexes on the names of rules; those of all rules are told if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The same alert is not told twice within it.
    #[serde(default = "window")]
    pub window: Span,
    /// An alert that goes on is told again after it; never if it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Span>,
    /// How long an attempt may take, with everything that belongs to it.
    #[serde(default = "timeout")]
    pub timeout: Span,
    /// Runs a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Sends an HTTP request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
    /// Sends a mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// Sends messages of syslog (RFC 5424).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syslog: Option<Syslog>,
    /// Writes to the journal of systemd on this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journald: Option<Journald>,
    /// Tells an Alertmanager of Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alertmanager: Option<Alertmanager>,
}

/// How somebody is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Way<'a> {
    /// By a program.
    Command(&'a Command),
    /// By an HTTP request.
    Webhook(&'a Webhook),
    /// By mail.
    Mail(&'a Mail),
    /// By syslog.
    Syslog(&'a Syslog),
    /// By the journal.
    Journald,
    /// By an Alertmanager.
    Alertmanager(&'a Alertmanager),
}

impl Action {
    /// All ways that are configured; there should be one.
    pub(super) fn ways(&self) -> Vec<Way<'_>> {
        let ways = [
            self.command.as_ref().map(Way::Command),
            self.webhook.as_ref().map(Way::Webhook),
            self.mail.as_ref().map(Way::Mail),
            self.syslog.as_ref().map(Way::Syslog),
            self.journald.as_ref().map(|Journald {}| Way::Journald),
            self.alertmanager.as_ref().map(Way::Alertmanager),
        ];
        ways.into_iter().flatten().collect()
    }

    /// The way that is configured.
    pub fn way(&self) -> Option<Way<'_>> {
        self.ways().into_iter().next()
    }

    /// Whether something that has happened to an alert is told; `severity` is that of the notification.
    pub fn tells(&self, severity: Level, change: Change) -> bool {
        let occasion = match (change, severity) {
            (Change::Cleared, _) => Occasion::Recovery,
            (_, Level::Critical) => Occasion::Critical,
            (_, Level::Warning) => Occasion::Warning,
            (_, Level::Careful) => Occasion::Careful,
            (_, Level::Ok) => return false,
        };
        self.on.contains(&occasion)
    }
}

/// What may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// Something is worth a look.
    Careful,
    /// Something is worth acting on.
    Warning,
    /// Something has to be done now.
    Critical,
    /// Something is over.
    Recovery,
}

/// `command`: a program that is run without a shell. What it is told is in its environment and, as JSON, on its standard input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// Path of the program and its arguments.
    pub argv: Vec<String>,
}

/// `webhook`: a request over HTTPS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where it goes; `{token}` in its path stands for what the file of the token says.
    pub url: String,
    /// What it says.
    #[serde(default)]
    pub template: Template,
    /// A template of minijinja in place of that; the end of its name, `.json` or `.html`, says how values are escaped.
    #[serde(default, skip_serializing_if = "empty")]
    pub template_file: PathBuf,
    /// POST or PUT, if not what the template takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// More headers, none of them secret.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub headers: std::collections::BTreeMap<String, String>,
    /// File of a token, which nobody but its owner may read.
    #[serde(default, skip_serializing_if = "empty")]
    pub token_file: PathBuf,
    /// File of the authorities in PEM that its certificate may be of; those of this host if empty.
    #[serde(default, skip_serializing_if = "empty")]
    pub ca_file: PathBuf,
    /// Whether to send in plain text to other hosts: everything can be read on the way.
    #[serde(default)]
    pub insecure: bool,
}

/// What a request says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Template {
    /// The message as JSON.
    #[default]
    Plain,
    /// A message of Slack.
    Slack,
    /// A message of Matrix; the URL ends with `/send/m.room.message`.
    Matrix,
    /// A message of ntfy; the path of the URL is the topic.
    Ntfy,
    /// Events of PagerDuty, version 2; the token is the routing key.
    Pagerduty,
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Something new.
    Post,
    /// Something in its place.
    Put,
}

/// `mail`: a mail over SMTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    /// The server, with a port if it is not the usual one.
    pub server: String,
    /// How it is hidden what is said.
    #[serde(default)]
    pub tls: Tls,
    /// Who sends it.
    pub from: String,
    /// Who gets it.
    pub to: Vec<String>,
    /// The name to log in with; none if empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// File of the password, which nobody but its owner may read.
    #[serde(default, skip_serializing_if = "empty")]
    pub password_file: PathBuf,
    /// File of the authorities in PEM that its certificate may be of; those of this host if empty.
    #[serde(default, skip_serializing_if = "empty")]
    pub ca_file: PathBuf,
}

/// How it is hidden what a mail server is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// By TLS that is asked for, and insisted on.
    #[default]
    Starttls,
    /// By TLS from the first byte on.
    Tls,
    /// Not at all, on this host.
    None,
}

/// `syslog`: messages to one of a socket of this host, a port of UDP or one of TCP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Syslog {
    /// The socket; `/dev/log` if no other place is given.
    #[serde(skip_serializing_if = "empty")]
    pub socket: PathBuf,
    /// A host that takes datagrams, with a port if that is not 514.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub udp: String,
    /// A host that takes connections, with a port if that is not 601.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tcp: String,
    /// What it is filed under.
    pub facility: Facility,
}

/// What a message of syslog is filed under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Facility {
    /// Messages of users.
    User,
    /// The mail system.
    Mail,
    /// Programs of the system.
    #[default]
    Daemon,
    /// Who is let in.
    Auth,
    /// For whatever the host uses it.
    Local0,
    /// For whatever the host uses it.
    Local1,
    /// For whatever the host uses it.
    Local2,
    /// For whatever the host uses it.
    Local3,
    /// For whatever the host uses it.
    Local4,
    /// For whatever the host uses it.
    Local5,
    /// For whatever the host uses it.
    Local6,
    /// For whatever the host uses it.
    Local7,
}

/// `journald`: the journal of this host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Journald {}

/// `alertmanager`: those of Prometheus, which are all told the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Alertmanager {
    /// Where each is, without `/api/v2/alerts`.
    pub urls: Vec<String>,
    /// How often an alert that goes on is told again.
    #[serde(default = "resend")]
    pub resend: Span,
    /// File of a token, which nobody but its owner may read.
    #[serde(default, skip_serializing_if = "empty")]
    pub token_file: PathBuf,
    /// File of the authorities in PEM that its certificate may be of; those of this host if empty.
    #[serde(default, skip_serializing_if = "empty")]
    pub ca_file: PathBuf,
    /// Whether to send in plain text to other hosts: everything can be read on the way.
    #[serde(default)]
    pub insecure: bool,
}

fn empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn on() -> Vec<Occasion> {
    vec![Occasion::Warning, Occasion::Critical, Occasion::Recovery]
}

fn window() -> Span {
    Span(Duration::from_mins(1))
}

fn timeout() -> Span {
    Span(Duration::from_secs(10))
}

fn resend() -> Span {
    Span(Duration::from_mins(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Action, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn what_is_not_said_is_as_most_people_want_it() {
        let action = read("name = 'log'\njournald = {}").unwrap();
        assert_eq!((action.window, action.timeout, action.repeat), (window(), timeout(), None));
        assert_eq!(action.way(), Some(Way::Journald));
        let told = |level, change| action.tells(level, change);
        assert!(told(Level::Warning, Change::Fired) && told(Level::Critical, Change::Worse));
        assert!(told(Level::Careful, Change::Cleared), "a recovery has the severity that there was");
        assert!(!told(Level::Careful, Change::Better) && !told(Level::Ok, Change::Fired));
    }

    #[test]
    fn every_way_is_read_again_as_it_was_written() {
        let ways = [
            "command = { argv = ['/bin/page', 'me'] }",
            "webhook = { url = 'https://h/x', template = 'slack', method = 'PUT', headers = { X-A = 'b' }, token_file = '/t', ca_file = '/c' }",
            "mail = { server = 'mx:25', tls = 'tls', from = 'a@b', to = ['c@d'], user = 'u', password_file = '/p', ca_file = '/c' }",
            "syslog = { udp = 'h:514', facility = 'local3' }",
            "journald = {}",
            "alertmanager = { urls = ['http://[::1]:9093'], resend = '2m', token_file = '/t', insecure = true }",
        ];
        for way in ways {
            let text = format!("name = 'a'\non = ['careful']\nrules = ['^g']\nrepeat = '4h'\ntimeout = '2s'\n{way}");
            let action = read(&text).unwrap();
            assert_eq!(action.ways().len(), 1, "{way}");
            assert_eq!(read(&toml::to_string(&action).unwrap()).unwrap(), action);
            let json = serde_json::to_vec(&action).unwrap();
            assert_eq!(serde_json::from_slice::<Action>(&json).unwrap(), action);
        }
    }

    #[test]
    fn what_is_no_setting_is_refused() {
        for wrong in [
            "",
            "on = ['ok']",
            "window = '2000d'",
            "command = { argv = '/bin/page' }",
            "command = { argv = ['/bin/page'], shell = true }",
            "webhook = {}",
            "webhook = { url = 'https://h', password = 'p' }",
            "webhook = { url = 'https://h', method = 'GET' }",
            "mail = { server = 'h', from = 'a@b', to = ['c@d'], password = 'p' }",
            "syslog = { facility = 'kern' }",
            "journald = { socket = '/x' }",
            "pigeon = {}",
        ] {
            let text = format!("name = 'a'\n{wrong}");
            let read = read(&text);
            assert!(read.is_err() || read.unwrap().ways().is_empty(), "{wrong}");
        }
    }
}
