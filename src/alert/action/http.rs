//! How is something said over HTTP?
//!
//! One request over one connection, of which only the status is looked at: redirects are not followed, and a body is not
//! read, so that no answer can be too long.

use std::net::SocketAddr;
use std::pin::pin;

use futures_util::future::{Either, select};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;

use super::connect::{self, Stream};
use super::place::Url;
use crate::alert::Failure;

/// Bytes of the head of an answer at most.
const MAX_HEAD: usize = 16 << 10;

/// Who asks.
const AGENT: &str = concat!("netglance/", env!("CARGO_PKG_VERSION"));

/// What is asked.
pub(super) struct Request {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Request {
    /// One with a body of a type.
    pub(super) fn new(url: Url, method: Method, kind: &'static str, body: String) -> Self {
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(kind))]);
        Self { url, method, headers, body }
    }

    /// Adds a header.
    ///
    /// # Errors
    /// It cannot be one.
    pub(super) fn header(&mut self, name: &str, value: &[u8], is_secret: bool) -> Result<(), Failure> {
        let wrong = || Failure::never(format!("ask {}: header {} cannot be sent", self.url, name.escape_debug()));
        let known = name.parse::<HeaderName>().map_err(|_| wrong())?;
        let mut value = HeaderValue::from_bytes(value).map_err(|_| wrong())?;
        value.set_sensitive(is_secret);
        self.headers.insert(known, value);
        Ok(())
    }

    /// Says who asks by a token.
    ///
    /// # Errors
    /// It cannot be sent.
    pub(super) fn bearer(&mut self, token: &[u8]) -> Result<(), Failure> {
        self.header(header::AUTHORIZATION.as_str(), &[b"Bearer ", token].concat(), true)
    }
}

/// Asks, over TLS if there are roots of trust.
///
/// # Errors
/// There is no connection, or the answer is not that it was taken.
pub(super) async fn ask(request: Request, addresses: &[SocketAddr], roots: Option<&[u8]>) -> Result<(), Failure> {
    let plain = connect::connect(&request.url.place, addresses).await?;
    match roots {
        Some(roots) => {
            let stream = connect::secure(plain, &request.url.place, roots).await?;
            say(request, stream).await
        }
        None => say(request, plain).await,
    }
}

async fn say(request: Request, stream: impl Stream + 'static) -> Result<(), Failure> {
    let at = request.url.to_string();
    let broken = |cause: hyper::Error| Failure::again(format!("ask {at}: {}", told(&cause)));
    let mut builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let Request { url, method, headers, body } = request;
    let asked = hyper::Request::builder().method(method).uri(url.target.as_str());
    let asked = asked.header(header::HOST, url.host()).header(header::USER_AGENT, AGENT).body(body);
    let mut asked = asked.map_err(|_| Failure::never(format!("ask {url}: the request makes no sense")))?;
    asked.headers_mut().extend(headers);
    let (answer, connection) = (pin!(sender.send_request(asked)), pin!(connection));
    let answer = match select(answer, connection).await {
        Either::Left((answer, _)) => answer,
        // with the answer, or without one
        Either::Right((_, answer)) => answer.await,
    };
    judged(answer.map_err(broken)?.status(), &url)
}

/// What went wrong, with the reason behind it.
fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What an answer means.
fn judged(status: StatusCode, url: &Url) -> Result<(), Failure> {
    let cause = format!("ask {url}: it answers {status}");
    match status {
        _ if status.is_success() => Ok(()),
        _ if status.is_redirection() => Err(Failure::never(format!("{cause}; redirects are not followed"))),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
            Err(Failure::again(cause))
        }
        _ if status.is_client_error() => Err(Failure::never(cause)),
        _ => Err(Failure::again(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_go_better_later_is_told_from_what_never_will() {
        let url = Url::parse("https://h/secret").unwrap();
        let again = |status: u16| judged(StatusCode::from_u16(status).unwrap(), &url).map_err(|failure| failure.again);
        assert_eq!([200, 202, 204].map(again), [Ok(()); 3]);
        assert_eq!([408, 425, 429, 500, 503].map(again), [Err(true); 5]);
        assert_eq!([301, 302, 307, 400, 401, 404, 410].map(again), [Err(false); 7]);
        let told = judged(StatusCode::FOUND, &url).unwrap_err().cause;
        assert_eq!(told, "ask https://h: it answers 302 Found; redirects are not followed");
    }

    #[test]
    fn nothing_breaks_out_of_a_header() {
        let mut request = Request::new(Url::parse("https://h/x").unwrap(), Method::POST, "text/plain", String::new());
        for (name, value) in [("X-A", "a\r\nX-B: c"), ("X-A\r\nX-B", "c"), ("X A", "c"), ("", "c"), ("X-A", "\0")] {
            assert!(!request.header(name, value.as_bytes(), false).unwrap_err().again, "{name:?} {value:?}");
        }
        assert!(request.bearer(b"s3cret\r\nX-B: c").unwrap_err().cause.find("s3cret").is_none());
        request.bearer(b"s3cret").unwrap();
        assert!(!format!("{:?}", request.headers).contains("s3cret"));
    }
}
