//! Is somebody told of an alert, by every way there is, and nobody else?
//!
//! A real courier and a real runner behind their walls, and real receivers: programs, servers of HTTP with TLS, of mail and of
//! syslog, the journal's socket, and Debian's Alertmanager.

#![cfg(test)]

mod hostile;
mod letters;
mod parts;
mod receiver;
mod whole;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use netglance::alert::{Change, Fate, Message, Notification};
use netglance::model::Level;

use letters::{Log, Manager, Manner, Post};
use parts::{Parts, message, notification};
use receiver::{Authority, Web, secret};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A directory in which any user may write.
fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    dir
}

/// A script that any user may run.
fn script(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path.display().to_string()
}

/// A field of `/proc/PID/status`.
fn status(pid: &str, name: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap();
    line.trim().to_owned()
}

#[test]
fn a_command_has_no_rights_and_what_it_is_told() {
    let dir = open_dir();
    let text = "cat >\"$0.in\"; { echo \"$1 $NETGLANCE_ALERT_TEXT\"; cat /proc/self/status; } >\"$0.out\"";
    let page = script(dir.path(), "page", text);
    let mut parts = Parts::start(&format!("[[action]]\nname = 'page'\ncommand = {{ argv = ['{page}', '-x $(id)'] }}"));
    assert_eq!(parts.tell("page", &message("vm1", Change::Fired)), Ok(()));
    let out = std::fs::read_to_string(format!("{page}.out")).unwrap();
    assert_eq!(out.lines().next().unwrap(), "-x $(id) vm1 is busy");
    for wanted in ["CapEff:\t0000000000000000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"] {
        assert!(out.lines().any(|line| line == wanted), "{wanted}: {out}");
    }
    if rustix::process::geteuid().is_root() {
        let uid = out.lines().find_map(|line| line.strip_prefix("Uid:\t")).unwrap();
        assert!(!uid.split('\t').any(|uid| uid == "0"), "{uid}");
        assert_eq!(out.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap().trim(), "");
    }
    let input: serde_json::Value = serde_json::from_slice(&std::fs::read(format!("{page}.in")).unwrap()).unwrap();
    assert_eq!(input["notifications"][0]["rule"], "guest_cpu");
    assert_eq!(parts.tell("nobody", &message("vm1", Change::Fired)).unwrap_err().1, Fate::Unsent);
}

#[test]
fn a_command_that_hangs_holds_up_no_other_and_ends_with_the_runner() {
    let dir = open_dir();
    let hang = script(dir.path(), "hang", "echo $$ >\"$0.$$\"; mv \"$0.$$\" \"$0.pid\"; sleep 1000 & sleep 1000");
    let of = |name: &str, program: &str, timeout: &str| {
        format!("[[action]]\nname = '{name}'\ntimeout = '{timeout}'\ncommand = {{ argv = ['{program}'] }}\n")
    };
    let actions = [of("hang", &hang, "1h"), of("late", &hang, "1s"), of("true", "/bin/true", "20s")];
    let mut parts = Parts::start(&actions.concat());
    let held = parts.order("hang", &message("vm1", Change::Fired));
    assert_eq!(parts.tell("true", &message("vm1", Change::Fired)), Ok(()));
    let late = parts.tell("late", &message("vm1", Change::Fired)).unwrap_err();
    assert_eq!(late, (format!("run {hang}: it took too long, and was killed"), Fate::Unknown));
    let pid = std::fs::read_to_string(format!("{hang}.pid")).unwrap();
    // the one that took too long or the one that goes on: both are gone when the runner is
    parts.runner.end();
    let ended = parts.ended();
    assert_eq!((ended.seq, ended.fate()), (held, Fate::Unknown), "{ended:?}");
    let group: i32 = pid.trim().parse().unwrap();
    let start = std::time::Instant::now();
    // SAFETY: asks only whether there is one
    while unsafe { libc::kill(-group, 0) } == 0 {
        assert!(start.elapsed() < parts::PATIENCE, "the group {group} is still there");
        std::thread::yield_now();
    }
}

