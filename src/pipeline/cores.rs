//! What cores this process may use, as the kernel says.

use std::fs;
use std::mem::MaybeUninit;

use core_affinity::CoreId;

use super::guest;

/// Core ids at and above this abort the process in `core_affinity`.
pub const MAX_CORES: usize = libc::CPU_SETSIZE as usize;

/// The cores of this machine, from this process' point of view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Cores that the kernel lets a thread of this process be pinned to,
    /// ascending. The calling thread's own mask is not the limit.
    pub allowed: Vec<usize>,
    /// Cores that the kernel keeps free of other work (`isolcpus`).
    pub isolated: Vec<usize>,
    /// The core that the calling thread is pinned to, or runs on now.
    pub host: Option<usize>,
}

impl Cores {
    /// Asks the kernel.
    ///
    /// # Errors
    ///
    /// A sentence that says what failed.
    pub fn detect() -> Result<Self, String> {
        let own = core_affinity::get_core_ids().unwrap_or_default();
        let host = match own.as_slice() {
            [only] => Some(only.id),
            _ => current(),
        };
        let probe = guest::spawn("signal-probe".into(), || {
            widen_own_mask();
            core_affinity::get_core_ids().unwrap_or_default()
        })
        .map_err(|error| format!("cannot start a thread: {error}"))?;
        let allowed: Vec<usize> = probe
            .join()
            .unwrap_or_default()
            .iter()
            .map(|core| core.id)
            .collect();
        if allowed.is_empty() {
            return Err(format!(
                "cannot read which cores this process may use (machines with more than {MAX_CORES} cores are not supported)"
            ));
        }
        let isolated = fs::read_to_string("/sys/devices/system/cpu/isolated")
            .map(|text| parse_list(&text))
            .unwrap_or_default();
        Ok(Self {
            allowed,
            isolated,
            host,
        })
    }
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
    if !core_affinity::set_for_current(CoreId { id: core }) {
        return Err(format!("the kernel refused to pin a lane to core {core}"));
    }
    match core_affinity::get_core_ids().as_deref() {
        Some([only]) if only.id == core => Ok(()),
        other => Err(format!(
            "a lane pinned to core {core} found itself allowed on {other:?}"
        )),
    }
}

/// Lets the calling thread run wherever its cpuset allows: the kernel cuts an
/// all-ones mask down to that.
fn widen_own_mask() {
    // SAFETY: cpu_set_t is a plain bit set, for which all zeros is valid; the
    // call reads it for its size and changes the calling thread alone, which
    // is the probe thread made above.
    unsafe {
        let mut all: libc::cpu_set_t = MaybeUninit::zeroed().assume_init();
        for core in 0..MAX_CORES {
            libc::CPU_SET(core, &mut all);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &all);
    }
}

fn current() -> Option<usize> {
    // SAFETY: sched_getcpu takes no argument and touches no memory of ours.
    usize::try_from(unsafe { libc::sched_getcpu() }).ok()
}

/// Reads the kernel's list format: `0-2,5`.
pub fn parse_list(text: &str) -> Vec<usize> {
    text.trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_lists_are_read() {
        assert_eq!(parse_list("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(parse_list("\n"), Vec::<usize>::new());
    }

    #[test]
    fn the_callers_own_mask_is_not_the_limit() {
        let before = Cores::detect().unwrap();
        let core = before.allowed[0];
        std::thread::spawn(move || {
            pin(core).unwrap();
            let pinned = Cores::detect().unwrap();
            assert_eq!(pinned.allowed, before.allowed);
            assert_eq!(pinned.host, Some(core));
            assert_eq!(core_affinity::get_core_ids().unwrap().len(), 1);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_core_out_of_range_is_an_error_and_not_an_abort() {
        assert!(pin(MAX_CORES).unwrap_err().contains("out of range"));
    }
}
