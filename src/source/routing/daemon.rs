//! Which routing daemons run here, and what have they told?
//!
//! Their control sockets are looked for where packages put them, and where the configuration says. One after the other is
//! asked; a round has a bound, and those that did not answer before come last in it, so that they cost the others nothing. What
//! a daemon has told stays until it tells something else. Those that have no control socket here are asked by [`super::ask`], and
//! what they said is taken in passing.

mod more;
mod subject;

pub use more::Wanted;
pub use subject::Subject;

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ask::{ASK, Asked, Board, Heard, Report};
use super::bird::Session;
use super::database::Database;
use super::frr;
use super::ospf::RouteCount;
use super::settings::Settings;
use super::snmp;
use super::socket::{Program, found};
pub use super::socket::{Source, is_known};
use super::told::Told;
use super::vty::Answers;
use super::vty::settings::Vty;
use crate::model::{Text, Timestamp};
use crate::source::bounded::Bounded;
use crate::source::control::line::{Line, PATIENCE};
#[cfg(test)]
use crate::source::control::standing::Standing;
use crate::source::control::standing::State;
use crate::source::control::trust::Trust;
use crate::source::file::Roots;
use crate::source::{Error, netns};

/// How long a round may take.
const ROUND: Duration = Duration::from_secs(1);

/// How long routers that somebody else asks are waited for at the start: who asks once wants to know of all.
pub const FIRST: Duration = Duration::from_secs(2);

/// Most daemons that are asked.
pub const MOST: usize = 64;

/// A control socket, and who is behind it.
#[derive(Debug)]
pub struct Daemon {
    /// The socket.
    pub socket: PathBuf,
    /// Which daemons it is one of.
    pub source: Source,
    /// Its name: that of the socket, after that of its path space.
    pub instance: Text,
    /// How it is.
    pub state: State,
    /// Name and version of the program.
    pub version: Option<Text>,
    /// Its process.
    pub pid: Option<u32>,
    /// Network namespace of that process.
    pub netns: Option<Text>,
    /// What it has told last.
    pub told: Option<Told>,
    /// How many routes OSPF has found, as it was asked last.
    pub routes: Bounded<RouteCount>,
    /// Why that could not be asked.
    pub uncounted: Option<Error>,
    /// What is in its database, while somebody looks at it.
    pub database: Database,
    program: Program,
    line: Option<Line>,
    session: Session,
    /// When it was asked last.
    asked: Option<Instant>,
    /// When it was asked for the number of routes last.
    counted: Option<Instant>,
    /// When that was said which was taken last.
    reported: Option<Timestamp>,
}

/// Users of routing daemons.
pub const USERS: [&str; 4] = ["frr", "quagga", "bird", "_bird"];

/// All daemons.
#[derive(Debug)]
pub struct Daemons {
    known: Vec<Daemon>,
    trust: Trust,
    left_out: usize,
    denied: Option<Error>,
}

impl Default for Daemons {
    fn default() -> Self {
        Self { known: Vec::new(), trust: Trust::new(&USERS), left_out: 0, denied: None }
    }
}

impl Daemons {
    /// Looks who is there, and asks all for whom there is time.
    pub fn round(&mut self, roots: &Roots, settings: &Settings, now: Timestamp, wanted: Wanted) {
        self.trust.refresh(&roots.host);
        self.look(roots, settings, now);
        self.hear(&roots.routing.board, settings, now);
        let old = |told: &Told| told.at.age(now) >= settings.keep.0.as_secs_f64();
        for daemon in self.known.iter_mut().filter(|daemon| !daemon.state.is_up()) {
            if daemon.told.as_ref().is_some_and(old) {
                daemon.forget();
            }
        }
        let end = Instant::now() + ROUND;
        let mut turns: Vec<usize> = (0..self.known.len()).collect();
        turns.sort_by_key(|at| self.known.get(*at).map(|daemon| (!daemon.state.is_up(), daemon.asked)));
        let (sound, others): (Vec<usize>, Vec<usize>) =
            turns.into_iter().partition(|at| self.known.get(*at).is_some_and(|daemon| daemon.state.is_up()));
        for turns in [sound, others] {
            self.ask(&turns, roots, end, now);
            // what takes longer comes when all of them have answered, each question with time of its own
            for at in turns {
                if let Some(daemon) = self.known.get_mut(at).filter(|daemon| daemon.has_socket()) {
                    daemon.ask_more(wanted, end);
                }
            }
        }
        for daemon in self.known.iter_mut().filter(|daemon| daemon.is_unasked()) {
            let cause = std::io::Error::new(ErrorKind::TimedOut, "there was no time to ask it yet");
            daemon.state.put_off(Error::new(ASK, daemon.socket.as_path(), cause));
        }
    }

