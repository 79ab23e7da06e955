//! The host's loop: order of calls, pace, and back-pressure.

use std::io::IsTerminal;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use signal::abi::EventKind;

use crate::failure::{Failure, Result};
use crate::host::bindings::Stats;
use crate::plugin::Plugin;
use crate::source::{Played, Source};
use crate::waiter::Waiter;

/// How long the library may take over what is in flight at the end.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How long the library may take to make room while playing.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// Events between two steps of the progress bar.
const BAR_STEP: u64 = 1_024;
/// Time between two steps where the pace is kept.
const BAR_GAP: Duration = Duration::from_millis(100);
/// Ring sizes where the configuration names none.
const DEFAULT_RING: u64 = 4_096;
const DEFAULT_STAGE_RING: u64 = 1_024;

/// How fast to play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as the library takes it, losing nothing.
    Max,
    /// A multiple of the recorded pace.
    Times(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        match text.strip_suffix('x').unwrap_or(text).parse::<f64>() {
            Ok(times) if (0.001..=1e6).contains(&times) => Ok(Self::Times(times)),
            _ => Err("expected `max` or a multiple from 0.001x to 1000000x, e.g. `1x`".into()),
        }
    }
}

impl std::fmt::Display for Speed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Max => write!(f, "max (lossless: waits while the library is busy)"),
            Self::Times(times) => write!(f, "{times}x of the recorded pace"),
        }
    }
}

/// What came of it.
pub struct Outcome {
    /// The counters at the end.
    pub stats: Stats,
    /// Signals that only the polls after the last event brought.
    pub last_polls: u64,
    /// Polls beyond the host's order of calls, to make room.
    pub extra_polls: u64,
    /// How long playing took.
    pub took: Duration,
    /// What was played.
    pub played: Played,
    /// Why it ended before the end of the events.
    pub stopped: Option<Failure>,
}

impl Outcome {
    /// A failure if something went missing on the way, or not all was played.
    pub fn verdict(self, callbacks: u64) -> Result<()> {
        let missing = self.missing(callbacks);
        match (self.stopped, missing) {
            (Some(stopped), _) => Err(stopped),
            (None, wrong) if wrong.is_empty() => Ok(()),
            (None, wrong) => Err(Failure::said(format!(
                "something is missing: {}",
                wrong.join("; ")
            ))),
        }
    }

    fn missing(&self, callbacks: u64) -> Vec<String> {
        let stats = &self.stats;
        let mut wrong = Vec::new();
        let counted = [
            (EventKind::Depth, stats.events_depth),
            (EventKind::Ticker, stats.events_ticker),
            (EventKind::Trade, stats.events_trade),
            (EventKind::IndexPrice, stats.events_index_price),
        ];
        for (kind, counted) in counted {
            let played = self.played.count(kind);
            if played != counted {
                wrong.push(format!(
                    "{played} {kind:?} events played, {counted} counted"
                ));
            }
        }
        if stats.in_flight > 0 {
            let seconds = DRAIN_LIMIT.as_secs();
            wrong.push(format!(
                "{} events unfinished after {seconds} s",
                stats.in_flight
            ));
        }
        if stats.queued > 0 {
            wrong.push(format!("{} signals not delivered", stats.queued));
        }
        if stats.delivered != callbacks {
            wrong.push(format!(
                "{} signals delivered, {callbacks} callbacks",
                stats.delivered
            ));
        }
        wrong
    }
}

/// Events and signals that may be on their way at speed max: a quarter of the
/// smallest ring of the configuration file, where an event may make a signal
/// for each of `models`.
pub fn window(config: Option<&Path>, models: usize) -> u64 {
    // A file that cannot be read is the library's to complain about.
    let text = config
        .and_then(|path| std::fs::read(path).ok())
        .unwrap_or_default();
    let config: Value = serde_json::from_slice(&text).unwrap_or_default();
    let ring = |name: &str| config["rings"][name].as_u64().unwrap_or(DEFAULT_RING);
    let egress = ring("egress") / models.max(1) as u64;
    let stage = config["rings"]["stage"]
        .as_u64()
        .unwrap_or(DEFAULT_STAGE_RING);
    let window = ring("ingest").min(egress) / 4;
    // A model lane that is further behind than its broadcast reaches back
    // misses vectors.
    window.min(stage / 2).clamp(1, 512)
}

