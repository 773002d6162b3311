//! Where is written down what happened, so that it outlives this program?
//!
//! In a file of lines that is only appended to. [`Trail`] knows what is configured and how it goes; nobody waits for it. The
//! [`Pen`] belongs to the thread that writes, which may wait for a disk. When the next line does not fit, the file takes the
//! place of the one before (`.1`), so that both together never have more than twice the bytes. A process that may open no
//! file is handed one, and asks for another when that is full.

mod pen;

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use self::pen::Pen;
use super::{Error, kept};
use crate::model::{lock, unit};

/// A file that could not be opened is tried again after so long.
pub const AGAIN: Duration = Duration::from_secs(10);

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

/// Takes what is to be said of the file when that changes.
pub type Tell = Box<dyn Fn(&News) + Send + Sync>;

/// What is to be said of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// From now on changes are not in it, for this reason.
    Broken(String),
    /// From now on they are again, and so many that came before are not.
    Mended(PathBuf, u64),
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => write!(f, "no changes are written down: {why}"),
            Self::Mended(path, missed) => {
                let path = path.display();
                write!(f, "changes of the packet filter are written to {path} again; {}", NotIn(*missed))
            }
        }
    }
}

/// How many changes a file lacks.
struct NotIn(u64);

impl fmt::Display for NotIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("1 change is not in it"),
            missed => write!(f, "{missed} changes are not in it"),
        }
    }
}

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
    tell: Option<Tell>,
    hand: Hand,
    /// What was configured or handed is not taken yet.
    fresh: bool,
    fault: Option<Error>,
    /// Changes that are in no file, of which no line says so yet.
    missed: u64,
    /// When it is looked at again.
    due: Option<Instant>,
    /// Whether it was said that something is wrong.
    told: bool,
    /// Until then it is not said again: a disk may be full and not full in turns.
    hush: Option<Instant>,
}

/// What somebody else has opened.
#[derive(Clone, Debug, Default)]
pub enum Hand {
    /// Nothing was heard yet.
    #[default]
    Awaited,
    /// It cannot be opened.
    Refused,
    /// Another netglance writes it.
    Taken,
    /// It is open.
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

    /// From now on it is said when writing begins to fail, and when that is over.
    pub fn tell(&self, tell: Tell) {
        lock(&self.orders).tell = Some(tell);
    }

    /// Takes what is configured; the file is opened anew unless it is the same.
    pub fn configure(&self, settings: Settings) {
        let mut orders = lock(&self.orders);
        (orders.settings, orders.hand, orders.fault, orders.fresh) = (settings, Hand::Awaited, None, true);
    }

    /// Takes what somebody else has opened, or hears why there is none.
    pub fn hand(&self, hand: Hand) {
        let mut orders = lock(&self.orders);
        (orders.hand, orders.fresh) = (hand, true);
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
        match (&orders.fault, orders.missed) {
            (None, 0) => None,
            (None, missed) => Some(format!("{}: {}", orders.settings.file.display(), NotIn(missed))),
            (Some(fault), 0) => Some(fault.to_string()),
            (Some(fault), missed) => Some(format!("{fault}; {}", NotIn(missed))),
        }
    }
}

impl Orders {
    /// Something is wrong from now on. What somebody else `says` need not be said again.
    fn fail(&mut self, fault: Error, says: bool) {
        let hushed = says || self.told || self.hush.is_some_and(|until| Instant::now() < until);
        if let Some(tell) = self.tell.as_ref().filter(|_| !hushed) {
            tell(&News::Broken(fault.to_string()));
            self.told = true;
        }
        self.fault = Some(fault);
    }

    /// Everything is written from now on. So many changes are not, and a line says so.
    fn mend(&mut self, missed: u64) {
        let hushed = self.hush.is_some_and(|until| Instant::now() < until);
        if let Some(tell) = self.tell.as_ref().filter(|_| self.told || missed > 0 && !hushed) {
            tell(&News::Mended(self.settings.file.clone(), missed));
            self.hush = Some(Instant::now() + AGAIN);
        }
        self.missed = self.missed.saturating_sub(missed);
        (self.fault, self.due, self.told) = (None, None, false);
    }
}

/// Whether a file is not opened because another process writes it.
pub fn is_taken(error: &Error) -> bool {
    error.cause.kind() == io::ErrorKind::WouldBlock
}

/// Opens a file to append lines to it, and makes it if it is not there. One that is `held` already goes on: who gave it up to
/// open it again could find that somebody else has it.
///
/// # Errors
/// It cannot be written, others could write it too, or another process has it ([`is_taken`]).
pub fn open(path: &Path, held: Option<&File>) -> Result<File, Error> {
    opened(path, held).map_err(|cause| Error::new("write", path, cause))
}

fn opened(path: &Path, held: Option<&File>) -> io::Result<File> {
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
    if let Some(held) = held.filter(|held| is_same(held, &file)) {
        return held.try_clone();
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

/// Whether both are one file.
fn is_same(one: &File, other: &File) -> bool {
    one.metadata().is_ok_and(|one| other.metadata().is_ok_and(|other| id(&one) == id(&other)))
}

fn id(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// Puts the file that is full in the place of the one before, and opens another. One that somebody has moved away stays where
/// it is: what has its name now is another file, and has nothing to do in that place. What has failed can be tried again.
///
/// # Errors
/// As [`open`].
pub fn turn(path: &Path, full: &File) -> Result<File, Error> {
    let mut before = path.as_os_str().to_owned();
    before.push(".1");
    let is_here = |meta: Metadata| full.metadata().is_ok_and(|full| id(&full) == id(&meta));
    if std::fs::symlink_metadata(path).is_ok_and(is_here)
        && let Err(cause) = std::fs::rename(path, &before)
    {
        return Err(Error::new("write the next file after", before, cause));
    }
    open(path, None)
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
        let mut file = open(&path, None).unwrap();
        file.write_all(b"first\n").unwrap();
        let mut next = turn(&path, &file).unwrap();
        drop(file);
        assert_eq!((read(&before).as_str(), read(&path).as_str()), ("first\n", ""));
        // somebody moves it away and makes another
        next.write_all(b"second\n").unwrap();
        std::fs::rename(&path, &before).unwrap();
        std::fs::write(&path, "").unwrap();
        let mut last = turn(&path, &next).unwrap();
        last.write_all(b"third\n").unwrap();
        assert_eq!((read(&before).as_str(), read(&path).as_str()), ("second\n", "third\n"));
        // what is in the way is named
        std::fs::remove_file(&before).unwrap();
        std::fs::create_dir_all(before.join("x")).unwrap();
        let error = turn(&path, &last).unwrap_err();
        assert!(error.to_string().contains("c.1"), "{error}");
    }
}
