//! Factors and model, who takes part, and one measurement.

use std::path::Path;

use latency_bench::echo::Trips;
use latency_bench::hf_live::{Design, Setting};
use latency_bench::library::{Api, Handle};
use latency_bench::machine::Cores;
use latency_bench::series::{Figures, Stamps};
use latency_bench::ticks::Ticks;
use latency_bench::workload;
use serde_json::Value;
use signal::models::{self, Model};

/// Factors and model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Factor set and model `test0000`.
    Test0000,
    /// Factor set `market`, a linear model; a trade before each Depth.
    Market,
}

impl Case {
    /// Both.
    pub const ALL: [Case; 2] = [Case::Test0000, Case::Market];

    /// For titles.
    pub fn title(self) -> &'static str {
        match self {
            Case::Test0000 => "test0000",
            Case::Market => "market + linear",
        }
    }

    /// For JSON.
    pub fn key(self) -> &'static str {
        match self {
            Case::Test0000 => "test0000",
            Case::Market => "market_linear",
        }
    }

    fn set(self) -> &'static str {
        match self {
            Case::Test0000 => "test0000",
            Case::Market => "market",
        }
    }

    fn model(self, file: &Path) -> Result<Box<dyn Model>, String> {
        match self {
            Case::Test0000 => {
                let registry = models::Registry::builtin();
                let make = registry
                    .get("test0000")
                    .ok_or("there is no model test0000")?;
                Ok(make(&["spread", "mid", "best_bid"]))
            }
            Case::Market => models::load(file, None, &[]).map_err(|error| error.to_string()),
        }
    }
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// `libsignal.so`.
    Library,
    /// The design that it replaces.
    Design(Setting),
}

impl Contender {
    /// The library first.
    pub fn all() -> Vec<Contender> {
        let designs = Setting::ALL.map(Contender::Design);
        std::iter::once(Contender::Library).chain(designs).collect()
    }

    /// For tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Library => "libsignal",
            Contender::Design(setting) => setting.name(),
        }
    }
}

/// What stays the same.
pub struct Setup<'a> {
    pub api: &'a Api,
    pub stamps: &'a Stamps,
    pub cores: &'a Cores,
    pub placement: &'a Value,
    pub model: &'a Path,
    pub trips: usize,
}

impl Setup<'_> {
    /// The library's handle for a case, timing on.
    pub fn handle(&self, case: Case) -> Result<Handle, String> {
        let config = workload::config(self.placement, self.cores, true);
        self.api.create(&match case {
            Case::Test0000 => config,
            Case::Market => workload::market(config, self.model),
        })
    }

    /// The design for a case.
    pub fn design(&self, case: Case, setting: Setting) -> Result<Design, String> {
        let model = case.model(self.model)?;
        Design::start(setting, &self.cores.lanes, case.set(), 1, model)
    }

    /// Tick to callback, closed loop.
    pub fn measure(&self, case: Case, contender: Contender) -> Result<Figures, String> {
        let series = match contender {
            Contender::Library => {
                let handle = self.handle(case)?;
                let ticks = Ticks::new(&handle, self.stamps);
                self.trips(case, ticks, self.trips)?
            }
            Contender::Design(setting) => {
                let design = self.design(case, setting)?;
                let ticks = Ticks::new(&design, self.stamps);
                // A trip takes some tens of microseconds where a thread must wake.
                let wakes = matches!(setting, Setting::Sleep | Setting::Block);
                let trips = if wakes { self.trips / 20 } else { self.trips };
                let series = self.trips(case, ticks, trips)?;
                if design.dropped() > 0 {
                    return Err(format!("{}: results were dropped", contender.name()));
                }
                series
            }
        };
        Ok(series)
    }

    fn trips<H: latency_bench::ticks::Host>(
        &self,
        case: Case,
        ticks: Ticks<'_, H>,
        count: usize,
    ) -> Result<Figures, String> {
        let trips = Trips { count, gap: 0 };
        let mut ticks = match case {
            Case::Test0000 => ticks,
            Case::Market => ticks.with_trades(),
        };
        let series = ticks.tick_to_callback(trips)?;
        match ticks.received() {
            received if received == trips.in_all() => Ok(series.figures(self.stamps)),
            received => Err(format!(
                "{case:?}: {} Depths were sent, {received} results came",
                trips.in_all()
            )),
        }
    }
}
