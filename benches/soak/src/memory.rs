//! Whether memory stays flat.
//!
//! The first cycle through the configurations warms up. After it,
//! * what `malloc` has handed out after a handle is destroyed stays within
//!   [`HEAP_KIB`] between any two rounds;
//! * the resident memory after a destroy, free memory given back to the system, has
//!   no trend: the line of least squares through all rounds rises by less than
//!   [`TREND_KIB`] from its first to its last. The C library keeps the stacks of ended
//!   threads for new ones, so this goes on rising by a little until the thread that
//!   needs most has had each of them;
//! * no configuration's resident memory, its handle alive, grows by more than
//!   [`CASE_KIB`] from its first round after the warm-up to its last.

use crate::cases::Case;
use crate::round::Round;

pub const HEAP_KIB: u64 = 16;
pub const TREND_KIB: f64 = 4096.0;
pub const CASE_KIB: i64 = 8192;

/// What was found.
pub struct Flatness {
    /// Greatest difference of the heap between two rounds.
    pub heap_kib: u64,
    /// Rise of the trend over the rounds judged.
    pub trend_kib: f64,
    /// Greatest growth of a configuration, and its name.
    pub case_kib: Option<(i64, &'static str)>,
    /// Rounds judged.
    pub rounds: usize,
    pub wrong: Vec<String>,
}

/// Judges all rounds. Too few to judge is said, and is no failure.
pub fn judge(cases: &[Case], rounds: &[Round]) -> Flatness {
    let warm = rounds.get(cases.len()..).unwrap_or_default();
    let heaps = warm.iter().map(|round| round.after.heap_kib);
    let heap_kib = heaps.clone().max().unwrap_or(0) - heaps.min().unwrap_or(0);
    let resident = warm.iter().map(|round| round.after.resident_kib as f64);
    let trend_kib = rise(&resident.collect::<Vec<_>>());
    let growth = |(place, case): (usize, &Case)| {
        let mut of_case = warm.iter().filter(|round| round.case == place);
        let (first, last) = (of_case.next()?, of_case.next_back()?);
        let [first, last] = [first, last].map(|round| round.full.resident_kib as i64);
        Some((last - first, case.name))
    };
    let case_kib = cases.iter().enumerate().filter_map(growth).max();
    let mut wrong = Vec::new();
    if heap_kib > HEAP_KIB {
        wrong.push(format!(
            "memory: heap after destroy differs by {heap_kib} KiB between rounds, at most {HEAP_KIB}"
        ));
    }
    if trend_kib > TREND_KIB {
        wrong.push(format!(
            "memory: resident memory rises by {trend_kib:.0} KiB over the run, at most {TREND_KIB:.0}"
        ));
    }
    if let Some((growth, name)) = case_kib.filter(|&(growth, _)| growth > CASE_KIB) {
        wrong.push(format!(
            "memory: '{name}' grew by {growth} KiB from its first to its last round, at most {CASE_KIB}"
        ));
    }
    Flatness {
        heap_kib,
        trend_kib,
        case_kib,
        rounds: warm.len(),
        wrong,
    }
}

/// How far the line of least squares through evenly spaced values rises from the
/// first to the last.
fn rise(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    if values.len() < 2 {
        return 0.0;
    }
    let middle = (count - 1.0) / 2.0;
    let (mut up, mut across) = (0.0, 0.0);
    for (place, value) in values.iter().enumerate() {
        let x = place as f64 - middle;
        up += x * value;
        across += x * x;
    }
    up / across * (count - 1.0)
}
