//! How does a thread hear that it is to end?

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::model::lock;

/// Ends a thread.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *lock(&self.rung) = true;
        self.heard.notify_all();
    }

    /// Whether it was rung.
    pub(super) fn is_rung(&self) -> bool {
        *lock(&self.rung)
    }

    /// Waits for so long; whether it was rung.
    pub(super) fn within(&self, span: Duration) -> bool {
        let waited = self.heard.wait_timeout_while(lock(&self.rung), span, |rung| !*rung);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
