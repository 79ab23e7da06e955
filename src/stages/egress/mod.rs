//! Egress: numbers the signals. While there is no room for them, it keeps the newest one of
//! each instrument (`conflation`).

use crate::messages::{Prediction, Signal};
use conflation::ConflationQueue;

mod conflation;

/// What became of a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It was published.
    Published,
    /// It waits for room.
    Held,
    /// It waits for room in the place of an older one, which is lost.
    Conflated,
    /// There was no room, and nothing is kept: it is lost.
    Dropped,
}

/// The egress stage.
///
/// ```
/// use signal::stages::{Egress, Sent};
/// use signal::messages::{Ends, InstrumentId, Meta, Prediction};
///
/// let meta = Meta { input_sequence: 9, instrument: InstrumentId(0), timestamp: 0, arrival: 0 };
/// let prediction = Prediction { meta, model: None, ends: Ends::Event, values: &[1.0] };
/// let mut egress = Egress::conflating(1, 1, 1);
/// let mut numbers = Vec::new();
/// // No room: the second takes the place of the first, whose number is spent.
/// assert_eq!(egress.on(&prediction, |_| false), Sent::Held);
/// assert_eq!(egress.on(&prediction, |_| false), Sent::Conflated);
/// egress.publish_held(|signal| { numbers.push(signal.sequence); true });
/// assert_eq!(numbers, [2]);
/// ```
#[derive(Default)]
pub struct Egress {
    last: u64,
    waiting: Option<ConflationQueue>,
}

impl Egress {
    /// A stage that keeps the newest signal of each instrument, or of each of its
    /// `callbacks`, while there is no room. A signal has at most `width` values.
    /// [`Egress::default`] keeps none.
    ///
    /// # Panics
    ///
    /// If `instruments` or `callbacks` is 0.
    pub fn conflating(instruments: usize, callbacks: usize, width: usize) -> Self {
        assert!(instruments > 0 && callbacks > 0, "a place for each signal");
        Self {
            last: 0,
            waiting: Some(ConflationQueue::new(instruments, callbacks, width)),
        }
    }

    /// Bytes that [`Egress::conflating`] takes.
    pub fn bytes(instruments: usize, callbacks: usize, width: usize) -> usize {
        ConflationQueue::bytes(instruments, callbacks, width)
    }

    /// Numbers a prediction and sends it after those that wait. `send` says whether there was
    /// room.
    ///
    /// A lost signal uses up a number, so that the consumer sees a gap where it was lost:
    /// published and lost signals together have consecutive numbers.
    #[inline(always)]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on(
        &mut self,
        prediction: &Prediction<'_>,
        mut send: impl FnMut(&Signal<'_>) -> bool,
    ) -> Sent {
        if self.held() > 0 {
            self.publish_held(&mut send);
        }
        if self.held() == 0 && self.publish(prediction, &mut send) {
            return Sent::Published;
        }
        match &mut self.waiting {
            None => {
                self.last += 1;
                Sent::Dropped
            }
            Some(waiting) => {
                if waiting.keep(prediction) {
                    self.last += 1;
                    Sent::Conflated
                } else {
                    Sent::Held
                }
            }
        }
    }

    /// Takes back the last signal's number. Only for a rehearsal's, which was not published.
    #[inline]
    pub fn take_back(&mut self) {
        self.last -= 1;
    }

    /// Signals that wait for room.
    #[inline]
    pub fn held(&self) -> usize {
        self.waiting.as_ref().map_or(0, ConflationQueue::len)
    }

    /// Sends the signals that wait, until there is no room.
    pub fn publish_held(&mut self, mut send: impl FnMut(&Signal<'_>) -> bool) {
        while let Some(prediction) = self.waiting.as_ref().and_then(ConflationQueue::oldest) {
            let signal = numbered(self.last + 1, &prediction);
            if !send(&signal) {
                return;
            }
            self.last += 1;
            if let Some(waiting) = &mut self.waiting {
                waiting.release();
            }
        }
    }

    #[inline]
    fn publish(
        &mut self,
        prediction: &Prediction<'_>,
        send: &mut impl FnMut(&Signal<'_>) -> bool,
    ) -> bool {
        let sent = send(&numbered(self.last + 1, prediction));
        if sent {
            self.last += 1;
        }
        sent
    }
}

#[inline]
fn numbered<'a>(sequence: u64, prediction: &Prediction<'a>) -> Signal<'a> {
    Signal {
        sequence,
        meta: prediction.meta,
        model: prediction.model,
        values: prediction.values,
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress")
            .field("last", &self.last)
            .field("held", &self.held())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::messages::{Ends, InstrumentId, Meta, ModelId};

    fn prediction(instrument: u32, model: u8, value: &[f64]) -> Prediction<'_> {
        Prediction {
            meta: Meta {
                input_sequence: value[0] as u64,
                instrument: InstrumentId(instrument),
                timestamp: value[0] as i64,
                arrival: 0,
            },
            model: Some(ModelId(model)),
            ends: Ends::Event,
            values: value,
        }
    }

