//! Which candidate is recommended, by a rule that can be stated: [`RULE`].

use super::candidates::Candidate;
use super::figures::{FEWEST_FOR_P99, Figures, median};
use super::table::time;

/// The rule, for those who read the result, in lines.
pub const RULE: [&str; 4] = [
    "the lowest p99 (the lowest median where fewer than 1,000 signals came) of those that lose nothing",
    "and deliver 99 % of their signals in time; of equals, the one that holds the host's thread for the",
    "shortest time, then the one that changes least; a difference counts from 5 % on, where four of",
    "five repetitions show it",
];

/// Fewest repetitions that had the cores to themselves.
const FEWEST_RUNS: usize = 3;
/// A smaller difference of two medians is noise.
const NOISE: f64 = 0.05;
/// One repetition of so many may show the opposite.
const ONE_IN: usize = 5;

/// A candidate with its repetitions.
#[derive(Clone, Debug)]
pub struct Measured {
    /// What was measured.
    pub candidate: Candidate,
    /// By the number of the repetition, which all candidates share.
    pub runs: Vec<Figures>,
    /// Why the library refused it.
    pub refused: Option<String>,
}

impl Measured {
    /// The repetitions that count: all of them if none is valid.
    pub fn shown(&self) -> Vec<&Figures> {
        let valid = self.runs.iter().filter(|run| run.invalid.is_none());
        let valid: Vec<_> = valid.collect();
        match valid.is_empty() {
            true => self.runs.iter().collect(),
            false => valid,
        }
    }

    /// Whether it may be compared with others.
    pub fn is_valid(&self) -> bool {
        let valid = self
            .runs
            .iter()
            .filter(|run| run.invalid.is_none() && run.signals > 0);
        valid.count() >= FEWEST_RUNS
    }

    /// Signals of what is shown.
    pub fn signals(&self) -> usize {
        self.shown().iter().map(|run| run.signals).sum()
    }

    /// The median of the repetitions.
    pub fn middle(&self, of: impl Fn(&Figures) -> f64) -> f64 {
        median(self.shown().into_iter().map(of))
    }

    /// Whether there are enough signals for 99th percentiles.
    pub fn has_p99(&self) -> bool {
        self.signals() >= FEWEST_FOR_P99
    }

    /// Whether at most one signal in a hundred misses its own `signal_on_data`, and none is lost.
    fn is_dependable(&self) -> bool {
        let runs = self.shown();
        let late: usize = runs.iter().map(|run| run.late).sum();
        let is_late = self.candidate.delivers() && 100 * late > self.signals();
        !is_late && runs.iter().all(|run| run.lost == 0)
    }

    /// Whether its figure is lower than the other's, in most repetitions and by more than noise.
    fn beats(&self, other: &Self, of: fn(&Figures) -> f64) -> bool {
        let pairs = self.runs.iter().zip(&other.runs);
        let pairs =
            pairs.filter(|(ours, theirs)| ours.invalid.is_none() && theirs.invalid.is_none());
        let pairs: Vec<(f64, f64)> = pairs.map(|(ours, theirs)| (of(ours), of(theirs))).collect();
        let lower = pairs.iter().filter(|(ours, theirs)| ours < theirs).count();
        let is_most = lower >= pairs.len() - pairs.len() / ONE_IN;
        let middle = |which: fn(&(f64, f64)) -> f64| median(pairs.iter().map(which));
        pairs.len() >= FEWEST_RUNS
            && is_most
            && middle(|pair| pair.0) < (1.0 - NOISE) * middle(|pair| pair.1)
    }
}

/// What was decided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The 99th percentile.
    P99,
    /// The median, where there are too few signals.
    P50,
}

impl Measure {
    fn of(self) -> fn(&Figures) -> f64 {
        match self {
            Self::P99 => |run| run.tick_to_callback.p99_ns,
            Self::P50 => |run| run.tick_to_callback.p50_ns,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::P99 => "p99",
            Self::P50 => "median",
        }
    }
}

/// How long the host's thread is in the library for one event.
fn host_time(run: &Figures) -> f64 {
    run.on_data.p50_ns + run.poll.p50_ns
}

/// Which candidate is recommended, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Its place among the measured ones.
    pub place: usize,
    /// In one sentence, with the figures.
    pub reason: String,
}

/// Decides among candidates, of which the first is what is there already; `None` if none of them
/// is valid.
pub fn decide(all: &[Measured]) -> Option<Verdict> {
    let valid: Vec<usize> = (0..all.len())
        .filter(|&place| all[place].is_valid())
        .collect();
    let measure = match valid.iter().all(|&place| all[place].has_p99()) {
        true => Measure::P99,
        false => Measure::P50,
    };
    let dependable = valid
        .iter()
        .copied()
        .filter(|&place| all[place].is_dependable());
    let mut pool: Vec<usize> = dependable.collect();
    if pool.is_empty() {
        pool = valid;
    }
    let lowest = |among: &[usize], of: fn(&Figures) -> f64| {
        let by = |a: &usize, b: &usize| all[*a].middle(of).total_cmp(&all[*b].middle(of));
        among.iter().copied().min_by(by)
    };
    let not_beaten = |among: &[usize], by: usize, of: fn(&Figures) -> f64| -> Vec<usize> {
        let equals = among.iter().copied();
        equals
            .filter(|&place| !all[by].beats(&all[place], of))
            .collect()
    };
    let fastest = lowest(&pool, measure.of())?;
    let equals = not_beaten(&pool, fastest, measure.of());
    let lightest = lowest(&equals, host_time)?;
    let light = not_beaten(&equals, lightest, host_time);
    let place = light
        .iter()
        .copied()
        .min_by_key(|&place| (all[place].candidate.changes(), place))?;
    Some(Verdict {
        place,
        reason: reason(all, measure, (place, fastest, lightest)),
    })
}

/// The sentence.
fn reason(
    all: &[Measured],
    measure: Measure,
    (place, fastest, lightest): (usize, usize, usize),
) -> String {
    let figure = |place: usize| time(all[place].middle(measure.of()));
    let held = |place: usize| time(all[place].middle(host_time));
    let name = |place: usize| all[place].candidate.name();
    let what = measure.name();
    let mut text = format!("its {what} of tick to callback is {}", figure(place));
    if place != 0 {
        let first = &all[0];
        text += &match (first.is_valid(), first.is_dependable()) {
            (false, _) => format!("; {} could not be judged", name(0)),
            (true, true) => format!(" against {} {}", figure(0), name(0)),
            (true, false) => format!(
                " against {} {}, where too many signals are late or lost",
                figure(0),
                name(0)
            ),
        };
    }
    if fastest != place {
        text += &format!(
            "; that of {}, {}, is no different beyond the noise",
            name(fastest),
            figure(fastest)
        );
    }
    if place != 0 && place == lightest && !all[fastest].beats(&all[0], measure.of()) {
        text += &format!(
            "; it holds the host's thread for {} a Depth instead of {}",
            held(place),
            held(0)
        );
    }
    let others = all
        .iter()
        .enumerate()
        .filter(|(other, one)| *other != place && one.is_valid());
    if place == 0 && fastest == 0 && others.count() > 0 {
        text += ", and nothing else that was tried is lower beyond the noise";
    }
    text
}

#[cfg(test)]
mod tests;
