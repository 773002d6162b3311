//! How large are the kernel's tables of IPv4 routes?
//!
//! Each is a trie. The file has a part for each table, with what it takes, and on some kernels with what it was asked.
//!
//! Source: `net/ipv4/fib_trie.c`.

/// Tables that are read.
const MAX_TABLES: usize = 1 << 12;

/// What one table takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trie {
    /// `Main`, `Local` or a number.
    pub table: String,
    /// Routes in it.
    pub prefixes: Option<u64>,
    /// Different destinations.
    pub leaves: Option<u64>,
    /// Nodes above them.
    pub nodes: Option<u64>,
    /// Places in these nodes.
    pub pointers: Option<u64>,
    /// Places that lead nowhere.
    pub null_pointers: Option<u64>,
    /// Mean of how many nodes are above a destination.
    pub mean_depth: Option<f64>,
    /// Most that are.
    pub max_depth: Option<u64>,
    /// Memory in units of 1024 bytes.
    pub kilobytes: Option<u64>,
    /// Searches.
    pub gets: Option<u64>,
    /// Searches that had to go back.
    pub backtracks: Option<u64>,
}

/// Reads `/proc/net/fib_triestat`; `None` where it is something else.
pub fn tries(text: &str) -> Option<Vec<Trie>> {
    let mut lines = text.lines();
    lines.next()?.strip_prefix("Basic info:")?;
    let mut tries: Vec<Trie> = Vec::new();
    for line in lines {
        if let Some(table) = head(line) {
            if tries.len() == MAX_TABLES {
                break;
            }
            tries.push(Trie { table: table.to_owned(), ..Trie::default() });
        } else if let Some(trie) = tries.last_mut() {
            take(trie, line);
        }
    }
    Some(tries)
}

/// The table whose part begins with a line.
fn head(line: &str) -> Option<&str> {
    let name = line.strip_suffix(':')?;
    match name {
        "Main" | "Local" => Some(name),
        _ => name.strip_prefix("Id "),
    }
}

fn take(trie: &mut Trie, line: &str) {
    let Some((name, value)) = line.split_once([':', '=']) else { return };
    let mut words = value.split_whitespace();
    let first = words.next().unwrap_or_default();
    let number = first.parse().ok();
    match name.trim() {
        "Aver depth" => trie.mean_depth = first.parse().ok(),
        "Max depth" => trie.max_depth = number,
        "Leaves" => trie.leaves = number,
        "Prefixes" => trie.prefixes = number,
        "Internal nodes" => trie.nodes = number,
        "Pointers" => trie.pointers = number,
        "Null ptrs" => trie.null_pointers = number,
        "Total size" => trie.kilobytes = number,
        "gets" => trie.gets = number,
        "backtracks" => trie.backtracks = number,
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_table_has_its_own_numbers() {
        let text = "Basic info: size of leaf: 48 bytes, size of tnode: 40 bytes.\nId 99:\n\tAver depth:     0.50\n\t\
            Max depth:      1\n\tLeaves:         2\n\tPrefixes:       3\n\tInternal nodes: 4\n\t  1: 9\n\tPointers: 5\n\
            Null ptrs: 6\nTotal size: 7  kB\n\nCounters:\n---------\ngets = 8\nbacktracks = 9\nMain:\n\tPrefixes:       1\n";
        let read = tries(text).unwrap();
        let [other, main] = &read[..] else { panic!("two tables") };
        let want = Trie {
            table: "99".to_owned(),
            prefixes: Some(3),
            leaves: Some(2),
            nodes: Some(4),
            pointers: Some(5),
            null_pointers: Some(6),
            mean_depth: Some(0.5),
            max_depth: Some(1),
            kilobytes: Some(7),
            gets: Some(8),
            backtracks: Some(9),
        };
        assert_eq!((other, &*main.table, main.prefixes, main.gets), (&want, "Main", Some(1), None));
        assert_eq!(tries("something else"), None);
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(text in "[A-Za-z0-9:= .\n\t]{0,300}") {
            let _ = tries(&format!("Basic info:\nMain:\n{text}"));
        }
    }
}
