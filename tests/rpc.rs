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
    let rule = "defaults = false\n[[alert]]\nname = 'any'\ntable = 'load'\nvalue = 'one'\ncareful = 0\n";
    Agent::prepared("127.0.0.1:0", "allow_actions = true", |dir| {
        std::fs::write(dir.path().join("alerts.toml"), rule).unwrap();
    })
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

/// Which alert it is, and how bad.
fn place(alert: &proto::Alert) -> (String, String, String) {
    (alert.table.clone(), word(&alert.columns, "rule"), alert.level.clone())
}

/// What a column says in a word.
fn word(columns: &[proto::Field], name: &str) -> String {
    let value = columns.iter().find(|field| field.name == name).and_then(|field| field.value.clone());
    match value.and_then(|value| value.kind) {
        Some(proto::value::Kind::Text(word) | proto::value::Kind::Label(word)) => word,
        other => panic!("{name}: {other:?}"),
    }
}

/// The one alert that there is, as soon as the load is sampled.
async fn only_alert(client: &mut AgentClient<Channel>) -> proto::Alert {
    loop {
        let alerts = client.alerts(proto::AlertsRequest {}).await.unwrap().into_inner().alerts;
        if let Some(alert) = alerts.into_iter().next() {
            return alert;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Events, and the alerts that were told before them.
async fn events(client: &mut AgentClient<Channel>) -> (tonic::Streaming<proto::Event>, Vec<proto::Alert>) {
    let mut events = client.events(proto::EventsRequest {}).await.unwrap().into_inner();
    let mut told = Vec::new();
    loop {
        match next(&mut events).await {
            Event::Begin(_) => return (events, told),
            Event::Alert(alert) => told.push(alert),
            Event::State(_) => {}
            Event::Missed(count) => panic!("{count} are missed at the start"),
            Event::Change(change) => panic!("{change:?} is the past"),
        }
    }
}

async fn next(events: &mut tonic::Streaming<proto::Event>) -> Event {
    events.message().await.unwrap().unwrap().event.unwrap()
}

/// Says that the alerts of a rule are known; why not.
async fn acknowledge(client: &mut AgentClient<Channel>, rule: &str) -> String {
    let mute = proto::Mute { rule: rule.to_owned(), comment: Some("mine".to_owned()), ..Default::default() };
    let action = Some(proto::act_request::Action::Mute(mute));
    client.act(proto::ActRequest { action, ..Default::default() }).await.unwrap().into_inner().error
}

#[test]
fn alerts_and_events_tell_what_is_and_what_changes() {
    let agent = agent();
    wait(async {
        let mut client = AgentClient::new(channel(&agent).await);
        let wanted = ("load".to_owned(), "any".to_owned(), "careful".to_owned());
        let alert = only_alert(&mut client).await;
        let value = alert.value.as_ref().and_then(|value| value.kind.clone());
        assert!(matches!(value, Some(proto::value::Kind::Real(load)) if load >= 0.0), "{value:?}");
        assert_eq!((word(&alert.columns, "state").as_str(), word(&alert.row, "rule").as_str()), ("firing", "any"));
        let (mut events, told) = events(&mut client).await;
        assert_eq!(told.iter().map(place).collect::<Vec<_>>(), [wanted]);
        let refused = acknowledge(&mut client, "anny").await;
        assert_eq!(refused, "acknowledge alert anny: there is no such rule");
        assert_eq!(acknowledge(&mut client, "any").await, "");
        let (mut known, mut said) = (false, false);
        while !(known && said) {
            match next(&mut events).await {
                Event::Alert(alert) => {
                    let state = word(&alert.columns, "state");
                    assert_eq!((state.as_str(), alert.level.as_str()), ("acknowledged", "careful"));
                    assert_eq!(word(&alert.columns, "comment"), "mine");
                    known = true;
                }
                Event::Change(change) => {
                    assert_eq!(word(&change.columns, "what"), "acknowledged");
                    said = true;
                }
                _ => {}
            }
        }
    });
}

#[test]
fn an_alert_is_as_it_was_while_the_sampler_says_nothing() {
    let agent = agent();
    wait(async {
        let mut client = AgentClient::new(channel(&agent).await);
        only_alert(&mut client).await;
        let (mut events, _) = events(&mut client).await;
        // SAFETY: the sampler of the agent that this test has started
        assert_eq!(unsafe { libc::kill(agent.part("netglance-sampl") as i32, libc::SIGSTOP) }, 0);
        let (mut load, mut alert) = (false, false);
        while !(load && alert) {
            match next(&mut events).await {
                Event::State(source) => {
                    let status = source.status.unwrap();
                    // one that was told before it stopped
                    if status.state != "stale" {
                        continue;
                    }
                    assert!(status.reason.contains("the sampler has said nothing"), "{}", status.reason);
                    load |= (source.table.as_str(), source.collector.as_str()) == ("load", "load");
                    alert |= source.table == "alert";
                }
                other => panic!("{other:?}"),
            }
        }
    });
}
