//! Which switches do people know from Glances, and on which key?
//!
//! A switch is a name in [`super::Cx::toggles`]; that of a panel hides it, the others change how panels are written.
//! Keymap, help and configuration are loops over [`TOGGLES`].

/// One switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toggle {
    /// Name in [`super::Cx::toggles`] and in the configuration; for a panel that is its own name.
    pub name: &'static str,
    /// Glances' letter.
    pub key: char,
    /// What it does, for the help.
    pub help: &'static str,
    /// The table whose rows it is about, with what it does to them in a word or two, if it does nothing else.
    pub of: Option<(&'static str, &'static str)>,
    /// The view that it turns over, with what is on the other side.
    pub view: Option<(&'static str, &'static str)>,
}

impl Toggle {
    /// What the switch hides, if it is one that hides something.
    pub fn hides(&self) -> Option<&'static str> {
        self.help.strip_prefix("show or hide ")
    }

    /// What is said after the switch was pressed; `on` is whether its name is in [`super::Cx::toggles`].
    pub fn said(&self, on: bool) -> String {
        match (self.hides(), on) {
            (Some(what), true) => format!("{what}: hidden"),
            (Some(what), false) => format!("{what}: shown"),
            (None, true) => format!("{}: on", self.name),
            (None, false) => format!("{}: off", self.name),
        }
    }
}

/// Leaves out the left side.
pub const LEFT_SIDE: &str = "left-side";
/// Leaves out the CPU panel's bars.
pub const QUICK_LOOK: &str = "quick-look";
/// Quick look alone in the top row.
pub const FULL_QUICK_LOOK: &str = "full-quick-look";
/// CPU use of processes as a share of all CPUs.
pub const SHARE_OF_ALL: &str = "share-of-all";
/// Leaves out the top row.
pub const TOP_ROW: &str = "top-row";
/// One line for each CPU.
pub const PER_CPU: &str = "per-cpu";
/// Traffic in bits.
pub const BITS: &str = "bits";
/// Received and sent traffic as one number.
pub const COMBINED: &str = "combined";
/// Totals instead of rates.
pub const CUMULATIVE: &str = "cumulative";
/// Disk operations instead of bytes.
pub const OPERATIONS: &str = "operations";
/// Disk latency instead of bytes.
pub const LATENCY: &str = "latency";
/// Free instead of used space of mounts.
pub const FREE: &str = "free";
/// Hides the time of day.
pub const CLOCK: &str = "clock";
/// Hides sparklines.
pub const NO_SPARKLINES: &str = "no-sparklines";
/// Rules as one list, the busiest first, instead of a tree.
pub const HOTTEST: &str = "hottest-rules";
/// Leaves out rules that nothing has hit.
pub const WITHOUT_UNHIT: &str = "without-unhit";
/// Leaves out rules that something has hit.
pub const ONLY_UNHIT: &str = "only-unhit";
/// Rules that drop above all others.
pub const DROPS_FIRST: &str = "drops-first";

/// Neighbors as one list instead of under their areas and interfaces.
pub const ONE_LIST: &str = "one-list";

/// What is in the databases of OSPF instead of the neighbors.
pub const LSAS: &str = "databases";

/// The map of the areas of OSPF instead of that of this host.
pub const AREA_MAP: &str = "map-of-areas";

/// Ports by the names that the system has for them.
pub const SERVICES: &str = "service-names";
/// Addresses by the names that name servers tell.
pub const HOSTS: &str = "host-names";

const fn toggle(name: &'static str, key: char, help: &'static str) -> Toggle {
    Toggle { name, key, help, of: None, view: None }
}

/// A switch of the rules of the packet filter.
const fn rules(name: &'static str, key: char, word: &'static str, help: &'static str) -> Toggle {
    Toggle { of: Some(("nft_rule", word)), ..toggle(name, key, help) }
}

/// A switch of tracked connections.
const fn flows(name: &'static str, key: char, word: &'static str, help: &'static str) -> Toggle {
    Toggle { of: Some(("conntrack_flow", word)), ..toggle(name, key, help) }
}

/// Every switch, in the order of the help.
pub static TOGGLES: &[Toggle] = &[
    toggle("network", 'n', "show or hide network"),
    toggle("disks", 'd', "show or hide disks"),
    toggle("mounts", 'f', "show or hide mounts"),
    toggle("sensors", 's', "show or hide sensors"),
    toggle("alerts", 'l', "show or hide alerts"),
    toggle("processes", 'z', "show or hide processes"),
    toggle("raid", 'R', "show or hide RAID"),
    toggle("gpu", 'G', "show or hide GPUs"),
    toggle("interrupts", 'Q', "show or hide interrupts"),
    toggle("sockets", 'K', "show or hide sockets"),
    toggle("addresses", 'I', "show or hide addresses"),
    toggle(CLOCK, 'N', "show or hide the time of day"),
    toggle(LEFT_SIDE, '2', "show or hide the left side"),
    toggle(QUICK_LOOK, '3', "show or hide quick look"),
    toggle(FULL_QUICK_LOOK, '4', "quick look alone in the top row"),
    toggle(TOP_ROW, '5', "show or hide the top row"),
    toggle(PER_CPU, '1', "one line for each CPU"),
    toggle(SHARE_OF_ALL, '0', "CPU% of processes: of all CPUs or of one"),
    toggle(BITS, 'b', "traffic in bits or bytes"),
    toggle(COMBINED, 'T', "received and sent as one number"),
    toggle(CUMULATIVE, 'U', "totals or rates of traffic"),
    toggle(OPERATIONS, 'B', "disk operations or bytes"),
    toggle(LATENCY, 'L', "disk latency or bytes"),
    toggle(FREE, 'F', "free or used space of mounts"),
    toggle(NO_SPARKLINES, 'S', "show or hide sparklines"),
    rules(HOTTEST, 'H', "hottest", "rules of the firewall as one list, the busiest first, or as a tree"),
    rules(WITHOUT_UNHIT, 'X', "hide unhit", "leave out rules that nothing has hit"),
    rules(ONLY_UNHIT, 'O', "only unhit", "only rules that nothing has hit: what could be cleaned up"),
    rules(DROPS_FIRST, 'Y', "drops on top", "rules that drop or reject above all others"),
    Toggle {
        of: Some(("ospf_neighbor", "one list")),
        ..toggle(ONE_LIST, 'J', "routing neighbors as one list, or under their areas")
    },
    Toggle {
        view: Some(("routing", "databases")),
        ..toggle(LSAS, '%', "the view Routing: databases of OSPF, or neighbors")
    },
    Toggle {
        view: Some(("topology", "areas")),
        ..toggle(AREA_MAP, '*', "the view Topology: areas of OSPF, or this host")
    },
    flows(SERVICES, '#', "services", "ports by the names of /etc/services"),
    flows(HOSTS, '@', "names", "connections by name: asks name servers"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_keys_are_unique() {
        for (i, one) in TOGGLES.iter().enumerate() {
            for other in &TOGGLES[i + 1..] {
                assert!(one.name != other.name && one.key != other.key, "{one:?} {other:?}");
            }
        }
    }
}
