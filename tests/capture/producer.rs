//! The capture: what it writes replays to the same signals, and what it does not write is counted.

use std::path::Path;

use signal::HealthState;
use signal::abi::{HostEvent, IndexPrice, Ticker, Trade};
use signal::messages::ModelId;
use signal::replay::{self, Feed};
use signal::telemetry::counters::{Counter, Snapshot};
use signal::{Config, Engine};
use support::events::{LIMIT, Owned, PLACEMENTS, depth, feed, play, put, run};

/// All four feeds, of instruments that differ only in exchange, symbol or type. Ingest
/// refuses some of the events. Some numbers survive only if they are written exactly.
fn mixed_events(count: usize) -> Vec<Owned> {
    let mut random = fastrand::Rng::with_seed(11);
    let symbols = [
        "btc_usdt",
        "ETHUSDT",
        "a,b\"c",
        "0123456789abcdef0123456789_USDTX",
        "币安人生_usdt",
        "ДОГЕ",
    ];
    let exchanges = ["binance", "okx, \"2\"\n", ""];
    let types = [7i8, 5, -1];
    (0..count)
        .map(|index| {
            let symbol = symbols[random.usize(..symbols.len())];
            let exchange = exchanges[random.usize(..exchanges.len())];
            let kind = types[random.usize(..types.len())];
            let time = 1_700_000_000_000_000_000 + index as i64 * 1_000_003;
            let bad = random.u8(..20) == 0;
            let price = if bad {
                f64::NAN
            } else {
                random.f64() * 1e3 + 1e-9
            };
            let size = random.f64() * 10f64.powi(random.i32(-20..20));
            match random.u8(..5) {
                0 => {
                    let mut ticker: Ticker = bytemuck::Zeroable::zeroed();
                    put(&mut ticker.symbol, symbol);
                    put(&mut ticker.exchange_id, exchange);
                    ticker.instrument_type = kind;
                    ticker.data_time = time.into();
                    ticker.bid_price = price.into();
                    ticker.ask_price = (price + 0.1).into();
                    ticker.bid_volume = size.into();
                    ticker.ask_volume = (size / 3.0).into();
                    Owned::Ticker(ticker)
                }
                1 => {
                    let mut trade: Trade = bytemuck::Zeroable::zeroed();
                    put(&mut trade.symbol, symbol);
                    put(&mut trade.exchange_id, exchange);
                    trade.instrument_type = kind;
                    trade.trade_time = time.into();
                    trade.price = price.into();
                    trade.volume = size.into();
                    trade.side = random.i8(-1..5);
                    Owned::Trade(trade)
                }
                2 => {
                    let mut index: IndexPrice = bytemuck::Zeroable::zeroed();
                    put(&mut index.symbol, symbol);
                    put(&mut index.exchange_id, exchange);
                    index.instrument_type = kind;
                    index.price = price.into();
                    Owned::Index(index)
                }
                _ => {
                    let mut owned = depth(symbol, time, price + 1.0);
                    let Owned::Depth(book) = &mut owned else {
                        unreachable!()
                    };
                    book.exchange_id = [0; 16];
                    put(&mut book.exchange_id, exchange);
                    book.instrument_type = kind;
                    book.bid_volume[0] = size.into();
                    // Some books have only a few levels.
                    if random.bool() {
                        for level in 4..10 {
                            book.ask_price[level] = 0.0.into();
                            book.ask_volume[level] = 0.0.into();
                        }
                    }
                    owned
                }
            }
        })
        .collect()
}

fn accepted(counters: &Snapshot) -> u64 {
    counters.get(Counter::Updates) + counters.get(Counter::Answered)
}

/// The number of events in the file, in which every line must be complete. The writer's own
/// counts are final only after the engine has been dropped.
fn lines(path: &Path) -> u64 {
    let text = std::fs::read(path).unwrap();
    assert_eq!(text.last(), Some(&b'\n'), "the file ends in a whole line");
    replay::read(&[path]).unwrap().events().len() as u64
}

/// Sequence, model, symbol, time and value bits.
type Seen = (u64, Option<ModelId>, String, i64, Vec<u64>);

