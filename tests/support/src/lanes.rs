//! The threads of lanes in this process, as the kernel sees them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use core_affinity::CoreId;

/// Whether this process may have the kernel run threads less and then as before: the second
/// needs `CAP_SYS_NICE` or `RLIMIT_NICE`.
pub fn may_be_scheduled() -> bool {
    let tries = || [false, true].map(|as_usual| set_policy(0, as_usual));
    // A thread of its own: it may be left behind with the lower policy.
    let thread = std::thread::spawn(move || tries() == [true, true]);
    thread.join().unwrap()
}

/// Has the kernel run this process's lanes as usual, or only while nothing else wants their
/// cores.
///
/// # Panics
///
/// If that is not allowed: see [`may_be_scheduled`].
pub fn let_lanes_run(as_usual: bool) {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap();
        let name = fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.starts_with("signal-lane") {
            let id = task.file_name().to_str().unwrap().parse().unwrap();
            assert!(set_policy(id, as_usual));
        }
    }
}

/// Keeps a core busy until it is dropped.
pub struct Busy {
    has_ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    /// Begins.
    pub fn on(core: CoreId) -> Self {
        let has_ended = Arc::new(AtomicBool::new(false));
        let told = has_ended.clone();
        let thread = std::thread::spawn(move || {
            core_affinity::set_for_current(core);
            while !told.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Self {
            has_ended,
            thread: Some(thread),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.has_ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Of a thread of this process, 0 for the calling one.
fn set_policy(id: i32, as_usual: bool) -> bool {
    let policy = match as_usual {
        true => libc::SCHED_OTHER,
        false => libc::SCHED_IDLE,
    };
    // SAFETY: a plain struct, of which all zeros is a valid value.
    let param: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: `param` is valid for the call, which changes nothing but the schedule.
    unsafe { libc::sched_setscheduler(id, policy, &param) == 0 }
}
