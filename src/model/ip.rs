//! How is an address written?

use std::fmt::{Display, Formatter, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as the tools of a host write it (`inet_ntop` of glibc). The standard library differs in one thing: an IPv6
/// address of the first 2^32 has no IPv4 address at its end there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpText(pub IpAddr);

impl Display for IpText {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            IpAddr::V6(address) => match old_ipv4(address) {
                Some(last) => write!(f, "::{last}"),
                None => address.fmt(f),
            },
            IpAddr::V4(address) => address.fmt(f),
        }
    }
}

/// The end of an address that is nothing but an IPv4 address; `::` and `::1` are none, and `::ffff` has one zero too many.
fn old_ipv4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let number = u32::try_from(address.to_bits()).ok()?;
    (number > u32::from(u16::MAX)).then(|| number.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_glibc_writes_them() {
        for text in [
            "::",
            "::1",
            "::ffff",
            "::0.1.0.0",
            "::1.2.3.4",
            "::255.255.255.255",
            "::ffff:1.2.3.4",
            "::ffff:0.0.0.0",
            "::1:0:0",
            "::ffff:0:102:304",
            "64:ff9b::102:304",
            "1:0:0:2::",
            "1:2:0:4:5:6:7:8",
            "1.2.3.4",
        ] {
            assert_eq!(IpText(text.parse().unwrap()).to_string(), text);
        }
    }
}
