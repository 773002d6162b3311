//! Do the collectors read the same from a recorded tree as they did when its golden files were written?
//!
//! Every collector of the registry runs over every tree of `tests/fixtures/trees`. What it makes of it is compared with
//! `tests/fixtures/golden/TREE/TABLE.txt`. With `NETGLANCE_BLESS=1` in the environment the golden files are written instead:
//! read the difference before you commit it. Tables of which a tree has nothing need no golden.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use netglance::collect::{Batch, COLLECTORS, Cx, Entry, Wants};
use netglance::model::{Cell, Demand, Mono, Owners, Rows, Timestamp, Value};
use netglance::source::file::Roots;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn names(dir: &Path) -> std::io::Result<BTreeSet<String>> {
    std::fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// One line for each cell that is not missing, a blank line between rows; numbers in base units.
fn rendered(rows: &dyn Rows) -> String {
    let mut out = String::new();
    for row in 0..rows.len() {
        for (column, about) in rows.table().columns.iter().enumerate() {
            let value = match rows.cell(row, column) {
                Cell::Missing => continue,
                Cell::Text(text) | Cell::Label(text) => format!("{text:?}"),
                Cell::U64(number) => number.to_string(),
                Cell::I64(number) => number.to_string(),
                Cell::F64(number) | Cell::Duration(number) => number.to_string(),
                Cell::Bool(yes) => yes.to_string(),
                Cell::Ip(address) => address.to_string(),
                Cell::Mac(address) => address.to_string(),
                Cell::Timestamp(time) => time.seconds().to_string(),
            };
            let unit = if about.unit.name() == "none" { "" } else { about.unit.name() };
            out.push_str(format!("{} = {value} {unit}", about.name).trim_end());
            out.push('\n');
        }
        out.push('\n');
    }
    out
}

/// Everything that is collected on demand only: of a table its columns, and the details of the processes whose environment
/// the tree has.
fn wants(entry: &Entry, tree: &Path) -> Wants {
    let pids: Vec<u64> =
        names(&tree.join("proc")).unwrap_or_default().iter().filter_map(|name| name.parse().ok()).collect();
    let detailed = pids.into_iter().filter(|pid| tree.join(format!("proc/{pid}/environ")).exists());
    let detailed: Vec<u64> = detailed.collect();
    let mut demands = Vec::new();
    for table in entry.tables {
        let columns = table.columns.iter().filter(|column| column.attrs.demand).map(|column| column.name.to_string());
        let demand = Demand { columns: columns.collect(), ..Demand::table(&table.name) };
        if table.columns.iter().any(|column| column.attrs.required) {
            demands.extend(detailed.iter().map(|pid| Demand { ids: vec![Value::U64(*pid)], ..demand.clone() }));
        } else {
            demands.push(demand);
        }
    }
    Wants::union(&demands)
}

/// What a collector makes of a tree: table name, text, and whether there are rows.
fn collected(entry: &Entry, tree: &Path) -> Vec<(String, String, bool)> {
    let (wants, owners) = (wants(entry, tree), Owners::default());
    let roots = Roots::recorded(tree);
    let time = Timestamp::from_seconds(1_800_000_000.0);
    let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time, mono: Mono(1_000_000_000_000) };
    let mut batch = Batch::default();
    let skip = (entry.make)().collect(&cx, &mut batch).err();
    let reason = |status: &netglance::model::Status| {
        let reason = status.reason.replace(&format!("{}/", tree.display()), "");
        format!("{}: {reason}\n", status.state.name())
    };
    let mut found: Vec<_> = batch
        .into_tables()
        .into_iter()
        .map(|(table, filled)| match filled {
            Ok(rows) => (table.name.to_string(), rendered(&*rows), !rows.is_empty()),
            Err(status) => (table.name.to_string(), reason(&status), false),
        })
        .collect();
    if let Some(skip) = skip {
        found = entry.tables.iter().map(|table| (table.name.to_string(), reason(&skip.status()), false)).collect();
    }
    found
}

#[test]
fn every_tree_reads_as_its_golden_files_say() -> std::io::Result<()> {
    let bless = std::env::var_os("NETGLANCE_BLESS").is_some();
    let mut wrong = String::new();
    for tree in names(&fixtures().join("trees"))? {
        let golden = fixtures().join("golden").join(&tree);
        let mut seen = BTreeSet::new();
        for entry in COLLECTORS {
            for (table, text, has_rows) in collected(entry, &fixtures().join("trees").join(&tree)) {
                let path = golden.join(format!("{table}.txt"));
                seen.insert(format!("{table}.txt"));
                if bless && (has_rows || path.exists()) {
                    std::fs::create_dir_all(&golden)?;
                    std::fs::write(&path, &text)?;
                }
                match std::fs::read_to_string(&path) {
                    Ok(want) if want == text => {}
                    Ok(want) => {
                        let _ = writeln!(wrong, "{tree}/{table}:\n--- want\n{want}--- got\n{text}");
                    }
                    Err(_) if !has_rows => {}
                    Err(error) => {
                        let _ = writeln!(wrong, "{}: {error}", path.display());
                    }
                }
            }
        }
        for stale in names(&golden)?.difference(&seen) {
            let _ = writeln!(wrong, "{tree}/{stale} is the golden file of no table");
        }
    }
    assert!(wrong.is_empty(), "{wrong}NETGLANCE_BLESS=1 writes new golden files");
    Ok(())
}

#[test]
fn what_a_tree_lacks_is_absent_and_not_zero() {
    let router = fixtures().join("trees/made-4.19-router");
    for name in ["pressure", "numa_node", "raid"] {
        let entry = COLLECTORS.iter().find(|entry| entry.name == name).expect("a collector of this name");
        for (table, text, has_rows) in collected(entry, &router) {
            assert!(!has_rows && text.starts_with("absent: "), "{table}: {text}");
        }
    }
}
