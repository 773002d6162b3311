//! Which actions have been done to this host, or were to be?

use std::collections::VecDeque;
use std::sync::Mutex;

use super::file::Root;
use super::user::Users;
use crate::model::{Action, ActionError, Done, Text, Timestamp, lock};

/// Actions that are kept.
const MOST: usize = 1024;

/// An action that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Deed {
    /// Number since this program runs.
    pub seq: u64,
    /// When it was over.
    pub time: Timestamp,
    /// Who asked for it.
    pub user: Text,
    /// The word for it.
    pub word: &'static str,
    /// Number of a signal, or a nice value.
    pub value: Option<i64>,
    /// What it was for.
    pub target: Text,
    /// Of several connections, how many had ended already.
    pub gone: Option<usize>,
    /// Why it was not done.
    pub error: Option<Text>,
}

/// The newest actions.
#[derive(Debug, Default)]
pub struct Deeds(Mutex<(u64, VecDeque<Deed>)>);

impl Deeds {
    /// Writes down what came of an action.
    pub fn note(&self, user: Text, action: &Action, done: &Result<Done, ActionError>) {
        let (word, target) = action.aim();
        let value = match action {
            Action::Signal { signal, .. } => Some(i64::from(*signal)),
            Action::Renice { nice, .. } => Some(i64::from(*nice)),
            Action::Forget { .. } | Action::Acknowledge { .. } | Action::Mute { .. } => None,
        };
        let several = matches!(action, Action::Forget { flows } if flows.len() > 1);
        let gone = done.as_ref().ok().filter(|_| several).map(|done| done.gone);
        let error = done.as_ref().err().map(|cause| Text::from(cause.to_string()));
        let (count, kept) = &mut *lock(&self.0);
        *count += 1;
        if kept.len() >= MOST {
            kept.pop_front();
        }
        kept.push_back(Deed { seq: *count, time: Timestamp::now(), user, word, value, target, gone, error });
    }

    /// How many there have been.
    pub fn count(&self) -> u64 {
        lock(&self.0).0
    }

    /// Those that are kept, the oldest first.
    pub fn newest(&self) -> Vec<Deed> {
        lock(&self.0).1.iter().cloned().collect()
    }
}

/// The user that this program is run by.
pub fn own_user(host: &Root) -> Text {
    let mut users = Users::default();
    users.refresh(host);
    users.name(rustix::process::getuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Tracked;

    #[test]
    fn the_newest_actions_are_kept_with_what_came_of_them() {
        let deeds = Deeds::default();
        for nice in 0..MOST as i32 + 5 {
            let done = if nice % 2 == 0 { Ok(Done::default()) } else { Err(ActionError::Off) };
            deeds.note("me".into(), &Action::Renice { pid: 7, start: 1, nice }, &done);
        }
        let kept = deeds.newest();
        assert_eq!((kept.len(), deeds.count()), (MOST, MOST as u64 + 5));
        let last = kept.last().unwrap();
        assert_eq!((last.seq, last.value, last.target.as_str()), (MOST as u64 + 5, Some(1028), "process 7"));
        assert_eq!((last.error.as_deref(), kept[0].seq), (None, 6));
        assert_eq!(kept[0].error.as_deref(), Some("actions are off on this host"));
        let flow = Tracked {
            netns: "host".into(),
            id: 1,
            protocol: 6,
            source: [192, 0, 2, 1].into(),
            destination: [192, 0, 2, 2].into(),
            ports: None,
            icmp: None,
            zone: 0,
        };
        for flows in [vec![flow.clone()], vec![flow; 2]] {
            deeds.note("me".into(), &Action::Forget { flows }, &Ok(Done { gone: 1 }));
        }
        assert_eq!(
            deeds.newest().iter().rev().take(3).map(|deed| deed.gone).collect::<Vec<_>>(),
            [Some(1), None, None]
        );
    }
}
