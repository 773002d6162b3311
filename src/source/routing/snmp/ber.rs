//! How are values of SNMP written?
//!
//! In the basic encoding rules of ASN.1 (X.690, section 8), of which SNMP uses a part (RFC 3417, section 8): every value is a
//! tag of one byte, a length of definite form, and so many bytes. What a stranger wrote is read without copies and never
//! beyond its end.

use std::fmt;
use std::net::Ipv4Addr;

/// What was read, or what is wrong with it.
pub(super) type Parsed<T> = Result<T, &'static str>;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const OCTETS: u8 = 0x04;
pub(super) const OBJECT: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
const NULL: u8 = 0x05;
const ADDRESS: u8 = 0x40;
const COUNTER: u8 = 0x41;
const GAUGE: u8 = 0x42;
const TICKS: u8 = 0x43;
const COUNTER64: u8 = 0x46;
const NO_OBJECT: u8 = 0x80;
const NO_INSTANCE: u8 = 0x81;
const END_OF_VIEW: u8 = 0x82;

/// Numbers that an identifier has at most (RFC 3416, section 4.1).
const MOST_ARCS: usize = 128;

/// Name of a value: numbers from the root of a tree on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(Vec<u32>);

impl Oid {
    /// Of its numbers.
    pub(super) fn new(arcs: &[u32]) -> Self {
        Self(arcs.to_vec())
    }

    /// The same with more numbers behind.
    #[must_use]
    pub(super) fn and(&self, more: &[u32]) -> Self {
        Self([&self.0, more].concat())
    }

    /// The numbers that follow another one, if this one is below it.
    pub(super) fn below(&self, other: &Self) -> Option<&[u32]> {
        self.0.strip_prefix(other.0.as_slice())
    }

    fn write(&self, out: &mut Vec<u8>) {
        let (first, rest) = match self.0.as_slice() {
            [first, second, rest @ ..] => (first.wrapping_mul(40).wrapping_add(*second), rest),
            [first] => (first.wrapping_mul(40), &[] as &[u32]),
            [] => (0, &[] as &[u32]),
        };
        for arc in std::iter::once(first).chain(rest.iter().copied()) {
            for shift in (1..5).rev().filter(|shift| arc >> (shift * 7) != 0) {
                out.push((arc >> (shift * 7)) as u8 & 0x7f | 0x80);
            }
            out.push(arc as u8 & 0x7f);
        }
    }

    fn read(bytes: &[u8]) -> Parsed<Self> {
        let (mut arcs, mut arc, mut is_open) = (Vec::new(), 0_u64, false);
        for byte in bytes {
            arc = arc << 7 | u64::from(byte & 0x7f);
            is_open = byte & 0x80 != 0;
            if arc > u64::from(u32::MAX) || arcs.len() == MOST_ARCS {
                return Err("an identifier that is too long");
            }
            if is_open {
                continue;
            }
            let whole = arc as u32;
            if arcs.is_empty() {
                let first = (whole / 40).min(2);
                arcs.extend([first, whole - first * 40]);
            } else {
                arcs.push(whole);
            }
            arc = 0;
        }
        if is_open || arcs.is_empty() { Err("an identifier that is cut off") } else { Ok(Self(arcs)) }
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, arc) in self.0.iter().enumerate() {
            write!(f, "{}{arc}", if at == 0 { "" } else { "." })?;
        }
        Ok(())
    }
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number that may be negative.
    Integer(i64),
    /// A counter, a gauge or a time.
    Unsigned(u64),
    /// Text or bytes.
    Bytes(Vec<u8>),
    /// An address of IPv4.
    Address(Ipv4Addr),
    /// There is none of this name.
    Absent,
    /// There is nothing behind this name.
    End,
    /// Something that no table has.
    Other,
}

/// A name with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The name.
    pub oid: Oid,
    /// The value.
    pub value: Value,
}

/// A value with its tag and length.
pub(super) fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() + 6);
    out.push(tag);
    let length = (content.len() as u32).to_be_bytes();
    match length {
        [0, 0, 0, short @ 0..0x80] => out.push(short),
        [0, 0, 0, one] => out.extend([0x81, one]),
        [0, 0, high, low] => out.extend([0x82, high, low]),
        [a, b, c, d] => out.extend([0x84, a, b, c, d]),
    }
    out.extend_from_slice(content);
    out
}

/// Several values as one.
pub(super) fn sequence(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tagged(tag, &parts.concat())
}

