//! Ctrl-C and SIGTERM: they end the run, and its output files are complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Result};
use crate::plugin;

/// Tells whether the run should end.
pub struct Interrupt {
    came: Arc<AtomicUsize>,
    flag: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts to watch for the signals. The first signal is reported; a second one, of either kind,
    /// ends the process at once. Signals that the process was started to ignore stay ignored, as in
    /// a shell's background.
    ///
    /// # Errors
    ///
    /// The system's error.
    pub fn watch() -> Result<Self> {
        let came = Arc::new(AtomicUsize::new(0));
        let again = Arc::new(AtomicBool::new(false));
        let shown = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            if plugin::is_ignored(signal) {
                continue;
            }
            // In this order, so that the first signal does not find the mark that it sets itself.
            flag::register_conditional_shutdown(signal, 128 + signal, again.clone())
                .and_then(|_| flag::register(signal, again.clone()))
                .and_then(|_| flag::register_usize(signal, came.clone(), signal as usize))
                .and_then(|_| flag::register(signal, shown.clone()))
                .map_err(|error| Failure::said(format!("cannot watch signal {signal}: {error}")))?;
        }
        Ok(Self { came, flag: shown })
    }

    /// The flag that is set when a signal arrives.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.flag
    }

    /// The signal that arrived, as the reason to end the run.
    pub fn told(&self) -> Option<Failure> {
        match self.came.load(Ordering::Relaxed) {
            0 => None,
            signal => Some(Failure::Interrupted(signal as u8)),
        }
    }
}
