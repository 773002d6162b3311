//! Guests of KVM: what QEMU says of them over QMP, `ip`, and the kernel's files, read here once more.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use netglance::collect::{Batch, COLLECTORS, Collect, Cx, Wants};
use netglance::model::{Mono, Owners, Rows, Timestamp, Value};
use netglance::source::file::Roots;
use rustix::process::Signal;
use rustix::thread::UnshareFlags;

use super::bracket::{Facts, Parity};
use super::network::{in_own_network, ip, list};
use super::support::qemu::{Guest, Work};
use super::support::ring::wait_until;
use super::support::space;
use super::{file, said, said_json};

/// Longest wait for what happens at once on a machine that has time.
const PATIENT: Duration = Duration::from_mins(1);

/// Field of a `stat`, counted from one as in `proc(5)`; names of QEMU's threads may hold blanks.
fn field(stat: &str, number: usize) -> f64 {
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(number - 3).unwrap().parse().unwrap()
}

/// A number in a line such as `VmSwap:  12 kB`.
fn line(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}"));
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// A group of its own for each guest, below that of this test.
fn group(guest: &Guest) -> PathBuf {
    let unified = Path::new("/sys/fs/cgroup/unified");
    let top = if unified.exists() { unified } else { Path::new("/sys/fs/cgroup") };
    top.join(format!("netglance-{}", guest.pid))
}

fn file_of_group(guest: &Guest, name: &str) -> String {
    file(group(guest).join(name).to_str().unwrap())
}

/// Moves a guest into a group that goes with the test.
struct Grouped<'a>(&'a Guest);

impl<'a> Grouped<'a> {
    fn new(guest: &'a Guest) -> Self {
        std::fs::create_dir(group(guest)).unwrap();
        std::fs::write(group(guest).join("cgroup.procs"), guest.outside()).unwrap();
        Self(guest)
    }
}

impl Grouped<'_> {
    /// Has it stand still, or go on.
    fn freeze(&self, stands: bool) {
        std::fs::write(group(self.0).join("cgroup.freeze"), if stands { "1" } else { "0" }).unwrap();
    }
}

impl Drop for Grouped<'_> {
    fn drop(&mut self) {
        let _ = std::fs::write(group(self.0).join("cgroup.freeze"), "0");
        let back = group(self.0).parent().unwrap().join("cgroup.procs");
        let _ = std::fs::write(back, self.0.outside());
        let _ = std::fs::remove_dir(group(self.0));
    }
}

