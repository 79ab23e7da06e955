//! The events of one measurement, when each is due, and when its signal came.

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use signal::abi::{Depth, EventKind, Ticker, Trade};
use signal::replay::{ReadOptions, Reader};
use signal_bench::drive::{Probe, Signal};
use signal_bench::series::{Series, Stamps};
use signal_bench::workload;
use signal_command::{Recording, Source};

/// Unmeasured, at the pace.
pub const SETTLE: usize = 5;

/// The host's struct. A Depth makes a signal, whose time is the Depth's.
pub type Event<'a> = (EventKind, &'a [u8]);

/// Events, by their place; times are clock ticks after the feed begins.
pub enum Feed<'a> {
    Even(Box<Even>),
    /// The event that comes next is copied out, as by a host that has read its file that far.
    Recorded(&'a Session, Vec<u8>),
}

/// Depths at even intervals, and Trades and Tickers in turn evenly spread between them. The times of
/// Depths are their numbers, from 1.
pub struct Even {
    depth: Depth,
    trade: Trade,
    ticker: Ticker,
    step: u64,
    others: usize,
    depths: usize,
}

impl Even {
    pub fn new(step: u64, others: usize, depths: usize) -> Self {
        let depth = workload::depth();
        Self {
            trade: workload::trade(&depth),
            ticker: workload::ticker(&depth),
            depth,
            step,
            others,
            depths,
        }
    }

    /// The Depth's number that an event goes before or is, and how many events are left before it.
    fn split(&self, place: usize) -> (usize, usize) {
        let all = self.others + 1;
        (place / all, self.others - place % all)
    }

    fn due(&self, place: usize) -> u64 {
        let (number, left) = self.split(place);
        // What goes before the first Depth has room, too.
        let depth = (number as u64 + 1) * self.step;
        depth - left as u64 * (self.step / (self.others as u64 + 1))
    }

    fn event(&mut self, place: usize) -> Event<'_> {
        let (number, left) = self.split(place);
        if left == 0 {
            workload::turn(&mut self.depth, number);
            return (EventKind::Depth, bytemuck::bytes_of(&self.depth));
        }
        let (time, volume) = (number as i64 + 1, 1.0 + (left % 7) as f64);
        if left % 2 == 0 {
            self.ticker.data_time = time.into();
            self.ticker.bid_volume = volume.into();
            return (EventKind::Ticker, bytemuck::bytes_of(&self.ticker));
        }
        self.trade.price = (101.0 + (number % 7) as f64 / 8.0).into();
        self.trade.trade_time = time.into();
        (EventKind::Trade, bytemuck::bytes_of(&self.trade))
    }
}

/// An excerpt of a recorded session.
pub struct Session {
    recording: Recording,
    /// The places of its events, behind the recording's lead.
    timed: Range<usize>,
    /// When each of them is due.
    due: Vec<u64>,
    /// The place of the first Depth that is measured.
    settled: usize,
    /// How many Depths are.
    measured: usize,
}

impl Session {
    /// So much of it behind the lead. No two Depths have the same time.
    pub fn read(file: &Path, length: Duration, stamps: &Stamps) -> Result<Self, String> {
        let reader = Reader::open(&[file], &ReadOptions::default()).map_err(|e| e.to_string())?;
        let mut source = Source::Recorded(Box::new(reader));
        let recording = Recording::read(&mut source, None, length, &[EventKind::Depth]);
        let recording = recording.map_err(|error| format!("{}: {error}", file.display()))?;
        let timed = recording.stretch(Duration::ZERO, length);
        let events = &recording.events;
        let mut depths = timed.clone().filter(|&place| events[place].triggers);
        let settled = depths.nth(SETTLE).ok_or_else(|| {
            format!(
                "{}: too few Depths in {length:?} behind the lead; expected more than {SETTLE}",
                file.display()
            )
        })?;
        let measured = 1 + depths.count();
        let start = events[timed.start].due;
        let due = events[timed.clone()].iter();
        let due = due.map(|event| stamps.ticks((event.due - start).as_nanos() as u64));
        Ok(Self {
            due: due.collect(),
            timed,
            settled,
            measured,
            recording,
        })
    }

