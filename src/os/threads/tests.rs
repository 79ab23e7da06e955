use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::start::spawn_within;
use super::*;
use crate::os::limit::Limit;

#[test]
fn what_a_thread_gives_and_what_it_panics_with_come_back() {
    let thread = spawn(Wanted::brief("signal-test"), || 7).unwrap();
    assert_eq!(thread.join().unwrap(), 7);
    let thread = spawn(Wanted::brief("signal-test"), || panic!("as it should")).unwrap();
    let panic = thread.join().map(|(): ()| ()).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"as it should"));
}

#[test]
fn a_thread_that_does_not_end_is_left_at_the_deadline() {
    let (go, wait) = mpsc::channel::<()>();
    let thread = spawn(Wanted::brief("signal-test"), move || wait.recv().is_ok()).unwrap();
    let thread = thread
        .join_within(&mut Limit::of(Duration::from_millis(20)))
        .unwrap_err();
    assert_eq!(thread.name(), "signal-test");
    go.send(()).unwrap();
    let joined = thread.join_within(&mut Limit::of(Duration::from_secs(60)));
    assert!(joined.unwrap().unwrap());
}

#[test]
fn a_thread_that_gives_way_has_the_nice_value_of_the_one_that_waits_for_it() {
    let cores = cores::Cores::detect().allowed;
    let (is_begun, begun) = mpsc::channel();
    let (go, wait) = mpsc::channel::<()>();
    let wanted = Wanted::aside("signal-test", "the test's thread", cores);
    let thread = spawn(wanted, move || {
        is_begun.send(()).unwrap();
        wait.recv().is_ok()
    });
    let mut thread = thread.unwrap();
    begun.recv().unwrap();
    let id = thread.life().id();
    // Its maker may wait for it beside busy threads.
    assert_eq!(nice_of(id), nice_of(0));
    thread.give_way();
    assert_eq!(nice_of(id), Some(19));
    let waited = thread.join_within(&mut Limit::of(Duration::from_millis(20)));
    let thread = waited.map(drop).unwrap_err();
    let own = nice_of(0).unwrap();
    if nice_of(id) != Some(own) {
        // SAFETY: the call changes only that thread's priority.
        let refused = unsafe { libc::setpriority(libc::PRIO_PROCESS, id, own) } != 0;
        assert!(refused, "it may be raised, and was not");
        eprintln!("skipped: this process may not lower a nice value");
    }
    go.send(()).unwrap();
    assert!(thread.join().unwrap());
}

#[test]
fn a_thread_that_cannot_be_what_it_should_says_why() {
    let wanted = Wanted::lane(3, Some(usize::MAX), Scheduling::default());
    let error = spawn(wanted, || ()).map(drop).unwrap_err();
    assert!(error.contains("out of range"), "{error}");
}

#[test]
fn a_thread_is_what_is_wanted_before_it_runs() {
    let allowed = cores::Cores::detect().allowed;
    let wanted = Wanted::lane(3, Some(allowed[0]), Scheduling::default());
    let is = move || {
        let name = std::fs::read_to_string("/proc/thread-self/comm").unwrap();
        // SAFETY: the calls read only the calling thread.
        let (slack, nice) = unsafe {
            (
                libc::prctl(libc::PR_GET_TIMERSLACK),
                libc::getpriority(libc::PRIO_PROCESS, 0),
            )
        };
        (name, slack, nice, core_affinity::get_core_ids().unwrap())
    };
    let (name, slack, nice, on) = spawn(wanted, is).unwrap().join().unwrap();
    assert_eq!(name, "signal-lane-3\n");
    assert_eq!((slack, nice), (50_000, 0));
    assert_eq!(
        on.iter().map(|core| core.id).collect::<Vec<_>>(),
        [allowed[0]]
    );
}

#[test]
fn a_lane_has_the_slice_that_it_asks_for_or_says_why_not() {
    let lane = |slice_us, nice| {
        let scheduling = Scheduling {
            nice,
            slice_us,
            ..Scheduling::default()
        };
        let is = || (slice::of_this_thread(), nice_of(0));
        spawn(Wanted::lane(3, None, scheduling), is).map(|lane| lane.join().unwrap())
    };
    let usual = lane(None, 0).unwrap();
    for us in [100, 3_000, 100_000] {
        match (usual.0, lane(Some(us), 0)) {
            (Some(_), has) => assert_eq!(has, Ok((Some(us.into()), usual.1))),
            (None, refused) => {
                let why = refused.unwrap_err();
                assert!(why.contains("slice_us") && why.contains("6.12"), "{why}");
            }
        }
    }
    if usual.0.is_none() {
        return;
    }
    assert_eq!(lane(Some(200), 5), Ok((Some(200), Some(5))));
    // The kernel would make it the nearest one that it has.
    let why = lane(Some(50), 0).unwrap_err();
    assert!(
        why.contains("slice_us: 50 was not taken, and a lane has 100 us"),
        "{why}"
    );
    // It is the lane's own.
    assert_eq!(lane(None, 0), Ok(usual));
}

#[test]
fn stacks_hold_what_glibc_takes_and_as_much_again_of_ours() {
    const PAGE: usize = 4096;
    fn deep(pages: usize) -> usize {
        let room = [1u8; PAGE];
        let here = usize::from(std::hint::black_box(&room)[pages]);
        if pages == 0 {
            here
        } else {
            here + deep(pages - 1)
        }
    }
    assert!(stack_bytes() > 2 << 20);
    let thread = spawn(Wanted::brief("signal-test"), || deep(399)).unwrap();
    assert_eq!(thread.join().unwrap(), 400);
}

#[test]
fn a_thread_that_does_not_start_is_given_up_and_never_runs() {
    for _ in 0..1000 {
        let has_run = Arc::new(AtomicBool::new(false));
        let runs = has_run.clone();
        let run = move || runs.store(true, Ordering::Relaxed);
        let Err(why) = spawn_within(Duration::ZERO, Wanted::brief("signal-test"), run) else {
            // The thread started at once.
            continue;
        };
        assert!(
            why.starts_with("the thread signal-test has not started for 0 s"),
            "{why}"
        );
        // A thread drops its closure when it ends.
        while Arc::strong_count(&has_run) > 1 {
            std::thread::yield_now();
        }
        assert!(!has_run.load(Ordering::Relaxed));
        return;
    }
    panic!("every thread was there at once");
}

#[test]
fn a_thread_that_came_to_its_end_was_not_cut_short() {
    let (told, wait) = std::sync::mpsc::channel::<()>();
    let thread = spawn(Wanted::brief("signal-test"), move || wait.recv()).unwrap();
    let life = thread.life();
    assert!(!life.has_ended() && !life.was_cut_short());
    told.send(()).unwrap();
    thread.join().unwrap().unwrap();
    // Also when the kernel has removed it.
    std::thread::sleep(Duration::from_millis(20));
    assert!(life.has_ended() && !life.was_cut_short());
}