/// Plays events in the host's order of calls, then waits for the rest. What ends the
/// events early is in the outcome, which tells what came of them until then.
pub fn run(
    plugin: &Plugin,
    source: &mut Source,
    speed: Speed,
    window: u64,
    waiter: &Waiter,
) -> Result<Outcome> {
    let bar = progress(source.progress().1);
    // Checked twice a window, so that at most one and a half are on their way.
    let check = (window / 2).max(1);
    let (mut played, mut extra_polls) = (Played::default(), 0);
    let mut first_ns = None;
    let start = Instant::now();
    let mut drawn = start;
    let stopped = loop {
        let number = played.events();
        let shown = match speed {
            Speed::Max => number.is_multiple_of(BAR_STEP),
            Speed::Times(_) => drawn.elapsed() >= BAR_GAP,
        };
        if shown {
            bar.set_position(source.progress().0);
            drawn = Instant::now();
        }
        if speed == Speed::Max && number.is_multiple_of(check) {
            extra_polls += make_room(plugin, window, waiter)?;
        }
        let event = match source.next() {
            Ok(Some(event)) => event,
            Ok(None) => break None,
            Err(failure) => break Some(failure),
        };
        let first_ns = *first_ns.get_or_insert(event.recv_ns);
        if let Speed::Times(times) = speed {
            let ns = event.recv_ns.saturating_sub(first_ns).max(0) as f64 / times;
            waiter.until(start + Duration::from_nanos(ns as u64));
        }
        if event.kind == EventKind::Depth {
            plugin.poll()?;
            // Here the host calls its strategy's on_depth.
        }
        plugin.on_data(event.kind.message_type(), event.payload);
        played += (event.kind, event.recv_ns);
    };
    let took = start.elapsed();
    bar.finish_and_clear();
    let (stats, last_polls) = drain(plugin, waiter)?;
    Ok(Outcome {
        stats,
        last_polls,
        extra_polls,
        took,
        played,
        stopped,
    })
}

/// Waits until less than `window` is on its way; the number of polls it took.
fn make_room(plugin: &Plugin, window: u64, waiter: &Waiter) -> Result<u64> {
    let mut polls = 0;
    let since = Instant::now();
    loop {
        let stats = plugin.stats()?;
        let queued = stats.queued;
        if stats.in_flight + queued < window {
            return Ok(polls);
        }
        // Only signals are left: the host's next poll has too many to take.
        if stats.in_flight == 0 {
            plugin.poll()?;
            polls += 1;
        }
        if since.elapsed() > STALL_LIMIT {
            return Err(Failure::said(format!(
                "the library is stuck: {} events in flight and {queued} signals queued for {} s",
                stats.in_flight,
                STALL_LIMIT.as_secs()
            )));
        }
        waiter.pause();
    }
}

/// Waits for what is in flight, then takes the signals that the host's order
/// of calls would leave behind. The counters, and how many signals came.
fn drain(plugin: &Plugin, waiter: &Waiter) -> Result<(Stats, u64)> {
    let deadline = Instant::now() + DRAIN_LIMIT;
    let mut taken = 0;
    loop {
        let stats = plugin.stats()?;
        if stats.in_flight == 0 && stats.queued == 0 || Instant::now() > deadline {
            return Ok((stats, taken));
        }
        match stats.in_flight {
            0 => taken += plugin.poll()?,
            _ => waiter.pause(),
        }
    }
}

/// A progress bar on standard error if that is a terminal, and somebody knows how
/// much there is.
fn progress(whole: u64) -> ProgressBar {
    if whole == 0 || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {percent} %, {eta} left");
    ProgressBar::new(whole).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("1x".parse(), Ok(Speed::Times(1.0)));
        assert_eq!("0.5x".parse(), Ok(Speed::Times(0.5)));
        for bad in ["", "x", "0x", "-1x", "NaNx", "infx", "fast", "1xx"] {
            assert!(bad.parse::<Speed>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn window_fits_the_smallest_ring() {
        assert_eq!(window(None, 1), 512);
        assert_eq!(window(None, 64), 16);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("config.json");
        for (text, expected) in [
            (r#"{"rings": {"ingest": 64, "egress": 128}}"#, 16),
            (r#"{"rings": {"egress": 1}}"#, 1),
            (r#"{"rings": {"stage": 8}}"#, 4),
            ("not JSON", 512),
        ] {
            std::fs::write(&file, text).expect("a file");
            assert_eq!(window(Some(&file), 1), expected, "{text}");
        }
    }
}
