//! The host's packed structs, as it lays them out in its journal.
//!
//! Every struct here is made of byte arrays, so its alignment is 1 and a
//! payload may lie at any address. Fields are read through [`PackedF64`] and
//! [`PackedI64`], which decode little-endian bytes into aligned values. Sizes
//! and offsets are checked when the crate is compiled.
//!
//! ```
//! use signal::abi::{self, Depth};
//!
//! let mut depth: Depth = bytemuck::Zeroable::zeroed();
//! depth.symbol[..8].copy_from_slice(b"btc_usdt");
//! depth.bid_price[0] = 101.5.into();
//! assert_eq!(abi::text(&depth.symbol), b"btc_usdt");
//! assert_eq!(depth.bid_price[0].get(), 101.5);
//! ```

use bytemuck::{Pod, Zeroable};
use serde::{Deserialize, Serialize};

/// Book levels in a [`Depth`].
pub const LEVELS: usize = 10;
/// Bytes in a symbol field.
pub const SYMBOL_LEN: usize = 32;
/// Bytes in an exchange or source field.
pub const EXCHANGE_LEN: usize = 16;

/// The host's message type of a [`Depth`].
pub const TYPE_DEPTH: i32 = 101;
/// The host's message type of a [`Ticker`].
pub const TYPE_TICKER: i32 = 102;
/// The host's message type of a [`Trade`].
pub const TYPE_TRADE: i32 = 103;
/// The host's message type of an [`IndexPrice`].
pub const TYPE_INDEX_PRICE: i32 = 104;
/// The host's message type of a [`Bar`], which the host does not forward today.
pub const TYPE_BAR: i32 = 110;

/// The aggressor side of a trade that bought.
pub const SIDE_BUY: i8 = 0;
/// The aggressor side of a trade that sold.
pub const SIDE_SELL: i8 = 1;

/// The names of the host's instrument types, indexed by their numbers, as configurations and
/// messages use them.
pub const INSTRUMENT_TYPES: [&str; 8] = [
    "unknown", "ffuture", "dfuture", "future", "etf", "spot", "index", "swap",
];

/// An `f64` stored as eight little-endian bytes at any alignment.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub struct PackedF64([u8; 8]);

impl PackedF64 {
    /// The value.
    #[inline]
    pub const fn get(self) -> f64 {
        f64::from_le_bytes(self.0)
    }
}

impl From<f64> for PackedF64 {
    #[inline]
    fn from(value: f64) -> Self {
        Self(value.to_le_bytes())
    }
}

/// An `i64` stored as eight little-endian bytes at any alignment.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub struct PackedI64([u8; 8]);

impl PackedI64 {
    /// The value.
    #[inline]
    pub const fn get(self) -> i64 {
        i64::from_le_bytes(self.0)
    }
}

impl From<i64> for PackedI64 {
    #[inline]
    fn from(value: i64) -> Self {
        Self(value.to_le_bytes())
    }
}

/// An `i32` stored as four little-endian bytes at any alignment.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(transparent)]
pub struct PackedI32([u8; 4]);

impl PackedI32 {
    /// The value.
    #[inline]
    pub const fn get(self) -> i32 {
        i32::from_le_bytes(self.0)
    }
}

impl From<i32> for PackedI32 {
    #[inline]
    fn from(value: i32) -> Self {
        Self(value.to_le_bytes())
    }
}

/// A text field up to its NUL, or to its end if it has none.
///
/// The host fills text with `strncpy` and does not clear what follows the NUL, so the bytes after
/// it mean nothing.
#[inline]
pub fn text(field: &[u8]) -> &[u8] {
    let end = field
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(field.len());
    &field[..end]
}

/// Declares a host struct and checks its size and each field's offset.
macro_rules! host_struct {
    ($(#[$doc:meta])* $name:ident, $size:literal {
        $($(#[$field_doc:meta])* $field:ident: $type:ty = $offset:literal,)*
    }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Pod, Zeroable)]
        #[repr(C)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        const _: () = {
            assert!(std::mem::size_of::<$name>() == $size);
            assert!(std::mem::align_of::<$name>() == 1);
            $(assert!(std::mem::offset_of!($name, $field) == $offset);)*
        };
    };
}

host_struct! {
    /// Ten levels of an order book, type 101.
    Depth, 393 {
        /// Gateway that sent it.
        source_id: [u8; EXCHANGE_LEN] = 0,
        /// Instrument name as the host spells it, e.g. `btc_usdt`.
        symbol: [u8; SYMBOL_LEN] = 16,
        /// Exchange.
        exchange_id: [u8; EXCHANGE_LEN] = 48,
        /// Time of the book, ns since the Unix epoch.
        data_time: PackedI64 = 64,
        /// Kind of instrument (Spot 5, Swap 7, ...).
        instrument_type: i8 = 72,
        /// Bid prices, best first, in quote currency.
        bid_price: [PackedF64; LEVELS] = 73,
        /// Ask prices, best first, in quote currency.
        ask_price: [PackedF64; LEVELS] = 153,
        /// Bid sizes, in the exchange's size unit.
        bid_volume: [PackedF64; LEVELS] = 233,
        /// Ask sizes, in the exchange's size unit.
        ask_volume: [PackedF64; LEVELS] = 313,
    }
}