    /// Asks some one after the other, as far as there is time.
    fn ask(&mut self, turns: &[usize], roots: &Roots, end: Instant, now: Timestamp) {
        for at in turns {
            let begin = Instant::now();
            if begin >= end {
                return;
            }
            if let Some(daemon) = self.known.get_mut(*at).filter(|daemon| daemon.is_due(begin)) {
                daemon.ask(&self.trust, roots, end.min(begin + PATIENCE), now);
            }
        }
    }

    /// Every daemon that is known.
    pub fn known(&self) -> &[Daemon] {
        &self.known
    }

    /// How many sockets are more than are asked.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// A directory that this user may not look into.
    pub fn denied(&self) -> Option<&Error> {
        self.denied.as_ref()
    }

    /// Finds sockets that are new, and forgets those that have gone when what was told is old.
    fn look(&mut self, roots: &Roots, settings: &Settings, now: Timestamp) {
        let (found, denied) = found(roots, settings);
        self.denied = denied;
        self.left_out = found.len().saturating_sub(MOST);
        let there: HashSet<&Path> = found.iter().map(|(socket, ..)| socket.as_path()).collect();
        let is_recent = |told: &Told| told.at.age(now) < settings.keep.0.as_secs_f64();
        self.known.retain(|daemon| {
            !daemon.has_socket()
                || there.contains(daemon.socket.as_path())
                || (daemon.told.as_ref().is_some_and(is_recent) && rustix::fs::stat(&daemon.socket).is_err())
        });
        for (socket, source, instance, program) in found.into_iter().take(MOST) {
            if !self.known.iter().any(|daemon| daemon.socket == socket) {
                self.known.push(Daemon::new(socket, source, instance, program, now));
            }
        }
    }

    /// Takes what those have told who have no control socket, and forgets those that are not configured any more.
    pub fn hear(&mut self, board: &Board, settings: &Settings, now: Timestamp) {
        let all = settings.asked();
        let is_it = |daemon: &Daemon, asked: &Asked| {
            daemon.instance == Text::from(asked.name())
                && daemon.socket.as_os_str() == asked.address().to_string().as_str()
        };
        self.known.retain(|daemon| daemon.has_socket() || all.iter().any(|asked| is_it(daemon, asked)));
        for asked in &all {
            let known = self.known.iter_mut().position(|daemon| !daemon.has_socket() && is_it(daemon, asked));
            let at = known.unwrap_or_else(|| {
                let (place, name) = (asked.address().to_string().into(), Text::from(asked.name()));
                let source = if matches!(asked, Asked::Router(_)) { Source::Snmp } else { Source::Quagga };
                self.known.push(Daemon::new(place, source, name, Program::Router, now));
                self.known.len() - 1
            });
            let Some(daemon) = self.known.get_mut(at) else { continue };
            match board.of(asked) {
                Some(report) => daemon.report(asked, &report, now),
                None if daemon.is_awaited() => {
                    let cause = std::io::Error::new(ErrorKind::TimedOut, "it has not answered yet");
                    daemon.state.put_off(Error::new(ASK, asked.name(), cause));
                }
                None => {}
            }
        }
    }
}

impl Daemon {
    fn new(socket: PathBuf, source: Source, instance: Text, program: Program, now: Timestamp) -> Self {
        Self {
            socket,
            source,
            instance,
            state: State::new(now),
            version: None,
            pid: None,
            netns: None,
            told: None,
            routes: Bounded::new(0),
            uncounted: None,
            database: Database::default(),
            program,
            line: None,
            session: Session::default(),
            asked: None,
            counted: None,
            reported: None,
        }
    }

    /// Forgets what it has told.
    fn forget(&mut self) {
        (self.told, self.routes, self.uncounted) = (None, Bounded::new(0), None);
        (self.database, self.counted) = (Database::default(), None);
    }

    /// Whether it is asked over its control socket.
    pub fn has_socket(&self) -> bool {
        self.program != Program::Router
    }

    /// Whether there was no time yet to ask it over its control socket.
    fn is_unasked(&self) -> bool {
        self.has_socket() && self.asked.is_none()
    }

    /// Whether somebody else asks it, and nothing was heard of that yet.
    fn is_awaited(&self) -> bool {
        !self.has_socket() && self.reported.is_none()
    }

