//! Which network namespaces are read, and how is something opened in one?
//!
//! A socket, and an open file below `/proc/thread-self/net`, stay in the network namespace of the thread that opened them. So
//! a reader has to be in a namespace for a moment only: [`Rooms`] keeps what it reads from in each namespace (netlink
//! sockets of any family, files, both: anything that is `Send`), opened once by a short-lived thread that enters it. The
//! collector's own thread never changes its namespace, and a namespace that does not let anybody in holds up nobody.
//!
//! ```ignore
//! let open = || Socket::open(Family::Route);
//! let troubles = self.others.read(&cx.roots.netns, open, |netns, socket| {
//!     rows.extend(dump(netns, socket)?);
//!     Ok(())
//! });
//! ```
//!
//! What is open holds a namespace alive. [`Census`] therefore looks every two seconds which ones still have a name or a
//! process, on a thread of its own, and closes the rooms of all others: neither a long interval nor a collector that nobody
//! asks any more keeps one alive. Whoever has chosen no namespace but the own one pays for none of this.
//!
//! Namespaces that have neither a name nor a process are not found: those that only a bind mount elsewhere, an open
//! descriptor or a thread beside the first of its process holds.

mod census;
mod room;
mod selection;

pub use census::{Census, Troubles, names, of_process};
pub use room::{ENTER, Outgrown, Rooms, file, visit};
pub use selection::{Pattern, PatternError, Selection};

use std::sync::LazyLock;

use super::Error;
use crate::model::Text;

/// Name of the network namespace that netglance runs in.
pub const HOST: &str = crate::model::OWN_NETNS;

/// Stands for all network namespaces.
pub const ALL: &str = "all";

/// Device and inode of a network namespace.
pub type Here = (u64, u64);

/// The network namespace that this thread is in.
///
/// # Errors
/// It may not be known.
pub fn here() -> Result<Here, Error> {
    const HERE: &str = "/proc/thread-self/ns/net";
    let here = rustix::fs::stat(HERE).map_err(|cause| Error::new("look at", HERE, cause))?;
    Ok((here.st_dev, here.st_ino))
}

/// [`HOST`] as a text that all rows share.
pub fn host() -> Text {
    static NAME: LazyLock<Text> = LazyLock::new(|| Text::from(HOST));
    NAME.clone()
}
