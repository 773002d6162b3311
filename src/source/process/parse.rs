//! What do the files of one process say?
//!
//! Pure functions over bytes. Names come from strangers: a `comm` may hold spaces, parentheses and newlines, so `stat` is
//! read from its last `)`. A field that is not there or does not parse is `None`.

/// Flag of a kernel thread in field 9 of `stat` (`PF_KTHREAD` of `include/linux/sched.h`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Name of a task as the kernel keeps it, raw: 15 bytes, up to 63 for kernel workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comm {
    length: u8,
    bytes: [u8; 64],
}

impl Comm {
    /// Keeps the first 64 bytes.
    pub fn new(name: &[u8]) -> Self {
        let mut bytes = [0; 64];
        let length = name.len().min(bytes.len());
        for (to, from) in bytes.iter_mut().zip(name) {
            *to = *from;
        }
        Self { length: length as u8, bytes }
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }
}

/// `/proc/PID/stat`. Times are clock ticks, sizes as the kernel prints them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Process or thread.
    pub pid: u32,
    /// Name.
    pub comm: Comm,
    /// State letter.
    pub state: u8,
    /// Parent.
    pub parent: u32,
    /// Whether it is a thread of the kernel.
    pub kernel: bool,
    /// Faults without input or output.
    pub minor_faults: u64,
    /// Faults that read from storage.
    pub major_faults: u64,
    /// Ticks in user mode, those of guests included.
    pub user: u64,
    /// Ticks in the kernel.
    pub system: u64,
    /// Priority as the scheduler has it.
    pub priority: i64,
    /// Nice value.
    pub nice: i64,
    /// Threads.
    pub threads: u64,
    /// Start in ticks since boot.
    pub start: u64,
    /// Bytes of address space.
    pub virtual_size: u64,
    /// Resident pages.
    pub resident: u64,
    /// CPU it last ran on.
    pub last_cpu: Option<u64>,
    /// Ticks spent running a guest.
    pub guest: Option<u64>,
}

/// Reads a line of `stat`; `None` when it is cut or is none.
pub fn stat(line: &[u8]) -> Option<Stat> {
    let open = line.iter().position(|byte| *byte == b'(')?;
    let close = line.iter().rposition(|byte| *byte == b')')?;
    let pid = u32::try_from(number(line.get(..open)?.trim_ascii())?).ok()?;
    let comm = Comm::new(line.get(open + 1..close)?);
    let mut fields = Fields(line.get(close + 1..)?);
    let state = *fields.next()?.first()?;
    let parent = u32::try_from(fields.unsigned()?).ok()?;
    // process group, session, terminal, its foreground group
    fields.skip(4)?;
    let kernel = fields.unsigned()? & KERNEL_THREAD != 0;
    let minor_faults = fields.unsigned()?;
    fields.skip(1)?;
    let major_faults = fields.unsigned()?;
    fields.skip(1)?;
    let (user, system) = (fields.unsigned()?, fields.unsigned()?);
    // times of waited-for children
    fields.skip(2)?;
    let (priority, nice) = (fields.signed()?, fields.signed()?);
    let threads = fields.unsigned()?;
    fields.skip(1)?;
    let (start, virtual_size, resident) = (fields.unsigned()?, fields.unsigned()?, fields.unsigned()?);
    // limit, addresses, signal masks, wait channel, swap (always zero), exit signal
    fields.skip(14);
    let last_cpu = fields.unsigned();
    fields.skip(3);
    let guest = fields.unsigned();
    Some(Stat {
        pid,
        comm,
        state,
        parent,
        kernel,
        minor_faults,
        major_faults,
        user,
        system,
        priority,
        nice,
        threads,
        start,
        virtual_size,
        resident,
        last_cpu,
        guest,
    })
}

/// Fields between spaces.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Option<&'a [u8]> {
        let begin = self.0.iter().position(|byte| !byte.is_ascii_whitespace())?;
        let rest = self.0.get(begin..)?;
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let (field, rest) = rest.split_at_checked(end)?;
        self.0 = rest;
        Some(field)
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        for _ in 0..count {
            self.next()?;
        }
        Some(())
    }

    fn unsigned(&mut self) -> Option<u64> {
        number(self.next()?)
    }

    fn signed(&mut self) -> Option<i64> {
        let field = self.next()?;
        match field.strip_prefix(b"-") {
            Some(digits) => i64::try_from(number(digits)?).ok().map(|value| -value),
            None => i64::try_from(number(field)?).ok(),
        }
    }
}

/// A decimal number and nothing else.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Storage traffic of a process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Io {
    /// Bytes fetched from storage.
    pub read: Option<u64>,
    /// Bytes sent towards storage.
    pub write: Option<u64>,
}

