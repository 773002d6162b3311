//! Daemons that listen for people on sockets of this host, and do as they like.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use super::*;
use crate::source::control::trust::TRUST;
use crate::source::file::Root;
use crate::source::routing::told::Told;
use crate::source::routing::{frr, ospf};

const TIMEOUT: Duration = Duration::from_millis(400);

/// How `vty_create` of Quagga greets who needs a password: what it is, and the options that it speaks of.
const GREETING: &[u8] =
    b"\r\nHello, this is Quagga (version 1.2.4).\r\nCopyright 1996-2005 Kunihiro Ishiguro, et al.\r\n\r\n\
    \r\nUser Access Verification\r\n\r\n\xff\xfb\x01\xff\xfb\x03\xff\xfe\"\xff\xfd\x1fPassword: ";

const VERSION: &str = "Quagga 1.2.4 (r1).\nCopyright 1996-2005 Kunihiro Ishiguro, et al.\nconfigured with:\n    --x\n";

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/routing/made-quagga-1.2/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Answers a question as Quagga does.
fn answer(question: &str) -> String {
    match question {
        "terminal length 0" => String::new(),
        "show version" => VERSION.to_owned(),
        "show ip ospf neighbor detail" => fixture("ospf-neighbor"),
        "show ip ospf interface" => fixture("ospf-interface"),
        "show ip ospf" => fixture("ospf"),
        "show ip ospf route" => fixture("ospf-route"),
        "show ip ospf database" => fixture("ospf-database"),
        "show ip ospf database router" => fixture("ospf-database-router"),
        "show ip ospf database network" => String::new(),
        "show ipv6 ospf6 neighbor" => fixture("ospf6-neighbor"),
        "show ipv6 ospf6 neighbor detail" => fixture("ospf6-neighbor-detail"),
        "show ipv6 ospf6 interface" => fixture("ospf6-interface"),
        "show ipv6 ospf6" => fixture("ospf6"),
        _ => "% Unknown command.\n".to_owned(),
    }
}

/// What was typed.
type Typed = Arc<Mutex<Vec<String>>>;

/// A daemon for each connection, and where it listens.
fn listen(does: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    listen_at(Ipv4Addr::LOCALHOST.into(), does)
}

fn listen_at(address: IpAddr, does: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let place = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            does(stream.unwrap());
        }
    });
    place
}

/// Says text with the ends of lines of a terminal; whether anybody hears it.
fn say(mut stream: &TcpStream, text: &str) -> bool {
    stream.write_all(text.replace('\n', "\r\n").as_bytes()).is_ok()
}

/// One line that somebody types, without the commands of Telnet in it.
fn line(reader: &mut impl std::io::BufRead) -> Option<String> {
    let mut bytes = Vec::new();
    reader.read_until(b'\n', &mut bytes).ok().filter(|length| *length > 0)?;
    while let Some(at) = bytes.iter().position(|byte| *byte == 255) {
        bytes.drain(at..at + 3);
    }
    Some(String::from_utf8(bytes).unwrap().trim_end_matches('\n').to_owned())
}

/// A daemon that takes a password and answers in some way.
fn daemon(password: &'static str, answer: impl Fn(&str) -> String + Send + 'static) -> (SocketAddr, Typed) {
    let typed = Typed::default();
    let heard = Arc::clone(&typed);
    let place = listen(move |stream| {
        let mut reader = BufReader::new(&stream);
        (&stream).write_all(GREETING).unwrap();
        while line(&mut reader).is_some_and(|word| word != password) {
            say(&stream, "\nPassword: ");
        }
        say(&stream, "\nr1> ");
        while let Some(question) = line(&mut reader) {
            heard.lock().unwrap().push(question.clone());
            let whole = format!("{question}\n{}r1> ", answer(&question));
            // in pieces of which none is a line
            for piece in whole.as_bytes().chunks(997) {
                say(&stream, std::str::from_utf8(piece).unwrap());
            }
        }
    });
    (place, typed)
}

/// A host on which a user is that of a daemon.
fn believed(dir: &std::path::Path, user: u32) -> Arc<Peers> {
    std::fs::create_dir_all(dir.join("etc")).unwrap();
    std::fs::write(dir.join("etc/passwd"), format!("quagga:x:{user}:{user}::/:\n")).unwrap();
    let peers = Peers::of(Root::new(dir));
    peers.look();
    Arc::new(peers)
}

fn client_with(place: SocketAddr, password: &[u8], more: &str) -> Result<Client, Error> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, password).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!("name = 'q'\naddress = '{place}'\npassword_file = '{}'\n{more}", file.display());
    let mut vty: Vty = toml::from_str(&text).unwrap();
    vty.timeout.0 = TIMEOUT;
    Client::open(&vty, &Secrets::Files, &believed(dir.path(), rustix::process::geteuid().as_raw()))
}