/// A number.
pub(super) fn integer(number: i64) -> Vec<u8> {
    signed(INTEGER, i128::from(number))
}

fn signed(tag: u8, number: i128) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    // what is left out is the sign of what follows
    let is_needless = |pair: &[u8]| matches!(pair, [0, 0..0x80] | [0xff, 0x80..=0xff]);
    let skip = bytes.windows(2).take_while(|pair| is_needless(pair)).count();
    tagged(tag, bytes.get(skip..).unwrap_or_default())
}

/// Names with their values.
pub(super) fn bindings<'a>(all: impl IntoIterator<Item = &'a Binding>) -> Vec<u8> {
    let mut out = Vec::new();
    for binding in all {
        let mut oid = Vec::new();
        binding.oid.write(&mut oid);
        let value = match &binding.value {
            Value::Integer(number) => integer(*number),
            Value::Unsigned(number) => signed(COUNTER64, i128::from(*number)),
            Value::Bytes(bytes) => tagged(OCTETS, bytes),
            Value::Address(address) => tagged(ADDRESS, &address.octets()),
            Value::Absent => tagged(NO_INSTANCE, &[]),
            Value::End => tagged(END_OF_VIEW, &[]),
            Value::Other => tagged(NULL, &[]),
        };
        out.extend(sequence(SEQUENCE, &[&tagged(OBJECT, &oid), &value]));
    }
    tagged(SEQUENCE, &out)
}

/// Bytes that somebody wrote, from some place on.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    whole: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Reader<'a> {
    /// From the beginning.
    pub(super) fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0, end: whole.len() }
    }

    /// Where it is in the whole.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether there is no more.
    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.end
    }

    /// What there is, from here on.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.whole.get(self.at..self.end).unwrap_or_default()
    }

    fn byte(&mut self) -> Parsed<u8> {
        let byte = self.rest().first().copied().ok_or("a value that is cut off")?;
        self.at += 1;
        Ok(byte)
    }

    /// The next value with its tag.
    pub(super) fn next(&mut self) -> Parsed<(u8, Self)> {
        let tag = self.byte()?;
        let first = self.byte()?;
        let mut length = usize::from(first & 0x7f);
        if first & 0x80 != 0 {
            if !(1..=4).contains(&length) {
                return Err("a length that is none");
            }
            let bytes = length;
            length = 0;
            for _ in 0..bytes {
                length = length << 8 | usize::from(self.byte()?);
            }
        }
        if length > self.end - self.at {
            return Err("a value that is cut off");
        }
        let inside = Self { whole: self.whole, at: self.at, end: self.at + length };
        self.at += length;
        Ok((tag, inside))
    }

    /// The next value, which must have a tag.
    pub(super) fn expect(&mut self, wanted: u8) -> Parsed<Self> {
        match self.next()? {
            (tag, inside) if tag == wanted => Ok(inside),
            _ => Err("a value of another type"),
        }
    }

    /// Bytes.
    pub(super) fn octets(&mut self) -> Parsed<&'a [u8]> {
        Ok(self.expect(OCTETS)?.rest())
    }

    /// A number.
    pub(super) fn integer(&mut self) -> Parsed<i64> {
        number(self.expect(INTEGER)?.rest()).and_then(|number| i64::try_from(number).map_err(|_| TOO_LARGE))
    }

    /// Names with their values, at most so many.
    pub(super) fn bindings(&mut self, most: usize) -> Parsed<Vec<Binding>> {
        let mut list = self.expect(SEQUENCE)?;
        let mut all = Vec::new();
        while !list.is_empty() {
            if all.len() == most {
                return Err("more values than were asked for");
            }
            let mut pair = list.expect(SEQUENCE)?;
            let oid = Oid::read(pair.expect(OBJECT)?.rest())?;
            let (tag, value) = pair.next()?;
            all.push(Binding { oid, value: read(tag, value.rest())? });
        }
        Ok(all)
    }
}

const TOO_LARGE: &str = "a number that is too large";

fn number(bytes: &[u8]) -> Parsed<i128> {
    let Some(first) = bytes.first() else { return Err("a number without digits") };
    if bytes.len() > 9 {
        return Err(TOO_LARGE);
    }
    let sign = if first & 0x80 == 0 { 0 } else { -1 };
    Ok(bytes.iter().fold(sign, |number, byte| number << 8 | i128::from(*byte)))
}

