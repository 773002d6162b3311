//! What is open in other network namespaces?

use std::collections::HashSet;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::census::{Found, Hold, Id, Space, Troubles};
use super::{Census, HOST};
use crate::model::{Text, lock};
use crate::source::Error;

/// How long one reading waits for all namespaces that are being entered; those that take longer come with a later one.
const PATIENCE: Duration = Duration::from_secs(1);
/// Namespaces that are entered at once: each takes a thread for a moment.
const DOORS: usize = 64;
/// Which part of the open files that are allowed is left to everything else.
const SPARE: u64 = 32;
/// How long it is before a namespace that refused is tried again.
const AGAIN: Duration = Duration::from_secs(10);

/// Where this thread is.
const HERE: &str = "/proc/thread-self/ns/net";

/// Why something has to be opened anew: less is open than is needed by now. In a thousand namespaces only that is opened which
/// there is something to read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("less is open than is needed by now")]
pub struct Outgrown;

impl Outgrown {
    /// Says so to [`Rooms::read`], which opens it anew the next time and tells nobody.
    pub fn error(object: &'static str) -> Error {
        Error::new("read", object, std::io::Error::other(Self))
    }

    fn is_cause_of(error: &Error) -> bool {
        matches!(error.cause.get_ref(), Some(cause) if cause.is::<Self>())
    }
}

/// What a reader keeps open in each network namespace but the own one.
pub struct Rooms<T> {
    rooms: Option<Arc<Shared<T>>>,
}

struct Shared<T>(Mutex<Vec<Room<T>>>);

struct Room<T> {
    space: Space,
    state: State<T>,
}

enum State<T> {
    /// Nothing was tried yet.
    New,
    /// A thread is at the door.
    Entering(Receiver<Result<T, Error>>),
    /// It can be read.
    Open(T),
    /// It could not be entered or read, and is tried again at a moment.
    Closed(Arc<Error>, Instant),
}

impl<T> Default for Rooms<T> {
    fn default() -> Self {
        Self { rooms: None }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, Vec<Room<T>>> {
        lock(&self.0)
    }
}

impl<T: Send> Hold for Shared<T> {
    fn keep(&self, found: &Found) {
        let rooms = match self.0.try_lock() {
            Ok(rooms) => rooms,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // whoever is reading now looks for itself, or is seen the next time
            Err(TryLockError::WouldBlock) => return,
        };
        keep(rooms, found);
    }
}

fn keep<T>(mut rooms: MutexGuard<'_, Vec<Room<T>>>, found: &Found) {
    rooms.retain(|room| found.has(&room.space.name, room.space.id));
}

impl<T: Send + 'static> Rooms<T> {
    /// Calls `read` for each other namespace that is wanted, with its name and what `open` has opened there once. What fails
    /// is opened anew later. Returns what could not be read; a namespace that has gone is not among it.
    pub fn read(
        &mut self,
        census: &Census,
        open: fn() -> Result<T, Error>,
        mut read: impl FnMut(&Text, &mut T) -> Result<(), Error>,
    ) -> Troubles {
        let Some(found) = census.found() else {
            self.rooms = None;
            return Troubles::default();
        };
        let shared = self.rooms.get_or_insert_with(|| {
            let shared = Arc::new(Shared(Mutex::default()));
            let holder: Weak<Shared<T>> = Arc::downgrade(&shared);
            census.watch(holder);
            shared
        });
        keep(shared.lock(), &found);
        let mut rooms = shared.lock();
        let known: HashSet<Id> = rooms.iter().map(|room| room.space.id).collect();
        let new = found.spaces.iter().filter(|space| !known.contains(&space.id));
        rooms.extend(new.map(|space| Room { space: space.clone(), state: State::New }));
        let mut troubles = Troubles::default();
        let deadline = Instant::now() + PATIENCE;
        for some in rooms.chunks_mut(DOORS) {
            // all doors are knocked at first, so that one that stays shut keeps nobody from another
            let started: Vec<bool> = some.iter_mut().map(|room| room.start(open)).collect();
            for (room, started) in some.iter_mut().zip(started) {
                // what did not open at once is not waited for again
                room.finish(if started { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO });
            }
        }
        for room in rooms.iter_mut() {
            if let State::Open(opened) = &mut room.state
                && let Err(error) = read(&room.space.name, opened)
            {
                if Outgrown::is_cause_of(&error) {
                    room.state = State::New;
                    continue;
                }
                let hangs = error.cause.kind() == ErrorKind::TimedOut;
                room.fail(error, if hangs { AGAIN } else { Duration::ZERO });
            }
            match &room.state {
                // one that has gone between the look and the step
                State::Closed(error, _) if error.op == ENTER && error.is_absent() => {}
                State::Closed(error, _) => troubles.add(error),
                State::Entering(_) => troubles.add(&Arc::new(refused(&room.space.name, Errno::TIMEDOUT))),
                _ => {}
            }
        }
        troubles.join(&found.troubles);
        troubles
    }
}

