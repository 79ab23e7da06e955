//! Where events come from.

use std::ops::AddAssign;

use signal::abi::EventKind;
use signal::replay::{Arrival, Reader};

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
    pub fn next(&mut self) -> Result<Option<Arrival<'_>>> {
        match self {
            Self::Recorded(reader) => Ok(reader.next()?),
            Self::Made(market) => Ok(market.next()),
        }
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
    /// First and last arrival, ns.
    span: Option<(i64, i64)>,
}

impl AddAssign<(EventKind, i64)> for Played {
    fn add_assign(&mut self, (kind, recv_ns): (EventKind, i64)) {
        self.kinds[kind as usize] += 1;
        let first = self.span.map_or(recv_ns, |(first, _)| first);
        self.span = Some((first, recv_ns));
    }
}

impl AddAssign<Played> for Played {
    fn add_assign(&mut self, later: Played) {
        for (sum, kind) in self.kinds.iter_mut().zip(later.kinds) {
            *sum += kind;
        }
        self.span = match (self.span, later.span) {
            (Some((first, _)), Some((_, last))) => Some((first, last)),
            (span, None) | (None, span) => span,
        };
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

    /// From the first arrival to the last, in seconds.
    pub fn seconds(&self) -> f64 {
        self.span
            .map_or(0.0, |(first, last)| last.saturating_sub(first) as f64 / 1e9)
    }
}
