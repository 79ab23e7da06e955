//! The table and the JSON.

use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::echo::RING;
use crate::machine::Cores;
use crate::series::{Figures, Stamps, median};

/// What is measured, in the order of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The clock.
    Stamp,
    /// The floor under every hop.
    Line,
    /// Small messages.
    Ring64,
    /// A whole Depth, roughly.
    Ring448,
    /// The sender's share.
    OnData,
    /// Through the function.
    EmptyPollCall,
    /// As in the header.
    EmptyPollInlined,
    /// The default.
    Tick,
    /// `"timing": false`
    TickUntimed,
    /// Factor set `market`, a linear model.
    TickMarket,
}

/// The library's own hops in the last repetition, timing on.
#[derive(Default)]
pub struct Hops {
    /// Factor set and model `test0000`.
    pub test0000: Vec<Value>,
    /// Factor set `market`, a linear model.
    pub market: Vec<Value>,
}

impl What {
    /// All, in the order of the table.
    pub const ALL: [What; 10] = [
        What::Stamp,
        What::Line,
        What::Ring64,
        What::Ring448,
        What::OnData,
        What::EmptyPollCall,
        What::EmptyPollInlined,
        What::Tick,
        What::TickUntimed,
        What::TickMarket,
    ];

    /// The table's first column.
    fn title(self) -> &'static str {
        match self {
            What::Stamp => "clock read",
            What::Line => "line round trip",
            What::Ring64 => "rtrb there and back, 64 B",
            What::Ring448 => "rtrb there and back, 448 B",
            What::OnData => "signal_on_data, the call",
            What::EmptyPollCall => "empty poll, function",
            What::EmptyPollInlined => "empty poll, inlined",
            What::Tick => "tick to callback",
            What::TickUntimed => "tick to callback, timing off",
            What::TickMarket => "tick to callback, market+linear",
        }
    }

    /// The name in the JSON.
    fn key(self) -> &'static str {
        match self {
            What::Stamp => "clock_read",
            What::Line => "line_round_trip",
            What::Ring64 => "rtrb_64",
            What::Ring448 => "rtrb_448",
            What::OnData => "on_data",
            What::EmptyPollCall => "empty_poll_function",
            What::EmptyPollInlined => "empty_poll_inlined",
            What::Tick => "tick_to_callback",
            What::TickUntimed => "tick_to_callback_timing_off",
            What::TickMarket => "tick_to_callback_market_linear",
        }
    }
}

/// One repetition's figures, in the order of [`What::ALL`].
#[derive(Clone, Debug)]
pub struct Repetition(pub [Figures; What::ALL.len()]);

impl Repetition {
    fn get(&self, what: What) -> Figures {
        self.0[what as usize]
    }

    /// A median in line round trips of this repetition.
    fn ratio(&self, what: What) -> f64 {
        self.get(what).p50 / self.get(What::Line).p50
    }
}

/// The goal for the tick to callback, in line round trips.
const GOAL: f64 = 3.0;

/// The goal for the work of the factor set `market`, ns.
const FACTOR_GOAL_NS: u64 = 150;

fn market_factor_work(hops: &Hops) -> Option<u64> {
    let mut hops = hops.market.iter();
    hops.find(|hop| hop["hop"] == "factor.work")?["p50_ns"].as_u64()
}

/// Prints what is about to be timed, where.
pub fn header(args: &Args, cores: &Cores, stamps: &Stamps, facts: &Value, version: &str) {
    let text = |key: &str| facts[key].as_str().unwrap_or_default().to_owned();
    let (host, lane) = (cores.host, cores.lanes[0]);
    println!("tick_to_callback: libsignal {version}, through the C ABI");
    println!(
        "  timed      on core {host}, the host's thread: every stamp is taken there, per trip,\n             \
         and includes one clock read; nothing is subtracted"
    );
    println!(
        "  across     core {lane}: an echo thread (line, rtrb with {RING} slots), or the library's first lane"
    );
    println!(
        "  tick       stamp before signal_on_data(Depth) to first stamp in the callback; one Depth\n             \
         under way, the host spins on the inlined poll; placement {}, idle spin",
        args.placement
    );
    println!(
        "  run        {} repetitions of {} trips, gap {} ns; the line is measured half before, half\n             \
         after the library in each repetition",
        args.repetitions, args.iterations, args.gap_ns
    );
    println!(
        "  clock      steps of {:.1} ns; medians are interpolated within a step, p99 and p99.9 are not",
        stamps.granule_ns()
    );
    println!(
        "  machine    {}{}, kernel {}, load average {}",
        text("cpu"),
        if facts["hypervisor"] == true {
            " (virtual: the hypervisor may move or stop a core)"
        } else {
            ""
        },
        text("kernel"),
        text("load_average"),
    );
    println!(
        "  cores      isolated: {}, nohz_full: {}, governors: {}{}",
        if facts["isolated"] == true {
            "yes"
        } else {
            "no"
        },
        text("nohz_full"),
        facts["governors"],
        if facts["host_and_lane_share_a_physical_core"] == true {
            "; host and lane are two threads of ONE physical core"
        } else {
            ""
        },
    );
    println!();
}

