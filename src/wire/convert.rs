//! How do the model's small things become messages, and back?

use std::net::IpAddr;
use std::time::Duration;

use super::{WireError, decode, proto};
use crate::model::{
    Action, ActionError, Demand, Departed, Detail, Done, HistoryAsk, Key, Mono, Mute, Point, Series, State, Status,
    Text, Timestamp, Top, Tracked, Value,
};

/// Values in a list at most.
const MAX_VALUES: usize = 64;

/// Demands at most.
pub const MAX_DEMANDS: usize = 1024;

/// Points of a series at most: one a second for a day.
const MAX_POINTS: usize = 100_000;

/// As a message.
pub fn from_status(status: &Status) -> proto::Status {
    proto::Status {
        state: status.state.name().to_owned(),
        reason: status.reason.as_str().to_owned(),
        hint: status.hint.as_str().to_owned(),
    }
}

/// From a message; a state that this version does not know is a failure.
pub fn status(status: &proto::Status) -> Status {
    let state = State::of(&status.state);
    Status { state, reason: Text::from(status.reason.as_str()), hint: Text::from(status.hint.as_str()) }
}

/// As a message.
pub fn from_value(value: &Value) -> proto::Value {
    use proto::value::Kind;
    let kind = match value {
        Value::Missing => None,
        Value::U64(v) => Some(Kind::Unsigned(*v)),
        Value::I64(v) => Some(Kind::Signed(*v)),
        Value::F64(v) => Some(Kind::Real(*v)),
        Value::Bool(v) => Some(Kind::Truth(*v)),
        Value::Text(v) => Some(Kind::Text(v.as_str().to_owned())),
        Value::Ip(IpAddr::V4(v)) => Some(Kind::Address(v.octets().to_vec())),
        Value::Ip(IpAddr::V6(v)) => Some(Kind::Address(v.octets().to_vec())),
        Value::Mac(v) => Some(Kind::Mac(v.0.to_vec())),
        Value::Label(v) => Some(Kind::Label(v.as_str().to_owned())),
        Value::Timestamp(v) => Some(Kind::Timestamp(v.0)),
        Value::Duration(v) => Some(Kind::Duration(*v)),
    };
    proto::Value { kind }
}

/// From a message.
///
/// # Errors
/// An address of a wrong length.
pub fn value(value: &proto::Value) -> Result<Value, WireError> {
    use proto::value::Kind;
    Ok(match &value.kind {
        None => Value::Missing,
        Some(Kind::Unsigned(v)) => Value::U64(*v),
        Some(Kind::Signed(v)) => Value::I64(*v),
        Some(Kind::Real(v)) => Value::F64(*v),
        Some(Kind::Truth(v)) => Value::Bool(*v),
        Some(Kind::Text(v)) => Value::Text(Text::from(v.as_str())),
        Some(Kind::Address(v)) => Value::Ip(decode::address(v).ok_or(WireError::Damaged("an address"))?),
        Some(Kind::Mac(v)) => Value::Mac(decode::mac(v).ok_or(WireError::Damaged("an address"))?),
        Some(Kind::Label(v)) => Value::Label(Text::from(v.as_str())),
        Some(Kind::Timestamp(v)) => Value::Timestamp(Timestamp(*v)),
        Some(Kind::Duration(v)) => Value::Duration(*v),
    })
}

fn values(list: &[proto::Value]) -> Result<Vec<Value>, WireError> {
    if list.len() > MAX_VALUES {
        return Err(WireError::Bound("values"));
    }
    list.iter().map(value).collect()
}

/// As a message.
pub fn from_demand(demand: &Demand) -> proto::Demand {
    let only = |(column, values): &(String, Vec<Value>)| proto::Only {
        column: column.clone(),
        values: values.iter().map(from_value).collect(),
    };
    let sign = |(column, largest): &(String, bool)| format!("{}{column}", if *largest { "-" } else { "" });
    let top = demand.top.as_ref();
    // a filter may keep what is none of the first
    let rows = top.filter(|top| top.filter.is_none()).map_or(0, |top| u32::try_from(top.rows).unwrap_or(0));
    proto::Demand {
        table: demand.table.clone(),
        columns: demand.columns.clone(),
        ids: demand.ids.iter().map(from_value).collect(),
        interval: demand.interval.map_or(0, |interval| interval.as_nanos() as u64),
        // it is no harm to be told more than a peer takes
        only: demand.only.iter().filter(|(_, values)| values.len() <= MAX_VALUES).map(only).collect(),
        sort: top.map_or_else(Vec::new, |top| top.sort.iter().map(sign).collect()),
        rows,
    }
}

/// From messages.
///
/// # Errors
/// Too many, or one that is damaged.
pub fn demands(demands: &[proto::Demand]) -> Result<Vec<Demand>, WireError> {
    if demands.len() > MAX_DEMANDS {
        return Err(WireError::Bound("demands"));
    }
    demands.iter().map(demand).collect()
}

