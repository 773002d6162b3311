//! What does a program get that speaks gRPC with an agent and knows nothing of it?
//!
//! A real `netglance serve` on a socket of the test's own.

#![cfg(test)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use netglance::wire::proto::agent_client::AgentClient;
use netglance::wire::proto::event::Event;
use netglance::wire::{proto, schema};
use prost::Message as _;
use prost::bytes::{Buf, BufMut};
use prost_reflect::{DescriptorPool, DynamicMessage, ServiceDescriptor};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_reflection::pb::v1;
use v1::server_reflection_client::ServerReflectionClient;
use v1::server_reflection_request::MessageRequest;
use v1::server_reflection_response::MessageResponse;

#[expect(dead_code, reason = "each test program uses its part")]
mod served;

use served::{Agent, PATIENCE};

/// An agent for which any load deserves attention.
fn agent() -> Agent {
    Agent::start("127.0.0.1:0", "[[threshold]]\ntable = \"load\"\ncolumn = \"one\"\ncareful = 0\n")
}

/// A connection, as soon as the agent has something to say.
async fn channel(agent: &Agent) -> Channel {
    let start = Instant::now();
    loop {
        if let Ok(channel) = connect(agent.socket()).await
            && AgentClient::new(channel.clone()).alerts(proto::AlertsRequest {}).await.is_ok()
        {
            return channel;
        }
        assert!(start.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn connect(path: PathBuf) -> Result<Channel, tonic::transport::Error> {
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://agent").connect_with_connector(connect).await
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await.unwrap() })
}

/// Messages as bytes: what they mean is told by the agent.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;
    fn encoder(&mut self) -> Self {
        *self
    }
    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;
    fn encode(&mut self, item: Vec<u8>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;
    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; from.remaining()];
        from.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}

async fn reflected(channel: &Channel, question: MessageRequest) -> MessageResponse {
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(question) };
    let mut client = ServerReflectionClient::new(channel.clone());
    let answers = client.server_reflection_info(futures_util::stream::iter([request])).await;
    answers.unwrap().into_inner().message().await.unwrap().unwrap().message_response.unwrap()
}

/// The service as the agent describes it.
async fn described(channel: &Channel) -> ServiceDescriptor {
    let MessageResponse::ListServicesResponse(list) =
        reflected(channel, MessageRequest::ListServices(String::new())).await
    else {
        panic!("no list of services")
    };
    let name = "netglance.v1.Agent";
    assert!(list.service.iter().any(|service| service.name == name), "{list:?}");
    let MessageResponse::FileDescriptorResponse(files) =
        reflected(channel, MessageRequest::FileContainingSymbol(name.to_owned())).await
    else {
        panic!("no description")
    };
    let mut pool = DescriptorPool::new();
    for file in files.file_descriptor_proto {
        pool.decode_file_descriptor_proto(file.as_slice()).unwrap();
    }
    pool.get_service_by_name(name).unwrap()
}

#[test]
fn a_program_that_knows_nothing_is_told_how_to_ask() {
    let agent = agent();
    wait(async {
        let channel = channel(&agent).await;
        let service = described(&channel).await;
        let method = service.methods().find(|method| method.name() == "Describe").unwrap();
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let path = format!("/{}/{}", service.full_name(), method.name()).parse().unwrap();
        let question = DynamicMessage::new(method.input()).encode_to_vec();
        let reply = client.unary(Request::new(question), path, Raw).await.unwrap().into_inner();
        let reply = DynamicMessage::decode(method.output(), reply.as_slice()).unwrap();
        let text = |name: &str| reply.get_field_by_name(name).unwrap().as_str().unwrap().to_owned();
        assert_eq!(text("version"), env!("CARGO_PKG_VERSION"));
        assert!(!text("host").is_empty() && !text("role").is_empty());
        let schema = reply.get_field_by_name("schema").unwrap();
        let tables = schema.as_message().unwrap().get_field_by_name("tables").unwrap().as_list().unwrap().len();
        assert_eq!(tables, schema::own().tables.len());
    });
}

#[test]
fn the_watcher_of_another_schema_is_sent_away() {
    let agent = agent();
    wait(async {
        let mut client = AgentClient::new(channel(&agent).await);
        for hash in [Vec::new(), b"another".to_vec()] {
            let request = proto::WatchRequest { hash, ..Default::default() };
            assert_eq!(client.watch(request).await.unwrap_err().code(), Code::FailedPrecondition);
        }
        let request = proto::WatchRequest { hash: schema::own().hash.clone(), ..Default::default() };
        let mut frames = client.watch(request).await.unwrap().into_inner();
        assert!(frames.message().await.unwrap().is_some());
    });
}

/// Where an alert is, and how bad it is.
fn place(alert: &proto::Alert) -> (String, String, String) {
    (alert.table.clone(), alert.column.clone(), alert.level.clone())
}

#[test]
fn alerts_and_events_tell_what_is_and_what_changes() {
    let agent = agent();
    wait(async {
        let mut client = AgentClient::new(channel(&agent).await);
        let wanted = ("load".to_owned(), "one".to_owned(), "careful".to_owned());
        // as soon as the load is sampled
        while !client.alerts(proto::AlertsRequest {}).await.unwrap().into_inner().alerts.iter().any(|alert| {
            let Some(proto::value::Kind::Real(load)) = alert.value.as_ref().and_then(|value| value.kind.clone()) else {
                return false;
            };
            place(alert) == wanted && load >= 0.0
        }) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut events = client.events(proto::EventsRequest {}).await.unwrap().into_inner();
        let mut told = Vec::new();
        loop {
            match events.message().await.unwrap().unwrap().event.unwrap() {
                Event::Begin(_) => break,
                Event::Alert(alert) => told.push(place(&alert)),
                Event::State(_) => {}
                Event::Missed(count) => panic!("{count} are missed at the start"),
            }
        }
        assert!(told.contains(&wanted), "{told:?}");
        // SAFETY: the sampler of the agent that this test has started
        assert_eq!(unsafe { libc::kill(agent.part("netglance-sampl") as i32, libc::SIGSTOP) }, 0);
        let (mut stale, mut over) = (false, false);
        while !(stale && over) {
            match events.message().await.unwrap().unwrap().event.unwrap() {
                Event::State(source) if source.table == "load" => {
                    let status = source.status.unwrap();
                    assert_eq!((status.state.as_str(), source.collector.as_str()), ("stale", "load"));
                    assert!(status.reason.contains("the sampler has said nothing"), "{}", status.reason);
                    stale = true;
                }
                Event::Alert(alert) if (alert.table.as_str(), alert.column.as_str()) == ("load", "one") => {
                    assert!(alert.level == "ok" && alert.value.is_none_or(|value| value.kind.is_none()));
                    over = true;
                }
                _ => {}
            }
        }
    });
}
