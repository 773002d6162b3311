//! An agent that a test starts, with a configuration and a state of its own.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// Longest wait for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running `netglance serve`.
pub(crate) struct Agent {
    child: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// What it says after that.
    said: Mutex<Receiver<String>>,
    /// Its configuration, `tokens`, `state` and `socket`.
    pub(crate) dir: tempfile::TempDir,
}

impl Agent {
    /// One that listens on `listen`; `more` follows in its section `[serve]`.
    pub(crate) fn start(listen: &str, more: &str) -> Self {
        Self::prepared(listen, more, |_| {})
    }

    /// One for which something is done before it starts.
    pub(crate) fn prepared(listen: &str, more: &str, prepare: impl FnOnce(&tempfile::TempDir)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [state, socket] = ["state", "socket"].map(|name| dir.path().join(name).display().to_string());
        let text = format!("[serve]\nlisten = \"{listen}\"\nstate = \"{state}\"\nsocket = \"{socket}\"\n{more}\n");
        std::fs::write(dir.path().join("netglance.toml"), text).unwrap();
        prepare(&dir);
        let mut child = command(&dir).arg("serve").stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines.find_map(|line| Some(line.unwrap().split_once("listening on ")?.1.to_owned())).unwrap();
        let (sender, said) = std::sync::mpsc::channel();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let agent = Self { child, address, said: Mutex::new(said), dir };
        agent.says("listening on unix:");
        agent
    }

    /// The number of the process that was started.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The socket for this host.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }

    /// The number of one of its parts.
    pub(crate) fn part(&self, name: &str) -> u32 {
        let pid = self.child.id();
        let start = Instant::now();
        loop {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
            let is_part = |child: &u32| {
                std::fs::read_to_string(format!("/proc/{child}/comm")).is_ok_and(|comm| comm.trim_end() == name)
            };
            if let Some(part) = children.split_whitespace().map(|pid| pid.parse().unwrap()).find(is_part) {
                return part;
            }
            assert!(start.elapsed() < PATIENCE, "there is no {name}");
            std::thread::yield_now();
        }
    }

    /// Waits until it says something.
    pub(crate) fn says(&self, what: &str) -> String {
        let start = Instant::now();
        loop {
            let line = self.said.lock().unwrap().recv_timeout(PATIENCE.saturating_sub(start.elapsed()));
            let line = line.unwrap_or_else(|_| panic!("nothing was said of `{what}`"));
            if line.contains(what) {
                return line;
            }
        }
    }

    /// Ends it, and tells what it has said since it was listened to last.
    pub(crate) fn end(mut self) -> String {
        // SAFETY: a child of this test that was not waited for
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) }, 0);
        assert!(self.child.wait().unwrap().success());
        self.said.lock().unwrap().iter().map(|line| line + "\n").collect()
    }

    /// Makes a token, and waits until it is good.
    pub(crate) fn token(&self, arguments: &[&str]) -> String {
        let token = token(&self.dir, arguments);
        let start = Instant::now();
        while self.ask("GET /healthz", &[("authorization", &format!("Bearer {token}"))]).0 != 200 {
            assert!(start.elapsed() < PATIENCE);
            std::thread::park_timeout(Duration::from_millis(10));
        }
        token
    }

    /// Connects to its port.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Status and all of the answer to one request with a method and a path.
    pub(crate) fn ask(&self, what: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(request(what, headers).as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{what}: {answer:?}")), answer)
    }
}

/// A request as HTTP/1.1 has it; of this host unless `headers` say something else.
pub(crate) fn request(what: &str, headers: &[(&str, &str)]) -> String {
    let mut text = format!("{what} HTTP/1.1\r\nconnection: close\r\n");
    if headers.iter().all(|(name, _)| *name != "host") {
        text += "host: localhost\r\n";
    }
    text.extend(headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")));
    text + "\r\n"
}

/// This program with the configuration in a directory.
pub(crate) fn command(dir: &tempfile::TempDir) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_netglance"));
    command.arg("--config").arg(dir.path().join("netglance.toml"));
    command
}

/// Makes a token for the agent of a directory.
pub(crate) fn token(dir: &tempfile::TempDir, arguments: &[&str]) -> String {
    let output = command(dir).args(["token", "add"]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