fn vm_facts(guests: &[&Guest]) -> Facts {
    let mut facts = Facts::default();
    for guest in guests {
        let name = guest.ask("query-name")["name"].as_str().unwrap().to_owned();
        let number = &mut |column: &str, value: f64| facts.number(&name, column, value);
        let (stat, status, io) = (guest.proc("stat"), guest.proc("status"), guest.proc("io"));
        number("pid", f64::from(guest.pid));
        number("start", field(&stat, 22));
        number("cpu_time", (field(&stat, 14) + field(&stat, 15)) / 100.0);
        number("rss", guest.proc("statm").split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0);
        number("pss", line(&guest.proc("smaps_rollup"), "Pss:") * 1024.0);
        number("swap", line(&status, "VmSwap:") * 1024.0);
        number("huge", line(&status, "HugetlbPages:") * 1024.0);
        let page = |name: &str| guest.proc(name).trim().parse::<f64>().unwrap() * 4096.0;
        number("ksm", page("ksm_merging_pages"));
        for (column, file) in [("cpu_waited", "cpu"), ("memory_waited", "memory"), ("io_waited", "io")] {
            let text = file_of_group(guest, &format!("{file}.pressure"));
            let total = text.lines().next().and_then(|line| line.rsplit_once("total=")).unwrap().1;
            number(column, total.parse::<f64>().unwrap() / 1e6);
        }
        number("read_bytes", line(&io, "read_bytes:"));
        number("write_bytes", line(&io, "write_bytes:"));
        number("memory_size", guest.ask("query-memory-size-summary")["base-memory"].as_f64().unwrap());
        let vcpus = guest.vcpus();
        number("vcpus", vcpus.len() as f64);
        number("vhost_time", 0.0);
        let running = guest.ask("query-status")["running"].as_bool().unwrap();
        let times: Vec<(f64, f64)> = vcpus.iter().map(|(_, thread)| guest.times(*thread)).collect();
        // which thread is a virtual CPU that has never run is not told
        for (column, sum) in [
            ("vcpu_time", times.iter().map(|times| times.0).sum()),
            ("run_delay", times.iter().map(|times| times.1).sum()),
        ] {
            if running { facts.number(&name, column, sum) } else { facts.missing(&name, column) }
        }
        // this machine has one node
        facts.text(&name, "numa", "0:100%");
        facts.text(&name, "status", guest.ask("query-status")["status"].as_str().unwrap());
        facts.missing(&name, "balloon");
        // debugfs is mounted in no namespace of a test that does not ask for it
        for column in ["stuck", "exits", "halt_exits"] {
            facts.missing(&name, column);
        }
        facts.text(&name, "state", if running { "running" } else { "paused" });
        match guest.ask("query-uuid")["UUID"].as_str().unwrap() {
            // who was given none
            "00000000-0000-0000-0000-000000000000" => facts.missing(&name, "uuid"),
            uuid => facts.text(&name, "uuid", uuid),
        }
        facts.text(&name, "monitor", "qemu");
    }
    facts
}

/// What the guest behind a tap received is what the tap sent.
fn nic_facts() -> Facts {
    let mut facts = Facts::default();
    for link in list(&said_json("ip", &["-j", "-s", "link", "show", "type", "tun"])) {
        let name = link["ifname"].as_str().unwrap();
        let count = |way: &str, what: &str| link["stats64"][way][what].as_f64().unwrap();
        facts.number(name, "index", link["ifindex"].as_f64().unwrap());
        for (column, way, what) in [
            ("rx_bytes", "tx", "bytes"),
            ("tx_bytes", "rx", "bytes"),
            ("rx_packets", "tx", "packets"),
            ("tx_packets", "rx", "packets"),
            ("rx_dropped", "tx", "dropped"),
            ("tx_dropped", "rx", "dropped"),
        ] {
            facts.number(name, column, count(way, what));
        }
        match link["master"].as_str() {
            Some(master) => facts.text(name, "bridge", master),
            None => facts.missing(name, "bridge"),
        }
    }
    facts
}

fn vcpu_facts(guests: &[&Guest]) -> Facts {
    let mut facts = Facts::default();
    for guest in guests {
        let name = guest.ask("query-name")["name"].as_str().unwrap().to_owned();
        for (index, thread) in guest.vcpus() {
            let key = format!("{name} {index}");
            let (run, delay) = guest.times(thread);
            let stat = guest.proc(&format!("task/{thread}/stat"));
            facts.number(&key, "thread", thread as f64);
            facts.number(&key, "cpu_time", run);
            facts.number(&key, "run_delay", delay);
            facts.number(&key, "last_cpu", field(&stat, 39));
        }
    }
    facts
}

