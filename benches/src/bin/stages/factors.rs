//! The factor sets' rows.

use std::hint::black_box;
use std::rc::Rc;

use serde_json::Map;
use signal::abi::LEVELS;
use signal::factors::{Depth, FactorBank, IndexPrice, Registry, Ticker, Trade};
use signal::messages::InstrumentId;
use signal_bench::feed::{self, Feed};
use signal_bench::wide::Wide;

use crate::Row;

pub const ABOUT: &str = "one instrument; 64 different events in turn, read and checked beforehand; trades 10 ms of\n\
    market time apart";

/// Events of each kind; a power of two.
const EVENTS: usize = 64;
const ONE: InstrumentId = InstrumentId(0);

/// Events as the factor stage has them.
struct Events {
    books: Vec<(i64, Vec<f64>)>,
    /// The same books' best level.
    best: Vec<(i64, Vec<f64>)>,
    trades: Vec<Trade>,
    tickers: Vec<Ticker>,
    prices: Vec<IndexPrice>,
}

impl Events {
    fn new() -> Self {
        let mut feed = Feed::new(1);
        let depths: Vec<_> = (0..EVENTS).map(|_| feed.depth()).collect();
        let books = |levels| {
            let book = depths
                .iter()
                .map(|d| (d.data_time.get(), feed::levels(d, levels)));
            book.collect()
        };
        Self {
            books: books(LEVELS),
            best: books(1),
            trades: (0..EVENTS).map(|_| feed::trade(&feed.trade())).collect(),
            tickers: (0..EVENTS).map(|_| feed::ticker(&feed.ticker())).collect(),
            prices: (0..EVENTS)
                .map(|_| feed::index_price(&feed.index_price()))
                .collect(),
        }
    }
}

fn depth(books: &[(i64, Vec<f64>)], number: usize) -> Depth<'_> {
    let (time, values) = &books[number % EVENTS];
    Depth::from_values(*time, values)
}

/// Market time goes on: a hundred trades a second.
fn trade(trades: &[Trade], number: usize) -> Trade {
    Trade {
        timestamp: number as i64 * 10_000_000,
        ..trades[number % EVENTS]
    }
}

fn bank(registry: &Registry, set: &str) -> Result<Box<dyn FactorBank>, String> {
    let entry = registry
        .get(set)
        .ok_or_else(|| format!("there is no factor set {set:?}"))?;
    Ok(entry.prepare(&Map::new())?.bank(1))
}

/// A state that has seen one of each event.
fn started(set: &str) -> Result<Box<dyn FactorBank>, String> {
    let mut bank = bank(&Registry::builtin(), set)?;
    let mut feed = Feed::new(2);
    for _ in 0..EVENTS {
        feed::one_of_each(&mut feed, bank.as_mut());
    }
    Ok(bank)
}

pub fn rows() -> Result<Vec<Row>, String> {
    let events = Rc::new(Events::new());
    let mut rows = Vec::new();
    let mut add = |title: &str,
                   mut bank: Box<dyn FactorBank>,
                   call: fn(&mut dyn FactorBank, &Events, &mut [f64], usize)| {
        let events = events.clone();
        let mut out = vec![0.0; bank.width()];
        rows.push(Row::new(title, move |number| {
            call(bank.as_mut(), &events, &mut out, number);
            black_box(&mut out);
        }));
    };
    add(
        "test0000: Depth, factors",
        started("test0000")?,
        |bank, events, out, number| {
            bank.on_depth(ONE, &depth(&events.best, number));
            bank.write(ONE, out);
        },
    );
    add(
        "market: Depth",
        started("market")?,
        |bank, events, _, number| {
            bank.on_depth(ONE, &depth(&events.books, number));
        },
    );
    add(
        "market: Ticker",
        started("market")?,
        |bank, events, _, number| {
            bank.on_ticker(ONE, &events.tickers[number % EVENTS]);
        },
    );
    add(
        "market: Trade",
        started("market")?,
        |bank, events, _, number| {
            bank.on_trade(ONE, &trade(&events.trades, number));
        },
    );
    add(
        "market: IndexPrice",
        started("market")?,
        |bank, events, _, number| {
            bank.on_index_price(ONE, &events.prices[number % EVENTS]);
        },
    );
    add(
        "market: Depth, factors",
        started("market")?,
        |bank, events, out, number| {
            bank.on_depth(ONE, &depth(&events.books, number));
            bank.write(ONE, out);
        },
    );
    add(
        "market: Trade, Depth, factors",
        started("market")?,
        |bank, events, out, number| {
            bank.on_trade(ONE, &trade(&events.trades, number));
            bank.on_depth(ONE, &depth(&events.books, number));
            bank.write(ONE, out);
        },
    );
    // Whose time steps back: the set then looks through all times that it has kept.
    let late = "market: Trade of an earlier time, Depth, factors";
    add(late, started("market")?, |bank, events, out, number| {
        bank.on_trade(ONE, &trade(&events.trades, number % EVENTS));
        bank.on_depth(ONE, &depth(&events.books, number));
        bank.write(ONE, out);
    });
    let mut registry = Registry::builtin();
    registry.add::<Wide<4>, _>();
    let narrow = bank(&registry, "wide")?;
    registry.add::<Wide<64>, _>();
    let wide = bank(&registry, "wide")?;
    for (title, bank) in [
        ("own set of 4 means: Depth, factors", narrow),
        ("own set of 64 means: Depth, factors", wide),
    ] {
        add(title, bank, |bank, events, out, number| {
            bank.on_depth(ONE, &depth(&events.books, number));
            bank.write(ONE, out);
        });
    }
    Ok(rows)
}
