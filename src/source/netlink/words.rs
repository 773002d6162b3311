//! What do people call the numbers of rtnetlink?
//!
//! The words are those of `ip`; what has none is its number.
//!
//! Source: `include/uapi/linux/rtnetlink.h`.

use crate::model::Text;

/// `RTPROT_*`
const PROTOCOLS: [(u8, &str); 24] = [
    (0, "unspec"),
    (1, "redirect"),
    (2, "kernel"),
    (3, "boot"),
    (4, "static"),
    (8, "gated"),
    (9, "ra"),
    (10, "mrt"),
    (11, "zebra"),
    (12, "bird"),
    (13, "dnrouted"),
    (14, "xorp"),
    (15, "ntk"),
    (16, "dhcp"),
    (17, "mrouted"),
    (18, "keepalived"),
    (42, "babel"),
    (84, "ovn"),
    (99, "openr"),
    (186, "bgp"),
    (187, "isis"),
    (188, "ospf"),
    (189, "rip"),
    (192, "eigrp"),
];

/// Who has made a route, a rule or a neighbor.
pub fn protocol(number: u8) -> Text {
    word(&PROTOCOLS, number)
}

/// `RT_TABLE_*`: a table of routes.
pub fn table(number: u32) -> Text {
    let known = [(253, "default"), (254, "main"), (255, "local")];
    let known = known.into_iter().find(|(known, _)| *known == number);
    known.map_or_else(|| Text::from(number.to_string()), |(_, word)| Text::from(word))
}

fn word(words: &[(u8, &str)], number: u8) -> Text {
    let known = words.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| Text::from(number.to_string()), |(_, word)| Text::from(*word))
}

/// Words for the bits that are set, lowest first; `None` where none is that has one.
pub fn flags(words: &[(u32, &str)], set: u32) -> Option<Text> {
    let words: Vec<&str> = words.iter().filter(|(bit, _)| set & bit != 0).map(|(_, word)| *word).collect();
    (!words.is_empty()).then(|| Text::from(words.join(",")))
}
