//! How is an extension of x_tables written?
//!
//! Matches and targets of iptables are structures of C that each have a name and a revision. [`Extension::options`] writes one
//! with the options of `iptables-save`, whether it was told by nf_tables (rules of iptables-nft) or by the kernel's older
//! interface. One that is not known, or shorter than its structure, has no options.
//!
//! Source: `include/uapi/linux/netfilter/xt_*.h`, `netfilter_ipv4/ipt_*.h`, `netfilter_ipv6/ip6t_*.h`.

mod connection;
mod estimate;
mod header;
mod info;
pub mod legacy;
pub mod names;
mod packet;
mod rate;
mod sctp;
mod target;
mod translation;

#[cfg(test)]
mod tests;

use self::info::{Info, Options};

/// An extension of x_tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    /// Whether it is a target, and no match.
    pub target: bool,
    /// Name.
    pub name: Vec<u8>,
    /// Which of its structures follows.
    pub revision: u32,
    /// That.
    pub info: Vec<u8>,
}

/// What the options of extensions need to know of the host.
pub trait Sets {
    /// Name of a set of `ipset`.
    fn set(&self, index: u16) -> Option<String>;
}

/// Writes the options of one extension; `None` if its bytes are too few, or say what it cannot.
type Write = fn(&Info<'_>, &mut Options) -> Option<()>;

/// Extensions by name.
type List = &'static [(&'static str, Write)];

impl Extension {
    /// Name and options as `iptables-save` has them: `-m tcp --dport 22`, `-j REJECT --reject-with tcp-reset`.
    pub fn options(&self, is_ipv6: bool, sets: &dyn Sets) -> Option<String> {
        let name = std::str::from_utf8(&self.name).ok()?;
        let lists: &[List] = if self.target {
            &[target::LIST, translation::LIST]
        } else {
            &[packet::LIST, header::LIST, connection::LIST, rate::LIST]
        };
        let (_, write) = lists.iter().copied().flatten().find(|(known, _)| *known == name)?;
        let info = Info { bytes: &self.info, revision: self.revision, is_ipv6, sets };
        let mut options = Options::new(name);
        write(&info, &mut options)?;
        Some(options.written(if self.target { "-j" } else { "-m" }))
    }

    /// The same, or its bytes if it is not known.
    pub fn written(&self, is_ipv6: bool, sets: &dyn Sets) -> String {
        self.options(is_ipv6, sets).unwrap_or_else(|| self.raw())
    }

    /// Name and bytes, of one that is not known.
    fn raw(&self) -> String {
        let name = String::from_utf8_lossy(&self.name);
        let hex = self.info.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        format!("{} {name} revision {} 0x{hex}", if self.target { "-j" } else { "-m" }, self.revision)
    }
}
