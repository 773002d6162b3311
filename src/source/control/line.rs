//! How is a daemon asked that may never answer?
//!
//! Over one connection that stays open, without waiting in any call but `poll(2)`, and never longer than until a deadline: a
//! daemon that was stopped accepts connections still, and answers when it likes. The answer ends where its language says
//! ([`End`]), and has a bound; of a daemon that says much one part is heard after another ([`Line::part`]). After an error the
//! connection is of no use any more, because it is not known what comes next.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType};

use super::trust::{Trust, credentials};
use crate::model::Text;
use crate::source::{Error, meter};

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_millis(500);

/// Bytes of an answer at most.
pub const MAX_ANSWER: usize = 8 << 20;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;

/// Where an answer ends in the language of a daemon: of all bytes that have come, and how many of them were looked at before, the
/// length of the answer once it is whole.
pub type End = fn(&[u8], usize) -> Option<usize>;

/// A connection to a daemon.
#[derive(Debug)]
pub struct Line {
    socket: OwnedFd,
    path: PathBuf,
    /// The process that listens; `None` when that is out of sight.
    pub pid: Option<u32>,
    answer: Vec<u8>,
    /// Bytes in front that were given out.
    given: usize,
}

impl Line {
    /// Connects to a socket that is trusted.
    ///
    /// # Errors
    /// [`TRUST`] when it is not, another error when nobody listens or there is no room for one more.
    pub fn open(path: &Path, trust: &Trust) -> Result<Self, Error> {
        let owner = trust.owner(path)?;
        let line = Self::to(path)?;
        let pid = trust.peer(&line.socket, path, owner)?;
        Ok(Self { pid, ..line })
    }

    /// Connects to a socket of which nothing is known but its path; [`Self::peer`] says who listens there.
    ///
    /// # Errors
    /// Nobody listens, or there is no room for one more.
    pub fn to(path: &Path) -> Result<Self, Error> {
        let fail = |cause| Error::new("connect to", path, cause);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(fail)?;
        let address = SocketAddrUnix::new(path).map_err(fail)?;
        match rustix::io::retry_on_intr(|| rustix::net::connect(&socket, &address)) {
            Ok(()) => Ok(Self::over(socket, path.to_owned())),
            // those who wait to be accepted are as many as there is room for
            Err(Errno::AGAIN) => Err(silent("connect to", path, "it accepts nobody")),
            Err(cause) => Err(fail(cause)),
        }
    }

