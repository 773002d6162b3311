//! How much may somebody say over HTTP/2 who asks for nothing?
//!
//! What costs the other end a few bytes and this one work is counted: pings, settings, resets, windows, priorities, empty
//! and tiny frames, and heads by their size. A connection has so much credit at the start, a little more each second, and
//! more with each part of an answer that it gets, so that whoever asks and listens never runs out of it. The frames
//! themselves are understood elsewhere; here only their heads are looked at.

use std::time::Instant;

/// What a connection over HTTP/2 begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of the head of a frame.
const HEAD: usize = 9;

/// Credit at the start, and the most there is.
const MOST: f64 = 512.0;

/// Credit for each second.
const EACH_SECOND: f64 = 32.0;

/// Credit for each part of an answer.
const EACH_PART: f64 = 4.0;

/// A frame of data shorter than this costs as much as an empty one.
const TINY: usize = 128;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// A frame that makes no sense, so that HTTP/2 ends the connection as it ends every broken one: with GOAWAY.
pub(super) const NONSENSE: &[u8] = &[0, 0, 0, DATA, 0, 0, 0, 0, 0];

/// Frames of one direction, as their bytes pass.
#[derive(Default)]
struct Frames {
    head: [u8; HEAD],
    /// Bytes of the head that are there.
    filled: usize,
    /// Bytes of the frame that are still to come.
    rest: usize,
    /// Whether more of a head of a request must follow.
    open: bool,
}

/// The head of a frame.
#[derive(Clone, Copy)]
struct Frame {
    kind: u8,
    length: usize,
    /// Where it began among the bytes that are passing; before them if `None`.
    at: Option<usize>,
}

impl Frames {
    /// Whether it is between two frames.
    fn between(&self) -> bool {
        self.filled == 0 && self.rest == 0
    }

    /// Passes bytes up to the end of a frame or of the next head; how many, and the frame whose head it is.
    fn next(&mut self, bytes: &[u8], from: usize) -> (usize, Option<Frame>) {
        let mut at = from;
        let skipped = self.rest.min(bytes.len() - at);
        (self.rest, at) = (self.rest - skipped, at + skipped);
        // where a frame ends is where it may be the last one
        if skipped > 0 {
            return (at, None);
        }
        let begin = (self.filled == 0).then_some(at);
        for (place, byte) in self.head.iter_mut().skip(self.filled).zip(bytes.iter().skip(at)) {
            *place = *byte;
            (self.filled, at) = (self.filled + 1, at + 1);
        }
        if self.filled < HEAD {
            return (at, None);
        }
        let [a, b, c, kind, flags, ..] = self.head;
        let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        (self.filled, self.rest) = (0, length);
        if matches!(kind, HEADERS | CONTINUATION) {
            self.open = flags & END_HEADERS == 0;
        }
        (at, Some(Frame { kind, length, at: begin }))
    }
}

/// What a frame costs whoever gets it, and so whoever sends it.
fn price(frame: Frame) -> f64 {
    match frame.kind {
        DATA if frame.length >= TINY => 0.0,
        HEADERS | CONTINUATION => 1.0 + frame.length as f64 / 1024.0,
        _ => 1.0 + frame.length as f64 / 256.0,
    }
}

/// What passes on a connection.
pub(super) struct Account {
    protocol: Protocol,
    came: Frames,
    went: Frames,
    credit: f64,
    at: Instant,
    over: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Protocol {
    /// So many bytes came, and either could begin with them.
    Unknown(usize),
    /// There are no frames.
    One,
    Two,
}

/// What becomes of bytes that came.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// They are read, and end where a frame does.
    Whole,
    /// They are read, and more must follow.
    Part,
    /// Those from here on are not read, and nothing after them.
    Enough(usize),
}

impl Account {
    pub(super) fn new(now: Instant) -> Self {
        let (came, went) = (Frames::default(), Frames::default());
        Self { protocol: Protocol::Unknown(0), came, went, credit: MOST, at: now, over: false }
    }

    /// Bytes came.
    pub(super) fn come(&mut self, bytes: &[u8], now: Instant) -> Verdict {
        let mut at = 0;
        while let Protocol::Unknown(known) = self.protocol {
            let Some(byte) = bytes.get(at) else { return Verdict::Part };
            at += 1;
            self.protocol = match known + 1 {
                _ if PREFACE.get(known) != Some(byte) => Protocol::One,
                known if known == PREFACE.len() => Protocol::Two,
                known => Protocol::Unknown(known),
            };
        }
        if self.protocol == Protocol::One {
            return Verdict::Part;
        }
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        (self.credit, self.at) = ((self.credit + passed * EACH_SECOND).min(MOST), now);
        while at < bytes.len() {
            if self.over && self.came.between() {
                return Verdict::Enough(at);
            }
            let (end, frame) = self.came.next(bytes, at);
            at = end;
            let Some(frame) = frame else { continue };
            self.credit -= price(frame);
            if self.credit < 0.0 {
                self.over = true;
                if let Some(begin) = frame.at {
                    return Verdict::Enough(begin);
                }
            }
        }
        if self.came.between() && !self.came.open { Verdict::Whole } else { Verdict::Part }
    }