fn client(place: SocketAddr) -> Client {
    client_with(place, b"s3cret\n", "program = 'ospfd'").unwrap()
}

/// Why a round fails with a daemon that does something on a connection.
fn failure(does: impl Fn(TcpStream) + Send + 'static) -> (ErrorKind, String) {
    failed(&mut client(listen(does)))
}

fn failed(client: &mut Client) -> (ErrorKind, String) {
    let begin = Instant::now();
    let error = client.round().unwrap_err();
    assert!(begin.elapsed() < TIMEOUT * 6, "{error}");
    assert!(client.session.is_none(), "nothing more is heard over that connection");
    (error.cause.kind(), error.to_string())
}

fn until_closed(mut stream: TcpStream) {
    drop(stream.read_to_end(&mut Vec::new()));
}

const ROUND: [&str; 3] = ["show ip ospf neighbor detail", "show ip ospf interface", "show ip ospf"];

#[test]
fn a_terminal_is_asked_again_and_again_over_one_connection() {
    let (place, typed) = daemon("s3cret", answer);
    let mut client = client(place);
    let first = client.round().unwrap();
    assert_eq!(first.version().as_deref(), Some("Quagga 1.2.4"));
    assert_eq!((client.round().unwrap(), first.database.is_none()), (first.clone(), true));
    let wanted = [&["terminal length 0", "show version"][..], &ROUND, &ROUND].concat();
    assert_eq!(*typed.lock().unwrap(), wanted, "the password once, and nothing else");
    let at = Timestamp(7);
    let same: Told =
        frr::read_quagga(["ospf-neighbor", "ospf-interface", "ospf"].map(fixture).each_ref().map(String::as_str), at);
    let told = first.told(Program::Ospfd, at);
    assert_eq!((told.neighbors.kept().len(), &told), (2, &same), "as over a control socket");
}

#[test]
fn databases_are_asked_for_now_and_then() {
    let (place, typed) = daemon("s3cret", answer);
    let mut client = client_with(place, b"s3cret", "program = 'ospfd'\ndatabase = true").unwrap();
    let (first, mut second) = (client.round().unwrap(), client.round().unwrap());
    let stored = first.database.clone().unwrap();
    assert_eq!(stored.routes(Program::Ospfd).kept(), frr::read_routes(&fixture("ospf-route")).kept());
    let lsas = stored.lsas(Program::Ospfd);
    let is_router = |lsa: &&crate::source::routing::lsa::Lsa| lsa.length.is_some();
    assert!(lsas.kept().len() > 2 && lsas.kept().iter().any(|lsa| is_router(&lsa)), "{lsas:?}");
    assert!(!stored.links(Program::Ospfd).kept().is_empty());
    assert!(second.database.is_none(), "it was asked a moment ago");
    second.follow(&first);
    assert_eq!(second.database, Some(stored));
    let typed = typed.lock().unwrap();
    let asked = |words: &str| typed.iter().filter(|line| *line == words).count();
    assert_eq!((asked("show ip ospf database"), asked("show ip ospf database external")), (1, 1));
    assert_eq!(asked("show ip ospf database opaque-link"), 0, "of what is not there nothing is asked");
    assert!(typed.iter().all(|line| line.starts_with("show ") || line == "terminal length 0"), "{typed:?}");
}

#[test]
fn version_three_is_told_by_another_daemon() {
    let (place, _) = daemon("s3cret", answer);
    let mut client = client_with(place, b"s3cret", "program = 'ospf6d'").unwrap();
    let told = client.round().unwrap().told(Program::Ospf6d, Timestamp(7));
    assert_eq!(told.neighbors.kept()[0].state, ospf::NeighborState::Full);
    assert_eq!(told.neighbors.kept()[0].place.version, 3);
}

#[test]
fn a_daemon_that_was_started_anew_is_asked_at_once() {
    let (place, typed) = daemon("s3cret", answer);
    let mut client = client(place);
    let first = client.round().unwrap();
    // as `vty_close` ends who has not typed for too long
    let session = client.session.as_ref().unwrap();
    session.line.end();
    assert_eq!(client.round().unwrap(), first);
    assert_eq!(typed.lock().unwrap().iter().filter(|line| *line == "show version").count(), 2);
}