    /// Takes what one has told who is asked by a thread, if that is new.
    fn report(&mut self, asked: &Asked, report: &Report, now: Timestamp) {
        if report.age() > asked.silence() {
            let told = "nobody has told anything of it any more";
            let cause = std::io::Error::new(ErrorKind::TimedOut, told);
            return self.state.settle(Some(Error::new(ASK, asked.name(), cause)), now);
        }
        if self.reported == Some(report.at) {
            return;
        }
        self.reported = Some(report.at);
        match (&report.heard, asked) {
            (Ok(Heard::Values(values)), _) => {
                let (told, version) = snmp::told(values, report.at);
                self.told = Some(told);
                self.database.lsas.hear(Ok(snmp::lsas(values)), report.at);
                self.database.links.hear(Ok(snmp::links(values)), report.at);
                self.version = version.or(self.version.take());
            }
            (Ok(Heard::Answers(answers)), Asked::Vty(vty)) => self.answered(vty, answers, report.at),
            (Ok(Heard::Answers(_)), Asked::Router(_)) => {}
            (Err(error), _) => return self.state.settle(Some(error.again()), now),
        }
        self.state.settle(None, now);
    }

    /// Takes what a daemon has answered at its terminal.
    fn answered(&mut self, vty: &Vty, answers: &Answers, at: Timestamp) {
        let Some(program) = vty.program() else { return };
        self.told = Some(answers.told(program, at));
        self.version = answers.version();
        if self.version.as_ref().is_some_and(|version| version.starts_with("FRR")) {
            self.source = Source::Frr;
        }
        // it listens on a loopback address, which is that of this namespace
        self.netns = Some(netns::host());
        if !vty.database {
            // it may have been asked before
            (self.routes, self.database) = (Bounded::new(0), Database::default());
            return;
        }
        let Some(stored) = answers.database.as_deref().filter(|stored| stored.at != self.database.lsas.at) else {
            return;
        };
        if let Some(why) = &stored.untold {
            let untold = || Error::new(ASK, vty.name.as_str(), std::io::Error::other(why.clone()));
            self.database.lsas.hear(Err(untold()), stored.at);
            self.database.links.hear(Err(untold()), stored.at);
        } else {
            self.routes = stored.routes(program);
            self.database.lsas.hear(Ok(stored.lsas(program)), stored.at);
            self.database.links.hear(Ok(stored.links(program)), stored.at);
        }
    }

    /// Whether what it told is not good any more.
    fn is_due(&self, now: Instant) -> bool {
        if !self.has_socket() {
            return false;
        }
        !self.state.is_up() || self.asked.is_none_or(|asked| now.duration_since(asked) >= self.program.every())
    }

    /// Asks it, over a new connection if the old one was closed.
    fn ask(&mut self, trust: &Trust, roots: &Roots, deadline: Instant, now: Timestamp) {
        self.asked = Some(Instant::now());
        let was_open = self.line.is_some();
        let mut told = self.hear(trust, roots, deadline);
        if was_open && told.as_ref().is_err_and(|error| error.cause.kind() != ErrorKind::TimedOut) {
            // it was started anew meanwhile
            told = self.hear(trust, roots, deadline);
        }
        let fault = match told {
            Ok(told) => {
                self.told = Some(told);
                None
            }
            Err(error) => Some(error),
        };
        self.state.settle(fault, now);
    }

    fn hear(&mut self, trust: &Trust, roots: &Roots, deadline: Instant) -> Result<Told, Error> {
        let mut line = match self.line.take() {
            Some(line) => line,
            None => self.connect(trust, roots, deadline)?,
        };
        let told = match self.program {
            Program::Ospfd if self.source == Source::Quagga => frr::quagga(&mut line, deadline),
            Program::Ospfd => frr::ospf(&mut line, deadline),
            Program::Ospf6d if self.source == Source::Quagga => frr::quagga6(&mut line, deadline),
            Program::Ospf6d => frr::ospf6(&mut line, deadline),
            Program::Bgpd => frr::bgp(&mut line, deadline),
            Program::Bfdd => frr::bfd(&mut line, deadline),
            Program::Isisd => frr::isis(&mut line, deadline),
            Program::Bird => self.session.ospf(&mut line, deadline),
            // nobody asks one here
            Program::Router => Ok(Told::new(Timestamp::now())),
        }?;
        if let Some(version) = &self.session.version {
            self.version = Some(version.clone());
        }
        self.line = Some(line);
        Ok(told)
    }

