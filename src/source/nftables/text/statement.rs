//! What does a rule do, one step after the other, and how is that written?

use std::fmt::Write as _;

use super::action::{self, Translation};
use super::kind::duration;
use super::term::{Node, Term};
use super::{Scene, compat};
use crate::source::nftables::Family;
use crate::source::nftables::instruction::{Extension, JUMP, Log, Verdict};

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    /// One of the flags is set.
    Any,
    /// None of the flags is set.
    None,
}

impl Relation {
    /// `NFT_CMP_*`
    pub(super) fn of(op: u32) -> Option<Self> {
        Some(match op {
            0 => Self::Equal,
            1 => Self::NotEqual,
            2 => Self::Less,
            3 => Self::LessOrEqual,
            4 => Self::Greater,
            5 => Self::GreaterOrEqual,
            _ => return None,
        })
    }

    fn token(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Any => "",
            Self::None => "!",
        }
    }
}

/// A named object of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Named {
    /// The one of this name.
    Object(Vec<u8>),
    /// The one that a map tells.
    By(Term),
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Statement {
    Match {
        relation: Relation,
        left: Term,
        right: Term,
    },
    /// Some flags of a mask are set and the others are not.
    Flags {
        relation: Relation,
        left: Term,
        value: Term,
        mask: Term,
    },
    /// A verdict from a map.
    Vmap(Term),
    Verdict(Verdict),
    Counter {
        packets: u64,
        bytes: u64,
    },
    Limit {
        rate: u64,
        unit: u64,
        burst: u32,
        bytes: bool,
        over: bool,
    },
    Quota {
        bytes: u64,
        used: u64,
        over: bool,
    },
    Connlimit {
        count: u32,
        over: bool,
    },
    Last {
        ago: Option<u64>,
    },
    Log(Log),
    Queue {
        flags: u16,
        to: Term,
    },
    Reject {
        kind: u32,
        code: u8,
        family: u32,
        verbose: bool,
    },
    Nat(Translation),
    Tproxy {
        family: u32,
        address: Option<Term>,
        port: Option<Term>,
    },
    Dup {
        to: Option<Term>,
        device: Option<Term>,
    },
    Fwd {
        device: Term,
        address: Option<Term>,
        family: u32,
    },
    SetHeader {
        what: Term,
        value: Term,
    },
    SetMeta {
        what: Term,
        value: Term,
    },
    SetCt {
        what: Term,
        value: Term,
    },
    Strip(Term),
    Update {
        op: u32,
        set: Vec<u8>,
        key: Term,
        timeout: u64,
        with: Vec<Statement>,
        data: Option<Term>,
    },
    Meter {
        set: Vec<u8>,
        size: u32,
        key: Term,
        with: Box<Statement>,
    },
    Object {
        kind: u32,
        which: Named,
    },
    Offload(Vec<u8>),
    Notrack,
    Synproxy {
        mss: u16,
        wscale: u8,
        flags: u32,
    },
    Compat(Extension),
    /// What is not understood, in words.
    Other(String),
}

/// `NFT_OBJECT_*`, as they are written.
pub fn object(kind: u32) -> &'static str {
    match kind {
        1 => "counter",
        2 => "quota",
        3 => "ct helper",
        4 => "limit",
        5 => "connlimit",
        6 => "tunnel",
        7 => "ct timeout",
        8 => "secmark",
        9 => "ct expectation",
        10 => "synproxy",
        _ => "unknown",
    }
}

fn lossy(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name)
}

impl Statement {
    /// Whether it only looks: what it implies may be left out.
    pub(super) fn is_match(&self) -> bool {
        matches!(self, Self::Match { .. } | Self::Flags { .. } | Self::Vmap(_))
    }

