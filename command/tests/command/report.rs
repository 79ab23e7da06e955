//! `signal report`: its figures are those of the library, its verdicts have exit codes, and what is not a
//! report is refused by name.

use std::fs;

use serde_json::Value;

use super::*;

/// Makes the report of a short run in `folder` of `dir`, and gives its path.
pub(super) fn made(dir: &Path, folder: &str, events: u32, more: &str) -> PathBuf {
    let config = format!(
        r#"{{"factors": "market", "placement": "inline", "latency": {{"interval_ms": 50, "work_every": 1}}{more}}}"#
    );
    let config = write(dir, "config.json", config.as_bytes());
    let to = dir.join(folder);
    let events = events.to_string();
    stdout(run(&[
        "demo",
        "--events",
        &events,
        "--speed",
        "10x",
        "--config",
        path(&config),
        "--report",
        path(&to),
    ]));
    to
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What `--json` prints.
fn printed(args: &[&str]) -> Value {
    json(&stdout(run(&[&["report", "--json"], args].concat())))
}

fn hop<'a>(run: &'a Value, name: &str) -> &'a Value {
    let all = run["figures"].as_array().expect("figures");
    let found = all.iter().find(|figures| figures["hop"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {run}"))
}

#[test]
fn figures_are_the_librarys_in_every_form() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let few = r#", "instruments": {"max": 2}"#;
    let report = made(dir.path(), "run", 4_000, few);
    let document = printed(&[path(&report)]);
    let shown = &document["runs"][0];
    let summary = json(&fs::read_to_string(report.join("summary.json")).expect("a summary"));
    assert_eq!(shown["notes"], serde_json::json!([]), "{shown}");
    let csv = stdout(run(&["report", "--csv", path(&report)]));
    let metrics = stdout(run(&["report", "--prom", path(&report)]));
    let hops = summary["hops"].as_array().expect("hops");
    assert!(hops.len() >= 6, "{summary}");
    for expected in hops {
        let name = expected["hop"].as_str().expect("a name");
        let figures = hop(shown, name);
        assert_eq!(figures["count"], expected["count"], "{name}");
        assert_eq!(figures["max_ns"], expected["max_ns"], "{name}");
        for (index, key) in [(0, "p50_ns"), (2, "p99_ns"), (3, "p999_ns")] {
            assert_eq!(
                figures["percentiles"][index]["ns"], expected[key],
                "{name} {key}"
            );
        }
        let row = csv
            .lines()
            .find(|line| line.split(',').nth(1) == Some(name))
            .expect("a row");
        let cells: Vec<_> = row.split(',').collect();
        assert_eq!(cells[2], expected["count"].to_string());
        assert_eq!(cells[6], expected["p50_ns"].to_string());
        let count = format!(
            "signal_hop_latency_seconds_count{{run=\"run\",hop=\"{name}\"}} {}",
            expected["count"]
        );
        assert!(metrics.contains(&count), "{count}\n{metrics}");
        let all = format!(
            "signal_hop_latency_seconds_bucket{{le=\"+Inf\",run=\"run\",hop=\"{name}\"}} {}",
            expected["count"]
        );
        assert!(metrics.contains(&all), "{all}\n{metrics}");
        // The table of HdrHistogram's plotter ends with the longest.
        let table = fs::read_to_string(report.join(format!("{name}.hgrm"))).expect("a table");
        let last = table
            .lines()
            .rfind(|line| line.contains(" 1.000000000000 "))
            .expect("the last row");
        let longest: f64 = last
            .split_whitespace()
            .next()
            .and_then(|value| value.parse().ok())
            .expect("a number");
        assert_eq!(Some(longest), expected["max_ns"].as_f64(), "{name}");
    }
    for (name, count) in summary["counters"].as_object().expect("counters") {
        assert_eq!(&shown["counters"][name], count, "{name}");
    }
    assert!(
        metrics.contains("signal_delivered_total{run=\"run\"}"),
        "{metrics}"
    );
    assert!(metrics.trim_end().ends_with("# EOF"), "{metrics}");
    // The log says when what was lost, and the counters say how much.
    let losses = shown["losses"].as_object().expect("losses");
    let lost: u64 = losses.values().filter_map(Value::as_u64).sum();
    let over_time = shown["lost_over_time"]
        .as_array()
        .expect("losses over time");
    assert!(
        lost > 0 && losses.contains_key("refused_too_many_instruments"),
        "{losses:?}"
    );
    assert_eq!(
        over_time.iter().filter_map(Value::as_u64).sum::<u64>(),
        lost,
        "{over_time:?}"
    );
    // Every event is timed on its way in, however the intervals were cut.
    let curves = shown["curves"].as_array().expect("curves");
    let events = curves
        .iter()
        .find(|curves| curves["hop"] == "ingest.wait")
        .expect("events");
    let slices = events["over_time"].as_array().expect("slices");
    let slice_s = shown["seconds"].as_f64().expect("a length") / slices.len() as f64;
    let counted: f64 = slices
        .iter()
        .map(|slice| slice["rate"].as_f64().expect("a rate") * slice_s)
        .sum();
    assert!((counted - 4_000.0).abs() < 40.0, "{counted}");
}

