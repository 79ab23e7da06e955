//! Recorded market data: capture files and the events in them.
//!
//! A capture is CSV with a header line, plain or gzip, one event per line:
//!
//! | column | rows | meaning |
//! |---|---|---|
//! | `type` | all | `depth`, `trade`, `ticker` or `index` |
//! | `ts_ns` | all | time of the event, ns since the Unix epoch |
//! | `symbol` | all | as the exchange or the host spells it, UTF-8; cut after 32 bytes, the length of the host's field |
//! | `host_symbol`, optional | all | the host's spelling; replaces `symbol` unless it is empty |
//! | `recv_ns` | all | time of arrival, ns; only differences mean anything |
//! | `seq` | all | the true order of arrival; lines may be in any order |
//! | `bid_px_1` to `_10`, `bid_sz_`, `ask_px_`, `ask_sz_` | depth | book levels, best first; levels after the first may be empty |
//! | `trade_id`, `price`, `qty`, `side` | trade | `side` is the aggressor, `buy`, `sell` or the host's number |
//! | `bid_px`, `bid_qty`, `ask_px`, `ask_qty` | ticker | best bid and ask |
//! | `price` | index | the index price |
//! | `exchange` | all | the host's name of the exchange; default if absent: [`EXCHANGE`] |
//! | `instrument_type` | all | the host's number; default if absent: [`INSTRUMENT_TYPE`] |
//!
//! Prices are in quote currency, sizes in the exchange's unit. Columns are found by name. Each may
//! appear once only, and unknown ones are ignored. A line has at most 1 MiB. Captures that an
//! engine wrote (`capture.file`) have `host_symbol`, `exchange` and `instrument_type`.
//!
//! A price or size that an engine would refuse (absent at the best level, not finite, a price that
//! is not above 0, a negative size, one beyond a bound) is an error to [`read`] and, with
//! [`ReadOptions::strict`], to [`Reader`]. Without `strict`, the event is handed out with values
//! that the engine refuses (a price of 0, a size that is NaN), so that it is refused and counted as
//! it would be live.
//!
//! After the gzip data, zeros are padding and further members are read; other bytes are an error
//! that shows them.
//!
//! | file | what |
//! |---|---|
//! | `csv` | reads and merges whole files; parses one line into the host's structs |
//! | `gzip` | compressed files |
//! | `feed` | events in order of arrival |
//! | `reader` | reads and merges files while they are played |
//! | `window` | one such file, sorted within a bounded window |
//! | `timeline` | the time that passes in a recording, whatever its clock does |
//! | `symbol` | from the exchange's spelling to the host's |
//! | `error` | what is wrong with a file, and where |
//!
//! ```
//! use signal::abi::HostEvent;
//! use signal::replay;
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("trades.csv");
//! let text = "type,ts_ns,symbol,trade_id,price,qty,side,recv_ns,seq\n\
//!             trade,20,BTCUSDT,8,101.5,0.25,sell,200,2\n\
//!             trade,10,BTCUSDT,7,101.0,0.5,buy,100,1\n";
//! std::fs::write(&path, text)?;
//!
//! let feed = replay::read(&[&path])?;
//! let mut prices = Vec::new();
//! for event in feed.iter() {
//!     if let HostEvent::Trade(trade) = event {
//!         prices.push(trade.price.get());
//!     }
//! }
//! assert_eq!(prices, [101.0, 101.5]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod csv;
mod error;
mod feed;
mod gzip;
mod reader;
mod symbol;
#[cfg(test)]
mod tests;
mod timeline;
mod window;

pub use self::csv::read;
pub use error::Error;
pub use feed::{EXCHANGE, Event, Feed, INSTRUMENT_TYPE, fixed};
pub use reader::{Arrival, ReadOptions, Reader};
pub use symbol::host_symbol;
pub use timeline::{Step, Timeline};
