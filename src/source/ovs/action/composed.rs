//! What do actions do that have choices, other actions or lessons in them?

use super::super::field::{Header, four, hex, number, six};
use super::super::openflow::Bytes;
use super::{NICIRA, Writer, range, take};

const REASONS: [&str; 6] = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];
const HASHES: [&str; 7] =
    ["eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src", "nw_dst", "symmetric_l3"];
const PATHS: [&str; 4] = ["modulo_n", "hash_threshold", "hrw", "iter_hash"];

/// A word by its number.
fn word(words: &'static [&'static str], number: u16) -> &'static str {
    words.get(usize::from(number)).copied().unwrap_or("<unknown>")
}

impl Writer<'_> {
    /// Actions of Nicira that have choices, other actions or lessons in them.
    pub(super) fn composed(&mut self, kind: u16, mut body: Bytes<'_>) -> Option<()> {
        self.out.clear();
        match kind {
            10 => self.multipath(body),
            12 | 13 => self.bundle(body),
            16 | 45 => self.learn(body, kind == 45),
            19 => {
                let (idle, hard) = (body.u16()?, body.u16()?);
                self.out.push_str("fin_timeout(");
                self.named("idle_timeout", idle, 0);
                self.named("hard_timeout", hard, 0);
                self.close();
                Some(())
            }
            20 => {
                let (length, id, reason) = (body.u16()?, body.u16()?, body.u8()?);
                self.controller(&Controller { length, id, reason, ..Controller::default() });
                Some(())
            }
            37 => self.controller2(body),
            21 => {
                let count = body.u16()?;
                body.take(4)?;
                self.out.push_str("dec_ttl(");
                for _ in 0..count {
                    let id = body.u16()?;
                    self.put(format_args!("{id},"));
                }
                self.close();
                Some(())
            }
            29 | 38 | 41 | 51 => self.sample(kind, body),
            34 => {
                let (clause, count, id) = (body.u8()?, body.u8()?, body.u32()?);
                self.put(format_args!("conjunction({id},{}/{count})", u16::from(clause) + 1));
                Some(())
            }
            35 => self.ct(body),
            36 => self.nat(body),
            46 | 47 => self.encap(kind, body),
            _ => None,
        }
    }

    /// A number by its name, unless it is the usual one.
    fn named(&mut self, name: &str, number: u16, usual: u16) {
        if number != usual {
            self.put(format_args!("{name}={number},"));
        }
    }

    fn multipath(&mut self, mut body: Bytes<'_>) -> Option<()> {
        let (fields, basis) = (word(&HASHES, body.u16()?), body.u16()?);
        body.take(2)?;
        let (algorithm, most, argument) = (word(&PATHS, body.u16()?), body.u16()?, body.u32()?);
        body.take(2)?;
        let bits = range(body.u16()?);
        self.put(format_args!("multipath({fields},{basis},{algorithm},{},{argument},", u32::from(most) + 1));
        self.part(&mut body, bits)?;
        self.out.push(')');
        Some(())
    }

    fn bundle(&mut self, mut body: Bytes<'_>) -> Option<()> {
        let algorithm = word(&["active_backup", "hrw"], body.u16()?);
        let (fields, basis) = (word(&HASHES, body.u16()?), body.u16()?);
        body.take(4)?;
        let (count, bits) = (body.u16()?, range(body.u16()?));
        let target = body.take(4)?;
        body.take(4)?;
        let loads = number(target) != 0;
        let name = if loads { "bundle_load" } else { "bundle" };
        self.put(format_args!("{name}({fields},{basis},{algorithm},ofport,"));
        if loads {
            self.part(&mut Bytes(target), bits)?;
            self.out.push(',');
        }
        self.out.push_str("members:");
        for at in 0..count {
            self.out.push_str(if at == 0 { "" } else { "," });
            self.port(u64::from(body.u16()?));
        }
        self.out.push(')');
        Some(())
    }

    fn controller(&mut self, to: &Controller<'_>) {
        if to.reason == 1 && to.id == 0 && to.data.is_empty() && !to.pauses && to.meter == u32::MAX {
            self.put(format_args!("CONTROLLER:{}", to.length));
            return;
        }
        self.out.push_str("controller(");
        if to.reason != 1 {
            match REASONS.get(usize::from(to.reason)) {
                Some(reason) => self.put(format_args!("reason={reason},")),
                None => self.put(format_args!("reason={},", to.reason)),
            }
        }
        self.named("max_len", to.length, u16::MAX);
        self.named("id", to.id, 0);
        if !to.data.is_empty() {
            self.out.push_str("userdata=");
            for (at, byte) in to.data.iter().enumerate() {
                self.out.push_str(if at == 0 { "" } else { "." });
                self.put(format_args!("{byte:02x}"));
            }
            self.out.push(',');
        }
        self.out.push_str(if to.pauses { "pause," } else { "" });
        if to.meter != u32::MAX {
            self.put(format_args!("meter_id={},", to.meter));
        }
        self.close();
    }

    fn controller2(&mut self, mut body: Bytes<'_>) -> Option<()> {
        body.take(6)?;
        let mut to = Controller { length: u16::MAX, reason: 1, ..Controller::default() };
        while !body.0.is_empty() {
            let mut header = body;
            let (kind, length) = (header.u16()?, usize::from(header.u16()?));
            let mut value = Bytes(body.0.get(..length)?.get(4..)?);
            body.take(length.next_multiple_of(8))?;
            match kind {
                0 => to.length = value.u16()?,
                1 => to.id = value.u16()?,
                2 => to.reason = value.u8()?,
                3 => to.data = value.0,
                4 => to.pauses = true,
                5 => to.meter = Bytes(value.0.get(value.0.len().checked_sub(4)?..)?).u32()?,
                _ => return None,
            }
        }
        self.controller(&to);
        Some(())
    }

    fn sample(&mut self, kind: u16, mut body: Bytes<'_>) -> Option<()> {
        let (probability, set) = (body.u16()?, body.u32()?);
        self.put(format_args!("sample(probability={probability},collector_set_id={set}"));
        for name in ["obs_domain_id", "obs_point_id"] {
            self.put(format_args!(",{name}="));
            let field = if kind == 51 { body.take(4)? } else { &[] };
            let mut number = Bytes(body.take(4)?);
            if self::number(field) == 0 {
                self.put(number.u32()?);
            } else {
                let bits = range(number.u16()?);
                self.part(&mut Bytes(field), bits)?;
            }
        }
        if kind != 29 {
            let (port, direction) = (body.u16()?, body.u8()?);
            if port != 0xffff {
                self.out.push_str(",sampling_port=");
                self.port(u64::from(port));
            }
            self.out.push_str(["", ",ingress", ",egress"].get(usize::from(direction))?);
        }
        self.out.push(')');
        Some(())
    }

    fn ct(&mut self, mut body: Bytes<'_>) -> Option<()> {
        let (flags, field, zone, table) = (body.u16()?, body.take(4)?, body.u16()?, body.u8()?);
        body.take(3)?;
        let helper = body.u16()?;
        self.out.push_str("ct(");
        self.out.push_str(if flags & 1 != 0 { "commit," } else { "" });
        self.out.push_str(if flags & 2 != 0 { "force," } else { "" });
        self.named("table", u16::from(table), 255);
        if number(field) == 0 {
            self.named("zone", zone, 0);
        } else {
            self.out.push_str("zone=");
            self.part(&mut Bytes(field), range(zone))?;
            self.out.push(',');
        }
        let mut rest = body;
        if let Some(((NICIRA, 36), nat)) = take(&mut rest) {
            self.nat(Bytes(nat))?;
            self.out.push(',');
            body = rest;
        }
        if !body.0.is_empty() {
            self.out.push_str("exec(");
            self.inner(body.0);
            self.out.push_str("),");
        }
        match helper {
            0 => {}
            21 => self.out.push_str("alg=ftp,"),
            69 => self.out.push_str("alg=tftp,"),
            other => self.put(format_args!("alg={other},")),
        }
        self.close();
        Some(())
    }

    fn nat(&mut self, mut body: Bytes<'_>) -> Option<()> {
        body.take(2)?;
        let (flags, has) = (body.u16()?, body.u16()?);
        self.out.push_str("nat");
        if flags.trailing_zeros() >= 2 {
            return Some(());
        }
        self.out.push_str(if flags & 1 != 0 { "(src" } else { "(dst" });
        let mut take =
            |bit: u16, length: usize| if has >> bit & 1 != 0 { body.take(length).map(Some) } else { Some(None) };
        let (low, high, low6, high6) = (take(0, 4)?, take(1, 4)?, take(2, 16)?, take(3, 16)?);
        let ports = [take(4, 2)?.map(number), take(5, 2)?.map(number)];
        let has_ports = ports[0].is_some_and(|port| port > 0);
        if let Some(low) = low.or(low6) {
            self.out.push('=');
            let high = high.or(high6).filter(|high| *high != low && number(high) != 0);
            for (mark, address) in [("", Some(low)), ("-", high)] {
                let Some(address) = address else { continue };
                self.out.push_str(mark);
                if address.len() == 4 {
                    four(address, &mut self.out);
                } else {
                    self.out.push_str(if has_ports { "[" } else { "" });
                    six(address, &mut self.out);
                    self.out.push_str(if has_ports { "]" } else { "" });
                }
            }
            if let Some(first) = ports[0].filter(|port| *port > 0) {
                self.put(format_args!(":{first}"));
                if let Some(last) = ports[1].filter(|last| *last > 0 && *last != first) {
                    self.put(format_args!("-{last}"));
                }
            }
            self.out.push(',');
            for (bit, name) in [(4, "persistent,"), (8, "hash,"), (16, "random,")] {
                self.out.push_str(if flags & bit != 0 { name } else { "" });
            }
        }
        self.close();
        Some(())
    }

    fn encap(&mut self, kind: u16, mut body: Bytes<'_>) -> Option<()> {
        body.take(2)?;
        let packet = body.u32()?;
        if kind == 47 {
            self.out.push_str("decap(");
            if packet != 0xfffe {
                self.put(format_args!("packet_type(ns={},type=", packet >> 16));
                self.hex(u64::from(packet & 0xffff));
                self.out.push(')');
            }
            self.out.push(')');
            return Some(());
        }
        let name = match packet {
            0 => "ethernet",
            0x1_894f => "nsh",
            0x1_8847 => "mpls",
            0x1_8848 => "mpls_mc",
            _ => return None,
        };
        self.put(format_args!("encap({name}"));
        if !body.0.is_empty() {
            self.out.push('(');
            while !body.0.is_empty() {
                let mut property = body;
                let (class, kind, length) = (property.u16()?, property.u8()?, usize::from(property.u8()?));
                body.take(length.next_multiple_of(8).max(8))?;
                if (class, kind) != (4, 1) {
                    return None;
                }
                let number = property.u8()?;
                self.put(format_args!("md_type={number},"));
            }
            self.close();
        }
        self.out.push(')');
        Some(())
    }

    fn learn(&mut self, mut body: Bytes<'_>, is_second: bool) -> Option<()> {
        let (idle, hard, priority, cookie) = (body.u16()?, body.u16()?, body.u16()?, body.u64()?);
        let (flags, table) = (body.u16()?, body.u8()?);
        body.take(1)?;
        let (fin_idle, fin_hard) = (body.u16()?, body.u16()?);
        self.put(format_args!("learn(table={table},"));
        self.named("idle_timeout", idle, 0);
        self.named("hard_timeout", hard, 0);
        self.named("fin_idle_timeout", fin_idle, 0);
        self.named("fin_hard_timeout", fin_hard, 0);
        self.named("priority", priority, 0x8000);
        self.out.push_str(if flags & 1 != 0 { "send_flow_rem," } else { "" });
        self.out.push_str(if flags & 2 != 0 { "delete_learned," } else { "" });
        if cookie != 0 {
            self.put(format_args!("cookie={cookie:#x},"));
        }
        if is_second {
            let (limit, first) = (body.u32()?, body.u16()?);
            body.take(2)?;
            if limit != 0 {
                self.put(format_args!("limit={limit},"));
            }
            if flags & 4 != 0 {
                self.out.push_str("result_dst=");
                self.part(&mut body, (first, 1))?;
                self.out.push(',');
            }
        }
        while body.0.len() >= 2 {
            let header = body.u16()?;
            if header == 0 {
                break;
            }
            self.lesson(header, &mut body)?;
            self.out.push(',');
        }
        self.close();
        Some(())
    }

    /// What is learned for one field.
    fn lesson(&mut self, header: u16, body: &mut Bytes<'_>) -> Option<()> {
        let (bits, is_value, goal) = (header & 0x3ff, header & 1 << 13 != 0, header >> 11 & 3);
        let value = if is_value { body.take(2 * usize::from(bits.div_ceil(16)))? } else { &[] };
        let value = value.get(value.len().saturating_sub(usize::from(bits.div_ceil(8)))..)?;
        let source = if is_value { None } else { Some((Header::take(body)?, body.u16()?)) };
        let target = if goal < 2 { Some((Header::take(body)?, body.u16()?)) } else { None };
        match (goal, source, target) {
            (0, None, Some((field, first))) => {
                if first == 0 && bits == field.bits() {
                    let mut whole = vec![0; field.bytes().saturating_sub(value.len())];
                    whole.extend(value);
                    field.name(&mut self.out);
                    self.out.push('=');
                    field.say(&whole, None, self.names, &mut self.out);
                } else {
                    field.part(first, bits, &mut self.out);
                    self.out.push('=');
                    hex(value, &mut self.out);
                }
            }
            (0, Some((source, from)), Some((field, first))) => {
                field.part(first, bits, &mut self.out);
                if (source.class, source.number, from) != (field.class, field.number, first) {
                    self.out.push('=');
                    source.part(from, bits, &mut self.out);
                }
            }
            (1, source, Some((field, first))) => {
                self.out.push_str("load:");
                match source {
                    Some((source, from)) => source.part(from, bits, &mut self.out),
                    None => hex(value, &mut self.out),
                }
                self.out.push_str("->");
                field.part(first, bits, &mut self.out);
            }
            (2, Some((source, from)), None) => {
                self.out.push_str("output:");
                source.part(from, bits, &mut self.out);
            }
            _ => return None,
        }
        Some(())
    }
}

/// What a controller is sent.
struct Controller<'a> {
    length: u16,
    id: u16,
    reason: u8,
    data: &'a [u8],
    pauses: bool,
    meter: u32,
}

impl Default for Controller<'_> {
    fn default() -> Self {
        Self { length: 0, id: 0, reason: 0, data: &[], pauses: false, meter: u32::MAX }
    }
}