/// What a host sees of each signal. Input numbers are left out: they differ if events were refused.
fn seen(feed: &Feed, config: &str) -> (Vec<Seen>, u64) {
    let (received, engine) = run(config, feed);
    let seen = received
        .into_iter()
        .map(|(sequence, _, model, symbol, time, values)| (sequence, model, symbol, time, values))
        .collect();
    (seen, accepted(&engine.counters()))
}

#[test]
fn a_replayed_capture_gives_bit_identical_signals() {
    let original = feed(&mixed_events(3_000));
    let dir = tempfile::tempdir().unwrap();
    // The lanes carry one book level in the first case and all ten in the second.
    for factors in [r#"["test0000"]"#, r#"["test0000", "market"]"#] {
        for (index, placement) in PLACEMENTS.iter().enumerate() {
            let file = dir.path().join(format!("new/{index}.csv"));
            let config = |capture: &str| {
                format!(
                    r#"{{"factors": {factors}, "models": ["none", "test0000"],
                        "callback": "per-model",
                        "trigger": ["depth", "ticker", "trade", "index_price"],
                        "symbols": {:?}, "timing": {}, "placement": {placement}{capture}}}"#,
                    ["compact", "host"][index % 2],
                    index % 2 == 0
                )
            };
            let capture = format!(r#", "capture": {{"file": {file:?}}}"#);
            let (expected, taken) = seen(&original, &config(&capture));
            assert!(expected.len() > 3_000 && taken < 3_000, "some are refused");
            assert_eq!(lines(&file), taken);
            let replayed = replay::read(&[&file]).unwrap();
            let (again, taken_again) = seen(&replayed, &config(""));
            assert_eq!(taken_again, taken);
            assert!(again == expected, "{placement} with {factors} differs");
        }
    }
}

#[test]
fn an_event_is_written_as_it_came_and_when() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.csv");
    let config = format!(
        r#"{{"factors": "market", "placement": "inline", "capture": {{"file": {file:?}}}}}"#
    );
    let original = feed(&mixed_events(200));
    let (_, engine) = run(&config, &original);
    drop(engine);
    let replayed = replay::read(&[&file]).unwrap();
    let arrivals: Vec<_> = replayed
        .events()
        .iter()
        .map(|event| event.recv_ns)
        .collect();
    assert!(arrivals.is_sorted(), "in the order of arrival");
    assert!(arrivals[0] > 1_600_000_000_000_000_000, "since the epoch");
    assert!(replayed.events().len() > 150);
    let bytes = |feed: &Feed| -> Vec<Vec<u8>> {
        let events = feed.events().iter();
        events.map(|event| feed.payload(event).to_vec()).collect()
    };
    let originals = bytes(&original);
    let mut originals = originals.iter();
    for (place, event) in bytes(&replayed).iter().enumerate() {
        let found = originals.any(|original| original == event);
        assert!(found, "event {place} is none that was given, in order");
    }
}

#[test]
fn a_symbol_that_the_field_cuts_is_captured_as_text() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.csv");
    let config = format!(r#"{{"placement": "inline", "capture": {{"file": {file:?}}}}}"#);
    // The field ends in the middle of the eleventh character.
    let original = feed(&[depth(&"币".repeat(12), 1, 100.0)]);
    let (expected, _) = seen(&original, &config);
    assert_eq!(expected[0].2, "币".repeat(10));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!(",{},", "币".repeat(10))), "{text}");
    let (again, _) = seen(
        &replay::read(&[&file]).unwrap(),
        r#"{"placement": "inline"}"#,
    );
    assert_eq!(again, expected);
}

