//! Does the view of routing show the databases of OSPF when it is asked for them, what flaps above all?

use super::app::{App, Config};
use super::testing::{Made, app, press, screen};
use crate::collect::routing::{OspfAreaRow, OspfLsaRow, OspfNeighborRow};
use crate::model::{Table, Text, Timestamp, Value};
use crate::tui::settings::Settings;

static TABLES: &[&Table] = &[OspfNeighborRow::TABLE, OspfAreaRow::TABLE, OspfLsaRow::TABLE];

/// Second at which the last sample is taken.
const NOW: u64 = 1000;

fn text(words: &str) -> Value {
    Value::Text(Text::from(words))
}

/// An LSA of a router, that was made so many seconds ago.
fn lsa(last: u8, state: &str, age: u64) -> Vec<Value> {
    let given = [
        ("source", Value::Label("frr".into())),
        ("instance", text("ospfd")),
        ("version", Value::U64(2)),
        ("area", text("0.0.0.7")),
        ("kind", Value::Label("Router".into())),
        ("link_state_id", Value::Ip([192, 0, 2, last].into())),
        ("advertising_router", Value::Ip([192, 0, 2, last].into())),
        ("state", Value::Label(state.into())),
        ("originated", Value::Timestamp(Timestamp::from_seconds((NOW - age) as f64))),
        ("instances", Value::U64(u64::from(last))),
    ];
    let cell = |name: &str| given.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    OspfLsaRow::TABLE.columns.iter().map(|column| cell(&column.name).unwrap_or(Value::Missing)).collect()
}

fn routing(size: (u16, u16)) -> App {
    let settings = Settings { view: Some("routing".to_owned()), ..Settings::default() };
    let (host, mut app) = app(Config { settings, ..Config::default() });
    *host.tables.lock().unwrap() = Some(TABLES);
    app.size = size;
    app.clock = || Timestamp::from_seconds(NOW as f64);
    let lsas = [lsa(1, "current", 900), lsa(2, "MaxAge", 40), lsa(3, "current", 20), lsa(4, "flapping", 500)];
    for second in NOW - 1..=NOW {
        host.publish(Made { table: OspfLsaRow::TABLE, cells: lsas.to_vec() }, second);
    }
    app.samples();
    app
}

#[test]
fn what_flaps_or_goes_stands_above_what_was_made_last() {
    for size in [(80, 24), (120, 40), (200, 60)] {
        let mut app = routing(size);
        assert!(!screen(&mut app).contains("OSPF LSAs"), "nobody has asked for them");
        press(&mut app, &["%"]);
        let shown = screen(&mut app);
        assert!(shown.contains("OSPF LSAs 4  1 flapping▲, 1 MaxAge•"), "{shown}");
        let lines: Vec<&str> = shown.lines().filter(|line| line.contains(" Router ")).collect();
        let [first, second, third, last] = lines.as_slice() else { panic!("{shown}") };
        assert!(first.contains("192.0.2.4") && first.contains("flapping") && first.contains("0.0.0.7"), "{shown}");
        assert!(second.contains("192.0.2.2") && second.contains("MaxAge"), "{shown}");
        assert!(third.contains("192.0.2.3") && third.contains("20s") && last.contains("192.0.2.1"), "{shown}");
        press(&mut app, &["%"]);
        assert!(!screen(&mut app).contains("OSPF LSAs"));
    }
}
