//! How is a flow written?
//!
//! As `ovs-ofctl dump-flows --names` writes it: [`matching`] is what a packet must be, [`actions`] what becomes of it.

use std::collections::HashMap;
use std::fmt::Write as _;

use super::action;
use super::field::{FIELDS, Header, PACKET_REGS, number};
use super::openflow::Bytes;
use crate::model::Text;
use crate::model::text::MAX_LONG;

/// Names of ports by their numbers.
pub type Names = HashMap<u32, Text>;

/// Ports that are none, from this number on.
const RESERVED: [(u64, &str); 9] = [
    (0xfff7, "UNSET"),
    (0xfff8, "IN_PORT"),
    (0xfff9, "TABLE"),
    (0xfffa, "NORMAL"),
    (0xfffb, "FLOOD"),
    (0xfffc, "ALL"),
    (0xfffd, "CONTROLLER"),
    (0xfffe, "LOCAL"),
    (0xffff, "ANY"),
];

/// Writes a port by its name if it has one.
pub(super) fn port(number: u64, names: &Names, out: &mut String) {
    // reserved ones have 32 bits in some places
    let number = if number >= 0xffff_ff00 { number & 0xffff } else { number };
    if let Some((_, name)) = RESERVED.iter().find(|(reserved, _)| *reserved == number) {
        out.push_str(name);
        return;
    }
    let name = u32::try_from(number).ok().and_then(|number| names.get(&number));
    let _ = match name {
        Some(name) if is_plain(name) => write!(out, "{name}"),
        Some(name) => write!(out, "{:?}", name.as_str()),
        None => write!(out, "{number}"),
    };
}

/// Whether a name needs no quotes.
fn is_plain(name: &str) -> bool {
    name.starts_with(|letter: char| letter.is_ascii_alphabetic()) && name.chars().all(|c| c.is_ascii_alphanumeric())
}

/// A field that a packet must have.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Place in the list of fields; behind all of them when it is unknown.
    at: usize,
    header: Header,
    nth: u8,
    value: &'a [u8],
    mask: Option<&'a [u8]>,
}

/// Kinds of packets that have a word of their own, by type of frame and protocol.
const WORDS: [(u64, Option<u64>, &str); 14] = [
    (0x0800, Some(1), "icmp"),
    (0x0800, Some(6), "tcp"),
    (0x0800, Some(17), "udp"),
    (0x0800, Some(132), "sctp"),
    (0x0800, None, "ip"),
    (0x86dd, Some(58), "icmp6"),
    (0x86dd, Some(6), "tcp6"),
    (0x86dd, Some(17), "udp6"),
    (0x86dd, Some(132), "sctp6"),
    (0x86dd, None, "ipv6"),
    (0x0806, None, "arp"),
    (0x8035, None, "rarp"),
    (0x8847, None, "mpls"),
    (0x8848, None, "mplsm"),
];

/// What a packet must be, without the priority.
pub fn matching(fields: &[u8], names: &Names) -> Option<String> {
    let mut wanted = Vec::new();
    let mut fields = Bytes(fields);
    while !fields.0.is_empty() {
        let header = Header::take(&mut fields)?;
        let (value, mask) = header.value(&mut fields)?;
        split(header, value, mask, &mut wanted);
    }
    wanted.sort_by_key(|one| (one.at, one.nth));
    let of = |label: &str| wanted.iter().find(|one| FIELDS.get(one.at).is_some_and(|field| field.label == label));
    let kind = of("dl_type").map(|one| number(one.value));
    let protocol = of("nw_proto").map(|one| number(one.value));
    let word = kind.and_then(|kind| {
        let is_it = |(of, with, _): &&(u64, Option<u64>, _)| *of == kind && (with.is_none() || *with == protocol);
        WORDS.iter().find(is_it)
    });
    let mut writer = Writer { names, word, vlan: vlan(&wanted), out: String::new() };
    let mut is_said = false;
    let registers = FIELDS.iter().position(|field| field.name == "reg").unwrap_or_default();
    for one in &wanted {
        if one.at >= registers && !is_said {
            writer.kind();
            is_said = true;
        }
        writer.field(one);
    }
    if !is_said {
        writer.kind();
    }
    let mut out = writer.out;
    out.truncate(out.trim_end_matches(',').len());
    Some(out)
}

/// Adds a field; a register of 64 bits is two of 32.
fn split<'a>(header: Header, value: &'a [u8], mask: Option<&'a [u8]>, wanted: &mut Vec<Wanted<'a>>) {
    let halves = (header.class == PACKET_REGS).then(|| value.split_at_checked(4)).flatten();
    if let Some((high, low)) = halves {
        let masks = mask.and_then(|mask| mask.split_at_checked(4)).unzip();
        for (nth, value, mask) in [(0, high, masks.0), (1, low, masks.1)] {
            if mask.is_none_or(|mask| number(mask) != 0) {
                let register = header.number.saturating_mul(2) + nth;
                let half = Header { class: 1, number: register, has_mask: mask.is_some(), length: 4 };
                split(half, value, mask.filter(|mask| number(mask) != 0xffff_ffff), wanted);
            }
        }
        return;
    }
    let (at, nth) = header.field().map_or((FIELDS.len(), 0), |(at, _, nth)| (at, nth));
    wanted.push(Wanted { at, header, nth, value, mask });
}

