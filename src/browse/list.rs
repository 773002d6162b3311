//! Which hosts are there to browse?
//!
//! A list is written in TOML, or comes from Prometheus ([`file_sd`](super::file_sd)) or the command line. Nothing in it is left
//! out: what is there twice or makes no sense stays, and says so.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::dns;
use super::group::BETWEEN;
use super::source::{Source, What};
use super::speak::Speak;
use super::table::Link;
use crate::client::{Fingerprint, FingerprintError, PORT, Target};
use crate::collect::settings::Interval;
use crate::model::Text;
use crate::model::text::MAX_TEXT;

/// Time between two looks at a host if nothing else is said.
pub const INTERVAL: Duration = Duration::from_secs(2);

/// A host of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What people call it.
    pub name: Text,
    /// Its agent as written, where that makes sense.
    pub target: Option<Target>,
    /// Its agent as written.
    pub address: Text,
    /// Groups that it is in.
    pub groups: Vec<Text>,
    /// Time between two looks.
    pub interval: Duration,
    /// How it is spoken with.
    pub speak: Speak,
    /// Why it is not asked at all, and what that is.
    pub flaw: Option<(Link, Text)>,
}

/// Everything that there is to browse.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roster {
    /// The hosts that are written down.
    pub hosts: Vec<Entry>,
    /// Where more of them are found.
    pub sources: Vec<Source>,
}

impl Roster {
    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.sources.is_empty()
    }
}

impl From<Vec<Entry>> for Roster {
    fn from(hosts: Vec<Entry>) -> Self {
        Self { hosts, sources: Vec::new() }
    }
}

/// A list in TOML, as it is read.
#[derive(Debug, Default)]
pub struct List {
    /// The hosts.
    pub hosts: Vec<Entry>,
    /// `file_sd` files of Prometheus with more of them.
    pub file_sd: Vec<PathBuf>,
    /// Name servers and neighbors that know more of them.
    pub sources: Vec<Source>,
    /// What holds for hosts of which nothing else is said.
    pub usual: Usual,
}

/// What a list says of all its hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Usual {
    /// Time between two looks.
    pub interval: Duration,
    /// How they are spoken with.
    pub speak: Speak,
}

impl Default for Usual {
    fn default() -> Self {
        Self { interval: INTERVAL, speak: Speak::default() }
    }
}

/// Why a text is no list.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub span: Option<Range<usize>>,
    /// What is wrong there.
    pub message: String,
    /// What to do about it; empty when there is nothing.
    pub hint: String,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    interval: Option<Interval>,
    token_file: Option<PathBuf>,
    cert: Option<PathBuf>,
    cert_key: Option<Spanned<PathBuf>>,
    #[serde(default)]
    tls: bool,
    #[serde(default, rename = "file_sd")]
    more: Vec<PathBuf>,
    #[serde(default)]
    srv: Vec<Spanned<String>>,
    #[serde(default)]
    name_servers: Vec<Spanned<String>>,
    #[serde(default)]
    mdns: Vec<String>,
    #[serde(default)]
    host: Vec<HostSettings>,
}

/// `[[host]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostSettings {
    name: Option<String>,
    address: Spanned<String>,
    port: Option<Spanned<u16>>,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    interval: Option<Interval>,
    token_file: Option<PathBuf>,
    key: Option<Spanned<String>>,
    cert: Option<PathBuf>,
    cert_key: Option<PathBuf>,
    tls: Option<bool>,
    #[serde(default)]
    insecure: bool,
}

impl Entry {
    /// A host that is nothing but its agent.
    pub fn of(target: Target) -> Self {
        let address = Text::from(target.to_string());
        let name = match &target {
            Target::Tcp { host, port } if *port == PORT => Text::from(host.as_str()),
            _ => address.clone(),
        };
        let Usual { interval, speak } = Usual::default();
        Self { name, target: Some(target), address, groups: Vec::new(), interval, speak, flaw: None }
    }

