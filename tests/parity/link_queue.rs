//! Queues of network devices: `ip` has what all queues of a device carried, `/sys` how many there are.

use std::collections::BTreeMap;

use super::bracket::Parity;
use super::network::list;
use super::said_json;

/// Devices whose driver counts for each queue since Linux 6.11.
const DRIVER: &str = "virtio_net";

/// Packets and bytes of each device and direction.
fn totals() -> BTreeMap<(String, &'static str), [u64; 2]> {
    let mut out = BTreeMap::new();
    for link in list(&said_json("ip", &["-s", "-j", "link"])) {
        for way in ["rx", "tx"] {
            let counts = ["packets", "bytes"].map(|what| link["stats64"][way][what].as_u64().unwrap());
            out.insert((link["ifname"].as_str().unwrap().to_owned(), way), counts);
        }
    }
    out
}

/// How many queues a device has in a direction.
fn queues(interface: &str, way: &str) -> usize {
    let files = std::fs::read_dir(format!("/sys/class/net/{interface}/queues")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with(way)).count()
}

#[test]
fn queues_carry_together_what_ip_says_of_their_device() {
    let (before, rows, after) = (totals(), Parity::of("link_queue", &[]).wanting(&[], &[]).rows(), totals());
    let at = |column: &str| rows.table().position(column).unwrap();
    let mut found: BTreeMap<(String, &'static str), (usize, [u64; 2])> = BTreeMap::new();
    for row in 0..rows.len() {
        let text = |column: &str| rows.cell(row, at(column)).text().unwrap().to_owned();
        let way = if text("direction") == "rx" { "rx" } else { "tx" };
        let (count, sums) = found.entry((text("interface"), way)).or_default();
        *count += 1;
        for (sum, column) in sums.iter_mut().zip(["packets", "bytes"]) {
            *sum += rows.cell(row, at(column)).number().unwrap() as u64;
        }
    }
    for ((interface, way), (count, sums)) in &found {
        assert_eq!(*count, queues(interface, way), "{interface} {way}");
        let key = (interface.clone(), *way);
        for (which, sum) in sums.iter().enumerate() {
            let range = before[&key][which]..=after[&key][which];
            assert!(range.contains(sum), "{interface} {way}: {sum} is not in {range:?}");
        }
    }
    let driver = |name: &str| std::fs::read_link(format!("/sys/class/net/{name}/device/driver")).ok();
    let counting = before.keys().filter(|(name, _)| driver(name).is_some_and(|path| path.ends_with(DRIVER)));
    for key in counting {
        assert!(found.contains_key(key), "{key:?}: {found:?}");
    }
}
