//! The events of one measurement, when each is due, and when its signal came.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use signal::abi::{Depth, EventKind, Trade};
use signal::replay::{ReadOptions, Reader};
use signal_bench::drive::{Probe, Signal};
use signal_bench::series::{Figures, Series, Stamps};
use signal_bench::workload;

/// Unmeasured, at the pace.
pub const SETTLE: usize = 5;
/// Unmeasured, at full speed, the first of a session: with them factor sets get into their stride.
const LEAD: usize = 2_000;

/// An event. A Depth makes a signal, whose time is the Depth's.
pub enum Event<'a> {
    Depth(&'a Depth),
    Trade(&'a Trade),
    /// The host's struct.
    Other(EventKind, &'a [u8]),
}

/// Events, by their place; times are clock ticks after the first.
pub enum Feed<'a> {
    Even(Box<Even>),
    /// The event that comes next is copied out, as by a host that has read its file that far.
    Recorded(&'a Session, Vec<u8>),
}

/// Depths at even intervals, and Trades evenly spread between them. The times of Depths are their
/// numbers, from 1.
pub struct Even {
    depth: Depth,
    trade: Trade,
    step: u64,
    others: usize,
    depths: usize,
}

impl Even {
    pub fn new(step: u64, others: usize, depths: usize) -> Self {
        let depth = workload::depth();
        let trade = workload::trade(&depth);
        Self {
            depth,
            trade,
            step,
            others,
            depths,
        }
    }

    /// The Depth's number that an event goes before or is, and how many Trades are left.
    fn split(&self, place: usize) -> (usize, usize) {
        let all = self.others + 1;
        (place / all, self.others - place % all)
    }

    fn due(&self, place: usize) -> u64 {
        let (number, left) = self.split(place);
        // The first Depth's Trades have room, too.
        let depth = (number as u64 + 1) * self.step;
        depth - left as u64 * (self.step / (self.others as u64 + 1))
    }

    fn event(&mut self, place: usize) -> Event<'_> {
        let (number, left) = self.split(place);
        if left == 0 {
            workload::turn(&mut self.depth, number);
            return Event::Depth(&self.depth);
        }
        self.trade.price = (101.0 + (number % 7) as f64 / 8.0).into();
        self.trade.trade_time = (number as i64 + 1).into();
        Event::Trade(&self.trade)
    }
}

struct Recorded {
    due: u64,
    kind: EventKind,
    payload: Vec<u8>,
}

impl Recorded {
    fn event(&self) -> Event<'_> {
        self.with(&self.payload)
    }

    #[inline(always)]
    fn with<'a>(&self, payload: &'a [u8]) -> Event<'a> {
        match self.kind {
            EventKind::Depth => Event::Depth(bytemuck::from_bytes(payload)),
            kind => Event::Other(kind, payload),
        }
    }
}

/// An excerpt of a recorded session.
pub struct Session {
    lead: Vec<Recorded>,
    events: Vec<Recorded>,
}

impl Session {
    /// So much of it behind its lead. No two Depths have the same time.
    pub fn read(file: &Path, length: Duration, stamps: &Stamps) -> Result<Self, String> {
        let mut reader =
            Reader::open(&[file], &ReadOptions::default()).map_err(|e| e.to_string())?;
        let (mut lead, mut events) = (Vec::new(), Vec::new());
        let (mut start, mut last) = (0, 0);
        while let Some(event) = reader.next().map_err(|e| e.to_string())? {
            let mut payload = event.payload.to_vec();
            if event.kind == EventKind::Depth {
                let depth = bytemuck::from_bytes_mut::<Depth>(&mut payload);
                last = depth.data_time.get().max(last + 1);
                depth.data_time = last.into();
            }
            let is_lead = lead.len() < LEAD;
            if is_lead {
                start = event.recv_ns;
            }
            let due = event.recv_ns.saturating_sub(start).max(0) as u64;
            if due > length.as_nanos() as u64 {
                break;
            }
            let all = if is_lead { &mut lead } else { &mut events };
            all.push(Recorded {
                due: stamps.ticks(due),
                kind: event.kind,
                payload,
            });
        }
        let depths = events.iter().filter(|event| event.kind == EventKind::Depth);
        match depths.count() {
            few if few <= SETTLE => Err(format!(
                "{}: {few} Depths behind the first {LEAD} events; expected more than {SETTLE}",
                file.display()
            )),
            _ => Ok(Self { lead, events }),
        }
    }
}

