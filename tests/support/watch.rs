//! The collector of routing daemons, asked by the test.

use std::time::{Duration, Instant};

use netglance::collect::routing::{ENTRY, OspfLinkRow, OspfLsaRow, OspfRouteRow, RoutingDaemonRow};
use netglance::collect::{Batch, Collect, Cx, Wants};
use netglance::model::{Demand, Mono, Owners, Table, Timestamp};
use netglance::source::file::Roots;

use super::ring::PATIENCE;

/// What everybody tells of an LSA.
pub(crate) const LSA: &[&str] = &[
    "version",
    "area",
    "interface",
    "kind",
    "link_state_id",
    "advertising_router",
    "scope",
    "sequence",
    "instances",
    "checksum",
    "length",
];

/// A collector that is asked as the scheduler asks it.
pub(crate) struct Watch {
    collector: Box<dyn Collect>,
    roots: Roots,
    pub(crate) batch: Batch,
}

impl Watch {
    pub(crate) fn new(config: &str) -> Self {
        let roots = Roots::live();
        roots.routing.configure(toml::from_str(config).unwrap());
        Self { collector: (ENTRY.make)(), roots, batch: Batch::default() }
    }

    pub(crate) fn look(&mut self) {
        let columns = vec!["length".to_owned()];
        let wants = Wants::union(&[
            Demand { columns, ..Demand::table(&OspfLsaRow::TABLE.name) },
            Demand::table(&OspfLinkRow::TABLE.name),
            Demand::table(&OspfRouteRow::TABLE.name),
        ]);
        let owners = Owners::default();
        let (time, mono) = (Timestamp::now(), Mono::now());
        let cx = Cx { roots: &self.roots, wants: &wants, owners: &owners, time, mono };
        let mut batch = Batch::default();
        self.collector.collect(&cx, &mut batch).unwrap();
        self.batch = batch;
    }

    /// Cells of the rows that are known from somewhere, in order.
    pub(crate) fn rows(&self, table: &Table, source: &str, instance: &str, columns: &[&str]) -> Vec<Vec<String>> {
        let rows = self.batch.rows(table).unwrap();
        let cell = |row: usize, column: &str| format!("{:?}", rows.cell(row, table.position(column).unwrap()));
        let name = if table.name == "routing_daemon" { "name" } else { "instance" };
        let is_it = |row: &usize| cell(*row, "source").contains(source) && cell(*row, name).contains(instance);
        let mut found: Vec<Vec<String>> =
            (0..rows.len()).filter(is_it).map(|row| columns.iter().map(|column| cell(row, column)).collect()).collect();
        found.sort();
        found
    }

    /// A cell of a daemon or router.
    pub(crate) fn daemon(&self, name: &str, column: &str) -> String {
        let rows = self.rows(RoutingDaemonRow::TABLE, "", &format!("\"{name}\""), &[column]);
        format!("{:?}", rows.first())
    }

    /// Waits until two tell of the same in the same way, as far as the first one tells: they are not asked in the same moment.
    /// Each is a source, and how the names begin of who tells.
    pub(crate) fn until_same(&mut self, table: &Table, own: (&str, &str), other: (&str, &str), columns: &[&str]) {
        let begin = Instant::now();
        loop {
            self.look();
            let own = self.rows(table, own.0, own.1, columns);
            let mut told = self.rows(table, other.0, other.1, columns);
            for (own, told) in own.iter().flatten().zip(told.iter_mut().flatten()) {
                if own == "Missing" {
                    told.clone_from(own);
                }
            }
            if !own.is_empty() && own == told {
                return;
            }
            assert!(begin.elapsed() < PATIENCE / 3, "{}: {own:#?}\n{told:#?}", table.name);
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
}
