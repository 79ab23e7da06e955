//! Tests of the plan.

use super::*;

fn cores(allowed: &[usize], isolated: &[usize], host: Option<usize>) -> Cores {
    Cores {
        allowed: allowed.to_vec(),
        isolated: isolated.to_vec(),
        host,
        host_is_pinned: false,
        lanes: vec![],
        second_threads: vec![],
        others: vec![],
        lanes_unknown: None,
        claims_unknown: None,
        quota: None,
        ends_after: None,
        quota_unknown: None,
        cannot_pin: None,
    }
}

fn make(
    placement: &Placement,
    shards: usize,
    chosen: Option<&[usize]>,
    idle: Idle,
    cores: &Cores,
) -> Result<Plan, String> {
    let wanted = Wanted {
        placement,
        shards,
        cores: chosen,
        idle,
        may_run_inline: false,
    };
    Plan::new(wanted, cores)
}

fn plan(placement: &Placement, cores: &Cores) -> String {
    make(placement, 1, None, Idle::Auto, cores)
        .unwrap()
        .to_string()
}

#[test]
fn auto_never_oversubscribes() {
    let auto = Placement::Auto;
    let one = cores(&[0], &[], Some(0));
    assert_eq!(plan(&auto, &one), "ingest..egress@0(park)");
    let two = cores(&[0, 1], &[], Some(1));
    assert_eq!(plan(&auto, &two), "ingest..egress@0(spin)");
    assert_eq!(
        plan(&Placement::Split, &two),
        "ingest@0(park) factor@0(park) model@0(park) egress@0(park)"
    );
}

#[test]
fn lanes_prefer_isolated_cores_and_leave_the_hosts() {
    let eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[2, 3], Some(7));
    assert_eq!(
        plan(&Placement::Split, &eight),
        "ingest@3(spin) factor@2(spin) model@6(spin) egress@5(spin)"
    );
}

#[test]
fn auto_keeps_off_other_lanes_and_hardware_threads_of_one_core() {
    let mut four = cores(&[0, 1, 2, 3], &[], Some(0));
    four.second_threads = vec![0, 1, 2];
    assert_eq!(plan(&Placement::Auto, &four), "ingest..egress@3(spin)");
    four.lanes = vec![3];
    assert_eq!(plan(&Placement::Auto, &four), "ingest..egress@2(spin)");
    let mut two = cores(&[0, 1], &[], Some(0));
    two.lanes = vec![1];
    assert_eq!(plan(&Placement::Auto, &two), "ingest..egress@1(park)");
}

#[test]
fn auto_does_not_spin_on_a_core_that_the_host_is_pinned_to() {
    let mut two = cores(&[0, 1], &[], Some(0));
    let given = |cores: &Cores| {
        make(&Placement::Fused, 1, Some(&[0]), Idle::Auto, cores)
            .unwrap()
            .to_string()
    };
    assert_eq!(given(&two), "ingest..egress@0(spin)");
    two.host_is_pinned = true;
    assert_eq!(given(&two), "ingest..egress@0(park)");
}

#[test]
fn egress_joins_the_last_explicit_lane() {
    let lanes = Placement::Lanes(vec![vec![Stage::Ingest, Stage::Factor], vec![Stage::Model]]);
    let four = cores(&[0, 1, 2, 3], &[], Some(0));
    assert_eq!(
        plan(&lanes, &four),
        "ingest..factor@3(spin) model..egress@2(spin)"
    );
}

