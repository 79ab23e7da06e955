//! Models of growing cost: on the host's own thread, and on a lane.

use serde_json::{Map, Value, json};
use signal_bench::bench::{Bench, Library};
use signal_bench::feed;
use signal_bench::forest;
use signal_bench::live;
use signal_bench::runs::Runs;
use signal_bench::series::{Figures, Series, median};
use signal_bench::workload::ModelFile;
use signal_command::host::library::Handle;

use crate::host::{self, Host};
use crate::{Args, Way, way};

/// Depths that come at once.
pub const BURST: usize = 8;
/// The ways, in the order of each model's figures.
pub const WAYS: [Way; 3] = [
    way("inline, on_data", "inline", "on_data"),
    way("fused, on_data", "fused", "on_data"),
    way("fused, spinning poll", "fused", "poll"),
];
const TREES: [usize; 6] = [0, 10, 30, 100, 300, 1000];

/// One model's figures.
pub struct Model {
    /// As in the table.
    pub name: String,
    /// The model's own work, ns, as the library's hop says it, inline.
    pub work_ns: f64,
    /// One a way.
    pub ways: [Cost; WAYS.len()],
    /// Whether the cores were the bench's own.
    pub valid: bool,
}

/// What one way costs, ns: medians over the repetitions.
#[derive(Clone, Debug, Default)]
pub struct Cost {
    /// Tick to callback, one Depth at a time: each repetition's.
    single: Vec<Figures>,
    /// From the host's call of on_data to its return.
    call: Vec<Figures>,
    /// From the burst's arrival to the callback of its last Depth.
    burst: Vec<Figures>,
}

impl Cost {
    pub fn single_ns(&self) -> f64 {
        middle(&self.single)
    }

    pub fn call_ns(&self) -> f64 {
        middle(&self.call)
    }

    pub fn burst_ns(&self) -> f64 {
        middle(&self.burst)
    }
}

fn middle(figures: &[Figures]) -> f64 {
    let mut medians: Vec<f64> = figures.iter().map(|figures| figures.p50).collect();
    median(&mut medians)
}

impl Model {
    /// For the result.
    pub fn to_json(&self) -> Value {
        let ways = WAYS.iter().zip(&self.ways).map(|(way, cost)| {
            let all = |figures: &[Figures]| -> Vec<Value> {
                figures.iter().map(|figures| figures.to_json()).collect()
            };
            let cost = json!({
                "tick_to_callback": all(&cost.single),
                "on_data": all(&cost.call),
                "last_of_burst": all(&cost.burst),
            });
            (way.name.to_owned(), cost)
        });
        json!({
            "model": self.name,
            "work_ns": self.work_ns,
            "valid": self.valid,
            "ways": ways.collect::<Map<_, _>>(),
        })
    }
}

pub fn measure(args: &Args, bench: &Bench, library: &Library) -> Result<Vec<Model>, String> {
    let rows = feed::rows_of(host::books())?;
    let mut models = Vec::new();
    for trees in TREES {
        let file = (trees > 0).then(|| ModelFile::write(&forest::lightgbm(trees, &rows, 1)));
        let file = file
            .transpose()
            .map_err(|error| format!("cannot write a model: {error}"))?;
        let name = match trees {
            0 => "constant".to_owned(),
            _ => format!("{trees} trees"),
        };
        let mut runs = Runs::default();
        for number in 0..args.repetitions() {
            let run = format!("{name}, repetition {}", number + 1);
            runs.push(bench.run(&run, || repeat(args, bench, library, file.as_ref()))?);
        }
        let mut model = Model {
            name,
            work_ns: 0.0,
            ways: Default::default(),
            valid: !runs.are_invalid(),
        };
        let mut work = Vec::new();
        for (work_ns, costs) in bench.shown(&runs) {
            work.push(*work_ns);
            for (all, cost) in model.ways.iter_mut().zip(costs) {
                all.single.extend(&cost.single);
                all.call.extend(&cost.call);
                all.burst.extend(&cost.burst);
            }
        }
        model.work_ns = median(&mut work);
        models.push(model);
    }
    Ok(models)
}

