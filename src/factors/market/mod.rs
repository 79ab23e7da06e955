//! `market`: fifteen factors of the book, the trades, the ticker and the index.
//!
//! | file | what |
//! |---|---|
//! | `window` | the last trades' prices and sizes |
//! | `recent` | how many trades came within a second |
//! | `book` | the imbalance of a book's sizes |

mod book;
mod recent;
mod window;

use std::io;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ranged::Ranged;
use super::{Depth, FactorSet, IndexPrice, Ticker, Trade};
use crate::abi::{LEVELS, SIDE_BUY, SIDE_SELL};
use crate::state;
use crate::sync::prefetch;
use recent::Recent;
use window::Window;

const SPREAD: usize = 0;
const MID_PRICE: usize = 1;
const BID_ASK_RATIO: usize = 2;
const DEPTH_IMBALANCE: usize = 3;
const WEIGHTED_MID: usize = 4;
const TRADE_VOLUME_MA: usize = 5;
const TRADE_DIRECTION: usize = 6;
const TRADE_INTENSITY: usize = 7;
const VWAP: usize = 8;
const TRADE_VOLATILITY: usize = 9;
const TICKER_SPREAD: usize = 10;
const TICKER_VOLUME_RATIO: usize = 11;
const TICKER_MOMENTUM: usize = 12;
const BASIS: usize = 13;
const BASIS_PCT: usize = 14;

/// The book, the trades, the ticker and the index of one instrument, in `f64`.
///
/// `b`, `a`, `B`, `A` are the best prices and their sizes; `W` is the parameter
/// [`window`](MarketParams). While there are fewer than `W` trades, the window holds all of them.
///
/// | | factor | from | definition | unit |
/// |---|---|---|---|---|
/// | 0 | `spread` | Depth | a - b | quote |
/// | 1 | `mid_price` | Depth | (a + b) / 2 | quote |
/// | 2 | `bid_ask_ratio` | Depth | B / A | |
/// | 3 | `depth_imbalance` | Depth | (sum B - sum A) / (sum B + sum A), ten levels | -1 to 1 |
/// | 4 | `weighted_mid` | Depth | (b A + a B) / (A + B) | quote |
/// | 5 | `trade_volume_ma` | Trade | mean size of the last W trades | size |
/// | 6 | `trade_direction` | Trade | 1 if the last aggressor bought, -1 if it sold, else 0 | |
/// | 7 | `trade_intensity` | Trade | of the last 1,024 trades, those with a time in (t - 1 s, t], t being the last trade's | trades |
/// | 8 | `vwap` | Trade | sum p v / sum v of the last W trades | quote |
/// | 9 | `trade_volatility` | Trade | population standard deviation of the last W prices | quote |
/// | 10 | `ticker_spread` | Ticker | (ask - bid) / ((ask + bid) / 2) | |
/// | 11 | `ticker_volume_ratio` | Ticker | bid size / ask size | |
/// | 12 | `ticker_momentum` | Ticker | (mid - previous ticker's mid) / previous ticker's mid | |
/// | 13 | `basis` | Depth, IndexPrice | `mid_price` - index price | quote |
/// | 14 | `basis_pct` | Depth, IndexPrice | `basis` / index price | |
///
/// A factor is 0.0 if its feed has sent nothing yet, or if its denominator is 0.
///
/// # Accuracy
///
/// Only the trades themselves are kept from trade to trade, so no error grows with time. Factors 0
/// to 2, 6, 7 and 10 to 14 are the formulas above, rounded at each operation. The others have a
/// relative error of at most 1e-12 for any window, and of at most 1e-15 for the default window on
/// recorded data: sums of sizes are compensated where they are subtracted, and the deviation is
/// computed in two passes over differences of prices, so that it does not cancel. Prices and sizes
/// above 1e150 overflow, as in any IEEE arithmetic.
///
/// ```
/// use signal::factors::{Depth, FactorSet, Market, MarketParams, Trade};
///
/// let mut set = Market::new(&MarketParams::default());
/// set.on_depth(&Depth::from_values(0, &[100.0, 102.0, 3.0, 1.0]));
/// set.on_trade(&Trade { timestamp: 0, price: 102.0, volume: 0.5, side: 0 });
/// let mut out = [f64::NAN; 15];
/// set.write(&mut out);
/// assert_eq!(out[..5], [2.0, 101.0, 3.0, 0.5, 101.5]);
/// assert_eq!(out[5..10], [0.5, 1.0, 1.0, 102.0, 0.0]);
/// assert_eq!(out[10..], [0.0; 5]);
/// ```
// The fields that every event touches come first, on cache lines of their own; the rings that only
// trades touch are elsewhere.
#[derive(Debug)]
#[repr(C, align(64))]
pub struct Market {
    values: [f64; 15],
    /// 0 before the first index price.
    index: f64,
    /// 0 before the first ticker.
    ticker_mid: f64,
    /// Whether a trade came since the trade factors were last computed.
    traded: bool,
    window: Window,
    recent: Recent,
}

impl Market {
    /// Longest window, in trades.
    pub const MAX_WINDOW: u64 = 4096;
    /// Window if the configuration gives none, in trades.
    pub const DEFAULT_WINDOW: u64 = 20;
}

/// The configurable parameters of [`Market`].
///
/// | key | default | meaning |
/// |---|---|---|
/// | `window` | 20 | trades in the factors' window, 1 to 4,096 |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MarketParams {
    window: Ranged<1, { Market::MAX_WINDOW }>,
}

