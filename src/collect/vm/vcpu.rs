//! What does each virtual CPU of a guest do?

use super::{ACCOUNTED, Common, Guest, seconds};
use crate::model::Text;
use crate::source::file::Root;
use crate::source::guest::thread::Times;
use crate::source::process::{Stat, parse};
use crate::table;

table! {
    /// One virtual CPU of a guest. What the guest itself ran and where it ran last are read while somebody wants them.
    ///
    /// Source: `Documentation/filesystems/proc.rst`, `/proc/PID/task/TID/{comm,stat,schedstat,syscall}`.
    pub struct VcpuRow = "vcpu" { title: Some("Virtual CPUs"), history: History::Top } {
        /// Process that runs the guest.
        Id(None) pid: u64 { wide: true },
        /// Start of the process in clock ticks since boot.
        Id(None) start: u64 { wide: true },
        /// Number of the virtual CPU.
        Id(None) vcpu: u32,
        /// Guest that it belongs to.
        Text(None) guest: Text { label: true },
        /// Thread that runs it.
        Gauge(None) thread: u64 { wide: true },
        /// CPU time of its thread, with what the host did for it.
        Counter(Seconds) cpu_time: Option<f64> { title: Some("time+"), total: true, cpu: true },
        /// CPU time in which the guest itself ran.
        Counter(Seconds) guest_time: Option<f64> { cpu: true, wide: true, demand: true },
        /// Time it was ready to run but waited for a CPU of the host.
        Counter(Seconds) run_delay: Option<f64> { wide: true },
        /// CPU of the host that it last ran on.
        Gauge(None) last_cpu: Option<u64> { title: Some("on"), demand: true },
    }
    derived {
        /// Share of the time in which it ran.
        used(Ratio) = "rate(cpu_time)" { top: true },
        /// Share of the time in which it was ready to run but waited for a CPU of the host.
        ready(Ratio) = "rate(run_delay)",
    }
}

impl Common {
    /// How long a guest itself ran, in seconds; a kernel that does not account for guests says zero.
    pub(super) fn guest_time(&self, stat: &Stat, vcpu: Option<Times>) -> Option<f64> {
        let ticks = stat.guest?;
        let accounts = ticks > 0 || vcpu.is_none_or(|vcpu| vcpu.run < ACCOUNTED);
        accounts.then_some(ticks as f64 / self.ticks)
    }

    pub(super) fn vcpus(&self, proc: &Root, guest: &Guest, pid: u32, rows: &mut Vec<VcpuRow>) {
        rows.extend(guest.threads.vcpus().map(|(vcpu, thread)| {
            let text = self.cells.then(|| proc.read(format!("{pid}/task/{}/stat", thread.id())).ok()).flatten();
            let stat = text.as_deref().and_then(parse::stat);
            VcpuRow {
                pid: u64::from(pid),
                start: guest.start,
                vcpu,
                guest: guest.name.clone(),
                thread: u64::from(thread.id()),
                cpu_time: thread.times.map(|times| seconds(times.run)),
                guest_time: stat.and_then(|stat| self.guest_time(&stat, thread.times)),
                run_delay: thread.times.map(|times| seconds(times.delay)),
                last_cpu: stat.and_then(|stat| stat.last_cpu),
            }
        }));
    }
}
