//! What does one process hold: open files, environment, limits, threads?
//!
//! Each is read only while somebody looks at that process, because each costs several system calls per entry.

use std::os::unix::ffi::OsStrExt;

use super::parse::{self, Stat};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::file::Root;

/// Open files, variables and threads that are read of one process at most; more is an error, not a cut.
pub const MAX_ENTRIES: usize = 128 << 10;

/// An open file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenFile {
    /// Descriptor.
    pub fd: u32,
    /// What the link names, raw: a path, `socket:[inode]`, `pipe:[inode]`, `anon_inode:...`.
    pub target: Vec<u8>,
    /// Open flags, `None` when `fdinfo` cannot be read.
    pub flags: Option<u32>,
    /// Offset of the next read or write.
    pub position: Option<u64>,
}

/// Lists the open files of a process, smallest descriptor first.
///
/// # Errors
/// The process is gone, or belongs to another user.
pub fn files(proc: &Root, pid: u32) -> Result<Vec<OpenFile>, Error> {
    let mut files = Vec::new();
    for fd in numbers(proc, &format!("{pid}/fd"))? {
        let link = proc.join(format!("{pid}/fd/{fd}"));
        let target = match std::fs::read_link(&link).map_err(|cause| Error::new("read", link, cause)) {
            Ok(target) => target,
            // root without CAP_SYS_PTRACE may list them and no more
            Err(error) if error.is_denied() => return Err(error),
            // closed since it was listed
            Err(_) => continue,
        };
        let info = proc.read(format!("{pid}/fdinfo/{fd}")).ok();
        let flags = info.as_deref().and_then(|info| octal(parse::field(info, b"flags:")?));
        let position = info.as_deref().and_then(|info| parse::number(parse::field(info, b"pos:")?));
        files.push(OpenFile { fd, target: target.as_os_str().as_bytes().to_vec(), flags, position });
    }
    Ok(files)
}

/// Numbers that a directory lists, sorted.
fn numbers(proc: &Root, path: &str) -> Result<Vec<u32>, Error> {
    let names = proc.list(path)?;
    let parsed = names.iter().filter_map(|name| u32::try_from(parse::number(name.as_bytes())?).ok());
    let mut numbers: Vec<_> = parsed.collect();
    numbers.sort_unstable();
    if numbers.len() > MAX_ENTRIES {
        return Err(Error::new("list", proc.join(path), std::io::Error::from_raw_os_error(libc::EFBIG)));
    }
    Ok(numbers)
}

fn octal(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// A variable of an environment, raw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// What stands before the first `=`.
    pub name: Vec<u8>,
    /// What stands behind it; empty for an entry without `=`.
    pub value: Vec<u8>,
}

/// The environment a process was started with, in its order.
///
/// # Errors
/// The process is gone, or belongs to another user.
pub fn environment(proc: &Root, pid: u32) -> Result<Vec<Variable>, Error> {
    let path = format!("{pid}/environ");
    let variables = variables(&proc.read(&path)?);
    if variables.left_out() > 0 {
        return Err(Error::new("read", proc.join(path), std::io::Error::from_raw_os_error(libc::EFBIG)));
    }
    Ok(variables.into_kept())
}

fn variables(environ: &[u8]) -> Bounded<Variable> {
    let mut found = Bounded::new(MAX_ENTRIES);
    found.extend(environ.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=').unwrap_or(entry.len());
        Variable { name: entry.iter().take(at).copied().collect(), value: entry.iter().skip(at + 1).copied().collect() }
    }));
    found
}

/// A resource limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Name as the kernel writes it.
    pub name: Vec<u8>,
    /// Where the process is stopped; `None` is unlimited.
    pub soft: Option<u64>,
    /// How far it may raise that; `None` is unlimited.
    pub hard: Option<u64>,
    /// What is counted; empty for a bare number.
    pub unit: Vec<u8>,
}

/// Reads the resource limits of a process.
///
/// # Errors
/// The process is gone, or belongs to another user.
pub fn limits(proc: &Root, pid: u32) -> Result<Vec<Limit>, Error> {
    Ok(limit_lines(&proc.read(format!("{pid}/limits"))?))
}

