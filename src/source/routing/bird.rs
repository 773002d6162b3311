//! What does BIRD tell?
//!
//! Its control socket speaks lines: a code of four digits, then `-` before a line that others follow, a space before the last
//! one, and a space alone instead of a code that is the same as before. A connection begins with a greeting, and gives up at
//! once what it does not need (`restrict`). Versions 2 and 3 write the same; each OSPF protocol is asked for by its name,
//! because older ones answer for a single one only.

mod database;
mod lsa;
mod peer;
mod route;
mod since;

pub use database::read_state;
pub use lsa::{count, read_lsas};
pub use peer::{read_bfd, read_bgp};
pub use route::read as read_routes;
pub use since::Clock;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::database::Links;
use super::lsa::{Lsa, MOST};
use super::ospf::{
    Area, AreaKind, Index, Interface, InterfaceState, Neighbor, NeighborState, NetworkType, Place, Role, RouteCount,
};
use super::peer::BgpPeer;
use super::told::Told;
use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::control::json::{PLAIN, readable};
use crate::source::control::line::Line;

/// OSPF protocols of one daemon that are asked about at most.
pub const MAX_PROTOCOLS: usize = 64;

/// How long what was told of BGP is good for.
const BGP_EVERY: Duration = Duration::from_secs(5);

/// How long the number of the router is.
const ROUTER_EVERY: Duration = Duration::from_secs(5);

/// What tells the present and the number of the router.
const STATUS: &str = "show status";

/// From this code on an answer is a refusal.
const REFUSED: u16 = 8000;

/// `/* Show list of protocols */` of `doc/reply_codes`
const PROTOCOL: u16 = 1002;

/// Where an answer ends: of all bytes that have come, and how many of them were looked at before, the length of the answer
/// once it is whole.
pub fn end(answer: &[u8], before: usize) -> Option<usize> {
    let new = answer.get(before..)?;
    // the last line may have begun before
    let mut begin = answer.get(..before)?.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    for at in new.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| before + at) {
        if let Some([code @ .., b' ', _]) = answer.get(begin..at + 1).and_then(|line| line.get(..6))
            && code.iter().all(u8::is_ascii_digit)
        {
            return Some(at + 1);
        }
        begin = at + 1;
    }
    None
}

/// Lines of an answer with their codes.
fn lines(answer: &str) -> impl Iterator<Item = (u16, &str)> {
    let mut last = 0;
    answer.lines().map(move |line| {
        let coded = line.split_at_checked(4).and_then(|(code, rest)| Some((code.parse::<u16>().ok()?, rest)));
        let (code, rest) = coded.unwrap_or((last, line));
        last = code;
        (code, rest.get(1..).unwrap_or_default())
    })
}

/// What a connection remembers.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Whether the daemon was greeted.
    greeted: bool,
    /// Version, such as `BIRD 2.0.12`.
    pub(super) version: Option<Text>,
    /// VRFs and numbers of protocols: they do not change while one lives.
    known: HashMap<String, (Option<Text>, Option<IpAddr>)>,
    /// Number of this router, of those protocols that have none of their own, and when that was asked for.
    router: Option<(Instant, Option<IpAddr>)>,
    /// Sessions of BGP, and when they were asked about.
    bgp: Option<(Instant, Vec<BgpPeer>)>,
    /// How its times are to be understood.
    clock: Clock,
}