    /// Writes it.
    pub(super) fn write(&self, out: &mut String, scene: &Scene<'_>) -> std::fmt::Result {
        match self {
            Self::Match { .. } | Self::Flags { .. } | Self::Vmap(_) => self.look(out, scene),
            Self::Verdict(verdict) => write_verdict(out, verdict, scene),
            Self::Counter { .. }
            | Self::Limit { .. }
            | Self::Quota { .. }
            | Self::Connlimit { .. }
            | Self::Last { .. } => self.count(out, scene.counts),
            Self::Log(told) => action::log(out, told),
            Self::Queue { .. }
            | Self::Reject { .. }
            | Self::Nat(_)
            | Self::Tproxy { .. }
            | Self::Dup { .. }
            | Self::Fwd { .. } => self.divert(out, scene),
            Self::Update { .. } | Self::Meter { .. } | Self::Object { .. } => self.store(out, scene),
            Self::SetHeader { what, value } | Self::SetMeta { what, value } | Self::SetCt { what, value } => {
                what.write(out, scene);
                out.push_str(" set ");
                value.write(out, scene);
                Ok(())
            }
            Self::Strip(term) => {
                out.push_str("reset ");
                term.write(out, scene);
                Ok(())
            }
            Self::Offload(name) => write!(out, "flow add @{}", lossy(name)),
            Self::Notrack => write!(out, "notrack"),
            Self::Synproxy { .. } => self.synproxy(out),
            Self::Compat(extension) => {
                compat::write(out, extension, scene);
                Ok(())
            }
            Self::Other(words) => write!(out, "{words}"),
        }
    }

