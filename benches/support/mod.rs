//! What do benchmarks look at? Processes of their own.

/// Children that sleep until they are dropped, or until this process dies.
pub(crate) struct Sleepers(pub(crate) Vec<libc::pid_t>);

impl Sleepers {
    /// Starts so many. The caller must have one thread only.
    ///
    /// # Errors
    /// `fork(2)` failed.
    pub(crate) fn start(count: usize) -> std::io::Result<Self> {
        let mut sleepers = Self(Vec::with_capacity(count));
        for _ in 0..count {
            // SAFETY: the caller has one thread, and the child calls nothing but prctl and pause.
            match unsafe { libc::fork() } {
                -1 => return Err(std::io::Error::last_os_error()),
                // SAFETY: both calls take plain numbers and touch no memory.
                0 => unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    loop {
                        libc::pause();
                    }
                },
                pid => sleepers.0.push(pid),
            }
        }
        Ok(sleepers)
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for pid in &self.0 {
            // SAFETY: these are children of this process that nobody else waits for, so their pids are still theirs.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
        for pid in &self.0 {
            // SAFETY: a null status pointer is allowed.
            unsafe { libc::waitpid(*pid, std::ptr::null_mut(), 0) };
        }
    }
}
