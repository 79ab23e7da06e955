//! From the flags to pinned cores and a clock; what every bench prints first and
//! writes last.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;
use std::{env, fs};

use serde_json::{Value, json};
use signal_command::host::library::{self, Api};

use crate::args::{Common, Subject};
use crate::contention::{MOST_TAKEN, Taken};
use crate::machine::{self, Cores};
use crate::runs::{self, Judged, Runs, Tally};
use crate::series::Stamps;
use crate::threads::{self, Watch};

/// How often a run is measured at most, until its cores were its own.
const TRIES: usize = 3;

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
    /// How often a run is measured at most, until it is valid.
    tries: usize,
    tally: RefCell<Tally>,
    /// Whether all that is shown may be compared.
    comparable: Cell<bool>,
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
            tries: common.pick(TRIES, 1),
            tally: RefCell::default(),
            comparable: Cell::new(true),
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

    /// One run, that is one repetition of what has a name in the tables: measured anew
    /// while other things had its cores, a few times. What comes out is for
    /// [`crate::runs::Runs`], which keeps invalid ones from every comparison.
    ///
    /// # Errors
    ///
    /// The run's own.
    pub fn run<T>(
        &self,
        name: &str,
        once: impl FnMut() -> Result<T, String>,
    ) -> Result<Judged<T>, String> {
        let note = |taken: &Taken, is_kept| self.note(name, taken, is_kept);
        runs::judged(&self.watched(), self.tries, note, once)
    }

    /// Watches the bench's cores, for a run that is judged by [`Taken`].
    pub fn watch(&self) -> Watch {
        Watch::begin(self.watched())
    }

    fn watched(&self) -> Vec<(usize, &'static str)> {
        let lanes = self.cores.lanes.iter().map(|&core| (core, "lane"));
        [(self.cores.host, "host")]
            .into_iter()
            .chain(lanes)
            .collect()
    }

    /// Counts a run that was judged; `is_kept` is false where it was measured anew.
    pub fn note(&self, name: &str, taken: &Taken, is_kept: bool) {
        self.tally.borrow_mut().note(name, taken, is_kept);
    }

    /// What a row shows. Where that is INVALID, the bench compares nothing any more.
    pub fn shown<'a, T>(&self, runs: &'a Runs<T>) -> &'a [T] {
        if runs.are_invalid() {
            self.comparable.set(false);
        }
        runs.shown()
    }

    /// Whether all that is shown may be compared; says so where it may not.
    pub fn may_compare(&self) -> bool {
        if !self.comparable.get() {
            println!(
                "INVALID: what is shown has no run that had its cores to itself; nothing is compared"
            );
        }
        self.comparable.get()
    }

    /// `value`, or null where nothing may be compared.
    pub fn compared(&self, value: impl FnOnce() -> Value) -> Value {
        if self.comparable.get() {
            value()
        } else {
            Value::Null
        }
    }

    /// Whether every run that is in the result had its cores to itself.
    pub fn is_valid(&self) -> bool {
        self.tally.borrow().is_valid()
    }

    /// How many runs were INVALID and what took their cores; how often threads were
    /// preempted.
    pub fn print_validity(&self) {
        if !threads::are_counted() {
            println!(
                "runs were NOT judged: this kernel does not say for how long threads wait for a core \
                 (/proc/self/schedstat, CONFIG_SCHED_INFO)"
            );
        }
        print!("{}", self.tally.borrow());
        let times = self.preemptions();
        println!("threads of this process were preempted {times} times while measuring");
    }

    /// For the result, and for every other file that a bench writes.
    pub fn validity(&self) -> Value {
        let mut validity = self.tally.borrow().to_json();
        validity["most_taken"] = json!(MOST_TAKEN);
        validity["comparable"] = json!(self.comparable.get());
        validity["judged"] = json!(threads::are_counted());
        validity
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
            "validity": self.validity(),
        });
        if let (Value::Object(whole), Value::Object(result)) = (&mut whole, result) {
            whole.extend(result);
        }
        fs::write(path, format!("{whole:#}\n")).map_err(|error| cannot_write(path, &error))
    }

    /// Writes the result, as [`Bench::write`] does, and ends the bench.
    pub fn end(self, result: Value) -> Result<Ended, String> {
        self.write(result)?;
        Ok(ended(self.is_valid(), self.tries == 1))
    }
}

/// Whether it runs is all that a quick run asks.
pub fn ended(valid: bool, is_quick: bool) -> Ended {
    if valid || is_quick {
        Ended::Measured
    } else {
        Ended::Invalid
    }
}

/// How a bench ended that could measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every run is valid, or nobody asked.
    Measured,
    /// A run in the result is not.
    Invalid,
}

/// It could not measure.
const EXIT_ERROR: u8 = 1;
/// Some run was INVALID; 2 is for a wrong flag.
const EXIT_INVALID: u8 = 3;

/// What a bench's `main` returns: 0 when it measured, whatever the figures are; 3 when a
/// run in the result is INVALID, but not with `--quick`; 1 when it could not measure, with
/// the reason on stderr.
pub fn exit(name: &str, result: Result<Ended, String>) -> ExitCode {
    if let Err(error) = &result {
        eprintln!("{name}: {error}");
    }
    ExitCode::from(code(&result))
}

fn code(result: &Result<Ended, String>) -> u8 {
    match result {
        Ok(Ended::Measured) => 0,
        Ok(Ended::Invalid) => EXIT_INVALID,
        Err(_) => EXIT_ERROR,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_run_is_in_the_exit_code_but_for_a_quick_look() {
        let codes = [(true, false), (true, true), (false, true), (false, false)]
            .map(|(valid, is_quick)| code(&Ok(ended(valid, is_quick))));
        assert_eq!(codes, [0, 0, 0, 3]);
        assert_eq!(code(&Err("no core".to_owned())), 1);
    }
}
