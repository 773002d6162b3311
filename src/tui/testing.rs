//! What host, and which hands, do the tests of the dashboard have?

use std::sync::{Arc, Mutex};

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers, MouseEvent, MouseEventKind};

use super::app::{App, Config};
use super::theme::{Ability, Depth};
use super::{input, screen};
use crate::collect::disk::DiskRow;
use crate::collect::link::LinkRow;
use crate::collect::load::LoadRow;
use crate::collect::memory::MemoryRow;
use crate::collect::mount::MountRow;
use crate::collect::process::ProcessRow;
use crate::collect::process_detail::{ProcessEnvironmentRow, ProcessFileRow};
pub(super) use crate::model::testing::Made;
use crate::model::testing::sampled;
use crate::model::{
    Action, ActionError, Connection, Demand, Done, HistoryAsk, Host, Kind, Mono, Sample, Series, Shape, Snapshot,
    State, Status, Table, TableState, Text, Timestamp, Type, Value,
};

/// A host whose samples a test gives, and that writes down what is done to it.
#[derive(Default)]
pub(super) struct Fake {
    pub(super) snapshot: Mutex<Arc<Snapshot>>,
    pub(super) acts: Mutex<Vec<Action>>,
    pub(super) wants: Mutex<Vec<Demand>>,
    pub(super) reach: Mutex<Connection>,
    /// Seconds that its clock is ahead.
    pub(super) ahead: Mutex<i64>,
    /// Columns of which it knows nothing.
    pub(super) lacking: Mutex<Vec<(&'static str, usize)>>,
    pub(super) refuses: Mutex<Option<Text>>,
    /// What of several has ended when it is to be deleted.
    pub(super) gone: Mutex<usize>,
    /// What an action waits for.
    pub(super) slow: Mutex<Option<std::sync::mpsc::Receiver<()>>>,
    /// Tables instead of the usual ones.
    pub(super) tables: Mutex<Option<&'static [&'static Table]>>,
}

impl Host for Fake {
    fn schema(&self) -> &'static [&'static Table] {
        static TABLES: &[&Table] = &[
            DiskRow::TABLE,
            LinkRow::TABLE,
            LoadRow::TABLE,
            MemoryRow::TABLE,
            MountRow::TABLE,
            ProcessRow::TABLE,
            ProcessFileRow::TABLE,
            ProcessEnvironmentRow::TABLE,
        ];
        self.tables.lock().unwrap().unwrap_or(TABLES)
    }
    fn connection(&self) -> Connection {
        self.reach.lock().unwrap().clone()
    }
    fn skew(&self) -> i64 {
        *self.ahead.lock().unwrap() * 1_000_000_000
    }
    fn lacks(&self, table: &str, column: usize) -> bool {
        self.lacking.lock().unwrap().contains(&(table, column))
    }
    fn refusal(&self) -> Option<Text> {
        self.refuses.lock().unwrap().clone()
    }
    fn demand(&self, _: u64, wants: Vec<Demand>) {
        *self.wants.lock().unwrap() = wants;
    }
    fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.lock().unwrap())
    }
    fn history(&self, ask: &HistoryAsk) -> Option<Series> {
        Some(sampled(0, (0..60).map(f64::from), ask))
    }
    fn act(&self, action: &Action) -> Result<Done, ActionError> {
        if let Some(slow) = self.slow.lock().unwrap().take() {
            let _ = slow.recv();
        }
        self.acts.lock().unwrap().push(action.clone());
        Ok(Done { gone: *self.gone.lock().unwrap() })
    }
}

impl Fake {
    /// Publishes rows of a table as taken at a second.
    pub(super) fn publish(&self, rows: Made, second: u64) {
        let mut latest = self.snapshot.lock().unwrap();
        let mut snapshot = Snapshot::clone(&latest);
        let table = rows.table;
        let time = Timestamp::from_seconds(1.8e9 + second as f64);
        let sample = Sample { rows: Arc::new(rows), time, mono: Mono(second * 1_000_000_000) };
        let before = snapshot.tables.remove(&*table.name).and_then(|state| state.now);
        let state = TableState { table, now: Some(sample), before, status: Status::ok() };
        snapshot.tables.insert(&table.name, state);
        snapshot.generation += 1;
        *latest = Arc::new(snapshot);
    }
}

