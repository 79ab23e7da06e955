//! One line of recorded market data, parsed into the host's structs.

use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use crate::abi::{
    Depth, EXCHANGE_LEN, HostEvent, IndexPrice, LEVELS, SIDE_BUY, SIDE_SELL, SYMBOL_LEN, Ticker,
    Trade,
};
use bytemuck::Zeroable;
use csv::ByteRecord;

use crate::error::content::quoted;
use crate::formats::error::{Error, Result};
use crate::formats::feed::{EXCHANGE, INSTRUMENT_TYPE, fixed};
use crate::formats::symbol::host_symbol;

/// A column that rows read.
pub struct Column {
    /// Its name in the header line.
    pub name: String,
    /// Its index in a row, if the header line has it.
    pub place: Option<usize>,
}

/// The columns of a capture file, found by name.
pub struct Columns {
    kind: Column,
    ts_ns: Column,
    symbol: Column,
    host_symbol: Column,
    recv_ns: Column,
    seq: Column,
    book: [[Column; LEVELS]; 4],
    trade_id: Column,
    price: Column,
    qty: Column,
    side: Column,
    exchange: Column,
    instrument_type: Column,
    best: [Column; 4],
}

impl Columns {
    /// Finds the columns in a header line.
    pub fn find(header: &ByteRecord) -> Self {
        let one = |name: &str| Column {
            name: name.to_owned(),
            place: header.iter().position(|field| field == name.as_bytes()),
        };
        let levels =
            |name: &str| std::array::from_fn(|level| one(&format!("{name}_{}", level + 1)));
        Self {
            kind: one("type"),
            ts_ns: one("ts_ns"),
            symbol: one("symbol"),
            host_symbol: one("host_symbol"),
            recv_ns: one("recv_ns"),
            seq: one("seq"),
            book: ["bid_px", "ask_px", "bid_sz", "ask_sz"].map(levels),
            trade_id: one("trade_id"),
            price: one("price"),
            qty: one("qty"),
            side: one("side"),
            exchange: one("exchange"),
            instrument_type: one("instrument_type"),
            best: ["bid_px", "bid_qty", "ask_px", "ask_qty"].map(one),
        }
    }

    /// A column that the header line has twice, so that its meaning is ambiguous.
    pub fn doubled(&self, header: &ByteRecord) -> Option<&Column> {
        let book = self.book.iter().flatten().chain(&self.best);
        let all = [
            &self.kind,
            &self.ts_ns,
            &self.symbol,
            &self.host_symbol,
            &self.recv_ns,
            &self.seq,
            &self.trade_id,
            &self.price,
            &self.qty,
            &self.side,
            &self.exchange,
            &self.instrument_type,
        ];
        let times = |column: &Column| {
            let same = |field: &&[u8]| *field == column.name.as_bytes();
            header.iter().filter(same).count()
        };
        all.into_iter().chain(book).find(|column| times(column) > 1)
    }

    /// The first column that every row needs and that the header line lacks.
    pub fn missing(&self) -> Option<&Column> {
        [
            &self.kind,
            &self.ts_ns,
            &self.symbol,
            &self.recv_ns,
            &self.seq,
        ]
        .into_iter()
        .find(|column| column.place.is_none())
    }
}

/// One line of a file.
pub struct Row<'a> {
    /// The file, for messages.
    pub file: &'a Path,
    /// The line's number, from 1.
    pub line: u64,
    /// Its fields.
    pub record: &'a ByteRecord,
    /// What the engine accepts, if the rest is an error. If not, it becomes a value that the engine
    /// refuses, and counts, as it would live.
    pub bounds: Option<Bounds>,
}

/// The greatest price and size that the engine accepts.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// A price is above 0 and up to this.
    pub price: f64,
    /// A size is 0 or more and up to this.
    pub size: f64,
}

impl<'a> Row<'a> {
    /// An error that names file, line and column.
    fn fail(&self, column: &Column, what: impl Display) -> Error {
        Error::Field {
            file: self.file.to_owned(),
            line: self.line,
            column: column.name.clone(),
            what: what.to_string(),
        }
    }