    /// Bytes went; whether a part of an answer is among them.
    pub(super) fn go(&mut self, bytes: &[u8]) -> bool {
        if self.protocol != Protocol::Two {
            return true;
        }
        let (mut at, mut parts) = (0, 0);
        while at < bytes.len() {
            let (end, frame) = self.went.next(bytes, at);
            at = end;
            parts += usize::from(frame.is_some_and(|frame| matches!(frame.kind, DATA | HEADERS)));
        }
        self.credit = (self.credit + parts as f64 * EACH_PART).min(MOST);
        parts > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., a, b, c] = (length as u32).to_be_bytes();
        [&[a, b, c, kind, flags, 0, 0, 0, 1][..], &vec![0; length]].concat()
    }

    fn begun() -> (Account, Instant) {
        let now = Instant::now();
        let mut account = Account::new(now);
        assert_eq!(account.come(PREFACE, now), Verdict::Whole);
        (account, now)
    }

    #[test]
    fn a_flood_is_cut_between_two_frames_however_its_bytes_come() {
        let ping = frame(PING, 0, 8);
        let flood = ping.repeat(2000);
        let mut cuts = Vec::new();
        for size in [1, 2, 9, 16, 17, 18, 100, 4096] {
            let (mut account, now) = begun();
            let mut read = 0;
            for piece in flood.chunks(size) {
                match account.come(piece, now) {
                    Verdict::Enough(at) => {
                        read += at;
                        break;
                    }
                    _ => read += piece.len(),
                }
            }
            assert!(read < flood.len() && read % ping.len() == 0, "{size}: {read}");
            cuts.push(read / ping.len());
        }
        assert!(cuts.iter().all(|cut| cuts[0].abs_diff(*cut) <= 1) && cuts[0] < 600, "{cuts:?}");
    }

    #[test]
    fn who_asks_and_listens_never_runs_out() {
        let (mut account, now) = begun();
        let question = [frame(HEADERS, END_HEADERS, 60), frame(DATA, 1, 20), frame(8, 0, 4)].concat();
        let answer = [frame(HEADERS, END_HEADERS, 40), frame(DATA, 0, 500), frame(HEADERS, 5, 20)].concat();
        for _ in 0..100_000 {
            assert_eq!(account.come(&question, now), Verdict::Whole);
            assert!(answer.chunks(100).filter(|piece| account.go(piece)).count() > 0);
        }
        // one who only keeps the connection alive has time
        let (mut account, mut now) = begun();
        for _ in 0..10_000 {
            assert_eq!(account.come(&frame(PING, 0, 8).repeat(10), now), Verdict::Whole);
            now += Duration::from_secs(1);
        }
    }

    #[test]
    fn heads_cost_what_they_weigh_and_an_acknowledgement_earns_nothing() {
        let (mut account, now) = begun();
        let head = frame(HEADERS, END_HEADERS, 16 << 10);
        let count = (0..100).take_while(|_| account.come(&head, now) == Verdict::Whole).count();
        assert!((20..40).contains(&count), "{count}");
        let (mut account, now) = begun();
        let mut read = 0;
        while account.come(&frame(4, 0, 6), now) == Verdict::Whole {
            assert!(!account.go(&frame(4, 1, 0)));
            read += 1;
        }
        assert!(read < 600, "{read}");
    }

    #[test]
    fn a_head_in_pieces_is_not_whole() {
        let (mut account, now) = begun();
        assert_eq!(account.come(&frame(HEADERS, 0, 10), now), Verdict::Part);
        assert_eq!(account.come(&frame(CONTINUATION, 0, 10), now), Verdict::Part);
        assert_eq!(account.come(&frame(CONTINUATION, END_HEADERS, 10), now), Verdict::Whole);
        assert_eq!(account.come(&[0, 0], now), Verdict::Part);
    }

    #[test]
    fn http_1_has_no_frames() {
        for text in ["GET / HTTP/1.1\r\n", "PRI * HTTP/2.1\r\n", "P", "x"] {
            let mut account = Account::new(Instant::now());
            assert_eq!(account.come(text.as_bytes(), Instant::now()), Verdict::Part);
            assert_eq!(account.come(&[0; 4096].repeat(100), Instant::now()), Verdict::Part);
            assert!(account.go(&[0; 100]));
        }
    }
}
