//! Factors and model, who takes part, and one measurement. Nothing is timed that computes
//! something else than the library.

use std::path::Path;

use signal::models::{self, Model};
use signal_bench::args::Subject;
use signal_bench::bench::{Bench, rotated};
use signal_bench::drive::{Driver, Host, Kept, Trips};
use signal_bench::feed::Feed;
use signal_bench::hf_live::{Design, Setting};
use signal_bench::live::Live;
use signal_bench::series::Figures;
use signal_bench::workload::{self, Moving};

pub const GAP_NS: u64 = 200_000;
/// So many times fewer of them.
pub const APART: usize = 50;
/// Depths whose results are compared, a trade before each.
const COMPARED: u64 = 300;

pub struct Case {
    pub title: &'static str,
    pub key: &'static str,
    /// Factor set `market`, a linear model, a trade before each Depth; else `test0000`.
    is_market: bool,
}

pub const CASES: [Case; 2] = [
    Case {
        title: "test0000",
        key: "test0000",
        is_market: false,
    },
    Case {
        title: "market + linear",
        key: "market_linear",
        is_market: true,
    },
];

pub struct Contender {
    pub name: &'static str,
    /// The library has none.
    setting: Option<Setting>,
    /// Whether Depths come [`GAP_NS`] apart: a thread that sleeps should be asleep when
    /// the next one comes, as it is when they come 10 to 100 times a second. Back to
    /// back it would find the next Depth before it has gone to sleep.
    is_apart: bool,
}

pub const ALL: [Contender; 6] = [
    contender("libsignal", None, false),
    contender("spin-one", Some(Setting::SPIN_ONE), false),
    contender("spin", Some(Setting::SPIN), false),
    contender("libsignal, apart", None, true),
    contender("block", Some(Setting::BLOCK), true),
    contender("sleep", Some(Setting::SLEEP), true),
];
/// The design's fastest: all its threads spin, on a core each where there are cores. The
/// goals are against it.
pub const BEST: usize = 2;

const fn contender(name: &'static str, setting: Option<Setting>, is_apart: bool) -> Contender {
    Contender {
        name,
        setting,
        is_apart,
    }
}

/// The place of the library's row that the one at this place is compared with.
pub fn rival(place: usize) -> usize {
    let is_rival = |of: &Contender| of.setting.is_none() && of.is_apart == ALL[place].is_apart;
    let found = ALL.iter().position(is_rival);
    found.expect("the library has a row at each gap")
}

pub struct Setup<'a> {
    pub bench: &'a Bench,
    /// The design's threads', in their order.
    pub design_cores: &'a [usize],
    pub subject: &'a Subject,
    pub model: &'a Path,
    pub trips: usize,
}

impl Setup<'_> {
    fn handle(&self, case: &Case) -> Result<Live, String> {
        let mut config = self.subject.config(&self.bench.cores);
        if case.is_market {
            config = workload::market(config, self.model);
        }
        self.bench.create(&config)
    }

    fn design(&self, case: &Case, setting: Setting) -> Result<Design, String> {
        let (set, model): (_, Box<dyn Model>) = if case.is_market {
            let model = models::load(self.model, None, &[]);
            ("market", model.map_err(|error| error.to_string())?)
        } else {
            let make = models::Registry::builtin().get("test0000");
            let make = make.ok_or("there is no model test0000")?;
            ("test0000", make(&["spread", "mid", "best_bid"]))
        };
        Design::start(setting, self.design_cores, set, 1, model)
    }

    /// Everybody once.
    pub fn repeat(&self, number: usize) -> Result<Vec<Vec<Figures>>, String> {
        let all = CASES.iter().map(|case| {
            rotated(&ALL, number, |contender| {
                let measured = self.measure(case, contender);
                measured.map_err(|error| format!("{}, {}: {error}", case.title, contender.name))
            })
        });
        all.collect()
    }

    fn measure(&self, case: &Case, contender: &Contender) -> Result<Figures, String> {
        let trips = match contender.is_apart {
            true => Trips {
                gap: self.bench.stamps.ticks(GAP_NS),
                ..Trips::new(self.trips / APART)
            },
            false => Trips::new(self.trips),
        };
        match contender.setting {
            None => self.trips(case, trips, self.handle(case)?),
            Some(setting) => self.trips(case, trips, self.design(case, setting)?),
        }
    }

    fn trips(&self, case: &Case, trips: Trips, host: impl Host) -> Result<Figures, String> {
        let stamps = &self.bench.stamps;
        let mut driver = Driver::new(host, stamps);
        let (series, _) = driver.trips::<false>(trips, &mut Moving::new(case.is_market))?;
        Ok(series.figures(stamps))
    }

    /// Refuses a setting of the design whose results are not the library's, bit by bit.
    pub fn check(&self, case: &Case) -> Result<(), String> {
        let expected = self.results(self.handle(case)?)?;
        for setting in Setting::ALL {
            let found = self.results(self.design(case, setting)?)?;
            let mut pairs = expected.iter().zip(&found).enumerate();
            if let Some((place, (ours, theirs))) = pairs.find(|(_, (ours, theirs))| ours != theirs)
            {
                return Err(format!(
                    "{}, {}: result {place} is {theirs:?}, the library's is {ours:?}",
                    case.title, setting.name
                ));
            }
        }
        Ok(())
    }

    /// Symbols, times and the values' bits.
    fn results(&self, host: impl Host) -> Result<Vec<(String, i64, Vec<u64>)>, String> {
        let mut driver = Driver::with(host, Kept::default(), &self.bench.stamps);
        let mut feed = Feed::new(1);
        for number in 0..COMPARED {
            driver.host.on_trade(&feed.trade());
            driver.host.on_depth(&feed.depth());
            driver.wait(number + 1)?;
        }
        let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect();
        let kept = driver.probe.0.take().into_iter();
        Ok(kept
            .map(|(symbol, time, values)| (symbol, time, bits(values)))
            .collect())
    }
}
