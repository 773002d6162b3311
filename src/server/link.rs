//! How do the front and the sampler talk?
//!
//! Over a stream socket pair: each message is its length in four bytes, lowest first, and an encoded `Ask` or `Answer`. The
//! front is not trusted by the sampler and the other way round: lengths are bounded, and what does not parse ends the link.

use std::io::{self, Read, Write};

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::wire::MAX_MESSAGE;

/// Bytes of a question of the front at most.
pub(super) const MAX_ASK: usize = 1 << 20;

/// A message with its length in front.
pub(super) fn framed(message: &impl Message) -> Vec<u8> {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(length + 4);
    bytes.extend_from_slice(&(length as u32).to_le_bytes());
    // a vector grows as needed
    let _ = message.encode(&mut bytes);
    bytes
}

fn checked(length: [u8; 4], most: usize) -> io::Result<usize> {
    let length = u32::from_le_bytes(length) as usize;
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a message of {length} bytes")));
    }
    Ok(length)
}

fn parsed<M: Message + Default>(bytes: &[u8]) -> io::Result<M> {
    M::decode(bytes).map_err(|cause| io::Error::new(io::ErrorKind::InvalidData, cause))
}

/// Reads one message; `None` at the end of the stream.
///
/// # Errors
/// The stream broke, or the message is too long or none.
pub(super) fn read<M: Message + Default>(from: &mut impl Read, most: usize) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut bytes = vec![0; checked(length, most)?];
    from.read_exact(&mut bytes)?;
    parsed(&bytes).map(Some)
}

/// Writes one message.
///
/// # Errors
/// The stream broke.
pub(super) fn write(to: &mut impl Write, message: &impl Message) -> io::Result<()> {
    to.write_all(&framed(message))
}

/// As [`read`], without blocking the thread.
///
/// # Errors
/// The stream broke, or the message is too long or none.
pub(super) async fn receive<M: Message + Default>(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length).await {
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    };
    let mut bytes = vec![0; checked(length, MAX_MESSAGE)?];
    from.read_exact(&mut bytes).await?;
    parsed(&bytes).map(Some)
}

/// As [`write`], without blocking the thread.
///
/// # Errors
/// The stream broke.
pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), message: &impl Message) -> io::Result<()> {
    to.write_all(&framed(message)).await
}
