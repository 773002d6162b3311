//! How is it heard at once that rules were changed?
//!
//! One thread sleeps on the notifications of all network namespaces that are read. It is woken by them, by a tick that asks
//! for other namespaces, and at the end.

use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::log::{self, Log};
use super::written;
use crate::collect::nftables::names::Here;
use crate::model::{Text, lock};
use crate::source::Error;
use crate::source::file::Roots;
use crate::source::netlink::common::Common;
use crate::source::netlink::{Changing, Drained, Family, Socket};
use crate::source::netns::{self, Census, Rooms, Troubles};
use crate::source::nftables::follow::Follower;
use crate::source::nftables::read;
use crate::source::trail::{Pen, Trail};
use crate::source::user::Users;

/// `NFNLGRP_NFTABLES`
const GROUP: u32 = 7;
/// Bytes of notifications that may wait in the own network namespace: a ruleset of ten thousand rules that is loaded at once.
const BUFFER: usize = 16 << 20;
/// The same in each other one. There may be a thousand, and what cannot wait is told to be lost.
const BUFFER_OF_OTHERS: usize = 1 << 20;
/// How long it is before a ruleset that changed while it was read is read again.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// The thread; dropping it ends the thread.
pub(super) struct Watch(Arc<Shared>);

struct Shared {
    log: Arc<Mutex<Log>>,
    /// Wakes the thread.
    bell: OwnedFd,
    stop: AtomicBool,
    told: Mutex<Told>,
}

/// What the thread says of itself.
#[derive(Default)]
struct Told {
    troubles: Troubles,
    failed: Option<Error>,
}