/// Each way once; the model's own work, inline.
fn repeat(
    args: &Args,
    bench: &Bench,
    library: &Library,
    file: Option<&ModelFile>,
) -> Result<(f64, [Cost; WAYS.len()]), String> {
    let (mut work, mut costs): (f64, [Cost; WAYS.len()]) = Default::default();
    for (way, cost) in WAYS.iter().zip(&mut costs) {
        let mut config = way.config(bench, args.budget_us);
        config["factors"] = json!("market");
        if let Some(file) = file {
            config["model"] = json!({"name": "trees", "file": file.path(), "check_names": false});
        }
        let handle = live::create(&library.api, &config)?;
        one(args, bench, &handle, cost)?;
        if way.placement == "inline" {
            work = work_of(&handle);
        }
    }
    Ok((work, costs))
}

fn one(args: &Args, bench: &Bench, handle: &Handle, cost: &mut Cost) -> Result<(), String> {
    let stamps = &bench.stamps;
    let mut host = Host::new(handle, stamps);
    let depths = args.iterations();
    let mut calls = Series::new();
    for number in 0..depths + depths / 10 {
        if number == depths / 10 {
            host.begin();
            calls = Series::new();
        }
        let start = host.give();
        calls.record(start, stamps.raw());
        host.wait()?;
    }
    cost.single.push(host.series().figures(stamps));
    cost.call.push(calls.figures(stamps));

    let host_work = stamps.ticks(args.host_work_ns);
    let mut last = Series::new();
    for number in 0..(depths + depths / 10) / BURST {
        if number == depths / 10 / BURST {
            last = Series::new();
        }
        let start = stamps.start();
        for _ in 0..BURST {
            // The host's order of calls, with a strategy that takes its time.
            handle.poll_inlined();
            stamps.pause(host_work);
            host.give_due(start);
        }
        host.wait()?;
        last.record(start, stamps.raw());
    }
    cost.burst.push(last.figures(stamps));
    Ok(())
}

/// What the library says of its model's work, ns.
fn work_of(handle: &Handle) -> f64 {
    let hops = handle.hops();
    let model = hops.iter().find(|hop| hop["hop"] == "model.work");
    model.and_then(|hop| hop["p50_ns"].as_f64()).unwrap_or(0.0)
}

/// The cost of a model, ns, from which on `left` is below `right`; `None` if it
/// never is. Between two models it lies on the line between their differences.
pub fn crosses(
    models: &[Model],
    left: impl Fn(&Model) -> f64,
    right: impl Fn(&Model) -> f64,
) -> Option<f64> {
    let ahead: Vec<(f64, f64)> = models
        .iter()
        .map(|model| (model.work_ns, right(model) - left(model)))
        .collect();
    let behind = ahead.iter().rposition(|(_, ahead)| *ahead <= 0.0);
    match behind {
        None => ahead.first().map(|(work, _)| *work),
        Some(last) => {
            let (from, to) = (ahead[last], ahead.get(last + 1)?);
            Some(from.0 + (to.0 - from.0) * -from.1 / (to.1 - from.1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(figures: &[(f64, f64, f64)]) -> Vec<Model> {
        let figures_of = |p50| Figures {
            p50,
            p99: None,
            p999: None,
            max: None,
            count: 1,
        };
        let model = |&(work_ns, left, right)| {
            let cost = |p50| Cost {
                single: vec![figures_of(p50)],
                ..Cost::default()
            };
            Model {
                name: String::new(),
                work_ns,
                ways: [cost(left), cost(right), Cost::default()],
                valid: true,
            }
        };
        figures.iter().map(model).collect()
    }

    #[test]
    fn the_crossing_lies_between_two_models() {
        let crossing = |figures: &[(f64, f64, f64)]| {
            crosses(
                &models(figures),
                |model| model.ways[0].single_ns(),
                |model| model.ways[1].single_ns(),
            )
        };
        // Behind by 10, then ahead by 30: a quarter of the way.
        let twice = [(100.0, 20.0, 10.0), (500.0, 10.0, 40.0)];
        assert_eq!(crossing(&twice), Some(200.0));
        assert_eq!(crossing(&twice[..1]), None);
        assert_eq!(crossing(&twice[1..]), Some(500.0));
        assert_eq!(crossing(&[]), None);
        // From where on it stays ahead.
        let back = [(1.0, 1.0, 2.0), (2.0, 2.0, 1.0), (3.0, 1.0, 2.0)];
        assert_eq!(crossing(&back), Some(2.5));
    }
}
