//! A busy loop on a core, as of another program that has it, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use core_affinity::CoreId;

/// Keeps a core busy until it is dropped.
pub struct Busy {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Busy {
    pub fn on(core: usize) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let flag = ends.clone();
        let thread = thread::spawn(move || {
            // Not through `machine::pin`: what this thread waits for is in no judgement.
            core_affinity::set_for_current(CoreId { id: core });
            while !flag.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        Self {
            ends,
            thread: Some(thread),
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
