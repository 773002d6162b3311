use super::*;
use crate::model::{Cell, Row, Rows, Text, Timestamp, Value};
use crate::store::made::{SampleRow, row};
use proptest::prelude::*;

/// A single row whose counters print as 0.5 cores and 1000 bytes per second.
struct One(SampleRow);

impl Scope for One {
    fn cell(&self, column: usize) -> Cell<'_> {
        match &*SampleRow::TABLE.columns[column].name {
            "cpu_time" => Cell::F64(0.5),
            "rx_bytes" => Cell::F64(1000.0),
            "half" => Cell::F64(512.0),
            _ => self.0.cell(column),
        }
    }
    fn rate(&self, column: usize) -> Option<f64> {
        self.cell(column).number()
    }
    fn raw(&self, column: usize) -> Cell<'_> {
        self.0.cell(column)
    }
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1000.0)
    }
}

fn one() -> One {
    One(row())
}

fn answer(text: &str) -> Option<bool> {
    Expr::parse(text, SampleRow::TABLE)
        .unwrap_or_else(|error| panic!("{text}\n{error}\n{}", error.caret()))
        .matches(&one())
}

#[test]
fn the_values_that_a_match_can_have_are_known_where_they_are_named() {
    let values = |text: &str, column: &str| {
        let column = SampleRow::TABLE.position(column).unwrap();
        Expr::parse(text, SampleRow::TABLE).unwrap().values(column)
    };
    let numbers = |list: &[u64]| Some(list.iter().copied().map(Value::U64).collect::<Vec<_>>());
    for (text, want) in [
        ("pid == 12", numbers(&[12])),
        ("12 == pid and rss > 2", numbers(&[12])),
        ("name =~ \"a or b and pid == 3\" and (pid==12)", numbers(&[12])),
        ("pid == 1 or pid in (2, 3) and up == true", numbers(&[1, 2, 3])),
        ("pid == -1", Some(vec![Value::I64(-1)])),
        ("pid == 1.5", Some(vec![Value::F64(1.5)])),
        ("pid > 12", None),
        ("pid == 1 or rss == 2", None),
        ("not pid == 1", None),
        ("pid + 1 == 2", None),
        ("rss == 3", None),
    ] {
        assert_eq!(values(text, "pid"), want, "{text}");
    }
    assert_eq!(values("name in ('a', 'b')", "name").map(|list| list.len()), Some(2));
    assert_eq!(values("address in (10.0.0.0/8, 10.0.0.1)", "address"), None);
    assert_eq!(values("address == 10.0.0.1", "address"), Some(vec![Value::Ip([10, 0, 0, 1].into())]));
}

#[test]
fn every_name_can_be_said() {
    for name in ["", "a\\", "\\", "\\\\", "\"", "\\\"", "'\"\\' or up", "a\" or \"b", r"\d+", r"\x{22}", "é \u{2028}"]
    {
        let name = Text::from(name);
        let mut named = row();
        named.name = name.clone();
        let text = format!("name == {}", quoted(&name));
        assert_eq!(Expr::parse(&text, SampleRow::TABLE).unwrap().matches(&One(named)), Some(true), "{text}");
    }
}

