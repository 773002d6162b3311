//! How does the agent start, and where does it learn what is configured?

use std::ffi::OsString;
use std::path::Path;

use super::{Failure, args};
use crate::collect::schedule;
use crate::config::{self, Config};
use crate::server::{self, Level, Log, Sampling, Settings, Source};
use crate::store::level::Thresholds;

pub(super) fn run(args: &args::Serve, named: Option<&Path>) -> Result<(), Failure> {
    let log = Log::default();
    let Some(part) = args.part else { return start(args, named, &log) };
    let source = Configured { named, args };
    server::part(part, &source, &log).map_err(|error| {
        // nobody may read standard error, and a part that waits for that does not end
        log.say(Level::Error, &format!("the {} ends: {error}", part.name()));
        log.end();
        Failure::Told(1)
    })
}

fn start(args: &args::Serve, named: Option<&Path>, log: &Log) -> Result<(), Failure> {
    let source = Configured { named, args };
    // what is wrong at the start is told at length
    config::load(named)?;
    server::supervise(&source, &arguments(named, args), log).map_err(|error| refused(&error))
}

/// What a person reads when the agent cannot start.
fn refused(error: &server::Error) -> Failure {
    let (code, hint) = match error {
        server::Error::Open(..) => (
            2,
            "netglance token add NAME\n  or, for certificates of clients: [serve] client_ca = \"FILE\"; --insecure serves everybody",
        ),
        _ => (1, ""),
    };
    Failure::Exit { code, message: error.to_string(), hint: hint.to_owned() }
}

/// What starts this program as a part of the agent, but for the part's name.
fn arguments(named: Option<&Path>, args: &args::Serve) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = named.map(|path| vec!["--config".into(), path.into()]).unwrap_or_default();
    arguments.push("serve".into());
    arguments.extend(args.insecure.then(|| "--insecure".into()));
    arguments
}

/// The configuration, read anew each time, and the flags.
struct Configured<'a> {
    named: Option<&'a Path>,
    args: &'a args::Serve,
}

impl Configured<'_> {
    fn load(&self) -> Result<Config, String> {
        let loaded = config::load(self.named).map_err(|problems| problems.to_string().replace('\n', "; "))?;
        let tokens = super::token::path(&loaded);
        let mut config = loaded.config;
        (config.serve.tokens, config.serve.insecure) = (tokens, self.args.insecure);
        if config.serve.state.as_os_str().is_empty() {
            config.serve.state = super::token::state();
        }
        let serve = &mut config.serve;
        for path in [&mut serve.certificate, &mut serve.key, &mut serve.client_ca, &mut serve.state] {
            if !path.as_os_str().is_empty() {
                *path = super::token::absolute(path);
            }
        }
        Ok(config)
    }
}

impl Source for Configured<'_> {
    fn settings(&self) -> Result<Settings, String> {
        let mut settings = self.load()?.serve;
        if !self.args.listen.is_empty() {
            settings.listen.clone_from(&self.args.listen);
        }
        if let Some(socket) = &self.args.socket {
            settings.socket.clone_from(socket);
        }
        Ok(settings)
    }

    fn sampling(&self) -> Result<Sampling, String> {
        let config = self.load()?;
        Ok(Sampling {
            netns: super::dashboard::netns(&config),
            collect: config.collect,
            actions: config.serve.allow_actions,
        })
    }

    fn thresholds(&self) -> Result<Thresholds, String> {
        super::dashboard::levels(&self.load()?.threshold, schedule::tables()).map_err(|failure| failure.to_string())
    }
}
