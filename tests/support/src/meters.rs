//! What a test program takes of memory: its allocator counts, page faults are the
//! kernel's count.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator, counting. Zeroed memory is passed on as such: the
/// system's comes untouched, and who relies on that must be seen to fault later.
pub struct Counting;

thread_local! {
    static THREAD: Cell<u64> = const { Cell::new(0) };
    // Below zero where the thread frees what others took.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}
static PROCESS: AtomicU64 = AtomicU64::new(0);

fn count() {
    // Fails while a thread ends, which is no concern of the tests.
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

// SAFETY: every call is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        taken(layout.size());
        // SAFETY: the caller upholds the contract, which is the system's.
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

/// Calls of the allocator by this thread so far.
pub fn calls_of_thread() -> u64 {
    THREAD.get()
}

/// Calls of the allocator by the whole process so far.
pub fn calls_of_process() -> u64 {
    PROCESS.load(Ordering::Relaxed)
}

/// Most bytes of this thread that were held at once while `run` ran, beyond what was
/// held before: what other tests of the program hold meanwhile is not among
/// them, nor what a thread holds that `run` starts.
pub fn peak<R>(run: impl FnOnce() -> R) -> (R, usize) {
    let before = HELD.get();
    PEAK.set(before);
    let result = run();
    (result, (PEAK.get() - before).max(0).unsigned_abs())
}

/// Whose page faults.
#[derive(Clone, Copy)]
pub enum Of {
    /// The calling thread's.
    Thread,
    /// Those of all threads.
    Process,
}

/// Page faults so far.
pub fn page_faults(of: Of) -> i64 {
    let who = match of {
        Of::Thread => libc::RUSAGE_THREAD,
        Of::Process => libc::RUSAGE_SELF,
    };
    // SAFETY: rusage is plain numbers, for which zero is valid, and getrusage
    // fills it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage.ru_minflt + usage.ru_majflt
    }
}
