//! What was changed in a ruleset, and what was there before?
//!
//! The kernel tells of every change when it was made: a message for each thing, then one with the number of the new
//! generation and who has made it. Of what is deleted it tells the name only, so [`Follower`] keeps how everything was
//! written. Elements are counted, because there may be a hundred thousand; sets and chains without a name are part of the
//! rule that they belong to.
//!
//! Source: `net/netfilter/nf_tables_api.c`, `nf_tables_commit`.

mod hooked;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::decode::Attrs;
use super::message::{chain, element, flowtable, object, rule, set, table};
use super::read::{MAX_ELEMENTS, body};
use super::text::{Names as HostNames, Scene, declaration};
use super::{Chain, Element, Family, Flowtable, MapsTo, Names, Object, Rule, Ruleset, Set};
use crate::model::Text;
use crate::model::text::Spare;
use crate::source::netlink::Message;
use crate::source::netlink::attr::{Malformed, attributes, u16_at};
use crate::source::netlink::nfnetlink::Subsystem;

/// `NFT_MSG_*`; newer kernels have other numbers for what is deleted only if it is there.
mod kind {
    pub(super) const NEW_TABLE: u8 = 0;
    pub(super) const DELETE_TABLE: [u8; 2] = [2, 26];
    pub(super) const NEW_CHAIN: u8 = 3;
    pub(super) const DELETE_CHAIN: [u8; 2] = [5, 27];
    pub(super) const NEW_RULE: u8 = 6;
    pub(super) const DELETE_RULE: [u8; 2] = [8, 28];
    pub(super) const NEW_SET: u8 = 9;
    pub(super) const DELETE_SET: [u8; 2] = [11, 29];
    pub(super) const NEW_ELEMENT: u8 = 12;
    pub(super) const DELETE_ELEMENT: [u8; 2] = [14, 30];
    pub(super) const NEW_GENERATION: u8 = 15;
    pub(super) const NEW_OBJECT: u8 = 18;
    pub(super) const DELETE_OBJECT: [u8; 2] = [20, 31];
    pub(super) const NEW_FLOWTABLE: u8 = 22;
    pub(super) const DELETE_FLOWTABLE: [u8; 2] = [24, 32];
}

/// `NLM_F_CREATE`
const CREATE: u16 = 0x400;
/// Changes of one generation that are told; the others are counted.
const MAX_CHANGES: usize = 65_536;
/// Elements of a set in one generation that are written, ends of ranges included.
const WRITTEN: usize = 16;

/// What can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A table.
    Table,
    /// A chain.
    Chain,
    /// A rule.
    Rule,
    /// A set.
    Set,
    /// A map.
    Map,
    /// Elements of a set or map.
    Element,
    /// A named object (`NFT_OBJECT_*`).
    Object(u32),
    /// A flowtable.
    Flowtable,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is new.
    Added,
    /// It is gone.
    Deleted,
    /// It is another one.
    Replaced,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// What was changed.
    pub subject: Subject,
    /// How.
    pub action: Action,
    /// Family of its table.
    pub family: Family,
    /// Its table.
    pub table: Vec<u8>,
    /// Its name: that of the chain for a rule, that of the set for elements.
    pub name: Option<Vec<u8>>,
    /// Handle of a rule.
    pub handle: Option<u64>,
    /// How it was written before.
    pub before: Option<Text>,
    /// How it is written now.
    pub after: Option<Text>,
}

/// All changes of one generation.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// Number of the ruleset that they made.
    pub generation: u32,
    /// Process, as the initial PID namespace has it.
    pub pid: Option<u32>,
    /// What that process calls itself.
    pub program: Option<Vec<u8>>,
    /// The changes in their order, elements behind the others.
    pub changes: Vec<Change>,
    /// Changes beyond those.
    pub left_out: usize,
}

type Key = (Family, Vec<u8>, Vec<u8>);

/// How a thing is written, and what of it cannot be.
type Written = (Text, Option<Box<[u8]>>);

/// Elements of one set that came or went in one generation.
#[derive(Default)]
struct Elements {
    count: u64,
    first: Vec<Element>,
}

