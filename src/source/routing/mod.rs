//! Which routers do this host's routing daemons speak with?
//!
//! A daemon is asked over its own control socket, as its own client asks it (`vtysh`, `birdc`): [`line`] is the connection,
//! [`frr`] and [`bird`] are the languages, [`ospf`] and [`peer`] are what they tell, and [`daemon`] finds the sockets and keeps what was
//! told. An answer is bounded in time and size, and none is believed that does not come from root or the daemon's own user.

pub mod bird;
pub mod daemon;
pub mod frr;
mod json;
pub mod line;
pub mod ospf;
pub mod peer;
pub mod settings;
pub mod told;
mod trust;
