//! In which words is told what a connection is?
//!
//! Those of `conntrack -L`; what the kernel leaves out because it is zero is told.

use std::sync::LazyLock;

use super::{FlowNat, FlowOffload};
use crate::model::{Text, protocol_name};
use crate::source::conntrack::flow::status;

/// The kernel leaves out the zone 0.
pub(super) fn zone(both: Option<u16>, own: Option<u16>) -> u32 {
    own.or(both).map_or(0, u32::from)
}

/// Words for the protocols that the kernel tracks, and numbers for all others.
pub(in crate::collect) fn protocol(number: u8) -> Text {
    static NAMES: LazyLock<Vec<Text>> = LazyLock::new(|| {
        let name = |number| Text::from(protocol_name(number).map_or_else(|| number.to_string(), str::to_owned));
        (0..=u8::MAX).map(name).collect()
    });
    NAMES.get(usize::from(number)).cloned().unwrap_or_default()
}

pub(super) fn nat(bits: u32) -> FlowNat {
    match (bits & status::SOURCE_NAT != 0, bits & status::DESTINATION_NAT != 0) {
        (false, false) => FlowNat::None,
        (true, false) => FlowNat::Source,
        (false, true) => FlowNat::Destination,
        (true, true) => FlowNat::Both,
    }
}

pub(super) fn offload(bits: u32) -> FlowOffload {
    match (bits & status::OFFLOAD != 0, bits & status::HARDWARE_OFFLOAD != 0) {
        (_, true) => FlowOffload::Hardware,
        (true, false) => FlowOffload::Software,
        (false, false) => FlowOffload::None,
    }
}

/// What `conntrack -L` says of a connection.
pub(super) fn words(bits: u32) -> Text {
    static WORDS: LazyLock<Vec<Text>> = LazyLock::new(|| {
        let words = |place: usize| {
            let has = |bit: usize| place >> bit & 1 == 1;
            let shown = [
                ("[UNREPLIED]", has(0)),
                ("[ASSURED]", has(1)),
                ("[OFFLOAD]", has(2) && !has(3)),
                ("[HW_OFFLOAD]", has(3)),
            ];
            let shown = shown.into_iter().filter(|(_, shown)| *shown);
            Text::from(shown.map(|(word, _)| word).collect::<Vec<_>>().join(" "))
        };
        (0..16).map(words).collect()
    });
    let set = |bit: u32, place: usize| if bits & bit != 0 { place } else { 0 };
    let unreplied = 1 - set(status::SEEN_REPLY, 1);
    let place = unreplied + set(status::ASSURED, 2) + set(status::OFFLOAD, 4) + set(status::HARDWARE_OFFLOAD, 8);
    WORDS.get(place).cloned().unwrap_or_default()
}

/// Numbers of the bits that are set; `None` when none is.
pub(super) fn numbers(labels: &[u8]) -> Option<Text> {
    let set = (0..labels.len() * 8).filter(|bit| labels.get(bit / 8).is_some_and(|byte| byte >> (bit % 8) & 1 == 1));
    let set: Vec<String> = set.map(|bit| bit.to_string()).collect();
    (!set.is_empty()).then(|| Text::from(set.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_written_as_conntrack_does() {
        assert_eq!(words(0).as_str(), "[UNREPLIED]");
        assert_eq!(words(status::SEEN_REPLY).as_str(), "");
        assert_eq!(words(status::SEEN_REPLY | status::ASSURED).as_str(), "[ASSURED]");
        assert_eq!(words(0x400e | status::HARDWARE_OFFLOAD).as_str(), "[ASSURED] [HW_OFFLOAD]");
        assert_eq!(words(0x400e).as_str(), "[ASSURED] [OFFLOAD]");
    }

    #[test]
    fn labels_are_numbers_of_bits() {
        assert_eq!(numbers(&[0; 16]), None);
        let mut labels = [0; 16];
        (labels[0], labels[15]) = (0b101, 0x80);
        assert_eq!(numbers(&labels), Some(Text::from("0,2,127")));
    }
}
