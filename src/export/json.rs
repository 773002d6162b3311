//! How is a sample written as JSON?
//!
//! One array of objects on one line: keys in schema order, integers exact, missing and non-finite numbers `null`.

use std::io::{self, Write};

use super::Selection;
use crate::model::{Cell, IpText, Timestamp};

pub(super) fn write(out: &mut dyn Write, what: &Selection<'_>) -> io::Result<()> {
    out.write_all(b"[")?;
    for (n, &row) in what.rows.iter().enumerate() {
        if n > 0 {
            out.write_all(b",")?;
        }
        object(out, what.named().map(|(i, column)| (&*column.name, (what.cell)(row, i))))?;
    }
    out.write_all(b"]\n")
}

/// Writes one object.
pub(super) fn object<'a>(out: &mut dyn Write, cells: impl Iterator<Item = (&'a str, Cell<'a>)>) -> io::Result<()> {
    out.write_all(b"{")?;
    for (n, (name, cell)) in cells.enumerate() {
        if n > 0 {
            out.write_all(b",")?;
        }
        string(out, name)?;
        out.write_all(b":")?;
        value(out, &cell)?;
    }
    out.write_all(b"}")
}

fn value(out: &mut dyn Write, cell: &Cell<'_>) -> io::Result<()> {
    match *cell {
        Cell::Missing => out.write_all(b"null"),
        Cell::U64(v) => write!(out, "{v}"),
        Cell::I64(v) => write!(out, "{v}"),
        // serde_json writes the shortest text that reads back the same, and null for what is not finite
        Cell::F64(v) | Cell::Duration(v) => serde_json::to_writer(out, &v).map_err(io::Error::from),
        Cell::Bool(v) => write!(out, "{v}"),
        Cell::Text(v) | Cell::Label(v) => string(out, v),
        Cell::Ip(v) => write!(out, "\"{}\"", IpText(v)),
        Cell::Mac(v) => write!(out, "\"{v}\""),
        Cell::Timestamp(v) => out.write_all(unix(v).as_bytes()),
    }
}

fn string(out: &mut dyn Write, text: &str) -> io::Result<()> {
    serde_json::to_writer(out, text).map_err(io::Error::from)
}

/// Unix seconds as exact decimals; a float would lose the nanoseconds.
pub(super) fn unix(time: Timestamp) -> String {
    let sign = if time.0 < 0 { "-" } else { "" };
    let nanos = time.0.unsigned_abs();
    let text = format!("{sign}{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{Format, fixture::written};

    #[test]
    fn a_sample_is_one_line_with_exact_values() {
        assert_eq!(
            written(Format::Json, &["a\"b", "c"]),
            concat!(
                r#"[{"index":1,"name":"a\"b","rx_bytes":18446744073709551615,"busy":0.1,"load":null,"carrier":"up","#,
                r#""address":"10.0.0.0","mac":"02:00:00:00:00:01","since":1700000000.25,"limit":1.5},"#,
                r#"{"index":2,"name":"c","rx_bytes":null,"busy":1.1,"load":null,"carrier":"down","#,
                r#""address":"10.0.0.1","mac":null,"since":null,"limit":1.5}]"#,
                "\n"
            )
        );
        assert_eq!(written(Format::Json, &[]), "[]\n");
    }

    #[test]
    fn timestamps_keep_their_nanoseconds() {
        for (nanos, want) in [
            (0, "0"),
            (1, "0.000000001"),
            (-1_500_000_000, "-1.5"),
            (10_000_000_000, "10"),
            (1_700_000_000_123_456_789, "1700000000.123456789"),
        ] {
            assert_eq!(unix(Timestamp(nanos)), want);
        }
    }

    proptest::proptest! {
        #[test]
        fn any_name_reads_back_the_same(name in ".*") {
            let text = crate::model::Text::from(name.as_str());
            let parsed: serde_json::Value = serde_json::from_str(&written(Format::Json, &[&name])).unwrap();
            assert_eq!(parsed[0]["name"].as_str(), Some(text.as_str()));
            assert_eq!(parsed[0]["rx_bytes"].as_u64(), Some(u64::MAX));
        }
    }
}
