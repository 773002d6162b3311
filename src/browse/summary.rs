//! How do a host's tables become one row?
//!
//! Of each table only the columns are asked for that are shown, and only one row where one is enough. What comes back is
//! folded as the schema says, by the same code that gives rates to every other reader.

use std::collections::{BTreeMap, BTreeSet};

use super::table::{Summary, fleet, position, summaries};
use crate::model::{Fold, Kind, Snapshot, Table};
use crate::store::level::{Settings, Threshold};
use crate::store::query::fold;
use crate::store::rate::{Mode, View};
use crate::wire::proto;
use crate::wire::schema::Schema;

/// What a host is asked for so that the wanted summaries can be told, as far as it has it.
pub(super) fn selections(wanted: &BTreeSet<usize>, schema: &Schema) -> Vec<proto::Selection> {
    let mut tables: BTreeMap<usize, Vec<&Summary>> = BTreeMap::new();
    for summary in wanted.iter().filter_map(|at| summaries().get(*at)) {
        let Some(at) = schema.position(&summary.table.name) else { continue };
        let has = schema.layouts.get(at).and_then(|layout| layout.from.get(summary.column).copied().flatten());
        if has.is_some() {
            tables.entry(at).or_default().push(summary);
        }
    }
    tables.values().filter_map(|summaries| selection(summaries)).collect()
}

fn selection(summaries: &[&Summary]) -> Option<proto::Selection> {
    let first = summaries.first()?;
    let name = |summary: &Summary| Some(summary.table.columns.get(summary.column)?.name.to_string());
    let columns: Vec<String> = summaries.iter().filter_map(|summary| name(summary)).collect();
    let mut selection =
        proto::Selection { table: first.table.name.to_string(), columns, ..proto::Selection::default() };
    if summaries.iter().all(|summary| summary.fold == Fold::All) {
        let label = first.table.columns.get(first.table.label_column())?;
        selection.r#where = format!("{} == \"all\"", label.name);
    } else if let ([only], Some(column)) = (summaries, selection.columns.first()) {
        // one row is enough to know the largest
        let sort = match only.fold {
            Fold::Max => Some(format!("-{column}")),
            Fold::Min => Some(column.clone()),
            Fold::Sum | Fold::All => None,
        };
        if let Some(sort) = sort {
            (selection.sort, selection.limit) = (vec![sort], 1);
        }
    }
    Some(selection)
}

/// Tells the summaries of tables anew; those of other tables stay.
pub(super) fn tell(snapshot: &Snapshot, told: &BTreeSet<&str>, wanted: &BTreeSet<usize>, cells: &mut [Option<f64>]) {
    let mut views: BTreeMap<&str, View> = BTreeMap::new();
    for at in wanted {
        let (Some(summary), Some(cell)) = (summaries().get(*at), cells.get_mut(*at)) else { continue };
        let name: &str = &summary.table.name;
        if !told.contains(name) {
            continue;
        }
        let Some(state) = snapshot.get(name) else { continue };
        let Some(now) = &state.now else {
            *cell = None;
            continue;
        };
        let view = views.entry(name).or_insert_with(|| View::new(now, state.before.as_ref(), Mode::Rate));
        let rows: Vec<usize> = (0..view.len()).collect();
        *cell = fold(view, &rows, summary.column, summary.fold).filter(|number| number.is_finite());
    }
}

/// The summaries that are watched: those that always are, and those of columns that somebody looks at.
pub(super) fn wanted<'a>(columns: impl Iterator<Item = &'a str>) -> BTreeSet<usize> {
    let before = fleet().columns.len() - summaries().len();
    let named = columns.filter_map(|name| fleet().position(name)?.checked_sub(before));
    let always = summaries().iter().enumerate().filter(|(_, one)| one.always).map(|(at, _)| at);
    always.chain(named).collect()
}

/// The thresholds of a configuration, with those of the same values in the table `fleet`.
pub fn thresholds(settings: &Settings, tables: &[&Table]) -> Settings {
    let known = settings.iter().filter(|one| tables.iter().any(|table| table.name == one.table)).cloned();
    // one that is for certain rows says nothing of what stands for all of them
    let general = settings.iter().filter(|one| one.row.is_none());
    let summed = general.filter_map(|one| {
        let column = fleet().columns.get(position(&one.table, &one.column)?)?;
        let unit = |table: &Table| table.column(&one.column).map(|(_, column)| (column.kind, column.unit));
        let of = summaries().iter().find(|summary| summary.table.name == one.table)?;
        let same = unit(of.table).is_some_and(|(kind, unit)| kind != Kind::Counter || unit == column.unit);
        let groups = super::group::tables().iter().copied().filter(|_| of.fold != Fold::Sum);
        let all = std::iter::once(fleet()).chain(groups).filter(|_| same);
        let threshold =
            |table: &Table| Threshold { table: table.name.to_string(), column: column.name.to_string(), ..one.clone() };
        Some(all.map(threshold).collect::<Vec<_>>())
    });
    known.chain(summed.flatten()).collect()
}
