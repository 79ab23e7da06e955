//! The built `libsignal.so` as a C++ host sees it: each test runs one scenario of
//! `tests/hosts/` in its own process.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use support::ROOT;
use support::host::{Output, compile, compile_many, has_tool, host, library, run, run_for};

/// Compiles `tests/hosts/*.cpp`, once for all tests.
pub(super) fn checks() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // A static is never dropped, so a temporary folder would stay behind.
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("checks");
        let sources = files(&Path::new(ROOT).join("tests/hosts"), "cpp");
        let headers = [("tests/hosts", "hpp"), ("include", "h"), ("include", "hpp")];
        let headers: Vec<_> = headers
            .iter()
            .flat_map(|(folder, kind)| files(&Path::new(ROOT).join(folder), kind))
            .collect();
        // The program is renamed into place, because another run may be using the old one.
        let fresh = program.with_extension(std::process::id().to_string());
        compile_many(
            &sources,
            &headers,
            Path::new(env!("CARGO_TARGET_TMPDIR")),
            &fresh,
        );
        fs::rename(&fresh, &program).unwrap();
        program
    })
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension() == Some(OsStr::new(extension)))
        .collect();
    files.sort();
    files
}

pub(super) fn scenario(name: &str, code: i32) -> Option<Output> {
    scenario_for(name, code, Duration::from_secs(300))
}

fn scenario_for(name: &str, code: i32, timeout: Duration) -> Option<Output> {
    if !has_tool("g++") {
        return None;
    }
    let output = run_for(host(checks()).arg(name), timeout);
    output.expect_code(code);
    Some(output)
}

macro_rules! scenarios {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                scenario(stringify!($name), 0);
            }
        )*
    };
}

scenarios! {
    basic,
    placements,
    shards,
    exception,
    reentrant,
    cycles,
    two_handles,
    bad_input,
    too_many_instruments,
    bad_config,
    full_log,
    stderr_that_is_full,
    stderr_of_another_user,
    stderr_without_a_reader,
    stderr_at_its_limit,
    stderr_of_a_background_job,
    stderr_that_has_become_another_file,
    stderr_that_was_redirected,
    files_lie_above_the_standard_streams,
    files_stay_where_they_were_at_create,
    files_that_are_none,
    files_are_unlocked_though_a_child_holds_them,
    files_that_cannot_be_locked,
    descriptors_that_the_host_has_closed,
    files_of_a_daemon,
    files_that_are_cut,
    files_that_are_cut_just_before_a_write,
    files_that_are_deleted,
    files_that_are_renamed,
    what_is_lost_at_a_close_is_said,
    report_without_a_descriptor_left,
    disk_that_never_answers,
    threads_that_were_ended_from_outside,
    a_lane_that_was_ended_from_outside,
    reader_that_is_interrupted,
    stops_polling,
    stats_sizes,
    inline_poll,
    latency,
    models,
    numbers_show_each_gap,
    deliver_from_on_data,
    deliver_what_was_late,
    deliver_exception,
    deliver_nested,
    deliver_destroy_in_a_callback,
    deliver_fork_in_a_callback,
    batch_in_place,
    batch_stays_until_freed,
    batch_leaves_room_for_news,
    batch_misuse,
    instruments_are_told_apart,
    symbols_as_the_host_writes_them,
    instruments_with_names_of_their_own,
    thread_guest,
    thread_guest_of_a_pinned_host,
    thread_guest_of_a_masked_host,
    thread_guest_reports,
    process_signals,
    signals_that_the_host_has_blocked,
    main_thread_has_ended,
    dead_handles,
    foreign_handles,
    too_many_handles,
    handle_moves_between_threads,
    threads_at_once,
    destroy_beside_calls,
    visitors_during_a_callback,
    callback_calls_everything,
    destroy_in_a_callback,
    handlers_call_in,
    fork_and_go_on,
    fork_in_a_callback,
    destroy_and_fork_in_a_callback,
    fork_beside_the_first_create,
    fork_beside_calls,
    fork_handlers_of_the_host,
    children_however_made,
    children_made_in_a_callback,
    children_leave_files_alone,
    children_where_pages_are_kept,
    children_of_children_have_room,
    children_that_begin_with_several_threads,
    a_child_made_while_destroy_waits,
    a_child_that_shares_memory_makes_no_handle,
    signals_during_calls,
    two_copies,
    limited_address_space,
    limited_cpu_time,
    limited_real_time,
    limited_threads,
    created_by_a_deadline_thread,
    limited_locked_memory,
    limited_files,
    handles_share_the_files_that_health_reads,
    memory_of_models,
    memory_of_a_configuration,
    few_mappings,
    locked_memory,
    memory_of_a_control_group,
    memory_of_a_group_in_a_namespace,
    memory_that_is_used_up_after_create,
    cores_that_are_not_there,
    latency_between_two_intervals,
    report_on_a_full_disk,
    cores_of_another_process,
    claims_end_with_their_owner,
    claims_of_two_copies,
    claims_that_the_host_has_ended,
    claims_in_a_file_that_is_removed,
    fork_beside_another_threads_claims,
    claims_that_cannot_be_had,
    claims_of_another_user,
    a_lane_that_is_moved,
    a_lane_that_is_moved_to_a_core_that_others_have,
    a_lane_of_which_nobody_may_ask,
    claims_of_threads_with_descriptors_of_their_own,
    two_creates_at_once_share_no_core,
    lanes_leave_a_core_for_the_host,
    affinity_is_forbidden,
    a_handler_answers_system_calls,
    machine_cannot_be_asked,
    lanes_have_the_configured_policy,
    statx_is_forbidden,
    statx_is_forbidden_later,
    statx_and_fstat_are_forbidden_later,
    stopped_in_destroy,
    stopped_while_a_lane_waits,
    tsc_is_forbidden,
    tsc_is_forbidden_later,
    clock_calls_are_forbidden,
    clock_of_the_hosts_own,
    sleeping_is_forbidden,
    randomness_is_forbidden,
    priority_cannot_be_asked,
    tsc_is_forbidden_on_one_thread,
    membarrier_is_forbidden_later,
    floating_point_of_the_host,
    floating_point_and_files,
    floating_point_in_a_callback,
    threads_of_a_niced_maker,
    health_in_a_handler,
    cancelled_in_create,
    cancelled_in_destroy,
    cancelled_while_it_asks,
    cancelled_on_the_hot_path,
    cancelled_in_a_callback,
}