#[test]
fn a_password_is_told_to_who_asks_for_it_only() {
    let (place, _) = daemon("another", answer);
    let wrong = failed(&mut client(place));
    assert_eq!(
        (wrong.0, wrong.1.ends_with("it takes another password")),
        (ErrorKind::PermissionDenied, true),
        "{wrong:?}"
    );
    // with `no login` and without a password to do more, on the other loopback address
    let (told, heard) = std::sync::mpsc::channel();
    let place = listen_at(Ipv6Addr::LOCALHOST.into(), move |stream| {
        let mut reader = BufReader::new(&stream);
        say(&stream, "\nHello\n\nr1# ");
        while let Some(question) = line(&mut reader) {
            told.send(question.clone()).unwrap();
            say(&stream, &format!("{question}\n{}r1# ", answer(&question)));
        }
    });
    assert!(client(place).round().is_ok());
    let typed: Vec<String> = heard.try_iter().collect();
    assert!(typed.len() == 5 && !typed.contains(&"s3cret".to_owned()), "{typed:?}");
    for bytes in [&b"s3cret\nenable\n"[..], b"s3\xffcret", b"s3\x01"] {
        let error = client_with(place, bytes, "").err().unwrap();
        assert_eq!((error.op, error.cause.kind()), ("parse", ErrorKind::InvalidData), "{error}");
    }
}

#[test]
fn a_password_that_was_not_taken_is_not_told_again_at_once() {
    let connections = Arc::<Mutex<u32>>::default();
    let counted = Arc::clone(&connections);
    let place = listen(move |stream| {
        *counted.lock().unwrap() += 1;
        let mut reader = BufReader::new(&stream);
        (&stream).write_all(GREETING).unwrap();
        while line(&mut reader).is_some() {
            say(&stream, "\nPassword: ");
        }
    });
    let (mut first, mut changed) = (client(place), client_with(place, b"another", "").unwrap());
    let peers = Arc::clone(&first.peers);
    changed.peers = Arc::clone(&peers);
    let tries = |client: &mut Client| {
        let (kind, why) = failed(client);
        assert_eq!((kind, why.ends_with("it takes another password")), (ErrorKind::PermissionDenied, true), "{why}");
        *connections.lock().unwrap()
    };
    assert_eq!([tries(&mut first), tries(&mut first)], [1, 1]);
    // who starts anew knows it, too
    let mut anew = client(place);
    anew.peers = Arc::clone(&peers);
    assert_eq!([tries(&mut anew), tries(&mut changed), tries(&mut changed)], [1, 2, 2]);
    peers.later();
    assert_eq!([tries(&mut changed), tries(&mut changed)], [3, 3]);
}

#[test]
fn one_who_hangs_up_says_why() {
    let told = failure(|stream| assert!(say(&stream, "Vty password is not set.\n")));
    assert_eq!(told.0, ErrorKind::PermissionDenied);
    assert!(told.1.ends_with(": it has closed the connection: Vty password is not set."), "{}", told.1);
    let told = failure(|stream| {
        say(&stream, "\nPassword: ");
        line(&mut BufReader::new(&stream));
        say(&stream, &format!("\n% {}\n\n", "x".repeat(4096)));
    });
    assert!(told.1.len() < 200 && told.1.contains(": % xxx"), "{}", told.1);
    let place = listen(drop);
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert_eq!(failed(&mut client(place)).0, ErrorKind::PermissionDenied);
    assert_eq!(failed(&mut client(closed)).0, ErrorKind::ConnectionRefused);
}

#[test]
fn one_who_says_nothing_or_half_holds_up_nobody() {
    let told = failure(until_closed);
    assert_eq!((told.0, told.1.ends_with("it says nothing")), (ErrorKind::TimedOut, true), "{}", told.1);
    let told = failure(|stream| {
        say(&stream, "\nHello, this");
        until_closed(stream);
    });
    assert_eq!((told.0, told.1.ends_with("it stops in the middle")), (ErrorKind::TimedOut, true), "{}", told.1);
    let (place, _) = daemon("s3cret", |question| {
        if question == ROUND[1] {
            std::thread::park_timeout(TIMEOUT * 4);
        }
        answer(question)
    });
    assert_eq!(failed(&mut client(place)).0, ErrorKind::TimedOut);
}

