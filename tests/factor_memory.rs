//! `market` allocates all its memory when an instrument is made: events neither allocate
//! nor touch a page for the first time.

use signal::factors::{Depth, FactorSet, IndexPrice, Market, Ticker, Trade};
use signal::testing;
use support::meters::{Counting, Of, calls_of_thread, page_faults};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Gives every event once per round and reads the factors now and then. Times sometimes step back.
fn feed(set: &mut Market, rounds: i64) -> f64 {
    let book: [f64; 40] = std::array::from_fn(|n| 100.0 + n as f64);
    let mut out = [0.0; 15];
    let mut sum = 0.0;
    for round in 0..rounds {
        let timestamp = (round ^ (round & 64)) * 100_000;
        set.on_depth(&Depth::from_values(timestamp, &book));
        set.on_ticker(&Ticker::from_values(timestamp, &book));
        set.on_trade(&Trade::from_values(
            timestamp,
            0,
            &book[round as usize % 20..],
        ));
        set.on_index_price(&IndexPrice { price: 100.0 });
        if round % 32 == 0 {
            set.write(&mut out);
            sum += out.iter().sum::<f64>();
        }
    }
    sum
}

fn market() -> Market {
    testing::instrument::<Market, _>(r#"{"window": 4096}"#).expect("right parameters")
}

#[test]
fn events_take_no_memory() {
    // The first run loads the code and touches the stack.
    feed(&mut market(), 100);
    let mut instruments: Vec<_> = (0..16).map(|_| market()).collect();
    let (allocations, faults) = (calls_of_thread(), page_faults(Of::Thread));
    let sum: f64 = instruments.iter_mut().map(|set| feed(set, 4_200)).sum();
    let taken = (
        calls_of_thread() - allocations,
        page_faults(Of::Thread) - faults,
    );
    assert_eq!(taken, (0, 0), "allocations, page faults");
    assert!(sum.is_finite());
}

/// Shows that the test above would detect memory that is taken late.
#[test]
fn the_meters_see_late_memory() {
    const BYTES: usize = 64 << 20;
    let (allocations, faults) = (calls_of_thread(), page_faults(Of::Thread));
    let mut zeros = vec![0u8; BYTES];
    for byte in zeros.iter_mut().step_by(4096) {
        *byte = 1;
    }
    std::hint::black_box(&zeros);
    assert!(calls_of_thread() > allocations);
    assert!(page_faults(Of::Thread) > faults);
}
