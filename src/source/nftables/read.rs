//! How is a ruleset read?

use std::time::Duration;

use super::decode::{Counted, counted};
use super::message::{chain, element, flowtable, object, rule, set, table};
use super::ranges::Ranges;
use super::{Chain, Element, Family, Names, Object, Ruleset, Set, Table};
use crate::source::Error;
use crate::source::netlink::attr::{Malformed, attributes, push};
use crate::source::netlink::nfnetlink::{Header, Subsystem};
use crate::source::netlink::{Changing, Message, Part, Patience, Request, Socket};

/// How often a dump is started anew when the ruleset is changed meanwhile.
const PATIENCE: Patience = Patience { attempts: 3, time: Duration::from_secs(5) };

/// `NFT_MSG_*`
mod kind {
    pub(super) const GET_TABLE: u8 = 1;
    pub(super) const GET_CHAIN: u8 = 4;
    pub(super) const GET_RULE: u8 = 7;
    pub(super) const GET_SET: u8 = 10;
    pub(super) const GET_ELEMENT: u8 = 13;
    pub(super) const GET_GENERATION: u8 = 16;
    pub(super) const GET_OBJECT: u8 = 19;
    pub(super) const GET_FLOWTABLE: u8 = 23;
}

/// `sizeof(struct nfgenmsg)`
const HEADER: usize = 4;
/// Elements of a set without a name that are read; one that a person has written into a rule has fewer.
pub(super) const MAX_ELEMENTS: usize = 65_536;

fn request(number: u8, family: u8, what: &'static str) -> Request {
    Subsystem::Nftables.request(number, Header { family, resource: 0 }, what)
}

/// The family of a message and its attributes.
pub(super) fn body(message: Message<'_>) -> Result<(Family, &[u8]), Malformed> {
    let family = message.body.first().copied().ok_or(Malformed)?;
    Ok((Family::of(family), message.body.get(HEADER..).ok_or(Malformed)?))
}

/// Number of the ruleset; each change makes it larger.
///
/// # Errors
/// As [`Socket::ask`].
pub fn generation(socket: &mut Socket) -> Result<u32, Error> {
    let mut found = None;
    socket.ask(&request(kind::GET_GENERATION, 0, "generation of the ruleset"), |message| {
        for attribute in attributes(body(message)?.1) {
            let attribute = attribute?;
            if attribute.kind == 1 {
                found = Some(attribute.be32()?);
            }
        }
        Ok(())
    })?;
    found.ok_or_else(|| Error::malformed("nfnetlink generation of the ruleset", "it has no number"))
}