impl<T: Send + 'static> Room<T> {
    /// Starts to enter it if it is time to.
    fn start(&mut self, open: fn() -> Result<T, Error>) -> bool {
        let is_due = match &self.state {
            State::New => true,
            State::Closed(_, again) => *again <= Instant::now(),
            State::Entering(_) | State::Open(_) => false,
        };
        if is_due && is_crowded() {
            self.fail(refused(&self.space.name, Errno::MFILE), AGAIN);
        } else if is_due {
            match enter(&self.space, open) {
                Ok(entering) => self.state = State::Entering(entering),
                Err(error) => self.fail(error, AGAIN),
            }
        }
        is_due
    }

    /// Takes what was opened, after a wait if need be.
    fn finish(&mut self, patience: Duration) {
        let State::Entering(entering) = &self.state else { return };
        match entering.recv_timeout(patience) {
            Ok(Ok(opened)) => self.state = State::Open(opened),
            Ok(Err(error)) => self.fail(error, AGAIN),
            Err(RecvTimeoutError::Disconnected) => self.fail(refused(&self.space.name, Errno::CANCELED), AGAIN),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }

    fn fail(&mut self, error: Error, again: Duration) {
        let object = format!("{} in network namespace {}", error.object.display(), self.space.name);
        let error = if error.op == ENTER { error } else { Error { object: object.into(), ..error } };
        self.state = State::Closed(Arc::new(error), Instant::now() + again);
    }
}

/// Opens something in one other namespace, by its name.
///
/// # Errors
/// There is none of that name among those that are read, it could not be entered, or nothing could be opened there.
pub fn visit<T: Send + 'static>(census: &Census, name: &Text, open: fn() -> Result<T, Error>) -> Result<T, Error> {
    let found = census.found().ok_or_else(|| refused(name, Errno::NOENT))?;
    let space = found.spaces.iter().find(|space| space.name == *name).ok_or_else(|| refused(name, Errno::NOENT))?;
    enter(space, open)?.recv_timeout(PATIENCE).map_err(|_| refused(name, Errno::TIMEDOUT))?
}

/// What an error says that was attempted when a namespace let nobody in.
pub const ENTER: &str = "enter network namespace";

fn refused(name: &Text, cause: impl Into<std::io::Error>) -> Error {
    Error::new(ENTER, name.as_str(), cause)
}

/// Starts a thread that enters a namespace, opens something there and ends.
fn enter<T: Send + 'static>(
    space: &Space,
    open: fn() -> Result<T, Error>,
) -> Result<Receiver<Result<T, Error>>, Error> {
    let (answer, entering) = mpsc::channel();
    let Space { name, id, door } = space.clone();
    let work = move || {
        let opened = pass(&door, id).map_err(|cause| refused(&name, cause)).and_then(|()| open());
        // nobody waits any more where the namespace has gone meanwhile
        let _ = answer.send(opened);
    };
    let started = std::thread::Builder::new().name("netns-enter".to_owned()).spawn(work);
    started.map(|_| entering).map_err(|cause| refused(&space.name, cause))
}

/// Whether so many files are open that the rest is for everything else.
fn is_crowded() -> bool {
    // a new one has the lowest number that is free
    let Ok(probe) = eventfd(0, EventfdFlags::CLOEXEC) else { return true };
    let limit = getrlimit(Resource::Nofile).current;
    limit.is_some_and(|limit| is_spare(probe.as_raw_fd().unsigned_abs().into(), limit))
}

/// Whether a descriptor of this number belongs to what is left to everything else.
fn is_spare(number: u64, limit: u64) -> bool {
    number >= limit - limit / SPARE
}

/// The file of a network namespace, the own one or one that is read, by its name.
///
/// # Errors
/// There is none of that name, or it may not be opened.
pub fn file(census: &Census, name: &Text) -> Result<OwnedFd, Error> {
    if name.as_str() == HOST {
        return opened(Path::new(HERE)).map_err(|cause| refused(name, cause));
    }
    let found = census.found().ok_or_else(|| refused(name, Errno::NOENT))?;
    let space = found.spaces.iter().find(|space| space.name == *name).ok_or_else(|| refused(name, Errno::NOENT))?;
    door(&space.door, space.id).map_err(|cause| refused(name, cause))
}

fn opened(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
}

/// Opens the file by which a namespace is entered.
fn door(path: &Path, id: Id) -> Result<OwnedFd, Errno> {
    let file = opened(path)?;
    // a name, or a process number, that stands for another one by now
    if Id::of(&rustix::fs::fstat(&file)?) == id { Ok(file) } else { Err(Errno::NOENT) }
}