/// Reads `/proc/PID/io`.
pub fn io(text: &[u8]) -> Io {
    Io { read: field(text, b"read_bytes:").and_then(number), write: field(text, b"write_bytes:").and_then(number) }
}

/// Nanoseconds that a thread ran and that it waited for a CPU, from its `schedstat`; that of a process is its main thread's.
pub fn schedstat(text: &[u8]) -> Option<(u64, u64)> {
    let mut fields = Fields(text);
    Some((fields.unsigned()?, fields.unsigned()?))
}

/// First two arguments of the system call in which a thread waits, from its `syscall`; `None` while it runs.
pub fn syscall(text: &[u8]) -> Option<(u64, u64)> {
    let mut fields = Fields(text);
    fields.skip(1)?;
    let mut argument = || u64::from_str_radix(std::str::from_utf8(fields.next()?.strip_prefix(b"0x")?).ok()?, 16).ok();
    Some((argument()?, argument()?))
}

/// Resident pages: the second number of `/proc/PID/statm`.
pub fn resident(text: &[u8]) -> Option<u64> {
    let mut fields = Fields(text);
    fields.skip(1)?;
    fields.unsigned()
}

/// Trimmed value of the first line that starts with `name`, as `status`, `io` and `smaps_rollup` have them.
pub fn field<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(name)).map(<[u8]>::trim_ascii)
}

/// Bytes of a line such as `VmSwap:    12 kB`.
pub fn kibibytes(text: &[u8], name: &[u8]) -> Option<u64> {
    number(field(text, name)?.strip_suffix(b"kB")?.trim_ascii())?.checked_mul(1024)
}

/// Effective uid of `/proc/PID/status`.
pub fn uid(status: &[u8]) -> Option<u32> {
    let mut fields = Fields(field(status, b"Uid:")?);
    fields.skip(1)?;
    u32::try_from(fields.unsigned()?).ok()
}

/// Arguments joined by spaces; `None` when there are none, as for kernel threads and zombies.
pub fn command(cmdline: &[u8]) -> Option<Vec<u8>> {
    let end = cmdline.iter().rposition(|byte| *byte != 0)? + 1;
    Some(cmdline.iter().take(end).map(|byte| if *byte == 0 { b' ' } else { *byte }).collect())
}

/// Path in the unified hierarchy; on a hybrid host, where that is the root, the path that systemd keeps.
pub fn cgroup(text: &[u8]) -> Option<&[u8]> {
    let line = |start: &[u8]| text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(start));
    let unified = line(b"0::");
    if unified.is_some_and(|path| path != b"/") {
        return unified;
    }
    // a path may hold the words as well: only the second field counts
    let named = text.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        fields.nth(1).filter(|controllers| *controllers == b"name=systemd")?;
        fields.next()
    });
    named.or(unified)
}

/// The innermost systemd unit or container that a cgroup path names; hexadecimal container ids are cut to 12 digits.
pub fn unit(path: &[u8]) -> Option<Vec<u8>> {
    let mut parts = path.split(|byte| *byte == b'/').rev().peekable();
    while let Some(part) = parts.next() {
        if let Some(name) = part.strip_prefix(b"lxc.payload.") {
            return Some(name.to_vec());
        }
        if part.ends_with(b".service") {
            return Some(part.to_vec());
        }
        if let Some(name) = part.strip_suffix(b".scope") {
            return Some(short_id(name).unwrap_or_else(|| part.to_vec()));
        }
        let above = parts.peek().copied().unwrap_or(b"");
        if above == b"docker" || above.starts_with(b"kubepods") || above.starts_with(b"pod") {
            if let Some(id) = short_id(part) {
                return Some(id);
            }
        } else if above == b"lxc" && !part.is_empty() {
            return Some(part.to_vec());
        }
    }
    None
}

