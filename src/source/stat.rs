//! What has the kernel counted since boot, by CPU and in all?
//!
//! Reads `/proc/stat` (`Documentation/filesystems/proc.rst`, 1.7). Kernels before 2.6.33 have fewer fields of CPU time; what
//! is not there is `None`. Only CPUs that are online have a line, so their numbers may have gaps.

/// CPU time in clock ticks, in the order of the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    fields: [u64; 10],
    len: usize,
}

/// Fields of [`Times`] in the order of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the kernel's own words, explained by the columns that carry them")]
pub enum Field {
    User,
    Nice,
    System,
    Idle,
    Iowait,
    Irq,
    Softirq,
    Steal,
    Guest,
    GuestNice,
}

impl Times {
    /// Ticks of one field, `None` when this kernel has it not.
    pub fn get(&self, field: Field) -> Option<u64> {
        let index = field as usize;
        if index < self.len { self.fields.get(index).copied() } else { None }
    }
}

/// One `cpu` line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Number, `None` for the sum of all.
    pub number: Option<u32>,
    /// Time.
    pub times: Times,
}

/// Totals of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Interrupts.
    pub interrupts: Option<u64>,
    /// Soft interrupts.
    pub softirqs: Option<u64>,
    /// Context switches.
    pub switches: Option<u64>,
    /// Processes and threads made.
    pub forks: Option<u64>,
    /// Tasks that run or could run.
    pub running: Option<u64>,
    /// Tasks that wait for input or output.
    pub blocked: Option<u64>,
    /// Boot, in Unix seconds.
    pub boot: Option<u64>,
}

/// The `cpu` lines.
pub fn cpus(text: &str) -> impl Iterator<Item = Cpu> + '_ {
    // they come first; the line of interrupts behind them can be very long
    text.lines().map_while(|line| line.strip_prefix("cpu")).filter_map(|rest| {
        let (name, times) = rest.split_once(' ')?;
        let number = if name.is_empty() { None } else { Some(name.parse().ok()?) };
        Some(Cpu { number, times: times_of(times)? })
    })
}

fn times_of(text: &str) -> Option<Times> {
    let mut times = Times::default();
    for (slot, word) in times.fields.iter_mut().zip(text.split_ascii_whitespace()) {
        *slot = word.parse().ok()?;
        times.len += 1;
    }
    // user, nice, system and idle have been there since the beginning
    (times.len >= 4).then_some(times)
}

/// The lines of totals.
pub fn totals(text: &str) -> Totals {
    let mut totals = Totals::default();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(' ') else { continue };
        let slot = match name {
            "intr" => &mut totals.interrupts,
            "softirq" => &mut totals.softirqs,
            "ctxt" => &mut totals.switches,
            "processes" => &mut totals.forks,
            "procs_running" => &mut totals.running,
            "procs_blocked" => &mut totals.blocked,
            "btime" => &mut totals.boot,
            _ => continue,
        };
        *slot = rest.split(' ').next().and_then(|word| word.parse().ok());
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_with_gaps_keep_their_numbers() {
        let text =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 4 5 6 7 8 9 10\ncpu5 11 12 13 14 15 16 17 18 19 20\nintr 5 1 2\n";
        let cpus: Vec<_> = cpus(text).collect();
        assert_eq!(cpus.iter().map(|cpu| cpu.number).collect::<Vec<_>>(), [None, Some(0), Some(5)]);
        assert_eq!(cpus[2].times.get(Field::User), Some(11));
        assert_eq!(cpus[2].times.get(Field::GuestNice), Some(20));
    }

    #[test]
    fn fields_an_old_kernel_lacks_are_missing() {
        let cpu = cpus("cpu 1 2 3 4 5 6 7\n").next().unwrap();
        assert_eq!(cpu.times.get(Field::Softirq), Some(7));
        assert_eq!(cpu.times.get(Field::Steal), None);
        assert_eq!(cpus("cpu 1 2 3\n").next(), None, "a cut line is no line");
    }

    #[test]
    fn totals_are_read_by_name() {
        let text = "cpu  1 2 3 4\nintr 407880 0 7\nctxt 546148\nbtime 1795265705\nprocesses 12721\nprocs_running 3\nprocs_blocked 2\nsoftirq 341959 0 5\n";
        let totals = totals(text);
        assert_eq!(
            (totals.interrupts, totals.softirqs, totals.switches),
            (Some(407_880), Some(341_959), Some(546_148))
        );
        assert_eq!((totals.forks, totals.running, totals.blocked), (Some(12_721), Some(3), Some(2)));
        assert_eq!(totals.boot, Some(1_795_265_705));
    }
}
