//! Reads the interval log of a latency report, a line at a time: a log of a day does not fit in
//! memory.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{
    IntervalLogHistogram, IntervalLogIterator, LogEntry,
};
use serde::Serialize;
use signal::Hop;
use signal::os::files::open_regular;

use crate::failure::{Failure, Result};

/// The versions of the format that are known to have these lines.
const VERSIONS: [&str; 2] = ["1.2", "1.3"];
/// Only with this line is it known what the numbers are.
const UNIT: &str = "#[Latencies in ns";
/// The longest line that is taken for one; a histogram takes some kilobytes at most.
const LONGEST_LINE: usize = 1 << 20;

/// What a line of a log holds.
pub enum Entry<'a> {
    /// One hop over one interval.
    Interval(Interval<'a>),
    /// A signal that was slow.
    Slow(Slow),
    /// How many events or signals were lost so far, for one reason.
    Lost(Lost<'a>),
    /// A remark of the library, such as that a lane was away from its core.
    Remark(&'a str),
}

/// A signal that was slow.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slow {
    /// When its event arrived, s: since the epoch in a log, since the run's start in a document.
    pub at: f64,
    /// Tick to callback, ns.
    pub ns: u64,
    /// Its number.
    pub sequence: u64,
    /// Its instrument.
    pub instrument: String,
    /// From arrival until it was published to the host, ns.
    pub publish_ns: u64,
    /// From there until the host's poll found it, ns.
    pub poll_ns: u64,
    /// What explains at least half of that time, or `unknown`.
    pub cause: String,
}

impl Slow {
    /// The remark for a log that began `since` seconds before the event arrived.
    pub fn line(&self, since: f64) -> String {
        let Self {
            ns,
            sequence,
            instrument,
            publish_ns,
            poll_ns,
            cause,
            ..
        } = self;
        format!(
            "Slow: {ns} ns at {since:.3} s, signal {sequence} of {instrument}, {publish_ns} ns to publish, {poll_ns} ns to poll: {cause}"
        )
    }
}

/// What was lost so far.
pub struct Lost<'a> {
    /// The counter's name.
    pub counter: &'a str,
    /// What it stood at.
    pub total: u64,
    /// When, s since the epoch.
    pub by: f64,
}

/// By how much the counters of one log rise.
#[derive(Default)]
pub struct Rises(HashMap<String, u64>);

impl Rises {
    /// By how much a counter has risen since the last line that had it.
    pub fn rise(&mut self, counter: &str, total: u64) -> u64 {
        let before = self.0.insert(counter.to_owned(), total).unwrap_or(0);
        total.saturating_sub(before)
    }
}

/// One hop over one interval; its histogram is not decoded yet.
pub struct Interval<'a> {
    /// The hop.
    pub hop: Hop,
    /// When it began, s since the epoch.
    pub start: f64,
    /// How long it took, s.
    pub length: f64,
    max: f64,
    encoded: &'a str,
}

impl Interval<'_> {
    /// The line for a log that began `since` seconds before this interval, without its end.
    pub fn line(&self, since: f64) -> String {
        let tag = match self.hop {
            Hop::TickToCallback => String::new(),
            hop => format!("Tag={},", hop.name()),
        };
        let Self {
            length,
            max,
            encoded,
            ..
        } = self;
        format!("{tag}{since:.3},{length:.3},{max:.3},{encoded}")
    }
}

/// What is to be said of a log beside its intervals.
#[derive(Debug, Default, PartialEq)]
pub struct Ending {
    /// Whether its last line is cut: a machine that lost its power leaves such a log.
    pub cut: bool,
    /// Lines with an interval.
    pub intervals: u64,
}

/// Decodes histograms.
pub struct Decoder {
    decoder: Deserializer,
    bytes: Vec<u8>,
}

impl Decoder {
    /// One for any number of histograms.
    pub fn new() -> Self {
        Self {
            decoder: Deserializer::new(),
            bytes: Vec::new(),
        }
    }

