//! What does each CPU do with its time?
//!
//! Counters are CPU seconds since boot as the kernel accounts them. The kernel may step idle and iowait back a little and
//! reads user and guest time apart, so a counter that falls by less than [`JITTER`] is held: only a real fall (a CPU that
//! was unplugged and came back) is passed on as a reset.

use std::time::Duration;

use super::{Batch, Collect, Cx, EVERY_SECOND, Entry, Skip};
use crate::model::{Mono, Text};
use crate::source::Error;
use crate::source::file::Roots;
use crate::source::stat::{self, Field, Times};
use crate::table;

table! {
    /// CPU time by kind: one row for all CPUs together and one for each CPU that is online.
    ///
    /// User and nice time do not contain guest time, so that the kinds add up. Kinds that the kernel does not account are
    /// missing. Frequencies are read every few seconds only, because asking wakes idle CPUs.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/stat`; `Documentation/admin-guide/pm/cpufreq.rst`.
    pub struct CpuRow = "cpu" { title: Some("CPU"), history: History::Whole } {
        /// Number of the CPU, or `all` for their sum.
        Id(None) cpu: Text { title: Some("CPU"), label: true },
        /// Ordinary programs, without the guests that they run.
        Counter(Seconds) user: f64 { cpu: true },
        /// Programs of lowered priority, without the guests that they run.
        Counter(Seconds) nice: f64 { cpu: true },
        /// The kernel on behalf of programs and for itself.
        Counter(Seconds) system: f64 { cpu: true },
        /// Idle while a task of this CPU waited for storage.
        Counter(Seconds) iowait: Option<f64> { cpu: true },
        /// Interrupts of devices.
        Counter(Seconds) irq: Option<f64> { title: Some("IRQ"), cpu: true },
        /// Work that interrupts put off: network, timers, storage.
        Counter(Seconds) softirq: Option<f64> { cpu: true },
        /// Taken by the hypervisor for others while this machine wanted to run.
        Counter(Seconds) steal: Option<f64> { cpu: true },
        /// Virtual CPUs of guests.
        Counter(Seconds) guest: Option<f64> { cpu: true },
        /// Virtual CPUs of guests of lowered priority.
        Counter(Seconds) guest_nice: Option<f64> { wide: true, cpu: true },
        /// Nothing to do.
        Counter(Seconds) idle: f64 { cpu: true },
        /// All kinds but idle and iowait together.
        Counter(Seconds) busy: f64 { wide: true, cpu: true },
        /// All kinds together: what the shares are shares of.
        Counter(Seconds) accounted: f64 { wide: true, cpu: true },
        /// Clock frequency; in the row for all the mean.
        Gauge(Hertz) frequency: Option<f64> { title: Some("freq") },
    }
    derived {
        /// Share of the time with something to do, time taken by the hypervisor included.
        used(Ratio) = "busy / accounted" { title: Some("used%"), summary: Some(Fold::All), glance: true },
        /// Share of ordinary programs.
        user_share(Ratio) = "user / accounted" { title: Some("user%") },
        /// Share of programs of lowered priority.
        nice_share(Ratio) = "nice / accounted" { title: Some("nice%") },
        /// Share of the kernel.
        system_share(Ratio) = "system / accounted" { title: Some("system%") },
        /// Share of waiting for storage.
        iowait_share(Ratio) = "iowait / accounted" { title: Some("iowait%"), summary: Some(Fold::All) },
        /// Share of device interrupts.
        irq_share(Ratio) = "irq / accounted" { title: Some("IRQ%"), wide: true },
        /// Share of put-off interrupt work.
        softirq_share(Ratio) = "softirq / accounted" { title: Some("softirq%") },
        /// Share that the hypervisor took.
        steal_share(Ratio) = "steal / accounted" { title: Some("steal%"), summary: Some(Fold::All), glance: true },
        /// Share of guests.
        guest_share(Ratio) = "guest / accounted" { title: Some("guest%") },
        /// Share of doing nothing.
        idle_share(Ratio) = "idle / accounted" { title: Some("idle%"), wide: true },
    }
}

