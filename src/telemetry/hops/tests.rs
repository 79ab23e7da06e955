use super::*;

#[test]
fn each_stage_has_its_hops_and_each_hop_a_name_of_its_own() {
    let stages = [
        (Stage::Ingest, "ingest"),
        (Stage::Factor, "factor"),
        (Stage::Model, "model"),
        (Stage::Egress, "egress"),
    ];
    for (stage, name) in stages {
        assert_eq!(Hop::wait(stage).name(), format!("{name}.wait"));
        assert_eq!(Hop::work(stage).name(), format!("{name}.work"));
    }
    for (index, hop) in Hop::ALL.iter().enumerate() {
        assert_eq!(*hop as usize, index);
        let mut before = Hop::ALL[..index].iter();
        assert!(before.all(|other| other.name() != hop.name()), "{hop:?}");
    }
}

#[test]
fn the_last_place_of_a_histogram_counts_what_is_beyond_it() {
    assert_eq!(MAX_NS, 4_398_046_511_103);
    let mut latencies = histogram();
    for nanos in [1, 1_000, MAX_NS / 2, MAX_NS, MAX_NS + 1, u64::MAX] {
        latencies.saturating_record(nanos);
    }
    assert_eq!((latencies.len(), beyond(&latencies)), (6, 3));
    assert_eq!(latencies.high(), MAX_NS);
}

/// The hops of a set, each with its number of latencies.
fn counts(set: &HopSet) -> Vec<(Hop, u64)> {
    set.iter()
        .map(|(hop, latencies)| (hop, latencies.len()))
        .collect()
}

#[test]
fn a_set_goes_to_the_reader_when_asked_for_and_comes_back_empty() {
    let clock = Clock::new(true);
    let before = clock.now();
    let (mut recorder, mut feed) = recorder(&[Hop::ModelWork, Hop::IngestWait], &clock);
    let made = clock.now();
    // Three rounds: the first round's set is used again in the third.
    let mut ended = 0;
    for round in 1..=3u64 {
        for _ in 0..round {
            recorder.record(Hop::ModelWork, 0, clock.ticks(5_000));
        }
        recorder.record(Hop::IngestWait, 0, clock.ticks(70_000));
        recorder.record(Hop::FactorWork, 0, clock.ticks(5_000));
        recorder.hand_over();
        assert!(
            !feed.is_open() && feed.take(|_| ()).is_none(),
            "nobody has asked"
        );
        feed.request();
        feed.request();
        assert!(
            feed.is_open() && feed.take(|_| ()).is_none(),
            "nothing has come"
        );
        recorder.hand_over();
        let (found, started, until) = feed
            .take(|set| {
                let (_, wait) = set.iter().nth(1).unwrap();
                assert!(wait.equivalent(wait.max(), 70_000), "{}", wait.max());
                (counts(set), set.started, set.ended)
            })
            .unwrap();
        assert_eq!(found, [(Hop::ModelWork, round), (Hop::IngestWait, 1)]);
        match round {
            1 => assert!((before..=made).contains(&started)),
            _ => assert_eq!(started, ended, "the intervals follow each other"),
        }
        assert!((started..=clock.now()).contains(&until) && until >= made);
        ended = until;
        assert!(!feed.is_open() && feed.take(|_| ()).is_none());
    }
}

#[test]
fn what_a_lane_leaves_behind_can_be_read_after_its_end() {
    let clock = Clock::new(true);
    for asked in [false, true] {
        let (mut recorder, mut feed) = recorder(&[Hop::EgressWork], &clock);
        recorder.record(Hop::EgressWork, 0, 5);
        if asked {
            feed.request();
        }
        let before = clock.now();
        recorder.finish();
        let mut sets = Vec::new();
        while let Some(set) = feed.take(|set| (counts(set), set.ended)) {
            sets.push(set);
        }
        assert_eq!(sets.len(), 1 + usize::from(asked));
        assert_eq!(sets[0].0, [(Hop::EgressWork, 1)]);
        assert!(sets.iter().all(|(_, ended)| *ended >= before));
        assert!(
            sets[1..]
                .iter()
                .all(|(found, _)| *found == [(Hop::EgressWork, 0)])
        );
    }
}
