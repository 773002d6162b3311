//! What has become of the routes of one network namespace?
//!
//! A [`Post`] hears of changes before it dumps routes for the first time, so that none falls between. What it hears is counted
//! and logged; that routes are missing which nobody has told to be deleted is seen when they are dumped again, which is after
//! each change, but no more than a twentieth of the time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::rows::{self, Texts};
use super::{RouteChange, RouteChangeRow, RouteChurnRow, RouteRow};
use crate::collect::neighbor::InetFamily;
use crate::collect::{Cx, Want};
use crate::model::{Mono, Row as _, Text, Timestamp, Value};
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::netlink::fib::{self, Nexthops, Route};
use crate::source::netlink::route::{self, LinkNews};
use crate::source::netlink::{Changing, Family, Message, Part, Patience, Socket, words};

/// Bytes of notifications that may wait.
const BUFFER: usize = 8 << 20;
/// Datagrams that are read at once; more wait, or are lost and counted.
const MAX_HEARD: usize = 1 << 17;
/// Changes that are kept.
const MOST: usize = 2048;
/// How many times as long as a dump takes the next one waits.
const REST: u64 = 20;

/// The newest changes.
#[derive(Default)]
pub(super) struct Log {
    rows: VecDeque<RouteChangeRow>,
    count: u64,
}

impl Log {
    /// Changes that there have been.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Those that are kept, the oldest first.
    pub(super) fn rows(&self) -> Vec<RouteChangeRow> {
        self.rows.iter().cloned().collect()
    }

    fn push(&mut self, row: RouteChangeRow) {
        self.count += 1;
        if self.rows.len() == MOST {
            self.rows.pop_front();
        }
        self.rows.push_back(RouteChangeRow { seq: self.count, ..row });
    }
}

/// Which routes readers keep.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted(Vec<(usize, Vec<Value>)>);

impl Wanted {
    pub(super) fn of(want: &Want) -> Self {
        let only = want.only().into_iter();
        Self(only.filter_map(|(column, values)| Some((RouteRow::TABLE.position(&column)?, values))).collect())
    }

    fn keeps(&self, row: &RouteRow) -> bool {
        self.0.iter().all(|(column, values)| values.iter().any(|value| value.as_cell() == row.cell(*column)))
    }
}

/// Routes that are kept while somebody looks at them.
pub(super) struct Kept {
    pub(super) rows: Arc<Vec<RouteRow>>,
    pub(super) left_out: usize,
    /// Whether they changed during every attempt to read them.
    pub(super) is_changing: bool,
    wanted: Wanted,
}

/// How the routes of one protocol change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Churn {
    added: u64,
    deleted: u64,
    replaced: u64,
    /// At the last dump.
    routes: Option<u64>,
    /// How many more there must be since.
    more: i64,
}

/// Family and protocol.
type Maker = (u8, u8);

/// What is known of one network namespace.
pub(super) struct Post {
    news: Socket,
    asks: Socket,
    /// What was heard since the last dump makes another necessary.
    is_stale: bool,
    /// Since the last dump something happened with which routes go and nothing is told.
    may_flush: bool,
    /// When routes may be dumped again.
    next: Mono,
    churn: BTreeMap<Maker, Churn>,
    overruns: u64,
    texts: Texts,
    kept: Option<Kept>,
}

impl Post {
    pub(super) fn open() -> Result<Self, Error> {
        let groups = [fib::GROUP_ROUTE4, fib::GROUP_ROUTE6, route::GROUP_LINK, route::GROUP_ADDRESS4];
        Ok(Self {
            // before routes are dumped, so that no change falls between the two
            news: Socket::subscribe_with(Family::Route, &groups, BUFFER)?,
            asks: Socket::open(Family::Route)?,
            is_stale: true,
            may_flush: false,
            next: Mono(0),
            churn: BTreeMap::new(),
            overruns: 0,
            texts: Texts::default(),
            kept: None,
        })
    }

