//! What deserves that somebody is told, who is told, and what is remembered of it?
//!
//! Rules are evaluated where the data is: in an agent and in a local dashboard, never by a client, which hears of what an agent
//! has found. What comes of them is a
//! [`Message`] for people. Only an agent delivers: it puts an [`Order`] for each action into its [`Outbox`], from where a
//! process that may go out takes it, tries once, and says what came of it. What is tried again, and when, is decided here.

pub mod action;
pub mod afar;
pub mod desktop;
pub mod dispatch;
mod engine;
mod events;
pub mod here;
mod instance;
mod kept;
mod look;
mod measure;
pub mod message;
mod names;
pub mod outbox;
mod past;
pub mod replay;
mod rows;
pub mod rule;
pub mod run;
pub mod settings;
pub mod silence;
pub mod slots;
mod told;
mod watched;
mod words;

pub use engine::{Engine, Looked, Moment};
#[doc(hidden)]
pub use kept::{taken_up, written};
pub use message::{Change, Message, Notification};
pub use names::names;
pub use outbox::{Failure, Fate, Order, Outbox, Outcome};
pub use rule::Rule;
