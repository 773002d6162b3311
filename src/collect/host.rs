//! What machine is this?

use std::time::Duration;

use super::{Batch, Collect, Cx, Entry, Skip};
use crate::model::{Mono, Text, Timestamp};
use crate::source::agent;
use crate::source::file::Roots;
use crate::source::hypervisor::named_by_cpu;
use crate::source::stat;
use crate::table;

table! {
    /// The machine itself. What the platform does not say is missing.
    ///
    /// Source: `Documentation/admin-guide/sysctl/kernel.rst`, `/proc/cpuinfo`, `/proc/stat`, `/sys/class/dmi/id`,
    /// `/sys/hypervisor`, CPUID, os-release(5).
    pub struct HostRow = "host" { shape: Shape::Single, title: Some("Host") } {
        /// Name that the machine has given itself.
        Text(None) hostname: Text { label: true },
        /// Release of the running kernel.
        Text(None) kernel: Text,
        /// Distribution with its version.
        Text(None) distribution: Option<Text>,
        /// Instruction set of the kernel.
        Text(None) architecture: Option<Text>,
        /// Model of the first CPU.
        Text(None) cpu_model: Option<Text> { title: Some("CPU") },
        /// Hypervisor that this machine is a guest of; `vm-other` if that does not name itself, `none` if there is none.
        Text(None) virtualization: Option<Text>,
        /// Manager of the container that this runs in.
        Text(None) container: Option<Text> { wide: true },
        /// Maker and model of the machine.
        Text(None) hardware: Option<Text> { wide: true },
        /// When the kernel was started.
        Gauge(None) boot: Option<Timestamp>,
        /// Time since then, suspended time included, when this row was taken.
        Gauge(Seconds) uptime: Option<Duration> { wide: true },
        /// Whether an agent of netglance runs on it, in the network namespace of the reader.
        Gauge(None) agent: Option<bool>,
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "host",
    tables: &[HostRow::TABLE],
    interval: Duration::from_secs(10),
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<HostCollector>::default(),
};

/// How often what hardly ever changes is read again.
const LOOK_EVERY: f64 = 300.0;

#[derive(Default)]
struct HostCollector {
    fixed: Option<(Mono, Fixed)>,
}

/// What hardly ever changes.
#[derive(Clone)]
struct Fixed {
    distribution: Option<Text>,
    architecture: Option<Text>,
    cpu_model: Option<Text>,
    virtualization: Option<Text>,
    container: Option<Text>,
    hardware: Option<Text>,
    boot: Option<Timestamp>,
}

impl Collect for HostCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let fixed = match &self.fixed {
            Some((taken, fixed)) if cx.mono.since(*taken) < LOOK_EVERY => fixed.clone(),
            _ => {
                let fixed = look(cx.roots);
                self.fixed = Some((cx.mono, fixed.clone()));
                fixed
            }
        };
        let line = |path| cx.roots.proc.text(path).map(|text| Text::from(text.trim()));
        let uptime = cx.roots.proc.text("uptime").ok();
        out.push(vec![HostRow {
            hostname: line("sys/kernel/hostname")?,
            kernel: line("sys/kernel/osrelease")?,
            distribution: fixed.distribution,
            architecture: fixed.architecture,
            cpu_model: fixed.cpu_model,
            virtualization: fixed.virtualization,
            container: fixed.container,
            hardware: fixed.hardware,
            boot: fixed.boot,
            uptime: uptime.as_deref().and_then(seconds),
            agent: cx.roots.live.then(agent::runs).flatten(),
        }]);
        Ok(())
    }
}

fn look(roots: &Roots) -> Fixed {
    let info = roots.proc.text("cpuinfo").ok();
    let info = info.as_deref();
    let dmi = |name: &str| line(roots.sys.text(format!("class/dmi/id/{name}")).ok());
    let (maker, model) = (dmi("sys_vendor"), dmi("product_name"));
    let architecture = line(roots.proc.text("sys/kernel/arch").ok())
        .or_else(|| roots.live.then(|| rustix::system::uname().machine().to_string_lossy().into_owned()));
    let release = roots.host.text("etc/os-release").or_else(|_| roots.host.text("usr/lib/os-release")).ok();
    let hypervisor = line(roots.sys.text("hypervisor/type").ok());
    let cpu = || if roots.live { named_by_cpu() } else { None };
    Fixed {
        distribution: release.as_deref().and_then(distribution),
        architecture: architecture.map(Text::from),
        cpu_model: info.and_then(cpu_model),
        virtualization: virtualization(hypervisor, maker.as_deref(), model.as_deref(), info, cpu),
        container: container(roots),
        hardware: match (maker, model) {
            (Some(maker), Some(model)) => Some(Text::from(format!("{maker} {model}"))),
            (maker, model) => maker.or(model).map(Text::from),
        },
        boot: roots.proc.text("stat").ok().and_then(|text| boot(&text)),
    }
}

fn line(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.split_ascii_whitespace().next()?.parse().ok()?).ok()
}

fn boot(text: &str) -> Option<Timestamp> {
    let seconds = i64::try_from(stat::totals(text).boot?).ok()?;
    seconds.checked_mul(1_000_000_000).map(Timestamp)
}

