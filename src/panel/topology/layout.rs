//! Where does each node of a map stand, and which way do the lines between them go?
//!
//! What is connected is laid out as a tree: a node has its place in the column of its kind and never above the one that it is
//! reached from, so that a map reads from the top, and what is behind a node begins in its line. A line leaves a node to one
//! side, runs down between two columns, and turns to each node behind it. What a tree cannot show, one more way to a node
//! that has its place already, is a mark that names it, so that no line crosses the map.

use std::collections::BTreeMap;

/// What a node is for a map, from the inside of a host to the outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Class {
    /// Where traffic ends: an address of the host, a guest, a container.
    End,
    /// What leads from one to another: bridges, bonds, VLANs, tunnels.
    Between,
    /// An interface to the outside.
    Outer,
    /// Who is behind it.
    Beyond,
}

/// To which side of a node another one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// To the outside.
    Out,
    /// To the inside.
    In,
}

/// A node at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    /// The node.
    pub(super) node: usize,
    /// It has its place elsewhere, and this is another way to it.
    pub(super) again: bool,
    /// Column, from the inside.
    pub(super) column: usize,
    /// Row, from the top.
    pub(super) row: usize,
    /// The spot that it is reached from, and to which side of that it is.
    pub(super) from: Option<(usize, Side)>,
    /// The line by which it is reached.
    pub(super) bus: Option<usize>,
}

/// A line that runs down between two columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bus {
    /// The spot that it begins at.
    pub(super) spot: usize,
    /// To which side of that.
    pub(super) side: Side,
    /// The column to the left of it.
    pub(super) gutter: usize,
    /// Which one of several between the same columns.
    pub(super) track: usize,
    /// First row of it, that of its spot.
    pub(super) top: usize,
    /// Last row that it reaches.
    pub(super) end: usize,
}

/// A map without words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Each after the one that it is reached from.
    pub(super) spots: Vec<Spot>,
    /// Columns.
    pub(super) columns: usize,
    /// Rows.
    pub(super) rows: usize,
    /// Lines that run down.
    pub(super) buses: Vec<Bus>,
    /// How many of them are side by side to the right of each column.
    pub(super) tracks: Vec<usize>,
}

/// Most lines side by side between two columns; more lie upon each other.
const TRACKS: usize = 4;

/// Columns of nodes. Edges lead from the inside to the outside.
fn columns(classes: &[Class], edges: &[(usize, usize)]) -> Vec<usize> {
    let class = |node: usize| classes.get(node).copied();
    let mut ranks: Vec<usize> = classes.iter().map(|class| usize::from(*class != Class::End)).collect();
    let mut above = vec![Vec::new(); classes.len()];
    let mut waits = vec![0_usize; classes.len()];
    for (inner, outer) in edges.iter().copied() {
        if class(inner) == Some(Class::Between)
            && class(outer) == Some(Class::Between)
            && let (Some(above), Some(waits)) = (above.get_mut(inner), waits.get_mut(outer))
        {
            above.push(outer);
            *waits += 1;
        }
    }
    // what is in a circle is never ready and keeps its rank
    let mut ready: Vec<usize> = (0..classes.len()).filter(|node| waits.get(*node) == Some(&0)).collect();
    let mut order = Vec::with_capacity(classes.len());
    while let Some(node) = ready.pop() {
        order.push(node);
        let rank = ranks.get(node).copied().unwrap_or(0) + 1;
        for outer in above.get(node).into_iter().flatten() {
            if let (Some(known), Some(waits)) = (ranks.get_mut(*outer), waits.get_mut(*outer)) {
                *known = rank.max(*known);
                *waits -= 1;
                if *waits == 0 {
                    ready.push(*outer);
                }
            }
        }
    }
    // as far out as what they lead to lets them
    for node in order.into_iter().rev() {
        let outer = above.get(node).into_iter().flatten().filter_map(|outer| ranks.get(*outer)).min();
        if let Some(outer) = outer.copied()
            && let Some(rank) = ranks.get_mut(node)
        {
            *rank = outer.saturating_sub(1).max(*rank);
        }
    }
    let between = ranks.iter().zip(classes).filter(|(_, class)| **class == Class::Between);
    let deepest = between.map(|(rank, _)| *rank).max().unwrap_or(0);
    for (rank, class) in ranks.iter_mut().zip(classes) {
        match class {
            Class::Outer => *rank = deepest + 1,
            Class::Beyond => *rank = deepest + 2,
            Class::End | Class::Between => {}
        }
    }
    // an end stands right before what it leads to
    let mut ends = BTreeMap::new();
    for (inner, outer) in edges.iter().copied().filter(|(inner, _)| class(*inner) == Some(Class::End)) {
        let before = ranks.get(outer).map_or(0, |rank| rank.saturating_sub(1));
        let known = ends.entry(inner).or_insert(before);
        *known = before.min(*known);
    }
    for (end, before) in ends {
        if let Some(rank) = ranks.get_mut(end) {
            *rank = before;
        }
    }
    let mut used = ranks.clone();
    used.sort_unstable();
    used.dedup();
    ranks.iter().map(|rank| used.partition_point(|one| one < rank)).collect()
}

