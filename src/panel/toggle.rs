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

/// Every switch, in the order of the help.
pub static TOGGLES: &[Toggle] = &[
    Toggle { name: "network", key: 'n', help: "show or hide network" },
    Toggle { name: "disks", key: 'd', help: "show or hide disks" },
    Toggle { name: "mounts", key: 'f', help: "show or hide mounts" },
    Toggle { name: "sensors", key: 's', help: "show or hide sensors" },
    Toggle { name: "alerts", key: 'l', help: "show or hide what is over a threshold" },
    Toggle { name: "processes", key: 'z', help: "show or hide processes" },
    Toggle { name: "raid", key: 'R', help: "show or hide RAID" },
    Toggle { name: "gpu", key: 'G', help: "show or hide GPUs" },
    Toggle { name: "interrupts", key: 'Q', help: "show or hide interrupts" },
    Toggle { name: "sockets", key: 'K', help: "show or hide sockets" },
    Toggle { name: "addresses", key: 'I', help: "show or hide addresses" },
    Toggle { name: CLOCK, key: 'N', help: "show or hide the time of day" },
    Toggle { name: LEFT_SIDE, key: '2', help: "show or hide the left side" },
    Toggle { name: QUICK_LOOK, key: '3', help: "show or hide quick look" },
    Toggle { name: FULL_QUICK_LOOK, key: '4', help: "quick look alone in the top row" },
    Toggle { name: TOP_ROW, key: '5', help: "show or hide the top row" },
    Toggle { name: PER_CPU, key: '1', help: "one line for each CPU" },
    Toggle { name: SHARE_OF_ALL, key: '0', help: "CPU% of processes: of all CPUs or of one" },
    Toggle { name: BITS, key: 'b', help: "traffic in bits or bytes" },
    Toggle { name: COMBINED, key: 'T', help: "received and sent as one number" },
    Toggle { name: CUMULATIVE, key: 'U', help: "totals or rates of traffic" },
    Toggle { name: OPERATIONS, key: 'B', help: "disk operations or bytes" },
    Toggle { name: LATENCY, key: 'L', help: "disk latency or bytes" },
    Toggle { name: FREE, key: 'F', help: "free or used space of mounts" },
    Toggle { name: NO_SPARKLINES, key: 'S', help: "show or hide sparklines" },
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
