//! How are the tables of netfilter written that are files?
//!
//! A line for each thing, numbers in columns. They belong to the network namespace of the thread that opens them; a line
//! that is not as it should be makes the whole file malformed.
//!
//! Source: `net/netfilter/nfnetlink_queue.c`, `nfnetlink_log.c`, `nf_log.c`, `nf_synproxy_core.c` of the kernel;
//! `net/netlink/af_netlink.c`.

/// A queue of packets to a program: a line of `net/netfilter/nfnetlink_queue`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Number that rules name it by.
    pub number: u32,
    /// Netlink port of the program.
    pub port: u32,
    /// Packets that wait for a verdict.
    pub waiting: u64,
    /// `NFQNL_COPY_*`
    pub copy_mode: u8,
    /// Most bytes of each packet that are given to the program.
    pub copy_range: u64,
    /// Packets dropped because too many waited.
    pub dropped: u64,
    /// Packets dropped because they could not be given to the program.
    pub user_dropped: u64,
    /// Number of the last packet.
    pub sequence: u64,
}

/// A log of packets to a program: a line of `net/netfilter/nfnetlink_log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    /// Number that rules name it by.
    pub number: u32,
    /// Netlink port of the program.
    pub port: u32,
    /// Packets that are collected before the program gets them.
    pub waiting: u64,
    /// `NFULNL_COPY_*`
    pub copy_mode: u8,
    /// Most bytes of each packet that are given to the program.
    pub copy_range: u64,
    /// How long packets are collected, in hundredths of a second.
    pub flush: u64,
    /// Who holds it in the kernel.
    pub users: u64,
}

/// Who logs packets of a family: a line of `net/netfilter/nf_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logger {
    /// `NFPROTO_*`
    pub family: u8,
    /// Who does; `None` when nobody does.
    pub name: Option<String>,
    /// Who could, with commas.
    pub available: Option<String>,
}

/// Names in `net/stat/synproxy`, behind a column that is always 0.
pub const SYNPROXY: [&str; 5] = ["syn_received", "cookie_invalid", "cookie_valid", "cookie_retrans", "conn_reopened"];

/// Decimal numbers of each line; `None` if there are fewer than `N` in one, or something else.
fn numbers<const N: usize>(text: &str) -> Option<Vec<[u64; N]>> {
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace().map(|word| word.parse().ok());
        let mut all = [0; N];
        for number in &mut all {
            *number = words.next()??;
        }
        Some(all)
    };
    text.lines().map(line).collect()
}

/// Reads `nfnetlink_queue`; `None` when it is malformed.
pub fn queues(text: &str) -> Option<Vec<Queue>> {
    let queue = |[number, port, waiting, copy_mode, copy_range, dropped, user_dropped, sequence]: [u64; 8]| {
        let (number, port) = (number.try_into().ok()?, port.try_into().ok()?);
        let copy_mode = copy_mode.try_into().ok()?;
        Some(Queue { number, port, waiting, copy_mode, copy_range, dropped, user_dropped, sequence })
    };
    numbers(text)?.into_iter().map(queue).collect()
}

/// Reads `nfnetlink_log`; `None` when it is malformed.
pub fn logs(text: &str) -> Option<Vec<Log>> {
    let log = |[number, port, waiting, copy_mode, copy_range, flush, users]: [u64; 7]| {
        let (number, port) = (number.try_into().ok()?, port.try_into().ok()?);
        Some(Log { number, port, waiting, copy_mode: copy_mode.try_into().ok()?, copy_range, flush, users })
    };
    numbers(text)?.into_iter().map(log).collect()
}

/// Reads `nf_log`; `None` when it is malformed.
pub fn loggers(text: &str) -> Option<Vec<Logger>> {
    let known = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty() && word != "NONE");
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let (family, name) = (words.next()?.parse().ok()?, words.next()?);
        let available = words.next()?.strip_prefix('(')?.strip_suffix(')')?;
        Some(Logger { family, name: known(name), available: known(available) })
    };
    text.lines().map(line).collect()
}

