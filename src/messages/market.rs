//! Checked events as factor sets see them.

/// The greatest price that is accepted unless a configuration says otherwise.
pub(crate) const MAX_PRICE: f64 = 1e12;
/// The greatest size, likewise. The supply of the cheapest coins is below; the values that a
/// 64-bit integer uses for "no value" are above.
pub(crate) const MAX_SIZE: f64 = 1e18;

/// Levels of an order book, best first, all four slices of the same length.
///
/// There are only as many levels as the configured sets read. Below the best, a level that
/// the book does not have is all zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Depth<'a> {
    /// Time of the book, ns since the Unix epoch.
    pub timestamp: i64,
    /// Bid prices, in quote currency.
    pub bid_price: &'a [f64],
    /// Ask prices, in quote currency.
    pub ask_price: &'a [f64],
    /// Bid sizes, in the exchange's size unit.
    pub bid_volume: &'a [f64],
    /// Ask sizes, in the exchange's size unit.
    pub ask_volume: &'a [f64],
}

impl<'a> Depth<'a> {
    /// Reads bid prices, ask prices, bid sizes and ask sizes, one after the other. Each takes
    /// a quarter of `values`.
    #[inline]
    pub fn from_values(timestamp: i64, values: &'a [f64]) -> Self {
        let levels = values.len() / 4;
        let (bid_price, rest) = values.split_at(levels);
        let (ask_price, rest) = rest.split_at(levels);
        let (bid_volume, ask_volume) = rest.split_at(levels);
        Self {
            timestamp,
            bid_price,
            ask_price,
            bid_volume,
            ask_volume: &ask_volume[..levels],
        }
    }
}

/// Best bid and ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticker {
    /// Time of the ticker, ns since the Unix epoch.
    pub timestamp: i64,
    /// Best bid price, in quote currency.
    pub bid_price: f64,
    /// Best ask price, in quote currency.
    pub ask_price: f64,
    /// Size at the best bid.
    pub bid_volume: f64,
    /// Size at the best ask.
    pub ask_volume: f64,
}

impl Ticker {
    /// Reads bid, ask, bid size, ask size.
    ///
    /// # Panics
    ///
    /// If there are fewer than four values.
    #[inline]
    pub fn from_values(timestamp: i64, values: &[f64]) -> Self {
        Self {
            timestamp,
            bid_price: values[0],
            ask_price: values[1],
            bid_volume: values[2],
            ask_volume: values[3],
        }
    }
}

/// One trade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trade {
    /// Time of the trade, ns since the Unix epoch.
    pub timestamp: i64,
    /// Price, in quote currency.
    pub price: f64,
    /// Size, in the exchange's size unit.
    pub volume: f64,
    /// The host's aggressor side: 0 bought, 1 sold; other values are possible.
    pub side: i8,
}

impl Trade {
    /// Reads price and size.
    ///
    /// # Panics
    ///
    /// If there are fewer than two values.
    #[inline]
    pub fn from_values(timestamp: i64, side: i8, values: &[f64]) -> Self {
        Self {
            timestamp,
            price: values[0],
            volume: values[1],
            side,
        }
    }
}

/// The index price of an instrument's underlying.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexPrice {
    /// Price, in quote currency.
    pub price: f64,
}
