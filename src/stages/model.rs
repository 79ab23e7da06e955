//! Model: maps each factor vector to outputs.
//!
//! A model that panics is put in quarantine; the others continue. From then on its places in
//! the values of several models contain NaN.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::messages::{FactorVector, InstrumentId, ModelId, Prediction};
use crate::models::Model;
use crate::os::panic::{Payload, discard};
use crate::os::time::Instant;
use crate::sync::padded::Values;

/// How the outputs of several models reach the callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Callback {
    /// One callback with all models' values, in the order of the models.
    #[default]
    Concatenated,
    /// One callback per model, in the order of the models.
    PerModel,
}

/// Runs of each model when the stage is primed. First calls cost tens of microseconds,
/// because code, tables and branch predictors are cold.
const PRIMING_RUNS: usize = 64;
/// Time after which a slow model is run no more.
const PRIMING_TIME: Duration = Duration::from_millis(20);

/// The model stage: every configured model runs on every factor vector.
pub struct ModelStage {
    models: Vec<Slot>,
    /// The number of the first model.
    first: usize,
    messages: Vec<Message>,
    /// The last message with a model that is not in quarantine.
    last_message: Option<usize>,
    inputs: usize,
    outputs: Values,
}

/// A model panicked.
#[derive(Debug)]
pub struct ModelPanic {
    /// The model.
    pub model: ModelId,
    /// Where.
    pub place: PanicPlace,
    /// What it panicked with.
    pub payload: Payload,
}

/// Where a model panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanicPlace {
    /// On a vector: it is in quarantine from now on.
    Vector,
    /// In a rehearsal: it was reset, goes on, and is left out of rehearsals.
    Rehearsal,
    /// When it was reset after a panic in a rehearsal: it is in quarantine from now on.
    Reset,
}

struct Slot {
    model: Box<dyn Model>,
    outputs: Range<usize>,
    quarantined: bool,
    rehearsal: Rehearsal,
}

/// What a rehearsal does with a model.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rehearsal {
    Run,
    Prefetch,
    Nothing,
}

impl Slot {
    /// Decides what becomes of the model after a panic in a run.
    #[cold]
    fn has_panicked(
        &mut self,
        instrument: InstrumentId,
        payload: Payload,
    ) -> (PanicPlace, Payload) {
        if instrument != InstrumentId::SHADOW {
            self.quarantined = true;
            return (PanicPlace::Vector, payload);
        }
        self.rehearsal = Rehearsal::Nothing;
        // It may have been left in the middle of a change.
        match catch_unwind(AssertUnwindSafe(|| self.model.reset())) {
            Ok(()) => (PanicPlace::Rehearsal, payload),
            Err(second) => {
                discard(payload);
                self.quarantined = true;
                (PanicPlace::Reset, second)
            }
        }
    }

    /// Prefetches what the model's next run touches, unless it has panicked in a rehearsal.
    fn prefetch(&mut self) -> Result<(), Payload> {
        if self.quarantined || self.rehearsal == Rehearsal::Nothing {
            return Ok(());
        }
        let done = catch_unwind(AssertUnwindSafe(|| self.model.prefetch()));
        if done.is_err() {
            self.rehearsal = Rehearsal::Nothing;
        }
        done
    }
}

/// What is sent for each factor vector.
struct Message {
    model: Option<ModelId>,
    models: Range<usize>,
    outputs: Range<usize>,
}

impl ModelStage {
    /// A stage that runs these models in this order. Each is run here on zeros, so that it
    /// fails before the first event if it fails at all. The models have
    /// [room](Model::reserve) for all instruments.
    ///
    /// # Panics
    ///
    /// If there is no model, or more than [`ModelId::MAX`].
    pub fn new(models: Vec<Box<dyn Model>>, callback: Callback) -> Self {
        Self::numbered_from(0, models, callback)
    }

    /// As [`new`](Self::new), for a share of the models. The first model has the number
    /// `first`.
    ///
    /// # Panics
    ///
    /// If there is no model, or a number is not below [`ModelId::MAX`].
    pub fn numbered_from(first: usize, models: Vec<Box<dyn Model>>, callback: Callback) -> Self {
        assert!(
            !models.is_empty() && first + models.len() <= ModelId::MAX,
            "the engine checks the number of models"
        );
        let inputs = models.iter().map(|model| model.inputs()).max().unwrap_or(0);
        let mut end = 0;
        let models: Vec<Slot> = models
            .into_iter()
            .map(|model| {
                let start = end;
                end += model.outputs().len();
                Slot {
                    rehearsal: match model.keeps_state() {
                        true => Rehearsal::Prefetch,
                        false => Rehearsal::Run,
                    },
                    model,
                    outputs: start..end,
                    quarantined: false,
                }
            })
            .collect();
        let id = |index: usize| Some(ModelId((first + index) as u8));
        let messages = match callback {
            Callback::Concatenated => vec![Message {
                model: if models.len() == 1 { id(0) } else { None },
                models: 0..models.len(),
                outputs: 0..end,
            }],
            Callback::PerModel => models
                .iter()
                .enumerate()
                .map(|(index, slot)| Message {
                    model: id(index),
                    models: index..index + 1,
                    outputs: slot.outputs.clone(),
                })
                .collect(),
        };
        let mut stage = Self {
            models,
            first,
            last_message: Some(messages.len() - 1),
            messages,
            inputs,
            outputs: Values::new(end),
        };
        stage.prime();
        stage
    }