    /// A host as somebody has written it, whatever that is.
    pub(super) fn written(text: &str, groups: Vec<Text>, usual: &Usual) -> Self {
        let Usual { interval, speak } = usual.clone();
        match text.parse() {
            Ok(target) => Self { groups, interval, speak, ..Self::of(target) },
            Err(cause) => {
                let (name, why): (_, crate::client::TargetError) = (Text::from(text), cause);
                let flaw = Some((Link::Wrong, Text::from(why.to_string())));
                Self { name: name.clone(), target: None, address: name, groups, interval, speak, flaw }
            }
        }
    }
}

/// Reads a list in TOML.
///
/// # Errors
/// The first mistake, with its place.
pub fn read(text: &str) -> Result<List, Mistake> {
    read_every(text, None)
}

/// Reads a list in TOML whose hosts are looked at so often, if they have no interval of their own.
///
/// # Errors
/// The first mistake, with its place.
pub fn read_every(text: &str, interval: Option<Duration>) -> Result<List, Mistake> {
    let file: Written = toml::from_str(text).map_err(|error: toml::de::Error| Mistake {
        span: error.span(),
        message: error.message().trim().replace('\n', ": "),
        hint: String::new(),
    })?;
    let span = file.cert_key.as_ref().map(Spanned::span);
    let cert_key = file.cert_key.map(Spanned::into_inner);
    let speak = Speak { token_file: file.token_file, cert: file.cert, cert_key, tls: file.tls, ..Speak::default() };
    if let Some(why) = speak.contradiction() {
        return Err(Mistake { span, message: why.to_owned(), hint: String::new() });
    }
    let interval = interval.unwrap_or(file.interval.map_or(INTERVAL, |interval| interval.0));
    let usual = Usual { interval, speak };
    let hosts = file.host.into_iter().map(|host| entry(host, &usual)).collect::<Result<_, _>>()?;
    let sources = sources(file.srv, &file.name_servers, file.mdns, &usual)?;
    Ok(List { hosts, file_sd: file.more, sources, usual })
}

/// Who is asked for hosts.
fn sources(
    names: Vec<Spanned<String>>,
    servers: &[Spanned<String>],
    interfaces: Vec<String>,
    usual: &Usual,
) -> Result<Vec<Source>, Mistake> {
    let wrong = |of: &Spanned<String>, message: &str, hint: &str| Mistake {
        span: Some(of.span()),
        message: message.to_owned(),
        hint: hint.to_owned(),
    };
    let server = |server: &Spanned<String>| {
        let address = server.get_ref().parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
        let known = address.or_else(|_| server.get_ref().parse::<SocketAddr>());
        known.map_err(|_| wrong(server, "no address of a name server", "write 10.0.0.53, or 10.0.0.53:53"))
    };
    let servers: Vec<SocketAddr> = servers.iter().map(server).collect::<Result<_, _>>()?;
    let mut sources = Vec::new();
    for name in names {
        if dns::Name::parse(name.get_ref()).is_none() {
            return Err(wrong(&name, "no name of SRV records", "write for example _netglance._tcp.example.net"));
        }
        let what = What::Srv { name: name.into_inner(), servers: servers.clone() };
        sources.push(Source { what, usual: usual.clone() });
    }
    let neighbors = interfaces.into_iter().map(|interface| What::Neighbors { interface });
    sources.extend(neighbors.map(|what| Source { what, usual: usual.clone() }));
    Ok(sources)
}

/// A group by its name.
fn group(name: &Spanned<String>) -> Result<Text, Mistake> {
    let of = Text::from(name.get_ref().as_str());
    if !of.is_empty() && !of.contains(BETWEEN) {
        return Ok(of);
    }
    let message = "no name of a group".to_owned();
    Err(Mistake {
        span: Some(name.span()),
        message,
        hint: "write each group on its own: ['prod', 'rack-3']".to_owned(),
    })
}

