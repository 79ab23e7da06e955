//! The table and the goals.

use signal_bench::bench::Bench;
use signal_bench::jitter::Lost;
use signal_bench::judge::Judged;
use signal_bench::report::{Goal, Table};
use signal_bench::series::{Figures, median};

use crate::row::Row;

/// Depths a second that must be sustained.
const RATE_GOAL: f64 = 2_000_000.0;
/// p99 at half of saturation, in line round trips.
const P99_GOAL: f64 = 6.0;

/// The rates of the table.
pub struct Rates {
    pub saturation: Option<f64>,
    /// Whether the search found a rate that sustains.
    pub found: bool,
    /// Whether the search's trials had their cores to themselves.
    pub valid: bool,
    pub rates: Vec<f64>,
}

impl Rates {
    /// 10 % to 100 % of the highest sustained rate, and the goal's where it is not above.
    pub fn of_saturation(saturation: f64, valid: bool) -> Self {
        let tenths = (1..=10).map(|tenth| saturation * f64::from(tenth) / 10.0);
        let mut rates: Vec<f64> = tenths.collect();
        if saturation >= RATE_GOAL {
            rates.push(RATE_GOAL);
            rates.sort_by(f64::total_cmp);
        }
        Self {
            saturation: Some(saturation),
            found: true,
            valid,
            rates,
        }
    }

    pub fn given(rates: &[u64]) -> Self {
        Self {
            saturation: None,
            found: false,
            valid: true,
            rates: rates.iter().map(|&rate| rate as f64).collect(),
        }
    }
}

/// Every rate once, and the line round trip around them.
pub struct Repetition {
    pub line: Figures,
    pub line_is_valid: bool,
    /// Of the host's core and the lane's, with nothing else running.
    pub lost: [Lost; 2],
    pub rows: Vec<Judged<Row>>,
}

type Read = fn(&Row) -> f64;

const P50: Read = |row| row.figures.p50;
const P99: Read = |row| row.figures.p99.unwrap_or_default();
const WINDOW_P99: Read = |row| row.window_p99_ns.unwrap_or(f64::NAN);

/// A rate's rows: the valid ones, whose line is valid too; where there is none, all, and
/// that they are INVALID.
struct Rows<'a> {
    rows: Vec<(&'a Repetition, &'a Row)>,
    invalid: bool,
}

impl<'a> Rows<'a> {
    fn of(repetitions: &'a [Repetition], place: usize) -> Self {
        let valid = |of: &&Repetition| of.line_is_valid && of.rows[place].taken.is_valid();
        let invalid = !repetitions.iter().any(|of| valid(&of));
        let shown = repetitions.iter().filter(|of| invalid || valid(of));
        let rows = shown.map(|of| (of, &of.rows[place].value)).collect();
        Self { rows, invalid }
    }

    fn over(&self, read: Read) -> f64 {
        median(self.rows.iter().map(|(_, row)| read(row)))
    }

    /// In line round trips of the same repetition.
    fn to_line(&self, read: Read) -> f64 {
        median(self.rows.iter().map(|(of, row)| read(row) / of.line.p50))
    }

    fn most(&self, read: Read) -> f64 {
        self.rows
            .iter()
            .map(|(_, row)| read(row))
            .fold(0.0, f64::max)
    }

    /// In how many repetitions the rate failed, and why in the first.
    fn failed(&self) -> Option<(usize, String)> {
        let failures = self
            .rows
            .iter()
            .map(|(_, row)| (row, row.outcome.failures()));
        let failed: Vec<_> = failures
            .filter(|(_, failures)| !failures.is_empty())
            .collect();
        let (row, why) = failed.first()?;
        let why = format!(
            "{}; preempted {} times",
            why.join(", "),
            row.outcome.preempted
        );
        Some((failed.len(), why))
    }
}

