//! How is a sample written as CSV?
//!
//! RFC 4180: one header, CRLF line ends, quotes where a field needs them; a missing value is an empty field.

use std::borrow::Cow;
use std::io::{self, Write};

use super::{Selection, json::unix};
use crate::model::{Cell, IpText};

pub(super) fn write(out: &mut dyn Write, what: &Selection<'_>, header: bool) -> io::Result<()> {
    if header {
        line(out, what.named().map(|(_, column)| Cow::Borrowed(&*column.name)))?;
    }
    for &row in what.rows {
        line(out, what.named().map(|(i, _)| field(&(what.cell)(row, i)).into_owned().into()))?;
    }
    Ok(())
}

fn field<'a>(cell: &'a Cell<'_>) -> Cow<'a, str> {
    match cell {
        Cell::Missing => Cow::Borrowed(""),
        Cell::U64(v) => v.to_string().into(),
        Cell::I64(v) => v.to_string().into(),
        Cell::F64(v) | Cell::Duration(v) if v.is_finite() => v.to_string().into(),
        Cell::F64(_) | Cell::Duration(_) => Cow::Borrowed(""),
        Cell::Bool(v) => v.to_string().into(),
        Cell::Text(v) | Cell::Label(v) => Cow::Borrowed(v),
        Cell::Ip(v) => IpText(*v).to_string().into(),
        Cell::Mac(v) => v.to_string().into(),
        Cell::Timestamp(v) => unix(*v).into(),
    }
}

fn line<'a>(out: &mut dyn Write, fields: impl Iterator<Item = Cow<'a, str>>) -> io::Result<()> {
    for (n, field) in fields.enumerate() {
        if n > 0 {
            out.write_all(b",")?;
        }
        if field.contains([',', '"', '\r', '\n']) || field.starts_with(' ') || field.ends_with(' ') {
            write!(out, "\"{}\"", field.replace('"', "\"\""))?;
        } else {
            out.write_all(field.as_bytes())?;
        }
    }
    out.write_all(b"\r\n")
}

#[cfg(test)]
mod tests {
    use crate::export::{Format, fixture::written};

    /// Reads RFC 4180 back, written apart from the code under test.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut lines, mut fields, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
        let mut chars = text.chars().peekable();
        while let Some(ch) = chars.next() {
            match ch {
                '"' if quoted && chars.peek() == Some(&'"') => field.push(chars.next().unwrap()),
                '"' => quoted = !quoted,
                ',' if !quoted => fields.push(std::mem::take(&mut field)),
                '\r' if !quoted => {
                    assert_eq!(chars.next(), Some('\n'));
                    fields.push(std::mem::take(&mut field));
                    lines.push(std::mem::take(&mut fields));
                }
                _ => field.push(ch),
            }
        }
        lines
    }

    #[test]
    fn a_field_with_a_comma_or_a_quote_is_quoted() {
        let text = written(Format::Csv, &["a,\"b\"", "c"]);
        assert_eq!(
            text,
            "index,name,rx_bytes,busy,load,carrier,address,mac,since,limit\r\n\
             1,\"a,\"\"b\"\"\",18446744073709551615,0.1,,up,10.0.0.0,02:00:00:00:00:01,1700000000.25,1.5\r\n\
             2,c,,1.1,,down,10.0.0.1,,,1.5\r\n"
        );
    }

    proptest::proptest! {
        #[test]
        fn any_name_reads_back_the_same(name in "[,\" a\\PC\n\r]*") {
            let lines = read(&written(Format::Csv, &[&name, "second"]));
            assert_eq!(lines.len(), 3);
            assert!(lines.iter().all(|line| line.len() == 10));
            assert_eq!(lines[1][1], crate::model::Text::from(name.as_str()).as_str());
        }
    }
}
