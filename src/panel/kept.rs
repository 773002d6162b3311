//! What has a panel made of a snapshot, so that further frames need not make it again?

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use super::Cx;
use crate::model::Style;

/// What a work depends on beside the snapshot, thresholds and settings.
#[derive(Clone, PartialEq)]
struct How {
    toggles: BTreeSet<&'static str>,
    style: Style,
}

/// A work, and what it depends on.
type Work = (How, Rc<dyn Any>);

/// Works of panels on one snapshot; whoever has another snapshot, thresholds or settings clears them.
#[derive(Default)]
pub struct Kept(RefCell<HashMap<&'static str, Work>>);

impl Kept {
    /// Forgets all of them.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }

    /// The work of a panel, made unless there is one.
    pub(super) fn of<T: Any>(&self, cx: &Cx<'_>, panel: &'static str, make: impl FnOnce() -> T) -> Rc<T> {
        let is_same = |how: &How| how.toggles == *cx.toggles && how.style == cx.style;
        let known = self.0.borrow().get(panel).filter(|(how, _)| is_same(how)).map(|(_, work)| Rc::clone(work));
        if let Some(work) = known.and_then(|work| work.downcast().ok()) {
            return work;
        }
        let work = Rc::new(make());
        let how = How { toggles: cx.toggles.clone(), style: cx.style };
        self.0.borrow_mut().insert(panel, (how, Rc::<T>::clone(&work)));
        work
    }
}
