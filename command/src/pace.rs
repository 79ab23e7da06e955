//! When events are due at the recorded pace, and what is wrong with the recording's clock.

use std::time::Duration;

use signal::replay::{Step, Timeline};

/// The pace of a recording. A gap of over an hour, or a step back of its clock, is not waited for:
/// the event is due at once.
#[derive(Default)]
pub struct Pace {
    timeline: Timeline,
    said_back: bool,
    said_gap: bool,
}

impl Pace {
    /// Takes the next arrival. Returns how long after the first it is due at the recorded speed,
    /// and what is wrong with it, the first time that there is such a thing.
    pub fn take(&mut self, recv_ns: i64) -> (Duration, Option<String>) {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let odd = match self.timeline.take(recv_ns) {
            Step::On => None,
            Step::Back(ns) => first(&mut self.said_back, || {
                format!(
                    "recv_ns goes back by {:.1} s; no time passes there, as at any other step back",
                    seconds(ns)
                )
            }),
            Step::Gap(ns) => first(&mut self.said_gap, || {
                format!(
                    "recv_ns is {:.1} s later than before; no time passes there, as in any other gap \
                     of over an hour",
                    seconds(ns)
                )
            }),
        };
        (Duration::from_nanos(self.timeline.elapsed_ns()), odd)
    }
}

/// The text, unless it was said before.
fn first(said: &mut bool, text: impl FnOnce() -> String) -> Option<String> {
    match std::mem::replace(said, true) {
        true => None,
        false => Some(text()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_oddity_is_said_once() {
        let mut pace = Pace::default();
        let second = Duration::from_secs(1);
        let now = 1_700_000_000_000_000_000;
        let ns = 1_000_000_000;
        let said = |odd: Option<String>, part: &str| {
            odd.is_some_and(|text| text.contains(part) && text.contains("no time passes"))
        };
        assert_eq!(pace.take(now), (Duration::ZERO, None));
        let (due, odd) = pace.take(0);
        assert!(due.is_zero() && said(odd, "goes back by 1700000000.0 s"));
        let (due, odd) = pace.take(now + ns);
        assert!(due.is_zero() && said(odd, "is 1700000001.0 s later"));
        assert_eq!(pace.take(now + 2 * ns), (second, None));
        assert_eq!(pace.take(5), (second, None));
        assert_eq!(pace.take(now + 3 * ns), (second, None));
        assert_eq!(pace.take(now + 4 * ns), (2 * second, None));
    }
}
