//! What grows, its steps, and one measurement of a step.

use std::path::Path;

use clap::ValueEnum;
use fastrand::Rng;
use serde_json::{Value, json};
use signal::abi::{Depth, Trade};
use signal::{Config, Engine, Registry};
use signal_bench::bench::{Bench, Library};
use signal_bench::feed::{self, Feed};
use signal_bench::forest;
use signal_bench::live;
use signal_bench::series::{Figures, Series};
use signal_bench::wide::Wide;
use signal_bench::workload::{self, ModelFile};

use crate::subject::{Hops, InLibrary, InProcess, Subject};

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
pub const CONSTANT: usize = 0;
pub const LINEAR: usize = 1;

impl Axis {
    /// All.
    pub fn all() -> impl Iterator<Item = Axis> {
        Self::value_variants().iter().copied()
    }

    /// Its steps.
    pub fn sizes(self) -> &'static [usize] {
        match self {
            Axis::Instruments => &[1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000],
            Axis::Factors => &[1, 2, 4, 8, 16, 32, 64],
            Axis::Burst => &[1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000],
            Axis::Model => &[CONSTANT, LINEAR, 10, 20, 50, 100, 200, 500],
        }
    }

    /// A step, for a table.
    pub fn step(self, size: usize) -> String {
        match (self, size) {
            (Axis::Model, CONSTANT) => "constant".to_owned(),
            (Axis::Model, LINEAR) => "linear".to_owned(),
            (Axis::Model, trees) => format!("{trees} trees"),
            _ => size.to_string(),
        }
    }
}

/// One step's figures in one repetition.
#[derive(Clone)]
pub struct Measured {
    /// A trip; for bursts divided by their size.
    pub figures: Figures,
    pub hops: Hops,
}

/// Models and events, made once.
pub struct Material {
    linear: ModelFile,
    /// By the number of trees.
    forests: Vec<(usize, ModelFile)>,
    /// By the number of factors.
    wide: Vec<(usize, ModelFile)>,
    books: Vec<Depth>,
    trades: Vec<Trade>,
}

/// Different books and trades; a power of two.
const EVENTS: usize = 256;

impl Material {
    /// Writes the model files.
    pub fn new() -> Result<Self, String> {
        let rows = feed::market_rows(1000, 1)?;
        let trees = Axis::Model.sizes().iter().filter(|&&size| size > LINEAR);
        let forests = trees.map(|&trees| Ok((trees, file(&forest::lightgbm(trees, &rows, 1))?)));
        let sizes = Axis::Factors.sizes().iter();
        let wide = sizes.map(|&size| {
            let weights: Vec<f64> = (0..size).map(|place| 1.0 - place as f64 / 64.0).collect();
            Ok((
                size,
                file(&json!({ "weights": weights, "bias": 0 }).to_string())?,
            ))
        });
        let mut feed = Feed::new(3);
        Ok(Self {
            linear: workload::linear_model()?,
            forests: forests.collect::<Result<_, String>>()?,
            wide: wide.collect::<Result<_, String>>()?,
            books: (0..EVENTS).map(|_| feed.depth()).collect(),
            trades: (0..EVENTS).map(|_| feed.trade()).collect(),
        })
    }
}

fn file(text: &str) -> Result<ModelFile, String> {
    ModelFile::write(text).map_err(|error| format!("cannot write a model file: {error}"))
}

fn of(files: &[(usize, ModelFile)], size: usize) -> Result<&Path, String> {
    let found = files.iter().find(|(known, _)| *known == size);
    let (_, file) = found.ok_or_else(|| format!("no model of size {size}"))?;
    Ok(file.path())
}

/// What stays the same.
pub struct Setup<'a> {
    pub bench: &'a Bench,
    pub library: &'a Library,
    pub placement: &'a Value,
    pub shards: usize,
    pub material: &'a Material,
    /// The ring from the host, if not as by default.
    pub ring: Option<usize>,
    pub iterations: usize,
}

