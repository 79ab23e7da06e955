//! What an engine has beside the way of its events, and may lose without a word of its own: the
//! threads that write its files, its claims on cores, and the cores themselves.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::away::Waits;
use crate::os::claims::{Known, Standing, Watch};
use crate::os::clock::Clock;
use crate::os::threads::{CUT_SHORT, Life};

/// Empty until each has been started.
#[derive(Default)]
pub(crate) struct Watched {
    report: OnceLock<Arc<Life>>,
    capture: OnceLock<Arc<Life>>,
    claims: OnceLock<(Watch, Clock)>,
    waits: OnceLock<Waits>,
}

/// What is lost.
#[derive(Clone, Copy, Default)]
pub(super) struct Lost {
    report: bool,
    capture: bool,
    claims: Standing,
}

impl Watched {
    pub(crate) fn report(&self, thread: Arc<Life>) {
        let _ = self.report.set(thread);
    }

    pub(crate) fn capture(&self, thread: Arc<Life>) {
        let _ = self.capture.set(thread);
    }

    pub(crate) fn claims(&self, claims: Watch, clock: Clock) {
        let _ = self.claims.set((claims, clock));
    }

    pub(crate) fn lanes(&self, waits: Waits) {
        let _ = self.waits.set(waits);
    }

    /// What the kernel counts of the lanes' waits for their cores; `None` before there are lanes.
    pub(super) fn waits(&self) -> Option<&Waits> {
        self.waits.get()
    }

    /// Looks at all of them, at the claims only once a second. Neither waits for a lock nor
    /// allocates.
    pub(super) fn look(&self, known: &mut Known) -> Lost {
        let claims = self.claims.get();
        self.lost(|| claims.map(|(claims, clock)| claims.look_seldom(clock, known)))
    }

    /// As [`look`](Self::look), at the claims as well. Those that were lost are made again.
    pub(super) fn look_now(&self) -> Lost {
        self.lost(|| self.look_at_claims())
    }

    fn lost(&self, claims: impl FnOnce() -> Option<Standing>) -> Lost {
        Lost {
            report: self.has_lost_report(),
            capture: was_cut_short(&self.capture),
            claims: claims().unwrap_or_default(),
        }
    }

    pub(super) fn has_lost_report(&self) -> bool {
        was_cut_short(&self.report)
    }

    /// What has become of the claims, which are made again where they were lost. `None` without
    /// claims, or while another thread chooses its cores.
    pub(super) fn look_at_claims(&self) -> Option<Standing> {
        self.claims.get().and_then(|(claims, _)| claims.look())
    }
}

fn was_cut_short(thread: &OnceLock<Arc<Life>>) -> bool {
    thread.get().is_some_and(|life| life.was_cut_short())
}

impl Lost {
    /// Whether the thread of the latency report is.
    pub(super) fn has_report(&self) -> bool {
        self.report
    }

    pub(super) fn is_any(&self) -> bool {
        self.report || self.capture || self.claims != Standing::Held
    }

    /// Calls `each` with each thing that is lost.
    pub(super) fn each(&self, each: &mut dyn FnMut(fmt::Arguments<'_>)) {
        for (is_lost, file) in [(self.report, "latency report"), (self.capture, "capture")] {
            if is_lost {
                each(format_args!("the thread of the {file} {CUT_SHORT}"));
            }
        }
        if self.claims != Standing::Held {
            each(format_args!("{}", self.claims));
        }
    }
}
