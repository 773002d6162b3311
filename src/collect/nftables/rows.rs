//! How do rules, chains and sets become rows?

use std::collections::HashMap;

use super::super::address::steady;
use super::names::Here;
use super::{NftChainRow, NftFamily, NftFlowtableRow, NftRuleRow, NftSetRow, NftTableRow};
use crate::model::text::Spare;
use crate::model::{Text, Timestamp};
use crate::source::nftables::decode::Counted;
use crate::source::nftables::instruction::{GOTO, Instruction, JUMP, NatKind};
use crate::source::nftables::text::kind;
use crate::source::nftables::text::{Scene, declaration};
use crate::source::nftables::{self as nft, Chain, Family, MapsTo, Object, Rule, Ruleset};

/// `NFT_OBJECT_COUNTER`
const COUNTER: u32 = 1;

/// What people read of a rule.
pub(super) struct Words {
    family: NftFamily,
    table: Text,
    chain: Text,
    position: u64,
    verdict: Option<Text>,
    comment: Option<Text>,
    text: Text,
    /// The named counter that it refers to.
    counter: Option<Vec<u8>>,
}

impl Words {
    pub(super) fn of(rule: &Rule, position: u64, ruleset: &Ruleset, names: &Here<'_>, spare: &mut Spare) -> Self {
        let scene = Scene::new(rule.family, &rule.table, &ruleset.names, names);
        Self {
            family: rule.family.into(),
            table: Text::new(&rule.table),
            chain: Text::new(&rule.chain),
            position,
            verdict: verdict(rule, ruleset),
            comment: rule.comment.as_deref().map(Text::new),
            text: spare.text(&scene.without_counts().program(&rule.instructions)),
            counter: rule.instructions.iter().find_map(|instruction| match instruction {
                Instruction::Object { kind: COUNTER, name, by: None } => name.clone(),
                _ => None,
            }),
        }
    }
}

/// Family, table and name.
type Named<'a> = (Family, &'a [u8], &'a [u8]);

/// What named counters have seen to which exactly one rule refers.
pub(super) struct Sole<'a>(HashMap<Named<'a>, (u64, u64)>);

impl<'a> Sole<'a> {
    pub(super) fn of(objects: &'a [Object]) -> Self {
        let one = |object: &'a Object| match object.state {
            // the element of a map is a use, too, and lets any rule count
            Some(Instruction::Counter { packets, bytes }) if object.uses == 1 => {
                Some(((object.family, object.table.as_slice(), object.name.as_slice()), (packets, bytes)))
            }
            _ => None,
        };
        Self(objects.iter().filter_map(one).collect())
    }

    pub(super) fn counted(&self, rule: &Rule, words: &Words) -> Option<(u64, u64)> {
        self.0.get(&(rule.family, rule.table.as_slice(), words.counter.as_deref()?)).copied()
    }
}

/// When rules with a `last` expression were reached. The kernel tells how long ago, which is another number each time.
#[derive(Default)]
pub(super) struct Reached(HashMap<(Family, Vec<u8>, u64), Timestamp>);

impl Reached {
    /// Takes what was told of each rule.
    pub(super) fn follow(&mut self, ruleset: &Ruleset, counts: &[Counted], now: Timestamp) {
        let one = |(rule, counted): (&Rule, &Counted)| {
            let ago = i64::try_from(counted.last?).ok()?.saturating_mul(1_000_000);
            let key = (rule.family, rule.table.clone(), rule.handle);
            let at = steady(self.0.get(&key).copied(), Some(Timestamp(now.0.saturating_sub(ago))))?;
            Some((key, at))
        };
        self.0 = ruleset.rules.iter().zip(counts).filter_map(one).collect();
    }

    fn at(&self, rule: &Rule) -> Option<Timestamp> {
        // most rulesets have no such rule
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(rule.family, rule.table.clone(), rule.handle)).copied()
    }
}

/// What becomes of packets that a rule fits.
fn verdict(rule: &Rule, ruleset: &Ruleset) -> Option<Text> {
    let is_inlined = |chain: &[u8]| ruleset.names.is_inlined(rule.family, &rule.table, chain);
    rule.instructions.iter().rev().find_map(|instruction| {
        Some(Text::from(match instruction {
            Instruction::Verdict(verdict) => match (&verdict.chain, verdict.code) {
                // rules that stand in the rule have no name that stays
                (Some(chain), JUMP | GOTO) if !is_inlined(chain) => {
                    format!("{} {}", verdict.word()?, String::from_utf8_lossy(chain))
                }
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

/// How many chains, rules and sets each table has.
pub(super) struct Holdings<'a>(HashMap<(Family, &'a [u8]), [u64; 3]>);

impl<'a> Holdings<'a> {
    /// `rules_of` are the rules of each chain.
    pub(super) fn of(ruleset: &'a Ruleset, rules_of: &[u64]) -> Self {
        let mut found = HashMap::<_, [u64; 3]>::new();
        for (chain, rules) in ruleset.chains.iter().zip(rules_of) {
            let [chains, all, _] = found.entry((chain.family, chain.table.as_slice())).or_default();
            (*chains, *all) = (*chains + 1, *all + rules);
        }
        for set in ruleset.names.sets_and_meters() {
            let [.., sets] = found.entry((set.family, set.table.as_slice())).or_default();
            *sets += 1;
        }
        Self(found)
    }
}

pub(super) fn table_row(netns: &Text, table: &nft::Table, holdings: &Holdings<'_>) -> NftTableRow {
    const DORMANT: u32 = 1;
    // what holds nothing was not counted
    let [chains, rules, sets] = holdings.0.get(&(table.family, table.name.as_slice())).copied().unwrap_or([0; 3]);
    NftTableRow {
        netns: netns.clone(),
        family: table.family.into(),
        name: Text::new(&table.name),
        handle: table.handle,
        dormant: table.flags & DORMANT != 0,
        owner: table.owner,
        chains,
        rules,
        sets,
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

pub(super) fn rule_row(
    netns: &Text,
    rule: &Rule,
    words: &Words,
    counter: Option<(u64, u64)>,
    reached: &Reached,
) -> NftRuleRow {
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
        last: reached.at(rule),
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
        set: Text::new(&set.name),
        handle: set.handle,
        key: kinds(&set.key),
        data: match &set.data {
            MapsTo::Nothing => None,
            MapsTo::Verdicts => Some(Text::from("verdict")),
            MapsTo::Objects(kind) => Some(Text::from(nft::text::object(*kind))),
            MapsTo::Values { parts, .. } => Some(kinds(parts)),
        },
        flags: declaration::set_flags(set).map(Text::from),
        elements: set.count.filter(|count| *count > 0 || !set.has_ends()).map(u64::from),
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