impl Session {
    /// Asks for all that it knows of OSPF.
    ///
    /// # Errors
    /// As [`Line::ask`], or it speaks another language.
    pub(super) fn ospf(&mut self, line: &mut Line, deadline: Instant) -> Result<Told, Error> {
        self.greet(line, deadline)?;
        let there = protocols(line, deadline)?;
        let (ospf, unasked) = names(&there, "OSPF");
        self.known.retain(|known, _| ospf.contains(known));
        let mut told = Told { unasked, ..Told::new(Timestamp::now()) };
        for name in ospf {
            let (vrf, router) = self.protocol(line, &name, deadline)?;
            let router = router.map_or_else(|| self.router(line, deadline), |own| Ok(Some(own)))?;
            let place = Place { instance: Some(Text::from(name.as_str())), vrf, version: 2 };
            let mut ask = |what: &str| show(line, &format!("show ospf {what} '{name}'"), deadline);
            match [ask("interface")?, ask("neighbors")?, ask("")?] {
                [Some(interfaces), Some(neighbors), Some(areas)] => {
                    compose(&mut told, (place, router), [&interfaces, &neighbors, &areas]);
                }
                // one that has gone meanwhile has no neighbors
                _ if names(&protocols(line, deadline)?, "OSPF").0.contains(&name) => {
                    return Err(refused(line, &format!("show ospf '{name}'")));
                }
                _ => {}
            }
        }
        told.count_neighbors();
        if has(&there, "BFD") {
            let answer = show(line, "show bfd sessions", deadline)?.unwrap_or_default();
            told.bfd.extend(read_bfd(&answer, &self.clock, Timestamp::now()));
        }
        if has(&there, "BGP") {
            told.bgp.extend(self.bgp(line, deadline)?);
        }
        Ok(told)
    }

    /// Asks how many routes each OSPF protocol has found, of those that were asked about before.
    ///
    /// # Errors
    /// As [`Line::ask`].
    pub(super) fn count(&self, line: &mut Line, told: &Told, deadline: Instant) -> Result<Bounded<RouteCount>, Error> {
        let mut counts = Bounded::new(MAX_PROTOCOLS);
        for (place, name) in self.protocols(told) {
            let mut answers = [const { None }; 4];
            for (answer, kind) in answers.iter_mut().zip(route::KINDS) {
                *answer = show(line, &format!("show route protocol '{name}' where source = {kind} count"), deadline)?;
            }
            counts.push(read_routes(place.clone(), answers.each_ref().map(Option::as_deref)));
        }
        Ok(counts)
    }

    /// OSPF protocols that were asked about before.
    fn protocols<'a>(&self, told: &'a Told) -> Vec<(&'a Place, &'a str)> {
        let mut places: Vec<&Place> = told.areas.kept().iter().map(|area| &area.place).collect();
        places.dedup();
        let named = places.into_iter().filter_map(|place| Some((place, place.instance.as_deref()?)));
        named.filter(|(_, name)| self.known.contains_key(*name)).collect()
    }

    /// Asks for the databases of its OSPF protocols.
    ///
    /// # Errors
    /// As [`Line::ask`].
    pub(super) fn database(&self, line: &mut Line, told: &Told, deadline: Instant) -> Result<Links, Error> {
        let mut links = Links::default();
        for (place, name) in self.protocols(told) {
            let answer = show(line, &format!("show ospf state all '{name}'"), deadline)?.unwrap_or_default();
            database::state(&mut links, place, &answer);
        }
        Ok(links)
    }

    /// Asks for the LSAs of its OSPF protocols.
    ///
    /// # Errors
    /// As [`Line::ask`].
    pub(super) fn lsas(&self, line: &mut Line, told: &Told, deadline: Instant) -> Result<Bounded<Lsa>, Error> {
        let mut lsas = Bounded::new(MOST);
        for (place, name) in self.protocols(told) {
            let answer = show(line, &format!("show ospf lsadb '{name}'"), deadline)?.unwrap_or_default();
            lsa::list(&mut lsas, place, told.interfaces.kept(), &answer);
        }
        Ok(lsas)
    }

    /// Sessions of BGP, which are asked about now and then: the answer is long where there are many.
    fn bgp(&mut self, line: &mut Line, deadline: Instant) -> Result<Vec<BgpPeer>, Error> {
        if let Some((asked, peers)) = &self.bgp
            && asked.elapsed() < BGP_EVERY
        {
            return Ok(peers.clone());
        }
        let answer = show(line, "show protocols all", deadline)?.unwrap_or_default();
        let peers = read_bgp(&answer, &self.clock, Timestamp::now());
        self.bgp = Some((Instant::now(), peers.clone()));
        Ok(peers)
    }

    /// Hears the greeting, and gives up what changes anything.
    fn greet(&mut self, line: &mut Line, deadline: Instant) -> Result<(), Error> {
        if self.greeted {
            return Ok(());
        }
        let greeting = readable(line.hear(end, deadline)?, PLAIN).into_owned();
        let words = lines(&greeting).find(|(code, _)| *code == 1).map(|(_, words)| words);
        let version = words.and_then(|words| words.strip_suffix(" ready."));
        let version = version.filter(|version| version.starts_with("BIRD "));
        let Some(version) = version else { return Err(Error::malformed(line.path(), "this is not how BIRD greets")) };
        self.version = Some(Text::from(version));
        line.ask(b"restrict\n", end, deadline)?;
        if show(line, since::SECONDS, deadline)?.is_none() {
            let status = show(line, STATUS, deadline)?.unwrap_or_default();
            self.clock = Clock::of(&status, Timestamp::now());
        }
        self.greeted = true;
        Ok(())
    }

    /// VRF of a protocol, and its own number if it has one.
    fn protocol(
        &mut self,
        line: &mut Line,
        name: &str,
        deadline: Instant,
    ) -> Result<(Option<Text>, Option<IpAddr>), Error> {
        if let Some(known) = self.known.get(name) {
            return Ok(known.clone());
        }
        let answer = show(line, &format!("show protocols all '{name}'"), deadline)?.unwrap_or_default();
        let router = behind(&answer, "Router ID:").and_then(|words| words.parse().ok());
        let known = (behind(&answer, "VRF:").map(Text::from), router);
        self.known.insert(name.to_owned(), known.clone());
        Ok(known)
    }

    /// Number of this router, which may be configured anew.
    fn router(&mut self, line: &mut Line, deadline: Instant) -> Result<Option<IpAddr>, Error> {
        if let Some((asked, router)) = self.router
            && asked.elapsed() < ROUTER_EVERY
        {
            return Ok(router);
        }
        let status = show(line, STATUS, deadline)?.unwrap_or_default();
        let router = behind(&status, "Router ID is ").and_then(|words| words.parse().ok());
        self.router = Some((Instant::now(), router));
        Ok(router)
    }
}