/// Value and mask of the tag of a VLAN, as a frame has it.
fn vlan(wanted: &[Wanted<'_>]) -> (u64, u64) {
    let mut tag = (0, 0);
    for one in wanted {
        let (value, all) = (number(one.value), one.mask.map(number));
        let (value, mask) = match FIELDS.get(one.at).map(|field| field.name) {
            Some("vlan_tci") => (value, all.unwrap_or(0xffff)),
            Some("vlan_vid") => (value & 0x1fff, all.unwrap_or(0x1fff) & 0x1fff),
            Some("vlan_pcp") => (value << 13 | 0x1000, 0xf000),
            _ => continue,
        };
        tag = (tag.0 | value, tag.1 | mask);
    }
    tag
}

struct Writer<'a> {
    names: &'a Names,
    word: Option<&'a (u64, Option<u64>, &'static str)>,
    vlan: (u64, u64),
    out: String,
}

impl Writer<'_> {
    /// The word for the kind of packet.
    fn kind(&mut self) {
        if let Some((_, _, word)) = self.word {
            self.out.push_str(word);
            self.out.push(',');
        }
    }

    fn field(&mut self, one: &Wanted<'_>) {
        let Some(field) = FIELDS.get(one.at) else {
            one.header.name(&mut self.out);
            self.out.push('=');
            one.header.say(one.value, one.mask, self.names, &mut self.out);
            self.out.push(',');
            return;
        };
        let value = number(one.value);
        let _ = match field.name {
            // that of every frame of Ethernet
            "packet_type" if value == 0 => return,
            "eth_type" if self.word.is_some() => return,
            "eth_type" => write!(self.out, "dl_type=0x{value:04x},"),
            "nw_proto" if self.word.is_some_and(|word| word.1.is_some()) => return,
            "vlan_tci" | "vlan_vid" | "vlan_pcp" => return self.tag(),
            "ct_zone" if one.mask.is_none() => write!(self.out, "ct_zone={value},"),
            "recirc_id" if value > 0 => write!(self.out, "recirc_id={value:#x},"),
            "ip_dscp" => write!(self.out, "nw_tos={},", value << 2),
            "nw_tos" => write!(self.out, "nw_tos={},", value & 0xfc),
            "nw_ecn" => write!(self.out, "nw_ecn={},", value & 3),
            "ipv6_label" => match one.mask.map(number).filter(|mask| mask & 0xf_ffff != 0xf_ffff) {
                Some(mask) => write!(self.out, "ipv6_label=0x{value:05x}/0x{mask:05x},"),
                None => write!(self.out, "ipv6_label=0x{value:05x},"),
            },
            "packet_type" => {
                self.out.push_str("packet_type=");
                field.write(one.value, one.mask, self.names, &mut self.out);
                self.out.push(',');
                Ok(())
            }
            _ => {
                field.label(one.nth, &mut self.out);
                self.out.push('=');
                field.write(one.value, one.mask, self.names, &mut self.out);
                self.out.push(',');
                Ok(())
            }
        };
    }

    /// The tag of a VLAN, once.
    fn tag(&mut self) {
        let (value, mask) = std::mem::take(&mut self.vlan);
        if mask == 0 {
            return;
        }
        let (number, priority) = (mask & 0xfff, mask & 0xe000);
        let is_whole = |part: u64, all: u64| part == 0 || part == all;
        let is_tagged = value & mask & 0x1000 != 0;
        let _ = if is_tagged && is_whole(number, 0xfff) && is_whole(priority, 0xe000) && number | priority != 0 {
            if number != 0 {
                let _ = write!(self.out, "dl_vlan={},", value & 0xfff);
            }
            if priority == 0 { Ok(()) } else { write!(self.out, "dl_vlan_pcp={},", value >> 13 & 7) }
        } else if mask == 0xffff {
            write!(self.out, "vlan_tci=0x{value:04x},")
        } else {
            write!(self.out, "vlan_tci=0x{value:04x}/0x{mask:04x},")
        };
    }
}

