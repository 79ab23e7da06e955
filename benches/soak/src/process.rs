//! What this process holds: memory, threads, descriptors.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Serialize;
use signal::os::machine;

/// What the process holds at one moment.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Footprint {
    pub resident_kib: u64,
    /// Memory that `malloc` has handed out, KiB; 0 where the C library cannot say.
    pub heap_kib: u64,
    pub threads: u64,
    /// Open descriptors, the one that looks included.
    pub descriptors: u64,
}

impl Footprint {
    pub fn now() -> Self {
        Self {
            resident_kib: machine::resident_pages().unwrap_or(0) * 4,
            heap_kib: heap_bytes() / 1024,
            threads: machine::thread_count(),
            descriptors: machine::descriptors(),
        }
    }

    /// Looks until there are at most so many threads, or a second has passed: one
    /// that was joined stays in the kernel's list for a moment.
    pub fn once_threads_are(threads: u64) -> Self {
        let start = Instant::now();
        loop {
            let now = Self::now();
            if now.threads <= threads || start.elapsed() > Duration::from_secs(1) {
                return now;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Starts this program anew, once, without `malloc`'s caches of small pieces: what
/// lies in them counts as handed out, which would hide a small leak.
pub fn without_malloc_caches() -> Result<(), String> {
    const VARIABLE: &str = "GLIBC_TUNABLES";
    const OFF: &str = "glibc.malloc.tcache_count=0";
    let tunables = env::var(VARIABLE).unwrap_or_default();
    if tunables.split(':').any(|tunable| tunable == OFF) {
        return Ok(());
    }
    let more = if tunables.is_empty() { "" } else { ":" };
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let error = Command::new(program)
        .args(env::args_os().skip(1))
        .env(VARIABLE, format!("{tunables}{more}{OFF}"))
        .exec();
    Err(format!("cannot start itself anew: {error}"))
}

/// Gives back to the system what `malloc` keeps for later.
pub fn trim() {
    // SAFETY: has no demands.
    unsafe { libc::malloc_trim(0) };
}

/// What `malloc` has handed out, in all arenas; 0 before glibc 2.33.
fn heap_bytes() -> u64 {
    type Mallinfo2 = unsafe extern "C" fn() -> libc::mallinfo2;
    // SAFETY: the name ends with a NUL; looking a symbol up has no other demands.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"mallinfo2".as_ptr()) };
    if found.is_null() {
        return 0;
    }
    // SAFETY: the C library's function of this name has this type.
    let mallinfo2: Mallinfo2 = unsafe { std::mem::transmute(found) };
    // SAFETY: takes no argument and only reads the allocator's books.
    let info = unsafe { mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}