#[test]
fn a_webhook_is_told_over_tls_with_its_token() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let web = Web::answering(Some(&authority), OK);
    let token = secret(dir.path(), "token", "s3cret\n");
    let (port, ca) = (web.address.port(), authority.file.display());
    let of = |name: &str, more: &str| {
        let url = format!("https://localhost:{port}/hook");
        format!("[[action]]\nname = '{name}'\nwebhook = {{ url = '{url}', token_file = '{token}'{more} }}\n")
    };
    let mut parts = Parts::start(&(of("hook", &format!(", ca_file = '{ca}'")) + &of("other", "")));
    assert_eq!(parts.tell("hook", &message("vm1", Change::Fired)), Ok(()));
    let request = web.request();
    assert_eq!(request.line, "POST /hook HTTP/1.1");
    for wanted in ["authorization: Bearer s3cret", &format!("host: localhost:{port}"), "content-type: application/json"]
    {
        assert!(request.headers.iter().any(|header| header == wanted), "{wanted}: {:?}", request.headers);
    }
    assert_eq!(request.json()["notifications"][0]["text"], "vm1 is busy");
    // an authority that this host does not know
    let (cause, fate) = parts.tell("other", &message("vm1", Change::Fired)).unwrap_err();
    assert!(fate == Fate::Unsent && cause.starts_with(&format!("speak TLS with localhost:{port}: ")), "{cause}");
}

#[test]
fn answers_that_are_wrong_endless_or_never_come_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let token = secret(dir.path(), "token", "s3cret\n");
    let elsewhere = Web::answering(None, OK);
    let to: &'static str =
        format!("HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n", elsewhere.address).leak();
    let endless = |stream: &mut dyn receiver::Both| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
        while stream.write_all(b"X-More: and more\r\n").is_ok() {}
    };
    let body = |stream: &mut dyn receiver::Both| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while stream.write_all(b"4\r\nmore\r\n").is_ok() {}
    };
    let silent = |stream: &mut dyn receiver::Both| drop(stream.read(&mut [0]));
    let webs = [
        ("moved", Web::answering(None, to), "it answers 302 Found; redirects are not followed", Some(Fate::Refused)),
        (
            "none",
            Web::answering(None, "HTTP/1.1 404 Not Found\r\n\r\n"),
            "it answers 404 Not Found",
            Some(Fate::Unsent),
        ),
        ("wrong", Web::answering(None, "HTTP/1.1 400 x\r\n\r\n"), "it answers 400 Bad Request", Some(Fate::Refused)),
        (
            "busy",
            Web::answering(None, "HTTP/1.1 429 Too Many\r\n\r\n"),
            "it answers 429 Too Many Requests",
            Some(Fate::Unsent),
        ),
        (
            "broken",
            Web::answering(None, "HTTP/1.1 503 x\r\n\r\n"),
            "it answers 503 Service Unavailable",
            Some(Fate::Unsent),
        ),
        ("noise", Web::answering(None, "SSH-2.0-x\r\n"), "invalid HTTP version parsed", Some(Fate::Unknown)),
        ("head", Web::start(None, endless), "message head is too large", Some(Fate::Unknown)),
        ("body", Web::start(None, body), "", None),
        ("silent", Web::start(None, silent), "it took too long", Some(Fate::Unknown)),
    ];
    let mut actions = Vec::new();
    for (name, web, ..) in &webs {
        let url = format!("http://{}/s3cret", web.address);
        actions.push(format!(
            "[[action]]\nname = '{name}'\ntimeout = '2s'\nwebhook = {{ url = '{url}', token_file = '{token}' }}\n"
        ));
    }
    let mut parts = Parts::start(&actions.concat());
    for (name, _, wanted, fate) in &webs {
        let told = parts.tell(name, &message("vm1", Change::Fired));
        match (told, fate) {
            (Ok(()), None) => {}
            (Err((cause, is)), Some(fate)) => {
                assert!(cause.contains(wanted) && !cause.contains("s3cret"), "{name}: {cause}");
                assert_eq!(is, *fate, "{name}: {cause}");
            }
            (told, _) => panic!("{name}: {told:?}"),
        }
    }
    assert!(elsewhere.requests.try_recv().is_err(), "a redirect was followed");
}

