//! How does the front answer gRPC?

use std::pin::Pin;
use std::sync::Arc;

use tonic::{Request, Response, Status};
use tonic_reflection::server::Builder;

use super::alerts::cells;
use super::bodies::Weight;
use super::caller::{Asker, Caller, Guarded, Need};
use super::events::{CROWDED, Event, Events};
use super::sampled::Sampled;
use super::waited::{Lack, Queue};
use super::watch::{Bundles, Watcher, selection};
use crate::collect::alert::AlertRow;
use crate::model::{Demand, Level, Mono, Row, Timestamp, Value};
use crate::wire::frame::Frames;
use crate::wire::proto::agent_server::{Agent, AgentServer};
use crate::wire::{self, convert, proto, schema};

/// Every method and what it needs.
pub(super) const METHODS: &[(&str, Need)] = &[
    ("/netglance.v1.Agent/Describe", Need::View),
    ("/netglance.v1.Agent/Watch", Need::View),
    ("/netglance.v1.Agent/Query", Need::View),
    ("/netglance.v1.Agent/History", Need::View),
    ("/netglance.v1.Agent/Alerts", Need::View),
    ("/netglance.v1.Agent/Events", Need::View),
    ("/netglance.v1.Agent/Act", Need::Operate),
];

/// What tells programs that know nothing of this service which methods and messages there are.
pub(super) const REFLECTION: &[(&str, Need)] =
    &[("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", Need::View)];

/// As [`REFLECTION`], for older programs.
pub(super) const OLD_REFLECTION: &[(&str, Need)] =
    &[("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", Need::View)];

/// Bytes of a question for a description at most.
const MAX_QUESTION: usize = 16 << 10;

/// Adds the service, and its description.
pub(super) fn routes(guarded: Guarded, service: Service) -> Guarded {
    let described = || Builder::configure().register_encoded_file_descriptor_set(wire::DESCRIPTORS);
    let mut guarded = guarded.grpc(&AgentServer::new(service).max_decoding_message_size(MAX_REQUEST), METHODS);
    // what is checked in is what a test compiles: it is understood
    if let Ok(reflection) = described().build_v1() {
        guarded = guarded.grpc(&reflection.max_decoding_message_size(MAX_QUESTION), REFLECTION);
    }
    if let Ok(reflection) = described().build_v1alpha() {
        guarded = guarded.grpc(&reflection.max_decoding_message_size(MAX_QUESTION), OLD_REFLECTION);
    }
    guarded
}

/// Bytes of a request at most.
const MAX_REQUEST: usize = 1 << 20;

/// The service.
pub(super) struct Service {
    pub(super) sampled: Arc<Sampled>,
    pub(super) bundles: Arc<Bundles>,
    pub(super) events: Arc<Events>,
    pub(super) waiting: Queue,
    pub(super) host: String,
    pub(super) machine: String,
}

/// Frames of one watcher.
type WatchFrames = Stream<proto::WatchReply>;

/// Messages as they come.
type Stream<M> = Pin<Box<dyn futures_util::Stream<Item = Result<M, Status>> + Send>>;

