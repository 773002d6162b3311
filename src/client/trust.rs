//! Is the agent at the other end the one that it was, and what may be told to it?
//!
//! Off loopback there is only TLS, and a connection exists only if the key of the agent is the one in the file of known
//! hosts: a credential is sent over nothing else. A key is pinned (SHA-256 of its `SubjectPublicKeyInfo`), because agents
//! sign their certificates themselves; names and dates in a certificate say nothing then.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::DigitallySignedStruct;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use sha2::{Digest as _, Sha256};

use super::Target;
use crate::model::lock;

/// Bytes of the file of known hosts at most.
const MAX_KNOWN: u64 = 4 << 20;

/// Bytes of a token at most.
const MAX_TOKEN: u64 = 256;

/// A secret. It can be told only on purpose.
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Reads a token from a file that nobody else may read.
    ///
    /// # Errors
    /// It cannot be read, others could read it, or it holds no token.
    pub fn read(path: &Path) -> io::Result<Self> {
        let file = std::fs::File::open(path)?;
        if file.metadata()?.mode() & 0o077 != 0 {
            return Err(io::Error::other("others could use it: chmod 600"));
        }
        let mut text = String::new();
        file.take(MAX_TOKEN + 1).read_to_string(&mut text)?;
        let token = text.trim();
        if token.is_empty() || text.len() as u64 > MAX_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(io::Error::other("it holds no token"));
        }
        Ok(Self(token.to_owned()))
    }
}

/// What a client knows and has.
#[derive(Clone, Default)]
pub struct Access {
    /// The file of known hosts.
    pub known: Option<PathBuf>,
    /// What it says who it is.
    pub token: Option<Arc<Secret>>,
    /// Whether a key that is not known is taken for right.
    pub accept_new: bool,
    /// Whether TLS is spoken on loopback too.
    pub tls: bool,
    /// Whether plain text is spoken off loopback: never with a token.
    pub plain: bool,
}

/// SHA-256 of a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// Of the key in a certificate; `None` for one that is damaged.
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        Some(Self(Sha256::digest(parsed.subject_public_key_info().as_ref()).into()))
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = STANDARD_NO_PAD.decode(text.strip_prefix("SHA256:")?).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", STANDARD_NO_PAD.encode(self.0))
    }
}

/// Why an agent is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It was never seen.
    #[error("its key is not known: {0}")]
    Unknown(Fingerprint),
    /// It had another key.
    #[error("ITS KEY HAS CHANGED to {now} from {was}: somebody may be listening, or the agent was set up anew")]
    Changed {
        /// The known one.
        was: Fingerprint,
        /// The one that it shows.
        now: Fingerprint,
    },
}

/// The known key of an agent.
///
/// # Errors
/// The file cannot be read.
pub(super) fn known(path: &Path, target: &Target) -> io::Result<Option<Fingerprint>> {
    let mut text = String::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(MAX_KNOWN).read_to_string(&mut text)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause),
    };
    let name = target.to_string().to_ascii_lowercase();
    let line = |line: &str| {
        let (host, key) = line.split_once(' ')?;
        if host == name { Fingerprint::parse(key.trim()) } else { None }
    };
    Ok(text.lines().find_map(line))
}

/// Remembers the key of an agent.
///
/// # Errors
/// The file cannot be written.
pub fn remember(path: &Path, target: &Target, key: Fingerprint) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
    file.write_all(format!("{} {key}\n", target.to_string().to_ascii_lowercase()).as_bytes())?;
    file.sync_all()
}

/// Accepts one key.
#[derive(Debug)]
struct Pin {
    expected: Option<Fingerprint>,
    accept_new: bool,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Fingerprint>>,
}

impl ServerCertVerifier for Pin {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let damaged = rustls::Error::InvalidCertificate(rustls::CertificateError::BadEncoding);
        let seen = Fingerprint::of(end_entity).ok_or(damaged)?;
        *lock(&self.seen) = Some(seen);
        match self.expected {
            Some(expected) if expected == seen => Ok(ServerCertVerified::assertion()),
            None if self.accept_new => Ok(ServerCertVerified::assertion()),
            _ => Err(rustls::Error::InvalidCertificate(rustls::CertificateError::ApplicationVerificationFailure)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A connection over TLS to an agent whose key is known.
pub(super) type Tls = tokio_rustls::client::TlsStream<tokio::net::TcpStream>;

/// Speaks TLS with an agent whose key is known, or becomes so.
///
/// # Errors
/// The connection broke, or the agent is not trusted ([`KeyError`] inside).
pub(super) async fn secure(stream: tokio::net::TcpStream, target: &Target, access: &Access) -> io::Result<Tls> {
    let expected = match &access.known {
        Some(path) => known(path, target)
            .map_err(|cause| io::Error::new(cause.kind(), format!("read {}: {cause}", path.display())))?,
        None => None,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pin = Pin { expected, accept_new: access.accept_new, provider: Arc::clone(&provider), seen: Mutex::default() };
    let pin = Arc::new(pin);
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        config.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(Arc::<Pin>::clone(&pin));
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from("agent").map_err(io::Error::other)?;
    let spoken = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let seen = *lock(&pin.seen);
    match (spoken, expected, seen) {
        (_, Some(was), Some(now)) if was != now => Err(io::Error::other(KeyError::Changed { was, now })),
        (Ok(stream), None, Some(now)) => {
            if let Some(path) = &access.known {
                remember(path, target, now)?;
            }
            Ok(stream)
        }
        (Err(_), None, Some(now)) if !access.accept_new => Err(io::Error::other(KeyError::Unknown(now))),
        (spoken, ..) => spoken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_remembered_for_its_host_and_port_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/known_hosts");
        let target: Target = "hv01:7000".parse().unwrap();
        assert_eq!(known(&path, &target).unwrap(), None);
        let key = Fingerprint([7; 32]);
        remember(&path, &target, key).unwrap();
        assert_eq!(known(&path, &"HV01:7000".parse().unwrap()).unwrap(), Some(key));
        assert_eq!(known(&path, &"hv01".parse().unwrap()).unwrap(), None);
        // the first one counts, so that appending changes nothing
        remember(&path, &target, Fingerprint([8; 32])).unwrap();
        assert_eq!(known(&path, &target).unwrap(), Some(key));
        assert_eq!(Fingerprint::parse(&key.to_string()), Some(key));
    }

    #[test]
    fn a_token_that_others_could_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "ng_x\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Secret::read(&path).is_err());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(Secret::read(&path).ok().unwrap().reveal(), "ng_x");
        std::fs::write(&path, "two words").unwrap();
        assert!(Secret::read(&path).is_err());
    }
}
