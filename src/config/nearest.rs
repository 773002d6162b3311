//! Which known name did somebody mean who wrote an unknown one?

/// The known name that is closest to `name`, `None` when nothing is close.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let close = |candidate: &'a str| {
        let score = strsim::jaro_winkler(&name.to_lowercase(), candidate);
        (score > 0.8).then_some((score, candidate))
    };
    known.into_iter().filter_map(close).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name_and_nonsense_finds_none() {
        let known = ["interval", "enabled", "budget"];
        assert_eq!(nearest("intervall", known), Some("interval"));
        assert_eq!(nearest("enable", known), Some("enabled"));
        assert_eq!(nearest("zzz", known), None);
    }
}
