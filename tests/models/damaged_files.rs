//! Cut, altered or absurd model, check and configuration files end in an error, or in a
//! model that runs. Either happens quickly and within bounded memory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use signal::Config;
use signal::models::{Check, Kind, LightGbm, Linear, Onnx, Test0000, XgBoost, load};
use support::fuzz::exercise::exercise;
use support::meters;

type Read = fn(&[u8]);

/// Each kind of file: an example, and the function that reads it.
const KINDS: [(&str, Read); 6] = [
    ("models/move.json", |bytes| exercise(Linear::parse(bytes))),
    ("models/move.txt", |bytes| exercise(LightGbm::parse(bytes))),
    ("models/move.xgb.json", |bytes| {
        exercise(XgBoost::parse(bytes));
    }),
    ("models/move.onnx", |bytes| {
        exercise(Onnx::parse(bytes, &[]));
    }),
    ("models/move.onnx.check.json", |bytes| {
        if let Ok(check) = Check::parse(bytes) {
            let _ = check.run(&mut Test0000::new(15));
        }
    }),
    ("market-models.json", |bytes| {
        let _ = Config::from_json(&String::from_utf8_lossy(bytes));
    }),
];

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

/// Reads the bytes; `longest` keeps the longest time.
fn survive(name: &str, bytes: &[u8], read: Read, longest: &mut Duration) {
    let start = Instant::now();
    let ((), held) = meters::peak(|| read(bytes));
    *longest = start.elapsed().max(*longest);
    // The constant covers the rows that `exercise` makes and the tables of small trees,
    // which are bounded.
    let bound = 64 * bytes.len() + (24 << 20);
    assert!(
        held <= bound,
        "{name}: {held} bytes held for {}",
        bytes.len()
    );
}

#[test]
fn every_kind_of_file_survives_damage() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut longest = Duration::ZERO;
    for (name, read) in KINDS {
        let whole = std::fs::read(example(name)).unwrap();
        let mut cases = Vec::new();
        for length in (0..whole.len()).step_by(1024).chain(0..whole.len().min(64)) {
            cases.push(whole[..length].to_vec());
        }
        for _ in 0..400 {
            let mut flipped = whole.clone();
            for _ in 0..random.usize(1..4) {
                flipped[random.usize(..whole.len())] ^= 1 << random.u8(..8);
            }
            cases.push(flipped);
        }
        for length in [1, 64, 4096, 1 << 20] {
            cases.push(vec![0xff; length]);
            let mut run = whole.clone();
            let at = random.usize(..whole.len());
            let end = (at + length).min(whole.len());
            run[at..end].fill(0xff);
            cases.push(run);
        }
        // A field of 4 GiB in protobuf, and numbers of that size in text.
        for field in 1u8..16 {
            cases.push(vec![field << 3 | 2, 0xff, 0xff, 0xff, 0xff, 0x0f]);
        }
        if let Ok(text) = std::str::from_utf8(&whole) {
            for (from, to) in [("15", "4294967295"), ("10", "4294967296"), ("8", "1e999")] {
                cases.push(text.replace(from, to).into_bytes());
            }
        }
        for pattern in ["[", "{\"a\":", "[0,", "tree\n", "\n", " "] {
            cases.push(pattern.repeat((1 << 20) / pattern.len()).into_bytes());
        }
        for case in &cases {
            survive(name, case, read, &mut longest);
        }
        println!("{name}: {} damaged files", cases.len());
    }
    // Nothing is asserted about the time: the line shows loops and quadratic time.
    println!("the longest took {longest:?}");
    assert!(longest < Duration::from_secs(20), "{longest:?}");
}

#[test]
fn files_that_are_no_files_or_too_big_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model");
    let refusal = |kind| load(&path, kind, &[]).err().unwrap().to_string();
    let c_path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the path is a NUL-terminated string.
    assert_eq!(unsafe { libc::mkfifo(c_path.as_ptr(), 0o600) }, 0);
    assert!(refusal(None).contains("not a regular file"));
    std::fs::remove_file(&path).unwrap();
    // A sparse file is large but takes no space on the disk.
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(4 << 30).unwrap();
    assert!(refusal(None).contains("more than"));
    file.set_len(200 << 20).unwrap();
    assert!(refusal(Some(Kind::Linear)).contains("more than"));
    for kind in [Kind::LightGbm, Kind::XgBoost, Kind::Onnx] {
        assert!(!refusal(Some(kind)).is_empty());
    }
    drop(file);
    std::fs::copy(example("models/move.json"), &path).unwrap();
    std::os::unix::fs::symlink("nowhere", Check::path(&path)).unwrap();
    assert!(refusal(None).contains("model.check.json: cannot read it"));
}
