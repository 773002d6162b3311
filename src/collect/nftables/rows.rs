//! How do rules, chains and sets become rows?

use std::collections::HashMap;

use super::{NftChainRow, NftFamily, NftFlowtableRow, NftRuleRow, NftSetRow, NftTableRow};
use crate::model::Text;
use crate::source::Error;
use crate::source::netlink::route::{self, LinkNews};
use crate::source::netlink::{Part, Socket};
use crate::source::nftables::decode::Counted;
use crate::source::nftables::instruction::{GOTO, Instruction, JUMP, NatKind};
use crate::source::nftables::text::kind;
use crate::source::nftables::text::{Names, Scene, declaration};
use crate::source::nftables::{self as nft, Chain, MapsTo, Rule, Ruleset};
use crate::source::xtables::Sets;
use crate::source::xtables::names::SetNames;

/// What people read of a rule.
pub(super) struct Words {
    family: NftFamily,
    table: Text,
    chain: Text,
    position: u64,
    verdict: Option<Text>,
    comment: Option<Text>,
    text: Text,
}

/// Names of this host that are the same in all its network namespaces.
pub(in crate::collect) struct Host;

/// Names of one network namespace.
pub(super) struct Here<'a> {
    links: HashMap<u32, String>,
    sets: SetNames<'a>,
}

impl<'a> Here<'a> {
    /// Reads the names of interfaces; those of sets are asked for over `netfilter` when a rule needs one.
    pub(super) fn read(links: &mut Socket, netfilter: &'a mut Socket) -> Result<Self, Error> {
        Ok(Self { links: interfaces(links)?, sets: SetNames::new(netfilter) })
    }
}

/// Reads the names of the interfaces of a namespace.
pub(in crate::collect) fn interfaces(links: &mut Socket) -> Result<HashMap<u32, String>, Error> {
    let mut names = HashMap::new();
    links.dump(&route::links(), |part| {
        match part {
            Part::Start => names.clear(),
            Part::Message(message) => {
                if let Some(LinkNews::Is(link)) = route::link_news(message)? {
                    names.insert(link.index.0, link.name.to_string());
                }
            }
        }
        Ok(())
    })?;
    Ok(names)
}

impl Sets for Host {
    fn set(&self, _: u16) -> Option<String> {
        None
    }
}

impl Names for Host {
    fn interface(&self, _: u32) -> Option<String> {
        None
    }

    fn cgroup(&self, _: u64) -> Option<String> {
        None
    }

    fn utc_offset(&self, at: Option<i64>) -> i64 {
        let at = at.and_then(|at| jiff::Timestamp::from_second(at).ok()).unwrap_or_else(jiff::Timestamp::now);
        i64::from(jiff::tz::TimeZone::system().to_offset(at).seconds())
    }
}

impl Sets for Here<'_> {
    fn set(&self, index: u16) -> Option<String> {
        self.sets.set(index)
    }
}

impl Names for Here<'_> {
    fn interface(&self, index: u32) -> Option<String> {
        self.links.get(&index).cloned()
    }

    fn cgroup(&self, id: u64) -> Option<String> {
        Host.cgroup(id)
    }

    fn utc_offset(&self, at: Option<i64>) -> i64 {
        Host.utc_offset(at)
    }
}

impl Words {
    pub(super) fn of(rule: &Rule, position: u64, ruleset: &Ruleset, names: &Here<'_>) -> Self {
        let scene = Scene::new(rule.family, &rule.table, &ruleset.names, names);
        Self {
            family: rule.family.into(),
            table: Text::new(&rule.table),
            chain: Text::new(&rule.chain),
            position,
            verdict: verdict(rule),
            comment: rule.comment.as_deref().map(Text::new),
            text: Text::from(scene.program(&rule.instructions, false)),
        }
    }
}

/// What becomes of packets that a rule fits.
fn verdict(rule: &Rule) -> Option<Text> {
    rule.instructions.iter().rev().find_map(|instruction| {
        Some(Text::from(match instruction {
            Instruction::Verdict(verdict) => match (&verdict.chain, verdict.code) {
                (Some(chain), JUMP | GOTO) => format!("{} {}", verdict.word()?, String::from_utf8_lossy(chain)),
                _ => verdict.word()?.to_owned(),
            },
            Instruction::Lookup { to: Some(None), .. } => "vmap".to_owned(),
            Instruction::Reject { .. } => "reject".to_owned(),
            Instruction::Queue { .. } => "queue".to_owned(),
            Instruction::Synproxy { .. } => "synproxy".to_owned(),
            Instruction::Tproxy { .. } => "tproxy".to_owned(),
            Instruction::Nat(nat) => match nat.kind {
                NatKind::Snat => "snat",
                NatKind::Dnat => "dnat",
                NatKind::Masquerade => "masquerade",
                NatKind::Redirect => "redirect",
            }
            .to_owned(),
            Instruction::Compat(extension) if extension.target => String::from_utf8_lossy(&extension.name).into_owned(),
            _ => return None,
        }))
    })
}