    fn connect(&mut self, trust: &Trust, roots: &Roots, deadline: Instant) -> Result<Line, Error> {
        let is_bird = self.program == Program::Bird;
        let mut line = Line::open(&self.socket, trust)?;
        self.session = Session::default();
        self.pid = line.pid;
        self.netns = self.namespace(roots);
        if !is_bird {
            self.version = frr::version(&mut line, deadline)?;
            if self.version.as_ref().is_some_and(|version| version.starts_with("Quagga")) {
                self.source = Source::Quagga;
            }
        }
        Ok(line)
    }

    /// Network namespace of its process. One that has become a daemon after it began to listen has another number by now, and
    /// may have left its own to a stranger; but sockets of the own namespace are listed.
    fn namespace(&self, roots: &Roots) -> Option<Text> {
        let is_it = |pid: &u32| {
            roots
                .proc
                .read(format!("{pid}/comm"))
                .is_ok_and(|comm| comm.trim_ascii_end() == self.program.process().as_bytes())
        };
        if let Some(pid) = self.pid.filter(is_it) {
            return netns::of_process(pid, &roots.proc, &roots.host);
        }
        let listed = roots.proc.text("thread-self/net/unix").ok()?;
        let socket = self.socket.to_str()?;
        listed.lines().any(|line| line.ends_with(socket)).then(netns::host)
    }
}

#[cfg(test)]
impl Daemon {
    /// One that was never asked.
    pub(crate) fn testing(socket: &str, now: Timestamp) -> Self {
        let (path, source, instance, program) =
            super::socket::found_at(PathBuf::from(socket), Source::Frr, None).unwrap();
        Self::new(path, source, instance, program, now)
    }

