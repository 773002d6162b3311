//! Who asks, and what may they see and do?
//!
//! Every request has a [`Caller`] before any handler sees it: made from where the connection comes from and what the request
//! carries. Every route is registered with what it [`Need`]s, and there is no other way to register one ([`Guarded`]):
//! nothing is served by oversight.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, Method, StatusCode, request};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use serde::{Deserialize, Serialize};

use super::penalty;
use super::rest;
use super::sampled::Sampled;
use crate::model::Snapshot;
use crate::wire::redact;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    View,
    /// Look, and act if the configuration lets anybody: send signals, renice, delete tracked connections.
    Operate,
}

impl Role {
    /// All roles, the least first.
    pub const ALL: [Self; 2] = [Self::View, Self::Operate];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Operate => "operate",
        }
    }

    /// The role of a word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A process of this host, over a unix socket, and the user it runs as.
    Unix(u32),
    /// Somebody at an address.
    Tcp(IpAddr),
    /// Somebody at an address with a certificate that the authority of clients has signed.
    Certified(IpAddr),
}

impl Peer {
    /// Whom a failure is counted against.
    pub(super) fn address(self) -> Option<IpAddr> {
        match self {
            Self::Unix(_) => None,
            Self::Tcp(address) | Self::Certified(address) => Some(address),
        }
    }
}

/// Where somebody comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Source {
    /// A user of this host.
    User(u32),
    /// An address, or a network that one household has.
    Network(IpAddr),
}

impl Source {
    pub(super) fn of(peer: Peer) -> Self {
        match peer {
            Peer::Unix(uid) => Self::User(uid),
            Peer::Tcp(address) | Peer::Certified(address) => Self::Network(penalty::source(address)),
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(uid) => write!(f, "user {uid} of this host"),
            Self::Tcp(address) => write!(f, "{}", address.to_canonical()),
            Self::Certified(address) => write!(f, "{} with a certificate", address.to_canonical()),
        }
    }
}

/// Who asks, as the log names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asker {
    /// Other end of the connection.
    pub(super) peer: Peer,
    /// Name of the token that was shown.
    pub(super) token: Option<String>,
}

impl Asker {
    /// The one of a request, in words.
    pub(super) fn of(extensions: &axum::http::Extensions) -> String {
        extensions.get::<Self>().map_or_else(|| "nobody".to_owned(), ToString::to_string)
    }
}

impl std::fmt::Display for Asker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.token {
            Some(name) => write!(f, "token `{name}` from {}", self.peer),
            None => self.peer.fmt(f),
        }
    }
}

/// What a route asks of its callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Anybody who can connect.
    Nothing,
    /// To look.
    View,
    /// To change the host.
    Operate,
}

/// Who asks. A handler takes it as an argument; in gRPC it is found with [`Caller::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    role: Option<Role>,
    /// Whether columns marked secret are shown.
    clear: bool,
    /// Whether the configuration lets anybody change the host.
    acts: bool,
    /// Where the caller comes from.
    source: Source,
}

/// Why a caller gets nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Nobody knows who it is.
    Unknown,
    /// It is known, and may not.
    Denied(&'static str),
    /// It has guessed too often.
    Late,
}

impl Caller {
    /// Somebody whose role comes from where the connection comes from; `own` is the user that the agent belongs to. With
    /// `open` everybody may look.
    pub(super) fn from_peer(peer: Peer, own: u32, acts: bool, open: bool) -> Self {
        let (role, clear) = match peer {
            Peer::Unix(uid) if uid == 0 || uid == own => (Some(Role::Operate), true),
            Peer::Unix(_) => (Some(Role::View), false),
            Peer::Certified(_) => (Some(Role::View), true),
            Peer::Tcp(address) if address.to_canonical().is_loopback() => (Some(Role::View), false),
            Peer::Tcp(_) => (open.then_some(Role::View), false),
        };
        Self { role, clear, acts, source: Source::of(peer) }
    }

    /// The bearer of a token.
    pub(super) fn named(role: Role, acts: bool, peer: Peer) -> Self {
        Self { role: Some(role), clear: true, acts, source: Source::of(peer) }
    }

    /// The agent's own user.
    #[cfg(test)]
    pub(super) fn own() -> Self {
        Self::from_peer(Peer::Unix(0), 0, false, false)
    }

    /// The caller of a request; nobody without one.
    pub(super) fn of(extensions: &axum::http::Extensions) -> Self {
        let nobody = Self { role: None, clear: false, acts: false, source: Source::User(u32::MAX) };
        extensions.get::<Self>().copied().unwrap_or(nobody)
    }

