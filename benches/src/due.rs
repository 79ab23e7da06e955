//! An open load: Depths that are due at even intervals, whatever the library does, and how long
//! after that their callbacks come.

use std::cell::Cell;

use crate::drive::{Probe, Signal};
use crate::series::{Figures, Series, Stamps};

/// Takes the signals of Depths whose time is their number, from 1. What goes before the load has
/// the time 0.
pub struct Due<'a> {
    stamps: &'a Stamps,
    /// When the first is due, and how long after it the next, in clock ticks. Fractions of a tick
    /// are kept, so the mean rate is exact.
    start: Cell<u64>,
    step: f64,
    /// So many at first are in no figure.
    warm_up: usize,
    calls: Cell<u64>,
    /// In ticks; 0 where no signal came. Looked at when all is over, so that a callback writes
    /// eight bytes and no more.
    latencies: Vec<Cell<u64>>,
}

impl<'a> Due<'a> {
    pub fn new(stamps: &'a Stamps, step: f64, warm_up: usize, count: usize) -> Self {
        Self {
            stamps,
            start: Cell::new(0),
            step,
            warm_up,
            calls: Cell::new(0),
            // Written, so that its pages are there.
            latencies: vec![Cell::new(1); count],
        }
    }

    /// The load begins: the first Depth is due then.
    pub fn begin(&self, start: u64) {
        self.start.set(start);
        self.calls.set(0);
        self.latencies.iter().for_each(|cell| cell.set(0));
    }

    /// When the Depth of this number, from 0, is due.
    #[inline(always)]
    pub fn due(&self, number: usize) -> u64 {
        self.start.get() + (number as f64 * self.step) as u64
    }

    pub fn latencies(&self) -> Vec<u64> {
        self.latencies.iter().map(Cell::get).collect()
    }

    /// Of the signals that came.
    pub fn figures(&self) -> Figures {
        let mut series = Series::default();
        let came = self.latencies.iter().map(Cell::get);
        came.filter(|&latency| latency > 0)
            .for_each(|latency| series.record(0, latency));
        series.figures(self.stamps)
    }
}

impl Probe for Due<'_> {
    #[inline(always)]
    fn take(&self, signal: Signal) {
        let now = self.stamps.raw();
        let time = signal.timestamp as usize;
        let place = time.checked_sub(self.warm_up + 1);
        if let Some(cell) = place.and_then(|place| self.latencies.get(place)) {
            cell.set(now.saturating_sub(self.due(time - 1)).max(1));
        }
        self.calls.set(self.calls.get() + 1);
    }

    #[inline(always)]
    fn calls(&self) -> u64 {
        self.calls.get()
    }
}

#[test]
fn depths_are_due_at_even_intervals_and_do_not_drift() {
    let stamps = Stamps::default();
    let load = Due::new(&stamps, 2.5, 0, 0);
    load.begin(1000);
    let due = [0, 1, 2, 3, 4].map(|number| load.due(number));
    assert_eq!(due, [1000, 1002, 1005, 1007, 1010]);
    // A step rounded to whole ticks would be off by a third here.
    let day = Due::new(&stamps, 4.0 / 3.0, 0, 0);
    assert_eq!(day.due(3_000_000_000), 4_000_000_000);
}
