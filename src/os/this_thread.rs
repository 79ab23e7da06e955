//! The calling thread's ID, and a word for each thread, without thread-local storage of our own. In
//! a library loaded by `dlopen`, the first use of that storage on a thread allocates, or takes from
//! the static block that the host may have used up.

use std::ffi::c_void;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

/// A name that no other living thread has: even, above 2 and below 2^58.
#[inline(always)]
pub(crate) fn name() -> u64 {
    #[cfg(target_arch = "x86_64")]
    {
        let name: u64;
        // SAFETY: on x86-64 Linux the word at fs:0 is the thread control block's
        // own address (System V ABI, TLS variant II); reading it changes nothing.
        unsafe {
            std::arch::asm!("mov {}, fs:[0]", out(reg) name,
                options(pure, readonly, nostack, preserves_flags));
        }
        name
    }
    #[cfg(not(target_arch = "x86_64"))]
    // SAFETY: the call has no preconditions. The thread's handle is the address of its control
    // block.
    unsafe {
        libc::pthread_self() as u64
    }
}

/// The kernel's ID of this thread.
pub(crate) fn id() -> u32 {
    // SAFETY: the call has no preconditions and touches no memory of ours.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    id as u32
}

/// Whether this process has a thread with this ID. `errno` stays as it is.
pub(crate) fn is_alive(id: u32) -> bool {
    keep_errno(|| {
        // SAFETY: signal 0 is never delivered.
        let found = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, 0) } == 0;
        found || io::Error::last_os_error().raw_os_error() != Some(libc::ESRCH)
    })
}

/// Runs `body`, and leaves `errno` as it was: a signal handler may call this.
pub(crate) fn keep_errno<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the place of this thread's `errno` is valid as long as the thread.
    let errno = unsafe { *libc::__errno_location() };
    let done = body();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
    done
}

/// A word for each thread: null in a new one.
pub(crate) struct Key {
    /// One more than the pthread key; 0 while there is none.
    key: AtomicU32,
    end: Option<End>,
}

/// Runs when a thread ends that has a word set, and gets that word.
pub(crate) type End = unsafe extern "C" fn(*mut c_void);

/// Keys below this one are stored in the thread's control block, so setting them never allocates.
/// glibc has always had this number.
const IN_PLACE: libc::pthread_key_t = 32;

impl Key {
    pub(crate) const fn new(end: Option<End>) -> Self {
        Self {
            key: AtomicU32::new(0),
            end,
        }
    }

    /// The pthread key, created by the first call. `None` if no keys are left; a later call may
    /// succeed.
    fn key(&self) -> Option<libc::pthread_key_t> {
        let known = self.key.load(Ordering::Acquire);
        if known != 0 {
            return Some(known - 1);
        }
        let mut made: libc::pthread_key_t = 0;
        // SAFETY: `made` is a valid place for the key, and this library is never
        // unloaded (`build.rs`), so `end` stays callable.
        if unsafe { libc::pthread_key_create(&mut made, self.end) } != 0 {
            return None;
        }
        let set = self
            .key
            .compare_exchange(0, made + 1, Ordering::AcqRel, Ordering::Acquire);
        match set {
            Ok(_) => Some(made),
            Err(first) => {
                // SAFETY: no other thread has seen this key.
                unsafe { libc::pthread_key_delete(made) };
                Some(first - 1)
            }
        }
    }

    /// This key, if its words can be set without allocating, even in a signal handler.
    pub(crate) fn in_place(&self) -> Option<&Self> {
        self.key().is_some_and(|key| key < IN_PLACE).then_some(self)
    }

    /// This thread's word.
    pub(crate) fn get(&self) -> *mut c_void {
        match self.key() {
            // SAFETY: the key was created and is never deleted.
            Some(key) => unsafe { libc::pthread_getspecific(key) },
            None => std::ptr::null_mut(),
        }
    }

    /// Sets this thread's word; false if there is no room for it.
    pub(crate) fn set(&self, word: *const c_void) -> bool {
        // SAFETY: the key was created and is never deleted.
        self.key()
            .is_some_and(|key| unsafe { libc::pthread_setspecific(key, word) } == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_names_and_numbers_of_their_own() {
        let mine = (name(), id());
        assert_eq!(mine, (name(), id()));
        assert!(mine.0 > 2 && mine.0 < 1 << 58 && mine.0.is_multiple_of(2));
        let other = std::thread::spawn(move || {
            assert!(is_alive(mine.1));
            (name(), id())
        });
        let other = other.join().unwrap();
        assert!(mine.0 != other.0 && mine.1 != other.1);
        // A thread is joined slightly before the kernel removes it.
        while is_alive(other.1) {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_new_thread_has_no_word_and_one_that_ends_tells() {
        static ENDED: AtomicU32 = AtomicU32::new(0);
        unsafe extern "C" fn end(word: *mut c_void) {
            ENDED.fetch_add(word.addr() as u32, Ordering::SeqCst);
        }
        static KEY: Key = Key::new(Some(end));
        for turn in 1..=3 {
            std::thread::spawn(|| {
                assert!(KEY.get().is_null());
                assert!(KEY.set(std::ptr::without_provenance(7)));
                assert_eq!(KEY.get().addr(), 7);
            })
            .join()
            .unwrap();
            assert_eq!(ENDED.load(Ordering::SeqCst), 7 * turn);
        }
    }
}
