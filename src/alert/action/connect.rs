//! How does a connection to another host come about?

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::place::Place;
use super::{Files, Outside};
use crate::alert::Failure;

/// Addresses of a name that are looked at.
pub const MAX_ADDRESSES: usize = 16;

/// How long an address is waited for before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// Bytes that go both ways.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Addresses of a place that something may be sent to.
///
/// # Errors
/// There are none.
pub(super) fn route(place: &Place, outside: &dyn Outside, until: Instant) -> Result<Vec<SocketAddr>, Failure> {
    let known = match place.address() {
        Some(address) => vec![address],
        None => outside
            .addresses(&place.host, until)
            .map_err(|cause| Failure::unsent(format!("look up {}: {cause}", place.host)))?,
    };
    let (mut good, mut refused) = (Vec::new(), None);
    for address in known.into_iter().take(MAX_ADDRESSES) {
        match place.refusal(address) {
            None => good.push(SocketAddr::new(address, place.port)),
            Some(why) => refused = Some(format!("connect to {place}: {address} is refused: {why}")),
        }
    }
    match refused {
        _ if !good.is_empty() => Ok(good),
        // a name may stand for something else one day
        Some(cause) if place.address().is_none() => Err(Failure::unsent(cause)),
        Some(cause) => Err(Failure::refused(cause)),
        None => Err(Failure::unsent(format!("look up {}: it has no address", place.host))),
    }
}

/// Waits for something as long as there is time.
///
/// # Errors
/// Its own, and that it took too long.
pub(super) async fn in_time<T>(
    until: Instant,
    late: impl FnOnce() -> Failure,
    done: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::time::timeout_at(until.into(), done).await.unwrap_or_else(|_| Err(late()))
}

/// Connects to the first of some addresses that answers: one that does not is not waited for.
///
/// # Errors
/// None does.
pub(super) async fn connect(place: &Place, addresses: &[SocketAddr], until: Instant) -> Result<TcpStream, Failure> {
    if addresses.is_empty() {
        return Err(Failure::unsent(format!("connect to {place}: it has no address")));
    }
    let one = |(wait, address): (Duration, SocketAddr)| {
        Box::pin(async move {
            tokio::time::sleep(wait).await;
            TcpStream::connect(address).await
        })
    };
    let waits = (0..).map(|at| STAGGER * at);
    let first = futures_util::future::select_ok(waits.zip(addresses.iter().copied()).map(one));
    let connected = async {
        let connected = first.await.map(|(stream, _)| stream);
        connected.map_err(|cause: io::Error| Failure::unsent(format!("connect to {place}: {cause}")))
    };
    in_time(until, || Failure::unsent(format!("connect to {place}: it does not answer")), connected).await
}

