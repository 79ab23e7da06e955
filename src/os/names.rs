//! Whether functions that we call by names of POSIX are those of POSIX.
//!
//! The dynamic linker looks in the program first: where the host has a `read` of its own, that one is
//! ours, too. Tools stand in for the C library so, on purpose (sanitizers, preloaded libraries), and do
//! what POSIX says. A function that does something else would end in an abort, or in files that are
//! not written. So a create first asks each one that is not glibc's for what POSIX must refuse.

use std::ffi::{CStr, c_void};
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicU32, Ordering};

/// A function that we call.
struct Named {
    name: &'static CStr,
    /// What the dynamic linker gave us.
    ours: *const c_void,
    /// Whether it refuses what POSIX must refuse.
    refuses: fn() -> bool,
}

macro_rules! named {
    ($($function:ident($($argument:expr),*) [$($refused:tt)*],)*) => {
        fn all() -> impl Iterator<Item = Named> {
            const NAMES: &[&str] = &[$(concat!(stringify!($function), "\0"),)*];
            // One bit for each.
            const { assert!(NAMES.len() <= u32::BITS as usize) };
            let functions: [(*const c_void, fn() -> bool); NAMES.len()] = [
                $((
                    libc::$function as *const c_void,
                    // SAFETY: there is no descriptor -1, no file without a name and no mapping of no
                    // length: POSIX has the call fail before it touches
                    // anything.
                    || unsafe { libc::$function($($argument),*) $($refused)* },
                ),)*
            ];
            NAMES.iter().zip(functions).filter_map(|(name, (ours, refuses))| {
                let name = CStr::from_bytes_with_nul(name.as_bytes()).ok()?;
                Some(Named { name, ours, refuses })
            })
        }
    };
}

named! {
    close(-1) [== -1],
    fchmod(-1, 0) [== -1],
    fcntl(-1, libc::F_GETFD) [== -1],
    ftruncate64(-1, 0) [== -1],
    getsockopt(-1, 0, 0, null_mut(), null_mut()) [== -1],
    ioctl(-1, libc::TIOCGPTN) [== -1],
    lseek64(-1, 0, libc::SEEK_SET) [== -1],
    mkdir(c"".as_ptr(), 0) [== -1],
    mmap(null_mut(), 0, 0, libc::MAP_PRIVATE, -1, 0) [== libc::MAP_FAILED],
    mmap64(null_mut(), 0, 0, libc::MAP_PRIVATE, -1, 0) [== libc::MAP_FAILED],
    munmap(null_mut(), 0) [== -1],
    open(c"".as_ptr(), 0) [== -1],
    open64(c"".as_ptr(), 0) [== -1],
    openat(-1, c"".as_ptr(), 0) [== -1],
    opendir(c"".as_ptr()) [.is_null()],
    read(-1, null_mut(), 0) [== -1],
    readlink(c"".as_ptr(), null_mut(), 0) [== -1],
    realpath(c"".as_ptr(), null_mut()) [.is_null()],
    renameat(-1, c"".as_ptr(), -1, c"".as_ptr()) [== -1],
    sendmsg(-1, null(), 0) [== -1],
    unlinkat(-1, c"".as_ptr(), 0) [== -1],
    write(-1, null(), 0) [== -1],
    writev(-1, null(), 0) [== -1],
}

/// Those of [`all`] that are not glibc's, as bits.
static STRANGERS: AtomicU32 = AtomicU32::new(0);

/// Runs when the library is loaded: looking a name up takes the loader's lock, which that thread
/// holds anyway.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = {
    extern "C" fn at_load() {
        let flags = libc::RTLD_LAZY | libc::RTLD_NOLOAD;
        // SAFETY: the name is NUL-terminated, and a library that is loaded already runs no code. The
        // handle is kept: we need it as long as we are loaded, which is for ever.
        let glibc = unsafe { libc::dlopen(c"libc.so.6".as_ptr(), flags) };
        if glibc.is_null() {
            return;
        }
        let mut strangers = 0;
        for (bit, named) in all().enumerate() {
            // SAFETY: the handle is open, and the name NUL-terminated.
            let own = unsafe { libc::dlsym(glibc, named.name.as_ptr()) };
            strangers |= u32::from(named.ours != own.cast_const()) << bit;
        }
        STRANGERS.store(strangers, Ordering::Relaxed);
    }
    at_load
};

/// The first function of another's that does not do what POSIX says, if there is one.
pub(crate) fn first_other() -> Option<&'static str> {
    let strangers = STRANGERS.load(Ordering::Relaxed);
    if strangers == 0 {
        return None;
    }
    let mut all = all().enumerate();
    let found = all.find(|(bit, named)| strangers >> bit & 1 == 1 && !(named.refuses)());
    found.and_then(|(_, named)| named.name.to_str().ok())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn glibcs_own_functions_refuse_what_posix_has_them_refuse() {
        for named in all() {
            assert!((named.refuses)(), "{:?}", named.name);
        }
    }

    #[test]
    fn this_process_has_no_others() {
        assert_eq!(first_other(), None);
    }
}
