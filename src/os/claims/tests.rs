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
