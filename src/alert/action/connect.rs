//! How does a connection to another host come about?

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Outside;
use super::place::Place;
use crate::alert::Failure;

/// Addresses of a name that are looked at.
pub const MAX_ADDRESSES: usize = 16;

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
            .map_err(|cause| Failure::again(format!("look up {}: {cause}", place.host)))?,
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
        Some(cause) => Err(Failure { cause, again: place.address().is_none() }),
        None => Err(Failure::again(format!("look up {}: it has no address", place.host))),
    }
}

/// Connects to the first of some addresses that answers.
///
/// # Errors
/// None does.
pub(super) async fn connect(place: &Place, addresses: &[SocketAddr]) -> Result<TcpStream, Failure> {
    let mut last = io::Error::other("it has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(cause) => last = cause,
        }
    }
    Err(Failure::again(format!("connect to {place}: {last}")))
}

/// Trust in authorities in PEM.
///
/// # Errors
/// There are none.
fn trusting(roots: &[u8]) -> Result<ClientConfig, Failure> {
    let mut store = RootCertStore::empty();
    let known = CertificateDer::pem_slice_iter(roots).filter_map(Result::ok);
    // of those of a whole distribution some may be too old to be read
    let (good, _) = store.add_parsable_certificates(known);
    if good == 0 {
        return Err(Failure::never("trust somebody: there is no certificate in the file of authorities".to_owned()));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|cause| Failure::never(format!("speak TLS: {cause}")))?;
    Ok(config.with_root_certificates(store).with_no_client_auth())
}

/// Speaks TLS over a connection.
///
/// # Errors
/// The other end does not, or is not who it should be.
pub(super) async fn secure<S: Stream>(
    stream: S,
    place: &Place,
    roots: &[u8],
) -> Result<tokio_rustls::client::TlsStream<S>, Failure> {
    let mut config = trusting(roots)?;
    // a session is not taken up again: the next attempt starts anew
    config.resumption = rustls::client::Resumption::disabled();
    let name = ServerName::try_from(place.host.clone());
    let name = name.map_err(|_| Failure::never(format!("speak TLS with {place}: nobody has such a name")))?;
    let spoken = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    spoken.map_err(|cause| Failure::again(format!("speak TLS with {place}: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::Message;
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
        assert!(refused.again && refused.cause.contains("169.254.169.254 is refused"), "{refused}");
        assert!(!routed("100.100.100.200", &[]).unwrap_err().again, "what was written down stays so");
        assert!(routed("hooks.example", &[&[]]).unwrap_err().cause.ends_with("it has no address"));
        assert!(routed("hooks.example", &[]).unwrap_err().again);
        let many: Vec<&'static str> = vec!["192.0.2.1"; 3 * MAX_ADDRESSES];
        assert_eq!(routed("hooks.example", &[&many]).unwrap().len(), MAX_ADDRESSES);
    }
}
