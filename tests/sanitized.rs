//! Every placement, factor set and kind of model through the C API. This is an ordinary
//! test, and `.ci/sanitize` runs it under each sanitizer. There it also checks that the
//! sanitizer finds planted errors.

use std::ffi::{CString, c_char, c_int, c_longlong, c_void};
use std::mem::MaybeUninit;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use signal::abi::HostEvent;
use signal::ffi::*;
use signal::sync::ring::{Sender, ring};
use signal::{Config, Engine, Registry};
use support::feeds::Feeds;
use support::{events, feeds};

/// The callback counts and does not allocate, because it runs inside the poll.
unsafe extern "C-unwind" fn count(
    symbol: *const c_char,
    _timestamp: c_longlong,
    values: *const f64,
    count: c_int,
    user_data: *mut c_void,
) {
    // SAFETY: all pointers are valid during the call; `user_data` points to a u64 that
    // outlives the handle.
    unsafe {
        assert!(*symbol != 0);
        for index in 0..count as usize {
            std::hint::black_box(*values.add(index));
        }
        *user_data.cast::<u64>() += 1;
    }
}

fn on_data(handle: *mut c_void, event: HostEvent<'_>) {
    let (kind, data): (c_int, *const c_void) = match event {
        HostEvent::Depth(depth) => (101, std::ptr::from_ref(depth).cast()),
        HostEvent::Ticker(ticker) => (102, std::ptr::from_ref(ticker).cast()),
        HostEvent::Trade(trade) => (103, std::ptr::from_ref(trade).cast()),
        HostEvent::IndexPrice(index) => (104, std::ptr::from_ref(index).cast()),
    };
    // SAFETY: the handle is live, and the payload is the struct of its type.
    unsafe { signal_on_data(handle, kind, data) };
}

fn stats(handle: *mut c_void) -> signal_stats_t {
    let mut stats = signal_stats_t {
        size: size_of::<signal_stats_t>() as u64,
        ..Default::default()
    };
    // SAFETY: the handle is live and `size` is right.
    assert_eq!(unsafe { signal_stats(handle, &raw mut stats) }, 0);
    stats
}

#[test]
fn every_placement_set_and_model() {
    const ROUNDS: i64 = 300;
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models");
    let file = |name: &str| format!("{:?}", models.join(name));
    let files = ["move.json", "move.onnx", "move.txt", "move.xgb.json"].map(file);
    let shards = [r#""fused", "shards": 2"#, r#""split", "shards": 3"#];
    for placement in events::PLACEMENTS.into_iter().chain(shards) {
        for (sets, models, a_round) in [
            (r#""test0000""#, r#"["test0000"]"#.to_owned(), 4),
            (
                r#"["market"]"#,
                // The files have different names, because two of them would otherwise share one.
                format!(
                    r#"["none", {}, {{"file": {}, "name": "network"}}, {{"file": {}, "name": "trees"}},
                        {{"file": {}, "name": "boosted"}}]"#,
                    files[0], files[1], files[2], files[3]
                ),
                20,
            ),
        ] {
            // The rings hold all messages, because a lane that waits for the next one may yield.
            let config = format!(
                r#"{{"placement": {placement}, "factors": {sets}, "models": {models},
                    "callback": "per-model", "rings": {{"stage": 8192, "egress": 8192}},
                    "trigger": ["depth", "ticker", "trade", "index_price"]}}"#
            );
            drive(&config, ROUNDS, a_round * ROUNDS as u64, false);
        }
    }
}

#[test]
fn every_placement_delivers_from_on_data_and_in_batches() {
    const ROUNDS: i64 = 300;
    for placement in events::PLACEMENTS {
        for (deliver, in_batches) in [("on_data", false), ("poll", true)] {
            let config = format!(
                r#"{{"placement": {placement}, "deliver": "{deliver}", "factors": "market",
                    "models": ["none", "test0000"],
                    "callback": "per-model", "rings": {{"stage": 8192, "egress": 8192}},
                    "trigger": ["depth", "ticker", "trade", "index_price"]}}"#
            );
            drive(&config, ROUNDS, 8 * ROUNDS as u64, in_batches);
        }
    }
}

/// Takes ready signals in batches. Returns how many there were.
fn take_batches(handle: *mut c_void) -> u64 {
    let (mut results, mut taken) = ([const { MaybeUninit::<signal_result_t>::uninit() }; 16], 0);
    loop {
        // SAFETY: the handle is live and there is room for 16.
        let count = unsafe { signal_poll_batch(handle, results.as_mut_ptr().cast(), 16) };
        for result in &results[..usize::try_from(count).unwrap()] {
            // SAFETY: the call wrote this result, and the batch is still out.
            unsafe {
                let result = result.assume_init_ref();
                assert!(*result.symbol != 0);
                for index in 0..result.count as usize {
                    std::hint::black_box(*result.values.add(index));
                }
            }
            taken += 1;
        }
        if count == 0 {
            return taken;
        }
    }
}

