//! Which requests are answered at all?
//!
//! Input is never compressed, and bounded before anybody reads it.

use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{Request, StatusCode};

use super::bodies;

/// Why a request is not answered: status, what is wrong, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) StatusCode, pub(super) &'static str, pub(super) &'static str);

/// Checks a request before anything else is made of it.
///
/// # Errors
/// Why it is not answered.
pub(super) fn check<B>(request: &Request<B>, known: bool) -> Result<(), Wrong> {
    let headers = request.headers();
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, "what comes is never compressed", "send it as it is"));
    }
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bodies::most(known)) {
        return Err(Wrong(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large", "no request needs that much"));
    }
    Ok(())
}