impl Fake {
    /// Says that the source of a table gives nothing; what it gave before is `age` seconds old.
    pub(super) fn fail(&self, table: &'static Table, state: State, reason: &str, age: f64) {
        let mut latest = self.snapshot.lock().unwrap();
        let mut snapshot = Snapshot::clone(&latest);
        let mut known = snapshot.tables.remove(&*table.name).unwrap_or(TableState {
            table,
            now: None,
            before: None,
            status: Status::ok(),
        });
        known.status = Status { state, reason: Text::from(reason), hint: Text::default() };
        if let Some(now) = &mut known.now {
            now.time = Timestamp(Timestamp::now().0 - (age * 1e9) as i64);
        }
        snapshot.tables.insert(&table.name, known);
        snapshot.generation += 1;
        *latest = Arc::new(snapshot);
    }
}

impl Made {
    /// Rows that differ in every Id, with values that fit each column; text is the name with the row's number.
    pub(super) fn new(table: &'static Table, count: usize, name: &str) -> Self {
        let count = if table.attrs.shape == Shape::Single { 1 } else { count };
        let cell = |row: usize, column: &crate::model::Column| match (column.ty, column.kind) {
            (_, Kind::Derived) => Value::Missing,
            (Type::U64, Kind::Id) => Value::U64(row as u64 + 1000),
            (Type::U64, _) => Value::U64(row as u64 + 1),
            (Type::I64, _) => Value::I64(row as i64),
            (Type::F64, _) => Value::F64(row as f64),
            (Type::Text, _) => Value::Text(Text::from(format!("{name}{row}"))),
            (Type::Timestamp, _) => Value::Timestamp(Timestamp::from_seconds(1.7e9)),
            (Type::Label, _) => column.labels.first().map_or(Value::Missing, |l| Value::Label(Text::from(l.name))),
            _ => Value::Missing,
        };
        let cells = (0..count).map(|row| table.columns.iter().map(|column| cell(row, column)).collect()).collect();
        Self { table, cells }
    }

    /// The same with another value in one cell.
    pub(super) fn with(mut self, row: usize, column: usize, value: Value) -> Self {
        self.cells[row][column] = value;
        self
    }
}

/// A dashboard on a host that has not been sampled.
pub(super) fn app(config: Config) -> (Arc<Fake>, App) {
    let host = Arc::new(Fake::default());
    let ability = Ability { depth: Depth::True, ascii: false };
    let mut app = App::new(Arc::clone(&host) as Arc<dyn Host>, config, ability).unwrap();
    app.size = (100, 30);
    (host, app)
}

/// The screen as lines.
pub(super) fn screen(app: &mut App) -> String {
    app.ask();
    let buffer = screen::draw(app);
    let width = usize::from(buffer.area.width).max(1);
    let rows =
        buffer.content.chunks(width).map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>());
    rows.map(|row| row.trim_end().to_owned() + "\n").collect()
}

/// Presses keys named as in the configuration, drawing before each.
pub(super) fn press(app: &mut App, keys: &[&str]) {
    for key in keys {
        screen(app);
        let (code, modifiers) = match *key {
            "enter" => (KeyCode::Enter, KeyModifiers::NONE),
            "esc" => (KeyCode::Esc, KeyModifiers::NONE),
            "tab" => (KeyCode::Tab, KeyModifiers::NONE),
            "up" => (KeyCode::Up, KeyModifiers::NONE),
            "down" => (KeyCode::Down, KeyModifiers::NONE),
            "left" => (KeyCode::Left, KeyModifiers::NONE),
            "right" => (KeyCode::Right, KeyModifiers::NONE),
            "space" => (KeyCode::Char(' '), KeyModifiers::NONE),
            "home" => (KeyCode::Home, KeyModifiers::NONE),
            "end" => (KeyCode::End, KeyModifiers::NONE),
            "delete" => (KeyCode::Delete, KeyModifiers::NONE),
            "backspace" => (KeyCode::Backspace, KeyModifiers::NONE),
            "f5" => (KeyCode::F(5), KeyModifiers::NONE),
            one => (KeyCode::Char(one.chars().next().unwrap()), KeyModifiers::NONE),
        };
        let _ = input::handle(app, Event::Key(KeyEvent::new(code, modifiers)));
    }
}

/// Does something with the mouse.
pub(super) fn mouse(app: &mut App, kind: MouseEventKind, column: u16, row: u16) {
    screen(app);
    let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
    let _ = input::handle(app, Event::Mouse(event));
}

/// Runs a command of the palette.
pub(super) fn command(app: &mut App, text: &str) -> input::Outcome {
    press(app, &[":"]);
    type_text(app, text);
    screen(app);
    input::handle(app, Event::Key(KeyCode::Enter.into()))
}

/// Types text.
pub(super) fn type_text(app: &mut App, text: &str) {
    for ch in text.chars() {
        let _ = input::handle(app, Event::Key(KeyEvent::new(KeyCode::Char(ch), KeyModifiers::NONE)));
    }
}
