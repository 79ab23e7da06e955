//! The cores that this process may use, as the kernel reports them.

use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

use core_affinity::CoreId;

use super::claims::{Claim, Turn};
use super::limit::Limit;
use super::machine::{self, MAX_CORES};
use super::resources;
use super::threads;

/// Common prefix of the names of all lane threads.
pub const LANE_NAME: &str = "signal-lane-";

/// Time limit for a thread that makes only a few calls into the kernel.
const PATIENCE: Duration = Duration::from_secs(5);

/// The cores of this machine, as this process sees them.
#[derive(Clone, Debug, PartialEq)]
pub struct Cores {
    /// Cores that the kernel lets a thread of this process be pinned to,
    /// ascending. The calling thread's own mask is not the limit.
    pub allowed: Vec<usize>,
    /// Cores that the kernel keeps free of other work (`isolcpus`).
    pub isolated: Vec<usize>,
    /// The core that the calling thread is pinned to, or runs on now.
    pub host: Option<usize>,
    /// Whether the calling thread is pinned to that core.
    pub host_is_pinned: bool,
    /// Cores of lanes that already run in this process.
    pub lanes: Vec<usize>,
    /// Cores that share a physical core with the host's core, or that are not the last hardware
    /// thread of their physical core.
    pub second_threads: Vec<usize>,
    /// Allowed cores that other processes have claimed.
    pub others: Vec<Claim>,
    /// Why claims of other processes are unknown, if they are.
    pub claims_unknown: Option<String>,
    /// Why lanes of this process may be on further cores, if they may.
    pub lanes_unknown: Option<String>,
    /// CPU time that the control group allows this process, in cores.
    pub quota: Option<f64>,
    /// CPU time in seconds after which the kernel ends this process (`RLIMIT_CPU`).
    pub ends_after: Option<u64>,
    /// Why there may be an unknown limit of this kind, if there may.
    pub quota_unknown: Option<String>,
    /// Why lanes cannot be pinned, if they cannot: a sandbox may forbid it. `allowed` is then what
    /// the kernel says of this process elsewhere.
    pub cannot_pin: Option<String>,
}

impl Cores {
    /// Asks the kernel.
    pub fn detect() -> Self {
        Self::detect_in(&Turn::wait())
    }

    /// As [`Cores::detect`], for a caller that is about to choose cores and has the turn.
    pub(crate) fn detect_in(turn: &Turn) -> Self {
        let own = core_affinity::get_core_ids().unwrap_or_default();
        let (host, host_is_pinned) = match own.as_slice() {
            [only] => (Some(only.id), true),
            _ => (current(), false),
        };
        let Probe { allowed, refusal } = probe();
        let second_threads = allowed
            .iter()
            .copied()
            .filter(|&core| {
                let threads = machine::hardware_threads(core);
                threads.iter().any(|&other| other > core)
                    || host.is_some_and(|host| host != core && threads.contains(&host))
            })
            .collect();
        let (lanes, lanes_unknown) = match cores_of_lanes() {
            Ok(lanes) => (lanes, None),
            Err(why) => (turn.own(), Some(why)),
        };
        Self {
            others: turn.others(&allowed),
            claims_unknown: turn.unknown().map(str::to_owned),
            isolated: machine::isolated_cores(),
            host,
            host_is_pinned,
            lanes,
            lanes_unknown,
            second_threads,
            quota: machine::quota().map(|quota| quota.cores),
            ends_after: resources::limit(libc::RLIMIT_CPU),
            quota_unknown: machine::quota_unknown(),
            cannot_pin: refusal,
            allowed,
        }
    }
}

impl Cores {
    /// Whether a lane of this process, or a lane or host of another process, is on this core.
    pub(crate) fn is_taken(&self, core: usize) -> bool {
        self.lanes.contains(&core) || self.others.iter().any(|claim| claim.core == core)
    }

    /// What is unknown but decides how lanes wait, one phrase each. If the cores were `chosen` by
    /// the configuration, unknown claims do not count.
    pub(crate) fn unknown(&self, chosen: bool) -> Vec<String> {
        let claims = self.claims_unknown.as_ref().filter(|_| !chosen);
        [
            ("which cores other processes use is", claims),
            (
                "which cores other lanes of this process use is",
                self.lanes_unknown.as_ref(),
            ),
            (
                "whether a CPU quota holds this process up is",
                self.quota_unknown.as_ref(),
            ),
        ]
        .into_iter()
        .filter_map(|(what, why)| Some(format!("{what} not known: {}", why?)))
        .collect()
    }

    /// Number of hosts that need one of these cores and have none of their own: this one, and one
    /// for each process that has lanes here and is not known to be pinned.
    pub(crate) fn hosts_to_lock(&self) -> usize {
        let pinned: Vec<_> = self.others.iter().filter(|claim| claim.is_host).collect();
        let mut floating: Vec<_> = self
            .others
            .iter()
            .map(|claim| claim.process)
            .filter(|process| !pinned.iter().any(|claim| claim.process == *process))
            .collect();
        floating.sort_unstable();
        floating.dedup();
        1 + floating.len()
    }

