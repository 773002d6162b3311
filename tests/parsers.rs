//! Do the parsers survive damaged files and any bytes, and do they read back what is written in the kernel's format?
//!
//! Parsers that only their own module sees have such tests beside them.

#![cfg(test)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use netglance::collect::{Batch, COLLECTORS, Cx, Wants};
use netglance::model::{Demand, Mono, Owners, Timestamp, Value};
use netglance::source::file::Roots;
use netglance::source::netlink::route::{self, LinkNews};
use netglance::source::netlink::{Malformed, Message, attr};
use netglance::source::process::parse;
use netglance::source::{lines, mdstat, mount, pressure, softirq, stat};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Files of all recorded trees, as (tree, path below it).
fn recorded() -> &'static [(PathBuf, PathBuf)] {
    static FILES: OnceLock<Vec<(PathBuf, PathBuf)>> = OnceLock::new();
    FILES.get_or_init(|| {
        let trees = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/trees");
        let mut found = Vec::new();
        for tree in std::fs::read_dir(trees).unwrap() {
            let tree = tree.unwrap().path();
            let mut todo = vec![tree.clone()];
            while let Some(dir) = todo.pop() {
                for entry in std::fs::read_dir(dir).unwrap().flatten() {
                    let kind = entry.file_type().unwrap();
                    if kind.is_dir() {
                        todo.push(entry.path());
                    } else if kind.is_file() {
                        found.push((tree.clone(), entry.path().strip_prefix(&tree).unwrap().to_owned()));
                    }
                }
            }
        }
        found.sort();
        assert!(found.len() > 100, "{} files are recorded", found.len());
        found
    })
}

/// A tree like a recorded one, in which one file has other content.
fn changed(tree: &Path, file: &Path, content: &[u8]) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    // whole directories are links but for those above the file
    let (mut from, mut to) = (tree.to_owned(), copy.path().to_owned());
    for part in file {
        for entry in std::fs::read_dir(&from).unwrap().flatten() {
            if entry.file_name() != part {
                symlink(entry.path(), to.join(entry.file_name())).unwrap();
            }
        }
        from.push(part);
        to.push(part);
        if from.is_dir() {
            std::fs::create_dir(&to).unwrap();
        }
    }
    std::fs::write(to, content).unwrap();
    copy
}

/// Runs every collector twice over a tree with all that can be wanted, and returns how many rows there were.
fn collect(tree: &Path) -> usize {
    let (roots, owners) = (Roots::recorded(tree), Owners::default());
    let mut count = 0;
    for entry in COLLECTORS {
        let demands = entry.tables.iter().map(|table| Demand {
            columns: table.columns.iter().map(|column| column.name.to_string()).collect(),
            ids: vec![Value::U64(4242)],
            ..Demand::table(&table.name)
        });
        let wants = Wants::union(&demands.collect::<Vec<_>>());
        let mut collector = (entry.make)();
        for second in 1..3 {
            let time = Timestamp::from_seconds(1.8e9);
            let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time, mono: Mono(second * 1_000_000_000) };
            let mut batch = Batch::default();
            // a reason is as good an answer as rows
            let _ = collector.collect(&cx, &mut batch);
            for rows in batch.into_tables().into_iter().filter_map(|(_, filled)| filled.ok()) {
                count += rows.len();
                for row in 0..rows.len() {
                    for column in 0..rows.table().columns.len() {
                        let _ = rows.cell(row, column).number();
                    }
                }
            }
        }
    }
    count
}

