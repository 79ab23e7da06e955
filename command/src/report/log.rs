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
    /// How many events or signals were lost so far, for one reason.
    Lost(Lost<'a>),
    /// A remark of the library, such as that a lane was away from its core.
    Remark(&'a str),
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
mod tests {
    use std::io::Write;

    use hdrhistogram::serialization::V2DeflateSerializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

    use super::*;

    const HEAD: &str = "#[Histogram log format version 1.3]\n#[Latencies in ns; untagged intervals are tick_to_callback]\n#[StartTime: 100.500 (seconds since epoch)]\n#[BaseTime: 100.500 (seconds since epoch)]\n#\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n";

    /// A line of one interval that has these latencies.
    fn line(tag: Option<&str>, from: f64, values: &[u64]) -> String {
        let mut histogram = Histogram::<u64>::new(2).unwrap();
        values
            .iter()
            .for_each(|&value| histogram.record(value).unwrap());
        let (mut out, mut serializer) = (Vec::new(), V2DeflateSerializer::new());
        IntervalLogWriterBuilder::new()
            .begin_log_with(&mut out, &mut serializer)
            .unwrap()
            .write_histogram(
                &histogram,
                Duration::from_secs_f64(from),
                Duration::from_secs(1),
                tag.and_then(Tag::new),
            )
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
        format!("{line}\n")
    }

    /// What a reader sees of this text.
    fn seen(text: &[u8]) -> Result<(Vec<String>, Ending)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let mut all = Vec::new();
        let ending = read(file.path(), |entry, decode| {
            all.push(match &entry {
                Entry::Remark(text) => (*text).to_owned(),
                Entry::Lost(lost) => format!("lost {} {} {}", lost.counter, lost.total, lost.by),
                Entry::Interval(of) => {
                    let histogram = decode(of)?;
                    format!(
                        "{} {} {} {} {}",
                        of.hop.name(),
                        of.start,
                        of.length,
                        histogram.len(),
                        histogram.max()
                    )
                }
            });
            Ok(())
        })?;
        Ok((all, ending))
    }

    fn refused(text: &[u8]) -> String {
        seen(text).expect_err("this log is refused").to_string()
    }

    #[test]
    fn reads_intervals_and_remarks() {
        let text = format!(
            "{HEAD}{}#[core shared: lane 0 away 3 %]\n#[Lost: egress_gap 2 by 1.250 s]\n{}",
            line(Some("host.wait"), 0.0, &[10, 20]),
            line(None, 1.0, &[30])
        );
        let (all, ending) = seen(text.as_bytes()).unwrap();
        assert_eq!(
            all,
            [
                "host.wait 100.5 1 2 20",
                "core shared: lane 0 away 3 %",
                "lost egress_gap 2 101.75",
                "tick_to_callback 101.5 1 1 30"
            ]
        );
        assert_eq!(
            ending,
            Ending {
                cut: false,
                intervals: 2
            }
        );
    }

    #[test]
    fn a_log_that_goes_on_after_a_cut_has_times_of_its_own() {
        let second = HEAD.replace("100.500", "200.000");
        let text = format!(
            "{HEAD}{}{second}{}",
            line(None, 1.0, &[1]),
            line(None, 1.0, &[2])
        );
        let (all, _) = seen(text.as_bytes()).unwrap();
        assert_eq!(
            all,
            ["tick_to_callback 101.5 1 1 1", "tick_to_callback 201 1 1 2"]
        );
    }

    #[test]
    fn a_last_line_that_is_cut_is_told() {
        let whole = format!("{HEAD}{}", line(None, 0.0, &[1]));
        let text = format!("{whole}{}", line(None, 1.0, &[2]));
        for end in whole.len() + 1..text.len() {
            let (all, ending) = seen(&text.as_bytes()[..end]).unwrap();
            assert_eq!(
                (all.len(), ending),
                (
                    1,
                    Ending {
                        cut: true,
                        intervals: 1
                    }
                )
            );
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_line() {
        let good = line(None, 0.0, &[1]);
        let bad = good.replace("HIST", "HISS");
        for (text, says) in [
            (String::new(), "the file is empty"),
            ("1,2,3\n".into(), "line 1: expected \"#[Histogram log"),
            (
                HEAD.replace("1.3", "2.0"),
                "line 1: it has version 2.0 of the format; expected 1.2 or 1.3",
            ),
            (
                format!("{HEAD}{good}what is this\n"),
                "line 7: expected an interval",
            ),
            (
                format!("{HEAD}{bad}"),
                "line 6: the histogram cannot be decoded",
            ),
            (
                format!("{HEAD}{}", line(Some("lunch.wait"), 0.0, &[1])),
                "line 6: unknown hop \"lunch.wait\"",
            ),
            (
                format!("{HEAD}#[Lost: much]\n"),
                "line 6: expected \"Lost: COUNTER TOTAL by SECONDS s\", found \"Lost: much\"",
            ),
            (
                format!("#[Histogram log format version 1.3]\n{good}"),
                "line 2: no line \"#[Latencies in ns",
            ),
        ] {
            let told = refused(text.as_bytes());
            assert!(told.contains(says), "{told}");
        }
        assert!(refused(&[b'#', 0xff, b'\n']).contains("line 1: it is not text"));
        assert!(refused(&vec![0; 2 << 20]).contains("a line is longer than"));
    }
}
