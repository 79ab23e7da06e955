//! Cores and the facts of the machine that a figure depends on.

use core_affinity::CoreId;
use serde_json::{Value, json};
use signal::os::machine::{self, CpuInfo, hardware_threads};

use crate::threads;

/// The host's core and the lanes' cores.
#[derive(Clone, Debug)]
pub struct Cores {
    pub host: usize,
    /// The first also runs the echo thread.
    pub lanes: Vec<usize>,
}

/// Takes the cores asked for and fills in the rest from those that this
/// process may use: the last ones, not two threads of one physical core
/// where that can be avoided.
pub fn choose(host: Option<usize>, lanes: &[usize]) -> Result<Cores, String> {
    let mut lanes = lanes.to_vec();
    let too_few = || {
        let allowed = allowed();
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
        lanes.push(another(&taken).ok_or_else(too_few)?);
    }
    let host = match host {
        Some(host) => host,
        None => another(&lanes).ok_or_else(too_few)?,
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
    let allowed = allowed();
    last_free(&allowed, taken, &avoid).or_else(|| last_free(&allowed, taken, &[]))
}

fn last_free(allowed: &[usize], taken: &[usize], avoid: &[usize]) -> Option<usize> {
    let free = |core: &usize| !taken.contains(core) && !avoid.contains(core);
    allowed.iter().rev().copied().find(free)
}

pub fn allowed() -> Vec<usize> {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut cores: Vec<usize> = cores.iter().map(|core| core.id).collect();
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
    let known = core < machine::MAX_CORES;
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
    let all: Vec<usize> = [cores.host].iter().chain(&cores.lanes).copied().collect();
    let governors = all
        .iter()
        .map(|&core| or(machine::governor(core), "unknown"));
    let isolated = machine::isolated_cores();
    let share = |lane: &usize| hardware_threads(*lane).contains(&cores.host);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let number = |name: &str| -> Option<u32> {
        let mut fields = info.lines().filter_map(|line| line.split_once(':'));
        let (_, value) = fields.find(|(key, _)| key.trim() == name)?;
        value.trim().parse().ok()
    };
    let l2 = format!(
        "/sys/devices/system/cpu/cpu{}/cache/index2/size",
        cores.host
    );
    let l2 = std::fs::read_to_string(l2)
        .ok()
        .map(|size| size.trim().to_owned());
    let (avx2, fma) = (cpu.has("avx2"), cpu.has("fma"));
    let mut facts = json!({
        "cpu": cpu.model().unwrap_or_default(),
        "family": number("cpu family"),
        "model": number("model"),
        "l2": or(l2, "unknown"),
        // What the library's kernels choose; all else is for any x86-64.
        "instruction_set": if avx2 && fma { "AVX2 and FMA" } else { "portable" },
        "avx2": avx2,
        "fma": fma,
        "avx512f": cpu.has("avx512f"),
        "hypervisor": cpu.has("hypervisor"),
        "tsc": {
            "invariant": cpu.has("constant_tsc") && cpu.has("nonstop_tsc"),
            "clocksource": or(machine::clocksource(), "unknown"),
        },
        "kernel": machine::kernel().unwrap_or_default(),
        "allowed_cores": allowed(),
        "host_core": cores.host,
        "lane_cores": cores.lanes,
        "host_and_lane_share_a_physical_core": cores.lanes.iter().any(share),
        "isolated": all.iter().all(|core| isolated.contains(core)),
        "isolated_cores": isolated,
        "nohz_full": or(machine::nohz_full(), "none"),
        "governors": governors.collect::<Vec<_>>(),
        "load_average": machine::load_average().unwrap_or_default(),
    });
    if cores.lanes.is_empty() {
        facts["core"] = json!(cores.host);
    }
    facts
}

/// [`facts`] for a reader, as names and texts.
pub fn describe(facts: &Value) -> [(&'static str, String); 3] {
    let text = |name: &str| facts[name].as_str().unwrap_or_default().to_owned();
    let if_true = |value: &Value, yes: &'static str, no| if *value == true { yes } else { no };
    let processor = format!(
        "{}, family {} model {}, L2 {}, instruction set {}",
        text("cpu"),
        facts["family"],
        facts["model"],
        text("l2"),
        text("instruction_set"),
    );
    let machine = format!(
        "{}kernel {}, load average {}, TSC {}",
        if_true(
            &facts["hypervisor"],
            "virtual: the hypervisor may move or stop a core; ",
            ""
        ),
        text("kernel"),
        text("load_average"),
        if_true(&facts["tsc"]["invariant"], "invariant", "NOT invariant"),
    );
    let shared = "; host and lane are two threads of ONE physical core";
    let cores = format!(
        "host {}, others {}; isolated: {}, nohz_full: {}, governors: {}{}",
        facts["host_core"],
        facts["lane_cores"],
        if_true(&facts["isolated"], "yes", "no"),
        text("nohz_full"),
        facts["governors"],
        if_true(&facts["host_and_lane_share_a_physical_core"], shared, ""),
    );
    [
        ("processor", processor),
        ("machine", machine),
        ("cores", cores),
    ]
}

fn list(cores: &[usize]) -> String {
    let texts: Vec<String> = cores.iter().map(usize::to_string).collect();
    texts.join(",")
}

fn or(text: Option<String>, instead: &str) -> String {
    let text = text.filter(|text| !text.is_empty() && text != "(null)");
    text.unwrap_or_else(|| instead.to_owned())
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