/// A thousand handles, loaded and unloaded: slow under a sanitizer.
#[test]
fn load_and_unload() {
    scenario_for("load_and_unload", 0, Duration::from_secs(300));
}

/// The host leaves while lanes spin: it ends at once and with its own exit code.
macro_rules! exits {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                if let Some(output) = scenario(stringify!($name), 42) {
                    assert!(output.took < Duration::from_secs(5), "took {:?}", output.took);
                }
            }
        )*
    };
}

exits! {
    exit_without_destroy,
    exit_from_callback,
    quick_exit_without_destroy,
    return_from_main_without_destroy,
    dlclose_without_destroy,
    calls_at_exit,
}

#[test]
fn instruments_of_one_name() {
    let Some(output) = scenario("instruments_of_one_name", 0) else {
        return;
    };
    let said = output.stderr.lines();
    let said: Vec<_> = said
        .filter(|line| line.contains("several instruments"))
        .collect();
    assert_eq!(said.len(), 6, "two names in three placements: {said:#?}");
    for line in said {
        for part in ["signal: ", "of binance (spot)", "(swap)", "symbols.map"] {
            assert!(line.contains(part), "no {part:?} in {line:?}");
        }
    }
    let merged = |line: &&str| line.contains("b_tcusdt and btc_usdt of binance (spot)");
    assert_eq!(
        output.stderr.lines().filter(merged).count(),
        3,
        "{}",
        output.stderr
    );
}

#[test]
fn an_asset_that_never_occurs() {
    let Some(output) = scenario("an_asset_that_never_occurs", 0) else {
        return;
    };
    let said = output.stderr.lines();
    let said: Vec<_> = said.filter(|line| line.contains("assets")).collect();
    assert_eq!(said.len(), 6, "two handles in three placements: {said:#?}");
    for line in said {
        let expected = "signal: assets: no event came for btcusd, in 1 events; expected symbols";
        assert!(line.starts_with(expected), "{line:?}");
    }
}

#[test]
fn a_failed_check_fails_the_scenario() {
    if !has_tool("g++") {
        return;
    }
    run(host(checks()).arg("no_such_scenario")).expect_code(2);
    let output = run(host(checks())
        .arg("basic")
        .env("SIGNAL_LIB_PATH", "/nowhere"));
    output.expect_code(1);
    assert!(output.stderr.contains("CHECK failed"), "{}", output.stderr);
}