fn read(tag: u8, bytes: &[u8]) -> Parsed<Value> {
    Ok(match tag {
        INTEGER => Value::Integer(i64::try_from(number(bytes)?).map_err(|_| TOO_LARGE)?),
        // some write the first bit of 32 as if it were a sign
        COUNTER | GAUGE | TICKS => Value::Unsigned(u64::from(number(bytes)? as u32)),
        COUNTER64 => Value::Unsigned(number(bytes)? as u64),
        OCTETS => Value::Bytes(bytes.to_vec()),
        ADDRESS => {
            let octets: [u8; 4] = bytes.try_into().map_err(|_| "an address that has not four bytes")?;
            Value::Address(octets.into())
        }
        NO_OBJECT | NO_INSTANCE => Value::Absent,
        END_OF_VIEW => Value::End,
        _ => Value::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(arcs: &[u32], value: Value) -> Binding {
        Binding { oid: Oid::new(arcs), value }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let all = vec![
            binding(&[1, 3, 6, 1, 2, 1, 1, 1, 0], Value::Bytes(vec![0x41; 300])),
            binding(&[1, 3, 6, 1, 2, 1, 14, 10, 1, 6, 255, 10, 0, 127, 128], Value::Integer(-129)),
            binding(&[2, 999, u32::MAX, 16384], Value::Unsigned(u64::MAX)),
            binding(&[1, 3], Value::Address([10, 0, 12, 2].into())),
            binding(&[1, 3], Value::Integer(i64::MIN)),
            binding(&[1, 3], Value::Integer(0)),
            binding(&[1, 3], Value::Absent),
            binding(&[1, 3], Value::End),
            binding(&[1, 3], Value::Other),
        ];
        let bytes = bindings(&all);
        assert_eq!(Reader::new(&bytes).bindings(all.len()).unwrap(), all);
        assert!(Reader::new(&bytes).bindings(all.len() - 1).is_err());
        for end in 0..bytes.len() {
            assert!(Reader::new(&bytes[..end]).bindings(all.len()).is_err(), "{end}");
        }
    }

    #[test]
    fn numbers_have_as_few_bytes_as_the_rules_want() {
        for (number, wanted) in [
            (0, vec![0]),
            (127, vec![127]),
            (128, vec![0, 128]),
            (-1, vec![255]),
            (-128, vec![128]),
            (-129, vec![255, 127]),
        ] {
            assert_eq!(integer(number), tagged(INTEGER, &wanted), "{number}");
        }
        assert_eq!(tagged(OCTETS, &[7; 200])[..3], [OCTETS, 0x81, 200]);
        assert_eq!(tagged(OCTETS, &[7; 300])[..4], [OCTETS, 0x82, 1, 44]);
    }

    #[test]
    fn a_gauge_is_never_negative() {
        assert_eq!(read(GAUGE, &[0xff, 0xff, 0xff, 0xff]).unwrap(), Value::Unsigned(u64::from(u32::MAX)));
        assert_eq!(read(GAUGE, &[0, 0xff, 0xff, 0xff, 0xff]).unwrap(), Value::Unsigned(u64::from(u32::MAX)));
        assert_eq!(read(COUNTER64, &[0, 255, 255, 255, 255, 255, 255, 255, 255]).unwrap(), Value::Unsigned(u64::MAX));
    }

    #[test]
    fn what_no_rule_allows_is_refused() {
        for wrong in [
            &[][..],
            &[SEQUENCE],
            &[SEQUENCE, 0x80, 0, 0],
            &[SEQUENCE, 0x85, 0, 0, 0, 0, 0],
            &[SEQUENCE, 0x84, 0xff, 0xff, 0xff, 0xff],
            &[SEQUENCE, 4, SEQUENCE, 2, OBJECT, 0],
            &[SEQUENCE, 7, SEQUENCE, 5, OBJECT, 1, 0x80, NULL, 0],
            &[SEQUENCE, 7, SEQUENCE, 5, OBJECT, 1, 43, INTEGER, 0],
            &[SEQUENCE, 8, SEQUENCE, 6, OBJECT, 1, 43, ADDRESS, 1, 1],
        ] {
            assert!(Reader::new(wrong).bindings(8).is_err(), "{wrong:?}");
        }
        let long = [vec![43], vec![1; MOST_ARCS]].concat();
        assert!(Oid::read(&long).is_err());
        assert!(Oid::read(&[43, 0xff, 0xff, 0xff, 0xff, 0x7f]).is_err());
    }
}
