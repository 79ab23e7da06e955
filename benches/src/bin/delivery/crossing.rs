//! Models of growing cost: on the host's own thread, and on a lane.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;
use signal_bench::drive::{Driver, Host, Trips, hop};
use signal_bench::folder::Folder;
use signal_bench::report::Table;
use signal_bench::series::{Figures, median};
use signal_bench::workload::Moving;
use signal_bench::{feed, forest};

use crate::{Setup, Way, way};

/// Depths that come at once.
pub const BURST: usize = 8;
/// The ways; the others are compared with the first.
const WAYS: [Way; 3] = [
    way("inline, on_data", "inline", "on_data"),
    way("fused, on_data", "fused", "on_data"),
    way("fused, spinning poll", "fused", "poll"),
];
const TREES: [usize; 6] = [0, 10, 30, 100, 300, 1000];

#[derive(Serialize)]
pub struct Model {
    model: String,
    /// The model's own work, as the library's hop says it, inline.
    work_ns: f64,
    valid: bool,
    ways: BTreeMap<&'static str, Cost>,
}

/// What one way costs, one a repetition.
#[derive(Clone, Default, Serialize)]
struct Cost {
    /// One Depth at a time.
    tick_to_callback: Vec<Figures>,
    /// From the host's call of on_data to its return.
    on_data: Vec<Figures>,
    /// From the burst's arrival to the callback of its last Depth.
    last_of_burst: Vec<Figures>,
}

/// The model's own work, and the three figures of each way.
type Repetition = (f64, [[Figures; 3]; WAYS.len()]);
type Read = fn(&Cost) -> &Vec<Figures>;

const SINGLE: Read = |cost| &cost.tick_to_callback;
const CALL: Read = |cost| &cost.on_data;
const LAST: Read = |cost| &cost.last_of_burst;

impl Model {
    fn ns(&self, way: usize, read: Read) -> f64 {
        median(
            read(&self.ways[WAYS[way].name])
                .iter()
                .map(|figures| figures.p50),
        )
    }
}

pub fn measure(setup: &Setup) -> Result<Vec<Model>, String> {
    let rows = feed::rows_of_moving_books()?;
    let folder = Folder::new("delivery")?;
    let mut models = Vec::new();
    for trees in TREES {
        let (name, more) = match trees {
            0 => ("constant".to_owned(), json!({ "factors": "market" })),
            _ => {
                let file =
                    folder.write(&format!("{trees}.txt"), &forest::lightgbm(trees, &rows, 1))?;
                let model = json!({ "name": "trees", "file": file, "check_names": false });
                (
                    format!("{trees} trees"),
                    json!({ "factors": "market", "model": model }),
                )
            }
        };
        let runs = setup
            .bench
            .repeat(setup.repetitions, &format!("{name}, "), |_| {
                let (mut work, mut costs) = (0.0, Vec::new());
                for way in WAYS {
                    let mut driver =
                        Driver::new(setup.create(way, more.clone())?, &setup.bench.stamps);
                    costs.push(one(setup, &mut driver)?);
                    if way.placement == "inline" {
                        work = hop(&driver.host.hops(), "model.work");
                    }
                }
                let costs = costs.try_into().expect("a cost for each way");
                Ok::<Repetition, String>((work, costs))
            })?;
        let shown = setup.bench.shown(&runs);
        let cost = |way: usize| {
            let all = |figure: usize| shown.iter().map(|(_, costs)| costs[way][figure]).collect();
            let cost = Cost {
                tick_to_callback: all(0),
                on_data: all(1),
                last_of_burst: all(2),
            };
            (WAYS[way].name, cost)
        };
        models.push(Model {
            model: name,
            work_ns: median(shown.iter().map(|(work, _)| *work)),
            valid: !runs.are_invalid(),
            ways: (0..WAYS.len()).map(cost).collect(),
        });
    }
    show(setup, &models);
    Ok(models)
}