    /// The interval's histogram, of latencies in ns.
    fn decode(&mut self, encoded: &str) -> std::result::Result<Histogram<u64>, String> {
        self.bytes.clear();
        BASE64
            .decode_vec(encoded, &mut self.bytes)
            .map_err(|error| format!("the histogram is not base64: {error}"))?;
        self.decoder
            .deserialize(&mut &self.bytes[..])
            .map_err(|error| format!("the histogram cannot be decoded: {error:?}"))
    }
}

/// Where the reading of a log stands.
#[derive(Default)]
struct State {
    version: bool,
    unit: bool,
    start: Option<Duration>,
    base: Option<Duration>,
}

/// Reads a log and hands each entry to `each`. The closure decodes a histogram through the
/// function that it is given, if it wants it.
///
/// # Errors
///
/// A file that cannot be read, or a line that is not understood, by its number. If the last line
/// is cut, that is no error but in the [`Ending`].
pub fn read(
    path: &Path,
    mut each: impl FnMut(
        Entry<'_>,
        &mut dyn FnMut(&Interval<'_>) -> std::result::Result<Histogram<u64>, String>,
    ) -> std::result::Result<(), String>,
) -> Result<Ending> {
    let named = |what: &str| Failure::said(format!("{}: {what}", path.display()));
    let file = open_regular(path).map_err(|what| named(&what))?;
    let mut input = BufReader::with_capacity(1 << 16, file);
    let mut line = Vec::new();
    let mut state = State::default();
    let mut ending = Ending::default();
    let mut decoder = Decoder::new();
    let mut decode = |interval: &Interval<'_>| decoder.decode(interval.encoded);
    for number in 1.. {
        line.clear();
        let read = read_line(&mut input, &mut line).map_err(|error| named(&error.to_string()))?;
        if read == 0 {
            break;
        }
        let whole = line.ends_with(b"\n");
        if !whole && number > 1 {
            ending.cut = true;
            break;
        }
        let entry = std::str::from_utf8(&line)
            .map_err(|_| "it is not text".to_owned())
            .and_then(|text| state.parse(text, number))
            .map_err(|what| named(&format!("line {number}: {what}")))?;
        let Some(entry) = entry else { continue };
        ending.intervals += u64::from(matches!(entry, Entry::Interval(_)));
        each(entry, &mut decode).map_err(|what| named(&format!("line {number}: {what}")))?;
    }
    if !state.version {
        return Err(named(
            "the file is empty; expected the interval log of a latency report",
        ));
    }
    Ok(ending)
}

/// Reads one line, but not without end: a file of zeros has none.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<usize> {
    use std::io::Read;
    let read = input.take(LONGEST_LINE as u64).read_until(b'\n', line)?;
    match read {
        LONGEST_LINE if !line.ends_with(b"\n") => Err(std::io::Error::other(format!(
            "a line is longer than {LONGEST_LINE} bytes; expected the interval log of a latency report"
        ))),
        _ => Ok(read),
    }
}

