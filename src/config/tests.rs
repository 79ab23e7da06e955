use super::*;

fn refusal(json: &str) -> String {
    Config::from_json(json).unwrap_err().to_string()
}

#[test]
fn keys_are_read() {
    let config = Config::from_json(
        r#"{"factors": ["a", {"set": "b", "window": 5}],
            "model": ["none", "dir/m.onnx", {"file": "x.txt", "name": "y", "kind": "lightgbm"}],
            "callback": "per-model", "trigger": ["trade", "index_price"],
            "assets": "btc_usdt", "disabled_factors": ["a"], "disabled_models": "none",
            "placement": [["ingest"],["factor","model"],["egress"]], "shards": 3,
            "cores": [1, 2], "idle": "yield", "policy": "fifo", "timing": false,
            "deliver": "on_data", "deliver_budget_us": 20,
            "rings": {"ingest": 8, "stage": 4, "egress": 2}, "instruments": {"max": 9},
            "overload": {"ingest": "block", "egress": "drop-newest", "block_ms": 5},
            "health": {"stall_us": 20, "silent_events": 3, "refused_percent": 7},
            "limits": {"max_price": 1e6, "max_size": 50}}"#,
    )
    .unwrap();
    assert_eq!(config.factors[0].set, "a");
    assert_eq!(config.factors[1].params["window"], 5);
    let names: Vec<_> = config.models.iter().map(|model| &model.name).collect();
    assert_eq!(names, ["none", "m", "y"]);
    assert_eq!(config.callback, Callback::PerModel);
    assert_eq!(config.trigger, [EventKind::Trade, EventKind::IndexPrice]);
    assert_eq!(config.assets, ["btc_usdt"]);
    assert_eq!(
        config.placement.to_string(),
        "ingest | factor+model | egress"
    );
    assert_eq!(config.shards, 3);
    assert_eq!(config.cores, Some(vec![1, 2]));
    assert_eq!(config.scheduler, Scheduler::Fifo(1));
    assert_eq!(config.deliver, Deliver::OnData);
    assert_eq!(config.deliver_budget_us, DeliverBudget::Micros(20));
    assert_eq!(config.rings.stage, 4);
    assert_eq!(config.instruments.max, 9);
    assert!(!config.timing);
    assert_eq!(config.overload.ingest, IngestOverload::Block);
    assert_eq!(config.overload.egress, EgressOverload::DropNewest);
    assert_eq!(config.overload.block_ms, 5);
    assert_eq!(
        (config.health.stall_us, config.health.silent_events),
        (20, 3)
    );
    assert_eq!(config.health.refused_percent, 7);
    let limits = config.limits;
    assert_eq!((limits.max_price, limits.max_size), (1e6, 50.0));
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(Config::from_json(&written).unwrap(), config);
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.json");
    let json = r#"{"model": "m/a.onnx", "latency": {"dir": "report"},
        "capture": {"file": "c/events.csv"}}"#;
    std::fs::write(&file, json).unwrap();
    let config = Config::from_file(&file).unwrap();
    assert_eq!(config.models[0].file, Some(dir.path().join("m/a.onnx")));
    assert_eq!(config.latency.dir, Some(dir.path().join("report")));
    assert_eq!(config.capture.file, Some(dir.path().join("c/events.csv")));
    let missing = Config::from_file(&dir.path().join("no.json")).unwrap_err();
    assert!(missing.to_string().contains("no.json: cannot read it"));
}

