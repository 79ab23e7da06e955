//! What a look at the engine found, reported without allocating: the caller may be a signal
//! handler, or have no memory left.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};

use super::away::SharedCore;
use super::health::{Health, HealthState};
use super::late::Late;
use super::monitor::Monitor;
use super::stalls::Stall;
use super::watched::Lost;
use crate::os::fixed_text::beginning;
use crate::stages::Rules;
use crate::telemetry::counters::{Counter, Snapshot};

/// Refused calls that are not events.
const NO_EVENTS: [Counter; 2] = [Counter::RefusedNullData, Counter::RefusedUnknownType];

/// Refusals that do not indicate a broken feed: they are configured, or have a state of their
/// own.
const EXPECTED: [Counter; 3] = [
    Counter::RefusedNotAnAsset,
    Counter::RefusedQuarantined,
    Counter::RefusedFailed,
];

/// What a look found. Its `Display` gives the reason for the state.
pub(crate) struct Findings<'a> {
    pub(super) monitor: &'a Monitor,
    pub(super) state: HealthState,
    pub(super) cause: Cause,
    pub(super) beside: Beside,
    /// No reason for a state of its own: what it does to events has one.
    pub(super) shared: Option<SharedCore>,
    pub(super) counters: Snapshot,
}

/// The reason for a state.
pub(super) enum Cause {
    Nothing,
    /// Another look is in progress.
    AnotherLook,
    Failure,
    Stall(Stall),
    Load {
        lost: u64,
        waited_us: u64,
        held: u64,
    },
    Silence {
        events: u64,
    },
    Incident,
}

/// What is wrong outside the path from events to signals.
#[derive(Default)]
pub(super) struct Beside {
    refused: Option<RefusedEvents>,
    report_ended: bool,
    capture_failed: u64,
    capture_missed: u64,
    /// Events whose signals missed their own `signal_on_data`, if they were many.
    late: u64,
    /// Those of them whose lane was in the middle of its work.
    late_begun: u64,
    /// All events that were answered.
    answered: u64,
    /// Messages that the host's thread handled for a lane, if they were many.
    stood_in: u64,
    lost: Lost,
    /// Whether someone has deleted or cut a file that is written.
    is_harmed: bool,
}

/// How many late events make one check of health unhappy, if they are also at least this part of
/// all answered ones.
const MOST_LATE: u64 = 10;
const LATE_PART: u64 = 10;

/// Refused events since the last check, if there are enough of them to be reported.
struct RefusedEvents {
    refused: u64,
    all: u64,
    reason: Counter,
    most: u64,
}

impl<'a> Findings<'a> {
    pub(super) fn of_another_look(monitor: &'a Monitor, state: HealthState) -> Self {
        let cause = match state {
            HealthState::Ok => Cause::Nothing,
            HealthState::Failed => Cause::Failure,
            _ => Cause::AnotherLook,
        };
        Self {
            monitor,
            state,
            cause,
            beside: Beside::default(),
            shared: None,
            counters: Snapshot::of(&[]),
        }
    }

    pub(crate) fn state(&self) -> HealthState {
        self.state
    }

    /// Whether there is anything to report.
    pub(crate) fn has_words(&self) -> bool {
        let mut any = false;
        self.each(&mut |_| any = true);
        any
    }

    pub(super) fn health(&self) -> Health {
        Health {
            state: self.state,
            why: self.to_string(),
        }
    }

    /// Calls `each` with each thing to report.
    fn each(&self, each: &mut dyn FnMut(fmt::Arguments<'_>)) {
        if !matches!(self.cause, Cause::Nothing) {
            each(format_args!("{}", Why(self)));
        }
        if self.beside.is_wrong() {
            let besides = match self.cause {
                Cause::Nothing => "",
                _ => "besides, ",
            };
            each(format_args!("{besides}{}", BesideIn(self)));
        }
        if let Some(shared) = self.shared {
            each(format_args!("{}", self.monitor.told(shared, None)));
        }
        let few = Late::worth_telling(&self.counters).filter(|_| self.beside.late == 0);
        if let Some(few) = few {
            each(format_args!("so far the {few}"));
        }
        self.monitor.each_note(each);
    }
}

impl fmt::Display for Findings<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        join(f, |each| self.each(each))
    }
}

