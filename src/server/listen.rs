//! Where does the agent listen?
//!
//! On the sockets that systemd hands over, or else on those of the configuration. A unix socket that nobody listens on is
//! replaced, one that lives is not; both are decided under a lock, so that of two agents that start at once one wins.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::lock::{Lock, PATIENCE};
use super::{Error, Settings, taken};
use crate::source::file::Root;

/// The first descriptor that systemd hands over.
const FIRST: i32 = 3;

/// More sockets than anybody hands over.
const MAX_HANDED: i32 = 64;

/// Connections that wait to be accepted, as many as the kernel lets (`net.core.somaxconn`): in a storm that fills the queue
/// others come a second later.
const BACKLOG: i32 = i32::MAX;

/// What the front listens on.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    pub(super) tcp: Vec<TcpListener>,
    pub(super) unix: Vec<UnixListener>,
    /// Whether systemd has made them, and decides where they are.
    pub(super) handed: bool,
    made: Vec<Made>,
}

/// A socket file of our own.
#[derive(Debug)]
struct Made {
    path: PathBuf,
    file: (u64, u64),
}

impl Drop for Made {
    /// Removes the file, if it is still the one that was made.
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.file) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Listeners {
    /// Takes what systemd hands over, or listens where the settings say.
    ///
    /// # Errors
    /// [`Error::Address`], [`Error::Listen`].
    pub(super) fn open(settings: &Settings) -> Result<Self, Error> {
        let handed = handed(|name| std::env::var(name).ok())?;
        if !handed.tcp.is_empty() || !handed.unix.is_empty() {
            return Ok(Self { handed: true, ..handed });
        }
        let mut listeners = Self::default();
        let addresses = settings
            .listen
            .iter()
            .map(|text| text.parse().map_err(|_| Error::Address(text.clone())))
            .collect::<Result<Vec<SocketAddr>, Error>>()?;
        for address in &addresses {
            let failed = |cause: io::Error| {
                let cause = taken::explained(cause, *address, &Root::new("/proc"));
                Error::Listen { at: address.to_string(), cause }
            };
            listeners.tcp.push(tcp(*address, &addresses).map_err(failed)?);
        }
        if !settings.socket.as_os_str().is_empty() {
            let failed = |cause| Error::Listen { at: settings.socket.display().to_string(), cause };
            let (listener, made) = unix(settings).map_err(failed)?;
            listeners.unix.push(listener);
            listeners.made.push(made);
        }
        if listeners.tcp.is_empty() && listeners.unix.is_empty() {
            let nobody = "nobody could look: [serve] listen is empty, and there is no socket";
            return Err(Error::Settings(nobody.to_owned()));
        }
        Ok(listeners)
    }

    /// An address that other hosts can reach.
    pub(super) fn away(&self) -> Option<SocketAddr> {
        let mut addresses = self.tcp.iter().filter_map(|listener| listener.local_addr().ok());
        addresses.find(|address| !address.ip().to_canonical().is_loopback())
    }

    /// The addresses that hold, for people.
    pub(super) fn names(&self) -> Vec<String> {
        let tcp = self.tcp.iter().filter_map(|listener| Some(listener.local_addr().ok()?.to_string()));
        let unix = self
            .unix
            .iter()
            .filter_map(|listener| Some(format!("unix:{}", listener.local_addr().ok()?.as_pathname()?.display())));
        tcp.chain(unix).collect()
    }
}

/// Listens on one address of all.
fn tcp(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = rustix::net::SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 as well, unless that has an address of its own
        let other = all.iter().any(|other| other.is_ipv4() && other.port() == address.port());
        sockopt::set_ipv6_v6only(&socket, other)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}

/// Listens on a path.
fn unix(settings: &Settings) -> io::Result<(UnixListener, Made)> {
    let path = &settings.socket;
    let _lock = Lock::take(path, PATIENCE)?;
    match std::fs::symlink_metadata(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(cause),
        Ok(file) if !file.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something else than a socket is there"));
        }
        Ok(_) => match connected(path) {
            Err(rustix::io::Errno::CONNREFUSED) => std::fs::remove_file(path)?,
            Ok(_) | Err(rustix::io::Errno::AGAIN) => {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another agent listens there"));
            }
            Err(cause) => return Err(cause.into()),
        },
    }
    // nobody may connect before mode and group are right
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let (listener, file) = (listener?, std::fs::symlink_metadata(path)?);
    let made = Made { path: path.clone(), file: (file.dev(), file.ino()) };
    if !settings.socket_group.is_empty() {
        let group =
            group(&Root::new("/").read("etc/group").unwrap_or_default(), &settings.socket_group).ok_or_else(|| {
                io::Error::new(io::ErrorKind::NotFound, format!("there is no group `{}`", settings.socket_group))
            })?;
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(settings.socket_mode.0))?;
    Ok((listener, made))
}

/// Connects without waiting: one who does not accept connections has a full queue some time.
fn connected(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Number of a group.
fn group(file: &[u8], wanted: &str) -> Option<u32> {
    if let Ok(number) = wanted.parse() {
        return Some(number);
    }
    file.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let named = fields.next()? == wanted.as_bytes();
        let number = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok()?;
        named.then_some(number)
    })
}

