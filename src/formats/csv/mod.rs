//! Reads recorded market data: CSV with a header line, plain or gzip. `row` reads
//! one line into the host's structs.

use std::path::Path;

use super::error::{Error, Result};
use super::feed::Feed;
use super::reader::ReadOptions;
use super::timeline::MAX_GAP_NS;
pub(super) use row::Bounds;
pub(super) use rows::Rows;

mod row;
mod rows;

/// Reads capture files whole and merges them by time of arrival, see [the module](crate::replay).
/// Each file's events are sorted by their `seq`. Plain text and gzip are told apart by content, not
/// by name. [`Reader`](super::Reader) does the same in memory that does not grow with the files.
///
/// # Errors
///
/// The file, the line, the column and what was expected. If nothing arrives for more than an hour
/// between files, they are not from one session and are refused together.
pub fn read(files: &[impl AsRef<Path>]) -> std::result::Result<Feed, Error> {
    let feeds = files
        .iter()
        .map(|file| read_one(file.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    if feeds.len() == 1 {
        return Ok(feeds.into_iter().next().unwrap_or_default());
    }
    let merged = Feed::merge(&feeds);
    let mut latest = None;
    for event in merged.events() {
        check_gap(&mut latest, event.recv_ns)?;
    }
    Ok(merged)
}

/// Refuses an arrival more than an hour after the latest one so far: a clock that steps back and
/// forth leaves no gap.
pub(super) fn check_gap(latest: &mut Option<i64>, recv_ns: i64) -> Result<()> {
    let before = *latest.get_or_insert(recv_ns);
    let gap = recv_ns.saturating_sub(before);
    if gap > MAX_GAP_NS {
        return Err(Error::Sessions {
            gap_s: gap / 1_000_000_000,
        });
    }
    *latest = Some(before.max(recv_ns));
    Ok(())
}

/// Reads one file, in its true order of arrival.
fn read_one(file: &Path) -> Result<Feed> {
    let strict = ReadOptions {
        strict: true,
        ..ReadOptions::default()
    };
    let mut rows = Rows::open(file, strict.bounds())?;
    let mut feed = Feed::default();
    let mut order = Vec::new();
    while let Some(seq) = rows.next(|recv_ns, event| feed.push(recv_ns, event))? {
        order.push((seq, order.len()));
    }
    if order.is_empty() {
        return Err(rows.none());
    }
    order.sort_unstable();
    Ok(feed.reordered(order.into_iter().map(|(_, place)| place)))
}

#[cfg(test)]
mod tests;
