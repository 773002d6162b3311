//! What does netglance know about anything? Rows in self-describing tables, and nothing else.
//!
//! Pure data: no input, no output, no kernel. Layer 0, so it imports from no other module.

mod action;
mod cell;
mod host;
mod ip;
mod lock;
mod owners;
mod position;
mod protocol;
mod series;
mod table;
#[cfg(test)]
pub(crate) mod testing;
pub mod text;
pub mod unit;
mod writing;

pub use action::{Action, ActionError, Allowed, Departed, Done, Mute, Tracked};
pub use cell::{AsCell, Cell, LabelDef, Mac, OWN_NETNS, Timestamp, Type, Value};
pub use host::{
    Behind, Connection, Demand, Demands, Host, Key, Mono, Sample, Snapshot, State, Status, TableState, Top,
};
pub use ip::IpText;
pub use lock::lock;
pub use owners::{Guests, Machine, Machines, Monitor, Monitors, Owned, Owners, Port, Ports};
pub use position::position_of;
pub use protocol::{protocol_name, protocol_number};
pub use series::{Detail, HistoryAsk, Point, Series};
pub(crate) use table::tell;
pub use table::{Attrs, Column, Fold, History, Kind, Level, Row, Rows, Shape, Table, TableAttrs};
pub use text::Text;
pub use unit::{Style, Unit};
pub use writing::Writing;

/// What the attribute lists of [`table!`](crate::table!) may name.
#[doc(hidden)]
pub mod in_table {
    pub use super::{AsCell, Attrs, Column, Fold, History, Kind, Shape, Table, TableAttrs, Type, Unit};
    pub use std::borrow::Cow;
}
