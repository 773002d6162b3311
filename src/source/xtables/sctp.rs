//! How is the match of SCTP written?

use super::info::{Info, Options, range};

const SOURCE: u32 = 1;
const DESTINATION: u32 = 2;
const CHUNKS: u32 = 4;

/// Names of chunks, and the letters of their flags, the highest bit first.
const NAMES: [(u8, &str, [u8; 8]); 22] = [
    (0, "DATA", *b"----IUBE"),
    (1, "INIT", NO_FLAGS),
    (2, "INIT_ACK", NO_FLAGS),
    (3, "SACK", NO_FLAGS),
    (4, "HEARTBEAT", NO_FLAGS),
    (5, "HEARTBEAT_ACK", NO_FLAGS),
    (6, "ABORT", *b"-------T"),
    (7, "SHUTDOWN", NO_FLAGS),
    (8, "SHUTDOWN_ACK", NO_FLAGS),
    (9, "ERROR", NO_FLAGS),
    (10, "COOKIE_ECHO", NO_FLAGS),
    (11, "COOKIE_ACK", NO_FLAGS),
    (12, "ECN_ECNE", NO_FLAGS),
    (13, "ECN_CWR", NO_FLAGS),
    (14, "SHUTDOWN_COMPLETE", *b"-------T"),
    (64, "I_DATA", *b"----IUBE"),
    (128, "ASCONF_ACK", NO_FLAGS),
    (130, "RE_CONFIG", NO_FLAGS),
    (132, "PAD", NO_FLAGS),
    (192, "FORWARD_TSN", NO_FLAGS),
    (193, "ASCONF", NO_FLAGS),
    (194, "I_FORWARD_TSN", NO_FLAGS),
];

const NO_FLAGS: [u8; 8] = *b"--------";

pub(super) fn sctp(info: &Info<'_>, out: &mut Options) -> Option<()> {
    let (flags, inverted) = (info.u32(284)?, info.u32(288)?);
    for (bit, place, option) in [(SOURCE, 4, "sport"), (DESTINATION, 0, "dport")] {
        if flags & bit != 0 {
            out.put(inverted & bit != 0, option, range(info.u16(place)?, info.u16(place + 2)?, ':'));
        }
    }
    if flags & CHUNKS != 0 {
        out.put(inverted & CHUNKS != 0, "chunk-types", chunks(info)?);
    }
    (flags & !(SOURCE | DESTINATION | CHUNKS) == 0).then_some(())
}

/// Which chunks a packet must have, of which of them.
fn chunks(info: &Info<'_>) -> Option<String> {
    const MAP: usize = 8;
    const FLAGS: usize = 268;
    let how = match info.u32(264)? {
        1 => "any",
        2 => "all",
        4 => "only",
        _ => return None,
    };
    let is_set = |kind: u8| Some(info.u32(MAP + usize::from(kind / 32) * 4)? & (1 << (kind % 32)) != 0);
    let map = info.at::<256>(MAP)?;
    let text = match map {
        _ if map.iter().all(|byte| *byte == 0) => "NONE".to_owned(),
        _ if map.iter().all(|byte| *byte == u8::MAX) => "ALL".to_owned(),
        _ => {
            let mut chosen = Vec::new();
            for kind in (0..=u8::MAX).filter(|kind| is_set(*kind) == Some(true)) {
                // one without a name cannot be written
                let (_, name, letters) = NAMES.iter().find(|(known, ..)| *known == kind)?;
                let mut text = (*name).to_owned();
                for place in (0..info.u32(280)?.min(4) as usize).map(|n| FLAGS + 3 * n) {
                    if info.u8(place)? == kind {
                        text.push_str(&letters_of(*letters, info.u8(place + 1)?, info.u8(place + 2)?));
                    }
                }
                chosen.push(text);
            }
            chosen.join(",")
        }
    };
    Some(format!("{how} {text}"))
}

/// The letters of the flags that are looked at, in capitals where they must be set.
fn letters_of(letters: [u8; 8], set: u8, looked_at: u8) -> String {
    let mut text = if looked_at == 0 { String::new() } else { ":".to_owned() };
    for (place, letter) in letters.into_iter().enumerate() {
        let bit = 0x80 >> place;
        if looked_at & bit != 0 {
            text.push(char::from(if set & bit != 0 { letter } else { letter.to_ascii_lowercase() }));
        }
    }
    text
}
