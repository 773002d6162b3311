//! How does the agent start?

use std::ffi::OsString;
use std::path::Path;

use super::{Failure, args, visible};
use crate::config;
use crate::server;

pub(super) fn run(args: &args::Serve, named: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(named)?.config;
    let failed = |error: server::Error| Failure::Exit { code: 1, message: error.to_string(), hint: String::new() };
    let say = |message: &str| {
        use std::io::Write as _;
        // nobody is left to tell when standard error is gone
        let _ = writeln!(std::io::stderr().lock(), "netglance: {}", visible(message));
    };
    if let Some(part) = args.part {
        let netns = super::dashboard::netns(&config);
        let sampling = server::Sampling { netns, collect: config.collect, actions: config.serve.allow_actions };
        return server::part(part, sampling, &config.serve, &say).map_err(failed);
    }
    let mut settings = config.serve;
    if let Some(listen) = &args.listen {
        settings.listen.clone_from(listen);
    }
    if let Some(socket) = &args.socket {
        settings.socket.clone_from(socket);
    }
    let mut arguments: Vec<OsString> = named.map(|path| vec!["--config".into(), path.into()]).unwrap_or_default();
    arguments.push("serve".into());
    server::supervise(&settings, &arguments, &say).map_err(failed)
}
