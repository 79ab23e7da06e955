//! The hot path takes no memory and causes no page fault after warm-up.
//!
//! One test in a program of its own: the counting allocator sees the whole
//! process, lanes and host's thread alike.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use bytemuck::Zeroable;
use signal::abi::{Depth, EventKind, HostEvent, IndexPrice, Ticker, Trade};
use signal::pipeline::placement::Placement;
use signal::stages::Callback;
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

/// An instrument's four feeds; prices and times move.
struct Feeds {
    depth: Depth,
    ticker: Ticker,
    trade: Trade,
    index: IndexPrice,
}

impl Feeds {
    fn new() -> Self {
        let mut feeds = Self {
            depth: Depth::zeroed(),
            ticker: Ticker::zeroed(),
            trade: Trade::zeroed(),
            index: IndexPrice::zeroed(),
        };
        for symbol in [
            &mut feeds.depth.symbol,
            &mut feeds.ticker.symbol,
            &mut feeds.trade.symbol,
            &mut feeds.index.symbol,
        ] {
            symbol[..8].copy_from_slice(b"btc_usdt");
        }
        feeds.trade.volume = 1.0.into();
        feeds
    }

    fn feed(&mut self, engine: &mut Engine, time: i64) {
        let price = 100.0 + (time % 97) as f64 / 8.0;
        self.depth.data_time = time.into();
        self.depth.bid_price[0] = price.into();
        self.depth.ask_price[0] = (price + 1.0).into();
        self.ticker.bid_price = price.into();
        self.ticker.ask_price = (price + 1.0).into();
        self.trade.price = price.into();
        self.trade.trade_time = (time * 1_000_000).into();
        self.index.price = price.into();
        engine.on_event(HostEvent::Depth(&self.depth));
        engine.on_event(HostEvent::Trade(&self.trade));
        engine.on_event(HostEvent::Ticker(&self.ticker));
        engine.on_event(HostEvent::IndexPrice(&self.index));
    }
}

/// Signals of so many rounds of all four feeds.
fn feed(engine: &mut Engine, feeds: &mut Feeds, rounds: i64) -> usize {
    let mut received = 0;
    for time in 0..rounds {
        feeds.feed(engine, time);
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

/// The smallest configuration, and one with every kind of factor set, model and
/// trigger. The second value is the number of signals a round.
fn configurations() -> [(Config, usize); 2] {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut all = Config::from_file(&examples.join("market-models.json")).unwrap();
    all.callback = Callback::PerModel;
    all.trigger = EventKind::ALL.to_vec();
    let signals = all.models.len() * all.trigger.len();
    [(Config::default(), 1), (all, signals)]
}

fn main() {
    const ROUNDS: i64 = 25_000;
    for placement in [Placement::Inline, Placement::Fused, Placement::Split] {
        for (mut config, signals) in configurations() {
            config.placement = placement.clone();
            let mut engine = Engine::start(&config).unwrap();
            let mut feeds = Feeds::new();
            // Around all rings and more.
            feed(&mut engine, &mut feeds, ROUNDS / 4);
            let (allocations, faults) = (ALLOCATIONS.load(Ordering::Relaxed), page_faults());
            let received = feed(&mut engine, &mut feeds, ROUNDS);
            let new_allocations = ALLOCATIONS.load(Ordering::Relaxed) - allocations;
            let new_faults = page_faults() - faults;
            let about = engine.about();
            assert_eq!(received, ROUNDS as usize * signals, "{about}");
            assert_eq!(new_allocations, 0, "{about}: allocations");
            assert_eq!(new_faults, 0, "{about}: page faults");
            println!("{about}: no allocation and no page fault in 100,000 events");
        }
    }
}
