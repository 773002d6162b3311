//! How does what is known of alerts outlive the process, whenever that is killed?
//!
//! A file of two slots: what is new is written into the slot that does not hold the newest, with a digest over all of it. Who
//! is killed, or whose machine loses its power, while it writes leaves the other slot as it was. The file is as large as it
//! will ever be. It is opened by somebody else, so that who writes needs no right to open files.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::model::lock;

/// Bytes of a slot with its head.
pub const SLOT: u64 = 8 << 20;

/// Bytes that can be written down.
pub const ROOM: usize = SLOT as usize - HEAD;

const MAGIC: &[u8; 8] = b"NGALERT1";

/// Bytes before what is written: a magic, a generation, a length, a digest.
const HEAD: usize = 8 + 8 + 8 + 32;

fn digest(generation: u64, length: u64, bytes: &mut impl Read) -> io::Result<[u8; 32]> {
    let mut hash = Sha256::new();
    hash.update(generation.to_le_bytes());
    hash.update(length.to_le_bytes());
    let mut piece = [0; 16 << 10];
    loop {
        match bytes.read(&mut piece)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(piece.get(..read).unwrap_or_default()),
        }
    }
}

/// What a slot holds, and its generation; `None` of one that was never written, or not to its end.
fn slot(file: &mut File, at: u64) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut head = [0; HEAD];
    file.seek(SeekFrom::Start(at * SLOT))?;
    match file.read_exact(&mut head) {
        Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let number = |from: usize| {
        let bytes = head.get(from..from + 8).and_then(|bytes| bytes.try_into().ok()).unwrap_or_default();
        u64::from_le_bytes(bytes)
    };
    let (generation, length) = (number(8), number(16));
    if !head.starts_with(MAGIC) || length > ROOM as u64 {
        return Ok(None);
    }
    // a length that is wrong takes no memory
    let found = digest(generation, length, &mut (&mut *file).take(length))?;
    if head.get(24..).is_none_or(|known| known != found) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(at * SLOT + HEAD as u64))?;
    (&mut *file).take(length).read_to_end(&mut bytes)?;
    Ok(Some((generation, bytes)))
}

/// What was written last, and its generation; nothing of a new file.
fn newest(file: &mut File) -> io::Result<(u64, Vec<u8>)> {
    let slots = [slot(file, 0)?, slot(file, 1)?];
    Ok(slots.into_iter().flatten().max_by_key(|(generation, _)| *generation).unwrap_or_default())
}

fn write(file: &mut File, generation: u64, bytes: &[u8]) -> io::Result<()> {
    let mut whole = Vec::with_capacity(HEAD + bytes.len());
    whole.extend_from_slice(MAGIC);
    whole.extend_from_slice(&generation.to_le_bytes());
    whole.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    whole.extend_from_slice(&digest(generation, bytes.len() as u64, &mut &*bytes)?);
    whole.extend_from_slice(bytes);
    file.seek(SeekFrom::Start(generation % 2 * SLOT))?;
    file.write_all(&whole)?;
    file.sync_data()
}

/// A file that is written by a thread of its own, since a disk may hang.
#[derive(Clone, Debug)]
pub struct Slots(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be written, and its number.
    wanted: Option<(u64, Vec<u8>)>,
    /// Number of what is wanted last, and of what was written last.
    last: u64,
    done: u64,
    error: Option<String>,
    is_over: bool,
}

impl Slots {
    /// Takes a file, and what was written to it last.
    ///
    /// # Errors
    /// It cannot be read, or there is no thread.
    pub fn open(mut file: File) -> io::Result<(Self, Vec<u8>)> {
        let (mut generation, bytes) = newest(&mut file)?;
        let shared = Arc::<Shared>::default();
        let own = Arc::clone(&shared);
        let run = move || {
            while let Some((number, bytes)) = own.next() {
                let written = write(&mut file, generation + 1, &bytes);
                // the slot of one that was not written is the one to try again: the other holds what is known
                generation += u64::from(written.is_ok());
                let mut state = lock(&own.state);
                state.done = number;
                state.error = written.err().map(|cause| cause.to_string());
                own.more.notify_all();
            }
        };
        std::thread::Builder::new().name("alerts-kept".to_owned()).spawn(run)?;
        Ok((Self(shared), bytes))
    }

    /// Writes something down, and waits for that, but not for long.
    ///
    /// # Errors
    /// It was not written, or not yet.
    pub fn save(&self, bytes: Vec<u8>, patience: Duration) -> Result<(), String> {
        let mut state = lock(&self.0.state);
        state.last += 1;
        let number = state.last;
        state.wanted = Some((number, bytes));
        self.0.more.notify_all();
        let waits = |state: &mut State| state.done < number;
        let (state, waited) =
            self.0.more.wait_timeout_while(state, patience, waits).unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            return Err("the disk does not answer".to_owned());
        }
        state.error.clone().map_or(Ok(()), Err)
    }
}

impl Shared {
    /// Waits for something to write; `None` when nobody will come any more.
    fn next(&self) -> Option<(u64, Vec<u8>)> {
        let waits = |state: &mut State| state.wanted.is_none() && !state.is_over;
        let state = self.more.wait_while(lock(&self.state), waits);
        state.unwrap_or_else(PoisonError::into_inner).wanted.take()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        // its thread has one, too
        if Arc::strong_count(&self.0) <= 2 {
            lock(&self.0.state).is_over = true;
            self.0.more.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt as _;

    fn file(path: &std::path::Path) -> File {
        File::options().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    #[test]
    fn what_was_written_last_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts");
        for round in 0..5u8 {
            let (slots, before) = Slots::open(file(&path)).unwrap();
            assert_eq!(before, if round == 0 { Vec::new() } else { vec![round - 1; 1000] });
            for bytes in [vec![99; 5000], vec![round; 1000]] {
                slots.save(bytes, Duration::from_secs(20)).unwrap();
            }
        }
        assert!(std::fs::metadata(&path).unwrap().len() <= 2 * SLOT);
    }

    #[test]
    fn what_could_not_be_written_leaves_what_was_however_often_it_is_tried() {
        use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
        let memory = memfd_create("alerts", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
        let mut one = File::from(memory);
        write(&mut one, 2, b"good").unwrap();
        // a disk without room for the other slot
        fcntl_add_seals(&one, SealFlags::GROW).unwrap();
        let (slots, before) = Slots::open(one.try_clone().unwrap()).unwrap();
        assert_eq!(before, b"good");
        for _ in 0..3 {
            assert!(slots.save(b"more".to_vec(), Duration::from_secs(20)).is_err());
        }
        assert_eq!(newest(&mut one).unwrap(), (2, b"good".to_vec()));
    }

    #[test]
    fn one_that_was_not_written_to_its_end_leaves_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("alerts");
        let mut one = file(&path);
        write(&mut one, 1, &[1; 5000]).unwrap();
        write(&mut one, 2, &[2; 5000]).unwrap();
        assert_eq!(newest(&mut one).unwrap().1, [2; 5000]);
        for at in [0, 8, 16, 24, 60, 4000] {
            write(&mut one, 2, &[2; 5000]).unwrap();
            one.write_all_at(&[0xff; 4], at).unwrap();
            assert_eq!(newest(&mut one).unwrap(), (1, vec![1; 5000]), "{at}");
        }
        std::fs::write(&path, b"something else").unwrap();
        assert_eq!(newest(&mut file(&path)).unwrap(), (0, Vec::new()));
    }
}