/// What can become of a file.
#[derive(Clone, Debug)]
enum Damage {
    Cut(Index),
    Flip(Vec<(Index, u8)>),
    Replace(Vec<u8>),
    /// A number becomes another one, such as one that is too large.
    Number(Index, &'static str),
    Repeat(Index, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let numbers =
        ["", "-1", "18446744073709551615", "18446744073709551616", "9223372036854775808", "1e308", "nan", "0x"];
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        vec((any::<Index>(), any::<u8>()), 1..20).prop_map(Damage::Flip),
        vec(any::<u8>(), 0..2000).prop_map(Damage::Replace),
        (any::<Index>(), select(numbers.to_vec())).prop_map(|(at, number)| Damage::Number(at, number)),
        (any::<Index>(), 2_usize..50).prop_map(|(at, times)| Damage::Repeat(at, times)),
    ]
}

fn damaged(bytes: &[u8], damage: &Damage) -> Vec<u8> {
    let mut out = bytes.to_vec();
    match damage {
        Damage::Replace(other) => out.clone_from(other),
        _ if bytes.is_empty() => {}
        Damage::Cut(at) => out.truncate(at.index(bytes.len())),
        Damage::Flip(places) => places.iter().for_each(|(at, byte)| out[at.index(bytes.len())] = *byte),
        Damage::Number(at, number) => {
            let is_digit = |at: &usize| bytes[*at].is_ascii_digit();
            let starts: Vec<usize> =
                (0..bytes.len()).filter(|at| is_digit(at) && (*at == 0 || !is_digit(&(at - 1)))).collect();
            if let Some(start) = (!starts.is_empty()).then(|| starts[at.index(starts.len())]) {
                let end = (start..bytes.len()).find(|at| !is_digit(at)).unwrap_or(bytes.len());
                out.splice(start..end, number.bytes());
            }
        }
        Damage::Repeat(at, times) => {
            let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            let line = lines[at.index(lines.len())].to_vec();
            out.extend(line.repeat(*times));
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_damage_to_a_recorded_file_stops_a_collector(file in any::<Index>(), damage in damage()) {
        let (tree, file) = &recorded()[file.index(recorded().len())];
        let bytes = damaged(&std::fs::read(tree.join(file)).unwrap(), &damage);
        let copy = changed(tree, file, &bytes);
        // a file has no more rows than lines, and no tree has more than a few hundred of them
        prop_assert!((1..5000).contains(&collect(copy.path())));
    }
}

#[test]
fn an_undamaged_copy_of_a_tree_has_the_rows_of_the_tree() {
    let (tree, file) = recorded().iter().find(|(_, file)| file.ends_with("proc/net/dev")).unwrap();
    let copy = changed(tree, file, &std::fs::read(tree.join(file)).unwrap());
    assert_eq!(collect(copy.path()), collect(tree));
}

/// A list of the kernel, such as `0-3,7`.
fn list(members: &BTreeSet<u64>) -> String {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &member in members {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == member => *last = member,
            _ => ranges.push((member, member)),
        }
    }
    let one = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ranges.iter().map(one).collect::<Vec<_>>().join(",")
}

fn joined<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

proptest! {
    #[test]
    fn any_text_is_read_by_every_parser_of_text(text in any::<String>()) {
        let _ = (lines::count(&text), lines::size(&text), lines::number(&text, "a"), pressure::parse(&text));
        prop_assert!(lines::members(&text).is_none_or(|members| members.len() <= 1 << 16));
        prop_assert!(mdstat::parse(&text).into_kept().len() <= text.lines().count());
        prop_assert!(stat::cpus(&text).count() <= text.lines().count());
        let _ = (stat::totals(&text), softirq::softirqs(&text));
        prop_assert!(softirq::softnet(&text, &[0, 1]).len() <= text.lines().count());
    }

    #[test]
    fn lists_of_cpus_are_read_back(members in btree_set(0_u64..5000, 0..60)) {
        let text = format!("{}\n", list(&members));
        prop_assert_eq!(lines::count(&text), Some(members.len() as u64));
        prop_assert_eq!(lines::members(&text), Some(members.into_iter().collect()));
    }

    #[test]
    fn lines_of_cpu_time_are_read_back(cpus in vec((0_u32..4096, vec(any::<u64>(), 4..11)), 1..20)) {
        let mut text = String::new();
        for (number, times) in &cpus {
            writeln!(text, "cpu{number} {}", joined(times)).unwrap();
        }
        text.push_str("intr 1 2 3\n");
        let read: Vec<_> = stat::cpus(&text).collect();
        prop_assert_eq!(read.len(), cpus.len());
        let fields = [stat::Field::User, stat::Field::Nice, stat::Field::System, stat::Field::Idle, stat::Field::Iowait,
            stat::Field::Irq, stat::Field::Softirq, stat::Field::Steal, stat::Field::Guest, stat::Field::GuestNice];
        for (read, (number, times)) in read.iter().zip(&cpus) {
            prop_assert_eq!(read.number, Some(*number));
            for (at, field) in fields.iter().enumerate() {
                prop_assert_eq!(read.times.get(*field), times.get(at).copied());
            }
        }
    }

    #[test]
    fn pressure_is_read_back(some in any::<[u32; 3]>(), full in any::<[u32; 3]>(), total in any::<[u32; 2]>()) {
        let line = |name: &str, avg: &[u32; 3], total: u32| {
            let [a, b, c] = avg.map(|avg| f64::from(avg % 10_001) / 100.0);
            format!("{name} avg10={a:.2} avg60={b:.2} avg300={c:.2} total={total}\n")
        };
        let read = pressure::parse(&(line("some", &some, total[0]) + &line("full", &full, total[1]))).unwrap();
        for (read, avg, total) in [(read.some, some, total[0]), (read.full, full, total[1])] {
            let read = read.unwrap();
            for (read, avg) in [read.avg10, read.avg60, read.avg300].iter().zip(avg) {
                prop_assert!((read - f64::from(avg % 10_001) / 1e4).abs() < 1e-12);
            }
            prop_assert!((read.total - f64::from(total) / 1e6).abs() < 1e-9);
        }
    }

    #[test]
    fn soft_interrupts_are_read_back(cpus in btree_set(0_u64..300, 1..9), seed in any::<u32>()) {
        let count = |kind: usize, at: usize| u64::from(seed).wrapping_mul((kind * 31 + at + 1) as u64) % 1_000_000;
        let names: Vec<_> = cpus.iter().map(|cpu| format!("CPU{cpu}")).collect();
        let mut text = format!("        {}\n", names.join("       "));
        for (kind, name) in softirq::SOFTIRQS.iter().enumerate() {
            let counts: Vec<_> = (0..cpus.len()).map(|at| count(kind, at)).collect();
            writeln!(text, "{name:>12}: {}", joined(&counts)).unwrap();
        }
        let read = softirq::softirqs(&text).unwrap();
        prop_assert_eq!(&read.cpus, &cpus.iter().copied().collect::<Vec<_>>());
        for kind in 0..softirq::SOFTIRQS.len() {
            for at in 0..cpus.len() {
                prop_assert_eq!(read.get(kind, at), Some(count(kind, at)));
            }
        }
    }

    #[test]
    fn packet_backlogs_are_read_back(rows in vec(any::<[u32; 12]>(), 1..9)) {
        let mut text = String::new();
        for (cpu, words) in rows.iter().enumerate() {
            let words: Vec<_> = words.iter().chain([&(cpu as u32 * 2)]).map(|word| format!("{word:08x}")).collect();
            writeln!(text, "{}", words.join(" ")).unwrap();
        }
        let read = softirq::softnet(&text, &[7, 8, 9]);
        prop_assert_eq!(read.len(), rows.len());
        for (at, ((cpu, read), words)) in read.iter().zip(&rows).enumerate() {
            let at_place = |place: usize| Some(u64::from(words[place]));
            prop_assert_eq!(*cpu, at as u64 * 2);
            prop_assert_eq!((read.processed, read.dropped, read.time_squeeze), (at_place(0), at_place(1), at_place(2)));
            prop_assert_eq!((read.received_rps, read.flow_limit, read.backlog), (at_place(9), at_place(10), at_place(11)));
        }
    }

    #[test]
    fn arrays_are_read_back(arrays in vec((1_u64..99, 0_u64..4, 0_u64..4, 1_u64..1 << 40, 0_u32..1001), 0..6)) {
        let mut text = String::from("Personalities : [raid1] [raid6]\n");
        for (at, (members, failed, spares, blocks, done)) in arrays.iter().enumerate() {
            let names: Vec<_> = (0..*failed).map(|i| format!("sda{i}[{i}](F)"))
                .chain((0..*spares).map(|i| format!("sdb{i}[{i}](S)"))).collect();
            writeln!(text, "md{at} : active raid6 {}", names.join(" ")).unwrap();
            writeln!(text, "      {blocks} blocks super 1.2 level 6 [{members}/{}] [U_]", members - 1).unwrap();
            let share = format!("{:>3}.{}%", done / 10, done % 10);
            writeln!(text, "      [=>...]  recovery ={share} (1/2) finish=1.0min speed={done}K/sec\n").unwrap();
        }
        text.push_str("unused devices: <none>\n");
        let read = mdstat::parse(&text).into_kept();
        prop_assert_eq!(read.len(), arrays.len());
        for (at, (read, (members, failed, spares, blocks, done))) in read.iter().zip(&arrays).enumerate() {
            prop_assert_eq!(read.name.to_string(), format!("md{at}"));
            prop_assert_eq!((read.members, read.working), (Some(*members), Some(members - 1)));
            prop_assert_eq!((read.failed, read.spares, read.size), (*failed, *spares, Some(blocks * 1024)));
            prop_assert_eq!(read.action.as_deref(), Some("recovery"));
            prop_assert!(read.progress.is_some_and(|share| (share - f64::from(*done) / 1e3).abs() < 1e-12));
            prop_assert_eq!(read.speed, Some(u64::from(*done) * 1024));
        }
    }

    #[test]
    fn mounts_with_any_bytes_in_their_names_are_read_back(
        target in vec(1_u8..=255, 1..40), source in vec(1_u8..=255, 1..40), major in 0_u32..4096, minor in 0_u32..1 << 20,
    ) {
        // `mangle` in fs/seq_file.c
        let escaped = |name: &[u8]| -> Vec<u8> {
            let one = |byte: &u8| match byte {
                b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
                byte => vec![*byte],
            };
            name.iter().flat_map(one).collect()
        };
        let line = [format!("36 35 {major}:{minor} / ").as_bytes(), &escaped(&target), b" rw,noatime shared:1 master:2 - ext4 ",
            &escaped(&source), b" rw,ro\n"].concat();
        let read = mount::parse(&line.repeat(2));
        prop_assert_eq!(read.len(), 2);
        prop_assert_eq!((&read[1].target, &read[1].source, read[1].device), (&target, &source, (major, minor)));
        prop_assert_eq!((read[1].kind.as_slice(), read[1].options.as_slice()), (b"ext4".as_slice(), b"rw,noatime".as_slice()));
        prop_assert!(read[1].read_only());
    }

    #[test]
    fn a_process_is_read_back(
        comm in vec(any::<u8>(), 0..16), unsigned in any::<[u32; 52]>(), nice in -20_i64..20, priority in -100_i64..140,
    ) {
        let mut fields: Vec<String> = unsigned.iter().map(ToString::to_string).collect();
        fields[2] = "D".to_owned();
        (fields[17], fields[18]) = (priority.to_string(), nice.to_string());
        let mut line = format!("{} (", fields[0]).into_bytes();
        line.extend_from_slice(&comm);
        line.extend_from_slice(format!(") {}\n", fields[2..].join(" ")).as_bytes());
        let read = parse::stat(&line).unwrap();
        // numbers of proc(5), which counts from one
        let field = |number: usize| u64::from(unsigned[number - 1]);
        prop_assert_eq!((u64::from(read.pid), read.comm.as_bytes(), read.state), (field(1), comm.as_slice(), b'D'));
        prop_assert_eq!((u64::from(read.parent), read.kernel), (field(4), field(9) & 0x20_0000 != 0));
        prop_assert_eq!((read.minor_faults, read.major_faults), (field(10), field(12)));
        prop_assert_eq!((read.user, read.system, read.priority, read.nice), (field(14), field(15), priority, nice));
        prop_assert_eq!((read.threads, read.start, read.virtual_size), (field(20), field(22), field(23)));
        prop_assert_eq!((read.resident, read.last_cpu, read.guest), (field(24), Some(field(39)), Some(field(43))));
    }

    #[test]
    fn arguments_are_read_back(words in vec("[a-z]{1,8}", 1..6)) {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.bytes().chain([0])).collect();
        prop_assert_eq!(parse::command(&raw), Some(words.join(" ").into_bytes()));
    }
}

/// An attribute that the reader does not know, to be passed over.
const UNKNOWN: u16 = 300;

proptest! {
    #[test]
    fn an_interface_is_read_back(
        index in 1_u32.., name in "[a-z0-9.]{1,15}", alias in proptest::option::of("[ -~]{1,40}"), master in proptest::option::of(1_u32..),
        mtu in any::<u32>(), mac in any::<[u8; 6]>(), flags in any::<u32>(), operstate in 0_u8..7, carrier in any::<u32>(),
        hardware in any::<u16>(), kind in proptest::option::of("[a-z]{1,12}"), noise in vec(any::<u8>(), 0..9),
    ) {
        let mut body = vec![0; 16];
        body[2..4].copy_from_slice(&hardware.to_ne_bytes());
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        attr::push(&mut body, UNKNOWN, &noise);
        attr::push(&mut body, 3, format!("{name}\0").as_bytes());
        attr::push(&mut body, 4, &mtu.to_ne_bytes());
        attr::push(&mut body, 1, &mac);
        attr::push(&mut body, 16, &[operstate]);
        attr::push(&mut body, 35, &carrier.to_ne_bytes());
        if let Some(alias) = &alias {
            attr::push(&mut body, 20, format!("{alias}\0").as_bytes());
        }
        if let Some(master) = master {
            attr::push(&mut body, 10, &master.to_ne_bytes());
        }
        if let Some(kind) = &kind {
            let mut info = Vec::new();
            attr::push(&mut info, 2, &noise);
            attr::push(&mut info, 1, format!("{kind}\0").as_bytes());
            attr::push(&mut body, 0x8012, &info);
        }
        let news = route::link_news(Message { kind: route::NEW_LINK, flags: 0, body: &body }).unwrap();
        let Some(LinkNews::Is(link)) = news else { panic!("{news:?}") };
        prop_assert_eq!((link.index.0, &*link.name, link.alias.as_deref()), (index, name.as_str(), alias.as_deref()));
        prop_assert_eq!((link.mtu, link.mac.map(|mac| mac.0), link.flags), (mtu, Some(mac), flags));
        prop_assert_eq!((link.operstate, link.carrier_changes, link.hardware), (operstate, Some(carrier), hardware));
        prop_assert_eq!((link.master.map(|index| index.0), link.kind.as_deref()), (master, kind.as_deref()));
        let gone = route::link_news(Message { kind: route::DEL_LINK, flags: 0, body: &body }).unwrap();
        prop_assert_eq!(gone, Some(LinkNews::Gone(route::IfIndex(index))));
        // nothing that is cut in the middle of an attribute is an interface
        let cut = Message { kind: route::NEW_LINK, flags: 0, body: &body[..body.len() - 5] };
        prop_assert_eq!(route::link_news(cut), Err(Malformed));
    }

    #[test]
    fn counters_of_an_interface_are_read_back(index in 1_u32.., counters in any::<[u64; 25]>()) {
        let mut body = vec![0; 12];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        let bytes: Vec<u8> = counters.iter().flat_map(|counter| counter.to_ne_bytes()).collect();
        attr::push(&mut body, 1, &bytes);
        let read = route::link_stats_of(Message { kind: 92, flags: 0, body: &body }).unwrap();
        let Some((number, read)) = read else { panic!("no counters") };
        // the order of `struct rtnl_link_stats64`
        let [rx_packets, tx_packets, rx_bytes, tx_bytes, rx_errors, tx_errors, rx_dropped, tx_dropped, multicast, collisions, ..] =
            counters;
        prop_assert_eq!((number.0, read.rx_packets, read.tx_packets), (index, rx_packets, tx_packets));
        prop_assert_eq!((read.rx_bytes, read.tx_bytes), (rx_bytes, tx_bytes));
        prop_assert_eq!((read.rx_errors, read.tx_errors), (rx_errors, tx_errors));
        prop_assert_eq!((read.rx_dropped, read.tx_dropped), (rx_dropped, tx_dropped));
        prop_assert_eq!((read.multicast, read.collisions, read.rx_missed), (multicast, collisions, counters[15]));
        let cut = Message { kind: 92, flags: 0, body: &body[..60] };
        prop_assert_eq!(route::link_stats_of(cut), Err(Malformed));
    }

    #[test]
    fn an_address_is_read_back(
        index in 1_u32.., prefix in 0_u8..129, scope in any::<u8>(), flags in any::<u32>(), valid in any::<u32>(),
        local in any::<[u8; 16]>(), peer in any::<[u8; 16]>(), v6 in any::<bool>(), both in any::<bool>(),
    ) {
        let size = if v6 { 16 } else { 4 };
        let mut body = vec![if v6 { 10 } else { 2 }, prefix, flags as u8, scope, 0, 0, 0, 0];
        body[4..8].copy_from_slice(&index.to_ne_bytes());
        attr::push(&mut body, 1, if both { &peer[..size] } else { &local[..size] });
        if both || !v6 {
            attr::push(&mut body, 2, &local[..size]);
        }
        attr::push(&mut body, 6, &[[9; 4], valid.to_ne_bytes(), [8; 4], [7; 4]].concat());
        attr::push(&mut body, 8, &flags.to_ne_bytes());
        let read = route::address(Message { kind: route::NEW_ADDRESS, flags: 0, body: &body }).unwrap().unwrap();
        let (own, other) = (route::ip(&local[..size]).unwrap(), route::ip(&peer[..size]).unwrap());
        prop_assert_eq!((read.index.0, read.prefix, read.scope, read.flags), (index, prefix, scope, flags));
        prop_assert_eq!((read.address, read.peer), (own, Some(other).filter(|other| both && *other != own)));
        prop_assert_eq!(read.valid, Some(valid).filter(|seconds| *seconds != u32::MAX));
    }
}
