//! The table and the goals.

use signal_bench::bench::Bench;
use signal_bench::jitter::Lost;
use signal_bench::judge::{Judged, Runs, Taken};
use signal_bench::report::{Goal, Table};
use signal_bench::series::{Figures, median};

use crate::row::Row;

/// Depths a second that must be sustained.
pub const RATE_GOAL: f64 = 2_000_000.0;
/// p99 at half of saturation, in line round trips.
const P99_GOAL: f64 = 6.0;

/// The rates of the table.
#[derive(Default)]
pub struct Rates {
    pub rates: Vec<f64>,
    /// `None` where it was not looked for.
    pub saturation: Option<f64>,
    /// Whether the search found a rate that sustains.
    pub found: bool,
    /// Whether the search's trials had their cores to themselves.
    pub valid: bool,
}

/// Every rate once, and the line round trip around them.
pub struct Repetition {
    pub line: Figures,
    /// Before the rates and after.
    pub line_taken: [Taken; 2],
    /// Of the host's core and the lane's, with nothing else running.
    pub lost: [Lost; 2],
    pub rows: Vec<Judged<Row>>,
}

/// Of a row whose line has this median.
type Read = fn(&(f64, Row)) -> f64;

const P50: Read = |(_, row)| row.figures.p50;
const P99: Read = |(_, row)| row.figures.p99.unwrap_or_default();
const WINDOW_P99: Read = |(_, row)| row.window_p99_ns.unwrap_or(f64::NAN);

/// A rate's rows, each with the median of its line, which must be valid too.
fn rows(repetitions: &[Repetition], place: usize) -> Runs<(f64, Row)> {
    let runs = repetitions.iter().map(|of| {
        let Judged { value, taken } = &of.rows[place];
        let mut all = [taken].into_iter().chain(&of.line_taken);
        let worst = all.find(|taken| !taken.is_valid()).unwrap_or(taken);
        Judged {
            value: (of.line.p50, *value),
            taken: worst.clone(),
        }
    });
    Runs(runs.collect())
}

fn over(rows: &[&(f64, Row)], read: Read) -> f64 {
    median(rows.iter().map(|row| read(row)))
}

/// In line round trips of the same repetition.
fn to_line(rows: &[&(f64, Row)], read: Read) -> f64 {
    median(rows.iter().map(|row| read(row) / row.0))
}

/// In how many repetitions the rate failed, and why in the first.
fn failed(rows: &[&(f64, Row)]) -> Option<(usize, String)> {
    let mut failed = rows.iter().filter(|(_, row)| !row.failures().is_empty());
    let (_, first) = failed.next()?;
    let why = first.failures().join(", ");
    let why = format!("{why}; preempted {} times", first.preempted);
    Some((1 + failed.count(), why))
}

/// What took the cores where a rate is INVALID.
fn taken(runs: &Runs<(f64, Row)>) -> String {
    let why = runs.0.iter().find_map(|run| run.taken.why());
    why.unwrap_or_default()
}

pub fn table(bench: &Bench, rates: &Rates, repetitions: &[Repetition]) {
    let all = |read: &dyn Fn(&Repetition) -> f64| median(repetitions.iter().map(read));
    bench.say(format!(
        "line round trip: {:.1} ns, median; all below in ns but where it says otherwise",
        all(&|of| of.line.p50)
    ));
    for (place, name) in ["host", "lane"].into_iter().enumerate() {
        bench.say(format!(
            "the machine alone takes {:.2} % of the {name}'s core, in gaps over 1 us of at most {:.0} us",
            100.0 * all(&|of| of.lost[place].share),
            all(&|of| of.lost[place].longest_ns) / 1000.0,
        ));
    }
    let columns = "of max | median | x line | p99 | x line | window p99 | x line | p99.9 | max | deepest | \
                   count | verdict";
    let mut table = Table::new("Depths/s", columns.split(" | "));
    for (place, rate) in rates.rates.iter().enumerate() {
        let runs = rows(repetitions, place);
        let rows = runs.shown();
        let left_out = match repetitions.len() - rows.len() {
            0 => String::new(),
            some => format!("; {some} of {} INVALID and left out", repetitions.len()),
        };
        let verdict = match failed(&rows) {
            _ if runs.are_invalid() => format!("INVALID: {}", taken(&runs)),
            None => format!("ok{left_out}"),
            Some((count, why)) => format!("FAIL ({count} of {}): {why}{left_out}", rows.len()),
        };
        let share = rates
            .saturation
            .map(|most| format!("{:.0} %", 100.0 * rate / most));
        let mut cells = vec![share.unwrap_or("-".to_owned())];
        for read in [P50, P99, WINDOW_P99] {
            cells.push(format!("{:.0}", over(&rows, read)));
            cells.push(format!("{:.2}", to_line(&rows, read)));
        }
        let p999 = over(&rows, |(_, row)| row.figures.p999.unwrap_or_default());
        let max = rows.iter().filter_map(|(_, row)| row.figures.max);
        let deepest = rows.iter().map(|(_, row)| row.deepest_queue).max();
        let count: u64 = rows.iter().map(|(_, row)| row.figures.count).sum();
        cells.extend([
            format!("{p999:.0}"),
            format!("{:.0}", max.fold(0.0, f64::max)),
            deepest.unwrap_or_default().to_string(),
            count.to_string(),
            verdict,
        ]);
        table.row(&format!("{rate:.0}"), cells);
    }
    bench.show(table);
}

/// The goals, where the rates were searched for.
pub fn goals(rates: &Rates, repetitions: &[Repetition]) -> Vec<Goal> {
    let Some(saturation) = rates.saturation else {
        return Vec::new();
    };
    let at = |wanted: f64| {
        let mut all = rates.rates.iter();
        let place = all.position(|rate| (rate / wanted - 1.0).abs() < 1e-9)?;
        Some(rows(repetitions, place))
    };
    let (how, met) = match at(RATE_GOAL) {
        None => ("above saturation".to_owned(), Some(false)),
        Some(runs) if runs.are_invalid() => (taken(&runs), None),
        Some(runs) => match failed(&runs.shown()) {
            None => (
                "every repetition sustained it".to_owned(),
                Some(rates.found),
            ),
            Some((count, why)) => (format!("{count} failed: {why}"), Some(false)),
        },
    };
    let what = format!(
        "saturation {saturation:.0} Depths a second; {RATE_GOAL:.0} without a drop (goal): {how}"
    );
    let mut goals = vec![Goal::new(what, met.filter(|_| rates.valid))];
    if let Some(runs) = at(saturation / 2.0) {
        for (what, read) in [
            ("p99 at half of saturation", P99),
            ("the same in the median window", WINDOW_P99),
        ] {
            let ratio = to_line(&runs.shown(), read);
            let judged = (rates.valid && !runs.are_invalid()).then_some(ratio);
            goals.push(Goal::at_most(what, judged, P99_GOAL, " line round trips"));
        }
    }
    goals
}