/// Follows the changes of one ruleset.
#[derive(Default)]
pub struct Follower {
    names: Names,
    rules: HashMap<(Family, Vec<u8>), HashMap<u64, Text>>,
    /// What the texts of rules may have beyond others.
    spare: Spare,
    /// By handle, which stays when the name does not.
    chains: HashMap<(Family, Vec<u8>, u64), Chain>,
    flowtables: HashMap<Key, Flowtable>,
    things: HashMap<(Subject, Key), Written>,
    /// Number of the ruleset that it knows; `None` while it could not be read.
    generation: Option<u32>,
    changes: Vec<Change>,
    /// By set, and whether they came.
    elements: BTreeMap<(Key, bool), Elements>,
    /// Low bits of the number of the ruleset that these changes make.
    making: Option<u16>,
    left_out: usize,
}

impl Follower {
    /// Forgets what it knows, and goes on from a ruleset with its named objects.
    pub fn begin(&mut self, ruleset: Ruleset, objects: &[Object], host: &dyn HostNames) {
        let mut next = Self { generation: Some(ruleset.generation), ..Self::default() };
        let mut keep = |subject, family, table: &[u8], name: &[u8], text: String, raw| {
            next.things.insert((subject, (family, table.to_vec(), name.to_vec())), (text.into(), raw));
        };
        for table in &ruleset.tables {
            keep(Subject::Table, table.family, &table.name, &[], declaration::table(table), None);
        }
        for set in ruleset.names.sets() {
            keep(Subject::Set, set.family, &set.table, &set.name, declaration::set(set), None);
        }
        for object in objects {
            let scene = Scene::new(object.family, &object.table, &ruleset.names, host);
            let (text, raw) = (declaration::object(object, &scene), object.raw.clone());
            keep(Subject::Object(object.kind), object.family, &object.table, &object.name, text, raw);
        }
        for chain in ruleset.chains {
            next.chains.insert((chain.family, chain.table.clone(), chain.handle), chain);
        }
        for table in ruleset.flowtables {
            next.flowtables.insert((table.family, table.table.clone(), table.name.clone()), table);
        }
        for rule in &ruleset.rules {
            let text = Scene::new(rule.family, &rule.table, &ruleset.names, host).without_counts().rule(rule);
            let text = next.spare.text(&text);
            next.rules.entry((rule.family, rule.table.clone())).or_default().insert(rule.handle, text);
        }
        next.names = ruleset.names;
        *self = next;
    }

    /// Forgets what it knows: changes were lost.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Number of the ruleset that it knows; `None` when it knows none.
    pub fn generation(&self) -> Option<u32> {
        self.generation
    }

    /// Reads a message; the last one of a generation gives all its changes.
    ///
    /// # Errors
    /// The message is cut.
    pub fn read(&mut self, message: Message<'_>, host: &dyn HostNames) -> Result<Option<Commit>, Malformed> {
        let Some(number) = Subsystem::Nftables.number(message) else { return Ok(None) };
        let (family, bytes) = body(message)?;
        // what was changed before the ruleset was read is in it already
        let number_of = u16_at(message.body, 2).map(u16::from_be)?;
        let later = |known: u32| number_of.wrapping_sub(known as u16).cast_signed() > 0;
        let is_new = self.generation.is_none_or(later);
        // of a generation whose end was lost nobody knows who has made it
        if self.making.replace(number_of).is_some_and(|making| making != number_of) {
            self.changes.clear();
            self.elements.clear();
        }
        match number {
            kind::NEW_TABLE => {
                let table = table(family, bytes)?;
                let written = (declaration::table(&table).into(), None);
                self.put(Subject::Table, (family, table.name, Vec::new()), written, is_new);
            }
            kind::NEW_CHAIN => {
                let chain = chain(family, bytes)?;
                if chain.is_anonymous() {
                    self.names.inlined.insert((family, chain.table, chain.name), Vec::new());
                } else {
                    self.add_chain(chain, is_new);
                }
            }
            kind::NEW_RULE => self.add_rule(rule(family, bytes)?, message.flags & CREATE == 0, is_new, host),
            kind::NEW_SET => self.add_set(set(family, bytes)?, is_new),
            kind::NEW_ELEMENT => self.element(family, bytes, true, is_new)?,
            kind::NEW_OBJECT => {
                let object = object(family, bytes)?;
                let scene = Scene::new(family, &object.table, &self.names, host);
                let written = (declaration::object(&object, &scene).into(), object.raw);
                self.put(Subject::Object(object.kind), (family, object.table, object.name), written, is_new);
            }
            kind::NEW_FLOWTABLE => self.add_flowtable(flowtable(family, bytes)?, is_new),
            kind::NEW_GENERATION => return self.commit(bytes, host).map(Some),
            number => self.delete(number, family, bytes, is_new)?,
        }
        Ok(None)
    }

