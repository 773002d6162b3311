//! When does the configuration change while the program runs, or a list of hosts?
//!
//! The directory is watched, not the file: editors write a new file and rename it over the old one. Where there is no
//! directory yet, the nearest one above it is watched, until it is made.

use std::collections::BTreeSet;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, TryRecvError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use notify::{RecursiveMode, Watcher as _};

use super::{Loaded, Problems, file, load};
use crate::model::lock;

/// Editors need several steps to save; so long after the last one the file is read.
const SETTLE: Duration = Duration::from_millis(200);

/// A file that never comes to rest is read all the same, so many steps after the first.
const STEPS: usize = 50;

/// Symbolic links that are followed from a configuration to its file.
const LINKS: usize = 8;

/// Directories that may be made one after the other while they are looked for.
const DEPTH: usize = 64;

/// Watches until it is dropped.
pub struct Watch {
    _watcher: Arc<Mutex<notify::RecommendedWatcher>>,
}

/// What is waited for.
#[derive(Clone, Debug, Default)]
pub(super) struct Sought {
    /// Files, whether they are there or not.
    pub(super) files: Vec<PathBuf>,
    /// Directories whose every file counts.
    pub(super) directories: Vec<PathBuf>,
}

/// What is waited for, with what it links to.
type Files = Arc<Mutex<Sought>>;

/// Calls `changed` with the new configuration, or with what is wrong with it, after every change of its file. The caller
/// keeps the old configuration when the new one is wrong.
///
/// # Errors
/// The kernel refuses the watch.
pub fn watch(
    named: Option<PathBuf>,
    changed: impl Fn(Result<Loaded, Problems>) + Send + 'static,
) -> Result<Watch, notify::Error> {
    let files = named.clone();
    let sought = move || {
        let mut files = files.clone().map_or_else(file::candidates, |path| vec![path]);
        // the rules of alerts lie beside it
        let beside = files.iter().filter_map(|path| Some(path.parent()?.join(super::alerts::FILE)));
        files.extend(beside.collect::<Vec<_>>());
        Sought { files, directories: Vec::new() }
    };
    follow(sought, move || changed(load(named.as_deref())))
}

/// Calls `changed` after every change of what is sought, which may be something else after each.
///
/// # Errors
/// The kernel refuses the watch.
pub(super) fn follow(
    sought: impl Fn() -> Sought + Send + 'static,
    changed: impl Fn() + Send + 'static,
) -> Result<Watch, notify::Error> {
    let (events, received) = mpsc::channel();
    let files = Files::default();
    let watched = Arc::clone(&files);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| matters(&event, &lock(&watched))) {
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
    let watcher = Arc::new(Mutex::new(watcher));
    look(&watcher, &files, sought())?;
    let weak = Arc::downgrade(&watcher);
    std::thread::Builder::new().name("config".to_owned()).spawn(move || {
        while received.recv().is_ok() {
            let _ = (0..STEPS).take_while(|_| received.recv_timeout(SETTLE).is_ok()).count();
            let Some(watcher) = weak.upgrade() else { return };
            // what was watched before still is
            let _ = look(&watcher, &files, sought());
            drop(watcher);
            changed();
        }
    })?;
    Ok(Watch { _watcher: watcher })
}

/// Watches where the files are, or will be: links may lead elsewhere and directories may be new since the last time.
fn look(watcher: &Mutex<notify::RecommendedWatcher>, files: &Files, sought: Sought) -> Result<(), notify::Error> {
    let Sought { files: mut all, directories: whole } = sought;
    // what anybody writes to /dev/null changes nothing
    all.retain(|file| !file.metadata().is_ok_and(|meta| meta.file_type().is_char_device()));
    // what a link points to changes in another directory
    for file in all.clone() {
        all.extend(std::iter::successors(target(&file), |file| target(file)).take(LINKS));
    }
    *lock(files) = Sought { files: all.clone(), directories: whole.clone() };
    let parents = all.iter().filter_map(|file| directory(file));
    let directories: BTreeSet<&Path> = parents.chain(whole.iter().map(PathBuf::as_path)).collect();
    let mut watcher = lock(watcher);
    for wanted in directories {
        let mut before = None;
        // the next directory may be made after the one above it was found and before it is watched
        for _ in 0..DEPTH {
            let nearest = wanted.ancestors().find(|directory| directory.is_dir());
            if nearest == before {
                break;
            }
            if let Some(directory) = nearest {
                watcher.watch(directory, RecursiveMode::NonRecursive)?;
            }
            before = nearest;
        }
    }
    Ok(())
}

fn directory(file: &Path) -> Option<&Path> {
    file.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Where a symbolic link points to.
fn target(file: &Path) -> Option<PathBuf> {
    std::fs::read_link(file).ok().and_then(|to| directory(file).map(|directory| directory.join(to)))
}

/// Whether something happened to one of the files or to a directory above one. Reading a file is an event too, and must not
/// lead to reading it again.
fn matters(event: &notify::Event, sought: &Sought) -> bool {
    // the kernel has thrown events away
    if event.need_rescan() {
        return true;
    }
    let is_file = |path: &Path| sought.files.iter().any(|file| file.file_name() == path.file_name());
    let is_inside = |path: &Path| sought.directories.iter().any(|directory| path.parent() == Some(directory));
    let is_above = |path: &Path| sought.files.iter().chain(&sought.directories).any(|file| file.starts_with(path));
    !event.kind.is_access() && event.paths.iter().any(|path| is_file(path) || is_inside(path) || is_above(path))
}