    /// Instrument, model, sequence, values.
    type Seen = (u32, u8, u64, [f64; 2]);

    fn seen(signal: &Signal<'_>) -> Seen {
        let model = signal.model.map_or(u8::MAX, |id| id.0);
        let instrument = signal.meta.instrument.0;
        let values = signal.values.try_into().expect("two values");
        (instrument, model, signal.sequence, values)
    }

    #[test]
    fn a_dropped_signal_spends_its_number() {
        let mut egress = Egress::default();
        let mut numbers = Vec::new();
        for room in [true, false, true] {
            egress.on(&prediction(0, 0, &[1.0]), |signal| {
                if room {
                    numbers.push(signal.sequence);
                }
                room
            });
        }
        assert_eq!(numbers, [1, 3]);
    }

    #[test]
    fn with_one_place_an_instrument_its_model_does_not_matter() {
        let mut egress = Egress::conflating(2, 1, 2);
        let mut given = Vec::new();
        for (instrument, model, sent) in [
            (1, 3, Sent::Held),
            (0, 1, Sent::Held),
            (1, 2, Sent::Conflated),
        ] {
            let values = [f64::from(model), 0.5];
            let prediction = prediction(instrument, model, &values);
            assert_eq!(egress.on(&prediction, |_| false), sent);
        }
        egress.publish_held(|signal| {
            given.push(seen(signal));
            true
        });
        assert_eq!(given, [(1, 2, 2, [2.0, 0.5]), (0, 1, 3, [1.0, 0.5])]);
    }

    #[test]
    fn room_is_counted_for_each_signal_and_value() {
        let (instruments, callbacks, width) = (100, 3, 5);
        let values = instruments * callbacks * width * size_of::<f64>();
        let bytes = Egress::bytes(instruments, callbacks, width);
        assert!(bytes > values && bytes < 4 * values, "{bytes}");
    }

    proptest! {
        /// Compared with a queue of (key, value) in which a newer value replaces the older
        /// one at its place.
        #[test]
        fn the_newest_of_each_key_comes_out_in_the_order_of_places(
            steps in prop::collection::vec((0..3u32, 0..2u8, 0..3usize), 1..200)
        ) {
            let mut egress = Egress::conflating(3, 2, 2);
            let mut model: VecDeque<(u32, u8, [f64; 2])> = VecDeque::new();
            let (mut last, mut lost) = (0u64, 0u64);
            let mut published = 0u64;
            for (step, (instrument, id, room)) in steps.into_iter().enumerate() {
                let value = [step as f64, -0.5 * step as f64];
                let (mut free, mut got) = (room, Vec::new());
                let sent = egress.on(&prediction(instrument, id, &value), |signal| {
                    if free == 0 {
                        return false;
                    }
                    free -= 1;
                    got.push(seen(signal));
                    true
                });
                let mut expected = Vec::new();
                let mut room = room;
                let mut publish = |(i, m, v), last: &mut u64| {
                    *last += 1;
                    expected.push((i, m, *last, v));
                };
                while room > 0 && !model.is_empty() {
                    publish(model.pop_front().unwrap(), &mut last);
                    room -= 1;
                }
                let outcome = if model.is_empty() && room > 0 {
                    publish((instrument, id, value), &mut last);
                    Sent::Published
                } else if let Some(place) =
                    model.iter_mut().find(|(i, m, _)| (*i, *m) == (instrument, id))
                {
                    place.2 = value;
                    last += 1;
                    lost += 1;
                    Sent::Conflated
                } else {
                    model.push_back((instrument, id, value));
                    Sent::Held
                };
                published += expected.len() as u64;
                prop_assert_eq!(sent, outcome);
                prop_assert_eq!(got, expected);
                prop_assert_eq!(egress.held(), model.len());
                prop_assert_eq!(last, published + lost);
                prop_assert_eq!(step as u64 + 1, published + lost + egress.held() as u64);
            }
        }
    }
}
