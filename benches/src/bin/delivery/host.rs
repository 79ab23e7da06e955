//! A host that loads the library as Godzilla does. Its callback costs nothing but
//! the stamp.

use std::cell::{Cell, RefCell};

use signal::abi::Depth;
use signal_bench::probe;
use signal_bench::series::{Series, Stamps};
use signal_bench::silence::{LONGEST_WAIT, wait_until};
use signal_bench::workload;
use signal_command::host::library::Handle;

/// Depths whose starts are remembered.
const REMEMBERED: usize = 1 << 12;

/// What the callback looks at. It runs on the host's thread.
struct Probe<'a> {
    stamps: &'a Stamps,
    /// When each Depth was given, or was to be given, by its number.
    starts: Vec<Cell<u64>>,
    /// Depths from this number on are measured.
    first: Cell<u64>,
    series: RefCell<Series>,
    calls: Cell<u64>,
}

impl probe::Probe for Probe<'_> {
    #[inline(always)]
    fn take(&self, timestamp: i64) {
        let now = self.stamps.raw();
        let number = timestamp as u64;
        if number >= self.first.get() {
            let start = self.starts[number as usize % REMEMBERED].get();
            self.series.borrow_mut().record(start, now);
        }
        self.calls.set(self.calls.get() + 1);
    }
}

/// The books are so many, in turn.
const BOOKS: u64 = 16;

/// Makes it the Depth with this number.
#[inline(always)]
fn turn(depth: &mut Depth, number: u64) {
    depth.data_time = (number as i64).into();
    depth.bid_price[0] = (100.0 + (number % BOOKS) as f64 / BOOKS as f64).into();
}

/// All books that the host gives.
pub fn books() -> impl Iterator<Item = Depth> {
    (1..=BOOKS).map(|number| {
        let mut depth = workload::depth();
        turn(&mut depth, number);
        depth
    })
}

/// The host.
pub struct Host<'a> {
    pub handle: &'a Handle,
    // Boxed: the library keeps a pointer to it.
    probe: Box<Probe<'a>>,
    depth: Depth,
    given: u64,
}

impl<'a> Host<'a> {
    /// Registers the callback.
    pub fn new(handle: &'a Handle, stamps: &'a Stamps) -> Self {
        let probe = Box::new(Probe {
            stamps,
            starts: vec![Cell::new(0); REMEMBERED],
            first: Cell::new(0),
            series: RefCell::new(Series::new()),
            calls: Cell::new(0),
        });
        // SAFETY: the probe is boxed and outlives the use of the handle through this struct.
        unsafe { probe::register(handle, &*probe) };
        Self {
            handle,
            probe,
            depth: workload::depth(),
            given: 0,
        }
    }

    /// The next Depth, from `start` on: the book moves.
    #[inline(always)]
    fn next(&mut self, start: u64) -> &Depth {
        self.given += 1;
        turn(&mut self.depth, self.given);
        self.probe.starts[self.given as usize % REMEMBERED].set(start);
        &self.depth
    }

    /// Gives a Depth now; the stamp just before the call.
    #[inline(always)]
    pub fn give(&mut self) -> u64 {
        self.next(0);
        let start = self.probe.stamps.start();
        self.probe.starts[self.given as usize % REMEMBERED].set(start);
        self.handle.on_depth(&self.depth);
        start
    }

    /// Gives a Depth that was to be given at `start`.
    #[inline(always)]
    pub fn give_due(&mut self, start: u64) {
        self.next(start);
        self.handle.on_depth(&self.depth);
    }

    /// Polls until every Depth has had its callback.
    #[inline(always)]
    pub fn wait(&self) -> Result<(), String> {
        let came = wait_until(|| {
            let all = self.probe.calls.get() == self.given;
            if !all {
                self.handle.poll_inlined();
            }
            all
        });
        came.map_err(|silence| {
            let missing = self.given - self.probe.calls.get();
            let what = format!("{missing} signals did not come within {LONGEST_WAIT:?}");
            silence.tell(self.handle, &what)
        })
    }

    /// Callbacks so far.
    pub fn calls(&self) -> u64 {
        self.probe.calls.get()
    }

    /// What comes from now on is measured.
    pub fn begin(&self) {
        self.probe.first.set(self.given + 1);
        self.probe.series.replace(Series::new());
    }

    /// What was measured.
    pub fn series(&self) -> Series {
        self.probe.series.replace(Series::new())
    }
}

#[cfg(test)]
mod tests {
    use signal::models::{LightGbm, Model};
    use signal_bench::{feed, forest};

    use super::*;

    #[test]
    fn trees_of_the_hosts_books_tell_them_apart() {
        let rows = feed::rows_of(books()).unwrap();
        assert_eq!(rows.len() as u64, BOOKS);
        let text = forest::lightgbm(20, &rows, 1);
        let mut model = LightGbm::parse(text.as_bytes()).unwrap();
        let mut outputs: Vec<u64> = rows
            .iter()
            .map(|row| {
                let mut out = [0.0];
                model.run(signal::InstrumentId(0), row, &mut out);
                out[0].to_bits()
            })
            .collect();
        outputs.sort_unstable();
        outputs.dedup();
        assert!(outputs.len() as u64 > BOOKS / 2, "{}", outputs.len());
    }
}