/// `rules_of` are the rules of each chain.
pub(super) fn table_row(netns: &Text, table: &nft::Table, ruleset: &Ruleset, rules_of: &[u64]) -> NftTableRow {
    const DORMANT: u32 = 1;
    let of = |family, name: &[u8]| family == table.family && name == table.name.as_slice();
    let chains = || ruleset.chains.iter().zip(rules_of).filter(|(chain, _)| of(chain.family, &chain.table));
    NftTableRow {
        netns: netns.clone(),
        family: table.family.into(),
        name: Text::new(&table.name),
        handle: table.handle,
        dormant: table.flags & DORMANT != 0,
        owner: table.owner,
        chains: chains().count() as u64,
        rules: chains().map(|(_, rules)| rules).sum(),
        sets: ruleset.names.sets().filter(|set| of(set.family, &set.table)).count() as u64,
    }
}

fn joined(names: &[Vec<u8>]) -> Option<Text> {
    let names: Vec<_> = names.iter().map(|name| String::from_utf8_lossy(name)).collect();
    (!names.is_empty()).then(|| Text::from(names.join(", ")))
}

pub(super) fn chain_row(netns: &Text, chain: &Chain, rules: u64) -> NftChainRow {
    const DROP: u32 = 0;
    NftChainRow {
        netns: netns.clone(),
        family: chain.family.into(),
        table: Text::new(&chain.table),
        name: Text::new(&chain.name),
        handle: chain.handle,
        kind: chain.kind.as_deref().map(Text::new),
        hook: chain.hook.as_ref().map(|place| Text::from(declaration::hook(chain.family, place.number))),
        priority: chain.hook.as_ref().map(|place| place.priority.into()),
        devices: chain.hook.as_ref().and_then(|place| joined(&place.devices)),
        policy: chain.policy.map(|policy| Text::from(if policy == DROP { "drop" } else { "accept" })),
        rules,
        packets: chain.counted.map(|(packets, _)| packets),
        bytes: chain.counted.map(|(_, bytes)| bytes),
    }
}

pub(super) fn rule_row(netns: &Text, rule: &Rule, words: &Words, counted: Option<Counted>) -> NftRuleRow {
    let counter = counted.and_then(|counted| counted.counter);
    NftRuleRow {
        netns: netns.clone(),
        family: words.family,
        table: words.table.clone(),
        chain: words.chain.clone(),
        handle: rule.handle,
        position: words.position,
        verdict: words.verdict.clone(),
        packets: counter.map(|(packets, _)| packets),
        bytes: counter.map(|(_, bytes)| bytes),
        idle: counted.and_then(|counted| counted.last).map(|ago| ago as f64 / 1e3),
        comment: words.comment.clone(),
        rule: words.text.clone(),
    }
}

/// What keys are made of, as in the declaration of a set.
fn kinds(parts: &[kind::Part]) -> Text {
    let names: Vec<_> = parts.iter().map(|part| part.kind.name()).collect();
    Text::from(names.join(" . "))
}

pub(super) fn set_row(netns: &Text, set: &nft::Set) -> NftSetRow {
    NftSetRow {
        netns: netns.clone(),
        family: set.family.into(),
        table: Text::new(&set.table),
        name: Text::new(&set.name),
        handle: set.handle,
        key: kinds(&set.key),
        data: match &set.data {
            MapsTo::Nothing => None,
            MapsTo::Verdicts => Some(Text::from("verdict")),
            MapsTo::Objects(kind) => Some(Text::from(nft::text::object(*kind))),
            MapsTo::Values { parts, .. } => Some(kinds(parts)),
        },
        flags: declaration::set_flags(set).map(Text::from),
        elements: set.count.map(u64::from),
        size: Some(u64::from(set.size)).filter(|size| *size != 0),
        timeout: set.timeout.filter(|timeout| *timeout != 0).map(|timeout| timeout as f64 / 1e3),
    }
}

pub(super) fn flowtable_row(netns: &Text, table: &nft::Flowtable) -> NftFlowtableRow {
    NftFlowtableRow {
        netns: netns.clone(),
        family: table.family.into(),
        table: Text::new(&table.table),
        name: Text::new(&table.name),
        handle: table.handle,
        priority: table.hook.as_ref().map(|hook| hook.priority.into()),
        devices: table.hook.as_ref().and_then(|hook| joined(&hook.devices)),
        offload: table.flags & 1 != 0,
        counts: table.flags & 2 != 0,
    }
}