/// The sockets that systemd hands over, if it means this process.
fn handed(variable: impl Fn(&str) -> Option<String>) -> Result<Listeners, Error> {
    let number = |name| variable(name).and_then(|text| text.parse::<i32>().ok());
    let mut listeners = Listeners::default();
    if number("LISTEN_PID") != Some(rustix::process::getpid().as_raw_nonzero().get()) {
        return Ok(listeners);
    }
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    for descriptor in FIRST..FIRST + number("LISTEN_FDS").unwrap_or(0).clamp(0, MAX_HANDED) {
        let name = names.next().filter(|name| !name.is_empty()).unwrap_or("unnamed");
        let at = format!("socket `{name}` of systemd");
        // SAFETY: systemd says that it is open and ours, and it is taken once
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        listeners.take(socket).map_err(|cause| Error::Listen { at, cause })?;
    }
    Ok(listeners)
}

impl Listeners {
    fn take(&mut self, socket: OwnedFd) -> io::Result<()> {
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        let stream = sockopt::socket_type(socket.as_fd())? == SocketType::STREAM;
        if !stream || !sockopt::socket_acceptconn(&socket)? {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it does not listen for connections"));
        }
        match sockopt::socket_domain(&socket)? {
            AddressFamily::UNIX => self.unix.push(UnixListener::from(socket)),
            AddressFamily::INET | AddressFamily::INET6 => self.tcp.push(TcpListener::from(socket)),
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither TCP nor unix")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(path: &Path) -> Settings {
        Settings { listen: Vec::new(), socket: path.to_owned(), ..Settings::default() }
    }

    #[test]
    fn an_agent_that_listens_nowhere_is_none() {
        let told = Listeners::open(&on(Path::new(""))).unwrap_err().to_string();
        assert!(told.contains("listen is empty"), "{told}");
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let first = Listeners::open(&on(&path)).unwrap();
        let refused = Listeners::open(&on(&path)).unwrap_err().to_string();
        assert!(refused.contains("another agent listens there"), "{refused}");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o666);
        drop(first);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn whoever_holds_the_directory_keeps_no_agent_from_starting() {
        let dir = tempfile::tempdir().unwrap();
        let held = std::fs::File::open(dir.path()).unwrap();
        rustix::fs::flock(&held, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        Listeners::open(&on(&dir.path().join("socket"))).unwrap();
    }

    #[test]
    fn one_who_accepts_nobody_listens_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let listener = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).unwrap();
        rustix::net::bind(&listener, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let _first = connected(&path).unwrap();
        assert_eq!(connected(&path).err(), Some(rustix::io::Errno::AGAIN), "the queue is full");
        let refused = Listeners::open(&on(&path)).unwrap_err().to_string();
        assert!(refused.contains("another agent listens there"), "{refused}");
    }

    #[test]
    fn a_file_that_is_no_socket_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes");
        std::fs::write(&path, "mine").unwrap();
        assert!(Listeners::open(&on(&path)).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn a_socket_of_somebody_else_is_not_removed_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let listeners = Listeners::open(&on(&path)).unwrap();
        std::fs::remove_file(&path).unwrap();
        let _theirs = UnixListener::bind(&path).unwrap();
        drop(listeners);
        assert!(path.exists());
    }

    #[test]
    fn both_families_share_a_port() {
        // a port that nobody else is given meanwhile: it is bound, and who reuses addresses may share it
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let held = rustix::net::socket_with(AddressFamily::INET6, SocketType::STREAM, flags, None).unwrap();
        sockopt::set_socket_reuseaddr(&held, true).unwrap();
        sockopt::set_ipv6_v6only(&held, false).unwrap();
        rustix::net::bind(&held, &SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0))).unwrap();
        let port = SocketAddr::try_from(rustix::net::getsockname(&held).unwrap()).unwrap().port();
        let both = vec![format!("0.0.0.0:{port}"), format!("[::]:{port}")];
        let listeners = Listeners::open(&Settings { listen: both, ..Settings::default() }).unwrap();
        assert_eq!(listeners.names(), [format!("0.0.0.0:{port}"), format!("[::]:{port}")]);
        for address in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
            std::net::TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn a_taken_port_names_its_holder() {
        let holder = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = holder.local_addr().unwrap().to_string();
        let refused = Listeners::open(&Settings { listen: vec![address.clone()], ..Settings::default() });
        let told = refused.unwrap_err().to_string();
        let pid = std::process::id();
        assert!(told.contains(&address) && told.contains(&format!("(pid {pid})")), "{told}");
    }

    #[test]
    fn sockets_that_are_meant_for_another_process_are_left_alone() {
        let of = |pid: u32| {
            move |name: &str| match name {
                "LISTEN_PID" => Some(pid.to_string()),
                "LISTEN_FDS" => Some("1".to_owned()),
                _ => None,
            }
        };
        let listeners = handed(of(std::process::id() + 1)).unwrap();
        assert!(listeners.tcp.is_empty() && listeners.unix.is_empty());
    }

    #[test]
    fn only_what_listens_is_taken() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut listeners = Listeners::default();
        assert!(listeners.take(one.into()).is_err());
        listeners.take(TcpListener::bind("[::1]:0").unwrap().into()).unwrap();
        assert_eq!(listeners.tcp.len(), 1);
    }

    #[test]
    fn groups_have_names_and_numbers() {
        let file = b"root:x:0:\nnetglance:x:995:me\nbroken\n";
        assert_eq!(group(file, "netglance"), Some(995));
        assert_eq!(group(file, "4711"), Some(4711));
        assert_eq!(group(file, "nobody"), None);
    }
}
