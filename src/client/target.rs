//! Where is the agent?

use std::fmt;
use std::path::PathBuf;

/// Port of an agent if none is given.
pub const PORT: u16 = 61208;

/// Bytes of a host's name at most.
const MAX_HOST: usize = 253;

/// An agent's place: `HOST`, `HOST:PORT`, `[ADDRESS]:PORT` or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A host and its port.
    Tcp {
        /// Name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A unix socket.
    Unix(PathBuf),
}

impl Target {
    /// Whether it is written as an agent of this host: whatever a name server says, nobody else is meant.
    pub fn is_here(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                let address = host.parse::<std::net::IpAddr>();
                address.map_or(host.eq_ignore_ascii_case("localhost"), |address| address.to_canonical().is_loopback())
            }
        }
    }
}

/// A text that names no agent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no agent: {why}")]
pub struct TargetError {
    text: String,
    why: &'static str,
}

impl std::str::FromStr for Target {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let fail = |why| TargetError { text: text.to_owned(), why };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(fail("the path is missing")) } else { Ok(Self::Unix(path.into())) };
        }
        let (host, port) = split(text).ok_or_else(|| fail("write HOST, HOST:PORT, [ADDRESS]:PORT or unix:PATH"))?;
        let port = match port {
            None => PORT,
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(|| fail("the port is none"))?,
        };
        let word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'%');
        if host.is_empty() || host.len() > MAX_HOST || host.starts_with('-') || !host.bytes().all(word) {
            return Err(fail("the host is none"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }
}

/// Host and port as written.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return if rest.is_empty() { Some((host, None)) } else { Some((host, Some(rest.strip_prefix(':')?))) };
    }
    match text.split_once(':') {
        // an IPv6 address without brackets has no port
        Some((_, port)) if port.contains(':') => Some((text, None)),
        Some((host, port)) => Some((host, Some(port))),
        None => Some((text, None)),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_people_write_them() {
        let tcp = |host: &str, port| Ok(Target::Tcp { host: host.to_owned(), port });
        assert_eq!("hv01".parse(), tcp("hv01", PORT));
        assert_eq!("hv01.example:7000".parse(), tcp("hv01.example", 7000));
        assert_eq!("10.0.0.1:7000".parse(), tcp("10.0.0.1", 7000));
        assert_eq!("2001:db8::1".parse(), tcp("2001:db8::1", PORT));
        assert_eq!("[2001:db8::1]:7000".parse(), tcp("2001:db8::1", 7000));
        assert_eq!("fe80::1%eth0".parse(), tcp("fe80::1%eth0", PORT));
        assert_eq!("unix:/run/x.sock".parse(), Ok(Target::Unix("/run/x.sock".into())));
        assert_eq!("[2001:db8::1]:7000".parse::<Target>().unwrap().to_string(), "[2001:db8::1]:7000");
    }

    #[test]
    fn only_what_is_written_as_this_host_is_here() {
        for text in
            ["localhost", "LocalHost:7000", "127.0.0.1", "127.8.8.8:1", "::1", "[::ffff:127.0.0.1]:7", "unix:/x"]
        {
            assert!(text.parse::<Target>().unwrap().is_here(), "{text}");
        }
        for text in ["hv1", "localhost.example", "10.0.0.1", "::", "127.0.0.1.example", "0.0.0.0"] {
            assert!(!text.parse::<Target>().unwrap().is_here(), "{text}");
        }
    }

    #[test]
    fn what_a_shell_or_a_terminal_could_misread_is_no_host() {
        for text in
            ["", ":1", "-oProxyCommand=x", "a b", "a\nb", "a;b", "h:0", "h:99999", "h:x", "[::1", "[::1]x", "unix:"]
        {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
        assert!("x".repeat(300).parse::<Target>().is_err());
    }
}
