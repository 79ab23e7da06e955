//! Where events come from.

use std::ops::AddAssign;

use signal::abi::EventKind;
use signal::replay::{Arrival, Reader, Timeline};

use crate::failure::Result;
use crate::interrupt::Interrupt;
use crate::synthetic::Market;

/// Events to play.
pub enum Source {
    /// Recorded ones.
    Recorded(Box<Reader>),
    /// Synthetic ones.
    Made(Box<Market>),
}

impl Source {
    /// The next event, or `None` after the last.
    ///
    /// # Errors
    ///
    /// What is wrong with a capture.
    #[expect(clippy::should_implement_trait, reason = "what it returns is lent")]
    pub fn next(&mut self) -> Result<Option<Arrival<'_>>> {
        match self {
            Self::Recorded(reader) => Ok(reader.next()?),
            Self::Made(market) => Ok(market.next()),
        }
    }

    /// File and line of the event that was handed out last, if it is a recorded one.
    pub fn place(&self) -> Option<String> {
        let Self::Recorded(reader) = self else {
            return None;
        };
        let (file, line) = reader.place()?;
        Some(format!("{}: line {line}", file.display()))
    }

    /// Makes an interrupt also end the wait for a pipe's writer.
    pub fn stop_when(&mut self, interrupt: &Interrupt) {
        if let Self::Recorded(reader) = self {
            reader.stop_when(interrupt.flag());
        }
    }

    /// How far it has been read, and its total length; 0 if unknown.
    pub fn progress(&self) -> (u64, u64) {
        match self {
            Self::Recorded(reader) => reader.bytes(),
            Self::Made(market) => market.progress(),
        }
    }
}

/// What has been played.
#[derive(Clone, Copy, Debug, Default)]
pub struct Played {
    /// Events of each kind, in the order of [`EventKind::ALL`].
    kinds: [u64; EventKind::ALL.len()],
    timeline: Timeline,
}

impl AddAssign<(EventKind, i64)> for Played {
    fn add_assign(&mut self, (kind, recv_ns): (EventKind, i64)) {
        self.kinds[kind as usize] += 1;
        self.timeline.take(recv_ns);
    }
}

impl AddAssign<Played> for Played {
    fn add_assign(&mut self, later: Played) {
        for (sum, kind) in self.kinds.iter_mut().zip(later.kinds) {
            *sum += kind;
        }
        self.timeline.goes_on(later.timeline);
    }
}

impl Played {
    /// The number of events of a kind.
    pub fn count(&self, kind: EventKind) -> u64 {
        self.kinds[kind as usize]
    }

    /// The number of events.
    pub fn events(&self) -> u64 {
        self.kinds.iter().sum()
    }

    /// From the first arrival to the last, in seconds, as the recording's clock tells it.
    pub fn seconds(&self) -> f64 {
        self.timeline.elapsed_ns() as f64 / 1e9
    }
}
