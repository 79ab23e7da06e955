//! From the flags to pinned cores and a clock; judged runs; what every bench prints and
//! writes.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::SystemTime;
use std::{env, fs};

use clap::Parser;
use serde_json::{Value, json};
use signal_command::host::library::{self, Api};

use crate::args::{Common, Lib};
use crate::busy::Busy;
use crate::judge::{Judged, Runs, Tally};
use crate::live::{self, Live};
use crate::machine::{self, Cores};
use crate::report::{Goal, Report, Table};
use crate::series::Stamps;
use crate::threads::{self, Watch};

/// How often a run is measured at most, until its cores were its own.
const TRIES: usize = 3;

/// A bench that may begin: the calling thread is pinned to the host's core.
pub struct Bench {
    name: &'static str,
    pub cores: Cores,
    pub stamps: Stamps,
    pub libraries: Vec<Library>,
    facts: Value,
    preemptions: i64,
    json: Option<PathBuf>,
    is_quick: bool,
    /// That keeps the lane's core busy: the core is then shared by design, and not judged.
    busy: Option<Busy>,
    tally: RefCell<Tally>,
    /// Whether all that is shown may be compared.
    comparable: Cell<bool>,
    report: RefCell<Report>,
}

/// A `libsignal.so` that is measured.
pub struct Library {
    /// `library`, or `against` for the one that it is measured against.
    pub role: &'static str,
    api: Api,
    path: PathBuf,
}

impl Library {
    /// A handle of it.
    pub fn create(&self, config: &Value) -> Result<Live, String> {
        live::create(&self.api, config)
    }

    fn built(&self) -> Option<SystemTime> {
        fs::metadata(&self.path)
            .and_then(|data| data.modified())
            .ok()
    }

    fn describe(&self) -> String {
        // A page that is made of the result does not say where this checkout lies.
        let here = env::current_dir().unwrap_or_default();
        let path = self.path.strip_prefix(here).unwrap_or(&self.path).display();
        let age = self.built().and_then(|built| built.elapsed().ok());
        let age = age.map_or("?".to_owned(), |age| age.as_secs().to_string());
        let version = self.api.version();
        format!("libsignal {version}, {path}, built {age} s ago")
    }

