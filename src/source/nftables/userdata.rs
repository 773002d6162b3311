//! What has the user's program noted beside what the kernel knows?
//!
//! `nft` keeps comments, and what the keys of a set mean, as records that the kernel stores and does not read: one byte each
//! for type and length, then the bytes, and records inside records. Numbers are in the order of the host.

use super::instruction::Source;
use super::text::kind::{Kind, Order, Part};
use super::text::load;

/// `EXPR_*` of `nft`.
const PAYLOAD: u32 = 7;
const META: u32 = 9;
const CT: u32 = 12;
const CONCAT: u32 = 13;

/// The record of a type.
pub(super) fn record(bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    let mut rest = bytes;
    while let [kind, length, tail @ ..] = rest {
        let value = tail.get(..usize::from(*length))?;
        if *kind == wanted {
            return Some(value);
        }
        rest = tail.get(usize::from(*length)..)?;
    }
    None
}

/// A text, without its end.
pub(super) fn text(bytes: &[u8], kind: u8) -> Option<Vec<u8>> {
    let value = record(bytes, kind)?;
    Some(value.split(|byte| *byte == 0).next().unwrap_or(value).to_vec())
}

fn number(bytes: &[u8], kind: u8) -> Option<u32> {
    Some(u32::from_ne_bytes(record(bytes, kind)?.get(..4)?.try_into().ok()?))
}

/// What a key is made of, where it was said with `typeof`: this tells the length of numbers, which their kind does not.
pub(super) fn typed(parts: &mut [Part], bytes: &[u8], kind: u8) {
    let Some((sort, data)) = record(bytes, kind).and_then(|bytes| Some((number(bytes, 0)?, record(bytes, 1)?))) else {
        return;
    };
    if sort != CONCAT {
        if let [part] = parts
            && let Some(typed) = shape(sort, data)
            && typed.kind == Kind::Raw
        {
            part.kind = Kind::Raw;
        }
        return;
    }
    for (index, part) in parts.iter_mut().enumerate() {
        let nested = u8::try_from(index).ok().and_then(|index| record(data, index));
        let typed = nested.and_then(|nested| shape(number(nested, 0)?, record(nested, 1)?));
        if let (Kind::Integer, Some(typed)) = (part.kind, typed) {
            *part = Part { kind: typed.kind, ..typed };
        }
    }
}

/// What one part is; only what has the kind of a number needs to be told.
fn shape(sort: u32, data: &[u8]) -> Option<Part> {
    let (kind, order, bits) = match sort {
        PAYLOAD => {
            // protocol 0 has no description, and its bytes are written in hexadecimal
            let kind = if number(data, 0)? == 0 { Kind::Raw } else { Kind::Integer };
            (kind, Order::Network, number(data, 4)?)
        }
        META => load::shape(&Source::Meta(number(data, 0)?)),
        CT => load::shape(&Source::Ct { key: number(data, 0)?, direction: None }),
        _ => return None,
    };
    Some(Part { kind, order, bits })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_is_found_by_its_type_and_one_that_does_not_fit_is_none() {
        let bytes = [0, 6, b'h', b'a', b'l', b'l', b'o', 0, 1, 1, 7];
        assert_eq!(text(&bytes, 0).as_deref(), Some(b"hallo".as_slice()));
        assert_eq!(record(&bytes, 1), Some([7].as_slice()));
        assert_eq!((record(&bytes, 2), record(&[3, 9, 1], 3), record(&[3], 3)), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..256), kind in any::<u8>()) {
            let _ = (text(&bytes, kind), number(&bytes, kind));
            let mut parts = [Part { kind: Kind::Integer, order: Order::Network, bits: 0 }; 3];
            typed(&mut parts, &bytes, kind);
            typed(&mut parts[..1], &bytes, kind);
        }
    }
}
