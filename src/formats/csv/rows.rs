//! The rows of one file, one after the other.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use csv::ByteRecord;

use super::row::{Bounds, Column, Columns, Row};
use crate::abi::HostEvent;
use crate::error::content;
use crate::formats::error::{Error, Result};
use crate::formats::gzip::{self, Foreign, Gzip};
use crate::os::files::{Recorded, Stop, with_cause};

/// Size of the read buffer, bytes.
const BUFFER: usize = 1 << 16;
/// Maximum length of a line, bytes. Those of recorded books have some 1,000.
const MOST_OF_A_LINE: u64 = 1 << 20;
/// Bytes that are enough to tell what a file that is not CSV is.
const HEAD: usize = 32;

/// An open file and how far it has been read.
pub struct Rows {
    file: PathBuf,
    text: csv::Reader<Bounded<Box<dyn Read + Send>>>,
    columns: Columns,
    record: ByteRecord,
    line: u64,
    bounds: Option<Bounds>,
    read: Arc<AtomicU64>,
    /// Where the line begins that is read now, for [`Bounded`].
    begin: Arc<AtomicU64>,
    stop: Stop,
}

/// Counts the bytes read, and closes the file at its end.
struct Counted {
    file: Option<Recorded>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Ok(0);
        };
        let read = file.read(out)?;
        if read == 0 && !out.is_empty() {
            self.file = None;
        }
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Hands over no more of a line than is allowed: the whole of it is kept in memory.
struct Bounded<R> {
    text: R,
    handed: u64,
    /// Where the line begins that is read now.
    begin: Arc<AtomicU64>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // The caller has used up what it got before.
        if self.handed - self.begin.load(Ordering::Relaxed) > MOST_OF_A_LINE {
            return Err(io::Error::other(TooLong));
        }
        let read = self.text.read(out)?;
        self.handed += read as u64;
        Ok(read)
    }
}

/// A line has more bytes than [`MOST_OF_A_LINE`].
#[derive(Debug, thiserror::Error)]
#[error(
    "it has more than {MOST_OF_A_LINE} bytes; expected shorter lines: a line break is missing, or \
     a quote is not closed"
)]
struct TooLong;

impl Rows {
    /// Opens a file, plain or gzip by its content, and reads its header line. With
    /// `bounds`, a price or size that is absent or beyond them is an error.
    pub fn open(file: &Path, bounds: Option<Bounds>) -> Result<Self> {
        let fail = |what: String| Error::File {
            file: file.to_owned(),
            what,
        };
        let stop = Stop::default();
        let opened = Recorded::open(file, stop.clone());
        let opened = opened.map_err(|error| fail(with_cause(file, &error)))?;
        let read = Arc::new(AtomicU64::new(0));
        let counted = Counted {
            file: Some(opened),
            read: read.clone(),
        };
        let mut plain = BufReader::with_capacity(BUFFER, counted);
        let head = plain.fill_buf().map_err(|error| fail(error.to_string()))?;
        if head.is_empty() {
            let what = "the file is empty; expected CSV with a header line";
            return Err(fail(what.to_owned()));
        }
        let is_gzip = gzip::is_gzip(head);
        let text: Box<dyn Read + Send> = match is_gzip {
            true => Box::new(Gzip::new(plain)),
            false => Box::new(plain),
        };
        let begin = Arc::new(AtomicU64::new(0));
        let bounded = Bounded {
            text,
            handed: 0,
            begin: begin.clone(),
        };
        let mut text = csv::ReaderBuilder::new()
            .buffer_capacity(BUFFER)
            .from_reader(bounded);
        let header = text.byte_headers().cloned();
        let header = header.map_err(|error| failure(file, 1, &error))?;
        if header.is_empty() || header.iter().all(<[u8]>::is_empty) {
            let what = match is_gzip {
                true => "there is nothing in its gzip data; expected CSV with a header line",
                false => "there are only empty lines in it; expected CSV with a header line",
            };
            return Err(fail(what.to_owned()));
        }
        let columns = Columns::find(&header);
        let wrong = |column: &Column, what: String| Error::Field {
            file: file.to_owned(),
            line: 1,
            column: column.name.clone(),
            what,
        };
        if let Some(column) = columns.missing() {
            let begin: Vec<u8> = header.as_slice().iter().copied().take(HEAD).collect();
            let is = content::known(&begin).map_or_else(String::new, |what| format!("{what}; "));
            let what = format!(
                "not in the header line; {is}expected CSV (plain or gzip) whose first line names \
                 the columns"
            );
            return Err(wrong(column, what));
        }
        if let Some(column) = columns.doubled(&header) {
            let what = "it is in the header line twice; expected every column once".to_owned();
            return Err(wrong(column, what));
        }
        Ok(Self {
            file: file.to_owned(),
            text,
            columns,
            record: ByteRecord::new(),
            line: 1,
            bounds,
            read,
            begin,
            stop,
        })
    }

    /// Hands the next row to `take`, with its time of arrival. Returns its `seq`, or `None` at the
    /// end of the file.
    pub fn next(&mut self, take: impl FnOnce(i64, HostEvent<'_>)) -> Result<Option<i64>> {
        let line = self.text.position().line();
        let begin = self.text.position().byte();
        self.begin.store(begin, Ordering::Relaxed);
        match self.text.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => return Err(failure(&self.file, line, &error)),
        }
        let position = self.record.position();
        self.line = position.map_or(line, |position| position.line());
        let row = Row {
            file: &self.file,
            line: self.line,
            record: &self.record,
            bounds: self.bounds,
        };
        match row.read(&self.columns, take) {
            Ok(seq) => Ok(Some(seq)),
            // Files were concatenated by a tool that does not know about header lines.
            Err(_)
                if self
                    .text
                    .byte_headers()
                    .is_ok_and(|header| *header == self.record) =>
            {
                Err(Error::Line {
                    file: self.file.clone(),
                    line: self.line,
                    what:
                        "the header line comes again: files were joined; expected each by its own \
                           name, and they are merged"
                            .to_owned(),
                })
            }
            Err(error) => Err(error),
        }
    }

    /// The line of the row that was read last.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Once `flag` is set, a wait for a pipe ends with an error.
    pub fn stop_when(&self, flag: Arc<AtomicBool>) {
        self.stop.when(flag);
    }

    /// An error about the row that was read last, as a row of its file.
    pub fn late(&self, what: String) -> Error {
        Error::Field {
            file: self.file.clone(),
            line: self.line,
            column: "seq".to_owned(),
            what,
        }
    }

    /// The error for a file without any row.
    pub fn none(&self) -> Error {
        Error::File {
            file: self.file.clone(),
            what: "there is no event after the header line".to_owned(),
        }
    }

    /// Bytes of the file that have been read.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

/// Says what is wrong with the text itself.
fn failure(file: &Path, line: u64, error: &csv::Error) -> Error {
    let what = match error.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("expected {expected_len} fields as in the header line, found {len}"),
        csv::ErrorKind::Io(io) if io.kind() == ErrorKind::UnexpectedEof => {
            "the gzip data ends too early: the file is cut off".to_owned()
        }
        csv::ErrorKind::Io(io)
            if io
                .get_ref()
                .is_some_and(|why| why.is::<Foreign>() || why.is::<TooLong>()) =>
        {
            io.to_string()
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
