//! When does the configuration change while the program runs?
//!
//! The directory is watched, not the file: editors write a new file and rename it over the old one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};

use super::{Loaded, Problems, file, load};

/// Editors need several steps to save; so long after the last one the file is read.
const SETTLE: Duration = Duration::from_millis(200);

/// A file that never comes to rest is read all the same, so many steps after the first.
const STEPS: usize = 50;

/// Symbolic links that are followed from a configuration to its file.
const LINKS: usize = 8;

/// Watches until it is dropped.
pub struct Watch {
    _watcher: notify::RecommendedWatcher,
}

/// Calls `changed` with the new configuration, or with what is wrong with it, after every change of its file. The caller
/// keeps the old configuration when the new one is wrong.
///
/// # Errors
/// The kernel refuses the watch.
pub fn watch(
    named: Option<PathBuf>,
    changed: impl Fn(Result<Loaded, Problems>) + Send + 'static,
) -> Result<Watch, notify::Error> {
    let mut files = named.as_ref().map_or_else(file::candidates, |path| vec![path.clone()]);
    // what a link points to changes in another directory
    for file in files.clone() {
        files.extend(std::iter::successors(target(&file), |file| target(file)).take(LINKS));
    }
    let (events, received) = mpsc::channel();
    let watched = files.clone();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| matters(&event, &watched)) {
            // the thread below ends only with this watcher
            let _ = events.send(());
        }
    })?;
    // the watcher keeps quiet when its thread cannot be started and panics when it is used, or dropped, all the same; but
    // then nobody holds the sending end any more
    if received.try_recv() == Err(TryRecvError::Disconnected) {
        std::mem::forget(watcher);
        return Err(notify::Error::generic("no thread can be started (raise the limit of processes, ulimit -u)"));
    }
    let directories: BTreeSet<&Path> = files.iter().filter_map(|file| directory(file)).collect();
    for directory in directories.into_iter().filter(|directory| directory.is_dir()) {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    std::thread::Builder::new().name("config".to_owned()).spawn(move || {
        while received.recv().is_ok() {
            let _ = (0..STEPS).take_while(|_| received.recv_timeout(SETTLE).is_ok()).count();
            changed(load(named.as_deref()));
        }
    })?;
    Ok(Watch { _watcher: watcher })
}

fn directory(file: &Path) -> Option<&Path> {
    file.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Where a symbolic link points to.
fn target(file: &Path) -> Option<PathBuf> {
    std::fs::read_link(file).ok().and_then(|to| directory(file).map(|directory| directory.join(to)))
}

/// Reading a file is an event too, and must not lead to reading it again.
fn matters(event: &notify::Event, files: &[PathBuf]) -> bool {
    // the kernel has thrown events away
    if event.need_rescan() {
        return true;
    }
    !event.kind.is_access() && event.paths.iter().any(|path| files.iter().any(|f| f.file_name() == path.file_name()))
}