/// `PRETTY_NAME` of os-release(5), or name and version.
fn distribution(text: &str) -> Option<Text> {
    let field = |name: &str| {
        let (_, value) = text.lines().filter_map(|line| line.split_once('=')).find(|(known, _)| *known == name)?;
        Some(value.trim().trim_matches(['"', '\''])).filter(|value| !value.is_empty())
    };
    match (field("PRETTY_NAME"), field("NAME"), field("VERSION_ID")) {
        (Some(pretty), ..) => Some(Text::from(pretty)),
        (None, Some(name), Some(version)) => Some(Text::from(format!("{name} {version}"))),
        (None, name, _) => name.map(Text::from),
    }
}

/// Each architecture has its own word for it.
const MODEL_NAMES: [&str; 6] = ["model name", "cpu model", "cpu", "Processor", "Model", "Hardware"];

fn cpu_model(info: &str) -> Option<Text> {
    let found = MODEL_NAMES.iter().find_map(|name| field(info, name))?;
    Some(Text::from(found.split_ascii_whitespace().collect::<Vec<_>>().join(" ")))
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let lines = info.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(known, value)| (known.trim(), value.trim())).find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// Words in the machine's maker or model, and the hypervisor they stand for.
const HYPERVISORS: [(&str, &str); 11] = [
    ("QEMU", "kvm"),
    ("KVM", "kvm"),
    ("VMware", "vmware"),
    ("VirtualBox", "virtualbox"),
    ("innotek", "virtualbox"),
    ("Xen", "xen"),
    ("Virtual Machine", "hyper-v"),
    ("Parallels", "parallels"),
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
    ("OpenStack", "openstack"),
];

fn virtualization(
    hypervisor: Option<String>,
    maker: Option<&str>,
    model: Option<&str>,
    info: Option<&str>,
    cpu: impl FnOnce() -> Option<&'static str>,
) -> Option<Text> {
    if let Some(hypervisor) = hypervisor {
        return Some(Text::from(hypervisor));
    }
    let flags = info.and_then(|info| field(info, "flags"));
    let guest = flags.map(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"));
    let by_name = HYPERVISORS.iter().find(|(word, _)| [maker, model].iter().flatten().any(|name| name.contains(word)));
    let by_name = by_name.map(|(_, name)| *name);
    match (guest, by_name) {
        // a cloud's bare metal carries the cloud's name as well
        (Some(false), _) => Some(Text::from("none")),
        // QEMU's firmware names QEMU with and without KVM; a microVM has no firmware
        (Some(true), None | Some("kvm")) => Some(Text::from(cpu().or(by_name).unwrap_or("vm-other"))),
        (_, Some(name)) => Some(Text::from(name)),
        // other architectures have no such flag
        (None, None) => None,
    }
}

fn container(roots: &Roots) -> Option<Text> {
    let written = ["run/systemd/container", "run/host/container-manager"];
    let named = written.iter().find_map(|path| line(roots.host.text(path).ok()));
    let marked = [(".dockerenv", "docker"), ("run/.containerenv", "podman")];
    let mark = || marked.iter().find(|(path, _)| roots.host.join(path).exists()).map(|(_, name)| (*name).to_owned());
    named.or_else(mark).map(Text::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::{Tree, render, run};

    #[test]
    fn distributions_are_named_as_they_name_themselves() {
        let name = |text| distribution(text).map(|name| name.to_string());
        assert_eq!(name("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n").as_deref(), Some("Debian GNU/Linux 12"));
        assert_eq!(name("NAME='OpenWrt'\nVERSION_ID=23.05\n").as_deref(), Some("OpenWrt 23.05"));
        assert_eq!(name("# nothing\n"), None);
    }

    #[test]
    fn a_guest_a_host_and_a_machine_that_does_not_say_differ() {
        let of = |maker, info| virtualization(None, maker, None, info, || None).map(|name| name.to_string());
        assert_eq!(of(Some("QEMU"), Some("flags\t: fpu hypervisor")).as_deref(), Some("kvm"));
        assert_eq!(of(None, Some("flags\t: fpu hypervisor")).as_deref(), Some("vm-other"));
        assert_eq!(of(Some("Amazon EC2"), Some("flags\t: fpu")).as_deref(), Some("none"));
        assert_eq!(of(None, Some("Features\t: fp asimd")), None);
        assert_eq!(virtualization(Some("xen".to_owned()), None, None, None, || None).as_deref(), Some("xen"));
        let by_cpu = |maker| virtualization(None, maker, None, Some("flags\t: hypervisor"), || Some("qemu"));
        assert_eq!(by_cpu(None).as_deref(), Some("qemu"));
        assert_eq!(by_cpu(Some("QEMU")).as_deref(), Some("qemu"), "without KVM");
        assert_eq!(by_cpu(Some("Amazon EC2")).as_deref(), Some("amazon"));
    }

    #[test]
    fn a_hostile_hostname_is_made_visible() {
        let tree =
            Tree::new(&[("proc/sys/kernel/hostname", "a\u{1b}[2Jb\n"), ("proc/sys/kernel/osrelease", "4.19.0\n")]);
        assert_eq!(tree.table(&ENTRY, HostRow::TABLE), "hostname=a\\x1b[2Jb kernel=4.19.0\n");
    }

    #[test]
    fn the_live_host_is_what_uname_says() {
        let batch = run(&mut HostCollector::default(), &Roots::live()).unwrap();
        let text = render(&**batch.rows(HostRow::TABLE).unwrap());
        let uname = rustix::system::uname();
        let (name, release) = (uname.nodename().to_string_lossy(), uname.release().to_string_lossy());
        assert!(text.starts_with(&format!("hostname={name} kernel={release} ")), "{text}");
        assert!(text.contains(&format!("architecture={}", uname.machine().to_string_lossy())), "{text}");
    }
}
