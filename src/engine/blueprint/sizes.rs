//! The memory that a blueprint needs, and bounds on it.

use super::Blueprint;
use crate::capture;
use crate::error::Error;
use crate::messages::Names;
use crate::messages::wire::{self, Encode, MAX_VALUES, Signals};
use crate::pipeline::overload::EgressOverload;
use crate::pipeline::shard_outlet::ShardsOutlet;
use crate::stages::{Callback, Egress, Factor, Ingest, Shards};
use crate::sync::ring::WORDS_PER_LINE;

/// Most memory for one ring, for all factor states or for all tables.
const MAX_BYTES: usize = 1 << 30;

impl Blueprint {
    /// Bytes of rings, tables and factor states.
    pub fn bytes(&self) -> usize {
        self.sizes()
            .iter()
            .fold(0, |sum, (bytes, _)| sum.saturating_add(*bytes))
    }

    /// The parts whose memory grows with the configuration, and what each one's size comes
    /// from.
    fn sizes(&self) -> Vec<(usize, String)> {
        let rings = &self.config.rings;
        let ring = |key: &str, messages: usize, words: usize| {
            let bytes = messages.saturating_mul(words.next_multiple_of(WORDS_PER_LINE) * 8);
            (
                bytes,
                format!("{key}: {messages} messages of {words} words"),
            )
        };
        let levels = self.levels();
        let widest = wire::event_values(levels)
            .max(self.vector_width())
            .max(self.widest_signal());
        let stage = ring("rings.stage", rings.stage, Signals::words(widest));
        let between_lanes = self.config.placement.rings(self.config.shards);
        let state: usize = self
            .sets
            .iter()
            .fold(0, |sum, (_, set)| sum.saturating_add(set.state_bytes()));
        let (instruments, shards) = (self.config.instruments.max, self.config.shards);
        let (share, pairs) = (
            Shards::new(shards).share(instruments),
            Ingest::pairs(instruments),
        );
        let mut sizes = vec![
            ring("rings.ingest", rings.ingest, wire::raw_words(levels)),
            ring(
                "rings.egress",
                rings.egress,
                Signals::words(self.widest_signal()),
            ),
            (
                // Each shard has a shadow's state too.
                instruments.saturating_add(shards).saturating_mul(state),
                format!(
                    "instruments.max: {instruments} instruments with {state} bytes of factor state each"
                ),
            ),
            (
                Ingest::bytes(instruments)
                    + Names::bytes(instruments)
                    + Factor::bytes(share, pairs).saturating_mul(shards)
                    + ShardsOutlet::bytes(pairs),
                format!("instruments.max: the tables of {instruments} instruments"),
            ),
        ];
        let of_models: usize = self
            .models
            .iter()
            .flatten()
            .fold(0, |sum, model| sum.saturating_add(model.state_bytes()));
        if of_models > 0 {
            sizes.push((
                instruments.saturating_mul(of_models),
                format!(
                    "instruments.max: {instruments} instruments with {of_models} bytes of model state each"
                ),
            ));
        }
        if self.config.overload.egress == EgressOverload::Conflate {
            sizes.push((
                Egress::bytes(instruments, self.callbacks(), self.widest_signal()),
                format!("overload.egress conflate: a signal of each of {instruments} instruments"),
            ));
        }
        sizes.extend(std::iter::repeat_n(stage, between_lanes));
        if self.config.capture.file.is_some() {
            let events = self.config.capture.buffer;
            sizes.push(ring("capture.buffer", events, capture::words(levels)));
        }
        sizes
    }

    /// Refuses sizes whose product is too large although each is fine by itself: a failed
    /// allocation would end the host's process.
    pub(super) fn check_sizes(&self) -> Result<(), Error> {
        for (values, what) in [
            (self.vector_width(), "factors"),
            (self.widest_signal(), "values in a callback"),
        ] {
            if values > MAX_VALUES {
                return Err(Error::Config(format!(
                    "models: {values} {what}; expected at most {MAX_VALUES}"
                )));
            }
        }
        let (lanes, models) = (self.config.placement.model_lanes(), self.infos.len());
        if lanes > 1 && (self.config.callback != Callback::PerModel || models < lanes) {
            return Err(Error::Config(format!(
                "placement: {lanes} lanes divide the models among them; expected \"callback\": \
                 \"per-model\" and at least a model for each lane ({models} configured)"
            )));
        }
        for (bytes, what) in self.sizes() {
            if bytes > MAX_BYTES {
                return Err(Error::Config(format!(
                    "{what} take {bytes} bytes; expected at most {MAX_BYTES}"
                )));
            }
        }
        Ok(())
    }
}
