//! The layers: what each module may import from the library and from other crates. Also
//! checks that files stay short and that no program includes another's source.
//!
//! A module imports only from layers above its own in [`LAYERS`], never from its neighbours
//! on the same line. Tests and links in documentation do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::imports::{Imports, imports};

/// One layer per line: its modules, and the crates that they use.
const LAYERS: &[(&[&str], &[&str])] = &[
    (
        &["abi", "error"],
        &["bytemuck", "serde", "serde_json", "strsim", "thiserror"],
    ),
    (&["sync"], &["bytemuck", "crossbeam_utils", "libc", "loom"]),
    (&["os"], &["core_affinity", "libc", "quanta", "serde"]),
    (&["messages"], &["bytemuck"]),
    (
        &["formats", "state"],
        &["bytemuck", "csv", "flate2", "thiserror"],
    ),
    (
        &["factors", "models"],
        &[
            "bytemuck",
            "rustc_hash",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "thiserror",
            "tract_onnx",
        ],
    ),
    (&["stages"], &["rustc_hash", "serde"]),
    (
        &["telemetry", "testing"],
        &[
            "crossbeam_utils",
            "hdrhistogram",
            "rtrb",
            "serde_json",
            "serde_path_to_error",
        ],
    ),
    (&["capture"], &["bytemuck"]),
    (&["pipeline"], &["crossbeam_utils", "serde"]),
    (&["config"], &["serde", "serde_json", "serde_path_to_error"]),
    (
        &["report"],
        &["flate2", "hdrhistogram", "serde", "serde_json"],
    ),
    (&["engine"], &["bytemuck"]),
    (&["ffi"], &["bytemuck", "crossbeam_utils", "libc"]),
];

/// The library's direct dependencies, without its features.
const DEPENDENCIES: [&str; 14] = [
    "bytemuck",
    "core_affinity",
    "crossbeam-utils",
    "flate2",
    "hdrhistogram",
    "libc",
    "quanta",
    "rtrb",
    "rustc-hash",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "strsim",
    "thiserror",
];

/// The maximum number of lines in a source file.
const MOST_LINES: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The layer of a module: its index in the list.
fn layer(module: &str) -> Option<usize> {
    LAYERS
        .iter()
        .position(|(modules, _)| modules.contains(&module))
}

/// The module at the library's root to which a file belongs.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap();
    let first = Path::new(&first).with_extension("");
    first.to_string_lossy().into_owned()
}

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "cargo metadata: {output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A normal dependency of a package.
struct Dependency {
    name: String,
    optional: bool,
    target: Option<String>,
    features: Vec<String>,
    default_features: bool,
}

