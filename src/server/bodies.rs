//! How much may be on its way, and for how long?
//!
//! What comes with a request is bounded in size and time before anybody reads it. What is answered is handed on in pieces,
//! so that what the other end does not take waits here, where it is counted.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::time::Sleep;

use super::pulse::Pulse;

/// Bytes that come with the request of somebody who has not said who they are, at most.
const MAX_UNKNOWN: u64 = 64 << 10;

/// Bytes that come with a request at most.
const MAX_KNOWN: u64 = 1 << 20;

/// Longest wait for all of them.
const COME: Duration = Duration::from_secs(10);

/// Bytes of a piece of an answer at most.
const PIECE: usize = 32 << 10;

/// Bytes of all answers that wait; whoever keeps the most waiting goes when there are more.
pub(super) const MAX_HELD: u64 = 64 << 20;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Bytes that may come with a request.
pub(super) fn most(known: bool) -> u64 {
    if known { MAX_KNOWN } else { MAX_UNKNOWN }
}

/// What comes with a request, so far as it is read.
pub(super) struct Bounded<B> {
    body: B,
    left: u64,
    until: Pin<Box<Sleep>>,
}

impl<B> Bounded<B> {
    pub(super) fn new(body: B, most: u64) -> Self {
        Self { body, left: most, until: Box::pin(tokio::time::sleep(COME)) }
    }
}

impl<B: HttpBody<Data = Bytes, Error: Into<Failure>> + Unpin> HttpBody for Bounded<B> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.until.as_mut().poll(cx));
            return Poll::Ready(Some(Err("the request does not end".into())));
        };
        let Some(frame) = frame.transpose().map_err(Into::into)? else { return Poll::Ready(None) };
        let length = frame.data_ref().map_or(0, |bytes| bytes.len() as u64);
        let Some(left) = self.left.checked_sub(length) else {
            return Poll::Ready(Some(Err("the request is too large".into())));
        };
        self.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer that does not tell its size, among the extensions of a response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight(pub(super) u64);

/// Bytes of all answers that wait.
#[derive(Default)]
pub(super) struct Waiting(AtomicU64);

/// An answer, until it is sent or given up.
pub(super) struct Answer {
    body: Body,
    piece: Bytes,
    _ticket: Ticket,
}

/// A request, from its head to the end of its answer.
pub(super) struct Ticket {
    pulse: Arc<Pulse>,
    waiting: Arc<Waiting>,
    held: u64,
}

impl Ticket {
    /// A head came.
    pub(super) fn new(pulse: &Arc<Pulse>, waiting: &Arc<Waiting>) -> Self {
        pulse.asked();
        Self { pulse: Arc::clone(pulse), waiting: Arc::clone(waiting), held: 0 }
    }

    /// The answer to the request, and whether more is waiting than may.
    pub(super) fn answer(mut self, body: Body, weight: Option<&Weight>) -> (Answer, bool) {
        self.held = body.size_hint().exact().or(weight.map(|weight| weight.0)).unwrap_or(0);
        self.pulse.hold(self.held);
        let all = self.waiting.0.fetch_add(self.held, Ordering::Relaxed) + self.held;
        (Answer { body, piece: Bytes::new(), _ticket: self }, all > MAX_HELD)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.waiting.0.fetch_sub(self.held, Ordering::Relaxed);
        self.pulse.answered(self.held);
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.piece.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?.map(Frame::into_data) {
                None => return Poll::Ready(None),
                Some(Err(other)) => return Poll::Ready(Some(Ok(other))),
                Some(Ok(bytes)) => self.piece = bytes,
            }
        }
        let length = self.piece.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.piece.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, piece) = (self.body.size_hint(), self.piece.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + piece);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + piece);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    async fn read(body: Bounded<Body>) -> Result<usize, String> {
        let read = axum::body::to_bytes(Body::new(body), usize::MAX).await;
        read.map(|bytes| bytes.len()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_is_read_so_far_and_no_farther() {
        wait(async {
            assert_eq!(read(Bounded::new(Body::from(vec![0; 100]), 100)).await, Ok(100));
            assert!(read(Bounded::new(Body::from(vec![0; 101]), 100)).await.unwrap_err().contains("too large"));
            let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
            let soon = Box::pin(tokio::time::sleep(Duration::from_millis(10)));
            let endless = Bounded { body: endless, left: 100, until: soon };
            assert!(read(endless).await.unwrap_err().contains("does not end"));
        });
    }

    #[test]
    fn an_answer_is_handed_on_in_pieces_and_counted_until_it_is_gone() {
        wait(async {
            let (pulse, waiting) = (Arc::new(Pulse::default()), Arc::new(Waiting::default()));
            let (mut answer, full) = Ticket::new(&pulse, &waiting).answer(Body::from(vec![7; 100_000]), None);
            assert_eq!((pulse.held(), full, answer.size_hint().exact()), (100_000, false, Some(100_000)));
            let mut lengths = Vec::new();
            while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut answer).poll_frame(cx)).await {
                lengths.push(frame.unwrap().into_data().unwrap().len());
            }
            assert!(lengths.iter().all(|length| *length <= PIECE) && lengths.iter().sum::<usize>() == 100_000);
            assert_eq!(pulse.held(), 100_000);
            drop(answer);
            assert_eq!((pulse.held(), waiting.0.load(Ordering::Relaxed)), (0, 0));
            let (_answer, full) =
                Ticket::new(&pulse, &waiting).answer(Body::from(vec![0; MAX_HELD as usize + 1]), None);
            assert!(full);
            let endless = Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
            let (pulse, waiting) = (Arc::new(Pulse::default()), Arc::new(Waiting::default()));
            let (answer, _) = Ticket::new(&pulse, &waiting).answer(endless, Some(&Weight(500)));
            assert_eq!((pulse.held(), waiting.0.load(Ordering::Relaxed)), (500, 500));
            drop(answer);
            assert_eq!((pulse.held(), waiting.0.load(Ordering::Relaxed)), (0, 0));
        });
    }
}
