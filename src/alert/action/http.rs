//! How is something said over HTTP?
//!
//! One request over one connection, of which only the status is looked at: redirects are not followed, and a body is not
//! read, so that no answer can be too long.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;

use super::connect::{self, Stream, Trust};
use super::place::Url;
use crate::alert::Failure;

/// Bytes of the head of an answer at most.
const MAX_HEAD: usize = 16 << 10;

/// Answers that say nothing about what was told, and that it was not taken.
const ELSEWHERE: [StatusCode; 11] = [
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::PROXY_AUTHENTICATION_REQUIRED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::GONE,
    StatusCode::MISDIRECTED_REQUEST,
    StatusCode::TOO_EARLY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::SERVICE_UNAVAILABLE,
];

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
        let wrong = || Failure::refused(format!("ask {}: header {} cannot be sent", self.url, name.escape_debug()));
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

/// Asks, over TLS if somebody is trusted.
///
/// # Errors
/// There is no connection, or the answer is not that it was taken.
pub(super) async fn ask(
    request: Request,
    addresses: &[SocketAddr],
    trust: Option<&Trust>,
    until: Instant,
) -> Result<(), Failure> {
    let plain = connect::connect(&request.url.place, addresses, until).await?;
    let late = format!("ask {}: it took too long", request.url);
    let late = || Failure::unknown(late);
    match trust {
        Some(trust) => {
            let stream = connect::secure(plain, &request.url.place, trust, until).await?;
            connect::in_time(until, late, say(request, stream)).await
        }
        None => connect::in_time(until, late, say(request, plain)).await,
    }
}

async fn say(request: Request, stream: impl Stream + 'static) -> Result<(), Failure> {
    let at = request.url.to_string();
    let broken = |cause: hyper::Error| {
        let text = format!("ask {at}: {}", told(&cause));
        // what was never written was not taken
        if cause.is_canceled() { Failure::unsent(text) } else { Failure::unknown(text) }
    };
    let mut builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(MAX_HEAD).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let Request { url, method, headers, body } = request;
    let asked = hyper::Request::builder().method(method).uri(url.target.as_str());
    let asked = asked.header(header::HOST, url.host()).header(header::USER_AGENT, AGENT).body(body);
    let mut asked = asked.map_err(|_| Failure::refused(format!("ask {url}: the request makes no sense")))?;
    asked.headers_mut().extend(headers);
    let (answer, connection) = (pin!(sender.send_request(asked)), pin!(connection));
    let answer = match select(answer, connection).await {
        Either::Left((answer, _)) => answer,
        // with the answer, or without one
        Either::Right((_, answer)) => answer.await,
    };
    let answer = answer.map_err(broken)?;
    judged(answer.status(), &url).map_err(|failure| failure.after(after(answer.headers())))
}

/// For how long the answer wants nothing to be asked (RFC 9110, 10.2.3); one that names a date has no say.
fn after(headers: &HeaderMap) -> Option<Duration> {
    let words = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    words.trim().parse().ok().map(Duration::from_secs)
}

/// What went wrong, with the reason behind it.
fn told(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// What an answer means. What is wrong with the place or with who asks may be right soon, whatever is told; what is wrong with
/// what is told is not.
fn judged(status: StatusCode, url: &Url) -> Result<(), Failure> {
    let cause = format!("ask {url}: it answers {status}");
    match status {
        _ if status.is_success() => Ok(()),
        _ if status.is_redirection() => Err(Failure::refused(format!("{cause}; redirects are not followed"))),
        _ if ELSEWHERE.contains(&status) => Err(Failure::unsent(cause)),
        _ if status.is_client_error() => Err(Failure::refused(cause)),
        // it broke over it, or waited in vain for who would have taken it
        _ => Err(Failure::unknown(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Fate;

    #[test]
    fn what_may_go_better_later_is_told_from_what_is_refused_and_what_nobody_knows() {
        let url = Url::parse("https://h/secret").unwrap();
        let fate = |status: u16| judged(StatusCode::from_u16(status).unwrap(), &url).map_err(|failure| failure.fate);
        assert_eq!([200, 202, 204].map(fate), [Ok(()); 3]);
        assert_eq!([401, 403, 404, 407, 408, 410, 425, 429, 503].map(fate), [Err(Fate::Unsent); 9]);
        assert_eq!([301, 302, 307, 400, 413, 422].map(fate), [Err(Fate::Refused); 6]);
        assert_eq!([500, 502, 504].map(fate), [Err(Fate::Unknown); 3]);
        let told = judged(StatusCode::FOUND, &url).unwrap_err().cause;
        assert_eq!(told, "ask https://h: it answers 302 Found; redirects are not followed");
    }

    #[test]
    fn how_long_it_wants_to_be_left_alone_is_told_in_seconds() {
        let after = |words: &'static [u8]| {
            after(&HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_bytes(words).unwrap())]))
        };
        assert_eq!(after(b" 30 "), Some(Duration::from_secs(30)));
        for strange in [&b"Wed, 21 Oct 2026 07:28:00 GMT"[..], b"-1", b"1.5", b"99999999999999999999", b"\xff", b""] {
            assert_eq!(after(strange), None, "{strange:?}");
        }
    }

    #[test]
    fn nothing_breaks_out_of_a_header() {
        let mut request = Request::new(Url::parse("https://h/x").unwrap(), Method::POST, "text/plain", String::new());
        for (name, value) in [("X-A", "a\r\nX-B: c"), ("X-A\r\nX-B", "c"), ("X A", "c"), ("", "c"), ("X-A", "\0")] {
            let refused = request.header(name, value.as_bytes(), false).unwrap_err();
            assert_eq!(refused.fate, Fate::Refused, "{name:?} {value:?}");
        }
        assert!(request.bearer(b"s3cret\r\nX-B: c").unwrap_err().cause.find("s3cret").is_none());
        request.bearer(b"s3cret").unwrap();
        assert!(!format!("{:?}", request.headers).contains("s3cret"));
    }
}
