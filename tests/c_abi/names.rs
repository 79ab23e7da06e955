//! Hosts with functions of their own that are called like the C library's.

use std::collections::BTreeSet;
use std::fs;

use support::host::{Output, has_tool, host, run};

use super::processes::built;
use super::scenarios::readelf;

/// What this host prints, with a report and a capture in a folder of its own.
fn with_own(name: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        &format!("-DNAME={name}"),
        "-rdynamic",
        "-fno-builtin",
        "-Wno-builtin-declaration-mismatch",
    ];
    let program = built(folder.path(), "odd/own_names.cpp", &flags);
    let config = format!(
        r#"{{"placement": "fused", "latency": {{"dir": "{0}/report"}}, "capture": {{"file": "{0}/capture.csv"}}}}"#,
        folder.path().display()
    );
    let output = run(host(&program).env("SIGNAL_TEST_CONFIG", config));
    output.expect_code(0);
    if output.stdout.starts_with("made") {
        let capture = fs::read_to_string(folder.path().join("capture.csv")).unwrap();
        assert_eq!(capture.lines().count(), 1, "{name}: {capture}");
        assert!(folder.path().join("report/summary.json").is_file());
    }
    output
}

/// Names that a host may use: our calls go to the C library's functions.
const FREE: [&str; 8] = [
    "flock",
    "getauxval",
    "getrandom",
    "gettid",
    "madvise",
    "prctl",
    "statx",
    "syscall",
];

#[test]
fn a_hosts_function_with_a_name_that_nobody_reserves_is_not_called() {
    if !has_tool("g++") {
        return;
    }
    for name in FREE {
        let said = with_own(name).stdout;
        assert_eq!(said, "made, without the host's\n", "{name}");
    }
}

#[test]
fn a_hosts_function_with_a_name_of_posix_is_named() {
    if !has_tool("g++") {
        return;
    }
    for name in ["close", "fcntl", "openat", "read", "readlink", "write"] {
        let said = with_own(name).stdout;
        let expected = format!("null: names: this process has a function {name} of its own");
        assert!(said.starts_with(&expected), "{name}: {said}");
    }
}

#[test]
fn what_a_signal_interrupts_in_a_folder_is_done_again() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = built(folder.path(), "odd/interrupted.cpp", &["-rdynamic"]);
    let report = folder.path().join("new/report");
    let config = format!(r#"{{"placement": "inline", "latency": {{"dir": {report:?}}}}}"#);
    let output = run(host(&program).env("SIGNAL_TEST_CONFIG", config));
    output.expect_code(0);
    assert_eq!(output.stdout, "mkdir renameat unlinkat interrupted\n");
    assert!(report.join("summary.json").is_file());
    let fresh = fs::read_dir(report).unwrap();
    let names = fresh.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with('.')).count(), 0);
}

/// Functions of POSIX and ISO C, which a host may only replace by what does the same.
const RESERVED: [&str; 66] = [
    "abort",
    "access",
    "calloc",
    "clock_gettime",
    "close",
    "closedir",
    "dirfd",
    "dlopen",
    "dlsym",
    "exit",
    "exp",
    "expf",
    "fchmod",
    "fcntl",
    "free",
    "getcwd",
    "getenv",
    "geteuid",
    "getpid",
    "getpriority",
    "getrlimit",
    "getsockopt",
    "ioctl",
    "log1p",
    "log2",
    "logf",
    "malloc",
    "memcmp",
    "memcpy",
    "memmove",
    "memset",
    "mkdir",
    "mmap",
    "mprotect",
    "munmap",
    "open",
    "openat",
    "opendir",
    "poll",
    "read",
    "readlink",
    "realloc",
    "realpath",
    "renameat",
    "rmdir",
    "sendmsg",
    "setpriority",
    "sigaddset",
    "sigdelset",
    "sigemptyset",
    "sigfillset",
    "sigismember",
    "sigpending",
    "sigtimedwait",
    "strlen",
    "sysconf",
    "unlinkat",
    "write",
    "writev",
    // Their large-file variants.
    "ftruncate64",
    "lseek64",
    "mmap64",
    "open64",
    "pread64",
    // In no standard of today: other libraries' calls need them as much as ours.
    "bcmp",
    "dl_iterate_phdr",
];

#[test]
fn the_library_takes_no_function_whose_name_a_host_may_use() {
    let Some(symbols) = readelf("--dyn-syms") else {
        return;
    };
    let undefined = symbols
        .lines()
        .filter_map(|line| line.split(" UND ").nth(1));
    let names: BTreeSet<&str> = undefined
        .filter_map(|name| name.trim().split('@').next())
        // The implementation's, and those that POSIX reserves by their beginning.
        .filter(|name| !name.is_empty() && !name.starts_with('_') && !name.starts_with("pthread_"))
        .filter(|name| !name.starts_with("sched_"))
        .collect();
    assert!(names.contains("read"), "{names:?}");
    let known: BTreeSet<&str> = FREE.into_iter().chain(RESERVED).collect();
    let others: Vec<_> = names.difference(&known).collect();
    assert!(others.is_empty(), "see src/os/own_functions.rs: {others:?}");
}