#[test]
fn models_can_have_several_lanes() {
    let (front, model) = (vec![Stage::Ingest, Stage::Factor], vec![Stage::Model]);
    let lanes = |lanes: &[&Vec<Stage>]| {
        Placement::Lanes(lanes.iter().copied().cloned().collect::<Vec<_>>())
    };
    let eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[], Some(0));
    let egress = vec![Stage::Egress];
    assert_eq!(
        plan(&lanes(&[&front, &model, &model, &egress]), &eight),
        "ingest..factor@7(spin) model#0@6(spin) model#1@5(spin) egress@4(spin)"
    );
    let factor = vec![Stage::Factor];
    for wrong in [
        lanes(&[&front, &model, &model]),
        lanes(&[&front, &model, &vec![Stage::Model, Stage::Egress]]),
        lanes(&[&front, &model, &egress, &model]),
        lanes(&[&front, &front, &model, &model, &egress]),
        lanes(&[&front, &model, &factor, &model, &egress]),
        lanes(&[&model, &model, &egress]),
        lanes(&[
            &vec![Stage::Ingest],
            &vec![Stage::Ingest],
            &factor,
            &model,
            &egress,
        ]),
    ] {
        let refused = make(&wrong, 1, None, Idle::Auto, &eight).unwrap_err();
        assert!(refused.contains("several lanes of model"), "{refused}");
    }
}

fn sharded(placement: &Placement, shards: usize, cores: &Cores) -> Plan {
    make(placement, shards, None, Idle::Auto, cores).unwrap()
}

#[test]
fn shards_repeat_the_lanes_between_ingest_and_egress() {
    use Stage::{Egress, Factor, Ingest, Model};
    let eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[], Some(0));
    let fused = "ingest@7(spin) factor..model#0@6(spin) factor..model#1@5(spin) egress@4(spin)";
    let split = "ingest@7(spin) factor#0@6(spin) factor#1@5(spin) model#0@4(spin) \
                 model#1@3(spin) egress@2(spin)";
    let lanes =
        |lanes: &[&[Stage]]| Placement::Lanes(lanes.iter().map(|lane| lane.to_vec()).collect());
    for (placement, expected) in [
        (Placement::Auto, fused),
        (Placement::Fused, fused),
        (lanes(&[&[Ingest], &[Factor, Model], &[Egress]]), fused),
        (Placement::Split, split),
        (lanes(&[&[Ingest], &[Factor], &[Model], &[Egress]]), split),
    ] {
        let plan = sharded(&placement, 2, &eight);
        assert_eq!(plan.to_string(), expected);
        for shards in 2..=16 {
            let plan = make(&placement, shards, Some(&[1; 40]), Idle::Park, &eight);
            assert_eq!(plan.unwrap().lanes.len(), placement.lanes(shards));
        }
    }
    assert_eq!(Placement::Fused.rings(4), 8);
    assert_eq!(Placement::Split.rings(4), 12);
    assert_eq!(
        (Placement::Fused.rings(1), Placement::Split.rings(1)),
        (0, 3)
    );
    for placement in [Placement::Inline, Placement::Fused, Placement::Split] {
        assert_eq!(placement.lanes(0), placement.lanes(1));
        assert_eq!(placement.rings(0), placement.rings(1));
    }
}

#[test]
fn auto_has_as_many_shards_as_there_are_cores_for() {
    let all: Vec<usize> = (0..10).collect();
    for (allowed, shards) in [(1, 1), (2, 1), (4, 1), (5, 2), (6, 3), (7, 4), (10, 4)] {
        let some = cores(&all[..allowed], &[], Some(0));
        let plan = sharded(&Placement::Auto, 4, &some);
        assert_eq!(plan.shards, shards, "{allowed} cores");
        let text = plan.to_string();
        assert!(allowed == 1 || !text.contains("park"), "{text}");
    }
    // Lanes of another handle use these cores, so they are not available.
    let mut busy = cores(&all[..7], &[], Some(0));
    busy.lanes = vec![5, 6];
    assert_eq!(sharded(&Placement::Auto, 4, &busy).shards, 2);
    let about = |shards| {
        let plan = sharded(&Placement::Auto, shards, &busy);
        plan.about(&Placement::Auto, shards)
    };
    assert_eq!(about(1), "auto");
    assert_eq!(about(2), "auto shards=2");
    assert_eq!(about(4), "auto shards=2(too few cores for 4)");
    // A configured placement is kept.
    let two = cores(&[0, 1], &[], Some(0));
    assert_eq!(
        sharded(&Placement::Fused, 2, &two).to_string(),
        "ingest@1(park) factor..model#0@1(park) factor..model#1@1(park) egress@1(park)"
    );
    let few = make(&Placement::Auto, 2, Some(&[1]), Idle::Auto, &two).unwrap_err();
    assert!(few.contains("1 given for 4 lanes"), "{few}");
}

