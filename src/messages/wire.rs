//! The layout of messages in a ring: a fixed head, then the values as `f64`.
//!
//! Only messages between lanes have a layout. Stages on one lane pass each other the typed
//! messages of [`crate::messages`] by reference.
//!
//! | file | what |
//! |---|---|
//! | `raw` | raw events, from the host's thread to ingest |

use bytemuck::{Pod, Zeroable};

use super::market::{Depth, IndexPrice, Ticker, Trade};
use super::{
    Body, Ends, Event, FactorVector, InstrumentId, Marker, Meta, ModelId, PairId, Prediction,
    Signal,
};
use crate::abi::EventKind;

mod raw;

pub(crate) use raw::spoil;
pub use raw::{RawEvents, carry, carry_marker, raw_event, raw_words};

/// Most values of an event other than Depth.
const SMALL_EVENT_VALUES: usize = 4;
/// Values per level of a Depth: bid price, ask price, bid size, ask size.
const VALUES_PER_LEVEL: usize = 4;

const HEAD_WORDS: usize = size_of::<Head>() / 8;

/// The head of every message after ingest.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Head {
    /// A signal's sequence number; an event's pair; a marker's number. A factor vector has the
    /// number of the last marker before it, if it goes to several lanes.
    number: u64,
    input_sequence: u64,
    timestamp: i64,
    arrival: u64,
    published: u64,
    instrument: u32,
    /// An event's kind; the model of a prediction or signal; [`MARKER`].
    tag: u8,
    /// A trade's side; what ends with a vector, a prediction or an index price.
    detail: i8,
    count: u16,
}

/// The tag of values that come from several models.
const SEVERAL_MODELS: u8 = u8::MAX;

/// The kind or tag of a message that is a [`Marker`].
const MARKER: u8 = u8::MAX - 1;

const _: () = assert!(ModelId::MAX <= MARKER as usize && EventKind::ALL.len() <= MARKER as usize);

#[inline]
fn model_tag(model: Option<ModelId>) -> u8 {
    model.map_or(SEVERAL_MODELS, |id| id.0)
}

#[inline]
fn tagged_model(tag: u8) -> Option<ModelId> {
    (tag != SEVERAL_MODELS).then_some(ModelId(tag))
}

const _: () = assert!(size_of::<Head>() == 48);

/// Values of an event when `levels` book levels are read.
pub const fn event_values(levels: usize) -> usize {
    let depth = levels * VALUES_PER_LEVEL;
    if depth > SMALL_EVENT_VALUES {
        depth
    } else {
        SMALL_EVENT_VALUES
    }
}

/// A message that a lane can receive from its inlet.
pub trait Wire {
    /// The message as stages see it.
    type View<'a>;

    /// Reads the message and the stamp of its publication, TSC ticks, 0 with timing off.
    fn decode(words: &[u64]) -> (Self::View<'_>, u64);

    /// The marker, if the message is one. It must not be decoded then.
    #[inline]
    fn marker(words: &[u64]) -> Option<Marker> {
        let head = head_of(words);
        (head.tag == MARKER).then_some(Marker(head.number))
    }

    /// The kind of the event, if the message is one.
    #[inline]
    fn kind(_message: &Self::View<'_>) -> Option<EventKind> {
        None
    }

    /// The message's instrument and times. `None` for a raw event, whose instrument is not
    /// known yet.
    #[inline]
    fn meta<'a>(_message: &'a mut Self::View<'_>) -> Option<&'a mut Meta> {
        None
    }

    /// What ends with the message.
    fn ends(_message: &Self::View<'_>) -> Ends {
        Ends::Event
    }
}

/// A message that a lane can send. [`carry`] writes the other kind, raw events.
pub trait Encode: Wire {
    /// 64-bit words of a message with `values` values.
    fn words(values: usize) -> usize {
        HEAD_WORDS + values
    }

