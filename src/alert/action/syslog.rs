//! How is a log told: by messages of syslog, or by entries of the journal?
//!
//! Messages are those of RFC 5424, one datagram each (RFC 5426), or with their length in front over a connection (RFC 6587).
//! Entries of the journal are datagrams of its own protocol: names and values, those of more than a line with their length.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tokio::io::AsyncWriteExt as _;

use super::place::Place;
use super::settings::{Facility, Syslog};
use super::{Outside, connect, talking, words};
use crate::alert::{Change, Failure, Message, Notification};
use crate::model::Level;

/// Ports where nothing else is said.
const UDP: u16 = 514;
const TCP: u16 = 601;

/// Where programs of this host send messages.
const LOCAL: &str = "/dev/log";

/// Where the journal takes entries.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Bytes of a message at most: what every receiver should take.
const MAX_MESSAGE: usize = 2048;

/// Bytes of a value in an entry of the journal at most.
const MAX_VALUE: usize = 16 << 10;

/// The byte order mark, which says that a text is UTF-8.
const MARK: &str = "\u{feff}";

/// Where messages go.
pub(super) enum Target {
    /// A socket of this host.
    Socket(PathBuf),
    /// A port of UDP.
    Udp(Place),
    /// A port of TCP.
    Tcp(Place),
}

impl Target {
    /// The one that is configured.
    ///
    /// # Errors
    /// It is no place.
    pub(super) fn of(syslog: &Syslog) -> Result<Self, Failure> {
        let place = |text: &str, port| {
            Place::parse(text, port).ok_or_else(|| Failure::refused("send to syslog: there is no such host".to_owned()))
        };
        Ok(if !syslog.udp.is_empty() {
            Self::Udp(place(&syslog.udp, UDP)?)
        } else if !syslog.tcp.is_empty() {
            Self::Tcp(place(&syslog.tcp, TCP)?)
        } else if syslog.socket.as_os_str().is_empty() {
            Self::Socket(PathBuf::from(LOCAL))
        } else {
            Self::Socket(syslog.socket.clone())
        })
    }
}

/// Sends messages.
///
/// # Errors
/// They cannot be sent; whether datagrams arrive nobody says.
pub(super) fn send(
    syslog: &Syslog,
    outside: &dyn Outside,
    message: &Message,
    name: &str,
    until: Instant,
) -> Result<(), Failure> {
    let mut all = message
        .notifications
        .iter()
        .map(|one| line(one, &message.host, syslog.facility))
        .chain(rest(message, syslog.facility));
    match Target::of(syslog)? {
        Target::Socket(path) => sent(&path, message, all.map(String::into_bytes), until),
        Target::Udp(place) => {
            let addresses = connect::route(&place, outside, until)?;
            let failed = |cause: std::io::Error| Failure::unsent(format!("send to {place}: {cause}"));
            let socket = datagrams(&addresses).map_err(failed)?;
            all.try_for_each(|line| socket.send(line.as_bytes()).map(drop).map_err(failed))
        }
        Target::Tcp(place) => {
            let addresses = connect::route(&place, outside, until)?;
            let text = all.fold(String::new(), |mut text, line| {
                let _ = write!(text, "{} {line}", line.len());
                text
            });
            talking(name, async {
                let failed = |cause: &dyn std::fmt::Display| Failure::unknown(format!("send to {place}: {cause}"));
                let mut stream = connect::connect(&place, &addresses, until).await?;
                let written = async {
                    stream.write_all(text.as_bytes()).await.map_err(|cause| failed(&cause))?;
                    stream.shutdown().await.map_err(|cause| failed(&cause))
                };
                connect::in_time(until, || failed(&"it took too long"), written).await
            })
        }
    }
}

/// Writes to the journal.
///
/// # Errors
/// It does not take it.
pub(super) fn note(message: &Message, until: Instant) -> Result<(), Failure> {
    note_at(Path::new(JOURNAL), message, until)
}

fn note_at(path: &Path, message: &Message, until: Instant) -> Result<(), Failure> {
    sent(path, message, message.notifications.iter().map(|one| entry(one, &message.host)), until)
}

