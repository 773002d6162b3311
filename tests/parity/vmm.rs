//! Guests of other programs than QEMU, and programs whose process numbers are used again.

use std::path::{Path, PathBuf};
use std::process::Command;

use netglance::model::{HistoryAsk, Kind, Mono, Sample, Timestamp};
use netglance::store::history::History;
use netglance::store::rate::{Mode, View};
use rustix::thread::UnshareFlags;
use rustix::time::{ClockId, clock_gettime};

use super::guest::Going;
use super::support::ring::wait_until;
use super::support::space::alone;
use super::support::vmm::{Does, Shape, Vmm};

/// A scope of systemd-machined, made by hand, which outlives who is in it.
struct Scope(PathBuf);

impl Scope {
    fn new(name: &str) -> Self {
        let unified = Path::new("/sys/fs/cgroup/unified");
        let top = if unified.exists() { unified } else { Path::new("/sys/fs/cgroup") };
        let scope = top.join("machine.slice").join(name);
        std::fs::create_dir_all(&scope).unwrap();
        Self(scope)
    }

    fn take(&self, vmm: &Vmm) {
        std::fs::write(self.0.join("cgroup.procs"), vmm.outside()).unwrap();
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
        // another one may be in it
        let _ = std::fs::remove_dir(self.0.parent().unwrap());
    }
}

/// What the program shows of guests, by their names.
fn shown(columns: &[&str]) -> Vec<(String, Vec<String>)> {
    let output =
        Command::new(env!("CARGO_BIN_EXE_netglance")).args(["show", "vm", "--format", "json"]).output().unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |cell: &serde_json::Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    let row = |row: &serde_json::Value| {
        (text(&row["name"]), columns.iter().map(|column| text(&row[*column])).collect::<Vec<_>>())
    };
    let mut rows: Vec<_> = rows.as_array().unwrap().iter().map(row).collect();
    rows.sort();
    rows
}

#[test]
fn root_guests_of_any_program_are_shown_with_their_names_and_what_they_do() {
    // control groups are seen where the network is not an own one
    alone(UnshareFlags::empty(), |_| {
        let units = [r"machine-qemu\x2d1\x2dof\x2dlibvirt.scope", r"machine-qemu\x2d2\x2dof\x2dscope.scope"];
        let scopes = units.map(Scope::new);
        let start = |comm: &str, command: &[&str], vcpus: &[&str], does| {
            Vmm::start(&Shape { comm, command, vcpus, does, tap: None, number: None })
        };
        let fire = ["/usr/bin/firecracker", "--id", "of-fire", "--api-sock", "/run/firecracker.socket"];
        let fire = start("firecracker", &fire, &["fc_vcpu 0", "fc_vcpu 1"], Does::Halt);
        let cloud = ["cloud-hypervisor", "--api-socket", "path=/run/of-cloud.sock", "--cpus", "boot=1"];
        let cloud = start("cloud-hyperviso", &[&cloud[..], &["--memory", "size=1G"]].concat(), &["vcpu0"], Does::Spin);
        let libvirt = ["/usr/bin/qemu-system-x86_64", "-name", "guest=of-libvirt,debug-threads=on", "-S"];
        let libvirt = start("qemu-system-x86", &libvirt, &["CPU 0/KVM"], Does::Wait);
        let named = start("qemu-kvm", &["/usr/libexec/qemu-kvm", "-S"], &["CPU 0/KVM"], Does::Halt);
        let own = start("my-vmm", &["./my-vmm", "--id", "7"], &["one", "two"], Does::Halt);
        scopes[0].take(&libvirt);
        scopes[1].take(&named);

        let columns = ["pid", "monitor", "state", "vcpus", "memory_size", "unit"];
        let is = |name: &str, vmm: &Vmm, cells: [&str; 5]| {
            let pid = vmm.pid.to_string();
            let cells = [&[&*pid][..], &cells].concat();
            (name.to_owned(), cells.into_iter().map(str::to_owned).collect())
        };
        let want: Vec<(String, Vec<String>)> = vec![
            is(&format!("my-vmm {}", own.pid), &own, ["my-vmm", "running", "2", "null", "null"]),
            is("of-cloud", &cloud, ["cloud-hypervisor", "running", "1", "1073741824", "null"]),
            is("of-fire", &fire, ["firecracker", "running", "2", "null", "null"]),
            is("of-libvirt", &libvirt, ["qemu", "paused", "1", "null", units[0]]),
            is("of-scope", &named, ["qemu", "running", "1", "null", units[1]]),
        ];
        assert_eq!(shown(&columns), want);
        drop(cloud);
        let left: Vec<String> = shown(&[]).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            left.iter().map(String::as_str).collect::<Vec<_>>(),
            [&want[0].0, "of-fire", "of-libvirt", "of-scope"]
        );
    });
}

