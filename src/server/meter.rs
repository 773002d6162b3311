//! How does one connection keep no other waiting?
//!
//! Between the connection and HTTP: all bytes pass here, a slice at a time, and after a few slices it is the turn of others.
//! On the way they are weighed ([`Account`]), and what is seen of them is told to the [`Pulse`] of the connection.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frames::{Account, NONSENSE, Verdict};
use super::pulse::Pulse;

/// Bytes of a slice.
const SLICE: usize = 4 << 10;

/// Slices in a row.
const TURN: u8 = 4;

/// A stream whose bytes are counted.
pub(super) struct Meter<S> {
    stream: S,
    pulse: Arc<Pulse>,
    account: Account,
    slices: u8,
    /// What is read instead of what comes; nothing follows it.
    instead: Option<&'static [u8]>,
}

impl<S> Meter<S> {
    pub(super) fn new(stream: S, pulse: Arc<Pulse>) -> Self {
        Self { stream, pulse, account: Account::new(Instant::now()), slices: 0, instead: None }
    }

    fn went(&mut self, bytes: &[u8]) {
        if self.account.go(bytes) {
            self.pulse.sent();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Meter<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Some(instead) = &mut self.instead {
            let (now, later) = instead.split_at(instead.len().min(buf.remaining()));
            buf.put_slice(now);
            *instead = later;
            return Poll::Ready(Ok(()));
        }
        if self.slices >= TURN {
            self.slices = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let mut bytes = [0; SLICE];
        let room = SLICE.min(buf.remaining());
        let mut slice = ReadBuf::new(bytes.get_mut(..room).unwrap_or_default());
        let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, &mut slice) else {
            self.slices = 0;
            return Poll::Pending;
        };
        read?;
        self.slices += 1;
        let bytes = slice.filled();
        let kept = match self.account.come(bytes, Instant::now()) {
            Verdict::Whole => {
                self.pulse.heard_all();
                bytes.len()
            }
            Verdict::Part if bytes.is_empty() => 0,
            Verdict::Part => {
                self.pulse.heard();
                bytes.len()
            }
            Verdict::Enough(at) => {
                self.instead = Some(NONSENSE);
                at
            }
        };
        buf.put_slice(bytes.get(..kept).unwrap_or_default());
        // nothing at all would be the end
        if kept == 0 && self.instead.is_some() { self.poll_read(cx, buf) } else { Poll::Ready(Ok(())) }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Meter<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pulse.flows(written.is_ready());
        let written = ready!(written)?;
        self.went(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.pulse.flows(written.is_ready());
        let written = ready!(written)?;
        let mut rest = written;
        for slice in slices {
            let part = rest.min(slice.len());
            self.went(slice.get(..part).unwrap_or_default());
            rest -= part;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.pulse.flows(flushed.is_ready());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.pulse.flows(ended.is_ready());
        ended
    }
}