    /// Runs the models on zeros to warm what is cold. The lane that has the stage calls this
    /// again on its own core.
    pub fn prime(&mut self) {
        let zeros = vec![0.0; self.inputs];
        for slot in &mut self.models {
            if slot.quarantined {
                continue;
            }
            let start = Instant::now();
            for _ in 0..PRIMING_RUNS {
                let inputs = &zeros[..slot.model.inputs()];
                let outputs = &mut self.outputs[slot.outputs.clone()];
                slot.model.run(InstrumentId(0), inputs, outputs);
                if start.elapsed() > PRIMING_TIME {
                    break;
                }
            }
            slot.model.reset();
        }
    }

    /// Prefetches what the next vector touches, model by model, until `must_end`. A model that
    /// panics is passed to `panicked`, and is not prefetched any more.
    #[cold]
    pub fn prefetch(&mut self, must_end: impl Fn() -> bool, mut panicked: impl FnMut(ModelPanic)) {
        for (id, slot) in self.models.iter_mut().enumerate() {
            if must_end() {
                return;
            }
            if let Err(payload) = slot.prefetch() {
                panicked(ModelPanic {
                    model: ModelId((self.first + id) as u8),
                    place: PanicPlace::Rehearsal,
                    payload,
                });
            }
        }
    }

    /// Runs the models. `out` gets one prediction, or one per model. Returns whether `out`
    /// got the vector's last one, which is false if the models that would have made it are in
    /// quarantine.
    ///
    /// A panic of a model does not spread: it is passed to `panicked` once.
    ///
    /// A vector of [`InstrumentId::SHADOW`] is a rehearsal: models that keep state are not run
    /// on it, and their values are unspecified.
    #[inline(always)]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on(
        &mut self,
        vector: &FactorVector<'_>,
        mut out: impl FnMut(Prediction<'_>),
        mut panicked: impl FnMut(ModelPanic),
    ) -> bool {
        let mut answered = false;
        for (index, message) in self.messages.iter().enumerate() {
            let mut runs = false;
            for id in message.models.clone() {
                let slot = &mut self.models[id];
                if slot.quarantined {
                    continue;
                }
                let instrument = vector.meta.instrument;
                let number = ModelId((self.first + id) as u8);
                if instrument == InstrumentId::SHADOW && slot.rehearsal != Rehearsal::Run {
                    if let Err(payload) = slot.prefetch() {
                        panicked(ModelPanic {
                            model: number,
                            place: PanicPlace::Rehearsal,
                            payload,
                        });
                    }
                    runs = true;
                    continue;
                }
                let outputs = &mut self.outputs[slot.outputs.clone()];
                let model = &mut slot.model;
                let run = || model.run(instrument, vector.values, outputs);
                match catch_unwind(AssertUnwindSafe(run)) {
                    Ok(()) => runs = true,
                    Err(payload) => {
                        let (place, payload) = slot.has_panicked(instrument, payload);
                        if slot.quarantined {
                            self.outputs[slot.outputs.clone()].fill(f64::NAN);
                            self.last_message = last_message(&self.messages, &self.models);
                        }
                        panicked(ModelPanic {
                            model: number,
                            place,
                            payload,
                        });
                    }
                }
            }
            if runs {
                answered = self.last_message == Some(index);
                out(Prediction {
                    meta: vector.meta,
                    model: message.model,
                    ends: vector.ends.if_last(answered),
                    values: &self.outputs[message.outputs.clone()],
                });
            }
        }
        answered
    }
}

#[cold]
fn last_message(messages: &[Message], models: &[Slot]) -> Option<usize> {
    messages.iter().rposition(|message| {
        let mut slots = models[message.models.clone()].iter();
        slots.any(|slot| !slot.quarantined)
    })
}

