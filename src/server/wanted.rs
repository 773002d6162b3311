//! What do all readers together want from the sampler?
//!
//! Each want is kept once, however many readers have it, so that a thousand readers of the same cost one question. The union
//! is bounded: one reader more cannot make it a message that the sampler refuses.

use std::collections::{BTreeMap, HashMap};

use prost::Message as _;

use super::link;
use crate::model::{Demand, Text};
use crate::wire::convert::{self, MAX_DEMANDS};
use crate::wire::proto;

/// Bytes of the union at most: half of what the sampler takes.
const MAX_BYTES: usize = link::MAX_ASK / 2;

/// What readers want, by reader and all together.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    readers: HashMap<u64, Vec<Vec<u8>>>,
    /// Each want as it is sent, and how many have it.
    union: BTreeMap<Vec<u8>, (proto::Demand, usize)>,
    bytes: usize,
}

impl Wanted {
    /// Replaces what a reader wants; whether the union has changed.
    ///
    /// # Errors
    /// All together it would be too much; then the reader wants what it wanted before.
    pub(super) fn replace(&mut self, reader: u64, wants: &[Demand]) -> Result<bool, Text> {
        // the agent samples on its own clock: what one reader hurries would hurry for all
        let own = |want: &Demand| convert::from_demand(&Demand { interval: None, ..want.clone() });
        let wants: Vec<proto::Demand> = wants.iter().map(own).collect();
        let keys: Vec<Vec<u8>> = wants.iter().map(proto::Demand::encode_to_vec).collect();
        let before = self.readers.remove(&reader).unwrap_or_default();
        // first more, then less: what stays wanted never leaves
        let mut changed = false;
        for (key, want) in keys.iter().zip(wants) {
            changed |= self.more(key, want);
        }
        if self.union.len() > MAX_DEMANDS || self.bytes > MAX_BYTES {
            for key in &keys {
                self.less(key);
            }
            self.keep(reader, before);
            return Err(Text::from("readers want more different things already than the agent can collect at once"));
        }
        for key in &before {
            changed |= self.less(key);
        }
        self.keep(reader, keys);
        Ok(changed)
    }

    /// Everything that somebody wants, once.
    pub(super) fn all(&self) -> Vec<proto::Demand> {
        self.union.values().map(|(want, _)| want.clone()).collect()
    }

    fn keep(&mut self, reader: u64, keys: Vec<Vec<u8>>) {
        if !keys.is_empty() {
            self.readers.insert(reader, keys);
        }
    }

    fn more(&mut self, key: &[u8], want: proto::Demand) -> bool {
        if let Some((_, count)) = self.union.get_mut(key) {
            *count += 1;
            return false;
        }
        self.bytes += key.len();
        self.union.insert(key.to_vec(), (want, 1));
        true
    }

    fn less(&mut self, key: &[u8]) -> bool {
        let Some((_, count)) = self.union.get_mut(key) else { return false };
        *count -= 1;
        if *count > 0 {
            return false;
        }
        self.bytes -= key.len();
        self.union.remove(key);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn of(pid: u64) -> Demand {
        Demand { ids: vec![Value::U64(pid)], ..Demand::table("process_file") }
    }

    #[test]
    fn what_many_want_is_wanted_once_and_until_the_last_has_gone() {
        let mut wanted = Wanted::default();
        assert_eq!(wanted.replace(0, &[of(1)]), Ok(true));
        for reader in 1..1000 {
            assert_eq!(wanted.replace(reader, &[of(1)]), Ok(false));
        }
        assert_eq!(wanted.all().len(), 1);
        assert_eq!(wanted.replace(0, &[of(1), of(2)]), Ok(true));
        for reader in 1..1000 {
            assert_eq!(wanted.replace(reader, &[]), Ok(false));
        }
        assert_eq!(wanted.replace(0, &[of(2)]), Ok(true));
        assert_eq!(wanted.all(), [convert::from_demand(&of(2))]);
        assert_eq!(wanted.replace(0, &[]), Ok(true));
        assert!(wanted.all().is_empty() && wanted.readers.is_empty() && wanted.bytes == 0);
    }

    #[test]
    fn nobody_hurries_the_sampler() {
        let mut wanted = Wanted::default();
        let hurried = Demand { interval: Some(std::time::Duration::from_nanos(1)), ..of(1) };
        assert_eq!(wanted.replace(0, &[hurried]), Ok(true));
        assert_eq!(wanted.all(), [convert::from_demand(&of(1))]);
        assert_eq!(wanted.replace(1, &[of(1)]), Ok(false));
    }

    #[test]
    fn more_than_the_sampler_takes_is_refused_and_changes_nothing() {
        let mut wanted = Wanted::default();
        wanted.replace(0, &[of(0)]).unwrap();
        let many: Vec<Demand> = (1..=MAX_DEMANDS as u64).map(of).collect();
        assert!(wanted.replace(1, &many).is_err());
        assert_eq!(wanted.all(), [convert::from_demand(&of(0))]);
        let long = Demand { columns: vec!["x".repeat(MAX_BYTES)], ..Demand::table("process") };
        assert!(wanted.replace(1, &[long]).is_err());
        assert_eq!(wanted.bytes, convert::from_demand(&of(0)).encoded_len());
        assert_eq!(wanted.replace(1, &many[1..]), Ok(true));
    }
}
