use super::*;

fn counted(counts: &[(Counter, u64)]) -> Snapshot {
    let writer = Counters::new();
    for &(counter, count) in counts {
        writer.add(counter, count);
    }
    Snapshot::of(&[writer])
}

#[test]
fn writers_add_up_and_what_is_under_way_is_seen() {
    let (host, lane) = (Counters::new(), Counters::new());
    host.add(Counter::EventsDepth, 5);
    host.bump(Counter::DroppedIngestRingFull);
    lane.add(Counter::Answered, 2);
    lane.bump(Counter::RefusedBadPrice);
    let snapshot = Snapshot::of(&[host, lane]);
    assert_eq!(snapshot.events(), 5);
    assert_eq!(snapshot.in_flight(), 1);
    assert_eq!(Counter::ALL[COUNT - 1].name(), "stood_in");
}

#[test]
fn a_level_is_set_and_a_count_grows() {
    let lane = Counters::new();
    for level in [7, 3] {
        lane.set(Counter::Held, level);
        lane.bump(Counter::Published);
    }
    let snapshot = Snapshot::of(&[lane]);
    assert_eq!(snapshot.get(Counter::Held), 3);
    assert_eq!(snapshot.get(Counter::Published), 2);
}

#[test]
fn each_kind_of_event_and_each_refusal_has_its_counter() {
    let kinds = EventKind::ALL.map(|kind| Counter::from(kind).name());
    assert_eq!(
        kinds,
        [
            "events_depth",
            "events_ticker",
            "events_trade",
            "events_index_price"
        ]
    );
    let refusals = [
        Refusal::BadSymbol,
        Refusal::BadPrice,
        Refusal::BadSize,
        Refusal::TooManyInstruments,
        Refusal::NotAnAsset,
    ];
    assert_eq!(
        refusals.map(|refusal| Counter::from(refusal).name()),
        [
            "refused_bad_symbol",
            "refused_bad_price",
            "refused_bad_size",
            "refused_too_many_instruments",
            "refused_not_an_asset",
        ]
    );
}

#[test]
fn all_counters_are_listed_under_names_of_their_own() {
    let writer = Counters::new();
    for (index, &counter) in Counter::ALL.iter().enumerate() {
        writer.add(counter, index as u64 + 1);
    }
    let snapshot = Snapshot::of(&[writer]);
    let listed: Vec<_> = snapshot.iter().collect();
    assert_eq!(listed.len(), COUNT);
    for (index, (name, value)) in listed.iter().enumerate() {
        assert_eq!(*name, Counter::ALL[index].name());
        assert_eq!(*value, index as u64 + 1, "{name}");
        assert!(listed[..index].iter().all(|(other, _)| other != name));
    }
}

/// What the names promise: an event ends as refused, dropped on its way in, applied or
/// answered, and as only one of these.
#[test]
fn an_event_ends_in_the_counters_that_say_so_and_in_no_other() {
    for &counter in Counter::ALL {
        let name = counter.name();
        let ends = match name {
            "refused_null_data" | "refused_unknown_type" => false,
            "updates" | "answered" | "dropped_stage_stopped" => true,
            _ => name.starts_with("refused_") || name.starts_with("dropped_ingest_"),
        };
        let before = counted(&[(Counter::EventsDepth, 5)]).in_flight();
        let after = counted(&[(Counter::EventsDepth, 5), (counter, 1)]).in_flight();
        assert_eq!(after == before - 1, ends, "{name}");
    }
}

#[test]
fn what_the_models_and_further_shards_still_have_is_in_flight() {
    let snapshot = counted(&[
        (Counter::EventsDepth, 100),
        (Counter::Answered, 90),
        (Counter::ModelVectorsSent, 50),
        (Counter::ModelVectorsTaken, 20),
        (Counter::ModelVectorsMissed, 7),
        (Counter::Predicted, 19),
        (Counter::Signals, 13),
        (Counter::Copies, 9),
        (Counter::CopiesEnded, 4),
    ]);
    assert_eq!(snapshot.in_flight(), 10 + 23 + 6 + 5);
    // If the end of the path makes the signals, outstanding predictions do not count.
    let snapshot = counted(&[
        (Counter::EventsDepth, 100),
        (Counter::Answered, 90),
        (Counter::Predicted, 19),
        (Counter::Signals, 13),
    ]);
    assert_eq!(snapshot.in_flight(), 10);
}

#[test]
fn signals_in_the_ring_and_held_back_are_queued() {
    let snapshot = counted(&[
        (Counter::Published, 50),
        (Counter::Delivered, 20),
        (Counter::DroppedEgressTooOld, 4),
        (Counter::Held, 3),
    ]);
    assert_eq!(snapshot.queued(), 29);
}

#[test]
fn what_was_dropped_missed_or_conflated_is_lost_and_nothing_else() {
    for &counter in Counter::ALL {
        let name = counter.name();
        let lost = name.starts_with("dropped_")
            || [
                "lost_stage_parts",
                "model_vectors_missed",
                "conflated_egress",
            ]
            .contains(&name);
        assert_eq!(
            counted(&[(counter, 3)]).lost(),
            3 * u64::from(lost),
            "{name}"
        );
    }
}

#[test]
fn a_counter_is_found_by_its_name() {
    for &counter in Counter::ALL {
        assert_eq!(Counter::of_name(counter.name()), counter);
    }
}

#[test]
#[should_panic(expected = "no counter has that name")]
fn no_counter_has_part_of_a_name() {
    Counter::of_name("update");
}
