//! How does a terminal come back that a killed dashboard has left behind?
//!
//! The sequences leave every mode that the dashboard enters; the line discipline gets back what a shell expects.

use std::io::Write;
use std::os::fd::AsFd;

use rustix::termios::{ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, tcgetattr, tcsetattr};

use super::Failure;
use crate::tui::RESET;

pub(super) fn run(out: &mut dyn Write) -> Result<(), Failure> {
    out.write_all(RESET.as_bytes())?;
    out.flush()?;
    // input may be redirected while the output is the terminal
    sane(&std::io::stdin())
        .or_else(|_| sane(&std::io::stderr()))
        .or_else(|error| if error == rustix::io::Errno::NOTTY { Ok(()) } else { Err(Failure::Output(error.into())) })
}

/// What `stty sane` sets of the modes that raw mode clears.
fn sane(terminal: &impl AsFd) -> rustix::io::Result<()> {
    let mut modes = tcgetattr(terminal)?;
    modes.input_modes |= InputModes::BRKINT | InputModes::ICRNL | InputModes::IXON;
    modes.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
    modes.control_modes |= ControlModes::CREAD;
    modes.local_modes |=
        LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN | LocalModes::ECHO | LocalModes::ECHOE;
    tcsetattr(terminal, OptionalActions::Now, &modes)
}
