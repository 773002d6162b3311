//! Does anything that is secret leave the agent by any way?
//!
//! Secrets of the test's own are everywhere the agent can see: in its tokens, its key, its environment, and in arguments,
//! environments, names of open files and settings of processes of this host. Then everything is read that somebody without a
//! name can read, in every form, and searched for them as they are, and as base64, hex and percent escapes.

#![cfg(test)]

use std::process::{Command, Stdio};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use served::{Agent, PATIENCE, command, token};
use support::process::Guard;

/// A text that is nowhere but where it was put.
struct Canary {
    name: &'static str,
    forms: Vec<Vec<u8>>,
}

impl Canary {
    fn new(name: &'static str, secret: &str) -> Self {
        let bytes = secret.as_bytes();
        let each = |form: &dyn Fn(&u8) -> String| bytes.iter().map(form).collect::<Vec<_>>().concat();
        let hex = each(&|byte| format!("{byte:02x}"));
        let percent = each(&|byte| format!("%{byte:02x}"));
        let escaped = each(&|byte| format!("\\u{byte:04x}"));
        let mut forms = vec![secret.to_owned(), hex.to_uppercase(), hex, percent.to_uppercase(), percent, escaped];
        // base64 depends on where in a triple it begins; what is next to it is cut off
        for skip in 0..3 {
            let inner = &bytes[skip..];
            let whole = &inner[..inner.len() / 3 * 3];
            forms.extend([STANDARD_NO_PAD.encode(whole), URL_SAFE_NO_PAD.encode(whole)]);
        }
        Self { name, forms: forms.into_iter().map(String::into_bytes).collect() }
    }

    fn is_in(&self, text: &[u8]) -> bool {
        self.forms.iter().any(|form| text.windows(form.len()).any(|piece| piece == form))
    }
}

/// What of the canaries is in a text.
fn found(canaries: &[Canary], text: &[u8]) -> Vec<&'static str> {
    canaries.iter().filter(|canary| canary.is_in(text)).map(|canary| canary.name).collect()
}

#[test]
fn a_canary_is_found_in_every_form() {
    let canary = Canary::new("one", "tweet-Tweet/0?");
    for text in ["x tweet-Tweet/0? x", "74776565742d54776565742f303f", "%74%77%65%65%74%2D%54%77%65%65%74%2F%30%3F"] {
        assert!(canary.is_in(text.as_bytes()), "{text}");
    }
    for before in ["", "a", "ab"] {
        let text = STANDARD_NO_PAD.encode(format!("{before}tweet-Tweet/0?after"));
        assert!(canary.is_in(text.as_bytes()), "{text}");
    }
    assert!(!canary.is_in(b"tweet"));
}

/// A process whose arguments, environment and open files hold secrets.
fn victim(dir: &tempfile::TempDir) -> Guard {
    let open = dir.path().join("canary-open-file-4711");
    std::fs::write(&open, "").unwrap();
    Guard::start(
        Command::new("sh")
            // it waits itself: a child of it would outlive the test
            .args([
                "-c",
                "mkfifo \"$1-pipe\"; exec 9<\"$1\" 8<>\"$1-pipe\"; read line <&8",
                "sh",
                open.to_str().unwrap(),
            ])
            .arg("--password=canary-argv-0815")
            .env("MADE_SECRET", "canary-environment-2342"),
    )
}

/// What nobody may find; `token` is good for the agent.
fn canaries(agent: &Agent, token: &str) -> Vec<Canary> {
    let read = |path: &str| std::fs::read_to_string(agent.dir.path().join(path)).unwrap();
    let (pem, kept) = (read("state/identity.pem"), read("tokens"));
    let key = pem.split_once("BEGIN PRIVATE KEY").unwrap().1.lines().find(|line| line.len() == 64).unwrap();
    vec![
        Canary::new("token of an action", ACTION_TOKEN),
        Canary::new("password of an action", ACTION_PASSWORD),
        Canary::new("token", &token[3..]),
        Canary::new("argument", "canary-argv-0815"),
        Canary::new("environment", "canary-environment-2342"),
        Canary::new("open file", "canary-open-file-4711"),
        // what is kept of a token is no secret of its bearer, but nobody else's business
        Canary::new("hash", kept.trim().rsplit(' ').next().unwrap()),
        Canary::new("key", key),
    ]
}

