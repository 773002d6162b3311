//! What must the host collect for what is on the screen?

use std::collections::BTreeSet;

use super::app::{App, Page, Spot};
use crate::model::{Demand, Value, unit};
use crate::panel::{self, VIEWS};
use crate::store::expr::Filter;
use crate::store::rate::Mode;
use crate::store::{derived, wanted};

/// Number by which the host knows this reader.
const READER: u64 = 1;

impl App {
    /// What a table on the screen needs: the columns that found room, and those that order and filter it; of one that is
    /// collected for chosen rows those that its filter names.
    fn shown(&self, spot: &Spot) -> Vec<Demand> {
        let (Some(table), state) = (self.table(spot.table), self.tables.get(&spot.key)) else { return Vec::new() };
        if crate::browse::by(table).is_some() {
            let hides = self.config.show.has(spot.table);
            return state.map(|state| super::hosts::demand(table, state, hides)).into_iter().collect();
        }
        let mut columns: BTreeSet<usize> = spot.placed.iter().map(|placed| placed.column).collect();
        if let Some(state) = state {
            columns.extend(state.sort.iter().map(|(column, _)| *column));
            columns.extend(state.filter.iter().flat_map(Filter::columns));
        }
        let inputs: BTreeSet<usize> = columns.into_iter().flat_map(|at| derived::inputs(table, at)).collect();
        let demanded = inputs.into_iter().filter_map(|at| table.columns.get(at)).filter(|column| column.attrs.demand);
        let columns: Vec<String> = demanded.map(|column| column.name.to_string()).collect();
        let filter = state.and_then(|state| state.filter.as_ref());
        let only = wanted::only(table, filter);
        let top = state.and_then(|state| wanted::top(table, &state.sort, 0, Mode::Rate));
        let demand = |ids: Vec<Value>| {
            let (columns, top, only) = (columns.clone(), top.clone(), only.clone());
            Demand { columns, ids, top, only, ..Demand::table(spot.table) }
        };
        let grouped = super::group::ids(self, &spot.key);
        if !grouped.is_empty() {
            return vec![demand(grouped)];
        }
        // who collects it says what is to be named
        wanted::ids(table, filter).unwrap_or_else(|_| vec![Vec::new()]).into_iter().map(demand).collect()
    }

    /// Tells the host what the screen needs, when that has changed.
    pub(super) fn ask(&mut self) {
        super::naming::follow(self);
        let mut wants = Vec::new();
        if let Some(node) = self.layout(self.size.0, self.size.1.saturating_sub(3)) {
            let panels = node.panels().into_iter().filter_map(super::pane::find);
            wants.extend(panels.flat_map(|panel| super::group::demands(self, panel)));
        }
        if let Page::View(at) = self.page {
            wants.extend(VIEWS.get(at).into_iter().flat_map(|view| (view.demands)()));
        }
        let shown: Vec<Demand> = self.spots.iter().flat_map(|spot| self.shown(spot)).collect();
        // a panel is about rows of the table beside it, and must not make all of them wanted
        wants.retain(|want| !shown.iter().any(|shown| *want == Demand::table(&shown.table)));
        wants.extend(shown);
        if let Page::Table(name) = &self.page
            && self.spots.is_empty()
            && self.fleet.is_none()
        {
            wants.push(Demand::table(name));
        }
        wants.extend(self.overlay.demand(self));
        if self.fleet.is_none() {
            wants.extend(panel::header_demands());
        }
        let interval = self.config.settings.interval.as_deref().and_then(|text| unit::parse_duration(text).ok());
        for want in &mut wants {
            want.interval = interval.or(want.interval);
        }
        wants.dedup();
        if wants != self.asked {
            self.asked.clone_from(&wants);
            self.host.demand(READER, wants);
        }
    }
}
