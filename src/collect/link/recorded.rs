//! What did the interfaces of a recorded host carry?
//!
//! Sockets answer for this host only, so a recorded tree is read from `class/net` below its `/sys`, with the counters of
//! `/proc/net/dev` where the tree has no `statistics`.

use super::{FLAG_UP, LinkRow, LinkState, flag_words, hardware, speed};
use crate::model::Text;
use crate::source::file::{Root, Roots};
use crate::source::{Error, netns};

/// Rows of a recorded tree, in the order of `/proc/net/dev`.
pub(super) fn links(roots: &Roots) -> Result<Vec<LinkRow>, Error> {
    let text = roots.proc.text("net/dev")?;
    let path = || roots.proc.join("net/dev");
    let mut rows = Vec::new();
    for line in text.lines().skip(2) {
        let (name, counters) = parse(line).ok_or_else(|| Error::malformed(path(), "sixteen counters are expected"))?;
        // without its number an interface cannot be told from another of the same name
        let Some(index) = roots.sys.number(format!("class/net/{name}/ifindex")) else { continue };
        rows.push(row(&roots.sys, name, index, counters));
    }
    if rows.is_empty() && text.lines().nth(2).is_some() {
        let path = roots.sys.join("class/net");
        return Err(Error::new("read ifindex below", path, std::io::Error::from(std::io::ErrorKind::NotFound)));
    }
    Ok(rows)
}

/// Name and counters of a line of `/proc/net/dev`.
fn parse(line: &str) -> Option<(&str, [u64; 16])> {
    let (name, numbers) = line.rsplit_once(':')?;
    let name = name.trim();
    let mut counters = [0; 16];
    let mut fields = numbers.split_ascii_whitespace();
    for counter in &mut counters {
        *counter = fields.next()?.parse().ok()?;
    }
    (!name.contains('/') && !name.starts_with('.')).then_some((name, counters))
}

fn row(sys: &Root, name: &str, index: u32, counters: [u64; 16]) -> LinkRow {
    let file = |file: &str| sys.text(format!("class/net/{name}/{file}")).ok();
    let text = |path: &str| file(path).map(|text| Text::from(text.trim_end())).filter(|text| !text.is_empty());
    let counter = |path: &str| sys.number(format!("class/net/{name}/statistics/{path}"));
    let flags = file("flags").and_then(|flags| u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).ok());
    let tap = file("tun_flags").map(|_| Text::from("tun"));
    let kind = tap.or_else(|| device_type(file("uevent").as_deref()));
    let [rx_bytes, rx_packets, rx_errors, rx_dropped, _, _, _, multicast, tx_bytes, tx_packets, tx_errors, ..] =
        counters;
    let [.., tx_dropped, _, collisions, _, _] = counters;
    // the table of /proc adds the missed packets to the dropped ones
    let dropped = counter("rx_dropped").zip(counter("rx_missed_errors"));
    let (rx_dropped, rx_missed) = dropped.map_or((rx_dropped, None), |(dropped, missed)| (dropped, Some(missed)));
    LinkRow {
        netns: netns::host(),
        index,
        name: Text::from(name),
        state: LinkState::of(flags.unwrap_or(FLAG_UP), operstate(file("operstate").as_deref())),
        rx_bytes,
        tx_bytes,
        rx_packets,
        tx_packets,
        rx_errors,
        tx_errors,
        rx_dropped,
        tx_dropped,
        rx_missed,
        multicast,
        collisions,
        carrier_changes: sys.number(format!("class/net/{name}/carrier_changes")),
        speed: speed(sys, name, kind.as_deref()),
        mtu: sys.number(format!("class/net/{name}/mtu")),
        mac: file("address").and_then(|mac| mac.trim().parse().ok()),
        kind: kind.or_else(|| sys.number(format!("class/net/{name}/type")).and_then(hardware)),
        master: sys
            .text(format!("class/net/{name}/master/uevent"))
            .ok()
            .and_then(|uevent| Some(Text::from(value(&uevent, "INTERFACE")?))),
        lower: None,
        flags: flags.map(flag_words),
        alias: text("ifalias"),
        peer: None,
        peer_netns: None,
        peer_index: None,
    }
}

/// `DEVTYPE` of a software device.
fn device_type(uevent: Option<&str>) -> Option<Text> {
    value(uevent?, "DEVTYPE").map(Text::from)
}

fn value<'a>(uevent: &'a str, key: &str) -> Option<&'a str> {
    uevent.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

/// `IF_OPER_UNKNOWN`
const UNKNOWN: u8 = 0;

/// `IF_OPER_*` of the word in sysfs.
fn operstate(word: Option<&str>) -> u8 {
    let words = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];
    let at = word.and_then(|word| words.iter().position(|known| *known == word.trim()));
    at.and_then(|at| u8::try_from(at).ok()).unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &std::path::Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn a_recorded_interface_is_read_field_by_field() {
        let tree = tempfile::tempdir().unwrap();
        write(tree.path(), "proc/net/dev", "head\nhead\n eth0: 1 2 3 14 5 6 7 8 9 10 11 12 13 15 16 17\n");
        for (file, text) in [
            ("ifindex", "4\n"),
            ("mtu", "9000\n"),
            ("operstate", "up\n"),
            ("flags", "0x1003\n"),
            ("speed", "1000\n"),
            ("address", "02:00:00:00:00:07\n"),
            ("ifalias", "up\u{1b}link\n"),
            ("type", "1\n"),
            ("statistics/rx_dropped", "10\n"),
            ("statistics/rx_missed_errors", "4\n"),
            ("master/uevent", "DEVTYPE=bridge\nINTERFACE=br0\nIFINDEX=3\n"),
        ] {
            write(tree.path(), &format!("sys/class/net/eth0/{file}"), text);
        }
        let rows = links(&Roots::recorded(tree.path())).unwrap();
        let row = rows.first().unwrap();
        assert_eq!((rows.len(), row.index, row.state, row.mtu), (1, 4, LinkState::Up, Some(9000)));
        assert_eq!((row.rx_bytes, row.rx_packets, row.rx_errors), (1, 2, 3));
        assert_eq!((row.rx_dropped, row.rx_missed, row.multicast), (10, Some(4), 8));
        assert_eq!((row.tx_bytes, row.tx_packets, row.tx_errors, row.tx_dropped), (9, 10, 11, 12));
        assert_eq!((row.collisions, row.speed), (15, Some(125_000_000)));
        assert_eq!(row.mac.map(|mac| mac.to_string()).as_deref(), Some("02:00:00:00:00:07"));
        assert_eq!(row.kind.as_deref(), Some("ethernet"));
        assert_eq!(row.master.as_deref(), Some("br0"));
        assert_eq!(row.alias.as_deref(), Some("up\\x1blink"));
        assert_eq!(row.flags.as_deref(), Some("up,broadcast,multicast"));
    }

    #[test]
    fn a_tree_without_interface_numbers_says_what_it_lacks() {
        let tree = tempfile::tempdir().unwrap();
        write(tree.path(), "proc/net/dev", "head\nhead\n lo: 1 2 3 14 5 6 7 8 9 10 11 12 13 15 16 17\n");
        let error = links(&Roots::recorded(tree.path())).unwrap_err();
        assert!(error.is_absent() && error.to_string().contains("class/net"), "{error}");
    }
}