#[test]
fn errors_name_path_line_and_what_was_expected() {
    let unknown = refusal("{\n  \"rings\": {\"size\": 4}\n}");
    assert!(unknown.contains("rings.size"), "{unknown}");
    assert!(unknown.contains("line 2"), "{unknown}");
    assert!(unknown.contains("expected one of"), "{unknown}");
    let kind = refusal("{\"rings\": {\"egress\": \"x\"}}");
    assert!(
        kind.contains("rings.egress") && kind.contains("a whole number"),
        "{kind}"
    );
    assert!(refusal("{\"placement\": \"best\"}").contains("expected one of `auto`"));
    assert!(refusal("{\"placement\": [[\"egres\"]]}").contains("Expected one of `ingest`"));
    assert!(refusal("{\"rings\": {\"egress\": 1}}").contains("rings.egress: invalid value: integer `1`, expected a whole number from 2 to 1048576 at line 1"));
    for wrong in ["0", "17", "-1", "1.5", "\"2\""] {
        let shards = refusal(&format!("{{\"shards\": {wrong}}}"));
        assert!(
            shards.contains("shards") && shards.contains("a whole number from 1 to 16"),
            "{shards}"
        );
    }
    for wrong in ["0", "-1", "1e999", "\"1e9\"", "null"] {
        let limit = refusal(&format!("{{\"limits\": {{\"max_price\": {wrong}}}}}"));
        assert!(
            limit.contains("limits.max_price: ") && limit.contains(" line 1"),
            "{limit}"
        );
    }
    for wrong in ["0", "-1", "\"1e9\"", "null"] {
        let limit = refusal(&format!("{{\"limits\": {{\"max_price\": {wrong}}}}}"));
        assert!(limit.contains(", expected a number above 0 at"), "{limit}");
    }
    let zero = refusal("{\"limits\": {\"max_size\": 0}}");
    assert!(zero.contains("expected a number above 0"), "{zero}");
    let inline = refusal("{\"placement\": \"inline\", \"shards\": 2}");
    assert!(
        inline.contains("shards: 2 with placement inline") && inline.contains("expected"),
        "{inline}"
    );
    assert!(refusal("{\"cores\": [1024]}").contains("a whole number from 0 to 1023"));
    assert!(refusal("{\"cores\": [-1]}").contains("cores[0]"));
    assert!(refusal("{\"cores\": [0, 1, 1]}").contains("names core 1 twice"));
    assert!(
        refusal("{\"deliver\": \"soon\"}")
            .contains("deliver: unknown value `soon`, expected `poll` or `on_data`")
    );
    for budget in ["0", "10001", "-1", "2.5", "\"off\""] {
        let refusal = refusal(&format!("{{\"deliver_budget_us\": {budget}}}"));
        assert!(
            refusal.contains("deliver_budget_us: invalid")
                && refusal.contains("a whole number from 1 to 10000"),
            "{refusal}"
        );
    }
    assert!(refusal("{} x").contains("line 1"));
    assert!(refusal("7").contains("top level"));
    assert!(refusal("{\"factors\": [\"a\", \"a\"]}").contains("twice"));
    assert!(refusal("{\"factors\": []}").contains("at least one"));
    assert!(refusal("{\"models\": []}").contains("at least one"));
    assert!(refusal("{\"model\": {\"name\": \"x\"}}").contains("file or the key kind"));
    assert!(refusal("{\"model\": \"a\", \"models\": \"b\"}").contains("duplicate"));
    assert!(refusal("{\"models\": [\"a.onnx\", \"b/a.txt\"]}").contains("a name of its own"));
    let twice = refusal("{\"factors\": {\"set\": \"m\", \"w\": 1, \"w\": 2}}");
    assert!(twice.contains("duplicate key `w`"), "{twice}");
    assert!(refusal("{\"factors\": {\"w\": 1}}").contains("missing key `set`"));
    assert!(refusal("{\"trigger\": [\"bar\"]}").contains("expected one of `depth`"));
    assert!(refusal("{\"assets\": [\"btc usdt\"]}").contains("\"btc usdt\""));
    assert!(
        refusal("{\"overload\": {\"ingest\": \"conflate\"}}").contains(
            "overload.ingest: unknown value `conflate`, expected `drop-newest` or `block`"
        )
    );
    assert!(refusal("{\"overload\": {\"stage\": \"drop-newest\"}}").contains("`block`"));
    let waits = refusal("{\"placement\": \"inline\", \"overload\": {\"egress\": \"block\"}}");
    assert!(waits.contains("overload.egress: block"), "{waits}");
    let nested = refusal("{\"models\": [{\"file\": 7}]}");
    assert!(
        nested.contains("models[0]") && nested.contains("line 1"),
        "{nested}"
    );
}
