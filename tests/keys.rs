//! Do keys, authorities and tokens hold from the moment they change, on connections that are there already too?
//!
//! A real agent with files of the test's own, which are replaced while it runs.

#![cfg(test)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use netglance::client::{Access, Error, Fingerprint, KeyError, RemoteHost};
use rustix::thread::UnshareFlags;

#[expect(dead_code, reason = "each test program uses its part")]
mod served;
#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use served::{Agent, PATIENCE, request, token};
use support::space::{ip, within};

fn pem(what: &str, bytes: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    format!("-----BEGIN {what}-----\n{text}\n-----END {what}-----\n")
}

/// A certificate that signs itself, and its key.
struct Pair {
    certificate: String,
    key: String,
    print: Fingerprint,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["made.example".to_owned()]).unwrap();
        let certificate = pem("CERTIFICATE", made.cert.der());
        let key = pem("PRIVATE KEY", &made.signing_key.serialize_der());
        Self { certificate, key, print: Fingerprint::of(made.cert.der()).unwrap() }
    }
}

fn private(path: &Path, text: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let _ = std::fs::remove_file(path);
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    file.unwrap().write_all(text.as_bytes()).unwrap();
}

/// The key that an agent shows.
fn shown(agent: &Agent) -> Fingerprint {
    let target = agent.address.replace("0.0.0.0", "127.0.0.1").parse().unwrap();
    let access = Access { tls: true, ..Access::default() };
    match RemoteHost::connect(target, access, Box::new(|| {})) {
        Err(Error::Peer { key: Some(KeyError::Unknown(print)), .. }) => print,
        other => panic!("{:?}", other.err()),
    }
}

