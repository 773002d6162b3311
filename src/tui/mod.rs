//! How does a person see a host on a terminal, and how do keys change what is seen?
//!
//! [`run`] takes the terminal, draws the views that `panel/` describes and the generic view of any table, and gives the
//! terminal back on every way out. It reads a [`Host`](crate::model::Host) and nothing else, so a remote host looks the same.

pub mod cell;
pub mod frame;
mod output;
pub mod paint;
pub mod settings;
pub mod terminal;
pub mod text;
pub mod theme;

pub use terminal::RESET;

/// Why the dashboard ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Standard input or output is no terminal.
    #[error("standard input and output must be a terminal; `netglance show TABLE` prints without one")]
    NoTerminal,
    /// The terminal did not do what was asked.
    #[error("{op} the terminal: {cause}")]
    Terminal {
        /// What was attempted.
        op: &'static str,
        /// Errno.
        cause: std::io::Error,
    },
}