    /// Cores for a thread that must not disturb others: not the host's core and no lane's core, of
    /// any process. If none is left, all allowed cores.
    pub(crate) fn aside(&self, own_lanes: impl Iterator<Item = usize>) -> Vec<usize> {
        let mut busy = self.lanes.clone();
        busy.extend(self.others.iter().map(|claim| claim.core));
        busy.extend(own_lanes);
        busy.extend(self.host);
        let free: Vec<usize> = self
            .allowed
            .iter()
            .copied()
            .filter(|core| !busy.contains(core))
            .collect();
        if free.is_empty() {
            self.allowed.clone()
        } else {
            free
        }
    }
}

/// Where a thread of this process can be pinned now.
struct Probe {
    allowed: Vec<usize>,
    /// Why no thread can be pinned to any of them.
    refusal: Option<String>,
}

fn probe() -> Probe {
    let probe = threads::spawn(threads::Wanted::brief("signal-probe"), || {
        let widened = widen_own_mask();
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let allowed: Vec<usize> = cores.iter().map(|core| core.id).collect();
        let refusal = match (allowed.first(), widened) {
            (None, _) => Some("the kernel does not say which cores there are".to_owned()),
            (Some(_), Ok(())) => None,
            (Some(&core), Err(why)) => pin_to(core)
                .is_err()
                .then(|| format!("sched_setaffinity is refused: {why}")),
        };
        Probe { allowed, refusal }
    });
    let found = probe.map(|probe| probe.join_within(&mut Limit::of(PATIENCE)));
    let mut found = match found {
        Ok(Ok(Ok(probe))) => probe,
        // Without threads there are no lanes either; that case has its own error.
        _ => Probe {
            allowed: Vec::new(),
            refusal: None,
        },
    };
    if found.allowed.is_empty() {
        found.allowed = machine::cores_of_process();
    }
    found
}

/// Pins the calling thread and confirms it.
///
/// # Errors
///
/// A sentence that names the core and says what failed.
pub fn pin(core: usize) -> Result<(), String> {
    if core >= MAX_CORES {
        return Err(format!(
            "core {core} is out of range: expected less than {MAX_CORES}"
        ));
    }
    // The core may have become unavailable since it was chosen.
    pin_to(core).map_err(|found| {
        format!(
            "the kernel refused to pin a lane to core {core}; expected one of {:?}, and it is allowed on {found:?}",
            probe().allowed
        )
    })
}

/// # Errors
///
/// Where the calling thread may run instead.
fn pin_to(core: usize) -> Result<(), Vec<usize>> {
    core_affinity::set_for_current(CoreId { id: core });
    let own = core_affinity::get_core_ids().unwrap_or_default();
    match own[..] {
        [only] if only.id == core => Ok(()),
        _ => Err(own.iter().map(|core| core.id).collect()),
    }
}

/// Lets the calling thread, one of this library's own, run wherever its cpuset allows: the kernel
/// reduces an all-ones mask to that.
///
/// # Errors
///
/// The kernel's error.
pub(crate) fn widen_own_mask() -> io::Result<()> {
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is valid; the call reads it for its
    // size and changes only the calling thread, which this library created.
    let done = unsafe {
        let mut all: libc::cpu_set_t = MaybeUninit::zeroed().assume_init();
        for core in 0..MAX_CORES {
            libc::CPU_SET(core, &mut all);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &all) == 0
    };
    match done {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// Cores that lanes of this process are pinned to, of any handle and any copy of this library. The
/// kernel knows them, so handles need not exchange them.
fn cores_of_lanes() -> Result<Vec<usize>, String> {
    let mut cores = Vec::new();
    let looked = machine::each_thread(|thread| {
        if thread.name.starts_with(LANE_NAME) {
            // A list that does not parse names no core that we can pin to.
            cores.extend(machine::parse_list(thread.cores).unwrap_or_default());
        }
    });
    looked.map_err(|error| format!("/proc/self/task: {error}"))?;
    Ok(cores)
}

/// Lets the calling thread run on any of these cores. A refusal by the kernel is ignored: the
/// caller also works elsewhere.
pub(super) fn stay_among(cores: &[usize]) {
    if cores.is_empty() {
        return;
    }
    // SAFETY: the set is plain data, for which all zeros is valid; the call reads it
    // for its size and changes the calling thread alone.
    unsafe {
        let mut set: libc::cpu_set_t = MaybeUninit::zeroed().assume_init();
        for &core in cores.iter().filter(|&&core| core < MAX_CORES) {
            libc::CPU_SET(core, &mut set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

fn current() -> Option<usize> {
    // SAFETY: sched_getcpu takes no argument and touches no memory of ours.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_own_mask_is_not_the_limit() {
        let before = Cores::detect();
        let core = before.allowed[0];
        std::thread::spawn(move || {
            pin(core).unwrap();
            let pinned = Cores::detect();
            assert_eq!(pinned.allowed, before.allowed);
            assert_eq!(pinned.host, Some(core));
            assert_eq!(core_affinity::get_core_ids().unwrap().len(), 1);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_core_that_is_gone_is_an_error_that_lists_the_others() {
        let allowed = Cores::detect().allowed;
        let gone = (0..MAX_CORES).find(|core| !allowed.contains(core)).unwrap();
        let error = pin(gone).unwrap_err();
        assert!(error.contains(&format!("core {gone};")), "{error}");
        assert!(error.contains(&format!("one of {allowed:?}")), "{error}");
        assert_eq!(Cores::detect().allowed, allowed);
    }

    #[test]
    fn a_core_out_of_range_is_an_error_and_not_an_abort() {
        assert!(pin(MAX_CORES).unwrap_err().contains("out of range"));
    }
}
