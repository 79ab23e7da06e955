//! The memory use of a test program: its allocator counts calls and bytes, and the kernel
//! counts page faults.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, with counters. Zeroed memory is requested as such, because the
/// system does not touch it: code that relies on that must be seen to cause page faults
/// later.
pub struct Counting;

thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
    // Below zero if the thread has freed what others allocated.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}
static PROCESS: AtomicU64 = AtomicU64::new(0);

fn count() {
    // This fails while a thread ends, which does not matter to the tests.
    let _ = THREAD.try_with(|count| count.set(count.get() + 1));
    PROCESS.fetch_add(1, Ordering::Relaxed);
}

fn taken(bytes: usize) {
    count();
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes as isize);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

fn given(bytes: usize) {
    count();
    let _ = HELD.try_with(|held| held.set(held.get() - bytes as isize));
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller upholds the contract, which is the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        taken(size);
        given(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        given(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// The number of allocator calls by this thread so far.
pub fn calls_of_thread() -> u64 {
    THREAD.get()
}

/// The number of allocator calls by the whole process so far.
pub fn calls_of_process() -> u64 {
    PROCESS.load(Ordering::Relaxed)
}

/// The most bytes that this thread held at once while `run` ran, beyond what it held
/// before. What other tests of the program hold meanwhile does not count, nor what a thread
/// holds that `run` starts.
pub fn peak<R>(run: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = run();
    (result, (PEAK.get() - before).max(0).unsigned_abs())
}

/// Whose page faults are counted.
#[derive(Clone, Copy)]
pub enum Of {
    /// Those of the calling thread.
    Thread,
    /// Those of all threads.
    Process,
}

/// The number of page faults so far.
pub fn page_faults(of: Of) -> i64 {
    let who = match of {
        Of::Thread => libc::RUSAGE_THREAD,
        Of::Process => libc::RUSAGE_SELF,
    };
    // SAFETY: rusage is plain numbers, for which zero is valid, and getrusage fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage.ru_minflt + usage.ru_majflt
    }
}