#[test]
fn parts_that_tell_have_no_rights() {
    let actions = "[[action]]\nname = 'hook'\nwebhook = { url = 'http://localhost:9/' }";
    let mut parts = Parts::start(actions);
    assert!(parts.tell("hook", &message("vm1", Change::Fired)).unwrap_err().0.contains("Connection refused"));
    for (part, filters) in [(&parts.courier, "2"), (&parts.runner, "2")] {
        let pid = part.child.id().to_string();
        let fields = ["CapEff", "CapPrm", "NoNewPrivs", "Seccomp"].map(|name| status(&pid, name));
        assert_eq!(fields, ["0000000000000000", "0000000000000000", "1", filters]);
        if rustix::process::geteuid().is_root() {
            assert!(!status(&pid, "Uid").split('\t').any(|uid| uid == "0"));
        }
    }
    let threads = std::fs::read_dir(format!("/proc/{}/task", parts.courier.child.id())).unwrap().count();
    assert!(threads <= 12, "{threads}");
}

#[test]
fn a_mail_is_handed_over_with_tls_and_a_login() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let password = secret(dir.path(), "password", "p4ss\n");
    let posts = [("starttls", Manner::Starttls), ("tls", Manner::Tls), ("none", Manner::Plain)]
        .map(|(tls, manner)| (tls, Post::start(&authority, manner)));
    let mut actions = Vec::new();
    for (tls, post) in &posts {
        let (port, ca) = (post.address.port(), authority.file.display());
        actions.push(format!(
            "[[action]]\nname = '{tls}'\nmail = {{ server = 'localhost:{port}', tls = '{tls}', from = 'n@hv1.example', \
             to = ['a@b.example', 'c@d.example'], user = 'u', password_file = '{password}', ca_file = '{ca}' }}\n"
        ));
    }
    let mut parts = Parts::start(&actions.concat());
    let mut digest = message("vm1", Change::Fired);
    digest.notifications.push(notification("vm2", Change::Cleared));
    for (tls, post) in &posts {
        assert_eq!(parts.tell(tls, &digest), Ok(()), "{tls}");
        let letter = post.letter();
        let hello = ["EHLO [127.0.0.1]", "STARTTLS"].iter().filter(|_| *tls == "starttls");
        let rest = ["EHLO [127.0.0.1]", "AUTH PLAIN AHUAcDRzcw==", "MAIL FROM:<n@hv1.example>"];
        let wanted: Vec<&str> =
            hello.chain(&rest).chain(&["RCPT TO:<a@b.example>", "RCPT TO:<c@d.example>", "DATA"]).copied().collect();
        assert_eq!(letter.commands, wanted);
        assert_eq!(letter.subject(), "hv1: 2 alerts, the worst critical: vm1 is busy");
        assert!(letter.body().contains("\r\nover: vm2 is busy\r\n"), "{}", letter.body());
    }
}

#[test]
fn servers_of_mail_that_misbehave_get_neither_mail_nor_password() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new(dir.path());
    let password = secret(dir.path(), "password", "p4ss\n");
    let posts = [
        ("refuses", Manner::Refuses, "it answers 502 no", Fate::Refused),
        ("hurries", Manner::Hurries, "it says more than it was asked before", Fate::Refused),
        ("nobody", Manner::Nobody, "it answers 550 5.1.1 nobody\\x1b[31m", Fate::Refused),
        ("endless", Manner::Endless, "its answer has no end", Fate::Unsent),
        ("breaks", Manner::Breaks, "its answer is none", Fate::Unknown),
    ];
    let posts = posts.map(|(name, manner, cause, fate)| (name, Post::start(&authority, manner), cause, fate));
    let mut actions = Vec::new();
    for (name, post, ..) in &posts {
        let (port, ca) = (post.address.port(), authority.file.display());
        let more = if ["nobody", "breaks"].contains(name) {
            "tls = 'none'".to_owned()
        } else {
            format!("user = 'u', password_file = '{password}', ca_file = '{ca}'")
        };
        actions.push(format!(
            "[[action]]\nname = '{name}'\nmail = {{ server = 'localhost:{port}', from = 'n@h', to = ['a@b'], {more} }}\n"
        ));
    }
    let mut parts = Parts::start(&actions.concat());
    for (name, post, wanted, fate) in &posts {
        let (cause, is) = parts.tell(name, &message("vm1", Change::Fired)).unwrap_err();
        assert!(cause.ends_with(wanted), "{name}: {cause}");
        assert_eq!(is, *fate, "{name}");
        assert!(post.letters.try_recv().is_err(), "{name}");
    }
}

