//! What is asked of a name server or of a neighbor, and what has it answered?
//!
//! The little of RFC 1035 and RFC 2782 that finding hosts takes: one question, and records of four types. An answer comes
//! from a stranger: names have a bound and lead only backwards, and what does not fit ends the reading with an error.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a message at most.
pub(super) const MAX_MESSAGE: usize = 65_535;

/// Bytes of a name at most, and of one of its labels.
const MAX_NAME: usize = 255;
const MAX_LABEL: usize = 63;

/// Bytes that are taken by one datagram: larger answers come over TCP.
const DATAGRAM: u16 = 1232;

/// The class of the internet, without the bit that multicast uses for something else.
const INTERNET: u16 = 1;
const CLASS: u16 = 0x7fff;

/// Types of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ptr = 12,
    Srv = 33,
}

/// A name: its labels, which may hold any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(Vec<Vec<u8>>);

impl Name {
    /// A name as people write it; `None` for one that is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let labels: Vec<Vec<u8>> =
            text.trim_end_matches('.').split('.').map(|label| label.as_bytes().to_vec()).collect();
        let fits = labels.iter().all(|label| !label.is_empty() && label.len() <= MAX_LABEL);
        (fits && text.len() < MAX_NAME).then_some(Self(labels))
    }

    /// The first label, as a person reads it.
    pub(super) fn first(&self) -> String {
        self.0.first().map(|label| String::from_utf8_lossy(label).into_owned()).unwrap_or_default()
    }

    /// Whether this is a name right below that one.
    pub(super) fn is_below(&self, above: &Self) -> bool {
        self.0.split_first().is_some_and(|(_, rest)| same(rest, &above.0))
    }

    /// Whether both are the same name.
    pub(super) fn is(&self, other: &Self) -> bool {
        same(&self.0, &other.0)
    }
}

fn same(one: &[Vec<u8>], other: &[Vec<u8>]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.eq_ignore_ascii_case(other))
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let labels: Vec<_> = self.0.iter().map(|label| String::from_utf8_lossy(label)).collect();
        f.write_str(&labels.join("."))
    }
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Data {
    Address(IpAddr),
    Ptr(Name),
    Srv { port: u16, host: Name },
}

/// One record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: Name,
    pub(super) seconds: u32,
    pub(super) data: Data,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) id: u16,
    /// Whether there is more than has found room.
    pub(super) cut: bool,
    /// 0 is fine, 3 is that there is no such name.
    pub(super) code: u8,
    /// What was asked.
    pub(super) asked: Option<(Name, u16)>,
    /// Records of the types that are known here.
    pub(super) records: Vec<Record>,
}

/// A message that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the answer is damaged")]
pub(super) struct Damaged;

/// A question. `recursive` is for a name server; a neighbor is asked to answer to the one who asks.
pub(super) fn question(id: u16, name: &Name, kind: Kind, recursive: bool) -> Vec<u8> {
    let flags: u16 = if recursive { 0x0100 } else { 0 };
    let additional = u16::from(recursive);
    let mut message = Vec::with_capacity(64);
    for field in [id, flags, 1, 0, 0, additional] {
        message.extend(field.to_be_bytes());
    }
    for label in &name.0 {
        message.push(label.len() as u8);
        message.extend(label);
    }
    message.push(0);
    message.extend((kind as u16).to_be_bytes());
    message.extend((INTERNET | if recursive { 0 } else { !CLASS }).to_be_bytes());
    if recursive {
        // how large an answer may be (RFC 6891)
        message.push(0);
        for field in [41, DATAGRAM, 0, 0, 0] {
            message.extend(field.to_be_bytes());
        }
    }
    message
}

/// Bytes of a message, and how many were read.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damaged> {
        let bytes = self.message.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(Damaged)?;
        self.at += count;
        Ok(bytes)
    }

    fn number(&mut self) -> Result<u16, Damaged> {
        let bytes = self.take(2)?.first_chunk::<2>().ok_or(Damaged)?;
        Ok(u16::from_be_bytes(*bytes))
    }

    fn name(&mut self) -> Result<Name, Damaged> {
        let (mut labels, mut length) = (Vec::new(), 0);
        let mut here = Self { message: self.message, at: self.at };
        let mut behind = None;
        loop {
            let start = here.at;
            let [first] = here.take(1)? else { return Err(Damaged) };
            match first >> 6 {
                0 if *first == 0 => break,
                0 => {
                    let label = here.take(usize::from(*first))?;
                    length += label.len() + 1;
                    if length > MAX_NAME {
                        return Err(Damaged);
                    }
                    labels.push(label.to_vec());
                }
                3 => {
                    let [second] = here.take(1)? else { return Err(Damaged) };
                    let to = usize::from(u16::from_be_bytes([first & 0x3f, *second]));
                    behind.get_or_insert(here.at);
                    // further back each time, so that there is an end
                    if to >= start.min(here.at) {
                        return Err(Damaged);
                    }
                    length += 1;
                    if length > MAX_NAME {
                        return Err(Damaged);
                    }
                    here.at = to;
                }
                _ => return Err(Damaged),
            }
        }
        self.at = behind.unwrap_or(here.at);
        Ok(Name(labels))
    }

    /// A record, if it is of a type that is known here.
    fn record(&mut self) -> Result<Option<Record>, Damaged> {
        let name = self.name()?;
        let (kind, class) = (self.number()?, self.number()? & CLASS);
        let seconds = u32::from(self.number()?) << 16 | u32::from(self.number()?);
        let length = usize::from(self.number()?);
        let begin = self.at;
        let bytes = self.take(length)?;
        let mut inside = Self { message: self.message, at: begin };
        let data = match (kind, class) {
            (1, INTERNET) => Data::Address(Ipv4Addr::from(*bytes.first_chunk::<4>().ok_or(Damaged)?).into()),
            (28, INTERNET) => Data::Address(Ipv6Addr::from(*bytes.first_chunk::<16>().ok_or(Damaged)?).into()),
            (12, INTERNET) => Data::Ptr(inside.name()?),
            (33, INTERNET) => {
                inside.take(4)?;
                Data::Srv { port: inside.number()?, host: inside.name()? }
            }
            _ => return Ok(None),
        };
        Ok(Some(Record { name, seconds, data }))
    }
}