#[test]
fn what_the_writer_misses_is_counted_and_the_pipeline_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("events.csv");
    let config =
        format!(r#"{{"placement": "inline", "capture": {{"file": {file:?}, "buffer": 2}}}}"#);
    let mut engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
    let Owned::Depth(book) = depth("btc_usdt", 1, 100.0) else {
        unreachable!()
    };
    let mut signals = 0;
    for _ in 0..200_000 {
        engine.on_event(HostEvent::Depth(&book));
        signals += engine.poll(|_, _| ());
    }
    assert_eq!(signals, 200_000);
    // The writer catches up while no event comes.
    let counts = wait(&engine, 200_000);
    assert!(counts[1] > 0, "a buffer of two was enough");
    assert_eq!(counts[2], 0);
    let health = engine.health();
    assert_eq!(health.state, HealthState::Degraded, "{health}");
    let missed = format!("the capture has missed {} events", counts[1]);
    assert!(health.why.contains(&missed), "{health}");
    assert_eq!(engine.health().state, HealthState::Ok);
    drop(engine);
    assert_eq!(lines(&file), counts[0]);
    // The gaps show in the numbers of the lines.
    let text = std::fs::read_to_string(&file).unwrap();
    let numbers: Vec<u64> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(4).unwrap().parse().unwrap())
        .collect();
    let before_last: u64 = numbers.windows(2).map(|two| two[1] - two[0] - 1).sum();
    let ends = (numbers[0] - 1) + (200_000 - numbers[numbers.len() - 1]);
    assert_eq!(before_last + ends, counts[1]);
}

