//! The host, its CPUs, load, pressure, interrupts and clock: `lscpu`, `uname`, `uptime`, `vmstat` and the kernel's files.

use super::bracket::{Facts, Parity};
use super::{file, said, said_json};

/// Ticks of the kernel's clock in a second.
const HERTZ: f64 = 100.0;

fn lscpu() -> Vec<(String, String)> {
    let list = said_json("lscpu", &["-J"]);
    let text = |value: &serde_json::Value| value.as_str().unwrap().trim_end_matches(':').to_owned();
    list["lscpu"].as_array().unwrap().iter().map(|item| (text(&item["field"]), text(&item["data"]))).collect()
}

fn field<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
    list.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

#[test]
fn the_host_is_what_uname_and_lscpu_say() {
    let mut host = Parity::of("host", &[]);
    let lscpu = lscpu();
    host.agrees(|| {
        let mut facts = Facts::default();
        for (column, option) in [("hostname", "-n"), ("kernel", "-r"), ("architecture", "-m")] {
            facts.text("", column, said("uname", &[option]).trim());
        }
        if let Some(model) = field(&lscpu, "Model name") {
            facts.text("", "cpu_model", model);
        }
        match field(&lscpu, "Hypervisor vendor") {
            Some(vendor) => facts.text("", "virtualization", &vendor.to_lowercase()),
            None => facts.text("", "virtualization", "none"),
        }
        let release = said("sh", &["-c", ". /etc/os-release && printf %s \"$PRETTY_NAME\""]);
        facts.text("", "distribution", &release);
        let since = said("date", &["-d", &said("uptime", &["-s"]), "+%s"]).trim().parse::<f64>().unwrap();
        // it is put together from two clocks, each cut to a second
        facts.between("", "boot", since - 1.0, since + 1.0);
        let uptime = file("/proc/uptime");
        let sockets = file("/proc/net/unix");
        let marked = sockets.lines().any(|line| line.ends_with(" @netglance-agent"));
        facts.text("", "agent", if marked { "true" } else { "false" });
        facts.number("", "uptime", uptime.split(' ').next().unwrap().parse().unwrap());
        facts
    });
    // what only firmware, or only a container's manager, says
    host.left_out(&["container", "hardware"]);
}

/// What `vmstat -s` counts, by its words.
fn vmstat() -> Vec<(String, f64)> {
    let text = said("vmstat", &["-s"]);
    let lines = text.lines().map(|line| line.trim().split_once(' ').unwrap());
    lines.filter_map(|(count, name)| Some((name.to_owned(), count.parse().ok()?))).collect()
}

/// `user` to `guest_nice` of a line of `/proc/stat`, in seconds.
fn times(line: &str) -> (String, Vec<f64>) {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap().trim_start_matches("cpu");
    let name = if name.is_empty() { "all" } else { name };
    (name.to_owned(), words.map(|word| word.parse::<f64>().unwrap() / HERTZ).collect())
}

/// Clock of each CPU, from its own files or the list of all.
fn frequencies<'a>(cpus: impl Iterator<Item = &'a String>) -> Facts {
    let mut facts = Facts::default();
    for cpu in cpus {
        let scaled = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq");
        let scaled = std::fs::read_to_string(scaled).ok().map(|text| text.trim().parse::<f64>().unwrap() * 1e3);
        let info = file("/proc/cpuinfo");
        let mut blocks = info.split("\n\n").filter(|block| block.contains("processor"));
        let block = blocks.nth(cpu.parse().unwrap()).unwrap_or_default();
        let line = block.lines().find_map(|line| line.strip_prefix("cpu MHz"));
        let told = line.map(|line| line.trim().trim_start_matches(": ").parse::<f64>().unwrap() * 1e6);
        match scaled.or(told) {
            Some(hertz) => facts.between(cpu, "frequency", hertz - 1.0, hertz + 1.0),
            None => facts.missing(cpu, "frequency"),
        }
    }
    facts
}

