//! Ingest's end of the capture.

use crate::abi::EventKind;
use crate::messages::{RawEvent, RawHead, wire};
use crate::sync::broadcast::{self, Consumer, Producer, Start};
use crate::sync::ring::WORDS_PER_LINE;

const HEAD_WORDS: usize = size_of::<RawHead>() / 8;

/// Words that one event takes in the broadcast, including its number.
pub(crate) fn words(levels: usize) -> usize {
    (wire::raw_words(levels) + 1).next_multiple_of(WORDS_PER_LINE)
}

/// Publishes events to the writer. For the thread that runs ingest.
pub(crate) struct Capture {
    producer: Producer,
    levels: usize,
}

impl Capture {
    /// A producer that keeps the last `events` events of `levels` book levels, and the
    /// writer's end.
    pub(crate) fn new(events: usize, levels: usize) -> (Self, Consumer) {
        let (producer, consumers) = broadcast::broadcast(events, wire::raw_words(levels));
        let consumer = consumers.register("capture", Start::Next);
        (Self { producer, levels }, consumer)
    }

    /// Records the event when the returned value is dropped. That is after the event has been
    /// sent on, so that recording does not delay it. It also happens if sending panics.
    #[inline]
    pub(crate) fn recording<'a>(&'a mut self, raw: &'a RawEvent<'a>) -> Recording<'a> {
        Recording { capture: self, raw }
    }

    #[inline]
    fn record(&mut self, raw: &RawEvent<'_>) {
        let values = match EventKind::ALL[usize::from(raw.head.kind)] {
            EventKind::Depth => 4 * self.levels,
            EventKind::Ticker => 4,
            EventKind::Trade => 2,
            EventKind::IndexPrice => 1,
        };
        let values: &[u64] = bytemuck::cast_slice(&raw.values[..values]);
        let head: &[u64; HEAD_WORDS] = bytemuck::cast_ref(raw.head);
        self.producer.send(|words| {
            words[..HEAD_WORDS].copy_from_slice(head);
            words[HEAD_WORDS..HEAD_WORDS + values.len()].copy_from_slice(values);
        });
    }
}

/// An event that is about to be recorded.
pub(crate) struct Recording<'a> {
    capture: &'a mut Capture,
    raw: &'a RawEvent<'a>,
}

impl Drop for Recording<'_> {
    #[inline]
    fn drop(&mut self) {
        self.capture.record(self.raw);
    }
}
