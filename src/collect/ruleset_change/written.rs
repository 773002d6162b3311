//! How does a change become a line of the trail?
//!
//! As an object of JSON that has what its row has, without what is missing and without the number that begins anew with each
//! start. Times are those of RFC 3339.

use serde_json::{Map, Value};

use super::{RulesetChangeRow, log};
use crate::col;
use crate::model::{Cell, IpText, Rows, Text, Timestamp};
use crate::source::trail::Pen;

/// Writes rows down if there is a file for them.
pub(super) fn write(pen: &mut Pen, rows: &Vec<RulesetChangeRow>) {
    let Some(first) = rows.first().filter(|_| pen.is_on()) else { return };
    for row in 0..rows.len() {
        pen.write(&line(object(rows, row)), |missed| gap(&first.netns, missed));
    }
}

/// A line about those that could not be written.
fn gap(netns: &Text, missed: u64) -> String {
    line(object(&vec![log::lost(netns, &format!("{missed} could not be written"), None)], 0))
}

/// Writes down from which ruleset on changes are told. A step from the number that was told last is what nobody has watched.
pub(super) fn begin(pen: &mut Pen, netns: &Text, generation: Option<u32>) {
    if !pen.is_on() {
        return;
    }
    let mut begun = object(&vec![log::lost(netns, "", generation)], 0);
    begun.insert("action".to_owned(), Value::from("watched"));
    begun.remove("after");
    pen.write(&line(begun), |missed| gap(netns, missed));
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
