//! Rehearsals: a lane without work keeps warm what the next message will need.
//!
//! A market is quiet for milliseconds. Meanwhile caches and branch predictors are used for
//! other things, and the next message finds the stages' code and data cold. So a lane that has
//! found no message for a while runs one of its last messages through its stages once more.
//! That has no effect: stages use states that belong to no instrument, nothing is counted,
//! recorded or published. It goes through the same compiled code as a message does; a second
//! copy of that code would warm the wrong lines.

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::trace::Trace;
use crate::abi::EventKind;
use crate::os::clock::Clock;
use crate::stages::{Stage, Triggers};

/// Messages that are kept, so that several instruments stay warm.
const KEPT: usize = 4;

/// One message of so many is kept. A prime number: a step that divides a feed's pattern would
/// find the same instrument each time.
const KEEP_EVERY: u32 = 17;

/// Empty polls of a lane between two looks at the clock, which costs as much as a poll.
pub(crate) const POLLS_PER_LOOK: u32 = 16;

/// Time between two rehearsals where none is configured: longer ones left more cold, and
/// shorter ones gained little.
const INTERVAL: Duration = Duration::from_micros(100);

/// A rehearsal is followed by at least this many times its own length without one.
const REST: u64 = 99;

/// A stage that takes longer is left out of rehearsals: a message that comes meanwhile would
/// wait for it.
const LONGEST_STAGE: Duration = Duration::from_micros(1);

/// So many rehearsals in which a stage was too long, one after the other, show that it is long
/// when it is warm, too.
const TOO_LONG: u8 = 16;

/// Whether lanes that spin keep themselves warm, and how often.
///
/// In JSON `"auto"`, `"off"`, or an interval in us.
///
/// ```
/// use signal::config::Warm;
/// let warm: Warm = serde_json::from_str("250")?;
/// assert_eq!(warm, Warm::Every(250));
/// assert_eq!(serde_json::to_string(&Warm::Auto)?, "\"auto\"");
/// assert!(serde_json::from_str::<Warm>("1").is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Warm {
    /// Every 100 us.
    #[default]
    Auto,
    /// Never.
    Off,
    /// At this interval, us: from [`Warm::SHORTEST`] to [`Warm::LONGEST`].
    Every(u64),
}

impl Serialize for Warm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Off => serializer.serialize_str("off"),
            Self::Every(micros) => serializer.serialize_u64(*micros),
        }
    }
}

