//! Rehearsals: a lane without work keeps warm what the next message will need.
//!
//! A market is quiet for milliseconds. Meanwhile caches and branch predictors are used for
//! other things, and the next message finds the stages' code and data cold. So a lane that has
//! found no message for a while runs one of its last messages through its stages once more.
//! That has no effect: stages use states that belong to no instrument, nothing is counted,
//! recorded or published. It goes through the same compiled code as a message does; a second
//! copy of that code would warm the wrong lines.

mod rest;

use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::trace::Trace;
use crate::abi::EventKind;
use crate::os::clock::Clock;
use crate::stages::{Stage, Triggers};
use crate::telemetry::heartbeat::Rehearsed;
use rest::Rest;

/// Messages that are kept of those that led to a signal, so that several instruments stay warm.
const KEPT: usize = 4;

/// Place of the last message that only updated a state. What such a message needs is not the
/// same code.
const UPDATE: usize = KEPT;

/// One message of so many is kept. A prime number: a step that divides a feed's pattern would
/// find the same instrument each time.
const KEEP_EVERY: u32 = 17;

/// Empty polls of a lane between two looks at the clock, which costs as much as a poll.
pub(crate) const POLLS_PER_LOOK: u32 = 16;

/// Time between two rehearsals where none is configured: longer ones left more cold, and
/// shorter ones gained little.
const INTERVAL: Duration = Duration::from_micros(100);

/// A stage that takes longer although it is warm is left out of rehearsals: a message that
/// comes meanwhile would wait for it.
const LONGEST_STAGE: Duration = Duration::from_micros(1);

/// A lane between whose looks more time lies was off its core.
const AWAY: Duration = Duration::from_millis(1);

/// A stage that takes this many times as long is left out after two rehearsals.
const FAR_TOO_LONG: u64 = 16;

/// The score at which a stage is left out. A rehearsal in which it was too long adds 1, or half
/// of this if it was far too long; one in which it was not takes 1 away.
const LEFT_OUT: u8 = 16;

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

/// Lets the host's thread, which may poll all the time, look for something to rehearse only so
/// often.
#[derive(Debug)]
pub(crate) struct Looks {
    /// TSC ticks.
    interval: u64,
    last: u64,
}

impl Looks {
    /// `None` where reading the clock is a system call.
    pub(crate) fn new(interval: Duration, clock: &Clock) -> Option<Self> {
        clock.reads_tsc().then(|| Self {
            interval: clock.ticks(interval.as_nanos() as u64),
            last: 0,
        })
    }

    /// Call it after an empty poll. Returns whether it is time to look.
    #[inline]
    pub(crate) fn is_due(&mut self, clock: &Clock) -> bool {
        let now = clock.now();
        let is_due = now.wrapping_sub(self.last) >= self.interval;
        if is_due {
            self.last = now;
        }
        is_due
    }
}

/// How lanes rehearse.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rehearsing {
    pub(crate) interval: Duration,
    /// Kinds of event that make signals: the others are not worth it.
    pub(crate) triggers: Triggers,
    /// Whether the host's thread stands in for a lane that is away.
    pub(crate) is_shared: bool,
}