fn dependencies(package: &str) -> Vec<Dependency> {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages
        .iter()
        .find(|found| found["name"] == package)
        .unwrap_or_else(|| panic!("no package {package}"));
    let all = package["dependencies"].as_array().unwrap().iter();
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    all.filter(|found| found["kind"].is_null())
        .map(|found| Dependency {
            name: text(&found["name"]).unwrap(),
            optional: found["optional"] == true,
            target: text(&found["target"]),
            features: found["features"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(text)
                .collect(),
            default_features: found["uses_default_features"] == true,
        })
        .collect()
}

/// All source files below a folder, or the file itself.
fn sources(place: &Path) -> Vec<PathBuf> {
    if place.is_file() {
        let is_source = |ending| {
            ["rs", "cpp", "hpp", "c", "py"]
                .iter()
                .any(|known| ending == *known)
        };
        let is_source = place.extension().is_some_and(is_source);
        return is_source.then(|| place.to_owned()).into_iter().collect();
    }
    if place.file_name().is_some_and(|name| name == "target") {
        return Vec::new();
    }
    let entries = fs::read_dir(place).unwrap();
    entries
        .flat_map(|entry| sources(&entry.unwrap().path()))
        .collect()
}

fn library() -> Imports {
    let dependencies = dependencies("godzilla-signal");
    let crates: Vec<String> = dependencies
        .iter()
        .map(|dependency| dependency.name.replace('-', "_"))
        .collect();
    let crates: Vec<&str> = crates.iter().map(String::as_str).collect();
    imports(&root().join("src/lib.rs"), &crates)
}

#[test]
fn modules_import_from_layers_above_alone() {
    let (mut wrong, mut edges) = (Vec::new(), 0);
    for (file, found) in library() {
        let module = module_of(&file);
        if module == "lib" {
            continue;
        }
        let own = layer(&module).unwrap_or_else(|| panic!("{module} has no layer"));
        for (_, other) in found.iter().filter(|(first, _)| first == "crate") {
            edges += 1;
            if *other != module && layer(other).is_none_or(|other| other >= own) {
                wrong.push(format!("{} imports crate::{other}", file.display()));
            }
        }
    }
    assert!(edges > 250, "only {edges} imports were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn layers_use_the_crates_that_are_listed_alone() {
    let mut used: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for (file, found) in library() {
        if let Some(layer) = layer(&module_of(&file)) {
            let crates = found.into_iter().map(|(first, _)| first);
            used.entry(layer)
                .or_default()
                .extend(crates.filter(|first| first != "crate"));
        }
    }
    let mut wrong = Vec::new();
    for (layer, used) in used {
        let (modules, listed) = LAYERS[layer];
        let listed: BTreeSet<String> = listed.iter().map(|name| (*name).to_owned()).collect();
        if used != listed {
            wrong.push(format!(
                "{modules:?} use {used:?}, and listed are {listed:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_library_depends_on_few_packages() {
    let direct: BTreeSet<String> = dependencies("godzilla-signal")
        .into_iter()
        .filter(|dependency| !dependency.optional && dependency.target.is_none())
        .map(|dependency| dependency.name)
        .collect();
    assert_eq!(direct, DEPENDENCIES.map(str::to_owned).into());
}

#[test]
fn no_member_changes_the_library_that_is_built_with_it() {
    let mut members = 0;
    for package in metadata()["packages"].as_array().unwrap() {
        let package = package["name"].as_str().unwrap();
        // Only tests use it.
        if package == "signal-test-support" {
            continue;
        }
        let dependencies = dependencies(package);
        let mut all = dependencies.iter();
        if let Some(library) = all.find(|found| found.name == "godzilla-signal") {
            members += 1;
            let features = &library.features;
            let is_as_built_alone = features.is_empty() && library.default_features;
            assert!(is_as_built_alone, "{package} asks for {features:?}");
        }
    }
    assert!(members >= 3, "only {members} members use the library");
}

/// Code that opens a file elsewhere may wait for a FIFO, get a descriptor that the host
/// takes for its stderr, or lack a lock.
#[test]
fn files_are_opened_in_one_place_alone() {
    let (mut wrong, mut users) = (Vec::new(), 0);
    for (main, place) in [
        ("src/lib.rs", Some("src/os/files")),
        ("command/src/lib.rs", None),
    ] {
        for (file, found) in imports(&root().join(main), &["std", "libc"]) {
            let inside = file.strip_prefix(root()).unwrap().with_extension("");
            let opens = |(first, second): &&(String, String)| match first.as_str() {
                "std" => second == "fs",
                _ => ["open", "open64", "openat", "openat64", "creat"].contains(&second.as_str()),
            };
            let found: Vec<_> = found.iter().filter(opens).collect();
            if place.is_some_and(|place| inside.starts_with(place)) {
                users += found.len();
            } else if !found.is_empty() {
                wrong.push(format!("{} uses {found:?}", inside.display()));
            }
        }
    }
    assert!(
        users > 3,
        "only {users} uses were found where they should be"
    );
    assert!(wrong.is_empty(), "open files in src/os/files: {wrong:#?}");
}

/// Code that reads the time elsewhere, or waits until a moment, ends a host that has
/// forbidden the TSC, or is ended by a sandbox that forbids `clock_nanosleep`.
#[test]
fn the_time_is_told_in_one_place_alone() {
    const NAMES: [&str; 10] = [
        "SystemTime::now",
        "clock_gettime",
        "crossbeam_utils::sync",
        "quanta::",
        "rdtsc(",
        "recv_deadline",
        "recv_timeout",
        "thread::park_timeout",
        "thread::sleep",
        "wait_timeout",
    ];
    let (mut wrong, mut users) = (Vec::new(), 0);
    for (file, _) in library() {
        let inside = file.strip_prefix(root().join("src")).unwrap();
        let is_place = ["os/clock.rs", "os/time.rs"]
            .map(Path::new)
            .contains(&inside);
        let text = fs::read_to_string(&file).unwrap();
        let shipped = text.split("mod tests {").next().unwrap();
        let mut imports = shipped.split("use std::time::{").skip(1);
        if imports.any(|list| list.split('}').next().unwrap().contains("Instant")) {
            wrong.push(format!("{} imports std's Instant", inside.display()));
        }
        // Tests come last in a file.
        let lines = text.lines().take_while(|line| *line != "mod tests {");
        for line in lines.filter(|line| !line.trim_start().starts_with("//")) {
            let is_moment = line.contains("std::time") && line.contains("Instant");
            if is_moment || NAMES.iter().any(|name| line.contains(name)) {
                match is_place {
                    true => users += 1,
                    false => wrong.push(format!("{}: {line}", inside.display())),
                }
            }
        }
    }
    assert!(
        users > 3,
        "only {users} uses were found where they should be"
    );
    assert!(wrong.is_empty(), "ask src/os/time.rs: {wrong:#?}");
}

/// The standard library has the C library take the memory for the result. That may be another
/// allocator than the one that frees it.
#[test]
fn the_library_frees_no_memory_that_the_c_library_took() {
    let (mut wrong, mut files) = (Vec::new(), 0);
    for (file, _) in library() {
        files += 1;
        let text = fs::read_to_string(&file).unwrap();
        if text.contains("canonicalize") {
            wrong.push(file);
        }
    }
    assert!(files > 100, "only {files} files were found");
    assert!(wrong.is_empty(), "use os::files::real: {wrong:#?}");
}

#[test]
fn what_drives_the_library_as_a_host_knows_its_abi_alone() {
    let main = root().join("command/src/lib.rs");
    let mut files = 0;
    for (file, found) in imports(&main, &["signal"]) {
        if !file.starts_with(root().join("command/src/host")) {
            continue;
        }
        files += 1;
        for (first, second) in found {
            let known: &[&str] = if first == "signal" {
                &["abi", "ffi"]
            } else {
                &["host"]
            };
            let name = file.display();
            assert!(
                known.contains(&second.as_str()),
                "{name} imports {first}::{second}"
            );
        }
    }
    assert!(files > 2, "only {files} files of host/ were found");
}

#[test]
fn no_program_includes_the_source_of_another_and_files_are_short() {
    let (mut wrong, mut files) = (Vec::new(), 0);
    for folder in [
        "src", "command", "tests", "benches", "fuzz", "examples", "build.rs",
    ] {
        for file in sources(&root().join(folder)) {
            files += 1;
            let text = fs::read_to_string(&file).unwrap();
            let lines = text.lines().count();
            if lines > MOST_LINES {
                wrong.push(format!("{} has {lines} lines", file.display()));
            }
            let is_include = |line: &str| {
                let line = line.trim_start();
                let attribute = line.starts_with("#[") && line.contains("path = \"");
                attribute || line.contains(concat!("include", "!("))
            };
            if text.lines().any(is_include) {
                wrong.push(format!("{} includes a file by its path", file.display()));
            }
        }
    }
    assert!(files > 200, "only {files} files were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn paths_are_found_wherever_code_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("lib.rs");
    let text = "mod a; #[cfg(test)] mod gone; #[cfg(not(test))] mod b { use super::top::X; }";
    fs::write(&main, text).unwrap();
    let text = r#"
        //! A link to [`crate::in_a_comment`].
        use crate::{one::X, two::{self, Y as Z}};
        use super::far;
        use serde::Deserialize;
        use csv::Own;
        mod csv { pub struct Own; }
        #[derive(libc::Derived)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        struct S { field: Vec<crate::three::T> }
        #[serde(with = "crate::five::text")]
        fn f() { call!(crate::four::g(libc::now(), self.serde, other::libc::x, "crate::no path")); }
        fn g() { for n in 0..crate::six::N { ::libc::getpid(); self::super::seven::h(n) } }
        #[cfg(all(test, unix))]
        mod tests { use crate::in_a_test; }
        #[cfg(test)]
        fn helper() { crate::in_a_helper::g() }
    "#;
    fs::write(folder.path().join("a.rs"), text).unwrap();
    let found = imports(&main, &["serde", "libc", "schemars", "csv"]);
    let of = |name: &str| {
        let found = found[&folder.path().join(name)].iter();
        let names: Vec<_> = found
            .map(|(first, second)| format!("{first}::{second}"))
            .collect();
        names.join(" ")
    };
    assert_eq!(of("lib.rs"), "crate::top");
    assert_eq!(
        of("a.rs"),
        "crate::far crate::five crate::four crate::one crate::seven crate::six crate::three \
         crate::two libc::Derived libc::getpid libc::now serde::Deserialize"
    );
}

fn architecture() -> String {
    fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md can be read")
}

/// The texts between backticks, in order.
fn code(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_on_architecture_shows_these_layers() {
    let page = architecture();
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let shown: Vec<Vec<&str>> = rows
        .map(|row| code(row.split('|').nth(1).unwrap()))
        .take_while(|modules| layer(modules[0]).is_some())
        .collect();
    // Modules that do not exist yet have no row.
    let src = root().join("src");
    let exists = |name: &&str| src.join(name).exists() || src.join(format!("{name}.rs")).exists();
    let layers: Vec<Vec<&str>> = LAYERS
        .iter()
        .map(|(modules, _)| modules.iter().copied().filter(exists).collect())
        .filter(|modules: &Vec<&str>| !modules.is_empty())
        .collect();
    assert_eq!(shown, layers);
}

#[test]
fn the_files_that_the_page_on_architecture_names_exist() {
    let page = architecture();
    let is_path = |text: &&str| text.contains('/') && !text.contains(' ') && !text.contains('=');
    let paths: Vec<&str> = code(&page).into_iter().filter(is_path).collect();
    assert!(paths.len() > 50, "{}", paths.len());
    for path in paths {
        let found = root().join(path).exists() || root().join("src").join(path).exists();
        assert!(found, "ARCHITECTURE.md names {path}");
    }
}
