//! What does a list of actions do with a packet?
//!
//! Standard actions have a number, those of Nicira another one behind the number of who experiments. Each is written as by
//! `ovs-ofctl`; one that is not known keeps its numbers and bytes.

mod composed;

use std::fmt::Write as _;

use super::field::{Header, hex};
use super::openflow::Bytes;
use super::text::{Names, port};
use crate::model::text::MAX_LONG;

/// The type of those who experiment.
const EXPERIMENTER: u16 = 0xffff;
const NICIRA: u32 = 0x2320;
const ONF: u32 = 0x4f4e_4600;

/// How deep actions may be within actions.
const MAX_DEPTH: usize = 16;

/// Type, number of who experiments, and subtype of an action, which is its type where nobody does.
type Kind = (u32, u16);

/// Writes actions with commas between them.
pub(super) fn list(actions: &[u8], names: &Names, depth: usize, out: &mut String) {
    let begin = out.len();
    let mut left = Bytes(actions);
    while !left.0.is_empty() && out.len() < MAX_LONG {
        out.push_str(if out.len() == begin { "" } else { "," });
        let Some((kind, body)) = take(&mut left) else {
            unknown(out, "action", 0, left.0);
            return;
        };
        let mut writer = Writer { names, depth, out: String::new() };
        if depth < MAX_DEPTH && writer.action(kind, Bytes(body)).is_some() {
            out.push_str(&writer.out);
        } else {
            unknown(out, "action", u64::from(kind.0) << 16 | u64::from(kind.1), body);
        }
    }
    if out.len() == begin {
        out.push_str("drop");
    }
}

/// Takes an action from the front.
fn take<'a>(left: &mut Bytes<'a>) -> Option<(Kind, &'a [u8])> {
    let mut header = *left;
    let (kind, length) = (header.u16()?, usize::from(header.u16()?));
    let mut body = Bytes(left.take(length)?.get(4..)?);
    let vendor = if kind == EXPERIMENTER { body.u32()? } else { 0 };
    let kind = if kind == EXPERIMENTER { body.u16()? } else { kind };
    Some(((vendor, kind), body.0))
}

/// Writes what nobody has a word for.
pub(super) fn unknown(out: &mut String, what: &str, kind: u64, body: &[u8]) {
    let _ = write!(out, "{what}({kind:#x}");
    for byte in body.iter().take(MAX_LONG / 4) {
        let _ = write!(out, ".{byte:02x}");
    }
    out.push(')');
}

/// Actions that are a word and a number: number of the action, bytes before the number, bytes of it, and how it is written.
const NUMBERS: [(Kind, usize, usize, &str, Digits, &str); 24] = [
    ((0, 13), 0, 4, "set_mpls_label(", Digits::Decimal, ")"),
    ((0, 14), 0, 1, "set_mpls_tc(", Digits::Decimal, ")"),
    ((0, 15), 0, 1, "set_mpls_ttl(", Digits::Decimal, ")"),
    ((0, 16), 0, 0, "dec_mpls_ttl", Digits::None, ""),
    ((0, 17), 0, 2, "push_vlan:", Digits::Hex, ""),
    ((0, 18), 0, 0, "pop_vlan", Digits::None, ""),
    ((0, 19), 0, 2, "push_mpls:", Digits::Four, ""),
    ((0, 20), 0, 2, "pop_mpls:", Digits::Four, ""),
    ((0, 21), 0, 4, "set_queue:", Digits::Decimal, ""),
    ((0, 22), 0, 4, "group:", Digits::Decimal, ""),
    ((0, 23), 0, 1, "mod_nw_ttl:", Digits::Decimal, ""),
    ((0, 24), 0, 0, "dec_ttl", Digits::None, ""),
    ((0, 29), 0, 4, "meter:", Digits::Decimal, ""),
    ((NICIRA, 2), 2, 4, "set_tunnel:", Digits::Hex, ""),
    ((NICIRA, 9), 6, 8, "set_tunnel64:", Digits::Hex, ""),
    ((NICIRA, 4), 2, 4, "set_queue:", Digits::Decimal, ""),
    ((NICIRA, 5), 0, 0, "pop_queue", Digits::None, ""),
    ((NICIRA, 17), 0, 0, "exit", Digits::None, ""),
    ((NICIRA, 18), 0, 0, "dec_ttl", Digits::None, ""),
    ((NICIRA, 26), 0, 0, "dec_mpls_ttl", Digits::None, ""),
    ((NICIRA, 40), 2, 4, "group:", Digits::Decimal, ""),
    ((NICIRA, 43), 0, 0, "ct_clear", Digits::None, ""),
    ((NICIRA, 48), 0, 0, "dec_nsh_ttl", Digits::None, ""),
    ((NICIRA, 255), 0, 0, "debug_recirc", Digits::None, ""),
];

/// How a number is written.
#[derive(Clone, Copy)]
enum Digits {
    None,
    Decimal,
    Hex,
    Four,
}

/// Offset and number of bits as one number has them.
fn range(both: u16) -> (u16, u16) {
    (both >> 6, (both & 0x3f) + 1)
}

struct Writer<'a> {
    names: &'a Names,
    depth: usize,
    out: String,
}

