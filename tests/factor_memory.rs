//! `market` takes all its memory when an instrument is made: nothing is
//! allocated and no page is touched first while events come in.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use signal::factors::{Depth, FactorSet, IndexPrice, Market, Ticker, Trade};
use signal::testing;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // Fails while a thread ends, which is no concern of the tests.
    let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
}

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller upholds the contract, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count();
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Page faults of this thread.
fn page_faults() -> i64 {
    // SAFETY: rusage is plain numbers, for which zero is valid, and getrusage
    // fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_THREAD, &mut usage);
        usage.ru_minflt + usage.ru_majflt
    }
}

/// Every event once a round, factors now and then; times step back, too.
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
    // The code and the stack are there after the first.
    feed(&mut market(), 100);
    let mut instruments: Vec<_> = (0..16).map(|_| market()).collect();
    let (allocations, faults) = (ALLOCATIONS.get(), page_faults());
    let sum: f64 = instruments.iter_mut().map(|set| feed(set, 4_200)).sum();
    let taken = (ALLOCATIONS.get() - allocations, page_faults() - faults);
    assert_eq!(taken, (0, 0), "allocations, page faults");
    assert!(sum.is_finite());
}

/// What the test above would see if memory were taken late.
#[test]
fn the_meters_see_late_memory() {
    const BYTES: usize = 64 << 20;
    let (allocations, faults) = (ALLOCATIONS.get(), page_faults());
    let mut zeros = vec![0u8; BYTES];
    for byte in zeros.iter_mut().step_by(4096) {
        *byte = 1;
    }
    std::hint::black_box(&zeros);
    assert!(ALLOCATIONS.get() > allocations);
    assert!(page_faults() > faults);
}
