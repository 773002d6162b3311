//! Which rules has the older interface of iptables?
//!
//! A table is told as one block of memory: entries one after the other, each with a header, matches and a target. Jumps are
//! distances from its beginning. Only tables that are there are asked for: the kernel would load others.
//!
//! Source: `include/uapi/linux/netfilter_ipv4/ip_tables.h`, `netfilter_ipv6/ip6_tables.h`, `netfilter/x_tables.h`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd as _, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::info::{interface, network};
use super::{Extension, Sets};
use crate::model::IpText;
use crate::source::Error;
use crate::source::netfilter::registered_protocol;

/// Bytes of a table at most: a rule has some hundred.
const MAX_TABLE: u32 = 64 << 20;
/// `XT_TABLE_MAXNAMELEN`
const NAME: usize = 32;
/// `XT_FUNCTION_MAXNAMELEN`
const CHAIN: usize = 30;
/// `sizeof(struct ipt_getinfo)`
const INFO: usize = NAME + 4 + 5 * 4 + 5 * 4 + 4 + 4;
/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO`
const GET_INFO: i32 = 64;
/// `IPT_SO_GET_ENTRIES` and `IP6T_SO_GET_ENTRIES`
const GET_ENTRIES: i32 = 65;
/// `sizeof(struct ipt_get_entries)` before the entries
const BEFORE: usize = NAME + 8;
/// `NF_INET_*`, as their chains are called.
const HOOKS: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Chain.
    pub chain: String,
    /// Place in it, from 1 on; `None` for its policy.
    pub position: Option<u64>,
    /// Matches and target.
    pub text: String,
    /// What becomes of packets that it fits.
    pub target: Option<String>,
    /// Packets that it has counted.
    pub packets: u64,
    /// Bytes of those.
    pub bytes: u64,
}

/// Reads tables in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Reader(OwnedFd);

/// Where each part of an entry stands.
struct Layout {
    interfaces: usize,
    protocol: usize,
    flags: usize,
    inverted: usize,
    target: usize,
    counters: usize,
    elements: usize,
}

const IPV4: Layout =
    Layout { interfaces: 16, protocol: 80, flags: 82, inverted: 83, target: 88, counters: 96, elements: 112 };
const IPV6: Layout =
    Layout { interfaces: 64, protocol: 128, flags: 131, inverted: 132, target: 140, counters: 152, elements: 168 };

impl Reader {
    /// Opens a socket to ask through: one of IPv6 answers for both families, where there is that.
    ///
    /// # Errors
    /// There is neither.
    pub fn open() -> Result<Self, Error> {
        let open = |family| socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
        let socket = open(AddressFamily::INET6).or_else(|_| open(AddressFamily::INET));
        socket.map(Self).map_err(|cause| Error::new("open", "a socket for x_tables", cause))
    }

    fn ask(&self, is_ipv6: bool, option: i32, buffer: &mut [u8]) -> Result<usize, Errno> {
        let level = if is_ipv6 { libc::SOL_IPV6 } else { libc::SOL_IP };
        let mut length = libc::socklen_t::try_from(buffer.len()).map_err(|_| Errno::OVERFLOW)?;
        // SAFETY: the buffer is `length` bytes long, and the kernel writes no more
        let done =
            unsafe { libc::getsockopt(self.0.as_raw_fd(), level, option, buffer.as_mut_ptr().cast(), &raw mut length) };
        if done == 0 {
            return Ok(length as usize);
        }
        Err(std::io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
    }

    /// The rules of a table that is there.
    ///
    /// # Errors
    /// It is not, may not be read, or was replaced every time meanwhile.
    pub fn rules(&self, is_ipv6: bool, table: &str, sets: &dyn Sets) -> Result<Vec<Rule>, Error> {
        const ATTEMPTS: usize = 3;
        let fail = |cause: Errno| Error::new("read", format!("x_tables {table}"), cause);
        let malformed = || Error::malformed(format!("x_tables {table}"), "an entry does not fit");
        let name = table.as_bytes().get(..table.len().min(NAME - 1)).unwrap_or_default();
        let named = |buffer: &mut [u8]| buffer.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        let mut last = Errno::AGAIN;
        for _ in 0..ATTEMPTS {
            let mut info = [0; INFO];
            named(&mut info);
            self.ask(is_ipv6, GET_INFO, &mut info).map_err(fail)?;
            let size = number(&info, INFO - 4).filter(|size| *size <= MAX_TABLE).ok_or_else(malformed)?;
            let mut entries = vec![0; BEFORE + size as usize];
            named(&mut entries);
            entries.iter_mut().skip(NAME).zip(size.to_ne_bytes()).for_each(|(to, from)| *to = from);
            match self.ask(is_ipv6, GET_ENTRIES, &mut entries) {
                Ok(_) => return rules(is_ipv6, &info, &entries, sets).ok_or_else(malformed),
                // it was replaced by a table of another size
                Err(cause @ (Errno::AGAIN | Errno::INVAL)) => last = cause,
                Err(cause) => return Err(fail(cause)),
            }
        }
        Err(fail(last))
    }
}

/// The rules of a table, of the kernel's answers to `IPT_SO_GET_INFO` and `IPT_SO_GET_ENTRIES`; `None` if an entry does not fit.
pub fn rules(is_ipv6: bool, info: &[u8], entries: &[u8], sets: &dyn Sets) -> Option<Vec<Rule>> {
    let hooks = number(info, NAME)?;
    let begin = |hook: usize| number(info, NAME + 4 + 4 * hook);
    let begins = HOOKS.iter().enumerate().filter(|(hook, _)| hooks & (1 << hook) != 0);
    let begins = begins.filter_map(|(hook, name)| Some((begin(hook)? as usize, *name))).collect();
    Walk { is_ipv6, begins, sets }.rules(entries.get(BEFORE..)?)
}

/// Goes through the entries of a table.
pub(super) struct Walk<'a> {
    pub(super) is_ipv6: bool,
    /// Where the chains begin that the kernel calls.
    pub(super) begins: BTreeMap<usize, &'static str>,
    pub(super) sets: &'a dyn Sets,
}

/// One entry.
struct Entry<'a> {
    at: usize,
    bytes: &'a [u8],
    target: Extension,
    matches: Vec<Extension>,
}

fn half(bytes: &[u8], place: usize) -> Option<usize> {
    Some(u16::from_ne_bytes(bytes.get(place..place + 2)?.try_into().ok()?).into())
}

fn number(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(place..place + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], place: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(place..place + 8)?.try_into().ok()?))
}

/// `struct xt_entry_match` and `struct xt_entry_target` are the same.
fn extension(bytes: &[u8], target: bool) -> Option<(Extension, usize)> {
    const HEAD: usize = 32;
    let size = half(bytes, 0)?;
    let name = bytes.get(2..31)?;
    let name = name.split(|byte| *byte == 0).next().unwrap_or(name).to_vec();
    let info = bytes.get(HEAD..size)?.to_vec();
    Some((Extension { target, name, revision: u32::from(*bytes.get(31)?), info }, size))
}

impl Walk<'_> {
    fn layout(&self) -> &'static Layout {
        if self.is_ipv6 { &IPV6 } else { &IPV4 }
    }

    fn entries<'b>(&self, bytes: &'b [u8]) -> Option<Vec<Entry<'b>>> {
        let layout = self.layout();
        let (mut at, mut entries) = (0, Vec::new());
        while at < bytes.len() {
            let rest = bytes.get(at..)?;
            let (target, next) = (half(rest, layout.target)?, half(rest, layout.target + 2)?);
            if next < layout.elements || target < layout.elements {
                return None;
            }
            let entry = rest.get(..next)?;
            let (mut place, mut matches) = (layout.elements, Vec::new());
            while place < target {
                let (found, size) = extension(entry.get(place..target)?, false)?;
                matches.push(found);
                // what has no size would never end
                place += size.max(1);
            }
            let (target, _) = extension(entry.get(target..)?, true)?;
            entries.push(Entry { at, bytes: entry, target, matches });
            at += next;
        }
        Some(entries)
    }

    /// The rules of all chains; `None` if an entry does not fit.
    pub(super) fn rules(&self, bytes: &[u8]) -> Option<Vec<Rule>> {
        let entries = self.entries(bytes)?;
        // a chain of a user begins with an error that has its name, and the table ends with one
        let error = |entry: &Entry<'_>| entry.target.name == b"ERROR";
        let mut chains: BTreeMap<usize, String> =
            self.begins.iter().map(|(at, name)| (*at, (*name).to_owned())).collect();
        for entry in entries.iter().filter(|entry| error(entry)) {
            let name = entry.target.info.get(..CHAIN).unwrap_or(&entry.target.info);
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            chains.insert(entry.at + entry.bytes.len(), String::from_utf8_lossy(name).into_owned());
        }
        let (mut rules, mut chain, mut position, mut is_built_in) = (Vec::new(), String::new(), 0, false);
        for (index, entry) in entries.iter().enumerate() {
            if let Some(begun) = chains.get(&entry.at) {
                // a chain of a user may have the name of a hook
                (chain, position, is_built_in) = (begun.clone(), 0, self.begins.contains_key(&entry.at));
            }
            if error(entry) {
                continue;
            }
            let end = entries.get(index + 1).is_none_or(|next| chains.contains_key(&next.at) || error(next));
            // each chain ends with an entry that nobody has written: its policy, or the way back
            if end && !is_built_in {
                continue;
            }
            position += 1;
            let mut rule = self.rule(entry, &chains)?;
            rule.chain.clone_from(&chain);
            rule.position = (!end).then_some(position);
            rules.push(rule);
        }
        Some(rules)
    }

    fn rule(&self, entry: &Entry<'_>, chains: &BTreeMap<usize, String>) -> Option<Rule> {
        let layout = self.layout();
        let mut words = self.header(entry.bytes)?;
        for found in &entry.matches {
            words.push(found.written(self.is_ipv6, self.sets));
        }
        let goto = if self.is_ipv6 { 4 } else { 2 };
        let word = if entry.bytes.get(layout.flags)? & goto != 0 { "-g" } else { "-j" };
        let target = if entry.target.name.is_empty() {
            let verdict = i32::from_ne_bytes(entry.target.info.get(..4)?.try_into().ok()?);
            match usize::try_from(verdict) {
                // a jump to the next entry is none
                Ok(to) => chains.get(&to).cloned(),
                Err(_) => Some(verdict_word(verdict)),
            }
        } else {
            words.push(entry.target.written(self.is_ipv6, self.sets));
            Some(String::from_utf8_lossy(&entry.target.name).into_owned())
        };
        if entry.target.name.is_empty()
            && let Some(target) = &target
        {
            words.push(format!("{word} {target}"));
        }
        Some(Rule {
            chain: String::new(),
            position: None,
            text: words.join(" "),
            target,
            packets: long(entry.bytes, layout.counters)?,
            bytes: long(entry.bytes, layout.counters + 8)?,
        })
    }

    fn address(&self, bytes: &[u8], index: usize) -> Option<IpText> {
        Some(IpText(if self.is_ipv6 {
            Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(index * 16..index * 16 + 16)?).ok()?).into()
        } else {
            Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(index * 4..index * 4 + 4)?).ok()?).into()
        }))
    }

    /// What every entry has: addresses, interfaces, protocol.
    fn header(&self, bytes: &[u8]) -> Option<Vec<String>> {
        const FRAGMENT: u8 = 1;
        let layout = self.layout();
        let (flags, inverted) = (*bytes.get(layout.flags)?, *bytes.get(layout.inverted)?);
        let mut words = Vec::new();
        let mut put = |is_inverted: u8, word: &str, value: &str| {
            words.push(format!("{}{word} {value}", if is_inverted != 0 { "! " } else { "" }));
        };
        for (index, bit, word) in [(0, 0x08, "-s"), (1, 0x10, "-d")] {
            let (address, mask) = (self.address(bytes, index)?, self.address(bytes, index + 2)?);
            if !mask.0.is_unspecified() || inverted & bit != 0 {
                put(inverted & bit, word, &network(address, mask, true));
            }
        }
        for (index, bit, word) in [(0, 1, "-i"), (1, 2, "-o")] {
            let at = layout.interfaces + index * 16;
            let (name, mask) = (bytes.get(at..at + 16)?, bytes.get(at + 32..at + 48)?);
            if mask.first().is_some_and(|first| *first != 0) {
                put(inverted & bit, word, &interface(name, mask));
            }
        }
        let protocol = half(bytes, layout.protocol)?;
        if protocol != 0 {
            let word = u8::try_from(protocol).map_or_else(|_| protocol.to_string().into(), registered_protocol);
            put(inverted & 0x40, "-p", &word);
        }
        if !self.is_ipv6 && (flags | inverted >> 5) & FRAGMENT != 0 {
            words.push(if inverted & 0x20 != 0 { "! -f" } else { "-f" }.to_owned());
        }
        Some(words)
    }
}

/// What the kernel knows without the help of an extension.
fn verdict_word(verdict: i32) -> String {
    match verdict {
        -1 => "DROP".to_owned(),
        -2 => "ACCEPT".to_owned(),
        -4 => "QUEUE".to_owned(),
        -5 => "RETURN".to_owned(),
        other => other.to_string(),
    }
}
