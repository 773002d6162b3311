//! How does what is to be told get from the sampler to the courier, and how does it learn what came of it?
//!
//! Each [`Errand`] is one attempt of one action. The courier carries out eight at once, and one of each action; those of an action
//! that hangs wait, and hold up no other. What came of one goes back as an [`Ended`], over the next link if the one that it came
//! by has broken, for whom it may concern then: the sampler has heard by the end of the link that nobody knows. One that was
//! started again has another era: what it never sent off is no news to it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::link;
use crate::alert::action::{self, Action, Files, Means, Outside, Settings};
use crate::alert::{Failure, Fate, Message, Order, Outbox, Outcome};
use crate::model::lock;

/// Bytes of an errand at most.
pub(super) const MAX_ERRAND: usize = 1 << 20;

/// Errands that wait in the courier at most: a sampler that was taken over may send any number.
const MOST: usize = 512;

/// Attempts at once.
const THREADS: usize = 8;

/// Bytes of a reason at most.
const MAX_CAUSE: usize = 8 << 10;

/// How long the sampler waits for an order at once.
const LOOK: Duration = Duration::from_secs(1);

/// What is to be told.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Errand {
    /// Which sampler sends it.
    #[prost(fixed64, tag = "1")]
    era: u64,
    #[prost(uint64, tag = "2")]
    seq: u64,
    #[prost(string, tag = "3")]
    action: String,
    /// The message as JSON.
    #[prost(bytes = "vec", tag = "4")]
    message: Vec<u8>,
}

/// What came of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ended {
    #[prost(fixed64, tag = "1")]
    era: u64,
    #[prost(uint64, tag = "2")]
    seq: u64,
    /// Why it was not told.
    #[prost(string, optional, tag = "3")]
    cause: Option<String>,
    /// What became of the message then, as the number of a [`Fate`].
    #[prost(uint32, tag = "4")]
    fate: u32,
    /// Changes that were told all the same.
    #[prost(string, repeated, tag = "5")]
    told: Vec<String>,
    /// Seconds for which whoever is told wants to be left alone.
    #[prost(uint32, optional, tag = "6")]
    after: Option<u32>,
}

impl Errand {
    fn of(order: &Order, era: u64) -> Result<Self, Failure> {
        let message = serde_json::to_vec(&order.message);
        let message = message.map_err(|cause| Failure::refused(format!("hand over a message: {cause}")))?;
        if message.len() > MAX_ERRAND - 1024 {
            return Err(Failure::refused(format!("hand over a message: it has {} bytes", message.len())));
        }
        Ok(Self { era, seq: order.seq, action: order.action.clone(), message })
    }

    fn message(&self) -> Result<Message, Failure> {
        let message = serde_json::from_slice::<Message>(&self.message);
        message.map(Message::safe).map_err(|cause| Failure::refused(format!("read a message: {cause}")))
    }

    fn ended(&self, result: Result<(), Failure>) -> Ended {
        let ended = Ended { era: self.era, seq: self.seq, ..Ended::default() };
        match result {
            Ok(()) => ended,
            Err(Failure { cause, fate, told, after }) => Ended {
                cause: Some(cut(cause)),
                fate: fate.number(),
                told,
                after: after.map(|after| u32::try_from(after.as_secs()).unwrap_or(u32::MAX)),
                ..ended
            },
        }
    }
}

/// A reason that has room.
fn cut(mut cause: String) -> String {
    let end = (0..=MAX_CAUSE.min(cause.len())).rev().find(|end| cause.is_char_boundary(*end));
    cause.truncate(end.unwrap_or_default());
    cause
}

impl Ended {
    /// As the sampler of an era knows it; `None` if it is another's.
    pub(super) fn outcome(self, era: u64) -> Option<Outcome> {
        let after = self.after.map(|after| Duration::from_secs(after.into()));
        let failed = |cause: String| Failure { cause: cut(cause), fate: Fate::of(self.fate), told: self.told, after };
        let result = self.cause.map_or(Ok(()), |cause| Err(failed(cause)));
        (self.era == era).then_some(Outcome { seq: self.seq, result })
    }
}