/// How much room a map takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spacing {
    /// Whether a row is left between what is not connected.
    pub(super) apart: bool,
    /// Whether a row is left below what is neither an end nor beyond.
    pub(super) below: bool,
    /// Whether one is left below those beyond, too.
    pub(super) under: bool,
}

/// A node that waits for its place, whether it has one already, and from where it is reached.
type Step = (usize, bool, Option<(usize, Side)>);

/// What is known while nodes get their places.
struct Placing<'a> {
    columns: &'a [usize],
    classes: &'a [Class],
    spacing: Spacing,
    outward: Vec<Vec<usize>>,
    inward: Vec<Vec<usize>>,
    known: Vec<bool>,
    /// First row of each column that is free.
    free: Vec<usize>,
    spots: Vec<Spot>,
}

impl Layout {
    /// Lays out nodes in their order, in columns that are given, or in those of their kinds.
    pub(super) fn new(classes: &[Class], edges: &[(usize, usize)], given: &[usize], spacing: Spacing) -> Self {
        let columns = if given.is_empty() { columns(classes, edges) } else { given.to_vec() };
        let mut placing = Placing {
            columns: &columns,
            classes,
            spacing,
            outward: vec![Vec::new(); classes.len()],
            inward: vec![Vec::new(); classes.len()],
            known: vec![false; classes.len()],
            // a mark that names a node may stand beyond all of them
            free: vec![0; columns.iter().max().map_or(0, |last| last + 2)],
            spots: Vec::with_capacity(classes.len()),
        };
        for (inner, outer) in edges.iter().copied().filter(|(inner, outer)| inner != outer) {
            if let (Some(out), Some(into)) = (placing.outward.get_mut(inner), placing.inward.get_mut(outer)) {
                out.push(outer);
                into.push(inner);
            }
        }
        for list in placing.outward.iter_mut().chain(&mut placing.inward) {
            list.sort_unstable();
            list.dedup();
        }
        let mut starts: Vec<usize> = (0..classes.len()).collect();
        let step = |node: &usize| match classes.get(*node) {
            Some(Class::Outer) => 0,
            Some(Class::Beyond) => usize::MAX,
            _ => usize::MAX - 1 - columns.get(*node).copied().unwrap_or(0),
        };
        let alone = |node: &usize| {
            [&placing.outward, &placing.inward].iter().all(|all| all.get(*node).is_none_or(Vec::is_empty))
        };
        starts.sort_by_key(|node| (alone(node), step(node)));
        let lonely = starts.iter().position(alone).unwrap_or(starts.len());
        for (at, start) in starts.into_iter().enumerate() {
            if placing.known.get(start) == Some(&false) {
                // those that are alone stand side by side where they can
                if at <= lonely {
                    placing.part();
                }
                placing.place(start);
            }
        }
        placing.done()
    }
}

