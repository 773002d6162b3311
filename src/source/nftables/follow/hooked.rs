//! What becomes of chains and flowtables, whose devices come and go?
//!
//! Of one that is there already the kernel tells only the devices that it gets beside those that it has, and when some of them
//! go it tells that it is deleted, with those.

use super::{Action, Follower, Key, Subject, change};
use crate::model::Text;
use crate::source::nftables::text::declaration;
use crate::source::nftables::{Chain, Flowtable, Hook};

impl Follower {
    pub(super) fn add_chain(&mut self, mut chain: Chain, is_new: bool) {
        let id = (chain.family, chain.table.clone(), chain.handle);
        let known = if is_new { self.chains.remove(&id) } else { None };
        join(chain.hook.as_mut(), known.as_ref().and_then(|known| known.hook.as_ref()));
        let texts = (known.as_ref().map(declaration::chain), Some(declaration::chain(&chain)));
        let key = (chain.family, chain.table.clone(), chain.name.clone());
        if is_new {
            self.chains.insert(id, chain);
        }
        self.tell(Subject::Chain, key, texts);
    }

    pub(super) fn add_flowtable(&mut self, mut table: Flowtable, is_new: bool) {
        let key = (table.family, table.table.clone(), table.name.clone());
        let known = if is_new { self.flowtables.remove(&key) } else { None };
        join(table.hook.as_mut(), known.as_ref().and_then(|known| known.hook.as_ref()));
        let texts = (known.as_ref().map(declaration::flowtable), Some(declaration::flowtable(&table)));
        if is_new {
            self.flowtables.insert(key.clone(), table);
        }
        self.tell(Subject::Flowtable, key, texts);
    }

    pub(super) fn delete_chain(&mut self, gone: Chain, is_new: bool) {
        let id = (gone.family, gone.table.clone(), gone.handle);
        let known = if is_new { self.chains.remove(&id) } else { None };
        let before = known.as_ref().map(declaration::chain);
        let left = known.and_then(|known| {
            let hook = without(known.hook.as_ref()?, gone.hook.as_ref()?)?;
            Some(Chain { hook: Some(hook), ..known })
        });
        let after = left.as_ref().map(declaration::chain);
        self.chains.extend(left.map(|left| (id, left)));
        self.tell(Subject::Chain, (gone.family, gone.table, gone.name), (before, after));
    }

    pub(super) fn delete_flowtable(&mut self, gone: Flowtable, is_new: bool) {
        let key = (gone.family, gone.table, gone.name);
        let known = if is_new { self.flowtables.remove(&key) } else { None };
        let before = known.as_ref().map(declaration::flowtable);
        let left = known.and_then(|known| {
            let hook = without(known.hook.as_ref()?, gone.hook.as_ref()?)?;
            Some(Flowtable { hook: Some(hook), ..known })
        });
        let after = left.as_ref().map(declaration::flowtable);
        self.flowtables.extend(left.map(|left| (key.clone(), left)));
        self.tell(Subject::Flowtable, key, (before, after));
    }

    fn tell(&mut self, subject: Subject, key: Key, (before, after): (Option<String>, Option<String>)) {
        let action = match (&before, &after) {
            // it was said again
            (Some(before), Some(after)) if before == after => return,
            (Some(_), Some(_)) => Action::Replaced,
            (None, Some(_)) => Action::Added,
            (_, None) => Action::Deleted,
        };
        self.push(change(subject, action, key, (before.map(Text::from), after.map(Text::from))));
    }
}

/// Adds the devices that were there before.
fn join(hook: Option<&mut Hook>, known: Option<&Hook>) {
    if let (Some(hook), Some(known)) = (hook, known) {
        hook.devices.extend(known.devices.iter().cloned());
        hook.devices.sort();
        hook.devices.dedup();
    }
}

/// What is left of a hook without some of its devices; `None` if none are left, or none go: then all of it goes.
fn without(known: &Hook, gone: &Hook) -> Option<Hook> {
    let left: Vec<_> = known.devices.iter().filter(|device| !gone.devices.contains(device)).cloned().collect();
    (!left.is_empty() && left.len() < known.devices.len()).then_some(Hook { devices: left, ..*known })
}
