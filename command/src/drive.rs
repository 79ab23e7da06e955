//! The host's loop: order of calls, pacing, and back-pressure.

use std::io::IsTerminal;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use signal::Config;
use signal::abi::EventKind;

use crate::failure::{self, Failure, Result};
use crate::host::bindings::Stats;
use crate::interrupt::Interrupt;
use crate::pace::Pace;
use crate::plugin::Plugin;
use crate::source::{Played, Source};
use crate::waiter::Waiter;

/// How long the library may take at the end to finish what is in flight.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How long the library may take to make room during playing.
const STALL_LIMIT: Duration = Duration::from_secs(60);
/// Sleep while only waiting for the capture's disk: its writer may need this core.
const DISK_NAP: Duration = Duration::from_millis(1);
/// Period of a host that polls in a loop.
const HOST_LOOP: Duration = Duration::from_nanos(100);
/// Events between two steps of the progress bar.
const BAR_STEP: u64 = 1_024;
/// Time between two steps of the progress bar, if the events are paced.
const BAR_GAP: Duration = Duration::from_millis(100);

/// How fast to play.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Speed {
    /// As fast as the library takes it, losing nothing.
    Max,
    /// A multiple of the recorded speed.
    Times(f64),
    /// The same, with a host that polls while it waits: no event queues behind another, and no
    /// signal waits for the host.
    Alone(f64),
}

impl Speed {
    /// Whether to wait for the library, so that nothing is dropped.
    fn is_lossless(&self) -> bool {
        !matches!(self, Self::Times(_))
    }
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
            Self::Alone(times) => {
                write!(
                    f,
                    "{times}x of the recorded pace, the host polls while it waits"
                )
            }
        }
    }
}

/// The results of a run.
pub struct Outcome {
    /// The counters at the end.
    pub stats: Stats,
    /// Signals that arrived only in the polls after the last event.
    pub last_polls: u64,
    /// Extra polls, beyond the host's order of calls, to make room.
    pub extra_polls: u64,
    /// How long playing took.
    pub took: Duration,
    /// What was played.
    pub played: Played,
    /// Events that the capture's writer has not processed.
    pub uncaptured: u64,
    /// Why the run ended before the end of the events.
    pub stopped: Option<Failure>,
}

impl Outcome {
    /// Adds the results of a `later` part of the run. Its counters already cover the whole run.
    pub fn goes_on(&mut self, later: Outcome) {
        self.stats = later.stats;
        self.last_polls = later.last_polls;
        self.extra_polls += later.extra_polls;
        self.took += later.took;
        self.played += later.played;
        self.uncaptured = later.uncaptured;
        self.stopped = later.stopped;
    }

    /// A failure if anything was lost, or if not everything was played.
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
        let lost = stats.capture_missed + stats.capture_failed + self.uncaptured;
        if lost > 0 {
            wrong.push(format!("{lost} events are not in the capture"));
        }
        wrong
    }
}

/// How much may be in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Events and signals in flight at speed max: a quarter of the smallest ring.
    window: u64,
    /// Events that may wait for the capture's writer, if there is a capture: the library
    /// never waits for it, so this command does.
    capture: Option<u64>,
}

impl Limits {
    /// The limits for a library with this configuration, where an event may produce one signal for
    /// each of `models` models.
    pub fn new(config: &Config, models: usize) -> Self {
        let egress = config.rings.egress / models.max(1);
        let window = config.rings.ingest.min(egress) / 4;
        // A model lane that is later than its broadcast ring reaches back misses vectors.
        let window = window.min(config.rings.stage / 2).clamp(1, 512);
        let capture = config.capture.file.as_ref();
        Self {
            window: window as u64,
            capture: capture.map(|_| config.capture.buffer as u64),
        }
    }

    /// Number of events between two checks. With this, at most one and a half windows are in
    /// flight, and the capture's buffer never overflows.
    fn check(&self) -> u64 {
        let capture = self.capture.map_or(u64::MAX, |events| events / 2);
        (self.window / 2).min(capture).max(1)
    }

