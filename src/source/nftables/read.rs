//! How is a ruleset read?

use super::{Element, Family, Ruleset, Set, chain, element, rule, set, table};
use crate::source::Error;
use crate::source::netlink::attr::{Malformed, attributes, push};
use crate::source::netlink::nfnetlink::{Header, Subsystem};
use crate::source::netlink::{Message, Part, Patience, Request, Socket};

/// How often a dump is started anew when the ruleset is changed meanwhile.
const PATIENCE: Patience = Patience { attempts: 3, time: std::time::Duration::from_secs(5) };

/// `NFT_MSG_*`
mod message {
    pub(super) const GET_TABLE: u8 = 1;
    pub(super) const GET_CHAIN: u8 = 4;
    pub(super) const GET_RULE: u8 = 7;
    pub(super) const GET_SET: u8 = 10;
    pub(super) const GET_ELEMENT: u8 = 13;
    pub(super) const GET_GENERATION: u8 = 16;
}

/// `sizeof(struct nfgenmsg)`
const HEADER: usize = 4;
/// Elements of a set without a name that are read; one that a person has written into a rule has fewer.
const MAX_ELEMENTS: usize = 65_536;

fn request(number: u8, family: u8, what: &'static str) -> Request {
    Subsystem::Nftables.request(number, Header { family, resource: 0 }, what)
}

/// The family of a message and its attributes.
fn body(message: Message<'_>) -> Result<(Family, &[u8]), Malformed> {
    let family = message.body.first().copied().ok_or(Malformed)?;
    Ok((Family::of(family), message.body.get(HEADER..).ok_or(Malformed)?))
}

/// Number of the ruleset; each change makes it larger.
///
/// # Errors
/// As [`Socket::ask`].
pub fn generation(socket: &mut Socket) -> Result<u32, Error> {
    let mut found = None;
    socket.ask(&request(message::GET_GENERATION, 0, "generation of the ruleset"), |message| {
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

/// Elements of a set.
///
/// # Errors
/// As [`Socket::dump`].
pub fn elements(socket: &mut Socket, set: &Set, most: usize) -> Result<Vec<Element>, Error> {
    let mut request = request(message::GET_ELEMENT, set.family.number(), "set elements");
    for (kind, name) in [(1, &set.table), (2, &set.name)] {
        let mut name = name.clone();
        name.push(0);
        push(&mut request.body, kind, &name);
    }
    let mut found = Vec::new();
    socket.dump_within(PATIENCE, &request, |part| {
        let message = match part {
            Part::Start => {
                found.clear();
                return Ok(());
            }
            Part::Message(message) => message,
        };
        for attribute in attributes(body(message)?.1) {
            let attribute = attribute?;
            if attribute.kind != 3 {
                continue;
            }
            for one in attributes(attribute.bytes) {
                if found.len() < most {
                    found.push(element(one?.bytes)?);
                }
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// Reads the whole ruleset of the namespace in which the socket was opened.
///
/// # Errors
/// As [`Socket::dump_within`]: it may have been changed during every attempt.
pub fn ruleset(socket: &mut Socket) -> Result<Ruleset, Error> {
    let generation = generation(socket)?;
    let tables = list(socket, &request(message::GET_TABLE, 0, "tables"), table)?;
    let all = list(socket, &request(message::GET_CHAIN, 0, "chains"), chain)?;
    let rules = list(socket, &request(message::GET_RULE, 0, "rules"), rule)?;
    let mut names = super::Names::default();
    for mut set in list(socket, &request(message::GET_SET, 0, "sets"), set)? {
        if set.is_anonymous() && !set.is_meter() {
            set.elements = elements(socket, &set, MAX_ELEMENTS)?;
        }
        names.sets.insert((set.family, set.table.clone(), set.name.clone()), set);
    }
    let (inlined, chains): (Vec<_>, Vec<_>) = all.into_iter().partition(super::Chain::is_anonymous);
    for chain in inlined {
        names.inlined.insert((chain.family, chain.table, chain.name), Vec::new());
    }
    let mut named = Vec::with_capacity(rules.len());
    for rule in rules {
        match names.inlined.get_mut(&(rule.family, rule.table.clone(), rule.chain.clone())) {
            Some(rules) => rules.push(rule),
            None => named.push(rule),
        }
    }
    Ok(Ruleset { generation, tables, chains, rules: named, names })
}
