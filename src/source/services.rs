//! Which names does the system have for ports?

use std::collections::BTreeMap;

use super::Error;
use super::file::Root;
use crate::model::Text;

/// Names by protocol and port, as in `tcp/443`.
pub type Names = BTreeMap<String, Text>;

/// Reads `/etc/services` below a root.
///
/// # Errors
/// It cannot be read, or is too large to be read.
pub fn read(root: &Root) -> Result<Names, Error> {
    Ok(parse(&root.text("etc/services")?))
}

/// Of several names for one port the first counts, and aliases do not.
fn parse(text: &str) -> Names {
    let mut names = Names::new();
    for line in text.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (Some(name), Some((port, protocol))) = (words.next(), words.next().and_then(|at| at.split_once('/')))
        else {
            continue;
        };
        if let Ok(port) = port.parse::<u16>() {
            names.entry(format!("{protocol}/{port}")).or_insert_with(|| Text::from(name));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_port_counts_and_what_is_no_line_is_passed_over() {
        let text = "# comment\nhttps\t\t443/tcp\t\t# secure\nhttps 443/udp\nother 443/tcp alias\n\nbroken\nbad 99999/tcp\n\
                    ev\u{1b}il 7/tcp\n#off 8/tcp\n";
        let names = parse(text);
        let name = |key: &str| names.get(key).map(Text::as_str);
        assert_eq!((name("tcp/443"), name("udp/443")), (Some("https"), Some("https")));
        assert_eq!(name("tcp/7"), Some("ev\\x1bil"));
        assert_eq!(names.len(), 3, "{names:?}");
    }
}
