//! The header, the tables.

use signal_bench::bench::{Bench, Library};
use signal_bench::forest::LEAVES;
use signal_bench::series::Figures;

use crate::Args;
use crate::crossing::{BURST, Model, WAYS, crosses};
use crate::market::Row;

/// Prints what is about to be timed, where.
pub fn header(args: &Args, bench: &Bench, library: &Library) {
    let lines = [
        ("library", library.describe()),
        (
            "timed",
            "from a stamp before signal_on_data(Depth) to the first thing that its callback does; the\n\
             host's calls on each Depth are Godzilla's: poll, on_depth, on_data; its callback costs\n\
             nothing, and between two Depths its thread spins, as the low-latency mode does"
                .to_owned(),
        ),
        (
            "run",
            format!(
                "{} s a rate and way; then {} repetitions of {} Depths a model and way, and as many in\n\
                 bursts of {BURST} with {} ns of the host's own work for each; on_data waits {} us at most",
                args.duration().as_secs_f64(),
                args.repetitions(),
                args.iterations(),
                args.host_work_ns,
                args.budget_us
            ),
        ),
    ];
    bench.header(
        "when does a signal reach a host that polls on the next Depth?",
        &lines,
    );
}

/// Prints the market's table.
pub fn market(rows: &[Row]) {
    println!(
        "{:>8}  {:<18} {:>13} {:>13} {:>13} {:>7}  left behind",
        "Depths/s", "", "median", "p99", "max", "count"
    );
    let mut rate = 0;
    for row in rows {
        let shown = match row.rate == rate {
            true => String::new(),
            false => row.rate.to_string(),
        };
        rate = row.rate;
        let Figures {
            p50,
            p99,
            max,
            count,
            ..
        } = row.figures;
        println!(
            "{shown:>8}  {:<18} {:>13} {:>13} {:>13} {count:>7}  {}{}",
            row.way.name,
            time(p50),
            time(p99.unwrap_or_default()),
            time(max.unwrap_or_default()),
            row.left,
            if row.valid { "" } else { "  INVALID" }
        );
    }
}

/// Prints the models' table, and where one way overtakes the other.
pub fn crossing(args: &Args, bench: &Bench, models: &[Model]) {
    println!("\nfactor set market; trees of {LEAVES} leaves; medians, ns");
    println!(
        "{:<12} {:>8}   {:<29} {:<29} {:<29}",
        "model", "its work", "tick to callback", "host's thread in on_data", "last of a burst"
    );
    let names = ["inline", "fused", "poll"]
        .map(|name| format!("{name:>9}"))
        .concat();
    println!("{:<12} {:>8}   {names}   {names}   {names}", "", "");
    for model in models {
        let all = |read: fn(&crate::crossing::Cost) -> f64| {
            let values = model
                .ways
                .each_ref()
                .map(|cost| format!("{:>9.0}", read(cost)));
            values.concat()
        };
        println!(
            "{:<12} {:>8.0}   {}   {}   {}{}",
            model.name,
            model.work_ns,
            all(crate::crossing::Cost::single_ns),
            all(crate::crossing::Cost::call_ns),
            all(crate::crossing::Cost::burst_ns),
            if model.valid { "" } else { "  INVALID" }
        );
    }
    let names = WAYS.map(|way| way.name);
    println!(
        "(inline: {}; fused: {}; poll: {})",
        names[0], names[1], names[2]
    );
    if !models.iter().all(|model| model.valid) {
        bench.may_compare();
        return;
    }
    let one = |what: &str, way: usize, read: fn(&crate::crossing::Cost) -> f64| {
        let found = crosses(
            models,
            |model| read(&model.ways[way]),
            |model| read(&model.ways[0]),
        );
        let (left, right) = (names[way], names[0]);
        let first = models.first().map(|model| model.work_ns);
        match found {
            Some(work) if Some(work) == first => {
                println!("{what}: {left} is ahead of {right} at every cost");
            }
            Some(work) => println!("{what}: {left} overtakes {right} at {work:.0} ns"),
            None => println!("{what}: {left} stays behind {right} at every cost"),
        }
    };
    one("one Depth at a time", 1, crate::crossing::Cost::single_ns);
    one("one Depth at a time", 2, crate::crossing::Cost::single_ns);
    let burst = format!(
        "bursts of {BURST}, {} ns of the host's own work each",
        args.host_work_ns
    );
    one(&burst, 1, crate::crossing::Cost::burst_ns);
    one(&burst, 2, crate::crossing::Cost::burst_ns);
}

/// A time with a unit that suits it.
fn time(ns: f64) -> String {
    match ns {
        0.0..10_000.0 => format!("{ns:.0} ns"),
        10_000.0..10_000_000.0 => format!("{:.1} us", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}
