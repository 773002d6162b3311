//! How full is the table of tracked connections, and what went wrong in it?
//!
//! All of it is in files that everybody may read. They belong to the network namespace of the thread that opens them and are
//! read again and again. A kernel that is built without the file of statistics tells them over netlink, to who may ask.
//!
//! Source: `Documentation/networking/nf_conntrack-sysctl.rst`, `net/netfilter/nf_conntrack_standalone.c`,
//! `include/uapi/linux/netfilter/nfnetlink_conntrack.h`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use crate::model::lock;
use crate::source::Error;
use crate::source::file::{Kept, Root};
use crate::source::lines;
use crate::source::netlink::nfnetlink::{self, Header, Subsystem};
use crate::source::netlink::{Family, Malformed, Message, Part, Request, Socket};
use crate::source::netns::{self, Here};

/// How full the table is, and what the kernel notes of each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Health {
    /// Connections in it.
    pub count: u64,
    /// Most that fit; `None` where there is no limit.
    pub max: Option<u64>,
    /// Size of the hash table.
    pub buckets: Option<u64>,
    /// Whether packets and bytes are counted.
    pub accounting: Option<bool>,
    /// Whether it is noted when a connection began.
    pub timestamps: Option<bool>,
}

/// What a CPU has counted, in the order of [`COUNTERS`].
pub type Counters = [Option<u64>; COUNTERS.len()];

/// Name in the file and number of the attribute `CTA_STATS_*`. Older kernels lack some, and have others that are always 0.
pub const COUNTERS: [(&str, u16); 10] = [
    ("found", 2),
    ("invalid", 4),
    ("insert", 8),
    ("insert_failed", 9),
    ("drop", 10),
    ("early_drop", 11),
    ("icmp_error", 12),
    ("search_restart", 13),
    ("clashres", 14),
    ("chainlength", 15),
];

/// Counters of one CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuCounters {
    /// Number of the CPU.
    pub cpu: u64,
    /// What it counted.
    pub counters: Counters,
}

/// CPUs that are read; no kernel has more.
const MAX_CPUS: usize = 1 << 16;

/// Where the statistics are.
#[derive(Debug)]
enum Statistics {
    File(Kept, Vec<u64>),
    Netlink(Box<Socket>),
}

/// How many connections one network namespace has.
#[derive(Debug)]
pub struct Count(Arc<Kept>);

/// Files of it that several readers have.
static COUNTS: Mutex<Option<HashMap<Here, Weak<Kept>>>> = Mutex::new(None);

impl Count {
    /// Opens the file of the network namespace that this thread is in.
    ///
    /// # Errors
    /// Absent where connection tracking is not loaded.
    pub fn open(proc: &Root) -> Result<Self, Error> {
        setting(proc, "count").map(|file| Self(Arc::new(file)))
    }

    /// The same file as all others have who read it in the network namespace that this thread is in.
    ///
    /// # Errors
    /// It may not be known which that is.
    pub fn shared(self) -> Result<Self, Error> {
        let mut counts = lock(&COUNTS);
        let counts = counts.get_or_insert_default();
        let here = netns::here()?;
        if let Some(file) = counts.get(&here).and_then(Weak::upgrade) {
            return Ok(Self(file));
        }
        counts.retain(|_, file| file.strong_count() > 0);
        counts.insert(here, Arc::downgrade(&self.0));
        Ok(self)
    }

    /// Reads it.
    ///
    /// # Errors
    /// The file cannot be read, or holds no number.
    pub fn read(&self) -> Result<u64, Error> {
        self.0.number()
    }
}

fn setting(proc: &Root, name: &str) -> Result<Kept, Error> {
    Kept::open(proc, &format!("sys/net/netfilter/nf_conntrack_{name}"))
}

/// What all network namespaces have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    max: Option<u64>,
    buckets: Option<u64>,
}

impl Whole {
    /// Reads it, as far as it is known.
    pub fn read(proc: &Root) -> Self {
        let number = |name| setting(proc, name).and_then(|file| file.number()).ok();
        Self { max: number("max"), buckets: number("buckets") }
    }
}

/// A limit of a table.
#[derive(Debug)]
enum Limit {
    Own(Option<Kept>),
    /// That of [`Whole`].
    Whole,
}

impl Limit {
    /// Of the network namespace that this thread is in.
    fn open(proc: &Root, name: &str) -> Self {
        Self::Own(setting(proc, name).ok())
    }

    /// The same without a descriptor, if it is that of all.
    fn lean(self) -> Self {
        // what is the whole kernel's can be written where it began only
        let may_be_written = |file: &Kept| file.mode().is_none_or(|mode| mode & 0o222 != 0);
        match self {
            Self::Own(Some(file)) if !may_be_written(&file) => Self::Whole,
            own => own,
        }
    }