/// Sends datagrams to a socket of this host, the first ones of which are about the changes of a message; all of them are not
/// waited for longer than that.
fn sent(path: &Path, message: &Message, all: impl Iterator<Item = Vec<u8>>, until: Instant) -> Result<(), Failure> {
    let failed = |what: &str, cause: std::io::Error| Failure::unsent(format!("{what} {}: {cause}", path.display()));
    let socket = UnixDatagram::unbound().map_err(|cause| failed("connect to", cause))?;
    socket.connect(path).map_err(|cause| failed("connect to", cause))?;
    for (done, datagram) in all.enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        // none at all would be without end
        let sent = if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { socket.set_write_timeout(Some(left)) };
        let told = || message.notifications.iter().take(done).map(|one| one.id.clone()).collect();
        sent.and_then(|()| socket.send(&datagram)).map_err(|cause| failed("send to", cause).but(told()))?;
    }
    Ok(())
}

/// A socket that sends to the first of some addresses that there is a way to.
fn datagrams(addresses: &[SocketAddr]) -> std::io::Result<UdpSocket> {
    let mut last = std::io::Error::other("it has no address");
    for address in addresses {
        let any: SocketAddr = if address.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        match UdpSocket::bind(any).and_then(|socket| socket.connect(address).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(cause) => last = cause,
        }
    }
    Err(last)
}

/// Severity of syslog: critical, warning, notice; what is over is news.
fn severity(one: &Notification) -> u8 {
    match one.severity {
        _ if one.change == Change::Cleared => 6,
        Level::Critical => 2,
        Level::Warning => 4,
        Level::Careful | Level::Ok => 5,
    }
}

impl Facility {
    /// The number.
    fn number(self) -> u8 {
        match self {
            Self::User => 1,
            Self::Mail => 2,
            Self::Daemon => 3,
            Self::Auth => 4,
            Self::Local0 => 16,
            Self::Local1 => 17,
            Self::Local2 => 18,
            Self::Local3 => 19,
            Self::Local4 => 20,
            Self::Local5 => 21,
            Self::Local6 => 22,
            Self::Local7 => 23,
        }
    }
}

/// One message. Its time is that of the change, so that one that is sent again says the same.
fn line(one: &Notification, host: &str, facility: Facility) -> String {
    let begin = format!(
        "<{}>1 {} {} netglance - {} - {MARK}",
        facility.number() * 8 + severity(one),
        words::time(one.end.unwrap_or(one.begin)),
        name(host, 255),
        name(&one.rule, 32),
    );
    let said = words::headline(one);
    format!("{begin}{}", words::cut(&said, MAX_MESSAGE.saturating_sub(begin.len())))
}

/// That there is more, for which there was no room.
fn rest(message: &Message, facility: Facility) -> Option<String> {
    let first = message.notifications.first()?;
    let text = format!("more alerts, for which there was no room: {}", message.more);
    let more = Notification { text, change: Change::Fired, ..first.clone() };
    (message.more > 0).then(|| line(&more, &message.host, facility))
}

/// A name as it may stand in the head of a message: printable ASCII without blanks.
fn name(text: &str, most: usize) -> String {
    let plain = text.chars().map(|ch| if ch.is_ascii_graphic() { ch } else { '_' });
    let plain: String = plain.take(most).collect();
    if plain.is_empty() { "-".to_owned() } else { plain }
}

