//! How is it with a daemon that was asked?

use std::io::ErrorKind;

use super::trust::TRUST;
use crate::label;
use crate::source::Error;

label! {
    /// How it is with a daemon.
    pub enum Standing {
        /// It answers.
        Up = "up",
        /// It does not answer in time.
        Silent = "silent" => Critical,
        /// Nobody listens.
        Down = "down" => Critical,
        /// This user may not ask it.
        Denied = "denied" => Warning,
        /// The socket is not that of a daemon.
        Untrusted = "untrusted" => Critical,
        /// It answers something else than it was asked.
        Failed = "failed" => Critical,
    }
}

impl Standing {
    /// What an error says of a daemon.
    pub fn of(error: &Error) -> Self {
        match error.cause.kind() {
            _ if error.op == TRUST => Self::Untrusted,
            ErrorKind::TimedOut => Self::Silent,
            ErrorKind::PermissionDenied => Self::Denied,
            ErrorKind::ConnectionRefused | ErrorKind::NotFound | ErrorKind::ConnectionAborted => Self::Down,
            _ => Self::Failed,
        }
    }
}