fn entry(host: HostSettings, usual: &Usual) -> Result<Entry, Mistake> {
    let span = host.address.span();
    let target: Target = host.address.get_ref().parse().map_err(|cause: crate::client::TargetError| Mistake {
        span: Some(span.clone()),
        message: cause.to_string(),
        hint: String::new(),
    })?;
    let target = match (target, host.port) {
        (target, None) => target,
        (Target::Tcp { host, port }, Some(given)) if port == PORT && *given.get_ref() > 0 => {
            Target::Tcp { host, port: *given.get_ref() }
        }
        (_, Some(given)) => {
            let message = "the address has a port already, or none at all".to_owned();
            return Err(Mistake { span: Some(given.span()), message, hint: "write the port once".to_owned() });
        }
    };
    let key = host.key.map(|key| {
        key.get_ref().parse::<Fingerprint>().map_err(|cause: FingerprintError| Mistake {
            span: Some(key.span()),
            message: cause.to_string(),
            hint: String::new(),
        })
    });
    let key = key.transpose()?;
    let speak = match usual.speak.clone() {
        // what holds for the others is not meant for one that is spoken with in plain text
        _ if host.insecure => Speak { insecure: true, ..Speak::default() },
        usual => usual,
    };
    let cert_key = if host.cert.is_some() { host.cert_key } else { host.cert_key.or(speak.cert_key) };
    let speak = Speak {
        token_file: host.token_file.or(speak.token_file),
        key,
        cert: host.cert.or(speak.cert),
        cert_key,
        tls: host.tls.unwrap_or(speak.tls),
        insecure: host.insecure,
        found: false,
    };
    if let Some(why) = speak.contradiction() {
        let hint = "take one of them away".to_owned();
        return Err(Mistake { span: Some(span), message: why.to_owned(), hint });
    }
    let of = Entry::of(target);
    let groups = host.groups.into_iter().map(|name| group(&name)).collect::<Result<_, _>>()?;
    let name = host.name.map_or(of.name, Text::from);
    let interval = host.interval.map_or(usual.interval, |interval| interval.0);
    Ok(Entry { name, groups, interval, speak, ..of })
}

/// Bytes of a name that are left when it gets a number: a number always fits.
const HEAD: usize = MAX_TEXT - 32;

/// Names that were given away.
#[derive(Default)]
struct Names {
    given: HashSet<Text>,
    /// The last number of each name that has become several.
    numbers: HashMap<String, usize>,
}

impl Names {
    /// A name that nobody else has, which is this one if it can be.
    fn own(&mut self, wanted: &Text) -> Text {
        let mut name = wanted.clone();
        while !self.given.insert(name.clone()) {
            let head = &wanted[..wanted.floor_char_boundary(HEAD)];
            let number = self.numbers.entry(head.to_owned()).or_insert(1);
            *number += 1;
            name = Text::from(format!("{head} #{number}"));
        }
        name
    }
}

