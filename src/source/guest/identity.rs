//! What was a virtual machine monitor told on its command line?
//!
//! The arguments are those of a stranger: each is understood or left out, and nothing of them is trusted further. QEMU writes
//! `key=value` lists separated by commas, in which a comma of a value stands twice; the others take plain options.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::process::parse;

/// Arguments that are looked at; libvirt gives a guest of many disks some hundreds.
const MAX_ARGUMENTS: usize = 4096;

/// What a guest is, as far as its command line and its control group tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// The program without its directory: `qemu`, `firecracker`, `cloud-hypervisor`, `crosvm`, or what it is called.
    pub monitor: Vec<u8>,
    /// Name that its administrator gave it.
    pub name: Option<Vec<u8>>,
    /// Whether its command line or its control group say that name, which else follows from where it may be asked.
    pub is_named: bool,
    /// UUID that its command line says, in small letters.
    pub uuid: Option<Vec<u8>>,
    /// Machine type.
    pub machine: Option<Vec<u8>>,
    /// Virtual CPUs at start.
    pub vcpus: Option<u64>,
    /// Bytes of memory at start.
    pub memory: Option<u64>,
    /// Paths of sockets on which it may be asked, in the order of the command line.
    pub sockets: Vec<Vec<u8>>,
    /// Paths of sockets on which QEMU listens for QMP.
    pub monitors: Vec<Vec<u8>>,
    /// Paths of files that it has open for something else than a disk: memory, the number of its process.
    pub others: Vec<Vec<u8>>,
}

/// Programs of virtual machine monitors, by the beginning of their name.
const MONITORS: &[(&[u8], &str)] = &[
    (b"qemu", "qemu"),
    (b"kvm", "qemu"),
    (b"firecracker", "firecracker"),
    (b"cloud-hypervisor", "cloud-hypervisor"),
    (b"cloud-hyperviso", "cloud-hypervisor"),
    (b"crosvm", "crosvm"),
];

/// The monitor that a program or a task name belongs to, if it is one of those that are known.
pub fn monitor(name: &[u8]) -> Option<&'static str> {
    MONITORS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, monitor)| *monitor)
}

impl Identity {
    /// Reads a command line as `/proc/PID/cmdline` has it, and a path as [`parse::cgroup`] gives it.
    pub fn of(cmdline: &[u8], comm: &[u8], cgroup: Option<&[u8]>) -> Self {
        let arguments: Vec<&[u8]> = cmdline.split(|byte| *byte == 0).take(MAX_ARGUMENTS).collect();
        let program = arguments.first().and_then(|path| path.rsplit(|byte| *byte == b'/').next()).unwrap_or(b"");
        let known = monitor(program).or_else(|| monitor(comm));
        let program = if program.is_empty() { comm } else { program };
        let rest = arguments.get(1..).unwrap_or_default();
        let mut identity = match known {
            Some("qemu") => of_qemu(rest),
            Some("firecracker") => of_options(rest, &[b"--id"], &[b"--api-sock"]),
            Some("crosvm") => of_options(rest, &[b"--name"], &[b"--socket", b"-s"]),
            Some(_) => of_options(rest, &[], &[b"--api-socket"]),
            None => Self::default(),
        };
        identity.uuid = identity.uuid.map(|uuid| uuid.to_ascii_lowercase());
        identity.monitor = known.map_or_else(|| program.to_vec(), |known| known.as_bytes().to_vec());
        identity.name = identity.name.or_else(|| cgroup.and_then(of_scope)).filter(|name| !name.is_empty());
        identity.is_named = identity.name.is_some();
        identity.name = identity.name.or_else(|| {
            let socket = identity.sockets.first()?.rsplit(|byte| *byte == b'/').next()?;
            Some(socket.split(|byte| *byte == b'.').next()?.to_vec())
        });
        identity.name = identity.name.filter(|name| !name.is_empty());
        identity
    }
}

