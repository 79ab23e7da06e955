//! ONNX models whose tensors are in separate files.

use std::os::unix::fs::symlink;
use std::path::Path;

use signal::models::load;
use support::onnx::with_external_data as model;

fn run(path: &Path) -> Result<[f64; 2], String> {
    let mut model = load(path, None, &[]).map_err(|error| error.to_string())?;
    let mut out = [0.0; 2];
    model.run(signal::InstrumentId(0), &[1.0, 2.0], &mut out);
    Ok(out)
}

#[test]
fn tensors_are_read_from_the_models_folder_alone() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("models");
    std::fs::create_dir_all(folder.join("sub")).unwrap();
    let path = folder.join("m.onnx");
    let numbers =
        |numbers: &[f32]| -> Vec<u8> { numbers.iter().flat_map(|x| x.to_le_bytes()).collect() };
    let data = numbers(&[9.0, 10.0, 20.0]);
    for file in ["models/m.data", "models/sub/m.data", "outside.data"] {
        std::fs::write(root.path().join(file), &data).unwrap();
    }
    symlink("../outside.data", folder.join("out.data")).unwrap();
    symlink(root.path(), folder.join("up")).unwrap();
    symlink("m.data", folder.join("in.data")).unwrap();
    let with = |entries: &[(&str, &str)]| {
        std::fs::write(&path, model(entries)).unwrap();
        run(&path)
    };
    let at = |location: &str| with(&[("location", location), ("offset", "4"), ("length", "8")]);
    for location in [
        "m.data",
        "sub/m.data",
        "in.data",
        "./m.data",
        "./sub/./m.data",
    ] {
        assert_eq!(at(location), Ok([11.0, 22.0]), "{location}");
    }
    assert_eq!(
        with(&[("location", "m.data"), ("offset", "4")]),
        Ok([11.0, 22.0])
    );
    let absolute = root.path().join("outside.data");
    for (location, expected) in [
        ("../outside.data", "in the model's folder, without .."),
        ("sub/../m.data", "in the model's folder, without .."),
        (absolute.to_str().unwrap(), "not from the root"),
        ("", "in the model's folder"),
        ("out.data", "a link out of the model's folder"),
        ("up/outside.data", "a link out of the model's folder"),
        ("none.data", "where the export left it"),
        ("sub", "not a regular file"),
    ] {
        let error = at(location).unwrap_err();
        assert!(error.contains(expected), "{location}: {error}");
        assert!(
            error.contains("m.onnx: onnx model: external data"),
            "{error}"
        );
    }
    for (entries, expected) in [
        (
            &[("location", "m.data"), ("offset", "8"), ("length", "8")][..],
            "but that file has 12",
        ),
        (
            &[
                ("location", "m.data"),
                ("offset", "18446744073709551615"),
                ("length", "8"),
            ],
            "but that file has 12",
        ),
        (
            &[("location", "m.data"), ("length", "4")],
            "has dimensions [2] and 1 numbers",
        ),
        (
            &[("location", "m.data"), ("offset", "x")],
            "offset is \"x\"; expected a number",
        ),
        (
            &[("location", "m.data"), ("stride", "4")],
            "the key \"stride\" is not known",
        ),
    ] {
        let error = with(entries).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    // A file that is too large is not read; here it takes no space on the disk.
    let large = std::fs::File::create(folder.join("large.data")).unwrap();
    large.set_len(signal::models::MAX_FILE_BYTES).unwrap();
    assert!(
        at("large.data")
            .unwrap_err()
            .contains("more than 268435456 bytes")
    );
}

#[test]
fn a_capture_over_a_models_tensors_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (path, data) = (dir.path().join("m.onnx"), dir.path().join("m.data"));
    let numbers = [0u8; 8];
    std::fs::write(&data, numbers).unwrap();
    std::fs::write(&path, model(&[("location", "m.data")])).unwrap();
    let link = dir.path().join("capture.csv");
    std::fs::hard_link(&data, &link).unwrap();
    let json = format!(
        r#"{{"model": {path:?}, "disabled_factors": ["best_bid"], "capture": {{"file": {link:?}}}}}"#
    );
    let config = signal::Config::from_json(&json).unwrap();
    let error = signal::Engine::start(&config).unwrap_err().to_string();
    for part in ["the same file as a file of model", "m.data", "capture.file"] {
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(std::fs::read(&data).unwrap(), numbers);
}
