//! The hot path does not allocate and causes no page fault after warm-up, through the C
//! ABI, as a host uses it.
//!
//! The only test in a separate program, because the counting allocator sees the whole
//! process, both the lanes and the host's thread.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use core_affinity::CoreId;
use signal::abi::EventKind;
use signal::config::{Callback, Deliver, Idle, Placement, Stage, Warm};
use signal::ffi::signal_stats_t;
use signal::{Config, Registry};
use support::events::LIMIT;
use support::feeds::{Feeds, configurations};
use support::handle::Handle;
use support::lanes::{Busy, let_lanes_run, may_be_scheduled};
use support::meters::{Counting, Of, calls_of_process, calls_of_thread, page_faults};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NEW_INSTRUMENTS: usize = 500;
/// Rounds between two settlements while the lane is away, and between two pauses.
const PART: i64 = 50;

/// One measurement and its settings.
struct Case {
    name: &'static str,
    config: Config,
    rounds: i64,
    /// The number of rounds between two polls.
    stride: i64,
    /// Whose memory and page faults are counted: the whole process's, except where a thread
    /// outside the path writes files.
    of: Of,
    /// Whether something else has the lane's core.
    is_away: bool,
    /// Whether lanes, or polls of `inline`, rehearse between two parts of the feed.
    has_pauses: bool,
    /// Whether signals are taken in batches instead of callbacks.
    in_batches: bool,
    /// Checks what else the counters must show.
    check: fn(&signal_stats_t),
}

fn main() {
    for variable in ["SIGNAL_CONFIG", "SIGNAL_CORES", "SIGNAL_LATENCY_DIR"] {
        // SAFETY: this is the process's only thread.
        unsafe { std::env::remove_var(variable) };
    }
    let folder = tempfile::tempdir().unwrap();
    // Another program's lane on the same core would make ours park.
    // SAFETY: as above.
    unsafe { std::env::set_var("SIGNAL_CORE_CLAIMS", folder.path().join("claims")) };
    for case in cases(folder.path()) {
        let events = run(&case);
        println!(
            "{}, {}: no allocation and no page fault in {events} events and {NEW_INSTRUMENTS} new instruments",
            case.name, case.config.placement
        );
    }
}

fn cases(folder: &Path) -> Vec<Case> {
    let [(smallest, _), (everything, _)] = configurations();
    let case = |name, config: &Config, placement, rounds| Case {
        name,
        config: Config {
            placement,
            ..config.clone()
        },
        rounds,
        stride: 1,
        of: Of::Process,
        is_away: false,
        has_pauses: false,
        in_batches: false,
        check: lossless,
    };
    // A million events.
    let mut cases = vec![case("defaults", &smallest, Placement::Fused, 250_000)];
    for placement in [Placement::Inline, Placement::Fused, Placement::Split] {
        cases.push(case("defaults", &smallest, placement.clone(), 10_000));
        cases.push(case("everything", &everything, placement.clone(), 2_000));
        let mut delivered = case("from on_data", &everything, placement.clone(), 2_000);
        delivered.config.deliver = Deliver::OnData;
        cases.push(delivered);
        let mut batches = case("in batches", &everything, placement.clone(), 2_000);
        batches.in_batches = true;
        batches.stride = 8;
        cases.push(batches);
        let mut paused = case("with pauses", &everything, placement.clone(), 2_000);
        paused.config.idle = Idle::Spin;
        paused.config.warm = Warm::Every(Warm::SHORTEST);
        paused.has_pauses = true;
        cases.push(paused);
        // The ring holds four signals; of the others, each instrument's newest is held back.
        let mut conflated = case("conflated", &smallest, placement, 10_000);
        conflated.config.rings.egress = 4;
        conflated.stride = 16;
        conflated.check = |stats| {
            assert!(stats.conflated_egress > 0, "{stats:?}");
            assert_eq!(stats.signals, stats.delivered + stats.conflated_egress);
            assert_eq!(stats.signals, stats.triggered);
        };
        cases.push(conflated);
    }
    let mut shared = case(
        "models shared out",
        &everything,
        Placement::Lanes(vec![
            vec![Stage::Ingest, Stage::Factor],
            vec![Stage::Model],
            vec![Stage::Model],
            vec![Stage::Egress],
        ]),
        2_000,
    );
    shared.config.callback = Callback::PerModel;
    shared.config.models.truncate(2);
    shared.check = |stats| {
        assert_eq!(stats.signals, stats.delivered);
        let made = stats.signals + stats.model_vectors_missed;
        assert_eq!(made, 2 * stats.triggered, "{stats:?}");
    };
    cases.push(shared);
    let everything_in_shards = Config {
        shards: 3,
        ..everything.clone()
    };
    for placement in [Placement::Fused, Placement::Split] {
        cases.push(case("shards", &everything_in_shards, placement, 2_000));
    }
    cases.extend(away(case(
        "lane away",
        &everything,
        Placement::Fused,
        2_000,
    )));
    // The capture's writer may allocate. All stages run on the host's thread, and only that
    // thread is measured.
    let mut captured = case("captured", &smallest, Placement::Inline, 10_000);
    captured.config.trigger = EventKind::ALL.to_vec();
    captured.config.capture.file = Some(folder.join("capture.csv"));
    captured.of = Of::Thread;
    captured.check = |stats| {
        lossless(stats);
        assert!(stats.capture_written > 0, "{stats:?}");
    };
    cases.push(captured);
    cases
}