    fn to_json(&self) -> Value {
        let since = |built: SystemTime| built.duration_since(SystemTime::UNIX_EPOCH).ok();
        json!({
            "version": self.api.version(),
            "path": self.path.display().to_string(),
            "built_unix_s": self.built().and_then(since).map(|built| built.as_secs()),
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
        let host = common.host_core.or_else(|| machine::another(&[]));
        let host =
            host.ok_or("cannot tell which cores this process may use; name one with --host-core")?;
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
            write(path, "")?;
        }
        Ok(Self {
            name,
            facts: machine::facts(&cores),
            cores,
            stamps: Stamps::default(),
            libraries: Vec::new(),
            preemptions: machine::preemptions(),
            json: common.json.clone(),
            is_quick: common.quick,
            busy: None,
            tally: RefCell::default(),
            comparable: Cell::new(true),
            report: RefCell::default(),
        })
    }

    /// Loads the library that is measured.
    pub fn with_library(self, lib: &Lib) -> Result<Self, String> {
        let path = library::find(lib.lib.as_deref())?;
        self.load("library", path)
    }

    /// A second one, if the flag `--against` was given.
    pub fn with_against(self, path: Option<&Path>) -> Result<Self, String> {
        match path {
            None => Ok(self),
            Some(path) => self
                .load("against", path.to_owned())
                .map_err(|error| format!("--against: {error}")),
        }
    }

    /// Keeps the lane's core busy from now on, if the flag `--busy` was given.
    pub fn with_busy_lane(mut self, busy: bool) -> Self {
        self.busy = busy.then(|| Busy::on(self.lane()));
        self
    }

    fn load(mut self, role: &'static str, path: PathBuf) -> Result<Self, String> {
        let api = Api::load(&path)?;
        self.libraries.push(Library { role, api, path });
        Ok(self)
    }

    /// A handle of the library that is measured.
    pub fn create(&self, config: &Value) -> Result<Live, String> {
        let library = self.libraries.first().ok_or("no library was loaded")?;
        library.create(config)
    }

    /// The first core that is not the host's.
    pub fn lane(&self) -> usize {
        self.cores.lanes[0]
    }

    /// Times that the kernel took a core from a thread of this process since the start.
    pub fn preemptions(&self) -> i64 {
        machine::preemptions() - self.preemptions
    }

    /// Says what is about to be timed and where: the question, the bench's own
    /// lines as name and text, then the clock and the machine.
    pub fn header(&self, question: &str, lines: &[(&str, String)]) {
        println!("{}: {question}", self.name);
        let timed = format!("what exactly: benches/README.md, {}", self.name);
        let step = self.stamps.granule_ns();
        let clock = format!(
            "steps of {step:.1} ns; medians are interpolated within a step, p99 and p99.9 are not"
        );
        let machine = machine::describe(&self.facts);
        let libraries = self.libraries.iter().map(|of| (of.role, of.describe()));
        let lines = libraries
            .chain(lines.iter().cloned())
            .chain([("timed", timed), ("clock", clock)])
            .chain(machine);
        for (name, text) in lines {
            println!("  {name:<10} {}", text.replace('\n', "\n             "));
            self.report
                .borrow_mut()
                .header
                .push((name.to_owned(), text));
        }
        println!();
    }

    pub fn show(&self, table: Table) {
        println!("{table}");
        self.report.borrow_mut().tables.push(table);
    }

    pub fn say(&self, note: impl Into<String>) {
        let note = note.into();
        println!("{note}");
        self.report.borrow_mut().notes.push(note);
    }

    /// One run, that is one repetition of what has a name in the tables: measured anew
    /// while other things had its cores, a few times.
    pub fn run<T>(
        &self,
        name: &str,
        mut once: impl FnMut() -> Result<T, String>,
    ) -> Result<Judged<T>, String> {
        let mut cores = vec![(self.cores.host, "host")];
        if self.busy.is_none() {
            cores.extend(self.cores.lanes.iter().map(|&core| (core, "lane")));
        }
        let mut tries = if self.is_quick { 1 } else { TRIES };
        loop {
            let watch = Watch::begin(cores.clone());
            let value = once()?;
            let taken = watch.end();
            tries -= 1;
            let is_last = taken.is_valid() || tries == 0;
            self.tally.borrow_mut().note(name, &taken, is_last);
            if is_last {
                return Ok(Judged { value, taken });
            }
        }
    }

    /// So many repetitions of each item, in turn; `once` gets the repetition's number, from 0.
    /// The runs of each item, in the items' order.
    pub fn in_turn<I, T>(
        &self,
        repetitions: usize,
        items: &mut [I],
        name: impl Fn(&I) -> String,
        mut once: impl FnMut(&mut I, usize) -> Result<T, String>,
    ) -> Result<Vec<Runs<T>>, String> {
        let mut all: Vec<Runs<T>> = items.iter().map(|_| Runs::default()).collect();
        for number in 0..repetitions {
            for (item, runs) in items.iter_mut().zip(&mut all) {
                let name = format!("{}repetition {}", name(item), number + 1);
                runs.0.push(self.run(&name, || once(item, number))?);
            }
        }
        Ok(all)
    }

    /// The same of one thing.
    pub fn repeat<T>(
        &self,
        repetitions: usize,
        prefix: &str,
        mut once: impl FnMut(usize) -> Result<T, String>,
    ) -> Result<Runs<T>, String> {
        let name = |_: &()| prefix.to_owned();
        let mut all = self.in_turn(repetitions, &mut [()], name, |_, number| once(number))?;
        Ok(all.remove(0))
    }

    /// What a row shows. Where that is INVALID, the bench compares nothing any more.
    pub fn shown<'a, T>(&self, runs: &'a Runs<T>) -> Vec<&'a T> {
        self.comparable
            .set(self.comparable.get() && !runs.are_invalid());
        runs.shown()
    }

    /// Whether all that is shown may be compared.
    pub fn may_compare(&self) -> bool {
        self.comparable.get()
    }

    /// `value`, or null where nothing may be compared.
    pub fn compared(&self, value: impl FnOnce() -> Value) -> Value {
        match self.may_compare() {
            true => value(),
            false => Value::Null,
        }
    }

    /// Says how many runs were INVALID and what took their cores, how often threads were
    /// preempted, and how the goals were met. Writes `result`, an object, with the report,
    /// the bench's name, the flags and the machine's facts to `--json`, if that was given.
    pub fn end(self, goals: impl FnOnce() -> Vec<Goal>, result: Value) -> Result<Ended, String> {
        if !threads::are_counted() {
            self.say(
                "runs were NOT judged: this kernel does not say for how long threads wait for a core \
                 (/proc/self/schedstat, CONFIG_SCHED_INFO)",
            );
        }
        let tally = self.tally.borrow();
        self.say(tally.to_string());
        let times = self.preemptions();
        self.say(format!(
            "threads of this process were preempted {times} times while measuring"
        ));
        if self.may_compare() {
            let goals = goals();
            goals.iter().for_each(|goal| println!("{goal}"));
            self.report.borrow_mut().goals = goals;
        } else {
            self.say("INVALID: what is shown has no run that had its cores to itself; nothing is compared");
        }
        if let Some(path) = &self.json {
            let mut validity = tally.to_json();
            validity["comparable"] = json!(self.may_compare());
            validity["judged"] = json!(threads::are_counted());
            let report = self.report.borrow();
            let whole = json!({
                "bench": self.name,
                "version": env!("CARGO_PKG_VERSION"),
                "git_revision": revision(),
                "flags": env::args().skip(1).collect::<Vec<_>>(),
                "machine": self.facts,
                "clock_step_ns": self.stamps.granule_ns(),
                "preemptions": times,
                "validity": validity,
                "goals": self.compared(|| json!(report.goals)),
            });
            let mut whole = merged(whole, result);
            for library in &self.libraries {
                whole[library.role] = library.to_json();
            }
            whole["report"] = json!(*report);
            write(path, &format!("{whole:#}\n"))?;
        }
        Ok(match tally.is_valid() || self.is_quick {
            true => Ended::Measured,
            false => Ended::Invalid,
        })
    }
}

