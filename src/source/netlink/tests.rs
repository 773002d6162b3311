use super::frame::{
    HEADER, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR, NLM_F_MULTI, NLMSG_DONE, NLMSG_ERROR, NLMSGERR_ATTR_MSG,
};
use super::route::{self, LinkNews};
use super::*;
use proptest::prelude::*;
use std::cell::Cell;

fn framed(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&sequence.to_ne_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(body);
    bytes.resize(attr::align(bytes.len()), 0);
    bytes
}

fn read(bytes: &[u8], sequence: u32) -> (Result<bool, Refusal>, bool, Vec<Vec<u8>>) {
    read_answer(bytes, Question::Dump, sequence)
}

fn read_answer(bytes: &[u8], question: Question, sequence: u32) -> (Result<bool, Refusal>, bool, Vec<Vec<u8>>) {
    let (mut interrupted, mut bodies) = (false, Vec::new());
    let end = read_datagram(bytes, question, sequence, &mut interrupted, &mut |message: Message<'_>| {
        bodies.push(message.body.to_vec());
        Ok(())
    });
    (end, interrupted, bodies)
}

#[test]
fn messages_of_an_earlier_request_are_passed_over() {
    let mut bytes = framed(16, NLM_F_MULTI, 6, b"old!");
    bytes.extend(framed(16, NLM_F_MULTI, 7, b"new!"));
    let (end, _, bodies) = read(&bytes, 7);
    assert!(matches!(end, Ok(false)));
    assert_eq!(bodies, [b"new!"]);
}

#[test]
fn an_interruption_anywhere_in_a_dump_is_seen() {
    let mut bytes = framed(16, NLM_F_MULTI | NLM_F_DUMP_INTR, 1, b"row1");
    bytes.extend(framed(NLMSG_DONE, NLM_F_MULTI, 1, &0_i32.to_ne_bytes()));
    let (end, interrupted, _) = read(&bytes, 1);
    assert!(matches!(end, Ok(true)) && interrupted);
}

#[test]
fn the_answer_to_a_single_question_ends_with_its_acknowledgment_and_not_before() {
    let mut bytes = framed(16, 0, 1, b"one!");
    bytes.extend(framed(16, NLM_F_MULTI, 1, b"two!"));
    let (end, _, bodies) = read_answer(&bytes, Question::Single, 1);
    assert!(matches!(end, Ok(false)));
    assert_eq!(bodies, [b"one!", b"two!"]);
    assert!(matches!(read(&bytes, 1), (Ok(true), _, bodies) if bodies.len() == 1), "a dump ends with a lone message");
    let (end, _, bodies) = read_answer(&bytes, Question::MarkedDump, 1);
    assert!(matches!(end, Ok(false)) && bodies.len() == 2, "one of a family that always marks the end does not");
    let acknowledgment = framed(NLMSG_ERROR, 0, 1, &[0; 4 + HEADER]);
    assert!(matches!(read_answer(&acknowledgment, Question::Single, 1).0, Ok(true)));
}

#[test]
fn the_words_of_the_kernel_are_found_behind_the_request_it_repeats() {
    for (flags, repeated) in [(NLM_F_ACK_TLVS | NLM_F_CAPPED, 0), (NLM_F_ACK_TLVS, 24)] {
        let mut body = (-libc::EINVAL).to_ne_bytes().to_vec();
        body.extend_from_slice(&((HEADER + repeated) as u32).to_ne_bytes());
        body.extend_from_slice(&vec![0; 12 + repeated]);
        attr::push(&mut body, NLMSGERR_ATTR_MSG, b"bad \x1b mask\0");
        // a capped reply still states the full length of the request
        if flags & NLM_F_CAPPED != 0 {
            body[4..8].copy_from_slice(&60_u32.to_ne_bytes());
        }
        match read(&framed(NLMSG_ERROR, flags, 1, &body), 1).0 {
            Err(Refusal::Kernel { errno, words }) => {
                assert_eq!((errno, words.as_deref()), (libc::EINVAL, Some("bad \\x1b mask")));
            }
            _ => panic!("an error is expected"),
        }
    }
}

#[test]
fn a_failure_at_the_end_of_a_dump_is_an_error() {
    let bytes = framed(NLMSG_DONE, NLM_F_MULTI, 1, &(-libc::ENOMEM).to_ne_bytes());
    assert!(matches!(read(&bytes, 1).0, Err(Refusal::Kernel { errno: libc::ENOMEM, .. })));
}

#[test]
fn the_live_kernel_refuses_a_bad_request_in_its_own_words() {
    let mut request = route::links();
    request.body[4] = 9;
    request.body[12] = 1;
    let error = Socket::open(Family::Route).unwrap().dump(&request, |_| Ok(())).unwrap_err();
    assert_eq!(error.cause.raw_os_error(), Some(libc::EINVAL));
    assert!(error.to_string().contains("links (") && error.to_string().contains("dump request"), "{error}");
}

#[test]
fn a_reply_larger_than_the_buffer_is_an_error() {
    let mut socket = Socket::open(Family::Route).unwrap();
    BUFFER.set(vec![0; 64]);
    let error = socket.dump(&route::links(), |_| Ok(())).unwrap_err();
    assert_eq!(error.cause.raw_os_error(), Some(libc::EMSGSIZE), "{error}");
}

