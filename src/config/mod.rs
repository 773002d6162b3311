//! What did the user configure?

mod nearest;

pub use nearest::nearest;
