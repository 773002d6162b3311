//! Which network namespaces are there?
//!
//! Those with a name below `/run/netns`, where `ip netns` binds them, then those that only processes are in, by the number
//! that `/proc/PID/ns/net` has. One namespace is listed once, whatever names it has; the own one never.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Resource, Rlimit};

use super::{ALL, HOST, Selection};
use crate::model::{Text, lock};
use crate::source::Error;
use crate::source::file::Root;

/// How often it is looked which are still there.
const CHECK: Duration = Duration::from_secs(2);
/// How long a reader waits for the first look.
const PATIENCE: Duration = Duration::from_secs(1);
/// Most namespaces that are read.
const MOST: usize = 1024;
/// Descriptors for one namespace: what is always read holds 15, and what is read while somebody looks at one view up to four
/// more. What is read for other views besides is told to lack namespaces where there are none left ([`super::Rooms`]).
const DESCRIPTORS: u64 = 19;
/// Where names are; `ip netns` uses the second, which is a link to the first on most hosts.
const PLACES: [&str; 2] = ["run/netns", "var/run/netns"];
/// `NSFS_MAGIC` of `include/uapi/linux/magic.h`
const NSFS: u64 = 0x6e73_6673;

/// Device and inode, by which the kernel tells namespaces apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Id {
    device: u64,
    inode: u64,
}

impl Id {
    pub(super) fn of(stat: &rustix::fs::Stat) -> Self {
        Self { device: stat.st_dev, inode: stat.st_ino }
    }

    /// The kernel's own name.
    fn name(self) -> Text {
        Text::from(format!("net:[{}]", self.inode))
    }
}

/// A network namespace that is not the own one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) name: Text,
    pub(super) id: Id,
    /// The file by which it is entered.
    pub(super) door: PathBuf,
}

/// What a look has found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By name, then by number.
    pub(super) spaces: Vec<Space>,
    /// Places in that list.
    places: HashMap<Id, usize>,
    /// What could not be looked at.
    pub(super) troubles: Troubles,
}

impl Found {
    /// Whether a namespace is still there under its name.
    pub(super) fn has(&self, name: &Text, id: Id) -> bool {
        self.places.get(&id).and_then(|place| self.spaces.get(*place)).is_some_and(|space| space.name == *name)
    }
}

/// Why some network namespaces are missing: the first reason, and how many more there are.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    first: Option<Arc<Error>>,
    others: usize,
    /// How many there are beyond those that are read.
    left_out: usize,
    most: usize,
}

impl Troubles {
    /// Adds one.
    pub(super) fn add(&mut self, error: &Arc<Error>) {
        if self.first.is_some() {
            self.others += 1;
        } else {
            self.first = Some(Arc::clone(error));
        }
    }

    /// Adds all of others.
    pub(super) fn join(&mut self, others: &Self) {
        if let Some(first) = &others.first {
            self.add(first);
        }
        self.others += others.others;
        (self.left_out, self.most) = (others.left_out, others.most);
    }

    /// The first error; `None` when there is none or there were only too many namespaces.
    pub fn first(&self) -> Option<&Error> {
        self.first.as_deref()
    }

    /// Whether more open files would help.
    pub fn is_out_of_files(&self) -> bool {
        self.first.as_ref().map_or(self.left_out > 0 && self.most < MOST, |first| first.is_out_of_files())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.first.is_none() && self.left_out == 0
    }
}

impl std::fmt::Display for Troubles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(first) = &self.first {
            write!(f, "{first}")?;
            if self.others > 0 {
                write!(f, "; {} more", self.others)?;
            }
        }
        if self.left_out > 0 {
            let (and, Self { left_out, most, .. }) = (if self.first.is_some() { "; " } else { "" }, self);
            write!(f, "{and}{left_out} network namespaces are left out, because no more than {most} are read")?;
        }
        Ok(())
    }
}

impl std::error::Error for Troubles {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.first.as_deref().map(|first| first as &(dyn std::error::Error + 'static))
    }
}

/// How the files are found that tell.
#[derive(Clone, Debug)]
struct Look {
    proc: Root,
    host: Root,
    own: Id,
    selection: Selection,
    most: usize,
}

/// Something that holds namespaces open.
pub(super) trait Hold: Send + Sync {
    /// Closes what belongs to namespaces that are gone.
    fn keep(&self, found: &Found);
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    looked: Condvar,
    holders: Mutex<Vec<Weak<dyn Hold>>>,
}

#[derive(Default)]
struct State {
    selection: Selection,
    /// `None` while only the own namespace is wanted.
    look: Option<Arc<Look>>,
    /// `None` before the first look.
    latest: Option<Arc<Found>>,
}

/// The network namespaces that are read, and that are there.
#[derive(Default)]
pub struct Census {
    shared: Arc<Shared>,
    /// Wakes the thread, which was started when other namespaces were wanted for the first time, and ends it when dropped.
    thread: Mutex<Option<mpsc::Sender<()>>>,
}

impl std::fmt::Debug for Census {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Census").field(&lock(&self.shared.state).selection).finish()
    }
}

