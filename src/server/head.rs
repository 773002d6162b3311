//! Which requests are answered at all?
//!
//! What a browser sends on behalf of a page from elsewhere is not: a request from another site, or one whose host is a name
//! that this host does not have (a name may lead to any address, so that a page could read what only this host may read).
//! No answer has a header of CORS. Input is never compressed, and bounded before anybody reads it.

use std::net::IpAddr;
use std::sync::Mutex;

use axum::http::header::{self, HeaderName};
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version};
use axum::response::Response;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;

use super::bodies;
use super::caller::is_grpc;
use crate::model::lock;

/// Whom own clients ask: nobody has this name.
const CLIENT: &str = "netglance.invalid";

/// What browsers may do with an answer: look at it, and nothing else.
const GUARDS: &[(&str, &str)] = &[
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// Why a request is not answered: status, what is wrong, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong(pub(super) StatusCode, pub(super) &'static str, pub(super) &'static str);

/// The names of this host.
pub(super) struct Hosts {
    names: Vec<String>,
    certificate: Mutex<Option<CertificateDer<'static>>>,
}

impl Hosts {
    /// Its own name, with and without the domain, and those that the configuration has.
    pub(super) fn new(own: &str, configured: &[String]) -> Self {
        let short = own.split('.').next().unwrap_or(own);
        let names = ["localhost", CLIENT, own, short].into_iter().chain(configured.iter().map(String::as_str));
        let names = names.map(|name| name.trim_end_matches('.').to_ascii_lowercase()).filter(|name| !name.is_empty());
        Self { names: names.collect(), certificate: Mutex::default() }
    }

    /// From now on those of this certificate belong to it too.
    pub(super) fn take(&self, certificate: Option<CertificateDer<'static>>) {
        *lock(&self.certificate) = certificate;
    }

    /// Whether a host, perhaps with a port, is this one: by address or by name.
    fn are(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        name.parse::<IpAddr>().is_ok()
            || self.names.iter().any(|own| own.eq_ignore_ascii_case(name))
            || self.certified(name).is_some()
    }

    fn certified(&self, name: &str) -> Option<()> {
        let certificate = lock(&self.certificate);
        let parsed = ParsedCertificate::try_from(certificate.as_ref()?).ok()?;
        let name = ServerName::try_from(name).ok()?;
        rustls::client::verify_server_name(&parsed, &name).ok()
    }
}

/// Checks a request before anything else is made of it; its host only if there are `hosts` that it may be.
///
/// # Errors
/// Why it is not answered.
pub(super) fn check<B>(request: &Request<B>, hosts: Option<&Hosts>, known: bool) -> Result<(), Wrong> {
    let headers = request.headers();
    if let Some(hosts) = hosts {
        near(request, hosts)?;
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Wrong(StatusCode::METHOD_NOT_ALLOWED, "this can only be read", "use GET or HEAD"));
    }
    // over HTTP/1 only: who reads the one and not the other takes the end of this request for another one
    if headers.contains_key(header::TRANSFER_ENCODING) {
        let hint = "send content-length, and no transfer-encoding";
        return Err(Wrong(StatusCode::BAD_REQUEST, "how much comes is not said, or said twice", hint));
    }
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Wrong(StatusCode::UNSUPPORTED_MEDIA_TYPE, "what comes is never compressed", "send it as it is"));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bodies::most(known)) {
        return Err(Wrong(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large", "no request needs that much"));
    }
    Ok(())
}

/// Whether a request comes from nobody else's page.
fn near<B>(request: &Request<B>, hosts: &Hosts) -> Result<(), Wrong> {
    let headers = request.headers();
    let host = host(request)?;
    if host.is_some_and(|host| !hosts.are(host)) {
        let hint = "ask by address, or write the name into hosts of [serve]";
        return Err(Wrong(StatusCode::MISDIRECTED_REQUEST, "this host has no such name", hint));
    }
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let elsewhere = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    let own = |origin: &[u8]| {
        let rest = origin.strip_prefix(b"http://").or_else(|| origin.strip_prefix(b"https://"));
        host.is_some_and(|host| rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host.as_bytes())))
    };
    if elsewhere || origin.is_some_and(|origin| !own(origin)) {
        return Err(Wrong(StatusCode::FORBIDDEN, "pages from elsewhere get no answer", "ask without a browser"));
    }
    Ok(())
}

/// Host and port that a request is for; what speaks HTTP/1.0 need not say it, and is no browser.
fn host<B>(request: &Request<B>) -> Result<Option<&str>, Wrong> {
    let bad = |why| Wrong(StatusCode::BAD_REQUEST, why, "name one host, and once");
    let mut named = request.headers().get_all(header::HOST).iter();
    let (first, second) = (named.next(), named.next());
    let first = first.map(HeaderValue::to_str).transpose().map_err(|_| bad("the host is no name"))?;
    match (request.uri().authority().map(axum::http::uri::Authority::as_str), first, second) {
        (_, _, Some(_)) => Err(bad("there are two hosts")),
        (Some(authority), Some(host), None) if !authority.eq_ignore_ascii_case(host) => Err(bad("there are two hosts")),
        (Some(host), ..) | (None, Some(host), None) => Ok(Some(host)),
        (None, None, None) if request.version() == Version::HTTP_10 => Ok(None),
        (None, None, None) => Err(bad("there is no host")),
    }
}

