//! The factors, computed directly from their definitions and the whole history.

use super::super::{LEVELS, SIDE_BUY, SIDE_SELL};
use crate::factors::{Ticker, Trade};

pub struct Naive {
    window: usize,
    pub book: Option<([f64; 4], [f64; 2])>,
    pub trades: Vec<Trade>,
    pub tickers: Vec<Ticker>,
    pub index: Option<f64>,
}

fn over(numerator: f64, denominator: f64) -> f64 {
    match denominator {
        0.0 => 0.0,
        _ => numerator / denominator,
    }
}

fn mid(ticker: &Ticker) -> f64 {
    (ticker.ask_price + ticker.bid_price) / 2.0
}

impl Naive {
    pub fn new(window: usize) -> Self {
        Self {
            window,
            book: None,
            trades: Vec::new(),
            tickers: Vec::new(),
            index: None,
        }
    }

    pub fn vector(&self) -> [f64; 15] {
        let mut out = [0.0; 15];
        if let Some(([bid, ask, bid_volume, ask_volume], deeper)) = self.book {
            let levels = LEVELS as f64 - 1.0;
            let bids = bid_volume + levels * deeper[0];
            let asks = ask_volume + levels * deeper[1];
            out[0] = ask - bid;
            out[1] = (ask + bid) / 2.0;
            out[2] = over(bid_volume, ask_volume);
            out[3] = over(bids - asks, bids + asks);
            out[4] = over(bid * ask_volume + ask * bid_volume, ask_volume + bid_volume);
            if let Some(index) = self.index {
                out[13] = out[1] - index;
                out[14] = out[13] / index;
            }
        }
        if let Some(last) = self.trades.last() {
            let of = &self.trades[self.trades.len().saturating_sub(self.window)..];
            let count = of.len() as f64;
            let volume: f64 = of.iter().map(|trade| trade.volume).sum();
            let amount: f64 = of.iter().map(|trade| trade.price * trade.volume).sum();
            out[5] = volume / count;
            out[6] = match last.side {
                SIDE_BUY => 1.0,
                SIDE_SELL => -1.0,
                _ => 0.0,
            };
            let counted = &self.trades[self.trades.len().saturating_sub(1024)..];
            let from = i128::from(last.timestamp) - 1_000_000_000;
            let within = counted.iter().filter(|trade| {
                i128::from(trade.timestamp) > from && trade.timestamp <= last.timestamp
            });
            out[7] = within.count() as f64;
            out[8] = over(amount, volume);
            // Uses the differences of all pairs, so that no mean is rounded.
            let pairs = of.iter().flat_map(|a| of.iter().map(|b| a.price - b.price));
            out[9] = (pairs.map(|d| d * d).sum::<f64>() / (2.0 * count * count)).sqrt();
        }
        if let Some(last) = self.tickers.last() {
            out[10] = over(last.ask_price - last.bid_price, mid(last));
            out[11] = over(last.bid_volume, last.ask_volume);
            if let [.., before, last] = &self.tickers[..] {
                out[12] = over(mid(last) - mid(before), mid(before));
            }
        }
        out
    }
}
