//! What do the kernel's text files have in common?
//!
//! Lists such as `0-3,7`, and lines of a name and a number as in `meminfo`, `vmstat`, `cpu.stat` or `arcstats`. All of it
//! is bounded and allocates nothing where it can.

/// Most members of a list that are given out; no kernel has more CPUs or nodes.
const MAX_MEMBERS: u64 = 1 << 16;

/// Number of members of a kernel list such as `0-3,7`; `None` when it does not parse.
pub fn count(list: &str) -> Option<u64> {
    ranges(list).try_fold(0_u64, |sum, range| {
        let (first, last) = range?;
        sum.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// Members of a kernel list such as `0-3,7`; `None` when it does not parse or is absurdly long.
pub fn members(list: &str) -> Option<Vec<u64>> {
    let total = count(list)?;
    if total > MAX_MEMBERS {
        return None;
    }
    Some(ranges(list).flatten().flat_map(|(first, last)| first..=last).collect())
}

fn ranges(list: &str) -> impl Iterator<Item = Option<(u64, u64)>> + '_ {
    list.trim().split(',').filter(|part| !part.is_empty()).map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    })
}

/// Name and rest of each line, split at the first blank or colon.
pub fn pairs(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.lines().filter_map(|line| {
        let (name, rest) = line.split_once([' ', '\t', ':'])?;
        Some((name, rest.trim_start_matches([' ', '\t', ':'])))
    })
}

/// First number of a text, in bytes when `kB` follows.
pub fn size(rest: &str) -> Option<u64> {
    let mut fields = rest.split_ascii_whitespace();
    let number: u64 = fields.next()?.parse().ok()?;
    match fields.next() {
        Some("kB") => number.checked_mul(1024),
        _ => Some(number),
    }
}

/// The number on the line of this name.
pub fn number(text: &str, name: &str) -> Option<u64> {
    pairs(text).find(|(known, _)| *known == name).and_then(|(_, rest)| size(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_lists_are_counted_and_listed() {
        assert_eq!(count("0-3,7\n"), Some(5));
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("3-0"), None);
        assert_eq!(count("\n"), Some(0));
        assert_eq!(members("0-1,4\n"), Some(vec![0, 1, 4]));
        assert_eq!(members("0-18446744073709551614"), None, "a hostile list must not fill memory");
        assert_eq!(members("a-b"), None);
    }

    #[test]
    fn sizes_are_read_in_bytes() {
        let text = "MemTotal:       24684092 kB\nHugePages_Total:       3\nnr_free_pages 17\n";
        assert_eq!(number(text, "MemTotal"), Some(24_684_092 * 1024));
        assert_eq!(number(text, "HugePages_Total"), Some(3));
        assert_eq!(number(text, "nr_free_pages"), Some(17));
        assert_eq!(number(text, "nr_free"), None);
        assert_eq!(size("18446744073709551615 kB"), None);
    }
}