    fn text(&self, column: &Column) -> Result<&'a str> {
        let Some(field) = column.place.and_then(|place| self.record.get(place)) else {
            let what = "the header line (line 1) has no such column, and this row needs it";
            return Err(self.fail(column, what));
        };
        std::str::from_utf8(field).map_err(|_| self.fail(column, "expected UTF-8 text"))
    }

    fn parse<T: FromStr>(&self, column: &Column, expected: &str) -> Result<T> {
        let text = self.text(column)?;
        text.parse().map_err(|_| {
            self.fail(
                column,
                format_args!("expected {expected}, found {}", quoted(text)),
            )
        })
    }

    fn int(&self, column: &Column) -> Result<i64> {
        self.parse(column, "a whole number")
    }

    fn float(&self, column: &Column) -> Result<f64> {
        self.parse(column, "a number")
    }

    fn is_empty(&self, column: &Column) -> Result<bool> {
        Ok(self.text(column)?.is_empty())
    }

    /// A price; a missing one is 0, as in the host's structs.
    fn price(&self, column: &Column) -> Result<f64> {
        let price = match self.bounds.is_none() && self.is_empty(column)? {
            true => 0.0,
            false => self.float(column)?,
        };
        self.check_price(column, price)
    }

    /// The size that belongs to a price. A missing size is NaN, not 0, unless the price is missing
    /// too.
    fn size(&self, column: &Column, price: f64) -> Result<f64> {
        let size = match self.bounds.is_none() && self.is_empty(column)? {
            true if price == 0.0 => 0.0,
            true => f64::NAN,
            false => self.float(column)?,
        };
        self.check_size(column, size)
    }

    /// A level's price and size; levels after the first may be empty.
    fn level(&self, price: &Column, size: &Column, level: usize) -> Result<(f64, f64)> {
        if level == 0 {
            let value = self.price(price)?;
            return Ok((value, self.size(size, value)?));
        }
        let or_zero = |column| match self.is_empty(column)? {
            true => Ok(0.0),
            false => self.float(column),
        };
        let (value, amount) = (or_zero(price)?, or_zero(size)?);
        if value != 0.0 || amount != 0.0 {
            self.check_price(price, value)?;
            self.check_size(size, amount)?;
        }
        Ok((value, amount))
    }

    fn check_price(&self, column: &Column, price: f64) -> Result<f64> {
        match self.bounds {
            Some(bounds) if !(price > 0.0 && price <= bounds.price) => {
                let most = bounds.price;
                let what = format_args!(
                    "expected a price, a number above 0 and up to {most}, found {price}"
                );
                Err(self.fail(column, what))
            }
            _ => Ok(price),
        }
    }

    fn check_size(&self, column: &Column, size: f64) -> Result<f64> {
        match self.bounds {
            Some(bounds) if !(size >= 0.0 && size <= bounds.size) => {
                let most = bounds.size;
                let what = format_args!("expected a size, a number from 0 to {most}, found {size}");
                Err(self.fail(column, what))
            }
            _ => Ok(size),
        }
    }

    /// The symbol, cut at the end of the host's field, as the host does. `host_symbol` already
    /// holds the host's own spelling.
    fn symbol(&self, columns: &Columns) -> Result<[u8; SYMBOL_LEN]> {
        if columns.host_symbol.place.is_some() {
            let symbol = self.text(&columns.host_symbol)?;
            if !symbol.is_empty() {
                return Ok(fixed(symbol));
            }
        }
        let column = &columns.symbol;
        let symbol = host_symbol(self.text(column)?);
        if symbol.is_empty() {
            return Err(self.fail(column, "expected a symbol, found none"));
        }
        Ok(fixed(&symbol))
    }

    /// The exchange, any bytes; the default exchange if the capture has no such column.
    fn exchange(&self, column: &Column) -> Result<[u8; EXCHANGE_LEN]> {
        let Some(bytes) = column.place.and_then(|place| self.record.get(place)) else {
            return Ok(fixed(EXCHANGE));
        };
        if bytes.len() > EXCHANGE_LEN {
            let what = format!(
                "expected at most {EXCHANGE_LEN} bytes, found {}",
                bytes.len()
            );
            return Err(self.fail(column, what));
        }
        let mut field = [0; EXCHANGE_LEN];
        field[..bytes.len()].copy_from_slice(bytes);
        Ok(field)
    }

    fn side(&self, column: &Column) -> Result<i8> {
        match self.text(column)? {
            "buy" => Ok(SIDE_BUY),
            "sell" => Ok(SIDE_SELL),
            other => other.parse().map_err(|_| {
                let what = format!(
                    "expected `buy`, `sell` or the host's number, found {}",
                    quoted(other)
                );
                self.fail(column, what)
            }),
        }
    }

    /// Hands the row to `take` with its time of arrival, and returns its `seq`.
    pub fn read(&self, columns: &Columns, take: impl FnOnce(i64, HostEvent<'_>)) -> Result<i64> {
        let exchange_id = self.exchange(&columns.exchange)?;
        let instrument_type = match columns.instrument_type.place {
            Some(_) => self.parse(&columns.instrument_type, "a whole number, -128 to 127")?,
            None => INSTRUMENT_TYPE,
        };
        let kind = self.text(&columns.kind)?;
        let symbol = self.symbol(columns)?;
        let ts_ns = self.int(&columns.ts_ns)?.into();
        let recv_ns = self.int(&columns.recv_ns)?;
        let seq = self.int(&columns.seq)?;
        match kind {
            "depth" => {
                let mut depth = Depth {
                    symbol,
                    exchange_id,
                    data_time: ts_ns,
                    instrument_type,
                    ..Depth::zeroed()
                };
                let [bid_px, ask_px, bid_sz, ask_sz] = &columns.book;
                for level in 0..LEVELS {
                    let (bid, size) = self.level(&bid_px[level], &bid_sz[level], level)?;
                    depth.bid_price[level] = bid.into();
                    depth.bid_volume[level] = size.into();
                    let (ask, size) = self.level(&ask_px[level], &ask_sz[level], level)?;
                    depth.ask_price[level] = ask.into();
                    depth.ask_volume[level] = size.into();
                }
                take(recv_ns, HostEvent::Depth(&depth));
            }
            "ticker" => {
                let [bid_px, bid_qty, ask_px, ask_qty] = &columns.best;
                let (bid, ask) = (self.price(bid_px)?, self.price(ask_px)?);
                let ticker = Ticker {
                    symbol,
                    exchange_id,
                    data_time: ts_ns,
                    instrument_type,
                    bid_price: bid.into(),
                    bid_volume: self.size(bid_qty, bid)?.into(),
                    ask_price: ask.into(),
                    ask_volume: self.size(ask_qty, ask)?.into(),
                    ..Ticker::zeroed()
                };
                take(recv_ns, HostEvent::Ticker(&ticker));
            }
            "trade" => {
                let side = self.side(&columns.side)?;
                let price = self.price(&columns.price)?;
                let trade = Trade {
                    symbol,
                    exchange_id,
                    instrument_type,
                    trade_id: self.int(&columns.trade_id)?.into(),
                    price: price.into(),
                    volume: self.size(&columns.qty, price)?.into(),
                    side,
                    trade_time: ts_ns,
                    ..Trade::zeroed()
                };
                take(recv_ns, HostEvent::Trade(&trade));
            }
            "index" => {
                let price = self.price(&columns.price)?.into();
                let index = IndexPrice {
                    symbol,
                    exchange_id,
                    instrument_type,
                    price,
                };
                take(recv_ns, HostEvent::IndexPrice(&index));
            }
            other => {
                let what = format!(
                    "expected `depth`, `trade`, `ticker` or `index`, found {}",
                    quoted(other)
                );
                return Err(self.fail(&columns.kind, what));
            }
        }
        Ok(seq)
    }
}
