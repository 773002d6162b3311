//! Is everybody told of one alert by one agent, once that it has begun and once that it is over?
//!
//! A real agent with one rule and an action of every kind; the socket of the journal stands where that of the host does, for
//! the agent only.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::letters::{Log, Manager, Manner, Post};
use crate::parts::PATIENCE;
use crate::receiver::{Authority, Web, secret};
use crate::{OK, open_dir, script};

/// Everybody who is told.
struct Everybody {
    page: String,
    web: Web,
    post: Post,
    log: Log,
    journal: UnixDatagram,
    manager: Manager,
}

impl Everybody {
    /// Starts them, and says which actions tell them.
    fn start(dir: &Path) -> (Self, String) {
        let authority = Authority::new(dir);
        let page = script(dir, "page", "echo \"$NETGLANCE_ALERT_CHANGE $NETGLANCE_ALERT_TEXT\" >>\"$0.told\"");
        let (web, post) = (Web::answering(Some(&authority), OK), Post::start(&authority, Manner::Starttls));
        let (log, manager) = (Log::open(), Manager::start());
        let run = dir.join("journal");
        std::fs::create_dir(&run).unwrap();
        let journal = UnixDatagram::bind(run.join("socket")).unwrap();
        std::fs::set_permissions(run.join("socket"), std::fs::Permissions::from_mode(0o666)).unwrap();
        journal.set_read_timeout(Some(PATIENCE)).unwrap();
        let (token, password) = (secret(dir, "token", "s3cret\n"), secret(dir, "password", "p4ss\n"));
        let (ca, hook, mail) = (authority.file.display(), web.address.port(), post.address.port());
        let ways = [
            format!("command = {{ argv = ['{page}'] }}"),
            format!("webhook = {{ url = 'https://localhost:{hook}/x', token_file = '{token}', ca_file = '{ca}' }}"),
            format!(
                "mail = {{ server = 'localhost:{mail}', from = 'n@h', to = ['a@b'], user = 'u', \
                 password_file = '{password}', ca_file = '{ca}' }}"
            ),
            format!("syslog = {{ udp = '{}' }}", log.address()),
            "journald = {}".to_owned(),
            format!("alertmanager = {{ urls = ['http://127.0.0.1:{}'], resend = '1h' }}", manager.port),
        ];
        let action =
            |(number, way): (usize, String)| format!("[[action]]\nname = 'way-{number}'\nwindow = '2s'\n{way}\n");
        let actions = ways.into_iter().enumerate().map(action).collect();
        (Self { page, web, post, log, journal, manager }, actions)
    }

    /// What the command was told.
    fn pages(&self) -> Vec<String> {
        let text = std::fs::read_to_string(format!("{}.told", self.page)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until all of them were told a change; `word` is how people read it.
    fn hear(&self, change: &str, word: &str, text: &str) {
        let request = self.web.request().json();
        assert_eq!(
            (&request["notifications"][0]["change"], &request["notifications"][1]),
            (&change.into(), &Value::Null)
        );
        assert_eq!(request["notifications"][0]["text"], text);
        let subject = self.post.letter().subject();
        assert!(subject.contains(&format!("{word}: {text}")), "{subject}");
        let line = self.log.message();
        assert!(line.ends_with(&format!("{word}: {text}")), "{line}");
        let mut bytes = [0; 8192];
        let read = self.journal.recv(&mut bytes).unwrap();
        let fields = String::from_utf8_lossy(&bytes[..read]).into_owned();
        assert!(fields.contains(&format!("{word}: {text}")), "{fields}");
        until("the command", || self.pages().last().is_some_and(|told| *told == format!("{change} {text}")));
    }
}

/// A real agent.
struct Agent {
    child: Child,
    dir: tempfile::TempDir,
}

impl Agent {
    /// One with some rules and actions that has the journal of a directory.
    fn start(rules: &str, journal: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let [state, socket] = ["state", "socket"].map(|name| dir.path().join(name).display().to_string());
        let text = format!("[serve]\nlisten = []\nstate = \"{state}\"\nsocket = \"{socket}\"\n");
        std::fs::write(dir.path().join("netglance.toml"), text).unwrap();
        std::fs::write(dir.path().join("alerts.toml"), rules).unwrap();
        let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && \
                      mount --bind \"$0\" /run/systemd/journal && exec \"$@\"";
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", script]).arg(journal).arg(env!("CARGO_BIN_EXE_netglance"));
        command.arg("--config").arg(dir.path().join("netglance.toml")).arg("serve");
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line.contains("listening on unix:")));
        // nobody waits for what it says
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, dir }
    }

    /// Rows of a table.
    fn rows(&self, table: &str) -> Vec<Value> {
        let host = format!("unix:{}", self.dir.path().join("socket").display());
        let output = Command::new(env!("CARGO_BIN_EXE_netglance"))
            .args(["show", table, "--format", "json", "--host", &host])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    /// Waits until the one alert there is has a value.
    fn wait(&self, value: f64) -> Value {
        let mut last = Value::Null;
        until("an alert", || {
            last = self.rows("alert").into_iter().next().unwrap_or_default();
            last["number"].as_f64() == Some(value)
        });
        last
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process that ends with the test.
struct Process(Child);

impl Process {
    fn start(program: &Path) -> Self {
        Self(Command::new(program).arg("600").stdin(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn root_one_rule_tells_everybody_once_that_it_fires_and_once_that_it_is_over() {
    let dir = open_dir();
    let (everybody, actions) = Everybody::start(dir.path());
    let name = format!("ng{}", std::process::id());
    let rule = format!(
        "defaults = false\n[[alert]]\nname = 'marked'\ntable = 'process'\nwhere = 'name == \"{name}\"'\nmax = 0\nby = ['name']\n\
         severity = 'critical'\nkeep_firing_for = '12s'\ntext = '{{instance}} is there'\n"
    );
    let agent = Agent::start(&(rule + &actions), &dir.path().join("journal"));
    let program = dir.path().join(&name);
    std::fs::copy("/bin/sleep", &program).unwrap();
    let text = format!("{name} is there");
    let mut process = Process::start(&program);
    everybody.hear("fired", "critical", &text);
    until("Alertmanager", || everybody.manager.active() == [("critical".to_owned(), name.clone())]);
    // who comes and goes is told of no more
    for _ in 0..3 {
        drop(process);
        agent.wait(0.0);
        process = Process::start(&program);
        agent.wait(1.0);
    }
    drop(process);
    everybody.hear("cleared", "over", &text);
    until("Alertmanager", || everybody.manager.active().is_empty());
    // beyond the window there is nothing more to tell
    let over = Instant::now();
    while over.elapsed() < Duration::from_secs(4) {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let told: Vec<(Value, Value, Value)> = agent
        .rows("alert_action")
        .into_iter()
        .map(|row| (row["kind"].clone(), row["sent"].clone(), row["failed"].clone()))
        .collect();
    let kinds = ["command", "webhook", "mail", "syslog", "journald", "alertmanager"];
    assert_eq!(told, kinds.map(|kind| (kind.into(), 2.into(), 0.into())));
    assert_eq!(everybody.pages(), [format!("fired {text}"), format!("cleared {text}")]);
    assert!(everybody.web.requests.try_recv().is_err() && everybody.post.letters.try_recv().is_err());
    let alert = &agent.rows("alert")[0];
    assert_eq!((&alert["flaps"], &alert["state"]), (&3.into(), &"over".into()), "{alert}");
}
