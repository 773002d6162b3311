//! How does the front answer gRPC?

use std::pin::Pin;
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::caller::{Caller, Need};
use super::sampled::Sampled;
use super::watch::{Bundles, Watcher, selection};
use crate::model::{Mono, Timestamp};
use crate::wire::frame::Frames;
use crate::wire::proto::agent_server::Agent;
use crate::wire::{convert, proto, schema};

/// Every method and what it needs.
pub(super) const METHODS: &[(&str, Need)] = &[
    ("/netglance.v1.Agent/Describe", Need::View),
    ("/netglance.v1.Agent/Watch", Need::View),
    ("/netglance.v1.Agent/Query", Need::View),
    ("/netglance.v1.Agent/History", Need::View),
    ("/netglance.v1.Agent/Act", Need::Operate),
];

/// The service.
pub(super) struct Service {
    pub(super) sampled: Arc<Sampled>,
    pub(super) bundles: Arc<Bundles>,
    pub(super) host: String,
    pub(super) machine: String,
}

/// Frames of one watcher.
type WatchFrames = Pin<Box<dyn futures_util::Stream<Item = Result<proto::WatchReply, Status>> + Send>>;

#[tonic::async_trait]
impl Agent for Service {
    async fn describe(
        &self,
        request: Request<proto::DescribeRequest>,
    ) -> Result<Response<proto::DescribeReply>, Status> {
        let schema = schema::own();
        let caller = Caller::of(request.extensions());
        let known = request.into_inner().known == schema.hash;
        Ok(Response::new(proto::DescribeReply {
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
        let bundle = self.bundles.open(&request, caller.is_clear()).map_err(Status::invalid_argument)?;
        let demands =
            convert::demands(&request.demands).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let watcher = Watcher::new(Arc::clone(&self.sampled), bundle, &demands)
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
        let mut frames = Frames::new(schema::own(), vec![selection]);
        let frame = frames.next(&caller.latest(&self.sampled)).tables.into_iter().next();
        Ok(Response::new(proto::QueryReply { frame }))
    }

    async fn history(&self, request: Request<proto::HistoryRequest>) -> Result<Response<proto::HistoryReply>, Status> {
        let ask = convert::ask(&request.into_inner());
        let series = self.sampled.history(&ask).await.map_err(|why| Status::unavailable(why.to_string()))?;
        Ok(Response::new(convert::from_series(series.as_ref())))
    }

    async fn act(&self, request: Request<proto::ActRequest>) -> Result<Response<proto::ActReply>, Status> {
        let action = convert::action(&request.into_inner());
        let action = action.ok_or_else(|| Status::unimplemented("this agent does not know the action"))?;
        let done = self.sampled.act(&action).await.map_err(|why| Status::unavailable(why.to_string()))?;
        Ok(Response::new(convert::from_done(&done)))
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
