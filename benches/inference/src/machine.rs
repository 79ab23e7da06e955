//! The core, and the facts of the machine that a figure depends on.

use std::fs;

use core_affinity::CoreId;
use serde_json::{Value, json};

/// Pins this thread to the core asked for, or to the last that it may use, and
/// returns which.
pub fn pin(asked: Option<usize>) -> Result<usize, String> {
    let last = || {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        cores.iter().map(|core| core.id).max()
    };
    let core = asked
        .or_else(last)
        .ok_or("cannot tell which cores this process may use; name one with --core")?;
    // Beyond this the kernel's fixed-size mask ends and the crate would panic.
    let known = core < libc::CPU_SETSIZE as usize;
    if !known || !core_affinity::set_for_current(CoreId { id: core }) {
        return Err(format!(
            "cannot pin this thread to core {core}: the machine does not have it, or this process may not use it"
        ));
    }
    // SAFETY: takes no argument and only reads the number of the current core.
    let now = unsafe { libc::sched_getcpu() };
    if now != core as libc::c_int {
        return Err(format!("pinned to core {core} but running on {now}"));
    }
    Ok(core)
}

/// Times that the kernel took a core from one of this process's threads so far.
pub fn preemptions() -> i64 {
    // SAFETY: an all-zero rusage is a valid value of the plain C struct.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live rusage for the length of the call.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    usage.ru_nivcsw
}

/// What the machine says about itself and this core.
pub fn facts(core: usize) -> Value {
    let cpuinfo = read("/proc/cpuinfo");
    let flags = field(&cpuinfo, "flags");
    let has = |flag: &str| flags.split(' ').any(|known| known == flag);
    json!({
        "cpu": field(&cpuinfo, "model name"),
        "avx2": has("avx2"),
        "fma": has("fma"),
        "avx512f": has("avx512f"),
        "hypervisor": has("hypervisor"),
        "kernel": read("/proc/sys/kernel/osrelease"),
        "core": core,
        "isolated_cores": read("/sys/devices/system/cpu/isolated"),
        "load_average": read("/proc/loadavg").split(' ').next().unwrap_or_default(),
    })
}

fn field(cpuinfo: &str, name: &str) -> String {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim().to_owned())
        .unwrap_or_default()
}

fn read(path: &str) -> String {
    fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}