host_struct! {
    /// Best bid and ask, type 102.
    Ticker, 105 {
        /// Gateway that sent it.
        source_id: [u8; EXCHANGE_LEN] = 0,
        /// Instrument name as the host spells it.
        symbol: [u8; SYMBOL_LEN] = 16,
        /// Exchange.
        exchange_id: [u8; EXCHANGE_LEN] = 48,
        /// Time of the ticker, ns since the Unix epoch.
        data_time: PackedI64 = 64,
        /// Kind of instrument.
        instrument_type: i8 = 72,
        /// Best bid price.
        bid_price: PackedF64 = 73,
        /// Size at the best bid.
        bid_volume: PackedF64 = 81,
        /// Best ask price.
        ask_price: PackedF64 = 89,
        /// Size at the best ask.
        ask_volume: PackedF64 = 97,
    }
}

host_struct! {
    /// One trade, type 103.
    Trade, 131 {
        /// Client, never set by the Binance gateway.
        client_id: [u8; SYMBOL_LEN] = 0,
        /// Instrument name as the host spells it.
        symbol: [u8; SYMBOL_LEN] = 32,
        /// Exchange.
        exchange_id: [u8; EXCHANGE_LEN] = 64,
        /// Kind of instrument.
        instrument_type: i8 = 80,
        /// The exchange's ID of the trade.
        trade_id: PackedI64 = 81,
        /// Seller's order, not set for futures.
        ask_id: PackedI64 = 89,
        /// Buyer's order, not set for futures.
        bid_id: PackedI64 = 97,
        /// Price, in quote currency.
        price: PackedF64 = 105,
        /// Size, in the exchange's size unit.
        volume: PackedF64 = 113,
        /// Aggressor: [`SIDE_BUY`] or [`SIDE_SELL`].
        side: i8 = 121,
        /// Position side, never set by the Binance gateway.
        position_side: i8 = 122,
        /// Time of the trade, ns since the Unix epoch.
        trade_time: PackedI64 = 123,
    }
}

host_struct! {
    /// The index price of an underlying, type 104. It carries no time.
    IndexPrice, 57 {
        /// Instrument name as the host spells it.
        symbol: [u8; SYMBOL_LEN] = 0,
        /// Exchange.
        exchange_id: [u8; EXCHANGE_LEN] = 32,
        /// Kind of instrument.
        instrument_type: i8 = 48,
        /// Index price, in quote currency.
        price: PackedF64 = 49,
    }
}

host_struct! {
    /// A bar, type 110. Defined by the host, never forwarded today.
    Bar, 120 {
        /// Instrument name as the host spells it.
        symbol: [u8; SYMBOL_LEN] = 0,
        /// Exchange.
        exchange_id: [u8; EXCHANGE_LEN] = 32,
        /// First moment, ns since the Unix epoch.
        start_time: PackedI64 = 48,
        /// Last moment, ns since the Unix epoch.
        end_time: PackedI64 = 56,
        /// First price.
        open: PackedF64 = 64,
        /// Last price.
        close: PackedF64 = 72,
        /// Lowest price.
        low: PackedF64 = 80,
        /// Highest price.
        high: PackedF64 = 88,
        /// Size traded.
        volume: PackedF64 = 96,
        /// Size traded before the bar began.
        start_volume: PackedF64 = 104,
        /// Number of trades.
        trade_count: PackedI32 = 112,
        /// Length, in the host's interval unit.
        interval: PackedI32 = 116,
    }
}

/// The kinds of event that the engine takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum EventKind {
    /// A [`Depth`].
    Depth = 0,
    /// A [`Ticker`].
    Ticker = 1,
    /// A [`Trade`].
    Trade = 2,
    /// An [`IndexPrice`].
    IndexPrice = 3,
}

impl EventKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [EventKind; 4] = [
        EventKind::Depth,
        EventKind::Ticker,
        EventKind::Trade,
        EventKind::IndexPrice,
    ];

    /// The kind for a host message type, if the engine takes that type.
    #[inline]
    pub const fn from_type(message_type: i32) -> Option<Self> {
        match message_type {
            TYPE_DEPTH => Some(Self::Depth),
            TYPE_TICKER => Some(Self::Ticker),
            TYPE_TRADE => Some(Self::Trade),
            TYPE_INDEX_PRICE => Some(Self::IndexPrice),
            _ => None,
        }
    }

    /// The host's message type of this kind.
    pub const fn message_type(self) -> i32 {
        match self {
            Self::Depth => TYPE_DEPTH,
            Self::Ticker => TYPE_TICKER,
            Self::Trade => TYPE_TRADE,
            Self::IndexPrice => TYPE_INDEX_PRICE,
        }
    }
}