/// Gives every host a name of its own, and says which agents are in the list already.
pub(super) fn unique(entries: Vec<Entry>) -> Vec<Entry> {
    let mut names = Names::default();
    let mut agents: HashMap<String, Text> = HashMap::new();
    let mut out = Vec::with_capacity(entries.len());
    for mut entry in entries {
        entry.name = names.own(&entry.name);
        if let Some(first) = agents.get(entry.address.as_str()).filter(|_| entry.flaw.is_none()) {
            entry.flaw = Some((Link::Duplicate, Text::from(format!("the same agent as {first}"))));
        } else {
            agents.insert(entry.address.to_string(), entry.name.clone());
        }
        out.push(entry);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_in_toml_has_names_groups_and_intervals() {
        let text = "interval = '5s'\nfile_sd = ['more.json']\n[[host]]\nname = 'hv'\naddress = '10.0.0.1'\nport = 7000\n\
                    groups = ['prod', 'kvm']\n[[host]]\naddress = 'hv-2.example:7001'\ninterval = '1s'\n";
        let list = read(text).unwrap();
        assert_eq!(list.file_sd, [PathBuf::from("more.json")]);
        let [one, two] = list.hosts.as_slice() else { panic!("{list:?}") };
        assert_eq!((one.name.as_str(), one.address.as_str()), ("hv", "10.0.0.1:7000"));
        assert_eq!((one.interval, two.interval), (Duration::from_secs(5), Duration::from_secs(1)));
        assert_eq!(one.groups, [Text::from("prod"), Text::from("kvm")]);
        assert_eq!((two.name.as_str(), two.address.as_str()), ("hv-2.example:7001", "hv-2.example:7001"));
    }

    #[test]
    fn what_is_said_of_all_hosts_holds_where_one_says_nothing_else() {
        let key = format!("SHA256:{}", "A".repeat(43));
        let text = format!(
            "token_file = 't'\ntls = true\n[[host]]\naddress = 'a'\nkey = '{key}'\n[[host]]\naddress = 'b'\ntoken_file = 'u'\n\
             tls = false\ncert = 'c'\n[[host]]\naddress = 'c'\ninsecure = true\n"
        );
        let list = read(&text).unwrap();
        let [a, b, c] = list.hosts.as_slice() else { panic!("{list:?}") };
        assert_eq!((a.speak.token_file.clone(), a.speak.key), (Some("t".into()), key.parse().ok()));
        assert_eq!((a.speak.tls, b.speak.tls, b.speak.cert.clone()), (true, false, Some("c".into())));
        assert_eq!(b.speak.token_file, Some("u".into()));
        assert_eq!(c.speak, Speak { insecure: true, ..Speak::default() });
    }

    #[test]
    fn mistakes_have_a_place() {
        for (text, at) in [
            ("[[host]]\naddress = 'a b'\n", "'a b'"),
            ("[[host]]\naddress = 'a:1'\nport = 2\n", "2"),
            ("[[host]]\naddress = 'a'\ngruops = []\n", "gruops"),
            ("interval = 'soon'\n", "'soon'"),
            ("[[host]]\naddress = 'a'\ngroups = ['x', 'prod, rack']\n", "'prod, rack'"),
            ("[[host]]\naddress = 'a'\ngroups = ['']\n", "''"),
            ("cert_key = 'k'\n", "'k'"),
            ("srv = ['a..b']\n", "'a..b'"),
            ("name_servers = ['ns1']\n", "'ns1'"),
            ("[[host]]\naddress = 'a'\nkey = 'SHA1:x'\n", "'SHA1:x'"),
            ("[[host]]\naddress = 'a'\ninsecure = true\ntoken_file = 't'\n", "'a'"),
        ] {
            let span = read(text).unwrap_err().span.unwrap();
            assert_eq!(&text[span], at, "{text}");
        }
    }

    #[test]
    fn what_is_there_twice_stays_and_says_so() {
        let of = |text: &str| Entry::written(text, Vec::new(), &Usual::default());
        let named = |name: &str, text: &str| Entry { name: Text::from(name), ..of(text) };
        let list = unique(vec![named("a", "h1"), named("a", "h2"), named("b", "h1"), of("h3")]);
        let told: Vec<(&str, bool)> = list.iter().map(|entry| (entry.name.as_str(), entry.flaw.is_some())).collect();
        assert_eq!(told, [("a", false), ("a #2", false), ("b", true), ("h3", false)]);
    }

    #[test]
    fn no_two_hosts_have_one_name_whatever_they_call_themselves() {
        let named = |(at, name): (usize, &str)| Entry {
            name: Text::from(name),
            ..Entry::written(&format!("h{at}"), Vec::new(), &Usual::default())
        };
        let all = |names: &[&str]| -> Vec<Text> {
            unique(names.iter().copied().enumerate().map(named).collect()).into_iter().map(|entry| entry.name).collect()
        };
        assert_eq!(all(&["a", "a", "a #2", "a"]), ["a", "a #2", "a #2 #2", "a #3"].map(Text::from));
        assert_eq!(all(&["a #2", "a", "a", "a #3"]), ["a #2", "a", "a #3", "a #3 #2"].map(Text::from));
        // nor when there is no room for a number
        let (long, other) = ("é".repeat(MAX_TEXT), "é".repeat(MAX_TEXT / 2));
        let many = ["a", "a #2", &long, &long, &other, &other].repeat(1000);
        assert_eq!(all(&many).into_iter().collect::<HashSet<_>>().len(), many.len());
    }
}
