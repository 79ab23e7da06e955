use std::io::Write;
use std::os::fd::AsRawFd;
use std::process::Command;

use super::*;

#[test]
fn only_regular_files_within_the_limit_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "12345").unwrap();
    assert_eq!(read(&file, 5).unwrap(), b"12345");
    assert!(read(&file, 4).unwrap_err().contains("more than 4 bytes"));
    let fifo = dir.path().join("fifo");
    let name = std::ffi::CString::new(fifo.to_str().unwrap()).unwrap();
    // SAFETY: the name is a NUL-terminated string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    for path in [fifo.as_path(), dir.path()] {
        assert!(read(path, 5).unwrap_err().contains("not a regular file"));
    }
    assert!(
        read(&dir.path().join("none"), 5)
            .unwrap_err()
            .contains("cannot read it")
    );
}

#[test]
fn a_place_is_the_same_through_every_path_and_link() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("folder")).unwrap();
    std::fs::write(at("file"), "1").unwrap();
    std::fs::write(at("other"), "1").unwrap();
    std::fs::hard_link(at("file"), at("hard")).unwrap();
    std::os::unix::fs::symlink("file", at("soft")).unwrap();
    std::os::unix::fs::symlink(".", at("here")).unwrap();
    for same in ["hard", "soft", "folder/../file", "here/here/soft", "./file"] {
        assert_eq!(Place::of(&at(same)), Place::of(&at("file")), "{same}");
    }
    assert_ne!(Place::of(&at("other")), Place::of(&at("file")));

    std::os::unix::fs::symlink("here/new", at("to_new")).unwrap();
    assert!(matches!(Place::of(&at("new")), Some(Place::NotYet(..))));
    for same in ["to_new", "here/new", "gone/../new", "here/to_new"] {
        assert_eq!(Place::of(&at(same)), Place::of(&at("new")), "{same}");
    }
    assert_ne!(Place::of(&at("new2")), Place::of(&at("new")));
    std::os::unix::fs::symlink("loop", at("loop")).unwrap();
    for none in [at("folder"), at("loop"), "/dev/null".into()] {
        assert_eq!(Place::of(&none), None);
    }
}

fn fifo(path: &Path) {
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name is a NUL-terminated string.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_no_regular_file_is_named_and_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fifo(&at("fifo"));
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    std::fs::create_dir(at("folder")).unwrap();
    let folder = Folder::make(dir.path()).unwrap();
    for (name, kind) in [
        ("fifo", "a FIFO"),
        ("socket", "a socket"),
        ("folder", "a folder"),
    ] {
        for why in [
            Output::open(&at(name)).unwrap_err(),
            folder.output(name).unwrap_err(),
            folder.check_replaceable(name).unwrap_err(),
        ] {
            assert!(why.contains(kind), "{why}");
            assert!(why.contains(at(name).to_str().unwrap()), "{why}");
            assert!(why.contains("expected a regular file"), "{why}");
        }
    }
    let why = Output::open("/dev/zero".as_ref()).unwrap_err();
    assert!(why.contains("a device"), "{why}");
    // These devices never block and may be opened twice.
    for device in ["/dev/null", "/dev/full"] {
        let first = Output::open(device.as_ref()).unwrap();
        Output::open(device.as_ref()).unwrap();
        first.empty().unwrap();
    }
}

#[cfg(feature = "replay")]
#[test]
fn a_stream_has_a_reader_who_is_waited_for_until_the_end_is_asked_for() {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let why = Stream::open(&fifo).unwrap_err();
    assert!(why.contains("nobody reads it"), "{why}");
    let flags = libc::O_RDONLY | libc::O_NONBLOCK;
    let mut reader = File::from(open(&fifo, flags, 0).unwrap());
    let mut stream = Stream::open(&fifo).unwrap();
    let end = Arc::new(AtomicBool::new(false));
    stream.stop_when(end.clone());
    // More than any pipe holds, for a reader who takes his time.
    let whole = vec![7; 3 << 20];
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| stream.write_all(&whole));
        let (mut all, mut some) = (0, vec![0; 1 << 16]);
        while all < whole.len() {
            all += reader.read(&mut some).unwrap_or(0);
            end.store(all > whole.len() / 2, std::sync::atomic::Ordering::Relaxed);
        }
        writer.join().unwrap().unwrap();
    });
    let why = stream.write_all(&whole).unwrap_err();
    assert!(why.to_string().contains("takes no more"), "{why}");
}

