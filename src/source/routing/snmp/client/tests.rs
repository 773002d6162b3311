//! Agents that do as they like, on sockets of this host.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::source::routing::snmp::settings::Endpoint;

const TIMEOUT: Duration = Duration::from_millis(400);

/// A client of an agent that answers questions in some way, or not.
fn asking(mut answer: impl FnMut(Pdu) -> Vec<Vec<u8>> + Send + 'static) -> Client {
    let agent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let place = agent.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = agent.recv_from(&mut buffer) {
            let Ok(pdu) = message::from_community(&buffer[..length], b"public") else { continue };
            for message in answer(pdu) {
                agent.send_to(&message, from).unwrap();
            }
        }
    });
    client(place)
}

fn client(place: SocketAddr) -> Client {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("community");
    std::fs::write(&file, "public\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = format!("name = 'r1'\naddress = '{}'\ncommunity_file = '{}'\n", Endpoint(place), file.display());
    let mut router: Router = toml::from_str(&text).unwrap();
    router.timeout.0 = TIMEOUT;
    Client::open(&router, &Secrets::Files, Arc::default()).unwrap()
}

fn answered(mut pdu: Pdu, bindings: Vec<Binding>) -> Vec<Vec<u8>> {
    (pdu.kind, pdu.status, pdu.index, pdu.bindings) = (Kind::Response, 0, 0, bindings);
    vec![message::of_community(b"public", &pdu)]
}

fn values(arcs: &[&[u32]]) -> Vec<Binding> {
    arcs.iter().map(|arcs| Binding { oid: Oid::new(arcs), value: Value::Integer(1) }).collect()
}

/// What follows a name: its last number, and more.
fn after(pdu: &Pdu, step: impl Fn(u32) -> u32) -> Vec<Binding> {
    let last = pdu.bindings[0].oid.below(&table()).unwrap().first().copied().unwrap_or(0);
    (0..pdu.index as u32).map(|at| Binding { oid: table().and(&[step(last + at)]), value: Value::Integer(1) }).collect()
}

fn table() -> Oid {
    Oid::new(&[1, 3, 6, 1])
}

fn failed(client: &mut Client) -> (ErrorKind, String) {
    let error = client.walk(&table()).unwrap_err();
    (error.cause.kind(), error.to_string())
}

#[test]
fn a_walk_ends_where_the_table_does() {
    let mut first = true;
    let mut client = asking(move |pdu| {
        let last = pdu.bindings[0].oid == Oid::new(&[1, 3, 6, 1, 2]);
        // the first answer is lost
        if std::mem::take(&mut first) {
            return Vec::new();
        }
        answered(
            pdu,
            if last {
                values(&[&[1, 3, 6, 1, 7], &[1, 3, 6, 2]])
            } else {
                values(&[&[1, 3, 6, 1, 1], &[1, 3, 6, 1, 2]])
            },
        )
    });
    let names: Vec<String> = client.walk(&table()).unwrap().iter().map(|binding| binding.oid.to_string()).collect();
    assert_eq!(names, ["1.3.6.1.1", "1.3.6.1.2", "1.3.6.1.7"]);
}

#[test]
fn who_never_answers_is_waited_for_so_long() {
    let begin = Instant::now();
    let (kind, told) = failed(&mut asking(|_| Vec::new()));
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(told.starts_with("ask r1 for 1.3.6.1: no answer within 400ms"), "{told}");
    assert!(begin.elapsed() >= TIMEOUT);
    let closed = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    assert_eq!(failed(&mut client(closed)).0, ErrorKind::ConnectionRefused);
}

#[test]
fn what_is_no_answer_is_told() {
    let (kind, told) = failed(&mut asking(|_| vec![b"garbage".to_vec()]));
    assert!(kind == ErrorKind::InvalidData && told.contains("it sent a value that is cut off"), "{told}");
    let (kind, told) = failed(&mut asking(|mut pdu| {
        pdu.request += 1;
        answered(pdu, values(&[&[1, 3, 6, 1, 1]]))
    }));
    assert!(kind == ErrorKind::InvalidData && told.contains("an answer to another question"), "{told}");
    let (_, told) = failed(&mut asking(|pdu| vec![message::of_community(b"private", &pdu)]));
    assert!(told.contains("an answer to another community"), "{told}");
    // the question itself is no answer
    let (_, told) = failed(&mut asking(|pdu| vec![message::of_community(b"public", &pdu)]));
    assert!(told.contains("a message that is no answer"), "{told}");
    let (_, told) = failed(&mut asking(|_| vec![vec![0; 9]; 1000]));
    assert!(told.contains("a value of another type"), "{told}");
}

#[test]
fn an_answer_behind_others_is_found() {
    let mut client = asking(|pdu| {
        let stray = Pdu { request: pdu.request - 1, ..pdu.clone() };
        let mut all = vec![b"garbage".to_vec()];
        all.extend(answered(stray, values(&[&[1, 3, 6, 1, 9]])));
        all.extend(answered(pdu, values(&[&[1, 3, 6, 2]])));
        all
    });
    assert_eq!(client.walk(&table()).unwrap(), []);
}

#[test]
fn a_walk_without_an_end_is_given_up() {
    let begin = Instant::now();
    let (_, told) = failed(&mut asking(|pdu| {
        let bindings = after(&pdu, |last| last + 1);
        answered(pdu, bindings)
    }));
    assert!(told.contains("more than 65536 values") || told.contains("takes longer"), "{told}");
    assert!(begin.elapsed() < ROUND * 2);
    let (_, told) = failed(&mut asking(|pdu| answered(pdu, Vec::new())));
    assert!(told.contains("it answers nothing"), "{told}");
}

#[test]
fn a_walk_of_very_large_values_is_given_up() {
    let asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&asked);
    let (kind, told) = failed(&mut asking(move |pdu| {
        counted.fetch_add(1, Ordering::Relaxed);
        let mut bindings = after(&pdu, |last| last + 1);
        bindings.truncate(1);
        bindings[0].value = Value::Bytes(vec![b'x'; 60_000]);
        answered(pdu, bindings)
    }));
    assert!(kind == ErrorKind::InvalidData && told.ends_with("it tells more than 4194304 bytes"), "{told}");
    assert!(asked.load(Ordering::Relaxed) <= BYTES / 60_000 + 1, "{asked:?}");
}

