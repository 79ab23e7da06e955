//! The time that passes in a recording, whatever its clock does.

/// A clock that goes back by less than this was read by two threads, or was adjusted.
const JITTER_NS: i64 = 1_000_000_000;

/// Longest time between two arrivals that is believed. Longer gaps lie between two recordings, or
/// come from a wrong `recv_ns`.
pub const MAX_GAP_NS: i64 = 3_600_000_000_000;

/// Adds up the time between arrivals. Gaps of over an hour, and steps back of the clock, take no
/// time.
///
/// ```
/// use signal::replay::{Step, Timeline};
///
/// let mut timeline = Timeline::default();
/// let steps = [1_000, 1_500, 1_200, 1_700].map(|recv_ns| timeline.take(recv_ns));
/// assert_eq!(steps, [Step::On; 4]);
/// assert_eq!(timeline.elapsed_ns(), 700);
/// assert_eq!(timeline.take(9_000_000_000_000), Step::Gap(8_999_999_998_300));
/// assert_eq!(timeline.take(0), Step::Back(9_000_000_000_000));
/// assert_eq!(timeline.elapsed_ns(), 700);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Timeline {
    /// The first arrival, and the latest since the last step back.
    span: Option<(i64, i64)>,
    elapsed_ns: u64,
}

/// From one arrival to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// As expected; the clock may go back by up to a second.
    On,
    /// The clock goes back by this many ns, a second or more.
    Back(u64),
    /// Nothing arrives for this many ns, more than an hour.
    Gap(u64),
}

impl Timeline {
    /// Takes the next arrival.
    pub fn take(&mut self, recv_ns: i64) -> Step {
        let (first, latest) = *self.span.get_or_insert((recv_ns, recv_ns));
        // Two arrivals may be further apart than an `i64` reaches.
        let apart = recv_ns.abs_diff(latest);
        let (step, latest) = match recv_ns >= latest {
            true if apart > MAX_GAP_NS as u64 => (Step::Gap(apart), recv_ns),
            true => {
                self.elapsed_ns = self.elapsed_ns.saturating_add(apart);
                (Step::On, recv_ns)
            }
            false if apart >= JITTER_NS as u64 => (Step::Back(apart), recv_ns),
            false => (Step::On, latest),
        };
        self.span = Some((first, latest));
        step
    }

    /// Takes the arrivals of the part of the recording that follows. If that part begins before
    /// this one's latest arrival, by less than a second, that time is counted twice.
    pub fn goes_on(&mut self, later: Timeline) {
        if let Some((first, latest)) = later.span {
            self.take(first);
            self.elapsed_ns = self.elapsed_ns.saturating_add(later.elapsed_ns);
            self.span = self.span.map(|(first, _)| (first, latest));
        }
    }

    /// The time that has passed since the first arrival, ns.
    pub fn elapsed_ns(&self) -> u64 {
        self.elapsed_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3_600 * SECOND;

    fn of(arrivals: &[i64]) -> (Vec<Step>, u64) {
        let mut timeline = Timeline::default();
        let steps = arrivals.iter().map(|&recv_ns| timeline.take(recv_ns));
        (steps.collect(), timeline.elapsed_ns())
    }

    #[test]
    fn time_passes_between_arrivals_and_never_goes_back() {
        let now = 1_700_000_000 * SECOND;
        let hour = HOUR as u64;
        for (arrivals, steps, seconds) in [
            (vec![now], vec![Step::On], 0),
            (vec![now, now + HOUR], vec![Step::On; 2], 3_600),
            (
                vec![now, now + HOUR + 1, now + HOUR + 1 + SECOND],
                vec![Step::On, Step::Gap(hour + 1), Step::On],
                1,
            ),
            // Within a second of each other, nothing is counted twice.
            (
                vec![now, now + 2 * SECOND, now + SECOND + 1, now + 3 * SECOND],
                vec![Step::On; 4],
                3,
            ),
            (
                vec![now, now - SECOND, now + SECOND],
                vec![Step::On, Step::Back(1_000_000_000), Step::On],
                2,
            ),
            (
                vec![now, now + SECOND, 0, now + 2 * SECOND, now + 3 * SECOND],
                vec![
                    Step::On,
                    Step::On,
                    Step::Back((now + SECOND) as u64),
                    Step::Gap((now + 2 * SECOND) as u64),
                    Step::On,
                ],
                2,
            ),
            (
                vec![i64::MIN, i64::MAX, i64::MIN],
                vec![Step::On, Step::Gap(u64::MAX), Step::Back(u64::MAX)],
                0,
            ),
        ] {
            let found = of(&arrivals);
            assert_eq!(found, (steps, seconds * SECOND as u64), "{arrivals:?}");
        }
    }

    #[test]
    fn two_parts_take_as_long_as_the_whole_but_for_what_they_share() {
        let arrivals = [5, 7, 9_000, 8_000, 0, 3 * HOUR, 3 * HOUR + 40];
        let whole = of(&arrivals).1;
        let part = |arrivals: &[i64]| {
            let mut timeline = Timeline::default();
            arrivals.iter().for_each(|&recv_ns| {
                timeline.take(recv_ns);
            });
            timeline
        };
        for cut in 0..=arrivals.len() {
            let mut both = part(&arrivals[..cut]);
            both.goes_on(part(&arrivals[cut..]));
            assert_eq!(both.elapsed_ns(), whole, "cut at {cut}");
        }
        let mut both = part(&[0, 9_000]);
        both.goes_on(part(&[8_000, 10_000]));
        assert_eq!(both.elapsed_ns(), 11_000);
    }
}