impl Census {
    /// Reads other namespaces from now on, and closes all that were read before and are not wanted any more.
    ///
    /// # Errors
    /// No thread can be started, or this process may not know its own namespace; then nothing has changed.
    pub fn choose(&self, selection: Selection, proc: &Root, host: &Root) -> std::io::Result<()> {
        if lock(&self.shared.state).selection == selection {
            return Ok(());
        }
        let look =
            if selection.is_host_only() { None } else { Some(Arc::new(Look::new(selection.clone(), proc, host)?)) };
        let mut thread = lock(&self.thread);
        if thread.is_none() && look.is_some() {
            *thread = Some(Shared::start(&self.shared)?);
        }
        *lock(&self.shared.state) = State { selection, look, latest: None };
        if let Some(thread) = &*thread {
            let _ = thread.send(());
        }
        Ok(())
    }

    /// Whether the own namespace is wanted.
    pub fn has_host(&self) -> bool {
        lock(&self.shared.state).selection.has_host()
    }

    /// Whether rows are wanted of a namespace that is known without being read, `None` when it is not known which that is.
    pub fn shows(&self, name: Option<&str>) -> bool {
        lock(&self.shared.state).selection.shows(name)
    }

    /// Whether others than the own namespace are wanted.
    pub fn has_others(&self) -> bool {
        lock(&self.shared.state).look.is_some()
    }

    /// The latest look; `None` while only the own namespace is wanted.
    pub(super) fn found(&self) -> Option<Arc<Found>> {
        let state = lock(&self.shared.state);
        state.look.as_ref()?;
        let is_open = |state: &mut State| state.look.is_some() && state.latest.is_none();
        let waited = self.shared.looked.wait_timeout_while(state, PATIENCE, is_open);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        state.look.as_ref()?;
        Some(Arc::clone(state.latest.get_or_insert_with(|| {
            let mut found = Found::default();
            let error = Error::new("look for network namespaces in", PLACES[0], rustix::io::Errno::TIMEDOUT);
            found.troubles.add(&Arc::new(error));
            Arc::new(found)
        })))
    }

    /// Lets the census close what belongs to namespaces that are gone.
    pub(super) fn watch(&self, holder: Weak<dyn Hold>) {
        lock(&self.shared.holders).push(holder);
    }
}

impl Shared {
    /// Starts the thread that looks.
    fn start(shared: &Arc<Self>) -> std::io::Result<mpsc::Sender<()>> {
        let (wake, woken) = mpsc::channel::<()>();
        let shared = Arc::clone(shared);
        std::thread::Builder::new().name("netns".to_owned()).spawn(move || {
            while !matches!(woken.recv_timeout(CHECK), Err(RecvTimeoutError::Disconnected)) {
                shared.check();
            }
        })?;
        Ok(wake)
    }

    fn check(&self) {
        let look = lock(&self.state).look.clone();
        let found = Arc::new(look.as_ref().map(|look| look.now()).unwrap_or_default());
        {
            let mut state = lock(&self.state);
            let is_current = match (&state.look, &look) {
                (Some(now), Some(then)) => Arc::ptr_eq(now, then),
                (now, then) => now.is_none() && then.is_none(),
            };
            if !is_current {
                // whoever has changed it has woken this thread once more
                return;
            }
            state.latest = Some(Arc::clone(&found));
        }
        self.looked.notify_all();
        let holders: Vec<Arc<dyn Hold>> = {
            let mut holders = lock(&self.holders);
            holders.retain(|holder| holder.strong_count() > 0);
            holders.iter().filter_map(Weak::upgrade).collect()
        };
        for holder in holders {
            holder.keep(&found);
        }
    }
}

impl Look {
    fn new(selection: Selection, proc: &Root, host: &Root) -> std::io::Result<Self> {
        let own = Id::of(&rustix::fs::stat(proc.join("thread-self/ns/net"))?);
        Ok(Self { proc: proc.clone(), host: host.clone(), own, selection, most: most() })
    }

