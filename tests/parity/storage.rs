//! Disks and file systems: `/sys/block/*/stat`, `lsblk`, `df` and `findmnt`.

use super::bracket::{Facts, Parity};
use super::{file, said, said_json};

/// The kernel's sector in its counters.
const SECTOR: f64 = 512.0;

#[test]
fn disks_are_what_sysfs_and_lsblk_say() {
    let mut disk = Parity::of("disk", &["name"]);
    let shown = disk.keys();
    assert!(!shown.is_empty());
    disk.agrees(|| {
        let mut facts = Facts::default();
        for name in &shown {
            let text = file(&format!("/sys/block/{name}/stat"));
            let fields: Vec<f64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
            for (column, at, unit) in [
                ("reads", 0, 1.0),
                ("read_merges", 1, 1.0),
                ("read_bytes", 2, SECTOR),
                ("read_time", 3, 1e-3),
                ("writes", 4, 1.0),
                ("write_merges", 5, 1.0),
                ("write_bytes", 6, SECTOR),
                ("write_time", 7, 1e-3),
                ("in_flight", 8, 1.0),
                ("busy_time", 9, 1e-3),
                ("weighted_time", 10, 1e-3),
                ("discards", 11, 1.0),
                ("discard_bytes", 13, SECTOR),
                ("discard_time", 14, 1e-3),
                ("flushes", 15, 1.0),
                ("flush_time", 16, 1e-3),
            ] {
                match fields.get(at) {
                    Some(value) => facts.number(name, column, value * unit),
                    None => facts.missing(name, column),
                }
            }
        }
        facts
    });
    disk.agrees(|| {
        let list = said_json("lsblk", &["-b", "-J", "-l", "-o", "NAME,KNAME,SIZE,MODEL,TYPE"]);
        let mut facts = Facts::default();
        let whole = list["blockdevices"].as_array().unwrap().iter().filter(|device| device["type"] != "part");
        for device in whole.filter(|device| shown.contains(device["kname"].as_str().unwrap())) {
            let name = device["kname"].as_str().unwrap();
            facts.number(name, "size", device["size"].as_f64().unwrap());
            match device["model"].as_str() {
                Some(model) => facts.text(name, "model", model.trim()),
                None => facts.missing(name, "model"),
            }
            match device["name"].as_str().filter(|alias| *alias != name) {
                Some(alias) => facts.text(name, "alias", alias),
                None => facts.missing(name, "alias"),
            }
        }
        facts
    });
    disk.left_out(&["name"]);
}

#[test]
fn every_disk_that_lsblk_lists_is_shown() {
    let listed = said("lsblk", &["-n", "-d", "-o", "KNAME"]);
    let shown = Parity::of("disk", &["name"]).keys();
    for name in listed.lines().map(str::trim) {
        let stat = file(&format!("/sys/block/{name}/stat"));
        let used = stat.split_whitespace().any(|word| word != "0");
        let optional = ["loop", "ram", "nbd", "sr", "fd"].iter().any(|start| name.starts_with(start));
        assert!(shown.contains(name) || (optional && !used), "{name} is not among {shown:?}");
    }
}

#[test]
fn file_systems_are_what_df_and_findmnt_say() {
    let mut mount = Parity::of("mount", &["target"]);
    let shown = mount.keys();
    assert!(shown.contains("/"));
    mount.agrees(|| {
        let columns = "--output=source,fstype,size,used,avail,itotal,iused,pcent,ipcent,target";
        let text = said("df", &["-a", "-B1", columns]);
        let mut facts = Facts::default();
        for line in text.lines().skip(1) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let target = words[9..].join(" ");
            if !shown.contains(&target) || words[2] == "-" {
                continue;
            }
            facts.text(&target, "source", words[0]);
            facts.text(&target, "kind", words[1]);
            facts.text(&target, "state", "ok");
            for (column, word) in [("size", words[2]), ("used", words[3]), ("available", words[4])] {
                facts.number(&target, column, word.parse().unwrap());
            }
            for (column, word) in [("used_share", words[7]), ("inodes_share", words[8])] {
                // df rounds up to whole per cent
                match word.strip_suffix('%').map(|word| word.parse::<f64>().unwrap()) {
                    Some(percent) => facts.between(&target, column, (percent - 1.0) / 100.0, percent / 100.0),
                    None => facts.missing(&target, column),
                }
            }
            for (column, word) in [("inodes", words[5]), ("inodes_used", words[6])] {
                match word.parse() {
                    Ok(count) if words[5] != "0" => facts.number(&target, column, count),
                    _ => facts.missing(&target, column),
                }
            }
        }
        facts
    });
    mount.agrees(|| {
        let list = said_json("findmnt", &["-J", "-l", "-o", "TARGET,VFS-OPTIONS,FS-OPTIONS"]);
        let mut facts = Facts::default();
        for found in list["filesystems"].as_array().unwrap() {
            let target = found["target"].as_str().unwrap();
            if shown.contains(target) {
                let options =
                    [&found["vfs-options"], &found["fs-options"]].map(|list| list.as_str().unwrap_or_default());
                facts.text(target, "options", options[0]);
                let read_only = options.iter().any(|list| list.split(',').any(|option| option == "ro"));
                facts.text(target, "read_only", &read_only.to_string());
                facts.missing(target, "stalled_since");
            }
        }
        facts
    });
    mount.left_out(&["target"]);
}

#[test]
fn every_file_system_of_a_disk_that_df_lists_is_shown() {
    let text = said("df", &["--output=source,target"]);
    let shown = Parity::of("mount", &["target"]).keys();
    let devices = text.lines().skip(1).filter_map(|line| line.strip_prefix("/dev/")?.split_once(char::is_whitespace));
    let mut count = 0;
    for (device, target) in devices {
        assert!(shown.contains(target.trim()), "{device} on {target} is not among {shown:?}");
        count += 1;
    }
    assert!(count > 0, "{text}");
}
