//! Which changes are kept, and how does one become a row?

use std::collections::VecDeque;

use super::{FilterChange, RulesetChangeRow};
use crate::model::{Text, Timestamp};
use crate::source::file::Roots;
use crate::source::nftables::follow::{Change, Commit};
use crate::source::process::parse;
use crate::source::user::Users;

/// Changes that are kept.
const MOST: usize = 2048;
/// Bytes of their texts.
const MOST_BYTES: usize = 1 << 20;

/// The newest changes.
#[derive(Default)]
pub(super) struct Log {
    rows: VecDeque<RulesetChangeRow>,
    bytes: usize,
    count: u64,
    /// The newest that a reader has had.
    read: u64,
}

/// Who has changed something, as far as that was there to be read.
#[derive(Clone, Default)]
struct Author {
    pid: Option<u64>,
    program: Option<Text>,
    user: Option<Text>,
    command: Option<Text>,
}

impl Log {
    /// Changes that there have been.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Those that are kept, the oldest first, for one who is no reader.
    pub(super) fn kept(&self) -> impl Iterator<Item = &RulesetChangeRow> {
        self.rows.iter()
    }

    /// Those that are kept, the oldest first.
    pub(super) fn rows(&mut self) -> Vec<RulesetChangeRow> {
        self.read = self.count;
        self.rows.iter().cloned().collect()
    }

    /// Keeps a row; gives how many went for it that nobody has read.
    fn push(&mut self, mut row: RulesetChangeRow) -> u64 {
        let mut unread = 0;
        self.count += 1;
        row.seq = self.count;
        self.bytes += weight(&row);
        self.rows.push_back(row);
        while self.rows.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.rows.pop_front() else { break };
            self.bytes -= weight(&oldest);
            unread += u64::from(oldest.seq > self.read);
        }
        unread
    }
}

/// Bytes of the texts of a row.
fn weight(row: &RulesetChangeRow) -> usize {
    let texts = [&row.table, &row.name, &row.command, &row.before, &row.after];
    texts.into_iter().flatten().map(|text| text.len()).sum()
}

/// The same for all rows of one generation.
fn frame(netns: &Text, generation: Option<u32>, author: Author) -> RulesetChangeRow {
    RulesetChangeRow {
        netns: netns.clone(),
        seq: 0,
        time: Timestamp::now(),
        generation: generation.map(u64::from),
        action: FilterChange::Lost,
        part: None,
        family: None,
        table: None,
        name: None,
        handle: None,
        pid: author.pid,
        program: author.program,
        user: author.user,
        command: author.command,
        before: None,
        after: None,
    }
}

/// The rows of a generation; that of its author is read at once.
pub(super) fn rows(netns: &Text, commit: Commit, roots: &Roots, users: &mut Users) -> Vec<RulesetChangeRow> {
    let author = author(&commit, roots, users);
    let frame = frame(netns, Some(commit.generation), author);
    let mut rows: Vec<_> = commit.changes.into_iter().map(|change| row(change, &frame)).collect();
    if commit.left_out > 0 {
        let after = Some(Text::from(format!("{} more changes, beyond those that are kept", commit.left_out)));
        rows.push(RulesetChangeRow { after, ..frame });
    }
    rows
}

/// The row that says that changes were lost.
pub(super) fn lost(netns: &Text, why: &str, generation: Option<u32>) -> RulesetChangeRow {
    let after = Some(Text::from(format!("changes were lost: {why}")));
    RulesetChangeRow { after, ..frame(netns, generation, Author::default()) }
}

/// Takes rows into the log. A row says how many there was no room for before anybody could read them.
pub(super) fn keep(log: &mut Log, rows: Vec<RulesetChangeRow>) {
    let Some(last) = rows.last().map(|row| (row.netns.clone(), row.generation)) else { return };
    let unread: u64 = rows.into_iter().map(|row| log.push(row)).sum();
    if unread > 0 {
        let (netns, generation) = last;
        let why = format!("of {} at once the last {} are kept", unread + log.rows.len() as u64, log.rows.len());
        log.push(lost(&netns, &why, generation.and_then(|number| u32::try_from(number).ok())));
    }
}