impl State {
    /// What a line holds; nothing if it is one of those that only describe the log.
    fn parse<'a>(
        &mut self,
        line: &'a str,
        number: u64,
    ) -> std::result::Result<Option<Entry<'a>>, String> {
        let text = line.trim_end();
        if let Some(version) = text.strip_prefix("#[Histogram log format version ") {
            let version = version.trim_end_matches(']');
            if !VERSIONS.contains(&version) {
                return Err(format!(
                    "it has version {version} of the format; expected {}",
                    VERSIONS.join(" or ")
                ));
            }
            // Where a log was cut by another program, it goes on as one of its own.
            *self = Self {
                version: true,
                ..Self::default()
            };
            return Ok(None);
        }
        if !self.version {
            return Err(format!(
                "expected \"#[Histogram log format version 1.3]\" as the first line, found {:?}: not the interval log of a latency report",
                shortened(text)
            ));
        }
        if text.starts_with(UNIT) {
            self.unit = true;
            return Ok(None);
        }
        if let Some(remark) = text.strip_prefix('#')
            && !remark.starts_with("[StartTime")
            && !remark.starts_with("[BaseTime")
        {
            let remark = remark.trim_start_matches('[').trim_end_matches(']');
            if let Some(lost) = remark.strip_prefix("Lost: ") {
                let lost = self.lost(lost).ok_or_else(|| {
                    format!("expected \"Lost: COUNTER TOTAL by SECONDS s\", found {remark:?}")
                })?;
                return Ok(Some(Entry::Lost(lost)));
            }
            if let Some(slow) = remark.strip_prefix("Slow: ") {
                let slow = self.slow(slow).ok_or_else(|| {
                    format!(
                        "expected \"Slow: NS ns at SECONDS s, signal NUMBER of SYMBOL, NS ns to publish, NS ns to poll: CAUSE\", found {remark:?}"
                    )
                })?;
                return Ok(Some(Entry::Slow(slow)));
            }
            let describes = remark.starts_with('"');
            return Ok((!describes && !remark.is_empty()).then_some(Entry::Remark(remark)));
        }
        match IntervalLogIterator::new(line.as_bytes()).next() {
            None => Ok(None),
            Some(Ok(LogEntry::StartTime(time))) => {
                self.start = Some(time);
                Ok(None)
            }
            Some(Ok(LogEntry::BaseTime(time))) => {
                self.base = Some(time);
                Ok(None)
            }
            Some(Ok(LogEntry::Interval(interval))) => self.interval(&interval).map(Some),
            Some(Err(_)) => Err(format!(
                "expected an interval (start, length, maximum, histogram), found {:?} at line {number}",
                shortened(text)
            )),
        }
    }

    /// When the times of the log's lines begin.
    fn from(&self) -> Duration {
        self.base.or(self.start).unwrap_or_default()
    }

    fn lost<'a>(&self, text: &'a str) -> Option<Lost<'a>> {
        let mut words = text.split(' ');
        let [counter, total, by, since, s] = std::array::from_fn(|_| words.next());
        let of_this_form = by == Some("by") && s == Some("s") && words.next().is_none();
        Some(Lost {
            counter: counter.filter(|_| of_this_form)?,
            total: total?.parse().ok()?,
            by: self.from().as_secs_f64() + since?.parse::<f64>().ok()?,
        })
    }

    fn slow(&self, text: &str) -> Option<Slow> {
        let (ns, rest) = text.split_once(" ns at ")?;
        let (since, rest) = rest.split_once(" s, signal ")?;
        let (sequence, rest) = rest.split_once(" of ")?;
        let (instrument, rest) = rest.split_once(", ")?;
        let (publish, rest) = rest.split_once(" ns to publish, ")?;
        let (poll, cause) = rest.split_once(" ns to poll: ")?;
        Some(Slow {
            at: self.from().as_secs_f64() + since.parse::<f64>().ok()?,
            ns: ns.parse().ok()?,
            sequence: sequence.parse().ok()?,
            instrument: instrument.to_owned(),
            publish_ns: publish.parse().ok()?,
            poll_ns: poll.parse().ok()?,
            cause: cause.to_owned(),
        })
    }

    fn interval<'a>(
        &self,
        interval: &IntervalLogHistogram<'a>,
    ) -> std::result::Result<Entry<'a>, String> {
        if !self.unit {
            return Err(format!(
                "no line \"{UNIT} ...\" stands before it, so the unit of its latencies is unknown: this log is not of this library"
            ));
        }
        let hop = match interval.tag() {
            None => Hop::TickToCallback,
            Some(tag) => hop_named(tag.as_str()).ok_or_else(|| {
                format!(
                    "unknown hop {:?}; expected one of {}: was the report made by a newer library?",
                    tag.as_str(),
                    Hop::ALL.map(Hop::name).join(", ")
                )
            })?,
        };
        Ok(Entry::Interval(Interval {
            hop,
            start: (self.from() + interval.start_timestamp()).as_secs_f64(),
            length: interval.duration().as_secs_f64(),
            max: interval.max(),
            encoded: interval.encoded_histogram(),
        }))
    }
}

/// The hop of this name.
pub fn hop_named(name: &str) -> Option<Hop> {
    Hop::ALL.into_iter().find(|hop| hop.name() == name)
}

/// The beginning of a line, for an error.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