/// Pairs of an option and what follows it, whether that is the next argument or stands behind `=`.
fn options<'a>(arguments: &'a [&'a [u8]]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    arguments.iter().enumerate().filter(|(_, option)| option.starts_with(b"-")).map(|(at, option)| {
        match option.iter().position(|byte| *byte == b'=') {
            Some(equals) if option.starts_with(b"--") => {
                (option.get(..equals).unwrap_or_default(), option.get(equals + 1..).unwrap_or_default())
            }
            _ => (*option, arguments.get(at + 1).copied().unwrap_or_default()),
        }
    })
}

fn of_qemu(arguments: &[&[u8]]) -> Identity {
    let mut identity = Identity::default();
    let (mut listening, mut asked) = (BTreeMap::new(), BTreeSet::new());
    for (option, value) in options(arguments) {
        // QEMU takes one dash for two
        match option.strip_prefix(b"-").map(|name| name.strip_prefix(b"-").unwrap_or(name)) {
            Some(b"name") => identity.name = first(value, b"guest"),
            Some(b"uuid") => identity.uuid = Some(value.to_vec()),
            // as Proxmox has it
            Some(b"smbios") if of_key(value, b"type").as_deref() == Some(b"1") => {
                identity.uuid = identity.uuid.or_else(|| of_key(value, b"uuid"));
            }
            Some(b"machine" | b"M") => identity.machine = first(value, b"type"),
            Some(b"smp") => identity.vcpus = first(value, b"cpus").as_deref().and_then(parse::number),
            Some(b"m") => identity.memory = first(value, b"size").as_deref().and_then(|size| bytes(size, 1 << 20)),
            Some(b"pidfile" | b"mem-path") => identity.others.push(value.to_vec()),
            Some(b"object") => identity.others.extend(memory(value)),
            Some(b"qmp" | b"qmp-pretty") => {
                let path = value.strip_prefix(b"unix:").map(until_comma);
                identity.monitors.extend(path.clone().filter(|_| is_server(value)));
                identity.sockets.extend(path);
            }
            Some(b"chardev") if value.starts_with(b"socket,") => {
                let path = of_key(value, b"path");
                listening.extend(of_key(value, b"id").zip(path.clone()).filter(|_| is_server(value)));
                identity.sockets.extend(path);
            }
            Some(b"mon") if of_key(value, b"mode").as_deref() == Some(b"control") => {
                asked.extend(first(value, b"chardev"));
            }
            _ => {}
        }
    }
    identity.monitors.extend(asked.iter().filter_map(|id| listening.remove(id)));
    identity
}

/// Whether QEMU listens on a socket and is not the one who connects to it.
fn is_server(list: &[u8]) -> bool {
    parts(list).iter().any(|part| part == b"server" || part == b"server=on")
}

/// File of a memory backend, in a list or in JSON as libvirt writes it.
fn memory(object: &[u8]) -> Option<Vec<u8>> {
    if !object.starts_with(b"{") {
        return of_key(object, b"mem-path");
    }
    let object: serde_json::Value = serde_json::from_slice(object).ok()?;
    Some(object.get("mem-path")?.as_str()?.as_bytes().to_vec())
}

/// Options of the monitors that take plain ones, with those that name the guest and those that name a socket.
fn of_options(arguments: &[&[u8]], names: &[&[u8]], sockets: &[&[u8]]) -> Identity {
    let mut identity = Identity::default();
    for (option, value) in options(arguments) {
        match option {
            b"--cpus" => {
                let key: &[u8] = if value.starts_with(b"num=") { b"num" } else { b"boot" };
                identity.vcpus = first(value, key).as_deref().and_then(parse::number);
            }
            b"--memory" | b"--mem" => {
                identity.memory = first(value, b"size").as_deref().and_then(|size| bytes(size, unit_of(option)));
            }
            _ if names.contains(&option) => identity.name = Some(value.to_vec()),
            _ if sockets.contains(&option) => {
                identity.sockets.push(value.strip_prefix(b"path=").map_or_else(|| value.to_vec(), until_comma));
            }
            _ => {}
        }
    }
    identity
}

/// What a number without a suffix counts: mebibytes for crosvm, bytes for cloud-hypervisor.
fn unit_of(option: &[u8]) -> u64 {
    if option == b"--mem" { 1 << 20 } else { 1 }
}

