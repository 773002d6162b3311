//! Which guests have a connection?
//!
//! By the addresses that they have in its network namespace: who began it, and who answers after any translation.

use std::collections::HashMap;
use std::net::IpAddr;

use super::ConntrackFlowRow;
use crate::model::{Guests, Text};
use crate::source::conntrack::flow::{Flow, Tuple};

/// Names that are remembered.
const MAX_NAMES: usize = 1 << 16;

/// The guests that have the ends of a connection, those who began it first; of a guest that asks itself one is told.
fn ends<'a>(known: &'a HashMap<IpAddr, Text>, original: &Tuple, reply: &Tuple) -> [Option<&'a Text>; 2] {
    let [began, answers] = [original.source, reply.source].map(|address| known.get(&address));
    if began.is_some() { [began, answers.filter(|answers| Some(*answers) != began)] } else { [answers, None] }
}

/// Says whose connections are.
pub(super) fn add(flows: &[(usize, Flow)], rows: &mut [ConntrackFlowRow], guests: &Guests) {
    for ((_, flow), row) in flows.iter().zip(rows) {
        let Some(known) = guests.addresses.get(&row.netns) else { continue };
        [row.vm, row.reply_vm] = ends(known, &flow.original, &flow.reply).map(Option::<&Text>::cloned);
    }
}

/// Guests that have connections of one network namespace, by the numbers that they have here.
#[derive(Clone, Debug, Default)]
pub(super) struct Numbered(HashMap<IpAddr, u32>);

impl Numbered {
    /// The guest that has a connection, of two the one that began it.
    pub(super) fn of(&self, original: &Tuple, reply: Option<&Tuple>) -> Option<u32> {
        let answers = || self.0.get(&reply?.source);
        self.0.get(&original.source).or_else(answers).copied()
    }

    /// The guest that has an address.
    pub(super) fn has(&self, address: IpAddr) -> Option<u32> {
        self.0.get(&address).copied()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Names of guests that keep their numbers.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<Text>);

impl Names {
    /// Numbers the guests of a network namespace.
    pub(super) fn number(&mut self, guests: &Guests, netns: &Text) -> Numbered {
        let mut known: HashMap<Text, u32> = HashMap::new();
        for (name, number) in self.0.iter().zip(0..) {
            known.insert(name.clone(), number);
        }
        let mut number = |name: &Text| {
            *known.entry(name.clone()).or_insert_with(|| {
                self.0.push(name.clone());
                u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX)
            })
        };
        let addresses = guests.addresses.get(netns).into_iter().flatten();
        Numbered(addresses.map(|(address, name)| (*address, number(name))).collect())
    }

    /// The name that has a number.
    pub(super) fn get(&self, number: u32) -> Option<&Text> {
        self.0.get(usize::try_from(number).ok()?)
    }

    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there are so many that most of them must be gone.
    pub(super) fn is_full(&self) -> bool {
        self.0.len() > MAX_NAMES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(source: &str, destination: &str) -> Tuple {
        let [source, destination] = [source, destination].map(|address| address.parse().unwrap());
        Tuple { source, destination, protocol: 6, ports: None, icmp: None, zone: None }
    }

    #[test]
    fn who_began_a_connection_comes_first_and_who_answers_is_told_as_after_a_translation() {
        let known = [("10.0.0.1", "web"), ("10.0.0.2", "db"), ("10.0.0.3", "web")];
        let known = known.map(|(address, name)| (address.parse().unwrap(), Text::from(name))).into();
        let told = |original: [&str; 2], reply: [&str; 2]| {
            let [original, reply] = [original, reply].map(|[source, destination]| tuple(source, destination));
            ends(&known, &original, &reply).map(|end| end.map(Text::as_str))
        };
        let (out, here) = ("198.51.100.1", "192.0.2.1");
        assert_eq!(told(["10.0.0.1", out], [out, here]), [Some("web"), None]);
        assert_eq!(told([out, here], ["10.0.0.2", out]), [Some("db"), None]);
        assert_eq!(told(["10.0.0.1", "10.0.0.2"], ["10.0.0.2", "10.0.0.1"]), [Some("web"), Some("db")]);
        assert_eq!(told(["10.0.0.1", "10.0.0.3"], ["10.0.0.3", "10.0.0.1"]), [Some("web"), None]);
        assert_eq!(told([out, "10.0.0.1"], [here, out]), [None, None], "it was sent elsewhere");
    }

    #[test]
    fn a_guest_keeps_its_number_when_others_come_and_go() {
        let (mut names, host) = (Names::default(), Text::from("host"));
        let mut number = |guests: &[(&str, &str)]| {
            let known = guests.iter().map(|(address, name)| (address.parse().unwrap(), Text::from(*name))).collect();
            let guests = Guests { addresses: [(host.clone(), known)].into(), ..Guests::default() };
            let numbered = names.number(&guests, &host);
            (numbered.has("10.0.0.2".parse().unwrap()), names.0.len())
        };
        assert_eq!(number(&[("10.0.0.2", "db")]), (Some(0), 1));
        assert_eq!(number(&[("10.0.0.1", "web"), ("10.0.0.2", "db"), ("10.0.0.3", "web")]), (Some(0), 2));
        assert_eq!(number(&[("10.0.0.1", "web")]), (None, 2));
    }
}
