//! Reads captures while they are played: any number of files, of any length.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::csv::{Bounds, check_gap};
use super::error::{Error, Result};
use super::window::Window;
use crate::abi::{EventKind, HostEvent};
use crate::messages::market::{MAX_PRICE, MAX_SIZE};
use crate::os::files;

/// Maximum number of files that stay open from the start. Of further files, those whose first event
/// is not yet due are closed again.
const MOST_OPEN: usize = 16;

/// How captures are read.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadOptions {
    /// How many rows late a row may be in its file and still be handed out in order. An open file
    /// takes up to 450 bytes of memory per row of this window. Default 65,536.
    pub window: usize,
    /// Whether a price or size that the engine would refuse is an error, as in
    /// [`read`](super::read). If not, the event is handed out, and the engine refuses and counts it
    /// as it would live. Default false.
    pub strict: bool,
    /// The greatest price that the engine accepts, if `strict` is true. Default 1e12, as
    /// `limits.max_price` of a configuration.
    pub max_price: f64,
    /// The greatest size, likewise. Default 1e18, as `limits.max_size`.
    pub max_size: f64,
}

impl ReadOptions {
    /// What is accepted, if not everything is.
    pub(super) fn bounds(&self) -> Option<Bounds> {
        self.strict.then_some(Bounds {
            price: self.max_price,
            size: self.max_size,
        })
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            window: 65_536,
            strict: false,
            max_price: MAX_PRICE,
            max_size: MAX_SIZE,
        }
    }
}

/// An event that is due.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// When it arrived, ns; only differences mean anything.
    pub recv_ns: i64,
    /// What it is.
    pub kind: EventKind,
    /// The host's packed struct, at any alignment.
    pub payload: &'a [u8],
}

impl<'a> Arrival<'a> {
    /// The event, typed.
    ///
    /// # Panics
    ///
    /// If the payload is shorter or longer than its kind's struct; a [`Reader`] never hands out
    /// such a payload.
    pub fn event(&self) -> HostEvent<'a> {
        HostEvent::from_bytes(self.kind.message_type(), self.payload)
            .expect("a payload is as long as its kind's struct")
    }
}

/// Capture files, read while they are played: the events of [`read`](super::read) in the same
/// order, in memory that does not grow with the files.
///
/// ```
/// use signal::replay::{ReadOptions, Reader};
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("trades.csv");
/// let text = "type,ts_ns,symbol,trade_id,price,qty,side,recv_ns,seq\n\
///             trade,20,BTCUSDT,8,101.5,0.25,sell,200,2\n\
///             trade,10,BTCUSDT,7,101.0,0.5,buy,100,1\n";
/// std::fs::write(&path, text)?;
///
/// let mut reader = Reader::open(&[&path], &ReadOptions::default())?;
/// let mut arrivals = Vec::new();
/// while let Some(arrival) = reader.next()? {
///     arrivals.push(arrival.recv_ns);
/// }
/// assert_eq!(arrivals, [100, 200]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Reader {
    options: ReadOptions,
    sources: Vec<Source>,
    /// Files, ordered by when their next event is due.
    turns: BinaryHeap<Reverse<(i64, usize)>>,
    /// The file whose event was handed out last.
    current: Option<usize>,
    /// The latest arrival so far, if several files are merged.
    latest_ns: Option<i64>,
}

struct Source {
    file: PathBuf,
    window: Option<Box<Window>>,
    /// The latest arrival so far: used in place of the arrival, so that a clock that steps back
    /// does not change the order.
    latest: i64,
    /// Bytes that were read of a file that is closed.
    read: u64,
    len: u64,
}

impl Source {
    fn open(file: &Path, options: &ReadOptions) -> Result<Self> {
        let window = Window::open(file, options.window, options.bounds())?;
        let about = files::about_path(file).ok();
        let len = about.and_then(|about| about.size).unwrap_or(0);
        Ok(Self {
            file: file.to_owned(),
            latest: window.head().0,
            window: Some(Box::new(window)),
            read: 0,
            len,
        })
    }
}

impl Reader {
    /// Opens all files and reads each up to its first event.
    ///
    /// # Errors
    ///
    /// As [`read`](super::read), for the rows that are read.
    pub fn open(
        files: &[impl AsRef<Path>],
        options: &ReadOptions,
    ) -> std::result::Result<Self, Error> {
        let mut reader = Self {
            options: options.clone(),
            sources: Vec::with_capacity(files.len()),
            turns: BinaryHeap::with_capacity(files.len()),
            current: None,
            latest_ns: None,
        };
        for (number, file) in files.iter().enumerate() {
            let file = file.as_ref();
            let mut source = Source::open(file, options)?;
            // A pipe cannot be reopened.
            let is_regular =
                || files::about_path(file).is_ok_and(|about| about.other_kind().is_none());
            if number >= MOST_OPEN && is_regular() {
                source.window = None;
            }
            reader.turns.push(Reverse((source.latest, number)));
            reader.sources.push(source);
        }
        Ok(reader)
    }

    /// The next event, or `None` after the last.
    ///
    /// # Errors
    ///
    /// As [`read`](super::read), and if a row is later in its file than the window allows. Nothing
    /// more can be read after an error.
    #[expect(clippy::should_implement_trait, reason = "what it returns is lent")]
    pub fn next(&mut self) -> std::result::Result<Option<Arrival<'_>>, Error> {
        if let Some(number) = self.current.take() {
            let source = &mut self.sources[number];
            if let Some(window) = &mut source.window {
                if window.advance()? {
                    source.latest = source.latest.max(window.head().0);
                    self.turns.push(Reverse((source.latest, number)));
                } else {
                    source.read = window.bytes_read();
                    source.window = None;
                }
            }
        }
        let Some(Reverse((_, number))) = self.turns.pop() else {
            return Ok(None);
        };
        if self.sources[number].window.is_none() {
            let (file, len) = (self.sources[number].file.clone(), self.sources[number].len);
            self.sources[number] = Source::open(&file, &self.options)?;
            self.sources[number].len = len;
        }
        self.current = Some(number);
        let merged = self.sources.len() > 1;
        let window = self.sources[number].window.as_ref();
        let (recv_ns, kind, payload) = window.expect("it has just been opened").head();
        if merged {
            check_gap(&mut self.latest_ns, recv_ns)?;
        }
        Ok(Some(Arrival {
            recv_ns,
            kind,
            payload,
        }))
    }

    /// The file and the line, from 1, of the event that was handed out last.
    pub fn place(&self) -> Option<(&Path, u64)> {
        let source = &self.sources[self.current?];
        let line = source.window.as_ref()?.line()?;
        Some((&source.file, line))
    }

    /// From now on, [`next`](Self::next) waits for the writer of a pipe only until `flag` is set,
    /// and then fails. A signal handler alone does not end the wait.
    pub fn stop_when(&mut self, flag: &Arc<AtomicBool>) {
        for window in self
            .sources
            .iter()
            .filter_map(|source| source.window.as_ref())
        {
            window.stop_when(flag.clone());
        }
    }

    /// How many bytes of the files have been read, and how many there are; 0 for a pipe.
    pub fn bytes(&self) -> (u64, u64) {
        let read = |source: &Source| match &source.window {
            Some(window) => window.bytes_read(),
            None => source.read,
        };
        let total = self.sources.iter().map(|source| source.len);
        (self.sources.iter().map(read).sum(), total.sum())
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("options", &self.options)
            .field("bytes", &self.bytes())
            .finish_non_exhaustive()
    }
}
