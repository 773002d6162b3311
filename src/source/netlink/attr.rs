//! How are the attributes inside a netlink message read and written?
//!
//! A message is a list of (length, type, bytes) records, padded to four bytes. [`attributes`] walks one without copying
//! and reports a record that does not fit as [`Malformed`]; numbers are read with [`u32_at`] and its siblings, which
//! never index out of range.

/// Bytes that do not have the shape that the kernel's headers promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is shorter than its own lengths say")]
pub struct Malformed;

/// `NLA_TYPE_MASK`: type without the nested and byte order flags.
const TYPE_MASK: u16 = 0x3fff;
/// `NLA_F_NESTED`: the payload is attributes.
const NESTED: u16 = 0x8000;
/// `NLA_HDRLEN`
const HEADER: usize = 4;

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// Type without flags.
    pub kind: u16,
    /// Payload without padding.
    pub bytes: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// The payload as a number in host byte order.
    ///
    /// # Errors
    /// It is shorter than four bytes.
    pub fn u32(&self) -> Result<u32, Malformed> {
        u32_at(self.bytes, 0)
    }

    /// The payload as a number in network byte order, as all of netfilter has it.
    ///
    /// # Errors
    /// It is shorter than two bytes.
    pub fn be16(&self) -> Result<u16, Malformed> {
        u16_at(self.bytes, 0).map(u16::from_be)
    }

    /// The payload as a number in network byte order.
    ///
    /// # Errors
    /// It is shorter than four bytes.
    pub fn be32(&self) -> Result<u32, Malformed> {
        u32_at(self.bytes, 0).map(u32::from_be)
    }

    /// The payload as a number in network byte order.
    ///
    /// # Errors
    /// It is shorter than eight bytes.
    pub fn be64(&self) -> Result<u64, Malformed> {
        u64_at(self.bytes, 0).map(u64::from_be)
    }

    /// The attributes inside this one.
    pub fn nested(&self) -> Attributes<'a> {
        attributes(self.bytes)
    }

    /// The first byte.
    ///
    /// # Errors
    /// There is none.
    pub fn u8(&self) -> Result<u8, Malformed> {
        self.bytes.first().copied().ok_or(Malformed)
    }

    /// The bytes up to the first NUL.
    pub fn string(&self) -> &'a [u8] {
        self.bytes.split(|byte| *byte == 0).next().unwrap_or(self.bytes)
    }
}

/// Iterator over attributes; after a [`Malformed`] it ends.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

/// Walks the attributes in `bytes`.
pub fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes(bytes)
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<Attribute<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let item = take(self.0);
        self.0 = item.as_ref().map_or(&[], |(_, rest)| rest);
        Some(item.map(|(attribute, _)| attribute))
    }
}

fn take(bytes: &[u8]) -> Result<(Attribute<'_>, &[u8]), Malformed> {
    let (length, kind) = (usize::from(u16_at(bytes, 0)?), u16_at(bytes, 2)?);
    let payload = bytes.get(HEADER..length).ok_or(Malformed)?;
    // the padding of the last attribute may be left out
    let rest = bytes.get(align(length)..).unwrap_or(&[]);
    Ok((Attribute { kind: kind & TYPE_MASK, bytes: payload }, rest))
}

/// `NLA_ALIGN` and `NLMSG_ALIGN`: the next multiple of four.
pub fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Appends an attribute.
pub fn push(message: &mut Vec<u8>, kind: u16, bytes: &[u8]) {
    let length = u16::try_from(HEADER + bytes.len()).unwrap_or(u16::MAX);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&kind.to_ne_bytes());
    message.extend_from_slice(bytes);
    message.resize(align(message.len()), 0);
}

/// Appends an attribute that holds those which `fill` appends.
pub fn push_nested(message: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    fill(&mut inner);
    push(message, kind | NESTED, &inner);
}

macro_rules! numbers {
    ($($(#[$meta:meta])* $name:ident: $ty:ty;)+) => {$(
        $(#[$meta])*
        ///
        /// # Errors
        /// The bytes end before it.
        pub fn $name(bytes: &[u8], offset: usize) -> Result<$ty, Malformed> {
            let end = offset.checked_add(size_of::<$ty>()).ok_or(Malformed)?;
            let bytes = bytes.get(offset..end).ok_or(Malformed)?;
            bytes.try_into().map(<$ty>::from_ne_bytes).map_err(|_| Malformed)
        }
    )+};
}

numbers! {
    /// Reads a 16-bit number in host byte order.
    u16_at: u16;
    /// Reads a 32-bit number in host byte order.
    u32_at: u32;
    /// Reads a signed 32-bit number in host byte order.
    i32_at: i32;
    /// Reads a 64-bit number in host byte order.
    u64_at: u64;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_pushed_is_read_back() {
        let mut message = Vec::new();
        push(&mut message, 3, b"eth0\0");
        push(&mut message, 0x8004, &1500_u32.to_ne_bytes());
        let read: Result<Vec<_>, _> = attributes(&message).collect();
        let read = read.unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!((read[0].kind, read[0].string()), (3, b"eth0".as_slice()));
        assert_eq!((read[1].kind, read[1].u32()), (4, Ok(1500)));
    }

    #[test]
    fn what_is_nested_is_read_back_in_network_order() {
        let mut message = Vec::new();
        push_nested(&mut message, 7, |inner| {
            push(inner, 1, &0x0102_u16.to_be_bytes());
            push(inner, 2, &0x0102_0304_u32.to_be_bytes());
            push(inner, 3, &0x0102_0304_0506_0708_u64.to_be_bytes());
        });
        assert_eq!(message.get(3), Some(&0x80), "the kernel refuses a nest that is not marked");
        let nest = attributes(&message).next().unwrap().unwrap();
        let [two, four, eight] = nest.nested().collect::<Result<Vec<_>, _>>().unwrap()[..] else { panic!("{nest:?}") };
        assert_eq!((nest.kind, two.be16(), four.be32()), (7, Ok(0x0102), Ok(0x0102_0304)));
        assert_eq!((eight.be64(), four.be64()), (Ok(0x0102_0304_0506_0708), Err(Malformed)));
    }

    #[test]
    fn a_record_longer_than_its_message_is_malformed_and_ends_the_walk() {
        for bytes in [[8, 0, 1, 0, 9].as_slice(), &[3, 0, 1, 0], &[0, 0, 0, 0], &[4, 0]] {
            let read: Vec<_> = attributes(bytes).collect();
            assert_eq!(read, [Err(Malformed)], "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            prop_assert!(attributes(&bytes).count() <= bytes.len() / HEADER + 1);
            for attribute in attributes(&bytes).flatten() {
                let _ = (attribute.u8(), attribute.u32(), attribute.string(), attribute.nested().count());
            }
        }
    }
}
