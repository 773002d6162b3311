//! How does a person see a host on a terminal, and how do keys change what is seen?
//!
//! [`run`] takes the terminal, draws the views that `panel/` describes and the generic view of any table, and gives the
//! terminal back on every way out. It reads a [`Host`](crate::model::Host) and nothing else, so a remote host looks the same.

mod acting;
mod app;
mod ask;
mod cache;
pub mod cell;
mod crash;
mod decode;
mod delete;
mod detail;
mod dialog;
mod event;
mod explore;
#[cfg(test)]
mod far;
#[cfg(test)]
mod flows;
pub mod frame;
mod framed;
#[cfg(test)]
mod frames;
mod graph;
pub mod group;
pub mod held;
mod hosts;
mod input;
mod inside;
pub mod keymap;
#[cfg(test)]
mod lsas;
mod mute;
#[cfg(test)]
mod muting;
mod naming;
#[cfg(test)]
mod neighbors;
mod node;
mod notice;
mod output;
mod overlay;
pub mod paint;
mod palette;
mod pane;
mod past;
#[cfg(test)]
mod queues;
#[cfg(test)]
mod rules;
mod run;
mod save;
mod screen;
mod sequence;
pub mod settings;
#[cfg(test)]
mod skew;
mod stale;
#[cfg(test)]
mod steady;
mod stretch;
pub mod table_paint;
pub mod table_view;
pub mod terminal;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod text;
pub mod theme;
mod timeline;
#[cfg(test)]
mod told;

pub use app::{Config, pages};
pub use event::{Events, Wake, events};
pub use run::run;
pub use settings::{Layout, Settings};
pub use terminal::{RESET, end_by};

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
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// `[keys]` is wrong.
    #[error(transparent)]
    Keys(#[from] keymap::KeyError),
    /// The theme cannot be had.
    #[error(transparent)]
    Theme(#[from] theme::ThemeError),
    /// No view or table has that name.
    #[error("no view or table `{name}`; views are {known}")]
    View {
        /// As asked.
        name: String,
        /// All views.
        known: String,
    },
    /// No switch has that name.
    #[error("no switch `{name}`; `?` in the dashboard lists them")]
    Toggle {
        /// As asked.
        name: String,
    },
    /// The filter of the settings is wrong.
    #[error("filter: {message}")]
    Filter {
        /// Position and reason.
        message: String,
    },
}
