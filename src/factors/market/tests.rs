//! Each factor checked by hand, and all of them against a model that recomputes everything from the
//! whole history.

use proptest::prelude::*;

use super::*;
use crate::testing::{instrument, vector};

mod naive;
mod saved;

use naive::Naive;

fn market(params: &str) -> Market {
    instrument::<Market, _>(params).expect("these parameters are right")
}

fn trade(timestamp: i64, price: f64, volume: f64) -> Trade {
    Trade {
        timestamp,
        price,
        volume,
        side: SIDE_BUY,
    }
}

fn ticker(bid: f64, ask: f64, bid_volume: f64, ask_volume: f64) -> Ticker {
    Ticker::from_values(0, &[bid, ask, bid_volume, ask_volume])
}

/// A book of ten levels with the given best level; all deeper sizes are `deeper`.
fn on_book(set: &mut Market, best: [f64; 4], deeper: [f64; 2]) {
    let [bid, ask, bid_volume, ask_volume] = best;
    let mut values = [0.0; 4 * LEVELS];
    for level in 0..LEVELS {
        values[level] = bid - level as f64;
        values[LEVELS + level] = ask + level as f64;
        values[2 * LEVELS + level] = deeper[0];
        values[3 * LEVELS + level] = deeper[1];
    }
    values[2 * LEVELS] = bid_volume;
    values[3 * LEVELS] = ask_volume;
    set.on_depth(&Depth::from_values(0, &values));
}

#[test]
fn nothing_heard_is_nothing_written() {
    assert_eq!(vector(&mut market("{}")), [0.0; 15]);
}

#[test]
fn book() {
    let mut set = market("{}");
    on_book(&mut set, [100.0, 102.0, 3.0, 1.0], [2.0, 1.0]);
    let out = vector(&mut set);
    assert_eq!(out[..3], [2.0, 101.0, 3.0]);
    assert_eq!(out[DEPTH_IMBALANCE], (21.0 - 10.0) / 31.0);
    assert_eq!(out[WEIGHTED_MID], (100.0 * 1.0 + 102.0 * 3.0) / 4.0);
    assert_eq!(out[5..], [0.0; 10]);
}

#[test]
fn a_book_without_sizes_divides_by_nothing() {
    let mut set = market("{}");
    on_book(&mut set, [100.0, 102.0, 3.0, 0.0], [0.0, 0.0]);
    let out = vector(&mut set);
    assert_eq!(out[BID_ASK_RATIO], 0.0);
    assert_eq!(out[DEPTH_IMBALANCE], 1.0);
    assert_eq!(out[WEIGHTED_MID], 102.0);
    on_book(&mut set, [100.0, 102.0, 0.0, 0.0], [0.0, 0.0]);
    assert_eq!(vector(&mut set)[..5], [2.0, 101.0, 0.0, 0.0, 0.0]);
}

