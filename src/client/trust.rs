//! Is the agent at the other end the one that it was, and what may be told to it?
//!
//! Off loopback there is only TLS, and a connection exists only if the key of the agent is the pinned one, or the one in the
//! file of known hosts: a credential is sent over nothing else but a unix socket. Keys are compared, because agents sign
//! their certificates themselves; names and dates in a certificate say nothing then.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CertificateError, DigitallySignedStruct};

use super::Target;
use super::known::{Fingerprint, KeyError, KnownHosts};
use crate::model::lock;
use crate::source::kept;

/// Bytes of a token at most.
const MAX_TOKEN: u64 = 256;

/// Bytes of a file with a certificate or its key at most.
const MAX_PEM: u64 = 1 << 20;

/// A secret. It can be told only on purpose.
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// A token that somebody has written, with blanks around it; `None` for what is none.
    pub fn of(text: &str) -> Option<Self> {
        let token = text.trim();
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self(token.to_owned()))
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
        let bytes = private(path, MAX_TOKEN)?;
        let secret = std::str::from_utf8(&bytes).ok().and_then(Self::of);
        secret.ok_or_else(|| io::Error::other("it holds no token"))
    }
}

/// Reads a file that nobody else may read.
fn private(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let (file, meta) = kept::open(path)?;
    match kept::others(&meta, 0o077) {
        Some(why) => Err(io::Error::other(format!("it {why}: chown and chmod 600 it"))),
        None => kept::bytes(file, most),
    }
}

/// What a client shows an agent that asks for a certificate, with its key. It cannot be printed.
pub struct Certificate(Arc<CertifiedKey>);

impl Certificate {
    /// Reads a certificate with those that lead to its authority, and its key, in PEM. Both may be one file; nobody else
    /// may read the one with the key.
    ///
    /// # Errors
    /// A file cannot be read or is not what it should be, or they do not belong together.
    pub fn read(certificate: &Path, key: &Path) -> io::Result<Self> {
        let of = |path: &Path, cause: &dyn std::fmt::Display| io::Error::other(format!("{}: {cause}", path.display()));
        let text = kept::read(certificate, MAX_PEM).map_err(|cause| of(certificate, &cause))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.map_err(|cause| of(certificate, &unreadable(&cause)))?;
        let Some(first) = chain.first() else { return Err(of(certificate, &"it holds no certificate")) };
        usable(first).map_err(|why| of(certificate, &why))?;
        let text = private(key, MAX_PEM).map_err(|cause| of(key, &cause))?;
        let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|cause| of(key, &unreadable(&cause)))?;
        let made = CertifiedKey::from_der(chain, secret, &rustls::crypto::aws_lc_rs::default_provider());
        made.map(|made| Self(Arc::new(made))).map_err(|cause| of(key, &cause))
    }
}

/// What is wrong with a text in PEM, for people.
pub(crate) fn unreadable(error: &pem::Error) -> String {
    match error {
        pem::Error::NoItemsFound => "what is wanted is not in it".to_owned(),
        pem::Error::MissingSectionEnd { .. } => "it is cut: an END line is missing".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is damaged".to_owned(),
        other => other.to_string(),
    }
}

/// Whether somebody can be known by a certificate.
///
/// # Errors
/// Why not, for people.
pub(crate) fn usable(certificate: &CertificateDer<'_>) -> Result<(), String> {
    ParsedCertificate::try_from(certificate).map(drop).map_err(|error| match error {
        rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => "a certificate is damaged".to_owned(),
        // the reason has no other name here
        error if format!("{error:?}").contains("UnsupportedCertVersion") => {
            "it is X.509 version 1; sign it with an extension (-extfile), which makes it version 3".to_owned()
        }
        error => error.to_string(),
    })
}

/// What was given is not for plain text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct InPlain(&'static str);

/// What a client knows and has.
#[derive(Clone, Default)]
pub struct Access {
    /// The keys that somebody has accepted.
    pub known: Option<Arc<KnownHosts>>,
    /// The only key that is right, if somebody has written it down.
    pub pin: Option<Fingerprint>,
    /// What it says who it is.
    pub token: Option<Arc<Secret>>,
    /// What shows who it is.
    pub certificate: Option<Arc<Certificate>>,
    /// Whether a key that is not known is taken for right.
    pub accept_new: bool,
    /// Whether TLS is spoken on loopback too.
    pub tls: bool,
    /// Whether plain text is spoken off loopback too: never with a token or a certificate.
    pub plain: bool,
}

