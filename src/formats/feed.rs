//! The events to play, as the host's packed structs, in order of arrival.

use super::timeline::Timeline;
use crate::abi::{Depth, EventKind, HostEvent, IndexPrice, Ticker, Trade};

/// The exchange of recorded events, unless the capture says otherwise.
pub const EXCHANGE: &str = "binance";
/// The instrument type of recorded events, unless the capture says otherwise: Swap.
pub const INSTRUMENT_TYPE: i8 = 7;

/// One event; its payload lies in the [`Feed`].
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// When it arrived, ns; only differences mean anything.
    pub recv_ns: i64,
    /// What it is.
    pub kind: EventKind,
    /// Where its payload begins.
    offset: usize,
}

/// Events in the order in which they are to be played.
///
/// Payloads lie back to back and so at any alignment, as in the host's journal.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    events: Vec<Event>,
    bytes: Vec<u8>,
}

impl Feed {
    /// Appends an event that arrived at `recv_ns`.
    pub fn push(&mut self, recv_ns: i64, event: HostEvent<'_>) {
        self.push_bytes(event.kind(), recv_ns, payload_bytes(&event));
    }

    /// Appends an event whose payload is already bytes.
    fn push_bytes(&mut self, kind: EventKind, recv_ns: i64, payload: &[u8]) {
        self.events.push(Event {
            recv_ns,
            kind,
            offset: self.bytes.len(),
        });
        self.bytes.extend_from_slice(payload);
    }

    /// The events.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The events, typed, in their order.
    pub fn iter(&self) -> impl Iterator<Item = HostEvent<'_>> {
        self.events.iter().map(|event| self.event(event))
    }

    /// One of this feed's events, typed.
    ///
    /// # Panics
    ///
    /// If the event is of another, longer feed.
    pub fn event(&self, event: &Event) -> HostEvent<'_> {
        HostEvent::from_bytes(event.kind.message_type(), self.payload(event))
            .expect("a payload is as long as its kind's struct")
    }

    /// The payload of one of this feed's events, the host's packed struct.
    ///
    /// # Panics
    ///
    /// If the event is of another, longer feed.
    pub fn payload(&self, event: &Event) -> &[u8] {
        &self.bytes[event.offset..event.offset + payload_len(event.kind)]
    }

    /// The number of events of a kind.
    pub fn count(&self, kind: EventKind) -> u64 {
        self.events
            .iter()
            .filter(|event| event.kind == kind)
            .count() as u64
    }

    /// From the first arrival to the last, in seconds, without gaps of over an hour and steps back
    /// of the clock.
    pub fn seconds(&self) -> f64 {
        let mut timeline = Timeline::default();
        for event in &self.events {
            timeline.take(event.recv_ns);
        }
        timeline.elapsed_ns() as f64 / 1e9
    }

    /// The same events in another order; `order` holds indices into this feed.
    ///
    /// # Panics
    ///
    /// If an index is not below the number of events.
    pub fn reordered(&self, order: impl IntoIterator<Item = usize>) -> Feed {
        let mut feed = Feed {
            events: Vec::with_capacity(self.events.len()),
            bytes: Vec::with_capacity(self.bytes.len()),
        };
        for place in order {
            let event = &self.events[place];
            feed.push_bytes(event.kind, event.recv_ns, self.payload(event));
        }
        feed
    }

    /// Merges feeds by arrival; equal arrivals keep the order of the feeds.
    ///
    /// A feed keeps its own order even where its clock steps back.
    pub fn merge(feeds: &[Feed]) -> Feed {
        let mut keys = Vec::new();
        for (number, feed) in feeds.iter().enumerate() {
            let mut latest = i64::MIN;
            for place in 0..feed.events.len() {
                latest = latest.max(feed.events[place].recv_ns);
                keys.push((latest, number, place));
            }
        }
        keys.sort_unstable();
        let mut merged = Feed::default();
        for (_, number, place) in keys {
            let event = &feeds[number].events[place];
            merged.push_bytes(event.kind, event.recv_ns, feeds[number].payload(event));
        }
        merged
    }
}

/// The host's packed struct of an event.
pub(super) fn payload_bytes<'a>(event: &HostEvent<'a>) -> &'a [u8] {
    match event {
        HostEvent::Depth(depth) => bytemuck::bytes_of(*depth),
        HostEvent::Ticker(ticker) => bytemuck::bytes_of(*ticker),
        HostEvent::Trade(trade) => bytemuck::bytes_of(*trade),
        HostEvent::IndexPrice(index) => bytemuck::bytes_of(*index),
    }
}

/// Bytes in a payload of this kind.
pub(super) fn payload_len(kind: EventKind) -> usize {
    match kind {
        EventKind::Depth => size_of::<Depth>(),
        EventKind::Ticker => size_of::<Ticker>(),
        EventKind::Trade => size_of::<Trade>(),
        EventKind::IndexPrice => size_of::<IndexPrice>(),
    }
}

/// Copies text into a fixed field as the host does: cut at the field's end, zeros after a shorter
/// text, and no NUL after one that fills the field.
pub fn fixed<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    let len = text.len().min(N);
    field[..len].copy_from_slice(&text.as_bytes()[..len]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytemuck::Zeroable;

    fn index(symbol: &str) -> IndexPrice {
        IndexPrice {
            symbol: fixed(symbol),
            ..IndexPrice::zeroed()
        }
    }

    fn symbols(feed: &Feed) -> String {
        let events = feed.events().iter();
        events.map(|event| feed.payload(event)[0] as char).collect()
    }

    #[test]
    fn merges_by_arrival_then_by_file_and_keeps_each_order() {
        let mut feeds = [Feed::default(), Feed::default()];
        for (feed, name, recv_ns) in [
            (0, "a", 1),
            (0, "b", 9),
            (0, "c", 5),
            (1, "x", 1),
            (1, "y", 6),
            (1, "z", 9),
        ] {
            feeds[feed].push(recv_ns, HostEvent::IndexPrice(&index(name)));
        }
        // c arrived while the clock had stepped back; it still follows b.
        assert_eq!(symbols(&Feed::merge(&feeds)), "axybcz");
    }

    #[test]
    fn a_clock_that_steps_back_takes_no_time() {
        let mut feed = Feed::default();
        assert_eq!(feed.seconds(), 0.0);
        for recv_ns in [5_000_000_000, 7_000_000_000, 0] {
            feed.push(recv_ns, HostEvent::IndexPrice(&index("a")));
        }
        assert_eq!(feed.seconds(), 2.0);
    }

    #[test]
    fn reorders() {
        let mut feed = Feed::default();
        for name in ["a", "b", "c"] {
            feed.push(0, HostEvent::IndexPrice(&index(name)));
        }
        assert_eq!(symbols(&feed.reordered([2, 0, 1])), "cab");
    }

    #[test]
    fn fills_text_as_strncpy_does() {
        assert_eq!(&fixed::<4>("ab"), b"ab\0\0");
        assert_eq!(&fixed::<4>("abcdef"), b"abcd");
    }
}
