//! Each message is read back as it was written and takes exactly the number of words
//! reserved for it.

use bytemuck::Zeroable;

use super::raw::RAW_HEAD_WORDS;
use super::*;
use crate::abi::{self, HostEvent, LEVELS, PackedF64};

/// The previous contents of a ring's slot: an older message.
const OLD: u64 = 0xfff8_dead_beef_0000;

fn packed(first: f64) -> [PackedF64; LEVELS] {
    std::array::from_fn(|level| (first + level as f64).into())
}

fn check_raw(event: &HostEvent<'_>, levels: usize, time: i64, side: i8, values: &[f64]) {
    let mut words = vec![OLD; raw_words(levels)];
    carry(event, levels, 7, 11, &mut words);
    let (raw, published) = RawEvents::decode(&words);
    let head = raw.head;
    assert_eq!((head.sequence, head.arrival, published), (7, 11, 11));
    assert_eq!((head.timestamp, head.side), (time, side));
    assert_eq!((head.kind, head.instrument_type), (event.kind() as u8, 5));
    assert_eq!(
        (&head.exchange[..3], &head.symbol[..3]),
        (&b"bin"[..], &b"btc"[..])
    );
    assert_eq!(&raw.values[..values.len()], values, "{levels} levels");
    assert_eq!(raw.values.len(), event_values(levels));
    // The words after the event's own values are untouched.
    let rest = &words[RAW_HEAD_WORDS + values.len()..];
    assert!(rest.iter().all(|word| *word == OLD), "{levels} levels");
}

macro_rules! named {
    ($kind:ident, $time:ident) => {{
        let mut named = abi::$kind::zeroed();
        named.symbol[..3].copy_from_slice(b"btc");
        named.exchange_id[..3].copy_from_slice(b"bin");
        named.instrument_type = 5;
        named.$time = 1_700_000_000_000_000_001.into();
        named
    }};
}

#[test]
fn a_host_event_is_carried_whole_whatever_the_levels() {
    let time = 1_700_000_000_000_000_001;
    let mut depth = named!(Depth, data_time);
    depth.bid_price = packed(100.0);
    depth.ask_price = packed(200.0);
    depth.bid_volume = packed(300.0);
    depth.ask_volume = packed(400.0);
    let mut ticker = named!(Ticker, data_time);
    ticker.bid_price = 1.5.into();
    ticker.ask_price = 2.5.into();
    ticker.bid_volume = 3.5.into();
    ticker.ask_volume = 4.5.into();
    let mut trade = named!(Trade, trade_time);
    trade.side = -1;
    trade.price = 5.5.into();
    trade.volume = 6.5.into();
    let mut index = abi::IndexPrice::zeroed();
    index.symbol[..3].copy_from_slice(b"btc");
    index.exchange_id[..3].copy_from_slice(b"bin");
    index.instrument_type = 5;
    index.price = 7.5.into();
    for levels in 1..=LEVELS {
        assert_eq!(event_values(levels), 4 * levels);
        assert_eq!(raw_words(levels), 10 + 4 * levels);
        let side = |first: f64| (0..levels).map(move |level| first + level as f64);
        let book: Vec<f64> = [100.0, 200.0, 300.0, 400.0]
            .into_iter()
            .flat_map(side)
            .collect();
        check_raw(&HostEvent::Depth(&depth), levels, time, 0, &book);
        let best = [1.5, 2.5, 3.5, 4.5];
        check_raw(&HostEvent::Ticker(&ticker), levels, time, 0, &best);
        check_raw(&HostEvent::Trade(&trade), levels, time, -1, &[5.5, 6.5]);
        check_raw(&HostEvent::IndexPrice(&index), levels, 0, 0, &[7.5]);
    }
    // Even without a book, the other events need room.
    assert_eq!(event_values(0), 4);
    check_raw(
        &HostEvent::Ticker(&ticker),
        0,
        time,
        0,
        &[1.5, 2.5, 3.5, 4.5],
    );
    let mut words = vec![OLD; raw_words(1)];
    carry(&HostEvent::Trade(&trade), 1, 7, 11, &mut words);
    spoil(&mut words);
    let head = raw_event(&words).head;
    assert!(usize::from(head.kind) >= EventKind::ALL.len());
    assert!(head.symbol.iter().all(|byte| *byte == b'X'));
}

fn meta() -> Meta {
    Meta {
        input_sequence: 21,
        instrument: InstrumentId(22),
        timestamp: -23,
        arrival: 24,
    }
}

/// Writes a message with `values` values and passes what was written to `read`.
fn through<M: Encode>(message: &M::View<'_>, values: usize, read: impl FnOnce(M::View<'_>, Ends)) {
    let mut words = vec![OLD; M::words(values)];
    assert_eq!(words.len(), 6 + values);
    M::encode(message, 25, &mut words);
    let (view, published) = M::decode(&words);
    assert_eq!(published, 25);
    let ends = M::ends(&view);
    read(view, ends);
}