#[test]
fn cpu_times_are_those_of_the_kernel_with_guests_counted_once() {
    let mut cpu = Parity::of("cpu", &["cpu"]);
    cpu.agrees(|| {
        let stat = file("/proc/stat");
        let mut facts = Facts::default();
        for (name, times) in stat.lines().filter(|line| line.starts_with("cpu")).map(times) {
            let [user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice] = times[..] else {
                panic!("{stat}")
            };
            // the kernel may step idle times and those of guests back by a tick or two
            let mut about = |column, time| facts.between(&name, column, time - 0.05, time + 0.05);
            about("user", user - guest);
            about("nice", nice - guest_nice);
            about("system", system);
            about("idle", idle);
            about("iowait", iowait);
            about("irq", irq);
            about("softirq", softirq);
            about("steal", steal);
            about("guest", guest);
            about("guest_nice", guest_nice);
            let busy = user + nice + system + irq + softirq + steal;
            about("busy", busy);
            about("accounted", busy + idle + iowait);
        }
        facts
    });
    // another reader of the same counters
    cpu.agrees(|| {
        let counts = vmstat();
        let ticks = |name: &str| counts.iter().find(|(known, _)| known == name).unwrap().1 / HERTZ;
        let mut facts = Facts::default();
        let user = ticks("non-nice user cpu ticks") - ticks("non-nice guest cpu ticks");
        facts.between("all", "user", user - 0.05, user + 0.05);
        let nice = ticks("nice user cpu ticks") - ticks("nice guest cpu ticks");
        facts.between("all", "nice", nice - 0.05, nice + 0.05);
        for (column, name) in [
            ("system", "system cpu ticks"),
            ("idle", "idle cpu ticks"),
            ("iowait", "IO-wait cpu ticks"),
            ("irq", "IRQ cpu ticks"),
            ("softirq", "softirq cpu ticks"),
            ("steal", "stolen cpu ticks"),
        ] {
            facts.between("all", column, ticks(name) - 0.05, ticks(name) + 0.05);
        }
        facts
    });
    let cpus = cpu.keys();
    assert_eq!(cpus.len() - 1, field(&lscpu(), "CPU(s)").unwrap().parse::<usize>().unwrap(), "{cpus:?}");
    cpu.agrees(|| frequencies(cpus.iter().filter(|cpu| *cpu != "all")));
    cpu.left_out(&["cpu"]);
}

#[test]
fn load_is_what_the_kernel_and_uptime_say() {
    let mut load = Parity::of("load", &[]);
    load.agrees(|| {
        let text = file("/proc/loadavg");
        let words: Vec<&str> = text.split([' ', '/']).collect();
        let mut facts = Facts::default();
        for (column, word) in ["one", "five", "fifteen", "runnable", "tasks"].iter().zip(&words) {
            facts.number("", column, word.parse().unwrap());
        }
        let cpus: f64 = said("getconf", &["_NPROCESSORS_ONLN"]).trim().parse().unwrap();
        facts.number("", "cpus", cpus);
        facts.number("", "per_cpu", words[1].parse::<f64>().unwrap() / cpus);
        facts
    });
    load.agrees(|| {
        let text = said("uptime", &[]);
        let averages = text.split_once("load average: ").unwrap().1.trim().split(", ");
        let mut facts = Facts::default();
        for (column, word) in ["one", "five", "fifteen"].iter().zip(averages) {
            facts.number("", column, word.parse().unwrap());
        }
        facts
    });
    load.left_out(&[]);
}

#[test]
fn interrupts_are_what_the_kernel_and_vmstat_count() {
    let mut interrupt = Parity::of("interrupt", &[]);
    interrupt.agrees(|| {
        let stat = file("/proc/stat");
        let value = |name: &str| {
            let rest = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
            rest.split(' ').next().unwrap().parse().unwrap()
        };
        let mut facts = Facts::default();
        facts.number("", "softirqs", value("softirq"));
        facts.number("", "running", value("procs_running"));
        facts.number("", "blocked", value("procs_blocked"));
        facts
    });
    interrupt.agrees(|| {
        let mut facts = Facts::default();
        for (name, count) in vmstat() {
            match name.as_str() {
                "interrupts" | "forks" => facts.number("", &name, count),
                "CPU context switches" => facts.number("", "context_switches", count),
                _ => {}
            }
        }
        facts
    });
    interrupt.left_out(&[]);
}

