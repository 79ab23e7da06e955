//! What the lanes of one engine share with its owner: the order to stop, the
//! failure, and the incidents.

use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::os::fixed_text::FixedText;
use crate::os::stderr::say;
use crate::os::time::Instant;
use crate::sync::{AtomicBool, AtomicU64, OnceLock, Ordering};

/// Incidents whose text is stored and printed.
pub(crate) const MAX_INCIDENTS: usize = 64;

/// Notes whose text is stored and printed.
pub(crate) const MAX_NOTES: usize = 16;

/// The longest wait for a lane that was told to stop and is still processing a message, and
/// for a lane that has failed.
pub(crate) const LONGEST_FAREWELL: Duration = Duration::from_secs(5);

/// From the first check that finds that time over to the one that counts.
const SECOND_LOOK: Duration = Duration::from_millis(100);

/// What the host's thread and the lanes check, in one word: a failure, and the report's
/// request for the hops of the host's thread.
const FAILED: u64 = 1;
const ASKED: u64 = 2;

/// Written only at the end of an engine's life, when something goes wrong and once per
/// interval of the latency report. So its cache line stays with every reader.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Control {
    stop: AtomicBool,
    /// `FAILED`, `ASKED` or both.
    attention: AtomicU64,
    failure: OnceLock<String>,
    failed_at: std::sync::OnceLock<Instant>,
    /// When a check first found that the time since the failure was over.
    late_at: std::sync::OnceLock<Instant>,
    /// Which lanes have ended, in the order of the path.
    ended: Box<[AtomicBool]>,
    incidents: [std::sync::OnceLock<CString>; MAX_INCIDENTS],
    incident_count: AtomicUsize,
    notes: Box<[std::sync::OnceLock<FixedText>]>,
    note_count: AtomicUsize,
    /// How often a marker has arrived at egress: once for each way there. Not on the line that
    /// every lane reads in each turn.
    marker_arrivals: CachePadded<AtomicU64>,
}

impl Control {
    /// For `lanes` lanes.
    pub(crate) fn new(lanes: usize) -> Self {
        Self {
            stop: AtomicBool::new(false),
            attention: AtomicU64::new(0),
            failure: OnceLock::default(),
            failed_at: std::sync::OnceLock::new(),
            late_at: std::sync::OnceLock::new(),
            ended: (0..lanes).map(|_| AtomicBool::new(false)).collect(),
            incidents: [const { std::sync::OnceLock::new() }; MAX_INCIDENTS],
            incident_count: AtomicUsize::new(0),
            notes: (0..MAX_NOTES).map(|_| std::sync::OnceLock::new()).collect(),
            note_count: AtomicUsize::new(0),
            marker_arrivals: CachePadded::new(AtomicU64::new(0)),
        }
    }
}

impl Control {
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    #[inline]
    pub(crate) fn must_stop(&self) -> bool {
        self.is_stopped() || self.has_failed()
    }

    #[inline]
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Whether a lane must not wait for others any longer: it was told to stop, or has waited
    /// long enough since the failure.
    #[cold]
    pub(crate) fn must_give_up(&self) -> bool {
        self.is_stopped() || self.has_waited_enough()
    }

    /// In a process that was suspended, the failure may seem long ago. So the lanes that are
    /// waited for get a second check.
    fn has_waited_enough(&self) -> bool {
        let Some(at) = self.failed_at.get() else {
            return false;
        };
        if at.elapsed() <= LONGEST_FAREWELL {
            return false;
        }
        match self.late_at.get() {
            Some(late) => late.elapsed() > SECOND_LOOK,
            None => {
                let _ = self.late_at.set(Instant::now());
                false
            }
        }
    }

    /// Marks that a lane is completely done.
    pub(crate) fn lane_has_ended(&self, lane: usize) {
        self.ended[lane].store(true, Ordering::Release);
    }

    /// Whether all lanes before this one have ended, so that it receives no more messages.
    pub(crate) fn have_ended_before(&self, lane: usize) -> bool {
        let mut before = self.ended[..lane].iter();
        before.all(|ended| ended.load(Ordering::Acquire))
    }

    /// Whether the engine has failed and nothing more will be published.
    pub(crate) fn has_failed_for_good(&self) -> bool {
        self.has_failed() && (self.have_ended_before(self.ended.len()) || self.must_give_up())
    }

    #[inline]
    pub(crate) fn has_failed(&self) -> bool {
        self.attention.load(Ordering::Acquire) & FAILED != 0
    }

    /// Whether the host's thread must do more than poll for signals: the engine has failed,
    /// or [`Self::take_wish`] is due. As cheap as [`Self::has_failed`].
    #[inline]
    pub(crate) fn needs_attention(&self) -> bool {
        self.attention.load(Ordering::Acquire) != 0
    }

    /// Requests the hops of the host's thread for the latency report.
    pub(crate) fn ask_host(&self) {
        self.attention.fetch_or(ASKED, Ordering::Release);
    }

    /// Whether the report has requested them since the last call. Only the host's thread
    /// calls this.
    #[cold]
    pub(crate) fn take_wish(&self) -> bool {
        self.attention.fetch_and(!ASKED, Ordering::Acquire) & ASKED != 0
    }

    /// Why the engine failed.
    pub(crate) fn failure(&self) -> Option<&str> {
        // `fail` stores this last, so it is read first.
        self.has_failed()
            .then(|| self.failure.get().map(String::as_str))
            .flatten()
    }

