//! Asks for memory before it is taken: a failed allocation of Rust's would end
//! the host's process.

use std::io;

use super::threads::{limit, stack_bytes};
use crate::error::Error;

const MIB: usize = 1 << 20;

/// What glibc reserves of the address space for what a thread allocates.
const ARENA: usize = 64 * MIB;
/// For what is small: names, histograms, messages.
const MARGIN: usize = 16 * MIB;
/// What reading a model file takes at most, in its own sizes.
const READING: usize = 32;

/// Whether an engine that needs so many bytes and threads can be made now.
///
/// # Errors
///
/// [`Error::Memory`], naming the need and the process' limit.
pub(crate) fn check(what: &str, bytes: usize, threads: usize) -> Result<(), Error> {
    let need = threads
        .saturating_mul(stack_bytes() + ARENA)
        .saturating_add(MARGIN)
        .saturating_add(bytes);
    can_map(need).map_err(|error| {
        let limit = limit(libc::RLIMIT_AS).or_else(|| limit(libc::RLIMIT_DATA));
        let limit = limit.map_or(String::new(), |bytes| {
            format!(
                "; this process may have {} MiB (RLIMIT_AS or RLIMIT_DATA)",
                bytes / MIB as u64
            )
        });
        Error::Memory(format!(
            "{what} needs {} MiB of address space, which cannot be had: {error}{limit}",
            need.div_ceil(MIB)
        ))
    })
}

/// Whether there is the least that any engine needs. Takes no memory to find out.
pub(crate) fn is_enough_to_start() -> bool {
    can_map(stack_bytes() + ARENA + MARGIN).is_ok()
}

/// As [`check`], for reading model files of so many bytes.
///
/// # Errors
///
/// [`Error::Memory`].
pub(crate) fn check_reading(bytes: u64) -> Result<(), Error> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    check(
        &format!("reading model files of {bytes} bytes"),
        bytes.saturating_mul(READING),
        1,
    )
}

fn can_map(bytes: usize) -> io::Result<()> {
    // SAFETY: a new private mapping, wherever the kernel likes, that nobody has
    // used when it is unmapped again.
    unsafe {
        let at = libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        );
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        libc::munmap(at, bytes);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_had_is_and_what_cannot_is_named() {
        check("a test", 1 << 20, 4).unwrap();
        let error = check("a test", usize::MAX / 2, 1).unwrap_err().to_string();
        assert!(error.starts_with("memory: a test needs "), "{error}");
        assert!(error.contains("Cannot allocate memory"), "{error}");
    }
}
