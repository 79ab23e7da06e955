//! `config check` finds what `signal_create` would find, and changes nothing.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use super::outputs::contents;
use super::*;

/// Checks the folder's configuration as a user with no special rights.
fn check(dir: &Path) -> Output {
    as_anybody(&["config", "check", path(&dir.join("config.json"))])
}

/// Runs with the folder's configuration as the same user.
fn play(dir: &Path) -> Output {
    let file = dir.join("config.json");
    as_anybody(&["demo", "--events", "3", "--force", "--config", path(&file)])
}

fn as_anybody(args: &[&str]) -> Output {
    as_anybody_in(Path::new("."), args)
}

fn as_anybody_in(dir: &Path, args: &[&str]) -> Output {
    const CAP_DAC_OVERRIDE: libc::c_ulong = 1;
    let mut command = signal();
    command.args(args).current_dir(dir);
    // SAFETY: the closure makes two system calls, which affect only the child, and does not
    // allocate.
    unsafe {
        command.pre_exec(|| match libc::geteuid() {
            0 if libc::prctl(libc::PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) != 0 => {
                Err(std::io::Error::last_os_error())
            }
            _ => Ok(()),
        });
    }
    command.output().expect("it runs")
}

/// Everything in a folder and below it.
fn names(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a folder");
    let mut all: Vec<_> = entries
        .flat_map(|entry| {
            let entry = entry.expect("an entry");
            let below = match entry.file_type().expect("a kind").is_dir() {
                true => names(&entry.path()),
                false => Vec::new(),
            };
            [vec![entry.path()], below].concat()
        })
        .collect();
    all.sort();
    all
}

#[test]
fn what_create_could_not_write_is_no_configuration_that_is_ok() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let at = |name: &str| dir.path().join(name);
    write(dir.path(), "file", b"content");
    write(dir.path(), "locked", b"content");
    fs::create_dir(at("shut")).expect("a folder");
    fs::set_permissions(at("shut"), Permissions::from_mode(0o555)).expect("permissions");
    fs::create_dir_all(at("open/report/summary.json")).expect("folders");
    symlink("nowhere/file", at("open/dangling")).expect("a link");
    symlink("../shut/file", at("open/to_shut")).expect("a link");
    symlink("loop", at("open/loop")).expect("a link");
    let locked = File::open(at("locked")).expect("a file");
    locked.try_lock().expect("locked");
    for (key, value, part) in [
        ("capture", "open", "it is a folder"),
        ("capture", "open/report/", "it is a folder"),
        ("capture", "locked", "it is locked"),
        ("capture", "shut/events.csv", "ermission denied"),
        ("capture", "shut/new/events.csv", "ermission denied"),
        ("capture", "/dev/tty", "it is a device"),
        ("capture", "file/events.csv", "expected folders"),
        ("capture", "open/dangling", "o such file"),
        ("capture", "open/to_shut", "ermission denied"),
        ("capture", "open/loop", "ymbolic link"),
        ("capture", "open/new/LONG", "File name too long"),
        ("latency", "open/new/LONG/a", "File name too long"),
        ("latency", "file", "it is a regular file"),
        ("latency", "file/report", "Not a directory"),
        ("latency", "shut", "ermission denied"),
        ("latency", "shut/report", "ermission denied"),
        ("latency", "open/report", "summary.json: it is a folder"),
    ] {
        let json = match key {
            "capture" => format!(r#"{{"capture": {{"file": "{value}"}}}}"#),
            _ => format!(r#"{{"latency": {{"dir": "{value}"}}}}"#),
        };
        let json = json.replace("LONG", &"k".repeat(256));
        write(dir.path(), "config.json", json.as_bytes());
        let before = (names(dir.path()), contents(dir.path()));
        let said = stderr(check(dir.path()), 1);
        assert!(
            said.contains(part) && said.contains("config.json"),
            "{value}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        let after = (names(dir.path()), contents(dir.path()));
        assert_eq!(after, before, "{value}");
        let said = stderr(play(dir.path()), 1);
        assert!(said.contains(part), "create: {value}: {said}");
    }
}

#[test]
fn a_folder_that_a_start_makes_is_named_at_once_and_at_the_start() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let json = br#"{"capture": {"file": "new/day/events.csv"}, "latency": {"dir": "report"}}"#;
    write(dir.path(), "config.json", json);
    let folder = dir.path().join("new/day");
    let part = format!(
        "capture.file: the folder {}, which was not there, is made at start",
        folder.display()
    );
    let checked = stdout(check(dir.path()));
    assert!(checked.contains(&part), "{checked}");
    assert!(!checked.contains("latency.dir: a start"), "{checked}");
    assert!(!dir.path().join("new").exists());
    for is_new in [true, false] {
        let played = play(dir.path());
        assert!(played.status.success());
        let said = [played.stdout, played.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(said.contains(&part), is_new, "{said}");
        assert!(folder.join("events.csv").is_file());
    }
}

#[test]
fn a_bare_name_lies_in_the_working_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let json = br#"{"capture": {"file": "out.csv"}}"#;
    write(dir.path(), "config.json", json);
    fs::set_permissions(dir.path(), Permissions::from_mode(0o555)).expect("permissions");
    let said = stderr(
        as_anybody_in(dir.path(), &["config", "check", "config.json"]),
        1,
    );
    assert!(said.contains("ermission denied"), "{said}");
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("permissions");
    let checked = as_anybody_in(dir.path(), &["config", "check", "config.json"]);
    assert!(checked.status.success());
}

#[test]
fn the_kernels_own_folders_take_no_file_whoever_asks() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for json in [
        r#"{"capture": {"file": "/proc/events.csv"}}"#,
        r#"{"capture": {"file": "/sys/events.csv"}}"#,
        r#"{"latency": {"dir": "/proc/report"}}"#,
    ] {
        let file = write(dir.path(), "config.json", json.as_bytes());
        const WHY: &str = "in one of the kernel's own file systems";
        let said = stderr(run(&["config", "check", path(&file)]), 1);
        assert!(said.contains(WHY), "{said}");
        let run = run(&["demo", "--events", "3", "--config", path(&file)]);
        assert!(stderr(run, 1).contains(WHY), "{json}");
    }
}

