//! From the flags to pinned cores and a clock; what every bench prints first and
//! writes last.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;
use std::{env, fs};

use serde_json::{Value, json};
use signal_command::host::library::{self, Api};

use crate::args::{Common, Subject};
use crate::machine::{self, Cores};
use crate::series::Stamps;

/// A bench that may begin: the calling thread is pinned to the host's core.
pub struct Bench {
    name: &'static str,
    /// The cores to measure on.
    pub cores: Cores,
    /// The clock.
    pub stamps: Stamps,
    facts: Value,
    preemptions: i64,
    json: Option<PathBuf>,
}

/// The library to measure.
pub struct Library {
    /// Its functions.
    pub api: Api,
    /// Where it lies.
    pub path: PathBuf,
}

impl Library {
    /// Finds and loads it.
    pub fn load(subject: &Subject) -> Result<Self, String> {
        Self::load_from(library::find(subject.lib.as_deref())?)
    }

    /// Loads this one.
    pub fn load_from(path: PathBuf) -> Result<Self, String> {
        let api = Api::load(&path)?;
        Ok(Self { api, path })
    }

    /// In a line: version, path, age.
    pub fn describe(&self) -> String {
        let age = fs::metadata(&self.path)
            .and_then(|data| data.modified())
            .ok()
            .and_then(|built| SystemTime::now().duration_since(built).ok())
            .map_or("unknown".to_owned(), |age| match age.as_secs() {
                seconds @ 0..120 => format!("{seconds} s ago"),
                seconds @ 120..7200 => format!("{} min ago", seconds / 60),
                seconds => format!("{} h ago", seconds / 3600),
            });
        let (version, path) = (self.api.version(), self.path.display());
        format!("libsignal {version}, {path}, built {age}")
    }

    /// For the result.
    pub fn to_json(&self) -> Value {
        let built = fs::metadata(&self.path)
            .and_then(|data| data.modified())
            .ok()
            .and_then(|built| built.duration_since(SystemTime::UNIX_EPOCH).ok());
        json!({
            "version": self.api.version(),
            "path": self.path.display().to_string(),
            "built_unix_s": built.map(|built| built.as_secs()),
        })
    }
}

impl Bench {
    /// Chooses cores, checks that they may be used, pins the calling thread to the
    /// host's and calibrates the clock.
    pub fn start(name: &'static str, common: &Common) -> Result<Self, String> {
        let cores = machine::choose(common.host_core, &common.lane_cores)?;
        Self::start_on(name, common, cores)
    }

    /// The same for a bench of one thread: there need not be a second core.
    pub fn start_alone(name: &'static str, common: &Common) -> Result<Self, String> {
        let host = common
            .host_core
            .or_else(|| machine::allowed().last().copied())
            .ok_or("cannot tell which cores this process may use; name one with --host-core")?;
        let lanes = Vec::new();
        Self::start_on(name, common, Cores { host, lanes })
    }

    fn start_on(name: &'static str, common: &Common, cores: Cores) -> Result<Self, String> {
        for &core in &cores.lanes {
            machine::may_use(core)?;
        }
        machine::pin(cores.host)?;
        if let Some(path) = &common.json {
            // Now rather than after minutes of measuring.
            fs::write(path, "").map_err(|error| cannot_write(path, &error))?;
        }
        Ok(Self {
            name,
            facts: machine::facts(&cores),
            cores,
            stamps: Stamps::new(),
            preemptions: machine::preemptions(),
            json: common.json.clone(),
        })
    }

    /// The first core that is not the host's.
    pub fn lane(&self) -> usize {
        self.cores.lanes[0]
    }

    /// Times that the kernel took a core from a thread of this process since the start.
    pub fn preemptions(&self) -> i64 {
        machine::preemptions() - self.preemptions
    }

    /// Prints what is about to be timed and where: the question, the bench's own
    /// lines as name and text, then the clock and the machine.
    pub fn header(&self, question: &str, lines: &[(&str, String)]) {
        println!("{}: {question}", self.name);
        for (name, text) in lines {
            line(name, text);
        }
        line(
            "clock",
            &format!(
                "steps of {:.1} ns; medians are interpolated within a step, p99 and p99.9 are not",
                self.stamps.granule_ns()
            ),
        );
        for (name, text) in machine::describe(&self.facts) {
            line(name, &text);
        }
        println!();
    }

    /// How often threads were preempted, in a sentence.
    pub fn print_preemptions(&self) {
        let times = self.preemptions();
        println!(
            "threads of this process were preempted {times} times while measuring{}",
            if times > 0 {
                ": the tails are the machine's too"
            } else {
                ""
            }
        );
    }

    /// Writes `result`, an object, with the bench's name, the flags and the machine's
    /// facts to `--json`, if that was given.
    pub fn write(&self, result: Value) -> Result<(), String> {
        let Some(path) = &self.json else {
            return Ok(());
        };
        let mut whole = json!({
            "bench": self.name,
            "version": env!("CARGO_PKG_VERSION"),
            "git_revision": revision(),
            "flags": env::args().skip(1).collect::<Vec<_>>(),
            "machine": self.facts,
            "clock_step_ns": self.stamps.granule_ns(),
            "preemptions": self.preemptions(),
        });
        if let (Value::Object(whole), Value::Object(result)) = (&mut whole, result) {
            whole.extend(result);
        }
        fs::write(path, format!("{whole:#}\n")).map_err(|error| cannot_write(path, &error))
    }
}

/// What a bench's `main` returns: 0 when it measured, whatever the figures are; 1
/// when it could not, with the reason on stderr.
pub fn exit(name: &str, result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One line of the header; `text` may have several.
fn line(name: &str, text: &str) {
    let text = text.replace('\n', "\n             ");
    println!("  {name:<10} {text}");
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("cannot write {}: {error}", path.display())
}

/// Of the sources that this was built from, as they are now; null without git.
fn revision() -> Option<String> {
    let output = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