/// When a lane rehearses, and what.
#[derive(Debug)]
pub(super) struct Rehearsal {
    clock: Clock,
    triggers: Triggers,
    kept: [Box<[u64]>; KEPT + 1],
    /// How many of the first hold a message.
    filled: usize,
    has_update: bool,
    /// Index of the one to overwrite next.
    oldest: usize,
    /// Index of the one to rehearse next.
    next: usize,
    until_kept: u32,
    polls_per_look: u32,
    until_look: u32,
    /// TSC ticks, as the next ones.
    due: u64,
    began: u64,
    longest_stage: u64,
    rest: Rest,
    rehearsed: Rehearsed,
    /// When the last look was; 0 if messages have come since.
    looked: u64,
    /// Ticks between two looks of a lane that was off its core, if others may do its work.
    away: Option<u64>,
    /// Whether a message that led to a signal has come since the last look.
    was_busy: bool,
    /// Whether none had come between the last two looks.
    was_quiet: bool,
    /// Whether the same message was rehearsed just before, so that everything is warm.
    is_second: bool,
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
        rehearsed: Rehearsed,
    ) -> Option<Self> {
        let ticks = |time: Duration| clock.ticks(time.as_nanos() as u64);
        clock.reads_tsc().then(|| Self {
            triggers: rehearsing.triggers,
            kept: std::array::from_fn(|_| vec![u64::MAX; words].into_boxed_slice()),
            filled: 0,
            has_update: false,
            oldest: 0,
            next: 0,
            until_kept: 1,
            polls_per_look,
            until_look: polls_per_look,
            due: 0,
            began: 0,
            looked: 0,
            away: rehearsing.is_shared.then(|| ticks(AWAY)),
            longest_stage: ticks(LONGEST_STAGE),
            rest: Rest::new(rehearsing.interval, ticks),
            rehearsed,
            was_busy: false,
            was_quiet: false,
            is_second: false,
            too_long: [0; Stage::ALL.len()],
            clock: clock.clone(),
        })
    }

    /// Sees a message that the lane has just handled, and keeps some of them.
    #[inline(always)]
    pub(super) fn see(&mut self, words: &[u64], kind: Option<EventKind>, trace: &Trace) {
        // One that only updates a state leaves cold what makes a signal.
        self.was_busy |= trace.came_through();
        self.until_kept -= 1;
        if self.until_kept == 0 {
            self.keep(words, kind, trace);
        }
    }

    /// Keeps the message if it led to a signal, or else the next one that does. Until that one
    /// comes, the last that only updated a state is kept.
    #[inline(never)]
    fn keep(&mut self, words: &[u64], kind: Option<EventKind>, trace: &Trace) {
        self.until_kept = 1;
        // An index price has no instrument of its own, and so no state for a rehearsal.
        if kind == Some(EventKind::IndexPrice) || trace.refused {
            return;
        }
        if kind.is_some_and(|kind| !self.triggers.has(kind)) {
            self.kept[UPDATE].copy_from_slice(words);
            self.has_update = true;
        } else if trace.came_through() {
            self.until_kept = KEEP_EVERY;
            self.kept[self.oldest].copy_from_slice(words);
            self.oldest = (self.oldest + 1) % KEPT;
            self.filled = (self.filled + 1).min(KEPT);
        }
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
            // The clock is left alone: on the host's thread, an empty poll follows each event.
            self.was_quiet = false;
            self.looked = 0;
            return false;
        }
        self.filled > 0 && self.look()
    }

    #[inline(never)]
    fn look(&mut self) -> bool {
        let now = self.clock.now();
        if !std::mem::replace(&mut self.was_quiet, true) {
            // The messages until now have warmed everything.
            self.due = self.due.max(now.saturating_add(self.rest.interval()));
        }
        let since = now.saturating_sub(self.looked);
        if self
            .away
            .is_some_and(|away| self.looked != 0 && since > away)
        {
            // It shares its core. Nobody can stand in for one that is taken off within a rehearsal.
            self.due = self.due.max(now.saturating_add(self.rest.longest()));
        }
        self.looked = now;
        // A clock that was set back must not end the rehearsals.
        self.due = self.due.min(now.saturating_add(self.rest.longest()));
        now >= self.due
    }

    /// Puts a rehearsal off that cannot take place now.
    #[cold]
    pub(super) fn postpone(&mut self) {
        self.due = self.clock.now().saturating_add(self.rest.interval());
    }

    /// Begins a rehearsal: puts its message into `spare`. The message's own place has what was
    /// there before, until [`end`](Self::end) exchanges them again.
    #[cold]
    pub(super) fn begin(&mut self, spare: &mut Box<[u64]>) {
        self.began = self.clock.now();
        std::mem::swap(&mut self.kept[self.next], spare);
    }

    /// Ends a rehearsal: says when the next one is due, and which stages it leaves out.
    #[cold]
    pub(super) fn end(&mut self, took_place: bool, spare: &mut Box<[u64]>, trace: &mut Trace) {
        std::mem::swap(&mut self.kept[self.next], spare);
        if !took_place {
            self.go_on();
            return;
        }
        let now = self.clock.now();
        let took = now.saturating_sub(self.began);
        self.rehearsed.add(took);
        self.rest.owe(self.began, now);
        let works = trace.rehearsed_work(now);
        if self.is_second {
            self.judge(&works, trace);
        } else if works
            .iter()
            .flatten()
            .any(|&(_, work)| work > self.longest_stage)
        {
            // All may have been cold. Another one right behind it shows. It owes its rest, too.
            self.is_second = true;
            self.due = now;
            return;
        }
        self.due = now.saturating_add(self.rest.until_next(took));
        self.go_on();
    }

    /// Has later rehearsals leave out the stages that are too long.
    fn judge(&mut self, works: &[Option<(Stage, u64)>], trace: &mut Trace) {
        for &(stage, work) in works.iter().flatten() {
            let score = &mut self.too_long[stage as usize];
            *score = match work {
                _ if work > FAR_TOO_LONG * self.longest_stage => *score + LEFT_OUT / 2,
                _ if work > self.longest_stage => *score + 1,
                _ => score.saturating_sub(1),
            };
            if *score >= LEFT_OUT {
                trace.leave_out(stage);
            }
        }
    }

    /// Goes on to the next message.
    fn go_on(&mut self) {
        self.is_second = false;
        self.next += 1;
        if self.next == self.filled && self.has_update {
            self.next = UPDATE;
        } else if self.next >= self.filled {
            self.next = 0;
        }
    }
}
