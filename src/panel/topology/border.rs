//! Which routers of an area of OSPF join it to others or bring routes of other protocols?
//!
//! This router's daemon says what it is itself, and each router in its own LSA, where the daemon tells that. Others are known by
//! the LSAs that they have made: who tells an area of networks outside of it joins it to others, and who tells of routes of other
//! protocols brings them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::area::written;
use super::known::{ENTRIES, word};
use crate::col;
use crate::collect::routing::{OspfAreaRow, OspfLsaRow};
use crate::model::Cell;
use crate::store::rate::View;

/// What a router is to other areas and to other protocols.
#[derive(Clone, Copy, Default)]
pub(super) struct Part {
    /// It joins areas.
    pub(super) abr: bool,
    /// It brings routes of other protocols.
    pub(super) asbr: bool,
}

/// Where a daemon is, which one it is, VRF, version and area.
pub(super) type Place = [String; 5];

const AREA: [usize; 5] = [
    col!(OspfAreaRow, netns),
    col!(OspfAreaRow, instance),
    col!(OspfAreaRow, vrf),
    col!(OspfAreaRow, version),
    col!(OspfAreaRow, area),
];
const LSA: [usize; 5] = [
    col!(OspfLsaRow, netns),
    col!(OspfLsaRow, instance),
    col!(OspfLsaRow, vrf),
    col!(OspfLsaRow, version),
    col!(OspfLsaRow, area),
];

/// Routers by their areas; those that bring routes to all areas are in one without a name.
pub(super) struct Parts(BTreeMap<Place, BTreeMap<IpAddr, Part>>);

impl Parts {
    pub(super) fn of(areas: Option<&View>, lsas: Option<&View>) -> Self {
        let mut out = Self(BTreeMap::new());
        for (view, row) in areas.iter().flat_map(|view| (0..view.len()).map(move |row| (view, row))) {
            let is = |column| matches!(view.raw().cell(row, column), Cell::Bool(true));
            let part = Part { abr: is(col!(OspfAreaRow, abr)), asbr: is(col!(OspfAreaRow, asbr)) };
            if let Cell::Ip(router) = view.raw().cell(row, col!(OspfAreaRow, router_id)) {
                let place = AREA.map(|column| written(&view.raw().cell(row, column)));
                out.0.entry(place).or_default().insert(router, part);
            }
        }
        if let Some(view) = lsas {
            out.take(view);
        }
        out
    }

    fn take(&mut self, view: &View) {
        let place = |row: usize| LSA.map(|column| view.raw().cell(row, column));
        let rows = 0..view.len().min(ENTRIES);
        // those of one area follow each other
        for run in rows.collect::<Vec<usize>>().chunk_by(|a, b| place(*a) == place(*b)) {
            let Some(first) = run.first() else { continue };
            let known = self.0.entry(place(*first).map(|cell| written(&cell))).or_default();
            for row in run.iter().copied().filter(|row| word(view, *row, col!(OspfLsaRow, state)) != "MaxAge") {
                let part = match word(view, row, col!(OspfLsaRow, kind)) {
                    "Summary" | "ASBR-Summary" | "Inter-Area-Prefix" | "Inter-Area-Router" => {
                        Part { abr: true, asbr: false }
                    }
                    "AS-External" | "NSSA-External" => Part { abr: false, asbr: true },
                    _ => continue,
                };
                if let Cell::Ip(router) = view.raw().cell(row, col!(OspfLsaRow, advertising_router)) {
                    let known = known.entry(router).or_default();
                    *known = known.and(part);
                }
            }
        }
    }

    /// Those that are known in an area, by their numbers.
    pub(super) fn of_area(&self, place: &Place) -> BTreeMap<String, Part> {
        let mut everywhere = place.clone();
        if let Some(area) = everywhere.last_mut() {
            area.clear();
        }
        let mut out: BTreeMap<String, Part> = BTreeMap::new();
        for (router, part) in [place, &everywhere].into_iter().filter_map(|place| self.0.get(place)).flatten() {
            let known = out.entry(router.to_string()).or_default();
            *known = known.and(*part);
        }
        out
    }
}

impl Part {
    pub(super) fn and(self, other: Self) -> Self {
        Self { abr: self.abr || other.abr, asbr: self.asbr || other.asbr }
    }
}
