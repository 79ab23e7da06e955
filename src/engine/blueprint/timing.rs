//! What the key `timing_metadata` adds to the stages: stamps beside the factors, and times in front of
//! the models' values. Without the key, none of it is there.

use super::Blueprint;
use crate::error::Error;
use crate::factors::{End, FactorBank, StampBank};
use crate::messages::timing;
use crate::models::{Model, Timed, with_times};
use crate::os::clock::Clock;
use crate::stages::Callback;

impl Blueprint {
    /// Names the times among the values of each model, if they are sent.
    pub(super) fn name_times(&mut self) -> Result<(), Error> {
        if !self.config.timing_metadata {
            return Ok(());
        }
        if self.infos.len() > 1 && self.config.callback == Callback::Concatenated {
            return Err(Error::Config(format!(
                "timing_metadata cannot be used with the values of {} models in one callback, as the times are \
                 those of one model; expected one model, or \"callback\": \"per-model\"",
                self.infos.len()
            )));
        }
        for info in &mut self.infos {
            info.outputs = with_times(&info.outputs);
        }
        Ok(())
    }

    /// Values of a factor vector: the factors that models get, and stamps if they travel with them.
    pub(super) fn vector_width(&self) -> usize {
        let stamps = match self.config.timing_metadata {
            true => timing::STAMPS,
            false => 0,
        };
        self.factors.len() + stamps
    }

    /// What makes the times, if they are sent.
    pub(super) fn timing(&self) -> Option<Timing> {
        let config = &self.config;
        config.timing_metadata.then(|| Timing {
            clock: Clock::new(config.timing),
        })
    }

    /// The places of the factors that are sent, with the stamps around them; `None` if all are sent
    /// and there are no stamps.
    pub(super) fn places(&self) -> Option<Vec<usize>> {
        if !self.config.timing_metadata {
            return self.selection.clone();
        }
        let all: usize = self.sets.iter().map(|(_, set)| set.factors().count()).sum();
        let every = || (0..all).collect();
        let factors = self.selection.clone().unwrap_or_else(every).into_iter();
        let behind = all + 1;
        Some(
            [0].into_iter()
                .chain(factors.map(|place| place + 1))
                .chain([behind])
                .collect(),
        )
    }
}

/// Wraps a stage's factor sets and models.
pub(super) struct Timing {
    clock: Clock,
}

impl Timing {
    /// The banks, with one before and one behind them that stamp.
    pub(super) fn around(
        &self,
        banks: Vec<Box<dyn FactorBank>>,
        instruments: usize,
    ) -> Vec<Box<dyn FactorBank>> {
        let stamp = |end| -> Box<dyn FactorBank> {
            Box::new(StampBank::new(self.clock.clone(), end, instruments))
        };
        let behind = stamp(End::Last);
        [stamp(End::First)]
            .into_iter()
            .chain(banks)
            .chain([behind])
            .collect()
    }

    /// The model with times in front of its values.
    pub(super) fn before(&self, model: Box<dyn Model>) -> Box<dyn Model> {
        Box::new(Timed::new(model, self.clock.clone()))
    }
}