impl Placing<'_> {
    /// Begins something new below all that is there.
    fn part(&mut self) {
        let last = self.free.iter().copied().max().unwrap_or(0);
        let first = last + usize::from(self.spacing.apart && last > 0);
        self.free.fill(first);
    }

    /// Places a node and what is connected with it.
    fn place(&mut self, start: usize) {
        self.take(start);
        let mut waiting = vec![(start, false, None)];
        while let Some((node, again, from)) = waiting.pop() {
            let (column, row) = self.room(node, again, from);
            let spot = self.spots.len();
            self.spots.push(Spot { node, again, column, row, from, bus: None });
            if !again {
                let first = waiting.len();
                self.behind(node, spot, &mut waiting);
                if let Some(new) = waiting.get_mut(first..) {
                    new.reverse();
                }
            }
        }
    }

    fn take(&mut self, node: usize) -> bool {
        self.known.get_mut(node).is_some_and(|known| !std::mem::replace(known, true))
    }

    fn column(&self, node: usize) -> usize {
        self.columns.get(node).copied().unwrap_or(0)
    }

    /// Column and row of a node, whose line takes the row of all columns that it passes.
    fn room(&mut self, node: usize, again: bool, from: Option<(usize, Side)>) -> (usize, usize) {
        let own = self.column(node);
        let parent = from.and_then(|(spot, side)| Some((self.spots.get(spot)?, side)));
        let (column, passed, least) = match parent {
            Some((parent, Side::Out)) => {
                // one that is not farther out has its mark in the next column
                let column = if again { own.max(parent.column + 1) } else { own };
                // the row of one that was reached from this side is taken by the line to it
                let taken = matches!(parent.from, Some((_, Side::In)));
                (column, parent.column + 1..column + 1, parent.row + usize::from(taken))
            }
            Some((parent, Side::In)) => (own, own..parent.column, parent.row.max(self.level(node, own))),
            None => (own, own..own + 1, 0),
        };
        let passed = self.free.get_mut(passed).unwrap_or_default();
        let row = passed.iter().copied().max().unwrap_or(0).max(least);
        passed.fill(row + 1);
        let tall = !again
            && match self.classes.get(node) {
                Some(Class::Between | Class::Outer) => self.spacing.below,
                Some(Class::Beyond) => self.spacing.under,
                _ => false,
            };
        if let Some(free) = self.free.get_mut(column).filter(|_| tall) {
            *free = row + 2;
        }
        (column, row)
    }

    /// The first row in which a line from a node passes other columns to what is still to be placed behind them.
    fn level(&self, node: usize, column: usize) -> usize {
        let waiting =
            self.outward.get(node).into_iter().flatten().filter(|outer| self.known.get(**outer) == Some(&false));
        let last = waiting.map(|outer| self.column(*outer)).max().filter(|last| *last > column + 1);
        let passed = last.and_then(|last| self.free.get(column + 1..=last)).unwrap_or_default();
        passed.iter().copied().max().unwrap_or(0)
    }

    /// What is reached from a node, in the order of their places.
    fn behind(&mut self, node: usize, spot: usize, waiting: &mut Vec<Step>) {
        let column = self.column(node);
        let before = self.spots.get(spot).and_then(|spot| spot.from).and_then(|(from, _)| self.spots.get(from));
        let before = before.map(|spot| spot.node);
        for outer in self.outward.get(node).cloned().unwrap_or_default() {
            let fits = self.column(outer) > column;
            if fits && self.take(outer) {
                waiting.push((outer, false, Some((spot, Side::Out))));
            } else if Some(outer) != before || !fits {
                waiting.push((outer, true, Some((spot, Side::Out))));
            }
        }
        for inner in self.inward.get(node).cloned().unwrap_or_default() {
            if self.column(inner) < column && self.take(inner) {
                waiting.push((inner, false, Some((spot, Side::In))));
            }
        }
    }

    fn done(self) -> Layout {
        let mut spots = self.spots;
        let columns = spots.iter().map(|spot| spot.column + 1).max().unwrap_or(0);
        let rows = self.free.iter().copied().max().unwrap_or(0);
        let mut ends = BTreeMap::new();
        for spot in &spots {
            if let Some(from) = spot.from {
                let end: &mut usize = ends.entry(from).or_default();
                *end = spot.row.max(*end);
            }
        }
        let bus = |((spot, side), end): ((usize, Side), usize)| {
            let Spot { column, row, .. } = *spots.get(spot)?;
            let gutter = if side == Side::Out { column } else { column.checked_sub(1)? };
            Some(Bus { spot, side, gutter, track: 0, top: row, end })
        };
        let mut buses: Vec<Bus> = ends.into_iter().filter_map(bus).collect();
        // those that lead out are left of the others, so that they cross fewer
        buses.sort_by_key(|bus| (bus.gutter, bus.side, bus.top, bus.end));
        let tracks = tracks(&mut buses, columns);
        let numbers: BTreeMap<_, _> = buses.iter().enumerate().map(|(at, bus)| ((bus.spot, bus.side), at)).collect();
        for spot in &mut spots {
            spot.bus = spot.from.and_then(|from| numbers.get(&from).copied());
        }
        Layout { spots, columns, rows, buses, tracks }
    }
}

