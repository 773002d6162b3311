//! What stands around the messages in a datagram of netlink?
//!
//! A header with length, type, flags and the sequence number of the question; a status at the end of a reply, with the
//! kernel's own words where something was refused.
//!
//! Source: `include/uapi/linux/netlink.h`.

use super::attr::{self, Malformed, attributes};
use super::{Message, Request};

pub(super) const NLMSG_ERROR: u16 = 2;
pub(super) const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 0x1;
pub(super) const NLM_F_MULTI: u16 = 0x2;
const NLM_F_ACK: u16 = 0x4;
pub(super) const NLM_F_DUMP_INTR: u16 = 0x10;
pub(super) const NLM_F_CAPPED: u16 = 0x100;
pub(super) const NLM_F_ACK_TLVS: u16 = 0x200;
const NLM_F_DUMP: u16 = 0x300;
pub(super) const NLMSGERR_ATTR_MSG: u16 = 1;
/// `sizeof(struct nlmsghdr)`
pub(super) const HEADER: usize = 16;

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    /// With all rows of a table and an end mark, or with a single message.
    Dump,
    /// With all rows of a table and always an end mark, though not every family says before that more will follow.
    MarkedDump,
    /// With a few messages, or none, and an acknowledgment.
    Single,
}

impl Question {
    fn flags(self) -> u16 {
        match self {
            Self::Dump | Self::MarkedDump => NLM_F_REQUEST | NLM_F_DUMP,
            Self::Single => NLM_F_REQUEST | NLM_F_ACK,
        }
    }
}

/// Why a reply ends before its time.
pub(super) enum Refusal {
    Malformed(Malformed),
    /// Negative status with the kernel's words for it.
    Kernel {
        errno: i32,
        words: Option<crate::model::Text>,
    },
}

impl From<Malformed> for Refusal {
    fn from(cause: Malformed) -> Self {
        Self::Malformed(cause)
    }
}

/// One message with its header.
#[derive(Clone, Copy)]
pub(super) struct Framed<'a> {
    pub(super) kind: u16,
    flags: u16,
    sequence: u32,
    pub(super) body: &'a [u8],
}

impl<'a> Framed<'a> {
    /// What is inside.
    pub(super) fn message(&self) -> Message<'a> {
        Message { kind: self.kind, flags: self.flags, body: self.body }
    }
}

/// A request with its header.
pub(super) fn encode(request: &Request, question: Question, sequence: u32) -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + request.body.len());
    let length = u32::try_from(HEADER + request.body.len()).unwrap_or(u32::MAX);
    message.extend_from_slice(&length.to_ne_bytes());
    message.extend_from_slice(&request.kind.to_ne_bytes());
    message.extend_from_slice(&question.flags().to_ne_bytes());
    message.extend_from_slice(&sequence.to_ne_bytes());
    message.extend_from_slice(&0_u32.to_ne_bytes());
    message.extend_from_slice(&request.body);
    message
}

/// Calls `visit` with every message of a datagram until it returns false.
pub(super) fn each_message<E: From<Malformed>>(
    mut bytes: &[u8],
    mut visit: impl FnMut(Framed<'_>) -> Result<bool, E>,
) -> Result<(), E> {
    while !bytes.is_empty() {
        let length = usize::try_from(attr::u32_at(bytes, 0)?).map_err(|_| Malformed)?;
        let body = bytes.get(HEADER..length).ok_or(Malformed)?;
        let (kind, flags) = (attr::u16_at(bytes, 4)?, attr::u16_at(bytes, 6)?);
        if !visit(Framed { kind, flags, sequence: attr::u32_at(bytes, 8)?, body })? {
            break;
        }
        bytes = bytes.get(attr::align(length)..).unwrap_or(&[]);
    }
    Ok(())
}

/// Reads one datagram of a reply; true at its end.
pub(super) fn read_datagram(
    bytes: &[u8],
    question: Question,
    sequence: u32,
    interrupted: &mut bool,
    visit: &mut impl FnMut(Message<'_>) -> Result<(), Malformed>,
) -> Result<bool, Refusal> {
    let mut done = false;
    each_message(bytes, |message| {
        if message.sequence != sequence {
            return Ok::<_, Refusal>(true);
        }
        *interrupted |= message.flags & NLM_F_DUMP_INTR != 0;
        match message.kind {
            NLMSG_DONE | NLMSG_ERROR => {
                status(message)?;
                done = true;
            }
            _ => {
                visit(message.message())?;
                // a family that answers a dump with a single message sends no end mark
                done = question == Question::Dump && message.flags & NLM_F_MULTI == 0;
            }
        }
        Ok(!done)
    })?;
    Ok(done)
}

/// Reads the status in an end mark or an error; a body without one is success.
fn status(message: Framed<'_>) -> Result<(), Refusal> {
    let errno = match (message.kind, message.body.len()) {
        (NLMSG_DONE, 0..4) => 0,
        _ => attr::i32_at(message.body, 0)?,
    };
    if errno >= 0 {
        return Ok(());
    }
    Err(Refusal::Kernel { errno: errno.saturating_neg(), words: words(message) })
}

/// The kernel's explanation of an error.
fn words(message: Framed<'_>) -> Option<crate::model::Text> {
    if message.flags & NLM_F_ACK_TLVS == 0 {
        return None;
    }
    let mut offset = 4;
    if message.kind == NLMSG_ERROR {
        // the header of the request follows, and its body unless it was capped
        let request = usize::try_from(attr::u32_at(message.body, 4).ok()?).ok()?;
        offset += if message.flags & NLM_F_CAPPED != 0 { HEADER } else { attr::align(request) };
    }
    let attribute = attributes(message.body.get(offset..)?).flatten().find(|a| a.kind == NLMSGERR_ATTR_MSG)?;
    Some(crate::model::Text::new(attribute.string()))
}
