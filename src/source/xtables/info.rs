//! What lies in the structure of an extension, and how are options written?

use std::fmt::{Display, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Sets;
use crate::model::IpText;

/// The bytes of an extension.
pub(super) struct Info<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) revision: u32,
    pub(super) is_ipv6: bool,
    pub(super) sets: &'a dyn Sets,
}

impl Info<'_> {
    pub(super) fn at<const N: usize>(&self, place: usize) -> Option<[u8; N]> {
        self.bytes.get(place..place.checked_add(N)?)?.try_into().ok()
    }

    pub(super) fn u8(&self, place: usize) -> Option<u8> {
        self.bytes.get(place).copied()
    }

    pub(super) fn u16(&self, place: usize) -> Option<u16> {
        self.at(place).map(u16::from_ne_bytes)
    }

    /// A number in network order.
    pub(super) fn be16(&self, place: usize) -> Option<u16> {
        self.at(place).map(u16::from_be_bytes)
    }

    pub(super) fn u32(&self, place: usize) -> Option<u32> {
        self.at(place).map(u32::from_ne_bytes)
    }

    pub(super) fn u64(&self, place: usize) -> Option<u64> {
        self.at(place).map(u64::from_ne_bytes)
    }

    /// The first of `union nf_inet_addr` that fits the family of the rule.
    pub(super) fn address(&self, place: usize) -> Option<IpText> {
        Some(IpText(if self.is_ipv6 {
            Ipv6Addr::from(self.at::<16>(place)?).into()
        } else {
            Ipv4Addr::from(self.at::<4>(place)?).into()
        }))
    }

    /// Text up to its NUL, at most so many bytes.
    pub(super) fn text(&self, place: usize, most: usize) -> Option<String> {
        let bytes = self.bytes.get(place..place.checked_add(most)?)?;
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or(bytes);
        Some(String::from_utf8_lossy(text).into_owned())
    }
}

/// Options that are being written.
pub(super) struct Options {
    /// Name of the extension, or of the older one that its user has asked for.
    pub(super) name: &'static str,
    own: String,
    text: String,
}

impl Options {
    pub(super) fn new(name: &str) -> Self {
        Self { name: "", own: name.to_owned(), text: String::new() }
    }

    pub(super) fn written(self, word: &str) -> String {
        let name = if self.name.is_empty() { &self.own } else { self.name };
        format!("{word} {name}{}", self.text)
    }

    /// An option with a value.
    pub(super) fn put(&mut self, inverted: bool, option: &str, value: impl Display) {
        let not = if inverted { " !" } else { "" };
        // writing into a string cannot fail
        let _ = write!(self.text, "{not} --{option} {value}");
    }

    /// An option without a value.
    pub(super) fn flag(&mut self, inverted: bool, option: &str) {
        let not = if inverted { " !" } else { "" };
        let _ = write!(self.text, "{not} --{option}");
    }

    /// Options without a value for the bits that are set.
    pub(super) fn flags(&mut self, bits: u32, names: &[(u32, &str)]) {
        for (_, name) in names.iter().filter(|(bit, _)| bits & bit != 0) {
            self.flag(false, name);
        }
    }
}

/// Two numbers, or one if they are the same.
pub(super) fn range<T: Copy + Display + PartialEq>(from: T, to: T, between: char) -> String {
    if from == to { from.to_string() } else { format!("{from}{between}{to}") }
}

/// An option with a range, unless that is all there is; iptables writes none then, inverted or not.
pub(super) fn some<T>(out: &mut Options, inverted: bool, option: &str, (from, to): (T, T), most: T)
where
    T: Copy + Default + Display + PartialEq,
{
    if (from, to) != (T::default(), most) {
        out.put(inverted, option, range(from, to, ':'));
    }
}

/// The names of the bits that are set.
pub(super) fn names(bits: u32, names: &[(u32, &'static str)]) -> String {
    let set = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name);
    set.collect::<Vec<_>>().join(",")
}

/// A number in hexadecimal, with the mask if it leaves something out.
pub(super) fn masked(value: u32, mask: u32) -> String {
    if mask == u32::MAX { format!("{value:#x}") } else { format!("{value:#x}/{mask:#x}") }
}

/// How many bits a mask has, if they are the first.
fn prefix(mask: IpText) -> Option<u32> {
    let (ones, whole) = match mask.0 {
        IpAddr::V4(mask) => (mask.to_bits().leading_ones(), mask.to_bits().count_ones()),
        IpAddr::V6(mask) => (mask.to_bits().leading_ones(), mask.to_bits().count_ones()),
    };
    (ones == whole).then_some(ones)
}

/// How many bits of a mask are set.
pub(super) fn bits(mask: IpText) -> u32 {
    match mask.0 {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    }
}

/// An address with its mask; that of a single address is left out unless `whole` is wanted.
pub(super) fn network(address: IpText, mask: IpText, whole: bool) -> String {
    match (prefix(mask), address.0) {
        (Some(32), IpAddr::V4(_)) | (Some(128), IpAddr::V6(_)) if !whole => address.to_string(),
        (Some(bits), _) => format!("{address}/{bits}"),
        (None, _) => format!("{address}/{mask}"),
    }
}

/// A text as a shell would take it.
pub(super) fn quoted(text: &str) -> String {
    let plain = |ch: char| ch.is_ascii_alphanumeric() || ch == '_' || ch == '-';
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for ch in text.chars() {
        if matches!(ch, '"' | '\\' | '\'') {
            out.push('\\');
        }
        out.push(ch);
    }
    out.push('"');
    out
}

/// The beginning of an interface's name has a `+` behind it.
pub(super) fn interface(name: &[u8], mask: &[u8]) -> String {
    let compared = mask.iter().take_while(|byte| **byte != 0).count();
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    // the NUL is compared, too, unless there may be more
    let text = String::from_utf8_lossy(name.get(..end.min(compared)).unwrap_or(name)).into_owned();
    if compared > end { text } else { format!("{text}+") }
}