/// What becomes of a packet: instructions in the order in which they are followed.
pub fn actions(instructions: &[u8], names: &Names) -> Option<String> {
    let mut all: [Option<&[u8]>; 7] = [None; 7];
    let mut left = Bytes(instructions);
    let mut unknown = String::new();
    while !left.0.is_empty() {
        let mut header = left;
        let (kind, length) = (header.u16()?, usize::from(header.u16()?));
        let body = left.take(length)?.get(4..)?;
        match all.get_mut(usize::from(kind)) {
            Some(place) if kind > 0 => *place = Some(body),
            _ => action::unknown(&mut unknown, "instruction", u64::from(kind), body),
        }
    }
    let mut out = String::new();
    let [_, goto, metadata, write, apply, clear, meter] = all;
    if let Some(number) = meter.and_then(|body| Bytes(body).u32()) {
        let _ = write!(out, "meter:{number},");
    }
    if let Some(body) = apply.and_then(|body| body.get(4..)).filter(|body| !body.is_empty()) {
        action::list(body, names, 0, &mut out);
        out.push(',');
    }
    if clear.is_some() {
        out.push_str("clear_actions,");
    }
    if let Some(body) = write.and_then(|body| body.get(4..)) {
        out.push_str("write_actions(");
        action::list(body, names, 0, &mut out);
        out.push_str("),");
    }
    if let Some((value, mask)) = metadata.and_then(|body| body.get(4..20)?.split_at_checked(8)) {
        out.push_str("write_metadata:");
        super::field::hex(value, &mut out);
        if mask.iter().any(|byte| *byte != 0xff) {
            out.push('/');
            super::field::hex(mask, &mut out);
        }
        out.push(',');
    }
    if let Some(table) = goto.and_then(|body| Bytes(body).u8()) {
        let _ = write!(out, "goto_table:{table},");
    }
    out.push_str(&unknown);
    out.truncate(out.trim_end_matches(',').len());
    if out.is_empty() {
        out.push_str("drop");
    }
    out.truncate(out.floor_char_boundary(MAX_LONG));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ovs::flow;

    fn fixture(name: &str) -> Vec<u8> {
        let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Compares flows that a bridge has told with what `ovs-ofctl` wrote of them.
    fn compare(version: &str, names: &Names) {
        let answer = fixture(&format!("fuzz/ovs/flows-{version}"));
        let written = String::from_utf8(fixture(&format!("ovs/written-{version}.txt"))).unwrap();
        let mut flows = 0;
        flow::each(answer[0], Bytes(&answer[1..]), |flow| {
            flows += 1;
            let fields = matching(flow.fields, names).unwrap();
            let priority = if flow.priority == 0x8000 { String::new() } else { format!("priority={}", flow.priority) };
            let comma = if fields.is_empty() || priority.is_empty() { "" } else { "," };
            let space = if fields.is_empty() && priority.is_empty() { "" } else { " " };
            let actions = actions(flow.instructions, names).unwrap();
            let line = format!("{priority}{comma}{fields}{space}actions={actions}");
            let is_it = |written: &str| {
                written.strip_suffix(&line).is_some_and(|before| before.is_empty() || before.ends_with(' '))
            };
            assert!(written.lines().any(is_it), "{line}");
        })
        .unwrap();
        assert_eq!(flows, written.lines().count());
    }

    #[test]
    fn flows_of_version_1_3_are_written_as_ofctl_did() {
        compare("13", &Names::from([(11, Text::from("p1"))]));
    }

    #[test]
    fn flows_of_version_1_5_are_written_as_ofctl_did() {
        compare("15", &Names::new());
    }

    #[test]
    fn what_is_not_known_keeps_its_numbers_and_bytes() {
        let none = Names::new();
        // a field of those who experiment, with a mask
        let field = [0xff, 0xff, 0x03, 8, 0, 0, 0x12, 0x34, 0x0a, 0x0b, 0xff, 0x00];
        assert_eq!(matching(&field, &none).unwrap(), "0x1234:1=0xa0b/0xff00");
        let action = [0, 4, 0, 24, 0, 0, 0, 0, 0xff, 0xff, 0, 16, 0, 0, 0x23, 0x20, 0x03, 0xe7, 1, 2, 3, 4, 5, 6];
        assert_eq!(actions(&action, &none).unwrap(), "action(0x232003e7.01.02.03.04.05.06)");
        let instruction = [0, 99, 0, 8, 1, 2, 3, 4];
        assert_eq!(actions(&instruction, &none).unwrap(), "instruction(0x63.01.02.03.04)");
        assert!(matching(&[0x80, 0, 0, 4, 0], &none).is_none() && actions(&[0, 1, 0, 3], &none).is_none());
    }

    #[test]
    fn names_of_ports_that_are_not_plain_have_quotes() {
        let names = Names::from([(1, Text::from("vnet0")), (2, Text::from("br-int"))]);
        let ports: Vec<String> = [1, 2, 3, 0xffff_fffe]
            .map(|number| {
                let mut out = String::new();
                port(number, &names, &mut out);
                out
            })
            .into();
        assert_eq!(ports, ["vnet0", "\"br-int\"", "3", "LOCAL"]);
    }
}
