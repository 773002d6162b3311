//! How does a line get into the file, and what becomes of those that cannot?
//!
//! The thread that writes may wait for a disk, and for a moment for whoever opens files in place of this process. A line that
//! another netglance writes is not missing; all others that are in no file are counted, and a line says how many there were
//! as soon as there can be one.

use std::fs::{File, Metadata};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::{AGAIN, Hand, Orders, Settings, Size, Trail, is_same, is_taken, open, turn};
use crate::model::lock;
use crate::source::{Error, kept};

/// Longest wait for a file that was asked for.
const HANDED: Duration = Duration::from_secs(1);

/// Bytes of lines of another one that are looked at.
const TAIL: usize = 64 << 10;

/// What the thread that writes holds.
pub struct Pen {
    trail: Arc<Trail>,
    settings: Settings,
    file: Option<Arc<File>>,
    /// The one before, while the next is awaited.
    former: Option<Arc<File>>,
    /// Whether another netglance writes.
    taken: bool,
    /// Whether this is the file of another netglance that has ended, and was not looked at yet.
    inherited: bool,
    /// Whether the file is full and nothing can take its place.
    stuck: bool,
    /// Files that were begun otherwise than because one was full.
    begun: u64,
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
        Self {
            trail,
            settings: Settings::default(),
            file: None,
            former: None,
            taken: false,
            inherited: false,
            stuck: false,
            begun: 0,
            torn: false,
            alone: None,
        }
    }

    /// Whether there is to be a file.
    pub fn is_on(&self) -> bool {
        !self.settings.file.as_os_str().is_empty()
    }

    /// Number of the file that is written, which those that follow when it is full have too; `None` while there is none.
    pub fn begun(&self) -> Option<u64> {
        self.file.as_ref().filter(|_| !self.stuck).map(|_| self.begun)
    }

    /// Takes what was configured or handed, and tries again what could not be done before.
    pub fn look(&mut self) {
        if !self.trail.is_due() {
            return;
        }
        let mut orders = lock(&self.trail.orders);
        let fresh = orders.fresh;
        (orders.fresh, orders.due) = (false, None);
        self.settings.clone_from(&orders.settings);
        let (asks, hand) = (orders.ask.is_some(), orders.hand.clone());
        if !self.is_on() {
            (orders.fault, orders.missed, orders.told) = (None, 0, false);
            drop(orders);
            (self.file, self.former, self.taken, self.stuck) = (None, None, false, false);
            return;
        }
        drop(orders);
        match hand {
            _ if !asks && self.stuck && !fresh => self.turn_here(),
            // what could not be written is written by who is asked to
            _ if !fresh && self.file.is_some() => {}
            _ if !asks => {
                let held = self.file.take().or(self.former.take());
                let opened = open(&self.settings.file, held.as_deref());
                self.former = held;
                self.adopt(opened.map(Arc::new));
            }
            Hand::Awaited => {
                self.former = self.file.take().or(self.former.take());
                (self.taken, self.stuck) = (false, false);
            }
            Hand::Refused => {
                let cause = io::Error::other("it could not be opened; the log says why");
                self.adopt(Err(Error::new("write", &self.settings.file, cause)));
            }
            Hand::Taken => {
                let cause = io::Error::from(io::ErrorKind::WouldBlock);
                self.adopt(Err(Error::new("write", &self.settings.file, cause)));
            }
            Hand::File(file) => self.adopt(Ok(file)),
        }
    }

    /// Goes on with a file, or without one.
    fn adopt(&mut self, opened: Result<Arc<File>, Error>) {
        let former = self.file.take().or(self.former.take());
        (self.stuck, self.inherited) = (false, self.taken && opened.is_ok());
        self.taken = opened.as_ref().is_err_and(is_taken);
        let mut orders = lock(&self.trail.orders);
        match opened {
            Ok(file) => {
                let goes_on = former.is_some_and(|former| is_same(&former, &file));
                if !goes_on || file.metadata().is_ok_and(|meta| meta.len() == 0) {
                    // who opens it ends a line that was cut
                    (self.begun, self.torn) = (self.begun + 1, false);
                }
                (self.file, self.alone, orders.fault) = (Some(file), None, None);
            }
            Err(error) => {
                let asks = orders.ask.is_some();
                // somebody else tries again what he opens
                orders.due = (!asks).then(|| Instant::now() + AGAIN);
                if self.taken {
                    // it is whole without this one
                    orders.fault = None;
                } else {
                    orders.fail(error, asks);
                }
            }
        }
    }

    /// Gets the file for what is to be written now: one that was configured a moment ago, or, if this is the `first` of what
    /// belongs together, one that another netglance may have given up.
    pub fn reach(&mut self, first: bool) {
        self.look();
        if self.file.is_some() {
            return;
        }
        if self.taken && first {
            let asks = lock(&self.trail.orders).ask.is_some();
            if asks {
                self.wait(true);
            } else {
                self.adopt(open(&self.settings.file, None).map(Arc::new));
            }
        } else if !self.taken {
            self.wait(false);
        }
    }

    /// The last lines that another netglance has written, once when it has ended and this one goes on.
    pub fn inherited(&mut self) -> Option<String> {
        if !std::mem::take(&mut self.inherited) {
            return None;
        }
        let (file, meta) = kept::open(&self.settings.file).ok()?;
        let mut tail = vec![0; TAIL.min(usize::try_from(meta.len()).ok()?)];
        let begin = meta.len() - tail.len() as u64;
        file.read_exact_at(&mut tail, begin).ok()?;
        Some(String::from_utf8_lossy(&tail).into_owned())
    }

    /// Writes a line about a change; before it `gap`, a line about so many that could not be written.
    pub fn write(&mut self, line: &str, gap: impl Fn(u64) -> String) {
        if self.mark(line, gap) {
            return;
        }
        let mut orders = lock(&self.trail.orders);
        if orders.fault.is_some() {
            orders.missed += 1;
        }
    }

    /// Writes a line that is no change; whether it is there now.
    pub fn mark(&mut self, line: &str, gap: impl Fn(u64) -> String) -> bool {
        self.mend(gap) && self.put(line, 0)
    }

    /// Writes `gap`, a line about so many changes that could not be written, if there are any; whether none is left.
    pub fn mend(&mut self, gap: impl Fn(u64) -> String) -> bool {
        let missed = lock(&self.trail.orders).missed;
        missed == 0 || self.put(&gap(missed), missed)
    }

    /// Puts a line into the file, one that tells of so many that are `missed`; whether it is there now.
    fn put(&mut self, line: &str, missed: u64) -> bool {
        match self.append(line) {
            Ok(there) => {
                if there {
                    lock(&self.trail.orders).mend(missed);
                }
                there
            }
            Err(cause) => {
                let mut orders = lock(&self.trail.orders);
                orders.due = Some(Instant::now() + AGAIN);
                orders.fail(Error::new("write", &self.settings.file, cause), false);
                false
            }
        }
    }

    /// Whether there is a file that the line is in now. Where there is none it is known why.
    fn append(&mut self, line: &str) -> io::Result<bool> {
        if let Some(file) = self.file.as_ref().filter(|_| !self.stuck) {
            let meta = file.metadata()?;
            if is_over(&meta, line.len(), self.settings.size) && !self.turn(meta.nlink() == 0) {
                return Ok(false);
            }
        }
        let Some(file) = self.file.clone().filter(|_| !self.stuck) else { return Ok(false) };
        let mut file = &*file;
        if self.torn {
            file.write_all(b"\n")?;
        }
        self.torn = true;
        file.write_all(line.as_bytes())?;
        self.torn = false;
        Ok(true)
    }

    /// Gets another file for one that is full or gone; whether it is known what became of it.
    fn turn(&mut self, gone: bool) -> bool {
        let (begun, settings) = (self.begun, self.settings.clone());
        let asks = lock(&self.trail.orders).ask.is_some();
        let known = !asks || self.wait(true);
        if !asks {
            self.turn_here();
        }
        if !gone && self.settings == settings {
            self.begun = begun;
        }
        known
    }

    fn turn_here(&mut self) {
        let Some(file) = self.file.clone() else { return };
        match turn(&self.settings.file, &file) {
            Err(error) if !is_taken(&error) => {
                self.stuck = true;
                let mut orders = lock(&self.trail.orders);
                orders.due = Some(Instant::now() + AGAIN);
                orders.fail(error, false);
            }
            turned => self.adopt(turned.map(Arc::new)),
        }
    }

    /// Waits a moment for a file that somebody else opens, and asks for it if that `asks`; whether there is an answer.
    fn wait(&mut self, asks: bool) -> bool {
        let orders = lock(&self.trail.orders);
        let Some(ask) = orders.ask.as_ref().filter(|_| !matches!(orders.hand, Hand::Refused)) else { return true };
        if self.alone.is_none_or(|until| until <= Instant::now()) {
            if asks {
                ask();
            }
            let silent = |orders: &mut Orders| !orders.fresh || matches!(orders.hand, Hand::Awaited);
            let waited = self.trail.handed.wait_timeout_while(orders, HANDED, silent);
            let (orders, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            drop(orders);
            if !waited.timed_out() {
                self.look();
                return true;
            }
            self.alone = Some(Instant::now() + AGAIN);
        } else {
            drop(orders);
        }
        let cause = io::Error::new(io::ErrorKind::TimedOut, "nobody opens it");
        let mut orders = lock(&self.trail.orders);
        orders.due = Some(Instant::now() + AGAIN);
        orders.fail(Error::new("write", &self.settings.file, cause), false);
        false
    }
}