/// Reads an answer.
///
/// # Errors
/// It is none.
pub(super) fn answer(message: &[u8]) -> Result<Answer, Damaged> {
    let mut reader = Reader { message, at: 0 };
    let (id, flags) = (reader.number()?, reader.number()?);
    let counts = [reader.number()?, reader.number()?, reader.number()?, reader.number()?];
    if flags & 0x8000 == 0 {
        return Err(Damaged);
    }
    let mut asked = None;
    for _ in 0..counts[0] {
        let (name, kind, _) = (reader.name()?, reader.number()?, reader.number()?);
        asked.get_or_insert((name, kind));
    }
    let (cut, mut records) = (flags & 0x0200 != 0, Vec::new());
    let count: usize = counts.iter().skip(1).map(|count| usize::from(*count)).sum();
    for _ in 0..count {
        match reader.record() {
            Ok(record) => records.extend(record),
            // the last record may have been cut
            Err(_) if cut => break,
            Err(damaged) => return Err(damaged),
        }
    }
    Ok(Answer { id, cut, code: (flags & 0xf) as u8, asked, records })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "_netglance._tcp.example.net";

    /// An answer with a name that leads to another, as name servers write it.
    fn written() -> Vec<u8> {
        let name = Name::parse(SERVICE).unwrap();
        let mut message = question(7, &name, Kind::Srv, false);
        message[2..4].copy_from_slice(&0x8180u16.to_be_bytes());
        message[7] = 1;
        // the name of the question, SRV, IN, 300 s, then priority, weight, port, and `hv1` before `example.net`
        message
            .extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 1, 44, 0, 12, 0, 0, 0, 0, 0xef, 0x18, 3, b'h', b'v', b'1', 0xc0, 28]);
        message
    }

    #[test]
    fn a_service_is_read_with_names_that_lead_back() {
        let answer = answer(&written()).unwrap();
        assert_eq!((answer.id, answer.cut, answer.code), (7, false, 0));
        assert!(answer.asked.unwrap().0.is(&Name::parse("_NETGLANCE._tcp.example.net.").unwrap()));
        let [record] = answer.records.as_slice() else { panic!("{:?}", answer.records) };
        let host = Name::parse("hv1.example.net").unwrap();
        assert_eq!((record.seconds, &record.data), (300, &Data::Srv { port: 61208, host }));
    }

    #[test]
    fn what_is_cut_or_leads_in_circles_is_damaged() {
        let whole = written();
        for length in 0..whole.len() {
            assert_eq!(answer(&whole[..length]), Err(Damaged), "{length}");
        }
        let mut circle = whole.clone();
        let last = circle.len() - 1;
        for to in [last as u8 - 1, last as u8, last as u8 - 5] {
            circle[last] = to;
            assert!(answer(&circle).is_err(), "{to}");
        }
        let mut query = whole;
        query[2] = 0;
        assert_eq!(answer(&query), Err(Damaged), "a question is no answer");
    }

    #[test]
    fn any_bytes_are_read_or_refused_in_no_time() {
        let mut state = 1u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as u8
        };
        for round in 0..20_000 {
            let mut message = written();
            for _ in 0..=round % 8 {
                let at = usize::from(next()) % message.len();
                message[at] = next();
            }
            let _ = answer(&message);
        }
        // thousands of names, each of which leads back as far as it can
        let mut message = vec![0, 0, 0x80, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
        message.extend([1, b'a'].repeat(100).into_iter().chain([0]));
        while message.len() < MAX_MESSAGE - 12 {
            message.extend([0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 0, 0, 0]);
        }
        let begun = std::time::Instant::now();
        let _ = answer(&message);
        assert!(begun.elapsed() < std::time::Duration::from_secs(2));
    }

    #[test]
    fn names_are_those_that_fit() {
        assert!(Name::parse("a..b").is_none() && Name::parse("").is_none() && Name::parse(&"a.".repeat(200)).is_none());
        let service = Name::parse("_netglance._tcp.local").unwrap();
        let instance =
            Name(vec![b"hv 1 (rack 3).".to_vec(), b"_netglance".to_vec(), b"_TCP".to_vec(), b"local".to_vec()]);
        assert!(instance.is_below(&service) && !service.is_below(&instance));
        assert_eq!(instance.first(), "hv 1 (rack 3).");
    }
}
