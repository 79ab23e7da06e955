//! Random numbers for hash maps, which panic where a sandbox refuses `getrandom`. Those of
//! `serde_json` are among them, so each configuration needs some.
//!
//! The linker is told (in `build.rs`) to send `libsignal.so`'s calls of `getrandom` here. Where the
//! kernel refuses, the numbers come from what it gave the process at its start. That is enough for
//! maps: whoever chooses keys must not know where they come to lie.

use std::ffi::{c_uint, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

std::arch::global_asm!(
    ".globl __wrap_getrandom",
    ".hidden __wrap_getrandom",
    ".type __wrap_getrandom, @function",
    "__wrap_getrandom:",
    "jmp {fill}",
    ".size __wrap_getrandom, . - __wrap_getrandom",
    fill = sym fill,
    options(att_syntax),
);

/// As `getrandom`, but for that it never fails.
///
/// # Safety
///
/// `into` is valid for writes of so many bytes.
unsafe extern "C" fn fill(into: *mut c_void, bytes: usize, flags: c_uint) -> isize {
    // SAFETY: the caller's contract is the kernel's.
    let got = unsafe { libc::syscall(libc::SYS_getrandom, into, bytes, flags) };
    if let Ok(got) = isize::try_from(got)
        && got >= 0
    {
        return got;
    }
    for at in (0..bytes).step_by(size_of::<u64>()) {
        let number = number().to_ne_bytes();
        let len = number.len().min(bytes - at);
        // SAFETY: the bytes from `at` on, at most those of a number, are the caller's.
        unsafe { into.byte_add(at).copy_from(number.as_ptr().cast(), len) };
    }
    isize::try_from(bytes).unwrap_or(isize::MAX)
}

/// Another number at each call, and in each process.
fn number() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    // Half of the golden ratio's bits, as in splitmix64: steps that reach every number.
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    mixed(of_this_process().wrapping_add(count.wrapping_mul(STEP)))
}

/// Made of 16 random bytes that the kernel gives every process. They guard stacks as well, so they
/// are not shown as they are.
fn of_this_process() -> u64 {
    // SAFETY: the call asks for a number.
    let given = unsafe { libc::getauxval(libc::AT_RANDOM) } as *const [u64; 2];
    if given.is_null() {
        let on_the_stack = 0_u8;
        return (&raw const on_the_stack).addr() as u64;
    }
    // SAFETY: the kernel has put 16 bytes there, which nobody changes.
    let [first, second] = unsafe { given.read_unaligned() };
    mixed(first) ^ second
}

/// The last step of splitmix64.
fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_whatever_the_kernel_says_and_none_comes_twice() {
        let fill = |bytes: &mut [u8], flags| {
            // SAFETY: the slice is valid for writes.
            unsafe { fill(bytes.as_mut_ptr().cast(), bytes.len(), flags) }
        };
        // The kernel knows no such flags.
        for flags in [0, c_uint::MAX] {
            let (mut one, mut other) = ([0_u8; 20], [0_u8; 20]);
            assert_eq!((fill(&mut one, flags), fill(&mut other, flags)), (20, 20));
            assert_ne!(one, other);
            assert!(one[16..] != [0; 4] && fill(&mut [], flags) == 0);
            let mut part = [0_u8; 20];
            assert_eq!(fill(&mut part[..3], flags), 3);
            assert_eq!(part[3..], [0; 17]);
        }
    }
}
