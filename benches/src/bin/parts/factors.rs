//! The factor sets' rows: called as the factor stage does, through `FactorBank`.

use std::hint::black_box;
use std::rc::Rc;

use signal::abi::LEVELS;
use signal::factors::{Depth, FactorBank, IndexPrice, Registry, Ticker, Trade};
use signal::messages::InstrumentId;
use signal_bench::feed::{self, Feed};
use signal_bench::wide::Wide;

use crate::Row;

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
            let book = |of: &signal::abi::Depth| (of.data_time.get(), feed::levels(of, levels));
            depths.iter().map(book).collect()
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

    /// Market time goes on: a hundred trades a second.
    fn trade(&self, number: usize) -> Trade {
        Trade {
            timestamp: number as i64 * 10_000_000,
            ..self.trades[number % EVENTS]
        }
    }
}

fn depth(books: &[(i64, Vec<f64>)], number: usize) -> Depth<'_> {
    let (time, values) = &books[number % EVENTS];
    Depth::from_values(*time, values)
}

/// A state that has seen one of each event.
fn started(set: &str) -> Result<Box<dyn FactorBank>, String> {
    let mut bank = feed::bank(&Registry::builtin(), set)?;
    let mut feed = Feed::new(2);
    for _ in 0..EVENTS {
        feed::one_of_each(&mut feed, bank.as_mut());
    }
    Ok(bank)
}

pub fn rows() -> Result<Vec<Row>, String> {
    let events = Rc::new(Events::new());
    let mut rows = Vec::new();
    // Whether the factors are written, too.
    let mut add = |title: &str,
                   mut bank: Box<dyn FactorBank>,
                   call: fn(&mut dyn FactorBank, &Events, usize)| {
        let events = events.clone();
        let mut out = vec![0.0; bank.width()];
        let writes = title.ends_with(", factors");
        rows.push(Row::new(title, move |number| {
            call(bank.as_mut(), &events, number);
            if writes {
                bank.write(ONE, &mut out);
            }
            black_box(&mut out);
        }));
    };
    add(
        "test0000: Depth, factors",
        started("test0000")?,
        |bank, events, number| {
            bank.on_depth(ONE, &depth(&events.best, number));
        },
    );
    add(
        "market: Ticker",
        started("market")?,
        |bank, events, number| {
            bank.on_ticker(ONE, &events.tickers[number % EVENTS]);
        },
    );
    add(
        "market: Trade",
        started("market")?,
        |bank, events, number| {
            bank.on_trade(ONE, &events.trade(number));
        },
    );
    add(
        "market: IndexPrice",
        started("market")?,
        |bank, events, number| {
            bank.on_index_price(ONE, &events.prices[number % EVENTS]);
        },
    );
    let on_depth = |bank: &mut dyn FactorBank, events: &Events, number| {
        bank.on_depth(ONE, &depth(&events.books, number));
    };
    add("market: Depth", started("market")?, on_depth);
    add("market: Depth, factors", started("market")?, on_depth);
    add(
        "market: Trade, Depth, factors",
        started("market")?,
        |bank, events, number| {
            bank.on_trade(ONE, &events.trade(number));
            bank.on_depth(ONE, &depth(&events.books, number));
        },
    );
    // Whose time steps back: the set then looks through all times that it has kept.
    let late = "market: Trade of an earlier time, Depth, factors";
    add(late, started("market")?, |bank, events, number| {
        bank.on_trade(ONE, &events.trade(number % EVENTS));
        bank.on_depth(ONE, &depth(&events.books, number));
    });
    let mut registry = Registry::builtin();
    registry.add::<Wide<4>, _>();
    add(
        "own set of 4 means: Depth, factors",
        feed::bank(&registry, "wide")?,
        on_depth,
    );
    registry.add::<Wide<64>, _>();
    add(
        "own set of 64 means: Depth, factors",
        feed::bank(&registry, "wide")?,
        on_depth,
    );
    Ok(rows)
}
