//! What do the Derived columns of a table compute? Each expression is read once for each schema.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, OnceLock};

use super::expr::{Expr, ExprError};
use crate::model::{Table, lock};

/// Schemas that are remembered; peers bring their own.
const MAX_SCHEMAS: usize = 1024;

/// Expressions of one schema, by column.
#[derive(Debug, Default)]
pub(super) struct Derived(Vec<Option<Expr>>);

impl Derived {
    /// Expression of a column, `None` unless it is Derived and its expression makes sense.
    pub(super) fn expr(&self, column: usize) -> Option<&Expr> {
        self.0.get(column)?.as_ref()
    }
}

struct Cache {
    hash: RandomState,
    schemas: HashMap<u64, Arc<Derived>>,
}

/// The Derived columns of a table, from memory if the schema is known.
pub(super) fn of(table: &Table) -> Arc<Derived> {
    static CACHE: OnceLock<Mutex<Cache>> = OnceLock::new();
    let cache = CACHE.get_or_init(|| Mutex::new(Cache { hash: RandomState::new(), schemas: HashMap::new() }));
    // the map holds whole entries only, so it is right even if somebody panicked while holding it
    let mut cache = lock(cache);
    let fingerprint = fingerprint(table, &cache.hash);
    if let Some(known) = cache.schemas.get(&fingerprint) {
        return Arc::clone(known);
    }
    if cache.schemas.len() >= MAX_SCHEMAS {
        cache.schemas.clear();
    }
    let derived = Arc::new(Derived(read(table).map(Result::ok).collect()));
    cache.schemas.insert(fingerprint, Arc::clone(&derived));
    derived
}

fn read(table: &Table) -> impl Iterator<Item = Result<Expr, ExprError>> + '_ {
    table.columns.iter().map(|column| Expr::numeric(column.expr.as_deref().unwrap_or_default(), table))
}

/// Collected columns that a column is made of: itself, or what its expression reads through other Derived columns.
pub fn inputs(table: &Table, column: usize) -> BTreeSet<usize> {
    let derived = of(table);
    let (mut inputs, mut seen, mut left) = (BTreeSet::new(), BTreeSet::new(), vec![column]);
    while let Some(column) = left.pop() {
        match derived.expr(column) {
            Some(expr) if seen.insert(column) => left.extend(expr.columns()),
            Some(_) => {}
            None => {
                inputs.insert(column);
            }
        }
    }
    inputs
}

/// Mistakes in the Derived columns of a table, each with its column's name.
pub fn mistakes(table: &Table) -> Vec<(String, ExprError)> {
    let columns = table.columns.iter().zip(read(table)).filter(|(column, _)| column.expr.is_some());
    columns.filter_map(|(column, read)| read.err().map(|error| (column.name.to_string(), error))).collect()
}

/// What the meaning of the expressions depends on; keyed at random, so that no peer can aim at another schema's entry.
fn fingerprint(table: &Table, state: &RandomState) -> u64 {
    let mut hash = state.build_hasher();
    hash.write(table.name.as_bytes());
    for column in table.columns.iter() {
        hash.write_u8(0xff);
        hash.write(column.name.as_bytes());
        hash.write(&[0xfe, column.kind as u8, column.ty as u8, column.unit as u8]);
        hash.write(column.expr.as_deref().unwrap_or_default().as_bytes());
    }
    hash.finish()
}
