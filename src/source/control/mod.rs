//! How is a daemon asked over its control socket?
//!
//! [`trust`] says whose socket it is, [`line`] is the connection, [`json`] what many of them speak, and [`standing`] how it is with
//! a daemon after it was asked. An answer is bounded in time and size, and none is believed that does not come from root or the
//! daemon's own user.

pub mod json;
pub mod line;
pub mod standing;
pub mod trust;