/// Registry entry.
pub const ENTRY: Entry = Entry {
    name: "cpu",
    tables: &[CpuRow::TABLE],
    interval: EVERY_SECOND,
    blocks: false,
    needs: super::NO_CAPABILITY,
    make: || Box::<CpuCollector>::default(),
};

/// A fall of a counter below this, in clock ticks, is the kernel's rounding.
const JITTER: u64 = 100;

/// How old a frequency may be.
const FREQUENCY_AGE: Duration = Duration::from_secs(5);

/// Highest CPU number that is believed.
const MAX_CPU: u32 = 1 << 16;

#[derive(Default)]
struct CpuCollector {
    buffer: Vec<u8>,
    slots: Vec<Slot>,
    all: Slot,
    asked: Option<Mono>,
}

/// What is kept of one CPU.
#[derive(Clone, Default)]
struct Slot {
    name: Text,
    last: [u64; KINDS.len()],
    frequency: Option<f64>,
}

impl Collect for CpuCollector {
    fn collect(&mut self, cx: &Cx<'_>, out: &mut Batch) -> Result<(), Skip> {
        let text = cx.roots.proc.text_into("stat", &mut self.buffer)?;
        let hertz = rustix::param::clock_ticks_per_second() as f64;
        let mut rows = Vec::with_capacity(self.slots.len() + 1);
        let mut numbers = Vec::with_capacity(self.slots.len());
        let mut left_out = 0;
        for cpu in stat::cpus(text) {
            let slot = match cpu.number {
                None => &mut self.all,
                Some(number) if number < MAX_CPU => {
                    numbers.push(number as usize);
                    slot_of(&mut self.slots, number as usize)
                }
                Some(_) => {
                    left_out += 1;
                    continue;
                }
            };
            if slot.name.is_empty() {
                slot.name = cpu.number.map_or_else(|| Text::from("all"), |number| Text::from(number.to_string()));
            }
            rows.push(slot.row(&cpu.times, hertz));
        }
        out.left_out(CpuRow::TABLE, left_out, MAX_CPU as usize, "CPUs");
        if rows.is_empty() {
            return Err(Error::malformed(cx.roots.proc.join("stat"), "no line of CPU time").into());
        }
        if self.asked.is_none_or(|asked| cx.mono.since(asked) >= FREQUENCY_AGE.as_secs_f64()) {
            self.asked = Some(cx.mono);
            self.ask_frequencies(cx.roots, &numbers);
        }
        for row in &mut rows {
            row.frequency = match row.cpu.parse::<usize>() {
                Ok(number) => self.slots.get(number).and_then(|slot| slot.frequency),
                Err(_) => self.all.frequency,
            };
        }
        out.push(rows);
        Ok(())
    }
}

fn slot_of(slots: &mut Vec<Slot>, number: usize) -> &mut Slot {
    if number >= slots.len() {
        slots.resize_with(number + 1, Slot::default);
    }
    // it has just been made long enough
    &mut slots[number]
}

impl CpuCollector {
    fn ask_frequencies(&mut self, roots: &Roots, numbers: &[usize]) {
        let mut from_info: Option<Vec<(usize, f64)>> = None;
        let (mut sum, mut known) = (0.0, 0_u32);
        for &number in numbers {
            let path = format!("devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq");
            let found = roots.sys.number::<f64>(path).map(|kilohertz| kilohertz * 1e3).or_else(|| {
                let list = from_info.get_or_insert_with(|| {
                    roots.proc.text_into("cpuinfo", &mut self.buffer).map_or_else(|_| Vec::new(), frequencies)
                });
                list.iter().find(|(cpu, _)| *cpu == number).map(|(_, hertz)| *hertz)
            });
            let found = found.filter(|hertz| hertz.is_finite() && *hertz > 0.0);
            slot_of(&mut self.slots, number).frequency = found;
            if let Some(hertz) = found {
                sum += hertz;
                known += 1;
            }
        }
        self.all.frequency = (known > 0).then(|| sum / f64::from(known));
    }
}

