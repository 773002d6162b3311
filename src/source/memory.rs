//! How does memory that nobody needs any more go back to the kernel?
//!
//! Samples come and go between things that stay (the past, open files), so that the allocator keeps pages with nothing in
//! them. And the pages of the program that only its start has touched (the command line, the configuration, relocations)
//! stay mapped for good. Both go back only when somebody says so; what is used after all is mapped again from the page
//! cache by the next touch.

use std::ffi::{c_int, c_void};

use rustix::mm::{Advice, madvise};

/// A block of at least so many bytes has a mapping of its own, which goes back to the kernel at once when it is freed. Left
/// alone the allocator raises this to the largest block that was ever freed, and samples of many rows leave holes behind.
/// Less would map each screen anew, which costs more than it saves.
#[cfg(target_env = "gnu")]
const MAPPED: c_int = 1 << 20;

/// So much may be free at the end of the heap until [`give_back`] takes it: what a tick frees the next one needs.
#[cfg(target_env = "gnu")]
const SPARE: c_int = 4 << 20;

/// Has the allocator keep little: called once, before there is a second thread.
///
/// Source: `mallopt(3)`.
pub fn keep_little() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets two numbers of the allocator's, which refuses those that it cannot use
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
        libc::mallopt(libc::M_TRIM_THRESHOLD, SPARE);
    }
}

/// Hands empty pages of the heap, and clean pages of the program and its libraries, back to the kernel.
///
/// Source: `malloc_trim(3)`, `dl_iterate_phdr(3)`, `madvise(2)`.
pub fn give_back() {
    // SAFETY: takes the allocator's own locks and touches nothing that is in use
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
    // SAFETY: the callback is called with what the dynamic linker keeps, and keeps nothing of it
    unsafe {
        libc::dl_iterate_phdr(Some(forget), std::ptr::null_mut());
    }
}

/// Unmaps the pages of one loaded object that cannot have been written to.
unsafe extern "C" fn forget(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the dynamic linker's own description of an object that is loaded while it calls
    let (base, headers) = unsafe {
        let Some(info) = info.as_ref() else { return 0 };
        if info.dlpi_phdr.is_null() {
            return 0;
        }
        (info.dlpi_addr as usize, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
    };
    let page = rustix::param::page_size();
    for header in headers {
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        // whole pages inside: what shares a page with something else stays
        let begin = base.saturating_add(header.p_vaddr as usize).next_multiple_of(page);
        let end = base.saturating_add(header.p_vaddr as usize).saturating_add(header.p_filesz as usize) / page * page;
        if end > begin {
            let start = std::ptr::with_exposed_provenance_mut(begin);
            // SAFETY: a private mapping of a file that is never written to reads the same after its pages are unmapped
            let _ = unsafe { madvise(start, end - begin, Advice::LinuxDontNeed) };
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resident pages that belong to files.
    fn of_files() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssFile")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn pages_of_the_program_go_back_and_come_again() {
        let text = include_str!("../../README.md");
        let sum = || text.bytes().map(u64::from).sum::<u64>();
        let before = (of_files(), sum());
        give_back();
        let after = of_files();
        assert!(after < before.0, "{after} of {} kB", before.0);
        assert_eq!(sum(), before.1, "what was unmapped reads the same");
    }
}
