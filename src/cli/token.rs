//! How does somebody get a token, and lose it?

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcetera::BaseStrategy as _;
use jiff::Timestamp;

use super::Failure;
use super::args::TokenCommand;
use crate::config::{self, Loaded};
use crate::server::{TokenError, Tokens};

pub(super) fn run(command: &TokenCommand, named: Option<&Path>, out: &mut dyn Write) -> Result<(), Failure> {
    let path = path(&config::load(named)?);
    match command {
        TokenCommand::Add { name, role, expires } => {
            let end = expires.map(end).transpose()?;
            let secret = Tokens::add(&path, name, *role, end).map_err(|error| failed(&error))?;
            writeln!(out, "{}", secret.reveal())?;
            out.flush()?;
            super::warn("the token is shown this once; who has it may look at this host", "");
        }
        TokenCommand::List => {
            let tokens = Tokens::read(&path).map_err(|error| failed(&error))?;
            let now = Timestamp::now();
            for token in tokens.list() {
                let end = match token.expires {
                    None => "never ends".to_owned(),
                    Some(end) if token.is_alive(now) => format!("ends {end}"),
                    Some(end) => format!("ended {end}"),
                };
                writeln!(out, "{:<24} {:<8} {end}", token.name, token.role.name())?;
            }
        }
        TokenCommand::Revoke { name } => Tokens::revoke(&path, name).map_err(|error| failed(&error))?,
    }
    Ok(())
}

/// The file of the tokens: as configured, else beside the configuration, else where the configuration would be.
pub(super) fn path(loaded: &Loaded) -> PathBuf {
    let configured = &loaded.config.serve.tokens;
    if !configured.as_os_str().is_empty() {
        return absolute(configured);
    }
    let places = config::candidates();
    let usual = if rustix::process::geteuid().is_root() { places.last() } else { places.first() };
    let file = loaded.file.as_deref().filter(|file| *file != Path::new("/dev/null"));
    let file = file.or(usual.map(PathBuf::as_path)).unwrap_or(Path::new("/etc/netglance/netglance.toml"));
    absolute(&file.with_file_name("tokens"))
}

/// The same file from any directory; a file in the current one has no directory in its name otherwise.
pub(super) fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The directory of what an agent or a client keeps.
pub(super) fn state() -> PathBuf {
    if let Some(given) = std::env::var_os("STATE_DIRECTORY").filter(|given| !given.is_empty()) {
        return given.into();
    }
    if rustix::process::geteuid().is_root() { PathBuf::from("/var/lib/netglance") } else { own_state() }
}

/// The directory of what this user keeps.
pub(super) fn own_state() -> PathBuf {
    let own = etcetera::base_strategy::Xdg::new().ok().and_then(|xdg| xdg.state_dir());
    own.unwrap_or_else(|| PathBuf::from("/var/lib")).join("netglance")
}

/// The instant after a span from now.
fn end(span: Duration) -> Result<Timestamp, Failure> {
    let end = i64::try_from(span.as_secs()).ok().and_then(|span| Timestamp::now().as_second().checked_add(span));
    let end = end.and_then(|end| Timestamp::from_second(end).ok());
    end.ok_or_else(|| Failure::usage("--expires is too far away", "leave it out for a token without an end"))
}

fn failed(error: &TokenError) -> Failure {
    let (code, hint) = match error {
        TokenError::Open { path, .. } => (1, format!("chown and chmod 600 {}", path.display())),
        TokenError::Name { .. } => (2, "`netglance token list` lists them".to_owned()),
        TokenError::File { .. } | TokenError::Line { .. } => (1, String::new()),
    };
    Failure::Exit { code, message: error.to_string(), hint }
}
