//! The library's share of a repetition: one handle a case, one or more rows a handle.

use std::path::Path;

use serde_json::{Value, json};
use signal_bench::echo::Trips;
use signal_bench::live;
use signal_bench::machine::Cores;
use signal_bench::series::{Figures, Stamps};
use signal_bench::ticks::{Ticks, empty_poll_call, empty_poll_inlined};
use signal_bench::workload;
use signal_command::host::library::Api;

use crate::rows::What;

/// A configuration to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `test0000`, timing on.
    Timed,
    /// `test0000`, timing off.
    Untimed,
    /// `market` and a linear model, timing on.
    Market,
    /// `market` and a linear model, timing off.
    MarketUntimed,
    /// `test0000` on the host's thread.
    Inline,
    /// `market` and a linear model on the host's thread.
    InlineMarket,
}

/// What a case has given.
pub struct Measured {
    /// Its rows.
    pub rows: Vec<(What, Figures)>,
    /// The library's own hops of the trips.
    pub hops: Vec<Value>,
}

/// What stays the same for all cases.
pub struct Setting<'a> {
    /// The clock.
    pub stamps: &'a Stamps,
    /// The lanes' cores.
    pub cores: &'a Cores,
    /// Of the cases that are not inline.
    pub placement: &'a Value,
    /// Of the same.
    pub shards: usize,
    /// A linear model's file.
    pub model: &'a Path,
    /// How many trips.
    pub trips: Trips,
}

impl Case {
    /// All, in the order in which they are measured.
    pub const ALL: [Case; 6] = [
        Case::Timed,
        Case::Untimed,
        Case::Market,
        Case::MarketUntimed,
        Case::Inline,
        Case::InlineMarket,
    ];

    fn row(self) -> What {
        match self {
            Case::Timed => What::Tick,
            Case::Untimed => What::TickUntimed,
            Case::Market => What::TickMarket,
            Case::MarketUntimed => What::TickMarketUntimed,
            Case::Inline => What::TickInline,
            Case::InlineMarket => What::TickInlineMarket,
        }
    }

    fn is_market(self) -> bool {
        matches!(
            self,
            Case::Market | Case::MarketUntimed | Case::InlineMarket
        )
    }

    fn is_timed(self) -> bool {
        !matches!(self, Case::Untimed | Case::MarketUntimed)
    }

    fn config(self, setting: &Setting) -> Value {
        let inline = json!("inline");
        let (placement, shards) = match self {
            Case::Inline | Case::InlineMarket => (&inline, 1),
            _ => (setting.placement, setting.shards),
        };
        let config = workload::config(placement, shards, setting.cores, self.is_timed());
        if self.is_market() {
            workload::market(config, setting.model)
        } else {
            config
        }
    }

    /// Makes a handle, measures, destroys the handle.
    pub fn measure(self, setting: &Setting, api: &Api) -> Result<Measured, String> {
        let (stamps, trips) = (setting.stamps, setting.trips);
        let handle = live::create(api, &self.config(setting))?;
        let mut ticks = Ticks::new(&*handle, stamps);
        if self.is_market() {
            ticks = ticks.with_trades();
        }
        let series = ticks.tick_to_callback(trips)?;
        let mut rows = vec![(self.row(), series.figures(stamps))];
        let mut sent = trips.in_all();
        // Before the other measurements add their ticks.
        let hops = handle.hops();
        if self == Case::Timed {
            rows.push((What::OnData, ticks.on_data(trips)?.figures(stamps)));
            sent += trips.in_all();
            let calls = trips.count;
            let function = empty_poll_call(stamps, &handle, calls);
            let inlined = empty_poll_inlined(stamps, &handle, calls);
            rows.push((What::EmptyPollCall, function));
            rows.push((What::EmptyPollInlined, inlined));
        }
        match ticks.received() {
            received if received == sent => Ok(Measured { rows, hops }),
            received => Err(format!(
                "{self:?}: {sent} Depths were sent, {received} signals came"
            )),
        }
    }
}