/// The lane is away, and this thread does its work.
fn away(mut case: Case) -> Option<Case> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let [mine, lane, ..] = cores[..] else {
        support::skip("a second core");
        return None;
    };
    if !may_be_scheduled() {
        support::skip("the right to change how lanes are scheduled");
        return None;
    }
    core_affinity::set_for_current(mine);
    case.config.deliver = Deliver::OnData;
    case.config.cores = Some(vec![lane.id]);
    case.is_away = true;
    case.check = |stats| {
        lossless(stats);
        assert!(stats.stood_in > 0, "{stats:?}");
    };
    Some(case)
}

/// Checks that each computation reached the callback.
fn lossless(stats: &signal_stats_t) {
    assert!(stats.signals > 0);
    assert_eq!(stats.signals, stats.delivered, "{stats:?}");
    assert_eq!(stats.predicted, stats.delivered, "{stats:?}");
    assert_eq!(stats.model_vectors_missed, 0, "{stats:?}");
}

/// Counts the calls of the allocator and the page faults that `run` causes.
fn taken(of: Of, run: impl FnOnce()) -> (u64, i64) {
    let calls = || match of {
        Of::Process => calls_of_process(),
        Of::Thread => calls_of_thread(),
    };
    let before = (calls(), page_faults(of));
    run();
    (calls() - before.0, page_faults(of) - before.1)
}

/// Feeds rounds and waits for all answers. Returns what that took.
fn feed(case: &Case, handle: &Handle, feeds: &mut Feeds, first: i64, rounds: i64) -> (u64, i64) {
    if case.has_pauses {
        return taken(case.of, || {
            for part in 0..rounds / PART {
                handle.feed(feeds, first + part * PART, PART, case.stride);
                handle.let_rehearse(2);
            }
        });
    }
    if !case.is_away {
        return taken(case.of, || handle.feed(feeds, first, rounds, case.stride));
    }
    let mut sum = (0, 0);
    for part in 0..rounds / PART {
        let_lanes_run(false);
        let first = first + part * PART;
        let more = taken(case.of, || handle.pass(feeds, first, PART));
        sum = (sum.0 + more.0, sum.1 + more.1);
        // What the lane has begun, or what came last, is left to it.
        let_lanes_run(true);
        handle.settle();
    }
    sum
}

/// Waits until the capture's writer, which gives way to all other threads, has had a turn.
fn let_writer_run(handle: &Handle) {
    let limit = Instant::now() + LIMIT;
    while handle.stats().capture_written == 0 && Instant::now() < limit {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Runs a case. Returns how many events were counted.
fn run(case: &Case) -> i64 {
    let make = match case.in_batches {
        true => Handle::in_batches,
        false => Handle::new,
    };
    let handle = make(&case.config, &Registry::default());
    let mut feeds = Feeds::new();
    let about = format!("{}, {}", case.name, case.config.placement);
    let busy = case.is_away.then(|| {
        let lane = case.config.cores.as_ref().unwrap()[0];
        Busy::on(CoreId { id: lane })
    });
    // More than once around all rings.
    let warm = case.rounds.min(10_000);
    feed(case, &handle, &mut feeds, 0, warm);
    let before = (handle.received(), handle.stats());
    let counted = feed(case, &handle, &mut feeds, warm, case.rounds);
    assert_eq!(counted, (0, 0), "{about}: allocations, page faults");
    drop(busy);
    let (received, stats) = (handle.received(), handle.stats());
    assert!(received > before.0, "{about}");
    let rehearsed = stats.rehearsals > before.1.rehearsals;
    assert!(rehearsed || !case.has_pauses, "{about}: {stats:?}");
    let events = |stats: &signal_stats_t| {
        stats.events_depth + stats.events_ticker + stats.events_trade + stats.events_index_price
    };
    let fed = events(&stats) - events(&before.1);
    assert_eq!(fed, 4 * case.rounds as u64, "{about}");
    // Instruments that were not seen before do not allocate either.
    let counted = taken(case.of, || {
        for number in 0..NEW_INSTRUMENTS {
            feeds.rename(number);
            handle.feed(&mut feeds, 0, 1, 1);
        }
    });
    assert_eq!(counted, (0, 0), "{about}: new instruments");
    if case.config.capture.file.is_some() {
        let_writer_run(&handle);
    }
    let stats = handle.settle();
    assert_eq!(stats.delivered, handle.received(), "{about}");
    let ended = stats.updates + stats.answered;
    assert_eq!(events(&stats), ended, "{about}: {stats:?}");
    (case.check)(&stats);
    4 * case.rounds
}
