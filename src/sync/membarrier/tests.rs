use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::*;

/// How long a litmus test runs.
const LONG_ENOUGH_TO_SEE: Duration = Duration::from_millis(1500);

/// The result of a litmus test.
#[derive(Debug, Default)]
struct Found {
    /// How often the owner was inside, and how often the other thread.
    owner: u64,
    other: u64,
    /// How often the owner continued while the other thread was inside.
    both: u64,
}

/// Store buffering as in a lock. An owner enters and leaves all the time with a light
/// barrier. Another thread marks the lock, runs `rare` as its barrier, and then checks
/// whether the owner is inside.
fn owner_and_another(rare: fn()) -> Found {
    let word = || CachePadded::new(AtomicU64::new(0));
    let (inside, mark, done) = (word(), word(), word());
    let stop = AtomicBool::new(false);
    let mut found = Found::default();
    std::thread::scope(|scope| {
        let owner = scope.spawn(|| {
            let mut entries = 0;
            while !stop.load(Ordering::Relaxed) {
                inside.store(1, Ordering::Relaxed);
                light();
                if mark.load(Ordering::Relaxed) == 0 {
                    entries += 1;
                    done.store(entries, Ordering::Relaxed);
                }
                inside.store(0, Ordering::Release);
            }
            entries
        });
        let end = Instant::now() + LONG_ENOUGH_TO_SEE;
        let wait = |turns: u64| (0..turns).for_each(|_| std::hint::spin_loop());
        for turn in 1u64.. {
            mark.store(1, Ordering::Relaxed);
            rare();
            if inside.load(Ordering::Acquire) == 0 {
                let before = done.load(Ordering::Relaxed);
                // The owner's store buffer drains meanwhile.
                wait(20);
                found.both += u64::from(done.load(Ordering::Relaxed) != before);
                found.other += 1;
            }
            mark.store(0, Ordering::Release);
            wait(turn * 7 % 32);
            if turn % 64 == 0 && Instant::now() > end {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
        found.owner = owner.join().unwrap();
    });
    found
}

#[test]
fn two_sides_never_both_miss_the_other() {
    assert!(available(), "the kernel has no membarrier");
    let found = owner_and_another(heavy);
    println!("with the kernel's barrier: {found:?}");
    assert!(found.owner > 0 && found.other > 0, "{found:?}");
    assert_eq!(found.both, 0, "{found:?}");
}

/// Shows that the test above can detect a failure: with a fence on the rare side only, both
/// are inside at once if two cores are free. How often is not asserted.
#[test]
fn a_fence_of_one_side_alone_would_not_do() {
    let found = owner_and_another(|| fence(Ordering::SeqCst));
    println!("without the kernel's barrier: {found:?}");
}