/// What QEMU and `stat` say of the disks of a guest.
fn disk_facts(guest: &Guest) -> Facts {
    let mut facts = Facts::default();
    let counts = guest.ask("query-blockstats");
    for block in list(&guest.ask("query-block")) {
        let image = &block["inserted"]["image"];
        let path = image["filename"].as_str().unwrap();
        facts.text(path, "guest", guest.ask("query-name")["name"].as_str().unwrap());
        facts.text(path, "access", if block["inserted"]["ro"] == true { "ro" } else { "rw" });
        facts.text(path, "format", image["format"].as_str().unwrap());
        facts.number(path, "size", image["virtual-size"].as_f64().unwrap());
        facts.number(path, "used", image["actual-size"].as_f64().unwrap());
        let stats = &list(&counts).iter().find(|one| one["device"] == block["device"]).unwrap()["stats"];
        facts.text(path, "target", block["device"].as_str().unwrap());
        for (column, name, unit) in [
            ("read_bytes", "rd_bytes", 1.0),
            ("write_bytes", "wr_bytes", 1.0),
            ("reads", "rd_operations", 1.0),
            ("writes", "wr_operations", 1.0),
            ("flushes", "flush_operations", 1.0),
            ("read_time", "rd_total_time_ns", 1e9),
            ("write_time", "wr_total_time_ns", 1e9),
            ("flush_time", "flush_total_time_ns", 1e9),
        ] {
            facts.number(path, column, stats[name].as_f64().unwrap() / unit);
        }
        let device = said("stat", &["-c", "/sys/dev/block/%Hd:%Ld", path]);
        match std::fs::read_link(device.trim()) {
            Ok(target) => facts.text(path, "device", target.file_name().unwrap().to_str().unwrap()),
            Err(_) => facts.missing(path, "device"),
        }
    }
    facts
}

/// Runs where besides this test's guests nobody's processes are seen, with a network of its own.
fn alone(run: impl FnOnce(&Path) + Send) {
    space::alone(UnshareFlags::NEWNET, |_| {
        let dir = tempfile::tempdir().unwrap();
        run(dir.path());
    });
}

#[test]
fn root_guests_of_qemu_are_what_qemu_and_the_kernel_say_of_them() {
    in_own_network(|| {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        ip("link add br0 type bridge");
        ip("link set br0 up");
        for tap in ["tap-a", "tap-b"] {
            said("ip", &["tuntap", "add", tap, "mode", "tap"]);
            ip(&format!("link set {tap} up"));
        }
        ip("link set tap-a master br0");
        let nic = |name: &str| format!("tap,id=n,ifname={name},script=no,downscript=no");
        let busy = ["-name", "guest=busy,,1,debug-threads=on", "-m", "48", "-smp", "2", "-machine", "q35"];
        let uuid = ["-uuid", "c7a5fdbd-edaf-9455-926a-d65c16db1809"];
        let [one, other] = [nic("tap-a"), nic("tap-b")];
        let card = ["-device", "e1000,netdev=n", "-netdev"];
        let busy = Guest::boot(dir, "busy", Work::Spin, &[&busy[..], &uuid, &card, &[&*one]].concat());
        let idle = ["-name", "idle,debug-threads=on", "-m", "size=32M", "-smp", "cpus=1"];
        let idle = Guest::boot(dir, "idle", Work::Halt, &[&idle[..], &card, &[&*other]].concat());
        let held = Guest::boot(dir, "held", Work::Spin, &["-name", "held", "-m", "16", "-S"]);
        let guests = [&busy, &idle, &held];
        let _groups = guests.map(Grouped::new);

        let demanded = ["pss", "numa", "cpu_waited", "memory_waited", "io_waited", "exits", "halt_exits"];
        let mut table = Parity::of("vm", &["name"]).wanting(&demanded, &[]).asking();
        table.agrees(|| vm_facts(&guests));
        // the kernel of a guest accounts for guests of its own wrongly, so that what they ran is left to recorded trees
        table.left_out(&[
            "emulator_time",
            "guest_time",
            "io_time",
            "machine",
            "name",
            "rx_bytes",
            "rx_dropped",
            "rx_packets",
            "started",
            "tx_bytes",
            "tx_dropped",
            "tx_packets",
            "unit",
            "resident",
        ]);

        let mut table = Parity::of("vcpu", &["guest", "vcpu"]).wanting(&["guest_time", "last_cpu"], &[]);
        table.agrees(|| vcpu_facts(&[&busy, &idle]));
        table.left_out(&["guest", "guest_time", "pid", "start", "vcpu"]);

        let mut table = Parity::of("vm_nic", &["tap"]);
        table.agrees(nic_facts);
        // addresses: see `owner`
        table.left_out(&["addresses", "guest", "mac", "pid", "start", "tap", "vlan"]);
        let rows = table.rows();
        let cell =
            |row: usize, column: &str| rows.cell(row, rows.table().position(column).unwrap()).text().map(str::to_owned);
        let whose = |tap: &str| (0..rows.len()).find(|row| cell(*row, "tap").as_deref() == Some(tap));
        let guests = ["tap-a", "tap-b"].map(|tap| cell(whose(tap).unwrap(), "guest").unwrap());
        assert_eq!(guests, ["busy,1", "idle"]);
    });
}