/// CPU number and frequency of each block of `/proc/cpuinfo`.
fn frequencies(text: &str) -> Vec<(usize, f64)> {
    let mut found = Vec::new();
    let mut number = None;
    for (name, rest) in text.lines().filter_map(|line| line.split_once(':')) {
        match name.trim_end() {
            "processor" => number = rest.trim().parse().ok(),
            "cpu MHz" => {
                if let (Some(number), Ok(megahertz)) = (number, rest.trim().parse::<f64>()) {
                    found.push((number, megahertz * 1e6));
                }
            }
            _ => {}
        }
    }
    found
}

/// The kinds of the file in the order in which a slot keeps them.
const KINDS: [Field; 10] = [
    Field::User,
    Field::Nice,
    Field::System,
    Field::Idle,
    Field::Iowait,
    Field::Irq,
    Field::Softirq,
    Field::Steal,
    Field::Guest,
    Field::GuestNice,
];

impl Slot {
    fn row(&mut self, times: &Times, hertz: f64) -> CpuRow {
        let mut ticks = [None; KINDS.len()];
        for ((kind, slot), last) in KINDS.iter().zip(&mut ticks).zip(&mut self.last) {
            *slot = without_guests(times, *kind).map(|now| hold(now, last));
        }
        let [user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice] = ticks;
        let sum =
            |kinds: &[Option<u64>]| kinds.iter().flatten().fold(0_u64, |a, b| a.saturating_add(*b)) as f64 / hertz;
        let busy = sum(&[user, nice, system, irq, softirq, steal, guest, guest_nice]);
        let time = |ticks: Option<u64>| ticks.map(|ticks| ticks as f64 / hertz);
        // the reader of /proc/stat takes no line without these four
        let always = |ticks: Option<u64>| time(ticks).unwrap_or(f64::NAN);
        CpuRow {
            cpu: self.name.clone(),
            user: always(user),
            nice: always(nice),
            system: always(system),
            idle: always(idle),
            iowait: time(iowait),
            irq: time(irq),
            softirq: time(softirq),
            steal: time(steal),
            guest: time(guest),
            guest_nice: time(guest_nice),
            busy,
            accounted: sum(&[idle, iowait, user, nice, system, irq, softirq, steal, guest, guest_nice]),
            frequency: None,
        }
    }
}

/// The kernel counts guest time twice: as itself and as user or nice time.
fn without_guests(times: &Times, kind: Field) -> Option<u64> {
    let ticks = times.get(kind)?;
    let guests = match kind {
        Field::User => times.get(Field::Guest),
        Field::Nice => times.get(Field::GuestNice),
        _ => None,
    };
    Some(guests.map_or(ticks, |guests| ticks.saturating_sub(guests)))
}

