//! Who is told: real sockets that take what is sent, and answer what a test wants.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::parts::PATIENCE;

/// Bytes that go both ways.
pub(crate) trait Both: Read + Write + Send {}
impl<T: Read + Write + Send> Both for T {}

/// An authority of the test's own, with a certificate for `localhost`.
#[derive(Clone)]
pub(crate) struct Authority {
    /// Its file in PEM.
    pub(crate) file: PathBuf,
    server: Arc<ServerConfig>,
}

impl Authority {
    pub(crate) fn new(dir: &Path) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let file = dir.join("ca.pem");
        let digits = STANDARD.encode(made.cert.der());
        std::fs::write(&file, format!("-----BEGIN CERTIFICATE-----\n{digits}\n-----END CERTIFICATE-----\n")).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        Self { file, server: Arc::new(server) }
    }

    /// Speaks TLS over a connection.
    pub(crate) fn secure<S: Both>(&self, stream: S) -> StreamOwned<ServerConnection, S> {
        StreamOwned::new(ServerConnection::new(Arc::clone(&self.server)).unwrap(), stream)
    }
}

/// A request that was taken.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: String,
}

impl Request {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Reads one.
    pub(crate) fn read(stream: &mut dyn Both) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            Some(line.trim_end().to_owned())
        };
        let first = line()?;
        let headers: Vec<String> = std::iter::from_fn(line).take_while(|line| !line.is_empty()).collect();
        let length =
            headers.iter().find_map(|header| header.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or_default()];
        reader.read_exact(&mut body).ok()?;
        Some(Self { line: first, headers, body: String::from_utf8(body).unwrap() })
    }
}

/// A server of HTTP, over TLS where it has an authority.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Receiver<Request>,
}

impl Web {
    /// Answers every request with some bytes.
    pub(crate) fn answering(authority: Option<&Authority>, answer: &'static str) -> Self {
        Self::start(authority, move |stream| {
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    /// Answers every request as `answer` does.
    pub(crate) fn start(authority: Option<&Authority>, answer: impl Fn(&mut dyn Both) + Send + 'static) -> Self {
        let server = authority.cloned();
        let (told, requests) = channel();
        let address = listen(move |stream| {
            let mut stream: Box<dyn Both> = match &server {
                Some(server) => Box::new(server.secure(stream)),
                None => Box::new(stream),
            };
            if let Some(request) = Request::read(&mut *stream) {
                answer(&mut *stream);
                let _ = told.send(request);
            }
        });
        Self { address, requests }
    }

    pub(crate) fn request(&self) -> Request {
        self.requests.recv_timeout(PATIENCE).unwrap()
    }
}

/// Takes connections one after the other; where.
pub(crate) fn listen(mut take: impl FnMut(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            take(stream);
        }
    });
    address
}

/// A file that only its owner may read.
pub(crate) fn secret(dir: &Path, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}