fn row(change: Change, frame: &RulesetChangeRow) -> RulesetChangeRow {
    RulesetChangeRow {
        action: change.action.into(),
        part: Some(change.subject.into()),
        family: Some(change.family.into()),
        table: Some(Text::new(&change.table)),
        name: change.name.as_deref().map(Text::new),
        handle: change.handle,
        before: change.before,
        after: change.after,
        ..frame.clone()
    }
}

fn author(commit: &Commit, roots: &Roots, users: &mut Users) -> Author {
    let mut author = Author {
        pid: commit.pid.map(u64::from),
        program: commit.program.as_deref().map(Text::new),
        ..Author::default()
    };
    if let (Some(pid), Some(program)) = (commit.pid, &commit.program)
        && let Some((uid, command)) = process(roots, pid, program)
    {
        users.refresh(&roots.host);
        (author.user, author.command) = (uid.map(|uid| users.name(uid)), command);
    }
    author
}

/// Owner and command line of a process, if it is there and is the one that the kernel has named.
fn process(roots: &Roots, pid: u32, program: &[u8]) -> Option<(Option<u32>, Option<Text>)> {
    /// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`
    const INITIAL: &str = "pid:[4026531836]";
    let read = |file: &str| roots.proc.read(format!("{pid}/{file}")).ok();
    let is_it = || read("comm").is_some_and(|comm| comm.strip_suffix(b"\n") == Some(program));
    let own = rustix::fs::readlink(roots.proc.join("self/ns/pid"), Vec::new()).ok()?;
    if own.as_bytes() != INITIAL.as_bytes() || !is_it() {
        return None;
    }
    let command = read("cmdline").as_deref().and_then(parse::command).map(|command| Text::new(&command));
    let uid = read("status").as_deref().and_then(parse::uid);
    // another process may have had its number by now
    is_it().then_some((uid, command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_changes_go_first_and_numbers_go_on() {
        let mut log = Log::default();
        let row = || lost(&Text::from("host"), "x", None);
        keep(&mut log, (0..MOST + 3).map(|_| row()).collect());
        let rows = log.rows();
        // the row that says so is one more
        assert_eq!((rows.len(), rows[0].seq, log.count()), (MOST, 5, MOST as u64 + 4));
        let told = rows.last().and_then(|row| row.after.clone()).unwrap();
        assert_eq!(told.as_str(), "changes were lost: of 2051 at once the last 2048 are kept");
        // what was read may go
        keep(&mut log, vec![row()]);
        assert_eq!(log.count(), MOST as u64 + 5);
        let long = RulesetChangeRow { after: Some(Text::from("a".repeat(4000))), ..row() };
        keep(&mut log, (0..400).map(|_| long.clone()).collect());
        assert!(log.bytes <= MOST_BYTES && log.rows.len() < 400);
        assert_eq!(log.bytes, log.rows.iter().map(weight).sum::<usize>());
    }

    #[test]
    fn a_process_with_another_name_is_not_taken_for_the_author() {
        let pid = std::process::id();
        assert!(process(&Roots::live(), pid, b"somebody else").is_none());
        let own = std::fs::read(format!("/proc/{pid}/comm")).unwrap();
        let found = process(&Roots::live(), pid, own.trim_ascii_end());
        let initial = std::fs::read_link("/proc/self/ns/pid").unwrap().to_str() == Some("pid:[4026531836]");
        assert_eq!(found.is_some(), initial);
        if let Some((uid, command)) = found {
            assert_eq!(uid, Some(rustix::process::geteuid().as_raw()));
            assert!(command.is_some());
        }
    }
}
