//! A bench that is run shortened, and what it printed and wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use signal_bench::machine;

/// One bench at a time: each wants both cores.
pub static CORES: Mutex<()> = Mutex::new(());

pub fn run(program: &str, args: &str) -> (Option<i32>, String, String) {
    let _alone = CORES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut command = Command::new(program);
    // The library beside the program, not one that this shell happens to name.
    command
        .env_remove("SIGNAL_LIB_PATH")
        .args(args.split_whitespace());
    texts(command.output().expect("the bench can be started"))
}

pub fn texts(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// The library that the programs find: the one that Cargo built with them.
pub fn library_beside() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_tick_to_callback")).with_file_name("deps/libsignal.so")
}

pub fn two_cores() -> bool {
    let enough = machine::allowed().len() >= 2;
    if !enough {
        println!("skipped: needs two cores, this process may use one");
    }
    enough
}

pub fn tools_are_required() -> bool {
    std::env::var_os("SIGNAL_REQUIRE_TOOLS").is_some_and(|value| value == "1")
}

pub fn taskset_is_missing() {
    let required = tools_are_required();
    assert!(!required, "taskset is missing, and SIGNAL_REQUIRE_TOOLS=1");
    println!("skipped: taskset is missing");
}

/// What a shortened run printed and wrote.
pub struct Quick {
    pub out: String,
    pub err: String,
    pub result: Value,
}

/// Runs a bench shortened; what every bench writes is there. `None` where it needs a second
/// core.
pub fn quick(program: &str, more: &str) -> Option<Quick> {
    if !program.ends_with("parts") && !two_cores() {
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let (code, out, err) = run(
        program,
        &format!("--quick --json {} {more}", file.display()),
    );
    assert_eq!(code, Some(0), "{program}: {out}{err}");
    let text = std::fs::read_to_string(&file).expect("--json wrote the file");
    let result: Value = serde_json::from_str(&text).expect("the file is JSON");
    assert!(program.ends_with(result["bench"].as_str().unwrap()));
    let machine = &result["machine"];
    let texts = "cpu l2 instruction_set kernel nohz_full load_average".split(' ');
    let lists = "allowed_cores lane_cores isolated_cores governors".split(' ');
    assert!(texts.into_iter().all(|key| machine[key].is_string()) && machine["host_core"].is_u64());
    assert!(lists.into_iter().all(|key| machine[key].is_array()));
    assert!(machine["tsc"]["invariant"].is_boolean() && result["version"].is_string());
    assert!(result["preemptions"].is_i64() && result["flags"][0] == "--quick");
    let quick = Quick { out, err, result };
    quick.is_positive("clock_step_ns");
    // What is shown is what is written.
    for row in quick.all("report/tables/*/rows/*/0") {
        quick.says(row.as_str().unwrap());
    }
    Some(quick)
}

impl Quick {
    pub fn says(&self, text: &str) {
        assert!(self.out.contains(text), "{text}: {}", self.out);
    }

    /// The values at a path, in which `*` is every entry.
    pub fn all<'a>(&'a self, path: &str) -> Vec<&'a Value> {
        let mut found = vec![&self.result];
        for part in path.split('/') {
            let next = |value: &'a Value| match (part, value) {
                ("*", Value::Array(all)) => all.iter().collect(),
                ("*", Value::Object(all)) => all.values().collect(),
                (_, Value::Array(all)) => vec![&all[part.parse::<usize>().unwrap()]],
                _ => vec![&value[part]],
            };
            found = found.into_iter().flat_map(next).collect();
        }
        assert!(!found.is_empty(), "{path}");
        found
    }

    pub fn is_positive(&self, path: &str) {
        for value in self.all(path) {
            assert!(
                value.as_f64().is_some_and(|number| number > 0.0),
                "{path}: {value}"
            );
        }
    }

    /// Whether no run is left that others disturbed beyond use: then nothing is compared,
    /// and the file says so. Other programs may have had the cores while this test ran.
    pub fn is_comparable(&self) -> bool {
        let validity = &self.result["validity"];
        assert_eq!(validity["most_taken"], 0.01);
        let count = |name: &str| validity[name].as_u64().expect(name);
        let told = validity["invalid_runs"].as_array().unwrap().len() as u64;
        assert_eq!(told, count("invalid") + count("measured_anew"));
        assert!(count("measured") >= told && count("measured") > 0);
        let comparable = validity["comparable"].as_bool().unwrap();
        assert!(comparable || count("invalid") > 0);
        assert_eq!(self.out.contains("INVALID: what is shown"), !comparable);
        comparable
    }

    /// Positive where things may be compared, else null.
    pub fn is_compared(&self, path: &str) {
        match self.is_comparable() {
            true => self.is_positive(path),
            false => assert!(self.all(path).iter().all(|value| value.is_null()), "{path}"),
        }
    }
}
