//! How does the agent start, and where does it learn what is configured?

use std::cell::Cell;
use std::path::Path;

use super::{Failure, args};
use crate::config::{self, Config, Loaded};
use crate::server::{self, Configuration, Level, Log, Source};

pub(super) fn run(args: &args::Serve, named: Option<&Path>) -> Result<(), Failure> {
    let log = Log::default();
    let Some(part) = args.part else { return start(args, named, &log) };
    server::part(part, &log).map_err(|error| {
        // nobody may read standard error, and a part that waits for that does not end
        log.say(Level::Error, &format!("the {} ends: {error}", part.name()));
        log.end();
        Failure::Told(1)
    })
}

fn start(args: &args::Serve, named: Option<&Path>, log: &Log) -> Result<(), Failure> {
    // what is wrong at the start is told at length
    let source = Configured { named, args, first: Cell::new(Some(config::load(named)?)) };
    server::supervise(&source, &["serve".into()], log).map_err(|error| refused(&error))
}

/// What a person reads when the agent cannot start.
fn refused(error: &server::Error) -> Failure {
    let (code, hint) = match error {
        server::Error::Open(_, why) if !why.is_empty() => {
            (2, "put that right, or name other places: state, tokens, certificate and key of [serve]")
        }
        server::Error::Open(..) => (
            2,
            "netglance token add NAME\n  or, for certificates of clients: [serve] client_ca = \"FILE\"; --insecure serves everybody",
        ),
        server::Error::Address(_) => (2, "an address with a port is 127.0.0.1:61208, or [::1]:61208 of IPv6"),
        server::Error::Listen { cause, .. } if cause.kind() == std::io::ErrorKind::AddrInUse => {
            (1, "stop it, or listen elsewhere: --listen ADDRESS:PORT, --socket PATH")
        }
        server::Error::Listen { .. } => (1, "--listen ADDRESS:PORT and --socket PATH name other places"),
        server::Error::Settings(_) => (2, ""),
        server::Error::System(_) => (1, ""),
    };
    Failure::Exit { code, message: error.to_string(), hint: hint.to_owned() }
}

/// The configuration, read anew each time but the first, and the flags.
struct Configured<'a> {
    first: Cell<Option<Loaded>>,
    named: Option<&'a Path>,
    args: &'a args::Serve,
}

impl Source for Configured<'_> {
    fn read(&self) -> Result<Configuration, String> {
        let loaded = match self.first.take() {
            Some(loaded) => loaded,
            None => config::load(self.named).map_err(|problems| problems.to_string().replace('\n', "; "))?,
        };
        let (alerts, actions) =
            config::alerts(self.named).map_err(|problems| problems.to_string().replace('\n', "; "))?;
        let tokens = super::token::path(&loaded);
        let Config { mut serve, netns, collect, trail, routing, threshold, .. } = loaded.config;
        (serve.tokens, serve.insecure) = (tokens, self.args.insecure);
        if serve.state.as_os_str().is_empty() {
            serve.state = super::token::state();
        }
        for path in [&mut serve.certificate, &mut serve.key, &mut serve.client_ca, &mut serve.state] {
            if !path.as_os_str().is_empty() {
                *path = super::token::absolute(path);
            }
        }
        if !self.args.listen.is_empty() {
            serve.listen.clone_from(&self.args.listen);
        }
        if let Some(socket) = &self.args.socket {
            serve.socket.clone_from(socket);
        }
        Ok(Configuration { serve, netns, collect, trail, routing, threshold, alerts, actions })
    }
}
