//! The hot path takes no memory and causes no page fault after warm-up.
//!
//! One test in a program of its own: the counting allocator sees the whole
//! process, lanes and host's thread alike.

use signal::Engine;
use signal::pipeline::placement::Placement;

#[path = "support/feeds.rs"]
mod feeds;
#[path = "support/meters.rs"]
mod meters;

use feeds::{Feeds, configurations, feed};
use meters::{Of, calls_of_process, page_faults};

/// What the process takes while `run` runs: calls of the allocator, page faults.
fn taken<R>(run: impl FnOnce() -> R) -> (R, u64, i64) {
    let (calls, faults) = (calls_of_process(), page_faults(Of::Process));
    let result = run();
    (
        result,
        calls_of_process() - calls,
        page_faults(Of::Process) - faults,
    )
}

fn main() {
    // A million events and more over all cases.
    const ROUNDS: i64 = 42_000;
    const NEW_INSTRUMENTS: usize = 500;
    for placement in [Placement::Inline, Placement::Fused, Placement::Split] {
        for (mut config, signals) in configurations() {
            config.placement = placement.clone();
            let mut engine = Engine::start(&config).unwrap();
            let mut feeds = Feeds::new();
            // Around all rings and more.
            feed(&mut engine, &mut feeds, ROUNDS / 4);
            let (received, calls, faults) = taken(|| feed(&mut engine, &mut feeds, ROUNDS));
            assert_eq!(received, ROUNDS as usize * signals, "{}", engine.about());
            assert_eq!(
                (calls, faults),
                (0, 0),
                "{}: allocations, page faults",
                engine.about()
            );
            // Instruments that have not been heard of take no memory either.
            let (received, calls, faults) = taken(|| {
                let mut received = 0;
                for number in 0..NEW_INSTRUMENTS {
                    feeds.rename(number);
                    received += feed(&mut engine, &mut feeds, 1);
                }
                received
            });
            let about = engine.about();
            assert_eq!(received, NEW_INSTRUMENTS * signals, "{about}");
            assert_eq!((calls, faults), (0, 0), "{about}: new instruments");
            println!(
                "{about}: no allocation and no page fault in {} events and {NEW_INSTRUMENTS} new instruments",
                4 * ROUNDS
            );
        }
    }
}
