//! What does one sample of one collector give?

use netglance::collect::{Batch, COLLECTORS, Collect, Cx, Wants};
use netglance::model::{Mono, Owners, Timestamp};
use netglance::source::file::Roots;

use super::measure::Failure;

/// A collector by its name.
pub(crate) fn made(name: &str) -> Result<Box<dyn Collect>, Failure> {
    let entry = COLLECTORS.iter().find(|entry| entry.name == name).ok_or("no such collector")?;
    Ok((entry.make)())
}

/// One sample: how many rows there are in all tables.
pub(crate) fn sample(collector: &mut dyn Collect, wants: &Wants) -> String {
    let (owners, roots) = (Owners::default(), Roots::live());
    let (time, mono) = (Timestamp::now(), Mono::now());
    let cx = Cx { roots: &roots, wants, owners: &owners, time, mono };
    let mut batch = Batch::default();
    let skip = collector.collect(&cx, &mut batch).err();
    let rows = batch.into_tables().into_iter().filter_map(|(_, rows)| Some(rows.ok()?.len())).sum::<usize>();
    skip.map_or_else(|| rows.to_string(), |skip| skip.status().state.name().to_owned())
}