#[test]
fn shards_that_cannot_be_are_refused_by_name() {
    use Stage::{Egress, Factor, Ingest, Model};
    let two = cores(&[0, 1], &[], Some(0));
    let refusal = |placement: Placement, shards| {
        make(&placement, shards, None, Idle::Auto, &two).unwrap_err()
    };
    for shards in [0, 17, usize::MAX] {
        let why = refusal(Placement::Fused, shards);
        assert!(why.contains("expected 1 to 16"), "{why}");
    }
    let why = refusal(Placement::Inline, 2);
    assert!(why.starts_with("shards: 2 with placement inline"), "{why}");
    for lanes in [
        vec![vec![Ingest, Factor], vec![Model], vec![Egress]],
        vec![vec![Ingest], vec![Factor, Model]],
        vec![vec![Ingest], vec![Factor, Model, Egress]],
        vec![
            vec![Ingest],
            vec![Factor],
            vec![Model],
            vec![Model],
            vec![Egress],
        ],
        vec![Stage::ALL.to_vec()],
        vec![],
    ] {
        let why = refusal(Placement::Lanes(lanes), 2);
        assert!(why.starts_with("shards: 2 with placement"), "{why}");
        assert!(why.contains("expected fused, split, auto"), "{why}");
    }
    let lanes = vec![vec![Ingest], vec![Model, Factor], vec![Egress]];
    assert!(refusal(Placement::Lanes(lanes), 2).contains("every stage once"));
}

#[test]
fn wrong_placements_and_cores_are_refused_by_name() {
    let two = cores(&[0, 1], &[], Some(0));
    let refuse = |lanes: Vec<Vec<Stage>>| {
        make(&Placement::Lanes(lanes), 1, None, Idle::Auto, &two).unwrap_err()
    };
    assert!(refuse(vec![]).contains("every stage once"));
    assert!(refuse(vec![vec![Stage::Ingest, Stage::Factor]]).contains("every stage once"));
    assert!(
        refuse(vec![vec![Stage::Factor], vec![Stage::Ingest, Stage::Model]])
            .contains("factor | ingest+model")
    );
    assert!(refuse(vec![Stage::ALL.to_vec(), vec![]]).contains("at least one"));
    let chosen = |chosen: &[usize], placement| {
        make(&placement, 1, Some(chosen), Idle::Auto, &two).unwrap_err()
    };
    assert!(chosen(&[5], Placement::Fused).contains("core 5"));
    assert!(chosen(&[1], Placement::Split).contains("4 lanes"));
}

fn claim(core: usize, is_host: bool, process: u32) -> crate::os::claims::Claim {
    crate::os::claims::Claim {
        core,
        is_host,
        process: Some(process),
        name: Some("other".into()),
    }
}

