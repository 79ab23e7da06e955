//! What grows, its steps, and one measurement of a step.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::path::PathBuf;

use clap::ValueEnum;
use fastrand::Rng;
use serde_json::{Value, json};
use signal::abi::{Depth, HostEvent, Trade};
use signal::{Config, Engine, Registry};
use signal_bench::args::Subject;
use signal_bench::bench::Bench;
use signal_bench::chart::SCALE;
use signal_bench::drive::{Driver, Host, Source, Trips};
use signal_bench::feed::{self, Feed};
use signal_bench::folder::Folder;
use signal_bench::series::Figures;
use signal_bench::wide::Wide;
use signal_bench::{forest, workload};
use signal_command::host::library::Callback;

/// The library's hops that stand in the tables.
pub const HOPS: [&str; 5] = [
    "ingest.wait",
    "ingest.work",
    "factor.work",
    "model.work",
    "host.wait",
];

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Axis {
    /// Instruments, in an order that no prefetcher guesses.
    Instruments,
    /// Factors of one set.
    Factors,
    /// Depths at once.
    Burst,
    /// Trees of a model; 0 is the constant `test0000`, 1 the linear model.
    Model,
}

/// `Axis::Model`: the steps that are no trees.
const CONSTANT: usize = 0;
const LINEAR: usize = 1;

impl Axis {
    pub fn sizes(self) -> &'static [usize] {
        match self {
            Axis::Instruments => &[1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000],
            Axis::Factors => &[1, 2, 4, 8, 16, 32, 64],
            Axis::Burst => &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000],
            Axis::Model => &[CONSTANT, LINEAR, 10, 20, 50, 100, 200, 500],
        }
    }

    pub fn step(self, size: usize) -> String {
        match (self, size) {
            (Axis::Model, CONSTANT) => "constant".to_owned(),
            (Axis::Model, LINEAR) => "linear".to_owned(),
            (Axis::Model, trees) => format!("{trees} trees"),
            _ => size.to_string(),
        }
    }

    /// In the JSON, and above the table.
    pub fn names(self) -> (&'static str, &'static str) {
        SCALE[self as usize]
    }
}

/// One step in one repetition: a trip, for bursts divided by their size, and the medians of
/// the library's own hops, ns.
pub type Measured = (Figures, BTreeMap<String, f64>);

/// Different books and trades; a power of two.
const EVENTS: usize = 256;

/// Different books in turn, and a trade before each, if asked for, so that every factor
/// moves.
struct Books<'a> {
    books: &'a [Depth],
    trades: Option<Vec<Trade>>,
}

impl Source for Books<'_> {
    #[inline(always)]
    fn event(&mut self, number: usize) -> (&Depth, Option<&Trade>) {
        let trade = self.trades.as_mut().map(|trades| {
            let trade = &mut trades[number % EVENTS];
            // Market time goes on: a hundred trades a second.
            trade.trade_time = (number as i64 * 10_000_000).into();
            &*trade
        });
        (&self.books[number % EVENTS], trade)
    }
}

/// Each instrument comes once a round, every round in the same shuffled order: since its
/// last Depth all others have had theirs.
struct Instruments {
    order: Vec<usize>,
    depth: Depth,
}

impl Source for Instruments {
    #[inline(always)]
    fn event(&mut self, number: usize) -> (&Depth, Option<&Trade>) {
        workload::name(&mut self.depth, self.order[number % self.order.len()]);
        workload::turn(&mut self.depth, number);
        (&self.depth, None)
    }
}

/// The engine in this process: what needs a factor set that the library does not have.
struct InProcess {
    engine: Engine,
    callback: Option<(Callback, *mut c_void)>,
}

impl Host for InProcess {
    unsafe fn register(&mut self, callback: Callback, user_data: *mut c_void) {
        self.callback = Some((callback, user_data));
    }

    #[inline(always)]
    fn on_depth(&mut self, depth: &Depth) {
        self.engine.on_event(HostEvent::Depth(depth));
    }

    #[inline(always)]
    fn on_trade(&mut self, trade: &Trade) {
        self.engine.on_event(HostEvent::Trade(trade));
    }

    #[inline(always)]
    fn poll(&mut self) {
        let callback = self.callback;
        self.engine.poll(|_, signal| {
            if let Some((callback, user_data)) = callback {
                let (values, time) = (signal.values, signal.meta.timestamp);
                // SAFETY: as `register` was promised; the symbol ends in a NUL and the values
                // are as many as is said, for as long as the call.
                unsafe {
                    callback(
                        c"".as_ptr(),
                        time,
                        values.as_ptr(),
                        values.len() as i32,
                        user_data,
                    )
                };
            }
        });
    }

    fn about(&self) -> String {
        let (health, lanes) = (self.engine.health(), self.engine.lanes());
        format!("health: {health}\n  lanes: {lanes:?}")
    }

    fn hops(&mut self) -> Vec<Value> {
        let hops = self.engine.latency().into_iter();
        hops.map(|hop| json!({ "hop": hop.hop.name(), "p50_ns": hop.p50_ns }))
            .collect()
    }
}

pub struct Setup<'a> {
    bench: &'a Bench,
    subject: &'a Subject,
    /// The ring from the host, if not as by default.
    ring: Option<usize>,
    iterations: usize,
    folder: Folder,
    linear: PathBuf,
    /// That trees part.
    rows: Vec<Vec<f64>>,
    books: Vec<Depth>,
    trades: Vec<Trade>,
}

