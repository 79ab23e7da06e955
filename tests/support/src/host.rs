//! C++ hosts: compiles them and runs them against the built `libsignal.so`.

use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a host may run.
const TIMEOUT: Duration = Duration::from_secs(300);
const CPP_FLAGS: [&str; 6] = [
    "-std=c++17",
    "-O1",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pthread",
];

/// Whether a tool is installed. Without it a test is skipped, unless
/// `SIGNAL_REQUIRE_TOOLS=1` makes that a failure.
pub fn has_tool(tool: &str) -> bool {
    let found = Command::new(tool)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !found {
        super::skip(tool);
    }
    found
}

/// The cdylib that was built with this test.
pub fn library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let deps = test.parent().unwrap();
    let newest = [deps.parent().unwrap(), deps]
        .into_iter()
        .map(|folder| folder.join("libsignal.so"))
        // `cargo test` updates the one in `deps`, `cargo build` both.
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max();
    newest.expect("libsignal.so beside this test").1
}

/// How a program ended.
pub struct Output {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

/// Runs a program to its end, or kills it after a minute.
pub fn run(command: &mut Command) -> Output {
    run_for(command, TIMEOUT)
}

/// Runs a program to its end, or kills it after `timeout`.
pub fn run_for(command: &mut Command, timeout: Duration) -> Output {
    // Lanes spin, so hosts that run at the same time would take each other's cores.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let (out, err) = (folder.path().join("stdout"), folder.path().join("stderr"));
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break Some(status),
            None if start.elapsed() > timeout => {
                child.kill().unwrap();
                child.wait().unwrap();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    let took = start.elapsed();
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    let (stdout, stderr) = (text(&out), text(&err));
    let Some(status) = status else {
        panic!("killed after {timeout:?}: {command:?}\nstdout:\n{stdout}\nstderr:\n{stderr}");
    };
    if status.code().is_none() {
        println!("{command:?} ended by a signal: {status}");
    }
    Output {
        code: status.code(),
        stdout,
        stderr,
        took,
    }
}

impl Output {
    /// Fails unless it exited with this code; shows what it printed. What a scenario says to
    /// be missing is skipped, unless nothing may be missing.
    pub fn expect_code(&self, code: i32) {
        assert_eq!(
            self.code,
            Some(code),
            "exit code\nstdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        for missing in self
            .stdout
            .lines()
            .filter_map(|line| line.strip_prefix("SKIP: "))
        {
            super::skip(missing);
        }
    }
}

/// Compiles a host.
pub fn compile(sources: &[PathBuf], program: &Path) {
    compile_with(&[], sources, program);
}

/// Compiles C++ with more flags than a host needs.
pub fn compile_with(flags: &[&str], sources: &[PathBuf], program: &Path) {
    succeeds(
        compiler()
            .args(flags)
            .args(sources)
            .arg("-o")
            .arg(program)
            .arg("-ldl"),
    );
}

/// Compiles a host of many files in parallel. Objects stay in `folder`, and are used again
/// if their source and `headers` have not changed.
pub fn compile_many(sources: &[PathBuf], headers: &[PathBuf], folder: &Path, program: &Path) {
    let mut common = std::hash::DefaultHasher::new();
    format!("{:?}", compiler()).hash(&mut common);
    for header in headers {
        fs::read(header).unwrap().hash(&mut common);
    }
    let object = |source: &PathBuf| {
        let mut key = common.clone();
        fs::read(source).unwrap().hash(&mut key);
        let name = source.file_stem().unwrap().to_str().unwrap();
        folder.join(format!("{name}-{:016x}.o", key.finish()))
    };
    let next = AtomicUsize::new(0);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(source) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let object = object(source);
                    if object.exists() {
                        continue;
                    }
                    // The file is renamed into place, because another run may do the same.
                    let fresh = object.with_extension(std::process::id().to_string());
                    succeeds(compiler().arg("-c").arg(source).arg("-o").arg(&fresh));
                    fs::rename(&fresh, &object).unwrap();
                }
            });
        }
    });
    compile(&sources.iter().map(object).collect::<Vec<_>>(), program);
}

fn compiler() -> Command {
    // `.ci/sanitize` builds the hosts with the library's flags.
    let more = std::env::var("SIGNAL_HOST_FLAGS").unwrap_or_default();
    let mut command = Command::new("g++");
    command.args(CPP_FLAGS).args(more.split_whitespace());
    command
}

/// There is no time limit: a compiler ends, however busy the machine is.
fn succeeds(command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// A host's command line, without this process's settings for the library.
pub fn host(program: &Path) -> Command {
    let mut command = Command::new(program);
    let library = library();
    // Other programs on this machine must not influence a test.
    command.env("SIGNAL_CORE_CLAIMS", library.with_file_name("core-claims"));
    command.env("SIGNAL_LIB_PATH", library);
    for variable in ["SIGNAL_CONFIG", "SIGNAL_CORES", "SIGNAL_LATENCY_DIR"] {
        command.env_remove(variable);
    }
    command
}
