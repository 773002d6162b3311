//! What does somebody hear of alerts who sits at this dashboard?
//!
//! That one fires or gets worse, and that one is over of which that was told. What others make needless, what somebody has said is
//! known, and what may be silent is not told here either, nor what its rule does not tell or what is only careful.

use std::collections::HashSet;

use super::{Change, Message, Notification};
use crate::model::Level;

/// The mildest severity that is told.
const LEAST: Level = Level::Warning;

/// Changes that are told one by one; the others are counted.
const TOGETHER: usize = 16;

/// Alerts that are remembered as told.
const REMEMBERED: usize = 1024;

/// What was told here.
#[derive(Debug, Default)]
pub struct Here {
    told: HashSet<String>,
}

impl Here {
    /// What is told of all that has happened, if anything, and whether it is more than that something is over.
    pub fn tell(&mut self, happened: &[Notification], host: &str) -> Option<(Message, bool)> {
        let mut all: Vec<Notification> = happened.iter().filter(|one| self.is_told(one)).cloned().collect();
        all.sort_by_key(|one| (one.change == Change::Cleared, std::cmp::Reverse(one.severity)));
        let more = all.len().saturating_sub(TOGETHER) as u64;
        all.truncate(TOGETHER);
        let message = Message { host: host.to_owned(), notifications: all, more };
        let is_loud = !message.is_over();
        (!message.notifications.is_empty()).then_some((message, is_loud))
    }

    fn is_told(&mut self, one: &Notification) -> bool {
        match one.change {
            Change::Fired | Change::Worse if one.severity >= LEAST.max(one.tell) => {
                if self.told.len() >= REMEMBERED {
                    self.told.clear();
                }
                self.told.insert(one.alert.clone());
                true
            }
            Change::Cleared => self.told.remove(&one.alert),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::action::words::example;

    fn one(alert: &str, severity: Level, change: Change) -> Notification {
        Notification { alert: alert.to_owned(), severity, change, ..example(alert) }
    }

    fn told(here: &mut Here, happened: &[Notification]) -> Option<(Vec<String>, u64, bool)> {
        let (message, is_loud) = here.tell(happened, "hv1")?;
        assert_eq!(message.host, "hv1");
        Some((message.notifications.into_iter().map(|one| one.alert).collect(), message.more, is_loud))
    }

    #[test]
    fn what_fires_and_gets_worse_is_told_and_what_is_over_where_that_was() {
        let mut here = Here::default();
        let mild = one("mild", Level::Careful, Change::Fired);
        let (a, b) = (one("a", Level::Warning, Change::Fired), one("b", Level::Critical, Change::Fired));
        let over = |alert: &str| one(alert, Level::Warning, Change::Cleared);
        let shown = Notification { tell: Level::Critical, ..one("shown", Level::Warning, Change::Fired) };
        assert_eq!(told(&mut here, &[mild, shown]), None);
        assert_eq!(told(&mut here, &[a, b]), Some((vec!["b".to_owned(), "a".to_owned()], 0, true)));
        assert_eq!(told(&mut here, &[one("a", Level::Warning, Change::Better)]), None);
        assert_eq!(told(&mut here, &[over("mild"), over("a")]), Some((vec!["a".to_owned()], 0, false)));
        assert_eq!(told(&mut here, &[over("a")]), None);
    }

    #[test]
    fn a_storm_is_one_message_and_what_is_remembered_is_bounded() {
        let mut here = Here::default();
        let storm: Vec<Notification> =
            (0..3 * REMEMBERED).map(|n| one(&n.to_string(), Level::Warning, Change::Fired)).collect();
        let (shown, more, is_loud) = told(&mut here, &storm).unwrap();
        assert_eq!((shown.len(), more, is_loud), (TOGETHER, (3 * REMEMBERED - TOGETHER) as u64, true));
        assert!(here.told.len() <= REMEMBERED);
    }
}
