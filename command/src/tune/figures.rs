//! What one repetition of a candidate was: latencies, and the time of the host's thread.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::arrivals::Arrival;

/// Fewest signals for which a 99th percentile says something.
pub const FEWEST_FOR_P99: usize = 1_000;

/// Two percentiles, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// The median.
    pub p50_ns: f64,
    /// The 99th.
    pub p99_ns: f64,
}

impl Percentiles {
    /// Of these times; zeros if there are none.
    fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let at = |part: f64| {
            let rank = (part * times.len() as f64).ceil() as usize;
            let time = times.get(rank.max(1) - 1);
            time.map_or(0.0, |time| time.as_nanos() as f64)
        };
        Self {
            p50_ns: at(0.5),
            p99_ns: at(0.99),
        }
    }
}

/// Why a repetition without a signal counts for nothing.
const NO_SIGNAL: &str = "INVALID: no signal came in a repetition";

/// One repetition.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Figures {
    /// Events whose signals came.
    pub signals: usize,
    /// From the time at which an event was due until the callback of its last signal began.
    pub tick_to_callback: Percentiles,
    /// The longest of these, ns.
    pub max_ns: f64,
    /// How long `signal_on_data` took with an event that makes signals.
    pub on_data: Percentiles,
    /// How long the poll before a Depth took.
    pub poll: Percentiles,
    /// Events whose signals did not come within their own `signal_on_data`.
    pub late: usize,
    /// Signals dropped or conflated.
    pub lost: u64,
    /// Why nothing may be compared with this repetition: what had the cores meanwhile, say.
    pub invalid: Option<String>,
}

/// What the host notes while it plays.
#[derive(Debug, Default)]
pub struct Raw {
    /// Calls of `signal_on_data` with events that make signals.
    pub on_data: Vec<Duration>,
    /// Polls before a Depth.
    pub poll: Vec<Duration>,
    /// Signals dropped or conflated.
    pub lost: u64,
}

impl Raw {
    /// Room for this many events, written once, so that the pages are there.
    pub fn with_room(count: usize) -> Self {
        let room = || {
            let mut times = vec![Duration::from_nanos(1); count];
            times.clear();
            times
        };
        Self {
            on_data: room(),
            poll: room(),
            lost: 0,
        }
    }

    /// The figures. `due` gives an arrival's event by its place, and when it was due. `behind`
    /// signals came only when all was over, and `per_event` is the number of signals of an event;
    /// events before `settled` do not count.
    pub fn figures(
        self,
        due: impl Fn(&Arrival) -> Option<(u32, Instant)>,
        came: &[Arrival],
        (behind, per_event, invalid): (usize, usize, Option<String>),
        settled: u32,
    ) -> Figures {
        // A signal of an index price has the time of an older event, which has had its own.
        let mut seen: HashMap<u32, (usize, Duration, bool)> = HashMap::new();
        for arrival in came {
            let Some((place, due)) = due(arrival).filter(|(place, _)| *place >= settled) else {
                continue;
            };
            let (count, last, is_late) = seen.entry(place).or_default();
            if *count < per_event {
                *count += 1;
                *last = arrival.at.saturating_duration_since(due);
                *is_late |= arrival.during != place;
            }
        }
        let times: Vec<_> = seen.values().map(|(_, last, _)| *last).collect();
        let late = seen.values().filter(|(.., is_late)| *is_late).count();
        // Its times would be 0, the best of all. A repetition that loses signals is judged by that.
        let is_empty = times.is_empty() && self.lost == 0;
        let invalid = invalid.or_else(|| is_empty.then(|| NO_SIGNAL.to_owned()));
        Figures {
            signals: times.len(),
            max_ns: times.iter().max().map_or(0.0, |max| max.as_nanos() as f64),
            tick_to_callback: Percentiles::of(times),
            on_data: Percentiles::of(self.on_data),
            poll: Percentiles::of(self.poll),
            late: late + behind.div_ceil(per_event.max(1)),
            lost: self.lost,
            invalid,
        }
    }
}

/// The median of several values; of an even number, the mean of the middle two. 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        count if count % 2 == 1 => values[middle],
        _ => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let times = |count: u64| (1..=count).rev().map(Duration::from_nanos).collect();
        let of = |count| {
            let percentiles = Percentiles::of(times(count));
            (percentiles.p50_ns, percentiles.p99_ns)
        };
        assert_eq!(of(0), (0.0, 0.0));
        assert_eq!(of(1), (1.0, 1.0));
        assert_eq!(of(100), (50.0, 99.0));
        assert_eq!(of(1_000), (500.0, 990.0));
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }

    #[test]
    fn an_event_ends_with_its_last_signal_and_is_late_where_another_call_brings_it() {
        let start = Instant::now();
        let micros = Duration::from_micros;
        // Event number n is due after n ms.
        let due = |arrival: &Arrival| {
            let place = u32::try_from(arrival.timestamp).ok()?;
            Some((place, start + micros(1_000 * u64::from(place))))
        };
        let arrival = |place: u32, after: u64, during: u32| Arrival {
            timestamp: place.into(),
            at: start + micros(1_000 * u64::from(place) + after),
            during,
        };
        let came = [
            // Before the figures begin.
            arrival(1, 900, 1),
            arrival(2, 3, 2),
            arrival(2, 5, 2),
            // A third one of two is another's.
            arrival(2, 800, 3),
            arrival(3, 4, 3),
            arrival(3, 1_007, 4),
        ];
        let raw = Raw {
            on_data: vec![micros(2)],
            poll: vec![],
            lost: 1,
        };
        let figures = raw.figures(due, &came, (1, 2, None), 2);
        assert_eq!(figures.signals, 2);
        assert_eq!(figures.tick_to_callback.p50_ns, 5_000.0);
        assert_eq!(figures.max_ns, 1_007_000.0);
        assert_eq!(figures.on_data.p99_ns, 2_000.0);
        assert_eq!(figures.poll, Percentiles::default());
        // Event 3, and one whose signal came when all was over.
        assert_eq!((figures.late, figures.lost), (2, 1));
        assert_eq!(figures.invalid, None);
    }

    #[test]
    fn a_repetition_without_a_signal_counts_for_nothing() {
        let of = |lost| {
            let raw = Raw {
                lost,
                ..Raw::default()
            };
            raw.figures(|_| None, &[], (0, 1, None), 0).invalid
        };
        assert_eq!(of(0).as_deref(), Some(NO_SIGNAL));
        assert_eq!(of(1), None);
    }
}