/// One entry of the journal.
fn entry(one: &Notification, host: &str) -> Vec<u8> {
    let known = [
        ("PRIORITY", severity(one).to_string()),
        ("SYSLOG_IDENTIFIER", "netglance".to_owned()),
        ("MESSAGE", words::headline(one)),
        ("NETGLANCE_HOST", host.to_owned()),
        ("NETGLANCE_ID", one.id.clone()),
        ("NETGLANCE_RULE", one.rule.clone()),
        ("NETGLANCE_INSTANCE", one.instance.clone()),
        ("NETGLANCE_TABLE", one.table.clone()),
        ("NETGLANCE_SEVERITY", one.severity.name().to_owned()),
        ("NETGLANCE_CHANGE", one.change.name().to_owned()),
        ("NETGLANCE_VALUE", one.value.clone().unwrap_or_default()),
        ("NETGLANCE_BEGIN", words::time(one.begin)),
        ("NETGLANCE_DETAILS", words::details(one).join("\n")),
    ];
    let mut bytes = Vec::new();
    for (name, value) in known.iter().filter(|(_, value)| !value.is_empty()) {
        let value = words::cut(value, MAX_VALUE);
        bytes.extend_from_slice(name.as_bytes());
        // the length first: no value can be taken for the next name
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Fate;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    #[test]
    fn a_message_has_the_form_of_the_rfc_whatever_is_in_it() {
        let one = words::example("x\u{feff}");
        let told = line(&one, "hv1", Facility::Local3);
        assert_eq!(told, "<154>1 2026-09-21T14:13:20.500Z hv1 netglance - guest_cpu - \u{feff}critical: x\u{feff}");
        let cleared = Notification { change: Change::Cleared, end: Some(1.0), ..one.clone() };
        assert!(line(&cleared, "hv1", Facility::Daemon).starts_with("<30>1 1970-01-01T00:00:01.000Z hv1 "));
        let strange = Notification { rule: "a b\u{e4}".repeat(20), text: "ä".repeat(5000), ..one };
        let told = line(&strange, "h v", Facility::User);
        assert!(told.starts_with("<10>1 ") && told.contains(" h_v netglance - a_b_a_b_") && told.len() <= MAX_MESSAGE);
        assert_eq!(told.split(' ').nth(5).unwrap().len(), 32);
    }

    #[test]
    fn sockets_of_this_host_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = UnixDatagram::bind(&path).unwrap();
        log.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let syslog = Syslog { socket: path.clone(), ..Syslog::default() };
        let mut message = words::message("x");
        message.more = 3;
        send(&syslog, &super::super::Here::new(Vec::new(), Box::new(|_| {})), &message, "log", soon()).unwrap();
        let mut bytes = [0; 4096];
        let mut next = || {
            let read = log.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..read]).into_owned()
        };
        assert!(next().ends_with("critical: x") && next().ends_with("no room: 3"));
        note_at(&path, &message, soon()).unwrap();
        assert!(next().starts_with("PRIORITY\n\u{1}\0\0\0\0\0\0\u{0}2\nSYSLOG_IDENTIFIER\n"));
        drop(log);
        let failed = note_at(&path, &message, soon()).unwrap_err();
        assert!(
            failed.fate == Fate::Unsent && failed.cause.starts_with(&format!("connect to {}: ", path.display())),
            "{failed}"
        );
    }

    #[test]
    fn a_log_that_takes_nothing_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let _log = UnixDatagram::bind(&path).unwrap();
        let mut message = words::message("x");
        message.notifications = vec![words::example(&"x".repeat(4000)); 1000];
        let begin = Instant::now();
        let failed = note_at(&path, &message, begin + Duration::from_millis(200)).unwrap_err();
        assert!(failed.fate == Fate::Unsent && begin.elapsed() < Duration::from_secs(20), "{failed}");
        // what it has taken already is not told again
        assert!(!failed.told.is_empty() && failed.told.len() < 1000, "{}", failed.told.len());
        let late = note_at(&path, &message, begin).unwrap_err();
        assert!(late.told.is_empty() && begin.elapsed() < Duration::from_secs(20), "{late}");
    }

    #[test]
    fn no_value_of_an_entry_is_taken_for_a_name() {
        let one = words::example("x\nPRIORITY=0\nMESSAGE\n");
        let bytes = entry(&one, "hv1");
        let (mut names, mut rest) = (Vec::new(), &bytes[..]);
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            names.push(std::str::from_utf8(&rest[..end]).unwrap());
            let length = u64::from_le_bytes(rest[end + 1..end + 9].try_into().unwrap()) as usize;
            assert_eq!(rest[end + 9 + length], b'\n');
            rest = &rest[end + 10 + length..];
        }
        assert_eq!(names.len(), 13);
        assert_eq!(names.iter().filter(|name| **name == "MESSAGE").count(), 1);
    }
}
