//! Replays the fuzz targets' seeds, so that errors that fuzzing found do not come back. A
//! separate program, all of which AddressSanitizer runs.

use std::fs;
use std::path::{Path, PathBuf};

use signal::Config;
use signal::models::{Check, LightGbm, Linear, Onnx, Test0000, XgBoost};
use support::fuzz::exercise::exercise;
use support::fuzz::{host, market, recording};

/// The files of a folder, which must have at least one.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    files
}

fn each(target: &str, read: fn(&[u8])) {
    for folder in [&format!("fuzz/seeds/{target}"), "examples/models"] {
        for file in files(folder) {
            println!("{target} reads {}", file.display());
            read(&fs::read(&file).unwrap());
        }
    }
}

#[test]
fn configurations() {
    for file in files("fuzz/seeds/config") {
        let json = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        if let Ok(config) = Config::from_json(&json) {
            let written = serde_json::to_string(&config).unwrap();
            assert_eq!(Config::from_json(&written).unwrap(), config);
        }
    }
}

#[test]
fn models_and_checks() {
    each("linear", |bytes| exercise(Linear::parse(bytes)));
    each("lightgbm", |bytes| exercise(LightGbm::parse(bytes)));
    each("xgboost", |bytes| exercise(XgBoost::parse(bytes)));
    each("onnx", |bytes| exercise(Onnx::parse(bytes, &[])));
    each("check", |bytes| {
        if let Ok(check) = Check::parse(bytes) {
            let _ = check.run(&mut Test0000::new(1));
        }
    });
}

#[test]
fn calls() {
    for file in files("fuzz/seeds/calls") {
        println!("calls of {}", file.display());
        host::calls(&fs::read(&file).unwrap());
    }
}

#[test]
fn events() {
    for file in files("fuzz/seeds/events") {
        println!("events of {}", file.display());
        market::events(&fs::read(&file).unwrap());
    }
}

#[test]
fn captures() {
    let folder = tempfile::tempdir().unwrap();
    for file in files("fuzz/seeds/capture") {
        println!("capture {}", file.display());
        let copy = folder.path().join("capture.csv");
        recording::capture(&fs::read(&file).unwrap(), &copy);
    }
}
