//! The C library's own functions for the shared library, where the host may have others with the same
//! names: the dynamic linker would give us those.
//!
//! - **Mathematical ones.** A program may export an `exp` of its own: from another compiler's library,
//!   or one that was preloaded for speed. A model would have other values than in a replay.
//! - **Names that no standard reserves.** A program may call a function of its own `gettid` or `flock`.
//!   It may do something else.
//!
//! So calls are sent (in `build.rs`, with the linker's `--wrap`) to the trampolines below, which jump
//! to what glibc itself has under these names. Names that POSIX reserves (`read`) are none of these:
//! tools stand in for them on purpose, as sanitizers do. `names` looks whether they may.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

macro_rules! own {
    ($($constant:ident: $name:literal @ $version:literal of $library:literal,)*) => {
        std::arch::global_asm!(
            $(
                // Until the library is loaded, and where glibc cannot be asked: what the linker finds.
                concat!(".symver __signal_found_", $name, ", ", $name, "@", $version),
                ".pushsection .data.signal_own, \"aw\", @progbits",
                ".balign 8",
                concat!(".globl __signal_own_", $name),
                concat!(".hidden __signal_own_", $name),
                concat!("__signal_own_", $name, ": .quad __signal_found_", $name),
                ".popsection",
                concat!(".globl __wrap_", $name),
                concat!(".hidden __wrap_", $name),
                concat!(".type __wrap_", $name, ", @function"),
                concat!("__wrap_", $name, ":"),
                concat!("jmp *__signal_own_", $name, "(%rip)"),
                concat!(".size __wrap_", $name, ", . - __wrap_", $name),
            )*
            options(att_syntax)
        );

        unsafe extern "C" {
            $(
                #[link_name = concat!("__signal_own_", $name)]
                static $constant: AtomicPtr<c_void>;
            )*
        }

        /// Each function's library and name, and where its trampoline jumps.
        fn all() -> impl Iterator<Item = (&'static str, &'static CStr, &'static AtomicPtr<c_void>)> {
            const NAMES: &[(&str, &str)] = &[$(($library, concat!($name, "\0")),)*];
            // SAFETY: the words are defined above, are as large and aligned as an atomic pointer, and
            // are accessed as such alone, but for the jumps, which read them whole.
            let places = unsafe { [$(&$constant,)*] };
            NAMES.iter().zip(places).filter_map(|((library, name), place)| {
                Some((*library, CStr::from_bytes_with_nul(name.as_bytes()).ok()?, place))
            })
        }
    };
}

// Keep in step with the list in `build.rs`.
own! {
    EXP: "exp" @ "GLIBC_2.29" of "libm",
    EXPF: "expf" @ "GLIBC_2.27" of "libm",
    LOG1P: "log1p" @ "GLIBC_2.2.5" of "libm",
    LOG2: "log2" @ "GLIBC_2.29" of "libm",
    LOGF: "logf" @ "GLIBC_2.27" of "libm",
    FLOCK: "flock" @ "GLIBC_2.2.5" of "libc",
    GETAUXVAL: "getauxval" @ "GLIBC_2.16" of "libc",
    GETTID: "gettid" @ "GLIBC_2.30" of "libc",
    MADVISE: "madvise" @ "GLIBC_2.2.5" of "libc",
    PRCTL: "prctl" @ "GLIBC_2.2.5" of "libc",
    STATX: "statx" @ "GLIBC_2.28" of "libc",
    SYSCALL: "syscall" @ "GLIBC_2.2.5" of "libc",
}

/// Runs when the library is loaded, before its other code: looking a name up takes the loader's
/// lock, which that thread holds anyway.
#[used]
#[unsafe(link_section = ".init_array.00101")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        let (math, others) = (opened(c"libm.so.6"), opened(c"libc.so.6"));
        for (library, name, place) in all() {
            let own = if library == "libm" { math } else { others };
            if own.is_null() {
                continue;
            }
            // SAFETY: the handle is open, and the name NUL-terminated.
            let found = unsafe { libc::dlsym(own, name.as_ptr()) };
            if !found.is_null() {
                place.store(found, Ordering::Relaxed);
            }
        }
    }
    at_load
};

/// A handle of a library of glibc's; null where it has another name.
fn opened(name: &CStr) -> *mut c_void {
    let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
    // SAFETY: the name is NUL-terminated; a library that is loaded already runs no code. Its handle is
    // kept: we need it as long as we are loaded, which is for ever.
    unsafe { libc::dlopen(name.as_ptr(), flags) }
}