/// Hands orders to the courier over a link of an outbox until that ends or another one takes its place.
pub(super) fn ship(outbox: &Outbox, link: u64, mut socket: &UnixStream, era: u64) -> io::Result<()> {
    while let Ok(order) = outbox.next(link, LOOK) {
        let Some(order) = order else { continue };
        let outcome = |result| outbox.outcome(Outcome { seq: order.seq, result });
        match Errand::of(&order, era) {
            Err(failure) => outcome(Err(failure)),
            Ok(errand) => {
                if let Err(cause) = link::write(&mut socket, &errand) {
                    // it did not get there whole
                    outcome(Err(Failure::unsent(format!("hand an order to the courier: {cause}"))));
                    return Err(cause);
                }
            }
        }
    }
    Ok(())
}

/// Takes what came of errands.
pub(super) type Tell = Box<dyn Fn(Ended) + Send + Sync>;

/// What the courier has to do.
pub(super) struct Deliveries {
    state: Mutex<State>,
    outside: Arc<dyn Outside>,
    tell: Tell,
}

#[derive(Default)]
struct State {
    actions: HashMap<String, Arc<Action>>,
    files: Files,
    waiting: VecDeque<Errand>,
    /// Actions of which an attempt is made.
    under_way: HashSet<String>,
    threads: usize,
}

