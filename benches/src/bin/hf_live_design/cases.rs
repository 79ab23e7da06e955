//! Factors and model, who takes part, and one measurement.

use std::path::Path;

use serde_json::Value;
use signal::models::{self, Model};
use signal_bench::echo::Trips;
use signal_bench::hf_live::{Design, Setting};
use signal_bench::live::{self, Live};
use signal_bench::machine::Cores;
use signal_bench::series::{Figures, Stamps};
use signal_bench::ticks::{Host, Ticks};
use signal_bench::workload;
use signal_command::host::library::Api;

/// Between two Depths, where threads sleep, ns.
pub const GAP_NS: u64 = 200_000;
/// So many times fewer of them.
pub const APART: usize = 50;

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
    /// The same, Depths as far apart as where threads wake.
    LibraryApart,
    /// The design that it replaces.
    Design(Setting),
}

impl Contender {
    /// In the order of the table.
    pub const ALL: [Contender; 6] = [
        Contender::Library,
        Contender::Design(Setting::SpinOne),
        Contender::Design(Setting::Spin),
        Contender::LibraryApart,
        Contender::Design(Setting::Block),
        Contender::Design(Setting::Sleep),
    ];

    /// Whether Depths come [`GAP_NS`] apart: a thread that sleeps should be asleep when
    /// the next one comes, as it is when they come 10 to 100 times a second. Back to
    /// back it would find the next Depth before it has gone to sleep.
    pub fn is_apart(self) -> bool {
        !matches!(
            self,
            Self::Library | Self::Design(Setting::Spin | Setting::SpinOne)
        )
    }

    /// The library's row that this one is compared with.
    pub fn rival(self) -> Contender {
        if self.is_apart() {
            Contender::LibraryApart
        } else {
            Contender::Library
        }
    }

    /// Its place in the table.
    pub fn place(self) -> usize {
        let found = Self::ALL.iter().position(|&contender| contender == self);
        found.expect("every contender is listed")
    }

    /// For tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Contender::Library => "libsignal",
            Contender::LibraryApart => "libsignal, apart",
            Contender::Design(setting) => setting.name(),
        }
    }
}

/// What stays the same.
pub struct Setup<'a> {
    pub api: &'a Api,
    pub stamps: &'a Stamps,
    pub cores: &'a Cores,
    /// The design's threads', in their order.
    pub design_cores: &'a [usize],
    pub placement: &'a Value,
    pub shards: usize,
    pub model: &'a Path,
    pub trips: usize,
}

impl Setup<'_> {
    /// The library's handle for a case, timing on.
    pub fn handle(&self, case: Case) -> Result<Live, String> {
        let config = workload::config(self.placement, self.shards, self.cores, true);
        live::create(
            self.api,
            &match case {
                Case::Test0000 => config,
                Case::Market => workload::market(config, self.model),
            },
        )
    }

    /// The design for a case.
    pub fn design(&self, case: Case, setting: Setting) -> Result<Design, String> {
        let model = case.model(self.model)?;
        Design::start(setting, self.design_cores, case.set(), 1, model)
    }

    /// Tick to callback, closed loop.
    pub fn measure(&self, case: Case, contender: Contender) -> Result<Figures, String> {
        let trips = if contender.is_apart() {
            Trips {
                count: self.trips / APART,
                gap: self.stamps.ticks(GAP_NS),
            }
        } else {
            Trips {
                count: self.trips,
                gap: 0,
            }
        };
        match contender {
            Contender::Library | Contender::LibraryApart => {
                let handle = self.handle(case)?;
                self.run(case, Ticks::new(&*handle, self.stamps), trips)
            }
            Contender::Design(setting) => {
                let design = self.design(case, setting)?;
                let figures = self.run(case, Ticks::new(&design, self.stamps), trips)?;
                match design.dropped() {
                    0 => Ok(figures),
                    dropped => Err(format!("{}: {dropped} dropped", contender.name())),
                }
            }
        }
    }

    fn run<H: Host>(
        &self,
        case: Case,
        ticks: Ticks<'_, H>,
        trips: Trips,
    ) -> Result<Figures, String> {
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