#[test]
fn soft_interrupts_are_what_the_kernel_counts_on_each_cpu() {
    let mut softirq = Parity::of("softirq", &["cpu"]);
    let columns = ["hi", "timer", "net_tx", "net_rx", "block", "irq_poll", "tasklet", "sched", "hrtimer", "rcu"];
    softirq.agrees(|| {
        let text = file("/proc/softirqs");
        let mut lines = text.lines();
        let cpus: Vec<&str> = lines.next().unwrap().split_whitespace().map(|word| &word[3..]).collect();
        let stat = file("/proc/stat");
        let mut facts = Facts::default();
        for (line, column) in lines.zip(columns) {
            let (name, counts) = line.split_once(':').unwrap();
            assert_eq!(name.trim().to_lowercase(), column);
            for (cpu, count) in cpus.iter().zip(counts.split_whitespace()) {
                // the file has a column for every CPU that could ever be plugged in
                if stat.contains(&format!("\ncpu{cpu} ")) {
                    facts.number(cpu, column, count.parse().unwrap());
                }
            }
        }
        facts
    });
    softirq.agrees(|| {
        let text = file("/proc/net/softnet_stat");
        let mut facts = Facts::default();
        for line in text.lines() {
            let words: Vec<u64> = line.split(' ').map(|word| u64::from_str_radix(word, 16).unwrap()).collect();
            let cpu = words[12].to_string();
            for (column, at) in [
                ("processed", 0),
                ("dropped", 1),
                ("time_squeeze", 2),
                ("received_rps", 9),
                ("flow_limit", 10),
                ("backlog", 11),
            ] {
                facts.number(&cpu, column, words[at] as f64);
            }
        }
        facts
    });
    softirq.left_out(&["cpu"]);
}

#[test]
fn pressure_is_what_the_kernel_says() {
    let mut pressure = Parity::of("pressure", &["resource"]);
    let Ok(names) = std::fs::read_dir("/proc/pressure") else { return pressure.absent() };
    let names: Vec<String> = names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
    pressure.agrees(|| {
        let mut facts = Facts::default();
        for name in &names {
            let text = said("cat", &[&format!("/proc/pressure/{name}")]);
            for line in text.lines() {
                let mut words = line.split(' ');
                let which = words.next().unwrap();
                for (word, value) in words.map(|word| word.split_once('=').unwrap()) {
                    let value: f64 = value.parse().unwrap();
                    let (column, value) = if word == "total" { ("time", value / 1e6) } else { (word, value / 100.0) };
                    facts.number(name, &format!("{which}_{column}"), value);
                }
            }
        }
        facts
    });
    assert_eq!(pressure.keys(), names.into_iter().collect());
    pressure.left_out(&["resource"]);
}

#[test]
fn the_clock_is_what_the_kernel_tells_about_it() {
    let mut clock = Parity::of("clock", &[]);
    clock.agrees(|| {
        // SAFETY: zeroes are a valid `timex` that asks and changes nothing; the pointer is that of a local.
        let (state, now) = unsafe {
            let mut now: libc::timex = std::mem::zeroed();
            (libc::clock_adjtime(libc::CLOCK_REALTIME, &raw mut now), now)
        };
        assert!(state >= 0, "{}", std::io::Error::last_os_error());
        let mut facts = Facts::default();
        // TIME_ERROR is the kernel's own verdict
        facts.text("", "state", if state == libc::TIME_ERROR { "unsynchronized" } else { "synchronized" });
        let unit = if now.status & libc::STA_NANO == 0 { 1e6 } else { 1e9 };
        facts.number("", "offset", now.offset as f64 / unit);
        facts.number("", "max_error", now.maxerror as f64 / 1e6);
        facts.number("", "estimated_error", now.esterror as f64 / 1e6);
        facts.number("", "frequency_correction", now.freq as f64 / f64::from(1 << 16) / 1e6);
        facts.number("", "tai_offset", f64::from(now.tai));
        let source = file("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        facts.text("", "clocksource", source.trim());
        facts
    });
    clock.left_out(&[]);
}