    /// Whether the capture's writer has progressed far enough at a check.
    fn has_captured(&self, stats: &Stats) -> bool {
        let most = |events: u64| events - self.check().min(events);
        self.capture
            .is_none_or(|events| uncaptured(stats) <= most(events))
    }
}

/// Events that the library accepts, or will accept, and that the capture's writer has not processed
/// yet.
fn uncaptured(stats: &Stats) -> u64 {
    // These are not events, or were captured before they were refused.
    const NOT_REFUSED_AT_INGEST: [&str; 4] = [
        "refused_null_data",
        "refused_unknown_type",
        "refused_concurrent",
        "refused_quarantined",
    ];
    let named = stats.named();
    let sum = |which: &dyn Fn(&str) -> bool| -> u64 {
        let chosen = named.iter().filter(|(name, _)| which(name));
        chosen.map(|(_, count)| count).sum()
    };
    let given = sum(&|name| name.starts_with("events_"));
    let ended = sum(&|name| {
        name.starts_with("refused_") && !NOT_REFUSED_AT_INGEST.contains(&name)
            || name.starts_with("dropped_ingest_")
            || name.starts_with("capture_")
    });
    given.saturating_sub(ended)
}

/// Plays up to `most` events in the host's order of calls, then waits for those in flight. If
/// something ends the run early, the outcome says why, and has the results until then.
pub fn run(
    plugin: &Plugin,
    source: &mut Source,
    (speed, most): (Speed, u64),
    limits: Limits,
    waiter: &Waiter,
    interrupt: &Interrupt,
) -> Result<Outcome> {
    let bar = progress(source.progress().1);
    let check = limits.check();
    let (mut played, mut extra_polls) = (Played::default(), 0);
    let mut pace = Pace::default();
    let start = Instant::now();
    let (mut drawn, mut begun) = (start, start);
    let stopped = loop {
        let number = played.events();
        let shown = match speed {
            Speed::Max => number.is_multiple_of(BAR_STEP),
            Speed::Times(_) | Speed::Alone(_) => drawn.elapsed() >= BAR_GAP,
        };
        if shown {
            bar.set_position(source.progress().0);
            drawn = Instant::now();
        }
        if (speed.is_lossless() || limits.capture.is_some()) && number.is_multiple_of(check) {
            extra_polls += make_room(plugin, speed, limits, waiter, interrupt)?;
        }
        if let Some(told) = interrupt.told() {
            break Some(told);
        }
        if number == most {
            break None;
        }
        let event = match source.next() {
            Ok(Some(event)) => event,
            Ok(None) => break None,
            // An interrupt also ends the wait for a pipe.
            Err(failure) => break Some(interrupt.told().unwrap_or(failure)),
        };
        let (due, odd) = pace.take(event.recv_ns);
        if let Speed::Times(times) | Speed::Alone(times) = speed {
            let due = begun + Duration::from_nanos((due.as_nanos() as f64 / times) as u64);
            if let Speed::Alone(_) = speed {
                // A delayed host does not catch up, because events would then queue.
                begun += due.elapsed();
                while Instant::now() < due && interrupt.told().is_none() {
                    plugin.poll()?;
                    waiter.until(due.min(Instant::now() + HOST_LOOP), interrupt);
                }
            }
            waiter.until(due, interrupt);
            if let Some(told) = interrupt.told() {
                break Some(told);
            }
        }
        if event.kind == EventKind::Depth {
            plugin.poll()?;
            // Here the host calls its strategy's on_depth.
        }
        plugin.on_data(event.kind.message_type(), event.payload);
        played += (event.kind, event.recv_ns);
        if let Some(odd) = odd {
            failure::warn(&match source.place() {
                Some(place) => format!("{place}: {odd}"),
                None => odd,
            });
        }
    };
    let took = start.elapsed();
    bar.finish_and_clear();
    let (stats, last_polls) = drain(plugin, limits, waiter)?;
    Ok(Outcome {
        stats,
        last_polls,
        extra_polls,
        took,
        played,
        uncaptured: limits.capture.map_or(0, |_| uncaptured(&stats)),
        stopped,
    })
}

