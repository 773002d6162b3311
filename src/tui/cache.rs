//! How is each table paired only once, however many panels look at it?

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use crate::model::Snapshot;
use crate::panel::{Alert, Kept, Views};
use crate::store::rate::{Mode, View};

/// Paired views of a snapshot.
#[derive(Default)]
pub(super) struct Cache {
    snapshot: Arc<Snapshot>,
    views: RefCell<HashMap<String, Arc<View>>>,
    alerts: RefCell<Option<Rc<[Alert]>>>,
    kept: Kept,
}

impl Cache {
    /// Goes on with another snapshot; views of rows that are the same are kept.
    pub(super) fn set(&mut self, snapshot: Arc<Snapshot>) {
        self.views.get_mut().retain(|table, view| {
            let now = snapshot.get(table).and_then(|state| state.now.as_ref());
            now.is_some_and(|now| Arc::ptr_eq(&now.rows, &view.sample().rows))
        });
        *self.alerts.get_mut() = None;
        self.kept.clear();
        self.snapshot = snapshot;
    }

    /// What was made of the snapshot is made anew: thresholds and settings are others.
    pub(super) fn forget(&mut self) {
        self.views.get_mut().clear();
        *self.alerts.get_mut() = None;
        self.kept.clear();
    }

    /// The snapshot.
    pub(super) fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }
}

impl Views for Cache {
    fn get(&self, table: &str) -> Option<Arc<View>> {
        if let Some(view) = self.views.borrow().get(table) {
            return Some(Arc::clone(view));
        }
        let state = self.snapshot.get(table)?;
        let view = Arc::new(View::new(state.now.as_ref()?, state.before.as_ref(), Mode::Rate));
        self.views.borrow_mut().insert(table.to_owned(), Arc::clone(&view));
        Some(view)
    }

    fn kept(&self) -> &Kept {
        &self.kept
    }

    fn alerts(&self, find: &dyn Fn() -> Vec<Alert>) -> Rc<[Alert]> {
        if let Some(known) = &*self.alerts.borrow() {
            return Rc::clone(known);
        }
        let found: Rc<[Alert]> = find().into();
        *self.alerts.borrow_mut() = Some(Rc::clone(&found));
        found
    }
}