/// Ticks since boot.
fn ticks() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 100 + now.tv_nsec as u64 / 10_000_000
}

/// CPU time of a process in ticks, and its start.
fn used(pid: u32) -> (u64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let field = |number: usize| fields[number - 3].parse::<u64>().unwrap();
    (field(14) + field(15), field(22))
}

#[test]
fn root_a_guest_whose_process_number_is_used_again_has_no_past_of_the_one_before() {
    const NUMBER: u32 = 4242;
    alone(UnshareFlags::empty(), |_| {
        let start = |name: &str, does| {
            let command = ["firecracker", "--id", name];
            let number = Some(NUMBER);
            Vmm::start(&Shape {
                comm: "firecracker",
                command: &command,
                vcpus: &["fc_vcpu 0"],
                does,
                tap: None,
                number,
            })
        };
        let mut going = Going::new(&["vm"]);
        let (mut history, mut before) = (History::default(), None::<Sample>);
        // a sample as the store has it: remembered, and told with rates since the one before
        let mut sample = || {
            let now = Sample { rows: going.rows("vm"), time: Timestamp::now(), mono: Mono::now() };
            let view = View::new(&now, before.replace(now.clone()).as_ref(), Mode::Rate);
            history.record(&view);
            view
        };
        let first = start("first", Does::Halt);
        assert_eq!(first.pid, NUMBER);
        let views = [sample(), sample()];
        let (_, begin) = used(NUMBER);
        let table = views[0].raw().table();
        let column = |name: &str| table.position(name).unwrap();
        let counters: Vec<usize> =
            (0..table.columns.len()).filter(|at| table.columns[*at].kind == Kind::Counter).collect();
        let rates = |view: &View| counters.iter().filter(|at| view.rate(0, **at).is_some()).count();
        let name = |view: &View| view.cell(0, column("name")).text().map(str::to_owned);
        assert!(views[0].len() == 1 && rates(&views[0]) == 0 && rates(&views[1]) > 5, "{}", rates(&views[1]));
        let old = views[1].key(0);

        drop(first);
        wait_until("another tick", || ticks() > begin + 1);
        let second = start("second", Does::Spin);
        let (_, start) = used(second.pid);
        assert!(second.pid == NUMBER && start > begin, "{start} after {begin}");
        // what it has counted is more than the other one had
        wait_until("CPU time", || used(NUMBER).0 > 20);
        let mut view = sample();
        if view.is_empty() {
            view = sample();
        }
        assert_eq!((view.len(), name(&view).as_deref()), (1, Some("second")));
        assert_eq!(rates(&view), 0, "there is no sample of it before");
        let new = view.key(0);
        assert_ne!(old, new);
        let view = sample();
        assert!(rates(&view) > 5);
        let cpu = view.rate(0, column("cpu_time")).unwrap();
        assert!(cpu < 2.0, "{cpu} of one virtual CPU");

        let mut past = |key, column: &str| history.series(&HistoryAsk::all("vm", column, key)).unwrap().points;
        let [ended, begun] = [&old, &new].map(|key| past(key.clone(), "rss"));
        let end = ended.iter().filter(|point| !point.is_gap()).map(|point| point.time).max().unwrap();
        assert!(begun.iter().filter(|point| !point.is_gap()).all(|point| point.time > end), "{ended:?}, {begun:?}");
    });
}