impl Writer<'_> {
    fn put(&mut self, text: impl std::fmt::Display) {
        let _ = write!(self.out, "{text}");
    }

    fn port(&mut self, number: u64) {
        port(number, self.names, &mut self.out);
    }

    fn hex(&mut self, number: u64) {
        hex(&number.to_be_bytes(), &mut self.out);
    }

    /// Some bits of a field whose header comes next.
    fn part(&mut self, body: &mut Bytes<'_>, (first, bits): (u16, u16)) -> Option<()> {
        Header::take(body)?.part(first, bits, &mut self.out);
        Some(())
    }

    fn inner(&mut self, actions: &[u8]) {
        list(actions, self.names, self.depth + 1, &mut self.out);
    }

    /// Ends a list in parentheses.
    fn close(&mut self) {
        self.out.truncate(self.out.trim_end_matches(',').len());
        self.out.push(')');
    }

    fn action(&mut self, kind: Kind, mut body: Bytes<'_>) -> Option<()> {
        if let Some((_, skip, length, before, digits, after)) = NUMBERS.iter().find(|(known, ..)| *known == kind) {
            body.take(*skip)?;
            let number = body.number(*length)?;
            self.out.push_str(before);
            match digits {
                Digits::None => {}
                Digits::Decimal => self.put(number),
                Digits::Hex => self.hex(number),
                Digits::Four => self.put(format_args!("0x{number:04x}")),
            }
            self.out.push_str(after);
            return Some(());
        }
        match kind {
            (0, 0) => self.output(body),
            (0, 25) => self.set_field(body),
            (0, 28) => {
                let [bits, from, to] = [body.u16()?, body.u16()?, body.u16()?];
                body.take(2)?;
                self.moved(body, bits, from, to)
            }
            (ONF, 3200) => {
                body.take(2)?;
                let [bits, from, to] = [body.u16()?, body.u16()?, body.u16()?];
                body.take(2)?;
                self.moved(body, bits, from, to)
            }
            (NICIRA, number) => self.nicira(number, body).or_else(|| self.composed(number, body)),
            _ => None,
        }
    }

    fn output(&mut self, mut body: Bytes<'_>) -> Option<()> {
        let (number, length) = (body.u32()?, body.u16()?);
        let number = u64::from(if number >= 0xffff_ff00 { number & 0xffff } else { number });
        self.out.push_str(if number < 0xff00 { "output:" } else { "" });
        self.port(number);
        if number == 0xfffd {
            self.put(format_args!(":{length}"));
        }
        Some(())
    }

    fn set_field(&mut self, mut body: Bytes<'_>) -> Option<()> {
        let header = Header::take(&mut body)?;
        let (value, mask) = header.value(&mut body)?;
        self.out.push_str("set_field:");
        header.say(value, mask, self.names, &mut self.out);
        self.out.push_str("->");
        header.name(&mut self.out);
        Some(())
    }

    fn moved(&mut self, mut body: Bytes<'_>, bits: u16, from: u16, to: u16) -> Option<()> {
        self.out.push_str("move:");
        self.part(&mut body, (from, bits))?;
        self.out.push_str("->");
        self.part(&mut body, (to, bits))
    }

    /// Actions of Nicira that send packets somewhere or change them.
    fn nicira(&mut self, kind: u16, mut body: Bytes<'_>) -> Option<()> {
        match kind {
            1 => {
                let number = body.u16()?;
                self.resubmit(number, 255, false);
            }
            14 | 44 => {
                let (number, table) = (body.u16()?, body.u8()?);
                self.resubmit(number, table, kind == 44);
            }
            6 => {
                let [bits, from, to] = [body.u16()?, body.u16()?, body.u16()?];
                return self.moved(body, bits, from, to);
            }
            7 => {
                let bits = range(body.u16()?);
                let mut field = Bytes(body.take(4)?);
                let value = body.u64()?;
                self.out.push_str("load:");
                self.hex(value);
                self.out.push_str("->");
                self.part(&mut field, bits)?;
            }
            33 => {
                body.take(6)?;
                return self.set_field(body);
            }
            8 => {
                self.out.push_str("note:");
                for (at, byte) in body.0.iter().enumerate() {
                    self.out.push_str(if at == 0 { "" } else { "." });
                    self.put(format_args!("{byte:02x}"));
                }
            }
            15 | 32 => {
                let bits = range(body.u16()?);
                body.take(if kind == 32 { 2 } else { 0 })?;
                self.out.push_str("output:");
                self.part(&mut body, bits)?;
            }
            _ => return self.nicira_parts(kind, body),
        }
        Some(())
    }

    /// Those that use some bits of a field.
    fn nicira_parts(&mut self, kind: u16, mut body: Bytes<'_>) -> Option<()> {
        match kind {
            27 | 28 => {
                let first = body.u16()?;
                let header = Header::take(&mut body)?;
                let bits = body.u16()?;
                self.out.push_str(if kind == 27 { "push:" } else { "pop:" });
                header.part(first, bits, &mut self.out);
            }
            39 => {
                let (number, length) = (body.u16()?, body.u32()?);
                self.out.push_str("output(port=");
                self.port(u64::from(number));
                self.put(format_args!(",max_len={length})"));
            }
            49 => {
                let (length, first) = (body.u16()?, body.u16()?);
                self.put(format_args!("check_pkt_larger({length})->"));
                self.part(&mut body, (first, 1))?;
            }
            50 => {
                self.out.push_str("delete_field:");
                Header::take(&mut body)?.name(&mut self.out);
            }
            42 => {
                body.take(6)?;
                self.out.push_str("clone(");
                self.inner(body.0);
                self.out.push(')');
            }
            _ => return None,
        }
        Some(())
    }

    fn resubmit(&mut self, number: u16, table: u8, ct: bool) {
        let own = number == 0xfff8;
        if !own && table == 255 {
            self.out.push_str("resubmit:");
            self.port(u64::from(number));
            return;
        }
        self.out.push_str("resubmit(");
        if !own {
            self.port(u64::from(number));
        }
        self.out.push(',');
        if table != 255 {
            self.put(table);
        }
        self.out.push_str(if ct { ",ct)" } else { ")" });
    }
}