#[test]
fn the_environment_configures_a_host_that_passes_an_empty_object() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("signal.json");
    // `basic` expects the default model's values, so it must fail with another model.
    for (text, code) in [
        (r#"{"placement": "inline"}"#, 0),
        (r#"{"model": "none"}"#, 1),
        (r#"{"modle": "none"}"#, 1),
        (r#"{"model": "nope"}"#, 1),
    ] {
        fs::write(&file, text).unwrap();
        let output = run(host(checks()).arg("basic").env("SIGNAL_CONFIG", &file));
        output.expect_code(code);
        for wrong in ["modle", "nope"] {
            if text.contains(wrong) {
                assert!(output.stderr.contains(wrong), "{}", output.stderr);
                assert!(output.stderr.contains("signal.json"), "{}", output.stderr);
            }
        }
    }
}

#[test]
fn the_header_compiles_as_c_and_as_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let header = Path::new(ROOT).join("include/signal.h");
    // The system's header of the same name must stay usable together with ours.
    let text = format!(
        "#include \"{0}\"\n#include \"{0}\"\n#include <signal.h>\n\
         int use(void *handle, const signal_egress_t *egress);\n\
         int use(void *handle, const signal_egress_t *egress) {{\n\
         signal_stats_t stats; stats.size = sizeof stats;\n\
         return SIGINT + signal_poll(handle, egress, signal_poll_callbacks)\n\
         + signal_stats(handle, &stats); }}\n",
        header.display()
    );
    for (tool, standard, strict, file) in [
        // C from before `long long` and `//` comments, both of which compilers accept as
        // extensions.
        ("gcc", "-std=gnu89", "-Wall", "use.c"),
        ("gcc", "-std=c11", "-pedantic", "use.c"),
        ("g++", "-std=c++11", "-pedantic", "use.cpp"),
        ("g++", "-std=c++17", "-pedantic", "use.cpp"),
    ] {
        if !has_tool(tool) {
            continue;
        }
        let source = folder.path().join(file);
        fs::write(&source, &text).unwrap();
        run(Command::new(tool)
            .args([standard, "-Wall", "-Wextra", "-Werror", strict])
            .arg("-fsyntax-only")
            .arg(source))
        .expect_code(0);
    }
}

#[test]
fn the_example_host_runs() {
    if !has_tool("g++") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("host");
    compile(&[Path::new(ROOT).join("examples/host.cpp")], &program);
    let output = run(&mut host(&program));
    output.expect_code(0);
    for expected in [
        "signal BTCUSDT at 1720000000100000000: 1, 0.800000011920929",
        "signal ETHUSDT at 1720000000250000000: 1, 0.800000011920929",
        "the strategy threw: it does not like DOGEUSDT",
        "depth 6, ticker 2, trade 2, index price 1",
        "signals 6, delivered 6",
    ] {
        assert!(
            output.stdout.contains(expected),
            "no {expected:?} in:\n{}\nstderr:\n{}",
            output.stdout,
            output.stderr
        );
    }
    let missing = run(host(&program).env("SIGNAL_LIB_PATH", "/nowhere"));
    missing.expect_code(1);
    assert!(missing.stderr.contains("/nowhere"), "{}", missing.stderr);
}

pub(super) fn readelf(option: &str) -> Option<String> {
    if !has_tool("readelf") {
        return None;
    }
    let output = run(Command::new("readelf")
        .args(["-W", option])
        .arg(library())
        .env("LC_ALL", "C"));
    output.expect_code(0);
    Some(output.stdout)
}

#[test]
fn the_library_loads_on_glibc_2_31() {
    let Some(symbols) = readelf("--dyn-syms") else {
        return;
    };
    let versions = |line: &str| {
        let version = line.split("@GLIBC_").nth(1)?;
        let version = version.split([' ', ')']).next()?;
        let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
        Some((parts.next()??, parts.next()??))
    };
    assert!(symbols.lines().filter_map(versions).count() > 10);
    let too_new: Vec<&str> = symbols
        .lines()
        .filter(|line| versions(line).is_some_and(|version| version > (2, 31)))
        .collect();
    assert!(too_new.is_empty(), "newer than glibc 2.31: {too_new:#?}");
}

#[test]
fn the_library_exports_the_c_abi_alone_and_is_never_unloaded() {
    let (Some(symbols), Some(dynamic)) = (readelf("--dyn-syms"), readelf("--dynamic")) else {
        return;
    };
    let mut exported: Vec<&str> = symbols
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() == 8 && fields[4] == "GLOBAL" && fields[6] != "UND")
        .map(|fields| fields[7])
        .collect();
    exported.sort_unstable();
    assert_eq!(
        exported,
        [
            "signal_batch_instrument",
            "signal_create",
            "signal_current_instrument",
            "signal_current_model",
            "signal_current_sequence",
            "signal_destroy",
            "signal_egress",
            "signal_health",
            "signal_incident",
            "signal_lanes",
            "signal_last_error",
            "signal_latency",
            "signal_lost_lines",
            "signal_model_name",
            "signal_models",
            "signal_on_data",
            "signal_poll_batch",
            "signal_poll_callbacks",
            "signal_refused_handles",
            "signal_register_callback",
            "signal_rings",
            "signal_stamp_ns",
            "signal_stats",
            "signal_value_name",
            "signal_version",
        ]
    );
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    // The C library's parts and the shared unwinder. A library with its own unwinder breaks
    // the host's exceptions, and any other library may be missing.
    let needed: Vec<&str> = dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split(['[', ']']).nth(1))
        .collect();
    assert!(needed.contains(&"libgcc_s.so.1"), "{needed:?}");
    let allowed = [
        "libgcc_s",
        "libc",
        "libm",
        "libpthread",
        "libdl",
        "ld-linux",
    ];
    for library in &needed {
        assert!(
            allowed.iter().any(|name| library
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['.', '-']))),
            "needs {library}"
        );
    }
}

#[test]
fn the_library_asks_for_no_static_thread_local_storage() {
    let Some(dynamic) = readelf("--dynamic") else {
        return;
    };
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    assert!(!dynamic.contains("STATIC_TLS"), "{dynamic}");
}
