//! How does the kernel write the state of its RAID arrays?

use crate::model::Text;
use crate::source::bounded::Bounded;

/// Most arrays that are read.
pub const MAX_ARRAYS: usize = 1024;

/// One array of `/proc/mdstat`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Array {
    /// Name.
    pub name: Text,
    /// Whether it runs.
    pub active: bool,
    /// Whether too many members have gone for it to answer.
    pub broken: bool,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Level, unknown while it does not run.
    pub level: Option<Text>,
    /// Bytes.
    pub size: Option<u64>,
    /// Members it should have.
    pub members: Option<u64>,
    /// Members that work.
    pub working: Option<u64>,
    /// Members marked `(F)`.
    pub failed: u64,
    /// Members marked `(S)`.
    pub spares: u64,
    /// What is being done to it.
    pub action: Option<Text>,
    /// How much of that is done, 0 to 1.
    pub progress: Option<f64>,
    /// Bytes per second of that.
    pub speed: Option<u64>,
}

/// Parses `/proc/mdstat`.
pub fn parse(text: &str) -> Bounded<Array> {
    let mut arrays = Bounded::new(MAX_ARRAYS);
    for line in text.lines() {
        if let Some((name, rest)) = line.split_once(" : ")
            && !line.starts_with([' ', '\t'])
        {
            if name.trim() != "Personalities" {
                arrays.push(head(name.trim(), rest));
            }
        } else if line.starts_with([' ', '\t'])
            // what follows one that was left out is not that of the last one kept
            && arrays.left_out() == 0
            && let Some(array) = arrays.kept_mut().last_mut()
        {
            body(line, array);
        }
    }
    arrays
}

/// `active raid1 sdb1[1] sda1[0](F)`
fn head(name: &str, rest: &str) -> Array {
    let mut array = Array { name: Text::from(name), ..Array::default() };
    for word in rest.split_ascii_whitespace() {
        match word {
            "active" => array.active = true,
            "broken" => (array.active, array.broken) = (true, true),
            "inactive" => {}
            "(read-only)" | "(auto-read-only)" => array.read_only = true,
            _ if word.contains('[') => {
                array.failed += u64::from(word.contains("(F)"));
                array.spares += u64::from(word.contains("(S)"));
            }
            // an array that does not run has no level, only members
            _ if array.active && array.level.is_none() => array.level = Some(Text::from(word)),
            _ => {}
        }
    }
    array
}

fn body(line: &str, array: &mut Array) {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    if let [blocks, "blocks", ..] = words.as_slice() {
        array.size = blocks.parse::<u64>().ok().and_then(|blocks| blocks.checked_mul(1024));
        let members = words.iter().find_map(|word| {
            let (members, working) = word.strip_prefix('[')?.strip_suffix(']')?.split_once('/')?;
            Some((members.parse().ok()?, working.parse().ok()?))
        });
        (array.members, array.working) = members.unzip();
        return;
    }
    // `[=>....]  recovery = 12.6% (37043392/292945152) finish=127.5min speed=33440K/sec`, or `resync=DELAYED`
    for (i, word) in words.iter().enumerate() {
        if let Some((action, share)) = progress(words.get(i..).unwrap_or(&[])) {
            array.action = Some(Text::from(action));
            array.progress = share.trim_end_matches('%').parse::<f64>().ok().map(|share| share / 100.0);
        } else if let Some(speed) = word.strip_prefix("speed=") {
            let number = speed.strip_suffix("K/sec").and_then(|number| number.parse::<u64>().ok());
            array.speed = number.and_then(|number| number.checked_mul(1024));
        } else if let Some((action, "DELAYED" | "PENDING" | "REMOTE")) = word.split_once('=') {
            array.action = Some(Text::from(action));
        }
    }
}

/// `recovery = 12.6%`; at `recovery =100.0%` there is no room for the space.
fn progress<'a>(words: &[&'a str]) -> Option<(&'a str, &'a str)> {
    match words {
        [action, "=", share, ..] => Some((action, share)),
        [action, share, ..] => Some((*action, share.strip_prefix('=')?)).filter(|(_, share)| share.ends_with('%')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Personalities : [raid1] [raid6] [raid5] [raid4]\n\
        md1 : active raid5 sdd1[4] sdc1[2] sdb1[1](F) sda1[0]\n      \
        3906764800 blocks super 1.2 level 5, 512k chunk, algorithm 2 [4/3] [U_UU]\n      \
        [=>...................]  recovery =  8.5% (110706176/1302254933) finish=98.2min speed=202224K/sec\n      \
        bitmap: 3/10 pages [12KB], 65536KB chunk\n\n\
        md0 : active (auto-read-only) raid1 sdb2[1] sda2[0] sde2[2](S)\n      \
        1048512 blocks [2/2] [UU]\n      \tresync=PENDING\n\n\
        md127 : inactive sdf[0](S)\n      2093056 blocks super 1.2\n\n\
        md5 : active raid0 sdg[1] sdh[0]\n      4096 blocks super 1.2 512k chunks\n\nunused devices: <none>\n";

    #[test]
    fn a_degraded_array_says_what_is_missing_and_how_far_recovery_is() {
        let arrays = parse(TEXT).into_kept();
        let array = &arrays[0];
        assert_eq!((&*array.name, array.level.as_deref()), ("md1", Some("raid5")));
        assert_eq!((array.members, array.working, array.failed), (Some(4), Some(3), 1));
        assert_eq!(array.size, Some(3_906_764_800 * 1024));
        assert_eq!(array.action.as_deref(), Some("recovery"));
        assert_eq!((array.progress, array.speed), (Some(0.085), Some(202_224 * 1024)));
    }

    #[test]
    fn spare_read_only_inactive_and_plain_arrays_are_told_apart() {
        let arrays = parse(TEXT).into_kept();
        assert_eq!(arrays.len(), 4);
        assert!(arrays[1].read_only && arrays[1].spares == 1);
        assert_eq!(arrays[1].action.as_deref(), Some("resync"));
        assert_eq!((arrays[2].active, arrays[2].level.clone(), arrays[2].spares), (false, None, 1));
        assert_eq!((arrays[3].members, arrays[3].level.as_deref()), (None, Some("raid0")));
    }

    #[test]
    fn an_action_that_is_all_but_done_is_read() {
        let text = "md1 : active raid1 sdb1[1] sda1[0]\n      100 blocks [2/2] [UU]\n      \
            [====================>]  resync =100.0% (100/100) finish=0.0min speed=100K/sec\n";
        let array = &parse(text).into_kept()[0];
        assert_eq!((array.action.as_deref(), array.progress), (Some("resync"), Some(1.0)));
        assert_eq!(array.speed, Some(100 * 1024));
    }

    #[test]
    fn an_empty_file_has_no_arrays() {
        assert_eq!(parse("Personalities : \nunused devices: <none>\n").into_kept(), []);
        assert_eq!(parse("   stray line\n").into_kept(), []);
    }

    #[test]
    fn arrays_that_are_too_many_are_counted_and_change_no_other() {
        use std::fmt::Write as _;
        let mut text = String::new();
        for n in 0..MAX_ARRAYS + 3 {
            writeln!(text, "md{n} : active raid1 sda{n}[0]\n      {} blocks [1/1] [U]\n", n + 1).unwrap();
        }
        let arrays = parse(&text);
        assert_eq!((arrays.kept().len(), arrays.left_out()), (MAX_ARRAYS, 3));
        assert_eq!(arrays.kept().last().unwrap().size, Some(MAX_ARRAYS as u64 * 1024));
    }
}