impl Access {
    /// Whether plain text is spoken with an agent of this host: unless somebody asks for what only TLS has, the agent has
    /// shown a key before, or its name stands for this host only because a name server says so.
    ///
    /// # Errors
    /// The file of known hosts cannot be read.
    pub(super) fn is_plain_here(&self, target: &Target) -> io::Result<bool> {
        if self.tls || self.pin.is_some() || self.certificate.is_some() || !target.is_here() {
            return Ok(false);
        }
        Ok(self.known.as_ref().map(|known| known.key(target)).transpose()?.flatten().is_none())
    }

    /// Whether there is nothing that plain text cannot carry. On loopback, too: anybody may listen on a port of this host.
    ///
    /// # Errors
    /// [`InPlain`] inside.
    pub(super) fn fits_plain_text(&self) -> io::Result<()> {
        let reasons = [
            (self.token.is_some(), "a token is not sent in plain text: use TLS, or unix:PATH"),
            (self.certificate.is_some(), "a certificate shows nothing in plain text"),
            (self.pin.is_some(), "plain text shows no key"),
        ];
        let why = reasons.into_iter().find(|(holds, _)| *holds);
        why.map_or(Ok(()), |(_, why)| Err(io::Error::other(InPlain(why))))
    }
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
        let damaged = rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
        let seen = Fingerprint::of(end_entity).ok_or(damaged)?;
        *lock(&self.seen) = Some(seen);
        match self.expected {
            Some(expected) if expected == seen => Ok(ServerCertVerified::assertion()),
            None if self.accept_new => Ok(ServerCertVerified::assertion()),
            _ => Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure)),
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
    let known = access.known.as_ref().filter(|_| access.pin.is_none());
    let expected = match known {
        Some(known) => known.key(target)?,
        None => access.pin,
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pin = Pin { expected, accept_new: access.accept_new, provider: Arc::clone(&provider), seen: Mutex::default() };
    let pin = Arc::new(pin);
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        config.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(Arc::<Pin>::clone(&pin));
    let mut config = match &access.certificate {
        Some(own) => config.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&own.0)))),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    // each connection has a configuration of its own, so that there is nothing to resume
    config.resumption = Resumption::disabled();
    let name = ServerName::try_from("agent").map_err(io::Error::other)?;
    let spoken = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let seen = *lock(&pin.seen);
    match (spoken, expected, seen) {
        (_, Some(was), Some(now)) if was != now => Err(io::Error::other(KeyError::Changed { was, now })),
        (Ok(stream), None, Some(now)) => {
            if let Some(known) = known {
                // the disk has its time, and this thread none
                let (known, target) = (Arc::clone(known), target.clone());
                let remembered = tokio::task::spawn_blocking(move || known.remember(&target, now)).await;
                remembered.map_err(io::Error::other)??;
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

    /// What `openssl x509 -req` makes when it is told no extension.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBFDCBuwIUFBImBxzirp+C/Z03dQWUw4AAp8IwCgYIKoZIzj0EAwIwDDEKMAgG
A1UEAwwBYTAgFw0yNjExMjIxMjMwNDZaGA8yMTI2MTAyOTEyMzA0NlowDDEKMAgG
A1UEAwwBYTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHfKjFDyPS9TBtdQVElw
6dCAwug9fyMkHAubee6lqVL8jh/7c6cpv5uh0G1LLgZ5UThpFpDFDZkXvKErBV1Z
G84wCgYIKoZIzj0EAwIDSAAwRQIhANNyrPwo0oQ+QbjhN/Xd3qefzHSCPlKsr2/j
DE9AKJPrAiBtku6OOVHcI57Wx2k+ICioKwe9sO85z0GlpskJb2SpBw==
-----END CERTIFICATE-----
";

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let [certificate, key] = ["own.pem", "own.key"].map(|name| dir.path().join(name));
        std::fs::write(&key, "").unwrap();
        for (text, why) in [
            ("", "it holds no certificate"),
            (VERSION_1, "it is X.509 version 1; sign it with an extension"),
            (VERSION_1.split_at(200).0, "it is cut: an END line is missing"),
            ("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "a certificate is damaged"),
        ] {
            std::fs::write(&certificate, text).unwrap();
            let told = Certificate::read(&certificate, &key).err().unwrap().to_string();
            assert!(told.starts_with(&format!("{}: {why}", certificate.display())), "{told}");
        }
    }

    #[test]
    fn a_token_file_that_is_a_pipe_is_none_and_waits_for_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(Secret::read(&path).err().unwrap().to_string().contains("not a regular file"));
    }
}
