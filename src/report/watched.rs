//! What an engine has beside the way of its events, and may lose without a word of its own: the
//! threads that write its files, and its claims on cores.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::os::claims::{Standing, Watch};
use crate::os::threads::{CUT_SHORT, Life};

/// Empty until each has been started.
#[derive(Default)]
pub(crate) struct Watched {
    report: OnceLock<Arc<Life>>,
    capture: OnceLock<Arc<Life>>,
    claims: OnceLock<Watch>,
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

    pub(crate) fn claims(&self, claims: Watch) {
        let _ = self.claims.set(claims);
    }

    /// Looks at all of them. Neither waits nor allocates.
    pub(super) fn look(&self) -> Lost {
        Lost {
            report: self.has_lost_report(),
            capture: was_cut_short(&self.capture),
            claims: self.look_at_own_claims(),
        }
    }

    pub(super) fn has_lost_report(&self) -> bool {
        was_cut_short(&self.report)
    }

    /// A handle without claims asks the system nothing: a host may call health all the time.
    fn look_at_own_claims(&self) -> Standing {
        let claims = self.claims.get().filter(|claims| !claims.is_empty());
        claims.map(Watch::look).unwrap_or_default()
    }

    /// What has become of the claims, which are made again where they were lost.
    pub(super) fn look_at_claims(&self) -> Standing {
        self.claims.get().map(Watch::look).unwrap_or_default()
    }
}

fn was_cut_short(thread: &OnceLock<Arc<Life>>) -> bool {
    thread.get().is_some_and(|life| life.was_cut_short())
}

impl Lost {
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