/// What follows some words at the beginning of a line.
fn behind<'a>(answer: &'a str, words: &str) -> Option<&'a str> {
    lines(answer).find_map(|(_, line)| line.trim_start().strip_prefix(words)).map(str::trim)
}

/// The protocols that there are.
fn protocols(line: &mut Line, deadline: Instant) -> Result<String, Error> {
    const QUESTION: &str = "show protocols";
    show(line, QUESTION, deadline)?.ok_or_else(|| refused(line, QUESTION))
}

/// A daemon that does not tell what is there.
fn refused(line: &Line, question: &str) -> Error {
    Error::new("ask", line.path(), std::io::Error::new(ErrorKind::InvalidData, format!("it refuses `{question}`")))
}

/// Asks one thing; `None` when it is refused, as for a protocol that is gone.
fn show(line: &mut Line, question: &str, deadline: Instant) -> Result<Option<String>, Error> {
    let answer = readable(line.ask(format!("{question}\n").as_bytes(), end, deadline)?, PLAIN);
    let refused = lines(&answer).any(|(code, _)| code >= REFUSED);
    Ok((!refused).then(|| answer.into_owned()))
}

/// Reads what an OSPF protocol answered when it was asked for interfaces, neighbors and itself.
pub fn read(answers: [&str; 3], at: Timestamp) -> Told {
    let mut told = Told::new(at);
    compose(&mut told, (Place { instance: None, vrf: None, version: 2 }, None), answers);
    told.count_neighbors();
    told
}

fn compose(told: &mut Told, (place, router): (Place, Option<IpAddr>), [interfaces, neighbors, areas]: [&str; 3]) {
    let place = read_interfaces(place, interfaces, told);
    read_neighbors(&place, neighbors, told);
    read_areas((&place, router), areas, told);
}

/// The protocols of a kind.
fn of_kind<'a>(answer: &'a str, kind: &'a str) -> impl Iterator<Item = &'a str> {
    lines(answer).filter(|(code, _)| *code == PROTOCOL).filter_map(move |(_, words)| {
        let mut words = words.split_ascii_whitespace();
        words.next().filter(|_| words.next() == Some(kind))
    })
}

