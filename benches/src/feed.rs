//! A small synthetic market: books, trades, tickers and index prices around a random
//! walk, from a seed; and what the factor set `market` makes of it.

use bytemuck::Zeroable;
use fastrand::Rng;
use serde_json::Map;
use signal::abi::{Depth, IndexPrice, LEVELS, Ticker, Trade};
use signal::factors::{self, FactorBank, Registry};
use signal::messages::InstrumentId;

use crate::workload;

/// Between two events of a kind, ns of market time.
const STEP_NS: i64 = 10_000_000;

#[derive(Debug)]
pub struct Feed {
    rng: Rng,
    mid: f64,
    time: i64,
}

impl Feed {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            mid: 100.0,
            time: 1_700_000_000_000_000_000,
        }
    }

    fn step(&mut self) {
        self.time += STEP_NS;
        let next = self.mid + (self.rng.f64() - 0.5) * 0.1;
        self.mid = next.clamp(80.0, 120.0);
    }

    fn size(&mut self) -> f64 {
        0.1 + self.rng.f64() * 10.0
    }

    fn half_spread(&mut self) -> f64 {
        0.01 * (1 + self.rng.u32(..3)) as f64
    }

    pub fn depth(&mut self) -> Depth {
        self.step();
        let half = self.half_spread();
        let mut depth = workload::depth();
        depth.data_time = self.time.into();
        for level in 0..LEVELS {
            let away = half + 0.01 * level as f64;
            depth.bid_price[level] = (self.mid - away).into();
            depth.ask_price[level] = (self.mid + away).into();
            depth.bid_volume[level] = self.size().into();
            depth.ask_volume[level] = self.size().into();
        }
        depth
    }

    pub fn trade(&mut self) -> Trade {
        self.step();
        let mut trade = workload::trade(&workload::depth());
        trade.price = (self.mid + (self.rng.f64() - 0.5) * 0.04).into();
        trade.volume = self.size().into();
        trade.side = self.rng.i8(0..2);
        trade.trade_time = self.time.into();
        trade
    }

    pub fn ticker(&mut self) -> Ticker {
        self.step();
        let (book, half) = (workload::depth(), self.half_spread());
        Ticker {
            symbol: book.symbol,
            exchange_id: book.exchange_id,
            instrument_type: book.instrument_type,
            data_time: self.time.into(),
            bid_price: (self.mid - half).into(),
            ask_price: (self.mid + half).into(),
            bid_volume: self.size().into(),
            ask_volume: self.size().into(),
            ..Ticker::zeroed()
        }
    }

    pub fn index_price(&mut self) -> IndexPrice {
        self.step();
        let book = workload::depth();
        IndexPrice {
            symbol: book.symbol,
            exchange_id: book.exchange_id,
            instrument_type: book.instrument_type,
            price: (self.mid + (self.rng.f64() - 0.5) * 0.1).into(),
        }
    }
}

/// A book as factor sets get it: as many levels of the host's struct as there is room for, one
/// side after the other.
pub fn fill(depth: &Depth, values: &mut [f64]) {
    let sides = [
        &depth.bid_price,
        &depth.ask_price,
        &depth.bid_volume,
        &depth.ask_volume,
    ];
    let levels = values.len() / sides.len();
    for (part, side) in values.chunks_exact_mut(levels).zip(sides) {
        for (value, packed) in part.iter_mut().zip(side) {
            *value = packed.get();
        }
    }
}

pub fn ticker(of: &Ticker) -> factors::Ticker {
    let values = [of.bid_price, of.ask_price, of.bid_volume, of.ask_volume];
    factors::Ticker::from_values(of.data_time.get(), &values.map(|value| value.get()))
}

pub fn trade(of: &Trade) -> factors::Trade {
    let values = [of.price.get(), of.volume.get()];
    factors::Trade::from_values(of.trade_time.get(), of.side, &values)
}

pub fn index_price(of: &IndexPrice) -> factors::IndexPrice {
    let price = of.price.get();
    factors::IndexPrice { price }
}

/// The state of a registry's set, for one instrument.
pub fn bank(registry: &Registry, set: &str) -> Result<Box<dyn FactorBank>, String> {
    let entry = registry.get(set);
    let entry = entry.ok_or_else(|| format!("there is no factor set {set:?}"))?;
    Ok(entry.prepare(&Map::new())?.bank(1))
}

/// Hands one event of each kind to instrument 0 of a bank.
pub fn one_of_each(feed: &mut Feed, bank: &mut dyn FactorBank) {
    let id = InstrumentId(0);
    bank.on_ticker(id, &ticker(&feed.ticker()));
    bank.on_trade(id, &trade(&feed.trade()));
    bank.on_index_price(id, &index_price(&feed.index_price()));
    on_depth(&feed.depth(), bank);
}

fn on_depth(depth: &Depth, bank: &mut dyn FactorBank) {
    let mut values = [0.0; 4 * LEVELS];
    fill(depth, &mut values);
    let depth = factors::Depth::from_values(depth.data_time.get(), &values);
    bank.on_depth(InstrumentId(0), &depth);
}

/// Vectors of the factor set `market` where the books of [`workload::turn`] come, and
/// nothing else.
pub fn rows_of_moving_books() -> Result<Vec<Vec<f64>>, String> {
    let mut bank = bank(&Registry::builtin(), "market")?;
    let mut depth = workload::depth();
    let row = |number| {
        workload::turn(&mut depth, number);
        on_depth(&depth, bank.as_mut());
        vector(bank.as_mut())
    };
    Ok((0..workload::BOOKS).map(row).collect())
}

fn vector(bank: &mut dyn FactorBank) -> Vec<f64> {
    let mut row = vec![0.0; bank.width()];
    bank.write(InstrumentId(0), &mut row);
    row
}

/// Vectors of the factor set `market`, shuffled: neighbours in time are alike, and
/// apart they are harder on a branch predictor.
pub fn market_rows(count: usize, seed: u64) -> Result<Vec<Vec<f64>>, String> {
    let mut bank = bank(&Registry::builtin(), "market")?;
    let mut feed = Feed::new(seed);
    let row = |_| {
        one_of_each(&mut feed, bank.as_mut());
        vector(bank.as_mut())
    };
    let mut rows: Vec<_> = (0..count).map(row).collect();
    feed.rng.shuffle(&mut rows);
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seed_decides_and_every_factor_of_market_moves() {
        let bytes = |seed| bytemuck::bytes_of(&Feed::new(seed).depth()).to_vec();
        assert!(bytes(1) == bytes(1) && bytes(1) != bytes(2));
        let rows = market_rows(200, 1).unwrap();
        assert_eq!(rows.len(), 200);
        for factor in 0..rows[0].len() {
            let first = rows[0][factor];
            assert!(rows.iter().any(|row| row[factor] != first), "{factor}");
            assert!(rows.iter().all(|row| row[factor].is_finite()), "{factor}");
        }
    }
}
