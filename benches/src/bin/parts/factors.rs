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
            let book = |of: &signal::abi::Depth| {
                let mut values = vec![0.0; 4 * levels];
                feed::fill(of, &mut values);
                (of.data_time.get(), values)
            };
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

type Call = fn(&mut dyn FactorBank, &Events, usize);

fn on_depth(bank: &mut dyn FactorBank, events: &Events, number: usize) {
    bank.on_depth(ONE, &depth(&events.books, number));
}

fn on_best(bank: &mut dyn FactorBank, events: &Events, number: usize) {
    bank.on_depth(ONE, &depth(&events.best, number));
}

fn on_ticker(bank: &mut dyn FactorBank, events: &Events, number: usize) {
    bank.on_ticker(ONE, &events.tickers[number % EVENTS]);
}

fn on_trade(bank: &mut dyn FactorBank, events: &Events, number: usize) {
    bank.on_trade(ONE, &events.trade(number));
}

fn on_index_price(bank: &mut dyn FactorBank, events: &Events, number: usize) {
    bank.on_index_price(ONE, &events.prices[number % EVENTS]);
}

fn on_trade_and_depth(bank: &mut dyn FactorBank, events: &Events, number: usize) {
    on_trade(bank, events, number);
    on_depth(bank, events, number);
}

/// Its time steps back: the set then looks through all times that it has kept.
fn on_late_trade_and_depth(bank: &mut dyn FactorBank, events: &Events, number: usize) {
    on_trade(bank, events, number % EVENTS);
    on_depth(bank, events, number);
}

/// What a call does to the state of a set; where the title ends so, the factors are written, too.
const ROWS: [(&str, &str, Call); 8] = [
    ("test0000: Depth, factors", "test0000", on_best),
    ("market: Ticker", "market", on_ticker),
    ("market: Trade", "market", on_trade),
    ("market: IndexPrice", "market", on_index_price),
    ("market: Depth", "market", on_depth),
    ("market: Depth, factors", "market", on_depth),
    (
        "market: Trade, Depth, factors",
        "market",
        on_trade_and_depth,
    ),
    (
        "market: Trade of an earlier time, Depth, factors",
        "market",
        on_late_trade_and_depth,
    ),
];

pub fn rows() -> Result<Vec<Row>, String> {
    let events = Rc::new(Events::new());
    let row = |title: &str, mut bank: Box<dyn FactorBank>, call: Call| {
        let events = events.clone();
        let mut out = vec![0.0; bank.width()];
        let writes = title.ends_with(", factors");
        Row::new(title, move |number| {
            call(bank.as_mut(), &events, number);
            if writes {
                bank.write(ONE, &mut out);
            }
            black_box(&mut out);
        })
    };
    let mut rows = Vec::new();
    let mut registry = Registry::builtin();
    for (title, set, call) in ROWS {
        // It has seen some of each event.
        let mut bank = feed::bank(&registry, set)?;
        let mut feed = Feed::new(2);
        (0..EVENTS).for_each(|_| feed::one_of_each(&mut feed, bank.as_mut()));
        rows.push(row(title, bank, call));
    }
    registry.add::<Wide<4>, _>();
    let wide = feed::bank(&registry, "wide")?;
    rows.push(row("own set of 4 means: Depth, factors", wide, on_depth));
    registry.add::<Wide<64>, _>();
    let wide = feed::bank(&registry, "wide")?;
    rows.push(row("own set of 64 means: Depth, factors", wide, on_depth));
    Ok(rows)
}
