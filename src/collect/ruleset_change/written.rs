//! How does a change become a line of the trail?
//!
//! As an object of JSON that has what its row has, without what is missing and without the number that begins anew with each
//! start. Times are those of RFC 3339.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Map, Value};

use super::RulesetChangeRow;
use super::log::{self, Log};
use crate::col;
use crate::model::{Cell, IpText, Rows, Text, Timestamp, lock};
use crate::source::netns;
use crate::source::trail::Pen;

/// How much later than another one that reads the same somebody may come to write a change.
const LAG: Duration = Duration::from_secs(10);

/// Writes rows of one generation down if there is a file for them. One that is new says first from which ruleset on; `begun`
/// is the one in which that is said. The `log` has those before.
pub(super) fn write(pen: &mut Pen, begun: &mut u64, log: &Mutex<Log>, rows: &Vec<RulesetChangeRow>) {
    let Some(first) = rows.first().filter(|_| pen.is_on()) else { return };
    let before = first.generation.and_then(|made| u32::try_from(made.checked_sub(1)?).ok());
    for row in 0..rows.len() {
        pen.reach(row == 0);
        inherit(pen, log);
        if first.part.is_some() {
            begin(pen, begun, &first.netns, before);
        }
        pen.write(&line(object(rows, row)), gap);
    }
}

/// Writes down what another netglance that wrote until now has heard and not written, because it was ended: all that is
/// newer than what its last lines say of a network namespace.
pub(super) fn inherit(pen: &mut Pen, log: &Mutex<Log>) {
    let Some(tail) = pen.inherited() else { return };
    let mut last = BTreeMap::new();
    for line in tail.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        let of = |name: &str| line.get(name)?.as_str();
        let time = of("time").and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let generation = line.get("generation").and_then(Value::as_u64);
        if let (Some(netns), Some(time), Some(generation)) = (of("netns"), time, generation) {
            last.insert(netns.to_owned(), (time.as_nanosecond(), generation));
        }
    }
    let is_new = |row: &&RulesetChangeRow| {
        // a namespace that was made anew counts anew
        let is_later = |time: i128| i128::from(row.time.0) + LAG.as_nanos().cast_signed() > time;
        last.get(row.netns.as_str()).is_some_and(|(time, made)| row.generation > Some(*made) && is_later(*time))
    };
    let rows: Vec<_> = lock(log).kept().filter(is_new).cloned().collect();
    for row in 0..rows.len() {
        pen.write(&line(object(&rows, row)), gap);
    }
}

/// Writes down how many changes could not be written, if there are any.
pub(super) fn mend(pen: &mut Pen) {
    pen.mend(gap);
}

/// A line about those that could not be written, of whatever network namespaces they are.
fn gap(missed: u64) -> String {
    let mut gap = object(&vec![log::lost(&netns::host(), &format!("{missed} could not be written"), None)], 0);
    gap.remove("netns");
    line(gap)
}

/// Writes down from which ruleset on changes are told, unless the file says so already. A step from the number that was told
/// last is what nobody has watched.
pub(super) fn begin(pen: &mut Pen, begun: &mut u64, netns: &Text, generation: Option<u32>) {
    let Some(number) = pen.begun().filter(|number| number != begun) else { return };
    let mut watched = object(&vec![log::lost(netns, "", generation)], 0);
    watched.insert("action".to_owned(), Value::from("watched"));
    watched.remove("after");
    if pen.mark(&line(watched), gap) {
        *begun = number;
    }
}

fn object(rows: &Vec<RulesetChangeRow>, row: usize) -> Map<String, Value> {
    let columns = rows.table().columns.iter().enumerate().filter(|(place, _)| *place != col!(RulesetChangeRow, seq));
    columns.filter_map(|(place, column)| Some((column.name.to_string(), value(rows.cell(row, place))?))).collect()
}

fn value(cell: Cell<'_>) -> Option<Value> {
    Some(match cell {
        Cell::Missing => return None,
        Cell::U64(number) => number.into(),
        Cell::I64(number) => number.into(),
        Cell::F64(number) | Cell::Duration(number) => number.into(),
        Cell::Bool(is) => is.into(),
        Cell::Text(text) | Cell::Label(text) => text.into(),
        Cell::Ip(address) => IpText(address).to_string().into(),
        Cell::Mac(address) => address.to_string().into(),
        Cell::Timestamp(Timestamp(nanoseconds)) => {
            jiff::Timestamp::from_nanosecond(nanoseconds.into()).ok()?.to_string().into()
        }
    })
}

fn line(object: Map<String, Value>) -> String {
    format!("{}\n", Value::from(object))
}
