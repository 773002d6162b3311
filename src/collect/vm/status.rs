//! In which words does a monitor say what its guest does?

use crate::label;

label! {
    /// What a monitor says that its guest does, in the words of QEMU (`RunState` in `qapi/run-state.json`).
    pub enum GuestStatus {
        Running = "running",
        Paused = "paused" => Careful,
        Prelaunch = "prelaunch" => Careful,
        Suspended = "suspended",
        Shutdown = "shutdown" => Careful,
        Watchdog = "watchdog" => Warning,
        Panicked = "guest-panicked" => Critical,
        IoError = "io-error" => Critical,
        InternalError = "internal-error" => Critical,
        InMigrate = "inmigrate",
        FinishMigrate = "finish-migrate",
        PostMigrate = "postmigrate",
        Restoring = "restore-vm",
        Saving = "save-vm",
        Debugged = "debug" => Careful,
        Replicating = "colo",
    }
}