    /// The socket for other questions.
    pub(super) fn asks(&mut self) -> &mut Socket {
        &mut self.asks
    }

    /// The routes, if anybody looks at them.
    pub(super) fn kept(&self) -> Option<&Kept> {
        self.kept.as_ref()
    }

    /// Reads what was told.
    pub(super) fn listen(&mut self, netns: &Text, cx: &Cx<'_>, log: &mut Log) -> Result<(), Error> {
        let Self { news, churn, texts, is_stale, may_flush, .. } = self;
        let (_, lost) = news.drain_some(MAX_HEARD, |message| {
            *is_stale = true;
            let Some(route) = fib::route(message)? else {
                // an interface or an address
                *may_flush = true;
                if let Some(LinkNews::Is(link)) = route::link_news(message)? {
                    texts.names.insert(link.index, link.name);
                }
                return Ok(());
            };
            let action = counted(churn.entry((route.family, route.protocol)).or_default(), message, &route);
            log.push(rows::told(netns, action, &route, texts, cx.time));
            Ok(())
        })?;
        if lost > 0 {
            self.is_stale = true;
            self.overruns += lost;
            // what is missing is not known to be flushed
            self.forget();
            log.push(rows::change(netns, RouteChange::Lost, cx.time));
        }
        Ok(())
    }

    fn forget(&mut self) {
        for churn in self.churn.values_mut() {
            churn.routes = None;
        }
    }

    /// Dumps routes if that is due, and keeps as many as there is room for if anybody looks at them.
    pub(super) fn look(
        &mut self,
        netns: &Text,
        cx: &Cx<'_>,
        room: Option<(&Wanted, usize)>,
        log: &mut Log,
    ) -> Result<(), Error> {
        let has_all = match (&self.kept, room) {
            (Some(kept), Some((wanted, room))) => kept.wanted == *wanted && kept.rows.len() <= room,
            (_, None) => true,
            (None, Some(_)) => false,
        };
        if room.is_none() {
            self.kept = None;
        }
        if has_all && (!self.is_stale || cx.mono < self.next) {
            return Ok(());
        }
        let begin = Mono::now();
        let is_changing = self.dump(netns, cx.time, room, log)?;
        let took = Mono::now().0.saturating_sub(begin.0);
        self.next = Mono(cx.mono.0.saturating_add(took.saturating_mul(REST)));
        (self.is_stale, self.may_flush) = (is_changing, false);
        Ok(())
    }

    /// Whether routes changed during every attempt.
    fn dump(
        &mut self,
        netns: &Text,
        now: Timestamp,
        room: Option<(&Wanted, usize)>,
        log: &mut Log,
    ) -> Result<bool, Error> {
        self.texts = Texts::with(route::link_names(&mut self.asks)?);
        let nexthops = match Nexthops::read(&mut self.asks) {
            // a kernel that is older than they are
            Err(error) if error.is_absent() => Nexthops::default(),
            nexthops => nexthops?,
        };
        let mut counts: BTreeMap<Maker, u64> = BTreeMap::new();
        let mut found = Bounded::new(room.map_or(0, |(_, room)| room));
        let mut is_changing = false;
        let texts = &mut self.texts;
        for family in [libc::AF_INET, libc::AF_INET6] {
            let (before, counted) = (found.mark(), counts.clone());
            let dumped = self.asks.dump_within(Patience::FEW, &fib::routes(family), |part| {
                let Part::Message(message) = part else {
                    found.back_to(before);
                    counts.clone_from(&counted);
                    return Ok(());
                };
                let Some(mut route) = fib::route(message)? else { return Ok(()) };
                *counts.entry((route.family, route.protocol)).or_default() += 1;
                if let Some((wanted, _)) = room {
                    nexthops.complete(&mut route);
                    found.extend(rows::row(netns, &route, texts, now).filter(|row| wanted.keeps(row)));
                }
                Ok(())
            });
            match dumped {
                Err(error) if Changing::is_cause_of(&error) => is_changing = true,
                // a kernel without IPv6
                Err(error) if error.is_absent() => {}
                dumped => dumped?,
            }
        }
        self.settle(netns, now, &counts, is_changing, log);
        if let Some((wanted, _)) = room {
            let left_out = found.left_out();
            let rows = Arc::new(found.into_kept());
            self.kept = Some(Kept { rows, left_out, is_changing, wanted: wanted.clone() });
        }
        Ok(is_changing)
    }

