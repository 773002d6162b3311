//! What deserves that somebody is told, who is told, and what is remembered of it?
//!
//! Rules are evaluated where the data is: in an agent and in a local dashboard, never by a client. What comes of them is a
//! [`Message`] for people. Only an agent delivers: it puts an [`Order`] for each action into its [`Outbox`], from where a
//! process that may go out takes it, tries once, and says what came of it. What is tried again, and when, is decided here.

pub mod message;
pub mod outbox;

pub use message::{Change, Message, Notification};
pub use outbox::{Failure, Order, Outbox, Outcome};
