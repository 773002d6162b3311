//! How is what is said on the way to another host kept from others?
//!
//! By TLS with a key of the agent's own: from the files of the configuration, or made at the first start and kept in the state
//! directory. The supervisor reads it and checks it, the front uses it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::kept;
use super::token::TokenError;
use crate::client::{self, Fingerprint};

/// Bytes of a file with keys or certificates at most.
pub(super) const MAX_PEM: u64 = 1 << 20;

/// What a file is told that should hold one.
const NO_CERTIFICATE: &str = "it holds no certificate";

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsError {
    /// A file.
    #[error(transparent)]
    File(#[from] TokenError),
    /// No key can be made or kept.
    #[error("make a key: {0}")]
    Make(String),
    /// A file holds something else.
    #[error("{}: {why}", path.display())]
    Held {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// What is in the files does not fit together.
    #[error("the key of the agent: {0}")]
    Key(String),
}

/// Certificates and their key as text, and the authority of clients if there is one.
#[derive(Clone, PartialEq)]
pub(super) struct Identity {
    pub(super) pem: Vec<u8>,
    pub(super) clients: Vec<u8>,
}

/// A block of PEM.
fn encoded(what: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut block = format!("-----BEGIN {what}-----\n");
    let mut rest = text.as_str();
    while let Some((line, more)) = rest.split_at_checked(64) {
        block = block + line + "\n";
        rest = more;
    }
    block + rest + &format!("\n-----END {what}-----\n")
}

/// The certificates in a text, or what is wrong with it.
fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| client::unreadable(&error))
}

/// The first certificate in a file.
///
/// # Errors
/// There is none, or one is cut.
pub(super) fn first(path: &Path, pem: &[u8]) -> Result<CertificateDer<'static>, TlsError> {
    let found = certificates(pem).and_then(|found| found.into_iter().next().ok_or_else(|| NO_CERTIFICATE.to_owned()));
    found.map_err(|why| TlsError::Held { path: path.to_owned(), why })
}

/// Whether agents can be known by the certificate in a file.
///
/// # Errors
/// As [`first`], or they cannot.
pub(super) fn check(path: &Path, pem: &[u8]) -> Result<(), TlsError> {
    client::usable(&first(path, pem)?).map_err(|why| TlsError::Held { path: path.to_owned(), why })
}

impl Identity {
    /// The identity in a directory, made if there is none.
    ///
    /// # Errors
    /// It can be neither read nor made.
    pub(super) fn own(dir: &Path) -> Result<Vec<u8>, TlsError> {
        let path = dir.join("identity.pem");
        match kept::read(&path, MAX_PEM) {
            Err(TokenError::File { cause, .. }) if cause.kind() == io::ErrorKind::NotFound => {}
            other => {
                let pem = other?;
                check(&path, &pem)?;
                return Ok(pem);
            }
        }
        let fail = |cause: &dyn std::fmt::Display| TlsError::Make(format!("{}: {cause}", path.display()));
        let made = rcgen::generate_simple_self_signed(["netglance".to_owned()]).map_err(|cause| fail(&cause))?;
        let pem = encoded("CERTIFICATE", made.cert.der()) + &encoded("PRIVATE KEY", &made.signing_key.serialize_der());
        let pem = pem.into_bytes();
        std::fs::create_dir_all(dir).map_err(|cause| fail(&cause))?;
        kept::replace(&path, &pem).map_err(|cause| fail(&cause))?;
        Ok(pem)
    }

    /// The own certificate.
    pub(super) fn certificate(&self) -> Option<CertificateDer<'static>> {
        certificates(&self.pem).ok()?.into_iter().next()
    }

    /// What clients know the agent by.
    ///
    /// # Errors
    /// There is no certificate.
    pub(super) fn fingerprint(&self) -> Result<Fingerprint, TlsError> {
        let print = self.certificate().and_then(|certificate| Fingerprint::of(&certificate));
        print.ok_or_else(|| TlsError::Key(NO_CERTIFICATE.to_owned()))
    }

    /// What accepts connections.
    ///
    /// # Errors
    /// Certificates and key do not fit together.
    pub(super) fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let wrong = |error: &dyn std::fmt::Display| TlsError::Key(error.to_string());
        let key = PrivateKeyDer::from_pem_slice(&self.pem);
        let key = key.map_err(|error| TlsError::Key(format!("private key: {}", client::unreadable(&error))))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider));
        let config = config.with_safe_default_protocol_versions().map_err(|error| wrong(&error))?;
        let config = if self.clients.is_empty() {
            config.with_no_client_auth()
        } else {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(&self.clients).map_err(TlsError::Key)? {
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            config.with_client_cert_verifier(verifier.map_err(|error| wrong(&error))?)
        };
        let config = config.with_single_cert(certificates(&self.pem).map_err(TlsError::Key)?, key);
        let mut config = config.map_err(|error| wrong(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