/// Whether a file has no room for so many bytes more, or is none that anybody could find.
fn is_over(meta: &Metadata, more: usize, most: Size) -> bool {
    let full = meta.len() > 0 && meta.len().saturating_add(more as u64) > most.0;
    full || meta.nlink() == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::trail::News;
    use std::path::Path;
    use std::sync::{Mutex, mpsc};

    fn gap(missed: u64) -> String {
        format!("lost {missed}\n")
    }

    fn pen(file: &Path) -> (Arc<Trail>, Pen) {
        let trail = Arc::new(Trail::default());
        trail.configure(Settings { file: file.to_owned(), size: Size(64) });
        let mut pen = Pen::new(&trail);
        pen.look();
        (trail, pen)
    }

    /// As if the time had come to try again.
    fn hurry(trail: &Trail) {
        lock(&trail.orders).due = Some(Instant::now());
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    /// A change that the pen hears.
    fn write(pen: &mut Pen, line: &str) {
        pen.reach(true);
        pen.write(line, gap);
    }

    #[test]
    fn what_another_one_writes_is_not_missing_and_when_that_ends_nothing_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        let (_, mut one) = pen(&path);
        let (trail, mut two) = pen(&path);
        write(&mut one, "a\n");
        write(&mut two, "a\n");
        assert_eq!((text(&path).as_str(), two.begun(), trail.fault()), ("a\n", None, None));
        // what is configured again stays in its hands
        one.trail.configure(one.settings.clone());
        one.look();
        write(&mut two, "b\n");
        write(&mut one, "b\n");
        drop(one);
        write(&mut two, "c\n");
        assert_eq!((text(&path).as_str(), two.begun(), trail.fault()), ("a\nb\nc\n", Some(1), None));
        assert_eq!((two.inherited().as_deref(), two.inherited()), (Some("a\nb\nc\n"), None));
    }

    #[test]
    fn one_who_opens_no_files_asks_for_what_another_one_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        let (trail, mut pen) = pen(&dir.path().join("unused"));
        let (ask, asked) = mpsc::channel::<()>();
        trail.ask(Box::new(move || ask.send(()).unwrap()));
        trail.hand(Hand::Taken);
        let (other, place) = (&trail, &path);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                asked.recv().unwrap();
                other.hand(Hand::Taken);
                asked.recv().unwrap();
                other.hand(Hand::File(Arc::new(open(place, None).unwrap())));
            });
            write(&mut pen, "a\n");
            assert_eq!((pen.begun(), trail.fault()), (None, None));
            // of what belongs together the first one asks
            pen.reach(false);
            pen.write("a\n", gap);
            write(&mut pen, "b\n");
        });
        assert_eq!((text(&path).as_str(), trail.fault()), ("b\n", None));
        // what is refused is missing
        trail.hand(Hand::Refused);
        write(&mut pen, "c\n");
        assert!(trail.fault().unwrap().ends_with("the log says why; 1 change is not in it"), "{:?}", trail.fault());
        trail.hand(Hand::Taken);
        pen.look();
        pen.write("d\n", gap);
        assert!(trail.fault().unwrap().ends_with(": 1 change is not in it"), "{:?}", trail.fault());
    }

    #[test]
    fn what_has_no_room_is_counted_told_once_and_goes_on_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let (path, before) = (dir.path().join("c"), dir.path().join("c.1"));
        std::fs::create_dir_all(before.join("x")).unwrap();
        let (trail, mut pen) = pen(&path);
        let news = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&news);
        trail.tell(Box::new(move |news| lock(&told).push(news.clone())));
        let line = format!("{}\n", "x".repeat(40));
        for _ in 0..4 {
            write(&mut pen, &line);
        }
        assert!(!pen.mark("watched\n", gap), "there is no room");
        let fault = trail.fault().unwrap();
        assert!(fault.contains("c.1") && fault.ends_with("; 3 changes are not in it"), "{fault}");
        hurry(&trail);
        pen.look();
        assert_eq!((text(&path), trail.fault()), (line.clone(), Some(fault)));
        std::fs::remove_dir_all(&before).unwrap();
        hurry(&trail);
        pen.look();
        assert!(trail.fault().unwrap().ends_with("c: 3 changes are not in it"), "{:?}", trail.fault());
        assert!(pen.mend(gap));
        assert_eq!((text(&before), text(&path).as_str(), trail.fault()), (line, "lost 3\n", None));
        let news = lock(&news);
        assert!(matches!(&news[..], [News::Broken(_), News::Mended(file, 3)] if *file == path), "{news:?}");
    }

    #[test]
    fn what_is_missing_stays_so_until_a_line_says_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("place/c");
        let (trail, mut pen) = pen(&path);
        write(&mut pen, "a\n");
        write(&mut pen, "b\n");
        assert!(trail.fault().unwrap().contains("No such file"), "{:?}", trail.fault());
        std::fs::create_dir(dir.path().join("place")).unwrap();
        hurry(&trail);
        pen.look();
        assert!(trail.fault().unwrap().ends_with("place/c: 2 changes are not in it"), "{:?}", trail.fault());
        write(&mut pen, "c\n");
        assert_eq!((text(&path).as_str(), trail.fault()), ("lost 2\nc\n", None));
    }

    #[test]
    fn a_file_is_begun_when_it_is_another_one_and_not_for_want_of_room() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c");
        let (trail, mut pen) = pen(&path);
        let again = |pen: &mut Pen| {
            trail.configure(pen.settings.clone());
            pen.look();
            pen.begun()
        };
        write(&mut pen, "a\n");
        assert_eq!(again(&mut pen), Some(1), "it is the same");
        write(&mut pen, &"x".repeat(63));
        assert_eq!((pen.begun(), text(&dir.path().join("c.1")).as_str()), (Some(1), "a\n"));
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        assert_eq!(again(&mut pen), Some(2));
        write(&mut pen, "b\n");
        std::fs::remove_file(&path).unwrap();
        write(&mut pen, "c\n");
        assert_eq!((pen.begun(), text(&path).as_str()), (Some(3), "c\n"));
        // as `copytruncate` of logrotate does it
        std::fs::write(&path, "").unwrap();
        assert_eq!(again(&mut pen), Some(4));
    }
}
