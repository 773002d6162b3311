//! Does a guest run, and if not, who keeps it?
//!
//! Paused is what its monitor has decided: its virtual CPUs wait outside of KVM. Stuck is what nobody wanted: its process was
//! stopped by a signal, waits for a device, or has virtual CPUs that are ready and get no time; or its monitor, which says more
//! about it, does not answer any more. What takes a while to tell apart from a moment of load is told after a while.

use super::Guest;
use crate::label;
use crate::source::guest::thread::Going;
use crate::source::process::{Scanner, Stat};

label! {
    /// What a guest does.
    pub enum GuestState {
        /// Its virtual CPUs run, or wait for an interrupt.
        Running = "running",
        /// Its monitor does not let it run.
        Paused = "paused" => Careful,
        /// It cannot run, or nobody can tell it anything, though nobody has decided that.
        Stuck = "stuck" => Critical,
    }
}

label! {
    /// What keeps a guest that is stuck.
    pub enum StuckIn {
        /// Its process was stopped, by a signal or a debugger.
        Signal = "signal",
        /// The main thread of its process waits for a device, a network file system or its frozen control group.
        Device = "device",
        /// Its virtual CPUs are ready to run and get no CPU of the host.
        Cpu = "cpu",
        /// Its monitor does not answer.
        Monitor = "monitor",
    }
}

/// Turns for which something must be so that passes by itself, as a rule.
const TURNS: u32 = 3;

/// How long something has been so, in turns.
#[derive(Default)]
pub(super) struct Lasting {
    /// Its main thread waited for a device.
    device: u32,
    /// Its virtual CPUs were ready, and none of them ran.
    cpu: u32,
}

fn count(turns: &mut u32, is_so: bool) -> bool {
    *turns = if is_so { turns.saturating_add(1) } else { 0 };
    *turns >= TURNS
}

impl Guest {
    /// What it does, and what keeps it; `is_silent` is what was found out of its monitor.
    pub(super) fn state(
        &mut self,
        scanner: &mut Scanner,
        stat: &Stat,
        is_silent: bool,
    ) -> (GuestState, Option<StuckIn>) {
        let going = self.threads.going(scanner);
        let device = count(&mut self.lasting.device, stat.state == b'D');
        let cpu = count(&mut self.lasting.cpu, going == Some(Going::Starves));
        let stuck = match stat.state {
            b'T' | b't' => Some(StuckIn::Signal),
            _ if device => Some(StuckIn::Device),
            _ if cpu => Some(StuckIn::Cpu),
            _ if is_silent => Some(StuckIn::Monitor),
            _ => None,
        };
        match stuck {
            Some(_) => (GuestState::Stuck, stuck),
            None if going == Some(Going::Held) => (GuestState::Paused, None),
            None => (GuestState::Running, None),
        }
    }
}
