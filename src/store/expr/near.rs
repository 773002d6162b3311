//! Which known name was probably meant?

/// Names longer than this are never compared: the cost is quadratic.
const MAX: usize = 64;

/// The known name that is closest to `word`, if it is close: at most a third of its letters differ.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(MAX + 1).map(|c| c.to_ascii_lowercase()).collect();
    if word.len() > MAX {
        return None;
    }
    let limit = (word.len() / 3).max(1);
    known
        .into_iter()
        .filter_map(|name| {
            let chars: Vec<char> = name.chars().take(MAX + 1).map(|c| c.to_ascii_lowercase()).collect();
            let far = (chars.len() > MAX).then_some(usize::MAX);
            Some((far.unwrap_or_else(|| distance(&word, &chars)), name)).filter(|(far, _)| *far <= limit)
        })
        .min_by_key(|(far, _)| *far)
        .map(|(_, name)| name)
}

/// Edits that make `a` into `b`; two swapped letters are one edit.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = Vec::with_capacity(b.len() + 1);
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], k: usize| row.get(k).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&above, j) + usize::from(x != y)).min(at(&above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut above, row);
    }
    above.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let known = ["rss", "state", "cpu_time", "name"];
        assert_eq!(nearest("stat", known), Some("state"));
        assert_eq!(nearest("nmae", known), Some("name"));
        assert_eq!(nearest("cputime", known), Some("cpu_time"));
        assert_eq!(nearest("zebra", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