fn demand(demand: &proto::Demand) -> Result<Demand, WireError> {
    if [demand.columns.len(), demand.only.len(), demand.sort.len()].iter().any(|count| *count > MAX_VALUES) {
        return Err(WireError::Bound("columns of a demand"));
    }
    let only = |only: &proto::Only| values(&only.values).map(|values| (only.column.clone(), values));
    let sign = |name: &String| match name.strip_prefix('-') {
        Some(name) => (name.to_owned(), true),
        None => (name.clone(), false),
    };
    let top = Top { sort: demand.sort.iter().map(sign).collect(), rows: demand.rows as usize, ..Top::default() };
    Ok(Demand {
        table: demand.table.clone(),
        columns: demand.columns.clone(),
        ids: values(&demand.ids)?,
        interval: (demand.interval > 0).then(|| Duration::from_nanos(demand.interval)),
        top: (!top.sort.is_empty()).then_some(top),
        only: demand.only.iter().map(only).collect::<Result<_, _>>()?,
    })
}

/// As a message.
pub fn from_ask(ask: &HistoryAsk) -> proto::HistoryRequest {
    let bound = |bound: Option<Mono>| bound.map_or(0, |bound| bound.0);
    let (newest, step) = match ask.detail {
        Detail::Kept => (0, 0),
        Detail::Newest(most) => (most.max(1) as u64, 0),
        Detail::Step(step) => (0, u64::try_from(step.as_nanos()).unwrap_or(u64::MAX).max(1)),
    };
    proto::HistoryRequest {
        table: ask.table.clone(),
        column: ask.column.clone(),
        key: ask.key.as_bytes().to_vec(),
        since: bound(ask.since),
        until: bound(ask.until),
        newest,
        step,
    }
}

/// From a message.
pub fn ask(request: &proto::HistoryRequest) -> HistoryAsk {
    let bound = |bound: u64| (bound > 0).then_some(Mono(bound));
    HistoryAsk {
        table: request.table.clone(),
        column: request.column.clone(),
        key: Key::from_bytes(&request.key),
        since: bound(request.since),
        until: bound(request.until),
        detail: match (request.newest, request.step) {
            (0, 0) => Detail::Kept,
            (0, step) => Detail::Step(Duration::from_nanos(step)),
            (newest, _) => Detail::Newest(usize::try_from(newest).unwrap_or(usize::MAX)),
        },
    }
}

/// As a message.
pub fn from_series(series: Option<&Series>) -> proto::HistoryReply {
    let Some(series) = series else { return proto::HistoryReply::default() };
    let bound = |bound: Option<Mono>| bound.map_or(0, |bound| bound.0);
    let mut last = 0;
    let times = series.points.iter().map(|point| {
        let gap = point.time.0.saturating_sub(last);
        last = point.time.0;
        gap
    });
    let times = times.collect();
    let of = |value: fn(&Point) -> f64| series.points.iter().map(value).collect::<Vec<f64>>();
    let is_sample = |point: &Point| point.is_gap() || (point.least >= point.mean && point.most <= point.mean);
    let several = !series.points.iter().all(is_sample);
    proto::HistoryReply {
        kept: true,
        times,
        spans: series.points.iter().map(|point| point.time.0.saturating_sub(point.from.0)).collect(),
        means: of(|point| point.mean),
        least: if several { of(|point| point.least) } else { Vec::new() },
        most: if several { of(|point| point.most) } else { Vec::new() },
        oldest: bound(series.oldest),
        fine: bound(series.fine),
        cut: bound(series.cut),
        evicted: series.evicted,
    }
}

/// From a message; `None` when the agent does not keep the past of it.
///
/// # Errors
/// Too many points, or lists that do not belong together.
pub fn series(reply: &proto::HistoryReply) -> Result<Option<Series>, WireError> {
    if !reply.kept {
        return Ok(None);
    }
    let count = reply.times.len();
    if count > MAX_POINTS {
        return Err(WireError::Bound("points"));
    }
    let (least, most) = match (reply.least.len(), reply.most.len()) {
        (0, 0) => (&reply.means, &reply.means),
        _ => (&reply.least, &reply.most),
    };
    if [reply.spans.len(), reply.means.len(), least.len(), most.len()].iter().any(|length| *length != count) {
        return Err(WireError::Damaged("points in part"));
    }
    let bound = |bound: u64| (bound > 0).then_some(Mono(bound));
    let mut time = 0u64;
    let values = reply.means.iter().zip(least).zip(most);
    let points = reply.times.iter().zip(&reply.spans).zip(values).map(|((gap, span), ((mean, least), most))| {
        time = time.saturating_add(*gap);
        let (from, time) = (Mono(time.saturating_sub(*span)), Mono(time));
        Point { from, time, mean: *mean, least: *least, most: *most }
    });
    Ok(Some(Series {
        points: points.collect(),
        oldest: bound(reply.oldest),
        fine: bound(reply.fine),
        cut: bound(reply.cut),
        evicted: reply.evicted,
    }))
}

