//! The core, and the facts of the machine that a figure depends on.

use core_affinity::CoreId;
use serde_json::{Value, json};
use signal::os::machine::{self, CpuInfo};

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
    let cpu = CpuInfo::read();
    json!({
        "cpu": cpu.model().unwrap_or_default(),
        "avx2": cpu.has("avx2"),
        "fma": cpu.has("fma"),
        "avx512f": cpu.has("avx512f"),
        "hypervisor": cpu.has("hypervisor"),
        "kernel": machine::kernel().unwrap_or_default(),
        "core": core,
        "isolated_cores": machine::isolated().unwrap_or_default(),
        "load_average": machine::load_average().unwrap_or_default(),
    })
}