/// Waits until the writer has handled `events` events. Returns how many were written,
/// missed and failed.
fn wait(engine: &Engine, events: u64) -> [u64; 3] {
    let limit = std::time::Instant::now() + LIMIT;
    loop {
        let counters = engine.counters();
        let counts = [
            Counter::CaptureWritten,
            Counter::CaptureMissed,
            Counter::CaptureFailed,
        ]
        .map(|counter| counters.get(counter));
        if counts.iter().sum::<u64>() == events {
            return counts;
        }
        assert!(std::time::Instant::now() < limit, "stuck at {counts:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_is_counted_and_the_pipeline_goes_on() {
    let config = r#"{"placement": "inline", "capture": {"file": "/dev/full"}}"#;
    let config = Config::from_json(config).unwrap();
    // The machine has only one such device, and this test may run twice at once.
    let limit = std::time::Instant::now() + LIMIT;
    let engine = loop {
        match Engine::start(&config) {
            Ok(engine) => break engine,
            Err(why) if std::time::Instant::now() > limit => panic!("{why}"),
            Err(why) => assert!(why.to_string().contains("no other handle writes"), "{why}"),
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    let (received, engine) = play(engine, &feed(&mixed_events(500)));
    let taken = accepted(&engine.counters());
    assert!(!received.is_empty() && engine.failure().is_none());
    assert_eq!(wait(&engine, taken), [0, 0, taken]);
    let health = engine.health();
    assert_eq!(health.state, HealthState::Degraded, "{health}");
    let lacks =
        format!("the capture has ended: its file could not be written and lacks {taken} events");
    assert!(health.why.contains(&lacks), "{health}");
}

#[test]
fn a_capture_that_was_cut_can_be_replayed_part_by_part() {
    let dir = tempfile::tempdir().unwrap();
    let (file, part) = (dir.path().join("events.csv"), dir.path().join("part.csv"));
    let config = format!(r#"{{"placement": "inline", "capture": {{"file": {file:?}}}}}"#);
    let mut engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
    for time in 1..=5 {
        engine.on_event(depth("btc_usdt", time, 100.0).event());
    }
    wait(&engine, 5);
    // As logrotate's `copytruncate` does it.
    std::fs::copy(&file, &part).unwrap();
    std::fs::write(&file, "").unwrap();
    for time in 6..=9 {
        engine.on_event(depth("btc_usdt", time, 100.0).event());
    }
    assert_eq!(wait(&engine, 9), [9, 0, 0]);
    let health = engine.health();
    assert_eq!(health.state, HealthState::Degraded, "{health}");
    assert!(health.why.contains("rename it instead"), "{health}");
    drop(engine);
    let times = |files: &[&Path]| -> Vec<i64> {
        let feed = replay::read(files).unwrap();
        let times = feed.iter().map(|event| match event {
            HostEvent::Depth(depth) => depth.data_time.get(),
            _ => 0,
        });
        times.collect()
    };
    assert_eq!(times(&[&part]), [1, 2, 3, 4, 5]);
    assert_eq!(times(&[&file]), [6, 7, 8, 9]);
    assert_eq!(times(&[&file, &part]), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    // Without its first line, a capture is refused by name.
    let text = std::fs::read_to_string(&file).unwrap();
    let (_, headless) = text.split_once('\n').unwrap();
    std::fs::write(&file, headless).unwrap();
    let why = replay::read(&[&file]).unwrap_err().to_string();
    assert!(why.contains("events.csv: line 1"), "{why}");
    assert!(why.contains("whose first line names the columns"), "{why}");
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let start = |file: &Path| {
        let json = format!(r#"{{"capture": {{"file": {file:?}}}}}"#);
        Engine::start(&Config::from_json(&json).unwrap())
    };
    let folder = start(dir.path()).unwrap_err().to_string();
    assert!(folder.contains("capture: cannot write"), "{folder}");
    assert!(folder.contains(dir.path().to_str().unwrap()), "{folder}");
    let file = dir.path().join("events.csv");
    let first = start(&file).unwrap();
    let second = start(&file).unwrap_err().to_string();
    assert!(second.contains("no other handle writes"), "{second}");
    drop(first);
    start(&file).unwrap();
    let unknown = Config::from_json(r#"{"capture": {"path": "x"}}"#).unwrap_err();
    assert!(unknown.to_string().contains("capture.path"), "{unknown}");
    let small = Config::from_json(r#"{"capture": {"buffer": 1}}"#).unwrap_err();
    assert!(small.to_string().contains("from 2 to 1048576"), "{small}");
}

#[test]
fn an_engine_never_writes_over_what_it_reads() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("summary.json");
    let text = r#"{"weights": [1, 2, 3], "bias": 0}"#;
    std::fs::write(&model, text).unwrap();
    std::fs::hard_link(&model, dir.path().join("link.csv")).unwrap();
    for output in [
        format!(
            r#""capture": {{"file": {:?}}}"#,
            dir.path().join("link.csv")
        ),
        format!(r#""latency": {{"dir": {:?}}}"#, dir.path()),
    ] {
        let json = format!(r#"{{"model": {model:?}, {output}}}"#);
        let config = Config::from_json(&json).unwrap();
        let error = Engine::start(&config).unwrap_err().to_string();
        assert!(error.contains("the same file as the model"), "{error}");
        assert_eq!(std::fs::read_to_string(&model).unwrap(), text);
    }
}

#[derive(Default)]
struct Bomb;

impl signal::factors::FactorSet<1> for Bomb {
    const NAME: &'static str = "bomb";
    const FACTORS: [&'static str; 1] = ["none"];
    const LEVELS: usize = 1;
    type Params = signal::factors::NoParams;
    fn new(_: &signal::factors::NoParams) -> Self {
        Self
    }
    fn on_depth(&mut self, depth: &signal::factors::Depth<'_>) {
        assert!(depth.timestamp != 3, "the bomb went off");
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = 1.0;
    }
}

#[test]
fn the_event_that_makes_a_factor_set_panic_is_in_the_capture() {
    let mut registry = signal::Registry::default();
    registry.factors.add::<Bomb, _>();
    let dir = tempfile::tempdir().unwrap();
    for placement in ["inline", "fused"] {
        let file = dir.path().join(placement);
        let config = format!(
            r#"{{"factors": "bomb", "model": "none", "placement": "{placement}",
                "capture": {{"file": {file:?}}}}}"#
        );
        let config = Config::from_json(&config).unwrap();
        let mut engine = Engine::start_with(&config, &registry).unwrap();
        for time in 1..=3 {
            engine.on_event(depth("btc_usdt", time, 100.0).event());
        }
        wait(&engine, 3);
        drop(engine);
        let times: Vec<_> = replay::read(&[&file])
            .unwrap()
            .iter()
            .map(|event| match event {
                HostEvent::Depth(depth) => depth.data_time.get(),
                _ => 0,
            })
            .collect();
        assert_eq!(times, [1, 2, 3]);
    }
}
