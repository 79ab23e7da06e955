//! Depths at a fixed rate, each with Godzilla's calls: poll, the strategy's
//! `on_depth`, `on_data`.

use serde_json::{Value, json};
use signal_bench::bench::{Bench, Library};
use signal_bench::live;
use signal_bench::series::Figures;

use crate::host::Host;
use crate::{Args, Way, way};

const WAYS: [Way; 4] = [
    way("fused, poll", "fused", "poll"),
    way("fused, on_data", "fused", "on_data"),
    way("inline, poll", "inline", "poll"),
    way("inline, on_data", "inline", "on_data"),
];
/// Unmeasured, at full speed: around the rings' first turns.
const WARM_UP: usize = 2_000;

/// One rate and way.
pub struct Row {
    /// Depths a second.
    pub rate: u64,
    /// Where the stages run, and who makes the callbacks.
    pub way: Way,
    /// Tick to callback.
    pub figures: Figures,
    /// Signals that no Depth came to fetch.
    pub left: u64,
    /// Whether the cores were the bench's own.
    pub valid: bool,
}

impl Row {
    /// For the result.
    pub fn to_json(&self) -> Value {
        let mut value = self.figures.to_json();
        value["rate"] = json!(self.rate);
        value["way"] = json!(self.way.name);
        value["valid"] = json!(self.valid);
        value["left_behind"] = json!(self.left);
        value
    }
}

pub fn measure(args: &Args, bench: &Bench, library: &Library) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for rate in args.rates() {
        for way in WAYS {
            let name = format!("{rate} a second, {}", way.name);
            let run = bench.run(&name, || one(args, bench, library, rate, way))?;
            let valid = run.taken.is_valid();
            rows.push(Row { valid, ..run.value });
        }
    }
    Ok(rows)
}

fn one(args: &Args, bench: &Bench, library: &Library, rate: u64, way: Way) -> Result<Row, String> {
    let handle = live::create(&library.api, &way.config(bench, args.budget_us))?;
    let mut host = Host::new(&handle, &bench.stamps);
    for _ in 0..WARM_UP {
        host.give();
        host.wait()?;
    }
    host.begin();
    let before = host.calls();
    let period = bench.stamps.ticks(1_000_000_000 / rate);
    let depths = (args.duration().as_secs_f64() * rate as f64)
        .round()
        .max(1.0) as u64;
    let mut due = bench.stamps.raw();
    for _ in 0..depths {
        // Between two events the host's main thread looks at its journal.
        due += period;
        while bench.stamps.raw() < due {}
        handle.poll_inlined();
        // Here the strategy's on_depth runs.
        host.give();
    }
    let left = depths - (host.calls() - before);
    let figures = host.series().figures(&bench.stamps);
    Ok(Row {
        rate,
        way,
        figures,
        left,
        valid: true,
    })
}
