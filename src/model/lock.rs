//! What happens to what two threads share when one of them panics?

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a mutex whether or not somebody panicked with it: for what is changed as a whole, so that it is right in any case.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
