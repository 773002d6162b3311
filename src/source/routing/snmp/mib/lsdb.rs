//! Which LSAs does a router tell of?
//!
//! Where an agent tells an LSA itself, its header is believed: FRR's `ospfd` has sequence number, checksum and age of version 2
//! with their bytes the other way round, and the age is that with which it came.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use super::super::ber::{Binding, Value};
use super::super::client::Client;
use super::value::{area, quad, unsigned};
use super::{Found, INTERFACES, INTERFACES_3, name, place};
use crate::model::Text;
use crate::source::Error;
use crate::source::bounded::Bounded;
use crate::source::routing::lsa::{Lsa, LsaType, MAX_AGE, MOST, Scope};

/// How a table of LSAs is laid out.
struct Layout {
    table: &'static [u32],
    version: u32,
    /// How far its LSAs go; in version 2 their type says that, too.
    scope: Scope,
    /// Column of the sequence number; behind it are age, checksum and the LSA itself.
    first: u32,
}

/// Tables of areas, of what goes through all of them, and of links: RFC 4750 and, the last three, RFC 5643. The second one was
/// replaced by the third, because it has no opaque LSAs.
const LAYOUTS: [Layout; 7] = [
    Layout { table: &[14, 4, 1], version: 2, scope: Scope::Area, first: 5 },
    Layout { table: &[14, 12, 1], version: 2, scope: Scope::As, first: 4 },
    Layout { table: &[14, 19, 1], version: 2, scope: Scope::As, first: 4 },
    Layout { table: &[14, 17, 1], version: 2, scope: Scope::Link, first: 6 },
    Layout { table: &[191, 1, 3, 1], version: 3, scope: Scope::As, first: 4 },
    Layout { table: &[191, 1, 4, 1], version: 3, scope: Scope::Area, first: 5 },
    Layout { table: &[191, 1, 5, 1], version: 3, scope: Scope::Link, first: 6 },
];

/// Column of the area of an interface.
const AREA: u32 = 3;

/// Columns that are asked for, from the first on, and the last of them.
const COLUMNS: u32 = 4;
const TOLD: u32 = COLUMNS - 1;

/// Bytes of the header of an LSA.
const HEADER: usize = 20;

/// Asks for all of them.
///
/// # Errors
/// As [`Client::walk`].
pub(super) fn ask(client: &mut Client, all: &mut Vec<Binding>) -> Result<(), Error> {
    for layout in &LAYOUTS {
        for column in layout.first..layout.first + COLUMNS {
            all.extend(client.walk(&name(layout.table).and(&[column]))?);
        }
    }
    Ok(())
}

/// All that a router has told of.
pub(super) fn lsas(found: &Found<'_>) -> Bounded<Lsa> {
    let mut lsas = Bounded::new(MOST);
    for layout in &LAYOUTS {
        // one that has both tables of the AS tells the same twice
        if layout.table == [14, 12, 1] && !found.rows(&[14, 19, 1]).is_empty() {
            continue;
        }
        for (index, row) in found.rows(layout.table) {
            lsas.extend(lsa(found, layout, index, &row));
        }
    }
    lsas
}

/// An LSA of an area that a router tells as it travels.
pub(super) struct Advertised<'a> {
    pub(super) version: u32,
    pub(super) area: Text,
    pub(super) kind: LsaType,
    pub(super) id: Ipv4Addr,
    pub(super) router: Ipv4Addr,
    /// What follows its header.
    pub(super) body: &'a [u8],
}

/// All that are not taken away.
pub(super) fn advertised<'a>(found: &Found<'a>) -> Vec<Advertised<'a>> {
    let mut all = Vec::new();
    for layout in LAYOUTS.iter().filter(|layout| layout.scope == Scope::Area) {
        for (index, row) in found.rows(layout.table) {
            let told = row.get(&(layout.first + TOLD)).copied();
            let (Some(Value::Bytes(bytes)), Some((age, _, _, length))) = (told, header(told)) else { continue };
            let body = bytes.get(HEADER..usize::from(length).min(bytes.len())).unwrap_or_default();
            let is_flushed = Duration::from_secs(age.into()) >= MAX_AGE;
            if let Some((Some(area), _, kind, id, router)) = identity(found, layout, index).filter(|_| !is_flushed) {
                let (version, kind) = (layout.version, LsaType::of(layout.version, kind));
                all.push(Advertised { version, area, kind, id, router, body });
            }
        }
    }
    all
}

