//! What are the protocols called that the kernel tracks?

/// `IPPROTO_*` with the words of people.
const NAMES: &[(u8, &str)] =
    &[(1, "icmp"), (6, "tcp"), (17, "udp"), (33, "dccp"), (47, "gre"), (58, "icmpv6"), (132, "sctp"), (136, "udplite")];

/// The word for a protocol; `None` for one that goes by its number.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    NAMES.iter().find(|(known, _)| *known == number).map(|(_, name)| *name)
}

/// The number of a protocol that is written as a word, or as its number.
pub fn protocol_number(word: &str) -> Option<u8> {
    NAMES.iter().find(|(_, name)| *name == word).map(|(number, _)| *number).or_else(|| word.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back_from_what_is_written_of_it() {
        for number in 0..=u8::MAX {
            let word = protocol_name(number).map_or_else(|| number.to_string(), str::to_owned);
            assert_eq!(protocol_number(&word), Some(number));
        }
        assert_eq!((protocol_number("256"), protocol_number("TCP")), (None, None));
    }
}