/// Waits until as little is in flight as the speed requires, or the run is interrupted. Returns the
/// number of polls that it made.
fn make_room(
    plugin: &Plugin,
    speed: Speed,
    limits: Limits,
    waiter: &Waiter,
    interrupt: &Interrupt,
) -> Result<u64> {
    let mut polls = 0;
    let since = Instant::now();
    loop {
        let stats = plugin.stats()?;
        let queued = stats.queued;
        let crowded = speed.is_lossless() && stats.in_flight + queued >= limits.window;
        if !crowded && limits.has_captured(&stats) || interrupt.told().is_some() {
            return Ok(polls);
        }
        // Only signals are left, more than the host's next poll should take at once.
        if crowded && stats.in_flight == 0 {
            plugin.poll()?;
            polls += 1;
        }
        if since.elapsed() > STALL_LIMIT {
            return Err(Failure::said(format!(
                "the library is stuck: {} events in flight, {queued} signals queued and {} \
                 events not captured for {} s",
                stats.in_flight,
                limits.capture.map_or(0, |_| uncaptured(&stats)),
                STALL_LIMIT.as_secs()
            )));
        }
        match crowded {
            true => waiter.pause(),
            false => thread::sleep(DISK_NAP),
        }
    }
}

/// Waits for what is in flight, takes the signals that the host's order of calls would leave
/// behind, and waits for the capture. Returns the counters and the number of signals.
fn drain(plugin: &Plugin, limits: Limits, waiter: &Waiter) -> Result<(Stats, u64)> {
    let deadline = Instant::now() + DRAIN_LIMIT;
    let mut taken = 0;
    loop {
        let stats = plugin.stats()?;
        let at_rest = stats.in_flight == 0 && stats.queued == 0;
        let captured = limits.capture.is_none() || uncaptured(&stats) == 0;
        if at_rest && captured || Instant::now() > deadline {
            return Ok((stats, taken));
        }
        match stats.in_flight {
            0 if stats.queued > 0 => taken += plugin.poll()?,
            0 => thread::sleep(DISK_NAP),
            _ => waiter.pause(),
        }
    }
}

/// A progress bar on standard error, if that is a terminal and the total is known.
pub fn progress(whole: u64) -> ProgressBar {
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
    fn limits_fit_the_smallest_ring_and_the_capture() {
        for (text, models, window, capture, check) in [
            ("{}", 1, 512, None, 256),
            ("{}", 64, 16, None, 8),
            (
                r#"{"rings": {"ingest": 64, "egress": 128}}"#,
                1,
                16,
                None,
                8,
            ),
            (r#"{"rings": {"egress": 2}}"#, 1, 1, None, 1),
            (r#"{"rings": {"stage": 8}}"#, 1, 4, None, 2),
            (r#"{"capture": {"file": "x"}}"#, 1, 512, Some(16_384), 256),
            (
                r#"{"capture": {"file": "x", "buffer": 9}}"#,
                1,
                512,
                Some(9),
                4,
            ),
        ] {
            let config = Config::from_json(text).expect("a configuration");
            let limits = Limits::new(&config, models);
            assert_eq!(limits, Limits { window, capture }, "{text}");
            assert_eq!(limits.check(), check, "{text}");
        }
    }

    #[test]
    fn what_waits_for_the_capture_is_what_ingest_takes() {
        let stats = Stats {
            events_depth: 100,
            events_trade: 50,
            refused_bad_price: 7,
            refused_not_an_asset: 3,
            // Captured before they were refused, or not events.
            refused_quarantined: 20,
            refused_null_data: 9,
            dropped_ingest_ring_full: 10,
            capture_written: 100,
            capture_missed: 5,
            capture_failed: 1,
            ..Stats::default()
        };
        assert_eq!(uncaptured(&stats), 24);
        let limits = |capture| Limits {
            window: 512,
            capture,
        };
        assert!(limits(None).has_captured(&stats));
        assert!(limits(Some(48)).has_captured(&stats));
        assert!(!limits(Some(46)).has_captured(&stats));
    }
}