#[test]
fn cores_that_other_processes_have_are_left_to_them() {
    let mut four = cores(&[0, 1, 2, 3], &[], Some(0));
    four.others = vec![claim(3, false, 7)];
    assert_eq!(plan(&Placement::Auto, &four), "ingest..egress@2(spin)");
    // Core 0 is for this host, core 1 for the other's.
    assert_eq!(
        plan(
            &Placement::Lanes(vec![vec![Stage::Ingest], vec![Stage::Factor, Stage::Model]]),
            &four
        ),
        "ingest@2(park) factor..egress@1(park)"
    );
    four.others.push(claim(2, true, 7));
    assert_eq!(plan(&Placement::Auto, &four), "ingest..egress@1(spin)");
    four.others.push(claim(1, false, 8));
    let made = make(&Placement::Auto, 1, None, Idle::Auto, &four).unwrap();
    assert!(made.to_string().contains("park"), "{made}");
    assert!(made.busy_cores().is_empty());
    for note in [
        "core 3 has a lane of process 7 (other)",
        "core 2 has the host of process 7 (other)",
        "core 1 has a lane of process 8 (other)",
    ] {
        assert!(made.notes.iter().any(|one| one == note), "{:?}", made.notes);
    }
}

#[test]
fn a_core_that_was_chosen_and_is_taken_is_parked_on_and_named() {
    let mut two = cores(&[0, 1], &[], Some(0));
    two.others = vec![claim(1, false, 7)];
    assert_eq!(plan(&Placement::Auto, &two), "ingest..egress@0(park)");
    for (idle, text) in [
        (Idle::Auto, "ingest..egress@1(park)"),
        (Idle::Spin, "ingest..egress@1(spin)"),
    ] {
        let made = make(&Placement::Fused, 1, Some(&[1]), idle, &two).unwrap();
        assert_eq!(made.to_string(), text);
        assert_eq!(made.notes, ["core 1 has a lane of process 7 (other)"]);
    }
}

#[test]
fn auto_runs_inline_where_no_core_is_free_and_the_host_may() {
    let inline = |placement, idle, chosen, cores: &Cores| {
        let wanted = Wanted {
            placement: &placement,
            shards: 1,
            cores: chosen,
            idle,
            may_run_inline: true,
        };
        Plan::new(wanted, cores).unwrap().is_inline()
    };
    let mut two = cores(&[0, 1], &[], Some(0));
    assert!(!inline(Placement::Auto, Idle::Auto, None, &two));
    two.others = vec![claim(1, false, 7)];
    assert!(inline(Placement::Auto, Idle::Auto, None, &two));
    assert!(!inline(Placement::Auto, Idle::Park, None, &two));
    assert!(!inline(Placement::Fused, Idle::Auto, None, &two));
    assert!(!inline(Placement::Auto, Idle::Auto, Some(&[1]), &two));
}

#[test]
fn lanes_leave_a_core_for_the_host_wherever_it_is_now() {
    // An earlier handle was made while the host's thread ran on core 1.
    let mut two = cores(&[0, 1], &[], Some(0));
    two.lanes = vec![0];
    let made = make(&Placement::Auto, 1, None, Idle::Auto, &two).unwrap();
    assert_eq!(made.to_string(), "ingest..egress@1(park)");
    assert_eq!(made.notes, ["other lanes of this process are on [0]"]);
}

#[test]
fn where_something_is_not_known_lanes_park_and_it_is_said() {
    let known = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[], Some(0));
    type Field = fn(&mut Cores) -> &mut Option<String>;
    let fields: [(Field, &str, &str); 4] = [
        (|c| &mut c.claims_unknown, "(park)", "(spin)"),
        (|c| &mut c.lanes_unknown, "(park)", "(park)"),
        (|c| &mut c.quota_unknown, "(park)", "(park)"),
        (|c| &mut c.cannot_pin, "(park)", "(park)"),
    ];
    for (field, free, chosen) in fields {
        let mut unknown = known.clone();
        *field(&mut unknown) = Some("no such file".into());
        let lanes = |placement: &Placement, cores: Option<&[usize]>, idle| {
            let made = make(placement, 1, cores, idle, &unknown).unwrap();
            let is_said = made
                .notes
                .iter()
                .any(|note| note.ends_with(": no such file"));
            (made.to_string(), is_said)
        };
        for placement in [Placement::Auto, Placement::Split] {
            let (plan, is_said) = lanes(&placement, None, Idle::Auto);
            assert!(
                plan.contains(free) && !plan.contains("(spin)") && is_said,
                "{plan}"
            );
            // A configured `spin` is kept, with a note.
            let (plan, is_said) = lanes(&placement, None, Idle::Spin);
            assert!(plan.contains("(spin)") && is_said, "{plan}");
        }
        // With configured cores, the cores that other programs use count as known.
        let (plan, is_said) = lanes(&Placement::Fused, Some(&[5]), Idle::Auto);
        assert!(
            plan.contains(chosen) && is_said == (chosen == "(park)"),
            "{plan}"
        );
        assert_eq!(sharded(&Placement::Auto, 4, &unknown).shards, 1);
        let inline = make(&Placement::Inline, 1, None, Idle::Auto, &unknown).unwrap();
        assert_eq!(inline.notes, [""; 0]);
    }
    assert_eq!(plan(&Placement::Auto, &known), "ingest..egress@7(spin)");
}