    /// Takes what a dump has counted, and logs what is missing.
    fn settle(
        &mut self,
        netns: &Text,
        now: Timestamp,
        counts: &BTreeMap<Maker, u64>,
        is_changing: bool,
        log: &mut Log,
    ) {
        for maker in counts.keys() {
            self.churn.entry(*maker).or_default();
        }
        for (maker, churn) in &mut self.churn {
            let count = counts.get(maker).copied().unwrap_or(0);
            let must = churn.routes.map_or(0, |routes| routes.saturating_add_signed(churn.more));
            let flushed = must.saturating_sub(count);
            if self.may_flush && !is_changing && flushed > 0 {
                churn.deleted += flushed;
                log.push(RouteChangeRow {
                    family: InetFamily::of(maker.0),
                    protocol: Some(words::protocol(maker.1)),
                    routes: Some(flushed),
                    ..rows::change(netns, RouteChange::Flushed, now)
                });
            }
            (churn.routes, churn.more) = (Some(count), 0);
        }
    }

    /// A row for each protocol that has, or had, any route.
    pub(super) fn churn(&self, netns: &Text) -> Vec<RouteChurnRow> {
        let row = |(maker, churn): (&Maker, &Churn)| {
            Some(RouteChurnRow {
                netns: netns.clone(),
                family: InetFamily::of(maker.0)?,
                protocol: words::protocol(maker.1),
                routes: churn.routes,
                added: churn.added,
                deleted: churn.deleted,
                replaced: churn.replaced,
                overruns: self.overruns,
            })
        };
        self.churn.iter().filter_map(row).collect()
    }
}

