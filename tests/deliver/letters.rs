//! Who takes mail, messages of syslog and alerts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::parts::PATIENCE;
use crate::receiver::{Authority, Both, listen};

/// A mail that was taken: what was said before it, and the mail.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) commands: Vec<String>,
    pub(crate) text: String,
}

impl Letter {
    /// What its body says.
    pub(crate) fn body(&self) -> String {
        let (_, body) = self.text.split_once("\r\n\r\n").unwrap();
        String::from_utf8(STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap()
    }

    /// What its subject says.
    pub(crate) fn subject(&self) -> String {
        let (_, rest) = self.text.split_once("\r\nSubject: ").unwrap();
        let (words, _) = rest.split_once("\r\nDate: ").unwrap();
        let word = |word: &str| {
            let digits = word.strip_prefix("=?utf-8?B?").unwrap().strip_suffix("?=").unwrap();
            STANDARD.decode(digits).unwrap()
        };
        String::from_utf8(words.split("\r\n ").flat_map(word).collect()).unwrap()
    }
}

/// How a server of mail behaves.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Manner {
    /// As it should, with TLS that is asked for.
    Starttls,
    /// As it should, over TLS.
    Tls,
    /// As it should, in plain text.
    Plain,
    /// It knows no TLS.
    Refuses,
    /// It says more than it was asked before TLS begins.
    Hurries,
    /// It knows nobody whom a mail is for.
    Nobody,
    /// It knows nobody but the one who is named last.
    Some,
    /// It goes when it has a mail, and does not say whether it takes it.
    Breaks,
    /// Its answers have no end.
    Endless,
}

/// A server of mail.
pub(crate) struct Post {
    pub(crate) address: SocketAddr,
    pub(crate) letters: Receiver<Letter>,
}

impl Post {
    pub(crate) fn start(authority: &Authority, manner: Manner) -> Self {
        let (told, letters) = channel();
        let authority = authority.clone();
        let address = listen(move |stream| {
            let mut commands = Vec::new();
            let secured: Box<dyn Both> = match manner {
                Manner::Tls => Box::new(authority.secure(stream)),
                Manner::Plain | Manner::Refuses | Manner::Endless | Manner::Nobody | Manner::Some | Manner::Breaks => {
                    Box::new(stream)
                }
                Manner::Starttls | Manner::Hurries => {
                    let mut plain: Box<dyn Both> = Box::new(stream.try_clone().unwrap());
                    if talk(&mut plain, manner, &mut commands).is_none_or(|text| !text.is_empty()) {
                        return;
                    }
                    Box::new(authority.secure(stream))
                }
            };
            let mut secured = secured;
            if let Some(text) = talk(
                &mut secured,
                if manner == Manner::Starttls && !commands.is_empty() { Manner::Tls } else { manner },
                &mut commands,
            ) {
                let _ = told.send(Letter { commands, text });
            }
        });
        Self { address, letters }
    }

    pub(crate) fn letter(&self) -> Letter {
        self.letters.recv_timeout(PATIENCE).unwrap()
    }
}

/// A conversation until a mail is there, or until TLS begins, which is told by an empty one.
fn talk(stream: &mut Box<dyn Both>, manner: Manner, commands: &mut Vec<String>) -> Option<String> {
    // after TLS has begun nobody says hello once more
    if !commands.iter().any(|command| command == "STARTTLS") {
        stream.write_all(b"220 test\r\n").ok()?;
    }
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let command = line.trim_end().to_owned();
        commands.push(command.clone());
        let answer = match command.split([' ', ':']).next().unwrap() {
            "EHLO" if manner == Manner::Endless => {
                while reader.get_mut().write_all(b"250-more\r\n").is_ok() {}
                return None;
            }
            "EHLO" => "250-test\r\n250 AUTH PLAIN\r\n",
            "STARTTLS" if manner == Manner::Refuses => "502 no\r\n",
            "STARTTLS" => {
                let more = if manner == Manner::Hurries { "250 more\r\n" } else { "" };
                reader.get_mut().write_all(format!("220 go\r\n{more}").as_bytes()).ok()?;
                return Some(String::new());
            }
            "AUTH" => "235 in\r\n",
            "RCPT" if manner == Manner::Nobody => "550 5.1.1 nobody\x1b[31m\r\n",
            "RCPT" if manner == Manner::Some && !command.contains("last") => "550 5.1.1 nobody\r\n",
            "RCPT" if manner == Manner::Some => "251 elsewhere\r\n",
            "DATA" => {
                reader.get_mut().write_all(b"354 go\r\n").ok()?;
                break;
            }
            _ => "250 fine\r\n",
        };
        reader.get_mut().write_all(answer.as_bytes()).ok()?;
    }
    let mut text = String::new();
    while !text.ends_with("\r\n.\r\n") {
        reader.read_line(&mut text).ok().filter(|read| *read > 0)?;
    }
    if manner == Manner::Breaks {
        return None;
    }
    reader.get_mut().write_all(b"250 taken\r\n").ok()?;
    text.truncate(text.len() - 3);
    Some(text)
}

/// A port of UDP that takes messages.
pub(crate) struct Log(UdpSocket);

impl Log {
    pub(crate) fn open() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn message(&self) -> String {
        let mut bytes = [0; 4096];
        let read = self.0.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..read].to_vec()).unwrap()
    }
}

/// Debian's Alertmanager.
pub(crate) struct Manager {
    child: Child,
    pub(crate) port: u16,
    _dir: tempfile::TempDir,
}

impl Manager {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("alertmanager.yml");
        std::fs::write(&config, "route:\n  receiver: nobody\nreceivers:\n- name: nobody\n").unwrap();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", dir.path().display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let manager = Self { child, port, _dir: dir };
        let start = Instant::now();
        while manager.asked("/-/ready").is_none() {
            assert!(start.elapsed() < PATIENCE, "there is no Alertmanager");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        manager
    }

    fn asked(&self, path: &str) -> Option<String> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let output = Command::new("curl").args(["-sf", &url]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    /// Severity and name of the alerts that go on, by what it says itself.
    pub(crate) fn active(&self) -> Vec<(String, String)> {
        let all: serde_json::Value = serde_json::from_str(&self.asked("/api/v2/alerts?active=true").unwrap()).unwrap();
        let of = |alert: &serde_json::Value| {
            let label = |name: &str| alert["labels"][name].as_str().unwrap().to_owned();
            (label("severity"), label("instance"))
        };
        let mut all: Vec<_> = all.as_array().unwrap().iter().map(of).collect();
        all.sort();
        all
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
