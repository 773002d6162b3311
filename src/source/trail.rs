//! Where is written down what happened, so that it outlives this program?
//!
//! In a file of lines that is only appended to. [`Trail`] knows what is configured and how it goes; nobody waits for it. The
//! [`Pen`] belongs to the thread that writes, which may wait for a disk. When the next line does not fit, the file takes the
//! place of the one before (`.1`), so that both together never have more than twice the bytes. A process that may open no
//! file is handed one, and asks for another when that is full.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Error, kept};
use crate::model::{lock, unit};

/// A file that could not be opened is tried again after so long.
pub const AGAIN: Duration = Duration::from_secs(10);

/// Longest wait for a file that was asked for.
const HANDED: Duration = Duration::from_secs(1);

/// Fewest and most bytes of a file that make sense.
const LIMITS: (u64, u64) = (64 << 10, 1 << 40);

/// `[trail]`: where changes of the packet filter are written down.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Path of the file, from the root on; none if empty.
    pub file: PathBuf,
    /// What it holds at most before it takes the place of `FILE.1`.
    pub size: Size,
}

/// A number of bytes, written like `16MiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Default for Size {
    fn default() -> Self {
        Self(16 << 20)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = unit::parse_as(&text, unit::Unit::Bytes).map_err(serde::de::Error::custom)?;
        if !(LIMITS.0 as f64..=LIMITS.1 as f64).contains(&bytes) {
            return Err(serde::de::Error::custom(format!("size `{text}` is not between 64KiB and 1TiB")));
        }
        Ok(Self(bytes as u64))
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}B", self.0))
    }
}

impl schemars::JsonSchema for Size {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Size".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["16MiB", "1GB"] })
    }
}

/// Asks whoever opens files in place of this process for the next one.
pub type Ask = Box<dyn Fn() + Send + Sync>;

/// What is configured, and how it goes.
#[derive(Default)]
pub struct Trail {
    orders: Mutex<Orders>,
    /// A file was handed.
    handed: Condvar,
}

#[derive(Default)]
struct Orders {
    settings: Settings,
    ask: Option<Ask>,
    hand: Hand,
    /// What was configured or handed is not taken yet.
    fresh: bool,
    fault: Option<Error>,
    /// Lines that are not in the file.
    missed: u64,
    /// When a file is to be opened again.
    due: Option<Instant>,
}

/// What somebody else has opened.
#[derive(Clone, Default)]
enum Hand {
    /// Nothing was heard yet.
    #[default]
    Awaited,
    /// It cannot be opened.
    Refused,
    File(Arc<File>),
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trail").finish_non_exhaustive()
    }
}

impl Trail {
    /// From now on files are not opened but asked for.
    pub fn ask(&self, ask: Ask) {
        lock(&self.orders).ask = Some(ask);
    }

    /// Takes what is configured; the file is opened anew even if it is the same.
    pub fn configure(&self, settings: Settings) {
        let mut orders = lock(&self.orders);
        (orders.settings, orders.hand, orders.fault, orders.fresh) = (settings, Hand::Awaited, None, true);
    }

    /// Takes a file that somebody else has opened; `None` when it cannot be.
    pub fn hand(&self, file: Option<OwnedFd>) {
        let mut orders = lock(&self.orders);
        orders.hand = file.map_or(Hand::Refused, |file| Hand::File(Arc::new(File::from(file))));
        orders.fresh = true;
        drop(orders);
        self.handed.notify_all();
    }

    /// Whether the one who writes should look for a file.
    pub fn is_due(&self) -> bool {
        let orders = lock(&self.orders);
        orders.fresh || orders.due.is_some_and(|due| due <= Instant::now())
    }

    /// Why the file is not whole, or not there; `None` when it is, or is not wanted.
    pub fn fault(&self) -> Option<String> {
        let orders = lock(&self.orders);
        let fault = orders.fault.as_ref()?;
        Some(match orders.missed {
            0 => fault.to_string(),
            1 => format!("{fault}; 1 change is not in it"),
            missed => format!("{fault}; {missed} changes are not in it"),
        })
    }

    /// How it goes from now on.
    fn tell(&self, fault: Option<Error>, due: Option<Instant>) {
        let mut orders = lock(&self.orders);
        (orders.fault, orders.due) = (fault, due);
    }
}