    fn event(&self, place: usize) -> Event<'_> {
        let event = &self.recording.events[place];
        (event.kind, self.recording.payload(event))
    }
}

impl Feed<'_> {
    /// How many events go before the first that is due, at full speed: a session's lead, or so many
    /// Depths. None of them counts.
    pub fn lead(&self, depths: usize) -> usize {
        match self {
            Self::Even(_) => depths,
            Self::Recorded(session, _) => session.timed.start,
        }
    }

    pub fn lead_event(&mut self, place: usize) -> Event<'_> {
        match self {
            Self::Even(even) => {
                workload::turn(&mut even.depth, place);
                even.depth.data_time = 0.into();
                (EventKind::Depth, bytemuck::bytes_of(&even.depth))
            }
            Self::Recorded(session, _) => session.event(place),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Even(even) => even.depths * (even.others + 1),
            Self::Recorded(session, _) => session.due.len(),
        }
    }

    /// How many Depths are measured: all but the first, which settle.
    pub fn measured(&self) -> usize {
        match self {
            Self::Even(even) => even.depths - SETTLE,
            Self::Recorded(session, _) => session.measured,
        }
    }

    #[inline(always)]
    pub fn due(&self, place: usize) -> u64 {
        match self {
            Self::Even(even) => even.due(place),
            Self::Recorded(session, _) => session.due[place],
        }
    }

    /// When the measured Depth of this time was due.
    fn due_of(&self, time: i64) -> Option<u64> {
        match self {
            Self::Even(even) => {
                let number = usize::try_from(time - 1).ok()?;
                let is_measured = (SETTLE..even.depths).contains(&number);
                is_measured.then(|| even.due(number * (even.others + 1) + even.others))
            }
            Self::Recorded(session, _) => {
                let place = session.recording.event_of(time)? as usize;
                let is_measured = (session.settled..session.timed.end).contains(&place);
                is_measured.then(|| session.due[place - session.timed.start])
            }
        }
    }

    /// Makes the event at hand before it is due.
    pub fn fetch(&mut self, place: usize) {
        if let Self::Recorded(session, next) = self {
            next.clear();
            next.extend_from_slice(session.event(session.timed.start + place).1);
        }
    }

    /// The event, which must have been fetched last.
    #[inline(always)]
    pub fn event(&mut self, place: usize) -> Event<'_> {
        match self {
            Self::Even(even) => even.event(place),
            Self::Recorded(session, next) => (session.event(session.timed.start + place).0, next),
        }
    }
}

/// When signals came. Looked at when all is over, so that a callback writes 16 bytes, next to the
/// last ones, and no more.
pub struct Came<'a> {
    stamps: &'a Stamps,
    calls: Cell<u64>,
    /// Time of the event, stamp.
    came: Vec<Cell<(i64, u64)>>,
}

impl<'a> Came<'a> {
    pub fn new(stamps: &'a Stamps, room: usize) -> Self {
        Self {
            stamps,
            calls: Cell::new(0),
            // Written, so that its pages are there.
            came: vec![Cell::new((1, 1)); room],
        }
    }

    /// Forgets what came.
    pub fn begin(&self) {
        self.calls.set(0);
    }

    /// From when Depths were due to their signals, of those that came and are measured. `start` is
    /// when the feed began.
    pub fn series(&self, feed: &Feed<'_>, start: u64) -> Series {
        let mut series = Series::default();
        let came = self.came.iter().take(self.calls.get() as usize);
        for (time, stamp) in came.map(Cell::get) {
            if let Some(due) = feed.due_of(time) {
                // A signal of no time at all would be none.
                series.record(start + due, stamp.max(start + due + 1));
            }
        }
        series
    }
}