    /// What the caller may do: the word of the wire.
    pub(super) fn role(self) -> &'static str {
        self.role.map_or("", Role::name)
    }

    /// Whether the caller has a role at all.
    pub(super) fn is_known(self) -> bool {
        self.role.is_some()
    }

    /// Where the caller comes from.
    pub(super) fn source(self) -> Source {
        self.source
    }

    /// Whether columns marked secret are shown: the caller has shown a name, or is the agent's own user.
    pub(super) fn is_clear(self) -> bool {
        self.clear
    }

    /// The newest samples as the caller may see them.
    pub(super) fn latest(self, sampled: &Sampled) -> Arc<Snapshot> {
        let latest = sampled.latest();
        if self.clear { latest } else { Arc::new(redact::snapshot(&latest)) }
    }

    /// Whether the caller may do what needs `need`.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may(self, need: Need) -> Result<(), Refusal> {
        let wanted = match need {
            Need::Nothing => return Ok(()),
            Need::View => Role::View,
            Need::Operate => Role::Operate,
        };
        match self.role {
            None => Err(Refusal::Unknown),
            Some(role) if role < wanted => Err(Refusal::Denied("the role `view` only looks")),
            Some(_) if need == Need::Operate && !self.acts => {
                Err(Refusal::Denied("this agent takes no actions: [serve] allow_actions is false"))
            }
            Some(_) => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = std::convert::Infallible;
    async fn from_request_parts(parts: &mut request::Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.extensions))
    }
}

impl Refusal {
    /// What is wrong, and what to do.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Unknown => ("it is not known who asks", "send a token: `Authorization: Bearer TOKEN`"),
            Self::Denied(why) => (why, ""),
            Self::Late => ("too many wrong tokens", "wait"),
        }
    }

    /// As an answer to a request of either kind.
    pub(super) fn answer(self, request: &Request) -> Response {
        if is_grpc(request.headers()) { self.status().into_http() } else { self.into_response() }
    }

    /// As an answer of gRPC.
    pub(super) fn status(self) -> tonic::Status {
        let (error, hint) = self.words();
        let both = || format!("{error}; {hint}");
        match self {
            Self::Unknown => tonic::Status::unauthenticated(both()),
            Self::Denied(why) => tonic::Status::permission_denied(why),
            Self::Late => tonic::Status::resource_exhausted(both()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Unknown => StatusCode::UNAUTHORIZED,
            Self::Denied(_) => StatusCode::FORBIDDEN,
            Self::Late => StatusCode::TOO_MANY_REQUESTS,
        };
        let (error, hint) = self.words();
        let mut response = rest::refused(status, error, hint);
        if self == Self::Unknown {
            let asks = axum::http::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(axum::http::header::WWW_AUTHENTICATE, asks);
        }
        response
    }
}

/// Routes, each with what it needs.
pub(super) struct Guarded {
    router: Router,
    needs: Vec<(&'static str, Need)>,
}

impl Guarded {
    /// No routes.
    pub(super) fn new() -> Self {
        Self { router: Router::new(), needs: Vec::new() }
    }

    /// Adds a route.
    pub(super) fn route(mut self, path: &'static str, need: Need, methods: MethodRouter) -> Self {
        let guard = move |caller: Caller, request: Request, next: Next| async move {
            match caller.may(need) {
                Ok(()) => next.run(request).await,
                Err(refusal) => refusal.into_response(),
            }
        };
        self.router = self.router.route(path, methods.layer(from_fn(guard)));
        self.needs.push((path, need));
        self
    }

    /// Adds a service of gRPC; what is not among `methods` is not there.
    pub(super) fn grpc<S>(mut self, service: &S, methods: &'static [(&'static str, Need)]) -> Self
    where
        S: tower::Service<Request, Error = std::convert::Infallible> + Clone + Send + Sync + 'static,
        S::Response: IntoResponse,
        S::Future: Send + 'static,
    {
        let guard = move |caller: Caller, request: Request, next: Next| async move {
            let need = methods.iter().find(|(path, _)| *path == request.uri().path()).map(|(_, need)| *need);
            match need.ok_or(()).map(|need| caller.may(need)) {
                Err(()) => tonic::Status::unimplemented("no such method").into_http(),
                Ok(Err(refusal)) => refusal.status().into_http(),
                Ok(Ok(())) if request.method() != Method::POST => {
                    let told = rest::refused(StatusCode::METHOD_NOT_ALLOWED, "gRPC is not asked like this", "use POST");
                    ([(axum::http::header::ALLOW, "POST")], told).into_response()
                }
                Ok(Ok(())) if !is_grpc(request.headers()) => {
                    let hint = "send application/grpc";
                    rest::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "what comes is not gRPC", hint)
                }
                Ok(Ok(())) => next.run(request).await,
            }
        };
        for (path, need) in methods {
            self.router = self
                .router
                .route_service(path, tower::ServiceBuilder::new().layer(from_fn(guard)).service(service.clone()));
            self.needs.push((path, *need));
        }
        self
    }

    /// Every route and what it needs.
    #[cfg(test)]
    pub(super) fn needs(&self) -> &[(&'static str, Need)] {
        &self.needs
    }

    /// The routes, ready to serve; `other` answers what is none of them.
    pub(super) fn served<F: Future<Output = Response> + Send + 'static>(self, other: fn(Request) -> F) -> Served {
        Served(self.router.fallback(other))
    }
}

