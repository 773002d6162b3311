//! Why does an agent not speak with this client?
//!
//! With TLS 1.3 a client has finished its handshake before the agent has seen its certificate: what the agent thinks of it
//! comes as an alert that ends the connection, when a question is on its way already. [`Heard`] remembers it, because
//! whoever asked only learns that there was no answer.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::known::{KeyError, Unkept};
use super::trust::InPlain;
use super::{Trouble, TroubleKind};
use crate::model::lock;

/// Something in an error or in what led to it.
fn inside<'a, E: std::error::Error + 'static>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a E> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        // the source of an error of input and output is that of what it carries
        at = inner.map(|inner| inner as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

/// What it means that there was no answer in the language of an agent. Whoever ends a connection at once may have said before
/// that it speaks something else, but that is not always heard.
pub(super) fn foreign(error: &(dyn std::error::Error + 'static)) -> Option<Trouble> {
    if inside::<h2::Error>(error).is_some_and(|error| error.reason() == Some(h2::Reason::INADEQUATE_SECURITY)) {
        return Some(Trouble { kind: TroubleKind::Tls, why: "only TLS is spoken there".into(), key: None });
    }
    let error = inside::<hyper::Error>(error)?;
    let ended = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe, io::ErrorKind::UnexpectedEof];
    if inside::<io::Error>(error).is_some_and(|cause| !ended.contains(&cause.kind())) {
        return None;
    }
    let why = "what answers there is no agent: it speaks no HTTP/2, or ends the connection";
    Some(Trouble { kind: TroubleKind::Unreachable, why: why.into(), key: None })
}

/// What it means that there is no connection.
pub(super) fn refused(error: &(dyn std::error::Error + 'static)) -> Option<Trouble> {
    if let Some(key) = inside::<KeyError>(error) {
        return Some((*key).into());
    }
    if let Some(unkept) = inside::<Unkept>(error) {
        return Some(Trouble { kind: TroubleKind::Unkept, why: unkept.to_string().into(), key: None });
    }
    if let Some(why) = inside::<InPlain>(error) {
        return Some(Trouble { kind: TroubleKind::Plain, why: why.to_string().into(), key: None });
    }
    let (kind, why) = match inside::<rustls::Error>(error)? {
        rustls::Error::AlertReceived(alert) => {
            let why = match alert {
                AlertDescription::CertificateRequired => "it wants a certificate that its authority has signed",
                AlertDescription::CertificateExpired => "it says that the own certificate has ended",
                AlertDescription::UnknownCA | AlertDescription::DecryptError => {
                    "it does not know the authority of the own certificate"
                }
                AlertDescription::CertificateRevoked => "it says that the own certificate was revoked",
                AlertDescription::BadCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::AccessDenied => "it does not take the own certificate",
                _ => return None,
            };
            (TroubleKind::Uncertified, why)
        }
        rustls::Error::InvalidMessage(_) => (TroubleKind::Unreachable, "what answers there speaks no TLS"),
        _ => return None,
    };
    Some(Trouble { kind, why: why.into(), key: None })
}

/// Where a stream says why it was ended.
#[derive(Clone, Default)]
pub(super) struct Refusal(Arc<Mutex<Option<Trouble>>>);

impl Refusal {
    /// What is known better than the outcome of a question.
    pub(super) fn instead_of(&self, trouble: Trouble) -> Trouble {
        lock(&self.0).take().unwrap_or(trouble)
    }
}

/// A stream that remembers why it was ended.
pub(super) struct Heard<S> {
    stream: S,
    refusal: Refusal,
}

impl<S> Heard<S> {
    /// Remembers it there.
    pub(super) fn new(stream: S, refusal: Refusal) -> Self {
        Self { stream, refusal }
    }

    fn note<T>(&self, outcome: &Poll<io::Result<T>>) {
        if let Poll::Ready(Err(cause)) = outcome
            && let Some(trouble) = refused(cause)
        {
            *lock(&self.refusal.0) = Some(trouble);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Heard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.note(&outcome);
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Heard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(&outcome);
        outcome
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
