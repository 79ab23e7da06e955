//! Raw events: what the host's thread copies, for ingest to check.

use bytemuck::Zeroable;

use super::{MARKER, VALUES_PER_LEVEL, Wire, event_values};
use crate::abi::{self, EXCHANGE_LEN, EventKind, HostEvent, LEVELS, PackedF64, SYMBOL_LEN};
use crate::messages::{Marker, RawEvent, RawHead};

pub(super) const RAW_HEAD_WORDS: usize = size_of::<RawHead>() / 8;

const _: () = assert!(size_of::<RawHead>() == 80);

/// [`RawEvent`]: from the host's thread to ingest.
#[derive(Debug)]
pub struct RawEvents;

/// Copies what the stages need from the host's struct straight into a ring's slot. Nothing is
/// checked here, so the host's thread pays only for the copy.
#[inline]
pub fn carry(event: &HostEvent<'_>, levels: usize, sequence: u64, arrival: u64, words: &mut [u64]) {
    let (head_words, value_words) = words.split_at_mut(RAW_HEAD_WORDS);
    let values: &mut [f64] = bytemuck::cast_slice_mut(value_words);
    let head: &mut RawHead = &mut bytemuck::cast_slice_mut::<u64, RawHead>(head_words)[0];
    let describe = |head: &mut RawHead,
                    timestamp: i64,
                    symbol: &[u8; SYMBOL_LEN],
                    exchange: &[u8; EXCHANGE_LEN],
                    instrument_type: i8,
                    side: i8| {
        *head = RawHead {
            sequence,
            arrival,
            timestamp,
            kind: event.kind() as u8,
            instrument_type,
            side,
            _unused: [0; 5],
            exchange: *exchange,
            symbol: *symbol,
        };
    };
    match event {
        HostEvent::Depth(depth) => {
            describe(
                head,
                depth.data_time.get(),
                &depth.symbol,
                &depth.exchange_id,
                depth.instrument_type,
                0,
            );
            // With constant lengths; otherwise each side costs a call of memcpy.
            match levels {
                1 => carry_book::<1>(depth, values),
                5 => carry_book::<5>(depth, values),
                LEVELS => carry_book::<LEVELS>(depth, values),
                _ => carry_levels(depth, levels, values),
            }
        }
        HostEvent::Ticker(ticker) => {
            describe(
                head,
                ticker.data_time.get(),
                &ticker.symbol,
                &ticker.exchange_id,
                ticker.instrument_type,
                0,
            );
            values[..4].copy_from_slice(&[
                ticker.bid_price.get(),
                ticker.ask_price.get(),
                ticker.bid_volume.get(),
                ticker.ask_volume.get(),
            ]);
        }
        HostEvent::Trade(trade) => {
            describe(
                head,
                trade.trade_time.get(),
                &trade.symbol,
                &trade.exchange_id,
                trade.instrument_type,
                trade.side,
            );
            values[..2].copy_from_slice(&[trade.price.get(), trade.volume.get()]);
        }
        HostEvent::IndexPrice(index) => {
            describe(
                head,
                0,
                &index.symbol,
                &index.exchange_id,
                index.instrument_type,
                0,
            );
            values[0] = index.price.get();
        }
    }
}

/// Writes a marker as the host's thread sends it. It is no event, so it has no sequence number.
pub fn carry_marker(marker: Marker, words: &mut [u64]) {
    let head: &mut [RawHead] = bytemuck::cast_slice_mut(&mut words[..RAW_HEAD_WORDS]);
    head[0] = RawHead {
        sequence: marker.0,
        kind: MARKER,
        ..RawHead::zeroed()
    };
}

#[inline(always)]
fn carry_book<const CARRIED: usize>(depth: &abi::Depth, values: &mut [f64]) {
    carry_levels(depth, CARRIED, &mut values[..VALUES_PER_LEVEL * CARRIED]);
}

#[inline(always)]
fn carry_levels(depth: &abi::Depth, levels: usize, values: &mut [f64]) {
    let sides: [&[PackedF64]; VALUES_PER_LEVEL] = [
        &depth.bid_price[..levels],
        &depth.ask_price[..levels],
        &depth.bid_volume[..levels],
        &depth.ask_volume[..levels],
    ];
    for (side, out) in sides.iter().zip(values.chunks_exact_mut(levels)) {
        for (value, out) in side.iter().zip(out) {
            *out = value.get();
        }
    }
}

/// Turns a raw event into something that [`carry`] never writes, for tests.
pub(crate) fn spoil(words: &mut [u64]) {
    let head = &mut bytemuck::cast_slice_mut::<u64, RawHead>(&mut words[..RAW_HEAD_WORDS])[0];
    head.kind = u8::MAX;
    head.symbol = [b'X'; SYMBOL_LEN];
}

/// Words of a raw event when `levels` book levels are read.
pub const fn raw_words(levels: usize) -> usize {
    RAW_HEAD_WORDS + event_values(levels)
}

/// Reads what [`carry`] wrote.
#[inline]
pub fn raw_event(words: &[u64]) -> RawEvent<'_> {
    let (head, values) = words.split_at(RAW_HEAD_WORDS);
    RawEvent {
        head: &bytemuck::cast_slice::<u64, RawHead>(head)[0],
        values: bytemuck::cast_slice(values),
    }
}

impl Wire for RawEvents {
    type View<'a> = RawEvent<'a>;

    /// A raw event is published as it arrives, so the arrival is its stamp.
    #[inline]
    fn decode(words: &[u64]) -> (RawEvent<'_>, u64) {
        let raw = raw_event(words);
        (raw, raw.head.arrival)
    }

    #[inline]
    fn kind(raw: &RawEvent<'_>) -> Option<EventKind> {
        EventKind::ALL.get(usize::from(raw.head.kind)).copied()
    }

    #[inline]
    fn marker(words: &[u64]) -> Option<Marker> {
        let head = raw_event(words).head;
        (head.kind == MARKER).then_some(Marker(head.sequence))
    }
}
