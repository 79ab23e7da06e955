//! What an engine has beside the way of its events, and may lose without a word of its own: the
//! threads that write its files, its claims on cores, the cores themselves, and its CPU time.

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::away::Waits;
use super::held_up::{self, HeldUp};
use super::pins::{Moved, Pins};
use crate::os::claims::{Known, Standing, Watch};
use crate::os::clock::Clock;
use crate::os::seldom::Seldom;
use crate::os::threads::{CUT_SHORT, Life};

/// Empty until each has been started.
#[derive(Default)]
pub(crate) struct Watched {
    report: OnceLock<Arc<Life>>,
    capture: OnceLock<Arc<Life>>,
    claims: OnceLock<(Watch, Clock)>,
    waits: OnceLock<Waits>,
    held_up: OnceLock<Box<HeldUp>>,
    pins: OnceLock<Pins>,
}

/// What the last look of one that asks now and then has seen.
#[derive(Default)]
pub(super) struct Seen {
    claims: Known,
    throttled: u64,
    asked: Seldom,
}

/// What is lost.
#[derive(Clone, Copy, Default)]
pub(super) struct Lost {
    report: bool,
    capture: bool,
    claims: Standing,
    /// CPU time.
    held_up: Option<held_up::Told>,
    /// A lane's core.
    moved: Option<Moved>,
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

    pub(crate) fn lanes(&self, waits: Waits, pins: Pins) {
        let _ = (self.waits.set(waits), self.pins.set(pins));
    }

    /// Where lanes are pinned; `None` before there are lanes.
    pub(super) fn pins(&self) -> Option<&Pins> {
        self.pins.get()
    }

    /// Asks where lanes may run. Neither waits for a lock nor allocates.
    pub(super) fn look_at_pins(&self) {
        if let Some(pins) = self.pins() {
            pins.look(self.claims.get().map(|(claims, _)| claims));
        }
    }

    pub(crate) fn quota(&self, held_up: Box<HeldUp>) {
        let _ = self.held_up.set(held_up);
    }

    /// How CPU quotas hold the process up; `None` before that is watched.
    pub(super) fn held_up(&self) -> Option<&HeldUp> {
        self.held_up.get().map(Box::as_ref)
    }

    /// What the kernel counts of the lanes' waits for their cores; `None` before there are lanes.
    pub(super) fn waits(&self) -> Option<&Waits> {
        self.waits.get()
    }

    /// Looks at all of them, but for the threads only once a second. Neither waits for a lock, opens
    /// a file nor allocates. How quotas hold the process up is what the report's thread has found, if
    /// there is one.
    pub(super) fn look(&self, seen: &mut Seen) -> Lost {
        let held_up = self.held_up();
        let claims = self.claims.get();
        // First: claims follow lanes that were moved.
        if let Some((_, clock)) = claims
            && seen.asked.is_due(clock)
        {
            self.look_at_pins();
            if let Some(held_up) = held_up {
                held_up.look_as_host();
            }
            seen.asked.asked(clock);
        }
        Lost {
            held_up: held_up.and_then(|held_up| held_up.told_since(&mut seen.throttled)),
            ..self.lost(claims.map(|(claims, clock)| claims.look_seldom(clock, &mut seen.claims)))
        }
    }

    /// As [`look`](Self::look), at the claims as well, and of all the time so far. Claims that were
    /// lost are made again.
    pub(super) fn look_now(&self) -> Lost {
        Lost {
            held_up: self.held_up().and_then(HeldUp::told),
            ..self.lost(self.look_at_claims())
        }
    }

    fn lost(&self, claims: Option<Standing>) -> Lost {
        Lost {
            report: self.has_lost_report(),
            capture: was_cut_short(&self.capture),
            claims: claims.unwrap_or_default(),
            held_up: None,
            moved: self.pins().and_then(Pins::moved),
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
        self.report
            || self.capture
            || self.claims != Standing::Held
            || self.held_up.is_some()
            || self.moved.is_some()
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
        if let Some(moved) = self.moved {
            each(format_args!("{moved}"));
        }
        if let Some(told) = self.held_up {
            each(format_args!("{told}"));
        }
    }
}