/// One event, borrowed from the host for the length of a call.
#[derive(Clone, Copy, Debug)]
pub enum HostEvent<'a> {
    /// Type 101.
    Depth(&'a Depth),
    /// Type 102.
    Ticker(&'a Ticker),
    /// Type 103.
    Trade(&'a Trade),
    /// Type 104.
    IndexPrice(&'a IndexPrice),
}

impl<'a> HostEvent<'a> {
    /// Reads an event of the given host message type from a whole payload.
    ///
    /// `None` if the engine does not take the type, or if the payload is not as long as the type's
    /// struct.
    ///
    /// ```
    /// use signal::abi::{HostEvent, TYPE_DEPTH};
    /// assert!(HostEvent::from_bytes(TYPE_DEPTH, &[0; 393]).is_some());
    /// assert!(HostEvent::from_bytes(TYPE_DEPTH, &[0; 392]).is_none());
    /// assert!(HostEvent::from_bytes(7, &[0; 393]).is_none());
    /// ```
    pub fn from_bytes(message_type: i32, payload: &'a [u8]) -> Option<Self> {
        match EventKind::from_type(message_type)? {
            EventKind::Depth => bytemuck::try_from_bytes(payload).ok().map(Self::Depth),
            EventKind::Ticker => bytemuck::try_from_bytes(payload).ok().map(Self::Ticker),
            EventKind::Trade => bytemuck::try_from_bytes(payload).ok().map(Self::Trade),
            EventKind::IndexPrice => bytemuck::try_from_bytes(payload).ok().map(Self::IndexPrice),
        }
    }

    /// The event's kind.
    #[inline]
    pub fn kind(&self) -> EventKind {
        match self {
            Self::Depth(_) => EventKind::Depth,
            Self::Ticker(_) => EventKind::Ticker,
            Self::Trade(_) => EventKind::Trade,
            Self::IndexPrice(_) => EventKind::IndexPrice,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn f64_at(bytes: &[u8], offset: usize) -> u64 {
        u64::from_le_bytes(bytes[offset..offset + 8].try_into().unwrap())
    }

    proptest! {
        /// Fields are at the offsets of the host's table, at any alignment, and any bytes are a
        /// valid struct.
        #[test]
        fn fields_decode_from_any_bytes_at_any_alignment(
            bytes in proptest::collection::vec(any::<u8>(), 393 + 64),
            start in 0usize..64,
        ) {
            let payload = &bytes[start..start + 393];
            let Some(HostEvent::Depth(depth)) = HostEvent::from_bytes(TYPE_DEPTH, payload) else {
                return Err(TestCaseError::fail("a Depth of the right size is one"));
            };
            prop_assert_eq!(depth.data_time.get() as u64, f64_at(payload, 64));
            prop_assert_eq!(depth.instrument_type, payload[72] as i8);
            for level in 0..LEVELS {
                prop_assert_eq!(depth.bid_price[level].get().to_bits(), f64_at(payload, 73 + 8 * level));
                prop_assert_eq!(depth.ask_price[level].get().to_bits(), f64_at(payload, 153 + 8 * level));
                prop_assert_eq!(depth.bid_volume[level].get().to_bits(), f64_at(payload, 233 + 8 * level));
                prop_assert_eq!(depth.ask_volume[level].get().to_bits(), f64_at(payload, 313 + 8 * level));
            }
            let Some(HostEvent::Trade(trade)) = HostEvent::from_bytes(TYPE_TRADE, &payload[..131]) else {
                return Err(TestCaseError::fail("a Trade of the right size is one"));
            };
            prop_assert_eq!(trade.price.get().to_bits(), f64_at(payload, 105));
            prop_assert_eq!(trade.trade_time.get() as u64, f64_at(payload, 123));
            prop_assert_eq!(trade.side, payload[121] as i8);
            let symbol = text(&depth.symbol);
            prop_assert!(symbol.len() <= SYMBOL_LEN && !symbol.contains(&0));
            prop_assert!(symbol.len() == SYMBOL_LEN || depth.symbol[symbol.len()] == 0);
        }
    }

    #[test]
    fn numbers_are_packed_as_they_are() {
        for number in [0, 1, -1, 77, i32::MIN] {
            assert_eq!(PackedI32::from(number).get(), number);
            assert_eq!(
                PackedI64::from(i64::from(number) << 7).get(),
                i64::from(number) << 7
            );
            assert_eq!(PackedF64::from(f64::from(number)).get(), f64::from(number));
        }
    }

    #[test]
    fn kinds_and_message_types_are_each_others() {
        let types = EventKind::ALL.map(EventKind::message_type);
        assert_eq!(types, [101, 102, 103, 104]);
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_type(kind.message_type()), Some(kind));
            assert_eq!(EventKind::ALL[kind as usize], kind);
        }
        for other in [0, 100, 105, -101] {
            assert_eq!(EventKind::from_type(other), None);
        }
    }

    #[test]
    fn a_payload_is_the_event_of_its_type_and_length() {
        let bytes = [0; 400];
        for (kind, length) in EventKind::ALL.into_iter().zip([393, 105, 131, 57]) {
            let event =
                |length: usize| HostEvent::from_bytes(kind.message_type(), &bytes[..length]);
            assert_eq!(event(length).map(|event| event.kind()), Some(kind));
            assert!(event(length - 1).is_none() && event(length + 1).is_none());
        }
    }
}