    fn now(&self) -> Found {
        let mut found = Found::default();
        let mut known = HashSet::from([self.own]);
        let mut named = HashSet::new();
        for place in PLACES {
            self.named(place, &mut found, &mut known, &mut named);
        }
        if self.selection.may_take_a_number() {
            known.extend(named);
            self.of_processes(&mut found, &mut known);
        }
        found
    }

    /// Those with a name. `named` are all, `known` those that are wanted.
    fn named(&self, place: &str, found: &mut Found, known: &mut HashSet<Id>, named: &mut HashSet<Id>) {
        let names = match self.host.list(place) {
            Ok(names) => names,
            Err(error) if error.is_absent() => return,
            Err(error) => return found.troubles.add(&Arc::new(error)),
        };
        for name in names {
            let door = self.host.join(place).join(&name);
            // a file that nothing is bound to any more
            let is_bound =
                rustix::fs::statfs(&door).is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| kind == NSFS));
            let Some(id) = rustix::fs::stat(&door).ok().filter(|_| is_bound).map(|stat| Id::of(&stat)) else {
                continue;
            };
            named.insert(id);
            let name = shown(Text::from(name.as_os_str()), id);
            if self.selection.takes(&name) && known.insert(id) {
                self.add(found, Space { name, id, door });
            }
        }
    }

    /// Those without a name that processes are in.
    fn of_processes(&self, found: &mut Found, known: &mut HashSet<Id>) {
        let names = match self.proc.list("") {
            Ok(names) => names,
            Err(error) => return found.troubles.add(&Arc::new(error)),
        };
        let mut refused = None;
        for pid in names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok()) {
            let door = self.proc.join(format!("{pid}/ns/net"));
            let inode = match rustix::fs::readlink(&door, Vec::new()) {
                Ok(target) => target.to_str().ok().and_then(inode),
                Err(cause) => {
                    let error = Error::new("read", &door, cause);
                    if error.is_denied() {
                        refused.get_or_insert(error);
                    }
                    None
                }
            };
            // the kernel has one file system for all namespaces
            let Some(id) = inode.map(|inode| Id { device: self.own.device, inode }) else { continue };
            if known.insert(id) && self.selection.takes(&id.name()) {
                self.add(found, Space { name: id.name(), id, door });
            }
        }
        if let Some(error) = refused {
            found.troubles.add(&Arc::new(error));
        }
    }

    fn add(&self, found: &mut Found, space: Space) {
        if found.spaces.len() < self.most {
            found.places.insert(space.id, found.spaces.len());
            found.spaces.push(space);
        } else {
            found.troubles.left_out += 1;
            found.troubles.most = self.most;
        }
    }
}

/// Number in the target of a link such as `net:[4026531840]`.
fn inode(target: &str) -> Option<u64> {
    target.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// How many namespaces the open files suffice for, once as many are asked for as this process may have: sockets in other
/// namespaces must not take the descriptors of everything else.
fn most() -> usize {
    let now = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    // who may not have more has what there is
    let limit = rustix::process::setrlimit(Resource::Nofile, raised).map_or(now.current, |()| now.maximum);
    limit.map_or(MOST, |limit| usize::try_from(limit / DESCRIPTORS).map_or(MOST, |most| most.min(MOST)))
}

/// Names of the network namespaces of a selection but the own one, as far as this user may know them.
pub fn names(selection: &Selection, proc: &Root, host: &Root) -> Vec<Text> {
    let found = Look::new(selection.clone(), proc, host).map(|look| look.now()).unwrap_or_default();
    found.spaces.into_iter().map(|space| space.name).collect()
}

/// Name of the network namespace that a process is in, whether that one is read or not; `None` when this user may not know it,
/// or the process is gone.
pub fn of_process(pid: u32, proc: &Root, host: &Root) -> Option<Text> {
    let id = |door: &Path| rustix::fs::stat(door).ok().map(|stat| Id::of(&stat));
    let of = id(&proc.join(format!("{pid}/ns/net")))?;
    if id(&proc.join("thread-self/ns/net")) == Some(of) {
        return Some(super::host());
    }
    let is_it = |door: &Path| id(door) == Some(of);
    let named = PLACES.iter().find_map(|place| {
        let mut names = host.list(place).unwrap_or_default().into_iter();
        names.find(|name| is_it(&host.join(place).join(name)))
    });
    Some(named.map_or_else(|| of.name(), |name| shown(Text::from(name.as_os_str()), of)))
}

/// The name of a namespace, or its number where the name means something else.
fn shown(name: Text, id: Id) -> Text {
    if [HOST, ALL].contains(&name.as_str()) { id.name() } else { name }
}