    /// A router that is asked elsewhere, with what was heard of that.
    pub(crate) fn elsewhere(name: &str, heard: Option<Standing>, now: Timestamp) -> Self {
        let mut daemon = Self::new(name.into(), Source::Snmp, Text::from(name), Program::Router, now);
        (daemon.reported, daemon.state.standing) = (heard.map(|_| now), heard.unwrap_or(Standing::Unknown));
        daemon.state.fault = (heard != Some(Standing::Up)).then(|| Error::malformed(name, "why"));
        daemon
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::source::file::Root;

    #[test]
    fn a_daemon_whose_socket_goes_is_forgotten_when_what_it_told_is_old() {
        let place = tempfile::tempdir().unwrap();
        let roots = Roots { host: Root::new(place.path()), ..Roots::live() };
        let at = |seconds: u64| Timestamp::from_seconds(seconds as f64);
        let socket = place.path().join("ospfd.vty");
        let mut daemons = Daemons::default();
        let mut count = |now: u64| {
            if daemons.known.is_empty() {
                // it has been up for long, and spoke until now
                let mut daemon = Daemon::testing(socket.to_str().unwrap(), at(0));
                daemon.told = Some(Told::new(at(10_000)));
                daemons.known.push(daemon);
            }
            daemons.look(&roots, &Settings::default(), at(now));
            daemons.known().len()
        };
        assert_eq!([10_001, 13_599, 13_600].map(&mut count), [1, 1, 0]);
        std::fs::write(&socket, "").unwrap();
        assert_eq!(count(10_001), 0, "one that is there is not looked for any more");
    }

    #[test]
    fn a_router_that_has_not_answered_yet_is_told() {
        let place = tempfile::tempdir().unwrap();
        let roots = Roots { host: Root::new(place.path()), ..Roots::live() };
        let text = "[[snmp]]\nname = 'core'\naddress = '10.0.0.1'\ncommunity_file = '/c'\n";
        let settings: Settings = toml::from_str(text).unwrap();
        let at = |seconds: u64| Timestamp::from_seconds(seconds as f64);
        let mut daemons = Daemons::default();
        let mut look = |now: u64| {
            daemons.round(&roots, &settings, at(now), Wanted::default());
            let [daemon] = daemons.known() else { panic!("{:?}", daemons.known()) };
            let why = daemon.state.fault.as_ref().map(|error| error.cause.to_string());
            (daemon.state.standing, daemon.state.since, why, daemon.is_awaited())
        };
        let why = Some("it has not answered yet".to_owned());
        assert_eq!(look(100), (Standing::Unknown, at(100), why.clone(), true));
        assert_eq!(look(101), (Standing::Unknown, at(100), why, true));
        let router = &settings.asked()[0];
        let heard = Ok(Heard::Values(Vec::new()));
        roots.routing.board.post(Report::new(router.name().to_owned(), router.address(), at(102), heard));
        assert_eq!(look(102), (Standing::Up, at(102), None, false));
    }

    #[test]
    fn those_for_whom_there_was_no_time_are_told_as_such_and_asked_first_the_next_time() {
        let place = tempfile::tempdir().unwrap();
        let own = rustix::process::geteuid().as_raw();
        std::fs::create_dir_all(place.path().join("run/frr")).unwrap();
        std::fs::create_dir(place.path().join("etc")).unwrap();
        std::fs::write(place.path().join("etc/passwd"), format!("frr:x:{own}:{own}::/:\n")).unwrap();
        let listen = |name: &str| UnixListener::bind(place.path().join("run/frr").join(name)).unwrap();
        // each of these takes all the patience there is
        let silent: Vec<UnixListener> = (0..6).map(|number| listen(&format!("ospfd-{number}.vty"))).collect();
        let roots = Roots { host: Root::new(place.path()), ..Roots::live() };
        let mut daemons = Daemons::default();
        let mut look = || {
            daemons.round(&roots, &Settings::default(), Timestamp::now(), Wanted::default());
            let told = daemons.known().iter().map(|daemon| {
                let why = daemon.state.fault.as_ref().map(|error| error.cause.to_string());
                (daemon.state.standing, why.is_some_and(|why| why.contains("no time to ask it yet")))
            });
            told.collect::<Vec<_>>()
        };
        let first = look();
        assert_eq!((first.len(), first[0]), (silent.len(), (Standing::Silent, false)));
        assert_eq!(first[5], (Standing::Unknown, true), "{first:?}");
        assert!((0..3).any(|_| !look().contains(&(Standing::Unknown, true))), "all were asked");
    }

    /// A host whose `ospfd` is whoever takes calls here.
    fn ospfd() -> (tempfile::TempDir, UnixListener) {
        let place = tempfile::tempdir().unwrap();
        let own = rustix::process::geteuid().as_raw();
        std::fs::create_dir_all(place.path().join("run/frr")).unwrap();
        std::fs::create_dir(place.path().join("etc")).unwrap();
        std::fs::write(place.path().join("etc/passwd"), format!("frr:x:{own}:{own}::/:\n")).unwrap();
        let listener = UnixListener::bind(place.path().join("run/frr/ospfd.vty")).unwrap();
        (place, listener)
    }

    #[test]
    fn one_that_tells_nothing_is_up_and_says_why() {
        let (place, listener) = ospfd();
        let daemon = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut writer = stream.try_clone().unwrap();
            for _ in BufReader::new(stream).split(0).map_while(Result::ok) {
                let _ = writer.write_all(b"% OSPF is not enabled\n\0\0\0\x01");
            }
        });
        let roots = Roots { host: Root::new(place.path()), ..Roots::live() };
        let mut daemons = Daemons::default();
        daemons.round(&roots, &Settings::default(), Timestamp::now(), Wanted::default());
        let [known] = daemons.known() else { panic!("{:?}", daemons.known()) };
        let excuse = known.told.as_ref().and_then(|told| told.excuse.clone());
        assert_eq!((known.state.standing, excuse.as_deref()), (Standing::Up, Some("OSPF is not enabled")));
        drop(daemons);
        daemon.join().unwrap();
    }

    #[test]
    fn what_takes_longer_has_time_of_its_own() {
        let (place, listener) = ospfd();
        let daemon = std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut writer = stream.try_clone().unwrap();
            for question in BufReader::new(stream).split(0).map_while(Result::ok) {
                let millis = match question.as_slice() {
                    b"show version" => 0,
                    // three questions whenever it is asked how it is
                    words if !words.windows(5).any(|word| word == b"route") => 100,
                    _ => 350,
                };
                // this one takes its time
                std::thread::sleep(Duration::from_millis(millis));
                let _ = writer.write_all(b"{}\0\0\0\0");
            }
        });
        let roots = Roots { host: Root::new(place.path()), ..Roots::live() };
        let mut daemons = Daemons::default();
        let wanted = Wanted { routes: true, ..Wanted::default() };
        daemons.round(&roots, &Settings::default(), Timestamp::now(), wanted);
        let [known] = daemons.known() else { panic!("{:?}", daemons.known()) };
        assert!(known.state.is_up() && known.counted.is_some(), "{known:?}");
        assert!(known.uncounted.is_none(), "{:?}", known.uncounted);
        drop(daemons);
        daemon.join().unwrap();
    }
}