fn becomes(agent: &Agent, print: Fingerprint) {
    let start = Instant::now();
    while shown(agent) != print {
        assert!(start.elapsed() < PATIENCE, "{print} is not shown");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_key_whose_files_change_is_another_one_and_a_broken_one_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [certificate, key] = ["certificate.pem", "key.pem"].map(|name| dir.path().join(name));
    let pairs: Vec<Pair> = (0..3).map(|_| Pair::new()).collect();
    std::fs::write(&certificate, &pairs[0].certificate).unwrap();
    private(&key, &pairs[0].key);
    let more = format!("certificate = \"{}\"\nkey = \"{}\"", certificate.display(), key.display());
    let agent = Agent::prepared("0.0.0.0:0", &more, |dir| drop(token(dir, &["one"])));
    assert_eq!(shown(&agent), pairs[0].print);
    // one after the other: what does not fit together is not taken
    std::fs::write(&certificate, &pairs[1].certificate).unwrap();
    agent.says("the key of the agent: ");
    assert_eq!(shown(&agent), pairs[0].print);
    private(&key, &pairs[1].key);
    becomes(&agent, pairs[1].print);
    // one that others can read is none
    std::fs::write(&key, &pairs[2].key).unwrap();
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    agent.says("0644");
    assert_eq!(shown(&agent), pairs[1].print);
    // as certbot and Kubernetes do it: a link that leads elsewhere
    let elsewhere = tempfile::tempdir().unwrap();
    let far = [elsewhere.path().join("certificate"), elsewhere.path().join("key")];
    std::fs::write(&far[0], &pairs[2].certificate).unwrap();
    private(&far[1], &pairs[2].key);
    for (link, far) in [&certificate, &key].into_iter().zip(&far) {
        std::fs::remove_file(link).unwrap();
        std::os::unix::fs::symlink(far, link).unwrap();
    }
    becomes(&agent, pairs[2].print);
}

/// `curl` that reads events until it is cut off.
struct Reader(Child);

impl Reader {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new("curl");
        command.args(["--silent", "--no-buffer", "--insecure", "--max-time", "60"]).args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("curl is installed");
        let mut first = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
        assert_eq!(&first, b"event");
        Self(child)
    }

    /// Waits for the end.
    fn end(mut self) {
        let mut rest = Vec::new();
        self.0.stdout.take().unwrap().read_to_end(&mut rest).unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_stream_ends_with_the_token_it_was_asked_for_with() {
    let agent = Agent::start("127.0.0.1:0", "");
    let begin = Instant::now();
    let tokens =
        ["ends", "revoked"].map(|name| agent.token(&[name, "--expires", if name == "ends" { "6s" } else { "1d" }]));
    let url = format!("http://{}/api/v1/events", agent.address);
    let [ends, revoked] =
        tokens.map(|token| Reader::start(&["--header", &format!("Authorization: Bearer {token}"), &url]));
    let stays = Reader::start(&[&url]);
    let revoking = Instant::now();
    let output = served::command(&agent.dir).args(["token", "revoke", "revoked"]).output().unwrap();
    assert!(output.status.success());
    revoked.end();
    assert!(revoking.elapsed() < Duration::from_secs(4), "{:?}", revoking.elapsed());
    ends.end();
    assert!((5..10).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    let mut stays = stays;
    assert!(stays.0.try_wait().unwrap().is_none(), "one who has shown no token goes on");
    stays.0.kill().unwrap();
    stays.0.wait().unwrap();
}

#[test]
fn a_stream_ends_with_the_authority_that_let_it_in() {
    let dir = tempfile::tempdir().unwrap();
    let authority = dir.path().join("ca.pem");
    let (certificate, key) = (dir.path().join("own.pem"), dir.path().join("own.key"));
    let signer = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&signer).unwrap();
    std::fs::write(&authority, pem("CERTIFICATE", root.der())).unwrap();
    let own = rcgen::KeyPair::generate().unwrap();
    let mut leaf = rcgen::CertificateParams::new(Vec::new()).unwrap();
    leaf.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let signed = leaf.signed_by(&own, &rcgen::Issuer::new(params, signer)).unwrap();
    std::fs::write(&certificate, pem("CERTIFICATE", signed.der())).unwrap();
    private(&key, &pem("PRIVATE KEY", &own.serialize_der()));
    let agent = Agent::start("0.0.0.0:0", &format!("client_ca = \"{}\"", authority.display()));
    let url = format!("https://{}/api/v1/events", agent.address.replace("0.0.0.0", "127.0.0.1"));
    let reader = Reader::start(&["--cert", certificate.to_str().unwrap(), "--key", key.to_str().unwrap(), &url]);
    let begin = Instant::now();
    let other = rcgen::generate_simple_self_signed(["other".to_owned()]).unwrap();
    std::fs::write(&authority, pem("CERTIFICATE", other.cert.der())).unwrap();
    reader.end();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// All that is answered to bytes.
fn answered(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn root_whoever_speaks_in_plain_text_where_only_tls_is_spoken_is_told_so() {
    within(UnshareFlags::NEWNET, || {
        ip("link set lo up\naddress add 10.9.9.1/32 dev lo");
        let agent = Agent::prepared("0.0.0.0:0", "", |dir| drop(token(dir, &["one"])));
        let address = agent.address.replace("0.0.0.0", "10.9.9.1");
        let answer = answered(&address, request("GET /healthz", &[]).as_bytes());
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https"), "{answer}");
        let answer = answered(&address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
        // settings, and GOAWAY for want of security
        assert_eq!((answer[3], answer[9 + 3], answer[9 + 9 + 7]), (4, 7, 12), "{answer:?}");
        assert!(String::from_utf8_lossy(&answer).contains("TLS"));
        assert_eq!(answered(&address, b"nonsense\r\n\r\n")[..12], *b"HTTP/1.1 400");
    });
}

#[test]
fn whoever_speaks_tls_where_it_is_not_spoken_is_told_so() {
    let agent = Agent::start("127.0.0.1:0", "");
    let output = Command::new(env!("CARGO_BIN_EXE_netglance"))
        .args(["show", "load", "--tls", "--accept-new", "--host", &agent.address])
        .env("XDG_STATE_HOME", agent.dir.path().join("client"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(3) && told.contains("speaks no TLS"), "{told}");
}
