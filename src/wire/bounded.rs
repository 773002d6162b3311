//! How many things does a message hold, before memory is taken for them?
//!
//! Two bytes can stand for a message within a message, which takes a hundred times as many once it is decoded: a stranger's
//! frame is counted first.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use super::{WireError, proto};

/// What a frame is made of, from the outside in: the number of the field that holds it, how many there may be in all, and
/// what they are. A host with a million flows between as many addresses needs a quarter of it.
const LEVELS: [(u32, usize, &str); 4] = [
    (1, 1 << 12, "tables in a frame"),
    (4, 1 << 13, "samples in a frame"),
    (6, 1 << 16, "columns in a frame"),
    (7, 1 << 22, "words in a frame"),
];

/// Decodes a frame of a peer.
///
/// # Errors
/// It is none, or holds more than any host has.
pub fn frame(bytes: &[u8]) -> Result<proto::Frame, WireError> {
    count(bytes, &LEVELS, &mut [0; LEVELS.len()])?;
    Ok(prost::Message::decode(bytes)?)
}

/// Counts what is in a part of a frame on the levels that are left.
fn count(mut bytes: &[u8], levels: &[(u32, usize, &'static str)], counted: &mut [usize]) -> Result<(), WireError> {
    let (Some(((holds, most, name), inner)), Some((known, below))) = (levels.split_first(), counted.split_first_mut())
    else {
        return Ok(());
    };
    while !bytes.is_empty() {
        let (field, kind) = decode_key(&mut bytes)?;
        if field != *holds || kind != WireType::LengthDelimited {
            skip_field(kind, field, &mut bytes, DecodeContext::default())?;
            continue;
        }
        let length = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
        let (part, rest) = bytes.split_at_checked(length).ok_or(WireError::Damaged("a message that is cut off"))?;
        bytes = rest;
        *known += 1;
        if *known > *most {
            return Err(WireError::Bound(name));
        }
        count(part, inner, below)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn a_frame_that_holds_too_much_is_refused_before_it_is_decoded() {
        let full = |tables: usize, columns: usize, words: usize| {
            let column = proto::ColumnChange { words: vec![Vec::new(); words], ..proto::ColumnChange::default() };
            let change = proto::Change { columns: vec![column; columns], ..proto::Change::default() };
            let table = proto::TableFrame { changes: vec![change], ..proto::TableFrame::default() };
            proto::Frame { tables: vec![table; tables] }.encode_to_vec()
        };
        let usual = full(40, 60, 100);
        assert_eq!(frame(&usual).unwrap().encode_to_vec(), usual);
        for (bytes, what) in
            [(full(5000, 0, 0), "tables"), (full(100, 1000, 0), "columns"), (full(10, 1000, 1000), "words")]
        {
            let told = frame(&bytes).unwrap_err().to_string();
            assert!(told.contains(what), "{told}");
        }
        assert!(frame(&usual[..usual.len() - 1]).is_err());
    }
}