#[test]
fn a_visitor_that_refuses_a_message_ends_the_dump() {
    let refuse = |part: Part<'_>| if part == Part::Start { Ok(()) } else { Err(Malformed) };
    let error = Socket::open(Family::Route).unwrap().dump(&route::links(), refuse).unwrap_err();
    assert_eq!(error.cause.kind(), ErrorKind::InvalidData);
}

#[test]
fn an_idle_subscription_drains_at_once() {
    let mut socket = Socket::subscribe(Family::Route, &[route::GROUP_LINK]).unwrap();
    assert!(socket.drain(|_| Ok(())).is_ok());
}

proptest! {
    #[test]
    fn any_datagram_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..256), sequence in 0..4_u32) {
        let _ = read(&bytes, sequence);
    }

    #[test]
    fn any_body_behind_a_good_header_is_read_or_refused(
        kind in 0..5_u16, flags in any::<u16>(), body in proptest::collection::vec(any::<u8>(), 0..128),
    ) {
        let _ = read(&framed(kind, flags, 1, &body), 1);
    }
}

#[test]
fn root_a_table_that_changes_during_every_attempt_is_told_from_other_errors() {
    testing::in_own_network(|| {
        testing::ip_batch((0..150).map(|i| format!("link add a{i} type veth peer name b{i}")));
        let mut socket = Socket::open(Family::Route).unwrap();
        let (mut starts, mut changed) = (0, false);
        let patience = Patience { attempts: 3, ..Patience::default() };
        let result = socket.dump_within(patience, &route::links(), |part| {
            if part == Part::Start {
                (starts, changed) = (starts + 1, false);
            } else if !changed {
                changed = true;
                testing::ip(&format!("link add extra{starts} type bridge"));
            }
            Ok(())
        });
        assert_eq!(starts, 3);
        assert!(Changing::is_cause_of(&result.unwrap_err()));
        let refused = socket.dump(&Request { kind: 0xfff, body: Vec::new(), what: "nothing" }, |_| Ok(()));
        assert!(!Changing::is_cause_of(&refused.unwrap_err()), "the socket is in order, and other errors are others");
    });
}

#[test]
fn root_of_a_table_that_changes_during_every_attempt_the_last_one_counts_where_that_is_enough() {
    testing::in_own_network(|| {
        testing::ip_batch((0..150).map(|i| format!("link add a{i} type veth peer name b{i}")));
        let mut socket = Socket::open(Family::Route).unwrap();
        let mut found = Bounded::new(1000);
        assert!(!route::read_links(&mut socket, &mut found).unwrap());
        let before = found.kept().len();
        assert!(before > 300, "{before}");
        let (extra, changed) = (Cell::new(0), Cell::new(false));
        let is_changing = socket.dump_moving(&route::links(), &mut found, |message| {
            let index = message.body.get(4..8).map(<[u8]>::to_vec);
            // the first message of each attempt is that of lo
            changed.set(changed.get() && index != Some(1_u32.to_ne_bytes().to_vec()));
            if !changed.replace(true) {
                extra.set(extra.get() + 1);
                testing::ip(&format!("link add extra{} type bridge", extra.get()));
            }
            Ok(match route::link_news(message)? {
                Some(LinkNews::Is(link)) => Some(link),
                _ => None,
            })
        });
        assert!(is_changing.unwrap());
        assert!(extra.get() > 1, "it was tried again");
        // nothing of the attempts before
        assert!((before..=before + extra.get()).contains(&found.kept().len()), "{}", found.kept().len());
        assert!(!route::read_links(&mut socket, &mut found).unwrap(), "the socket is in order");
        assert_eq!(found.kept().len(), before + extra.get());
    });
}

#[test]
fn root_a_storm_of_notifications_is_reported_as_lost() {
    testing::in_own_network(|| {
        let mut socket = Socket::subscribe_with(Family::Route, &[route::GROUP_LINK], 1).unwrap();
        testing::ip_batch((0..200).map(|i| format!("link set lo mtu {}", 2000 + i)));
        assert_eq!(socket.drain(|_| Ok(())).unwrap(), Drained::Lost);
        testing::ip("link set lo mtu 1500");
        let mut seen = 0;
        let drained = socket.drain(|_| {
            seen += 1;
            Ok(())
        });
        assert_eq!((drained.unwrap(), seen > 0), (Drained::All, true), "the next notification arrives again");
    });
}

#[test]
fn an_answer_that_does_not_come_is_waited_for_until_the_deadline_and_no_longer() {
    let socket = Socket::open(Family::Route).unwrap();
    let (begin, span) = (Instant::now(), Duration::from_millis(100));
    let request = Request { kind: 0, body: Vec::new(), what: "nothing" };
    let mut buffer = Buffer::borrow();
    let reply = socket.receive_reply(&request, Question::Dump, begin + span, &mut buffer.0, &mut |_| Ok(()));
    let error = reply.err().unwrap();
    assert_eq!(error.cause.raw_os_error(), Some(libc::ETIMEDOUT));
    assert!(begin.elapsed() >= span && begin.elapsed() < Patience::default().time, "{:?}", begin.elapsed());
}