/// What the thread that writes holds.
pub struct Pen {
    trail: Arc<Trail>,
    settings: Settings,
    file: Option<Arc<File>>,
    /// Whether the last line is there in part.
    torn: bool,
    /// Until then nobody is waited for, because nobody has answered.
    alone: Option<Instant>,
}

impl Pen {
    /// One that has no file yet.
    pub fn new(trail: &Arc<Trail>) -> Self {
        let trail = Arc::clone(trail);
        let mut orders = lock(&trail.orders);
        // the one before may have taken them
        orders.fresh = !orders.settings.file.as_os_str().is_empty();
        drop(orders);
        Self { trail, settings: Settings::default(), file: None, torn: false, alone: None }
    }

    /// Whether there is to be a file.
    pub fn is_on(&self) -> bool {
        !self.settings.file.as_os_str().is_empty()
    }

    /// Takes what was configured or handed, and opens what could not be opened before.
    pub fn look(&mut self) {
        if !self.trail.is_due() {
            return;
        }
        let mut orders = lock(&self.trail.orders);
        (orders.fresh, orders.due) = (false, None);
        self.settings.clone_from(&orders.settings);
        let (asks, hand) = (orders.ask.is_some(), orders.hand.clone());
        drop(orders);
        // closed before it is opened again: whoever has it open keeps others out
        self.file = None;
        match hand {
            _ if !self.is_on() => self.trail.tell(None, None),
            _ if !asks => self.adopt(open(&self.settings.file)),
            Hand::Awaited => {}
            Hand::Refused => {
                let cause = io::Error::other("it could not be opened; the log says why");
                self.adopt(Err(Error::new("write", &self.settings.file, cause)));
            }
            Hand::File(file) => {
                (self.file, self.alone, self.torn) = (Some(file), None, false);
                self.trail.tell(None, None);
            }
        }
    }

    fn adopt(&mut self, opened: Result<File, Error>) {
        let due = opened.is_err().then(|| Instant::now() + AGAIN);
        let (file, fault) = match opened {
            Ok(file) => (Some(Arc::new(file)), None),
            // it is whole without this one
            Err(error) if is_taken(&error) => (None, None),
            Err(error) => (None, Some(error)),
        };
        // who opens it ends a line that was cut
        (self.file, self.torn) = (file, false);
        self.trail.tell(fault, due);
    }

    /// Writes a line; before it `gap`, a line about so many that could not be written.
    pub fn write(&mut self, line: &str, gap: impl Fn(u64) -> String) {
        self.look();
        let missed = lock(&self.trail.orders).missed;
        let mut written = if missed > 0 { self.append(&gap(missed)) } else { Ok(true) };
        if let Ok(true) = written {
            written = self.append(line);
        }
        let mut orders = lock(&self.trail.orders);
        match written {
            Ok(true) => orders.fault = None,
            // why there is no file is known
            Ok(false) => {}
            Err(cause) => orders.fault = Some(Error::new("write", &self.settings.file, cause)),
        }
        orders.missed = if orders.fault.is_some() { missed + 1 } else { 0 };
    }

    /// Whether there is a file that the line is in now.
    fn append(&mut self, line: &str) -> io::Result<bool> {
        if self.file.is_none() {
            self.wait(false)?;
        }
        if let Some(file) = &self.file
            && is_over(&file.metadata()?, line.len(), self.settings.size)
        {
            self.turn()?;
        }
        let Some(file) = self.file.clone() else { return Ok(false) };
        let mut file = &*file;
        if self.torn {
            file.write_all(b"\n")?;
        }
        self.torn = true;
        file.write_all(line.as_bytes())?;
        self.torn = false;
        Ok(true)
    }

    /// Gets another file for one that is full or gone.
    fn turn(&mut self) -> io::Result<()> {
        if lock(&self.trail.orders).ask.is_some() {
            return self.wait(true);
        }
        let Some(file) = self.file.take() else { return Ok(()) };
        let full = file.metadata()?;
        drop(file);
        self.adopt(turn(&self.settings.file, &full));
        Ok(())
    }

