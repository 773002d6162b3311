//! How does the kernel write its soft interrupts and the state of its packet backlogs?

/// Names of the soft interrupts in the kernel's order (`softirq_to_name` in `kernel/softirq.c`).
pub const SOFTIRQS: [&str; 10] =
    ["HI", "TIMER", "NET_TX", "NET_RX", "BLOCK", "IRQ_POLL", "TASKLET", "SCHED", "HRTIMER", "RCU"];

/// Most columns that are believed; no kernel has more CPUs.
const MAX_CPUS: usize = 1 << 16;

/// `/proc/softirqs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Softirqs {
    /// Numbers of the CPUs, one for each column.
    pub cpus: Vec<u64>,
    counts: [Vec<u64>; SOFTIRQS.len()],
}

impl Softirqs {
    /// Count of kind `kind` (position in [`SOFTIRQS`]) in column `column`.
    pub fn get(&self, kind: usize, column: usize) -> Option<u64> {
        self.counts.get(kind)?.get(column).copied()
    }
}

/// Parses `/proc/softirqs`, `None` without its heading and with more CPUs than there can be.
pub fn softirqs(text: &str) -> Option<Softirqs> {
    let mut found = Softirqs::default();
    let mut lines = text.lines();
    for word in lines.next()?.split_ascii_whitespace() {
        if found.cpus.len() == MAX_CPUS {
            return None;
        }
        found.cpus.push(word.strip_prefix("CPU")?.parse().ok()?);
    }
    for (name, counts) in lines.filter_map(|line| line.split_once(':')) {
        let name = match name.trim() {
            // before 4.10
            "BLOCK_IOPOLL" => "IRQ_POLL",
            name => name,
        };
        let Some(slot) = SOFTIRQS.iter().position(|known| *known == name).and_then(|kind| found.counts.get_mut(kind))
        else {
            continue;
        };
        slot.extend(counts.split_ascii_whitespace().take(found.cpus.len()).map_while(|word| word.parse::<u64>().ok()));
    }
    (!found.cpus.is_empty()).then_some(found)
}

/// One line of `/proc/net/softnet_stat`; fields that a kernel lacks are missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Softnet {
    /// Packets.
    pub processed: Option<u64>,
    /// Packets lost to a full backlog.
    pub dropped: Option<u64>,
    /// Rounds that ended early.
    pub time_squeeze: Option<u64>,
    /// Wake-ups by other CPUs.
    pub received_rps: Option<u64>,
    /// Packets lost to the limit of one flow.
    pub flow_limit: Option<u64>,
    /// Packets waiting.
    pub backlog: Option<u64>,
}

/// Parses `/proc/net/softnet_stat`. Newer kernels (5.10) say the number of the CPU in each line; before, lines are those of
/// the CPUs online.
pub fn softnet(text: &str, online: &[u64]) -> Vec<(u64, Softnet)> {
    let mut found = Vec::new();
    for (line, order) in text.lines().zip(online.iter().map(Some).chain(std::iter::repeat(None))) {
        let mut fields = [None; 13];
        for (slot, word) in fields.iter_mut().zip(line.split_ascii_whitespace()) {
            *slot = u64::from_str_radix(word, 16).ok();
        }
        let [processed, dropped, time_squeeze, .., received_rps, flow_limit, backlog, cpu] = fields;
        if let Some(cpu) = cpu.or(order.copied()) {
            found.push((cpu, Softnet { processed, dropped, time_squeeze, received_rps, flow_limit, backlog }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softnet_is_hexadecimal_and_names_its_cpu() {
        let line = "000000ff 00000010 0000000a 00000000 00000000 00000000 00000000 00000000 00000000 0000001f 00000002 00000003 00000007 00000000 00000000";
        let net = softnet(line, &[0, 1]);
        let want = Softnet {
            processed: Some(255),
            dropped: Some(16),
            time_squeeze: Some(10),
            received_rps: Some(31),
            flow_limit: Some(2),
            backlog: Some(3),
        };
        assert_eq!(net, [(7, want)]);
    }

    #[test]
    fn lines_of_an_old_kernel_are_those_of_the_cpus_online() {
        let net = softnet("1 0 0 0 0 0 0 0 0\n2 0 0 0 0 0 0 0 0\n", &[0, 3]);
        assert_eq!(
            net.iter().map(|(cpu, net)| (*cpu, net.processed, net.received_rps)).collect::<Vec<_>>(),
            [(0, Some(1), None), (3, Some(2), None)]
        );
    }

    #[test]
    fn columns_of_unplugged_cpus_keep_their_numbers() {
        let found = softirqs("   CPU0 CPU2\n HI: 1 2\nBLOCK_IOPOLL: 3 4\nFUTURE: 9 9\n").unwrap();
        assert_eq!(found.cpus, [0, 2]);
        assert_eq!((found.get(0, 1), found.get(5, 0), found.get(3, 0)), (Some(2), Some(3), None));
        assert_eq!(softirqs("rubbish\n"), None);
        let many = "CPU7 ".repeat(MAX_CPUS + 1);
        assert_eq!(softirqs(&many), None);
    }
}