    /// Writes what looks at the packet.
    fn look(&self, out: &mut String, scene: &Scene<'_>) -> std::fmt::Result {
        match self {
            Self::Match { relation, left, right } => {
                left.write(out, scene);
                // what follows a sum of bits, and flags of which all are meant, is told from what is implied
                let said = matches!(left.node, Node::Binary(..))
                    || (right.kind.is_flags() && matches!(right.node, Node::Value(_)));
                match relation {
                    Relation::Any => out.push(' '),
                    Relation::Equal if !said => out.push(' '),
                    relation => write!(out, " {} ", relation.token())?,
                }
                right.write(out, scene);
                Ok(())
            }
            Self::Flags { relation, left, value, mask } => {
                left.write(out, scene);
                out.push_str(if *relation == Relation::NotEqual { " != " } else { " " });
                value.write(out, scene);
                out.push_str(" / ");
                mask.write(out, scene);
                Ok(())
            }
            Self::Vmap(term) => {
                term.write(out, scene);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes what counts packets; without `counts` not what it has seen.
    fn count(&self, out: &mut String, counts: bool) -> std::fmt::Result {
        match self {
            Self::Counter { packets, bytes } if counts => write!(out, "counter packets {packets} bytes {bytes}"),
            Self::Counter { .. } => write!(out, "counter"),
            Self::Limit { rate, unit: per, burst, bytes, over } => {
                action::limit(out, (*rate, *per), *burst, *bytes, *over)
            }
            Self::Quota { bytes, used, over } => {
                let (number, name) = action::amount(*bytes);
                write!(out, "quota {}{number} {name}", if *over { "over " } else { "" })?;
                let (number, name) = action::amount(*used);
                if counts && *used != 0 { write!(out, " used {number} {name}") } else { Ok(()) }
            }
            Self::Connlimit { count, over } => write!(out, "ct count {}{count}", if *over { "over " } else { "" }),
            Self::Last { ago: Some(ago) } if counts => {
                out.push_str("last used ");
                duration(out, *ago)
            }
            Self::Last { .. } if counts => write!(out, "last used never"),
            Self::Last { .. } => write!(out, "last"),
            _ => Ok(()),
        }
    }

    /// Writes what sends the packet somewhere else.
    fn divert(&self, out: &mut String, scene: &Scene<'_>) -> std::fmt::Result {
        match self {
            Self::Queue { flags, to } => {
                out.push_str("queue");
                out.push_str(match flags & 3 {
                    0 => "",
                    1 => " flags bypass",
                    2 => " flags fanout",
                    _ => " flags bypass,fanout",
                });
                out.push_str(" to ");
                to.write(out, scene);
                Ok(())
            }
            Self::Reject { kind, code, family, verbose } => action::reject(out, *kind, *code, *family, *verbose),
            Self::Nat(nat) => action::nat(out, nat, scene),
            Self::Tproxy { family, address, port } => {
                out.push_str("tproxy");
                if scene.family == Family::Inet {
                    out.push_str(
                        action::family_name(*family).map_or("", |name| if name == "ip" { " ip" } else { " ip6" }),
                    );
                }
                out.push_str(" to");
                if let Some(address) = address {
                    out.push(' ');
                    action::bracketed(out, address, true, scene);
                }
                if let Some(port) = port {
                    out.push_str(if address.is_none() { " :" } else { ":" });
                    port.write(out, scene);
                }
                Ok(())
            }
            Self::Dup { to, device } => {
                out.push_str("dup");
                for (word, term) in [(" to ", to), (" device ", device)] {
                    if let Some(term) = term {
                        out.push_str(word);
                        term.write(out, scene);
                    }
                }
                Ok(())
            }
            Self::Fwd { device, address, family } => {
                match address {
                    Some(address) => {
                        write!(out, "fwd {} to ", action::family_name(*family).unwrap_or("unknown"))?;
                        address.write(out, scene);
                        out.push_str(" device ");
                    }
                    None => out.push_str("fwd to "),
                }
                device.write(out, scene);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Writes what uses a set or an object.
    fn store(&self, out: &mut String, scene: &Scene<'_>) -> std::fmt::Result {
        let bare = scene.without_counts();
        match self {
            Self::Update { op, set, key, timeout, with, data } => {
                let verb = ["add", "update", "delete"].get(*op as usize).copied().unwrap_or("change");
                write!(out, "{verb} @{} {{ ", lossy(set))?;
                key.write(out, scene);
                if *timeout != 0 {
                    out.push_str(" timeout ");
                    duration(out, *timeout)?;
                }
                for statement in with {
                    out.push(' ');
                    statement.write(out, &bare)?;
                }
                if let Some(data) = data {
                    out.push_str(" : ");
                    data.write(out, scene);
                }
                write!(out, " }}")
            }
            Self::Meter { set, size, key, with } => {
                write!(out, "meter {} size {size} {{ ", lossy(set))?;
                key.write(out, scene);
                out.push(' ');
                with.write(out, &bare)?;
                write!(out, " }}")
            }
            Self::Object { kind, which } => {
                match kind {
                    3 | 7 | 9 => write!(out, "{} set ", object(*kind))?,
                    8 => out.push_str("meta secmark set "),
                    _ => write!(out, "{} name ", object(*kind))?,
                }
                match which {
                    Named::Object(name) => write!(out, "\"{}\"", lossy(name))?,
                    Named::By(map) => map.write(out, scene),
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn synproxy(&self, out: &mut String) -> std::fmt::Result {
        let Self::Synproxy { mss, wscale, flags } = self else { return Ok(()) };
        out.push_str("synproxy");
        if flags & 3 != 0 {
            write!(out, " mss {mss} wscale {wscale}")?;
        }
        if flags & 8 != 0 {
            out.push_str(" timestamp");
        }
        out.push_str(if flags & 4 != 0 { " sack-perm" } else { "" });
        Ok(())
    }
}

/// Writes a verdict; a chain that has no name of its own is written where it is used.
pub(super) fn write_verdict(out: &mut String, verdict: &Verdict, scene: &Scene<'_>) -> std::fmt::Result {
    let Some(chain) = &verdict.chain else {
        return match verdict.word() {
            Some(word) => write!(out, "{word}"),
            None => write!(out, "unknown verdict value {}", verdict.code),
        };
    };
    let word = if verdict.code == JUMP { "jump" } else { "goto" };
    match scene.inlined(chain) {
        Some(rules) => {
            write!(out, "{word} {{")?;
            for (index, rule) in rules.iter().enumerate() {
                out.push_str(if index == 0 { " " } else { "; " });
                out.push_str(&scene.deeper().rule(rule));
            }
            write!(out, " }}")
        }
        None => write!(out, "{word} {}", lossy(chain)),
    }
}