/// Reads `synproxy`: sums over all CPUs in the order of [`SYNPROXY`]. `None` when it is malformed.
pub fn synproxy(text: &str) -> Option<[u64; SYNPROXY.len()]> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    let mut places = [0; SYNPROXY.len()];
    for (place, name) in places.iter_mut().zip(SYNPROXY) {
        *place = names.iter().position(|known| *known == name)?;
    }
    let mut sums = [0_u64; SYNPROXY.len()];
    for line in lines {
        let values: Vec<&str> = line.split_ascii_whitespace().collect();
        for (sum, place) in sums.iter_mut().zip(places) {
            *sum = sum.checked_add(u64::from_str_radix(values.get(place)?, 16).ok()?)?;
        }
    }
    Some(sums)
}

/// Sockets of netfilter in `net/netlink`: the port and the inode of each. `None` when it is malformed.
pub fn ports(text: &str) -> Option<Vec<(u32, u32)>> {
    let netfilter = libc::NETLINK_NETFILTER.to_string();
    let line = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let number = |place: usize| words.get(place)?.parse::<u32>().ok();
        Some((*words.get(1)? == netfilter, number(2)?, number(9)?))
    };
    let all: Option<Vec<_>> = text.lines().skip(1).map(line).collect();
    Some(all?.into_iter().filter(|(is_own, ..)| *is_own).map(|(_, port, inode)| (port, inode)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queues_and_logs_are_numbers_in_columns() {
        let text = "    7  12345     3 2 65531     4     5       99  1\n  300 4294901760 0 1 0 0 0 0 1\n";
        let queues = queues(text).unwrap();
        assert_eq!((queues[1].number, queues[1].port, queues[1].copy_mode), (300, 4_294_901_760, 1));
        assert_eq!(
            queues[0],
            Queue {
                number: 7,
                port: 12345,
                waiting: 3,
                copy_mode: 2,
                copy_range: 65531,
                dropped: 4,
                user_dropped: 5,
                sequence: 99
            }
        );
        let log = Log { number: 5, port: 12345, waiting: 1, copy_mode: 2, copy_range: 65535, flush: 100, users: 2 };
        assert_eq!(logs("    5  12345     1 2 65535    100  2\n"), Some(vec![log]));
        assert_eq!(super::queues(""), Some(vec![]), "no queue is no error");
        assert_eq!(super::queues("1 2 3\n"), None);
    }

    #[test]
    fn a_family_that_nobody_logs_has_no_logger() {
        let text = " 0 NONE (nfnetlink_log)\n 2 nf_log_ipv4 (nf_log_ipv4,nfnetlink_log)\n11 NONE ()\n";
        let loggers = loggers(text).unwrap();
        assert_eq!((&loggers[0].name, loggers[1].name.as_deref()), (&None, Some("nf_log_ipv4")));
        assert_eq!(loggers[1].available.as_deref(), Some("nf_log_ipv4,nfnetlink_log"));
        assert_eq!((loggers[2].family, &loggers[2].available), (11, &None));
    }

    #[test]
    fn what_each_cpu_has_seen_of_the_proxy_is_summed() {
        let head = "entries\t\tsyn_received\tcookie_invalid\tcookie_valid\tcookie_retrans\tconn_reopened\n";
        let lines = "00000000\t0000000a\t00000001\t00000002\t00000003\t00000004\n".repeat(2);
        assert_eq!(synproxy(&format!("{head}{lines}")), Some([20, 2, 4, 6, 8]));
        assert_eq!(synproxy("entries\n00000000\n"), None);
        assert_eq!(synproxy(&format!("{head}00000000\n")), None);
    }

    #[test]
    fn only_sockets_of_netfilter_have_ports_that_count() {
        let head = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n";
        let line = |eth, pid| format!("0000000000000000 {eth}  {pid}      00000000 0 0 0 2 0 4711\n");
        assert_eq!(ports(&format!("{head}{}{}", line(12, 77), line(0, 78))), Some(vec![(77, 4711)]));
        assert_eq!(ports(&format!("{head}x\n")), None);
    }

    proptest! {
        #[test]
        fn any_file_is_read_or_refused(text in "[a-z0-9 ,()\n]{0,200}") {
            let _ = (queues(&text), logs(&text), loggers(&text), ports(&text));
            let head = "entries syn_received cookie_invalid cookie_valid cookie_retrans conn_reopened";
            let _ = synproxy(&format!("{head}\n{text}"));
        }
    }
}
