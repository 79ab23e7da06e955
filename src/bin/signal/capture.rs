//! Reads recorded market data: CSV with a header line, plain or gzip.

use std::fmt::Display;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;

use crate::failure::{Failure, Result};
use crate::feed::{Event, Feed};
use crate::row::{Columns, Row};

/// Files further apart than this are not one recording.
const MAX_GAP_NS: i64 = 3_600_000_000_000;

/// Reads files and merges them by time of arrival.
pub fn read(files: &[impl AsRef<Path>]) -> Result<Feed> {
    let feeds = files
        .iter()
        .map(|file| read_one(file.as_ref()))
        .collect::<Result<Vec<_>>>()?;
    if feeds.len() == 1 {
        return Ok(feeds.into_iter().next().unwrap_or_default());
    }
    let merged = Feed::merge(&feeds);
    let gap = |pair: &[Event]| pair[1].recv_ns.saturating_sub(pair[0].recv_ns);
    if let Some(pair) = merged
        .events()
        .windows(2)
        .find(|pair| gap(pair) > MAX_GAP_NS)
    {
        return Err(Failure::said(format!(
            "these files are not of one session: nothing arrives for {} s in between; \
             replay them one at a time",
            gap(pair) / 1_000_000_000
        )));
    }
    Ok(merged)
}

/// Reads one file, in its true order of arrival.
fn read_one(file: &Path) -> Result<Feed> {
    let fail = |what: &dyn Display| Failure::said(format!("{}: {what}", file.display()));
    let mut plain = BufReader::with_capacity(1 << 16, File::open(file).map_err(|e| fail(&e))?);
    let head = plain.fill_buf().map_err(|e| fail(&e))?;
    if head.is_empty() {
        return Err(fail(&"the file is empty; expected CSV with a header line"));
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        read_csv(file, MultiGzDecoder::new(plain))
    } else {
        read_csv(file, plain)
    }
}

/// Reads CSV text, in its true order of arrival.
fn read_csv(file: &Path, text: impl Read) -> Result<Feed> {
    let mut reader = csv::Reader::from_reader(text);
    let header = reader.byte_headers().cloned();
    let header = header.map_err(|error| csv_failure(file, 1, &error))?;
    let columns = Columns::find(&header);
    if let Some(column) = columns.missing() {
        return Err(Failure::said(format!(
            "{}: line 1, column `{}`: not in the header line; expected CSV (plain or gzip) \
             whose first line names the columns",
            file.display(),
            column.name
        )));
    }
    let mut feed = Feed::default();
    let mut order = Vec::new();
    let mut record = ByteRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(csv_failure(file, line, &error)),
        }
        let line = record.position().map_or(line, |position| position.line());
        let row = Row {
            file,
            line,
            record: &record,
        };
        order.push((row.read(&columns, &mut feed)?, order.len()));
    }
    if order.is_empty() {
        let file = file.display();
        return Err(Failure::said(format!(
            "{file}: there is no event after the header line"
        )));
    }
    order.sort_unstable();
    Ok(feed.reordered(order.into_iter().map(|(_, place)| place)))
}

/// Says what was wrong with the text itself.
fn csv_failure(file: &Path, line: u64, error: &csv::Error) -> Failure {
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("expected {expected_len} fields as in the header line, found {len}"),
        csv::ErrorKind::Io(io) if io.kind() == ErrorKind::UnexpectedEof => {
            "the gzip data ends too early: the file is cut off".to_owned()
        }
        csv::ErrorKind::Io(io) => format!("cannot be read: {io}"),
        _ => error.to_string(),
    };
    let line = error.position().map_or(line, |position| position.line());
    Failure::said(format!("{}: line {line}: {what}", file.display()))
}

#[cfg(test)]
#[path = "capture_tests.rs"]
mod tests;