/// Dumps everything of one kind.
fn list<T>(
    socket: &mut Socket,
    request: &Request,
    read: fn(Family, &[u8]) -> Result<T, Malformed>,
) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    socket.dump_within(PATIENCE, request, |part| {
        match part {
            Part::Start => found.clear(),
            Part::Message(message) => {
                let (family, bytes) = body(message)?;
                found.push(read(family, bytes)?);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// A set or map, without its elements.
///
/// # Errors
/// As [`Socket::ask`]; absent when there is none.
pub fn set_of(socket: &mut Socket, family: Family, table: &str, name: &str) -> Result<Set, Error> {
    let mut found = None;
    socket.ask(&named(kind::GET_SET, "set", family, table.as_bytes(), name.as_bytes()), |message| {
        let (family, bytes) = body(message)?;
        found = Some(set(family, bytes)?);
        Ok(())
    })?;
    found.ok_or_else(|| Error::malformed("nfnetlink set", "there is no answer"))
}

/// A question about something in a table that has a name.
fn named(number: u8, what: &'static str, family: Family, table: &[u8], name: &[u8]) -> Request {
    let mut request = request(number, family.number(), what);
    push(&mut request.body, 1, &[table, b"\0"].concat());
    push(&mut request.body, 2, &[name, b"\0"].concat());
    request
}

/// The first elements of a set.
fn elements(socket: &mut Socket, set: &Set, most: usize) -> Result<Vec<Element>, Error> {
    let mut found = Vec::new();
    dump_elements(socket, set, |one| {
        match one {
            None => found.clear(),
            Some(bytes) if found.len() < most => found.push(element(bytes)?),
            Some(_) => {}
        }
        Ok(())
    })?;
    Ok(found)
}

/// Gives every element of a set to `visit`, with the first key behind its range where the set tells ranges by their ends;
/// `None` means start over.
///
/// # Errors
/// As [`Socket::dump_within`]; absent when there is no such set.
pub fn each_element(
    socket: &mut Socket,
    set: &Set,
    mut visit: impl FnMut(Option<(Element, Option<&[u8]>)>),
) -> Result<(), Error> {
    let mut ranges = Ranges::default();
    dump_elements(socket, set, |one| {
        let Some(bytes) = one else {
            ranges = Ranges::default();
            visit(None);
            return Ok(());
        };
        let element = element(bytes)?;
        if set.has_ends() && !element.is_catchall() {
            ranges.push(element, |element, beyond| visit(Some((element, beyond))));
        } else {
            visit(Some((element, None)));
        }
        Ok(())
    })?;
    ranges.finish(|element, beyond| visit(Some((element, beyond))));
    Ok(())
}

/// Gives the attributes of every element of a set to `visit`; `None` means start over.
fn dump_elements(
    socket: &mut Socket,
    set: &Set,
    mut visit: impl FnMut(Option<&[u8]>) -> Result<(), Malformed>,
) -> Result<(), Error> {
    // for every message the kernel goes past all elements before it, which for a hundred thousand ranges takes seconds
    const PATIENCE: Patience = Patience { attempts: 3, time: Duration::from_mins(1) };
    let request = named(kind::GET_ELEMENT, "set elements", set.family, &set.table, &set.name);
    socket.dump_within(PATIENCE, &request, |part| {
        let message = match part {
            Part::Start => return visit(None),
            Part::Message(message) => message,
        };
        for attribute in attributes(body(message)?.1) {
            let attribute = attribute?;
            if attribute.kind != 3 {
                continue;
            }
            for one in attributes(attribute.bytes) {
                visit(Some(one?.bytes))?;
            }
        }
        Ok(())
    })
}

/// Named objects with what they have seen.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn objects(socket: &mut Socket) -> Result<Vec<Object>, Error> {
    list(socket, &request(kind::GET_OBJECT, 0, "objects"), object)
}

/// What each rule of a ruleset has counted, in the order of its rules. `None` when the rules are not those of the ruleset.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn counters(socket: &mut Socket, ruleset: &Ruleset) -> Result<Option<Vec<Counted>>, Error> {
    let (mut found, mut at, mut same) = (vec![Counted::default(); ruleset.rules.len()], 0, true);
    socket.dump_within(PATIENCE, &request(kind::GET_RULE, 0, "rules"), |part| {
        let Part::Message(message) = part else {
            (at, same) = (0, true);
            return Ok(());
        };
        let (handle, counted) = counted(body(message)?.1)?;
        match ruleset.sequence.get(at) {
            Some((known, place)) if *known == handle => {
                if let Some(slot) = place.and_then(|place| found.get_mut(place)) {
                    *slot = counted;
                }
            }
            _ => same = false,
        }
        at += 1;
        Ok(())
    })?;
    Ok((same && at == ruleset.sequence.len()).then_some(found))
}

/// Reads again what chains have counted and how many elements sets have, which changes without a new generation.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn refresh(socket: &mut Socket, ruleset: &mut Ruleset) -> Result<(), Error> {
    if ruleset.chains.iter().any(|chain| chain.counted.is_some()) {
        let now = list(socket, &request(kind::GET_CHAIN, 0, "chains"), chain)?;
        let now = now.into_iter().filter(|chain| !chain.is_anonymous());
        for (known, now) in ruleset.chains.iter_mut().zip(now) {
            if known.handle == now.handle {
                known.counted = now.counted;
            }
        }
    }
    if ruleset.names.sets().any(|set| set.count.is_some()) {
        for now in list(socket, &request(kind::GET_SET, 0, "sets"), set)? {
            if let Some(known) = ruleset.names.sets.get_mut(&(now.family, now.table, now.name)) {
                known.count = now.count;
            }
        }
    }
    Ok(())
}

/// Reads the whole ruleset of the namespace in which the socket was opened. What cannot have changed since `former` is taken
/// from there.
///
/// # Errors
/// As [`Socket::dump_within`]: it may have been changed during every attempt ([`Changing`]).
pub fn ruleset(socket: &mut Socket, former: Option<&Ruleset>) -> Result<Ruleset, Error> {
    let mut before = generation(socket)?;
    for _ in 0..PATIENCE.attempts {
        let ruleset = attempt(socket, before, former)?;
        // A table that is replaced between two messages ends a dump early, and no message says so. Nor does the generation:
        // old rules are taken out after it has begun, and a dump goes on by number, past as many new ones. They are seen
        // when the rules are gone through once more.
        let is_whole = counters(socket, &ruleset)?.is_some();
        let after = generation(socket)?;
        if after == before && is_whole {
            return Ok(ruleset);
        }
        before = after;
    }
    Err(Error::new("dump", "nfnetlink ruleset", std::io::Error::new(std::io::ErrorKind::ResourceBusy, Changing)))
}

/// The tables.
///
/// # Errors
/// As [`Socket::dump_within`].
pub fn tables(socket: &mut Socket) -> Result<Vec<Table>, Error> {
    list(socket, &request(kind::GET_TABLE, 0, "tables"), table)
}

/// Reads a ruleset that may be changed meanwhile.
fn attempt(socket: &mut Socket, generation: u32, former: Option<&Ruleset>) -> Result<Ruleset, Error> {
    let tables = tables(socket)?;
    let all = list(socket, &request(kind::GET_CHAIN, 0, "chains"), chain)?;
    let rules = list(socket, &request(kind::GET_RULE, 0, "rules"), rule)?;
    let mut names = Names::default();
    for mut set in list(socket, &request(kind::GET_SET, 0, "sets"), set)? {
        if set.is_anonymous() && !set.is_meter() {
            // for each set the kernel goes past all before it, and there may be ten thousand
            set.elements = match former.and_then(|former| former.same(&set, &tables)) {
                Some(known) => known.elements.clone(),
                None => elements(socket, &set, MAX_ELEMENTS)?,
            };
        }
        names.sets.insert((set.family, set.table.clone(), set.name.clone()), set);
    }
    let (inlined, chains): (Vec<_>, Vec<_>) = all.into_iter().partition(Chain::is_anonymous);
    for chain in inlined {
        names.inlined.insert((chain.family, chain.table, chain.name), Vec::new());
    }
    let (mut named, mut sequence) = (Vec::with_capacity(rules.len()), Vec::with_capacity(rules.len()));
    for rule in rules {
        let handle = rule.handle;
        let chain = (rule.family, rule.table.clone(), rule.chain.clone());
        if let Some(rules) = names.inlined.get_mut(&chain) {
            rules.push(rule);
            sequence.push((handle, None));
        } else {
            sequence.push((handle, Some(named.len())));
            named.push(rule);
        }
    }
    let flowtables = match list(socket, &request(kind::GET_FLOWTABLE, 0, "flowtables"), flowtable) {
        // a kernel may be built without them
        Err(error) if error.is_absent() => Vec::new(),
        flowtables => flowtables?,
    };
    Ok(Ruleset { generation, tables, chains, rules: named, sequence, flowtables, names })
}
