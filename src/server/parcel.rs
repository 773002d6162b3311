//! What does the courier send to the sampler?
//!
//! Each [`Parcel`] has a field for each kind of news: what a router or a daemon has told, and what came of an errand.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use prost::Message as _;

use super::delivery::Ended;
use crate::model::Timestamp;
use crate::source::Error;
use crate::source::control::trust::TRUST;
use crate::source::routing::ask::{ASK, Heard, Report};
use crate::source::routing::snmp;
use crate::source::routing::vty::{Answers, Stored};

/// Bytes of a parcel at most: more than a router may tell.
pub(super) const MAX_PARCEL: usize = 16 << 20;

/// Bytes of it that are no values.
const MAX_REST: usize = 64 << 10;

/// What goes to the sampler.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Parcel {
    /// What a router or a daemon has told.
    #[prost(message, optional, tag = "1")]
    pub(super) router: Option<Told>,
    /// What came of an errand.
    #[prost(message, optional, tag = "2")]
    pub(super) ended: Option<Ended>,
}

/// What somebody has told, or why not.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Told {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(int64, tag = "2")]
    at: i64,
    #[prost(bytes = "vec", tag = "3")]
    values: Vec<u8>,
    #[prost(message, optional, tag = "4")]
    fault: Option<Fault>,
    #[prost(string, tag = "5")]
    address: String,
    /// Of one that was asked at its terminal, instead of values.
    #[prost(message, optional, tag = "6")]
    answers: Option<Said>,
}

/// What a daemon has said at its terminal.
#[derive(Clone, PartialEq, prost::Message)]
struct Said {
    #[prost(string, tag = "1")]
    version: String,
    #[prost(string, repeated, tag = "2")]
    state: Vec<String>,
    /// Answers about its databases, and when they were given; none where it was not asked.
    #[prost(int64, optional, tag = "3")]
    stored: Option<i64>,
    #[prost(string, repeated, tag = "4")]
    database: Vec<String>,
    /// Why there are no answers about them.
    #[prost(string, optional, tag = "5")]
    untold: Option<String>,
}

/// An error.
#[derive(Clone, PartialEq, prost::Message)]
struct Fault {
    #[prost(string, tag = "1")]
    op: String,
    #[prost(string, tag = "2")]
    object: String,
    #[prost(uint32, tag = "3")]
    kind: u32,
    #[prost(string, tag = "4")]
    cause: String,
}

/// What can be attempted.
const OPS: [&str; 7] = ["read", "parse", ASK, "connect to", "hear", "wait for", TRUST];

/// Kinds of causes that somebody tells apart.
const KINDS: [ErrorKind; 10] = [
    ErrorKind::Other,
    ErrorKind::TimedOut,
    ErrorKind::PermissionDenied,
    ErrorKind::ConnectionRefused,
    ErrorKind::NotFound,
    ErrorKind::InvalidData,
    ErrorKind::ConnectionAborted,
    ErrorKind::ConnectionReset,
    ErrorKind::BrokenPipe,
    ErrorKind::Unsupported,
];

impl Parcel {
    /// What somebody has told.
    pub(super) fn of(report: &Report) -> Self {
        let mut told =
            Told { name: report.name.clone(), address: report.address.to_string(), at: report.at.0, ..Told::default() };
        match &report.heard {
            Ok(Heard::Values(values)) => told.values = snmp::written(values),
            Ok(Heard::Answers(answers)) => told.answers = Some(Said::of(answers)),
            Err(error) => told.fault = Some(Fault::of(error)),
        }
        let length = told.encoded_len();
        if length > MAX_PARCEL - MAX_REST {
            let why = format!("it tells {length} bytes, more than are handed on");
            let error = Error::new(ASK, &report.name, io::Error::new(ErrorKind::InvalidData, why));
            told = Told { values: Vec::new(), answers: None, fault: Some(Fault::of(&error)), ..told };
        }
        Self { router: Some(told), ended: None }
    }

    /// What came of an errand.
    pub(super) fn end(ended: Ended) -> Self {
        Self { router: None, ended: Some(ended) }
    }
}

impl Told {
    /// `None` of one that was asked nowhere.
    pub(super) fn report(self) -> Option<Report> {
        let address = self.address.parse().ok()?;
        let heard = match (self.fault, self.answers) {
            (Some(fault), _) => Err(fault.error()),
            (None, Some(said)) => Ok(Heard::Answers(said.answers())),
            (None, None) => snmp::read(&self.values).map(Heard::Values),
        };
        Some(Report::new(self.name, address, Timestamp(self.at), heard))
    }
}

impl Said {
    fn of(answers: &Answers) -> Self {
        let stored = answers.database.as_ref();
        Self {
            version: answers.version.clone(),
            state: answers.state.clone(),
            stored: stored.map(|stored| stored.at.0),
            database: stored.map(|stored| stored.answers.clone()).unwrap_or_default(),
            untold: stored.and_then(|stored| stored.untold.clone()),
        }
    }

    fn answers(self) -> Answers {
        let of = |at| Arc::new(Stored { at: Timestamp(at), answers: self.database, untold: self.untold });
        Answers { version: self.version, state: self.state, database: self.stored.map(of) }
    }
}

impl Fault {
    fn of(error: &Error) -> Self {
        let kind = KINDS.iter().position(|kind| *kind == error.cause.kind()).unwrap_or_default();
        Self {
            op: error.op.to_owned(),
            object: error.object.display().to_string(),
            kind: kind as u32,
            cause: error.cause.to_string(),
        }
    }

    fn error(self) -> Error {
        let op = OPS.iter().find(|op| **op == self.op).copied().unwrap_or(ASK);
        let kind = KINDS.get(self.kind as usize).copied().unwrap_or(ErrorKind::Other);
        Error::new(op, self.object, io::Error::new(kind, self.cause))
    }
}
