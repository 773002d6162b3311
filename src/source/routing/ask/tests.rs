//! Routers on sockets of this host that never answer.

use std::collections::HashMap;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::PathBuf;

use super::*;

/// A router on a socket.
fn router(name: &str, socket: &UdpSocket) -> Asked {
    of_community(name, socket, "/c")
}

fn of_community(name: &str, socket: &UdpSocket, file: &str) -> Asked {
    let place = socket.local_addr().unwrap();
    let text = format!("name = '{name}'\naddress = '{place}'\ncommunity_file = '{file}'\ntimeout = '1h'");
    Asked::Router(toml::from_str(&text).unwrap())
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

fn community(text: &str) -> Secrets {
    let path = PathBuf::from("/c");
    Secrets::Told(HashMap::from([(path.clone(), Secret::new(&path, text.as_bytes()).unwrap())]))
}

fn nobody() -> Take {
    Arc::new(|_| true)
}

/// Waits for a question that has a community in it.
fn is_asked(socket: &UdpSocket, community: &str) {
    let mut buffer = [0; 2048];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
    assert!(text.contains(community), "{text:?}");
}

#[test]
fn only_the_router_whose_secret_has_changed_is_asked_anew() {
    let (first, second) = (socket(), socket());
    let routers = [router("r1", &first), of_community("r2", &second, "/d")];
    let secrets = |one: &str| {
        let Secrets::Told(mut known) = community(one) else { unreachable!() };
        known.insert("/d".into(), Secret::new("/d".as_ref(), b"as-before").unwrap());
        Secrets::Told(known)
    };
    let mut askers = Askers::default();
    askers.follow(&routers, &secrets("old-one"), &nobody()).unwrap();
    is_asked(&first, "old-one");
    is_asked(&second, "as-before");
    let bells = |askers: &Askers| -> HashMap<String, Arc<Bell>> {
        askers.running.iter().map(|asker| (asker.asked.name().to_owned(), Arc::clone(&asker.bell))).collect()
    };
    let before = bells(&askers);
    for (text, is_same) in [("old-one", true), ("new-one", false)] {
        askers.follow(&routers, &secrets(text), &nobody()).unwrap();
        let now = bells(&askers);
        assert!(Arc::ptr_eq(&before["r2"], &now["r2"]), "{text}");
        assert_eq!(Arc::ptr_eq(&before["r1"], &now["r1"]), is_same, "{text}");
    }
    is_asked(&first, "new-one");
}

#[test]
fn a_router_is_asked_anew_when_nobody_asks_it_any_more() {
    let socket = socket();
    let routers = [router("r1", &socket)];
    let mut askers = Askers::default();
    askers.follow(&routers, &community("one"), &nobody()).unwrap();
    for text in ["two", "three"] {
        let before = Arc::downgrade(&askers.running[0].bell);
        askers.follow(&routers, &community(text), &nobody()).unwrap();
        assert_eq!(askers.leaving.len(), 0);
        loop {
            // that of before may have been asked, too
            let mut buffer = [0; 2048];
            let (length, _) = socket.recv_from(&mut buffer).unwrap();
            if String::from_utf8_lossy(&buffer[..length]).contains(text) {
                break;
            }
        }
        assert!(before.upgrade().is_none(), "{text}");
    }
}

#[test]
fn what_was_told_at_another_address_is_of_another_router() {
    let (board, old, new) = (Board::default(), router("r1", &socket()), router("r1", &socket()));
    let report = |router: &Asked| {
        Report::new(router.name().to_owned(), router.address(), Timestamp(1), Ok(Heard::Values(Vec::new())))
    };
    board.post(report(&old));
    assert!(board.of(&old).is_some() && board.of(&new).is_none());
    board.keep(std::slice::from_ref(&new));
    assert!(board.of(&old).is_none());
    // one that was on its way
    board.post(report(&old));
    assert!(board.of(&new).is_none());
    let begin = Instant::now();
    board.wait(std::slice::from_ref(&new), Duration::from_millis(50));
    assert!(begin.elapsed() >= Duration::from_millis(50), "nothing of the new one is there");
    board.post(report(&new));
    assert_eq!(board.of(&new).map(|report| report.address), Some(new.address()));
}
