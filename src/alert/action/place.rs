//! Where does something go, and may it go there?
//!
//! Whoever may change what a name stands for must not make this host talk to itself by its loopback addresses, to its neighbors
//! by link, or to what tells secrets to whoever asks from here. So addresses are looked at after a name was looked up, and the
//! connection goes to one that was looked at.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hyper::Uri;

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// A name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Longest name of a host.
const MAX_HOST: usize = 253;

impl Place {
    /// A host with or without a port, as people write it; `None` for what is none.
    pub fn parse(text: &str, port: u16) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, port),
            Some((host, rest)) => (host, number(rest.strip_prefix(':')?)?),
            None if text.parse::<Ipv6Addr>().is_ok() => (text, port),
            None => match text.split_once(':') {
                Some((host, port)) => (host, number(port)?),
                None => (text, port),
            },
        };
        let place = Self { host: host.to_owned(), port };
        place.is_sound().then_some(place)
    }

    fn is_sound(&self) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name = self.host.bytes().all(plain) && !self.host.starts_with(['-', '.']) && !self.host.is_empty();
        self.port != 0 && self.host.len() <= MAX_HOST && (is_name || self.address().is_some())
    }

    /// Its address, if it was written as one.
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }

    /// Whether it is this host by what is written, whatever a name server says.
    pub fn is_here(&self) -> bool {
        self.address()
            .map_or_else(|| self.host.eq_ignore_ascii_case("localhost"), |address| is_loopback(&meant(address)))
    }

    /// Why nothing is sent to an address of it; `None` if it may be.
    pub fn refusal(&self, address: IpAddr) -> Option<&'static str> {
        let meant = meant(address);
        if is_loopback(&meant) != self.is_here() {
            return Some(if self.is_here() { "that is not this host" } else { "that is this host" });
        }
        meant.into_iter().find_map(why_not)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.address() {
            Some(IpAddr::V6(host)) => write!(f, "[{host}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

fn number(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_number && *port != 0)
}

/// A network of IPv6 whose addresses carry one of IPv4: its length in bits, and where that is.
type Carrier = (Ipv6Addr, u32, fn(u128) -> u32);

/// Those that there are: mapped ones, NAT64 (RFC 6052), that of one's own (RFC 8215) in two ways, and 6to4.
const CARRIERS: [Carrier; 5] = [
    (Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96, |bits| bits as u32),
    (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96, |bits| bits as u32),
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, |bits| bits as u32),
    // the bits between both halves are nobody's
    (Ipv6Addr::new(0x64, 0xff9b, 1, 0, 0, 0, 0, 0), 48, |bits| {
        (((bits >> 64) as u32 & 0xffff) << 16) | ((bits >> 40) as u32 & 0xffff)
    }),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, |bits| (bits >> 80) as u32),
];

/// An address, and those that it may stand for.
fn meant(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(six) = address else { return vec![address] };
    let bits = six.to_bits();
    let carried = CARRIERS.iter().filter_map(|(network, length, four)| {
        let is_in = (bits ^ network.to_bits()) >> (u128::BITS - length) == 0;
        is_in.then(|| IpAddr::from(Ipv4Addr::from_bits(four(bits))))
    });
    carried.chain([address]).collect()
}

fn is_loopback(meant: &[IpAddr]) -> bool {
    meant.iter().any(IpAddr::is_loopback)
}

/// What clouds tell their guests, beside link-local addresses: of Amazon, Alibaba, Azure and Oracle.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

fn why_not(address: IpAddr) -> Option<&'static str> {
    let is_of_link = match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    let is_this_network = matches!(address, IpAddr::V4(four) if four.octets()[0] == 0 || four.is_broadcast());
    if is_of_link || METADATA.contains(&address) {
        Some("that is where a cloud tells secrets, or an address of a link")
    } else if address.is_unspecified() || address.is_multicast() || is_this_network {
        Some("that is not the address of a host")
    } else {
        None
    }
}

/// Where a request goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether over TLS.
    pub is_tls: bool,
    /// The host.
    pub place: Place,
    /// Path and query, which may be secret.
    pub target: String,
}

/// A text that is no URL to send something to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is something else.
    #[error("it is no URL such as https://host/path")]
    Other,
    /// It says who asks.
    #[error("it has a user or a password in it")]
    User,
}