/// One Depth at a time, the call, the last of a burst.
fn one(setup: &Setup, driver: &mut Driver<'_, impl Host>) -> Result<[Figures; 3], String> {
    let stamps = &setup.bench.stamps;
    let mut source = Moving::new(false);
    let (ticks, calls) = driver.trips::<true>(Trips::new(setup.iterations), &mut source)?;
    let bursts = Trips::new(setup.iterations / BURST);
    // A strategy that takes its time.
    let work = stamps.ticks(setup.host_work_ns);
    let last = driver.bursts(BURST, bursts, work, &mut source)?;
    Ok([ticks, calls, last].map(|series| series.figures(stamps)))
}

/// The models' table, and where one way overtakes the other.
fn show(setup: &Setup, models: &[Model]) {
    let figures = [
        ("tick to callback", SINGLE),
        ("in on_data", CALL),
        ("last of a burst", LAST),
    ];
    let ways = ["inline", "fused", "poll"];
    let heads = figures
        .iter()
        .flat_map(|(what, _)| ways.map(|way| format!("{what}, {way}")));
    let heads: Vec<String> = ["its work".to_owned()].into_iter().chain(heads).collect();
    let mut table = Table::new("model", heads.iter().map(String::as_str).chain([""]));
    for model in models {
        let of = |read| (0..WAYS.len()).map(move |way| model.ns(way, read));
        let cells = [model.work_ns]
            .into_iter()
            .chain(figures.iter().flat_map(|(_, read)| of(*read)));
        let mark = if model.valid { "" } else { "INVALID" }.to_owned();
        table.row(
            &model.model,
            cells.map(|ns| format!("{ns:.0}")).chain([mark]),
        );
    }
    setup.bench.show(table);
    let [inline, fused, poll] = WAYS.map(|way| way.name);
    setup.bench.say(format!(
        "factor set market; trees of {} leaves; medians, ns; inline: {inline}; fused: {fused}; poll: {poll}",
        forest::LEAVES
    ));
    if !setup.bench.may_compare() {
        return;
    }
    let burst = format!(
        "bursts of {BURST}, {} ns of the host's own work each",
        setup.host_work_ns
    );
    for (what, read) in [("one Depth at a time", SINGLE), (&burst, LAST)] {
        for way in [1, 2] {
            let ahead = models
                .iter()
                .map(|model| (model.work_ns, model.ns(0, read) - model.ns(way, read)));
            let ahead: Vec<_> = ahead.collect();
            let found = match crosses(&ahead) {
                Some(work) if Some(work) == ahead.first().map(|(work, _)| *work) => {
                    format!("is ahead of {inline} at every cost")
                }
                Some(work) => format!("overtakes {inline} at {work:.0} ns"),
                None => format!("stays behind {inline} at every cost"),
            };
            setup
                .bench
                .say(format!("{what}: {} {found}", WAYS[way].name));
        }
    }
}

/// The cost of a model, ns, from which on a way is ahead; `None` if it never is. Given are
/// costs and by how much it is ahead. Between two models it lies on the line between them.
fn crosses(ahead: &[(f64, f64)]) -> Option<f64> {
    match ahead.iter().rposition(|(_, ahead)| *ahead <= 0.0) {
        None => ahead.first().map(|(work, _)| *work),
        Some(last) => {
            let (from, to) = (ahead[last], ahead.get(last + 1)?);
            Some(from.0 + (to.0 - from.0) * -from.1 / (to.1 - from.1))
        }
    }
}

#[test]
fn the_crossing_lies_between_two_models() {
    // Behind by 10, then ahead by 30: a quarter of the way.
    let twice = [(100.0, -10.0), (500.0, 30.0)];
    assert_eq!(crosses(&twice), Some(200.0));
    assert_eq!(crosses(&twice[..1]), None);
    assert_eq!(crosses(&twice[1..]), Some(500.0));
    assert_eq!(crosses(&[]), None);
    // From where on it stays ahead.
    assert_eq!(crosses(&[(1.0, 1.0), (2.0, -1.0), (3.0, 1.0)]), Some(2.5));
}
