//! Files that this process needs as they are: its standard streams, and what it runs from or has
//! mapped. To write one of them empties the host's log, or ends the host with SIGBUS.

use std::ffi::OsStr;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::about::{Identity, about, about_path};
use super::lines::each_line;
use super::open::{c_path, file_system};

const STREAMS: [(RawFd, &str); 3] = [
    (libc::STDIN_FILENO, "the program's standard input"),
    (libc::STDOUT_FILENO, "the program's standard output"),
    (libc::STDERR_FILENO, "the program's standard error"),
];
const CODE: &str = "a file that the program runs from";
const MAPPED: &str = "a file that the program has mapped into its memory";
const KERNELS: &str = "in one of the kernel's own file systems, such as /proc and /sys";

/// Of the kernel's `magic.h`. Their files are settings, or memory of a process, and a folder that is
/// made there may be a control group.
const KERNELS_OWN: [libc::__fsword_t; 14] = [
    libc::PROC_SUPER_MAGIC,
    super::open::SYSFS_MAGIC,
    libc::CGROUP_SUPER_MAGIC,
    libc::CGROUP2_SUPER_MAGIC,
    libc::DEBUGFS_MAGIC,
    libc::TRACEFS_MAGIC,
    libc::SECURITYFS_MAGIC,
    libc::SELINUX_MAGIC,
    libc::BPF_FS_MAGIC,
    0x6265_6570, // configfs
    0x0765_5821, // resctrl
    0x4249_4e4d, // binfmt_misc
    0xde5e_81e4, // efivarfs
    0x6165_676c, // pstore
];

/// The first of these files that this process needs as it is, and what it is. What the system does
/// not tell is not known.
pub(crate) fn needed<'a>(
    files: impl Iterator<Item = &'a Path>,
) -> Option<(&'a Path, &'static str)> {
    let mut used = None;
    for file in files {
        if is_the_kernels(file) {
            return Some((file, KERNELS));
        }
        // What is not there, or is no regular file, is not overwritten.
        let Ok(there) = about_path(file) else {
            continue;
        };
        if there.other_kind().is_some() {
            continue;
        }
        let used = used.get_or_insert_with(in_use);
        if let Some((_, what)) = used.iter().find(|(used, _)| *used == there.identity) {
            return Some((file, what));
        }
    }
    None
}

/// Whether a file is in one of the kernel's file systems, or would be made there.
fn is_the_kernels(path: &Path) -> bool {
    let Ok(whole) = std::path::absolute(path) else {
        return false;
    };
    let kind = whole
        .ancestors()
        .find_map(|path| file_system(&c_path(path).ok()?).ok());
    kind.is_some_and(|kind| KERNELS_OWN.contains(&kind))
}

fn in_use() -> Vec<(Identity, &'static str)> {
    let streams = STREAMS.iter().filter_map(|(stream, what)| {
        let there = about(stream).ok()?;
        there
            .other_kind()
            .is_none()
            .then_some((there.identity, *what))
    });
    let mut used: Vec<_> = streams.collect();
    let mut last = Vec::new();
    let mut is_known = false;
    // By name: where file systems lie over each other, the numbers there may be another file's.
    let _ = each_line(c"/proc/thread-self/maps", |line| {
        let Some((is_code, path)) = mapping(line) else {
            return;
        };
        // A file's mappings stand together: the first one need not be its code.
        if path != last {
            last.clear();
            last.extend_from_slice(path);
            let there = about_path(Path::new(OsStr::from_bytes(path)));
            is_known = there.is_ok();
            used.extend(there.map(|there| (there.identity, MAPPED)));
        }
        if is_code
            && is_known
            && let Some((_, what)) = used.last_mut()
        {
            *what = CODE;
        }
    });
    used
}

/// Whether a line of `maps` is of code, and the file's path, if it has one.
fn mapping(line: &[u8]) -> Option<(bool, &[u8])> {
    let mut words = line.split(|&byte| byte == b' ');
    let is_code = words.nth(1)?.get(2) == Some(&b'x');
    let path = line.iter().position(|&byte| byte == b'/')?;
    Some((is_code, &line[path..]))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::fs::File;
    use std::os::fd::AsRawFd;

    use super::*;

    fn what(path: &Path) -> Option<&'static str> {
        needed(std::iter::once(path)).map(|(_, what)| what)
    }

    #[test]
    fn what_the_process_runs_from_or_has_mapped_is_known_under_any_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), at("program")).unwrap();
        assert_eq!(what(&at("program")), Some(CODE));
        std::fs::write(at("data"), "data").unwrap();
        std::fs::hard_link(at("data"), at("second name")).unwrap();
        assert_eq!(what(&at("data")), None);
        let file = File::open(at("data")).unwrap();
        // SAFETY: a new mapping, of which nothing is read.
        let address = unsafe {
            let (read, shared) = (libc::PROT_READ, libc::MAP_SHARED);
            libc::mmap(std::ptr::null_mut(), 4, read, shared, file.as_raw_fd(), 0)
        };
        assert_ne!(address, libc::MAP_FAILED);
        assert_eq!(what(&at("second name")), Some(MAPPED));
        // SAFETY: the mapping was made above, and nothing uses it.
        unsafe { libc::munmap(address, 4) };
        assert_eq!(what(&at("second name")), None);
    }

    #[test]
    fn what_is_the_kernels_is_known_before_it_is_made() {
        for path in ["/proc/self/comm", "/proc/self/mem", "/sys/none/of/these"] {
            assert_eq!(what(path.as_ref()), Some(KERNELS), "{path}");
        }
        // It leads out of there; a device is never overwritten.
        let file = tempfile::NamedTempFile::new().unwrap();
        let link = format!("/proc/self/fd/{}", file.as_file().as_raw_fd());
        for path in [&link, "/dev/null", "/no/such/file"] {
            assert_eq!(what(path.as_ref()), None, "{path}");
        }
    }

    #[test]
    fn lines_of_mappings_are_told_apart() {
        let code = b"7f0-7f1 r-xp 00000000 08:01 42                 /usr/lib/a b.so (deleted)";
        assert_eq!(mapping(code), Some((true, &code[47..])));
        assert_eq!(&code[47..], b"/usr/lib/a b.so (deleted)");
        assert_eq!(
            mapping(b"7f0-7f1 r--p 0 08:01 4 /x"),
            Some((false, &b"/x"[..]))
        );
        for none in [&b"7f0-7f1 rw-p 00000000 00:00 0  [heap]"[..], b"", b"x"] {
            assert_eq!(mapping(none), None);
        }
    }
}
