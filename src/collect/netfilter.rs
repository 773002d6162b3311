//! What do the small parts of the firewall do: queues, logs, named counters, timeout policies, the proxy for SYN packets?
//!
//! All of it while somebody looks. Queues, logs and the proxy are files that stay open, one set for each network namespace;
//! counters and policies are asked for over netlink. Each table says by itself why it has no rows: a kernel may lack any of
//! these parts. Which process listens to a queue is found by its socket, never guessed from the number of the port.

pub mod rows;

use self::rows::{CtTimeoutRow, NfLogRow, NfacctRow, NflogRow, NfqueueRow, Peers, SynproxyRow};
use super::{Batch, Capabilities, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Row, Text};
use crate::source::Error;
use crate::source::file::{Kept, Root};
use crate::source::netfilter::{acct, table, timeout};
use crate::source::netlink::{Family, Socket};
use crate::source::netns::{self, Rooms, Troubles};

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "netfilter",
    tables: &[
        NfqueueRow::TABLE,
        NflogRow::TABLE,
        NfacctRow::TABLE,
        CtTimeoutRow::TABLE,
        SynproxyRow::TABLE,
        NfLogRow::TABLE,
    ],
    interval: EVERY_SECOND,
    // whose a queue is is found among the descriptors of every process
    blocks: true,
    needs: Capabilities::NET_ADMIN.union(super::OTHERS_PROCESSES),
    make: || Box::<NetfilterCollector>::default(),
};

/// Counters and policies that become rows, of each.
const MAX_ROWS: usize = 1 << 14;

#[derive(Default)]
struct NetfilterCollector {
    /// Dropped after an error, so that the next sample starts with a fresh one. Files of the own namespace are opened when they
    /// are read.
    own: Option<Socket>,
    others: Rooms<Room>,
}

/// Files of a network namespace: queues, logs, the proxy, who logs, and the sockets of netlink with their inodes.
const FILES: [&str; 5] = [QUEUES, LOGS, SYNPROXY, LOGGERS, PORTS];
const QUEUES: &str = "netfilter/nfnetlink_queue";
const LOGS: &str = "netfilter/nfnetlink_log";
const SYNPROXY: &str = "stat/synproxy";
const LOGGERS: &str = "netfilter/nf_log";
const PORTS: &str = "netlink";

/// What is read from in another network namespace.
struct Room {
    /// Or why they are not.
    files: [Result<Kept, Error>; FILES.len()],
    socket: Socket,
}

impl Room {
    /// Opens the files of the network namespace that this thread is in.
    fn open() -> Result<Self, Error> {
        let proc = Root::new("/proc");
        let file = |name| Kept::open(&proc, &format!("{HERE}/{name}"));
        Ok(Self { files: FILES.map(file), socket: Socket::open(Family::Netfilter)? })
    }

    fn text(files: &[Result<Kept, Error>], name: &str) -> Result<String, Error> {
        let file = FILES.iter().zip(files).find(|(known, _)| **known == name).map(|(_, file)| file.as_ref());
        let none = || Error::new("open", name, std::io::ErrorKind::NotFound);
        file.ok_or_else(none)?.map_err(Error::again)?.text()
    }
}

/// The directory of the network namespace that a thread has entered.
const HERE: &str = "thread-self/net";

/// Reads the text of a file of a network namespace by its name.
type Texts<'a> = &'a dyn Fn(&str) -> Result<String, Error>;

fn read<T>(texts: Texts<'_>, name: &str, parse: fn(&str) -> Option<T>) -> Result<T, Error> {
    let malformed = || Error::malformed(format!("/proc/net/{name}"), "numbers in columns are expected");
    parse(&texts(name)?).ok_or_else(malformed)
}

/// The rows of one table that is wanted, and why there are none somewhere.
struct Part<R> {
    rows: Vec<R>,
    left_out: usize,
    error: Option<Error>,
}

impl<R: Row> Part<R> {
    fn of(cx: &Cx<'_>) -> Option<Self> {
        cx.wants.table(R::TABLE).map(|_| Self { rows: Vec::new(), left_out: 0, error: None })
    }

