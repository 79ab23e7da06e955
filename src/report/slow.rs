//! Why a signal was slow: a line of the interval log for each, with what happened between its own
//! stamps.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::latency::{Latency, MOST_SLOW};
use super::monitor::Monitor;
use crate::messages::Names;
use crate::os::clock::Clock;
use crate::os::fixed_text::FixedText;
use crate::telemetry::hops::Hop;
use crate::telemetry::slowest::SlowSignal;

/// A signal that took this many times the median so far is slow.
const TIMES_THE_MEDIAN: u64 = 10;

/// Finds slow signals among the slowest of each interval.
pub(super) struct Slow {
    taken: Vec<SlowSignal>,
    names: Arc<Names>,
    /// ns.
    bound: u64,
}

impl Slow {
    pub(super) fn new(latency: &Latency) -> Self {
        Self {
            names: latency.names(),
            taken: Vec::with_capacity(MOST_SLOW),
            bound: u64::MAX,
        }
    }

    /// Takes what has come.
    pub(super) fn take(&mut self, latency: &mut Latency) {
        self.taken.clear();
        latency.take_slow(&mut self.taken);
        let mut all = latency.totals();
        let whole = all.find(|(hop, _)| *hop == Hop::TickToCallback);
        self.bound = whole.map_or(u64::MAX, |(_, histogram)| {
            histogram
                .value_at_quantile(0.5)
                .saturating_mul(TIMES_THE_MEDIAN)
        });
    }

    /// Writes a line for each that is slow, in the order in which they arrived. `since` is when the
    /// log began, TSC ticks.
    pub(super) fn tell(
        &mut self,
        monitor: &Monitor,
        clock: &Clock,
        since: u64,
        mut write: impl FnMut(&str) -> io::Result<()>,
    ) -> io::Result<()> {
        self.taken.sort_unstable_by_key(|signal| signal.arrival);
        for signal in &self.taken {
            let nanos = |from, to| clock.nanos(from, to);
            let took = nanos(signal.arrival, signal.taken);
            if took < self.bound {
                continue;
            }
            let name = self
                .names
                .get(signal.instrument)
                .map_or("?", |name| name.as_str());
            let text = FixedText::new(format_args!(
                "[Slow: {took} ns at {:.3} s, signal {} of {name}, {} ns to publish, {} ns to poll: {}]",
                nanos(since, signal.arrival) as f64 / 1e9,
                signal.sequence,
                nanos(signal.arrival, signal.published),
                nanos(signal.published, signal.taken),
                Cause::find(signal, monitor, clock),
            ));
            write(text.as_str())?;
        }
        Ok(())
    }
}

/// What explains at least half of a signal's time, by what happened within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    /// The host did not poll, ns.
    Host(u64),
    /// A lane was away from its core, ns.
    Away(usize, u64),
    /// The lanes worked on earlier events, ns.
    Queued(u64),
    Unknown,
}

impl Cause {
    fn find(signal: &SlowSignal, monitor: &Monitor, clock: &Clock) -> Self {
        let lanes = monitor.each_lane().enumerate();
        let away = lanes.map(|(lane, (.., heartbeat))| {
            (
                lane,
                heartbeat.away_between(signal.arrival, signal.published),
            )
        });
        let longest = away.max_by_key(|(_, ticks)| *ticks);
        Self::of(signal, longest, |ticks| clock.nanos(0, ticks))
    }

    fn of(signal: &SlowSignal, away: Option<(usize, u64)>, nanos: impl Fn(u64) -> u64) -> Self {
        let explains = |ticks: &u64| *ticks >= signal.took() / 2;
        let host = signal.taken.saturating_sub(signal.published);
        if explains(&host) {
            return Self::Host(nanos(host));
        }
        if let Some((lane, ticks)) = away.filter(|(_, ticks)| explains(ticks)) {
            return Self::Away(lane, nanos(ticks));
        }
        // The one before it was published after it had arrived.
        let queued = signal.before.saturating_sub(signal.arrival);
        match Some(queued).filter(explains) {
            Some(queued) => Self::Queued(nanos(queued)),
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(ns) => write!(f, "the host did not poll for {ns} ns"),
            Self::Away(lane, ns) => write!(f, "lane {lane} was off its core for {ns} ns"),
            Self::Queued(ns) => write!(f, "earlier events kept the lanes busy for {ns} ns"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn cause(published: u64, taken: u64, away: Option<(usize, u64)>, before: u64) -> Cause {
        let signal = SlowSignal {
            arrival: 1_000,
            published,
            taken,
            before,
            ..SlowSignal::NONE
        };
        Cause::of(&signal, away, |ticks| ticks)
    }

    #[test]
    fn what_took_half_of_the_time_is_the_cause() {
        assert_eq!(cause(1_100, 2_000, Some((0, 90)), 0), Cause::Host(900));
        assert_eq!(
            cause(1_900, 2_000, Some((1, 600)), 1_800),
            Cause::Away(1, 600)
        );
        assert_eq!(
            cause(1_900, 2_000, Some((0, 100)), 1_700),
            Cause::Queued(700)
        );
        assert_eq!(cause(1_900, 2_000, Some((0, 100)), 1_100), Cause::Unknown);
        assert_eq!(cause(1_900, 2_000, None, 0), Cause::Unknown);
    }
}
