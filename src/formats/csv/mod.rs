//! Reads recorded market data: CSV with a header line, plain or gzip. `row` reads
//! one line into the host's structs.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::Path;

use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;

use super::error::{Error, Result};
use super::feed::{Event, Feed};
use row::{Columns, Row};

mod row;

/// Files further apart than this are not one recording.
const MAX_GAP_NS: i64 = 3_600_000_000_000;

/// Reads capture files and merges them by time of arrival, see
/// [the module](crate::replay). Each file's events are taken in the order of
/// their `seq`. Plain text and gzip are told apart by content, not by name.
///
/// # Errors
///
/// The file, the line, the column and what was expected. Files whose events
/// arrive more than an hour apart are refused together: they are not of one
/// session.
pub fn read(files: &[impl AsRef<Path>]) -> std::result::Result<Feed, Error> {
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
        return Err(Error::Sessions {
            gap_s: gap(pair) / 1_000_000_000,
        });
    }
    Ok(merged)
}

/// Reads one file, in its true order of arrival.
fn read_one(file: &Path) -> Result<Feed> {
    let fail = |what: String| Error::File {
        file: file.to_owned(),
        what,
    };
    let opened = File::open(file).map_err(|error| fail(error.to_string()))?;
    let mut plain = BufReader::with_capacity(1 << 16, opened);
    let head = plain.fill_buf().map_err(|error| fail(error.to_string()))?;
    if head.is_empty() {
        let what = "the file is empty; expected CSV with a header line";
        return Err(fail(what.to_owned()));
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
        return Err(Error::Field {
            file: file.to_owned(),
            line: 1,
            column: column.name.clone(),
            what: "not in the header line; expected CSV (plain or gzip) whose first line \
                   names the columns"
                .to_owned(),
        });
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
        return Err(Error::File {
            file: file.to_owned(),
            what: "there is no event after the header line".to_owned(),
        });
    }
    order.sort_unstable();
    Ok(feed.reordered(order.into_iter().map(|(_, place)| place)))
}

/// Says what was wrong with the text itself.
fn csv_failure(file: &Path, line: u64, error: &csv::Error) -> Error {
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
    Error::Line {
        file: file.to_owned(),
        line,
        what,
    }
}

#[cfg(test)]
mod tests;