impl Deliveries {
    /// One that has nothing to do.
    pub(super) fn new(outside: Arc<dyn Outside>, tell: Tell) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), outside, tell })
    }

    /// Carries out what is configured from now on.
    pub(super) fn configure(&self, actions: Settings, files: Files) {
        let mut state = lock(&self.state);
        state.actions = actions.into_iter().map(|action| (action.name.clone(), Arc::new(action))).collect();
        state.files = files;
    }

    /// Takes errands until the link ends.
    ///
    /// # Errors
    /// It broke, or what it carries is something else.
    pub(super) fn hear(self: &Arc<Self>, mut socket: &UnixStream) -> io::Result<()> {
        while let Some(errand) = link::read::<Errand>(&mut socket, MAX_ERRAND)? {
            self.take(errand);
        }
        Ok(())
    }

    /// Takes one.
    fn take(self: &Arc<Self>, errand: Errand) {
        let mut state = lock(&self.state);
        if state.waiting.len() >= MOST {
            drop(state);
            (self.tell)(
                errand.ended(Err(Failure::unsent("hand an order to the courier: too many wait there".to_owned()))),
            );
            return;
        }
        state.waiting.push_back(errand);
        if state.threads >= THREADS {
            return;
        }
        state.threads += 1;
        drop(state);
        let own = Arc::clone(self);
        let started = std::thread::Builder::new().name("deliver".to_owned()).spawn(move || own.work());
        if let Err(cause) = started {
            let mut state = lock(&self.state);
            state.threads -= 1;
            // those that run take it later
            let left = if state.threads == 0 { state.waiting.pop_back() } else { None };
            drop(state);
            if let Some(errand) = left {
                (self.tell)(errand.ended(Err(Failure::unsent(format!("start a thread: {cause}")))));
            }
        }
    }

    /// Carries out what may be carried out now, until there is nothing.
    fn work(&self) {
        while let Some((errand, action, files)) = self.next() {
            let means = Means { files, outside: Arc::clone(&self.outside) };
            let result = match &action {
                Some(action) => errand.message().and_then(|message| action::attempt(action, &means, &message)),
                // one that was configured a moment ago is known soon
                None => Err(Failure::unsent("the courier knows no such action".to_owned())),
            };
            lock(&self.state).under_way.remove(&errand.action);
            (self.tell)(errand.ended(result));
        }
    }

    /// The first errand whose action is not busy; without one there is a thread less.
    fn next(&self) -> Option<(Errand, Option<Arc<Action>>, Files)> {
        let mut state = lock(&self.state);
        let at = state.waiting.iter().position(|errand| !state.under_way.contains(&errand.action));
        let Some(errand) = at.and_then(|at| state.waiting.remove(at)) else {
            state.threads -= 1;
            return None;
        };
        state.under_way.insert(errand.action.clone());
        Some((errand.clone(), state.actions.get(&errand.action).cloned(), state.files.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::time::Instant;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Somebody who runs a program until the test says so.
    struct Slow {
        begun: Mutex<Sender<String>>,
        go: HashMap<&'static str, Mutex<Receiver<()>>>,
    }

    impl Outside for Slow {
        fn addresses(&self, _: &str, _: Instant) -> io::Result<Vec<IpAddr>> {
            Ok(Vec::new())
        }

        fn run(&self, action: &str, message: &Message, _: Instant) -> Result<(), Failure> {
            lock(&self.begun).send(format!("{action} {}", message.host)).unwrap();
            lock(&self.go[action]).recv_timeout(PATIENCE).unwrap();
            if message.host == "bad" { Err(Failure::refused("no".to_owned())) } else { Ok(()) }
        }
    }

    fn order(seq: u64, action: &str, host: &str) -> Order {
        Order { seq, action: action.to_owned(), message: Message { host: host.to_owned(), ..Message::default() } }
    }

    fn actions() -> Settings {
        let text = "name = 'NAME'\ncommand = { argv = ['/x'] }";
        ["a", "b"].map(|name| toml::from_str(&text.replace("NAME", name)).unwrap()).into()
    }

    #[test]
    fn one_action_at_a_time_and_others_beside_it() {
        let (begun, begins) = channel();
        let (told, tells) = channel();
        let gates = ["a", "b"].map(|name| (name, channel()));
        let (go, gates): (HashMap<_, _>, HashMap<_, _>) =
            gates.into_iter().map(|(name, (open, gate))| ((name, open), (name, Mutex::new(gate)))).unzip();
        let outside = Arc::new(Slow { begun: Mutex::new(begun), go: gates });
        let told = Mutex::new(told);
        let deliveries = Deliveries::new(outside, Box::new(move |ended| lock(&told).send(ended).unwrap()));
        deliveries.configure(actions(), Files::default());
        let outbox = Arc::<Outbox>::default();
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (box_of, link) = (Arc::clone(&outbox), outbox.link());
        let shipping = std::thread::spawn(move || ship(&box_of, link, &ours, 7));
        for (seq, action, host) in [(1, "a", "one"), (2, "a", "bad"), (3, "b", "three"), (4, "none", "x")] {
            assert!(outbox.order(order(seq, action, host)));
        }
        let hearing = {
            let deliveries = Arc::clone(&deliveries);
            std::thread::spawn(move || deliveries.hear(&theirs))
        };
        let next = || tells.recv_timeout(PATIENCE).unwrap().outcome(7).unwrap();
        let mut first = [begins.recv_timeout(PATIENCE).unwrap(), begins.recv_timeout(PATIENCE).unwrap()];
        first.sort();
        assert_eq!(first, ["a one", "b three"]);
        let unknown = next();
        assert_eq!((unknown.seq, unknown.result.unwrap_err().fate), (4, Fate::Unsent));
        go["b"].send(()).unwrap();
        assert_eq!(next(), Outcome { seq: 3, result: Ok(()) });
        assert!(begins.try_recv().is_err(), "two of one action");
        go["a"].send(()).unwrap();
        assert_eq!(next().seq, 1);
        assert_eq!(begins.recv_timeout(PATIENCE).unwrap(), "a bad");
        go["a"].send(()).unwrap();
        assert_eq!(next(), Outcome { seq: 2, result: Err(Failure::refused("no".to_owned())) });
        outbox.lose(link);
        shipping.join().unwrap().unwrap();
        hearing.join().unwrap().unwrap();
        let start = Instant::now();
        while lock(&deliveries.state).threads > 0 {
            assert!(start.elapsed() < PATIENCE);
            std::thread::yield_now();
        }
    }

    #[test]
    fn what_another_sampler_has_sent_is_no_news() {
        let errand = Errand::of(&order(1, "a", "x"), 7).unwrap();
        assert_eq!(errand.ended(Ok(())).outcome(8), None);
        let failure =
            Failure::unsent("ö".repeat(MAX_CAUSE)).but(vec!["id".to_owned()]).after(Some(Duration::from_mins(1)));
        let long = errand.ended(Err(failure)).outcome(7).unwrap().result.unwrap_err();
        assert_eq!((long.cause.len(), long.fate, long.told), (MAX_CAUSE, Fate::Unsent, vec!["id".to_owned()]));
        assert_eq!(long.after, Some(Duration::from_mins(1)));
    }

    #[test]
    fn an_order_that_cannot_be_handed_over_has_an_outcome() {
        let outbox = Outbox::default();
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut large = order(1, "a", "x");
        large.message.host = "x".repeat(MAX_ERRAND);
        assert!(outbox.order(large) && outbox.order(order(2, "a", "x")));
        assert!(ship(&outbox, outbox.link(), &ours, 7).is_err());
        let fates: Vec<_> = outbox.outcomes().into_iter().map(|one| (one.seq, one.result.unwrap_err().fate)).collect();
        assert_eq!(fates, [(1, Fate::Refused), (2, Fate::Unsent)]);
    }
}