    /// Waits a moment for a file that somebody else opens, and asks for it if that `asks`.
    fn wait(&mut self, asks: bool) -> io::Result<()> {
        let orders = lock(&self.trail.orders);
        let Some(ask) = orders.ask.as_ref().filter(|_| !matches!(orders.hand, Hand::Refused)) else { return Ok(()) };
        let silence = || io::Error::new(io::ErrorKind::TimedOut, "nobody opens it");
        if self.alone.is_some_and(|until| Instant::now() < until) {
            return Err(silence());
        }
        if asks {
            ask();
        }
        let silent = |orders: &mut Orders| !orders.fresh || matches!(orders.hand, Hand::Awaited);
        let waited = self.trail.handed.wait_timeout_while(orders, HANDED, silent);
        let (orders, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        drop(orders);
        if waited.timed_out() {
            self.alone = Some(Instant::now() + AGAIN);
            return Err(silence());
        }
        self.look();
        Ok(())
    }
}

/// Whether a file is not opened because another process writes it.
fn is_taken(error: &Error) -> bool {
    error.cause.kind() == io::ErrorKind::WouldBlock
}

/// Whether a file has no room for so many bytes more, or is none that anybody could find.
fn is_over(meta: &Metadata, more: usize, most: Size) -> bool {
    let full = meta.len() > 0 && meta.len().saturating_add(more as u64) > most.0;
    full || meta.nlink() == 0
}

/// Opens a file to append lines to it, and makes it if it is not there.
///
/// # Errors
/// It cannot be written, others could write it too, or another process has it.
pub fn open(path: &Path) -> Result<File, Error> {
    opened(path).map_err(|cause| Error::new("write", path, cause))
}

fn opened(path: &Path) -> io::Result<File> {
    // a pipe must not be waited for
    let careful = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | careful;
    let mut file = File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?);
    let meta = file.metadata()?;
    let refused = |why: String| Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    if !meta.is_file() {
        return refused("is not a regular file".to_owned());
    }
    if let Some(why) = kept::others(&meta, 0o022) {
        return refused(why);
    }
    if meta.nlink() != 1 {
        return refused("has more than one name (a hard link)".to_owned());
    }
    // file systems without locks do without
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) == Err(rustix::io::Errno::WOULDBLOCK) {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "another netglance writes it"));
    }
    // what a crash has cut does not spoil the next line
    let mut last = *b"\n";
    let read = |(whole, _): (File, Metadata)| whole.read_exact_at(&mut last, meta.len().saturating_sub(1));
    if meta.len() > 0 && kept::open(path).and_then(read).is_ok() && last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

/// Lets others open a file that is still written.
pub fn release(file: &File) {
    // file systems without locks have none to give up
    let _ = rustix::fs::flock(file, FlockOperation::Unlock);
}

/// Puts the file that is full in the place of the one before, and opens another. One that somebody has moved away stays where
/// it is: what has its name now is another file, and has nothing to do in that place.
///
/// # Errors
/// As [`open`].
pub fn turn(path: &Path, full: &Metadata) -> Result<File, Error> {
    let mut before = path.as_os_str().to_owned();
    before.push(".1");
    let is_here = |meta: Metadata| (meta.dev(), meta.ino()) == (full.dev(), full.ino());
    if std::fs::symlink_metadata(path).is_ok_and(is_here)
        && let Err(cause) = std::fs::rename(path, &before)
    {
        return Err(Error::new("write the next file after", before, cause));
    }
    open(path)
}

/// Whether so much of a file is full that it may make room for another.
pub fn is_full(meta: &Metadata, most: Size) -> bool {
    meta.nlink() == 0 || meta.len() >= most.0 / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_takes_the_place_of_the_one_before_only_while_it_has_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let (path, before) = (dir.path().join("c"), dir.path().join("c.1"));
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let mut file = open(&path).unwrap();
        file.write_all(b"first\n").unwrap();
        let mut next = turn(&path, &file.metadata().unwrap()).unwrap();
        drop(file);
        assert_eq!((read(&before).as_str(), read(&path).as_str()), ("first\n", ""));
        // somebody moves it away and makes another
        next.write_all(b"second\n").unwrap();
        std::fs::rename(&path, &before).unwrap();
        std::fs::write(&path, "").unwrap();
        let mut last = turn(&path, &next.metadata().unwrap()).unwrap();
        last.write_all(b"third\n").unwrap();
        assert_eq!((read(&before).as_str(), read(&path).as_str()), ("second\n", "third\n"));
        // what is in the way is named
        std::fs::remove_file(&before).unwrap();
        std::fs::create_dir_all(before.join("x")).unwrap();
        let error = turn(&path, &last.metadata().unwrap()).unwrap_err();
        assert!(error.to_string().contains("c.1"), "{error}");
    }
}