impl<'de> Deserialize<'de> for Warm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Warm;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let (shortest, longest) = (Warm::SHORTEST, Warm::LONGEST);
                write!(
                    f,
                    "auto, off or a whole number from {shortest} to {longest}"
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Warm, E> {
                match text {
                    "auto" => Ok(Warm::Auto),
                    "off" => Ok(Warm::Off),
                    _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, micros: u64) -> Result<Warm, E> {
                match micros {
                    Warm::SHORTEST..=Warm::LONGEST => Ok(Warm::Every(micros)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(micros), &self)),
                }
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl Warm {
    /// Shortest interval, us.
    pub const SHORTEST: u64 = 10;
    /// Longest interval, us.
    pub const LONGEST: u64 = 1_000_000;

    /// Time between two rehearsals.
    pub fn interval(self) -> Option<Duration> {
        match self {
            Self::Auto => Some(INTERVAL),
            Self::Off => None,
            Self::Every(micros) => Some(Duration::from_micros(micros)),
        }
    }
}

/// How lanes rehearse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rehearsing {
    pub(crate) interval: Duration,
    /// Kinds of event that make signals: the others are not worth it.
    pub(crate) triggers: Triggers,
}

/// When a lane rehearses, and what.
#[derive(Debug)]
pub(super) struct Rehearsal {
    clock: Clock,
    triggers: Triggers,
    kept: [Box<[u64]>; KEPT],
    /// How many of them hold a message.
    filled: usize,
    /// Index of the one to overwrite next.
    oldest: usize,
    /// Index of the one to rehearse next.
    next: usize,
    until_kept: u32,
    polls_per_look: u32,
    until_look: u32,
    /// TSC ticks.
    interval: u64,
    due: u64,
    began: u64,
    /// What a rehearsal usually takes.
    usual: u64,
    longest_stage: u64,
    /// Whether a message has come since the last look.
    pub(super) was_busy: bool,
    /// Whether none had come between the last two looks.
    was_quiet: bool,
    too_long: [u8; Stage::ALL.len()],
}

impl Rehearsal {
    /// For a lane whose inlet has messages of `words` words; `None` where reading the clock is
    /// a system call.
    pub(super) fn new(
        rehearsing: &Rehearsing,
        clock: &Clock,
        words: usize,
        polls_per_look: u32,
    ) -> Option<Self> {
        let ticks = |time: Duration| clock.ticks(time.as_nanos() as u64);
        clock.reads_tsc().then(|| Self {
            triggers: rehearsing.triggers,
            kept: std::array::from_fn(|_| vec![u64::MAX; words].into_boxed_slice()),
            filled: 0,
            oldest: 0,
            next: 0,
            until_kept: 1,
            polls_per_look,
            until_look: polls_per_look,
            interval: ticks(rehearsing.interval),
            due: 0,
            began: 0,
            usual: 0,
            longest_stage: ticks(LONGEST_STAGE),
            was_busy: false,
            was_quiet: false,
            too_long: [0; Stage::ALL.len()],
            clock: clock.clone(),
        })
    }

    /// Sees a message that the lane has just handled, and keeps some of them.
    #[inline(always)]
    pub(super) fn see(&mut self, words: &[u64], kind: Option<EventKind>, trace: &Trace) {
        self.until_kept -= 1;
        if self.until_kept == 0 {
            self.keep(words, kind, trace);
        }
    }

    /// Keeps the message if it led to a signal, or else the next one that does.
    #[inline(never)]
    fn keep(&mut self, words: &[u64], kind: Option<EventKind>, trace: &Trace) {
        self.until_kept = 1;
        // An index price has no instrument of its own, and so no state for a rehearsal.
        let answers =
            kind.is_none_or(|kind| kind != EventKind::IndexPrice && self.triggers.has(kind));
        let kept = &mut self.kept[self.oldest];
        // Empty while its message is out for a rehearsal that this one came before.
        if trace.is_rehearsal() || !trace.came_through() || !answers || kept.is_empty() {
            return;
        }
        self.until_kept = KEEP_EVERY;
        kept.copy_from_slice(words);
        self.oldest = (self.oldest + 1) % KEPT;
        self.filled = (self.filled + 1).min(KEPT);
    }

    /// Call it after an empty poll. Returns whether it is time for a rehearsal.
    #[inline]
    pub(super) fn is_due(&mut self) -> bool {
        self.until_look -= 1;
        if self.until_look > 0 {
            return false;
        }
        self.until_look = self.polls_per_look;
        if std::mem::take(&mut self.was_busy) {
            // The clock is left alone: on the host's thread, one empty poll follows each event.
            self.was_quiet = false;
            return false;
        }
        self.filled > 0 && self.look()
    }

    #[inline(never)]
    fn look(&mut self) -> bool {
        let now = self.clock.now();
        if !std::mem::replace(&mut self.was_quiet, true) {
            // The messages until now have warmed everything.
            self.due = self.due.max(now.saturating_add(self.interval));
        }
        now >= self.due
    }

    /// Begins a rehearsal: returns its message, which must be [put back](Self::put_back).
    #[cold]
    pub(super) fn begin(&mut self) -> Box<[u64]> {
        self.began = self.clock.now();
        std::mem::take(&mut self.kept[self.next])
    }

    /// Puts back the message of a rehearsal that has ended, or did not take place.
    #[cold]
    pub(super) fn put_back(&mut self, words: Box<[u64]>) {
        self.kept[self.next] = words;
        self.next = (self.next + 1) % self.filled.max(1);
    }

    /// Ends a rehearsal: says when the next one is due, and which stages it leaves out.
    #[cold]
    pub(super) fn end(&mut self, trace: &mut Trace) {
        let now = self.clock.now();
        let took = now.saturating_sub(self.began);
        // One in which the lane was taken off its core says little.
        let took = took.min(2 * self.usual + self.interval / REST);
        self.usual = (7 * self.usual + took) / 8;
        let rest = self.interval.max(self.usual.saturating_mul(REST));
        self.due = now.saturating_add(rest);
        for stage in Stage::ALL {
            let Some(work) = trace.work(stage) else {
                continue;
            };
            let count = &mut self.too_long[stage as usize];
            *count = if work > self.longest_stage {
                *count + 1
            } else {
                0
            };
            if *count == TOO_LONG {
                trace.leave_out(stage);
            }
        }
    }
}