impl Feed<'_> {
    /// How many events go before the first that is due, at full speed: a session's lead, or so many
    /// Depths. None of them counts.
    pub fn lead(&self, depths: usize) -> usize {
        match self {
            Self::Even(_) => depths,
            Self::Recorded(session, _) => session.lead.len(),
        }
    }

    pub fn lead_event(&mut self, place: usize) -> Event<'_> {
        match self {
            Self::Even(even) => {
                workload::turn(&mut even.depth, place);
                even.depth.data_time = 0.into();
                Event::Depth(&even.depth)
            }
            Self::Recorded(session, _) => session.lead[place].event(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Even(even) => even.depths * (even.others + 1),
            Self::Recorded(session, _) => session.events.len(),
        }
    }

    #[inline(always)]
    pub fn due(&self, place: usize) -> u64 {
        match self {
            Self::Even(even) => even.due(place),
            Self::Recorded(session, _) => session.events[place].due,
        }
    }

    /// Makes the event at hand before it is due.
    pub fn fetch(&mut self, place: usize) {
        if let Self::Recorded(session, next) = self {
            next.clear();
            next.extend_from_slice(&session.events[place].payload);
        }
    }

    /// The event, which must have been fetched last.
    #[inline(always)]
    pub fn event(&mut self, place: usize) -> Event<'_> {
        match self {
            Self::Even(even) => even.event(place),
            Self::Recorded(session, next) => session.events[place].with(next),
        }
    }

    /// Time and due time of the Depths that are measured.
    pub fn depths(&mut self) -> Vec<(i64, u64)> {
        let mut depths = Vec::new();
        for place in 0..self.len() {
            let due = self.due(place);
            self.fetch(place);
            if let Event::Depth(depth) = self.event(place) {
                depths.push((depth.data_time.get(), due));
            }
        }
        depths.split_off(SETTLE)
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

    /// From when Depths were due to their signals, of those that came. `start` is when the feed
    /// began.
    pub fn figures(&self, depths: &[(i64, u64)], start: u64) -> Figures {
        let mut series = Series::default();
        for (time, stamp) in self
            .came
            .iter()
            .take(self.calls.get() as usize)
            .map(Cell::get)
        {
            if let Ok(place) = depths.binary_search_by_key(&time, |depth| depth.0) {
                // A signal of no time at all would be none.
                series.record(
                    start + depths[place].1,
                    stamp.max(start + depths[place].1 + 1),
                );
            }
        }
        series.figures(self.stamps)
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

    #[test]
    fn trades_lie_evenly_before_each_depth() {
        let mut feed = Feed::Even(Box::new(Even::new(100, 4, 7)));
        let due: Vec<u64> = (0..10).map(|place| feed.due(place)).collect();
        assert_eq!(due, [20, 40, 60, 80, 100, 120, 140, 160, 180, 200]);
        assert!(matches!(feed.event(4), Event::Depth(_)));
        assert!(matches!(feed.event(5), Event::Trade(_)));
        assert_eq!(feed.len(), 35);
        // The first ones settle.
        assert_eq!(feed.depths(), [(6, 600), (7, 700)]);
    }

    #[test]
    fn a_session_keeps_its_times_and_every_depth_has_one_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.csv");
        std::fs::write(&file, workload::capture(LEAD + 20, 1_000, 2)).unwrap();
        let stamps = Stamps::default();
        let length = Duration::from_micros(15);
        let session = Session::read(&file, length, &stamps).unwrap();
        let mut feed = Feed::Recorded(&session, Vec::new());
        assert_eq!((feed.lead(7), feed.len()), (LEAD, 15));
        feed.fetch(0);
        assert!(matches!(feed.event(0), Event::Depth(_)));
        // Behind the last event of the lead.
        assert_eq!(feed.due(0), stamps.ticks(1000));
        let depths = feed.depths();
        assert_eq!(depths.len(), 8 - SETTLE);
        assert!(depths.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
        let few = Session::read(&file, Duration::from_micros(3), &stamps);
        assert!(few.is_err_and(|error| error.contains("2 Depths")));
    }

    #[test]
    fn signals_are_told_by_their_time_and_others_do_not_count() {
        let stamps = Stamps::default();
        let came = Came::new(&stamps, 3);
        for (place, pair) in [(9, 1), (7, 1250), (6, 1110)].into_iter().enumerate() {
            came.came[place].set(pair);
        }
        came.calls.set(3);
        let figures = came.figures(&[(6, 100), (7, 200)], 1000);
        assert_eq!(figures.count, 2);
        assert!((figures.max.unwrap() - stamps.ns(50.0)).abs() < 1.0);
        came.begin();
        assert_eq!(came.figures(&[(6, 100)], 1000).count, 0);
    }
}
