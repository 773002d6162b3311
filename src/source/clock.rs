//! What does the kernel's clock discipline know? Asked with `adjtimex(2)`, which changes nothing when no mode is set.

use super::Error;

/// Answer of `adjtimex(2)`, times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Whether something keeps the clock right.
    pub synchronized: bool,
    /// Correction still to be made.
    pub offset: f64,
    /// Bound of the error.
    pub max_error: f64,
    /// Estimate of the error.
    pub estimated_error: f64,
    /// Share by which the clock is made faster (positive) or slower.
    pub frequency_correction: f64,
    /// Seconds between atomic time and the clock.
    pub tai_offset: i64,
}

/// Asks the kernel.
///
/// # Errors
/// The system call is refused.
pub fn read() -> Result<Clock, Error> {
    let mut timex = std::mem::MaybeUninit::<libc::timex>::zeroed();
    // SAFETY: zeroes are a valid `timex` whose empty mode only reads, and the pointer is that of a local
    let (state, timex) = unsafe {
        let state = libc::adjtimex(timex.as_mut_ptr());
        (state, timex.assume_init())
    };
    if state < 0 {
        return Err(Error::new("adjtimex", "the clock", std::io::Error::last_os_error()));
    }
    Ok(clock_of(&timex))
}

fn clock_of(timex: &libc::timex) -> Clock {
    let fine = timex.status & libc::STA_NANO != 0;
    Clock {
        synchronized: timex.status & libc::STA_UNSYNC == 0,
        offset: timex.offset as f64 / if fine { 1e9 } else { 1e6 },
        max_error: timex.maxerror as f64 / 1e6,
        estimated_error: timex.esterror as f64 / 1e6,
        // parts per million with 16 bits of fraction
        frequency_correction: timex.freq as f64 / 65536.0 / 1e6,
        tai_offset: i64::from(timex.tai),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_of_the_offset_follows_the_status() {
        // SAFETY: zeroes are a valid `timex`
        let mut timex: libc::timex = unsafe { std::mem::zeroed() };
        (timex.offset, timex.maxerror, timex.esterror, timex.freq, timex.tai) = (1500, 2_000_000, 500_000, 65536, 37);
        let coarse = clock_of(&timex);
        assert_eq!(format!("{} {} {}", coarse.offset, coarse.max_error, coarse.estimated_error), "0.0015 2 0.5");
        assert_eq!((coarse.synchronized, coarse.tai_offset, coarse.frequency_correction), (true, 37, 1e-6));
        timex.status = libc::STA_NANO | libc::STA_UNSYNC;
        let fine = clock_of(&timex);
        assert_eq!((fine.synchronized, fine.offset), (false, 1.5e-6));
    }
}