#[test]
fn merging_loses_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let both = dir.path().join("both");
    fs::create_dir(&both).expect("a folder");
    let (one, two) = (
        made(&both, "one", 2_000, r#", "instruments": {"max": 2}"#),
        made(&both, "two", 3_000, r#", "trigger": ["depth", "trade"]"#),
    );
    let merged = dir.path().join("merged");
    let out = stdout(run(&[
        "report",
        "merge",
        path(&one),
        path(&two),
        "--output",
        path(&merged),
    ]));
    assert!(out.starts_with("2 reports merged"), "{out}");
    let (apart, together) = (printed(&[path(&both)]), printed(&[path(&merged)]));
    let (apart, together) = (&apart["runs"][0], &together["runs"][0]);
    assert_eq!(apart["reports"], 2);
    assert_eq!(together["reports"], 1);
    assert_eq!(together["notes"], serde_json::json!([]));
    assert_eq!(apart["counters"], together["counters"]);
    assert_eq!(hop(together, "ingest.wait")["count"], 5_000);
    let lost = |run: &Value| -> u64 {
        let slices = run["lost_over_time"].as_array().expect("losses over time");
        slices.iter().filter_map(Value::as_u64).sum()
    };
    assert!(lost(apart) > 0);
    assert_eq!(lost(apart), lost(together));
    for figures in apart["figures"].as_array().expect("figures") {
        let name = figures["hop"].as_str().expect("a name");
        for key in ["count", "min_ns", "max_ns", "mean_ns"] {
            assert_eq!(figures[key], hop(together, name)[key], "{name} {key}");
        }
        for index in 0..5 {
            assert_eq!(
                figures["percentiles"][index]["ns"],
                hop(together, name)["percentiles"][index]["ns"],
                "{name}"
            );
        }
    }
    // What differs is kept, not chosen from.
    let trigger = &together["facts"]["configuration.several"];
    assert!(
        trigger.to_string().contains("trade"),
        "{}",
        together["facts"]
    );
    let told = stderr(
        run(&[
            "report",
            "merge",
            path(&one),
            path(&two),
            "--output",
            path(&merged),
        ]),
        1,
    );
    assert!(
        told.contains("merged is not empty; expected a new folder"),
        "{told}"
    );
}

#[test]
fn a_verdict_is_an_exit_code() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = made(dir.path(), "run", 2_000, "");
    let of = |objectives: &[&str]| {
        let each = objectives.iter().flat_map(|objective| ["--slo", objective]);
        let args: Vec<_> = ["report", "--json", path(&report)]
            .into_iter()
            .chain(each)
            .collect();
        let output = run(&args);
        let kept = json(&String::from_utf8_lossy(&output.stdout))["objectives"].clone();
        (output.status.code(), kept)
    };
    let (code, kept) = of(&[
        "tick_to_callback max < 1000s",
        "losses <= 0",
        "delivered <= 2000",
    ]);
    // Where other threads had the core of the host's thread, this run keeps that to itself: no lane ran.
    assert_eq!(code, Some(0), "{kept}");
    let (code, kept) = of(&["losses <= 0", "ingest.wait p50 < 1ns"]);
    assert_eq!(code, Some(3), "{kept}");
    assert_eq!(
        (&kept[0]["kept"], &kept[1]["kept"]),
        (&true.into(), &false.into()),
        "{kept}"
    );
    let (code, kept) = of(&["ingest.wait p99.99 < 1s"]);
    assert_eq!(code, Some(4), "{kept}");
    assert!(
        kept[0]["found"]
            .as_str()
            .is_some_and(|found| found.contains("100000 tell it")),
        "{kept}"
    );
    let told = stderr(
        run(&["report", path(&report), "--slo", "lunch p99 < 5us"]),
        2,
    );
    assert!(told.contains("unknown hop \"lunch\""), "{told}");
    // A run against itself has not changed, whatever the machine did meanwhile.
    let output = run(&[
        "report",
        "--json",
        path(&report),
        "--baseline",
        path(&report),
    ]);
    let compared = json(&String::from_utf8_lossy(&output.stdout));
    let verdict = compared["comparisons"][0]["verdict"]
        .as_str()
        .expect("a verdict");
    assert!(["no_change", "too_few"].contains(&verdict), "{compared}");
}