#[test]
fn a_mail_is_for_all_who_are_known_and_who_is_not_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let post = Post::start(&Authority::new(dir.path()), Manner::Some);
    let mut parts = Parts::start(&format!(
        "[[action]]\nname = 'mail'\nmail = {{ server = 'localhost:{}', tls = 'none', from = 'n@h', \
         to = ['first@b', 'second@b', 'last@b'] }}\n",
        post.address.port()
    ));
    let ended = parts.told("mail", &message("vm1", Change::Fired));
    assert_eq!(ended.told, ["id of vm1"]);
    assert!(ended.cause.unwrap().ends_with("it answers 550 5.1.1 nobody"));
    assert!(post.letter().body().contains("vm1 is busy"));
}

#[test]
fn each_event_of_a_storm_has_an_end_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let token = secret(dir.path(), "token", "s3cret\n");
    // it takes its time, and refuses what it does not like
    let (told, taken) = std::sync::mpsc::channel();
    let web = receiver::listen(move |mut stream| {
        let told = told.clone();
        std::thread::spawn(move || {
            let Some(request) = receiver::Request::read(&mut stream) else { return };
            std::thread::park_timeout(std::time::Duration::from_millis(200));
            let is_bad = request.body.contains("vm7 is busy");
            let answer = if is_bad { "HTTP/1.1 400 x\r\n\r\n" } else { "HTTP/1.1 202 x\r\n\r\n" };
            let _ = std::io::Write::write_all(&mut stream, answer.as_bytes());
            let _ = told.send(is_bad);
        });
    });
    let mut parts = Parts::start(&format!(
        "[[action]]\nname = 'duty'\ntimeout = '5s'\n\
         webhook = {{ url = 'http://{web}/v2/enqueue', template = 'pagerduty', token_file = '{token}' }}\n"
    ));
    let mut storm = message("vm0", Change::Fired);
    storm.notifications = (0..50).map(|one| notification(&format!("vm{one}"), Change::Fired)).collect();
    let ended = parts.told("duty", &storm);
    assert_eq!((ended.fate(), ended.told.len()), (Fate::Refused, 49), "{ended:?}");
    assert!(!ended.told.contains(&"id of vm7".to_owned()));
    assert_eq!(taken.try_iter().filter(|is_bad| *is_bad).count(), 1);
}

#[test]
fn logs_are_told_over_every_way_there_is() {
    let dir = open_dir();
    let path = dir.path().join("log");
    let local = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    local.set_read_timeout(Some(parts::PATIENCE)).unwrap();
    let log = Log::open();
    let (told, tcp) = std::sync::mpsc::channel();
    let port = receiver::listen(move |mut stream| {
        let mut text = String::new();
        let _ = std::io::Read::read_to_string(&mut stream, &mut text);
        let _ = told.send(text);
    });
    let actions = format!(
        "[[action]]\nname = 'local'\nsyslog = {{ socket = '{}' }}\n[[action]]\nname = 'udp'\nsyslog = {{ udp = '{}' }}\n\
         [[action]]\nname = 'tcp'\nsyslog = {{ tcp = '{port}', facility = 'local0' }}\n",
        path.display(),
        log.address(),
    );
    let mut parts = Parts::start(&actions);
    let mut digest = message("vm1", Change::Fired);
    digest.notifications.push(notification("vm2", Change::Cleared));
    for name in ["local", "udp", "tcp"] {
        assert_eq!(parts.tell(name, &digest), Ok(()), "{name}");
    }
    let lines = |priorities: [u8; 2]| {
        let of = |priority: u8, time: &str, text: &str| {
            format!("<{priority}>1 {time} hv1 netglance - guest_cpu - \u{feff}{text} is busy")
        };
        let [fired, cleared] = priorities;
        [of(fired, "2026-09-21T14:13:20.500Z", "critical: vm1"), of(cleared, "2026-09-21T14:14:20.000Z", "over: vm2")]
    };
    assert_eq!([log.message(), log.message()], lines([26, 30]));
    let mut bytes = [0; 4096];
    for wanted in lines([26, 30]) {
        let read = local.recv(&mut bytes).unwrap();
        assert_eq!(std::str::from_utf8(&bytes[..read]).unwrap(), wanted);
    }
    let framed = lines([130, 134]).map(|line| format!("{} {line}", line.len())).concat();
    assert_eq!(tcp.recv_timeout(parts::PATIENCE).unwrap(), framed);
}