/// An answer that a browser makes nothing of.
pub(super) fn guarded(mut response: Response) -> Response {
    if !is_grpc(response.headers()) {
        guard(response.headers_mut());
    }
    response
}

/// Says what browsers may do with an answer.
pub(super) fn guard(headers: &mut HeaderMap) {
    for (name, value) in GUARDS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new("hv01.example.org", &["Status.Example.com".to_owned()])
    }

    fn asked(version: Version, headers: &[(&str, &str)]) -> Result<(), StatusCode> {
        let mut request = Request::builder().uri("/metrics").version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        check(&request.body(()).unwrap(), Some(&hosts()), false).map_err(|Wrong(status, ..)| status)
    }

    fn status(headers: &[(&str, &str)]) -> Result<(), StatusCode> {
        asked(Version::HTTP_11, headers)
    }

    #[test]
    fn a_name_that_is_not_this_hosts_is_misdirected() {
        for host in [
            "localhost",
            "LOCALHOST:61208",
            "127.0.0.1:61208",
            "[::1]:61208",
            "[::1]",
            "10.0.0.1",
            "hv01",
            "hv01.example.org:61208",
            "HV01.example.org.",
            "status.example.com",
            "netglance.invalid",
        ] {
            assert_eq!(status(&[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "hv01.evil.example",
            "example.org",
            "",
            ":61208",
            "[::1",
            "[evil]",
            "evil:127",
            "hv01@evil.example",
            "hv01..",
            "127.0.0.1 evil.example",
            "0x7f000001",
        ] {
            assert_eq!(status(&[("host", host)]), Err(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
    }

    #[test]
    fn one_host_is_named_once() {
        assert_eq!(status(&[]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(asked(Version::HTTP_10, &[]), Ok(()));
        assert_eq!(asked(Version::HTTP_2, &[]), Err(StatusCode::BAD_REQUEST));
        assert_eq!(status(&[("host", "localhost"), ("host", "localhost")]), Err(StatusCode::BAD_REQUEST));
        let absolute = |host: &str| {
            let request = Request::builder().uri("http://localhost/metrics").header("host", host).body(()).unwrap();
            check(&request, Some(&hosts()), false).map_err(|Wrong(status, ..)| status)
        };
        assert_eq!(absolute("localhost"), Ok(()));
        assert_eq!(absolute("evil.example"), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn names_of_the_certificate_are_own_ones() {
        let hosts = hosts();
        assert!(!hosts.are("agent.example.net"));
        let names = ["agent.example.net".to_owned(), "*.hv.example.net".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        hosts.take(Some(made.cert.der().clone()));
        assert!(hosts.are("agent.example.net:61208") && hosts.are("one.hv.example.net"));
        assert!(!hosts.are("example.net") && !hosts.are("evil.example") && !hosts.are(""));
        hosts.take(None);
        assert!(!hosts.are("agent.example.net"));
    }

    #[test]
    fn pages_of_other_sites_get_nothing() {
        for (site, refused) in [("cross-site", true), ("same-site", true), ("same-origin", false), ("none", false)] {
            let told = status(&[("host", "localhost"), ("sec-fetch-site", site)]);
            assert_eq!(told.is_err(), refused, "{site}");
        }
        let from = |origin: &str| status(&[("host", "localhost:61208"), ("origin", origin)]);
        assert_eq!(from("http://localhost:61208"), Ok(()));
        assert_eq!(from("https://LOCALHOST:61208"), Ok(()));
        for origin in [
            "null",
            "",
            "http://localhost",
            "http://localhost:3000",
            "https://evil.example",
            "http://localhost:61208.evil.example",
            "http://evil.example/localhost:61208",
            "file://",
            "chrome-extension://localhost:61208",
        ] {
            assert_eq!(from(origin), Err(StatusCode::FORBIDDEN), "{origin}");
        }
    }

    #[test]
    fn bodies_are_bounded_and_never_compressed() {
        let length = |bytes: u64| status(&[("host", "localhost"), ("content-length", &bytes.to_string())]);
        assert_eq!(length(64 << 10), Ok(()));
        assert_eq!(length((64 << 10) + 1), Err(StatusCode::PAYLOAD_TOO_LARGE));
        let coded = |coding| status(&[("host", "localhost"), ("content-encoding", coding)]);
        assert_eq!(coded("identity"), Ok(()));
        assert_eq!(coded("gzip"), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        assert_eq!(status(&[("host", "localhost"), ("transfer-encoding", "chunked")]), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn answers_are_guarded_and_those_of_grpc_need_none() {
        let response = guarded(Response::new(axum::body::Body::empty()));
        assert_eq!(response.headers().len(), GUARDS.len());
        let mut grpc = Response::new(axum::body::Body::empty());
        grpc.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        assert_eq!(guarded(grpc).headers().len(), 1);
    }
}
