//! One round: each candidate several times, in turn, so that what changes on the machine meanwhile
//! meets all of them.

use std::time::Duration;

use indicatif::ProgressBar;

use super::candidates::Candidate;
use super::host::Stage;
use super::verdict::Measured;
use crate::failure::{Failure, Result};

/// Numbers of repetitions, the one that is preferred first.
const REPETITIONS: [u32; 2] = [5, 3];
/// Fewest signals of a repetition.
const FEWEST: f64 = 12.0;
/// Shortest repetition.
const SHORTEST: Duration = Duration::from_millis(20);

/// How often each candidate is played, and how long each time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// Repetitions of each candidate.
    pub repetitions: u32,
    /// Length of one.
    pub length: Duration,
}

impl Schedule {
    /// Divides `time` among candidates, of which each takes `overhead` beside what is timed. `rate`
    /// is the number of signals a second, and `most` the length of all that there is to play.
    ///
    /// # Errors
    ///
    /// How long it would have to be.
    pub fn new(
        time: Duration,
        candidates: usize,
        overhead: Duration,
        rate: f64,
        most: Duration,
    ) -> std::result::Result<Self, Duration> {
        let candidates = candidates.max(1) as u32;
        let least = Duration::from_secs_f64((FEWEST / rate.max(1e-6)).min(1e6)).max(SHORTEST);
        for repetitions in REPETITIONS {
            let each = (time / candidates / repetitions).saturating_sub(overhead);
            if each >= least {
                let length = each.min(most / repetitions).max(SHORTEST.min(least));
                return Ok(Self {
                    repetitions,
                    length,
                });
            }
        }
        let fewest = REPETITIONS[REPETITIONS.len() - 1];
        Err((least + overhead) * candidates * fewest)
    }
}

/// Measures the candidates in turn. An interrupt ends it with what was measured until then.
///
/// # Errors
///
/// That the first candidate, which is what there is already, was refused or failed.
pub fn measure(
    stage: &Stage,
    candidates: Vec<Candidate>,
    schedule: Schedule,
    bar: &ProgressBar,
) -> Result<Vec<Measured>> {
    let mut all: Vec<Measured> = candidates
        .into_iter()
        .map(|candidate| Measured {
            candidate,
            runs: Vec::new(),
            refused: None,
        })
        .collect();
    let count = all.len();
    for repetition in 0..schedule.repetitions {
        let offset = schedule.length * repetition;
        for turn in 0..count {
            // Nobody is always behind the same one.
            let place = (turn + repetition as usize) % count;
            let one = &mut all[place];
            if one.refused.is_some() {
                continue;
            }
            let Candidate {
                config, host_core, ..
            } = &one.candidate;
            match stage.play(config, *host_core, offset, schedule.length) {
                Ok(Some(figures)) => one.runs.push(figures),
                Ok(None) => return Ok(all),
                Err(Failure::Said(why)) if place > 0 => {
                    one.runs.clear();
                    one.refused = Some(why);
                }
                Err(failure) => return Err(failure),
            }
            bar.inc(1);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_divided_or_the_time_that_it_takes_is_told() {
        let ms = Duration::from_millis;
        let hour = Duration::from_secs(3_600);
        let of = |time, candidates, overhead, rate, most| {
            let schedule = Schedule::new(time, candidates, overhead, rate, most);
            schedule.map(|schedule| (schedule.repetitions, schedule.length))
        };
        assert_eq!(of(ms(15_000), 5, ms(10), 100.0, hour), Ok((5, ms(590))));
        // No more than there is to play.
        assert_eq!(of(ms(15_000), 5, ms(10), 100.0, ms(500)), Ok((5, ms(100))));
        // Too little time for five.
        assert_eq!(
            of(ms(2_000), 4, ms(10), 100.0, hour),
            Ok((3, ms(500) / 3 - ms(10)))
        );
        // At ten a second, twelve take 1.2 s.
        assert_eq!(of(ms(2_000), 4, ms(50), 10.0, hour), Err(ms(1_250) * 12));
        assert!(of(ms(2_000), 4, ms(50), 0.0, hour).is_err());
    }
}