const ENDS: [Ends; 3] = [Ends::Nothing, Ends::Event, Ends::Copy];

#[test]
fn an_event_is_read_back_as_it_was_written() {
    let side = |first: f64| {
        (0..10)
            .map(|level| first + f64::from(level))
            .collect::<Vec<_>>()
    };
    let sides = [side(10.0), side(20.0), side(30.0), side(40.0)];
    let timestamp = meta().timestamp;
    let mut bodies: Vec<(usize, Body<'_>)> = (1..=10)
        .map(|levels| {
            let [bid_price, ask_price, bid_volume, ask_volume] =
                [0, 1, 2, 3].map(|side| &sides[side][..levels]);
            let depth = Depth {
                timestamp,
                bid_price,
                ask_price,
                bid_volume,
                ask_volume,
            };
            (4 * levels, Body::Depth(depth))
        })
        .collect();
    let best = Ticker::from_values(timestamp, &[1.0, 2.0, 3.0, 4.0]);
    bodies.push((4, Body::Ticker(best)));
    let trade = Trade::from_values(timestamp, -1, &[5.0, 6.0]);
    bodies.push((2, Body::Trade(trade)));
    bodies.push((1, Body::IndexPrice(IndexPrice { price: 7.0 })));
    for (values, body) in bodies {
        for ends in ENDS {
            // Only an index price has copies.
            if !matches!(body, Body::IndexPrice(_)) && ends != Ends::Event {
                continue;
            }
            let event = Event {
                meta: meta(),
                pair: PairId(26),
                ends,
                body,
            };
            through::<Events>(&event, values, |read, read_ends| {
                assert_eq!((read, read_ends), (event, ends));
            });
        }
    }
}

#[test]
fn vectors_predictions_and_signals_are_read_back_as_they_were_written() {
    let all: Vec<f64> = (0..5).map(|value| f64::from(value) + 0.5).collect();
    let models = [None, Some(ModelId(0)), Some(ModelId(1)), Some(ModelId(63))];
    for count in 0..=all.len() {
        let values = &all[..count];
        for (ends, model) in ENDS
            .into_iter()
            .flat_map(|ends| models.map(|model| (ends, model)))
        {
            let vector = FactorVector {
                meta: meta(),
                ends,
                values,
            };
            through::<FactorVectors>(&vector, count, |read, read_ends| {
                assert_eq!((read, read_ends), (vector, ends));
            });
            let prediction = Prediction {
                meta: meta(),
                model,
                ends,
                values,
            };
            through::<Predictions>(&prediction, count, |read, read_ends| {
                assert_eq!((read, read_ends), (prediction, ends));
            });
            let signal = Signal {
                sequence: 27,
                meta: meta(),
                model,
                values,
            };
            through::<Signals>(&signal, count, |read, read_ends| {
                assert_eq!((read, read_ends), (signal, Ends::Event));
            });
        }
    }
}

/// For one kind of message: a marker is recognised, whatever the slot's previous contents.
fn check_marker<W: Encode>() {
    let mut words = vec![OLD; W::words(2)];
    W::encode_marker(Marker(7), &mut words);
    assert_eq!(W::marker(&words), Some(Marker(7)));
}

#[test]
fn a_marker_is_recognised_and_no_other_message_is_one() {
    check_marker::<Events>();
    check_marker::<FactorVectors>();
    check_marker::<Predictions>();

    let mut words = vec![OLD; raw_words(1)];
    carry_marker(Marker(7), &mut words);
    assert_eq!(RawEvents::marker(&words), Some(Marker(7)));
    let trade = abi::Trade::zeroed();
    carry(&HostEvent::Trade(&trade), 1, 7, 0, &mut words);
    assert_eq!(RawEvents::marker(&words), None);

    let mut words = vec![OLD; FactorVectors::words(1)];
    let vector = FactorVector {
        meta: Meta {
            input_sequence: 1,
            instrument: InstrumentId(0),
            timestamp: 0,
            arrival: 0,
        },
        ends: Ends::Event,
        values: &[1.0],
    };
    FactorVectors::encode(&vector, 0, &mut words);
    assert_eq!(last_marker(&words), 0);
    set_last_marker(9, &mut words);
    assert_eq!(
        (last_marker(&words), FactorVectors::marker(&words)),
        (9, None)
    );
    assert_eq!(FactorVectors::decode(&words).0, vector);
    for model in [
        Some(ModelId(0)),
        Some(ModelId(ModelId::MAX as u8 - 1)),
        None,
    ] {
        let prediction = Prediction {
            meta: vector.meta,
            model,
            ends: Ends::Event,
            values: &[1.0],
        };
        Predictions::encode(&prediction, 0, &mut words);
        assert_eq!(Predictions::marker(&words), None);
        assert_eq!(Predictions::decode(&words).0, prediction);
    }
}
