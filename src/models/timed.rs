//! A model with timing metadata in front of its values.

use std::io;

use super::Model;
use crate::messages::InstrumentId;
use crate::messages::timing::{self, Stamps};
use crate::os::clock::Clock;

/// Runs a model on the factors of a vector with stamps, and puts the times in front of its values.
pub(crate) struct Timed {
    model: Box<dyn Model>,
    clock: Clock,
    outputs: Vec<String>,
}

impl Timed {
    pub(crate) fn new(model: Box<dyn Model>, clock: Clock) -> Self {
        Self {
            outputs: with_times(model.outputs()),
            model,
            clock,
        }
    }
}

/// Names of the values of a model with these names.
pub(crate) fn with_times(outputs: &[String]) -> Vec<String> {
    let names = timing::NAMES.iter().map(ToString::to_string);
    names.chain(outputs.iter().cloned()).collect()
}

impl Model for Timed {
    fn inputs(&self) -> usize {
        self.model.inputs() + timing::STAMPS
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn keeps_state(&self) -> bool {
        self.model.keeps_state()
    }

    fn state_bytes(&self) -> usize {
        self.model.state_bytes()
    }

    fn reserve(&mut self, instruments: usize) {
        self.model.reserve(instruments);
    }

    fn prefetch(&self) {
        self.model.prefetch();
    }

    fn run(&mut self, instrument: InstrumentId, vector: &[f64], out: &mut [f64]) {
        let handed_on = self.clock.stamp();
        let (stamps, factors) = Stamps::split(vector);
        let (times, values) = out.split_at_mut(timing::NAMES.len());
        self.model.run(instrument, factors, values);
        let ended = self.clock.stamp();
        times.copy_from_slice(&stamps.values(&self.clock, handed_on, ended, values.len()));
    }

    fn reset(&mut self) {
        self.model.reset();
    }

    fn save(&self, instrument: InstrumentId, to: &mut dyn io::Write) -> io::Result<()> {
        self.model.save(instrument, to)
    }

    fn load(&mut self, instrument: InstrumentId, from: &mut dyn io::Read) -> io::Result<()> {
        self.model.load(instrument, from)
    }
}