#[test]
fn an_alertmanager_has_each_alert_once_until_it_is_over() {
    let manager = Manager::start();
    // one is enough: of the others one is not there, and one says nothing
    let silent = Web::start(None, |stream| drop(stream.read(&mut [0])));
    let urls = format!("['http://{}', 'http://127.0.0.1:{}', 'http://127.0.0.1:9']", silent.address, manager.port);
    let mut parts =
        Parts::start(&format!("[[action]]\nname = 'am'\ntimeout = '2s'\nalertmanager = {{ urls = {urls} }}"));
    // times that are now: what is long over it does not keep
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let begin = now() - 10.0;
    let of = |severity: Level, change: Change| {
        let end = (change == Change::Cleared).then(now);
        let one = Notification { severity, begin, end, ..notification("vm1", change) };
        Message { notifications: vec![one], ..message("vm1", change) }
    };
    let active =
        |severities: &[&str]| severities.iter().map(|one| ((*one).to_owned(), "vm1".to_owned())).collect::<Vec<_>>();
    for (severity, change, wanted) in [
        (Level::Warning, Change::Fired, &["warning"][..]),
        (Level::Warning, Change::Still, &["warning"]),
        (Level::Critical, Change::Worse, &["critical"]),
        (Level::Careful, Change::Better, &["careful"]),
        (Level::Careful, Change::Cleared, &[]),
    ] {
        let ended = parts.told("am", &of(severity, change));
        assert_eq!(ended.told, ["id of vm1"]);
        let cause = ended.cause.unwrap();
        assert!(cause.contains("it took too long; ") && cause.contains("127.0.0.1:9: Connection refused"), "{cause}");
        assert_eq!(manager.active(), active(wanted), "{change:?}");
    }
}

#[test]
fn root_the_journal_is_told_in_its_own_protocol() {
    let dir = open_dir();
    let path = dir.path().join("socket");
    let journal = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    journal.set_read_timeout(Some(parts::PATIENCE)).unwrap();
    // the socket stands where that of the journal does, for both parts only
    let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && \
                  mount --bind \"$0\" /run/systemd/journal && exec \"$@\"";
    let before = ["unshare", "--mount", "sh", "-c", script, dir.path().to_str().unwrap()];
    let mut parts = Parts::traced("[[action]]\nname = 'journal'\njournald = {}\n", &before);
    assert_eq!(parts.tell("journal", &message("vm1\nPRIORITY=0", Change::Fired)), Ok(()));
    let mut bytes = [0; 4096];
    let read = journal.recv(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes[..read]);
    let value = |name: &str| {
        let (_, rest) = text.split_once(&format!("{name}\n")).unwrap();
        // its length stands in eight bytes, of which all but the first are zero
        rest[8..8 + usize::from(rest.as_bytes()[0])].to_owned()
    };
    assert_eq!((value("PRIORITY"), value("SYSLOG_IDENTIFIER")), ("2".to_owned(), "netglance".to_owned()));
    assert_eq!(value("\nMESSAGE"), "critical: vm1\\x0aPRIORITY=0 is busy");
}