#[test]
fn where_cpu_time_is_limited_lanes_park() {
    let mut eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[], Some(0));
    eight.ends_after = Some(3600);
    let made = make(&Placement::Auto, 1, None, Idle::Auto, &eight).unwrap();
    assert_eq!(made.to_string(), "ingest..egress@7(park)");
    assert!(made.notes[0].contains("3600 s of CPU time (RLIMIT_CPU)"));
    assert_eq!(sharded(&Placement::Auto, 4, &eight).shards, 1);
    // A configured `spin` is kept, with a note.
    let made = make(&Placement::Fused, 1, None, Idle::Spin, &eight).unwrap();
    assert!(made.to_string().contains("spin") && made.notes[0].contains("RLIMIT_CPU"));
    let made = make(&Placement::Inline, 1, None, Idle::Auto, &eight).unwrap();
    assert_eq!(made.notes, [""; 0]);
}

#[test]
fn a_quota_that_spinning_lanes_would_use_up_makes_them_park() {
    let mut eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7], &[], Some(0));
    for (quota, text) in [
        (0.5, "ingest..egress@7(park)"),
        (1.9, "ingest..egress@7(park)"),
        (2.0, "ingest..egress@7(spin)"),
    ] {
        eight.quota = Some(quota);
        let made = make(&Placement::Auto, 1, None, Idle::Auto, &eight).unwrap();
        assert_eq!(made.to_string(), text);
        let named = format!("a CPU quota of {quota} cores");
        assert!(made.notes[0].starts_with(&named), "{:?}", made.notes);
        assert_eq!(made.notes[0].contains("too little"), quota < 2.0);
    }
    eight.quota = Some(5.0);
    assert_eq!(sharded(&Placement::Auto, 4, &eight).shards, 2);
    // A configured `spin` is kept, with a note.
    eight.quota = Some(0.5);
    let made = make(&Placement::Fused, 1, None, Idle::Spin, &eight).unwrap();
    assert!(made.to_string().contains("spin") && made.notes[0].contains("too little"));
    let wanted = Wanted {
        placement: &Placement::Auto,
        shards: 1,
        cores: None,
        idle: Idle::Auto,
        may_run_inline: true,
    };
    let inline = Plan::new(wanted, &eight).unwrap();
    assert!(inline.is_inline() && inline.notes[0].contains("too little"));
}

#[test]
fn cores_that_are_given_and_not_used_are_said() {
    let four = cores(&[0, 1, 2, 3], &[], Some(3));
    let notes = |placement, chosen: &[usize]| {
        make(&placement, 1, Some(chosen), Idle::Auto, &four)
            .unwrap()
            .notes
    };
    assert_eq!(
        notes(Placement::Auto, &[0, 1]),
        ["cores [1] are given but not used: placement auto has one lane"]
    );
    assert_eq!(
        notes(Placement::Inline, &[0]),
        ["cores [0] are given but not used: placement inline has no lanes"]
    );
    assert_eq!(notes(Placement::Auto, &[1]), [""; 0]);
}