    /// Process and user of who listens at the other end; the process is 0 when it is out of sight.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn peer(&self) -> Result<(u32, u32), Error> {
        let peer = credentials(&self.socket).map_err(|cause| Error::new("ask who listens on", &self.path, cause))?;
        Ok((u32::try_from(peer.pid).unwrap_or(0), peer.uid))
    }

    /// Takes over a connection that does not block; where it leads is told with errors.
    #[must_use]
    pub fn over(socket: OwnedFd, path: PathBuf) -> Self {
        Self { socket, path, pid: None, answer: Vec::new(), given: 0 }
    }

    /// Connects it, or looks how far that is.
    ///
    /// # Errors
    /// [`Errno::INPROGRESS`] and [`Errno::ALREADY`] while it goes on, [`Errno::ISCONN`] when it is done, all others when it is not.
    pub fn connect(&self, address: &impl rustix::net::addr::SocketAddrArg) -> Result<(), Errno> {
        rustix::net::connect(&self.socket, address)
    }

    /// The end of a connection over the network that is this one's.
    ///
    /// # Errors
    /// It is another one, or has none.
    pub fn own(&self) -> Result<SocketAddr, Error> {
        let own = rustix::net::getsockname(&self.socket).and_then(SocketAddr::try_from);
        own.map_err(|cause| Error::new("look at", &self.path, cause))
    }

    /// Ends it as somebody at the other end may do.
    #[cfg(test)]
    pub(crate) fn end(&self) {
        rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both).unwrap();
    }

    /// Where it leads.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Asks, and gives the whole answer.
    ///
    /// # Errors
    /// It does not come in time, is too long, or the daemon closes the connection. Then this one is of no use any more.
    pub fn ask(&mut self, question: &[u8], end: End, deadline: Instant) -> Result<&[u8], Error> {
        self.send(question, deadline)?;
        self.given = 0;
        self.answer.clear();
        let length = self.whole(end, deadline).map_err(|error| of(error, question))?;
        self.alone(length)
    }

    /// Sends a question.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn send(&self, mut question: &[u8], deadline: Instant) -> Result<(), Error> {
        while !question.is_empty() {
            match rustix::net::send(&self.socket, question, SendFlags::NOSIGNAL) {
                Ok(sent) => question = question.get(sent..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT, deadline)?,
                Err(cause) => return Err(Error::new("ask", &self.path, cause)),
            }
        }
        Ok(())
    }

    /// Hears an answer to its end.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn hear(&mut self, end: End, deadline: Instant) -> Result<&[u8], Error> {
        self.given = 0;
        self.answer.clear();
        let length = self.whole(end, deadline)?;
        self.alone(length)
    }

    /// All that has come, if it is an answer of so many bytes and nothing else.
    fn alone(&self, length: usize) -> Result<&[u8], Error> {
        if length < self.answer.len() { Err(self.broken("it says more than it was asked")) } else { Ok(&self.answer) }
    }

    /// Hears the next part of all that a daemon says.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn part(&mut self, end: impl FnMut(&[u8], usize) -> Option<usize>, deadline: Instant) -> Result<&[u8], Error> {
        let length = self.whole(end, deadline)?;
        let begin = self.given;
        self.given += length;
        Ok(self.answer.get(begin..self.given).unwrap_or_default())
    }

    /// Reads until what was not given out yet begins with a whole part, and gives its length.
    fn whole(&mut self, mut end: impl FnMut(&[u8], usize) -> Option<usize>, deadline: Instant) -> Result<usize, Error> {
        let mut looked_at = 0;
        loop {
            let said = self.answer.get(self.given..).unwrap_or_default();
            match end(said, looked_at).filter(|_| !said.is_empty()) {
                Some(length) => return Ok(length.min(said.len())),
                None if said.len() > MAX_ANSWER => {
                    let why = format!("it says more than {MAX_ANSWER} bytes at once");
                    return Err(self.said(ErrorKind::FileTooLarge, &why));
                }
                None => looked_at = said.len(),
            }
            self.more(deadline)?;
        }
    }

    /// Reads what has come behind what was not given out yet.
    fn more(&mut self, deadline: Instant) -> Result<(), Error> {
        // one who never stops must not keep anybody
        if Instant::now() >= deadline {
            return Err(self.late());
        }
        self.answer.drain(..std::mem::take(&mut self.given));
        let before = self.answer.len();
        if before == 0 {
            // what one long answer has taken is not kept for all the short ones
            self.answer.shrink_to(CHUNK * 8);
        }
        loop {
            self.answer.resize(before + CHUNK, 0);
            let room = self.answer.get_mut(before..).unwrap_or_default();
            let came = rustix::net::recv(&self.socket, room, RecvFlags::empty()).map(|(came, _)| came);
            self.answer.truncate(before + *came.as_ref().unwrap_or(&0));
            match came {
                Ok(0) => return Err(self.said(ErrorKind::ConnectionAborted, "it has closed the connection")),
                Ok(came) => {
                    meter::add(came);
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(PollFlags::IN, deadline)?,
                Err(cause) => return Err(Error::new("hear", &self.path, cause)),
            }
        }
    }

    /// Waits until there is something to read, or room to write.
    ///
    /// # Errors
    /// It takes too long.
    pub fn wait(&self, what: PollFlags, deadline: Instant) -> Result<(), Error> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.late());
        }
        let fail = |cause| Error::new("wait for", &self.path, cause);
        let left = Timespec::try_from(left).map_err(|_| fail(Errno::INVAL))?;
        match poll(&mut [PollFd::new(&self.socket, what)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(cause) => Err(fail(cause)),
        }
    }

    fn late(&self) -> Error {
        silent("hear", &self.path, if self.answer.is_empty() { "it says nothing" } else { "it stops in the middle" })
    }

    /// That what it says cannot be followed any more.
    pub fn broken(&self, why: &str) -> Error {
        self.said(ErrorKind::InvalidData, why)
    }

    fn said(&self, kind: ErrorKind, why: &str) -> Error {
        Error::new("hear", &self.path, std::io::Error::new(kind, why))
    }
}