/// Puts lines between the same columns side by side where they would meet; says how many there are right of each column.
fn tracks(buses: &mut [Bus], columns: usize) -> Vec<usize> {
    let mut tracks = vec![0; columns];
    // last row of each track between the two columns
    let (mut taken, mut gutter): (Vec<usize>, usize) = (Vec::new(), usize::MAX);
    for bus in buses.iter_mut().filter(|bus| bus.top < bus.end) {
        if bus.gutter != gutter {
            (taken, gutter) = (Vec::new(), bus.gutter);
        }
        bus.track = taken.iter().position(|last| *last < bus.top).unwrap_or(taken.len()).min(TRACKS - 1);
        match taken.get_mut(bus.track) {
            Some(last) => *last = bus.end.max(*last),
            None => taken.push(bus.end),
        }
        if let Some(tracks) = tracks.get_mut(gutter) {
            *tracks = taken.len().max(*tracks);
        }
    }
    tracks
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: Spacing = Spacing { apart: false, below: false, under: false };
    const APART: Spacing = Spacing { apart: true, ..CLOSE };

    /// Column and row of each node that has its place, by its number.
    fn places(layout: &Layout) -> Vec<(usize, usize)> {
        let mut own: Vec<&Spot> = layout.spots.iter().filter(|spot| !spot.again).collect();
        own.sort_by_key(|spot| spot.node);
        own.iter().map(|spot| (spot.column, spot.row)).collect()
    }

    /// Whatever is drawn: each node has one place, no two have the same, and none is above the one that it is reached from.
    fn check(classes: &[Class], edges: &[(usize, usize)]) -> Layout {
        let airy = Spacing { below: true, ..APART };
        for spacing in [CLOSE, APART, airy, Spacing { under: true, ..airy }] {
            let layout = Layout::new(classes, edges, &[], spacing);
            let own: Vec<usize> = layout.spots.iter().filter(|spot| !spot.again).map(|spot| spot.node).collect();
            let mut known = own.clone();
            known.sort_unstable();
            assert_eq!(known, (0..classes.len()).collect::<Vec<_>>(), "{layout:?}");
            let mut taken: Vec<(usize, usize)> = layout.spots.iter().map(|spot| (spot.column, spot.row)).collect();
            taken.sort_unstable();
            let count = taken.len();
            taken.dedup();
            assert_eq!(taken.len(), count, "{layout:?}");
            for spot in &layout.spots {
                assert!(spot.column < layout.columns && spot.row < layout.rows, "{spot:?} {layout:?}");
                let Some((from, side)) = spot.from else { continue };
                let from = layout.spots[from];
                assert!(from.row <= spot.row, "{from:?} {spot:?}");
                assert_eq!(side == Side::Out, from.column < spot.column, "{from:?} {spot:?}");
                let bus = layout.buses[spot.bus.unwrap()];
                assert!(bus.top == from.row && bus.end >= spot.row, "{bus:?} {spot:?}");
            }
        }
        Layout::new(classes, edges, &[], CLOSE)
    }

    #[test]
    fn a_chain_is_one_row_from_the_inside_to_the_outside() {
        use Class::{Between, Beyond, End, Outer};
        let layout = check(&[End, Between, Between, Between, Outer, Beyond], &[(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]);
        assert_eq!(places(&layout), [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0)]);
        assert_eq!(layout.tracks, [0; 6]);
    }

    #[test]
    fn a_hundred_taps_stand_below_each_other_beside_the_first_row_of_their_bridge() {
        let mut classes = vec![Class::Between, Class::Outer];
        classes.extend([Class::End; 100]);
        let mut edges: Vec<(usize, usize)> = (2..102).map(|tap| (tap, 0)).collect();
        edges.push((0, 1));
        let layout = check(&classes, &edges);
        assert_eq!((layout.columns, layout.rows), (3, 100));
        assert_eq!(places(&layout)[..3], [(1, 0), (2, 0), (0, 0)]);
        assert_eq!((places(&layout)[101], layout.tracks[0]), ((0, 99), 1));
    }

    #[test]
    fn a_bond_has_its_interfaces_to_the_right_and_its_vlans_to_the_left() {
        use Class::{Between, Outer};
        let layout = check(&[Between, Between, Between, Outer, Outer], &[(0, 2), (1, 2), (2, 3), (2, 4)]);
        assert_eq!(places(&layout), [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)]);
    }

    #[test]
    fn a_second_way_to_a_node_is_a_mark_that_names_it() {
        use Class::{Between, Outer};
        // two VLANs of two interfaces in two bridges
        let classes = [Between, Between, Between, Between, Between, Between, Outer, Outer];
        let edges = [(0, 2), (0, 3), (1, 4), (1, 5), (2, 6), (4, 6), (3, 7), (5, 7)];
        let layout = check(&classes, &edges);
        assert_eq!(layout.spots.iter().filter(|spot| spot.again).count(), 1, "{layout:?}");
    }

    #[test]
    fn circles_and_what_belongs_to_itself_end() {
        use Class::{Between, End, Outer};
        check(&[Between, Between, Between], &[(0, 1), (1, 2), (2, 0), (1, 1)]);
        check(&[End, End, Outer, Outer], &[(0, 1), (1, 0), (2, 3), (3, 2), (9, 0), (0, 9)]);
    }

    #[test]
    fn those_who_are_alone_stand_below_all_others() {
        use Class::{Between, End, Outer};
        let layout = check(&[Outer, Between, End, Outer], &[(2, 1)]);
        assert_eq!(places(&layout), [(2, 1), (1, 0), (0, 0), (2, 2)]);
        let layout = Layout::new(&[Outer, Between, End], &[(2, 1)], &[], APART);
        assert_eq!(places(&layout)[0], (2, 2));
        assert_eq!(Layout::new(&[], &[], &[], CLOSE), Layout::default());
    }

    #[test]
    fn a_long_chain_and_any_tangle_have_places() {
        let many = 3000;
        let chain: Vec<(usize, usize)> = (1..many).map(|node| (node - 1, node)).collect();
        assert_eq!(check(&vec![Class::Between; many], &chain).columns, many);
        let mut seed = 1_u64;
        let mut next = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as usize % below
        };
        for count in 2..40 {
            let all = [Class::End, Class::Between, Class::Between, Class::Outer, Class::Beyond];
            let classes: Vec<Class> = (0..count).map(|_| all[next(all.len())]).collect();
            let edges: Vec<(usize, usize)> = (0..count * 2).map(|_| (next(count), next(count))).collect();
            check(&classes, &edges);
        }
    }
}
