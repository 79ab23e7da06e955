//! The events to play, in memory: when each is due, and a time of its own for each that makes a
//! signal, by which the signal is told.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use bytemuck::from_bytes_mut;
use signal::abi::{Depth, EventKind, Ticker, Trade};

use crate::failure::{Failure, Result};
use crate::pace::Pace;
use crate::source::Source;

/// Events before the first that is timed: with them, factor sets and predictors get into their
/// stride.
pub const LEAD: usize = 2_000;
/// Most events of a feed. They take some 200 MB.
const MOST: usize = 1_000_000;
/// Between two passes of a capture that is too short.
const BETWEEN_PASSES: Duration = Duration::from_millis(100);

/// An event.
#[derive(Clone, Debug)]
pub struct Event {
    /// After the first event of the feed.
    pub due: Duration,
    /// What it is.
    pub kind: EventKind,
    /// Whether it triggers signals.
    pub triggers: bool,
    payload: Range<usize>,
}

/// Events in the order in which they are due.
pub struct Feed {
    /// The events.
    pub events: Vec<Event>,
    payloads: Vec<u8>,
    by_time: HashMap<i64, u32>,
    /// How often the source was begun again because it was too short.
    pub repeats: usize,
}

impl Feed {
    /// Events for `length` behind [`LEAD`] further ones. `rate` is the number of Depths a second;
    /// without one, events come at their own times. `trigger` lists the kinds that make signals.
    ///
    /// # Errors
    ///
    /// What is wrong with the source: it cannot be read, it has no Depth, or all its events come
    /// at once.
    pub fn read(
        source: &mut Source,
        rate: Option<f64>,
        length: Duration,
        trigger: &[EventKind],
    ) -> Result<Self> {
        let mut feed = Self {
            events: Vec::new(),
            payloads: Vec::new(),
            by_time: HashMap::new(),
            repeats: 0,
        };
        let mut pace = Pace::default();
        let enough = |due: Duration, events: &[Event]| {
            let lead = events.get(LEAD).map(|first| first.due);
            lead.is_some_and(|lead| due >= lead + length) || events.len() >= MOST
        };
        let mut depths = 0u64;
        while let Some(event) = source.next()? {
            // An oddity of the recording's clock is told where it is played whole.
            let (own, _) = pace.take(event.recv_ns);
            depths += u64::from(event.kind == EventKind::Depth);
            let due = match rate {
                Some(rate) => Duration::from_secs_f64(depths.saturating_sub(1) as f64 / rate),
                None => own,
            };
            if enough(due, &feed.events) {
                break;
            }
            let start = feed.payloads.len();
            feed.payloads.extend_from_slice(event.payload);
            feed.events.push(Event {
                due,
                kind: event.kind,
                triggers: trigger.contains(&event.kind) && event.kind != EventKind::IndexPrice,
                payload: start..feed.payloads.len(),
            });
        }
        if depths == 0 {
            let read = feed.events.len();
            return Err(Failure::said(format!(
                "the capture has no Depth among its {read} events; expected Depths, on which Godzilla polls"
            )));
        }
        if let Some(rate) = rate {
            feed.spread_between_depths(Duration::from_secs_f64(1.0 / rate));
        }
        let pass = feed.events.last().map_or(Duration::ZERO, |last| last.due);
        if pass.is_zero() && feed.events.len() < MOST && rate.is_none() {
            return Err(Failure::said(
                "all events of the capture come at once (recv_ns is always the same); --rate N \
                 plays N Depths a second",
            ));
        }
        let shift = match rate {
            Some(rate) => Duration::from_secs_f64(depths as f64 / rate),
            None => pass + BETWEEN_PASSES,
        };
        feed.repeat(shift, enough);
        feed.give_times();
        Ok(feed)
    }

    /// Events behind a Depth are due at even intervals until the next, which is `gap` later.
    fn spread_between_depths(&mut self, gap: Duration) {
        let is_depth = |event: &Event| event.kind == EventKind::Depth;
        for group in self.events.chunk_by_mut(|_, next| !is_depth(next)) {
            // Before the first Depth there is nothing to keep apart from.
            if is_depth(&group[0]) {
                let (start, count) = (group[0].due, group.len() as f64);
                for (number, event) in group.iter_mut().enumerate() {
                    event.due = start + gap.mul_f64(number as f64 / count);
                }
            }
        }
    }

    /// Plays what is there again, each pass `shift` after the one before, until it is enough.
    fn repeat(&mut self, shift: Duration, enough: impl Fn(Duration, &[Event]) -> bool) {
        let own = self.events.len();
        let times = self.events.iter().filter_map(|event| self.time(event));
        let (first, last) = times.fold((i64::MAX, i64::MIN), |(first, last), time| {
            (first.min(time), last.max(time))
        });
        let later = last.saturating_sub(first).max(0).saturating_add(1_000_000);
        loop {
            let place = self.events.len();
            let before = &self.events[place - own];
            let due = before.due + shift;
            if enough(due, &self.events) {
                return;
            }
            self.repeats = place / own;
            let mut event = Event {
                due,
                ..before.clone()
            };
            let time = self.time(&event);
            let start = self.payloads.len();
            self.payloads.extend_from_within(event.payload.clone());
            event.payload = start..self.payloads.len();
            if let Some(time) = time {
                self.set_time(&event, time.saturating_add(later));
            }
            self.events.push(event);
        }
    }

    /// Moves events by a few nanoseconds, so that no two that make signals have the same time.
    fn give_times(&mut self) {
        for place in 0..self.events.len() {
            let event = self.events[place].clone();
            let Some(mut time) = self.time(&event).filter(|_| event.triggers) else {
                continue;
            };
            while self.by_time.contains_key(&time) {
                time += 1;
            }
            self.by_time.insert(time, place as u32);
            self.set_time(&event, time);
        }
    }

