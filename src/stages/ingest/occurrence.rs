//! Symbols that the configuration names, and whether an event of each has arrived.

use std::sync::atomic::{AtomicBool, Ordering};

/// An asset, or an instrument of `symbols.map`.
#[derive(Debug)]
pub(super) struct Named {
    text: String,
    /// Set at the first event of a spelling, read by any thread.
    occurred: AtomicBool,
}

impl Named {
    pub(super) fn new(text: String) -> Self {
        Self {
            text,
            occurred: AtomicBool::new(false),
        }
    }

    /// An event of it has arrived.
    pub(super) fn occurs(&self) {
        self.occurred.store(true, Ordering::Relaxed);
    }

    /// Its text, unless an event of it has arrived.
    pub(super) fn missing(&self) -> Option<&str> {
        let occurred = self.occurred.load(Ordering::Relaxed);
        (!occurred).then_some(&self.text)
    }
}