/// Routes that are complete: none can be added without what it needs.
#[derive(Clone)]
pub(super) struct Served(Router);

impl Served {
    /// The answer to a request.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let Ok(response) = tower::ServiceExt::oneshot(self.0.clone(), request).await;
        response
    }
}

/// Whether a request or an answer is one of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(axum::http::header::CONTENT_TYPE).map(axum::http::HeaderValue::as_bytes);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 1000;

    /// Everybody who can come, and the role of each.
    fn everybody() -> Vec<(Caller, Option<Role>)> {
        let address = |text: &str| Peer::Tcp(text.parse().unwrap());
        let peers = [
            (Peer::Unix(0), Some(Role::Operate)),
            (Peer::Unix(OWN), Some(Role::Operate)),
            (Peer::Unix(1001), Some(Role::View)),
            (Peer::Unix(u32::MAX), Some(Role::View)),
            (address("127.0.0.1"), Some(Role::View)),
            (address("127.8.8.8"), Some(Role::View)),
            (address("::1"), Some(Role::View)),
            (address("::ffff:127.0.0.1"), Some(Role::View)),
            (address("10.0.0.1"), None),
            (address("2001:db8::1"), None),
            (address("::ffff:10.0.0.1"), None),
            (address("0.0.0.0"), None),
            (Peer::Certified("10.0.0.1".parse().unwrap()), Some(Role::View)),
        ];
        peers.map(|(peer, role)| (Caller::from_peer(peer, OWN, true, false), role)).to_vec()
    }

    #[test]
    fn a_role_comes_from_where_the_connection_comes_from() {
        for (caller, role) in everybody() {
            assert_eq!(caller.role, role, "{caller:?}");
            let bearer = Caller { source: caller.source, ..Caller::named(Role::View, true, Peer::Unix(OWN)) };
            let named = role == Some(Role::Operate) || caller == bearer;
            assert_eq!(caller.is_clear(), named, "{caller:?}");
            assert_eq!(caller.may(Need::Nothing), Ok(()));
            assert_eq!(caller.may(Need::View).is_ok(), role.is_some());
            assert_eq!(caller.may(Need::Operate).is_ok(), role == Some(Role::Operate));
        }
    }

    #[test]
    fn nobody_acts_unless_the_configuration_says_so() {
        let caller = Caller::from_peer(Peer::Unix(0), OWN, false, false);
        assert!(matches!(caller.may(Need::Operate), Err(Refusal::Denied(why)) if why.contains("allow_actions")));
    }

    #[test]
    fn a_request_that_nobody_looked_at_is_from_nobody() {
        let caller = Caller::of(&axum::http::Extensions::new());
        assert_eq!(caller.may(Need::View), Err(Refusal::Unknown));
    }

    #[test]
    fn every_route_gives_each_caller_what_it_needs_and_no_more() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let routes = crate::server::front::routes_for_tests();
        let needs = routes.needs().to_vec();
        let served = routes.served(rest::unknown);
        let open = needs.iter().filter(|(_, need)| *need == Need::Nothing).map(|(path, _)| *path);
        assert_eq!(open.collect::<Vec<_>>(), ["/healthz", "/readyz"], "everything else takes a role");
        for (path, need) in needs {
            for (caller, _) in everybody() {
                for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "MADE"] {
                    let request = Request::builder().method(method).uri(path).extension(caller);
                    let request = request.body(axum::body::Body::empty()).unwrap();
                    let response = runtime.block_on(served.answer(request));
                    let refused = matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
                        || response.headers().get("grpc-status").is_some_and(|code| code == "16" || code == "7");
                    assert_eq!(refused, caller.may(need).is_err(), "{method} {path} {caller:?} {response:?}");
                }
            }
        }
    }

    #[test]
    fn only_here_is_it_said_what_is_served() {
        // a route that is added elsewhere would have no need
        let mut dirs = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/server"))];
        let mut read = 0;
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.file_name().unwrap() != "caller.rs" {
                    let text = std::fs::read_to_string(&path).unwrap();
                    read += 1;
                    for word in ["Router::", "axum::Router", "use axum::*", "axum::serve", "route_service"] {
                        assert!(!text.contains(word), "{}: {word}", path.display());
                    }
                }
            }
        }
        assert!(read > 20, "{read}");
    }

    #[test]
    fn grpc_is_what_says_so() {
        let kind = |kind: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("content-type", axum::http::HeaderValue::from_static(kind));
            is_grpc(&headers)
        };
        assert!(kind("application/grpc") && kind("application/grpc+proto") && kind("application/grpc;x=y"));
        assert!(!kind("application/grpc-web") && !kind("text/plain") && !kind("application/grpcx"));
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
