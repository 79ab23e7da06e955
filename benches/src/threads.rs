//! What the kernel says of the threads of this process: for how long each ran, and for
//! how long it could have run and something else had its core.
//!
//! A thread that measures is known from [`begin`] on, which `machine::pin` calls, and is
//! counted until it ends. The library's lanes are known from the end of `live::create` on
//! and are counted until their handle is dropped. What a thread waited before, while it
//! was being made, is no part of any run.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::judge::{Core, Other, Taken};

/// A thread, as it is now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thread {
    pub id: u32,
    pub name: String,
    /// `R` runs or could, `S` sleeps, `D` waits for a disk, ...
    pub state: String,
    /// The only core that it may use.
    pub core: Option<usize>,
    pub ran_ns: u64,
    /// For how long it could have run and did not.
    pub waited_ns: u64,
    /// How often the kernel took its core.
    pub preempted: u64,
}

impl Thread {
    /// `None` where it is gone, or where the kernel does not count.
    fn read(folder: &Path) -> Option<Self> {
        let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
        parse(number(folder)?, &text("schedstat")?, &text("status")?)
    }

    /// What it has done since it was `before`; `None` where that was another thread, one that is
    /// gone and had its number.
    pub fn since(&self, before: &Thread) -> Option<Thread> {
        (self.id == before.id && self.ran_ns >= before.ran_ns).then(|| Thread {
            ran_ns: self.ran_ns - before.ran_ns,
            waited_ns: self.waited_ns.saturating_sub(before.waited_ns),
            preempted: self.preempted.saturating_sub(before.preempted),
            ..self.clone()
        })
    }
}

fn parse(id: u32, times: &str, status: &str) -> Option<Thread> {
    let (ran_ns, waited_ns) = ran_and_waited(times)?;
    let field = |name: &str| {
        let mut lines = status.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        found.map_or("", str::trim)
    };
    Some(Thread {
        id,
        name: field("Name").to_owned(),
        state: field("State").chars().take(1).collect(),
        core: field("Cpus_allowed_list").parse().ok(),
        ran_ns,
        waited_ns,
        preempted: field("nonvoluntary_ctxt_switches").parse().unwrap_or(0),
    })
}

/// The first two numbers of a `schedstat`.
fn ran_and_waited(times: &str) -> Option<(u64, u64)> {
    let mut times = times.split_whitespace().map(str::parse);
    Some((times.next()?.ok()?, times.next()?.ok()?))
}

pub fn all() -> Vec<Thread> {
    let threads = folders(Path::new("/proc/self/task"));
    threads.filter_map(|path| Thread::read(&path)).collect()
}

fn folders(path: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// The process or thread that a folder is of.
fn number(folder: &Path) -> Option<u32> {
    folder.file_name()?.to_str()?.parse().ok()
}

pub fn own() -> u32 {
    // SAFETY: takes no argument and changes nothing.
    unsafe { libc::gettid() as u32 }
}

/// Per core what its threads have waited, and how often they were preempted, so far.
type Sums = HashMap<usize, (u64, u64)>;

#[derive(Default)]
struct Ledger {
    /// Threads as they were when they were last looked at.
    known: HashMap<u32, Thread>,
    sums: Sums,
}

static LEDGER: Mutex<Option<Ledger>> = Mutex::new(None);

impl Ledger {
    /// Adds what a thread has waited since it was last looked at.
    fn add(&mut self, now: Thread) {
        let before = self.known.get(&now.id);
        let since = before.and_then(|before| now.since(before));
        if let (Some(core), Some(since)) = (now.core, since) {
            let sum = self.sums.entry(core).or_default();
            sum.0 += since.waited_ns;
            sum.1 += since.preempted;
        }
        self.known.insert(now.id, now);
    }
}

fn with_ledger<R>(use_it: impl FnOnce(&mut Ledger) -> R) -> R {
    let mut ledger = LEDGER.lock().unwrap_or_else(PoisonError::into_inner);
    use_it(ledger.get_or_insert_default())
}

/// Looks at all threads: each is known from now on, and what those that were known have
/// waited is counted. Returns the sums.
pub fn look() -> Sums {
    let threads = all();
    with_ledger(|ledger| {
        let there: Vec<u32> = threads.iter().map(|thread| thread.id).collect();
        ledger.known.retain(|id, _| there.contains(id));
        threads.into_iter().for_each(|thread| ledger.add(thread));
        ledger.sums.clone()
    })
}

/// Counts the calling thread when it ends.
struct Ending(PathBuf);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(thread) = Thread::read(&self.0) {
            with_ledger(|ledger| ledger.add(thread));
        }
    }
}