/// Trust in authorities.
pub(super) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// That in those of a file, or in those of this host if the path is empty; `None` without TLS.
    ///
    /// # Errors
    /// There are none.
    pub(super) fn of(files: &Files, is_tls: bool, path: &Path) -> Result<Option<Self>, Failure> {
        if is_tls { Self::new(files.roots(path)?).map(Some) } else { Ok(None) }
    }

    /// That in authorities in PEM.
    ///
    /// # Errors
    /// There are none.
    pub(super) fn new(roots: &[u8]) -> Result<Self, Failure> {
        let mut store = RootCertStore::empty();
        let known = CertificateDer::pem_slice_iter(roots).filter_map(Result::ok);
        // of those of a whole distribution some may be too old to be read
        let (good, _) = store.add_parsable_certificates(known);
        if good == 0 {
            let cause = "trust somebody: there is no certificate in the file of authorities";
            return Err(Failure::refused(cause.to_owned()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let config = config.map_err(|cause| Failure::refused(format!("speak TLS: {cause}")))?;
        let mut config = config.with_root_certificates(store).with_no_client_auth();
        // a session is not taken up again: the next attempt starts anew
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Self(Arc::new(config)))
    }
}

/// Speaks TLS over a connection.
///
/// # Errors
/// The other end does not, or is not who it should be.
pub(super) async fn secure<S: Stream>(
    stream: S,
    place: &Place,
    trust: &Trust,
    until: Instant,
) -> Result<tokio_rustls::client::TlsStream<S>, Failure> {
    let name = ServerName::try_from(place.host.clone());
    let name = name.map_err(|_| Failure::refused(format!("speak TLS with {place}: nobody has such a name")))?;
    let failed = |cause: &dyn std::fmt::Display| Failure::unsent(format!("speak TLS with {place}: {cause}"));
    let spoken =
        async { TlsConnector::from(Arc::clone(&trust.0)).connect(name, stream).await.map_err(|cause| failed(&cause)) };
    in_time(until, || failed(&"it took too long"), spoken).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::{Fate, Message};
    use std::net::IpAddr;
    use std::time::Duration;

    /// A name server that says what somebody wants it to say, and something else the next time.
    struct Names(std::sync::Mutex<Vec<Vec<&'static str>>>);

    impl Outside for Names {
        fn addresses(&self, _: &str, _: Instant) -> io::Result<Vec<IpAddr>> {
            let answer = crate::model::lock(&self.0).pop().ok_or(io::ErrorKind::NotFound)?;
            Ok(answer.iter().map(|address| address.parse().unwrap()).collect())
        }

        fn run(&self, _: &str, _: &Message, _: Instant) -> Result<(), Failure> {
            unreachable!()
        }
    }

    fn routed(host: &str, answers: &[&[&'static str]]) -> Result<Vec<SocketAddr>, Failure> {
        let names = Names(std::sync::Mutex::new(answers.iter().rev().map(|answer| answer.to_vec()).collect()));
        let until = Instant::now() + Duration::from_secs(20);
        let told = route(&Place::parse(host, 443).unwrap(), &names, until);
        assert!(crate::model::lock(&names.0).len() + 1 >= answers.len(), "it was looked up more than once");
        told
    }

    #[test]
    fn a_name_is_looked_up_once_and_what_may_not_be_reached_is_left_out() {
        let good: SocketAddr = "192.0.2.1:443".parse().unwrap();
        let answers: &[&[&'static str]] = &[&["169.254.169.254", "192.0.2.1", "::1"], &["127.0.0.1"]];
        assert_eq!(routed("hooks.example", answers), Ok(vec![good]));
        let refused = routed("hooks.example", &[&["169.254.169.254"]]).unwrap_err();
        assert!(refused.fate == Fate::Unsent && refused.cause.contains("169.254.169.254 is refused"), "{refused}");
        assert_eq!(routed("100.100.100.200", &[]).unwrap_err().fate, Fate::Refused, "what was written down stays so");
        assert!(routed("hooks.example", &[&[]]).unwrap_err().cause.ends_with("it has no address"));
        assert_eq!(routed("hooks.example", &[]).unwrap_err().fate, Fate::Unsent);
        let many: Vec<&'static str> = vec!["192.0.2.1"; 3 * MAX_ADDRESSES];
        assert_eq!(routed("hooks.example", &[&many]).unwrap().len(), MAX_ADDRESSES);
    }

    #[test]
    fn an_address_that_does_not_answer_holds_up_no_other() {
        // a queue of one that is full: who comes then is not answered
        let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        rustix::net::listen(&full, 0).unwrap();
        let silent = full.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&silent, Duration::from_millis(200)) {
            held.push(stream);
            assert!(held.len() < 64);
        }
        let good = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addresses = [silent, good.local_addr().unwrap()];
        let place = Place::parse("hooks.example", 443).unwrap();
        let until = Instant::now() + Duration::from_secs(20);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let stream = runtime.block_on(connect(&place, &addresses, until)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), addresses[1]);
        let soon = Instant::now() + Duration::from_millis(300);
        let late = runtime.block_on(connect(&place, &addresses[..1], soon)).unwrap_err();
        assert_eq!(late, Failure::unsent("connect to hooks.example:443: it does not answer".to_owned()));
    }
}