/// Measures each item once; the results in the items' order. Who goes first changes with the
/// repetition's number, so that what one leaves behind meets everybody.
pub fn rotated<I, T>(
    items: &[I],
    number: usize,
    mut measure: impl FnMut(&I) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let (rest, first) = items.split_at(number % items.len());
    let all = first.iter().chain(rest).map(&mut measure);
    let mut all = all.collect::<Result<Vec<T>, String>>()?;
    all.rotate_right(rest.len());
    Ok(all)
}

/// An object with the entries of another.
pub fn merged(mut base: Value, more: Value) -> Value {
    if let (Value::Object(base), Value::Object(more)) = (&mut base, more) {
        base.extend(more);
    }
    base
}

/// How a bench ended that could measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every run is valid, or a quick look was all that was asked for.
    Measured,
    /// A run in the result is not.
    Invalid,
}

/// A bench's `main`. The exit code is 0 when it measured, whatever the figures are; 3 when a
/// run in the result is INVALID, but not with `--quick`; 1 when it could not measure, with
/// the reason on stderr; 2 for a wrong flag.
pub fn main<A: Parser>(name: &str, run: impl FnOnce(&A) -> Result<Ended, String>) -> ExitCode {
    match run(&A::parse()) {
        Ok(Ended::Measured) => ExitCode::SUCCESS,
        Ok(Ended::Invalid) => ExitCode::from(3),
        Err(error) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Writes a file, or says which one it could not write.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
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
    use crate::judge::tests::judged;

    #[test]
    fn an_invalid_run_is_in_the_exit_code_but_for_a_quick_look() {
        #[derive(Parser)]
        struct Args {
            #[command(flatten)]
            common: Common,
        }
        for (flags, waited_ns, ended) in [
            (&["bench"][..], 0, Ended::Measured),
            (&["bench"], 50_000_000, Ended::Invalid),
            (&["bench", "--quick"], 50_000_000, Ended::Measured),
        ] {
            let args = Args::parse_from(flags);
            let bench = Bench::start_alone("bench", &args.common).unwrap();
            let runs = Runs(vec![judged(1, waited_ns, 0)]);
            let taken = &runs.0[0].taken;
            bench.tally.borrow_mut().note("a run", taken, true);
            assert_eq!(bench.shown(&runs), [&1]);
            assert_eq!(bench.may_compare(), waited_ns == 0);
            assert_eq!(bench.end(Vec::new, Value::Null), Ok(ended));
        }
    }
}