#[tonic::async_trait]
impl Agent for Service {
    async fn describe(
        &self,
        request: Request<proto::DescribeRequest>,
    ) -> Result<Response<proto::DescribeReply>, Status> {
        let schema = schema::own();
        let caller = Caller::of(request.extensions());
        let known = request.into_inner().known == schema.hash;
        Ok(weighed(proto::DescribeReply {
            hash: schema.hash.clone(),
            schema: (!known).then(|| schema::describe(schema.tables)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: self.host.clone(),
            machine: self.machine.clone(),
            started: self.sampled.started(),
            role: caller.role().to_owned(),
            time: Timestamp::now().0,
            mono: Mono::now().0,
        }))
    }

    type WatchStream = WatchFrames;

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Result<Response<WatchFrames>, Status> {
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        let known = &schema::own().hash;
        if request.hash != *known {
            return Err(Status::failed_precondition("the schema is another one: ask for it with Describe"));
        }
        let bundle = self.bundles.open(&self.sampled, &request, caller).map_err(Status::invalid_argument)?;
        let demands =
            convert::demands(&request.demands).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let watcher = Watcher::new(Arc::clone(&self.sampled), bundle, demands)
            .map_err(|why| Status::resource_exhausted(why.to_string()))?;
        let frames = futures_util::stream::unfold(watcher, |mut watcher| async {
            let frame = watcher.next().await?;
            Some((Ok(proto::WatchReply { frame }), watcher))
        });
        Ok(Response::new(Box::pin(frames)))
    }

    async fn query(&self, request: Request<proto::QueryRequest>) -> Result<Response<proto::QueryReply>, Status> {
        let caller = Caller::of(request.extensions());
        let request = request.into_inner();
        let asked = request.selection.ok_or_else(|| Status::invalid_argument("no selection"))?;
        let selection = selection(&asked).map_err(Status::invalid_argument)?;
        let demands = convert::demands(request.demand.as_slice());
        let mut demands = demands.map_err(|error| Status::invalid_argument(error.to_string()))?;
        let table = schema::own().layouts.get(selection.position).map(|layout| layout.table);
        if let Some(table) = table {
            if demands.is_empty() && table.attrs.demand {
                demands.push(Demand::table(&table.name));
            }
            if demands.iter().any(|demand| demand.table != table.name) {
                return Err(Status::invalid_argument("what is demanded is not of the table that is asked for"));
            }
            match self.waiting.sampled(&self.sampled, caller, table, &demands).await {
                // why there are no rows stands in the frame
                Ok(_) | Err(Lack::Status(_)) => {}
                Err(Lack::Busy(why)) => return Err(Status::resource_exhausted(why)),
                Err(Lack::Silent(why)) => return Err(Status::unavailable(why)),
            }
        }
        let mut frames = Frames::new(schema::own(), vec![selection]);
        let frame = frames.next(&caller.latest(&self.sampled)).tables.into_iter().next();
        Ok(weighed(proto::QueryReply { frame }))
    }

    async fn history(&self, request: Request<proto::HistoryRequest>) -> Result<Response<proto::HistoryReply>, Status> {
        let ask = convert::ask(&request.into_inner());
        let series = self.sampled.history(&ask).await.map_err(|why| Status::unavailable(why.to_string()))?;
        Ok(weighed(convert::from_series(series.as_ref())))
    }

    async fn alerts(&self, _: Request<proto::AlertsRequest>) -> Result<Response<proto::AlertsReply>, Status> {
        let alerts = self.events.alerts().ok_or_else(|| Status::unavailable("the sampler says nothing"))?;
        Ok(weighed(proto::AlertsReply { alerts: alerts.iter().map(alert).collect() }))
    }

    type EventsStream = Stream<proto::Event>;

    async fn events(&self, request: Request<proto::EventsRequest>) -> Result<Response<Stream<proto::Event>>, Status> {
        let reader = self.events.read(Caller::of(request.extensions()));
        let reader = reader.ok_or_else(|| Status::resource_exhausted(CROWDED))?;
        let events = futures_util::stream::unfold(reader, |mut reader| async {
            let event = reader.next().await?;
            Some((Ok(proto::Event { event: Some(told(&event)) }), reader))
        });
        Ok(Response::new(Box::pin(events)))
    }

    async fn act(&self, request: Request<proto::ActRequest>) -> Result<Response<proto::ActReply>, Status> {
        let asker = Asker::of(request.extensions());
        let action = convert::action(&request.into_inner());
        let action = action.ok_or_else(|| Status::unimplemented("this agent does not know the action"))?;
        let done = self.sampled.act(&action, asker).await.map_err(|why| Status::unavailable(why.to_string()))?;
        Ok(Response::new(convert::from_done(&done)))
    }
}

/// An answer that is counted until it is sent: tonic encodes it when the other end takes it, and says no size before.
fn weighed<M: prost::Message>(message: M) -> Response<M> {
    let weight = Weight(message.encoded_len() as u64);
    let mut response = Response::new(message);
    response.extensions_mut().insert(weight);
    response
}

/// Every column that says something.
fn fields<R: Row>(row: &R) -> Vec<proto::Field> {
    let said = cells(row).map(|(name, cell)| (name, cell.to_value())).filter(|(_, value)| *value != Value::Missing);
    said.map(|(name, value)| proto::Field { name: name.to_owned(), value: Some(convert::from_value(&value)) }).collect()
}

/// As a message.
fn alert(alert: &AlertRow) -> proto::Alert {
    let columns = fields(alert);
    let ids: Vec<&str> = AlertRow::TABLE.ids().filter_map(|id| Some(&*AlertRow::TABLE.columns.get(id)?.name)).collect();
    let is_id = |field: &&proto::Field| ids.contains(&field.name.as_str());
    let value = alert.number.filter(|_| alert.level() > Level::Ok);
    proto::Alert {
        level: alert.level().name().to_owned(),
        table: alert.table.to_string(),
        row: columns.iter().filter(is_id).cloned().collect(),
        name: Some(convert::from_value(&Value::Text(alert.instance.clone()))),
        column: String::new(),
        value: value.map(|value| convert::from_value(&Value::F64(value))),
        columns,
    }
}

/// As a message.
fn told(event: &Event) -> proto::event::Event {
    use proto::event::Event as Told;
    match event {
        Event::Alert(one) => Told::Alert(alert(one)),
        Event::Change(change) => Told::Change(proto::AlertChange { columns: fields(change) }),
        Event::Begin => Told::Begin(proto::Begin {}),
        Event::Missed(count) => Told::Missed(*count),
        Event::State(source) => Told::State(proto::SourceState {
            table: source.table.to_owned(),
            collector: source.collector.unwrap_or_default().to_owned(),
            status: Some(proto::Status {
                state: source.status.state.name().to_owned(),
                reason: source.status.reason.to_string(),
                hint: source.status.hint.to_string(),
            }),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_protocol_says_what_it_needs() {
        let text = include_str!("../wire/netglance.proto");
        let methods = text.lines().filter_map(|line| line.trim().strip_prefix("rpc ")?.split_once('('));
        let paths: Vec<String> = methods.map(|(name, _)| format!("/netglance.v1.Agent/{name}")).collect();
        assert_eq!(METHODS.iter().map(|(path, _)| *path).collect::<Vec<_>>(), paths);
    }
}
