//! How does a row lead to what is inside it, in another table?

use super::app::{App, Page};
use crate::panel::TableSpec;
use crate::store::expr::Filter;

/// Shows what is inside the selected row; false where there is nothing, or the row is one of many hosts.
pub(super) fn open(app: &mut App) -> bool {
    if app.fleet.is_some() {
        return false;
    }
    let found =
        app.focus().and_then(|(table, view, state)| Some((table, crate::panel::inside(&view, state.row(&view)?)?)));
    found.is_some_and(|(table, filter)| {
        crate::panel::contents(table).is_some_and(|(inside, _)| show(app, &inside.name, &filter))
    })
}

/// Shows what a filter keeps of a table; false where it is not to be had.
pub(super) fn show(app: &mut App, table: &str, filter: &str) -> bool {
    let Some(table) = app.table(table) else { return false };
    let Ok(filter) = Filter::parse(filter, table) else { return false };
    let known = app.tables.remove(&*table.name);
    let mut state = known.unwrap_or_else(|| super::framed::first_state(app, table, &TableSpec::of(&table.name)));
    (state.filter, state.top, state.selected, state.restart) = (Some(filter), 0, None, true);
    app.tables.insert(table.name.to_string(), state);
    app.go(Page::Table(&table.name));
    true
}

/// What the rows of a table lead to, if it is to be had here.
pub(super) fn leads(app: &App, table: &str) -> Option<&'static str> {
    let (inside, words) = crate::panel::contents(table).filter(|_| app.fleet.is_none())?;
    app.table(&inside.name).map(|_| words)
}

#[cfg(test)]
mod tests {
    use super::super::app::Config;
    use super::super::input;
    use super::super::testing::{Made, app, press, screen};
    use super::*;
    use crate::collect::routing::{OspfAreaRow, OspfLsaRow};
    use crate::model::{Table, Text, Value};

    static TABLES: &[&Table] = &[OspfAreaRow::TABLE, OspfLsaRow::TABLE];

    fn made(table: &'static Table, rows: &[&[(&str, Value)]]) -> Made {
        let cell = |row: &[(&str, Value)], name: &str| {
            row.iter().find(|(known, _)| *known == name).map_or(Value::Missing, |(_, value)| value.clone())
        };
        let row = |row: &&[(&str, Value)]| table.columns.iter().map(|column| cell(row, &column.name)).collect();
        Made { table, cells: rows.iter().map(row).collect() }
    }

    fn text(words: &str) -> Value {
        Value::Text(Text::from(words))
    }

    /// A dashboard with areas of two daemons.
    fn routers(instance: &str) -> App {
        let (host, mut app) = app(Config::default());
        *host.tables.lock().unwrap() = Some(TABLES);
        app.size = (120, 40);
        let [one, two] = ["0.0.0.0", "0.0.0.7"].map(|area| {
            move |instance: &str| vec![("instance", text(instance)), ("version", Value::U64(2)), ("area", text(area))]
        });
        let areas = [one("a"), two("a"), one(instance)];
        let mut lsas = Vec::new();
        for (last, row) in areas.iter().enumerate() {
            let id = |name| (name, Value::Ip([192, 0, 2, last as u8].into()));
            lsas.push([row.clone(), vec![id("link_state_id"), id("advertising_router")]].concat());
        }
        for second in 1..3 {
            let rows = |rows: &[Vec<(&'static str, Value)>], table| {
                made(table, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>())
            };
            host.publish(rows(&areas, OspfAreaRow::TABLE), second);
            host.publish(rows(&lsas, OspfLsaRow::TABLE), second);
        }
        app.samples();
        app.go(Page::Table("ospf_area"));
        app
    }

    #[test]
    fn enter_on_an_area_shows_its_lsas_and_esc_leads_back() {
        for instance in ["b", "b \"c"] {
            let mut app = routers(instance);
            assert!(screen(&mut app).contains("its LSAs"), "{}", screen(&mut app));
            press(&mut app, &["down", "down", "down", "enter"]);
            let shown = screen(&mut app);
            assert!(shown.contains("OSPF LSAs 1 of 3, filter area == \"0.0.0.0\" and instance == \"b"), "{shown}");
            assert!(shown.contains("192.0.2.2") && !shown.contains("192.0.2.1"), "{shown}");
            // another one
            app.go(Page::Table("ospf_area"));
            let _ = screen(&mut app);
            press(&mut app, &["up", "up", "enter"]);
            let shown = screen(&mut app);
            assert!(shown.contains("192.0.2.0") && !shown.contains("192.0.2.2"), "{shown}");
        }
    }

    #[test]
    fn the_panel_of_areas_opens_their_table() {
        let mut app = routers("b");
        app.go(Page::View(crate::panel::VIEWS.iter().position(|view| view.name == "routing").unwrap()));
        assert!(screen(&mut app).contains("OSPF areas"), "{}", screen(&mut app));
        app.focused = Some("ospf-areas");
        press(&mut app, &["enter"]);
        assert_eq!(app.page, Page::Table("ospf_area"));
        press(&mut app, &["esc"]);
        assert!(matches!(app.page, Page::View(_)));
    }

    #[test]
    fn an_area_has_details_all_the_same() {
        let mut app = routers("b");
        let _ = screen(&mut app);
        press(&mut app, &["down"]);
        let _ = input::act(&mut app, super::super::keymap::Act::Extended);
        assert!(matches!(app.overlay, super::super::overlay::Overlay::Detail { table: "ospf_area", .. }));
    }
}