/// Prints the table, the library's own hops and the verdict.
pub fn table(repetitions: &[Repetition], hops: &Hops, preemptions: i64) {
    println!(
        "{:<31} {:>9}  {:>17} {:>8} {:>9} {:>9} {:>9}",
        "", "median ns", "min .. max", "x line", "p99", "p99.9", "count"
    );
    for what in What::ALL {
        let all = |read: fn(Figures) -> Option<f64>| -> Vec<f64> {
            repetitions
                .iter()
                .filter_map(|repetition| read(repetition.get(what)))
                .collect()
        };
        let tail = |read| match all(read) {
            values if values.is_empty() => "-".to_owned(),
            mut values => format!("{:.0}", median(&mut values)),
        };
        let mut medians = all(|figures| Some(figures.p50));
        let p50 = median(&mut medians);
        println!(
            "{:<31} {:>9.1}  {:>17} {:>8.2} {:>9} {:>9} {:>9}",
            what.title(),
            p50,
            format!("{:.1} .. {:.1}", medians[0], medians[medians.len() - 1]),
            ratio(repetitions, what),
            tail(|figures| figures.p99),
            tail(|figures| figures.p999),
            repetitions.iter().map(|r| r.get(what).count).sum::<u64>(),
        );
    }
    for (name, hops) in [
        ("test0000", &hops.test0000),
        ("market + linear", &hops.market),
    ] {
        println!("\nthe library's own hops, {name}, timing on, last repetition, ns:");
        for hop in hops {
            println!(
                "  {:<28} p50 {:>6}  p99 {:>6}  p99.9 {:>7}  count {}",
                hop["hop"].as_str().unwrap_or_default(),
                hop["p50_ns"],
                hop["p99_ns"],
                hop["p999_ns"],
                hop["count"],
            );
        }
    }
    println!(
        "\nthreads of this process were preempted {preemptions} times while measuring{}",
        if preemptions > 0 {
            ": the tails are the machine's too"
        } else {
            ""
        }
    );
    let tick = ratio(repetitions, What::Tick);
    let verdict = if tick <= GOAL { "met" } else { "missed" };
    println!("tick to callback / line round trip = {tick:.2} (goal <= {GOAL:.1}): {verdict}");
    if let Some(p50) = market_factor_work(hops) {
        let verdict = if p50 < FACTOR_GOAL_NS {
            "met"
        } else {
            "missed"
        };
        println!("market's factor.work p50 = {p50} ns (goal < {FACTOR_GOAL_NS}): {verdict}");
    }
}

/// Everything, for other programs.
pub fn to_json(
    args: &Args,
    stamps: &Stamps,
    facts: Value,
    version: &str,
    repetitions: &[Repetition],
    hops: &Hops,
    preemptions: i64,
) -> Value {
    let per_repetition: Vec<Value> = repetitions
        .iter()
        .map(|repetition| {
            let rows = What::ALL.iter().map(|&what| {
                let mut row = repetition.get(what).to_json();
                row["ratio_to_line"] = json!(repetition.ratio(what));
                (what.key().to_owned(), row)
            });
            Value::Object(rows.collect::<Map<_, _>>())
        })
        .collect();
    let ratios: Map<String, Value> = What::ALL
        .iter()
        .map(|&what| (what.key().to_owned(), json!(ratio(repetitions, what))))
        .collect();
    let tick = ratio(repetitions, What::Tick);
    json!({
        "bench": "tick_to_callback",
        "library_version": version,
        "placement": args.placement,
        "repetitions": args.repetitions,
        "iterations": args.iterations,
        "gap_ns": args.gap_ns,
        "ring_slots": RING,
        "clock_step_ns": stamps.granule_ns(),
        "machine": facts,
        "preemptions": preemptions,
        "median_ratio_to_line": ratios,
        "goal": { "tick_to_callback_ratio": tick, "at_most": GOAL, "met": tick <= GOAL },
        "per_repetition": per_repetition,
        "hops_last_repetition": { "test0000": hops.test0000, "market_linear": hops.market },
    })
}

/// The median over the repetitions of the ratio to the line round trip beside it.
fn ratio(repetitions: &[Repetition], what: What) -> f64 {
    let mut ratios: Vec<f64> = repetitions.iter().map(|r| r.ratio(what)).collect();
    median(&mut ratios)
}
