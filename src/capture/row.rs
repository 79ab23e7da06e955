//! One event as a line of a capture. See [`replay`](crate::replay) for the columns.

use std::fmt::Write;

use crate::abi::{self, EventKind, LEVELS, SIDE_BUY, SIDE_SELL};
use crate::messages::{RawEvent, symbol_text};

/// The line with the names of the columns.
pub(super) fn header() -> String {
    let mut line = String::from(
        "type,ts_ns,symbol,recv_ns,seq,exchange,instrument_type,trade_id,price,qty,side,\
         bid_px,bid_qty,ask_px,ask_qty,host_symbol",
    );
    for side in SIDES {
        for level in 1..=LEVELS {
            let _ = write!(line, ",{side}_{level}");
        }
    }
    line.push('\n');
    line
}

/// In the order of a Depth's values in a raw event.
const SIDES: [&str; 4] = ["bid_px", "ask_px", "bid_sz", "ask_sz"];

/// Adds one event's line.
///
/// Numbers are written so that reading them back gives the same bits. Symbols are in lower
/// case, which the reader leaves unchanged. If the host spells a symbol differently, the
/// column `host_symbol` has the host's spelling. What the pipeline does not carry is 0 (a
/// trade's id) or empty (deeper levels).
pub(super) fn write(line: &mut Vec<u8>, raw: &RawEvent<'_>, levels: usize, recv_ns: i64) {
    let head = raw.head;
    let kind = EventKind::ALL[usize::from(head.kind)];
    let name = match kind {
        EventKind::Depth => "depth",
        EventKind::Ticker => "ticker",
        EventKind::Trade => "trade",
        EventKind::IndexPrice => "index",
    };
    put(line, format_args!("{name},{},", head.timestamp));
    // Ingest has accepted it, so it is text.
    let symbol = symbol_text(abi::text(&head.symbol)).unwrap_or_default();
    let start = line.len();
    text(line, symbol.as_bytes());
    line[start..].make_ascii_lowercase();
    put(line, format_args!(",{recv_ns},{},", head.sequence));
    text(line, abi::text(&head.exchange));
    put(line, format_args!(",{}", head.instrument_type));
    let values = raw.values;
    let is_lower = !symbol.bytes().any(|byte| byte.is_ascii_uppercase());
    let spelling = if is_lower { "" } else { symbol };
    match kind {
        EventKind::Depth => {
            line.extend_from_slice(b",,,,,,,,,");
            text(line, spelling.as_bytes());
            for side in values[..4 * levels].chunks_exact(levels) {
                for value in side {
                    put(line, format_args!(",{value:?}"));
                }
                line.resize(line.len() + LEVELS - levels, b',');
            }
        }
        EventKind::Ticker => {
            let [bid, ask, bid_size, ask_size] = [0, 1, 2, 3].map(|place| values[place]);
            let best = format_args!(",,,,,{bid:?},{bid_size:?},{ask:?},{ask_size:?}");
            put(line, best);
        }
        EventKind::Trade => {
            put(line, format_args!(",0,{:?},{:?},", values[0], values[1]));
            match head.side {
                SIDE_BUY => line.extend_from_slice(b"buy"),
                SIDE_SELL => line.extend_from_slice(b"sell"),
                other => put(line, format_args!("{other}")),
            }
            line.extend_from_slice(b",,,,");
        }
        EventKind::IndexPrice => put(line, format_args!(",,{:?},,,,,,", values[0])),
    }
    if kind != EventKind::Depth {
        line.push(b',');
        text(line, spelling.as_bytes());
        line.resize(line.len() + SIDES.len() * LEVELS, b',');
    }
    line.push(b'\n');
}

fn put(line: &mut Vec<u8>, what: std::fmt::Arguments<'_>) {
    // Writing to a Vec never fails.
    let _ = std::io::Write::write_fmt(line, what);
}

/// Any bytes, in quotes where CSV requires them.
fn text(line: &mut Vec<u8>, bytes: &[u8]) {
    let plain = |byte: &u8| !matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if bytes.iter().all(plain) {
        line.extend_from_slice(bytes);
        return;
    }
    line.push(b'"');
    for &byte in bytes {
        if byte == b'"' {
            line.push(b'"');
        }
        line.push(byte);
    }
    line.push(b'"');
}
