//! How long does somebody who guesses have to wait?
//!
//! As OpenSSH counts it: each failure costs 5 s, who owes 15 s is refused until they have passed, and nobody owes more than
//! 600 s. An IPv6 network of 64 bits is one source, because whoever has one address of it has them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// What a failure costs.
const COST: Duration = Duration::from_secs(5);

/// From here on a source is refused.
const ENFORCED: Duration = Duration::from_secs(15);

/// The most that a source owes.
const MOST: Duration = Duration::from_mins(10);

/// Sources that are remembered.
const MAX_SOURCES: usize = 65_536;

/// Who owes how much.
#[derive(Default)]
pub(super) struct Penalties(HashMap<IpAddr, Debt>);

struct Debt {
    /// When nothing is owed any more.
    paid: Instant,
    refused: bool,
}

/// Who is meant by an address.
pub(super) fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

impl Penalties {
    /// Counts a failure; whether the address is refused from now on.
    pub(super) fn fail(&mut self, address: IpAddr, now: Instant) -> bool {
        if self.0.len() >= MAX_SOURCES && !self.0.contains_key(&source(address)) {
            self.0.retain(|_, debt| debt.paid > now);
            if self.0.len() >= MAX_SOURCES {
                // the one who has paid most of it makes room
                let least = self.0.iter().min_by_key(|(_, debt)| debt.paid).map(|(address, _)| *address);
                least.and_then(|address| self.0.remove(&address));
            }
        }
        let debt = self.0.entry(source(address)).or_insert(Debt { paid: now, refused: false });
        if debt.paid <= now {
            *debt = Debt { paid: now, refused: false };
        }
        debt.paid = (debt.paid + COST).min(now + MOST);
        let begins = !debt.refused && debt.paid - now >= ENFORCED;
        debt.refused |= begins;
        begins
    }

    /// Whether an address is refused.
    pub(super) fn refuses(&self, address: IpAddr, now: Instant) -> bool {
        self.0.get(&source(address)).is_some_and(|debt| debt.refused && now < debt.paid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_third_failure_costs_fifteen_seconds() {
        let (mut penalties, start, who) = (Penalties::default(), Instant::now(), address("10.0.0.1"));
        for _ in 0..2 {
            penalties.fail(who, start);
            assert!(!penalties.refuses(who, start));
        }
        penalties.fail(who, start);
        assert!(penalties.refuses(who, start));
        assert!(penalties.refuses(who, start + Duration::from_millis(14_900)));
        assert!(!penalties.refuses(who, start + Duration::from_secs(15)));
        assert!(!penalties.refuses(address("10.0.0.2"), start));
        // what is paid is forgotten
        penalties.fail(who, start + Duration::from_secs(15));
        assert!(!penalties.refuses(who, start + Duration::from_secs(15)));
    }

    #[test]
    fn nobody_waits_longer_than_ten_minutes() {
        let (mut penalties, start, who) = (Penalties::default(), Instant::now(), address("2001:db8::1"));
        for _ in 0..10_000 {
            penalties.fail(who, start);
        }
        assert!(penalties.refuses(address("2001:db8::ffff:1"), start + Duration::from_secs(599)));
        assert!(!penalties.refuses(who, start + MOST));
        assert!(!penalties.refuses(address("2001:db8:0:1::1"), start));
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_kept() {
        let (mut penalties, start, worst) = (Penalties::default(), Instant::now(), address("192.0.2.1"));
        for _ in 0..5 {
            penalties.fail(worst, start);
        }
        for number in 0..70_000_u32 {
            penalties.0.entry(IpAddr::V4(number.into())).or_insert(Debt { paid: start + COST, refused: false });
            if penalties.0.len() == MAX_SOURCES {
                break;
            }
        }
        for number in 0..100_u32 {
            penalties.fail(IpAddr::V4((0x0a00_0000 + number).into()), start);
        }
        assert!(penalties.0.len() <= MAX_SOURCES);
        assert!(penalties.refuses(worst, start));
    }
}