/// The kernel prints `%-25s %-20s %-20s %-10s`: columns of fixed width, because names hold spaces.
fn limit_lines(text: &[u8]) -> Vec<Limit> {
    let value = |column: &[u8]| match column.trim_ascii() {
        b"unlimited" => Some(None),
        digits => parse::number(digits).map(Some),
    };
    let lines = text.split(|byte| *byte == b'\n').skip(1);
    lines
        .filter_map(|line| {
            let (name, rest) = line.split_at_checked(26)?;
            let (soft, rest) = rest.split_at_checked(21)?;
            let (hard, unit) = rest.split_at_checked(rest.len().min(21))?;
            Some(Limit {
                name: name.trim_ascii().to_vec(),
                soft: value(soft)?,
                hard: value(hard)?,
                unit: unit.trim_ascii().to_vec(),
            })
        })
        .collect()
}

/// Reads `stat` of each thread of a process, the main thread first.
///
/// # Errors
/// The process is gone.
pub fn threads(proc: &Root, pid: u32) -> Result<Vec<Stat>, Error> {
    let mut threads = Vec::new();
    let mut buffer = Vec::new();
    for tid in numbers(proc, &format!("{pid}/task"))? {
        // ended since it was listed
        if proc.read_into(format!("{pid}/task/{tid}/stat"), &mut buffer).is_ok() {
            threads.extend(parse::stat(&buffer));
        }
    }
    Ok(threads)
}

/// Bytes of a process shared out among all who map them, from `smaps_rollup`.
///
/// # Errors
/// The process is gone, or belongs to another user.
pub fn proportional(proc: &Root, pid: u32) -> Result<Option<u64>, Error> {
    Ok(parse::kibibytes(&proc.read(format!("{pid}/smaps_rollup"))?, b"Pss:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_this_process_hold_one_that_it_has_open() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let proc = Root::new("/proc");
        let files = files(&proc, std::process::id()).unwrap();
        let path = file.path().as_os_str().as_bytes();
        let found = files.iter().find(|open| open.target == path).unwrap();
        assert_eq!(found.flags.map(|flags| flags & 3), Some(2), "opened for reading and writing");
        assert_eq!(found.position, Some(0));
        assert!(files.is_sorted_by_key(|open| open.fd));
    }

    #[test]
    fn limits_agree_with_the_system_call() {
        let limits = limits(&Root::new("/proc"), std::process::id()).unwrap();
        let files = limits.iter().find(|limit| limit.name == b"Max open files").unwrap();
        let want = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        assert_eq!(files.hard, want.maximum);
        assert_eq!(files.unit, b"files");
        assert_eq!(limits.len(), 16);
    }

    #[test]
    fn values_keep_their_equal_signs_and_odd_entries_are_names() {
        let got = variables(b"A=b=c\0\0ODD\0E=\0").into_kept();
        let got: Vec<_> = got.iter().map(|entry| (&*entry.name, &*entry.value)).collect();
        assert_eq!(got, [(b"A".as_slice(), b"b=c".as_slice()), (b"ODD", b""), (b"E", b"")]);
    }

    #[test]
    fn an_environment_of_too_many_variables_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("7")).unwrap();
        let proc = Root::new(dir.path());
        for (count, fits) in [(MAX_ENTRIES, true), (MAX_ENTRIES + 1, false)] {
            std::fs::write(dir.path().join("7/environ"), b"a\0".repeat(count)).unwrap();
            let answer = environment(&proc, 7).map(|all| all.len()).map_err(|error| error.cause.raw_os_error());
            assert_eq!(answer, if fits { Ok(count) } else { Err(Some(libc::EFBIG)) });
        }
    }

    #[test]
    fn threads_are_listed_by_name() {
        let (stop, wait) = std::sync::mpsc::channel::<()>();
        let (up, ready) = std::sync::mpsc::channel();
        let worker = std::thread::Builder::new().name("ng) worker".into()).spawn(move || {
            up.send(()).unwrap();
            wait.recv().unwrap_err();
        });
        ready.recv().unwrap();
        let threads = threads(&Root::new("/proc"), std::process::id()).unwrap();
        drop(stop);
        worker.unwrap().join().unwrap();
        assert_eq!(threads.iter().filter(|thread| thread.comm.as_bytes() == b"ng) worker").count(), 1);
    }

    #[test]
    fn own_memory_is_shared_out() {
        assert!(proportional(&Root::new("/proc"), std::process::id()).unwrap().unwrap() > 0);
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = (variables(&bytes), limit_lines(&bytes), octal(&bytes));
        }
    }
}