/// Collectors that go on, as those of an agent do, and hear of each other.
pub(super) struct Going(Vec<Box<dyn Collect>>, Owners);

impl Going {
    pub(super) fn new(names: &[&str]) -> Self {
        let make = |name: &&str| (COLLECTORS.iter().find(|entry| entry.name == *name).unwrap().make)();
        Self(names.iter().map(make).collect(), Owners::default())
    }

    /// Rows of a table now.
    pub(super) fn rows(&mut self, table: &str) -> Arc<dyn Rows> {
        let (roots, wants) = (Roots::live(), Wants::default());
        let mut rows = None;
        for collector in &mut self.0 {
            let cx = Cx { roots: &roots, wants: &wants, owners: &self.1, time: Timestamp::now(), mono: Mono::now() };
            let mut batch = Batch::default();
            collector.collect(&cx, &mut batch).unwrap();
            batch.take_owned().into_iter().for_each(|owned| self.1.take(owned));
            rows = rows.or(batch.into_tables().into_iter().find(|(known, _)| known.name == table));
        }
        rows.unwrap().1.unwrap()
    }

    /// Name and state of each guest, with what keeps it.
    fn states(&mut self) -> Vec<(String, String)> {
        let rows = self.rows("vm");
        let cell = |row: usize, column: &str| {
            rows.cell(row, rows.table().position(column).unwrap()).text().unwrap_or_default().to_owned()
        };
        let state = |row: usize| format!("{} {}", cell(row, "state"), cell(row, "stuck")).trim_end().to_owned();
        (0..rows.len()).map(|row| (cell(row, "name"), state(row))).collect()
    }

