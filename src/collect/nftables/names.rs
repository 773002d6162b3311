//! What are the names of what rules know by number?

use std::cell::RefCell;
use std::collections::HashMap;

use crate::source::Error;
use crate::source::netlink::route::{self, LinkNews};
use crate::source::netlink::{Part, Socket};
use crate::source::nftables::text::Names;
use crate::source::xtables::Sets;
use crate::source::xtables::names::SetNames;

/// Names of this host that are the same in all its network namespaces.
pub(in crate::collect) struct Host;

impl Sets for Host {
    fn set(&self, _: u16) -> Option<String> {
        None
    }
}

impl Names for Host {
    fn interface(&self, _: u32) -> Option<String> {
        None
    }

    fn cgroup(&self, _: u64) -> Option<String> {
        None
    }

    fn utc_offset(&self, at: Option<i64>) -> i64 {
        let at = at.and_then(|at| jiff::Timestamp::from_second(at).ok()).unwrap_or_else(jiff::Timestamp::now);
        i64::from(jiff::tz::TimeZone::system().to_offset(at).seconds())
    }
}

/// Names of one network namespace, read when the first one is needed.
pub(in crate::collect) struct Here<'a> {
    socket: RefCell<&'a mut Socket>,
    links: RefCell<Option<HashMap<u32, String>>>,
    sets: Option<SetNames<'a>>,
}

impl<'a> Here<'a> {
    /// Reads those of interfaces over `links`, and those of sets over `netfilter`, where there may be any.
    pub(in crate::collect) fn new(links: &'a mut Socket, netfilter: Option<&'a mut Socket>) -> Self {
        Self { socket: RefCell::new(links), links: RefCell::default(), sets: netfilter.map(SetNames::new) }
    }
}

impl Sets for Here<'_> {
    fn set(&self, index: u16) -> Option<String> {
        self.sets.as_ref()?.set(index)
    }
}

impl Names for Here<'_> {
    fn interface(&self, index: u32) -> Option<String> {
        let mut links = self.links.borrow_mut();
        let links = match &mut *links {
            Some(links) => links,
            none => none.insert(interfaces(&mut self.socket.borrow_mut()).ok()?),
        };
        links.get(&index).cloned()
    }

    fn cgroup(&self, id: u64) -> Option<String> {
        Host.cgroup(id)
    }

    fn utc_offset(&self, at: Option<i64>) -> i64 {
        Host.utc_offset(at)
    }
}

/// Reads the names of the interfaces of a namespace.
fn interfaces(links: &mut Socket) -> Result<HashMap<u32, String>, Error> {
    let mut names = HashMap::new();
    links.dump(&route::links(), |part| {
        match part {
            Part::Start => names.clear(),
            Part::Message(message) => {
                if let Some(LinkNews::Is(link)) = route::link_news(message)? {
                    names.insert(link.index.0, link.name.to_string());
                }
            }
        }
        Ok(())
    })?;
    Ok(names)
}
