//! What are the names of what rules know by number?

use std::cell::{OnceCell, RefCell};

use crate::model::Text;
use crate::source::cgroup::Groups;
use crate::source::file::Root;
use crate::source::netlink::common::Common;
use crate::source::netlink::route::{self, IfIndex, LinkNames};
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
    socket: &'a Common,
    links: RefCell<Option<LinkNames>>,
    sets: Option<SetNames<'a>>,
    sys: &'a Root,
    groups: OnceCell<Groups>,
}

impl<'a> Here<'a> {
    /// Reads those of interfaces over `links`, and those of sets over `netfilter`, where there may be any.
    pub(in crate::collect) fn new(sys: &'a Root, links: &'a Common, netfilter: Option<&'a Common>) -> Self {
        let sets = netfilter.map(SetNames::new);
        Self { socket: links, links: RefCell::default(), sets, sys, groups: OnceCell::new() }
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
            none => none.insert(self.socket.with(route::link_names).ok()?),
        };
        links.get(&IfIndex(index)).map(Text::to_string)
    }

    fn cgroup(&self, id: u64) -> Option<String> {
        let path = self.groups.get_or_init(|| Groups::read(self.sys)).path(id)?;
        Some(path.to_string_lossy().into_owned())
    }

    fn utc_offset(&self, at: Option<i64>) -> i64 {
        Host.utc_offset(at)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::process::Command;

    use super::*;
    use crate::source::netlink::Family;
    use crate::source::netlink::testing::{in_own_network, run};
    use crate::source::nftables::read;
    use crate::source::nftables::text::Scene;

    /// Takes a group away again.
    struct Group(PathBuf);

    impl Drop for Group {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir(&self.0);
        }
    }

    #[test]
    fn root_a_control_group_in_a_rule_has_the_path_that_nft_tells() {
        let name = format!("netglance-test-{}", std::process::id());
        let path =
            if PathBuf::from("/sys/fs/cgroup/cgroup.controllers").exists() { name } else { format!("unified/{name}") };
        let group = Group(PathBuf::from("/sys/fs/cgroup").join(&path));
        std::fs::create_dir(&group.0).unwrap();
        in_own_network(|| {
            run("nft", "add table ip t");
            run("nft", "add chain ip t c { type filter hook input priority 0; }");
            run("nft", &format!("add rule ip t c socket cgroupv2 level 1 \"{path}\""));
            let listed = Command::new("nft").args(["-nn", "list", "ruleset"]).output().unwrap();
            let text = || {
                let links = Common::open(Family::Route).unwrap();
                let (filter, sys) = (Common::open(Family::Netfilter).unwrap(), Root::new("/sys"));
                let ruleset = filter.with(|socket| read::ruleset(socket, None)).unwrap();
                let here = Here::new(&sys, &links, None);
                let rule = &ruleset.rules[0];
                Scene::new(rule.family, &rule.table, &ruleset.names, &here).rule(rule)
            };
            assert_eq!(text(), format!("socket cgroupv2 level 1 \"{path}\""));
            // with both versions a group of the other may have the same number, and `nft` takes any
            assert!(path.contains('/') || String::from_utf8_lossy(&listed.stdout).contains(&text()), "{listed:?}");
            drop(group);
            assert!(text().trim_start_matches("socket cgroupv2 level 1 ").parse::<u64>().is_ok(), "{}", text());
        });
    }
}