impl Probe for Came<'_> {
    #[inline(always)]
    fn take(&self, signal: Signal) {
        let now = self.stamps.raw();
        let calls = self.calls.get();
        if let Some(cell) = self.came.get(calls as usize) {
            cell.set((signal.timestamp, now));
        }
        self.calls.set(calls + 1);
    }

    #[inline(always)]
    fn calls(&self) -> u64 {
        self.calls.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal_command::LEAD;

    /// Times of a feed's Depths, and when they were due.
    fn depths(feed: &mut Feed<'_>) -> Vec<(i64, Option<u64>)> {
        let mut depths = Vec::new();
        for place in 0..feed.len() {
            feed.fetch(place);
            if let (EventKind::Depth, payload) = feed.event(place) {
                let time = bytemuck::from_bytes::<Depth>(payload).data_time.get();
                depths.push((time, feed.due_of(time)));
                let due = depths.last().unwrap().1;
                assert!(due.is_none_or(|due| due == feed.due(place)));
            }
        }
        depths
    }

    #[test]
    fn trades_and_tickers_lie_evenly_before_each_depth() {
        let mut feed = Feed::Even(Box::new(Even::new(100, 4, 7)));
        let due: Vec<u64> = (0..10).map(|place| feed.due(place)).collect();
        assert_eq!(due, [20, 40, 60, 80, 100, 120, 140, 160, 180, 200]);
        let kinds: Vec<_> = (0..6).map(|place| feed.event(place).0).collect();
        use EventKind::{Depth as Book, Ticker, Trade};
        assert_eq!(kinds, [Ticker, Trade, Ticker, Trade, Book, Ticker]);
        assert_eq!((feed.len(), feed.measured()), (35, 2));
        // The first ones settle.
        let depths = depths(&mut feed);
        assert!(depths[..5].iter().all(|depth| depth.1.is_none()));
        assert_eq!(depths[5..], [(6, Some(600)), (7, Some(700))]);
        assert_eq!([0, 8].map(|time| feed.due_of(time)), [None; 2]);
    }

    #[test]
    fn a_session_keeps_its_times_and_every_depth_has_one_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.csv");
        std::fs::write(&file, workload::capture(3 * LEAD, 1_000, 2)).unwrap();
        let stamps = Stamps::default();
        let length = Duration::from_micros(2_500);
        let session = Session::read(&file, length, &stamps).unwrap();
        let mut feed = Feed::Recorded(&session, Vec::new());
        assert_eq!((feed.lead(7), feed.len()), (LEAD, 2_500));
        feed.fetch(0);
        assert_eq!(feed.event(0).0, EventKind::Depth);
        assert_eq!([0, 1].map(|place| feed.due(place)), [0, stamps.ticks(1000)]);
        let depths = depths(&mut feed);
        assert_eq!((depths.len(), feed.measured()), (1_250, 1_250 - SETTLE));
        assert!(depths[..SETTLE].iter().all(|depth| depth.1.is_none()));
        assert!(depths[SETTLE..].iter().all(|depth| depth.1.is_some()));
        assert!(depths.is_sorted_by(|a, b| a.0 < b.0 && (a.1.is_none() || a.1 < b.1)));
        let few = Session::read(&file, Duration::from_micros(3), &stamps);
        assert!(few.is_err_and(|error| error.contains("too few Depths")));
    }

    #[test]
    fn signals_are_told_by_their_time_and_others_do_not_count() {
        let stamps = Stamps::default();
        let feed = Feed::Even(Box::new(Even::new(100, 0, 7)));
        let came = Came::new(&stamps, 3);
        for (place, pair) in [(9, 1), (7, 1750), (6, 1610)].into_iter().enumerate() {
            came.came[place].set(pair);
        }
        came.calls.set(3);
        let figures = came.series(&feed, 1000).figures(&stamps);
        assert_eq!(figures.count, 2);
        assert!((figures.max.unwrap() - stamps.ns(50.0)).abs() < 1.0);
        came.begin();
        assert_eq!(came.series(&feed, 1000).figures(&stamps).count, 0);
    }
}