/// As a message.
pub fn from_action(action: &Action) -> proto::ActRequest {
    use proto::act_request::Action as Wire;
    let action = match action {
        Action::Signal { pid, start, signal } => {
            Wire::Signal(proto::Signal { pid: *pid, start: *start, signal: *signal })
        }
        Action::Renice { pid, start, nice } => Wire::Renice(proto::Renice { pid: *pid, start: *start, nice: *nice }),
        Action::Forget { flows } => Wire::Forget(proto::Forget { flows: flows.iter().map(from_tracked).collect() }),
        Action::Mute { mute } => Wire::Mute(proto::Mute {
            rule: mute.rule.to_string(),
            instance: mute.instance.to_string(),
            until: mute.until.map(|until| until.0),
            comment: mute.comment.as_ref().map(Text::to_string),
            lift: mute.lift,
        }),
        Action::Acknowledge { gone } => Wire::Acknowledge(proto::Acknowledge {
            table: gone.table.to_string(),
            ids: gone.ids.iter().map(from_value).collect(),
            since: gone.since.0,
        }),
    };
    proto::ActRequest { action: Some(action), asker: String::new() }
}

/// From a message; `None` for one that this version does not know, or that makes no sense.
pub fn action(request: &proto::ActRequest) -> Option<Action> {
    use proto::act_request::Action as Wire;
    Some(match request.action.as_ref()? {
        Wire::Signal(it) => Action::Signal { pid: it.pid, start: it.start, signal: it.signal },
        Wire::Renice(it) => Action::Renice { pid: it.pid, start: it.start, nice: it.nice },
        Wire::Forget(it) if it.flows.len() > Action::MOST => return None,
        Wire::Forget(it) => Action::Forget { flows: it.flows.iter().map(tracked).collect::<Option<_>>()? },
        Wire::Mute(it) => Action::Mute {
            mute: Mute {
                rule: Text::from(it.rule.as_str()),
                instance: Text::from(it.instance.as_str()),
                until: it.until.map(Timestamp),
                comment: it.comment.as_deref().map(Text::from),
                lift: it.lift,
            },
        },
        Wire::Acknowledge(it) if it.ids.len() > Departed::MOST => return None,
        Wire::Acknowledge(it) => Action::Acknowledge {
            gone: Departed {
                table: Text::from(it.table.as_str()),
                ids: it.ids.iter().map(value).collect::<Result<_, _>>().ok()?,
                since: Timestamp(it.since),
            },
        },
    })
}

fn from_tracked(flow: &Tracked) -> proto::Tracked {
    let bytes = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let icmp = |(kind, code, id): (u8, u8, u16)| vec![kind.into(), code.into(), id.into()];
    proto::Tracked {
        netns: flow.netns.to_string(),
        id: flow.id,
        protocol: flow.protocol.into(),
        source: bytes(flow.source),
        destination: bytes(flow.destination),
        source_port: flow.ports.map(|(port, _)| port.into()),
        destination_port: flow.ports.map(|(_, port)| port.into()),
        icmp: flow.icmp.map_or_else(Vec::new, icmp),
        zone: flow.zone.into(),
    }
}

fn tracked(flow: &proto::Tracked) -> Option<Tracked> {
    let address = |bytes: &[u8]| match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        _ => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
    };
    let port = |port: Option<u32>| port.map(u16::try_from).transpose().ok();
    let icmp = match *flow.icmp.as_slice() {
        [] => None,
        [kind, code, id] => Some((kind.try_into().ok()?, code.try_into().ok()?, id.try_into().ok()?)),
        _ => return None,
    };
    Some(Tracked {
        netns: Text::from(flow.netns.as_str()),
        id: flow.id,
        protocol: flow.protocol.try_into().ok()?,
        source: address(&flow.source)?,
        destination: address(&flow.destination)?,
        ports: port(flow.source_port)?.zip(port(flow.destination_port)?),
        icmp,
        zone: flow.zone.try_into().ok()?,
    })
}

/// As a message.
pub fn from_done(done: &Result<Done, ActionError>) -> proto::ActReply {
    let error = match done {
        Ok(Done { gone }) => {
            return proto::ActReply { were_gone: u32::try_from(*gone).unwrap_or(u32::MAX), ..Default::default() };
        }
        Err(error) => error,
    };
    proto::ActReply {
        were_gone: 0,
        error: error.to_string(),
        errno: match error {
            ActionError::Kernel { cause, .. } => cause.raw_os_error().unwrap_or(0),
            _ => 0,
        },
        gone: matches!(error, ActionError::Gone { .. }),
        off: matches!(error, ActionError::Off),
    }
}

/// From a message: what became of an action.
///
/// # Errors
/// It was not done.
pub fn done(reply: &proto::ActReply, action: &Action) -> Result<Done, ActionError> {
    if reply.error.is_empty() {
        Ok(Done { gone: reply.were_gone as usize })
    } else if reply.off {
        Err(ActionError::Off)
    } else if reply.gone {
        Err(action.gone())
    } else {
        let (op, what) = action.aim();
        // what was attempted is said once, over however many links it came
        let cause = reply.error.strip_prefix(&format!("{op} {what}: ")).unwrap_or(&reply.error);
        Err(action.failed(match reply.errno {
            0 => std::io::Error::other(Text::from(cause).as_str().to_owned()),
            errno => std::io::Error::from_raw_os_error(errno),
        }))
    }
}