/// Writes everything that `parts` passes in, one after the other.
fn join(
    f: &mut fmt::Formatter<'_>,
    parts: impl FnOnce(&mut dyn FnMut(fmt::Arguments<'_>)),
) -> fmt::Result {
    let (mut written, mut is_first) = (Ok(()), true);
    parts(&mut |part| {
        let between = if is_first { "" } else { "; " };
        is_first = false;
        if written.is_ok() {
            written = f.write_str(between).and_then(|()| f.write_fmt(part));
        }
    });
    written
}

/// The reason in words.
struct Why<'a>(&'a Findings<'a>);

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings {
            monitor, counters, ..
        } = self.0;
        match self.0.cause {
            Cause::Nothing => Ok(()),
            Cause::AnotherLook => {
                f.write_str("as the last check found; another check is in progress")
            }
            Cause::Failure => {
                f.write_str(monitor.control.failure().unwrap_or("no reason is known"))
            }
            Cause::Stall(Stall { lane, us }) => {
                let (plan, _) = &monitor.lanes[lane];
                write!(f, "lane {plan} has made no progress for {us} us")
            }
            Cause::Load {
                lost,
                waited_us,
                held,
            } => write!(
                f,
                "since the last check {lost} messages were dropped, or replaced by newer signals, and lanes waited \
                 {waited_us} us because a ring was full; {held} signals wait for room in the ring to the host"
            ),
            Cause::Silence { events } => {
                write!(f, "{events} events in, nothing out: ")?;
                whereabouts(counters, f)
            }
            Cause::Incident => {
                let incident = monitor.control.incident(0);
                f.write_str(
                    incident
                        .and_then(|text| text.to_str().ok())
                        .unwrap_or_default(),
                )
            }
        }
    }
}

/// Where most events or their signals have ended.
fn whereabouts(counters: &Snapshot, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let queued = counters.queued();
    if queued > 0 {
        return write!(f, "{queued} signals wait to be polled");
    }
    let ends = counters
        .iter()
        .filter(|(name, _)| name.starts_with("refused") || *name == "updates");
    match ends.max_by_key(|(_, count)| *count) {
        Some((name, count)) if count > 0 => write!(f, "most ended as {name} ({count})"),
        _ => f.write_str("they are on their way"),
    }
}

impl Beside {
    pub(super) fn new(monitor: &Monitor, last: &Snapshot, counters: &Snapshot, lost: Lost) -> Self {
        let since = |counter| counters.get(counter) - last.get(counter);
        let many = |counter, all: u64| match since(counter) {
            few if few < MOST_LATE => 0,
            few if few.saturating_mul(LATE_PART) < all => 0,
            many => many,
        };
        let answered = since(Counter::Answered);
        Self {
            refused: refused(since, monitor.config.refused_percent),
            report_ended: counters.get(Counter::ReportEnded) > 0
                && monitor.report_end.get().is_some(),
            capture_failed: counters.get(Counter::CaptureFailed),
            capture_missed: since(Counter::CaptureMissed),
            late: many(Counter::DeliverLate, answered),
            late_begun: since(Counter::DeliverLateBegun),
            answered,
            stood_in: many(Counter::StoodIn, answered + since(Counter::Updates)),
            lost,
            is_harmed: monitor.each_harm().next().is_some(),
        }
    }

    pub(super) fn is_wrong(&self) -> bool {
        self.refused.is_some()
            || self.report_ended
            || self.capture_failed > 0
            || self.capture_missed > 0
            || self.late > 0
            || self.stood_in > 0
            || self.lost.is_any()
            || self.is_harmed
    }
}

/// What else is wrong, in words.
struct BesideIn<'a>(&'a Findings<'a>);

impl fmt::Display for BesideIn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings {
            monitor, beside, ..
        } = self.0;
        join(f, |each| {
            if let Some(refused) = &beside.refused {
                each(format_args!("{refused}"));
            }
            if let Some(why) = monitor.report_end.get().filter(|_| beside.report_ended) {
                each(format_args!("{why}"));
            }
            for harm in monitor.each_harm().filter(|_| beside.is_harmed) {
                each(format_args!("{harm}"));
            }
            if beside.capture_failed > 0 {
                each(format_args!(
                    "the capture has ended: its file could not be written and lacks {} events",
                    beside.capture_failed
                ));
            }
            if beside.capture_missed > 0 {
                each(format_args!(
                    "since the last check the capture has missed {} events: its disk is slower than they came, \
                     or capture.buffer too small",
                    beside.capture_missed
                ));
            }
            if beside.late > 0 {
                let late = Late {
                    late: beside.late,
                    answered: beside.answered,
                    begun: beside.late_begun,
                };
                each(format_args!("since the last check the {late}"));
            }
            if beside.stood_in > 0 {
                each(format_args!(
                    "since the last check signal_on_data handled {} messages itself, because the lane had not begun them \
                     within stand_in_us, as if something else ran on the lane's core",
                    beside.stood_in
                ));
            }
            beside.lost.each(each);
        })
    }
}

