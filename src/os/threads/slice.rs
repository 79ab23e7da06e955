//! For how long an ordinary thread may run at once while others want its core, where that is asked
//! of the kernel: its slice.
//!
//! Linux 6.12 takes it from `sched_runtime` of `sched_setattr`, from 100 us to 100 ms. A thread with
//! a shorter slice than the others of its core is also chosen earlier when it wakes. Older kernels
//! take the same call and ignore the value, and tell 0 for it: so it is read back.

use std::io;

use crate::os::machine;

/// The first version of the kernel's `struct sched_attr`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime_ns: u64,
    deadline: u64,
    period: u64,
}

const SIZE: u32 = size_of::<Attributes>() as u32;
/// Of the flags, the one that does not concern fields of later versions.
const RESET_ON_FORK: u64 = 1;
/// The calling thread.
const THIS: libc::pid_t = 0;

/// Sets the slice of the calling thread, one of this library's own, which keeps its nice value.
///
/// # Errors
///
/// A sentence that says why it cannot have that slice.
pub(super) fn set(us: u32) -> Result<(), String> {
    let before = attributes().map_err(|error| refused(us, &error))?;
    check(us, &before)?;
    let wanted = Attributes {
        size: SIZE,
        flags: before.flags & RESET_ON_FORK,
        runtime_ns: u64::from(us) * 1000,
        ..before
    };
    // SAFETY: the call reads the struct, which is as large as it says, and changes only the calling
    // thread.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, THIS, &raw const wanted, 0) } == 0;
    if !done {
        return Err(refused(us, &io::Error::last_os_error()));
    }
    let has = attributes().map_err(|error| refused(us, &error))?;
    if has.runtime_ns != wanted.runtime_ns {
        return Err(format!(
            "slice_us: {us} was not taken, and a lane has {} us; expected a slice that this kernel takes, or no \
             slice_us",
            has.runtime_ns / 1000
        ));
    }
    Ok(())
}

/// Whether a thread that is scheduled so can have a slice.
fn check(us: u32, has: &Attributes) -> Result<(), String> {
    if has.policy != libc::SCHED_OTHER as u32 {
        return Err(format!(
            "slice_us: {us} has no effect, since a lane would have the policy {} of the thread that made it, and \
             may not leave it; expected signal_create on a thread with an ordinary policy, or no slice_us",
            has.policy
        ));
    }
    if has.runtime_ns == 0 {
        return Err(format!(
            "slice_us: {us} has no effect, since this kernel ({}) gives ordinary threads no slice of their own; \
             expected Linux 6.12 or later, or no slice_us",
            machine::kernel()
                .as_deref()
                .unwrap_or("of no known release")
        ));
    }
    Ok(())
}

fn refused(us: u32, error: &io::Error) -> String {
    format!(
        "slice_us: {us} was refused: {error}; expected Linux 6.12 or later and a sandbox that allows sched_setattr \
         and sched_getattr, or no slice_us"
    )
}

/// How the calling thread is scheduled.
fn attributes() -> io::Result<Attributes> {
    let mut has = Attributes::default();
    // SAFETY: the call writes at most as many bytes into the struct as it is told, and reads the
    // calling thread's settings.
    let told = unsafe { libc::syscall(libc::SYS_sched_getattr, THIS, &raw mut has, SIZE, 0) } == 0;
    match told {
        true => Ok(has),
        false => Err(io::Error::last_os_error()),
    }
}

/// The calling thread's slice, us; `None` where the kernel has none.
#[cfg(test)]
pub(crate) fn of_this_thread() -> Option<u64> {
    let ns = attributes().ok()?.runtime_ns;
    (ns > 0).then_some(ns / 1000)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_slice_that_cannot_be_had_is_refused_with_what_it_takes() {
        let has = |policy, runtime_ns| Attributes {
            policy,
            runtime_ns,
            ..Attributes::default()
        };
        assert_eq!(check(200, &has(0, 2_800_000)), Ok(()));
        let old = check(200, &has(0, 0)).unwrap_err();
        assert!(
            old.starts_with("slice_us: 200 has no effect") && old.contains("expected Linux 6.12"),
            "{old}"
        );
        let idle = check(200, &has(libc::SCHED_IDLE as u32, 2_800_000)).unwrap_err();
        assert!(
            idle.contains("the policy 5 of the thread that made it"),
            "{idle}"
        );
        let forbidden = refused(200, &io::Error::from_raw_os_error(libc::ENOSYS));
        assert!(
            forbidden.starts_with("slice_us: 200 was refused: Function not implemented")
                && forbidden.contains("sandbox"),
            "{forbidden}"
        );
    }
}