fn hold(now: u64, last: &mut u64) -> u64 {
    if now >= *last || *last - now > JITTER {
        *last = now;
    }
    *last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::testing::{Tree, number, run};

    const STAT: &str = "cpu  1000 200 300 4000 50 6 7 8 100 20\ncpu0 600 100 200 2000 25 3 4 4 60 10\n\
                        cpu3 400 100 100 2000 25 3 3 4 40 10\nintr 5\n";

    #[test]
    fn guest_time_is_counted_once_and_the_kinds_add_up() {
        let tree = Tree::new(&[("proc/stat", STAT)]);
        let batch = tree.collect(&ENTRY).unwrap();
        let rows = &**batch.rows(CpuRow::TABLE).unwrap();
        let cell = |column| number(rows, Some("all"), column).unwrap();
        assert_eq!((cell("user"), cell("guest"), cell("nice"), cell("guest_nice")), (9.0, 1.0, 1.8, 0.2));
        let kinds = ["user", "nice", "system", "iowait", "irq", "softirq", "steal", "guest", "guest_nice", "idle"];
        let sum: f64 = kinds.into_iter().map(cell).sum();
        assert!((sum - cell("accounted")).abs() < 1e-9, "{sum}");
        assert!((sum - cell("busy") - cell("idle") - cell("iowait")).abs() < 1e-9);
    }

    #[test]
    fn an_unplugged_cpu_has_no_row_and_the_others_keep_their_names() {
        let tree = Tree::new(&[("proc/stat", STAT)]);
        let text = tree.table(&ENTRY, CpuRow::TABLE);
        let names: Vec<_> = text.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names, ["cpu=all", "cpu=0", "cpu=3"]);
    }

    #[test]
    fn kinds_an_old_kernel_lacks_are_missing_and_shares_still_work() {
        let tree = Tree::new(&[("proc/stat", "cpu 100 0 100 200 0 0 0\n")]);
        assert_eq!(
            tree.table(&ENTRY, CpuRow::TABLE),
            "cpu=all user=1 nice=0 system=1 iowait=0 irq=0 softirq=0 idle=2 busy=2 accounted=4\n"
        );
    }

    #[test]
    fn a_small_step_back_is_held_and_a_real_fall_is_passed_on() {
        let tree = Tree::new(&[("proc/stat", "cpu 1000 0 0 5000 400 0 0 0 0 0\n")]);
        let mut collector = CpuCollector::default();
        let mut iowait = |content: &str| -> i64 {
            tree.write("proc/stat", content);
            let batch = run(&mut collector, &Roots::recorded(tree.path())).unwrap();
            number(&**batch.rows(CpuRow::TABLE).unwrap(), Some("all"), "iowait")
                .map(|time| (time * 100.0).round() as i64)
                .unwrap()
        };
        assert_eq!(iowait("cpu 1000 0 0 5000 400 0 0 0 0 0\n"), 400);
        assert_eq!(iowait("cpu 1000 0 0 5000 390 0 0 0 0 0\n"), 400);
        assert_eq!(iowait("cpu 1000 0 0 5000 401 0 0 0 0 0\n"), 401);
        assert_eq!(iowait("cpu 1000 0 0 5000 7 0 0 0 0 0\n"), 7);
    }

    #[test]
    fn the_frequency_comes_from_cpufreq_or_else_from_cpuinfo() {
        let tree = Tree::new(&[
            ("proc/stat", STAT),
            ("proc/cpuinfo", "processor\t: 0\ncpu MHz\t\t: 1000.5\n\nprocessor\t: 3\ncpu MHz\t\t: 2000.0\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", "4000000\n"),
        ]);
        let batch = tree.collect(&ENTRY).unwrap();
        let hertz = |cpu| number(&**batch.rows(CpuRow::TABLE).unwrap(), Some(cpu), "frequency");
        assert_eq!((hertz("0"), hertz("3"), hertz("all")), (Some(4e9), Some(2e9), Some(3e9)));
    }

    #[test]
    fn time_accounted_lies_between_two_readings_of_the_kernel() {
        let file = || {
            let text = std::fs::read_to_string("/proc/stat").unwrap();
            let ticks: u64 = text
                .lines()
                .next()
                .unwrap()
                .split_ascii_whitespace()
                .skip(1)
                .take(8)
                .map(|w| w.parse::<u64>().unwrap())
                .sum();
            ticks as f64 / rustix::param::clock_ticks_per_second() as f64
        };
        let before = file();
        let batch = run(&mut CpuCollector::default(), &Roots::live()).unwrap();
        let accounted = number(&**batch.rows(CpuRow::TABLE).unwrap(), Some("all"), "accounted").unwrap();
        let after = file();
        assert!(before - 0.05 <= accounted && accounted <= after + 0.05, "{before} {accounted} {after}");
    }
}
