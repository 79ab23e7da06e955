//! The hot path takes no memory and causes no page fault after warm-up.
//!
//! One test in a program of its own: the counting allocator sees the whole
//! process, lanes and host's thread alike.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use signal::abi::{Depth, HostEvent, Trade};
use signal::{Config, Engine};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller upholds the contract, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn page_faults() -> i64 {
    // SAFETY: rusage is plain numbers, for which zero is valid, and getrusage
    // fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage.ru_minflt + usage.ru_majflt
    }
}

fn feed(engine: &mut Engine, depth: &mut Depth, trade: &Trade, rounds: i64) -> usize {
    let mut received = 0;
    for time in 0..rounds {
        depth.data_time = time.into();
        engine.on_event(HostEvent::Depth(depth));
        engine.on_event(HostEvent::Trade(trade));
        while engine.counters().in_flight() > 32 {
            std::hint::spin_loop();
        }
        received += engine.poll(|_, signal| {
            std::hint::black_box(signal.values[0]);
        });
    }
    while engine.counters().in_flight() > 0 {
        std::thread::yield_now();
    }
    received + engine.poll(|_, _| {})
}

fn main() {
    for placement in ["inline", "fused", "split"] {
        let config = format!(r#"{{"placement": "{placement}"}}"#);
        let mut engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
        let mut depth: Depth = bytemuck::Zeroable::zeroed();
        depth.symbol[..8].copy_from_slice(b"btc_usdt");
        depth.bid_price[0] = 100.0.into();
        depth.ask_price[0] = 101.0.into();
        let mut trade: Trade = bytemuck::Zeroable::zeroed();
        trade.symbol[..8].copy_from_slice(b"btc_usdt");
        trade.price = 100.0.into();
        // Around all rings and more.
        feed(&mut engine, &mut depth, &trade, 10_000);
        let (allocations, faults) = (ALLOCATIONS.load(Ordering::Relaxed), page_faults());
        let received = feed(&mut engine, &mut depth, &trade, 50_000);
        let new_allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
        let new_faults = page_faults() - faults;
        assert_eq!(received, 50_000);
        assert_eq!(new_allocations, 0, "{placement}: allocations");
        assert_eq!(new_faults, 0, "{placement}: page faults");
        println!("{placement}: no allocation and no page fault in 100,000 events");
    }
}