    /// Takes rows, and how many have no room. What is not there or not for this user is told with the table; after any other
    /// error nothing more is read from the same place.
    fn add(part: &mut Option<Self>, take: impl FnOnce() -> Result<(Vec<R>, usize), Error>) -> Result<(), Error> {
        let Some(part) = part else { return Ok(()) };
        match take() {
            Ok((rows, left_out)) => {
                part.rows.extend(rows);
                part.left_out += left_out;
            }
            Err(error) if error.is_absent() || error.is_denied() || is_unknown(&error) => {
                part.error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Publishes it; `lack` is what to do where the kernel has no such thing.
    fn tell(self, cx: &Cx<'_>, out: &mut Batch, troubles: &Troubles, lack: &'static str) -> Result<(), Skip> {
        if let Some(error) = self.error {
            let (is_absent, is_denied) = (error.is_absent() || is_unknown(&error), error.is_denied());
            let skip = if is_absent { Skip::absent(error) } else { Skip::from(error) };
            let skip = match (is_absent, is_denied) {
                (true, _) => skip.hint(lack),
                (_, true) => skip.hint("run as root, or grant CAP_NET_ADMIN and CAP_DAC_READ_SEARCH"),
                _ => skip,
            };
            if self.rows.is_empty() {
                out.skip(R::TABLE, &skip);
                return Ok(());
            }
            out.partly(R::TABLE, &skip);
        }
        out.left_out(R::TABLE, self.left_out, MAX_ROWS, "of them");
        out.push_netns(cx, self.rows, troubles)
    }
}

/// Whether netfilter does not know the part that was asked.
fn is_unknown(error: &Error) -> bool {
    error.op == "dump" && error.cause.raw_os_error() == Some(libc::EINVAL)
}

/// One look at all network namespaces.
struct Look {
    queues: Option<Part<NfqueueRow>>,
    logs: Option<Part<NflogRow>>,
    accounts: Option<Part<NfacctRow>>,
    timeouts: Option<Part<CtTimeoutRow>>,
    synproxy: Option<Part<SynproxyRow>>,
    loggers: Option<Part<NfLogRow>>,
    peers: Peers,
}

impl Look {
    fn new(cx: &Cx<'_>) -> Self {
        Self {
            queues: Part::of(cx),
            logs: Part::of(cx),
            accounts: Part::of(cx),
            timeouts: Part::of(cx),
            synproxy: Part::of(cx),
            loggers: Part::of(cx),
            peers: Peers::default(),
        }
    }

    fn take(&mut self, netns: &Text, texts: Texts<'_>, mut socket: Option<&mut Socket>) -> Result<(), Error> {
        let peers = &mut self.peers;
        Part::add(&mut self.queues, || {
            let queues = read(texts, QUEUES, table::queues)?;
            if !queues.is_empty() {
                peers.learn(netns, &read(texts, PORTS, table::ports)?, queues.iter().map(|queue| queue.port));
            }
            Ok((queues.iter().map(|queue| rows::queue(netns, queue)).collect(), 0))
        })?;
        Part::add(&mut self.logs, || {
            let logs = read(texts, LOGS, table::logs)?;
            if !logs.is_empty() {
                peers.learn(netns, &read(texts, PORTS, table::ports)?, logs.iter().map(|log| log.port));
            }
            Ok((logs.iter().map(|log| rows::log(netns, log)).collect(), 0))
        })?;
        Part::add(&mut self.synproxy, || {
            Ok((vec![rows::synproxy(netns, read(texts, SYNPROXY, table::synproxy)?)], 0))
        })?;
        Part::add(&mut self.loggers, || {
            let loggers = read(texts, LOGGERS, table::loggers)?;
            Ok((loggers.iter().filter_map(|logger| rows::logger(netns, logger)).collect(), 0))
        })?;
        Part::add(&mut self.accounts, || {
            let found = acct::accounts(asked(&mut socket)?, MAX_ROWS)?;
            Ok((found.kept().iter().map(|account| rows::account(netns, account)).collect(), found.left_out()))
        })?;
        Part::add(&mut self.timeouts, || {
            let found = timeout::policies(asked(&mut socket)?, MAX_ROWS)?;
            Ok((found.kept().iter().flat_map(|policy| rows::timeouts(netns, policy)).collect(), found.left_out()))
        })
    }
}

/// The socket, which a recorded tree has not.
fn asked<'a>(socket: &'a mut Option<&mut Socket>) -> Result<&'a mut Socket, Error> {
    let none = || Error::new("ask", "nfnetlink on a recorded tree", std::io::ErrorKind::NotFound);
    socket.as_deref_mut().ok_or_else(none)
}

impl Collect for NetfilterCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let mut look = Look::new(cx);
        if cx.roots.netns.has_host() {
            let net = if cx.roots.live { HERE } else { "net" };
            let texts = |name: &str| cx.roots.proc.text(format!("{net}/{name}"));
            let open = || if cx.roots.live { Socket::open(Family::Netfilter).map(Some) } else { Ok(None) };
            let mut socket = self.own.take().map_or_else(open, |socket| Ok(Some(socket)))?;
            look.take(&netns::host(), &texts, socket.as_mut())?;
            self.own = socket;
        }
        let troubles = self.others.read(&cx.roots.netns, Room::open, |netns, room| {
            look.take(netns, &|name| Room::text(&room.files, name), Some(&mut room.socket))
        });
        let Look { mut queues, mut logs, accounts, timeouts, synproxy, loggers, peers } = look;
        let peers = peers.find(&cx.roots.proc)?;
        let rows = queues.iter_mut().flat_map(|part| &mut part.rows);
        rows.for_each(|row| (row.pid, row.process) = peers.of(&row.netns, row.port));
        let rows = logs.iter_mut().flat_map(|part| &mut part.rows);
        rows.for_each(|row| (row.pid, row.process) = peers.of(&row.netns, row.port));
        if let Some(error) = &peers.denied {
            let hint = "processes of other users: run as root, or grant CAP_SYS_PTRACE";
            let wanted = [(queues.is_some(), NfqueueRow::TABLE), (logs.is_some(), NflogRow::TABLE)];
            for (_, table) in wanted.into_iter().filter(|(is_wanted, _)| *is_wanted) {
                out.partly(table, &Skip::from(error.again()).hint(hint));
            }
        }
        tell(queues, cx, out, &troubles, "the kernel's module nfnetlink_queue is not loaded")?;
        tell(logs, cx, out, &troubles, "the kernel's module nfnetlink_log is not loaded")?;
        tell(accounts, cx, out, &troubles, "the kernel's module nfnetlink_acct is not loaded")?;
        tell(timeouts, cx, out, &troubles, "the kernel's module nfnetlink_cttimeout is not loaded")?;
        tell(synproxy, cx, out, &troubles, "the kernel's module nf_synproxy_core is not loaded")?;
        tell(loggers, cx, out, &troubles, "the kernel logs no packets")
    }
}

fn tell<R: Row>(
    part: Option<Part<R>>,
    cx: &Cx<'_>,
    out: &mut Batch,
    troubles: &Troubles,
    lack: &'static str,
) -> Result<(), Skip> {
    part.map_or(Ok(()), |part| part.tell(cx, out, troubles, lack))
}
