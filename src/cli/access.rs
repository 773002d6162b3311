//! How does a command reach an agent: who does it say it is, and does the person trust the agent's key?

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use super::args::Speak;
use super::{Failure, visible};
use crate::client::{
    self, Access, Certificate, Fingerprint, KeyError, KnownHosts, RemoteHost, Secret, Target, TroubleKind,
};

/// What to do where keys cannot be remembered.
const UNKEPT: &str = "XDG_STATE_HOME names its directory, ~/.local/state without it: mend the file, or name another";

/// What to do where only plain text is spoken, and anybody could be the one who hears it.
const PLAIN: &str = "--tls if the agent has a key, --insecure to ask without the token";

/// What a client knows and has.
pub(super) fn access(args: &Speak) -> Result<Access, Failure> {
    let known = Some(KnownHosts::at(super::token::own_state().join("known_hosts")));
    let (token, certificate) = (token(args)?.map(Arc::new), certificate(args)?.map(Arc::new));
    let (accept_new, tls, plain) = (args.accept_new, args.tls, args.insecure);
    Ok(Access { known, pin: None, token, certificate, accept_new, tls, plain })
}

/// The certificate that shows who asks, if there is one.
fn certificate(args: &Speak) -> Result<Option<Certificate>, Failure> {
    let Some(file) = &args.cert else { return Ok(None) };
    let read = Certificate::read(file, args.cert_key.as_ref().unwrap_or(file));
    read.map(Some).map_err(|cause| Failure::usage(cause.to_string(), "a certificate and its key are files in PEM"))
}

/// The token, if there is one. It is never on the command line, which everybody on the host can read.
fn token(args: &Speak) -> Result<Option<Secret>, Failure> {
    if args.insecure {
        return Ok(None);
    }
    let given = |name: &str| std::env::var_os(name).filter(|given| !given.is_empty());
    if let Some(file) = args.token_file.clone().or_else(|| given("NETGLANCE_TOKEN_FILE").map(Into::into)) {
        let read = Secret::read(&file);
        return read.map(Some).map_err(|cause| Failure::usage(format!("{}: {cause}", file.display()), ""));
    }
    let Some(given) = given("NETGLANCE_TOKEN") else { return Ok(None) };
    let secret = given.to_str().and_then(Secret::of);
    let none = || Failure::usage("NETGLANCE_TOKEN: it is no token", "`netglance token add NAME` there prints one");
    secret.map(Some).ok_or_else(none)
}

/// Connects; a person is asked about a key that is not known.
pub(super) fn connect(
    target: &Target,
    access: &Access,
    on_change: impl Fn() -> client::OnChange,
) -> Result<Arc<RemoteHost>, Failure> {
    let mut connected = RemoteHost::connect(target.clone(), access.clone(), on_change());
    if let (Err(client::Error::Peer { key: Some(KeyError::Unknown(key)), .. }), Some(known)) =
        (&connected, &access.known)
        && asked(target, *key)?
    {
        known.remember(target, *key).map_err(|cause| Failure::usage(cause.to_string(), UNKEPT))?;
        connected = RemoteHost::connect(target.clone(), access.clone(), on_change());
    }
    connected.map_err(|error| match &error {
        client::Error::System(cause) => Failure::thread(cause),
        client::Error::Peer { key, kind, .. } => {
            let hint = match (key, &access.known) {
                (Some(KeyError::Unknown(_)), _) => {
                    format!("compare it with what the agent says at its start, then `netglance connect --accept-new {target}`")
                }
                (Some(KeyError::Changed { .. }), Some(known)) => {
                    format!("if the agent was set up anew, remove its line from {}", known.path().display())
                }
                _ if *kind == TroubleKind::Uncertified => {
                    "give one that the authority of its `client_ca` has signed with --cert FILE".to_owned()
                }
                _ if *kind == TroubleKind::Protected && access.token.is_none() => {
                    "make one there with `netglance token add NAME`, and give it with --token-file FILE".to_owned()
                }
                _ if *kind == TroubleKind::Protected => {
                    "`netglance token list` there tells which tokens are good".to_owned()
                }
                _ if *kind == TroubleKind::Version => "install the same version here as there".to_owned(),
                _ if *kind == TroubleKind::Unkept => UNKEPT.to_owned(),
                _ if *kind == TroubleKind::Plain => PLAIN.to_owned(),
                _ if *kind == TroubleKind::Tls => "leave out --insecure; on loopback add --tls".to_owned(),
                _ => "an agent is started there with `netglance serve`".to_owned(),
            };
            let code = if *kind == TroubleKind::Plain { 2 } else { 3 };
            Failure::Exit { code, message: error.to_string(), hint }
        }
    })
}

/// Whether the person at the terminal says that a key is right.
fn asked(target: &Target, key: Fingerprint) -> Result<bool, Failure> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Ok(false);
    }
    let mut err = std::io::stderr().lock();
    writeln!(err, "{} was never seen. Its key is {key}", visible(&target.to_string()))?;
    write!(err, "Is that what the agent says at its start? (yes/no) ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}