/// What tells an LSA from others: area, interface, type, id, router.
type Identity = (Option<Text>, Option<Text>, u32, Ipv4Addr, Ipv4Addr);

fn identity(found: &Found<'_>, layout: &Layout, index: &[u32]) -> Option<Identity> {
    if layout.version == 3 {
        let number = |number: u32| Ipv4Addr::from(number);
        return match (layout.scope, index) {
            (Scope::As, [kind, router, id]) => Some((None, None, *kind, number(*id), number(*router))),
            (Scope::Area, [within, kind, router, id]) => {
                Some((Some(Text::from(number(*within).to_string())), None, *kind, number(*id), number(*router)))
            }
            (Scope::Link, [interface, instance, kind, router, id]) => {
                let within = area(found.value(&[&INTERFACES_3[..], &[AREA, *interface, *instance]].concat()));
                Some((within, Some(found.interface(*interface)), *kind, number(*id), number(*router)))
            }
            _ => None,
        };
    }
    let (within, interface, rest) = match layout.scope {
        Scope::As => (None, None, index),
        Scope::Area => (Some(Text::from(quad(index.get(..4)?)?.to_string())), None, index.get(4..)?),
        Scope::Link => {
            let (address, number) = (quad(index.get(..4)?)?, *index.get(4)?);
            let within = area(found.value(&[&INTERFACES[..], &[AREA], index.get(..5)?].concat()));
            let number = if number == 0 { found.number(address) } else { Some(number) };
            let called = number.map_or_else(|| Text::from(address.to_string()), |number| found.interface(number));
            (within, Some(called), index.get(5..)?)
        }
    };
    let [kind, rest @ ..] = rest else { return None };
    let (id, router) = rest.split_at_checked(4)?;
    Some((within, interface, *kind, quad(id)?, quad(router)?))
}

/// What the header of an LSA says: its age, sequence number, checksum and length.
fn header(value: Option<&Value>) -> Option<(u16, u32, u16, u16)> {
    let Some(Value::Bytes(bytes)) = value else { return None };
    let bytes = bytes.first_chunk::<HEADER>()?;
    let [age0, age1, .., s0, s1, s2, s3, c0, c1, l0, l1] = *bytes;
    let two = |high, low| u16::from_be_bytes([high, low]);
    Some((two(age0, age1), u32::from_be_bytes([s0, s1, s2, s3]), two(c0, c1), two(l0, l1)))
}

fn lsa(found: &Found<'_>, layout: &Layout, index: &[u32], row: &BTreeMap<u32, &Value>) -> Option<Lsa> {
    let (area, interface, kind, id, router) = identity(found, layout, index)?;
    let kind = LsaType::of(layout.version, kind);
    let of = |at: u32| row.get(&(layout.first + at)).copied();
    // a sequence number is signed
    let told = match of(0) {
        Some(Value::Integer(number)) => i32::try_from(*number).ok().map(i32::cast_unsigned),
        _ => None,
    };
    let header = header(of(TOLD));
    let is_turned = header.is_some_and(|(_, sequence, ..)| told.is_some_and(|told| told != sequence));
    let age = unsigned(of(1)).map(Duration::from_secs).filter(|_| !is_turned);
    let flushed = header.filter(|(age, ..)| Duration::from_secs((*age).into()) >= MAX_AGE).map(|_| MAX_AGE);
    Some(Lsa {
        place: place(layout.version),
        area,
        interface,
        scope: layout.scope,
        kind,
        id: IpAddr::V4(id),
        router: IpAddr::V4(router),
        sequence: header.map_or(told, |(_, sequence, ..)| Some(sequence)),
        checksum: header
            .map_or_else(|| unsigned(of(2)).and_then(|sum| u32::try_from(sum).ok()), |(_, _, sum, _)| Some(sum.into())),
        age: age.or(flushed),
        length: header.map(|(.., length)| length.into()),
    })
}