    fn delete(&mut self, number: u8, family: Family, bytes: &[u8], is_new: bool) -> Result<(), Malformed> {
        let attrs = Attrs::<4>::read(bytes)?;
        let name = |place| attrs.name(place).ok_or(Malformed);
        match number {
            _ if kind::DELETE_TABLE.contains(&number) => {
                for text in self.rules.remove(&(family, name(1)?)).into_iter().flat_map(HashMap::into_values) {
                    self.spare.free(&text);
                }
                self.take(Subject::Table, (family, name(1)?, Vec::new()), is_new);
            }
            _ if kind::DELETE_CHAIN.contains(&number) => {
                let key = (family, name(1)?, name(3)?);
                if self.names.inlined.remove(&key).is_none() {
                    self.delete_chain(chain(family, bytes)?, is_new);
                }
            }
            _ if kind::DELETE_RULE.contains(&number) => {
                let (table, chain, handle) = (name(1)?, name(2)?, attrs.u64(3).ok_or(Malformed)?);
                self.delete_rule((family, table, chain), handle, is_new);
            }
            _ if kind::DELETE_SET.contains(&number) => {
                let key = (family, name(1)?, name(2)?);
                let known = if is_new { self.names.sets.remove(&key) } else { self.names.sets.get(&key).cloned() };
                if !known.as_ref().is_some_and(Set::is_anonymous) {
                    self.take(known.as_ref().map_or(Subject::Set, subject), key, is_new);
                }
            }
            _ if kind::DELETE_ELEMENT.contains(&number) => self.element(family, bytes, false, is_new)?,
            _ if kind::DELETE_OBJECT.contains(&number) => {
                let kind = attrs.need_u32(3)?;
                self.take(Subject::Object(kind), (family, name(1)?, name(2)?), is_new);
            }
            _ if kind::DELETE_FLOWTABLE.contains(&number) => {
                self.delete_flowtable(flowtable(family, bytes)?, is_new);
            }
            _ => {}
        }
        Ok(())
    }

    fn push(&mut self, change: Change) {
        if self.changes.len() < MAX_CHANGES {
            self.changes.push(change);
        } else {
            self.left_out += 1;
        }
    }

    /// How a thing was written is kept under its name; a set may be a map.
    fn put(&mut self, subject: Subject, key: Key, now: Written, is_new: bool) {
        let kept = if subject == Subject::Map { Subject::Set } else { subject };
        let before = if is_new { self.things.insert((kept, key.clone()), now.clone()) } else { None };
        // it was said again
        if before.as_ref() == Some(&now) {
            return;
        }
        let action = if before.is_some() { Action::Replaced } else { Action::Added };
        self.push(change(subject, action, key, (before.map(|(text, _)| text), Some(now.0))));
    }

    fn take(&mut self, subject: Subject, key: Key, is_new: bool) {
        let kept = if subject == Subject::Map { Subject::Set } else { subject };
        let id = (kept, key);
        let before = if is_new { self.things.remove(&id) } else { None };
        self.push(change(subject, Action::Deleted, id.1, (before.map(|(text, _)| text), None)));
    }

    /// A rule that is not made but takes the place of another follows the message that this one is gone.
    fn add_rule(&mut self, rule: Rule, replaces: bool, is_new: bool, host: &dyn HostNames) {
        let key = (rule.family, rule.table.clone(), rule.chain.clone());
        if let Some(rules) = self.names.inlined.get_mut(&key) {
            rules.push(rule);
            return;
        }
        let text = Scene::new(rule.family, &rule.table, &self.names, host).without_counts().rule(&rule);
        let after = if is_new { self.spare.text(&text) } else { Text::long(text.as_bytes()) };
        if is_new {
            let rules = self.rules.entry((rule.family, rule.table)).or_default();
            if let Some(former) = rules.insert(rule.handle, after.clone()) {
                self.spare.free(&former);
            }
        }
        let gone = |last: &&mut Change| {
            (last.subject, last.action) == (Subject::Rule, Action::Deleted)
                && (last.family, &last.table, last.name.as_ref()) == (key.0, &key.1, Some(&key.2))
        };
        if replaces && let Some(last) = self.changes.last_mut().filter(gone) {
            (last.action, last.handle, last.after) = (Action::Replaced, Some(rule.handle), Some(after));
            return;
        }
        let mut change = change(Subject::Rule, Action::Added, key, (None, Some(after)));
        change.handle = Some(rule.handle);
        self.push(change);
    }