/// What took the cores where a rate is INVALID.
fn taken(repetitions: &[Repetition], place: usize) -> String {
    let why = repetitions.iter().find_map(|of| of.rows[place].taken.why());
    why.unwrap_or("the line beside it was measured while others ran".into())
}

pub fn table(bench: &Bench, rates: &Rates, repetitions: &[Repetition]) {
    let over = |read: &dyn Fn(&Repetition) -> f64| median(repetitions.iter().map(read));
    let line = over(&|of| of.line.p50);
    bench.say(format!(
        "line round trip: {line:.1} ns, median; all below in ns but where it says otherwise"
    ));
    for (place, name) in ["host", "lane"].into_iter().enumerate() {
        bench.say(format!(
            "the machine alone takes {:.2} % of the {name}'s core, in gaps over 1 us of at most {:.0} us",
            100.0 * over(&|of| of.lost[place].share),
            over(&|of| of.lost[place].longest_ns) / 1000.0,
        ));
    }
    let columns = [
        "of max",
        "median",
        "x line",
        "p99",
        "x line",
        "window p99",
        "x line",
        "p99.9",
        "max",
        "deepest",
        "count",
        "verdict",
    ];
    let mut table = Table::new("Depths/s", columns);
    for (place, rate) in rates.rates.iter().enumerate() {
        let of = Rows::of(repetitions, place);
        let left_out = match repetitions.len() - of.rows.len() {
            0 => String::new(),
            some => format!("; {some} of {} INVALID and left out", repetitions.len()),
        };
        let verdict = match of.failed() {
            _ if of.invalid => format!("INVALID: {}", taken(repetitions, place)),
            None => format!("ok{left_out}"),
            Some((count, why)) => format!("FAIL ({count} of {}): {why}{left_out}", of.rows.len()),
        };
        let share = rates
            .saturation
            .map(|saturation| format!("{:.0} %", 100.0 * rate / saturation));
        let ns = |value: f64| format!("{value:.0}");
        let lines = |read| format!("{:.2}", of.to_line(read));
        let count: u64 = of.rows.iter().map(|(_, row)| row.figures.count).sum();
        let cells = [
            share.unwrap_or("-".to_owned()),
            ns(of.over(P50)),
            lines(P50),
            ns(of.over(P99)),
            lines(P99),
            ns(of.over(WINDOW_P99)),
            lines(WINDOW_P99),
            ns(of.over(|row| row.figures.p999.unwrap_or_default())),
            ns(of.most(|row| row.figures.max.unwrap_or_default())),
            ns(of.most(|row| row.outcome.deepest as f64)),
            count.to_string(),
            verdict,
        ];
        table.row(&format!("{rate:.0}"), cells);
    }
    bench.show(table);
}

/// The goals, where the rates were searched for.
pub fn goals(rates: &Rates, repetitions: &[Repetition]) -> Vec<Goal> {
    let Some(saturation) = rates.saturation else {
        return Vec::new();
    };
    let place = |wanted: f64| {
        let mut all = rates.rates.iter();
        all.position(|rate| (rate / wanted - 1.0).abs() < 1e-9)
    };
    let (how, met) = match place(RATE_GOAL).map(|place| (place, Rows::of(repetitions, place))) {
        None => ("above saturation".to_owned(), Some(false)),
        Some((place, of)) if of.invalid => (taken(repetitions, place), None),
        Some((_, of)) => match of.failed() {
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
    if let Some(place) = place(saturation / 2.0) {
        let of = Rows::of(repetitions, place);
        for (what, read) in [
            ("p99 at half of saturation", P99),
            ("the same in the median window", WINDOW_P99),
        ] {
            let ratio = of.to_line(read);
            let goal = format!("{what}, {ratio:.2} line round trips (goal < {P99_GOAL:.0})");
            goals.push(Goal::new(
                goal,
                (rates.valid && !of.invalid).then_some(ratio < P99_GOAL),
            ));
        }
    }
    goals
}
