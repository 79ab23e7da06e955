//! When each signal came, and during which of the host's calls: what a callback notes that only
//! times.

use std::cell::{Cell, RefCell};
use std::time::Instant;

/// The call of no event: polls before the first or behind the last.
pub const NO_EVENT: u32 = u32::MAX;

/// A signal that came.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its timestamp, ns: that of its event.
    pub timestamp: i64,
    /// When the callback began.
    pub at: Instant,
    /// The event whose calls the host was making, by its place in the feed.
    pub during: u32,
}

/// The signals that came, in order. It never grows beyond what it was made for, so that a callback
/// does not allocate.
#[derive(Debug)]
pub struct Arrivals {
    during: Cell<u32>,
    came: RefCell<Vec<Arrival>>,
}

impl Arrivals {
    /// Room for this many.
    pub fn with_room(count: usize) -> Self {
        Self {
            during: Cell::new(NO_EVENT),
            came: RefCell::new(Vec::with_capacity(count)),
        }
    }

    /// The host is about to make the calls of this event.
    pub fn begin(&self, event: u32) {
        self.during.set(event);
    }

    /// Called by the callback.
    pub fn take(&self, timestamp: i64, at: Instant) {
        let mut came = self.came.borrow_mut();
        if came.len() < came.capacity() {
            came.push(Arrival {
                timestamp,
                at,
                during: self.during.get(),
            });
        }
    }

    /// Forgets what came so far.
    pub fn forget(&self) {
        self.came.borrow_mut().clear();
    }

    /// What came since.
    pub fn came(&self) -> Vec<Arrival> {
        self.came.borrow().clone()
    }
}