fn drive(config: &str, rounds: i64, expected: u64, in_batches: bool) {
    let text = CString::new(config).unwrap();
    let mut feeds = Feeds::new();
    let mut counted = 0u64;
    // SAFETY: the text is NUL-terminated.
    let handle = unsafe { signal_create(text.as_ptr()) };
    assert!(!handle.is_null(), "{config}");
    if !in_batches {
        // SAFETY: the handle is live, `counted` outlives it.
        unsafe { signal_register_callback(handle, Some(count), (&raw mut counted).cast()) };
    }
    let mut in_all = 0;
    for time in 0..rounds {
        feeds.at(time);
        if time % 50 == 49 {
            feeds.rename(time as usize);
        }
        for event in feeds.events() {
            on_data(handle, event);
        }
        if in_batches {
            in_all += take_batches(handle);
        }
        signal_poll_callbacks(handle);
    }
    let limit = Instant::now() + Duration::from_secs(60);
    while stats(handle).in_flight > 0 {
        assert!(Instant::now() < limit, "{:?}", stats(handle));
        std::thread::yield_now();
    }
    if in_batches {
        in_all += take_batches(handle);
    }
    signal_poll_callbacks(handle);
    signal_destroy(handle);
    assert_eq!(counted + in_all, expected, "{config}");
}

const PLANT: &str = "SIGNAL_PLANT";

/// Without this test nobody would notice a sanitizer that checks nothing.
#[test]
fn the_sanitizer_sees_what_is_planted() {
    let Ok(sanitizer) = std::env::var("SIGNAL_SANITIZER") else {
        println!("SKIP: not under a sanitizer; .ci/sanitize sets SIGNAL_SANITIZER");
        return;
    };
    let plants: &[(&str, &[&str])] = match sanitizer.as_str() {
        "address" => &[("short", &["heap-buffer-overflow", "wire::raw::carry"])],
        "thread" => &[("none", &[]), ("race", &["data race", "sync/ring/"])],
        "realtime" => &[
            ("none", &[]),
            ("allocation", &["malloc", "Hoarder"]),
            ("system call", &["sched_yield", "Hoarder"]),
        ],
        other => panic!("there is no sanitizer {other}"),
    };
    for (plant, expected) in plants {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "planted", "--ignored", "--nocapture"])
            .env(PLANT, plant)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let clean = expected.is_empty();
        assert_eq!(output.status.success(), clean, "{plant}:\n{text}");
        for part in *expected {
            assert!(text.contains(part), "{plant}: no {part:?} in\n{text}");
        }
    }
}

/// The program that the test above starts.
#[test]
#[ignore = "plants an error on purpose"]
fn planted() {
    match std::env::var(PLANT).unwrap_or_default().as_str() {
        "short" => short(),
        "race" => race(),
        what => hoard(what),
    }
}

/// Two threads use one end of a ring.
fn race() {
    struct Shared(*mut Sender);
    // SAFETY: none, on purpose: a sender belongs to one thread at a time.
    unsafe impl Sync for Shared {}
    impl Shared {
        fn send(&self) {
            // SAFETY: none, on purpose, as above.
            let _ = unsafe { &mut *self.0 }.try_send(|words| words[0] = 1);
        }
    }
    let (mut sender, _receiver) = ring(1024, 1);
    let shared = Shared(&raw mut sender);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..100).for_each(|_| shared.send()));
        }
    });
}

/// Runs an engine whose factor set does something forbidden.
fn hoard(what: &str) {
    let mut registry = Registry::default();
    match what {
        "allocation" => registry.factors.add::<Hoarder<1>, _>(),
        "system call" => registry.factors.add::<Hoarder<2>, _>(),
        _ => registry.factors.add::<Hoarder<0>, _>(),
    };
    let config = r#"{"factors": "hoarder", "model": "none", "placement": "inline"}"#;
    let mut engine = Engine::start_with(&Config::from_json(config).unwrap(), &registry).unwrap();
    let mut feeds = Feeds::new();
    assert_eq!(feeds::feed(&mut engine, &mut feeds, 10), 10);
}

/// Hands over less than a Depth.
fn short() {
    let config = Config::from_json(r#"{"placement": "inline"}"#).unwrap();
    let mut engine = Engine::start(&config).unwrap();
    let short = vec![0u8; 105].into_boxed_slice();
    // SAFETY: none, on purpose: a Depth has 393 bytes.
    let depth = unsafe { &*short.as_ptr().cast::<signal::abi::Depth>() };
    engine.on_event(HostEvent::Depth(depth));
}

#[derive(Default)]
struct Hoarder<const WHAT: u8>;

impl<const WHAT: u8> signal::factors::FactorSet<1> for Hoarder<WHAT> {
    const NAME: &'static str = "hoarder";
    const FACTORS: [&'static str; 1] = ["none"];
    const LEVELS: usize = 1;
    type Params = signal::factors::NoParams;
    fn new(_: &signal::factors::NoParams) -> Self {
        Self
    }
    fn on_depth(&mut self, _: &signal::factors::Depth<'_>) {
        match WHAT {
            1 => drop(std::hint::black_box(Box::new(1u64))),
            2 => std::thread::yield_now(),
            _ => {}
        }
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = 1.0;
    }
}
