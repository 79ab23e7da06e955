//! The environment's variables, for all of the library.
//!
//! Whoever starts a program chooses its environment. Where the program then has rights that they
//! lack, a variable of theirs that names a file would have it read and written with those rights:
//! a capture in place of `/etc/shadow`. So these variables count as not set there, as those of the
//! dynamic linker do.

use std::ffi::OsString;

use super::stderr::say_parts;

/// A variable's value, if it is set and counts.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|_| !has_more_rights_than_its_caller())
}

/// Says in one line which of these variables are set and do not count.
pub(crate) fn say_what_is_ignored(names: &[&str]) {
    if !has_more_rights_than_its_caller() {
        return;
    }
    let mut set = names.iter().filter(|name| std::env::var_os(name).is_some());
    let Some(first) = set.next() else {
        return;
    };
    let mut all = (*first).to_owned();
    for name in set {
        all.push_str(", ");
        all.push_str(name);
    }
    say_parts(format_args!(
        "ignored in the environment: {all}. This program has rights that its caller may lack \
         (set-user-ID, set-group-ID or capabilities of its file); expected the whole configuration in the \
         string given to signal_create, or capabilities that the caller has (ambient ones)"
    ));
}

/// Whether the kernel has started this program in "secure execution" mode. It stays so when the
/// program gives its rights up.
fn has_more_rights_than_its_caller() -> bool {
    // SAFETY: the call takes a number, and reads what the kernel gave the process at its start.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