thread_local! {
    static ENDING: RefCell<Option<Ending>> = const { RefCell::new(None) };
}

/// The calling thread has its core and counts from now on.
pub fn begin() {
    let folder = PathBuf::from(format!("/proc/self/task/{}", own()));
    if let Some(thread) = Thread::read(&folder) {
        with_ledger(|ledger| ledger.known.insert(thread.id, thread));
    }
    ENDING.with(|ending| *ending.borrow_mut() = Some(Ending(folder)));
}

/// Whether the kernel counts for how long threads wait for a core.
pub fn are_counted() -> bool {
    let times = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    ran_and_waited(&times).is_some_and(|(ran, _)| ran > 0)
}

/// The steps of the kernel's for which the hypervisor has had each core.
fn stolen(text: &str) -> HashMap<usize, u64> {
    let cores = text.lines().filter_map(|line| {
        // The line of all cores together has a space there.
        let (core, times) = line.strip_prefix("cpu")?.split_once(' ')?;
        // user nice system idle iowait irq softirq steal
        let steal = times.split_whitespace().nth(7)?;
        Some((core.parse().ok()?, steal.parse().ok()?))
    });
    cores.collect()
}

/// Whole steps, of which one may be a rounding.
fn certain_ns(before: u64, after: u64, step_ns: u64) -> u64 {
    after.saturating_sub(before).saturating_sub(1) * step_ns
}

/// For how long the threads of other processes have run, by process and thread.
type Ran = HashMap<(u32, u32), u64>;

fn others() -> Ran {
    let me = std::process::id();
    let mut all = HashMap::new();
    for process in folders(Path::new("/proc")) {
        let Some(id) = number(&process).filter(|&id| id != me) else {
            continue;
        };
        for thread in folders(&process.join("task")) {
            let times = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
            if let (Some(thread), Some((ran, _))) = (number(&thread), ran_and_waited(&times)) {
                all.insert((id, thread), ran);
            }
        }
    }
    all
}

/// Those that have run since `before`, the longest first.
fn who_ran(before: &Ran) -> Vec<Other> {
    let ran = others()
        .into_iter()
        .filter_map(|((process, thread), after)| {
            // One that is new has run since then only.
            let before = before.get(&(process, thread)).copied().unwrap_or(0);
            let ran_ns = after.checked_sub(before).filter(|&ran| ran > 0)?;
            let stat = fs::read_to_string(format!("/proc/{process}/task/{thread}/stat")).ok()?;
            let (name, core) = parse_stat(&stat)?;
            Some(Other {
                name,
                process,
                core,
                ran_ns,
            })
        });
    let mut ran: Vec<Other> = ran.collect();
    ran.sort_by_key(|other| std::cmp::Reverse(other.ran_ns));
    ran
}

/// A thread's name, which may have any character, and the core that it was on last.
fn parse_stat(stat: &str) -> Option<(String, usize)> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    // The 39th field; the first of `rest` is the third.
    let core = rest.split_whitespace().nth(36)?.parse().ok()?;
    Some((name.to_owned(), core))
}

