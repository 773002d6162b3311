//! What must never reach a terminal?

/// Finds what must never reach a terminal: an escape sequence that is not one of ours, a control character, a
/// bidirectional control.
pub(crate) fn first_forbidden(raw: &[u8]) -> Option<String> {
    let mut rest = match std::str::from_utf8(raw) {
        Ok(text) => text,
        // the output may end inside a character
        Err(error) if error.error_len().is_none() => std::str::from_utf8(&raw[..error.valid_up_to()]).unwrap(),
        Err(error) => {
            return Some(
                raw[error.valid_up_to()..]
                    .iter()
                    .take(20)
                    .copied()
                    .flat_map(std::ascii::escape_default)
                    .map(char::from)
                    .collect(),
            );
        }
    };
    while let Some(ch) = rest.chars().next() {
        let len = if ch == '\x1b' { allowed_sequence(rest)? } else { ch.len_utf8() };
        let hostile = ch.is_control() && !matches!(ch, '\x1b' | '\r' | '\n');
        let bidi = matches!(ch, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if hostile || bidi || len == 0 {
            return Some(rest.chars().take(20).collect::<String>().escape_debug().to_string());
        }
        rest = &rest[len..];
    }
    None
}

/// Length of the sequence at the start of `rest`, 0 when it is not allowed, `None` when the output ends inside it.
fn allowed_sequence(rest: &str) -> Option<usize> {
    // what a person copies goes to the clipboard as letters and digits
    if let Some(data) = rest.strip_prefix("\x1b]52;c;") {
        let end = data.find(|ch: char| !(ch.is_ascii_alphanumeric() || matches!(ch, '+' | '/' | '=')))?;
        return Some(if data[end..].starts_with('\x07') { rest.len() - data.len() + end + 1 } else { 0 });
    }
    let Some(body) = rest.strip_prefix("\x1b[") else { return (rest.len() > 1).then_some(0) };
    let end = body.find(|ch: char| ('@'..='~').contains(&ch))?;
    let (parameters, last) = (&body[..end], body.as_bytes()[end]);
    let plain = parameters.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b';' | b':'));
    let number = parameters.trim_start_matches('?').trim_end_matches('$');
    let known = matches!(number, "25" | "1000" | "1002" | "1003" | "1004" | "1006" | "1015" | "1049" | "2004" | "2026");
    let ok = match last {
        b'm' | b'H' | b'J' | b'K' | b'A' | b'B' | b'C' | b'D' | b'G' | b'd' | b'X' => plain,
        b'h' | b'l' => parameters.starts_with('?') && known,
        b'p' => parameters.starts_with('?') && parameters.ends_with('$') && known,
        _ => false,
    };
    Some(if ok { 2 + end + 1 } else { 0 })
}