    fn reaches(&mut self, want: &[(&str, &str)]) {
        let want: Vec<_> = want.iter().map(|(name, state)| ((*name).to_owned(), (*state).to_owned())).collect();
        let end = Instant::now() + PATIENT;
        loop {
            let states = self.states();
            if states == want {
                return;
            }
            assert!(Instant::now() < end, "{states:?}, not {want:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn root_a_guest_that_is_paused_stopped_or_killed_is_shown_so() {
    alone(|dir| {
        let mut going = Going::new(&["vm"]);
        going.reaches(&[]);
        let held = Guest::boot(dir, "one", Work::Spin, &["-name", "one,debug-threads=on", "-m", "16", "-S"]);
        going.reaches(&[("one", "paused")]);
        held.ask("cont");
        going.reaches(&[("one", "running")]);
        held.ask("stop");
        going.reaches(&[("one", "paused")]);
        held.ask("cont");
        going.reaches(&[("one", "running")]);
        held.signal(Signal::STOP);
        going.reaches(&[("one", "stuck signal")]);
        held.signal(Signal::CONT);
        let other = Guest::boot(dir, "two", Work::Halt, &["-name", "two", "-m", "16"]);
        going.reaches(&[("one", "running"), ("two", "running")]);
        drop(held);
        going.reaches(&[("two", "running")]);
        drop(other);
        going.reaches(&[]);
    });
}

#[test]
fn root_a_guest_whose_monitor_falls_silent_is_stuck_and_one_whose_monitor_somebody_talks_to_is_not() {
    // control groups are seen where the network is not an own one
    space::alone(UnshareFlags::empty(), |_| {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut going = Going::new(&["vm", "vm_monitor"]);
        let frozen = Guest::boot(dir, "frozen", Work::Spin, &["-name", "frozen,debug-threads=on", "-m", "16"]);
        let held = Guest::boot(dir, "held", Work::Spin, &["-name", "held", "-m", "16", "-S"]);
        let group = Grouped::new(&frozen);
        going.reaches(&[("frozen", "running"), ("held", "paused")]);
        // it serves one at a time
        let client = held.connect();
        let before = going.1.monitors.clone();
        assert!(before.values().all(|monitor| !monitor.is_silent && monitor.status.is_some()), "{before:?}");
        group.freeze(true);
        going.reaches(&[("frozen", "stuck monitor"), ("held", "paused")]);
        assert!(going.1.monitors.values().any(|monitor| monitor.is_silent && monitor.status.is_none()));
        group.freeze(false);
        going.reaches(&[("frozen", "running"), ("held", "paused")]);
        drop(client);
        wait_until("both to say something", || {
            let _ = going.states();
            going.1.monitors.values().filter(|monitor| monitor.status.is_some()).count() == 2
        });
    });
}

#[test]
fn root_a_guest_whose_name_is_not_on_its_command_line_is_called_as_qemu_says() {
    alone(|dir| {
        let config = dir.join("config");
        std::fs::write(&config, "[name]\n  guest = \"of a file\"\n").unwrap();
        let uuid = "type=1,uuid=C7A5FDBD-edaf-9455-926a-d65c16db1810";
        let args = ["-readconfig", config.to_str().unwrap(), "-smbios", uuid, "-m", "16"];
        let guest = Guest::boot(dir, "plain", Work::Halt, &args);
        Parity::of("vm", &["monitor"]).asking().agrees(|| {
            let (mut facts, said) = (Facts::default(), |command: &str, key: &str| guest.ask(command)[key].clone());
            facts.text("qemu", "name", said("query-name", "name").as_str().unwrap());
            facts.text("qemu", "uuid", said("query-uuid", "UUID").as_str().unwrap());
            facts
        });
    });
}

/// Numbers of KVM for a virtual CPU, summed up, as QEMU says.
fn stats(guest: &Guest, name: &str) -> f64 {
    let asked = serde_json::json!({"target": "vcpu", "providers": [{"provider": "kvm", "names": [name]}]});
    let said = guest.tell("query-stats", &asked);
    let value = |one: &serde_json::Value| one["stats"][0]["value"].as_f64().unwrap();
    list(&said).iter().map(value).sum()
}

/// Reasons that are compared; what else there is depends on the machine.
const REASONS: [&str; 5] = ["halt", "io", "mmio", "signal", "irq_window"];

fn exit_facts(guest: &Guest) -> Facts {
    let (mut facts, count) = (Facts::default(), |name: &str| stats(guest, name));
    facts.number("all all", "exits", count("exits"));
    for reason in REASONS {
        facts.number(&format!("all {reason}"), "exits", count(&format!("{reason}_exits")));
    }
    // there is one
    facts.number("0 all", "exits", count("exits"));
    facts
}

#[test]
fn root_exits_of_a_guest_are_those_that_kvm_counts_whoever_tells_them() {
    let name = &format!("exits{}", std::process::id());
    space::within(UnshareFlags::empty(), || {
        let dir = tempfile::tempdir().unwrap();
        let guest = Guest::boot(dir.path(), "exits", Work::Halt, &["-name", name, "-m", "16"]);
        let mut exits = Parity::of("vm_exit", &["vcpu", "reason"]).asking();
        exits = exits.wanting(&[], &[Value::U64(guest.pid.into())]);
        exits.agrees(|| exit_facts(&guest));
        exits.left_out(&["guest", "pid", "reason", "start", "vcpu"]);
        // debugfs counts the same, or a kernel that is locked down does not show it
        space::mount("debugfs", Path::new("/sys/kernel/debug"), "debugfs", 0, "");
        exits.agrees(|| exit_facts(&guest));
    });
}

#[test]
fn root_virtual_cpus_whose_threads_have_no_names_are_found_by_what_they_wait_in() {
    alone(|dir| {
        let guest = Guest::boot(dir, "plain", Work::Halt, &["-name", "plain", "-m", "16", "-smp", "3"]);
        let mut going = Going::new(&["vm"]);
        let end = Instant::now() + PATIENT;
        loop {
            let rows = going.rows("vcpu");
            let number = |row, column| rows.cell(row, rows.table().position(column).unwrap()).number().unwrap() as u64;
            let found: Vec<_> = (0..rows.len()).map(|row| (number(row, "vcpu"), number(row, "thread"))).collect();
            let known: std::collections::BTreeMap<u64, u64> = found.iter().copied().collect();
            let said = guest.vcpus();
            assert!(found.iter().all(|one| said.contains(one)), "{found:?}, {said:?}");
            if known.len() == said.len() {
                return;
            }
            assert!(Instant::now() < end, "{found:?}, {said:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}

#[test]
fn root_disks_of_a_guest_are_what_qemu_says_of_them() {
    alone(|dir| {
        let create = |name: &str, format: &str, size: &str| {
            let path = dir.join(name).into_os_string().into_string().unwrap();
            said("qemu-img", &["create", "-q", "-f", format, &path, size]);
            path
        };
        let [data, scratch, cd] = [("data.qcow2", "qcow2", "1G"), ("my, disk", "raw", "3M"), ("cd.iso", "raw", "1M")]
            .map(|(a, b, c)| create(a, b, c));
        std::fs::OpenOptions::new().append(true).open(&scratch).unwrap().write_all(&vec![1; 1 << 16]).unwrap();
        let drive = |path: &str, more: &str| format!("file={},{more}", path.replace(',', ",,"));
        let [data, scratch, cd] = [
            drive(&data, "format=qcow2,if=ide"),
            drive(&scratch, "format=raw,if=ide"),
            drive(&cd, "format=raw,media=cdrom,if=ide"),
        ];
        let memory = format!("memory-backend-file,id=ram,size=16M,share=on,mem-path={}/ram", dir.display());
        let args = ["-name", "disks", "-m", "16", "-object", &memory, "-machine", "pc,memory-backend=ram"];
        let drives = ["-drive", &data, "-drive", &scratch, "-drive", &cd, "-D", &format!("{}/log", dir.display())];
        let guest = Guest::boot(dir, "disks", Work::Disk, &[&args[..], &drives].concat());
        let mut table = Parity::of("vm_disk", &["path"]).asking();
        table.agrees(|| disk_facts(&guest));
        table.left_out(&["path", "pid", "start", "filled"]);
        assert_eq!(table.keys().len(), 4, "memory, log and pid file are no disks: {:?}", table.keys());
    });
}

#[test]
fn root_a_monitor_that_does_not_answer_lacks_what_it_would_say_and_nothing_else() {
    alone(|dir| {
        let silent = Guest::boot(dir, "silent", Work::Disk, &["-name", "silent", "-m", "16"]);
        let fine = Guest::boot(dir, "fine", Work::Disk, &["-name", "fine", "-m", "16"]);
        wait_until("reads", || silent.ask("query-blockstats")[0]["stats"]["rd_operations"].as_u64() > Some(9));
        silent.signal(Signal::STOP);
        let mut disks = Parity::of("vm_disk", &["guest"]).asking();
        disks.agrees(|| {
            let (mut facts, counts) = (Facts::default(), fine.ask("query-blockstats"));
            facts.number("fine", "reads", counts[0]["stats"]["rd_operations"].as_f64().unwrap());
            for column in ["target", "reads", "read_bytes", "read_time"] {
                facts.missing("silent", column);
            }
            facts.number("silent", "size", f64::from(1 << 20));
            facts
        });
        // it has room for a few who wait
        let (told, why) = (disks.partly(), ["it says nothing", "it accepts nobody"]);
        assert!(told.len() == 1 && why.iter().any(|why| told[0].ends_with(&format!("silent.qmp: {why}"))), "{told:?}");
    });
}