#[test]
fn what_create_could_write_is_ok_and_stays_as_it_is() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    write(dir.path(), "file", b"content");
    fs::create_dir(dir.path().join("open")).expect("a folder");
    symlink("new.csv", dir.path().join("open/link")).expect("a link");
    for json in [
        r#"{"capture": {"file": "file"}}"#,
        r#"{"capture": {"file": "open/events.csv"}}"#,
        r#"{"capture": {"file": "open/a/b/events.csv"}}"#,
        r#"{"capture": {"file": "open/link"}}"#,
        r#"{"capture": {"file": "/dev/null"}}"#,
        r#"{"latency": {"dir": "open"}}"#,
        r#"{"latency": {"dir": "open/a/b"}}"#,
    ] {
        write(dir.path(), "config.json", json.as_bytes());
        let before = (names(dir.path()), contents(dir.path()));
        let out = stdout(check(dir.path()));
        assert!(out.contains("config.json: ok"), "{json}: {out}");
        let after = (names(dir.path()), contents(dir.path()));
        assert_eq!(after, before, "{json}");
        stdout(play(dir.path()));
    }
}

#[test]
fn memory_and_the_folder_of_the_environment_are_checked_too() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write(dir.path(), "config.json", br#"{"timing": false}"#);
    let with = |folder: &str| {
        let mut command = signal();
        command.args(["config", "check", path(&file)]);
        let folder = dir.path().join(folder);
        let output = command.env("SIGNAL_LATENCY_DIR", &folder).output();
        (output.expect("it runs"), folder)
    };
    let (output, folder) = with("reports");
    let out = stdout(output);
    assert!(
        out.contains(&format!("in {}, a folder", path(&folder))),
        "{out}"
    );
    assert!(out.contains("has counters and no latencies"), "{out}");
    assert!(!out.contains("latency.dir ="), "{out}");
    let (output, _) = with("config.json");
    let said = stderr(output, 1);
    assert!(said.contains("ot a directory"), "{said}");

    let folder = dir.path().join("report");
    let mut command = signal();
    command.args([
        "demo",
        "--events",
        "3",
        "--config",
        path(&file),
        "--report",
        path(&folder),
    ]);
    let output = command.output().expect("it runs");
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    let note = format!(
        "; timing is false: the report in {} has counters",
        path(&folder)
    );
    assert_eq!(line.matches(&note).count(), 1, "{line}");
    stdout(output);

    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 400000; exec \"$0\" config check \"$1\""]);
    command.arg(env!("CARGO_BIN_EXE_signal"));
    let large = br#"{"instruments": {"max": 100000}, "factors": "market"}"#;
    let file = write(dir.path(), "large.json", large);
    let said = stderr(command.arg(&file).output().expect("it runs"), 1);
    assert!(said.contains("memory: "), "{said}");
}

#[test]
fn a_policy_that_the_process_may_not_have_is_found() {
    const CAP_SYS_NICE: libc::c_ulong = 23;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = write(
        dir.path(),
        "config.json",
        br#"{"policy": "fifo", "placement": "fused"}"#,
    );
    let mut command = signal();
    command.args(["config", "check", path(&file)]);
    // SAFETY: the closure makes system calls, which affect only the child, and does not allocate.
    unsafe {
        command.pre_exec(|| {
            let none = libc::rlimit {
                rlim_cur: 0,
                rlim_max: 0,
            };
            libc::setrlimit(libc::RLIMIT_RTPRIO, &raw const none);
            match libc::geteuid() {
                0 if libc::prctl(libc::PR_CAPBSET_DROP, CAP_SYS_NICE) != 0 => {
                    Err(std::io::Error::last_os_error())
                }
                _ => Ok(()),
            }
        });
    }
    let said = stderr(command.output().expect("it runs"), 1);
    assert!(
        said.contains("scheduler: fifo with priority 1 was refused"),
        "{said}"
    );
}