/// Secrets of those who tell people of alerts.
const ACTION_TOKEN: &str = "canary-hook-token-1337";
const ACTION_PASSWORD: &str = "canary-mail-password-0042";

/// Rules that name what is secret, and actions that fail with their secrets in hand.
fn alerts(dir: &tempfile::TempDir, victim: u32) {
    for (name, text) in [("token", ACTION_TOKEN), ("password", ACTION_PASSWORD)] {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    }
    let at = dir.path().display();
    let rules = format!(
        "defaults = false\n\
         [[alert]]\nname = 'told'\ntable = 'process'\nwhere = 'pid == {victim}'\nwhen = 'threads > 0'\ntext = '{{command}} runs'\n\
         [[alert]]\nname = 'grouped'\ntable = 'process'\nwhere = 'pid == {victim}'\nwhen = 'threads > 0'\nby = ['command']\n\
         [[action]]\nname = 'path'\nwebhook = {{ url = 'http://localhost:9/{{token}}', token_file = '{at}/token' }}\n\
         [[action]]\nname = 'bearer'\nwebhook = {{ url = 'http://localhost:9/x', token_file = '{at}/token' }}\n\
         [[action]]\nname = 'mail'\nmail = {{ server = 'localhost:9', from = 'n@h', to = ['a@b'], user = 'u', \
         password_file = '{at}/password' }}\n"
    );
    std::fs::write(dir.path().join("alerts.toml"), rules).unwrap();
}

