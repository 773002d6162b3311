//! How do rows keep their places while somebody reads one of them?
//!
//! As long as a row is selected, rows stand in the order in which they stood when it was: what is new comes last, and what goes
//! leaves the order of the others alone. Another column to sort by, another filter or another way of grouping orders them
//! anew. A log has its newest row first in any case.

use std::collections::HashMap;

use super::table_view::TableView;
use crate::model::{Key, Shape};
use crate::panel::Grouping;
use crate::store::query::Order;
use crate::store::rate::View;

/// Rows that have gone whose places are remembered, beside as many as there are rows.
const SPARE: usize = 1024;

/// What made an order.
type Made = (Vec<(usize, Order)>, Option<String>, Option<Grouping>);

/// The order in which rows are kept.
#[derive(Clone, Debug)]
pub struct Held {
    made: Made,
    places: HashMap<Key, usize>,
    /// Place of the next row that comes.
    next: usize,
    /// Whether the rows would stand elsewhere by now.
    is_other: bool,
}

impl TableView {
    /// Puts rows that were ordered anew where they stood before, while one of them is selected.
    pub(super) fn hold(&mut self, view: &View) {
        let held = self.held.take();
        let is_read = self.selected.is_some() && !self.outlined && view.table().attrs.shape != Shape::Log;
        if !is_read {
            return;
        }
        let made = (self.sort.clone(), self.filter.as_ref().map(|filter| filter.text().to_owned()), self.grouping);
        let new = || Held { made: made.clone(), places: HashMap::new(), next: 0, is_other: false };
        let mut held = held.filter(|held| held.made == made).unwrap_or_else(new);
        // a line that stands for several lives on when the first of them ends
        let by = self.grouping.map(|grouping| grouping.by);
        let key = |row: usize| by.map_or_else(|| view.key(row), |by| Key::from_cells([view.cell(row, by)]));
        let mut placed: Vec<(usize, usize)> = self.rows.iter().map(|row| (held.place(key(*row)), *row)).collect();
        held.is_other = !placed.is_sorted();
        placed.sort_unstable();
        self.rows = placed.into_iter().map(|(_, row)| row).collect();
        if held.places.len() > 2 * self.rows.len() + SPARE {
            held.forget(self.rows.iter().map(|row| key(*row)));
        }
        self.held = Some(held);
    }

    /// Whether rows stand where they stood, and not where their values would have them.
    pub fn is_held(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.is_other)
    }
}

impl Held {
    /// The place of a row; of a new one the last.
    fn place(&mut self, key: Key) -> usize {
        let next = self.next;
        let place = *self.places.entry(key).or_insert(next);
        self.next += usize::from(place == next);
        place
    }

    /// Forgets the places of all but these rows, which stand in order.
    fn forget(&mut self, rows: impl Iterator<Item = Key>) {
        self.places = rows.zip(0..).collect();
        self.next = self.places.len();
    }
}

#[cfg(test)]
mod tests {
    use super::super::app::App;
    use super::super::flows::{column, flows, sampled};
    use super::super::testing::{press, screen};
    use crate::model::Value;
    use crate::tui::settings::Settings;

    #[test]
    fn connections_keep_their_order_while_one_of_them_is_read() {
        let (host, mut app) = sampled(Settings::default());
        let sources = |app: &mut App| -> Vec<u8> {
            let shown = screen(app);
            let last =
                |line: &str| line.split_whitespace().find_map(|word| word.strip_prefix("192.0.2.")?.parse().ok());
            shown.lines().filter(|line| line.contains(" tcp ")).filter_map(last).collect()
        };
        assert_eq!(sources(&mut app), [5, 4, 3, 2, 1, 0]);
        press(&mut app, &["down", "down"]);
        // the last one is the busiest now, another has ended, and a new one is busier than all
        let mut later = flows(3).with(0, column("bytes"), Value::U64(900_000));
        later.cells.remove(4);
        let mut new = later.cells[0].clone();
        new[column("id")] = Value::U64(77);
        new[column("source")] = Value::Ip([192, 0, 2, 9].into());
        later.cells.insert(0, new);
        host.publish(later, 3);
        app.samples();
        assert_eq!(sources(&mut app), [5, 3, 2, 1, 0, 9]);
        assert!(screen(&mut app).contains("Connections 6, order held"), "{}", screen(&mut app));
        press(&mut app, &["down"]);
        assert_eq!(sources(&mut app), [5, 3, 2, 1, 0, 9]);
        // a key that sorts orders anew
        press(&mut app, &["r", "r"]);
        let sorted = sources(&mut app);
        assert_eq!(sorted[0], 0, "{}", screen(&mut app));
        assert!(!screen(&mut app).contains("order held"));
        host.publish(flows(4), 4);
        app.samples();
        screen(&mut app);
        press(&mut app, &["esc"]);
        assert_eq!(sources(&mut app)[0], 5, "nothing is held when nothing is read: {}", screen(&mut app));
    }
}
