//! How do rows travel between processes and between hosts?
//!
//! The messages are those of `netglance.proto`. A schema is told once ([`schema`]), then samples of tables: the first one
//! whole, each later one as what changed ([`encode`], [`decode`]). [`mirror`] keeps what a peer told as a snapshot that every
//! reader understands. A peer may be hostile: everything is checked against the schema and bounded, and nothing panics.

pub mod bounded;
pub mod convert;
pub mod decode;
pub mod encode;
pub mod frame;
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::pedantic,
    reason = "written by a program"
)]
pub mod generated;
pub mod mirror;
pub use generated as proto;
pub mod redact;
pub mod schema;

#[cfg(test)]
mod tests;

/// The protocol as programs describe it to each other: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!("generated/netglance.bin");

/// Bytes of one message at most.
pub const MAX_MESSAGE: usize = 32 << 20;

/// Why a peer is not believed.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// It says what cannot be.
    #[error("the peer sent something damaged: {0}")]
    Damaged(&'static str),
    /// It says too much.
    #[error("the peer exceeds a bound: {0}")]
    Bound(&'static str),
    /// It is no message at all.
    #[error("the peer sent no message of this protocol: {0}")]
    Message(#[from] prost::DecodeError),
}
