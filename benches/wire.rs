//! What does an agent cost on the wire, at its front and at a client?
//!
//! `cargo bench --bench wire -- [--processes N] [--seconds S] [--watchers N,N,...] [--agent PROGRAM]` starts the agent of
//! this build, or that program, with so many sleeping processes beside it and watches every table that is collected
//! anyway. It prints the bytes of the first frame, bytes and frames of an update (a second), which tables they are of,
//! the CPU time of the client for an update, and the CPU use of the front with so many watchers of the same tables.
//! Nothing is judged here: figures depend on the machine. Under `cargo test` it measures for a second with a handful, so
//! that it runs.

use std::collections::BTreeMap;
use std::error::Error;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper_util::rt::TokioIo;
use netglance::wire::mirror::Mirror;
use netglance::wire::proto::agent_client::AgentClient;
use netglance::wire::{MAX_MESSAGE, proto, schema};
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};
use support::Sleepers;
use tonic::Streaming;
use tonic::transport::{Endpoint, Uri};

mod support;

type Failure = Box<dyn Error>;

/// What the command line asks for.
struct Options {
    processes: usize,
    seconds: u64,
    watchers: Vec<usize>,
    agent: PathBuf,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self, Failure> {
        let value = |name: &str| {
            let at = args.iter().position(|arg| arg == name)?;
            args.get(at + 1).map(String::as_str)
        };
        let measured = args.iter().any(|arg| arg == "--bench");
        let watchers = value("--watchers").unwrap_or(if measured { "1,100,1000" } else { "2" });
        Ok(Self {
            processes: value("--processes").unwrap_or(if measured { "2000" } else { "5" }).parse()?,
            seconds: value("--seconds").unwrap_or(if measured { "20" } else { "1" }).parse()?,
            watchers: watchers.split(',').map(str::parse).collect::<Result<_, _>>()?,
            agent: value("--agent").unwrap_or(env!("CARGO_BIN_EXE_netglance")).into(),
        })
    }
}

/// The agent.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(program: &Path, dir: &Path) -> Result<Self, Failure> {
        let socket = dir.join("socket");
        let child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--socket"])
            .arg(&socket)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { child, socket })
    }

    /// CPU seconds of one of its parts so far.
    fn cpu(&self, part: &str) -> Result<f64, Failure> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
        for child in children.split_whitespace() {
            let command = std::fs::read(format!("/proc/{child}/cmdline"))?;
            if command.ends_with(format!("{part}\0").as_bytes()) {
                let stat = std::fs::read_to_string(format!("/proc/{child}/stat"))?;
                let fields = stat.rsplit_once(") ").ok_or("stat")?.1;
                let ticks: Vec<f64> = fields.split(' ').skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
                return Ok(ticks.iter().sum::<f64>() / 100.0);
            }
        }
        Err(format!("the agent has no {part}").into())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Watches all tables that are collected anyway.
async fn watch(socket: &Path) -> Result<Streaming<proto::WatchReply>, Failure> {
    let path = socket.to_owned();
    let connect = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://netglance.invalid").connect_with_connector(connect).await?;
    let mut client = AgentClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let request = proto::WatchRequest { hash: schema::own().hash.clone(), ..Default::default() };
    Ok(client.watch(request).await?.into_inner())
}

/// The agent's socket, when it is there.
async fn ready(socket: &Path) -> Result<Streaming<proto::WatchReply>, Failure> {
    let begin = Instant::now();
    loop {
        match watch(socket).await {
            Ok(stream) => return Ok(stream),
            Err(cause) if begin.elapsed() > Duration::from_secs(20) => return Err(cause),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn say(words: std::fmt::Arguments<'_>) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{words}")
}

/// CPU seconds of this thread.
fn cpu() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// What one client gets and does in a while.
async fn client(stream: &mut Streaming<proto::WatchReply>, seconds: u64) -> Result<(), Failure> {
    let mut mirror = Mirror::new(Arc::clone(schema::own()));
    let first = stream.message().await?.ok_or("no first frame")?.frame;
    say(format_args!("first frame {} bytes", first.len()))?;
    mirror.apply(&proto::Frame::decode(first)?)?;
    // what comes for the first time is no update
    let warm = Instant::now() + Duration::from_secs(seconds.min(5));
    let (mut bytes, mut frames, mut spent) = (0usize, 0usize, 0.0);
    let mut tables: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let end = warm + Duration::from_secs(seconds);
    while let Ok(message) = tokio::time::timeout_at(end.into(), stream.message()).await {
        let begin = cpu();
        let reply = message?.ok_or("the agent has ended")?.frame;
        let (length, frame) = (reply.len(), proto::Frame::decode(reply)?);
        mirror.apply(&frame)?;
        if Instant::now() < warm {
            continue;
        }
        spent += cpu() - begin;
        (bytes, frames) = (bytes + length, frames + 1);
        for table in &frame.tables {
            let name = schema::own().layouts.get(table.table as usize).map_or("?", |layout| &layout.table.name);
            let sum = tables.entry(name.to_owned()).or_default();
            *sum = (sum.0 + table.encoded_len(), sum.1 + 1);
        }
    }
    let updates = seconds as f64;
    say(format_args!("update {:.0} bytes in {:.1} frames", bytes as f64 / updates, frames as f64 / updates))?;
    say(format_args!("client {:.3} ms of CPU for an update, without drawing", spent * 1e3 / updates))?;
    let mut tables: Vec<_> = tables.into_iter().collect();
    tables.sort_by_key(|(_, (bytes, _))| std::cmp::Reverse(*bytes));
    for (name, (bytes, told)) in tables.iter().take(12) {
        say(format_args!("  {name:16} {:7.0} bytes {:5.1} times", *bytes as f64 / updates, *told as f64 / updates))?;
    }
    Ok(())
}

/// CPU use of the front while so many watch.
async fn front(agent: &Agent, count: usize, seconds: u64) -> Result<(), Failure> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let mut stream = watch(&agent.socket).await?;
        stream.message().await?;
        tasks.spawn(async move { while let Ok(Some(_)) = stream.message().await {} });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (begin, before) = (Instant::now(), agent.cpu("front")?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let used = (agent.cpu("front")? - before) / begin.elapsed().as_secs_f64();
    let each = used * 1e3 / count as f64;
    say(format_args!("{count:5} watchers: front {:.1} ms/s, {each:.3} ms/s for each", used * 1e3))?;
    tasks.abort_all();
    Ok(())
}

fn main() -> Result<(), Failure> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let options = Options::parse(&args)?;
    let _sleepers = Sleepers::start(options.processes).map_err(|cause| format!("fork: {cause}"))?;
    let dir = tempfile::tempdir()?;
    let agent = Agent::start(&options.agent, dir.path())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stream = ready(&agent.socket).await?;
        say(format_args!("{} sleeping processes", options.processes))?;
        client(&mut stream, options.seconds).await?;
        drop(stream);
        for count in &options.watchers {
            front(&agent, *count, options.seconds).await?;
        }
        Ok(())
    })
}