    /// Writes the message with the stamp of its publication.
    fn encode(message: &Self::View<'_>, published: u64, words: &mut [u64]);

    /// Writes a marker.
    fn encode_marker(marker: Marker, words: &mut [u64]) {
        *head_of_mut(words) = Head {
            number: marker.0,
            tag: MARKER,
            ..Head::zeroed()
        };
    }
}

/// [`Event`]: from ingest to factor.
#[derive(Debug)]
pub struct Events;
/// [`FactorVector`]: from factor to model.
#[derive(Debug)]
pub struct FactorVectors;
/// [`Prediction`]: from model to egress.
#[derive(Debug)]
pub struct Predictions;
/// [`Signal`]: from egress to the host's thread.
#[derive(Debug)]
pub struct Signals;

/// The number of the last marker before a factor vector, or the vector's own number if it is a
/// marker; 0 if there was none.
#[inline]
pub fn last_marker(words: &[u64]) -> u64 {
    head_of(words).number
}

/// Sets what [`last_marker`] reads.
#[inline]
pub fn set_last_marker(number: u64, words: &mut [u64]) {
    head_of_mut(words).number = number;
}

/// Copies values, usually no more than a model's two outputs: a call of memcpy would cost
/// more.
#[inline(always)]
pub(crate) fn copy(from: &[f64], to: &mut [f64]) {
    match *from {
        [] => {}
        [only] => to[0] = only,
        [first, second] => {
            let to = &mut to[..2];
            to[0] = first;
            to[1] = second;
        }
        _ => to[..from.len()].copy_from_slice(from),
    }
}

#[inline]
fn put(head: Head, values: &[f64], words: &mut [u64]) {
    let (head_words, value_words) = words.split_at_mut(HEAD_WORDS);
    bytemuck::cast_slice_mut::<u64, Head>(head_words)[0] = head;
    copy(values, bytemuck::cast_slice_mut(value_words));
}

#[inline]
fn head_of(words: &[u64]) -> &Head {
    &bytemuck::cast_slice::<u64, Head>(&words[..HEAD_WORDS])[0]
}

#[inline]
fn head_of_mut(words: &mut [u64]) -> &mut Head {
    &mut bytemuck::cast_slice_mut(&mut words[..HEAD_WORDS])[0]
}

#[inline]
fn get(words: &[u64]) -> (&Head, &[f64]) {
    let values = &words[HEAD_WORDS..];
    let head = head_of(words);
    let values: &[f64] = bytemuck::cast_slice(values);
    (head, &values[..head.count as usize])
}

#[inline]
fn head(meta: &Meta, published: u64, count: usize) -> Head {
    debug_assert!(count <= MAX_VALUES);
    Head {
        number: 0,
        input_sequence: meta.input_sequence,
        timestamp: meta.timestamp,
        arrival: meta.arrival,
        published,
        instrument: meta.instrument.0,
        tag: 0,
        detail: 0,
        count: count as u16,
    }
}

/// Most values of one message.
pub const MAX_VALUES: usize = u16::MAX as usize;

impl Head {
    #[inline]
    fn meta(&self) -> Meta {
        Meta {
            input_sequence: self.input_sequence,
            instrument: InstrumentId(self.instrument),
            timestamp: self.timestamp,
            arrival: self.arrival,
        }
    }
}

impl Wire for Events {
    type View<'a> = Event<'a>;

    fn decode(words: &[u64]) -> (Event<'_>, u64) {
        let (head, values) = get(words);
        let timestamp = head.timestamp;
        let mut ends = Ends::Event;
        let body = match EventKind::ALL[usize::from(head.tag)] {
            EventKind::Depth => Body::Depth(Depth::from_values(timestamp, values)),
            EventKind::Ticker => Body::Ticker(Ticker::from_values(timestamp, values)),
            EventKind::Trade => Body::Trade(Trade::from_values(timestamp, head.detail, values)),
            EventKind::IndexPrice => {
                ends = Ends::from_number(head.detail as u8);
                Body::IndexPrice(IndexPrice { price: values[0] })
            }
        };
        let event = Event {
            meta: head.meta(),
            pair: PairId(head.number as u32),
            ends,
            body,
        };
        (event, head.published)
    }

    #[inline]
    fn meta<'a>(event: &'a mut Event<'_>) -> Option<&'a mut Meta> {
        Some(&mut event.meta)
    }

    #[inline]
    fn kind(event: &Event<'_>) -> Option<EventKind> {
        Some(match event.body {
            Body::Depth(_) => EventKind::Depth,
            Body::Ticker(_) => EventKind::Ticker,
            Body::Trade(_) => EventKind::Trade,
            Body::IndexPrice(_) => EventKind::IndexPrice,
        })
    }