#[test]
fn who_is_not_to_know_any_more_waits_for_nothing() {
    let bell = Arc::<Bell>::default();
    let (asked, is_asked) = std::sync::mpsc::channel();
    let mut client = asking(move |_| {
        asked.send(()).unwrap();
        Vec::new()
    });
    (client.bell, client.timeout) = (Arc::clone(&bell), Duration::from_hours(1));
    let waits = std::thread::spawn(move || failed(&mut client));
    is_asked.recv().unwrap();
    bell.ring();
    let (kind, told) = waits.join().unwrap();
    assert!(kind == ErrorKind::Interrupted && told.ends_with("nobody wants to know any more"), "{told}");
}

#[test]
fn names_that_do_not_increase_are_told() {
    for step in [|_: u32| 5, |last: u32| 9_u32.saturating_sub(last)] {
        let (kind, told) = failed(&mut asking(move |pdu| {
            let bindings = after(&pdu, step);
            answered(pdu, bindings)
        }));
        assert!(kind == ErrorKind::InvalidData && told.ends_with("names that do not increase"), "{told}");
    }
}

#[test]
fn an_agent_that_cannot_say_so_much_is_asked_for_less() {
    let mut client = asking(|mut pdu| {
        if pdu.index > 3 {
            pdu.kind = Kind::Response;
            (pdu.status, pdu.index) = (TOO_BIG, 0);
            return vec![message::of_community(b"public", &pdu)];
        }
        answered(pdu, values(&[&[1, 3, 6, 2]]))
    });
    assert_eq!(client.walk(&table()).unwrap(), []);
    let (kind, told) = failed(&mut asking(|mut pdu| {
        pdu.kind = Kind::Response;
        (pdu.status, pdu.index) = (16, 1);
        vec![message::of_community(b"public", &pdu)]
    }));
    assert!(kind == ErrorKind::PermissionDenied && told.ends_with("it answers authorizationError"), "{told}");
}

#[test]
fn an_agent_that_has_no_room_for_so_many_names_is_asked_for_fewer() {
    let most = |room: usize| {
        asking(move |mut pdu| {
            if pdu.bindings.len() > room {
                pdu.kind = Kind::Response;
                (pdu.status, pdu.index) = (TOO_BIG, 0);
                return vec![message::of_community(b"public", &pdu)];
            }
            let bindings = pdu.bindings.clone();
            let there = |binding: Binding| Binding { value: Value::Integer(1), ..binding };
            answered(pdu, bindings.into_iter().map(there).collect())
        })
    };
    let names: Vec<Oid> = (0..30).map(|number| table().and(&[number])).collect();
    for room in [8, 1] {
        let found = most(room).get(&names).unwrap();
        assert!(found.iter().map(|binding| &binding.oid).eq(&names), "{room}");
    }
    let told = most(0).get(&names).unwrap_err().to_string();
    assert!(told.ends_with("it answers tooBig"), "{told}");
}

#[test]
fn values_that_are_not_there_are_left_out() {
    let mut client = asking(|pdu| {
        let mut bindings = pdu.bindings.clone();
        bindings[0].value = Value::Absent;
        bindings[1].value = Value::Unsigned(7);
        answered(pdu, bindings)
    });
    let names = [table().and(&[1]), table().and(&[2])];
    let found = client.get(&names).unwrap();
    assert_eq!(found, [Binding { oid: names[1].clone(), value: Value::Unsigned(7) }]);
    let mut other = asking(|pdu| answered(pdu, values(&[&[1, 3, 6, 9]])));
    assert!(other.get(&names).unwrap_err().to_string().ends_with("it answers something else than it was asked"));
}
