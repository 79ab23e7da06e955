//! Egress: numbers the signals, densely.

use super::{Prediction, Signal};

/// The egress stage.
///
/// ```
/// use signal::stages::{Egress, InstrumentId, Meta, Prediction};
///
/// let meta = Meta { input_sequence: 9, instrument: InstrumentId(0), timestamp: 0, arrival: 0 };
/// let mut egress = Egress::default();
/// let mut numbers = Vec::new();
/// for _ in 0..2 {
///     let prediction = Prediction { meta, model: None, last: true, values: &[1.0] };
///     egress.on(&prediction, |signal| numbers.push(signal.sequence));
/// }
/// assert_eq!(numbers, [1, 2]);
/// ```
#[derive(Debug, Default)]
pub struct Egress {
    last: u64,
}

impl Egress {
    /// Numbers a prediction. The number is spent even if the signal is dropped
    /// behind this stage, so that its consumer sees the gap.
    #[inline]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on(&mut self, prediction: &Prediction<'_>, out: impl FnOnce(Signal<'_>)) {
        self.last += 1;
        out(Signal {
            sequence: self.last,
            meta: prediction.meta,
            model: prediction.model,
            values: prediction.values,
        });
    }
}
