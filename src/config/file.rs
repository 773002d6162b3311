//! Which file is the configuration, and may it be trusted?
//!
//! The named one, else `$XDG_CONFIG_HOME/netglance/netglance.toml`, else `/etc/netglance/netglance.toml`. A file that
//! somebody else could have written is refused: it decides what is hidden from the person who looks.

use std::io::Read as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;

use rustix::fs::OFlags;

use super::problem::{Problem, place};

/// Largest configuration that is read.
const MAX_CONFIG: u64 = 256 << 10;

/// Where the configuration is looked for when none is named, best first.
pub fn candidates() -> Vec<PathBuf> {
    let own = etcetera::base_strategy::Xdg::new().ok().map(|xdg| xdg.config_dir().join("netglance/netglance.toml"));
    own.into_iter().chain([PathBuf::from("/etc/netglance/netglance.toml")]).collect()
}

/// The file to read: the named one whether it is there or not, else the first candidate that is there. A link that leads
/// nowhere is there, and an error, because somebody has put it there.
pub(super) fn find(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => candidates().into_iter().find(|path| path.symlink_metadata().is_ok()),
    }
}

/// Reads a configuration.
pub(super) fn read(path: &Path) -> Result<String, Problem> {
    trusted(path, MAX_CONFIG)
}

/// Reads a file after checking who could have written it. The check is made on the open file, not on its name.
pub(super) fn trusted(path: &Path, most: u64) -> Result<String, Problem> {
    let name = crate::model::Text::from(path);
    let fail = |error: &std::io::Error| Problem::new(&*name, format!("cannot be read: {error}"), "");
    // a pipe must not be waited for, and a terminal must not become ours
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).map_err(|error| fail(&error.into()))?;
    let file = std::fs::File::from(file);
    let meta = file.metadata().map_err(|error| fail(&error))?;
    let me = rustix::process::geteuid().as_raw();
    if is_null(&meta) {
        return Ok(String::new());
    }
    if !meta.is_file() {
        let message = format!("is a {}, not a regular file", kind(meta.file_type()));
        return Err(Problem::new(&*name, message, "name a file, or /dev/null for none"));
    }
    if meta.uid() != 0 && meta.uid() != me {
        let message = format!("belongs to user {}, neither to root nor to you", meta.uid());
        return Err(Problem::new(&*name, message, format!("chown it, or copy it: somebody else could change {name}")));
    }
    if meta.mode() & 0o022 != 0 {
        let message = format!("can be changed by others (mode {:04o})", meta.mode() & 0o7777);
        return Err(Problem::new(&*name, message, format!("chmod go-w {name}")));
    }
    if meta.len() > most {
        return Err(Problem::new(&*name, format!("is larger than {} KiB", most >> 10), ""));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(|error| fail(&error))?;
    String::from_utf8(bytes).map_err(|error| {
        let end = error.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(error.as_bytes().get(..end).unwrap_or_default());
        Problem::new(place(path, &valid, Some(end..end)), "is not UTF-8", "save it as UTF-8")
    })
}

/// Whether this is `/dev/null`, which anybody may write to and which is empty all the same.
fn is_null(meta: &std::fs::Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == libc::makedev(1, 3)
}

fn kind(kind: std::fs::FileType) -> &'static str {
    if kind.is_dir() {
        "directory"
    } else if kind.is_fifo() {
        "pipe"
    } else if kind.is_socket() {
        "socket"
    } else {
        "device"
    }
}

/// Where the user's own themes lie.
pub fn themes() -> Option<PathBuf> {
    etcetera::base_strategy::Xdg::new().ok().map(|xdg| xdg.config_dir().join("netglance/themes"))
}