impl Setup<'_> {
    /// One step, on a handle or an engine of its own.
    pub fn measure(&self, axis: Axis, size: usize) -> Result<Measured, String> {
        let mut config = workload::config(self.placement, self.shards, &self.bench.cores, true);
        if let Some(ring) = self.ring {
            config["rings"] = json!({ "ingest": ring });
        }
        let linear = self.material.linear.path();
        match axis {
            Axis::Instruments => {
                let mut config = workload::market(config, linear);
                config["instruments"]["max"] = json!(size);
                self.instruments(self.create(&config)?, size)
            }
            Axis::Burst => self.bursts(self.create(&workload::market(config, linear))?, size),
            Axis::Model => {
                let mut config = match size {
                    CONSTANT | LINEAR => workload::market(config, linear),
                    trees => workload::market(config, of(&self.material.forests, trees)?),
                };
                config["model"]["check_names"] = json!(false);
                if size == CONSTANT {
                    config["model"] = json!("test0000");
                }
                self.trips(self.create(&config)?, true)
            }
            Axis::Factors => self.trips(self.wide(config, size)?, false),
        }
    }

    fn create(&self, config: &Value) -> Result<InLibrary<'_>, String> {
        let handle = live::create(&self.library.api, config)?;
        Ok(InLibrary::new(handle, &self.bench.stamps))
    }

    /// The library has no set of any width: the same engine, linked into this program.
    fn wide(&self, mut config: Value, factors: usize) -> Result<InProcess<'_>, String> {
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
        config["model"] = json!({ "file": of(&self.material.wide, factors)? });
        let config = Config::from_json(&config.to_string()).map_err(|error| error.to_string())?;
        let engine = Engine::start_with(&config, &registry).map_err(|error| error.to_string())?;
        Ok(InProcess::new(engine, &self.bench.stamps))
    }

    /// Different books in turn, one under way; before each, 1 us apart, a trade, if asked
    /// for, so that every factor moves.
    fn trips(&self, mut subject: impl Subject, trades: bool) -> Result<Measured, String> {
        let (stamps, material) = (&self.bench.stamps, self.material);
        let mut series = Series::new();
        let warm_up = self.iterations / 10;
        for number in 0..warm_up + self.iterations {
            if trades {
                let mut trade = material.trades[number % EVENTS];
                // Market time goes on: a hundred trades a second.
                trade.trade_time = (number as i64 * 10_000_000).into();
                subject.on_trade(&trade);
                stamps.pause(stamps.ticks(1_000));
            }
            let start = stamps.start();
            subject.on_depth(&material.books[number % EVENTS]);
            let end = subject.wait(number as u64 + 1)?;
            if number >= warm_up {
                series.record(start, end);
            }
        }
        self.measured(series, subject)
    }

    /// One Depth under way. Each instrument comes once a round, every round in the same
    /// shuffled order: since its last Depth all others have had theirs.
    fn instruments(&self, mut subject: impl Subject, count: usize) -> Result<Measured, String> {
        let stamps = &self.bench.stamps;
        let mut order: Vec<usize> = (0..count).collect();
        Rng::with_seed(1).shuffle(&mut order);
        let mut depth = workload::depth();
        let mut series = Series::new();
        // At least one round introduces them.
        let warm_up = (self.iterations / 10).max(2 * count);
        let total = warm_up + self.iterations;
        for number in 0..total {
            workload::name(&mut depth, order[number % count]);
            depth.data_time = (number as i64 + 1).into();
            depth.bid_price[0] = (100.0 + (number % 16) as f64 / 16.0).into();
            let start = stamps.start();
            subject.on_depth(&depth);
            let end = subject.wait(number as u64 + 1)?;
            if number >= warm_up {
                series.record(start, end);
            }
        }
        self.measured(series, subject)
    }

    /// So many Depths back to back, an inlined poll before each as a host does, then polls
    /// until the last one's callback; divided by the burst's size.
    fn bursts(&self, mut subject: impl Subject, size: usize) -> Result<Measured, String> {
        let (stamps, books) = (&self.bench.stamps, &self.material.books);
        let mut series = Series::new();
        let bursts = (self.iterations / size).max(200);
        let warm_up = bursts / 10 + 1;
        let mut sent = 0;
        for burst in 0..warm_up + bursts {
            // The lane has fallen idle.
            stamps.pause(stamps.ticks(1_000));
            let start = stamps.start();
            for _ in 0..size {
                subject.poll();
                subject.on_depth(&books[sent % EVENTS]);
                sent += 1;
            }
            let end = subject.wait(sent as u64)?;
            if burst >= warm_up {
                series.record(start, end);
            }
        }
        let mut measured = self.measured(series, subject)?;
        measured.figures = per_event(measured.figures, size);
        Ok(measured)
    }

    fn measured(&self, series: Series, mut subject: impl Subject) -> Result<Measured, String> {
        Ok(Measured {
            figures: series.figures(&self.bench.stamps),
            hops: subject.hops(),
        })
    }
}

/// A burst's figures, for one of its events.
fn per_event(figures: Figures, size: usize) -> Figures {
    let share = |time: f64| time / size as f64;
    Figures {
        p50: share(figures.p50),
        p99: figures.p99.map(share),
        p999: figures.p999.map(share),
        max: figures.max.map(share),
        count: figures.count,
    }
}