impl Shared {
    fn ring(&self) {
        // a bell that was rung rings already
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

impl Watch {
    /// Watches from now on.
    ///
    /// # Errors
    /// Changes may not be heard, or there is no room for a thread.
    pub(super) fn start(roots: &Roots, log: &Arc<Mutex<Log>>) -> Result<Self, Error> {
        let fail = |op| move |cause: Errno| Error::new(op, "changes of the ruleset", cause);
        let own = if roots.netns.has_host() { Some(open(BUFFER)?) } else { None };
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(fail("watch"))?;
        let poll = epoll::create(CreateFlags::CLOEXEC).map_err(fail("watch"))?;
        epoll::add(&poll, &bell, EventData::new_u64(0), EventFlags::IN).map_err(fail("watch"))?;
        let (log, stop) = (Arc::clone(log), AtomicBool::new(false));
        let shared = Arc::new(Shared { log, bell, stop, told: Mutex::default() });
        let reader = Reader::new(&shared, roots, poll);
        // from here on an early return ends the thread
        let watch = Self(shared);
        let spawned = std::thread::Builder::new().name("ruleset".to_owned()).spawn(move || reader.work(own));
        spawned.map_err(|cause| Error::new("start", "a thread for changes of the ruleset", cause))?;
        Ok(watch)
    }

    /// Has namespaces looked for if others than the own one are wanted, and the trail if it is due; returns the namespaces
    /// that could not be read.
    ///
    /// # Errors
    /// The thread has ended with this.
    pub(super) fn look(&self, census: &Census, trail: &Trail) -> Result<Troubles, Error> {
        let mut told = lock(&self.0.told);
        if let Some(failed) = told.failed.take() {
            return Err(failed);
        }
        if census.has_others() || trail.is_due() {
            self.0.ring();
        }
        Ok(told.troubles.clone())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
        self.0.ring();
    }
}

/// What is followed in one network namespace.
struct Post {
    news: Socket,
    asks: Common,
    links: Common,
    follower: Follower,
    /// Whether the thread is woken by it.
    listens: bool,
    /// The file ([`Pen::begun`]) in which it is written from when on it is followed; 0 before there is one.
    begun: u64,
}

fn open(buffer: usize) -> Result<Post, Error> {
    Ok(Post {
        // before the ruleset is read, so that nothing comes in between
        news: Socket::subscribe_with(Family::Netfilter, &[GROUP], buffer)?,
        asks: Common::open(Family::Netfilter)?,
        links: Common::open(Family::Route)?,
        follower: Follower::default(),
        listens: false,
        begun: 0,
    })
}

struct Reader {
    shared: Arc<Shared>,
    roots: Roots,
    poll: OwnedFd,
    users: Users,
    /// Whether a ruleset could not be read and is to be read again.
    again: bool,
    pen: Pen,
}

impl Reader {
    fn new(shared: &Arc<Shared>, roots: &Roots, poll: OwnedFd) -> Self {
        let (shared, roots, pen) = (Arc::clone(shared), roots.clone(), Pen::new(&roots.trail));
        Self { shared, roots, poll, users: Users::default(), again: false, pen }
    }

    fn work(mut self, mut own: Option<Post>) {
        let mut rooms = Rooms::<Post>::default();
        loop {
            self.again = false;
            self.pen.look();
            written::mend(&mut self.pen);
            written::inherit(&mut self.pen, &self.shared.log);
            if let Some(post) = &mut own
                && let Err(error) = self.read(&netns::host(), post)
            {
                lock(&self.shared.told).failed = Some(error);
                return;
            }
            let census = Arc::clone(&self.roots.netns);
            let troubles = rooms.read(&census, || open(BUFFER_OF_OTHERS), |netns, post| self.read(netns, post));
            lock(&self.shared.told).troubles = troubles;
            let patience = self.again.then_some(&AGAIN);
            let mut events = [epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 16];
            let waited = epoll::wait(&self.poll, &mut events[..], patience);
            if self.shared.stop.load(Ordering::Acquire) {
                return;
            }
            if let Err(cause) = waited
                && cause != Errno::INTR
            {
                lock(&self.shared.told).failed = Some(Error::new("wait for", "changes of the ruleset", cause));
                return;
            }
            let _ = rustix::io::read(&self.shared.bell, &mut [0; 8]);
        }
    }

    /// Reads what has come from one namespace.
    fn read(&mut self, netns: &Text, post: &mut Post) -> Result<(), Error> {
        if !post.listens {
            let token = EventData::new_u64(post.news.as_fd().as_raw_fd().unsigned_abs().into());
            epoll::add(&self.poll, &post.news, token, EventFlags::IN)
                .map_err(|cause| Error::new("watch", "changes of the ruleset", cause))?;
            post.listens = true;
            self.begin(post)?;
        }
        let lost = self.drain(netns, post)?;
        if lost.is_some() {
            post.follower.forget();
        }
        if post.follower.generation().is_none() {
            self.begin(post)?;
        }
        if let Some(why) = lost {
            let rows = vec![log::lost(netns, why, post.follower.generation())];
            written::write(&mut self.pen, &mut post.begun, &self.shared.log, &rows);
            log::keep(&mut lock(&self.shared.log), rows);
        }
        if let Some(generation) = post.follower.generation() {
            written::begin(&mut self.pen, &mut post.begun, netns, Some(generation));
        }
        Ok(())
    }

    /// Reads the ruleset from which on changes are followed; one that changes meanwhile is read again later.
    fn begin(&mut self, post: &mut Post) -> Result<(), Error> {
        let read = post.asks.with(|socket| Ok((read::ruleset(socket, None)?, read::objects(socket)?)));
        match read {
            Ok((ruleset, objects)) => {
                let host = Here::new(&self.roots.sys, &post.links, Some(&post.asks));
                post.follower.begin(ruleset, &objects, &host);
            }
            Err(error) if Changing::is_cause_of(&error) => self.again = true,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Logs all changes that wait; says why if some were lost.
    fn drain(&mut self, netns: &Text, post: &mut Post) -> Result<Option<&'static str>, Error> {
        let Post { news, asks, links, follower, begun, .. } = post;
        let host = Here::new(&self.roots.sys, links, Some(asks));
        let (roots, users, shared, pen) = (&self.roots, &mut self.users, &self.shared, &mut self.pen);
        let drained = news.drain(|message| {
            if let Some(commit) = follower.read(message, &host)? {
                let rows = log::rows(netns, commit, roots, users);
                written::write(pen, begun, &shared.log, &rows);
                log::keep(&mut lock(&shared.log), rows);
            }
            Ok(())
        });
        match drained {
            Ok(Drained::All) => Ok(None),
            Ok(Drained::Lost) => Ok(Some("there were more than could wait; the ruleset was read again")),
            Err(error) if error.cause.kind() == std::io::ErrorKind::InvalidData => {
                Ok(Some("the kernel told one that is not understood; the ruleset was read again"))
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::ruleset_change::FilterChange;
    use crate::source::netlink::testing::{in_own_network, run};

    fn reader(shared: &Arc<Shared>) -> Reader {
        Reader::new(shared, &Roots::live(), epoll::create(CreateFlags::CLOEXEC).unwrap())
    }

    #[test]
    fn root_what_changes_before_the_ruleset_is_known_is_told_once_and_lacks_only_what_nobody_has_read() {
        in_own_network(|| {
            run("nft", "add table ip t");
            run("nft", "add chain ip t old");
            run("nft", "add rule ip t old tcp dport 1 accept");
            let bell = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
            let shared =
                Arc::new(Shared { log: Arc::default(), bell, stop: AtomicBool::new(false), told: Mutex::default() });
            let (mut reader, mut post) = (reader(&shared), open(BUFFER).unwrap());
            // it listens, and has read nothing yet
            run("nft", "flush chain ip t old");
            run("nft", "add rule ip t old tcp dport 2 accept");
            let host = netns::host();
            reader.read(&host, &mut post).unwrap();
            run("nft", "flush chain ip t old");
            reader.read(&host, &mut post).unwrap();
            let rows = lock(&shared.log).rows();
            let told = |row: &super::super::RulesetChangeRow| {
                let words = |text: &Option<Text>| text.as_ref().map(ToString::to_string);
                (row.action, words(&row.before), words(&row.after), row.pid.is_some())
            };
            let (one, two) = (None, Some("tcp dport 2 accept".to_owned()));
            assert_eq!(
                rows.iter().map(told).collect::<Vec<_>>(),
                [
                    (FilterChange::Deleted, one.clone(), None, true),
                    (FilterChange::Added, None, two.clone(), true),
                    (FilterChange::Deleted, two, None, true),
                ]
            );
        });
    }

    #[test]
    fn root_what_could_not_wait_is_told_as_lost_and_the_rest_is_whole_again() {
        in_own_network(|| {
            let bell = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
            let shared =
                Arc::new(Shared { log: Arc::default(), bell, stop: AtomicBool::new(false), told: Mutex::default() });
            let (mut reader, mut post) = (reader(&shared), open(4096).unwrap());
            let host = netns::host();
            reader.read(&host, &mut post).unwrap();
            run("nft", "add table ip t");
            let rules = tempfile::NamedTempFile::new().unwrap();
            let line = |port: u32| format!("add rule ip t c tcp dport {port} accept\n");
            let script: String = (1..2000).map(line).collect();
            std::fs::write(rules.path(), format!("add chain ip t c\n{script}")).unwrap();
            run("nft", &format!("-f {}", rules.path().display()));
            reader.read(&host, &mut post).unwrap();
            run("nft", "flush chain ip t c");
            run("nft", "delete chain ip t c");
            reader.read(&host, &mut post).unwrap();
            let rows = lock(&shared.log).rows();
            let lost: Vec<_> = rows.iter().filter(|row| row.part.is_none()).collect();
            assert!(!lost.is_empty() && lost.iter().all(|row| row.pid.is_none()), "{rows:?}");
            assert_eq!(post.follower.generation().map(u64::from), lost.last().and_then(|row| row.generation));
            run("nft", "delete table ip t");
            reader.read(&host, &mut post).unwrap();
            let rows = lock(&shared.log).rows();
            let last = rows.last().unwrap();
            assert_eq!(last.before.as_deref(), Some("table ip t"), "{last:?}");
            assert_eq!(last.action, FilterChange::Deleted);
        });
    }
}