#[test]
fn one_who_never_stops_is_stopped() {
    let forever = |piece: Vec<u8>| move |mut stream: TcpStream| while stream.write_all(&piece).is_ok() {};
    let flood = failure(forever(vec![b'a'; 1 << 16]));
    assert!([ErrorKind::TimedOut, ErrorKind::FileTooLarge].contains(&flood.0), "{flood:?}");
    let drip = failure(|mut stream| {
        while stream.write_all(b"a\n").is_ok() {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    });
    assert_eq!(drip.0, ErrorKind::TimedOut);
    let storm = failure(forever([255, 253, 24].repeat(64)));
    assert_eq!(
        (storm.0, storm.1.ends_with("it speaks of options without end")),
        (ErrorKind::InvalidData, true),
        "{storm:?}"
    );
    let inside = failure(forever([255, 250].into_iter().chain([7; 4096]).collect()));
    assert!([ErrorKind::TimedOut, ErrorKind::FileTooLarge].contains(&inside.0), "{inside:?}");
    let (place, _) =
        daemon("s3cret", |question| if question == ROUND[0] { "x\n".repeat(5 << 20) } else { answer(question) });
    let mut much = client(place);
    much.timeout = Duration::from_secs(20);
    assert!([ErrorKind::InvalidData, ErrorKind::FileTooLarge].contains(&much.round().unwrap_err().cause.kind()));
}

#[test]
fn a_database_that_is_not_told_costs_nothing_else() {
    let (place, _) =
        daemon(
            "s3cret",
            |question| {
                if question == "show ip ospf database" { "x\n".repeat(5 << 20) } else { answer(question) }
            },
        );
    let mut much = client(place);
    (much.database, much.timeout) = (true, Duration::from_secs(20));
    let told = much.round().unwrap();
    let stored = told.database.unwrap();
    assert_eq!((told.state.len(), stored.answers.len()), (3, 0));
    assert!(stored.untold.as_ref().is_some_and(|why| why.contains("more than")), "{stored:?}");
    let next = much.round().unwrap();
    assert_eq!((next.state, next.database), (told.state, None), "it is not asked at once again");
}

#[test]
fn one_who_answers_something_else_is_not_believed() {
    let lies: [fn(&str) -> String; 2] = [
        |question| if question == ROUND[1] { "r1> r1> \nr1> ".to_owned() } else { answer(question) },
        // an end in the middle of a line
        |question| if question == ROUND[2] { "no end of a line".to_owned() } else { answer(question) },
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let (place, _) = daemon("s3cret", lie);
        let told = failed(&mut client(place));
        assert!([ErrorKind::InvalidData, ErrorKind::TimedOut].contains(&told.0), "{number}: {told:?}");
    }
    let prompts = failure(|mut stream| while stream.write_all(b"\r\nr1> ").is_ok() {});
    assert!([ErrorKind::InvalidData, ErrorKind::TimedOut, ErrorKind::FileTooLarge].contains(&prompts.0), "{prompts:?}");
    // a prompt before the end of the answer, and what belongs to one question behind the next
    for behind in ["another question\nr1> ", "x\nr1> "] {
        let other = failure(move |stream| {
            say(&stream, "\nr1> ");
            let mut reader = BufReader::new(&stream);
            let mut before = String::new();
            while let Some(question) = line(&mut reader) {
                say(&stream, &format!("{before}{question}\n{}r1> ", answer(&question)));
                behind.clone_into(&mut before);
            }
        });
        assert_eq!((other.0, other.1.ends_with("something else than it was asked")), (ErrorKind::InvalidData, true));
    }
}

#[test]
fn a_daemon_that_speaks_of_something_else_is_told_with_the_question() {
    let (place, _) =
        daemon(
            "s3cret",
            |question| {
                if question.contains("ospf") { "% Unknown command.\n".to_owned() } else { answer(question) }
            },
        );
    let told = failed(&mut client(place));
    assert_eq!(told.0, ErrorKind::Unsupported);
    assert!(told.1.ends_with("it does not know the command `show ip ospf neighbor detail`"), "{}", told.1);
}

#[test]
fn one_who_accepts_nobody_is_silent() {
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let place = SocketAddr::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
    let first = TcpStream::connect(place).unwrap();
    let told = failed(&mut client(place));
    assert_eq!((told.0, told.1.ends_with("it accepts nobody")), (ErrorKind::TimedOut, true), "{}", told.1);
    first.shutdown(Shutdown::Both).unwrap();
}

#[test]
fn root_the_password_is_not_told_to_another_user() {
    let (told, heard) = std::sync::mpsc::channel();
    let listening = std::thread::spawn(move || {
        // SAFETY: takes numbers only; the call itself changes the user of this thread, and of no other
        assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, 4711, -1) }, 0);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        told.send((listener.local_addr().unwrap(), Vec::new())).unwrap();
        for _ in 0..2 {
            let (mut stream, from) = listener.accept().unwrap();
            stream.write_all(GREETING).unwrap();
            let mut said = Vec::new();
            let _ = stream.read_to_end(&mut said);
            told.send((from, said)).unwrap();
        }
    });
    let (place, _) = heard.recv().unwrap();
    let error = client(place).round().unwrap_err();
    assert_eq!((error.op, error.to_string().ends_with("4711 listens there")), (TRUST, true), "{error}");
    assert_eq!(heard.recv().unwrap().1, b"", "not even options are answered");
    // one whose user it is
    let mut known = client(place);
    known.peers = believed(tempfile::tempdir().unwrap().path(), 4711);
    assert_eq!(known.round().unwrap_err().cause.kind(), ErrorKind::TimedOut);
    drop(known);
    assert!(heard.recv().unwrap().1.ends_with(b"s3cret\n"));
    listening.join().unwrap();
}
