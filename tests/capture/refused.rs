//! A refused engine leaves all files of earlier runs unchanged.

use std::path::Path;

use signal::{Config, Engine};

fn refusal(json: &str) -> String {
    let config = Config::from_json(json).unwrap();
    Engine::start(&config).unwrap_err().to_string()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_refused_engine_destroys_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("report")).unwrap();
    let files = ["c.csv", "report/latency.hlog", "report/summary.json"];
    for file in files {
        std::fs::write(at(file), "precious").unwrap();
    }
    let (capture, report) = (at("c.csv"), at("report"));
    let no_folder = at("c.csv/x");
    let of_a_file = refusal(&format!(
        r#"{{"capture": {{"file": {capture:?}}}, "latency": {{"dir": {no_folder:?}}}}}"#
    ));
    assert!(of_a_file.contains("cannot write in"), "{of_a_file}");
    let zero = refusal(&format!(
        r#"{{"capture": {{"file": "/dev/zero"}}, "latency": {{"dir": {report:?}}}}}"#
    ));
    assert!(zero.contains("/dev/zero: it is a device"), "{zero}");
    let cores = refusal(&format!(
        r#"{{"capture": {{"file": {capture:?}}}, "latency": {{"dir": {report:?}}}, "cores": [1022]}}"#
    ));
    assert!(cores.contains("1022"), "{cores}");
    // Another handle's capture has the path of the report's summary.
    let inside = at("report/summary.json");
    let other = format!(r#"{{"placement": "inline", "capture": {{"file": {inside:?}}}}}"#);
    let config = Config::from_json(&other).unwrap();
    let engine = Engine::start(&config).unwrap();
    let taken = refusal(&format!(
        r#"{{"capture": {{"file": {capture:?}}}, "latency": {{"dir": {report:?}}}}}"#
    ));
    assert!(taken.contains("no other handle writes"), "{taken}");
    drop(engine);
    assert!(read(&inside).starts_with("type,"));
    std::fs::write(&inside, "precious").unwrap();
    for file in files {
        assert_eq!(read(&at(file)), "precious", "{file}");
    }
    // An engine that is not refused replaces them all.
    let config = format!(
        r#"{{"placement": "inline", "capture": {{"file": {capture:?}}}, "latency": {{"dir": {report:?}}}}}"#
    );
    drop(Engine::start(&Config::from_json(&config).unwrap()).unwrap());
    for (file, start) in files.into_iter().zip(["type,", "#[", "{"]) {
        assert!(read(&at(file)).starts_with(start), "{file}");
    }
}
