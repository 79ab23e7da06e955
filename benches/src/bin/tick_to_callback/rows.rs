//! What is measured, and one repetition of it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use signal_bench::series::Figures;

/// A row of the table, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// The same, `"timing": false`.
    TickMarketUntimed,
    /// No hop at all.
    TickInline,
    /// No hop at all, factor set `market`, a linear model.
    TickInlineMarket,
}

impl What {
    /// All, in the order of the table.
    pub const ALL: [What; 13] = [
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
        What::TickMarketUntimed,
        What::TickInline,
        What::TickInlineMarket,
    ];

    /// The table's first column.
    pub fn title(self) -> &'static str {
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
            What::TickMarketUntimed => "  market+linear, timing off",
            What::TickInline => "inline: no hop",
            What::TickInlineMarket => "inline: no hop, market+linear",
        }
    }

    /// The name in the JSON.
    pub fn key(self) -> &'static str {
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
            What::TickMarketUntimed => "tick_to_callback_market_linear_timing_off",
            What::TickInline => "inline",
            What::TickInlineMarket => "inline_market_linear",
        }
    }
}

/// One repetition's figures.
#[derive(Clone, Debug, Default)]
pub struct Repetition {
    /// Of the machine and the library.
    pub rows: BTreeMap<What, Figures>,
    /// Of the library that it is measured against.
    pub against: BTreeMap<What, Figures>,
    /// Medians of the line before, between and after the library's rows, ns.
    pub lines: Vec<f64>,
}

/// A line that changes by more than this while a repetition runs, its longest by its
/// shortest, is another line: the hypervisor has moved the cores.
const MOVED: f64 = 1.3;

impl Repetition {
    /// Whether the cores were moved while it ran.
    pub fn moved(&self) -> bool {
        let longest = self.lines.iter().copied().fold(0.0, f64::max);
        let shortest = self.lines.iter().copied().fold(f64::INFINITY, f64::min);
        longest > MOVED * shortest
    }

    /// A median in line round trips of this repetition.
    pub fn to_line(&self, what: What) -> Option<f64> {
        self.median_to(what, What::Line)
    }

    /// A median as a multiple of another of this repetition.
    pub fn median_to(&self, what: What, other: What) -> Option<f64> {
        Some(self.rows.get(&what)?.p50 / self.rows.get(&other)?.p50)
    }

    /// The other library's median as a multiple of the library's.
    pub fn against(&self, what: What) -> Option<f64> {
        Some(self.against.get(&what)?.p50 / self.rows.get(&what)?.p50)
    }

    /// For the result.
    pub fn to_json(&self) -> Value {
        let mut rows: Map<String, Value> = Map::new();
        for (what, figures) in &self.rows {
            let mut row = figures.to_json();
            row["ratio_to_line"] = json!(self.to_line(*what));
            rows.insert(what.key().to_owned(), row);
        }
        let mut against: Map<String, Value> = Map::new();
        for (what, figures) in &self.against {
            let mut row = figures.to_json();
            row["ratio_to_library"] = json!(self.against(*what));
            against.insert(what.key().to_owned(), row);
        }
        if !against.is_empty() {
            rows.insert("against".to_owned(), against.into());
        }
        rows.into()
    }
}