/// Parts of a list between single commas; two commas are one of the value.
fn parts(list: &[u8]) -> Vec<Vec<u8>> {
    let (mut all, mut part, mut bytes) = (Vec::new(), Vec::new(), list.iter().copied().peekable());
    while let Some(byte) = bytes.next() {
        if byte == b',' && bytes.next_if_eq(&b',').is_none() {
            all.push(std::mem::take(&mut part));
        } else {
            part.push(byte);
        }
    }
    all.push(part);
    all
}

fn until_comma(list: &[u8]) -> Vec<u8> {
    parts(list).into_iter().next().unwrap_or_default()
}

/// Value of a key in a list.
fn of_key(list: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    let value = |part: &Vec<u8>| part.strip_prefix(key)?.strip_prefix(b"=").map(<[u8]>::to_vec);
    parts(list).iter().find_map(value)
}

/// Value of a key that may be left out where it is the first of its list.
fn first(list: &[u8], key: &[u8]) -> Option<Vec<u8>> {
    of_key(list, key).or_else(|| Some(until_comma(list)).filter(|part| !part.is_empty() && !part.contains(&b'=')))
}

/// A size with the suffix that QEMU and cloud-hypervisor take, in units of `plain` without one.
fn bytes(size: &[u8], plain: u64) -> Option<u64> {
    let size = size.strip_suffix(b"iB").or_else(|| size.strip_suffix(b"B")).unwrap_or(size);
    let (digits, unit) = match size.split_last()? {
        (b'k' | b'K', digits) => (digits, 1 << 10),
        (b'm' | b'M', digits) => (digits, 1 << 20),
        (b'g' | b'G', digits) => (digits, 1 << 30),
        (b't' | b'T', digits) => (digits, 1 << 40),
        (b'b', digits) => (digits, 1),
        _ => (size, plain),
    };
    parse::number(digits)?.checked_mul(unit)
}