    fn number(&self, whole: Option<u64>) -> Result<Option<u64>, Error> {
        match self {
            Self::Own(file) => file.as_ref().map(Kept::number).transpose(),
            Self::Whole => Ok(whole),
        }
    }
}

/// Everything about the table of one network namespace.
#[derive(Debug)]
pub struct Table {
    count: Count,
    max: Limit,
    buckets: Limit,
    accounting: Option<Kept>,
    timestamps: Option<Kept>,
    statistics: Statistics,
}

impl Table {
    /// Opens the files of the network namespace that this thread is in; `net` is the name of its directory.
    ///
    /// # Errors
    /// Absent where connection tracking is not loaded.
    pub fn open(proc: &Root, cpus: &Root, net: &str) -> Result<Self, Error> {
        // the file has a line for each CPU that there could ever be, and no numbers
        let numbers = || {
            let list = cpus.text("devices/system/cpu/possible").ok()?;
            lines::members(&list)
        };
        let statistics = match Kept::open(proc, &format!("{net}/stat/nf_conntrack")) {
            Ok(file) => Statistics::File(file, numbers().unwrap_or_else(Vec::new)),
            Err(error) if error.is_absent() => Statistics::Netlink(Box::new(Socket::open(Family::Netfilter)?)),
            Err(error) => return Err(error),
        };
        Ok(Self {
            count: Count::open(proc)?,
            max: Limit::open(proc, "max"),
            buckets: Limit::open(proc, "buckets"),
            accounting: setting(proc, "acct").ok(),
            timestamps: setting(proc, "timestamp").ok(),
            statistics,
        })
    }

    /// The same with few descriptors: without those for what all network namespaces have in common, and with what others have
    /// open in this one.
    ///
    /// # Errors
    /// It may not be known which that is.
    pub fn lean(self) -> Result<Self, Error> {
        Ok(Self { count: self.count.shared()?, max: self.max.lean(), buckets: self.buckets.lean(), ..self })
    }

    /// How full it is; `whole` is what is known without this table.
    ///
    /// # Errors
    /// A file cannot be read, or holds no number.
    pub fn health(&self, whole: Whole) -> Result<Health, Error> {
        let number = |file: &Option<Kept>| file.as_ref().map(Kept::number).transpose();
        let is_on = |file: &Option<Kept>| Ok(number(file)?.map(|number| number != 0));
        Ok(Health {
            count: self.count.read()?,
            max: self.max.number(whole.max)?.filter(|max| *max > 0),
            buckets: self.buckets.number(whole.buckets)?,
            accounting: is_on(&self.accounting)?,
            timestamps: is_on(&self.timestamps)?,
        })
    }

    /// What each CPU has counted since the network namespace was made.
    ///
    /// # Errors
    /// The kernel tells it only over netlink, and not to this user; or it is malformed.
    pub fn counters(&mut self) -> Result<Vec<CpuCounters>, Error> {
        match &mut self.statistics {
            Statistics::File(file, cpus) => {
                let rows = parse(&file.text()?, cpus);
                rows.ok_or_else(|| Error::malformed(file.path(), "a hexadecimal number for each name is expected"))
            }
            Statistics::Netlink(socket) => asked(socket),
        }
    }
}

/// Reads the file: a line of names, and a line of hexadecimal numbers for each CPU.
fn parse(text: &str, cpus: &[u64]) -> Option<Vec<CpuCounters>> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    let places = COUNTERS.map(|(name, _)| names.iter().position(|known| *known == name));
    let row = |(line, text): (usize, &str)| {
        let values: Vec<&str> = text.split_ascii_whitespace().collect();
        if values.len() != names.len() {
            return None;
        }
        let mut counters = Counters::default();
        for (counter, place) in counters.iter_mut().zip(places) {
            let value = place.and_then(|place| values.get(place));
            *counter = value.map(|value| u64::from_str_radix(value, 16)).transpose().ok()?;
        }
        // without the list of those that are possible they are counted from 0 without a gap
        Some(CpuCounters { cpu: cpus.get(line).copied().or_else(|| u64::try_from(line).ok())?, counters })
    };
    lines.take(MAX_CPUS).enumerate().map(row).collect()
}

/// Asks ctnetlink, which needs CAP_NET_ADMIN.
fn asked(socket: &mut Socket) -> Result<Vec<CpuCounters>, Error> {
    let mut rows = Vec::new();
    socket.dump(&statistics_request(), |part| {
        match part {
            Part::Start => rows.clear(),
            Part::Message(message) if rows.len() < MAX_CPUS => rows.push(cpu_counters(message)?),
            Part::Message(_) => {}
        }
        Ok(())
    })?;
    Ok(rows)
}

/// `IPCTNL_MSG_CT_GET_STATS_CPU`
fn statistics_request() -> Request {
    const GET_STATS_CPU: u8 = 4;
    let header = Header { family: libc::AF_UNSPEC as u8, resource: 0 };
    Subsystem::Conntrack.request(GET_STATS_CPU, header, "conntrack statistics")
}