/// Counts a change that was told.
fn counted(churn: &mut Churn, message: Message<'_>, route: &Route) -> RouteChange {
    if message.kind == fib::DEL_ROUTE {
        churn.deleted += 1;
        churn.more -= 1;
        return RouteChange::Deleted;
    }
    if message.flags & fib::REPLACES != 0 {
        churn.replaced += 1;
        return RouteChange::Replaced;
    }
    churn.added += 1;
    // one more next hop of IPv6 is no more route
    if message.flags & fib::APPENDS == 0 || i32::from(route.family) == libc::AF_INET {
        churn.more += 1;
    }
    RouteChange::Added
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::Wants;
    use crate::model::Owners;
    use crate::source::file::Roots;
    use crate::source::netlink::testing::{in_own_network, ip, ip_batch};
    use crate::source::netns;

    /// Takes a sample that is so many seconds after the first.
    fn sample(post: &mut Post, log: &mut Log, second: u64) -> BTreeMap<(String, String), RouteChurnRow> {
        let (roots, wants, owners) = (Roots::live(), Wants::default(), Owners::default());
        let mono = Mono(Mono::now().0 + second * 1_000_000_000);
        let cx = Cx { roots: &roots, wants: &wants, owners: &owners, time: Timestamp::now(), mono };
        let host = netns::host();
        post.listen(&host, &cx, log).unwrap();
        post.look(&host, &cx, None, log).unwrap();
        let rows = post.churn(&host).into_iter();
        rows.map(|row| ((row.family.name().to_owned(), row.protocol.to_string()), row)).collect()
    }

    fn two_ends() {
        ip("link add left type veth peer name right");
        ip("link set left up");
        ip("link set right up");
        ip("addr add 10.9.0.1/24 dev left");
    }

    #[test]
    fn root_routes_that_go_with_their_interface_are_missed() {
        in_own_network(|| {
            two_ends();
            let (mut post, mut log) = (Post::open().unwrap(), Log::default());
            ip_batch((0..50).map(|number| format!("route add 10.20.{number}.0/24 via 10.9.0.2 proto bgp")));
            let bgp = ("inet".to_owned(), "bgp".to_owned());
            let churn = sample(&mut post, &mut log, 0).remove(&bgp).unwrap();
            assert_eq!((churn.added, churn.deleted, churn.routes), (50, 0, Some(50)));
            ip("route replace 10.20.3.0/24 via 10.9.0.3 proto bgp");
            ip("route del 10.20.4.0/24 proto bgp");
            let churn = sample(&mut post, &mut log, 10).remove(&bgp).unwrap();
            assert_eq!((churn.added, churn.deleted, churn.replaced, churn.routes), (50, 1, 1, Some(49)));
            ip("link set left down");
            let churn = sample(&mut post, &mut log, 20).remove(&bgp).unwrap();
            assert_eq!((churn.added, churn.deleted, churn.routes), (50, 50, Some(0)));
            let rows = log.rows();
            let flushed = rows.iter().filter(|row| row.action == RouteChange::Flushed);
            let flushed: Vec<_> = flushed.map(|row| (row.protocol.as_deref().unwrap(), row.routes)).collect();
            assert!(flushed.contains(&("bgp", Some(49))), "{flushed:?}");
            let replaced = rows.iter().find(|row| row.action == RouteChange::Replaced).unwrap();
            assert_eq!((replaced.gateway, replaced.interface.as_deref()), ("10.9.0.3".parse().ok(), Some("left")));
            let before = log.count();
            sample(&mut post, &mut log, 30);
            assert_eq!(log.count(), before, "nothing is missed twice");
        });
    }

    #[test]
    fn root_what_could_not_wait_is_lost_once_and_routes_are_counted_anew() {
        in_own_network(|| {
            two_ends();
            let (mut post, mut log) = (Post::open().unwrap(), Log::default());
            post.news = Socket::subscribe_with(Family::Route, &[fib::GROUP_ROUTE4], 4096).unwrap();
            sample(&mut post, &mut log, 0);
            ip_batch((0..2000).map(|number| {
                format!("route add 10.{}.{}.0/24 via 10.9.0.2 proto bgp", 20 + number / 200, number % 200)
            }));
            let churn = sample(&mut post, &mut log, 10).remove(&("inet".to_owned(), "bgp".to_owned())).unwrap();
            assert_eq!((churn.routes, churn.overruns > 0, churn.added < 2000), (Some(2000), true, true));
            assert_eq!(log.rows().iter().filter(|row| row.action == RouteChange::Lost).count(), 1);
            assert_eq!(sample(&mut post, &mut log, 20).values().map(|row| row.overruns).max(), Some(churn.overruns));
        });
    }

    #[test]
    fn root_routes_are_dumped_after_a_change_and_not_otherwise() {
        in_own_network(|| {
            let (mut post, mut log) = (Post::open().unwrap(), Log::default());
            sample(&mut post, &mut log, 0);
            let next = post.next;
            sample(&mut post, &mut log, 1000);
            assert_eq!(post.next, next, "nothing has changed");
            two_ends();
            post.next = Mono(u64::MAX);
            sample(&mut post, &mut log, 1001);
            assert_eq!((post.next, post.is_stale), (Mono(u64::MAX), true), "it is not time");
            post.next = Mono(0);
            sample(&mut post, &mut log, 1002);
            assert_eq!((post.next > Mono(0), post.is_stale), (true, false));
        });
    }

    #[test]
    fn the_oldest_changes_go_first_and_numbers_go_on() {
        let mut log = Log::default();
        for _ in 0..MOST + 3 {
            log.push(rows::change(&Text::from("host"), RouteChange::Lost, Timestamp(0)));
        }
        let rows = log.rows();
        assert_eq!((rows.len(), rows[0].seq, log.count()), (MOST, 4, MOST as u64 + 3));
    }
}