/// Says of an answer that is too long to what it is one.
fn of(error: Error, question: &[u8]) -> Error {
    if error.cause.kind() != ErrorKind::FileTooLarge {
        return error;
    }
    let question = Text::new(question.trim_ascii_end().strip_suffix(&[0]).unwrap_or(question.trim_ascii_end()));
    let why = format!("its answer to `{question}` has more than {MAX_ANSWER} bytes");
    Error::new(error.op, error.object, std::io::Error::new(ErrorKind::FileTooLarge, why))
}

fn silent(op: &'static str, path: &Path, why: &str) -> Error {
    Error::new(op, path, std::io::Error::new(ErrorKind::TimedOut, why))
}

#[cfg(test)]
impl Line {
    /// One over a connection that is there.
    pub(crate) fn testing(stream: std::os::unix::net::UnixStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        Self { socket: stream.into(), path: PathBuf::from("/run/test"), pid: None, answer: Vec::new(), given: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::super::standing::Standing;
    use super::super::trust::TRUST;
    use super::*;
    use crate::source::file::Root;
    use crate::source::routing::frr::end;
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::net::{UnixListener, UnixStream};
    use std::thread::JoinHandle;

    /// A directory with a socket, which belong to this user; that one counts as a daemon's.
    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Self {
            let place = Self(tempfile::tempdir().unwrap());
            std::fs::create_dir(place.0.path().join("etc")).unwrap();
            let own = rustix::process::geteuid().as_raw();
            std::fs::write(place.0.path().join("etc/passwd"), format!("frr:x:{own}:{own}::/:\n")).unwrap();
            place
        }

        fn socket(&self) -> PathBuf {
            self.0.path().join("ospfd.vty")
        }

        fn trust(&self) -> Trust {
            let mut trust = Trust::new(&["frr"]);
            trust.refresh(&Root::new(self.0.path()));
            trust
        }

        /// A daemon for one connection.
        fn daemon(&self, does: impl FnOnce(UnixStream) + Send + 'static) -> JoinHandle<()> {
            let listener = UnixListener::bind(self.socket()).unwrap();
            std::thread::spawn(move || does(listener.accept().unwrap().0))
        }

        fn line(&self) -> Result<Line, Error> {
            Line::open(&self.socket(), &self.trust())
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(200)
    }

    fn failure(does: impl FnOnce(UnixStream) + Send + 'static) -> Error {
        let place = Place::new();
        let daemon = place.daemon(does);
        let mut line = place.line().unwrap();
        let begin = Instant::now();
        let error = line.ask(b"x\0", end, soon()).unwrap_err();
        assert!(begin.elapsed() < PATIENCE * 4, "{error}");
        drop(line);
        daemon.join().unwrap();
        error
    }

    #[test]
    fn a_daemon_is_asked_again_and_again_over_one_connection() {
        let place = Place::new();
        let daemon = place.daemon(|mut stream| {
            let mut question = [0; 4];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(b"{}\0\0").unwrap();
            stream.write_all(b"\0\0").unwrap();
            stream.read_exact(&mut question).unwrap();
            stream.write_all(&vec![b'a'; 3 << 20]).unwrap();
            stream.write_all(b"\0\0\0\x02").unwrap();
        });
        let mut line = place.line().unwrap();
        let late = Instant::now() + Duration::from_secs(20);
        assert_eq!(line.ask(b"one\0", end, late).unwrap(), b"{}\0\0\0\0");
        assert_eq!(line.ask(b"two\0", end, late).unwrap().len(), (3 << 20) + 4);
        assert_eq!(line.pid, Some(std::process::id()));
        daemon.join().unwrap();
    }

    #[test]
    fn one_who_says_nothing_or_half_holds_up_nobody() {
        let until_closed = |mut stream: UnixStream| drop(stream.read_to_end(&mut Vec::new()));
        let error = failure(until_closed);
        assert_eq!((error.cause.kind(), error.to_string().ends_with("it says nothing")), (ErrorKind::TimedOut, true));
        let error = failure(move |mut stream| {
            stream.write_all(b"{\"default\":").unwrap();
            until_closed(stream);
        });
        assert!(error.to_string().ends_with("it stops in the middle"), "{error}");
    }

    #[test]
    fn one_who_never_stops_is_stopped() {
        let forever = |size: usize| {
            let piece = vec![b'a'; size];
            move |mut stream: UnixStream| while stream.write_all(&piece).is_ok() {}
        };
        let error = failure(forever(1));
        assert_eq!(error.cause.kind(), ErrorKind::TimedOut, "{error}");
        let place = Place::new();
        let daemon = place.daemon(forever(1 << 16));
        let mut line = place.line().unwrap();
        let error = line.ask(b"x\0", end, Instant::now() + Duration::from_mins(1)).unwrap_err();
        assert_eq!(error.cause.kind(), ErrorKind::FileTooLarge, "{error}");
        assert!(error.to_string().ends_with("its answer to `x` has more than 8388608 bytes"), "{error}");
        assert!(line.answer.capacity() < MAX_ANSWER * 4);
        drop(line);
        daemon.join().unwrap();
    }

    #[test]
    fn one_who_goes_or_says_too_much_is_told_from_one_who_is_silent() {
        let error = failure(drop);
        assert_eq!(Standing::of(&error), Standing::Down, "{error}");
        let error = failure(|mut stream| stream.write_all(b"{}\0\0\0\0{}\0\0\0\0").unwrap());
        assert!(error.to_string().ends_with("more than it was asked"), "{error}");
        assert_eq!(Standing::of(&error), Standing::Failed, "somebody listens");
    }

    #[test]
    fn one_who_accepts_nobody_is_silent_at_once() {
        let place = Place::new();
        let listener = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(place.socket()).unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let first = place.line().unwrap();
        let error = place.line().unwrap_err();
        assert!(error.to_string().ends_with("it accepts nobody"), "{error}");
        drop(first);
    }

    #[test]
    fn a_place_that_anybody_may_change_is_not_trusted() {
        let place = Place::new();
        let _listener = UnixListener::bind(place.socket()).unwrap();
        let mode = |mode| std::fs::set_permissions(place.0.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o777);
        assert_eq!(place.line().unwrap_err().op, TRUST);
        mode(0o1777);
        assert!(place.line().is_ok());
        std::fs::remove_file(place.socket()).unwrap();
        std::fs::write(place.socket(), "").unwrap();
        assert_eq!(place.line().unwrap_err().op, TRUST, "a file is no socket");
        std::fs::remove_file(place.socket()).unwrap();
        std::os::unix::fs::symlink("/nowhere", place.socket()).unwrap();
        assert_eq!(place.line().unwrap_err().op, TRUST, "a link may lead anywhere");
    }

    #[test]
    fn root_a_socket_of_another_user_is_not_trusted() {
        let place = Place::new();
        let _listener = UnixListener::bind(place.socket()).unwrap();
        std::os::unix::fs::chown(place.socket(), Some(4711), None).unwrap();
        let error = place.line().unwrap_err();
        assert_eq!((error.op, error.to_string().ends_with("it belongs to user 4711")), (TRUST, true), "{error}");
        std::os::unix::fs::chown(place.socket(), Some(0), None).unwrap();
        std::os::unix::fs::chown(place.0.path(), Some(4711), None).unwrap();
        assert_eq!(place.line().unwrap_err().op, TRUST, "nor is one in another's directory");
    }

    #[test]
    fn root_another_user_who_listens_is_not_trusted() {
        let place = Place::new();
        std::fs::set_permissions(place.0.path(), std::fs::Permissions::from_mode(0o1777)).unwrap();
        let path = place.socket();
        let listening = std::thread::spawn(move || {
            // SAFETY: takes a number only; the call itself changes the user of this thread, and of no other
            assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, -1, 4711, -1) }, 0);
            UnixListener::bind(path).unwrap()
        });
        let _listener = listening.join().unwrap();
        std::os::unix::fs::chown(place.socket(), Some(0), None).unwrap();
        let error = place.line().unwrap_err();
        assert_eq!((error.op, error.to_string().ends_with("4711 listens there")), (TRUST, true), "{error}");
    }
}