impl Url {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it, without it.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        if text.contains(['#', '\\']) {
            return Err(UrlError::Other);
        }
        let uri = text.parse::<Uri>().map_err(|_| UrlError::Other)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(UrlError::Other),
        };
        let authority = uri.authority().ok_or(UrlError::Other)?.as_str();
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let place = Place::parse(authority, if is_tls { 443 } else { 80 }).ok_or(UrlError::Other)?;
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        Ok(Self { is_tls, place, target: target.to_owned() })
    }

    /// The host as a request names it.
    pub fn host(&self) -> String {
        let usual = if self.is_tls { 443 } else { 80 };
        let told = self.place.to_string();
        let suffix = format!(":{}", self.place.port);
        if self.place.port == usual { told.strip_suffix(&suffix).unwrap_or(&told).to_owned() } else { told }
    }
}

/// Without what may be secret.
impl std::fmt::Display for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "https" } else { "http" }, self.host())
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let of = |text: &str| Place::parse(text, 25).map(|place| (place.host.clone(), place.port, place.to_string()));
        let some = |host: &str, port, told: &str| Some((host.to_owned(), port, told.to_owned()));
        assert_eq!(of("mx.example.org"), some("mx.example.org", 25, "mx.example.org:25"));
        assert_eq!(of("mx:587"), some("mx", 587, "mx:587"));
        assert_eq!(of("192.0.2.1:1"), some("192.0.2.1", 1, "192.0.2.1:1"));
        assert_eq!(of("2001:db8::1"), some("2001:db8::1", 25, "[2001:db8::1]:25"));
        assert_eq!(of("[2001:db8::1]:7"), some("2001:db8::1", 7, "[2001:db8::1]:7"));
        let long = "a".repeat(254);
        for none in
            ["", ":25", "mx:", "mx:0", "mx:65536", "mx:+1", "-oX", "a b", "a\r\nb", "[::1", "[::1]x", "a@b", &long]
        {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn urls_are_read_and_shown_without_what_may_be_secret() {
        let url = Url::parse("https://hooks.example:8443/services/T0/{token}?x=1").unwrap();
        assert_eq!((url.is_tls, url.target.as_str()), (true, "/services/T0/{token}?x=1"));
        assert_eq!(
            (url.to_string(), format!("{url:?}")),
            ("https://hooks.example:8443".into(), "https://hooks.example:8443".into())
        );
        assert_eq!(Url::parse("http://[::1]:80").unwrap().host(), "[::1]");
        assert_eq!(Url::parse("https://h").unwrap().target, "/");
        for wrong in
            ["", "h/x", "ftp://h", "https://", "https:///x", "https://h:x/", "https://h/#f", "https://h\\@i/", "//h/x"]
        {
            assert_eq!(Url::parse(wrong), Err(UrlError::Other), "{wrong}");
        }
        assert_eq!(Url::parse("https://u:p@h/"), Err(UrlError::User));
    }

    #[test]
    fn nothing_goes_to_links_clouds_or_by_surprise_to_this_host() {
        let refused =
            |host: &str, address: &str| Place::parse(host, 443).unwrap().refusal(address.parse().unwrap()).is_some();
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "febf::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "0.0.0.0",
            "::",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
            "64:ff9b::7f00:1",
            "168.63.129.16",
            "192.0.0.192",
            "64:ff9b:1::a9fe:a9fe",
            "64:ff9b:1:a9fe:a9:fe00::",
            "2002:a9fe:a9fe::1",
            "2002:7f00:1::",
        ] {
            assert!(refused("hooks.example", address), "{address}");
        }
        for address in [
            "192.0.2.1",
            "10.0.0.1",
            "fd00::1",
            "2001:db8::1",
            "100.100.100.201",
            "64:ff9b::c000:201",
            "2002:c000:201::1",
        ] {
            assert!(!refused("hooks.example", address), "{address}");
        }
        for (host, address) in [("localhost", "127.0.0.1"), ("LOCALHOST", "::1"), ("127.0.0.2", "127.0.0.2")] {
            assert!(!refused(host, address), "{host} {address}");
        }
        assert!(refused("localhost", "192.0.2.1"), "a name of this host that a name server has moved");
        assert!(refused("169.254.169.254", "169.254.169.254") && refused("[fe80::1]", "fe80::1"));
    }
}
