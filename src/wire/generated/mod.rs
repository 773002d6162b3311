/// Asks for the schema.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct DescribeRequest {
    /// Hash of a schema that the client has already; the same one is not sent again.
    #[prost(bytes = "vec", tag = "1")]
    pub known: ::prost::alloc::vec::Vec<u8>,
}
/// Who the agent is and what it can show.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct DescribeReply {
    /// Hash of the schema.
    #[prost(bytes = "vec", tag = "1")]
    pub hash: ::prost::alloc::vec::Vec<u8>,
    /// The schema, unless the client knows it.
    #[prost(message, optional, tag = "2")]
    pub schema: ::core::option::Option<Schema>,
    /// Version of the agent.
    #[prost(string, tag = "3")]
    pub version: ::prost::alloc::string::String,
    /// Name of the host.
    #[prost(string, tag = "4")]
    pub host: ::prost::alloc::string::String,
    /// Identity of the host that survives a new name.
    #[prost(string, tag = "5")]
    pub machine: ::prost::alloc::string::String,
    /// When the agent started, in nanoseconds since the Unix epoch.
    #[prost(int64, tag = "6")]
    pub started: i64,
    /// What the client may do: view or operate.
    #[prost(string, tag = "7")]
    pub role: ::prost::alloc::string::String,
    /// Wall clock of the host, in nanoseconds since the Unix epoch.
    #[prost(int64, tag = "8")]
    pub time: i64,
    /// Monotonic clock of the host, in nanoseconds.
    #[prost(uint64, tag = "9")]
    pub mono: u64,
}
/// Every table of a host.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Schema {
    /// In the order of the agent; frames name tables by their place in it.
    #[prost(message, repeated, tag = "1")]
    pub tables: ::prost::alloc::vec::Vec<Table>,
}
/// One table's description.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Table {
    /// Stable name.
    #[prost(string, tag = "1")]
    pub name: ::prost::alloc::string::String,
    /// Heading for people, empty for the name.
    #[prost(string, tag = "2")]
    pub title: ::prost::alloc::string::String,
    /// What one row is.
    #[prost(string, tag = "3")]
    pub help: ::prost::alloc::string::String,
    /// Collector that fills it.
    #[prost(string, tag = "4")]
    pub collector: ::prost::alloc::string::String,
    /// How rows relate to time.
    #[prost(string, tag = "5")]
    pub shape: ::prost::alloc::string::String,
    /// What of its past is kept.
    #[prost(string, tag = "6")]
    pub history: ::prost::alloc::string::String,
    /// Whether it is collected only while somebody wants it.
    #[prost(bool, tag = "7")]
    pub demand: bool,
    /// The columns.
    #[prost(message, repeated, tag = "8")]
    pub columns: ::prost::alloc::vec::Vec<Column>,
}
/// One column's description.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Column {
    /// Stable name.
    #[prost(string, tag = "1")]
    pub name: ::prost::alloc::string::String,
    /// Heading for people, empty for the name.
    #[prost(string, tag = "2")]
    pub title: ::prost::alloc::string::String,
    /// What one cell says.
    #[prost(string, tag = "3")]
    pub help: ::prost::alloc::string::String,
    /// What may be done with it.
    #[prost(string, tag = "4")]
    pub kind: ::prost::alloc::string::String,
    /// Base unit.
    #[prost(string, tag = "5")]
    pub unit: ::prost::alloc::string::String,
    /// Type of its cells.
    #[prost(string, tag = "6")]
    pub r#type: ::prost::alloc::string::String,
    /// Whether cells may be missing.
    #[prost(bool, tag = "7")]
    pub optional: bool,
    /// The closed list of a label column.
    #[prost(message, repeated, tag = "8")]
    pub labels: ::prost::alloc::vec::Vec<Label>,
    /// Expression of a derived column.
    #[prost(string, tag = "9")]
    pub expr: ::prost::alloc::string::String,
    /// Names of attributes that are set.
    #[prost(string, repeated, tag = "10")]
    pub attributes: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
}
/// One word of a closed list.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Label {
    /// The word.
    #[prost(string, tag = "1")]
    pub name: ::prost::alloc::string::String,
    /// How bad it is.
    #[prost(string, tag = "2")]
    pub level: ::prost::alloc::string::String,
}
/// What a reader wants to be collected.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Demand {
    /// Name of the table.
    #[prost(string, tag = "1")]
    pub table: ::prost::alloc::string::String,
    /// On-demand columns.
    #[prost(string, repeated, tag = "2")]
    pub columns: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// Values of required Ids.
    #[prost(message, repeated, tag = "3")]
    pub ids: ::prost::alloc::vec::Vec<Value>,
    /// How often, in nanoseconds; 0 is as often as the host samples anyway.
    #[prost(uint64, tag = "4")]
    pub interval: u64,
    /// Rows that nobody keeps need not be collected; who does not know of it collects more.
    #[prost(message, repeated, tag = "5")]
    pub only: ::prost::alloc::vec::Vec<Only>,
    /// Names of columns by which rows are put in order, largest first with a leading `-`; `total(COLUMN)` is a counter's total.
    #[prost(string, repeated, tag = "6")]
    pub sort: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// How many rows in that order are enough; 0 is all.
    #[prost(uint32, tag = "7")]
    pub rows: u32,
}
/// Values of a column outside which no row is kept.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Only {
    /// Name of the column.
    #[prost(string, tag = "1")]
    pub column: ::prost::alloc::string::String,
    /// The values.
    #[prost(message, repeated, tag = "2")]
    pub values: ::prost::alloc::vec::Vec<Value>,
}
/// Which rows and columns of a table.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Selection {
    /// Name of the table.
    #[prost(string, tag = "1")]
    pub table: ::prost::alloc::string::String,
    /// Names of columns; none is all. Ids always come.
    #[prost(string, repeated, tag = "2")]
    pub columns: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// Filter in the language of `show --where`.
    #[prost(string, tag = "3")]
    pub r#where: ::prost::alloc::string::String,
    /// Names of columns to sort by, largest first with a leading `-`.
    #[prost(string, repeated, tag = "4")]
    pub sort: ::prost::alloc::vec::Vec<::prost::alloc::string::String>,
    /// Rows at most; 0 is all.
    #[prost(uint32, tag = "5")]
    pub limit: u32,
}
/// Asks for tables as they change.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct WatchRequest {
    /// Hash of the schema that the client has read; another one at the agent is an error.
    #[prost(bytes = "vec", tag = "1")]
    pub hash: ::prost::alloc::vec::Vec<u8>,
    /// The tables; none is all that are collected anyway.
    #[prost(message, repeated, tag = "2")]
    pub tables: ::prost::alloc::vec::Vec<Selection>,
    /// Time between two frames at least, in nanoseconds; 0 is as often as the host samples.
    #[prost(uint64, tag = "3")]
    pub interval: u64,
    /// What shall be collected while this stream lives.
    #[prost(message, repeated, tag = "4")]
    pub demands: ::prost::alloc::vec::Vec<Demand>,
    /// No tables at all: the stream only keeps the demands.
    #[prost(bool, tag = "5")]
    pub silent: bool,
}
/// The next piece of a stream.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct WatchReply {
    /// An encoded Frame: every reader of the same selection gets the same bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub frame: ::prost::bytes::Bytes,
}
/// What changed in several tables.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Frame {
    /// One for each table that changed.
    #[prost(message, repeated, tag = "1")]
    pub tables: ::prost::alloc::vec::Vec<TableFrame>,
}
/// What changed in one table.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct TableFrame {
    /// Place of the table in the schema.
    #[prost(uint32, tag = "1")]
    pub table: u32,
    /// Counts the frames of a table in a stream; a change builds on the one before.
    #[prost(uint64, tag = "2")]
    pub sequence: u64,
    /// State of the collector.
    #[prost(message, optional, tag = "3")]
    pub status: ::core::option::Option<Status>,
    /// Samples, oldest first: two in a first frame, so that rates are known, otherwise one.
    #[prost(message, repeated, tag = "4")]
    pub changes: ::prost::alloc::vec::Vec<Change>,
    /// Whether there is no sample any more.
    #[prost(bool, tag = "5")]
    pub empty: bool,
}
/// State of a table.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Status {
    /// The verdict.
    #[prost(string, tag = "1")]
    pub state: ::prost::alloc::string::String,
    /// Operation, object and cause.
    #[prost(string, tag = "2")]
    pub reason: ::prost::alloc::string::String,
    /// What a person can do.
    #[prost(string, tag = "3")]
    pub hint: ::prost::alloc::string::String,
}
/// How one sample follows from the one before.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Change {
    /// Whether it starts from no rows at all.
    #[prost(bool, tag = "1")]
    pub full: bool,
    /// Wall clock of the sample, in nanoseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    pub time: i64,
    /// Monotonic clock of the sample, in nanoseconds.
    #[prost(uint64, tag = "3")]
    pub mono: u64,
    /// Rows that are gone: each the distance from the one before, the first from 0.
    #[prost(uint32, repeated, tag = "4")]
    pub removed: ::prost::alloc::vec::Vec<u32>,
    /// Rows that are new; they stand behind those that stay.
    #[prost(uint32, tag = "5")]
    pub added: u32,
    /// What changed in the columns.
    #[prost(message, repeated, tag = "6")]
    pub columns: ::prost::alloc::vec::Vec<ColumnChange>,
}
/// What changed in one column. Cells that are not named stay; those of new rows are missing.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ColumnChange {
    /// Place of the column in its table.
    #[prost(uint32, tag = "1")]
    pub column: u32,
    /// Rows with a new value: each the distance from the one before, the first from 0. None is all rows.
    #[prost(uint32, repeated, tag = "2")]
    pub rows: ::prost::alloc::vec::Vec<u32>,
    /// Which of those have none now: places in that list, written the same way.
    #[prost(uint32, repeated, tag = "3")]
    pub missing: ::prost::alloc::vec::Vec<u32>,
    /// Integers, truth values and instants: the difference to the old value, or, where there was none, to the value before
    /// in this list. Floating point numbers too, times 10 to the power of `decimals`.
    #[prost(sint64, repeated, tag = "4")]
    pub integers: ::prost::alloc::vec::Vec<i64>,
    /// Decimal places of floating point numbers in `integers`.
    #[prost(uint32, tag = "5")]
    pub decimals: u32,
    /// Floating point numbers that no decimal fraction stands for.
    #[prost(double, repeated, tag = "6")]
    pub doubles: ::prost::alloc::vec::Vec<f64>,
    /// Different words in the order of their first use.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub words: ::prost::alloc::vec::Vec<::prost::alloc::vec::Vec<u8>>,
    /// For each value its place in `words`.
    #[prost(uint32, repeated, tag = "8")]
    pub picks: ::prost::alloc::vec::Vec<u32>,
}
/// One value.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Value {
    /// What it is; none is missing.
    #[prost(oneof = "value::Kind", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10")]
    pub kind: ::core::option::Option<value::Kind>,
}
/// Nested message and enum types in `Value`.
pub mod value {
    /// What it is; none is missing.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Kind {
        /// Unsigned integer.
        #[prost(uint64, tag = "1")]
        Unsigned(u64),
        /// Signed integer.
        #[prost(sint64, tag = "2")]
        Signed(i64),
        /// Floating point number.
        #[prost(double, tag = "3")]
        Real(f64),
        /// Yes or no.
        #[prost(bool, tag = "4")]
        Truth(bool),
        /// Text.
        #[prost(string, tag = "5")]
        Text(::prost::alloc::string::String),
        /// IPv4 or IPv6 address in network order.
        #[prost(bytes, tag = "6")]
        Address(::prost::alloc::vec::Vec<u8>),
        /// Ethernet address.
        #[prost(bytes, tag = "7")]
        Mac(::prost::alloc::vec::Vec<u8>),
        /// Word of a closed list.
        #[prost(string, tag = "8")]
        Label(::prost::alloc::string::String),
        /// Instant, in nanoseconds since the Unix epoch.
        #[prost(int64, tag = "9")]
        Timestamp(i64),
        /// Span in seconds.
        #[prost(double, tag = "10")]
        Duration(f64),
    }
}
/// Asks for rows once.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct QueryRequest {
    /// Which ones.
    #[prost(message, optional, tag = "1")]
    pub selection: ::core::option::Option<Selection>,
    /// Values of required Ids of an on-demand table, and on-demand columns.
    #[prost(message, optional, tag = "2")]
    pub demand: ::core::option::Option<Demand>,
}
/// Rows once.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct QueryReply {
    /// Both samples of the table, so that rates are known.
    #[prost(message, optional, tag = "1")]
    pub frame: ::core::option::Option<TableFrame>,
}
/// Asks for the past of one cell.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct HistoryRequest {
    /// Name of the table.
    #[prost(string, tag = "1")]
    pub table: ::prost::alloc::string::String,
    /// Name of the column.
    #[prost(string, tag = "2")]
    pub column: ::prost::alloc::string::String,
    /// Key of the row: for each Id a tag and the value, as `model::Key` writes it.
    #[prost(bytes = "vec", tag = "3")]
    pub key: ::prost::alloc::vec::Vec<u8>,
    /// Only points newer than this on the monotonic clock of the host, in nanoseconds.
    #[prost(uint64, tag = "4")]
    pub since: u64,
    /// Only points up to this, 0 for no bound.
    #[prost(uint64, tag = "5")]
    pub until: u64,
    /// Only so many of the newest points, as they are kept; 0 is all of them.
    #[prost(uint64, tag = "6")]
    pub newest: u64,
    /// One point for so many nanoseconds; 0 is as they are kept.
    #[prost(uint64, tag = "7")]
    pub step: u64,
}
/// The past of one cell.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct HistoryReply {
    /// Whether the agent keeps the past of it.
    #[prost(bool, tag = "1")]
    pub kept: bool,
    /// Where points end on the monotonic clock, in nanoseconds: the first as it is, each other as the distance from the one
    /// before.
    #[prost(uint64, repeated, tag = "2")]
    pub times: ::prost::alloc::vec::Vec<u64>,
    /// How long they are, in nanoseconds.
    #[prost(uint64, repeated, tag = "3")]
    pub spans: ::prost::alloc::vec::Vec<u64>,
    /// Mean of each as people read it; not a number is a gap.
    #[prost(double, repeated, tag = "4")]
    pub means: ::prost::alloc::vec::Vec<f64>,
    /// The least of each; none when every point is one sample.
    #[prost(double, repeated, tag = "5")]
    pub least: ::prost::alloc::vec::Vec<f64>,
    /// The most of each; none when every point is one sample.
    #[prost(double, repeated, tag = "6")]
    pub most: ::prost::alloc::vec::Vec<f64>,
    /// Where the oldest point begins that is kept; 0 is unknown.
    #[prost(uint64, tag = "7")]
    pub oldest: u64,
    /// From here on every sample is kept; 0 is unknown.
    #[prost(uint64, tag = "8")]
    pub fine: u64,
    /// What was before this the memory bound has pushed out; 0 is nothing.
    #[prost(uint64, tag = "9")]
    pub cut: u64,
    /// Values of the whole table that the memory bound has pushed out.
    #[prost(uint64, tag = "10")]
    pub evicted: u64,
}
/// Asks for what deserves attention, which is not over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct AlertsRequest {}
/// What deserves attention.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct AlertsReply {
    /// Worst first.
    #[prost(message, repeated, tag = "1")]
    pub alerts: ::prost::alloc::vec::Vec<Alert>,
}
/// What deserves attention by a rule: a row of the table `alert`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Alert {
    /// How bad it is: careful, warning or critical; in an event also ok, when it is over.
    #[prost(string, tag = "1")]
    pub level: ::prost::alloc::string::String,
    /// Name of the table that the rule is about.
    #[prost(string, tag = "2")]
    pub table: ::prost::alloc::string::String,
    /// Ids of the alert: rule and instance.
    #[prost(message, repeated, tag = "3")]
    pub row: ::prost::alloc::vec::Vec<Field>,
    /// The row or the group of rows that it is about, as people call it; empty where it is about all of the table.
    #[prost(message, optional, tag = "4")]
    pub name: ::core::option::Option<Value>,
    /// Empty since alerts are those of rules: the name of the column whose cell it was about.
    #[prost(string, tag = "5")]
    pub column: ::prost::alloc::string::String,
    /// The value that is compared, in the base unit of its column; none where nothing is compared, and when it is over.
    #[prost(message, optional, tag = "6")]
    pub value: ::core::option::Option<Value>,
    /// Every column of its row that says something, in the order of the table.
    #[prost(message, repeated, tag = "7")]
    pub columns: ::prost::alloc::vec::Vec<Field>,
}
/// What has happened to an alert: a row of the table `event`.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct AlertChange {
    /// Every column that says something, in the order of the table.
    #[prost(message, repeated, tag = "1")]
    pub columns: ::prost::alloc::vec::Vec<Field>,
}
/// A value with its column.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Field {
    /// Name of the column.
    #[prost(string, tag = "1")]
    pub name: ::prost::alloc::string::String,
    /// What it says.
    #[prost(message, optional, tag = "2")]
    pub value: ::core::option::Option<Value>,
}
/// Asks for what changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct EventsRequest {}
/// Something that has changed.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Event {
    /// One of a closed list.
    #[prost(oneof = "event::Event", tags = "1, 2, 3, 4, 5")]
    pub event: ::core::option::Option<event::Event>,
}
/// Nested message and enum types in `Event`.
pub mod event {
    /// One of a closed list.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Event {
        /// An alert fares otherwise: it has another severity or another state, or is over.
        #[prost(message, tag = "1")]
        Alert(super::Alert),
        /// The source of a table fares otherwise.
        #[prost(message, tag = "2")]
        State(super::SourceState),
        /// What came before is how it is now, what comes after are changes.
        #[prost(message, tag = "3")]
        Begin(super::Begin),
        /// So many events are lost, because the reader was too slow. What is now follows, as at the start and with another
        /// `begin`: what was told before and is not told again is over.
        #[prost(uint64, tag = "4")]
        Missed(u64),
        /// Something has happened to an alert.
        #[prost(message, tag = "5")]
        Change(super::AlertChange),
    }
}
/// How the source of a table fares.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct SourceState {
    /// Name of the table.
    #[prost(string, tag = "1")]
    pub table: ::prost::alloc::string::String,
    /// Collector that fills it.
    #[prost(string, tag = "2")]
    pub collector: ::prost::alloc::string::String,
    /// Its state.
    #[prost(message, optional, tag = "3")]
    pub status: ::core::option::Option<Status>,
}
/// Nothing more than that it begins.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Begin {}
/// Asks for an action.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ActRequest {
    /// Who asks, for the log: a front tells its sampler. What a client says of itself counts for nothing.
    #[prost(string, tag = "4")]
    pub asker: ::prost::alloc::string::String,
    /// One of a closed list.
    #[prost(oneof = "act_request::Action", tags = "1, 2, 3, 5, 6")]
    pub action: ::core::option::Option<act_request::Action>,
}
/// Nested message and enum types in `ActRequest`.
pub mod act_request {
    /// One of a closed list.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Action {
        /// Send a signal to a process.
        #[prost(message, tag = "1")]
        Signal(super::Signal),
        /// Change the nice value of a process.
        #[prost(message, tag = "2")]
        Renice(super::Renice),
        /// Let the kernel forget connections that it tracks.
        #[prost(message, tag = "3")]
        Forget(super::Forget),
        /// Show no more that somebody has gone.
        #[prost(message, tag = "5")]
        Acknowledge(super::Acknowledge),
        /// Say something of an alert.
        #[prost(message, tag = "6")]
        Mute(super::Mute),
    }
}
/// A signal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Signal {
    /// The process.
    #[prost(uint32, tag = "1")]
    pub pid: u32,
    /// Its start in clock ticks since boot.
    #[prost(uint64, tag = "2")]
    pub start: u64,
    /// Number of the signal.
    #[prost(sint32, tag = "3")]
    pub signal: i32,
}
/// Another nice value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Renice {
    /// The process.
    #[prost(uint32, tag = "1")]
    pub pid: u32,
    /// Its start in clock ticks since boot.
    #[prost(uint64, tag = "2")]
    pub start: u64,
    /// The new value.
    #[prost(sint32, tag = "3")]
    pub nice: i32,
}
/// Connections that are to be forgotten.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Forget {
    /// All of one network namespace.
    #[prost(message, repeated, tag = "1")]
    pub flows: ::prost::alloc::vec::Vec<Tracked>,
}
/// Somebody who was there and is gone, and that is known now.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Acknowledge {
    /// Table of the row that tells it.
    #[prost(string, tag = "1")]
    pub table: ::prost::alloc::string::String,
    /// Ids of the row, in the order of the table.
    #[prost(message, repeated, tag = "2")]
    pub ids: ::prost::alloc::vec::Vec<Value>,
    /// Since when, in nanoseconds since 1970.
    #[prost(sfixed64, tag = "3")]
    pub since: i64,
}
/// What a person says of an alert.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Mute {
    /// Its rule.
    #[prost(string, tag = "1")]
    pub rule: ::prost::alloc::string::String,
    /// Its instance; empty for all of the rule.
    #[prost(string, tag = "2")]
    pub instance: ::prost::alloc::string::String,
    /// Until when nobody is told, in nanoseconds since 1970; without it the alert is known.
    #[prost(sfixed64, optional, tag = "3")]
    pub until: ::core::option::Option<i64>,
    /// Why.
    #[prost(string, optional, tag = "4")]
    pub comment: ::core::option::Option<::prost::alloc::string::String>,
    /// What was said of it before is taken back.
    #[prost(bool, tag = "5")]
    pub lift: bool,
}
/// A tracked connection by all that tells it from others.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Tracked {
    /// Its network namespace.
    #[prost(string, tag = "1")]
    pub netns: ::prost::alloc::string::String,
    /// The kernel's number for it.
    #[prost(uint32, tag = "2")]
    pub id: u32,
    /// IPPROTO\_\*
    #[prost(uint32, tag = "3")]
    pub protocol: u32,
    /// Who sent the first packet: 4 or 16 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub source: ::prost::alloc::vec::Vec<u8>,
    /// Where it was sent to.
    #[prost(bytes = "vec", tag = "5")]
    pub destination: ::prost::alloc::vec::Vec<u8>,
    /// Port that it was sent from, or key of a tunnel.
    #[prost(uint32, optional, tag = "6")]
    pub source_port: ::core::option::Option<u32>,
    /// Port that it was sent to, or key of a tunnel.
    #[prost(uint32, optional, tag = "7")]
    pub destination_port: ::core::option::Option<u32>,
    /// Type, code and identifier of a question of ICMP, or none of the three.
    #[prost(uint32, repeated, tag = "8")]
    pub icmp: ::prost::alloc::vec::Vec<u32>,
    /// Zone of the first packet.
    #[prost(uint32, tag = "9")]
    pub zone: u32,
}
/// What became of an action.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct ActReply {
    /// Why it was not done; empty when it was.
    #[prost(string, tag = "1")]
    pub error: ::prost::alloc::string::String,
    /// Errno of the kernel, 0 if it was not the kernel.
    #[prost(int32, tag = "2")]
    pub errno: i32,
    /// Whether the process is gone.
    #[prost(bool, tag = "3")]
    pub gone: bool,
    /// Whether this host takes no actions from this client.
    #[prost(bool, tag = "4")]
    pub off: bool,
    /// Of several connections, how many were gone already.
    #[prost(uint32, tag = "5")]
    pub were_gone: u32,
}
/// What the front asks of the sampler, over their socket pair.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Ask {
    /// Comes back in the answer.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// One of a closed list.
    #[prost(oneof = "ask::Ask", tags = "2, 3, 4")]
    pub ask: ::core::option::Option<ask::Ask>,
}
/// Nested message and enum types in `Ask`.
pub mod ask {
    /// One of a closed list.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Ask {
        /// Replaces all that readers want.
        #[prost(message, tag = "2")]
        Demands(super::Demands),
        /// The past of one cell.
        #[prost(message, tag = "3")]
        History(super::HistoryRequest),
        /// An action.
        #[prost(message, tag = "4")]
        Act(super::ActRequest),
    }
}
/// All that readers want.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Demands {
    /// The union drives collection.
    #[prost(message, repeated, tag = "1")]
    pub demands: ::prost::alloc::vec::Vec<Demand>,
}
/// What the sampler says to the front.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Answer {
    /// Number of the question, 0 for what nobody asked.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// One of a closed list; none says that what readers want is taken: samples that are begun from then on have it.
    #[prost(oneof = "answer::Answer", tags = "2, 3, 4, 5")]
    pub answer: ::core::option::Option<answer::Answer>,
}
/// Nested message and enum types in `Answer`.
pub mod answer {
    /// One of a closed list; none says that what readers want is taken: samples that are begun from then on have it.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Answer {
        /// What changed in the tables.
        #[prost(message, tag = "2")]
        Frame(super::Frame),
        /// The past of one cell.
        #[prost(message, tag = "3")]
        History(super::HistoryReply),
        /// What became of an action.
        #[prost(message, tag = "4")]
        Act(super::ActReply),
        /// Who the sampler is; comes first.
        #[prost(message, tag = "5")]
        Describe(super::DescribeReply),
    }
}
/// Generated client implementations.
pub mod agent_client {
    #![allow(unused_variables, dead_code, missing_docs, clippy::wildcard_imports, clippy::let_unit_value)]
    use tonic::codegen::http::Uri;
    use tonic::codegen::*;
    /// The agent of one host.
    #[derive(Debug, Clone)]
    pub struct AgentClient<T> {
        inner: tonic::client::Grpc<T>,
    }
    impl AgentClient<tonic::transport::Channel> {
        /// Attempt to create a new client by connecting to a given endpoint.
        pub async fn connect<D>(dst: D) -> Result<Self, tonic::transport::Error>
        where
            D: TryInto<tonic::transport::Endpoint>,
            D::Error: Into<StdError>,
        {
            let conn = tonic::transport::Endpoint::new(dst)?.connect().await?;
            Ok(Self::new(conn))
        }
    }
    impl<T> AgentClient<T>
    where
        T: tonic::client::GrpcService<tonic::body::Body>,
        T::Error: Into<StdError>,
        T::ResponseBody: Body<Data = Bytes> + std::marker::Send + 'static,
        <T::ResponseBody as Body>::Error: Into<StdError> + std::marker::Send,
    {
        pub fn new(inner: T) -> Self {
            let inner = tonic::client::Grpc::new(inner);
            Self { inner }
        }
        pub fn with_origin(inner: T, origin: Uri) -> Self {
            let inner = tonic::client::Grpc::with_origin(inner, origin);
            Self { inner }
        }
        pub fn with_interceptor<F>(inner: T, interceptor: F) -> AgentClient<InterceptedService<T, F>>
        where
            F: tonic::service::Interceptor,
            T::ResponseBody: Default,
            T: tonic::codegen::Service<
                    http::Request<tonic::body::Body>,
                    Response = http::Response<<T as tonic::client::GrpcService<tonic::body::Body>>::ResponseBody>,
                >,
            <T as tonic::codegen::Service<http::Request<tonic::body::Body>>>::Error:
                Into<StdError> + std::marker::Send + std::marker::Sync,
        {
            AgentClient::new(InterceptedService::new(inner, interceptor))
        }
        /// Compress requests with the given encoding.
        ///
        /// This requires the server to support it otherwise it might respond with an
        /// error.
        #[must_use]
        pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.inner = self.inner.send_compressed(encoding);
            self
        }
        /// Enable decompressing responses.
        #[must_use]
        pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.inner = self.inner.accept_compressed(encoding);
            self
        }
        /// Limits the maximum size of a decoded message.
        ///
        /// Default: `4MB`
        #[must_use]
        pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
            self.inner = self.inner.max_decoding_message_size(limit);
            self
        }
        /// Limits the maximum size of an encoded message.
        ///
        /// Default: `usize::MAX`
        #[must_use]
        pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
            self.inner = self.inner.max_encoding_message_size(limit);
            self
        }
        /// What the host can show, and who it is.
        pub async fn describe(
            &mut self,
            request: impl tonic::IntoRequest<super::DescribeRequest>,
        ) -> std::result::Result<tonic::Response<super::DescribeReply>, tonic::Status> {
            self.inner
                .ready()
                .await
                .map_err(|e| tonic::Status::unknown(format!("Service was not ready: {}", e.into())))?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static("/netglance.v1.Agent/Describe");
            let mut req = request.into_request();
            req.extensions_mut().insert(GrpcMethod::new("netglance.v1.Agent", "Describe"));
            self.inner.unary(req, path, codec).await
        }
        /// Rows of tables as they change: first everything, then what is different.
        pub async fn watch(
            &mut self,
            request: impl tonic::IntoRequest<super::WatchRequest>,
        ) -> std::result::Result<tonic::Response<tonic::codec::Streaming<super::WatchReply>>, tonic::Status> {
            self.inner
                .ready()
                .await
                .map_err(|e| tonic::Status::unknown(format!("Service was not ready: {}", e.into())))?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static("/netglance.v1.Agent/Watch");
            let mut req = request.into_request();
            req.extensions_mut().insert(GrpcMethod::new("netglance.v1.Agent", "Watch"));
            self.inner.server_streaming(req, path, codec).await
        }
        /// Rows of one table once.
        pub async fn query(
            &mut self,
            request: impl tonic::IntoRequest<super::QueryRequest>,
        ) -> std::result::Result<tonic::Response<super::QueryReply>, tonic::Status> {
            self.inner
                .ready()
                .await
                .map_err(|e| tonic::Status::unknown(format!("Service was not ready: {}", e.into())))?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static("/netglance.v1.Agent/Query");
            let mut req = request.into_request();
            req.extensions_mut().insert(GrpcMethod::new("netglance.v1.Agent", "Query"));
            self.inner.unary(req, path, codec).await
        }
        /// The past of one cell.
        pub async fn history(
            &mut self,
            request: impl tonic::IntoRequest<super::HistoryRequest>,
        ) -> std::result::Result<tonic::Response<super::HistoryReply>, tonic::Status> {
            self.inner
                .ready()
                .await
                .map_err(|e| tonic::Status::unknown(format!("Service was not ready: {}", e.into())))?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static("/netglance.v1.Agent/History");
            let mut req = request.into_request();
            req.extensions_mut().insert(GrpcMethod::new("netglance.v1.Agent", "History"));
            self.inner.unary(req, path, codec).await
        }
        /// What deserves attention now.
        pub async fn alerts(
            &mut self,
            request: impl tonic::IntoRequest<super::AlertsRequest>,
        ) -> std::result::Result<tonic::Response<super::AlertsReply>, tonic::Status> {
            self.inner
                .ready()
                .await
                .map_err(|e| tonic::Status::unknown(format!("Service was not ready: {}", e.into())))?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static("/netglance.v1.Agent/Alerts");
            let mut req = request.into_request();
            req.extensions_mut().insert(GrpcMethod::new("netglance.v1.Agent", "Alerts"));
            self.inner.unary(req, path, codec).await
        }
        /// First what is now, then what changes. (What summarizes a host among many is a Watch of few columns: after the first frame
        /// it costs what changed, which is less than any row of its own.)
        pub async fn events(
            &mut self,
            request: impl tonic::IntoRequest<super::EventsRequest>,
        ) -> std::result::Result<tonic::Response<tonic::codec::Streaming<super::Event>>, tonic::Status> {
            self.inner
                .ready()
                .await
                .map_err(|e| tonic::Status::unknown(format!("Service was not ready: {}", e.into())))?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static("/netglance.v1.Agent/Events");
            let mut req = request.into_request();
            req.extensions_mut().insert(GrpcMethod::new("netglance.v1.Agent", "Events"));
            self.inner.server_streaming(req, path, codec).await
        }
        /// Does something to the host.
        pub async fn act(
            &mut self,
            request: impl tonic::IntoRequest<super::ActRequest>,
        ) -> std::result::Result<tonic::Response<super::ActReply>, tonic::Status> {
            self.inner
                .ready()
                .await
                .map_err(|e| tonic::Status::unknown(format!("Service was not ready: {}", e.into())))?;
            let codec = tonic_prost::ProstCodec::default();
            let path = http::uri::PathAndQuery::from_static("/netglance.v1.Agent/Act");
            let mut req = request.into_request();
            req.extensions_mut().insert(GrpcMethod::new("netglance.v1.Agent", "Act"));
            self.inner.unary(req, path, codec).await
        }
    }
}
/// Generated server implementations.
pub mod agent_server {
    #![allow(unused_variables, dead_code, missing_docs, clippy::wildcard_imports, clippy::let_unit_value)]
    use tonic::codegen::*;
    /// Generated trait containing gRPC methods that should be implemented for use with AgentServer.
    #[async_trait]
    pub trait Agent: std::marker::Send + std::marker::Sync + 'static {
        /// What the host can show, and who it is.
        async fn describe(
            &self,
            request: tonic::Request<super::DescribeRequest>,
        ) -> std::result::Result<tonic::Response<super::DescribeReply>, tonic::Status>;
        /// Server streaming response type for the Watch method.
        type WatchStream: tonic::codegen::tokio_stream::Stream<Item = std::result::Result<super::WatchReply, tonic::Status>>
            + std::marker::Send
            + 'static;
        /// Rows of tables as they change: first everything, then what is different.
        async fn watch(
            &self,
            request: tonic::Request<super::WatchRequest>,
        ) -> std::result::Result<tonic::Response<Self::WatchStream>, tonic::Status>;
        /// Rows of one table once.
        async fn query(
            &self,
            request: tonic::Request<super::QueryRequest>,
        ) -> std::result::Result<tonic::Response<super::QueryReply>, tonic::Status>;
        /// The past of one cell.
        async fn history(
            &self,
            request: tonic::Request<super::HistoryRequest>,
        ) -> std::result::Result<tonic::Response<super::HistoryReply>, tonic::Status>;
        /// What deserves attention now.
        async fn alerts(
            &self,
            request: tonic::Request<super::AlertsRequest>,
        ) -> std::result::Result<tonic::Response<super::AlertsReply>, tonic::Status>;
        /// Server streaming response type for the Events method.
        type EventsStream: tonic::codegen::tokio_stream::Stream<Item = std::result::Result<super::Event, tonic::Status>>
            + std::marker::Send
            + 'static;
        /// First what is now, then what changes. (What summarizes a host among many is a Watch of few columns: after the first frame
        /// it costs what changed, which is less than any row of its own.)
        async fn events(
            &self,
            request: tonic::Request<super::EventsRequest>,
        ) -> std::result::Result<tonic::Response<Self::EventsStream>, tonic::Status>;
        /// Does something to the host.
        async fn act(
            &self,
            request: tonic::Request<super::ActRequest>,
        ) -> std::result::Result<tonic::Response<super::ActReply>, tonic::Status>;
    }
    /// The agent of one host.
    #[derive(Debug)]
    pub struct AgentServer<T> {
        inner: Arc<T>,
        accept_compression_encodings: EnabledCompressionEncodings,
        send_compression_encodings: EnabledCompressionEncodings,
        max_decoding_message_size: Option<usize>,
        max_encoding_message_size: Option<usize>,
    }
    impl<T> AgentServer<T> {
        pub fn new(inner: T) -> Self {
            Self::from_arc(Arc::new(inner))
        }
        pub fn from_arc(inner: Arc<T>) -> Self {
            Self {
                inner,
                accept_compression_encodings: Default::default(),
                send_compression_encodings: Default::default(),
                max_decoding_message_size: None,
                max_encoding_message_size: None,
            }
        }
        pub fn with_interceptor<F>(inner: T, interceptor: F) -> InterceptedService<Self, F>
        where
            F: tonic::service::Interceptor,
        {
            InterceptedService::new(Self::new(inner), interceptor)
        }
        /// Enable decompressing requests with the given encoding.
        #[must_use]
        pub fn accept_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.accept_compression_encodings.enable(encoding);
            self
        }
        /// Compress responses with the given encoding, if the client supports it.
        #[must_use]
        pub fn send_compressed(mut self, encoding: CompressionEncoding) -> Self {
            self.send_compression_encodings.enable(encoding);
            self
        }
        /// Limits the maximum size of a decoded message.
        ///
        /// Default: `4MB`
        #[must_use]
        pub fn max_decoding_message_size(mut self, limit: usize) -> Self {
            self.max_decoding_message_size = Some(limit);
            self
        }
        /// Limits the maximum size of an encoded message.
        ///
        /// Default: `usize::MAX`
        #[must_use]
        pub fn max_encoding_message_size(mut self, limit: usize) -> Self {
            self.max_encoding_message_size = Some(limit);
            self
        }
    }
    impl<T, B> tonic::codegen::Service<http::Request<B>> for AgentServer<T>
    where
        T: Agent,
        B: Body + std::marker::Send + 'static,
        B::Error: Into<StdError> + std::marker::Send + 'static,
    {
        type Response = http::Response<tonic::body::Body>;
        type Error = std::convert::Infallible;
        type Future = BoxFuture<Self::Response, Self::Error>;
        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, req: http::Request<B>) -> Self::Future {
            match req.uri().path() {
                "/netglance.v1.Agent/Describe" => {
                    #[allow(non_camel_case_types)]
                    struct DescribeSvc<T: Agent>(pub Arc<T>);
                    impl<T: Agent> tonic::server::UnaryService<super::DescribeRequest> for DescribeSvc<T> {
                        type Response = super::DescribeReply;
                        type Future = BoxFuture<tonic::Response<Self::Response>, tonic::Status>;
                        fn call(&mut self, request: tonic::Request<super::DescribeRequest>) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move { <T as Agent>::describe(&inner, request).await };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = DescribeSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(accept_compression_encodings, send_compression_encodings)
                            .apply_max_message_size_config(max_decoding_message_size, max_encoding_message_size);
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/netglance.v1.Agent/Watch" => {
                    #[allow(non_camel_case_types)]
                    struct WatchSvc<T: Agent>(pub Arc<T>);
                    impl<T: Agent> tonic::server::ServerStreamingService<super::WatchRequest> for WatchSvc<T> {
                        type Response = super::WatchReply;
                        type ResponseStream = T::WatchStream;
                        type Future = BoxFuture<tonic::Response<Self::ResponseStream>, tonic::Status>;
                        fn call(&mut self, request: tonic::Request<super::WatchRequest>) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move { <T as Agent>::watch(&inner, request).await };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = WatchSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(accept_compression_encodings, send_compression_encodings)
                            .apply_max_message_size_config(max_decoding_message_size, max_encoding_message_size);
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/netglance.v1.Agent/Query" => {
                    #[allow(non_camel_case_types)]
                    struct QuerySvc<T: Agent>(pub Arc<T>);
                    impl<T: Agent> tonic::server::UnaryService<super::QueryRequest> for QuerySvc<T> {
                        type Response = super::QueryReply;
                        type Future = BoxFuture<tonic::Response<Self::Response>, tonic::Status>;
                        fn call(&mut self, request: tonic::Request<super::QueryRequest>) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move { <T as Agent>::query(&inner, request).await };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = QuerySvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(accept_compression_encodings, send_compression_encodings)
                            .apply_max_message_size_config(max_decoding_message_size, max_encoding_message_size);
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/netglance.v1.Agent/History" => {
                    #[allow(non_camel_case_types)]
                    struct HistorySvc<T: Agent>(pub Arc<T>);
                    impl<T: Agent> tonic::server::UnaryService<super::HistoryRequest> for HistorySvc<T> {
                        type Response = super::HistoryReply;
                        type Future = BoxFuture<tonic::Response<Self::Response>, tonic::Status>;
                        fn call(&mut self, request: tonic::Request<super::HistoryRequest>) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move { <T as Agent>::history(&inner, request).await };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = HistorySvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(accept_compression_encodings, send_compression_encodings)
                            .apply_max_message_size_config(max_decoding_message_size, max_encoding_message_size);
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/netglance.v1.Agent/Alerts" => {
                    #[allow(non_camel_case_types)]
                    struct AlertsSvc<T: Agent>(pub Arc<T>);
                    impl<T: Agent> tonic::server::UnaryService<super::AlertsRequest> for AlertsSvc<T> {
                        type Response = super::AlertsReply;
                        type Future = BoxFuture<tonic::Response<Self::Response>, tonic::Status>;
                        fn call(&mut self, request: tonic::Request<super::AlertsRequest>) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move { <T as Agent>::alerts(&inner, request).await };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = AlertsSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(accept_compression_encodings, send_compression_encodings)
                            .apply_max_message_size_config(max_decoding_message_size, max_encoding_message_size);
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/netglance.v1.Agent/Events" => {
                    #[allow(non_camel_case_types)]
                    struct EventsSvc<T: Agent>(pub Arc<T>);
                    impl<T: Agent> tonic::server::ServerStreamingService<super::EventsRequest> for EventsSvc<T> {
                        type Response = super::Event;
                        type ResponseStream = T::EventsStream;
                        type Future = BoxFuture<tonic::Response<Self::ResponseStream>, tonic::Status>;
                        fn call(&mut self, request: tonic::Request<super::EventsRequest>) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move { <T as Agent>::events(&inner, request).await };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = EventsSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(accept_compression_encodings, send_compression_encodings)
                            .apply_max_message_size_config(max_decoding_message_size, max_encoding_message_size);
                        let res = grpc.server_streaming(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                "/netglance.v1.Agent/Act" => {
                    #[allow(non_camel_case_types)]
                    struct ActSvc<T: Agent>(pub Arc<T>);
                    impl<T: Agent> tonic::server::UnaryService<super::ActRequest> for ActSvc<T> {
                        type Response = super::ActReply;
                        type Future = BoxFuture<tonic::Response<Self::Response>, tonic::Status>;
                        fn call(&mut self, request: tonic::Request<super::ActRequest>) -> Self::Future {
                            let inner = Arc::clone(&self.0);
                            let fut = async move { <T as Agent>::act(&inner, request).await };
                            Box::pin(fut)
                        }
                    }
                    let accept_compression_encodings = self.accept_compression_encodings;
                    let send_compression_encodings = self.send_compression_encodings;
                    let max_decoding_message_size = self.max_decoding_message_size;
                    let max_encoding_message_size = self.max_encoding_message_size;
                    let inner = self.inner.clone();
                    let fut = async move {
                        let method = ActSvc(inner);
                        let codec = tonic_prost::ProstCodec::default();
                        let mut grpc = tonic::server::Grpc::new(codec)
                            .apply_compression_config(accept_compression_encodings, send_compression_encodings)
                            .apply_max_message_size_config(max_decoding_message_size, max_encoding_message_size);
                        let res = grpc.unary(method, req).await;
                        Ok(res)
                    };
                    Box::pin(fut)
                }
                _ => Box::pin(async move {
                    let mut response = http::Response::new(tonic::body::Body::default());
                    let headers = response.headers_mut();
                    headers.insert(tonic::Status::GRPC_STATUS, (tonic::Code::Unimplemented as i32).into());
                    headers.insert(http::header::CONTENT_TYPE, tonic::metadata::GRPC_CONTENT_TYPE);
                    Ok(response)
                }),
            }
        }
    }
    impl<T> Clone for AgentServer<T> {
        fn clone(&self) -> Self {
            let inner = self.inner.clone();
            Self {
                inner,
                accept_compression_encodings: self.accept_compression_encodings,
                send_compression_encodings: self.send_compression_encodings,
                max_decoding_message_size: self.max_decoding_message_size,
                max_encoding_message_size: self.max_encoding_message_size,
            }
        }
    }
    /// Generated gRPC service name
    pub const SERVICE_NAME: &str = "netglance.v1.Agent";
    impl<T> tonic::server::NamedService for AgentServer<T> {
        const NAME: &'static str = SERVICE_NAME;
    }
}
