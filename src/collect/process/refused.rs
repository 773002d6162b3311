//! Which processes may this user not look into?

use crate::collect::Skip;
use crate::source::Error;

/// What is said when the others are not even listed.
pub(super) fn hidden() -> Skip {
    Skip::denied("list /proc: processes of other users are hidden (hidepid)")
        .hint("run as root, grant CAP_SYS_PTRACE, or join the group that the mount option gid= names")
}

/// Processes of which something may not be read.
#[derive(Default)]
pub(super) struct Refused {
    first: Option<Error>,
    processes: u64,
    last: u32,
}

impl Refused {
    /// Takes note of a file that could not be read; only a refusal counts.
    pub(super) fn note(&mut self, pid: u32, error: Error) {
        if error.is_denied() {
            self.processes += u64::from(self.last != pid);
            self.last = pid;
            self.first.get_or_insert(error);
        }
    }

    /// What is said of them, `None` when all could be read.
    pub(super) fn skip(self) -> Option<Skip> {
        let refusal = Refusal { first: self.first?, others: self.processes.saturating_sub(1) };
        Some(Skip::denied(refusal).hint("processes of other users: run as root, or grant CAP_SYS_PTRACE"))
    }
}

fn more(others: u64) -> String {
    if others == 0 { String::new() } else { format!(", and {others} more processes") }
}

/// One process that may not be read, and how many more.
#[derive(Debug, thiserror::Error)]
#[error("{first}{more}", more = more(*.others))]
struct Refusal {
    #[source]
    first: Error,
    others: u64,
}
