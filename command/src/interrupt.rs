//! Ctrl-C and SIGTERM: the run ends, and what it wrote is whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Result};
use crate::plugin;

/// Tells whether the run shall end.
pub struct Interrupt {
    came: Arc<AtomicUsize>,
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Watches for the signals from now on. The first is told; a second one, of
    /// whichever kind, ends the process at once. What the process was started to ignore
    /// stays ignored, as in a shell's background.
    ///
    /// # Errors
    ///
    /// What the system says against it.
    pub fn watch() -> Result<Self> {
        let came = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        let shown = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            if plugin::is_ignored(signal) {
                continue;
            }
            // In this order: the first must not find its own mark.
            flag::register_conditional_shutdown(signal, 128 + signal, again.clone())
                .and_then(|_| flag::register(signal, again.clone()))
                .and_then(|_| flag::register_usize(signal, came.clone(), signal as usize))
                .and_then(|_| flag::register(signal, shown.clone()))
                .map_err(|error| Failure::said(format!("cannot watch signal {signal}: {error}")))?;
        }
        Ok(Self { came, flag: shown })
    }

    /// What is set once a signal is told.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    /// The signal that came, as why the run ends.
    pub fn told(&self) -> Option<Failure> {
        match self.came.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(Failure::Interrupted(signal as u8)),
        }
    }
}
