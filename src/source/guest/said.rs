//! What does a monitor say of its guest that the kernel does not know?

use std::time::Duration;

use crate::model::Text;

/// What was said at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Said {
    /// What the guest does, in a word.
    pub status: Option<Text>,
    /// What it is called.
    pub name: Option<Text>,
    /// Its UUID.
    pub uuid: Option<Text>,
    /// Bytes that the guest has of its memory.
    pub balloon: Option<u64>,
    /// Its block devices that have something in them.
    pub blocks: Vec<Block>,
}

/// A block device of a guest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// What the guest or its administrator calls it.
    pub target: Option<Text>,
    /// File, device or address of what is in it, as the monitor was told.
    pub path: Option<Box<str>>,
    /// How that is laid out.
    pub format: Option<Text>,
    /// Bytes that the guest sees.
    pub size: Option<u64>,
    /// Whether the guest may write to it.
    pub is_writable: Option<bool>,
    /// What was read, written and flushed.
    pub counts: Option<[Counts; 3]>,
}

/// What was done in one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that were done.
    pub operations: Option<u64>,
    /// Bytes that they moved.
    pub bytes: Option<u64>,
    /// How long they took, all together.
    pub time: Option<Duration>,
}
