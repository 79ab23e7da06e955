//! Namespaces of this process and of what it starts.

use std::ffi::CStr;
use std::io::{self, ErrorKind};

use crate::os::files::{self, Identity};

/// Whether what the calling thread starts gets another PID or time namespace than its own, after
/// `unshare` or `setns`. The kernel then lets it make processes alone, and no threads.
pub(crate) fn children_are_elsewhere() -> bool {
    let pairs = [
        (
            c"/proc/thread-self/ns/pid",
            c"/proc/thread-self/ns/pid_for_children",
        ),
        (
            c"/proc/thread-self/ns/time",
            c"/proc/thread-self/ns/time_for_children",
        ),
    ];
    pairs
        .iter()
        .any(|(own, childrens)| differ(namespace(own), namespace(childrens)))
}

/// The number of this process' PID namespace, if that is not the machine's own.
pub(crate) fn pid_namespace() -> Option<u64> {
    // Of the kernel's proc_ns.h.
    const FIRST: u64 = 0xefff_fffc;
    let number = namespace(c"/proc/thread-self/ns/pid").ok()?.inode;
    (number != FIRST).then_some(number)
}

fn namespace(path: &CStr) -> io::Result<Identity> {
    let about = files::about(&files::open_c(path, libc::O_PATH)?)?;
    Ok(about.identity)
}

fn differ(own: io::Result<Identity>, childrens: io::Result<Identity>) -> bool {
    match (own, childrens) {
        (Ok(own), Ok(childrens)) => own != childrens,
        // There is none before the namespace has its first process.
        (Ok(_), Err(error)) => error.kind() == ErrorKind::NotFound,
        (Err(_), _) => false,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_without_a_process_is_another_one() {
        let none = || Err(ErrorKind::NotFound.into());
        let is = |inode| Ok(Identity { device: 4, inode });
        assert!(differ(is(1), is(2)) && differ(is(1), none()));
        assert!(!differ(is(1), is(1)) && !differ(none(), none()));
        assert!(!differ(is(1), Err(ErrorKind::PermissionDenied.into())));
        assert!(!children_are_elsewhere());
    }
}
