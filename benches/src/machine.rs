//! Cores and the facts of the machine that a figure depends on.

use core_affinity::CoreId;
use serde_json::{Value, json};
use signal::os::machine::{self, CpuInfo, hardware_threads};

use crate::threads;

/// The host's core and the lanes' cores.
#[derive(Clone, Debug)]
pub struct Cores {
    /// The calling thread's.
    pub host: usize,
    /// The lanes'; the first also runs the echo thread.
    pub lanes: Vec<usize>,
}

/// Takes the cores asked for and fills in the rest from those that this
/// process may use: the last ones, not two threads of one physical core
/// where that can be avoided.
pub fn choose(host: Option<usize>, lanes: &[usize]) -> Result<Cores, String> {
    let allowed = allowed();
    let mut lanes = lanes.to_vec();
    let free = |taken: &[usize], avoid: &[usize]| last_free(&allowed, taken, avoid);
    let too_few = || {
        format!(
            "two cores are needed, one for the host's thread and one for the lane; \
             this process may use {} ({}). Allow another, or name cores with \
             --host-core and --lane-cores",
            allowed.len(),
            list(&allowed)
        )
    };
    if lanes.is_empty() {
        let taken: Vec<usize> = host.into_iter().collect();
        let avoid = host.map(hardware_threads).unwrap_or_default();
        let lane = free(&taken, &avoid).or_else(|| free(&taken, &[]));
        lanes.push(lane.ok_or_else(too_few)?);
    }
    let host = match host {
        Some(host) => host,
        None => {
            let avoid: Vec<usize> = lanes
                .iter()
                .flat_map(|&lane| hardware_threads(lane))
                .collect();
            free(&lanes, &avoid)
                .or_else(|| free(&lanes, &[]))
                .ok_or_else(too_few)?
        }
    };
    if lanes.contains(&host) {
        return Err(format!(
            "core {host} is both the host's and a lane's: each needs its own"
        ));
    }
    Ok(Cores { host, lanes })
}

/// Another core that this process may use and nobody has yet: of a physical core of its
/// own where that can be had.
pub fn another(taken: &[usize]) -> Option<usize> {
    let avoid: Vec<usize> = taken
        .iter()
        .flat_map(|&core| hardware_threads(core))
        .collect();
    last_free(&allowed(), taken, &avoid).or_else(|| last_free(&allowed(), taken, &[]))
}

fn last_free(allowed: &[usize], taken: &[usize], avoid: &[usize]) -> Option<usize> {
    let free = |core: &usize| !taken.contains(core) && !avoid.contains(core);
    allowed.iter().rev().copied().find(free)
}

/// Cores that this process may use, in order.
pub fn allowed() -> Vec<usize> {
    let mut cores: Vec<usize> = core_affinity::get_core_ids()
        .unwrap_or_default()
        .iter()
        .map(|core| core.id)
        .collect();
    cores.sort_unstable();
    cores
}

/// Whether a thread may be pinned to this core, tried out on a thread of its own:
/// isolated cores are usable although they are not [`allowed`] by default.
pub fn may_use(core: usize) -> Result<(), String> {
    let tried = std::thread::spawn(move || pin(core)).join();
    tried.unwrap_or_else(|_| Err(format!("cannot try core {core}: the thread panicked")))
}

/// Pins the calling thread, and confirms that it runs there. From now on it counts as one
/// of the bench.
pub fn pin(core: usize) -> Result<(), String> {
    // Beyond this the kernel's fixed-size mask ends and the crate would panic.
    let known = core < libc::CPU_SETSIZE as usize;
    if !known || !core_affinity::set_for_current(CoreId { id: core }) {
        return Err(format!(
            "cannot pin a thread to core {core}: the machine does not have it, or this process may \
             not use it (allowed: {})",
            list(&allowed())
        ));
    }
    // SAFETY: takes no argument and only reads the number of the current core.
    let now = unsafe { libc::sched_getcpu() };
    if now != core as libc::c_int {
        return Err(format!("pinned to core {core} but running on {now}"));
    }
    threads::begin();
    Ok(())
}

/// Times that the kernel took a core from one of this process's threads so far.
pub fn preemptions() -> i64 {
    // SAFETY: an all-zero rusage is a valid value of the plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live rusage for the length of the call.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    usage.ru_nivcsw
}

/// What the machine says about itself and these cores.
pub fn facts(cores: &Cores) -> Value {
    let cpu = CpuInfo::read();
    let all: Vec<usize> = std::iter::once(cores.host)
        .chain(cores.lanes.iter().copied())
        .collect();
    let governors: Vec<String> = all
        .iter()
        .map(|&core| or(machine::governor(core), "unknown"))
        .collect();
    let isolated = machine::isolated_cores();
    let smt = cores
        .lanes
        .iter()
        .any(|&lane| hardware_threads(lane).contains(&cores.host));
    json!({
        "cpu": cpu.model().unwrap_or_default(),
        "hypervisor": cpu.has("hypervisor"),
        "tsc": {
            "invariant": cpu.has("constant_tsc") && cpu.has("nonstop_tsc"),
            "clocksource": or(machine::clocksource(), "unknown"),
        },
        "kernel": machine::kernel().unwrap_or_default(),
        "allowed_cores": allowed(),
        "host_core": cores.host,
        "lane_cores": cores.lanes,
        "host_and_lane_share_a_physical_core": smt,
        "isolated": all.iter().all(|core| isolated.contains(core)),
        "isolated_cores": isolated,
        "nohz_full": or(machine::nohz_full(), "none"),
        "governors": governors,
        "load_average": machine::load_average().unwrap_or_default(),
    })
}

/// [`facts`] for a reader, as names and texts.
pub fn describe(facts: &Value) -> [(&'static str, String); 2] {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let if_true = |value: &Value, text: &'static str| if *value == true { text } else { "" };
    let machine = format!(
        "{}{}, kernel {}, load average {}, TSC {}",
        text(&facts["cpu"]),
        if_true(
            &facts["hypervisor"],
            " (virtual: the hypervisor may move or stop a core)"
        ),
        text(&facts["kernel"]),
        text(&facts["load_average"]),
        if facts["tsc"]["invariant"] == true {
            "invariant"
        } else {
            "NOT invariant"
        },
    );
    let cores = format!(
        "host {}, others {}; isolated: {}, nohz_full: {}, governors: {}{}",
        facts["host_core"],
        facts["lane_cores"],
        if facts["isolated"] == true {
            "yes"
        } else {
            "no"
        },
        text(&facts["nohz_full"]),
        facts["governors"],
        if_true(
            &facts["host_and_lane_share_a_physical_core"],
            "; host and lane are two threads of ONE physical core"
        ),
    );
    [("machine", machine), ("cores", cores)]
}

/// Numbers as text.
pub fn list(cores: &[usize]) -> String {
    let texts: Vec<String> = cores.iter().map(usize::to_string).collect();
    texts.join(",")
}

fn or(text: Option<String>, instead: &str) -> String {
    text.filter(|text| !text.is_empty() && text != "(null)")
        .unwrap_or_else(|| instead.to_owned())
}

#[cfg(test)]
mod tests {
    use super::last_free;

    #[test]
    fn the_last_free_core_that_need_not_be_avoided() {
        assert_eq!(last_free(&[0, 1, 2, 3], &[3], &[2, 3]), Some(1));
        assert_eq!(last_free(&[0, 1], &[1], &[0, 1]), None);
        assert_eq!(last_free(&[0, 1], &[1], &[]), Some(0));
    }
}
