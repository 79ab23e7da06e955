use super::*;

#[test]
fn loom_no_event_has_ended_before_it_began() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(|| {
        let (host, lane) = (Counters::new(), Counters::new());
        let ring = Arc::new(AtomicU64::new(0));
        let writers = [host.clone(), lane.clone()];
        let inlet = ring.clone();
        let lane = loom::thread::spawn(move || {
            let received = inlet.load(Ordering::Acquire);
            for _ in 0..received {
                lane.bump(Counter::Triggered);
                lane.bump(Counter::Answered);
            }
        });
        let reader = writers.clone();
        let reader = loom::thread::spawn(move || {
            let snapshot = Snapshot::of(&reader);
            assert!(snapshot.get(Counter::Answered) <= snapshot.get(Counter::Triggered));
            assert!(snapshot.get(Counter::Triggered) <= snapshot.events());
        });
        host.bump(Counter::EventsDepth);
        ring.store(1, Ordering::Release);
        reader.join().unwrap();
        lane.join().unwrap();
        assert_eq!(Snapshot::of(&writers).events(), 1);
    });
}

#[test]
fn loom_no_copy_is_forgotten() {
    no_copy_is_forgotten(&[Counter::Triggered, Counter::Answered]);
}

#[test]
fn loom_no_copy_of_a_quarantined_event_is_forgotten() {
    no_copy_is_forgotten(&[Counter::RefusedQuarantined]);
}

/// An index price goes to two shards. A reader that sees nothing in flight also sees that
/// the event and its copy have ended. `first` are the first shard's counts.
fn no_copy_is_forgotten(first: &'static [Counter]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(move || {
        let (lane, further) = (Counters::new(), Counters::new());
        let ring = Arc::new(AtomicU64::new(0));
        let writers = [lane.clone(), further.clone()];
        let inlet = ring.clone();
        let shard = loom::thread::spawn(move || {
            if inlet.load(Ordering::Acquire) == 1 {
                further.bump(Counter::Triggered);
                further.bump(Counter::CopiesEnded);
            }
        });
        let reader = loom::thread::spawn(move || {
            let snapshot = Snapshot::of(&writers);
            assert!(snapshot.get(Counter::CopiesEnded) <= snapshot.get(Counter::Copies));
            if snapshot.events() == 1 && snapshot.in_flight() == 0 {
                assert_eq!(snapshot.get(Counter::CopiesEnded), 1);
                let triggered = 1 + u64::from(first.contains(&Counter::Triggered));
                assert_eq!(snapshot.get(Counter::Triggered), triggered);
            }
        });
        // This thread acts as the host's, ingest's and the first shard's: each of these
        // continues from what the one before has published.
        lane.bump(Counter::EventsIndexPrice);
        lane.bump(Counter::Copies);
        ring.store(1, Ordering::Release);
        for &counter in first {
            lane.bump(counter);
        }
        reader.join().unwrap();
        shard.join().unwrap();
    });
}

/// A signal waits for room, then goes into the ring. A reader that sees its event ended
/// also sees the signal held or published.
#[test]
fn loom_no_signal_is_missed_once_its_event_has_ended() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let lane = Counters::new();
        let writers = [lane.clone()];
        let reader = loom::thread::spawn(move || {
            let snapshot = Snapshot::of(&writers);
            assert!(snapshot.get(Counter::Answered) <= snapshot.queued());
        });
        lane.set(Counter::Held, 1);
        lane.bump(Counter::Answered);
        lane.bump(Counter::Published);
        lane.set(Counter::Held, 0);
        reader.join().unwrap();
    });
}
