//! What several tests need: events and engines to feed, meters, and, where they are
//! available, recorded data, Python and C++ hosts.
//!
//! | module | what |
//! |---|---|
//! | [`events`], [`feeds`] | events, and engines to feed with them |
//! | [`handle`] | a handle of the C ABI, fed as a C host feeds it |
//! | [`host`] | C++ hosts, compiled and run |
//! | [`models`], [`bomb`] | models and factor sets that misbehave |
//! | [`onnx`] | ONNX files |
//! | [`meters`] | counts of allocations and page faults |
//! | [`capture`], [`vectors`] | captures, and factor vectors of recorded data |
//! | [`fuzz`] | what the fuzz targets run |
//! | [`source`], [`imports`], [`api`] | a crate's source, its imports, the API that it promises |

use std::path::{Path, PathBuf};
use std::process::Command;

pub mod api;
pub mod bomb;
pub mod capture;
pub mod events;
pub mod feeds;
pub mod fuzz;
pub mod handle;
pub mod host;
pub mod imports;
pub mod meters;
pub mod models;
pub mod onnx;
pub mod source;
pub mod vectors;

/// The repository's root.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A number as pages write it, with a comma between groups of three digits.
pub fn with_commas(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&[u8]> = digits.as_bytes().rchunks(3).rev().collect();
    String::from_utf8(groups.join(&b","[..])).expect("digits and commas")
}

/// Whether a missing tool is a failure rather than a reason to skip.
fn tools_are_required() -> bool {
    std::env::var_os("SIGNAL_REQUIRE_TOOLS").is_some_and(|value| value == "1")
}

/// Says why a test is skipped; fails if nothing may be missing.
pub fn skip(missing: &str) {
    assert!(
        !tools_are_required(),
        "{missing} is missing, and SIGNAL_REQUIRE_TOOLS=1"
    );
    println!("SKIP: {missing} is missing");
}

/// `python3`, if it has these modules (see `tests/python/requirements.txt`). Otherwise the
/// reason has been printed, and the test should return.
pub fn python(modules: &str) -> Option<Command> {
    let ready = Command::new("python3")
        .args(["-c", &format!("import {modules}")])
        .output()
        .is_ok_and(|output| output.status.success());
    if ready {
        return Some(Command::new("python3"));
    }
    skip(&format!("python3 with {modules}"));
    None
}

/// A script of `tests/python/`.
pub fn script(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/python").join(name)
}

/// A recorded capture, if the data is available. Its absence is never a failure, because
/// the data is not part of the repository.
pub fn recorded(file: &str) -> Option<PathBuf> {
    let path = Path::new(ROOT).join("../shared/data/binance").join(file);
    if path.exists() {
        return Some(path);
    }
    println!("SKIP: there is no {}", path.display());
    None
}

/// The recorded sessions.
pub const SESSIONS: [&str; 4] = [
    "s2023_usdm_BTCUSDT.csv.gz",
    "s202407_usdm_BTCUSDT.csv.gz",
    "s202407_usdm_ETHUSDT.csv.gz",
    "s202408_coinm_BTCUSD_PERP.csv.gz",
];