/// What was refused, if it is at least `percent` of the events since the last check.
fn refused(since: impl Fn(Counter) -> u64, percent: u64) -> Option<RefusedEvents> {
    let is_refused = |counter: &Counter| counter.name().starts_with("refused_");
    let reasons = Counter::ALL.iter().copied().filter(is_refused);
    let reasons = reasons.filter(|counter| !NO_EVENTS.contains(counter));
    let reasons = reasons.filter(|counter| !EXPECTED.contains(counter));
    let refused: u64 = reasons.clone().map(&since).sum();
    let taken = since(Counter::Updates) + since(Counter::Answered);
    let all = refused + taken + EXPECTED.map(&since).iter().sum::<u64>();
    if refused == 0 || u128::from(refused) * 100 < u128::from(all) * u128::from(percent) {
        return None;
    }
    let reason = reasons.max_by_key(|&counter| since(counter))?;
    Some(RefusedEvents {
        refused,
        all,
        reason,
        most: since(reason),
    })
}

impl fmt::Display for RefusedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cure = match self.reason {
            Counter::RefusedTooManyInstruments => ": instruments.max is too small for this feed",
            _ => "",
        };
        write!(
            f,
            "since the last check {} of {} events were refused, most as {} ({}){cure}",
            self.refused,
            self.all,
            self.reason.name(),
            self.most
        )
    }
}

/// A key that names symbols or instruments.
#[derive(Clone, Copy)]
pub(super) enum NamedBy {
    Assets,
    Map,
}

impl NamedBy {
    /// Those of which no event has arrived.
    pub(super) fn missing(self, rules: &Rules) -> impl Iterator<Item = &str> {
        let assets = matches!(self, Self::Assets).then(|| rules.assets.missing());
        let mapped = matches!(self, Self::Map).then(|| rules.naming.missing());
        assets
            .into_iter()
            .flatten()
            .chain(mapped.into_iter().flatten())
    }
}

/// What a key names but no event contained.
pub(super) struct Missing<'a> {
    pub(super) key: NamedBy,
    pub(super) rules: &'a Rules,
    pub(super) events: u64,
}

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMED: usize = 16;
        let (key, expected) = match self.key {
            NamedBy::Assets => (
                "assets",
                "symbols of the host, in either spelling (btc_usdt or BTCUSDT), or names of \
                 symbols.map",
            ),
            NamedBy::Map => (
                "symbols.map",
                "exchange, type and symbol as the host gives them",
            ),
        };
        write!(f, "{key}: no event came for ")?;
        let mut missing = self.key.missing(self.rules);
        for (place, name) in missing.by_ref().take(NAMED).enumerate() {
            f.write_str(if place > 0 { ", " } else { "" })?;
            f.write_str(name)?;
        }
        match missing.count() {
            0 => {}
            more => write!(f, " and {more} more")?,
        }
        write!(f, ", in {} events; expected {expected}", self.events)
    }
}

/// A text of limited length, for callers that must not allocate. What does not fit is cut
/// off and replaced by dots.
pub(crate) struct Text<'a> {
    bytes: &'a [AtomicU8],
    len: usize,
    is_full: bool,
}

impl<'a> Text<'a> {
    /// An empty text in these bytes, the last of which is reserved for a NUL.
    pub(crate) fn new(bytes: &'a [AtomicU8]) -> Self {
        Self {
            bytes,
            len: 0,
            is_full: false,
        }
    }

    /// Ends it with a NUL.
    pub(crate) fn end(self) {
        if let Some(last) = self.bytes.get(self.len) {
            last.store(0, Ordering::Relaxed);
        }
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        const DOTS: &str = "...";
        if self.is_full {
            return Ok(());
        }
        let room = self.bytes.len().saturating_sub(self.len + 1 + DOTS.len());
        let kept = beginning(more, room);
        self.is_full = kept.len() < more.len();
        let dots = if self.is_full { DOTS } else { "" };
        let bytes = kept.bytes().chain(dots.bytes());
        for (to, from) in self.bytes[self.len..].iter().zip(bytes) {
            // In C a NUL would end the text.
            to.store(if from == 0 { b' ' } else { from }, Ordering::Relaxed);
            self.len += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(room: usize, parts: &[&str]) -> String {
        let bytes: Vec<_> = (0..room).map(|_| AtomicU8::new(b'x')).collect();
        let mut text = Text::new(&bytes);
        for part in parts {
            text.write_str(part).unwrap();
        }
        text.end();
        let bytes: Vec<u8> = bytes.into_iter().map(AtomicU8::into_inner).collect();
        let text = std::ffi::CStr::from_bytes_until_nul(&bytes).unwrap();
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn what_does_not_fit_is_cut_off_between_two_characters() {
        assert_eq!(written(32, &["one", ", two"]), "one, two");
        assert_eq!(written(12, &["one", ", two"]), "one, two");
        assert_eq!(written(11, &["one", ", two", "three"]), "one, tw...");
        assert_eq!(
            written(10, &["ab", "\u{e9}\u{e9}\u{e9}"]),
            "ab\u{e9}\u{e9}..."
        );
        assert_eq!(written(9, &["ab", "\u{e9}\u{e9}\u{e9}"]), "ab\u{e9}...");
        assert_eq!(written(16, &["a\0b"]), "a b");
    }
}
