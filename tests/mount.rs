//! Does a file system that never answers stall alone, and a dead one say so?

#![cfg(test)]

use std::sync::Arc;
use std::time::Duration;

use netglance::collect::mount::{ENTRY, MountRow};
use netglance::collect::{Batch, Collect, Cx, Wants};
use netglance::model::{Cell, Mono, Owners, Rows, Timestamp};
use netglance::source::file::Roots;
use rustix::thread::UnshareFlags;

#[expect(dead_code, reason = "each test program uses its part")]
mod support;

use support::process::timed;
use support::space::{mount, mount_fuse, unmount, within};

/// Takes the sample of second `second`; the collector may not hold its caller for long.
fn sample(collector: &mut dyn Collect, second: u64) -> Arc<dyn Rows> {
    let (roots, wants, owners) = (Roots::live(), Wants::default(), Owners::default());
    let mono = Mono(1_000_000_000 * (second + 1));
    let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono };
    let mut out = Batch::default();
    let held = timed(&[], || collector.collect(&cx, &mut out).unwrap());
    assert!(held < Duration::from_millis(200), "{held:?}");
    Arc::clone(out.rows(MountRow::TABLE).unwrap())
}

fn cell<'a>(rows: &'a dyn Rows, target: &str, column: &str) -> Cell<'a> {
    let at = |name: &str| MountRow::TABLE.position(name).unwrap();
    let row = (0..rows.len()).find(|row| rows.cell(*row, at("target")) == Cell::Text(target));
    let row = row.unwrap_or_else(|| panic!("{target} is not there"));
    rows.cell(row, at(column))
}

#[test]
fn root_a_hung_mount_is_stalled_within_three_seconds_and_holds_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().to_str().unwrap();
    within(UnshareFlags::NEWNS, || {
        let mut collector = (ENTRY.make)();
        sample(&mut *collector, 0);
        let device = mount_fuse(dir.path());
        for second in 1..=3 {
            let rows = sample(&mut *collector, second);
            assert_eq!(cell(&*rows, "/", "state"), Cell::Label("ok"), "second {second}");
            assert!(cell(&*rows, "/", "size").number().is_some_and(|size| size > 0.0));
            let want = if second < 3 { Cell::Missing } else { Cell::Label("stalled") };
            assert_eq!(cell(&*rows, target, "state"), want, "second {second}");
            assert_eq!(cell(&*rows, target, "size"), Cell::Missing);
        }
        let quitting = timed(&[], || drop(collector));
        assert!(quitting < Duration::from_millis(100), "{quitting:?}");
        // the end of the daemon ends what waits for it
        drop(device);
        unmount(dir.path());
    });
}

#[test]
fn root_a_mount_whose_daemon_died_is_failed_and_one_that_is_gone_is_no_row() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().to_str().unwrap();
    within(UnshareFlags::NEWNS, || {
        drop(mount_fuse(dir.path()));
        let mut collector = (ENTRY.make)();
        let rows = sample(&mut *collector, 0);
        assert_eq!(cell(&*rows, target, "state"), Cell::Label("failed"));
        assert_eq!(cell(&*rows, target, "used"), Cell::Missing);
        let before = rows.len();
        unmount(dir.path());
        assert_eq!(sample(&mut *collector, 1).len(), before - 1);
    });
}

#[test]
fn root_space_is_that_of_the_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("with space\n");
    std::fs::create_dir(&place).unwrap();
    within(UnshareFlags::NEWNS, || {
        mount("mine", &place, "tmpfs", libc::MS_RDONLY, "size=1m,nr_inodes=100");
        let shown = format!("{}/with space\\x0a", dir.path().display());
        let rows = sample(&mut *(ENTRY.make)(), 0);
        for (column, want) in [
            ("kind", Cell::Text("tmpfs")),
            ("source", Cell::Text("mine")),
            ("read_only", Cell::Bool(true)),
            ("size", Cell::U64(1 << 20)),
            ("used", Cell::U64(0)),
            ("available", Cell::U64(1 << 20)),
            ("inodes", Cell::U64(100)),
            ("inodes_used", Cell::U64(1)),
            ("state", Cell::Label("ok")),
        ] {
            assert_eq!(cell(&*rows, &shown, column), want, "{column}");
        }
        unmount(&place);
    });
}