fn has(answer: &str, kind: &str) -> bool {
    of_kind(answer, kind).next().is_some()
}

/// Their names, and how many are not asked about. A question has a name between apostrophes, where it has these bytes only
/// (`conf/cf-lex.l`); what has others would be a command of its own.
fn names(answer: &str, kind: &str) -> (Vec<String>, usize) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let can_be_asked = |name: &&str| name.bytes().all(is_plain);
    let asked: Vec<String> =
        of_kind(answer, kind).filter(can_be_asked).take(MAX_PROTOCOLS).map(str::to_owned).collect();
    let unasked = of_kind(answer, kind).count() - asked.len();
    (asked, unasked)
}

/// Reads `show ospf neighbors`, after the interfaces.
fn read_neighbors(place: &Place, answer: &str, told: &mut Told) {
    let interfaces = Index::of(told.interfaces.kept());
    for (_, words) in lines(answer) {
        let mut words = words.split_ascii_whitespace();
        let mut next = || words.next().unwrap_or_default();
        let (router, priority, state, dead, interface, address) = (next(), next(), next(), next(), next(), next());
        let (Ok(router), Some((state, role))) = (router.parse(), state.split_once('/')) else { continue };
        let mut neighbor = Neighbor {
            router: Some(router),
            address: address.parse().ok(),
            role: Role::of(role),
            priority: priority.parse().ok(),
            dead: dead.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
            ..Neighbor::new(place.clone(), Text::from(interface), NeighborState::of(state))
        };
        if let Some(interface) = interfaces.behind(&neighbor) {
            neighbor.area.clone_from(&interface.area);
        }
        told.neighbors.push(neighbor);
    }
}

/// Reads `show ospf interface`; only there is told which version it is.
fn read_interfaces(mut place: Place, answer: &str, told: &mut Told) -> Place {
    let is_3 = lines(answer).any(|(_, words)| words.starts_with("Interface ") && words.contains(" (IID "));
    place.version = if is_3 { 3 } else { 2 };
    let mut found: Option<Interface> = None;
    for (_, words) in lines(answer) {
        if let Some(begun) = head(&place, words) {
            told.interfaces.extend(found.replace(begun));
        } else if let (Some(interface), Some((key, value))) = (&mut found, words.trim_start().split_once(':')) {
            body(interface, key, value.trim());
        }
    }
    told.interfaces.extend(found);
    place
}

/// The first line of an interface or virtual link.
fn head(place: &Place, words: &str) -> Option<Interface> {
    let new = |name: &str| Interface::new(place.clone(), Text::from(name), InterfaceState::Other);
    if let Some(rest) = words.strip_prefix("Virtual link ") {
        let name = rest.split(' ').next()?;
        return Some(Interface { network: Some(NetworkType::VirtualLink), ..new(name) });
    }
    let (name, inside) = words.strip_prefix("Interface ")?.split_once(" (")?;
    let network = inside.trim_end_matches(')').split_once('/');
    let network = network.and_then(|(address, prefix)| Some((address.parse().ok()?, prefix.parse().ok()?)));
    let (range, prefix) = network.unzip();
    Some(Interface { prefix, range, ..new(name) })
}

fn body(interface: &mut Interface, key: &str, value: &str) {
    let first = value.split(' ').next().unwrap_or_default();
    let span = || first.parse().ok().map(Duration::from_secs);
    let router = || first.parse().ok().filter(|router: &IpAddr| !router.is_unspecified());
    match key {
        "Type" => interface.network = Some(NetworkType::of(first)),
        "Area" => interface.area = Some(Text::from(first)),
        "State" => {
            interface.state = InterfaceState::of(first);
            interface.passive = Some(value.ends_with("(stub)"));
        }
        "Priority" => interface.priority = first.parse().ok(),
        "Cost" => interface.cost = first.parse().ok(),
        "Hello timer" => interface.hello = span(),
        "Wait timer" => interface.wait = span(),
        "Dead timer" => interface.dead = span(),
        "Retransmit timer" => interface.retransmit = span(),
        "Designated router (ID)" => interface.dr = router(),
        "Backup designated router (ID)" => interface.backup = router(),
        _ => {}
    }
}

