//! Puts the facts of the build into the library, and links it so that it loads
//! where the host runs.

use std::env;
use std::process::Command;

/// Functions whose calls go to the trampolines of `src/os/glibc.rs`.
const OLD_GLIBC: &[&str] = &[
    "dlopen",
    "dlsym",
    "fstat64",
    "lstat64",
    "pthread_attr_getguardsize",
    "pthread_attr_getstack",
    "pthread_attr_setstacksize",
    "pthread_create",
    "pthread_detach",
    "pthread_getattr_np",
    "pthread_getspecific",
    "pthread_join",
    "pthread_key_create",
    "pthread_key_delete",
    "pthread_setname_np",
    "pthread_setspecific",
    "pthread_sigmask",
    "pthread_testcancel",
    "pthread_tryjoin_np",
    "stat64",
];

/// Functions that a host may have under the same name, whose calls go to the trampolines of
/// `src/os/own_functions.rs`.
const OWN: &[&str] = &[
    "exp",
    "expf",
    "flock",
    "getauxval",
    "gettid",
    "log1p",
    "log2",
    "logf",
    "madvise",
    "prctl",
    "statx",
    "syscall",
];

/// The allocator's functions, whose calls go to `src/os/allocator.rs`.
const ALLOCATOR: &[&str] = &["calloc", "free", "malloc", "posix_memalign", "realloc"];

fn main() {
    let output = |program: &str, args: &[&str]| {
        Command::new(program)
            .args(args)
            .output()
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| String::from_utf8(output.stdout).ok())
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let var = |name: &str| env::var(name).unwrap_or_default();
    let unknown = || "unknown".to_owned();
    let revision = output("git", &["rev-parse", "--short=12", "HEAD"]).unwrap_or_else(unknown);
    let compiler = output(&var("RUSTC"), &["--version"]).unwrap_or_else(unknown);
    println!("cargo:rustc-env=SIGNAL_BUILD_REVISION={revision}");
    println!("cargo:rustc-env=SIGNAL_BUILD_COMPILER={compiler}");
    println!("cargo:rustc-env=SIGNAL_BUILD_PROFILE={}", var("PROFILE"));
    println!("cargo:rustc-env=SIGNAL_BUILD_TARGET={}", var("TARGET"));
    println!("cargo:rerun-if-changed=build.rs");
    // In a worktree of its own it lies elsewhere.
    if let Some(head) = output("git", &["rev-parse", "--git-path", "logs/HEAD"])
        && std::path::Path::new(&head).exists()
    {
        println!("cargo:rerun-if-changed={head}");
    }
    // Lanes run this library's code: a host that unloads it must not pull it
    // from under them.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if var("CARGO_CFG_TARGET_OS") == "linux" {
        let order = format!("{}/event_path.ld", var("CARGO_MANIFEST_DIR"));
        if env::var_os("SIGNAL_KEEP_CODE_ORDER").is_none() {
            println!("cargo:rustc-cdylib-link-arg=-T");
            println!("cargo:rustc-cdylib-link-arg={order}");
        }
        println!("cargo:rerun-if-env-changed=SIGNAL_KEEP_CODE_ORDER");
        println!("cargo:rerun-if-changed={order}");
    }
    if var("CARGO_CFG_TARGET_ARCH") == "x86_64" && var("CARGO_CFG_TARGET_ENV") == "gnu" {
        for function in OLD_GLIBC.iter().chain(OWN).chain(ALLOCATOR) {
            println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap={function}");
        }
        // To `src/os/random.rs`.
        println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap=getrandom");
        // To `src/os/threads/storage.rs`.
        println!("cargo:rustc-cdylib-link-arg=-Wl,--wrap=__cxa_thread_atexit_impl");
        // On glibc 2.31 these two hold what newer ones have in libc itself.
        println!(
            "cargo:rustc-cdylib-link-arg=-Wl,--no-as-needed,-l:libpthread.so.0,-l:libdl.so.2,--as-needed"
        );
    }
}
