//! What is the name of a set of `ipset`?
//!
//! Extensions know sets by number. A set is asked for when the first rule needs its name; whoever has a rule with one has
//! loaded that part of the kernel.
//!
//! Source: `include/uapi/linux/netfilter/ipset/ip_set.h`.

use std::cell::RefCell;
use std::collections::HashMap;

use super::Sets;
use crate::source::netlink::Message;
use crate::source::netlink::attr::push;
use crate::source::netlink::common::Common;
use crate::source::netlink::nfnetlink::{Header, Subsystem, split};

/// Names of the sets of one network namespace.
pub struct SetNames<'a> {
    socket: &'a Common,
    known: RefCell<HashMap<u16, Option<String>>>,
}

impl<'a> SetNames<'a> {
    /// Asks over a socket of netfilter.
    pub fn new(socket: &'a Common) -> Self {
        Self { socket, known: RefCell::default() }
    }

    fn ask(&self, index: u16) -> Option<String> {
        /// `IPSET_CMD_GET_BYINDEX`
        const BY_INDEX: u8 = 15;
        /// `IPSET_ATTR_*`
        const PROTOCOL: u16 = 1;
        const NAME: u16 = 2;
        const INDEX: u16 = 11;
        let header = Header { family: libc::AF_INET as u8, resource: 0 };
        let mut request = Subsystem::Ipset.request(BY_INDEX, header, "name of a set");
        push(&mut request.body, PROTOCOL, &[7]);
        push(&mut request.body, INDEX, &index.to_be_bytes());
        let mut name = None;
        let read = |message: Message<'_>| {
            for attribute in split(message)?.1 {
                let attribute = attribute?;
                if attribute.kind == NAME {
                    name = Some(String::from_utf8_lossy(attribute.string()).into_owned());
                }
            }
            Ok(())
        };
        let answer = self.socket.with(|socket| socket.ask(&request, read));
        // one that is gone has no name
        answer.ok().and(name)
    }
}

impl Sets for SetNames<'_> {
    fn set(&self, index: u16) -> Option<String> {
        let known = self.known.borrow().get(&index).cloned();
        known.unwrap_or_else(|| {
            let name = self.ask(index);
            self.known.borrow_mut().insert(index, name.clone());
            name
        })
    }
}
