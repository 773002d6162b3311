//! Which routers do this host's routing daemons speak with?
//!
//! A daemon is asked over its own control socket ([`super::control`]), as its own client asks it (`vtysh`, `birdc`): [`frr`] and
//! [`bird`] are the languages, [`ospf`], [`database`], [`lsa`] and [`peer`] are what they tell, and [`daemon`] finds the sockets and
//! keeps what was told. Those that have no control socket here are asked by [`ask`], over [`snmp`] or at their terminal ([`vty`]).

pub mod ask;
mod bell;
pub mod bird;
pub mod daemon;
pub mod database;
pub mod frr;
pub mod lsa;
pub mod ospf;
pub mod peer;
pub mod secret;
pub mod settings;
pub mod snmp;
mod socket;
pub mod told;
pub mod vty;
