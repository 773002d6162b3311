//! How many bytes did a collector read?
//!
//! A thread-local count that every reader in `source/` adds to and the scheduler takes after each run of a collector.

use std::cell::Cell;

thread_local! {
    static BYTES: Cell<u64> = const { Cell::new(0) };
}

/// Adds bytes that were read.
pub fn add(bytes: usize) {
    BYTES.with(|count| count.set(count.get().wrapping_add(bytes as u64)));
}

/// Takes the count of this thread and starts again at zero.
pub fn take() -> u64 {
    BYTES.with(Cell::take)
}
