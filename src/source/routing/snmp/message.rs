//! What is asked, and what is answered?
//!
//! A protocol data unit of version 2 (RFC 3416, section 3), and the message of a community around it (RFC 1901). That of
//! version 3 is in [`super::usm`].

use super::ber::{self, Binding, OCTETS, Oid, Parsed, Reader, SEQUENCE, Value};

/// Values in one answer at most: more than fit into a datagram.
pub(super) const MOST_VALUES: usize = 4096;

/// What a data unit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Asks for values.
    Get,
    /// Asks for what follows a name.
    GetBulk,
    /// Answers.
    Response,
    /// Tells why the message was not taken.
    Report,
}

const KINDS: [(Kind, u8); 4] = [(Kind::Get, 0xa0), (Kind::Response, 0xa2), (Kind::GetBulk, 0xa5), (Kind::Report, 0xa8)];

/// A question or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pdu {
    pub(super) kind: Kind,
    /// Number of the question.
    pub(super) request: i32,
    /// What went wrong; of a question for what follows, how many names stand for themselves.
    pub(super) status: i64,
    /// With which name; of a question for what follows, how many values are wanted.
    pub(super) index: i64,
    pub(super) bindings: Vec<Binding>,
}

impl Pdu {
    /// Asks for the values of names.
    pub(super) fn get(request: i32, names: &[Oid]) -> Self {
        let bindings = names.iter().map(|oid| Binding { oid: oid.clone(), value: Value::Other }).collect();
        Self { kind: Kind::Get, request, status: 0, index: 0, bindings }
    }

    /// Asks for so many values behind a name.
    pub(super) fn bulk(request: i32, name: Oid, repetitions: u16) -> Self {
        let bindings = vec![Binding { oid: name, value: Value::Other }];
        Self { kind: Kind::GetBulk, request, status: 0, index: i64::from(repetitions), bindings }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let tag = KINDS.iter().find(|(kind, _)| *kind == self.kind).map_or(0, |(_, tag)| *tag);
        let [request, status, index] = [i64::from(self.request), self.status, self.index].map(ber::integer);
        ber::sequence(tag, &[&request, &status, &index, &ber::bindings(&self.bindings)])
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Parsed<Self> {
        let (tag, mut inside) = from.next()?;
        let kind = KINDS.iter().find(|(_, known)| *known == tag).map(|(kind, _)| *kind);
        let kind = kind.ok_or("a message that is neither question nor answer")?;
        let request = i32::try_from(inside.integer()?).map_err(|_| "a number of a question that is none")?;
        let (status, index) = (inside.integer()?, inside.integer()?);
        Ok(Self { kind, request, status, index, bindings: inside.bindings(MOST_VALUES)? })
    }
}

/// Number of the version that knows communities and asks for much at once.
const VERSION: i64 = 1;

/// The message of a community.
pub(super) fn of_community(community: &[u8], pdu: &Pdu) -> Vec<u8> {
    ber::sequence(SEQUENCE, &[&ber::integer(VERSION), &ber::tagged(OCTETS, community), &pdu.write()])
}

/// What a message of a community says.
pub(super) fn from_community(bytes: &[u8], community: &[u8]) -> Parsed<Pdu> {
    let mut message = Reader::new(bytes).expect(SEQUENCE)?;
    if message.integer()? != VERSION {
        return Err("a message of another version");
    }
    if message.octets()? != community {
        return Err("an answer to another community");
    }
    Pdu::read(&mut message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_written_as_others_write_it() {
        // snmpbulkget -v2c -c public -Cn0 -Cr10 ... 1.3.6.1.2.1.14.10, with request 7
        let wanted = [
            0x30, 0x26, 0x02, 0x01, 0x01, 0x04, 0x06, b'p', b'u', b'b', b'l', b'i', b'c', 0xa5, 0x19, 0x02, 0x01, 0x07,
            0x02, 0x01, 0x00, 0x02, 0x01, 0x0a, 0x30, 0x0e, 0x30, 0x0c, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x02, 0x01, 0x0e,
            0x0a, 0x01, 0x05, 0x00,
        ];
        let pdu = Pdu::bulk(7, Oid::new(&[1, 3, 6, 1, 2, 1, 14, 10, 1]), 10);
        assert_eq!(of_community(b"public", &pdu), wanted);
        assert_eq!(from_community(&wanted, b"public").unwrap(), pdu);
        assert!(from_community(&wanted, b"private").is_err());
        for end in 0..wanted.len() {
            assert!(from_community(&wanted[..end], b"public").is_err(), "{end}");
        }
    }
}
