//! Processes, their threads and limits: `ps`, `prlimit` and the kernel's files, read here once more.

use netglance::model::Value;

use super::bracket::{Facts, Parity};
use super::work::Known;
use super::{file, said};

/// Ticks of the kernel's clock in a second.
const HERTZ: f64 = 100.0;

fn state(letter: &str) -> &'static str {
    match letter {
        "R" => "running",
        "S" => "sleeping",
        "D" => "disk_sleep",
        "Z" => "zombie",
        "T" => "stopped",
        "t" => "tracing",
        "I" => "idle",
        _ => "unknown",
    }
}

/// `Sat Nov 21 12:55:05 2026` in Unix seconds.
fn instant(words: &[&str]) -> f64 {
    let time = jiff::civil::DateTime::strptime("%a %b %d %H:%M:%S %Y", words.join(" ")).unwrap();
    time.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second() as f64
}

/// The line behind so many words, with its own blanks.
fn behind(line: &str, words: usize) -> &str {
    let skip = |rest: &'_ str| {
        let rest = rest.trim_start();
        rest.len() - rest.find(' ').unwrap_or(rest.len())
    };
    let left = (0..words).fold(line.len(), |left, _| skip(&line[line.len() - left..]));
    line[line.len() - left..].strip_prefix(' ').unwrap_or_default()
}

fn ps_facts() -> Facts {
    let columns =
        "pid=,ppid=,user:64=,s=,ni=,priority=,nlwp=,vsz=,rss=,min_flt=,maj_flt=,cputimes=,psr=,lstart=,pmem=,args=";
    let mut facts = Facts::default();
    for line in said("ps", &["-ww", "-eo", columns]).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let pid = words[0];
        facts.text(pid, "user", words[2]);
        facts.text(pid, "state", state(words[3]));
        for (column, at, unit) in [
            ("pid", 0, 1.0),
            ("parent", 1, 1.0),
            ("nice", 4, 1.0),
            ("priority", 5, 1.0),
            ("threads", 6, 1.0),
            ("virtual_size", 7, 1024.0),
            ("rss", 8, 1024.0),
            ("minor_faults", 9, 1.0),
            ("major_faults", 10, 1.0),
            ("last_cpu", 12, 1.0),
        ] {
            // real-time tasks have a dash for their nice value
            if let Ok(value) = words[at].parse::<f64>() {
                facts.number(pid, column, value * unit);
            }
        }
        let seconds: f64 = words[11].parse().unwrap();
        facts.between(pid, "cpu_time", seconds, seconds + 1.0);
        let started = instant(&words[13..18]);
        facts.between(pid, "started", started - 1.5, started + 1.5);
        // ps writes other bytes in a way of its own, and has words of its own for what has ended
        let tenths: f64 = words[18].parse::<f64>().unwrap() / 100.0;
        facts.between(pid, "memory", tenths - 0.001, tenths + 0.001);
        let args = behind(line, 19);
        let plain = args.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
        if plain && args.len() < 200 && !args.contains('?') && !args.ends_with("<defunct>") {
            facts.text(pid, "command", args);
        }
    }
    for line in said("ps", &["-eo", "pid=,comm="]).lines() {
        let (pid, name) = line.trim().split_once(' ').unwrap();
        if name.bytes().all(|byte| byte.is_ascii_graphic()) && !name.contains('?') {
            facts.text(pid, "name", name);
        }
    }
    facts
}

/// Numbers behind the name in `/proc/PID/stat`, the third field first.
fn stat(pid: &str) -> Option<Vec<f64>> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let rest = text.rsplit_once(')')?.1.split_whitespace();
    Some(rest.map(|word| word.parse().unwrap_or(f64::NAN)).collect())
}

fn file_facts() -> Facts {
    let mut facts = Facts::default();
    let total = said("free", &["-b"]).lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if name.parse::<u32>().is_err() {
            continue;
        }
        let Some(fields) = stat(&name) else { continue };
        // field 3 of proc(5) is the first here
        let field = |number: usize| fields[number - 3];
        facts.number(&name, "start", field(22));
        facts.number(&name, "user_time", field(14) / HERTZ);
        facts.number(&name, "system_time", field(15) / HERTZ);
        facts.number(&name, "guest_time", field(43) / HERTZ);
        facts.number(&name, "memory_total", total);
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{name}/{file}")).ok();
        if let Some(io) = read("io") {
            for (column, line) in [("read_bytes", "\nread_bytes: "), ("write_bytes", "\nwrite_bytes: ")] {
                let rest = io.split(line).nth(1).unwrap();
                facts.number(&name, column, rest.lines().next().unwrap().parse().unwrap());
            }
        }
        if let Some(schedstat) = read("schedstat") {
            let delay: f64 = schedstat.split(' ').nth(1).unwrap().parse().unwrap();
            facts.number(&name, "run_delay", delay / 1e9);
        }
        if let Some(status) = read("status") {
            match status.split("VmSwap:").nth(1) {
                Some(rest) => {
                    let kilobytes: f64 = rest.split_whitespace().next().unwrap().parse().unwrap();
                    facts.number(&name, "swap", kilobytes * 1024.0);
                }
                None => facts.missing(&name, "swap"),
            }
        }
    }
    facts
}