#[test]
fn trades_slide_out_of_the_window() {
    let mut set = market(r#"{"window": 3}"#);
    let mut expect = |price, volume, mean: f64, vwap: f64, variance: f64| {
        set.on_trade(&trade(0, price, volume));
        let out = vector(&mut set);
        assert_eq!(out[TRADE_VOLUME_MA], mean);
        assert_eq!(out[VWAP], vwap);
        assert!((out[TRADE_VOLATILITY] - variance.sqrt()).abs() <= 1e-15);
    };
    expect(10.0, 1.0, 1.0, 10.0, 0.0);
    expect(12.0, 3.0, 2.0, 11.5, 1.0);
    expect(14.0, 0.0, 4.0 / 3.0, 11.5, 8.0 / 3.0);
    expect(14.0, 1.0, 4.0 / 3.0, 12.5, 8.0 / 9.0);
    expect(14.0, 2.0, 1.0, 14.0, 0.0);
}

#[test]
fn a_window_of_one_trade() {
    let mut set = market(r#"{"window": 1}"#);
    set.on_trade(&trade(0, 10.0, 1.0));
    set.on_trade(&trade(0, 12.0, 0.0));
    let out = vector(&mut set);
    assert_eq!(out[5..10], [0.0, 1.0, 2.0, 0.0, 0.0]);
}

#[test]
fn the_deviation_of_huge_prices_does_not_cancel() {
    // Squares of these prices are too large to keep the digits of the differences.
    for (offset, window) in [(1e15, 7), (4e15, 20), (1e12, 4096)] {
        let mut set = market(&format!(r#"{{"window": {window}}}"#));
        for n in 0..2 * window {
            set.on_trade(&trade(0, offset + f64::from(n % 2), 1.0));
        }
        let ones = f64::from(window / 2);
        // An odd window holds one more price of one kind; the deviation is the same.
        let share = ones / f64::from(window);
        let expected = (share * (1.0 - share)).sqrt();
        let error = (vector(&mut set)[TRADE_VOLATILITY] / expected - 1.0).abs();
        assert!(error <= 1e-13, "{offset} {window}: {error}");
    }
}

#[test]
fn equal_prices_do_not_deviate_at_all() {
    let mut set = market("{}");
    for _ in 0..33 {
        set.on_trade(&trade(0, 0.1, 0.3));
        assert_eq!(vector(&mut set)[TRADE_VOLATILITY], 0.0);
    }
}

#[test]
fn an_overflow_is_not_a_zero() {
    let mut set = market("{}");
    set.on_trade(&trade(0, 1e200, 1.0));
    set.on_trade(&trade(0, 2e200, 1.0));
    assert!(!vector(&mut set)[TRADE_VOLATILITY].is_finite());
}

#[test]
fn the_aggressor_gives_the_direction() {
    let mut set = market("{}");
    for (side, direction) in [(SIDE_BUY, 1.0), (SIDE_SELL, -1.0), (2, 0.0), (-1, 0.0)] {
        set.on_trade(&Trade {
            side,
            ..trade(0, 1.0, 1.0)
        });
        assert_eq!(vector(&mut set)[TRADE_DIRECTION], direction);
    }
}

const SECOND: i64 = 1_000_000_000;

fn intensities(times: impl IntoIterator<Item = i64>) -> Vec<f64> {
    let mut set = market("{}");
    let each = times.into_iter().map(|time| {
        set.on_trade(&trade(time, 1.0, 1.0));
        vector(&mut set)[TRADE_INTENSITY]
    });
    each.collect()
}

#[test]
fn the_second_is_open_at_its_beginning() {
    let times = [0, 1, SECOND - 1, SECOND, SECOND + 1, 5 * SECOND];
    assert_eq!(intensities(times), [1.0, 2.0, 3.0, 3.0, 3.0, 1.0]);
}

#[test]
fn times_out_of_order_are_counted_exactly() {
    // The last trade's time moves the one-second span back and forth.
    let times = [0, 2 * SECOND, SECOND / 2, SECOND / 2, 2 * SECOND, SECOND];
    assert_eq!(intensities(times), [1.0, 1.0, 2.0, 3.0, 2.0, 3.0]);
}

#[test]
fn a_time_far_off_does_not_spoil_the_others() {
    for wrong in [i64::MIN, i64::MAX, 0] {
        let mut times = vec![wrong];
        times.extend((0..3000).map(|n| 1_000 * SECOND + n * (SECOND / 4)));
        times.insert(1500, wrong);
        let counts = intensities(times);
        assert!(counts[10..1500].iter().all(|&count| count == 4.0));
        assert!(counts[1505..].iter().all(|&count| count == 4.0));
    }
}

#[test]
fn at_most_1024_trades_count() {
    let counts = intensities((0..3000).map(|n| n * 1_000));
    assert_eq!(counts[1022..1026], [1023.0, 1024.0, 1024.0, 1024.0]);
    assert_eq!(counts[2999], 1024.0);
    // The same number of trades, out of order.
    let counts = intensities((0..3000).map(|n| (n ^ 1) * 1_000));
    assert_eq!(counts[1023..1025], [1023.0, 1024.0]);
    assert_eq!(counts[2999], 1023.0);
}

#[test]
fn a_second_that_empties_at_once_is_counted_right() {
    for before in 0..1100 {
        let mut set = market("{}");
        for _ in 0..before {
            set.on_trade(&trade(0, 1.0, 1.0));
        }
        for n in 0..3 {
            set.on_trade(&trade(SECOND / 2, 1.0, 1.0));
            let within = (before + n + 1).min(1024);
            if n == 0 {
                assert_eq!(vector(&mut set)[TRADE_INTENSITY], f64::from(within));
            }
        }
        set.on_trade(&trade(SECOND, 1.0, 1.0));
        assert_eq!(vector(&mut set)[TRADE_INTENSITY], 4.0, "{before}");
    }
}

#[test]
fn tickers_have_a_history_of_their_own() {
    let mut set = market("{}");
    on_book(&mut set, [500.0, 502.0, 1.0, 1.0], [0.0, 0.0]);
    set.on_ticker(&ticker(99.0, 101.0, 3.0, 2.0));
    assert_eq!(vector(&mut set)[10..13], [0.02, 1.5, 0.0]);
    on_book(&mut set, [600.0, 602.0, 1.0, 1.0], [0.0, 0.0]);
    set.on_ticker(&ticker(109.0, 111.0, 3.0, 0.0));
    assert_eq!(vector(&mut set)[10..13], [2.0 / 110.0, 0.0, 0.1]);
}

#[test]
fn the_basis_needs_a_book_and_an_index() {
    let index = |price| IndexPrice { price };
    let mut set = market("{}");
    set.on_index_price(&index(100.0));
    assert_eq!(vector(&mut set)[BASIS..], [0.0, 0.0]);
    on_book(&mut set, [104.0, 106.0, 1.0, 1.0], [0.0, 0.0]);
    assert_eq!(vector(&mut set)[BASIS..], [5.0, 0.05]);
    set.on_index_price(&index(125.0));
    assert_eq!(vector(&mut set)[BASIS..], [-20.0, -0.16]);
    let mut set = market("{}");
    on_book(&mut set, [104.0, 106.0, 1.0, 1.0], [0.0, 0.0]);
    assert_eq!(vector(&mut set)[BASIS..], [0.0, 0.0]);
}

#[test]
fn the_window_has_bounds() {
    for window in ["0", "4097", "-1", "2.5", "\"20\"", "null", "1e3"] {
        let params = format!(r#"{{"window": {window}}}"#);
        let error = instrument::<Market, _>(&params).unwrap_err();
        assert!(
            error.contains("window") && error.contains("a whole number from 1 to 4096"),
            "{error}"
        );
    }
    let error = instrument::<Market, _>(r#"{"widow": 20}"#).unwrap_err();
    assert!(error.contains("widow"), "{error}");
    market(r#"{"window": 1}"#);
    market(r#"{"window": 4096}"#);
}

#[test]
fn the_state_is_as_large_as_it_says() {
    let read = |json: &str| serde_json::from_str::<MarketParams>(json).unwrap();
    for window in [1, 8, 9, 20, 4096] {
        let params = read(&format!(r#"{{"window": {window}}}"#));
        let set = Market::new(&params);
        let heap = set.window.held() + set.recent.held();
        assert_eq!(Market::state_bytes(&params), size_of::<Market>() + heap);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Book([f64; 4], [f64; 2]),
    Trade(Trade),
    Ticker(Ticker),
    Index(f64),
    Look,
}

fn size() -> impl Strategy<Value = f64> {
    prop_oneof![1 => Just(0.0), 9 => (1u32..100_000).prop_map(|n| f64::from(n) / 1_000.0)]
}

fn price() -> impl Strategy<Value = f64> {
    (20_000u32..20_400).prop_map(|n| f64::from(n) / 10.0)
}

fn event() -> impl Strategy<Value = Event> {
    let time = prop_oneof![
        8 => 0i64..3_000_000_000,
        2 => (0i64..4).prop_map(|n| n * SECOND),
    ];
    prop_oneof![
        2 => (price(), 0.1..9.0, size(), size(), size(), size()).prop_map(
            |(bid, spread, a, b, c, d)| Event::Book([bid, bid + spread, a, b], [c, d])
        ),
        9 => (time, price(), size(), -1i8..3).prop_map(|(timestamp, price, volume, side)| {
            Event::Trade(Trade { timestamp, price, volume, side })
        }),
        2 => (price(), 0.1..9.0, size(), size())
            .prop_map(|(bid, spread, a, b)| Event::Ticker(ticker(bid, bid + spread, a, b))),
        1 => price().prop_map(Event::Index),
        3 => Just(Event::Look),
    ]
}

/// Hands the event to the set. `Look` is not an event for the set.
fn apply(set: &mut Market, event: &Event) {
    match event {
        Event::Book(best, deeper) => on_book(set, *best, *deeper),
        Event::Trade(trade) => set.on_trade(trade),
        Event::Ticker(ticker) => set.on_ticker(ticker),
        Event::Index(price) => set.on_index_price(&IndexPrice { price: *price }),
        Event::Look => {}
    }
}

fn agree(window: usize, events: &[Event]) -> Result<(), TestCaseError> {
    let mut set = market(&format!(r#"{{"window": {window}}}"#));
    let mut naive = Naive::new(window);
    for event in events.iter().chain([&Event::Look]) {
        apply(&mut set, event);
        match event {
            Event::Book(best, deeper) => naive.book = Some((*best, *deeper)),
            Event::Trade(trade) => naive.trades.push(*trade),
            Event::Ticker(ticker) => naive.tickers.push(*ticker),
            Event::Index(price) => naive.index = Some(*price),
            Event::Look => {
                let expected = naive.vector();
                for (factor, got) in vector(&mut set).into_iter().enumerate() {
                    let want = expected[factor];
                    let near = (got - want).abs() <= 1e-12 * want.abs();
                    // The model's own sums cancel if sizes are nearly equal.
                    let near = near || factor == DEPTH_IMBALANCE && (got - want).abs() < 1e-14;
                    prop_assert!(near, "{}: {got} {want}", Market::FACTORS[factor]);
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn equals_the_model(
        window in 1usize..40,
        events in proptest::collection::vec(event(), 0..200),
    ) {
        agree(window, &events)?;
    }

    /// More trades than the count can hold, mostly in order: most advance by about a
    /// millisecond, a few go back.
    #[test]
    fn equals_the_model_over_many_trades(
        steps in proptest::collection::vec(
            prop_oneof![40 => 0i64..1_500_000, 1 => -900_000_000i64..900_000_000], 2_500),
        looks in 1usize..50,
    ) {
        let mut time = 0;
        let mut events = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            time += step;
            events.push(Event::Trade(trade(time, 1.0, 1.0)));
            if n % looks == 0 {
                events.push(Event::Look);
            }
        }
        agree(20, &events)?;
    }
}

#[test]
fn the_deviation_of_prices_that_hardly_differ_is_right() {
    const COUNT: u32 = 50;
    let step = 2f64.powi(-20);
    let mut window = window::Window::new(COUNT as usize);
    for place in 0..COUNT {
        window.push(1e5 + f64::from(place) * step, 1.0);
    }
    let count = f64::from(COUNT);
    let exact = step * ((count * count - 1.0) / 12.0).sqrt();
    let deviation = window.tape().deviation;
    assert!((deviation / exact - 1.0).abs() < 1e-9, "{deviation}");
}
