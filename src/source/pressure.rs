//! How does the kernel write pressure stall information, of the host and of a cgroup?

/// One line of a pressure file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// Share of the last ten seconds, 0 to 1.
    pub avg10: f64,
    /// Share of the last minute.
    pub avg60: f64,
    /// Share of the last five minutes.
    pub avg300: f64,
    /// Seconds in all.
    pub total: f64,
}

/// A pressure file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pressure {
    /// At least one task waited.
    pub some: Option<Stall>,
    /// All tasks waited.
    pub full: Option<Stall>,
}

/// Parses a pressure file, `None` when neither line is there.
pub fn parse(text: &str) -> Option<Pressure> {
    let mut found = Pressure { some: None, full: None };
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("some", rest)) => found.some = stall(rest),
            Some(("full", rest)) => found.full = stall(rest),
            _ => {}
        }
    }
    (found.some.is_some() || found.full.is_some()).then_some(found)
}

fn stall(text: &str) -> Option<Stall> {
    let field = |name: &str| {
        let (_, value) = text.split(' ').filter_map(|word| word.split_once('=')).find(|(known, _)| *known == name)?;
        value.parse::<f64>().ok().filter(|value| value.is_finite())
    };
    Some(Stall {
        avg10: field("avg10")? / 100.0,
        avg60: field("avg60")? / 100.0,
        avg300: field("avg300")? / 100.0,
        total: field("total")? / 1e6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_ratios_and_times_are_in_base_units() {
        let found = parse("some avg10=2.50 avg60=50.00 avg300=100.00 total=27367948\n").unwrap();
        assert_eq!(found.some, Some(Stall { avg10: 0.025, avg60: 0.5, avg300: 1.0, total: 27.367_948 }));
        assert_eq!(found.full, None);
    }

    #[test]
    fn a_cut_line_is_no_line() {
        assert_eq!(parse("some avg10=2.50 avg60=50.00"), None);
        assert_eq!(parse(""), None);
    }
}
