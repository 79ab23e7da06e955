use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::file::open;
use super::*;

#[test]
fn only_a_regular_file_of_one_name_is_taken_and_all_may_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let claims = path("claims");
    drop(open(&claims).unwrap());
    let mode = || std::fs::metadata(&claims).unwrap().mode() & 0o777;
    assert_eq!(mode(), 0o666);
    std::fs::set_permissions(&claims, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(open(&claims).unwrap().as_raw_fd() > 2);
    assert_eq!(mode(), 0o666);
    let victim = path("victim");
    std::fs::write(&victim, "precious").unwrap();
    symlink(&victim, path("link")).unwrap();
    symlink(path("nothing"), path("dangling")).unwrap();
    std::fs::hard_link(&victim, path("second name")).unwrap();
    std::fs::create_dir(path("folder")).unwrap();
    let fifo = std::ffi::CString::new(path("fifo").to_str().unwrap()).unwrap();
    // SAFETY: the name is a NUL-terminated string.
    assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o666) }, 0);
    let used = path("used for something else");
    std::fs::write(&used, "secret").unwrap();
    std::fs::set_permissions(&used, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(open(&used).is_err());
    assert_eq!(std::fs::metadata(&used).unwrap().mode() & 0o777, 0o600);
    for name in ["link", "dangling", "second name", "folder", "fifo"] {
        assert!(open(&path(name)).is_err(), "{name}");
    }
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!path("nothing").exists());
    let error = open(&path("none/claims")).unwrap_err();
    assert!(is_no_place(&error), "{error}");
}

#[test]
fn a_thread_stands_on_the_byte_of_its_core_alone() {
    fn thread<'a>(name: &'a str, cores: &'a str) -> machine::Thread<'a> {
        machine::Thread {
            id: 7,
            has_ended: false,
            name,
            cores,
        }
    }
    let lane = thread("signal-lane-0", "3");
    assert!(stands_on(lane, byte(3, false)));
    assert!(!stands_on(lane, byte(3, true)) && !stands_on(lane, byte(2, false)));
    let host = thread("host", "3");
    assert!(stands_on(host, byte(3, true)) && !stands_on(host, byte(3, false)));
    assert!(!stands_on(thread("host", "2-3"), byte(3, true)));
}

#[test]
fn a_claim_names_its_holder() {
    let mut claim = Claim {
        core: 2,
        is_host: false,
        process: Some(17),
        name: Some("strategy".into()),
    };
    assert_eq!(
        claim.to_string(),
        "core 2 has a lane of process 17 (strategy)"
    );
    claim.name = None;
    claim.is_host = true;
    assert_eq!(claim.to_string(), "core 2 has the host of process 17");
    claim.process = None;
    let text = claim.to_string();
    assert!(
        text.ends_with("of a process that cannot be seen from here"),
        "{text}"
    );
}

#[test]
fn a_file_that_was_removed_or_replaced_is_not_found_by_others() {
    let folder = tempfile::tempdir().unwrap();
    let (path, away) = (folder.path().join("claims"), folder.path().join("away"));
    let file = ClaimsFile::at(&path).unwrap();
    assert!(file.is_found() && file.is_at(&path) && !file.is_at(&away));
    std::fs::rename(&path, &away).unwrap();
    // Where there is nothing now, others may look elsewhere.
    assert!(file.is_found() && !file.is_at(&path));
    let other = ClaimsFile::at(&path).unwrap();
    assert!(!file.is_found() && !file.is_at(&path) && other.is_found());
    std::fs::remove_file(&path).unwrap();
    assert!(!other.is_found() && !other.is_at(&path));
}

#[test]
fn a_file_that_is_left_stays_open_while_claims_on_it_count_and_few_of_them_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = |number: usize| folder.path().join(number.to_string());
    let mut claimed = Claimed::default();
    claimed.reserve(1);
    assert!(claimed.add(7));
    let mut left = Left::default();
    let open = || -> Vec<String> {
        let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let targets = files.filter_map(|file| std::fs::read_link(file.path()).ok());
        let ours = targets.filter(|target| target.starts_with(folder.path()));
        let name = |target: std::path::PathBuf| target.file_name()?.to_str().map(str::to_owned);
        let mut names: Vec<_> = ours.filter_map(name).collect();
        names.sort_unstable();
        names
    };
    for number in 0..9 {
        left.add(Some(ClaimsFile::at(&path(number)).unwrap()), &claimed);
    }
    assert_eq!(open(), ["5", "6", "7", "8"]);
    assert!(left.take(&path(4)).is_none());
    let again = left.take(&path(6)).unwrap();
    assert!(again.is_found());
    left.add(Some(again), &claimed);
    // Others may find one under another name, but none that has no name.
    std::fs::rename(path(5), path(50)).unwrap();
    std::fs::remove_file(path(7)).unwrap();
    left.add(None, &claimed);
    assert_eq!(open(), ["50", "6", "8"]);
}

#[test]
fn a_byte_without_room_is_not_locked_and_handles_that_are_moved_apart_have_room() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("claims");
    let mut state = State {
        file: Some(ClaimsFile::at(&path).unwrap()),
        ..State::default()
    };
    let locked = || -> Vec<u64> {
        // Other than a process' own locks, those of an open file conflict with them.
        let file = std::fs::File::open(&path).unwrap();
        let is_locked = |&byte: &u64| {
            let mut asked = record(byte..byte + 1, libc::F_RDLCK);
            // SAFETY: the call reads the record and writes into it.
            let answer = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut asked) };
            assert_eq!(answer, 0);
            libc::c_int::from(asked.l_type) != libc::F_UNLCK
        };
        let locked = (0..MAX_CORES as u64).filter(is_locked).collect();
        // To close it would end the locks.
        std::mem::forget(file);
        locked
    };
    assert!(!state.hold(7));
    assert_eq!(locked(), [0; 0]);
    let handles: Vec<Bytes> = (0..20)
        .map(|_| {
            state.claimed.reserve(1);
            assert!(state.hold(7));
            Bytes::new(&[7], 1)
        })
        .collect();
    assert_eq!(locked(), [7]);
    for (core, handle) in (20..).zip(&handles) {
        state.follow(handle, std::iter::once(core));
    }
    assert_eq!(locked(), (20..40).collect::<Vec<_>>());
}