impl std::fmt::Debug for ModelStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ModelStage")
            .field("models", &self.models.len())
            .field("outputs", &self.outputs.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::messages::{Ends, Meta};

    struct Times(f64, Vec<String>);

    impl Model for Times {
        fn inputs(&self) -> usize {
            1
        }
        fn outputs(&self) -> &[String] {
            &self.1
        }
        fn keeps_state(&self) -> bool {
            false
        }

        fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
            out.fill(factors[0] * self.0);
        }
    }

    /// Counts its runs and resets. Sleeps in each run, or panics at a factor.
    struct Probe {
        counts: Arc<[AtomicUsize; 2]>,
        sleeps: Duration,
        fatal: f64,
        outputs: [String; 1],
    }

    impl Probe {
        fn boxed(sleeps: Duration, fatal: f64) -> (Box<dyn Model>, Arc<[AtomicUsize; 2]>) {
            let counts: Arc<[AtomicUsize; 2]> = Arc::default();
            let probe = Self {
                counts: counts.clone(),
                sleeps,
                fatal,
                outputs: [String::new()],
            };
            (Box::new(probe), counts)
        }
    }

    impl Model for Probe {
        fn inputs(&self) -> usize {
            1
        }
        fn outputs(&self) -> &[String] {
            &self.outputs
        }
        fn keeps_state(&self) -> bool {
            false
        }

        fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
            self.counts[0].fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(self.sleeps);
            assert!(factors[0] != self.fatal, "the fatal factor");
            out[0] = factors[0];
        }
        fn reset(&mut self) {
            self.counts[1].fetch_add(1, Ordering::Relaxed);
        }
    }

    fn primed(sleeps: Duration) -> (usize, usize) {
        let (model, counts) = Probe::boxed(sleeps, f64::NAN);
        let stage = ModelStage::new(vec![model], Callback::Concatenated);
        assert!(format!("{stage:?}").starts_with("ModelStage { models: 1, outputs: 1"));
        (
            counts[0].load(Ordering::Relaxed),
            counts[1].load(Ordering::Relaxed),
        )
    }

    #[test]
    fn a_stage_runs_its_models_before_the_first_event_a_slow_one_less_often() {
        assert_eq!(primed(PRIMING_TIME + Duration::from_millis(1)), (1, 1));
        // A busy machine may take the time away from one of them.
        assert!((0..100).any(|_| primed(Duration::ZERO) == (PRIMING_RUNS, 1)));
    }

    /// For three models that panic at these factors, numbered from 3: which of them panicked,
    /// and the messages with what they end.
    fn quarantine(fatal: [f64; 3], callback: Callback) -> Vec<Ended> {
        let models = fatal.map(|fatal| Probe::boxed(Duration::ZERO, fatal).0);
        let mut stage = ModelStage::numbered_from(3, models.into(), callback);
        [1.0, 2.0, 3.0, 4.0]
            .map(|factor| {
                let values = [factor];
                let vector = vector(&values);
                let (mut panicked, mut sent) = (Vec::new(), Vec::new());
                let answered = stage.on(
                    &vector,
                    |p| sent.push((p.model.map(|id| id.0), p.ends)),
                    |panic| panicked.push(panic.model.0),
                );
                (answered, panicked, sent)
            })
            .into()
    }

    type Ended = (bool, Vec<u8>, Vec<(Option<u8>, Ends)>);

    #[test]
    fn the_last_model_that_is_left_ends_the_vector() {
        let nothing = |id| (Some(id), Ends::Nothing);
        let last = |id| (Some(id), Ends::Copy);
        assert_eq!(
            quarantine([3.0, 4.0, 2.0], Callback::PerModel),
            [
                (true, vec![], vec![nothing(3), nothing(4), last(5)]),
                // The one that would have been last is in quarantine.
                (false, vec![5], vec![nothing(3), nothing(4)]),
                (true, vec![3], vec![last(4)]),
                (false, vec![4], vec![]),
            ]
        );
        assert_eq!(
            quarantine([1.0, 2.0, 3.0], Callback::Concatenated),
            [
                (true, vec![3], vec![(None, Ends::Copy)]),
                (true, vec![4], vec![(None, Ends::Copy)]),
                (false, vec![5], vec![]),
                (false, vec![], vec![]),
            ]
        );
    }

    fn vector(values: &[f64]) -> FactorVector<'_> {
        FactorVector {
            meta: Meta {
                input_sequence: 1,
                instrument: InstrumentId(0),
                timestamp: 0,
                arrival: 0,
            },
            ends: Ends::Copy,
            values,
        }
    }

    fn predictions(callback: Callback) -> Vec<(Option<u8>, Ends, Vec<f64>)> {
        let model = |factor, outputs| -> Box<dyn Model> {
            Box::new(Times(factor, vec![String::new(); outputs]))
        };
        let mut stage = ModelStage::new(vec![model(2.0, 1), model(3.0, 2)], callback);
        let vector = vector(&[10.0]);
        let mut seen = Vec::new();
        let take = |p: Prediction<'_>| {
            seen.push((p.model.map(|id| id.0), p.ends, p.values.to_vec()));
        };
        stage.on(&vector, take, |_| ());
        seen
    }

    #[test]
    fn every_model_sees_every_vector() {
        assert_eq!(
            predictions(Callback::Concatenated),
            [(None, Ends::Copy, vec![20.0, 30.0, 30.0])]
        );
        assert_eq!(
            predictions(Callback::PerModel),
            [
                (Some(0), Ends::Nothing, vec![20.0]),
                (Some(1), Ends::Copy, vec![30.0, 30.0])
            ]
        );
    }
}