/// Reads `show ospf`. How many LSAs there are is told for all areas together only. A router that is in several joins them.
fn read_areas((place, router): (&Place, Option<IpAddr>), answer: &str, told: &mut Told) {
    let mut found: Option<Area> = None;
    let count: Option<u32> = behind(answer, "Number of areas:").and_then(|count| count.parse().ok());
    let new = Area { place: place.clone(), router, abr: count.map(|count| count > 1), ..Area::default() };
    for (_, words) in lines(answer) {
        let Some((key, value)) = words.trim_start().split_once(':') else { continue };
        let (value, area) = (value.trim(), &mut found);
        match (key, area) {
            ("Area", area) => {
                let id = Text::from(value.split(' ').next().unwrap_or_default());
                let begun = Area { id, kind: Some(AreaKind::Normal), ..new.clone() };
                told.areas.extend(area.replace(begun));
            }
            ("Stub", Some(area)) if value == "Yes" => area.kind = Some(AreaKind::Stub),
            ("NSSA", Some(area)) if value == "Yes" => area.kind = Some(AreaKind::Nssa),
            ("Number of interfaces", Some(area)) => area.interfaces = value.parse().ok(),
            ("Number of adjacent neighbors", Some(area)) => area.adjacent = value.parse().ok(),
            _ => {}
        }
    }
    told.areas.extend(found);
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixStream;

    use super::*;

    const AT: Timestamp = Timestamp(1_000_000_000_000);

    fn answer(version: &str, name: &str) -> String {
        let path = format!("{}/tests/fixtures/routing/{version}/{name}.txt", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn told(version: &str, names: [&str; 3]) -> Told {
        read(names.map(|name| answer(version, name)).each_ref().map(String::as_str), AT)
    }

    #[test]
    fn protocols_are_asked_about_whatever_they_are_called_and_too_many_are_counted() {
        let row = |name: &str| format!("1002-{name}       OSPF       master4    up     10:00:00.000  Running\n");
        let list = |names: &[&str]| {
            format!("2002-Name       Proto      Table\n{}", names.iter().map(|name| row(name)).collect::<String>())
        };
        let said = list(&["core-v4", "lan.7:b", "4th", "a'b", "c;d"]);
        assert_eq!(names(&said, "OSPF"), (["core-v4", "lan.7:b", "4th"].map(str::to_owned).to_vec(), 2));
        let many: Vec<String> = (0..MAX_PROTOCOLS + 3).map(|number| format!("p{number}")).collect();
        let said = list(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let (asked, unasked) = names(&said, "OSPF");
        assert_eq!((asked.len(), unasked), (MAX_PROTOCOLS, 3));
        assert!(has(&said, "OSPF") && !has(&said, "BGP"));
    }

    #[test]
    fn an_answer_ends_with_a_code_and_a_space() {
        for (version, name) in [("bird-2.0", "greeting"), ("bird-2.0", "protocols"), ("made-bird-3.3", "neighbors")] {
            let answer = answer(version, name);
            for at in 0..answer.len() {
                assert_eq!(end(&answer.as_bytes()[..at], 0), None, "{name} {at}");
                assert_eq!(end(answer.as_bytes(), at), Some(answer.len()), "{name} {at}");
            }
        }
        assert_eq!(end(b"0000 \n0000 \n", 0), Some(6));
        assert_eq!(end(b" 0000 x\n1013-a\n", 0), None);
    }

    #[test]
    fn a_recorded_daemon_is_understood() {
        assert_eq!(names(&answer("bird-2.0", "protocols"), "OSPF").0, ["backbone", "six"]);
        let told_2 = told("bird-2.0", ["v2-interface", "v2-neighbors", "v2"]);
        let [one] = told_2.neighbors.kept() else { panic!("one") };
        assert_eq!((one.router, one.address), ("10.9.9.1".parse().ok(), "10.0.15.1".parse().ok()));
        assert_eq!((one.state, one.role, one.priority), (NeighborState::Full, Some(Role::Backup), Some(1)));
        assert_eq!((one.interface.as_str(), one.area.as_deref(), one.place.version), ("to1", Some("0.0.0.0"), 2));
        assert!(one.dead.is_some_and(|left| left > Duration::from_secs(2)));
        let told_3 = told("bird-2.0", ["v3-interface", "v3-neighbors", "v3"]);
        let [one] = told_3.neighbors.kept() else { panic!("one") };
        assert_eq!((one.place.version, one.address.map(|address| address.is_ipv6())), (3, Some(true)));
        let states =
            |told: &Told| told.interfaces.kept().iter().map(|found| (found.state, found.passive)).collect::<Vec<_>>();
        assert_eq!(states(&told_2), [(InterfaceState::Waiting, Some(true)), (InterfaceState::Dr, Some(false))]);
        assert_eq!(states(&told_3), [(InterfaceState::Dr, Some(false))]);
        let [area] = told_2.areas.kept() else { panic!("one") };
        assert_eq!((area.id.as_str(), area.interfaces, area.adjacent, area.lsas), ("0.0.0.0", Some(2), Some(1), None));
    }

    #[test]
    fn version_3_of_bird_is_understood() {
        assert_eq!(names(&answer("made-bird-3.3", "protocols"), "OSPF").0, ["backbone", "lan_1"]);
        let told = told("made-bird-3.3", ["interface", "neighbors", "ospf"]);
        let seen: Vec<_> = told.neighbors.kept().iter().map(|one| (one.state, one.role, one.area.as_deref())).collect();
        assert_eq!(
            seen,
            [
                // the second network of the same interface
                (NeighborState::Full, Some(Role::Dr), Some("0.0.0.1")),
                (NeighborState::TwoWay, Some(Role::DrOther), Some("0.0.0.1")),
                (NeighborState::Loading, Some(Role::PointToPoint), Some("0.0.0.0")),
                (NeighborState::ExStart, Some(Role::PointToPoint), None),
            ]
        );
        assert_eq!(told.neighbors.kept()[0].dead, Some(Duration::from_millis(34_105)));
        let of: Vec<_> = told.interfaces.kept().iter().map(|one| (one.network, one.neighbors, one.adjacent)).collect();
        assert_eq!(
            of[2..],
            [(Some(NetworkType::PointToPoint), Some(1), Some(0)), (Some(NetworkType::VirtualLink), Some(1), Some(0)),]
        );
        let first = &told.interfaces.kept()[1];
        assert_eq!((first.dr, first.backup, first.cost), ("10.9.9.1".parse().ok(), None, Some(10)));
        assert_eq!((first.hello, first.dead), (Some(Duration::from_secs(10)), Some(Duration::from_secs(42))));
        let kinds: Vec<_> = told.areas.kept().iter().map(|area| (area.kind, area.interfaces)).collect();
        assert_eq!(kinds, [(Some(AreaKind::Normal), Some(1)), (Some(AreaKind::Nssa), Some(2))]);
    }

    /// What is told of OSPF by a daemon that answers questions in some way.
    fn asked(mut answer: impl FnMut(&str) -> &'static str + Send + 'static) -> Result<Told, Error> {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let daemon = std::thread::spawn(move || {
            let mut writer = theirs.try_clone().unwrap();
            writer.write_all(b"0001 BIRD 2.0.12 ready.\n").unwrap();
            for question in BufReader::new(theirs).lines().map_while(Result::ok) {
                writer.write_all(answer(&question).as_bytes()).unwrap();
            }
        });
        let mut line = Line::testing(ours);
        let told = Session::default().ospf(&mut line, Instant::now() + Duration::from_secs(20));
        drop(line);
        daemon.join().unwrap();
        told
    }

    #[test]
    fn one_who_refuses_to_tell_has_not_lost_its_neighbors() {
        const LIST: &str =
            "2002-Name       Proto\n1002-one        OSPF       master4    up     10:00  Running\n0000 \n";
        let refuses = |what: &'static str| {
            move |question: &str| match question {
                _ if question == what => "9001 syntax error, unexpected CF_SYM_UNDEFINED\n",
                "show protocols" => LIST,
                _ => "0000 \n",
            }
        };
        assert!(asked(refuses("nothing")).is_ok());
        for (what, why) in [
            ("show ospf neighbors 'one'", "it refuses `show ospf 'one'`"),
            ("show protocols", "it refuses `show protocols`"),
        ] {
            let error = asked(refuses(what)).unwrap_err();
            assert!(error.cause.kind() == ErrorKind::InvalidData && error.to_string().ends_with(why), "{error}");
        }
        // it was taken away meanwhile
        let mut lists = 0;
        let told = asked(move |question| {
            lists += usize::from(question == "show protocols");
            match question {
                "show protocols" if lists == 1 => LIST,
                _ if question.starts_with("show ospf") => "9001 syntax error, unexpected CF_SYM_UNDEFINED\n",
                _ => "0000 \n",
            }
        });
        assert_eq!(told.unwrap().neighbors.kept(), []);
    }

    #[test]
    fn what_a_description_says_is_no_vrf() {
        assert_eq!(behind(&answer("made-bird-3.3", "protocol"), "VRF:"), Some("blue"));
        assert_eq!(behind(&answer("bird-2.0", "protocol"), "VRF:"), None);
    }

    #[test]
    fn a_protocol_that_is_not_up_tells_nothing() {
        let told = read(["1015-x: is not up\n0000 \n", "1013-x: is not up\n0000 \n", "1014-x: is not up\n0000 \n"], AT);
        assert_eq!(told, Told::new(AT));
    }

    #[test]
    fn links_are_told_below_the_router_or_network_that_they_lead_from() {
        let links = |name: &str, version: u32| {
            let all = read_state(version, &answer("bird-2.0", name.trim_end_matches(".txt"))).done();
            let word = |link: &super::super::database::Link| {
                format!("{} {} {} {} {:?}", link.area, link.from, link.kind.name(), link.to, link.metric)
            };
            all.kept().iter().map(word).collect::<Vec<_>>()
        };
        let two = links("v2-state.txt", 2);
        let of_first = [
            "0.0.0.0 10.9.9.1 point-to-point 10.9.9.4 Some(10)",
            "0.0.0.0 10.9.9.1 transit 10.0.12.0/24 Some(10)",
            "0.0.0.0 10.9.9.1 transit 10.0.15.0/24 Some(10)",
            "0.0.0.0 10.9.9.1 stub 10.9.9.1/32 Some(0)",
        ];
        assert_eq!(two[..4], of_first);
        assert_eq!(two.last().map(String::as_str), Some("0.0.0.0 10.0.34.0/24 attached 10.9.9.4 None"));
        let distances = |router: &str| {
            let all = read_state(2, &answer("bird-2.0", "v2-state")).done();
            all.kept().iter().find(|link| link.from.as_str() == router).and_then(|link| link.distance)
        };
        assert_eq!(["10.9.9.5", "10.9.9.3", "10.0.15.0/24"].map(distances), [Some(0), Some(30), Some(10)]);
        assert!(!two.iter().any(|link| link.contains("10.0.23.0")), "what is in another area is no link of this one");
        let made = read_state(2, &answer("made-bird-3.3", "v2-state")).done();
        let said: Vec<_> = made.kept().iter().map(|link| (link.kind.name(), link.to.as_str(), link.distance)).collect();
        let of_first = [
            ("point-to-point", "10.9.9.4"),
            ("virtual", "10.9.9.3"),
            ("transit", "10.0.14.0/24"),
            ("stub", "10.9.9.1/32"),
        ];
        assert_eq!(said[..4], of_first.map(|(kind, to)| (kind, to, Some(0))));
        let others =
            [("transit", "10.0.34.4", None), ("attached", "10.9.9.4", Some(5)), ("attached", "10.9.9.1", Some(5))];
        assert_eq!(said[4..], others, "what cannot be reached has no distance, and ASBRs of other areas are no links");
        let three = links("v3-state.txt", 3);
        assert!(three.contains(&"0.0.0.0 10.9.9.1 transit 10.9.9.2-2 Some(10)".to_owned()), "{three:?}");
        assert!(three.contains(&"0.0.0.0 10.9.9.2-2 attached 10.9.9.1 None".to_owned()), "{three:?}");
    }
}