    fn ends(message: &Self::View<'_>) -> Ends {
        message.ends
    }
}

impl Encode for Events {
    fn encode(event: &Event<'_>, published: u64, words: &mut [u64]) {
        let head = |kind: EventKind, detail: i8, count: usize| Head {
            number: event.pair.0.into(),
            tag: kind as u8,
            detail,
            ..head(&event.meta, published, count)
        };
        match &event.body {
            Body::Depth(depth) => {
                let levels = depth.bid_price.len();
                put(
                    head(EventKind::Depth, 0, levels * VALUES_PER_LEVEL),
                    depth.bid_price,
                    words,
                );
                let values: &mut [f64] = bytemuck::cast_slice_mut(&mut words[HEAD_WORDS..]);
                for (side, out) in [depth.ask_price, depth.bid_volume, depth.ask_volume]
                    .iter()
                    .zip(values[levels..].chunks_exact_mut(levels))
                {
                    out.copy_from_slice(side);
                }
            }
            Body::Ticker(ticker) => put(
                head(EventKind::Ticker, 0, 4),
                &[
                    ticker.bid_price,
                    ticker.ask_price,
                    ticker.bid_volume,
                    ticker.ask_volume,
                ],
                words,
            ),
            Body::Trade(trade) => put(
                head(EventKind::Trade, trade.side, 2),
                &[trade.price, trade.volume],
                words,
            ),
            Body::IndexPrice(index) => {
                let ends = event.ends as i8;
                put(head(EventKind::IndexPrice, ends, 1), &[index.price], words);
            }
        }
    }
}

impl Wire for FactorVectors {
    type View<'a> = FactorVector<'a>;

    #[inline]
    fn meta<'a>(vector: &'a mut FactorVector<'_>) -> Option<&'a mut Meta> {
        Some(&mut vector.meta)
    }

    #[inline]
    fn decode(words: &[u64]) -> (FactorVector<'_>, u64) {
        let (head, values) = get(words);
        let vector = FactorVector {
            meta: head.meta(),
            ends: Ends::from_number(head.detail as u8),
            values,
        };
        (vector, head.published)
    }

    fn ends(message: &Self::View<'_>) -> Ends {
        message.ends
    }
}

impl Encode for FactorVectors {
    #[inline]
    fn encode(vector: &FactorVector<'_>, published: u64, words: &mut [u64]) {
        let head = Head {
            detail: vector.ends as i8,
            ..head(&vector.meta, published, vector.values.len())
        };
        put(head, vector.values, words);
    }
}

impl Wire for Predictions {
    type View<'a> = Prediction<'a>;

    #[inline]
    fn meta<'a>(prediction: &'a mut Prediction<'_>) -> Option<&'a mut Meta> {
        Some(&mut prediction.meta)
    }

    #[inline]
    fn decode(words: &[u64]) -> (Prediction<'_>, u64) {
        let (head, values) = get(words);
        let prediction = Prediction {
            meta: head.meta(),
            model: tagged_model(head.tag),
            ends: Ends::from_number(head.detail as u8),
            values,
        };
        (prediction, head.published)
    }

    fn ends(message: &Self::View<'_>) -> Ends {
        message.ends
    }
}

impl Encode for Predictions {
    #[inline]
    fn encode(prediction: &Prediction<'_>, published: u64, words: &mut [u64]) {
        let head = Head {
            tag: model_tag(prediction.model),
            detail: prediction.ends as i8,
            ..head(&prediction.meta, published, prediction.values.len())
        };
        put(head, prediction.values, words);
    }
}

impl Wire for Signals {
    type View<'a> = Signal<'a>;

    #[inline]
    fn decode(words: &[u64]) -> (Signal<'_>, u64) {
        let (head, values) = get(words);
        let signal = Signal {
            sequence: head.number,
            meta: head.meta(),
            model: tagged_model(head.tag),
            values,
        };
        (signal, head.published)
    }
}

impl Encode for Signals {
    #[inline]
    fn encode(signal: &Signal<'_>, published: u64, words: &mut [u64]) {
        let head = Head {
            number: signal.sequence,
            tag: model_tag(signal.model),
            ..head(&signal.meta, published, signal.values.len())
        };
        put(head, signal.values, words);
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