/// Watches cores while something is measured.
pub struct Watch {
    cores: Vec<(usize, &'static str)>,
    others: Ran,
    stolen: HashMap<usize, u64>,
    sums: Sums,
    start: Instant,
}

impl Watch {
    /// Begins: these cores, each with its role.
    pub fn begin(cores: Vec<(usize, &'static str)>) -> Self {
        Self {
            cores,
            others: others(),
            stolen: read_stolen(),
            sums: look(),
            start: Instant::now(),
        }
    }

    /// What happened on them since then.
    pub fn end(self) -> Taken {
        let wall_ns = self.start.elapsed().as_nanos() as u64;
        let (sums, stolen) = (look(), read_stolen());
        // SAFETY: asks for a constant of the system.
        let a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        let step_ns = 1_000_000_000 / u64::try_from(a_second).unwrap_or(100).max(1);
        let core = |&(core, role): &(usize, &'static str)| {
            let of = |sums: &Sums| sums.get(&core).copied().unwrap_or_default();
            let steal = |all: &HashMap<usize, u64>| all.get(&core).copied().unwrap_or_default();
            let (before, after) = (of(&self.sums), of(&sums));
            Core {
                core,
                role,
                waited_ns: after.0 - before.0,
                preempted: after.1 - before.1,
                stolen_ns: certain_ns(steal(&self.stolen), steal(&stolen), step_ns),
                ..Core::default()
            }
        };
        let mut taken = Taken::of(wall_ns, self.cores.iter().map(core).collect());
        if !taken.is_valid() {
            let here = |other: &Other| self.cores.iter().any(|(core, _)| *core == other.core);
            let ran = who_ran(&self.others).into_iter().filter(here);
            taken.others = ran.take(8).collect();
        }
        taken
    }
}

fn read_stolen() -> HashMap<usize, u64> {
    stolen(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_read() {
        let status = "Name:\tsignal-lane-0\nState:\tR (running)\nCpus_allowed_list:\t1\n\
                      nonvoluntary_ctxt_switches:\t9\n";
        let expected = Thread {
            id: 7,
            name: "signal-lane-0".to_owned(),
            state: "R".to_owned(),
            core: Some(1),
            ran_ns: 120,
            waited_ns: 34,
            preempted: 9,
        };
        assert_eq!(parse(7, "120 34 5\n", status), Some(expected));
        // Not pinned to one core, or a kernel that does not count.
        let wide = parse(7, "1 2 3", "Cpus_allowed_list:\t0-1\n").unwrap();
        assert_eq!(wide.core, None);
        assert_eq!(parse(7, "", status), None);
        // A name may have brackets.
        let rest: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("12 (a) (b) {}", rest.join(" "));
        assert_eq!(parse_stat(&stat), Some(("a) (b".to_owned(), 39)));
    }

    #[test]
    fn steal_is_the_cores_own_and_one_step_may_be_a_rounding() {
        let text = "cpu  1 2 3 4 5 6 7 80 0 0\ncpu0 1 2 3 4 5 6 7 30 0 0\ncpu1 1 2 3 4 5 6 7 50 0 0\nintr 5\n";
        assert_eq!(stolen(text), HashMap::from([(0, 30), (1, 50)]));
        let certain = [30, 31, 33, 29].map(|after| certain_ns(30, after, 10));
        assert_eq!(certain, [0, 0, 20, 0]);
    }

    #[test]
    fn a_thread_counts_from_its_first_look_and_one_with_its_number_anew() {
        let at = |id, ran_ns, waited_ns| Thread {
            id,
            core: Some(3),
            ran_ns,
            waited_ns,
            preempted: waited_ns / 10,
            ..Thread::default()
        };
        let mut ledger = Ledger::default();
        for thread in [at(1, 10, 500), at(1, 20, 530), at(2, 5, 90), at(1, 30, 540)] {
            ledger.add(thread);
        }
        assert_eq!(ledger.sums[&3], (40, 4));
        // It has run less than before: another thread.
        ledger.add(at(1, 3, 900));
        ledger.add(at(1, 4, 901));
        assert_eq!(ledger.sums[&3].0, 41);
    }
}