/// `docker-4f5e...` with its 64 digits cut to 12; `None` for what does not end in such an id.
fn short_id(name: &[u8]) -> Option<Vec<u8>> {
    let at = name.len().checked_sub(64)?;
    let (head, id) = name.split_at_checked(at)?;
    id.iter().all(u8::is_ascii_hexdigit).then(|| head.iter().chain(id.iter().take(12)).copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &[u8] = b"4242 (a) R 1 (\nb) S 17 4242 4242 0 -1 4194560 11 12 13 14 150 16 17 18 20 -5 3 0 31415 \
        46817280 3363 18446744073709551615 1 1 0 0 0 0 0 4096 1256 0 0 0 17 7 0 0 0 99 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_hostile_comm_shifts_no_field() {
        let got = stat(LINE).unwrap();
        assert_eq!(got.comm.as_bytes(), b"a) R 1 (\nb");
        assert_eq!((got.pid, got.state, got.parent, got.start), (4242, b'S', 17, 31415));
        assert_eq!((got.minor_faults, got.major_faults, got.user, got.system), (11, 13, 150, 16));
        assert_eq!((got.priority, got.nice, got.threads, got.resident), (20, -5, 3, 3363));
        assert_eq!((got.last_cpu, got.guest, got.kernel), (Some(7), Some(99), false));
    }

    #[test]
    fn a_cut_line_is_no_process() {
        assert_eq!(stat(b""), None);
        assert_eq!(stat(b"12 (x"), None);
        assert_eq!(stat(&LINE[..60]), None);
        assert_eq!(stat(b"99999999999 (x) S 1"), None);
        assert_eq!(stat(b") 1 (x S"), None);
    }

    #[test]
    fn arguments_are_joined_and_none_is_no_command() {
        assert_eq!(command(b"sh\0-c\0true\0\0").as_deref(), Some(b"sh -c true".as_slice()));
        assert_eq!(command(b"\0\0"), None);
        assert_eq!(command(b""), None);
    }

    #[test]
    fn the_cgroup_of_a_hybrid_host_is_systemds() {
        assert_eq!(cgroup(b"0::/system.slice/cron.service\n"), Some(b"/system.slice/cron.service".as_slice()));
        assert_eq!(cgroup(b"9:name=systemd:/a.service\n1:cpu:/\n0::/\n"), Some(b"/a.service".as_slice()));
        assert_eq!(cgroup(b"0::/\n"), Some(b"/".as_slice()));
        let hostile = b"4:memory:/me/:name=systemd:/system.slice/ssh.service\n1:name=systemd:/me.scope\n";
        assert_eq!(cgroup(hostile), Some(b"/me.scope".as_slice()));
        assert_eq!(cgroup(b""), None);
    }

    #[test]
    fn units_and_containers_are_named_by_their_cgroup() {
        let id = "0123456789abcdef".repeat(4);
        let cases = [
            ("/system.slice/ssh.service".to_owned(), Some("ssh.service")),
            ("/user.slice/user-0.slice/user@0.service/app.slice/a.scope".to_owned(), Some("a.scope")),
            ("/machine.slice/machine-qemu\\x2d1.scope/libvirt/vcpu0".to_owned(), Some("machine-qemu\\x2d1.scope")),
            (format!("/system.slice/docker-{id}.scope"), Some("docker-0123456789ab")),
            (format!("/docker/{id}"), Some("0123456789ab")),
            ("/lxc/web/init".to_owned(), Some("web")),
            ("/lxc.payload.web/x".to_owned(), Some("web")),
            ("/".to_owned(), None),
            ("/user.slice".to_owned(), None),
        ];
        for (path, want) in cases {
            assert_eq!(unit(path.as_bytes()).as_deref(), want.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn status_sizes_are_bytes_and_the_uid_is_the_effective_one() {
        let text = b"Name:\tx\nUid:\t1\t2\t3\t4\nVmSwap:\t      12 kB\n";
        assert_eq!(kibibytes(text, b"VmSwap:"), Some(12 * 1024));
        assert_eq!(kibibytes(text, b"VmRSS:"), None);
        assert_eq!(uid(text), Some(2));
    }

    #[test]
    fn missing_traffic_is_not_zero() {
        assert_eq!(io(b"rchar: 1\nread_bytes: 7\n"), Io { read: Some(7), write: None });
        assert_eq!(schedstat(b"1 22 3\n"), Some((1, 22)));
        assert_eq!(schedstat(b"1"), None);
        assert_eq!(syscall(b"16 0x11 0xae80 0x0 0x7f\n"), Some((17, 0xae80)));
        assert_eq!((syscall(b"running\n"), syscall(b"-1 0x7ffd 0x7fff")), (None, Some((0x7ffd, 0x7fff))));
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = (stat(&bytes), io(&bytes), schedstat(&bytes), syscall(&bytes), command(&bytes), uid(&bytes));
            let _ = (cgroup(&bytes).map(unit), unit(&bytes), kibibytes(&bytes, b"a"));
        }

        #[test]
        fn every_comm_comes_back(comm in proptest::collection::vec(proptest::num::u8::ANY, 0..16)) {
            let mut line = b"7 (".to_vec();
            line.extend_from_slice(&comm);
            line.extend_from_slice(LINE.strip_prefix(b"4242 (a) R 1 (\nb".as_slice()).unwrap());
            let got = stat(&line).unwrap();
            proptest::prop_assert_eq!(got.comm.as_bytes(), &comm[..]);
            proptest::prop_assert_eq!(got.start, 31415);
        }
    }
}
