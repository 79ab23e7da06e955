//! Tests of what is tried where.

use super::*;

fn cores(allowed: &[usize]) -> Cores {
    Cores {
        allowed: allowed.to_vec(),
        isolated: vec![],
        host: Some(allowed[0]),
        host_is_pinned: false,
        lanes: vec![],
        second_threads: vec![],
        others: vec![],
        claims_unknown: None,
        lanes_unknown: None,
        quota: None,
        ends_after: None,
        quota_unknown: None,
        cannot_pin: None,
    }
}

fn given(json: &str) -> Config {
    Config::from_json(json).expect("a configuration")
}

fn round(json: &str, cores: &Cores, calls: Calls) -> Round {
    let given = given(json);
    let maker = Maker {
        given: &given,
        cores,
        calls,
    };
    maker.placements().expect("it can run")
}

/// Name and lanes of each.
fn tried(round: &Round) -> Vec<(String, String)> {
    let each = round.tried.iter();
    each.map(|one| (one.name(), one.lanes())).collect()
}

#[track_caller]
fn are(round: &Round, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, lanes)| ((*name).to_owned(), (*lanes).to_owned()))
        .collect();
    assert_eq!(tried(round), expected, "{:?}", round.left_out);
}

const TWO: &str = "deliver on_data, placement ingest,factor / model,egress";

#[test]
fn a_single_core_has_inline_beside_what_is_given() {
    let round = round("{}", &cores(&[3]), Calls::Godzilla);
    // With on_data, auto is inline there, so that both are one.
    are(
        &round,
        &[("as given", "1 park"), ("deliver on_data", "inline")],
    );
    assert!(
        round
            .left_out
            .iter()
            .any(|what| what.contains("placement fused")),
        "{:?}",
        round.left_out
    );
}

#[test]
fn two_cores_have_one_lane() {
    let round = round("{}", &cores(&[0, 1]), Calls::Godzilla);
    are(
        &round,
        &[
            ("as given", "1 spin"),
            ("deliver on_data", "1 spin"),
            ("deliver on_data, placement inline", "inline"),
        ],
    );
    assert_eq!(round.left_out.len(), 2, "{:?}", round.left_out);
}

#[test]
fn four_cores_have_two_lanes_and_six_all_of_them() {
    let four = round("{}", &cores(&[0, 1, 2, 3]), Calls::Godzilla);
    are(
        &four,
        &[
            ("as given", "1 spin"),
            ("deliver on_data", "1 spin"),
            ("deliver on_data, placement inline", "inline"),
            (TWO, "2 spin"),
        ],
    );
    let six = round("{}", &cores(&[0, 1, 2, 3, 4, 5]), Calls::Godzilla);
    let last = tried(&six).pop();
    let split = (
        "deliver on_data, placement split".to_owned(),
        "4 spin".to_owned(),
    );
    assert_eq!(last, Some(split));
    assert_eq!(six.left_out, Vec::<String>::new());
}

#[test]
fn a_quota_leaves_out_what_it_does_not_cover() {
    let mut limited = cores(&[0, 1, 2, 3]);
    limited.quota = Some(2.0);
    let two = round("{}", &limited, Calls::Godzilla);
    are(
        &two,
        &[
            ("as given", "1 spin"),
            ("deliver on_data", "1 spin"),
            ("deliver on_data, placement inline", "inline"),
        ],
    );
    assert!(
        two.left_out
            .iter()
            .all(|what| what.contains("CPU quota of 2 cores"))
    );
    limited.quota = Some(1.0);
    let one = round("{}", &limited, Calls::Godzilla);
    are(
        &one,
        &[("as given", "1 park"), ("deliver on_data", "inline")],
    );
}

#[test]
fn what_is_given_already_is_not_tried_again() {
    let json =
        r#"{"deliver": "on_data", "placement": "inline", "factors": "market", "model": "none"}"#;
    let round = round(json, &cores(&[0, 1]), Calls::Godzilla);
    are(
        &round,
        &[("as given", "inline"), ("placement fused", "1 spin")],
    );
    let poll = round
        .left_out
        .iter()
        .filter(|what| what.starts_with("deliver poll"));
    assert_eq!(poll.count(), 1, "{:?}", round.left_out);
}