    /// The time that an event's signals have; an index price has none.
    fn time(&self, event: &Event) -> Option<i64> {
        let payload = self.payload(event);
        match event.kind {
            EventKind::Depth => Some(bytemuck::from_bytes::<Depth>(payload).data_time.get()),
            EventKind::Ticker => Some(bytemuck::from_bytes::<Ticker>(payload).data_time.get()),
            EventKind::Trade => Some(bytemuck::from_bytes::<Trade>(payload).trade_time.get()),
            EventKind::IndexPrice => None,
        }
    }

    fn set_time(&mut self, event: &Event, time: i64) {
        let payload = &mut self.payloads[event.payload.clone()];
        match event.kind {
            EventKind::Depth => from_bytes_mut::<Depth>(payload).data_time = time.into(),
            EventKind::Ticker => from_bytes_mut::<Ticker>(payload).data_time = time.into(),
            EventKind::Trade => from_bytes_mut::<Trade>(payload).trade_time = time.into(),
            EventKind::IndexPrice => {}
        }
    }

    /// The host's struct.
    pub fn payload(&self, event: &Event) -> &[u8] {
        &self.payloads[event.payload.clone()]
    }

    /// The event of a signal, by its place.
    pub fn event_of(&self, timestamp: i64) -> Option<u32> {
        self.by_time.get(&timestamp).copied()
    }

    /// Number of events that are played before the first that may be timed.
    fn lead(&self) -> usize {
        LEAD.min(self.events.len() / 2)
    }

    /// How long the part behind the lead is.
    pub fn length(&self) -> Duration {
        let last = self.events.last().map_or(Duration::ZERO, |last| last.due);
        last.saturating_sub(self.events[self.lead()].due)
    }

    /// The places of the events of one stretch: of `length`, from `offset` behind the lead.
    pub fn stretch(&self, offset: Duration, length: Duration) -> Range<usize> {
        let from = self.events[self.lead()].due + offset;
        let before = |until: Duration| self.events.partition_point(|event| event.due < until);
        before(from)..before(from + length)
    }

    /// Events that make signals, and Depths, a second.
    pub fn rates(&self) -> (f64, f64) {
        let seconds = self.length().as_secs_f64().max(1e-9);
        let timed = &self.events[self.lead()..];
        let rate = |which: fn(&Event) -> bool| {
            timed.iter().filter(|event| which(event)).count() as f64 / seconds
        };
        (
            rate(|event| event.triggers),
            rate(|event| event.kind == EventKind::Depth),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::{Length, Market};

    fn made(events: u64, rate: Option<f64>, length: Duration) -> Feed {
        let market = Market::new(1, Length::Events(events));
        let mut source = Source::Made(Box::new(market));
        Feed::read(&mut source, rate, length, &[EventKind::Depth]).expect("a feed")
    }

    #[test]
    fn depths_are_due_at_the_rate_and_others_between_them() {
        let feed = made(20_000, Some(100.0), Duration::from_secs(5));
        assert!(feed.events.is_sorted_by_key(|event| event.due));
        let depths = feed.events.iter();
        let depths = depths.filter(|event| event.kind == EventKind::Depth);
        for (number, depth) in depths.enumerate() {
            assert_eq!(depth.due, Duration::from_millis(10 * number as u64));
        }
        let (triggers, depths) = feed.rates();
        assert_eq!(triggers, depths);
        assert!((95.0..105.0).contains(&depths), "{depths}");
        assert!(feed.length() >= Duration::from_millis(4_900));
        assert_eq!(feed.repeats, 0);
    }

    #[test]
    fn a_short_source_is_played_again_and_every_signal_has_a_time_of_its_own() {
        let feed = made(300, None, Duration::from_secs(20));
        assert!(
            feed.length() >= Duration::from_millis(19_900),
            "{:?}",
            feed.length()
        );
        assert!(feed.repeats > 10, "{}", feed.repeats);
        assert!(feed.events.is_sorted_by_key(|event| event.due));
        let triggers = feed.events.iter().enumerate();
        let triggers = triggers.filter(|(_, event)| event.triggers);
        let mut count = 0;
        for (place, event) in triggers {
            let time = feed.time(event).expect("a time");
            assert_eq!(feed.event_of(time), Some(place as u32));
            count += 1;
        }
        assert_eq!(feed.by_time.len(), count);
    }

    #[test]
    fn events_of_one_time_are_told_apart() {
        let mut feed = made(300, None, Duration::from_secs(1));
        let events = feed.events.clone();
        for event in &events {
            feed.set_time(event, 7);
        }
        feed.by_time.clear();
        feed.give_times();
        for (place, event) in events.iter().enumerate() {
            let time = feed.time(event).unwrap_or(7);
            let told = feed.event_of(time) == Some(place as u32);
            assert!(told || !event.triggers, "{place}: {time}");
        }
    }

    #[test]
    fn stretches_follow_each_other() {
        let feed = made(50_000, Some(100.0), Duration::from_secs(10));
        let second = Duration::from_secs(1);
        let first = feed.stretch(Duration::ZERO, second);
        let next = feed.stretch(second, second);
        assert!(first.start >= LEAD);
        assert_eq!(first.end, next.start);
        let depths = |stretch: Range<usize>| {
            let events = &feed.events[stretch];
            let depths = events.iter().filter(|event| event.kind == EventKind::Depth);
            depths.count()
        };
        assert_eq!([depths(first), depths(next)], [100, 100]);
    }
}
