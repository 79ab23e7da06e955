//! Destroys a thread's `thread_local!` values without the loader's lock.
//!
//! The standard library has glibc destroy them, through `__cxa_thread_atexit_impl`. That takes the
//! lock that a `dlopen` holds while constructors run: a thread that `signal_create` waits for would
//! wait for the constructor that called it. So the linker is told (in `build.rs`) to send those
//! calls here, to a list for each thread, which the destructor of a pthread key of ours runs.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicU64, Ordering};

type Destructor = unsafe extern "C" fn(*mut c_void);

/// One value to destroy, and the one that was registered before it.
struct Node {
    destructor: Destructor,
    value: *mut c_void,
    before: *mut Node,
}

unsafe extern "C" {
    /// glibc's own function, named with its version: the linker redirects only calls without one.
    fn __signal_glibc_thread_atexit(
        destructor: Destructor,
        value: *mut c_void,
        library: *mut c_void,
    ) -> c_int;
}

std::arch::global_asm!(
    ".symver __signal_old_thread_atexit, __cxa_thread_atexit_impl@GLIBC_2.18",
    ".globl __signal_glibc_thread_atexit",
    ".hidden __signal_glibc_thread_atexit",
    ".type __signal_glibc_thread_atexit, @function",
    "__signal_glibc_thread_atexit:",
    "jmp *__signal_old_thread_atexit@GOTPCREL(%rip)",
    ".size __signal_glibc_thread_atexit, . - __signal_glibc_thread_atexit",
    ".globl __wrap___cxa_thread_atexit_impl",
    ".hidden __wrap___cxa_thread_atexit_impl",
    ".type __wrap___cxa_thread_atexit_impl, @function",
    "__wrap___cxa_thread_atexit_impl:",
    "jmp {register}",
    ".size __wrap___cxa_thread_atexit_impl, . - __wrap___cxa_thread_atexit_impl",
    register = sym register,
    options(att_syntax),
);

/// One more than the key, 0 before there is one.
static KEY: AtomicU64 = AtomicU64::new(0);

fn key() -> Option<libc::pthread_key_t> {
    let known = KEY.load(Ordering::Acquire);
    if known > 0 {
        return Some((known - 1) as libc::pthread_key_t);
    }
    let mut key = 0;
    // SAFETY: the place is valid, and the destructor takes what `register` stores.
    if unsafe { libc::pthread_key_create(&mut key, Some(run)) } != 0 {
        return None;
    }
    let ours = u64::from(key) + 1;
    match KEY.compare_exchange(0, ours, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => Some(key),
        Err(others) => {
            // SAFETY: no other thread has seen this key.
            unsafe { libc::pthread_key_delete(key) };
            Some((others - 1) as libc::pthread_key_t)
        }
    }
}

/// Like glibc's: `destructor(value)` runs when the calling thread ends.
///
/// # Safety
///
/// `destructor` may be called with `value` then. The library is never unloaded.
unsafe extern "C" fn register(
    destructor: Destructor,
    value: *mut c_void,
    library: *mut c_void,
) -> c_int {
    // For when the host has used up all keys, or the memory.
    let real = || {
        // SAFETY: the caller's contract is the same.
        unsafe { __signal_glibc_thread_atexit(destructor, value, library) }
    };
    let Some(key) = key() else {
        return real();
    };
    // SAFETY: the memory is checked, then filled before it is read. What the key holds on this
    // thread is null or a node that this function made.
    unsafe {
        let node: *mut Node = libc::malloc(size_of::<Node>()).cast();
        if node.is_null() {
            return real();
        }
        node.write(Node {
            destructor,
            value,
            before: libc::pthread_getspecific(key).cast(),
        });
        if libc::pthread_setspecific(key, node.cast()) != 0 {
            libc::free(node.cast());
            return real();
        }
    }
    0
}

/// Destroys the thread's values, newest first, including those that destructors register.
unsafe extern "C" fn run(newest: *mut c_void) {
    let Some(key) = key() else {
        return;
    };
    // SAFETY: `newest` and all nodes after it were made by `register` on this thread; each is taken
    // off the list before it is freed, once. The destructor runs at the thread's end, as
    // `register`'s caller wants.
    unsafe {
        libc::pthread_setspecific(key, newest);
        loop {
            let node: *mut Node = libc::pthread_getspecific(key).cast();
            if node.is_null() {
                return;
            }
            let Node {
                destructor,
                value,
                before,
            } = node.read();
            libc::pthread_setspecific(key, before.cast());
            libc::free(node.cast());
            destructor(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    static ENDED: Mutex<Vec<usize>> = Mutex::new(Vec::new());

    unsafe extern "C" fn end(value: *mut c_void) {
        let value = value.addr();
        ENDED.lock().unwrap().push(value);
        if value == 2 {
            // SAFETY: `end` takes any value.
            unsafe {
                register(
                    end,
                    std::ptr::without_provenance_mut(7),
                    std::ptr::null_mut(),
                )
            };
        }
    }

    #[test]
    fn values_end_with_their_thread_the_youngest_first() {
        std::thread::spawn(|| {
            for value in 1..=3 {
                let value = std::ptr::without_provenance_mut(value);
                // SAFETY: `end` takes any value.
                assert_eq!(unsafe { register(end, value, std::ptr::null_mut()) }, 0);
            }
            assert!(ENDED.lock().unwrap().is_empty());
        })
        .join()
        .unwrap();
        assert_eq!(*ENDED.lock().unwrap(), [3, 2, 7, 1]);
    }
}