impl Default for MarketParams {
    fn default() -> Self {
        Self {
            window: const { Ranged::new(Market::DEFAULT_WINDOW) },
        }
    }
}

impl FactorSet<15> for Market {
    const NAME: &'static str = "market";
    const FACTORS: [&'static str; 15] = [
        "spread",
        "mid_price",
        "bid_ask_ratio",
        "depth_imbalance",
        "weighted_mid",
        "trade_volume_ma",
        "trade_direction",
        "trade_intensity",
        "vwap",
        "trade_volatility",
        "ticker_spread",
        "ticker_volume_ratio",
        "ticker_momentum",
        "basis",
        "basis_pct",
    ];
    const LEVELS: usize = LEVELS;
    type Params = MarketParams;

    fn params_schema() -> Map<String, Value> {
        let window = json!({
            "type": "integer",
            "minimum": 1,
            "maximum": Self::MAX_WINDOW,
            "default": Self::DEFAULT_WINDOW,
            "description": "Trades in the factors' window."
        });
        Map::from_iter([("window".into(), window)])
    }

    fn new(params: &MarketParams) -> Self {
        Self {
            values: [0.0; 15],
            index: 0.0,
            ticker_mid: 0.0,
            traded: false,
            window: Window::new(params.window.size()),
            recent: Recent::new(),
        }
    }

    fn state_bytes(params: &MarketParams) -> usize {
        size_of::<Self>() + Window::heap_bytes(params.window.size()) + Recent::HEAP_BYTES
    }

    #[inline]
    fn on_depth(&mut self, depth: &Depth<'_>) {
        let (bid, ask) = (depth.bid_price[0], depth.ask_price[0]);
        let (bid_volume, ask_volume) = (depth.bid_volume[0], depth.ask_volume[0]);
        self.values[SPREAD] = ask - bid;
        self.values[MID_PRICE] = (ask + bid) / 2.0;
        self.values[BID_ASK_RATIO] = ratio(bid_volume, ask_volume);
        self.values[DEPTH_IMBALANCE] = book::imbalance(depth.bid_volume, depth.ask_volume);
        self.values[WEIGHTED_MID] =
            ratio(bid * ask_volume + ask * bid_volume, ask_volume + bid_volume);
        self.update_basis();
    }

    #[inline]
    fn on_ticker(&mut self, ticker: &Ticker) {
        let mid = (ticker.ask_price + ticker.bid_price) / 2.0;
        self.values[TICKER_SPREAD] = ratio(ticker.ask_price - ticker.bid_price, mid);
        self.values[TICKER_VOLUME_RATIO] = ratio(ticker.bid_volume, ticker.ask_volume);
        self.values[TICKER_MOMENTUM] = ratio(mid - self.ticker_mid, self.ticker_mid);
        self.ticker_mid = mid;
    }

    #[inline]
    fn on_trade(&mut self, trade: &Trade) {
        self.window.push(trade.price, trade.volume);
        self.recent.push(trade.timestamp);
        self.values[TRADE_DIRECTION] = match trade.side {
            SIDE_BUY => 1.0,
            SIDE_SELL => -1.0,
            _ => 0.0,
        };
        self.traded = true;
    }

    #[inline]
    fn on_index_price(&mut self, index: &IndexPrice) {
        self.index = index.price;
        self.update_basis();
    }

    // The window is read whole. Of the times, an event reads a few lines, which are not known here.
    fn prefetch(&self) {
        prefetch::value(self);
        self.window.prefetch();
    }

    #[inline]
    fn write(&mut self, out: &mut [f64; 15]) {
        if self.traded {
            self.traded = false;
            let tape = self.window.tape();
            self.values[TRADE_VOLUME_MA] = tape.volume_mean;
            self.values[VWAP] = tape.vwap;
            self.values[TRADE_VOLATILITY] = tape.deviation;
            self.values[TRADE_INTENSITY] = f64::from(self.recent.count());
        }
        *out = self.values;
    }

    fn save(&self, to: &mut dyn io::Write) -> io::Result<()> {
        state::put(to, &self.values)?;
        state::put(to, &[self.index, self.ticker_mid])?;
        state::put(to, &u64::from(self.traded))?;
        self.window.save(to)?;
        self.recent.save(to)
    }

    fn load(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        self.values = state::take(from)?;
        [self.index, self.ticker_mid] = state::take(from)?;
        self.traded = match state::take::<u64>(from)? {
            0 => false,
            1 => true,
            _ => return Err(state::invalid("a flag that is neither 0 nor 1")),
        };
        self.window.load(from)?;
        self.recent.load(from)?;
        // `write` computes from the last trade.
        if self.traded && (self.window.is_empty() || self.recent.is_empty()) {
            return Err(state::invalid("a trade that is not stored"));
        }
        Ok(())
    }
}

impl Market {
    /// Prices are positive, so 0 means that there is none.
    #[inline]
    fn update_basis(&mut self) {
        let mid = self.values[MID_PRICE];
        if mid > 0.0 && self.index > 0.0 {
            let basis = mid - self.index;
            self.values[BASIS] = basis;
            self.values[BASIS_PCT] = basis / self.index;
        }
    }
}

/// The quotient, or 0 if the denominator is 0.
#[inline]
fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator == 0.0 {
        0.0
    } else {
        numerator / denominator
    }
}

#[cfg(test)]
mod tests;