fn cpu_counters(message: Message<'_>) -> Result<CpuCounters, Malformed> {
    let (header, attributes) = nfnetlink::split(message)?;
    let mut counters = Counters::default();
    for attribute in attributes {
        let attribute = attribute?;
        let place = COUNTERS.iter().position(|(_, number)| *number == attribute.kind);
        if let Some(counter) = place.and_then(|place| counters.get_mut(place)) {
            *counter = Some(u64::from(attribute.be32()?));
        }
    }
    Ok(CpuCounters { cpu: u64::from(header.resource), counters })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::netlink::testing::in_own_network;
    use proptest::prelude::*;

    const OLD: &str = "entries  searched found new invalid ignore delete delete_list insert insert_failed drop early_drop \
                       icmp_error  expect_new expect_create expect_delete search_restart\n";

    #[test]
    fn columns_are_found_by_name_and_what_an_old_kernel_lacks_is_missing() {
        let values = "00000003  00000001 0000000a 00000000 0000000b 00000000 00000000 00000000 0000000c 0000000d 0000000e \
                      0000000f 00000010  00000000 00000000 00000000 00000011\n";
        let rows = parse(&format!("{OLD}{values}{values}"), &[0, 4]).unwrap();
        assert_eq!((rows.len(), rows[1].cpu), (2, 4));
        let known = [10, 11, 12, 13, 14, 15, 16, 17].map(Some);
        assert_eq!((&rows[0].counters[..8], &rows[0].counters[8..]), (&known[..], &[None, None][..]));
    }

    #[test]
    fn a_line_with_a_value_too_few_is_malformed() {
        assert_eq!(parse(&format!("{OLD}00000001 00000002\n"), &[]), None);
        assert_eq!(parse("found\nno number\n", &[]), None);
        assert_eq!(parse("found\nxyz\n", &[]), None);
        assert_eq!(parse("", &[]), None);
    }

    #[test]
    fn root_a_lean_table_shares_what_others_have_open_and_says_the_same() {
        in_own_network(|| {
            crate::source::netlink::testing::run("nft", "add table ip t");
            let open = || Table::open(&Root::new("/proc"), &Root::new("/sys"), "thread-self/net").unwrap();
            let (table, lean, other) = (open(), open().lean().unwrap(), open().lean().unwrap());
            assert!(Arc::ptr_eq(&lean.count.0, &other.count.0) && !Arc::ptr_eq(&lean.count.0, &table.count.0));
            assert!(matches!((&lean.max, &lean.buckets), (Limit::Whole, Limit::Whole)), "they may not be written here");
            let whole = Whole::read(&Root::new("/proc"));
            let health = table.health(Whole::default()).unwrap();
            assert!(health.max.is_some() && health.buckets.is_some());
            assert_eq!(lean.health(whole).unwrap(), health);
            let inner = in_own_network(|| open().lean().unwrap().count);
            assert!(!Arc::ptr_eq(&inner.0, &lean.count.0), "another namespace has another one");
        });
    }

    #[test]
    fn root_the_file_and_netlink_say_the_same() {
        in_own_network(|| {
            crate::source::netlink::testing::run("nft", "add table ip t");
            let chain = "add chain ip t c { type filter hook output priority 0 ; }";
            crate::source::netlink::testing::run("nft", chain);
            crate::source::netlink::testing::run("nft", "add rule ip t c ct state invalid counter");
            let sockets: Vec<_> = (0..20).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
            for socket in &sockets {
                socket.send_to(b"x", sockets[0].local_addr().unwrap()).unwrap();
            }
            let mut table = Table::open(&Root::new("/proc"), &Root::new("/sys"), "thread-self/net").unwrap();
            let from_file = table.counters().unwrap();
            table.statistics = Statistics::Netlink(Box::new(Socket::open(Family::Netfilter).unwrap()));
            assert_eq!(table.counters().unwrap(), from_file);
            let inserted: u64 = from_file.iter().map(|row| row.counters[2].unwrap()).sum();
            assert!(inserted > 0 || table.health(Whole::default()).unwrap().count == 20, "{from_file:?}");
            assert_eq!(table.health(Whole::default()).unwrap().count, 20);
        });
    }

    proptest! {
        #[test]
        fn any_message_is_decoded_or_refused(body in proptest::collection::vec(any::<u8>(), 0..128)) {
            let _ = cpu_counters(Message { kind: 0x0104, flags: 0, body: &body });
        }

        #[test]
        fn any_file_is_read_or_refused(text in "[a-f0-9 \n]{0,200}", cpus in proptest::collection::vec(any::<u64>(), 0..4)) {
            let rows = parse(&format!("found drop\n{text}"), &cpus);
            let has_both = |row: &CpuCounters| row.counters[0].is_some() && row.counters[4].is_some();
            prop_assert!(rows.is_none_or(|rows| rows.iter().all(has_both)));
        }
    }
}
