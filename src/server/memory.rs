//! Who opens the file in which the sampler writes down what it knows of alerts?
//!
//! The supervisor does, once, and hands it to each sampler: what fires outlives the sampler, the agent and the machine. Without
//! it everything works but that: the log says why.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

use super::pass::{self, Word};
use super::{Level, Log};

/// Its name in the directory of what the agent keeps.
const NAME: &str = "alerts.state";

/// The file, if it can be had.
pub(super) struct Memory(Option<File>);

impl Memory {
    /// Opens the file in a directory, and says why it cannot.
    pub(super) fn open(dir: &Path, log: &Log) -> Self {
        let path = dir.join(NAME);
        let file = open(dir, &path).inspect_err(|cause| {
            let path = path.display();
            log.say(Level::Warning, &format!("alerts are forgotten when the agent ends: open {path}: {cause}"));
        });
        Self(file.ok())
    }

    /// Gives it to a sampler, or says that there is none.
    ///
    /// # Errors
    /// It does not listen.
    pub(super) fn hand(&self, control: impl AsFd) -> io::Result<()> {
        pass::send(control, Word::Alerts, self.0.as_ref().map(AsFd::as_fd))
    }
}

fn open(dir: &Path, path: &Path) -> io::Result<File> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // neither a link of somebody else's nor a pipe that is waited for
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    // what it says decides who is told: nobody else may write it
    let mine = rustix::process::geteuid().as_raw();
    let owner = std::os::unix::fs::MetadataExt::uid(&meta);
    if owner != mine && owner != 0 {
        return Err(io::Error::other(format!("it belongs to user {owner}")));
    }
    if std::os::unix::fs::MetadataExt::mode(&meta) & 0o022 != 0 {
        return Err(io::Error::other("others may write it"));
    }
    flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|cause| match cause {
        rustix::io::Errno::WOULDBLOCK => io::Error::other("another agent has it"),
        cause => cause.into(),
    })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn one_agent_has_the_file_and_nobody_elses_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        let path = state.join(NAME);
        let first = open(&state, &path).unwrap();
        assert_eq!(open(&state, &path).unwrap_err().to_string(), "another agent has it");
        drop(first);
        drop(open(&state, &path).unwrap());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o622)).unwrap();
        assert_eq!(open(&state, &path).unwrap_err().to_string(), "others may write it");
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(open(&state, &path).is_err() && !state.join("elsewhere").exists());
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(open(&file, &file.join(NAME)).is_err());
    }
}