#[test]
fn conditions_are_answered() {
    for (text, want) in [
        ("share >= 50%", Some(true)),
        ("share > 0.5", Some(false)),
        ("50% <= share", Some(true)),
        ("name =~ 'qemu'", Some(true)),
        ("name =~ \"^kvm\"", Some(false)),
        ("name !~ 'QEMU'", Some(true)),
        ("name == \"qemu-kvm\" and not up == false", Some(true)),
        ("name in ('a', 'qemu-kvm')", Some(true)),
        ("name not in ('a', 'b')", Some(true)),
        ("phase == time-wait", Some(true)),
        ("phase in (running, \"gone\")", Some(false)),
        ("phase != running", Some(true)),
        ("phase =~ 'wait$'", Some(true)),
        ("address in (192.168.0.0/16, 10.0.0.0/8)", Some(true)),
        ("address in 10.1.2.0/24", Some(true)),
        ("address in (fe80::/10)", Some(false)),
        ("address == 10.1.2.3", Some(true)),
        ("address != \"10.1.2.3\"", Some(false)),
        ("mac == 52:54:00:00:00:01", Some(true)),
        ("up", Some(true)),
        ("not up", Some(false)),
        ("up != true", Some(false)),
        ("since < 5m", Some(true)),
        ("since > 1m", Some(false)),
        ("5m > since", Some(true)),
        ("since > -10s", Some(true)),
        ("since < -10s", Some(false)),
        ("pid == 0xffffffffffffffff", Some(true)),
        ("pid in (0x1, 0xFFFFFFFFFFFFFFFE)", Some(false)),
        ("delay < 25ms", Some(true)),
        ("cpu_time >= 50%", Some(true)),
        ("total(cpu_time) == 2h", Some(true)),
        ("rate(cpu_time) < 60%", Some(true)),
        ("rx_bytes == 8kbit/s", Some(true)),
        ("total(rx_bytes) / 5 == 1M", Some(true)),
        ("pid == 18446744073709551615", Some(true)),
        ("pid == 18446744073709551614", Some(false)),
        ("pid - 1 == 18446744073709551614", Some(true)),
        ("pid in (1, 18446744073709551615)", Some(true)),
        ("-share < 0 and 1 + 2 * 3 == 7 and (1 + 2) * 3 == 9", Some(true)),
        ("half == 0.5Ki", Some(true)),
        ("not (up)", Some(false)),
        ("((share)) > (10%) and (pid) in (1, (2), (18446744073709551615))", Some(true)),
        ("(phase) == (time-wait)", Some(true)),
        ("(phase != (running))", Some(true)),
        ("(address) == (10.1.2.3) and (name) == ('qemu-kvm')", Some(true)),
        ("(since) < (5m)", Some(true)),
    ] {
        assert_eq!(answer(text), want, "{text}");
    }
}

#[test]
fn what_is_missing_is_neither_true_nor_false() {
    for (text, want) in [
        ("rss > 1", None),
        ("not rss > 1", None),
        ("rss > 1 or up", Some(true)),
        ("rss > 1 and up", None),
        ("rss > 1 and not up", Some(false)),
        ("rss > 1 or not up", None),
        ("missing(rss)", Some(true)),
        ("not missing(name)", Some(true)),
        ("1 / 0 > 5", None),
        ("rss in (1, 2)", None),
    ] {
        assert_eq!(answer(text), want, "{text}");
    }
}