#[test]
fn what_is_no_report_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| dir.path().join(name);
    fs::create_dir(at("empty")).expect("a folder");
    write(dir.path(), "file", b"text");
    for folder in ["foreign", "zeros", "format"] {
        fs::create_dir(at(folder)).expect("a folder");
    }
    write(
        &at("foreign"),
        "latency.hlog",
        b"#[Histogram log format version 9.9]\n",
    );
    write(&at("zeros"), "latency.hlog", &vec![0; 3 << 20]);
    write(
        &at("format"),
        "latency.hlog",
        b"#[Histogram log format version 1.3]\n",
    );
    write(&at("format"), "summary.json", br#"{"format": 99}"#);
    for (folder, says) in [
        ("absent", "No such file"),
        ("file", "expected the folder of a latency report"),
        ("empty", "no latency.hlog in it or below it"),
        ("foreign", "line 1: it has version 9.9 of the format"),
        ("zeros", "a line is longer than"),
        ("format", "summary.json: "),
    ] {
        let told = stderr(run(&["report", "--json", path(&at(folder))]), 1);
        assert!(
            told.contains(says) && told.contains(folder),
            "{folder}: {told}"
        );
    }
}

#[test]
fn a_host_that_was_killed_leaves_a_report_up_to_its_last_interval() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = made(dir.path(), "run", 3_000, "");
    fs::remove_file(report.join("summary.json")).expect("the summary");
    let log = fs::read(report.join("latency.hlog")).expect("the log");
    // Cut within its last line, as a machine without power would.
    fs::write(report.join("latency.hlog"), &log[..log.len() - 20]).expect("written");
    let document = printed(&[path(&report)]);
    let notes = document["runs"][0]["notes"].to_string();
    assert!(
        notes.contains("the last line of latency.hlog is cut"),
        "{notes}"
    );
    assert!(
        notes.contains("no summary.json: the host left without signal_destroy"),
        "{notes}"
    );
    let out = stdout(run(&[
        "report",
        path(&report),
        "-o",
        path(&dir.path().join("page.html")),
    ]));
    assert!(out.contains("note     no summary.json"), "{out}");
}

#[test]
fn only_its_own_page_is_overwritten() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let report = made(dir.path(), "run", 1_000, "");
    let page = dir.path().join("page.html");
    for _ in 0..2 {
        stdout(run(&["report", path(&report), "-o", path(&page)]));
    }
    let text = fs::read_to_string(&page).expect("the page");
    let own = text
        .split("<script type=\"application/json\"")
        .next()
        .expect("its head");
    assert!(
        !own.contains("src=") && !own.contains("@import"),
        "the page loads something"
    );
    fs::write(&page, "mine").expect("written");
    let told = stderr(run(&["report", path(&report), "-o", path(&page)]), 1);
    assert!(told.contains("is not a page of this command"), "{told}");
    assert_eq!(fs::read(&page).expect("the file"), b"mine");
    stdout(run(&[
        "report",
        path(&report),
        "-o",
        path(&page),
        "--force",
    ]));
    assert!(fs::read(&page).expect("the page").len() > 50_000);
}
