//! The C library's own mathematical functions for the shared library.
//!
//! A program may export an `exp` of its own: from another compiler's library, or one that was
//! preloaded for speed. The dynamic linker would give us that one, and with it other values than
//! the same model has in a replay. So calls are sent (in `build.rs`, with the linker's `--wrap`) to
//! the trampolines below, which jump to what `libm.so.6` itself has under these names.

use std::ffi::{CStr, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

macro_rules! own {
    ($($constant:ident: $name:literal @ $version:literal,)*) => {
        std::arch::global_asm!(
            $(
                // Until the library is loaded, and where libm cannot be asked: what the linker finds.
                concat!(".symver __signal_found_", $name, ", ", $name, "@", $version),
                ".pushsection .data.signal_math, \"aw\", @progbits",
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

        /// Each function's name, and where its trampoline jumps.
        fn all() -> impl Iterator<Item = (&'static CStr, &'static AtomicPtr<c_void>)> {
            const NAMES: &[&str] = &[$(concat!($name, "\0"),)*];
            // SAFETY: the words are defined above, are as large and aligned as an atomic pointer, and
            // are accessed as such alone, but for the jumps, which read them whole.
            let places = unsafe { [$(&$constant,)*] };
            NAMES
                .iter()
                .filter_map(|name| CStr::from_bytes_with_nul(name.as_bytes()).ok())
                .zip(places)
        }
    };
}

// Keep in step with the list in `build.rs`: what the library takes from libm.
own! {
    EXP: "exp" @ "GLIBC_2.29",
    EXPF: "expf" @ "GLIBC_2.27",
    LOG1P: "log1p" @ "GLIBC_2.2.5",
    LOG2: "log2" @ "GLIBC_2.29",
    LOGF: "logf" @ "GLIBC_2.27",
}

/// Runs when the library is loaded: looking a name up takes the loader's lock, which that thread
/// holds anyway.
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
        // SAFETY: the names are NUL-terminated; a library that is loaded already runs no code. Its
        // handle is kept: we need it as long as we are loaded, which is for ever.
        let own = unsafe { libc::dlopen(c"libm.so.6".as_ptr(), flags) };
        if own.is_null() {
            return;
        }
        for (name, place) in all() {
            // SAFETY: the handle is open, and the name NUL-terminated.
            let found = unsafe { libc::dlsym(own, name.as_ptr()) };
            if !found.is_null() {
                place.store(found, Ordering::Relaxed);
            }
        }
    }
    at_load
};