    fn delete_rule(&mut self, key: Key, handle: u64, is_new: bool) {
        if let Some(rules) = self.names.inlined.get_mut(&key) {
            rules.retain(|rule| rule.handle != handle);
            return;
        }
        let rules = self.rules.get_mut(&(key.0, key.1.clone())).filter(|_| is_new);
        let before = rules.and_then(|rules| rules.remove(&handle)).inspect(|text| self.spare.free(text));
        let mut change = change(Subject::Rule, Action::Deleted, key, (before, None));
        change.handle = Some(handle);
        self.push(change);
    }

    fn add_set(&mut self, set: Set, is_new: bool) {
        let (subject, text) = (subject(&set), declaration::set(&set));
        let key = (set.family, set.table.clone(), set.name.clone());
        let is_anonymous = set.is_anonymous();
        if is_new || is_anonymous {
            self.names.sets.insert(key.clone(), set);
        }
        if !is_anonymous {
            self.put(subject, key, (text.into(), None), is_new);
        }
    }

    /// Counts the elements of a message; those of sets without a name are part of a rule and are kept.
    fn element(&mut self, family: Family, bytes: &[u8], added: bool, is_new: bool) -> Result<(), Malformed> {
        let attrs = Attrs::<4>::read(bytes)?;
        let key = (family, attrs.name(1).ok_or(Malformed)?, attrs.name(2).ok_or(Malformed)?);
        let list = attributes(attrs.bytes(3).unwrap_or(&[])).map(|one| element(one?.bytes));
        if let Some(set) = self.names.sets.get_mut(&key).filter(|set| set.is_anonymous()) {
            for element in list {
                let element = element?;
                if added && is_new && set.elements.len() < MAX_ELEMENTS {
                    set.elements.push(element);
                }
            }
            return Ok(());
        }
        let room = self.elements.len() < MAX_CHANGES;
        let elements = match self.elements.entry((key, added)) {
            Entry::Vacant(_) if !room => {
                self.left_out += 1;
                return Ok(());
            }
            entry => entry.or_default(),
        };
        for element in list {
            let element = element?;
            elements.count += u64::from(!element.ends_range());
            if elements.first.len() < WRITTEN {
                elements.first.push(element);
            }
        }
        Ok(())
    }

    /// Elements that came or went as they are written.
    fn written(&self, (key, added): (Key, bool), elements: Elements, host: &dyn HostNames) -> Change {
        let Elements { count, mut first } = elements;
        let known = self.names.sets.get(&key);
        let mut text = format!("{count} element{}", if count == 1 { "" } else { "s" });
        if let Some(set) = known {
            // a range whose end was left out has none that could be written
            if first.len() == WRITTEN && first.last().is_some_and(|last| set.has_ranges() && !last.ends_range()) {
                first.pop();
            }
            let written = first.iter().filter(|element| !element.ends_range()).count() as u64;
            let set = Set { elements: first, ..set.clone() };
            let scene = Scene::new(key.0, &key.1, &self.names, host).without_counts();
            text = format!("{text}: {}", scene.elements(&set));
            if written < count {
                text = format!("{text} and {} more", count - written);
            }
        }
        let text = Some(Text::from(text));
        let (action, texts) = if added { (Action::Added, (None, text)) } else { (Action::Deleted, (text, None)) };
        change(Subject::Element, action, key, texts)
    }

    fn commit(&mut self, bytes: &[u8], host: &dyn HostNames) -> Result<Commit, Malformed> {
        let attrs = Attrs::<4>::read(bytes)?;
        let mut changes = std::mem::take(&mut self.changes);
        let elements = std::mem::take(&mut self.elements);
        changes.extend(elements.into_iter().map(|(of, elements)| self.written(of, elements, host)));
        let generation = attrs.need_u32(1)?;
        // messages have the low bits only, which come again
        let is_later = |known: &u32| generation.wrapping_sub(*known).cast_signed() > 0;
        self.generation = self.generation.map(|known| if is_later(&known) { generation } else { known });
        Ok(Commit {
            generation,
            pid: attrs.u32(2),
            program: attrs.name(3),
            changes,
            left_out: std::mem::take(&mut self.left_out),
        })
    }
}

fn subject(set: &Set) -> Subject {
    if set.data == MapsTo::Nothing { Subject::Set } else { Subject::Map }
}

fn change(subject: Subject, action: Action, key: Key, (before, after): (Option<Text>, Option<Text>)) -> Change {
    let (family, table, name) = key;
    let name = (subject != Subject::Table).then_some(name);
    Change { subject, action, family, table, name, handle: None, before, after }
}