    /// A marker has arrived at egress on one of the ways there. Everything that egress had
    /// received before it is numbered.
    #[cold]
    pub(crate) fn marker_arrived(&self) {
        self.marker_arrivals.fetch_add(1, Ordering::Release);
    }

    /// How often markers have arrived at egress.
    pub(crate) fn marker_arrivals(&self) -> u64 {
        self.marker_arrivals.load(Ordering::Acquire)
    }

    /// Marks the engine as failed. The first reason stays.
    pub(crate) fn fail(&self, why: String) {
        say(&format!("the engine has failed: {why}"));
        let _ = self.failed_at.set(Instant::now());
        let _ = self.failure.set(why);
        self.attention.fetch_or(FAILED, Ordering::Release);
    }

    /// Reports that something was put in quarantine. Each gets one line on stderr, up to
    /// [`MAX_INCIDENTS`]; the counter `panics` counts them all.
    #[cold]
    pub(crate) fn report(&self, incident: String) {
        let place = self.incident_count.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.incidents.get(place) else {
            return;
        };
        say(&incident);
        let _ = slot.set(CString::new(incident.replace('\0', " ")).unwrap_or_default());
    }

    /// Notes something that a person should know although everything continues. Each gets one
    /// line on stderr, up to [`MAX_NOTES`].
    #[cold]
    pub(crate) fn note(&self, note: fmt::Arguments<'_>) {
        let place = self.note_count.fetch_add(1, Ordering::Relaxed);
        let Some(slot) = self.notes.get(place) else {
            return;
        };
        let text = FixedText::new(note);
        say(text.as_str());
        let _ = slot.set(text);
    }

    /// The notes, in their order, and the number of further notes that were not kept.
    pub(crate) fn notes(&self) -> (impl Iterator<Item = &str>, usize) {
        let notes = self.notes.iter().map_while(|slot| slot.get());
        let count = self.note_count.load(Ordering::Relaxed);
        (
            notes.map(FixedText::as_str),
            count.saturating_sub(MAX_NOTES),
        )
    }

    /// One of the quarantine incidents, in the order in which they happened.
    pub(crate) fn incident(&self, place: usize) -> Option<&CStr> {
        self.incidents.get(place)?.get().map(CString::as_c_str)
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn loom_who_sees_a_failure_sees_why() {
        loom::model(|| {
            let control = Arc::new(Control::new(0));
            let lanes = ["one", "two"].map(|why| {
                let control = control.clone();
                loom::thread::spawn(move || control.fail(why.to_owned()))
            });
            if control.has_failed() {
                assert!(control.failure().is_some());
                assert!(control.must_stop());
            }
            for lane in lanes {
                lane.join().unwrap();
            }
            assert!(control.has_failed() && control.failure().is_some());
        });
    }

    /// The report requests the hops, then the host's attention. A thread that takes the wish
    /// finds the request; otherwise it would stay open until the next interval.
    #[test]
    fn loom_who_takes_a_wish_finds_the_request() {
        loom::model(|| {
            let control = Arc::new(Control::new(0));
            let request = Arc::new(AtomicBool::new(false));
            let (asking, asked) = (control.clone(), request.clone());
            let report = loom::thread::spawn(move || {
                asked.store(true, Ordering::Relaxed);
                asking.ask_host();
            });
            if control.take_wish() {
                assert!(request.load(Ordering::Relaxed));
                assert!(!control.take_wish());
            }
            report.join().unwrap();
        });
    }

    /// Egress publishes, then counts a marker on each of two ways. Who sees both sees what was
    /// published.
    #[test]
    fn loom_a_marker_passes_behind_what_was_published() {
        loom::model(|| {
            let control = Arc::new(Control::new(1));
            let ring = Arc::new(AtomicU64::new(0));
            let (passing, published) = (control.clone(), ring.clone());
            let egress = loom::thread::spawn(move || {
                for signal in [1, 2] {
                    published.store(signal, Ordering::Relaxed);
                    passing.marker_arrived();
                }
            });
            let arrivals = control.marker_arrivals();
            assert!(ring.load(Ordering::Relaxed) >= arrivals);
            egress.join().unwrap();
            assert_eq!(control.marker_arrivals(), 2);
        });
    }

    /// A lane checks whether those before it have ended, then polls its inlet: it leaves no
    /// message behind.
    #[test]
    fn loom_a_lane_ends_behind_the_last_message() {
        loom::model(|| {
            let control = Arc::new(Control::new(2));
            let ring = Arc::new(crate::sync::AtomicU64::new(0));
            let (sending, sent) = (control.clone(), ring.clone());
            let sender = loom::thread::spawn(move || {
                sent.store(1, Ordering::Release);
                sent.store(2, Ordering::Release);
                sending.lane_has_ended(0);
            });
            let received = loop {
                let is_last = control.have_ended_before(1);
                let received = ring.load(Ordering::Acquire);
                if is_last {
                    break received;
                }
                loom::thread::yield_now();
            };
            assert_eq!(received, 2);
            sender.join().unwrap();
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn those_that_are_waited_for_get_a_second_look() {
        let control = Control::new(1);
        assert!(!control.must_give_up());
        control.failed_at.set(Instant::long_ago()).unwrap();
        control.fail("as it should".into());
        let looked = Instant::now();
        // However long this thread is away after it.
        assert!(!control.must_give_up());
        while !control.must_give_up() {
            std::thread::yield_now();
        }
        assert!(looked.elapsed() > SECOND_LOOK);
        assert!(control.has_failed_for_good());
    }
}