#[test]
fn a_lock_ends_with_the_file_whoever_holds_its_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/file");
    let first = Output::open(&path).unwrap();
    let why = Output::open(&path).unwrap_err();
    assert!(why.contains("no other handle writes"), "{why}");
    // A duplicate of the descriptor stays open, as in the child of a fork.
    let held = first.as_fd_for_tests().try_clone().unwrap();
    drop(first);
    let second = Output::open(&path).unwrap();
    drop((held, second));
}

#[test]
fn what_is_in_a_file_stays_until_it_is_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    std::fs::write(&path, "precious").unwrap();
    let mut file = Output::open(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    file.empty().unwrap();
    file.write_all(b"newer").unwrap();
    file.cut(3).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "new");
}

/// Writes through a buffer that is smaller than the text.
fn replace(folder: &Folder, name: &str, text: &[u8]) -> Result<(), Obstacle> {
    let mut room = Vec::with_capacity(4);
    folder.replace(name, &mut room, |out| {
        let (first, rest) = text.split_at(1);
        out.write_all(first)?;
        out.write_all(rest)
    })
}

#[test]
fn a_folder_stays_the_same_one_under_another_name() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    let folder = Folder::make(&before).unwrap();
    std::fs::rename(&before, &after).unwrap();
    std::fs::create_dir(&before).unwrap();
    let mut log = folder.output("log").unwrap();
    log.write_all(b"line").unwrap();
    replace(&folder, "summary", b"old").unwrap();
    replace(&folder, "summary", b"whole").unwrap();
    assert_eq!(names(&after), ["log", "summary"]);
    assert_eq!(
        std::fs::read_to_string(after.join("summary")).unwrap(),
        "whole"
    );
    folder.remove("summary").unwrap();
    folder.remove("summary").unwrap();
    assert_eq!(names(&after), ["log"]);
    assert!(names(&before).is_empty());
    // Another handle may capture to this file.
    let capture = Output::open(&after.join("capture")).unwrap();
    for why in [
        replace(&folder, "capture", b"whole")
            .unwrap_err()
            .to_string(),
        folder.remove("capture").unwrap_err().to_string(),
    ] {
        assert!(why.contains("no other handle writes"), "{why}");
    }
    drop(capture);
    folder.remove("capture").unwrap();
    // A file that could not be put in place leaves nothing behind.
    std::fs::create_dir(after.join("folder")).unwrap();
    replace(&folder, "folder", b"whole").unwrap_err();
    for name in ["x".repeat(300), "a\0b".into()] {
        replace(&folder, &name, b"whole").unwrap_err();
    }
    assert_eq!(names(&after), ["folder", "log"]);
}

/// Runs the test of this name again, in a process without descriptors 0 to 2.
fn without_standard_streams(test: &str) -> bool {
    const IN_CHILD: &str = "SIGNAL_TEST_WITHOUT_STREAMS";
    if std::env::var_os(IN_CHILD).is_some() {
        for file in 0..3 {
            // SAFETY: nothing in this process uses them any more.
            unsafe { libc::close(file) };
        }
        return true;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test, "--test-threads=1", "--nocapture"]);
    let status = again.env(IN_CHILD, "1").status().unwrap();
    assert!(status.success(), "{status}");
    false
}

#[test]
fn nothing_is_opened_where_stdin_stdout_and_stderr_were() {
    if !without_standard_streams(
        "os::files::tests::nothing_is_opened_where_stdin_stdout_and_stderr_were",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = Folder::make(dir.path()).unwrap();
    let file = open(dir.path(), libc::O_RDONLY, 0).unwrap();
    let output = Output::open(&dir.path().join("file")).unwrap();
    let low = (file.as_raw_fd().min(output.as_fd_for_tests().as_raw_fd())) < 3;
    let all_closed = (0..3).all(|file| open::flags(file) == -1);
    replace(&folder, "name", b"text").unwrap();
    // Nobody could see a panic message.
    std::process::exit(if low || !all_closed { 1 } else { 0 });
}

#[test]
fn a_file_of_the_system_may_have_a_name_that_is_cut_within_a_character() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let status = b"Name:\t\xe8\xa1\x8c\xe6\x83\nCpus_allowed_list:\t0-1\n";
    std::fs::write(&file, status).unwrap();
    let text = super::system(file.path()).unwrap();
    assert!(text.ends_with("\nCpus_allowed_list:\t0-1\n"), "{text}");
}
