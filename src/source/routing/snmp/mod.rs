//! What do routers tell that have no control socket here?
//!
//! Any that has an agent of SNMP, version 2c (RFC 1901, RFC 3416) or 3 (RFC 3414), with OSPF-MIB or OSPFV3-MIB. [`super::ask`]
//! has a thread for each of them. What was heard are names with their values; [`told`] says what they mean. The protocol is written
//! here because the crates for it are larger than all that is needed of it, and bring another library of ciphers.

mod ber;
mod client;
mod message;
mod mib;
pub mod settings;
mod usm;

pub use ber::{Binding, Oid, Value};
pub(super) use client::Client;

use crate::model::{Text, Timestamp};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::routing::database::Link;
use crate::source::routing::lsa::Lsa;
use crate::source::routing::told::Told;

/// What values say that a router has told at some time, and what it says of itself.
pub fn told(values: &[Binding], at: Timestamp) -> (Told, Option<Text>) {
    mib::told(values, at)
}

/// The LSAs of which they tell.
pub fn lsas(values: &[Binding]) -> Bounded<Lsa> {
    mib::lsas(values)
}

/// The links in those of routers and networks.
pub fn links(values: &[Binding]) -> Bounded<Link> {
    mib::links(values)
}

/// Values as bytes, for who hands them on.
pub fn written(values: &[Binding]) -> Vec<u8> {
    ber::bindings(values)
}

/// Values of such bytes.
///
/// # Errors
/// They are none, or too many.
pub fn read(bytes: &[u8]) -> Result<Vec<Binding>, Error> {
    ber::Reader::new(bytes).bindings(client::MOST * 2).map_err(|what| Error::malformed("values", what))
}

/// Reads a message as if it was the answer to some question; whether it was one.
#[doc(hidden)]
pub fn is_answer(bytes: &[u8]) -> bool {
    let of_user = usm::User::new("fuzz", None, None, 0).read(bytes, 1).is_ok();
    message::from_community(bytes, b"public").is_ok() || of_user
}
