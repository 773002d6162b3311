//! Guests of libvirt: what `virsh domstats` says of them.

use std::path::Path;
use std::process::{Command, Stdio};

use rustix::thread::UnshareFlags;

use super::bracket::{Facts, Parity};
use super::said;
use super::support::process::Guard;
use super::support::qemu::Work;
use super::support::ring::wait_until;
use super::support::space::{mount, within};

/// Who libvirt would be, where packages have not made that user.
const USERS: [(&str, &str); 2] = [
    ("/etc/passwd", "libvirt-qemu:x:64055:64055::/:/bin/false\n"),
    ("/etc/group", "libvirt-qemu:x:64055:\nkvm:x:64056:\n"),
];

const DAEMON: &str = "listen_tls = 0\nauth_unix_ro = \"none\"\nauth_unix_rw = \"none\"\n";

/// It may do all by itself, without what a whole system has.
const QEMU: &str = "user = \"root\"\ngroup = \"root\"\nsecurity_driver = \"none\"\ncgroup_controllers = []\nnamespaces = []\n\
    stdio_handler = \"file\"\n";

/// A daemon with places of its own; the caller has mounts and a network of its own.
fn libvirt(dir: &Path) -> Guard {
    for place in ["/run", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt", "/etc/libvirt"] {
        std::fs::create_dir_all(place).unwrap();
        mount("tmpfs", Path::new(place), "tmpfs", 0, "mode=0755");
    }
    for (file, line) in USERS {
        let own = dir.join(file.rsplit('/').next().unwrap());
        std::fs::write(&own, std::fs::read_to_string(file).unwrap() + line).unwrap();
        mount(own.to_str().unwrap(), Path::new(file), "none", libc::MS_BIND, "");
    }
    std::fs::write("/etc/libvirt/libvirtd.conf", DAEMON).unwrap();
    std::fs::write("/etc/libvirt/qemu.conf", QEMU).unwrap();
    let daemon =
        Guard::start(Command::new("libvirtd").arg("--config").arg("/etc/libvirt/libvirtd.conf").stderr(Stdio::null()));
    wait_until("libvirt", || {
        Command::new("virsh").args(["-r", "-c", "qemu:///system", "list"]).output().unwrap().status.success()
    });
    daemon
}

fn virsh(words: &str) -> String {
    said("virsh", &[&["-q", "-c", "qemu:///system"], &*words.split(' ').collect::<Vec<_>>()].concat())
}

/// A guest that ends with the test.
struct Domain(&'static str);

impl Drop for Domain {
    fn drop(&mut self) {
        let _ = Command::new("virsh").args(["-q", "-c", "qemu:///system", "destroy", self.0]).output();
    }
}

/// Starts a guest with a disk, and with what others than libvirt have to say of it.
fn start(dir: &Path, name: &'static str, work: Work, metadata: &str) -> Domain {
    let disk = dir.join(format!("{name}.img"));
    std::fs::write(&disk, work.sector()).unwrap();
    let domain = format!(
        "<domain type='kvm'><name>{name}</name><metadata>{metadata}</metadata><memory unit='MiB'>32</memory><vcpu>1</vcpu>\
         <os><type arch='x86_64' machine='pc'>hvm</type></os><devices><emulator>/usr/bin/qemu-system-x86_64</emulator>\
         <disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='{}'/>\
         <target dev='hda' bus='ide'/></disk><memballoon model='virtio'/></devices></domain>",
        disk.display()
    );
    let file = dir.join(format!("{name}.xml"));
    std::fs::write(&file, domain).unwrap();
    virsh(&format!("create {}", file.display()));
    Domain(name)
}

/// What `virsh` says of a guest, by the name of each number.
fn stats(name: &str) -> impl Fn(&str) -> String {
    let text = virsh(&format!("domstats {name} --raw"));
    let value = move |key: &str| {
        text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
    };
    move |key| value(key).unwrap_or_else(|| panic!("{key}"))
}

#[test]
fn root_guests_of_libvirt_are_what_it_says_of_them_and_their_monitors_are_left_alone() {
    within(UnshareFlags::NEWNET, || {
        let dir = tempfile::tempdir().unwrap();
        let _daemon = libvirt(dir.path());
        let _guests = [("of-libvirt", Work::Disk), ("of-libvirt-held", Work::Halt)]
            .map(|(name, work)| start(dir.path(), name, work, ""));
        virsh("suspend of-libvirt-held");
        Parity::of("vm_disk", &["guest"]).asking().agrees(|| {
            let mut facts = Facts::default();
            for name in ["of-libvirt", "of-libvirt-held"] {
                let stat = stats(name);
                let number = |key: &str| stat(&format!("block.0.{key}")).parse::<f64>().unwrap();
                facts.text(name, "target", &stat("block.0.name"));
                facts.text(name, "path", &stat("block.0.path"));
                for (column, key, unit) in [
                    ("size", "capacity", 1.0),
                    ("reads", "rd.reqs", 1.0),
                    ("read_bytes", "rd.bytes", 1.0),
                    ("read_time", "rd.times", 1e9),
                    ("writes", "wr.reqs", 1.0),
                    ("write_bytes", "wr.bytes", 1.0),
                    ("write_time", "wr.times", 1e9),
                    ("flushes", "fl.reqs", 1.0),
                    ("flush_time", "fl.times", 1e9),
                ] {
                    facts.number(name, column, number(key) / unit);
                }
            }
            facts
        });
        Parity::of("vm", &["name"]).asking().agrees(|| {
            let mut facts = Facts::default();
            for (name, status) in [("of-libvirt", "running"), ("of-libvirt-held", "paused")] {
                facts.text(name, "status", status);
                facts.text(name, "uuid", virsh(&format!("domuuid {name}")).trim());
                facts.number(name, "balloon", stats(name)("balloon.current").parse::<f64>().unwrap() * 1024.0);
            }
            facts
        });
    });
}

/// What Nova has written of a guest.
const NOVA: &str = "<nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>\
    <nova:package version='26.1.0'/><nova:name>web &amp; &lt;mail&gt;</nova:name></nova:instance>";

#[test]
fn root_a_guest_of_nova_is_called_as_its_owner_has_called_it() {
    within(UnshareFlags::NEWNET, || {
        let dir = tempfile::tempdir().unwrap();
        let _daemon = libvirt(dir.path());
        let guests = [("instance-0000002a", NOVA), ("instance-0000002b", "")];
        let _guests = guests.map(|(name, metadata)| start(dir.path(), name, Work::Halt, metadata));
        Parity::of("vm", &["uuid"]).asking().agrees(|| {
            let mut facts = Facts::default();
            let uuid = |name: &str| virsh(&format!("domuuid {name}")).trim().to_owned();
            // libvirt writes an element of others anew
            let said = virsh("metadata instance-0000002a --uri http://openstack.org/xmlns/libvirt/nova/1.1");
            let name = said.split_once("<name>").unwrap().1.split_once("</name>").unwrap().0;
            let name = name.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
            facts.text(&uuid("instance-0000002a"), "name", &name);
            facts.text(&uuid("instance-0000002b"), "name", "instance-0000002b");
            facts
        });
    });
}
