//! How do many hosts become rows of one table?
//!
//! A [`Fleet`] is a [`Host`](crate::model::Host) whose schema begins with the table `fleet`: one row for each host of a list,
//! whatever its state. One thread keeps one connection to each of them and watches the few columns that are shown; which
//! ones can be shown is written in the schema of the other tables (`summary`), and here none is named.

mod dns;
pub mod file_sd;
mod fleet;
mod group;
mod keep;
pub mod list;
mod merged;
mod reverse;
mod roll;
mod rows;
mod source;
mod speak;
mod summary;
mod table;

pub use fleet::{Fleet, Options};
pub use group::{GroupRow, after, is_group, within};
pub use list::{Entry, Roster};
pub use merged::by;
pub use reverse::Reverse;
pub use source::{Source, What};
pub use speak::Speak;
pub use summary::thresholds;
pub use table::{FleetRow, Link, position, tables};