/// Moves this thread into a namespace.
fn pass(path: &Path, id: Id) -> Result<(), Errno> {
    move_into_link_name_space(door(path, id)?.as_fd(), Some(LinkNameSpaceType::Network))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::file::Root;
    use crate::source::netns::{Pattern, Selection};
    use std::process::{Child, Command};
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A process in a network namespace of its own.
    struct Inmate(Child);

    impl Inmate {
        fn start() -> (Self, Pattern) {
            let inmate = Self(Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap());
            let own = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
            let door = format!("/proc/{}/ns/net", inmate.0.id());
            loop {
                match std::fs::read_link(&door) {
                    Ok(name) if name != own => return (inmate, name.to_str().unwrap().parse().unwrap()),
                    name => assert!(name.is_ok(), "this test needs root: {name:?}"),
                }
                std::thread::yield_now();
            }
        }
    }

    impl Drop for Inmate {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn census(others: Vec<Pattern>) -> Census {
        let census = Census::default();
        census.choose(Selection::host_and(others), &Root::new("/proc"), &Root::new("/")).unwrap();
        census
    }

    #[test]
    fn root_one_that_never_lets_its_visitor_go_is_asked_once_and_holds_up_nobody() {
        static VISITS: AtomicUsize = AtomicUsize::new(0);
        let open: fn() -> Result<(), Error> = || {
            if VISITS.fetch_add(1, Ordering::SeqCst) == 0 {
                loop {
                    std::thread::park();
                }
            }
            Ok(())
        };
        let ((_first, one), (_second, two)) = (Inmate::start(), Inmate::start());
        let census = census(vec![one, two]);
        let mut rooms = Rooms::default();
        for patience in [PATIENCE * 2, PATIENCE / 2] {
            let (begin, mut seen) = (Instant::now(), 0);
            let troubles = rooms.read(&census, open, |_, ()| {
                seen += 1;
                Ok(())
            });
            assert!(begin.elapsed() < patience);
            assert_eq!(seen, 1);
            assert!(troubles.first().is_some_and(|error| error.op == ENTER), "{troubles}");
        }
        assert_eq!(VISITS.load(Ordering::SeqCst), 2, "nobody else is sent to it");
    }

    #[test]
    fn root_what_fails_is_told_with_its_namespace_and_opened_anew() {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let open: fn() -> Result<usize, Error> = || Ok(OPENED.fetch_add(1, Ordering::SeqCst));
        let (_inmate, name) = Inmate::start();
        let text = String::from(name.clone());
        let census = census(vec![name]);
        let mut rooms = Rooms::default();
        let broken = |_: &Text, _: &mut usize| Err(Error::new("dump", "rtnetlink links", Errno::IO));
        let troubles = rooms.read(&census, open, broken);
        assert!(troubles.to_string().starts_with(&format!("dump rtnetlink links in network namespace {text}: ")));
        let mut seen = Vec::new();
        let troubles = rooms.read(&census, open, |name, opened| {
            seen.push((name.to_string(), *opened));
            Ok(())
        });
        assert!(!troubles.to_string().contains("dump"), "{troubles}");
        assert_eq!(seen, [(text, 1)]);
    }

    #[test]
    fn root_what_has_become_too_little_is_opened_anew_and_nobody_hears_of_it() {
        static OPENED: AtomicUsize = AtomicUsize::new(0);
        let open: fn() -> Result<usize, Error> = || Ok(OPENED.fetch_add(1, Ordering::SeqCst));
        let (_inmate, name) = Inmate::start();
        let census = census(vec![name]);
        let mut rooms = Rooms::default();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let troubles = rooms.read(&census, open, |_, opened| {
                seen.push(*opened);
                if *opened == 0 { Err(Outgrown::error("test")) } else { Ok(()) }
            });
            assert!(!troubles.to_string().contains(&Outgrown.to_string()), "{troubles}");
        }
        assert_eq!(seen, [0, 1, 1]);
    }

    #[test]
    fn the_last_descriptors_are_for_everything_else() {
        for (limit, first) in [(20_000, 19_375), (1024, 992), (32, 31), (1, 1)] {
            assert!(is_spare(first, limit) && !is_spare(first - 1, limit), "{limit}");
        }
    }

    #[test]
    fn who_wants_no_other_namespace_opens_nothing() {
        let mut rooms = Rooms::default();
        let open: fn() -> Result<(), Error> = || panic!("nothing is to be opened");
        assert!(rooms.read(&Census::default(), open, |_, ()| Ok(())).is_empty());
        assert!(rooms.rooms.is_none());
    }
}