/// Name in a scope of systemd-machined: `machine-qemu\x2d3\x2dweb.scope` is guest `web`.
fn of_scope(path: &[u8]) -> Option<Vec<u8>> {
    let scope =
        path.split(|byte| *byte == b'/').find_map(|part| part.strip_prefix(b"machine-")?.strip_suffix(b".scope"))?;
    let name = unescape(scope);
    // libvirt puts its driver and the number of the domain before the name
    let Some(rest) = name.strip_prefix(b"qemu-") else { return Some(name) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let short = rest.get(digits..).and_then(|rest| rest.strip_prefix(b"-")).filter(|_| digits > 0);
    Some(short.map_or_else(|| name.clone(), <[u8]>::to_vec))
}

/// Undoes the escapes of a unit name, `\x2d` for `-`.
fn unescape(name: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(name.len()), name);
    while let Some((byte, after)) = rest.split_first() {
        let escape = after.strip_prefix(b"x").and_then(|digits| digits.split_at_checked(2)).filter(|_| *byte == b'\\');
        let value = escape.and_then(|(digits, _)| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        (out, rest) = match (value, escape) {
            (Some(value), Some((_, rest))) => ([out, vec![value]].concat(), rest),
            _ => ([out, vec![*byte]].concat(), after),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Identity {
        Identity::of(arguments.join("\0").as_bytes(), b"comm", None)
    }

    fn text(bytes: Option<&Vec<u8>>) -> Option<&str> {
        bytes.map(|bytes| std::str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_guest_of_libvirt_is_known_by_its_command_line() {
        let guest = read(&[
            "/usr/bin/qemu-system-x86_64",
            "-name",
            "guest=web,,1,debug-threads=on",
            "-S",
            "-machine",
            "pc-q35-7.2,usb=off,dump-guest-core=off",
            "-m",
            "size=4194304k",
            "-smp",
            "4,sockets=4,cores=1,threads=1",
            "-uuid",
            "c7a5fdbd-edaf-9455-926a-d65c16db1809",
            "-chardev",
            "socket,id=charmonitor,fd=25,server=on,wait=off",
        ]);
        assert_eq!((guest.monitor.as_slice(), text(guest.name.as_ref())), (b"qemu".as_slice(), Some("web,1")));
        assert_eq!((guest.vcpus, guest.memory), (Some(4), Some(4 << 30)));
        assert_eq!(text(guest.machine.as_ref()), Some("pc-q35-7.2"));
        assert_eq!(text(guest.uuid.as_ref()), Some("c7a5fdbd-edaf-9455-926a-d65c16db1809"));
        assert!(guest.sockets.is_empty());
    }

    #[test]
    fn a_guest_of_proxmox_is_known_by_its_command_line() {
        let guest = read(&[
            "/usr/bin/kvm",
            "-id",
            "100",
            "-name",
            "db,debug-threads=on",
            "-chardev",
            "socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,wait=off",
            "-smp",
            "2,sockets=1,cores=2,maxcpus=2",
            "-m",
            "2048",
            "-machine",
            "type=pc+pve0",
            "-pidfile",
            "/var/run/qemu-server/100.pid",
            "-object",
            "memory-backend-file,id=ram,size=2G,mem-path=/run/hugepages/kvm,share=on",
            "-object",
            r#"{"qom-type":"memory-backend-file","id":"pc.ram","mem-path":"/var/lib/libvirt/qemu/ram/1"}"#,
            "-object",
            r#"{"qom-type":"#,
        ]);
        let others: &[&[u8]] =
            &[b"/var/run/qemu-server/100.pid", b"/run/hugepages/kvm", b"/var/lib/libvirt/qemu/ram/1"];
        assert_eq!(guest.others, others);
        assert_eq!((text(guest.name.as_ref()), guest.vcpus, guest.memory), (Some("db"), Some(2), Some(2 << 30)));
        assert_eq!(text(guest.machine.as_ref()), Some("pc+pve0"));
        assert_eq!(guest.sockets, [b"/var/run/qemu-server/100.qmp"]);
    }

    #[test]
    fn a_guest_of_proxmox_has_the_uuid_of_its_firmware_and_not_that_of_another_table() {
        let begin = ["/usr/bin/kvm", "-id", "100", "-name", "mail,debug-threads=on", "-no-shutdown", "-daemonize"];
        let smbios = ["-smbios", "type=1,uuid=4a53f0f8-6a0c-4d63-a5a5-4f3d9be0ac72"];
        let rest = [
            "-smbios",
            "type=2,uuid=1",
            "-smp",
            "4,sockets=1,cores=4,maxcpus=4",
            "-nodefaults",
            "-boot",
            "menu=on,strict=on,reboot-timeout=1000",
            "-vnc",
            "unix:/var/run/qemu-server/100.vnc,password=on",
            "-cpu",
            "host,+kvm_pv_eoi,+kvm_pv_unhalt",
            "-m",
            "size=1024,slots=255,maxmem=4194304M",
            "-drive",
            "file=/dev/pve/vm-100-disk-0,if=none,id=drive-scsi0,format=raw,cache=none,aio=io_uring,detect-zeroes=on",
            "-netdev",
            "type=tap,id=net0,ifname=tap100i0,script=/var/lib/qemu-server/pve-bridge,vhost=on",
            "-machine",
            "type=pc-i440fx-8.1+pve0",
        ];
        let guest = read(&[&begin[..], &smbios, &rest].concat());
        assert_eq!((text(guest.name.as_ref()), guest.is_named), (Some("mail"), true));
        assert_eq!(text(guest.uuid.as_ref()), Some("4a53f0f8-6a0c-4d63-a5a5-4f3d9be0ac72"));
        assert_eq!((guest.vcpus, guest.memory), (Some(4), Some(1 << 30)));
        assert_eq!(text(guest.machine.as_ref()), Some("pc-i440fx-8.1+pve0"));
        let both = read(&[&begin[..], &smbios, &["-uuid", "own"]].concat());
        assert_eq!(text(both.uuid.as_ref()), Some("own"));
        let none = read(&["kvm", "-chardev", "socket,id=q,path=/run/db.qmp"]);
        assert_eq!((text(none.name.as_ref()), none.is_named), (Some("db"), false));
    }

    #[test]
    fn guests_of_other_monitors_are_known_by_their_options() {
        let fire = read(&["/opt/firecracker-v1.7", "--id", "anonymous-9", "--api-sock", "/run/fc/9.sock"]);
        assert_eq!(
            (fire.monitor.as_slice(), text(fire.name.as_ref())),
            (b"firecracker".as_slice(), Some("anonymous-9"))
        );
        assert_eq!(fire.sockets, [b"/run/fc/9.sock"]);
        let cloud = read(&[
            "cloud-hypervisor",
            "--api-socket=path=/run/ch/mail.sock",
            "--cpus",
            "boot=8,max=16",
            "--memory",
            "size=1G,hugepages=on",
        ]);
        assert_eq!((text(cloud.name.as_ref()), cloud.vcpus, cloud.memory), (Some("mail"), Some(8), Some(1 << 30)));
        let cros = read(&["crosvm", "run", "--cpus", "num=2", "--mem", "size=512", "--name", "term"]);
        assert_eq!((text(cros.name.as_ref()), cros.vcpus, cros.memory), (Some("term"), Some(2), Some(512 << 20)));
        let own = Identity::of(b"./my-vmm\0--id\0x", b"my-vmm", None);
        assert_eq!((own.monitor.as_slice(), own.name), (b"my-vmm".as_slice(), None));
    }

    #[test]
    fn a_scope_names_a_guest_that_its_command_line_does_not() {
        let named = |path: &str| Identity::of(b"qemu-kvm\0", b"qemu-kvm", Some(path.as_bytes())).name;
        let path = r"/machine.slice/machine-qemu\x2d12\x2dweb\x2da.scope/libvirt/emulator";
        assert_eq!(named(path).as_deref(), Some(b"web-a".as_slice()));
        assert_eq!(named("/machine.slice/machine-box.scope").as_deref(), Some(b"box".as_slice()));
        assert_eq!(named(r"/machine-qemu\x2dx\x2dy.scope").as_deref(), Some(b"qemu-x-y".as_slice()));
        assert_eq!(named(r"/machine-\x2.scope").as_deref(), Some(br"\x2".as_slice()));
        assert_eq!((named("/system.slice/x.service"), named("/machine-.scope")), (None, None));
    }

    #[test]
    fn sizes_have_suffixes_and_too_large_ones_are_none() {
        let sizes =
            [("128", 128 << 20), ("4G", 4 << 30), ("512m", 512 << 20), ("1t", 1 << 40), ("64k", 64 << 10), ("7b", 7)];
        for (size, want) in sizes {
            assert_eq!(bytes(size.as_bytes(), 1 << 20), Some(want), "{size}");
        }
        for wrong in ["", "G", "-1", "1.5G", "99999999999999999999", "18446744073709551615G"] {
            assert_eq!(bytes(wrong.as_bytes(), 1 << 20), None, "{wrong}");
        }
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(cmdline in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = Identity::of(&cmdline, b"qemu", Some(&cmdline));
            let _ = Identity::of(&[b"qemu\0-name\0", cmdline.as_slice()].concat(), b"", None);
            let _ = (unescape(&cmdline), parts(&cmdline), bytes(&cmdline, 1));
        }
    }

    #[test]
    fn only_sockets_on_which_qemu_listens_for_qmp_are_monitors() {
        let guest = read(&[
            "/usr/bin/kvm",
            "-chardev",
            "socket,id=qmp,path=/var/run/qemu-server/100.qmp,server=on,wait=off",
            "-mon",
            "chardev=qmp,mode=control",
            "-chardev",
            "socket,id=qmp-event,path=/var/run/qmeventd.sock,reconnect=5",
            "-mon",
            "chardev=qmp-event,mode=control",
            "-chardev",
            "socket,id=serial0,path=/run/serial,server,nowait",
            "-chardev",
            "socket,id=hmp,path=/run/hmp,server=on",
            "-mon",
            "hmp",
            "-qmp",
            "unix:/run/a,,b,server,nowait",
            "-qmp",
            "unix:/run/client",
        ]);
        assert_eq!(guest.monitors, [b"/run/a,b".to_vec(), b"/var/run/qemu-server/100.qmp".to_vec()]);
    }
}