/// Waits until people should have been told, and nobody could be.
fn wait_for_alerts(agent: &Agent) {
    let start = Instant::now();
    let rows = |table: &str| {
        let (_, answer) = agent.ask(&format!("GET /api/v1/tables/{table}"), &[]);
        let rows = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
        rows.unwrap_or(serde_json::Value::Null)
    };
    loop {
        let (alerts, actions) = (rows("alert"), rows("alert_action"));
        let has_failed = |row: &serde_json::Value| row["failed"].as_u64() > Some(0);
        let failed = actions.as_array().map_or(0, |rows| rows.iter().filter(|row| has_failed(row)).count());
        if alerts.as_array().is_some_and(|rows| rows.len() == 2) && failed == 3 {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "{alerts} {actions}");
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

/// What anybody on this host reads of the agent's processes, and what its own user does.
fn of_processes(agent: &Agent) -> Read {
    let parts = ["netglance-sampl", "netglance-front", "netglance-couri", "netglance-runne"];
    let pids = parts.map(|part| agent.part(part)).into_iter().chain([agent.pid()]);
    let files = pids.flat_map(|pid| ["cmdline", "environ"].map(|file| format!("/proc/{pid}/{file}")));
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// What was read, and where.
type Read = Vec<(String, Vec<u8>)>;

/// Everything that is answered over HTTP.
fn over_http(agent: &Agent, tables: &[String], pid: u32, wrong: &str) -> Read {
    let mut all = Read::new();
    let mut ask = |path: String, headers: &[(&str, &str)]| {
        let (_, answer) = agent.ask(&format!("GET {path}"), headers);
        all.push((format!("{path} {headers:?}"), answer.into_bytes()));
    };
    for table in tables {
        for path in [format!("/api/v1/tables/{table}?limit=10000"), format!("/api/v1/tables/{table}?where=pid=={pid}")]
        {
            ask(path.clone(), &[]);
            ask(path, &[("accept", "text/csv")]);
        }
    }
    for path in ["/api/v1/tables", "/api/v1/alerts", "/api/v1/openapi.json", "/metrics", "/healthz", "/readyz", "/x"] {
        ask(path.to_owned(), &[]);
        ask(path.to_owned(), &[("accept", "application/openmetrics-text")]);
        // what was sent does not come back
        ask(path.to_owned(), &[("authorization", wrong)]);
    }
    let output = Command::new("curl")
        .args(["--silent", "--max-time", "3", &format!("http://{}/api/v1/events", agent.address)])
        .output()
        .expect("curl is installed");
    all.push(("events".to_owned(), output.stdout));
    all
}

/// Every table as clients of other hosts read it over gRPC.
fn over_grpc(agent: &Agent, tables: &[String], pid: u32) -> Read {
    let show = |table: &String| {
        let mut show = command(&agent.dir);
        show.args(["show", table, "--format", "json", "--host", &agent.address.replace("0.0.0.0", "127.0.0.1")]);
        match table.as_str() {
            process if process.starts_with("process_") => drop(show.args(["--where", &format!("pid == {pid}")])),
            "ipset_element" => drop(show.args(["--where", "set == \"any\""])),
            "nft_element" => {
                show.args(["--where", "family == \"ip\" && table == \"any\" && set == \"any\""]);
            }
            "conntrack_group" => drop(show.args(["--where", "by == \"source\""])),
            _ => {}
        }
        let output = show.env_remove("NETGLANCE_TOKEN").output().unwrap();
        (format!("show {table}"), [output.stdout, output.stderr].concat())
    };
    tables.iter().map(show).collect()
}

/// Lets the front crash that has just heard a secret: what is said of it is in the log.
fn crash(agent: &Agent, token: &str) {
    for signal in [libc::SIGABRT, libc::SIGILL] {
        assert_eq!(agent.ask("GET /healthz", &[("authorization", &format!("Bearer {token}"))]).0, 200);
        // SAFETY: a part of the agent that this test has started
        assert_eq!(unsafe { libc::kill(agent.part("netglance-front") as i32, signal) }, 0);
        agent.says("the front has ended");
    }
}

/// Names of all tables, as soon as there are processes to look for.
fn tables(agent: &Agent) -> Vec<String> {
    let start = Instant::now();
    while agent.ask("GET /api/v1/tables/process", &[]).0 != 200 {
        assert!(start.elapsed() < PATIENCE);
    }
    let (_, schema) = agent.ask("GET /api/v1/schema", &[]);
    let schema: serde_json::Value = serde_json::from_str(schema.split_once("\r\n\r\n").unwrap().1).unwrap();
    schema["tables"].as_array().unwrap().iter().map(|table| table["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn nothing_that_is_secret_leaves_the_agent() {
    let dir = tempfile::tempdir().unwrap();
    let victim = victim(&dir);
    let mut one = String::new();
    // for other hosts too, so that it has a key; this one is asked as anybody on this host
    let agent = Agent::prepared("0.0.0.0:0", "metrics_series = 100000", |dir| {
        alerts(dir, victim.pid());
        one = token(dir, &["one"]);
    });
    crash(&agent, &one);
    let (canaries, tables, pid) = (canaries(&agent, &one), tables(&agent), victim.pid());
    let wrong = format!("Bearer {}x", &one[..one.len() - 1]);
    wait_for_alerts(&agent);
    let mut all = over_http(&agent, &tables, pid, &wrong);
    all.extend(of_processes(&agent));
    // what is hidden cannot be found out by a question either
    let rows = |wanted: &str| {
        let path = format!("/api/v1/tables/process?where=command~%22{wanted}%22&columns=pid");
        agent.ask(&format!("GET {path}"), &[]).1.split_once("\r\n\r\n").unwrap().1.to_owned()
    };
    assert_eq!(rows("canary-argv"), rows("nothing-of-the-kind"));
    all.extend(over_grpc(&agent, &tables, pid));
    all.push(("log".to_owned(), agent.end().into_bytes()));
    for (place, text) in &all {
        assert_eq!(found(&canaries, text), Vec::<&str>::new(), "{place}");
    }
    assert!(tables.len() > 20 && all.len() > 4 * tables.len());

    // and the search would find them: over the socket root and the agent's own user see the arguments
    let agent = Agent::start("127.0.0.1:0", "");
    let start = Instant::now();
    loop {
        let output = Command::new("curl")
            .args(["--silent", "--unix-socket", agent.socket().to_str().unwrap()])
            .arg(format!("http://localhost/api/v1/tables/process?where=pid=={pid}"))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if found(&canaries, &output.stdout).contains(&"argument") {
            break;
        }
        assert!(start.elapsed() < PATIENCE);
    }
}
