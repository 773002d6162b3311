//! Which dashboard does Grafana show?
//!
//! One panel for each number that people see by default, rows of panels by table; what has a threshold stands in the first
//! row, with its colors.

use serde_json::{Value, json};

use super::promql::{is_share, labels, number};
use crate::model::{Column, Kind, Table, Unit};
use crate::store::level::Thresholds;

/// Panels side by side, and their size on Grafana's grid of 24.
const ACROSS: usize = 3;
const WIDTH: usize = 24 / ACROSS;
const HEIGHT: usize = 7;

/// A dashboard of all tables that a scraper gets, to be imported.
pub fn dashboard(tables: &[&Table], thresholds: &Thresholds) -> Value {
    let seen = |table: &&&Table, column: &&Column| {
        !column.attrs.wide && !matches!(column.kind, Kind::Id) && number(table, column, "", "5m", None).is_some()
    };
    let mut next = Next { id: 0, y: 0 };
    let mut panels = Vec::new();
    let all = tables.iter().flat_map(|table| table.columns.iter().map(move |column| (*table, column)));
    let marked = all.filter(|(table, column)| seen(&table, column) && marks(table, column, thresholds).is_some());
    panels.push(next.row("What has a threshold", false));
    panels.extend(next.grid(marked.map(|(table, column)| panel(table, column, thresholds, true)).collect()));
    for table in tables {
        let columns = table.columns.iter().filter(|column| seen(&table, column));
        let inside: Vec<Value> = columns.map(|column| panel(table, column, thresholds, false)).collect();
        if !inside.is_empty() {
            let mut row = next.row(table.title(), true);
            let mut within = Next { y: next.y, ..next };
            row["panels"] = Value::from(within.grid(inside));
            next.id = within.id;
            panels.push(row);
        }
    }
    json!({
        "title": "netglance",
        "uid": "netglance",
        "tags": ["netglance"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": { "from": "now-3h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "label": "Source", "type": "datasource", "query": "prometheus" },
            {
                "name": "instance", "label": "Host", "type": "query", "datasource": source(), "refresh": 2,
                "query": { "query": "label_values(netglance_build_info, instance)", "refId": "instance" },
                "includeAll": true, "multi": true, "sort": 1,
                "current": { "selected": true, "text": ["All"], "value": ["$__all"] },
            },
        ] },
        "panels": panels,
    })
}

/// Where the next panel goes.
#[derive(Clone, Copy)]
struct Next {
    id: usize,
    y: usize,
}

impl Next {
    fn id(&mut self) -> usize {
        self.id += 1;
        self.id
    }

    fn row(&mut self, title: &str, collapsed: bool) -> Value {
        let place = json!({ "h": 1, "w": 24, "x": 0, "y": self.y });
        self.y += 1;
        json!({ "type": "row", "id": self.id(), "title": title, "collapsed": collapsed, "panels": [], "gridPos": place })
    }

    fn grid(&mut self, panels: Vec<Value>) -> Vec<Value> {
        let (first, count) = (self.y, panels.len());
        let place = |(n, mut panel): (usize, Value)| {
            let (x, y) = (n % ACROSS * WIDTH, first + n / ACROSS * HEIGHT);
            panel["gridPos"] = json!({ "h": HEIGHT, "w": WIDTH, "x": x, "y": y });
            panel["id"] = self.id().into();
            panel
        };
        let placed = panels.into_iter().enumerate().map(place).collect();
        self.y = first + count.div_ceil(ACROSS) * HEIGHT;
        placed
    }
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

/// A graph of a column; with the name of its table where it stands among those of others.
fn panel(table: &Table, column: &Column, thresholds: &Thresholds, apart: bool) -> Value {
    let selector = "{instance=~\"$instance\"}";
    let names = std::iter::once("instance").chain(labels(table));
    let legend: Vec<String> = names.map(|label| format!("{{{{{label}}}}}")).collect();
    let title = if apart { format!("{}: {}", table.title(), column.title()) } else { column.title().to_owned() };
    let mut defaults = json!({ "unit": unit(column), "custom": { "fillOpacity": 10, "showPoints": "never" } });
    if is_share(column) {
        defaults["min"] = 0.into();
    }
    if let Some([careful, warning, critical]) = marks(table, column, thresholds) {
        // low is bad: the colors stand the other way round
        let steps = if careful <= critical {
            [("green", None), ("yellow", Some(careful)), ("orange", Some(warning)), ("red", Some(critical))]
        } else {
            [("red", None), ("orange", Some(critical)), ("yellow", Some(warning)), ("green", Some(careful))]
        };
        let steps: Vec<Value> = steps.map(|(color, value)| json!({ "color": color, "value": value })).into();
        defaults["thresholds"] = json!({ "mode": "absolute", "steps": steps });
        defaults["custom"]["thresholdsStyle"] = json!({ "mode": "dashed" });
    }
    json!({
        "type": "timeseries",
        "title": title,
        "description": column.help.split_whitespace().collect::<Vec<_>>().join(" "),
        "datasource": source(),
        "targets": [{
            "refId": "A",
            "datasource": source(),
            "expr": number(table, column, selector, "$__rate_interval", None),
            "legendFormat": legend.join(" "),
        }],
        "fieldConfig": { "defaults": defaults, "overrides": [] },
        "options": { "legend": { "displayMode": "list", "placement": "bottom" }, "tooltip": { "mode": "multi", "sort": "desc" } },
    })
}

fn marks(table: &Table, column: &Column, thresholds: &Thresholds) -> Option<[f64; 3]> {
    thresholds.marks(table, table.position(&column.name)?)
}

/// Grafana's word for what a column is measured in, as readers print it.
fn unit(column: &Column) -> &'static str {
    let rate = column.kind == Kind::Counter;
    match column.unit {
        _ if is_share(column) => "percentunit",
        Unit::Bytes if rate => "binBps",
        Unit::Bytes => "bytes",
        Unit::BytesPerSecond => "binBps",
        Unit::Seconds => "s",
        Unit::Packets if rate => "pps",
        Unit::Operations if rate => "iops",
        Unit::Hertz => "hertz",
        Unit::Celsius => "celsius",
        Unit::Volts => "volt",
        Unit::Amperes => "amp",
        Unit::Watts => "watt",
        Unit::Joules if rate => "watt",
        Unit::Joules => "joule",
        Unit::RevolutionsPerMinute => "rotrpm",
        _ if rate => "cps",
        _ => "short",
    }
}