impl<'a> Setup<'a> {
    pub fn new(
        bench: &'a Bench,
        subject: &'a Subject,
        ring: Option<usize>,
        iterations: usize,
    ) -> Result<Self, String> {
        let folder = Folder::new("scale")?;
        let mut feed = Feed::new(3);
        Ok(Self {
            bench,
            subject,
            ring,
            iterations,
            linear: workload::linear_model(&folder)?,
            folder,
            rows: feed::market_rows(1000, 1)?,
            books: (0..EVENTS).map(|_| feed.depth()).collect(),
            trades: (0..EVENTS).map(|_| feed.trade()).collect(),
        })
    }

    /// One step, on a handle or an engine of its own.
    pub fn measure(&self, axis: Axis, size: usize) -> Result<Measured, String> {
        let trips = Trips::new(self.iterations);
        let mut config = self.subject.config(&self.bench.cores);
        if let Some(ring) = self.ring {
            config["rings"] = json!({ "ingest": ring });
        }
        if axis == Axis::Factors {
            return self.trips(trips, self.wide(config, size)?, &mut self.books(false));
        }
        let mut config = workload::market(config, &self.linear);
        match axis {
            Axis::Instruments => {
                config["instruments"]["max"] = json!(size);
                let mut order: Vec<usize> = (0..size).collect();
                Rng::with_seed(1).shuffle(&mut order);
                let depth = workload::depth();
                // At least one round introduces them.
                let warm_up = trips.warm_up.max(2 * size);
                let trips = Trips { warm_up, ..trips };
                let mut source = Instruments { order, depth };
                self.trips(trips, self.bench.create(&config)?, &mut source)
            }
            Axis::Burst => self.bursts(self.bench.create(&config)?, size),
            _ => {
                if size > LINEAR {
                    let text = forest::lightgbm(size, &self.rows, 1);
                    let forest = self.folder.write("trees.txt", &text)?;
                    config = workload::market(config, &forest);
                }
                config["model"]["check_names"] = json!(false);
                if size == CONSTANT {
                    config["model"] = json!("test0000");
                }
                self.trips(trips, self.bench.create(&config)?, &mut self.books(true))
            }
        }
    }

    fn books(&self, with_trades: bool) -> Books<'_> {
        Books {
            books: &self.books,
            trades: with_trades.then(|| self.trades.clone()),
        }
    }

    /// The library has no set of any width: the same engine, linked into this program.
    fn wide(&self, mut config: Value, factors: usize) -> Result<InProcess, String> {
        let mut registry = Registry::default();
        match factors {
            1 => registry.factors.add::<Wide<1>, _>(),
            2 => registry.factors.add::<Wide<2>, _>(),
            4 => registry.factors.add::<Wide<4>, _>(),
            8 => registry.factors.add::<Wide<8>, _>(),
            16 => registry.factors.add::<Wide<16>, _>(),
            32 => registry.factors.add::<Wide<32>, _>(),
            64 => registry.factors.add::<Wide<64>, _>(),
            other => return Err(format!("no set of {other} factors")),
        }
        config["factors"] = json!("wide");
        let weights: Vec<f64> = (0..factors)
            .map(|place| 1.0 - place as f64 / 64.0)
            .collect();
        let model = json!({ "weights": weights, "bias": 0 }).to_string();
        config["model"] = json!({ "file": self.folder.write("wide.json", &model)? });
        let config = Config::from_json(&config.to_string()).map_err(|error| error.to_string())?;
        let engine = Engine::start_with(&config, &registry).map_err(|error| error.to_string())?;
        let callback = None;
        Ok(InProcess { engine, callback })
    }

    fn trips(
        &self,
        trips: Trips,
        host: impl Host,
        source: &mut impl Source,
    ) -> Result<Measured, String> {
        let mut driver = Driver::new(host, &self.bench.stamps);
        let (series, _) = driver.trips::<false>(trips, source)?;
        Ok((series.figures(&self.bench.stamps), hops(&mut driver.host)))
    }

    /// So many Depths back to back, for one of them.
    fn bursts(&self, host: impl Host, size: usize) -> Result<Measured, String> {
        let stamps = &self.bench.stamps;
        let count = (self.iterations / size).max(200);
        let trips = Trips {
            count,
            warm_up: count / 10 + 1,
            // The lane has fallen idle.
            gap: stamps.ticks(1_000),
        };
        let mut driver = Driver::new(host, stamps);
        let series = driver.bursts(size, trips, 0, &mut self.books(false))?;
        let of = series.figures(stamps);
        let share = |time: f64| time / size as f64;
        let figures = Figures {
            p50: share(of.p50),
            p99: of.p99.map(share),
            p999: of.p999.map(share),
            max: of.max.map(share),
            count: of.count,
        };
        Ok((figures, hops(&mut driver.host)))
    }
}

/// Medians by name.
fn hops(host: &mut impl Host) -> BTreeMap<String, f64> {
    let hops = host.hops().into_iter();
    let named =
        hops.filter_map(|hop| Some((hop["hop"].as_str()?.to_owned(), hop["p50_ns"].as_f64()?)));
    named.collect()
}