#[test]
fn mistakes_are_pointed_at() {
    for (text, at, len, message, hint) in [
        ("rsss > 5", 0, 4, "no column `rsss`", "did you mean `rss`?"),
        ("up and zebra > 5", 7, 5, "no column `zebra`", ""),
        ("rss = 5", 4, 1, "`=` is not an operator", "`==` compares"),
        ("up && up", 3, 2, "`&&`", "write `and`"),
        ("rss > 5s", 6, 2, "`5s` is a duration, but `rss` is an amount of data", ""),
        ("rss > 5m", 6, 2, "duration", "mega is `5M`"),
        ("5s < rss", 0, 2, "duration", ""),
        ("delay > 5GiB", 8, 4, "amount of data", ""),
        ("share > 5GiB", 8, 4, "amount of data", ""),
        ("rss > 5Qi", 6, 3, "unknown unit `Qi`", ""),
        ("rss > 0xg", 6, 3, "`0xg` is not a number", ""),
        ("rss > 1e999", 6, 5, "`1e999` has an exponent, which is not read; write its digits", ""),
        ("rss > 1E3", 6, 3, "`1E3` has an exponent", ""),
        ("rss > 1.2.3", 6, 5, "", ""),
        ("since < 5", 8, 1, "no unit", "write 5s, 5m"),
        ("since + 5 > 1", 0, 5, "instant", "age"),
        ("name == qemu", 8, 4, "`qemu` is not text", "in quotes: \"qemu\""),
        ("name == 5", 8, 1, "is not text", "quotes"),
        ("name =~ '(' ", 8, 3, "bad pattern: unclosed group", ""),
        ("name =~ '(((a{100}){100}){100}){100}'", 8, 29, "", ""),
        ("name =~ qemu", 8, 4, "pattern", "quotes"),
        ("phase == runing", 9, 6, "never `runing`", "did you mean `running`?"),
        ("phase == \"zzz\"", 9, 5, "never `zzz`", "running, time-wait, gone"),
        ("phase > running", 6, 1, "no order", ""),
        ("address == 10.0.0.0/8", 11, 10, "network", "in 10.0.0.0/8"),
        ("address in (10.0.0.0/99)", 12, 11, "0 to 32 bits", ""),
        ("address == 5", 11, 1, "not an address", ""),
        ("mac == 'x'", 7, 3, "Ethernet", ""),
        ("up == 5", 6, 1, "true or false", ""),
        ("rss", 0, 3, "neither true nor false", "compare"),
        ("rss > ", 5, 0, "is missing at the end", ""),
        ("(rss > 5", 8, 0, "`)` is missing at the end", ""),
        ("rss > 5)", 7, 1, "expected before `)`", ""),
        ("1 < rss < 5", 8, 1, "do not chain", "and"),
        ("rate(rss) > 5", 5, 3, "takes a counter", ""),
        ("rate(1) > 5", 5, 1, "name of a column", ""),
        ("mising(rss)", 0, 6, "no function", "did you mean `missing`?"),
        ("name == 'a", 8, 2, "never closed", ""),
        ("größe > 5", 0, 7, "no column", ""),
        ("name == 'ü' § up", 13, 2, "means nothing", ""),
        ("", 0, 0, "missing at the end", ""),
        ("rss > \"5\"", 6, 3, "", ""),
        ("not (upp)", 5, 3, "no column `upp`", "did you mean `up`?"),
        ("name > share", 7, 5, "", ""),
    ] {
        let error = Expr::parse(text, SampleRow::TABLE).expect_err(text);
        let shown = format!("{error}");
        assert_eq!((error.at, error.len), (at, len), "{text}: {shown}");
        assert!(shown.contains(message), "{text}: {shown}");
        assert!(hint.is_empty() || error.hint.as_deref().unwrap_or_default().contains(hint), "{text}: {shown}");
    }
}

#[test]
fn who_writes_a_heading_is_told_the_name_of_the_column() {
    let flows = crate::collect::conntrack_flow::ConntrackFlowRow::TABLE;
    let error = Expr::parse("dport == 443", flows).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("did you mean `destination_port`?"));
}

#[test]
fn the_caret_stands_under_the_mistake() {
    let error = Expr::parse("name == '日本' and rsss > 5", SampleRow::TABLE).unwrap_err();
    assert_eq!(error.column(), 18);
    assert_eq!(error.to_string(), "column 18: table `sample` has no column `rsss` (did you mean `rss`?)");
    assert_eq!(error.caret(), "name == '日本' and rsss > 5\n                   ^^^^");
}

#[test]
fn nesting_and_length_are_bounded() {
    for text in ["(".repeat(4000), "not ".repeat(1000), "-".repeat(1000), "1+".repeat(400) + "1", "a".repeat(10_000)] {
        assert!(Expr::parse(&text, SampleRow::TABLE).is_err());
    }
    assert!(Expr::parse(&vec!["name =~ 'a'"; 17].join(" or "), SampleRow::TABLE).is_err());
    assert_eq!(answer(&vec!["name =~ 'qemu'"; 16].join(" and ")), Some(true));
    let long = vec!["up"; 400].join(" and ");
    assert_eq!(answer(&long), Some(true));
    assert_eq!(answer(&format!("{}1 == 61", "1+".repeat(60))), Some(true));
}

#[test]
fn numbers_are_computed() {
    for (text, want) in [("share * 4", Some(2.0)), ("rss + 1", None), ("share / 0", None), ("2Ki", Some(2048.0))] {
        assert_eq!(Expr::numeric(text, SampleRow::TABLE).unwrap().value(&one()), want, "{text}");
    }
    assert!(Expr::numeric("share > 4", SampleRow::TABLE).is_err());
    assert!(Expr::numeric("name", SampleRow::TABLE).is_err());
}

#[test]
fn named_columns_are_known_to_the_reader() {
    let expr = Expr::parse("rss > 5 and (up or name == 'rss') and rss < 9", SampleRow::TABLE).unwrap();
    let names: Vec<_> = expr.columns().iter().map(|column| &*SampleRow::TABLE.columns[*column].name).collect();
    assert_eq!(names, ["name", "up", "rss"]);
}

