//! What instruments are, by their numbers.

use std::fmt;
use std::sync::Arc;

use crate::messages::{Instrument, InstrumentId, Names};

/// What instruments are, by their numbers. Cheap to clone, readable from any thread.
#[derive(Clone)]
pub struct Instruments(pub(super) Arc<Names>);

impl Instruments {
    /// The instrument with this number; `None` if no event of it has arrived.
    pub fn get(&self, id: InstrumentId) -> Option<&Instrument> {
        self.0.instrument(id)
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments").finish_non_exhaustive()
    }
}