#[test]
fn what_a_real_time_lane_does_to_its_core_is_said_beforehand() {
    // On a thread of its own: it may stay as it is.
    let may = std::thread::spawn(|| {
        let priority = libc::sched_param { sched_priority: 1 };
        // SAFETY: the call reads the struct and changes only this thread.
        unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority) == 0 }
    });
    if !may.join().expect("it ends") {
        return println!("SKIP: this process may have no real-time threads");
    }
    let dir = tempfile::tempdir().expect("a temporary directory");
    let checked = |idle: &str| {
        let config = format!(r#"{{"scheduler": "fifo", "placement": "fused", "idle": "{idle}"}}"#);
        let file = write(dir.path(), "config.json", config.as_bytes());
        let output = signal().args(["config", "check", path(&file)]).output();
        let output = output.expect("it runs");
        let said = [&output.stdout[..], &output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    };
    let (_, said) = checked("spin");
    // Older kernels would take the core from the lane, so it is refused there.
    let is_told = said.contains("with scheduler fifo") || said.contains("sched_rt_runtime_us");
    assert!(is_told, "{said}");
    let (is_ok, said) = checked("park");
    assert!(is_ok && !said.contains("with scheduler fifo"), "{said}");
}

#[test]
fn paths_for_a_shell_are_refused_wherever_they_stand() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let refused = |command: &mut Command, code: i32| {
        let output = command.current_dir(dir.path()).output().expect("it runs");
        let said = stderr(output, code);
        assert!(said.contains("~ is not expanded here"), "{said}");
    };
    for args in [
        &["replay", "~/events.csv"][..],
        &["config", "check", "~/config.json"],
        &["demo", "--config=~/config.json"],
        &["demo", "--report=~/report"],
        &["demo", "--capture=~/events.csv"],
        &["demo", "--signals=~/signals.csv"],
        &["demo", "--lib=~/libsignal.so"],
    ] {
        refused(signal().args(args), 2);
    }
    for variable in ["SIGNAL_CONFIG", "SIGNAL_LATENCY_DIR", "SIGNAL_LIB_PATH"] {
        refused(
            signal()
                .args(["demo", "--events", "3"])
                .env(variable, "~/a"),
            1,
        );
    }
    assert!(names(dir.path()).is_empty(), "something was made");
}

#[test]
fn variables_with_quotes_or_blanks_around_a_path_are_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for variable in ["SIGNAL_CONFIG", "SIGNAL_LATENCY_DIR", "SIGNAL_LIB_PATH"] {
        for (value, shown) in [
            ("\"/tmp/a\"", r#""\"/tmp/a\"" is in quotes"#),
            (" /tmp/a", r#"" /tmp/a" begins"#),
            ("/tmp/a\r", r#""/tmp/a\r" begins"#),
        ] {
            let mut command = signal();
            command.args(["demo", "--events", "3"]).env(variable, value);
            let output = command.current_dir(dir.path()).output();
            let said = stderr(output.expect("it runs"), 1);
            for part in [variable, "the path ", shown, "; expected /tmp/a"] {
                assert!(said.contains(part), "{part:?} is not in {said}");
            }
        }
    }
    assert!(names(dir.path()).is_empty(), "something was made");
}

#[test]
fn a_name_with_line_ends_and_commands_of_a_terminal_stays_one_visible_line() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let json = br#"{"model": {"kind": "none", "name": "a\nb\u001b[31m"}}"#;
    let file = write(dir.path(), "config.json", json);
    let checked = run(&["config", "check", path(&file)]);
    let played = run(&["demo", "--events", "3", "--config", path(&file)]);
    let said = String::from_utf8_lossy(&played.stderr).into_owned();
    let models = format!(r"{} (none)", r"a\nb\u{1b}[31m");
    for (text, part) in [
        (stdout(checked), &*models),
        (said, r"model=a\nb\u{1b}[31m placement"),
    ] {
        assert!(text.contains(part) && !text.contains('\u{1b}'), "{text}");
    }
}

#[test]
fn a_folder_whose_name_is_no_text_is_shown_as_far_as_it_is_one() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let inside = dir.path().join(OsStr::from_bytes(b"a\xff"));
    fs::create_dir(&inside).expect("a folder");
    let file = inside.join("config.json");
    fs::write(&file, r#"{"capture": {"file": "c.csv"}}"#).expect("a file");
    let mut command = signal();
    let checked = command.args(["config", "check"]).arg(&file).output();
    let text = stdout(checked.expect("it runs"));
    assert!(text.contains("a\u{fffd}/c.csv"), "{text}");
}