#[test]
fn a_host_that_polls_all_the_time_needs_no_delivery() {
    let round = round("{}", &cores(&[0, 1]), Calls::Spin);
    are(
        &round,
        &[
            ("as given", "1 spin"),
            ("deliver on_data", "1 spin"),
            ("placement inline", "inline"),
        ],
    );
}

#[test]
fn what_the_configuration_forbids_is_left_out_with_the_reason() {
    let json = r#"{"overload": {"egress": "block"}}"#;
    let blocks = round(json, &cores(&[0, 1]), Calls::Godzilla);
    are(
        &blocks,
        &[("as given", "1 spin"), ("deliver on_data", "1 spin")],
    );
    let inline = blocks.left_out.iter().find(|what| what.contains("inline"));
    assert!(inline.is_some_and(|what| what.contains("overload.egress: block")));
    // Shards need more than the one lane.
    let shards = round(
        r#"{"shards": 2}"#,
        &cores(&[0, 1, 2, 3, 4, 5]),
        Calls::Godzilla,
    );
    let names: Vec<_> = tried(&shards).into_iter().map(|(name, _)| name).collect();
    assert!(
        names.contains(&"deliver on_data, placement inline, shards 1".to_owned()),
        "{names:?}"
    );
}

fn variants(json: &str, cores: &Cores, calls: Calls, place: usize) -> Vec<String> {
    let given = given(json);
    let maker = Maker {
        given: &given,
        cores,
        calls,
    };
    let round = maker.placements().expect("it can run");
    let siblings = |core: usize| vec![core & !1, core | 1];
    let variants = maker.variants(&round.tried[place], siblings);
    assert_eq!(variants.tried[0], round.tried[place]);
    let names = variants.tried[1..].iter().map(Candidate::name);
    names.collect()
}

#[test]
fn variants_of_a_lane_are_its_warmth_budget_rings_and_cores() {
    let fused = variants("{}", &cores(&[0, 1]), Calls::Godzilla, 1);
    assert_eq!(
        fused,
        [
            "deliver on_data, warm off",
            "deliver on_data, warm 30",
            "deliver on_data, deliver_budget_us 20",
            "deliver on_data, deliver_budget_us 200",
            "deliver on_data, rings 512",
            "deliver on_data, cores 1, host on 0",
            "deliver on_data, cores 0, host on 1",
        ]
    );
    // Cores that are given stay, and rings that are small.
    let json = r#"{"deliver": "on_data", "cores": [1], "rings": {"ingest": 64, "stage": 64, "egress": 64}}"#;
    let told = variants(json, &cores(&[0, 1, 2, 3]), Calls::Godzilla, 0);
    assert_eq!(
        told,
        [
            "warm off",
            "warm 30",
            "deliver_budget_us 20",
            "deliver_budget_us 200"
        ]
    );
}

#[test]
fn a_hosts_thread_keeps_warm_only_where_it_polls_in_the_gap() {
    let inline = r#"{"deliver": "on_data", "placement": "inline"}"#;
    let godzilla = variants(inline, &cores(&[0, 1]), Calls::Godzilla, 0);
    assert_eq!(godzilla, ["rings 512"]);
    let inline = r#"{"placement": "inline"}"#;
    let spin = variants(inline, &cores(&[0, 1]), Calls::Spin, 0);
    assert_eq!(spin, ["warm off", "warm 30", "rings 512"]);
}

#[test]
fn pairs_of_cores_are_near_and_far_and_free() {
    let siblings = |core: usize| vec![core & !1, core | 1];
    let eight = cores(&[0, 1, 2, 3, 4, 5, 6, 7]);
    let of = |cores: &Cores, lane| pairs(cores, lane, siblings);
    assert_eq!(of(&eight, 7), [(Some(6), 7), (Some(5), 7), (Some(0), 7)]);
    let mut pinned = eight.clone();
    (pinned.host, pinned.host_is_pinned) = (Some(2), true);
    assert_eq!(of(&pinned, 7), [(None, 3), (None, 1)]);
    // Others' lanes are kept off.
    let mut taken = eight;
    taken.lanes = vec![6, 5, 0];
    assert_eq!(of(&taken, 7), [(Some(4), 7), (Some(3), 7), (Some(1), 7)]);
    assert_eq!(of(&cores(&[4]), 4), []);
}