#[test]
fn processes_are_what_ps_and_their_files_say() {
    let demanded = ["read_bytes", "write_bytes", "run_delay", "swap", "pss", "unit", "cgroup"];
    let mut process = Parity::of("process", &["pid"]).wanting(&demanded, &[]);
    // a pause of its own, so that something holds still on a busy host
    let sleeper = Known::pausing();
    process.agrees(ps_facts);
    process.agrees(file_facts);
    let pid = sleeper.pid().to_string();
    process.agrees(|| {
        let mut facts = Facts::default();
        let rollup = file(&format!("/proc/{pid}/smaps_rollup"));
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap();
        facts.number(&pid, "pss", pss.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1024.0);
        let groups = file(&format!("/proc/{pid}/cgroup"));
        let mut paths = groups.lines().map(|line| line.splitn(3, ':').collect::<Vec<_>>());
        // the tree of systemd on a host of two versions, else the one of version 2
        let unified = paths.clone().find(|path| path[0] == "0" && path[2] != "/");
        let named = paths.find(|path| path[1] == "name=systemd");
        let path = unified.or(named).map_or("/", |path| path[2]).to_owned();
        facts.text(&pid, "cgroup", &path);
        let is_unit = |part: &&str| part.rsplit_once('.').is_some_and(|(_, kind)| ["service", "scope"].contains(&kind));
        let last = path.rsplit('/').find(is_unit);
        match last {
            Some(unit) => facts.text(&pid, "unit", unit),
            None => facts.missing(&pid, "unit"),
        }
        facts
    });
    process.left_out(&[]);
}

#[test]
fn threads_and_limits_of_a_process_are_what_ps_and_prlimit_say() {
    let known = Known::shape();
    let pid = known.pid().to_string();
    let id = [Value::U64(known.pid().into())];
    let mut thread = Parity::of("process_thread", &["thread"]).wanting(&[], &id);
    thread.agrees(|| {
        let mut facts = Facts::default();
        let columns = "lwp=,pid=,s=,ni=,priority=,psr=,cputimes=,comm=";
        for line in said("ps", &["-L", "-o", columns, "-p", &pid]).lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let key = words[0];
            facts.text(key, "state", state(words[2]));
            facts.text(key, "name", words[7]);
            for (column, at) in [("pid", 1), ("nice", 3), ("priority", 4), ("last_cpu", 5)] {
                facts.number(key, column, words[at].parse().unwrap());
            }
            let fields = stat(&format!("{pid}/task/{key}")).unwrap();
            facts.number(key, "start", fields[22 - 3]);
            facts.number(key, "guest_time", fields[43 - 3] / HERTZ);
            facts.number(key, "cpu_time", (fields[14 - 3] + fields[15 - 3]) / HERTZ);
        }
        facts
    });
    thread.left_out(&["thread"]);

    let mut limit = Parity::of("process_limit", &["name"]).wanting(&[], &id);
    limit.agrees(|| {
        let mut facts = Facts::default();
        let text = said("prlimit", &["--pid", &pid, "--raw", "--noheadings", "-o", "RESOURCE,SOFT,HARD"]);
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let name = match words[0] {
                "AS" => "Max address space",
                "CORE" => "Max core file size",
                "CPU" => "Max cpu time",
                "FSIZE" => "Max file size",
                "NICE" => "Max nice priority",
                "NOFILE" => "Max open files",
                "NPROC" => "Max processes",
                "STACK" => "Max stack size",
                _ => continue,
            };
            for (column, word) in [("soft", words[1]), ("hard", words[2])] {
                match word.parse() {
                    Ok(number) => facts.number(name, column, number),
                    Err(_) => facts.missing(name, column),
                }
            }
            facts.number(name, "pid", known.pid().into());
        }
        assert_eq!(facts.rows(), 8, "{text}");
        facts
    });
    limit.left_out(&["counted", "name"]);
}
