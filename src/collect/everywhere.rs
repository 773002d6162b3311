//! How do tables come about that are read in every network namespace while somebody looks?
//!
//! [`Everywhere`] keeps what is open in each namespace, [`Portion`] the rows of one table with what is to be said about them.
//! One collector may have several such tables: each says by itself why it has no rows.

use super::{Batch, Cx, Skip};
use crate::model::{Row, Text};
use crate::source::Error;
use crate::source::netlink::Changing;
use crate::source::netns::{self, Rooms, Troubles};

/// What a collector keeps open in each network namespace that is read. To open it in the own one is cheap, so that it is kept
/// there only by those who must: descriptors may be few.
pub(super) struct Everywhere<T> {
    /// Dropped after an error, so that the next sample starts with a fresh one.
    own: Option<T>,
    others: Rooms<T>,
}

impl<T> Default for Everywhere<T> {
    fn default() -> Self {
        Self { own: None, others: Rooms::default() }
    }
}

impl<T: Send + 'static> Everywhere<T> {
    /// Calls `read` for each namespace with its name and what `open` has opened there, in others once; returns which others
    /// could not be read.
    ///
    /// # Errors
    /// The own one could not.
    pub(super) fn read(
        &mut self,
        cx: &Cx<'_>,
        open: fn() -> Result<T, Error>,
        read: impl FnMut(&Text, &mut T) -> Result<(), Error>,
    ) -> Result<Troubles, Error> {
        let troubles = self.follow(cx, open, read);
        self.own = None;
        troubles
    }

    /// The same with what was opened once in the own namespace, too.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn follow(
        &mut self,
        cx: &Cx<'_>,
        open: fn() -> Result<T, Error>,
        mut read: impl FnMut(&Text, &mut T) -> Result<(), Error>,
    ) -> Result<Troubles, Error> {
        if cx.roots.netns.has_host() {
            let mut own = self.own.take().map_or_else(open, Ok)?;
            read(&netns::host(), &mut own)?;
            self.own = Some(own);
        }
        Ok(self.others.read(&cx.roots.netns, open, read))
    }

    /// Closes all of it.
    pub(super) fn close(&mut self) {
        *self = Self::default();
    }
}

/// The rows of one table that is wanted, and why there are none somewhere.
pub(super) struct Portion<R> {
    rows: Vec<R>,
    /// Rows that there is room for, in all namespaces together.
    most: usize,
    left_out: usize,
    error: Option<Error>,
}

impl<R: Row> Portion<R> {
    /// Of a table that somebody looks at.
    pub(super) fn of(cx: &Cx<'_>, most: usize) -> Option<Self> {
        cx.wants.table(R::TABLE).map(|_| Self { rows: Vec::new(), most, left_out: 0, error: None })
    }

    /// Takes the rows of a namespace, and how many more there are. What is not there or not for this user is told with the
    /// table, and so is a table that changes all the time; after any other error nothing more is read from the same place.
    pub(super) fn add(
        portion: &mut Option<Self>,
        take: impl FnOnce() -> Result<(Vec<R>, usize), Error>,
    ) -> Result<(), Error> {
        let Some(portion) = portion else { return Ok(()) };
        match take() {
            Ok((mut rows, left_out)) => {
                let room = portion.most.saturating_sub(portion.rows.len());
                portion.left_out += left_out + rows.len().saturating_sub(room);
                rows.truncate(room);
                portion.rows.append(&mut rows);
            }
            Err(error) if is_lacking(&error) || error.is_denied() || Changing::is_cause_of(&error) => {
                portion.error.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The rows, to be completed.
    pub(super) fn rows_mut(&mut self) -> &mut [R] {
        &mut self.rows
    }

    /// Publishes it; `lack` is what to do where the kernel has no such thing.
    pub(super) fn tell(
        self,
        cx: &Cx<'_>,
        out: &mut Batch,
        troubles: &Troubles,
        lack: &'static str,
    ) -> Result<(), Skip> {
        if let Some(error) = self.error {
            let (is_lacking, is_denied) = (is_lacking(&error), error.is_denied());
            let skip = if is_lacking { Skip::absent(error) } else { Skip::from(error) };
            let skip = match (is_lacking, is_denied) {
                (true, _) => skip.hint(lack),
                (_, true) => skip.hint("run as root, or grant CAP_NET_ADMIN and CAP_DAC_READ_SEARCH"),
                _ => skip,
            };
            if self.rows.is_empty() {
                out.skip(R::TABLE, &skip);
                return Ok(());
            }
            out.partly(R::TABLE, &skip);
        }
        out.left_out(R::TABLE, self.left_out, self.most, "of them");
        out.push_netns(cx, self.rows, troubles)
    }
}

/// Publishes a table if it is wanted; `lack` is what to do where the kernel has no such thing.
pub(super) fn tell<R: Row>(
    portion: Option<Portion<R>>,
    cx: &Cx<'_>,
    out: &mut Batch,
    troubles: &Troubles,
    lack: &'static str,
) -> Result<(), Skip> {
    portion.map_or(Ok(()), |portion| portion.tell(cx, out, troubles, lack))
}

/// Whether the kernel does not know the part that was asked.
fn is_lacking(error: &Error) -> bool {
    error.is_absent() || (error.op == "dump" && error.cause.raw_os_error() == Some(libc::EINVAL))
}