#[test]
fn a_prompt_takes_plain_text_and_expressions() {
    let keeps = |text: &str| Filter::parse_prompt(text, SampleRow::TABLE).unwrap().keeps(&one());
    for text in
        ["", "QEMU", "emu-k", "time-w", "10.1.", "52:54", "184467", "up and not up or up", "share > 10%", " kvm "]
    {
        assert!(keeps(text), "{text}");
    }
    for text in ["nginx", "share > 60%", "not up", "black and white", "missing(name)"] {
        assert!(!keeps(text), "{text}");
    }
    assert!(Filter::parse_prompt("rss = 5", SampleRow::TABLE).is_err());
    assert!(Filter::parse_prompt("name =~ '(", SampleRow::TABLE).is_err());
}

proptest! {
    #[test]
    fn what_is_quoted_is_one_text(name in any::<String>()) {
        let column = SampleRow::TABLE.position("name").unwrap();
        let parsed = Expr::parse(&format!("name in ({0}, {0})", quoted(&name)), SampleRow::TABLE).unwrap();
        let said = parsed.values(column).unwrap();
        prop_assert!(said.iter().all(|value| *value == Value::Text(name.as_str().into())), "{said:?}");
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
        let _ = Expr::parse(&text, SampleRow::TABLE).map_err(|error| (error.to_string(), error.caret()));
        let _ = Filter::parse_prompt(&text, SampleRow::TABLE).map(|filter| filter.keeps(&one()));
    }

    #[test]
    fn no_mix_of_words_makes_it_panic(words in prop::collection::vec(prop::sample::select(vec![
        "rss", "name", "phase", "since", "up", "address", "mac", "half", "cpu_time", "rate", "missing", "(", ")", ",", "==",
        "<", "=~", "in", "not", "and", "or", "+", "-", "/", "5", "5m", "50%", "10.0.0.0/8", "'é'", "running", "=", "true",
    ]), 0..12)) {
        let text = words.join(" ");
        match Expr::parse(&text, SampleRow::TABLE) {
            Ok(expr) => { let _ = expr.matches(&one()); }
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.at) && text.is_char_boundary(error.at + error.len));
                prop_assert!(!error.message.is_empty());
            }
        }
    }

    #[test]
    fn whole_numbers_compare_exactly(a in any::<u64>(), b in any::<u64>()) {
        let mut one = one();
        one.0.pid = a;
        let less = Expr::parse(&format!("pid < {b}"), SampleRow::TABLE).unwrap();
        prop_assert_eq!(less.matches(&one), Some(a < b));
    }
}

#[test]
fn rows_are_read_through_the_table_alone() {
    let rows: Vec<SampleRow> = vec![one().0];
    assert_eq!(Rows::cell(&rows, 0, 0), Cell::U64(u64::MAX));
}

#[test]
fn a_long_word_is_not_said_back_whole() {
    let word = "é".repeat(2000);
    for text in [word.clone(), format!("rss > 5{word}"), format!("rss > {word}"), format!("name == {word}")] {
        let error = Expr::parse(&text, SampleRow::TABLE).unwrap_err();
        assert!(error.to_string().len() < 800 && error.message.contains("éé..."), "{error}");
        assert!(error.hint.as_ref().is_none_or(|hint| hint.len() <= 400), "{error}");
    }
}

#[test]
fn of_a_long_expression_only_what_is_around_the_mistake_is_shown() {
    for text in ["(".repeat(10_000), format!("{} or rsss > 5", vec!["rss > 5"; 50].join(" or ")), "é".repeat(4000)] {
        let shown = Expr::parse(&text, SampleRow::TABLE).unwrap_err().caret();
        let (line, marks) = shown.split_once('\n').unwrap();
        assert!(line.len() < 220 && marks.len() <= 220, "{shown}");
        assert!(line.starts_with("...") || line.ends_with("..."), "{shown}");
    }
    let shown = Expr::parse(&format!("{} rsss > 5", "rss > 5 or ".repeat(50)), SampleRow::TABLE).unwrap_err().caret();
    let (line, marks) = shown.split_once('\n').unwrap();
    assert_eq!(&line[marks.find('^').unwrap()..marks.len()], "rsss");
}
