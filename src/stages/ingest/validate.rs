//! Whether an event's numbers can be.

use super::Refusal;
use crate::abi::EventKind;
use crate::messages::market::{Depth, IndexPrice, Ticker, Trade};
use crate::messages::{Body, RawHead};

#[inline(always)]
pub(super) fn body<'a>(
    head: &RawHead,
    values: &'a [f64],
    levels: usize,
) -> Result<Body<'a>, Refusal> {
    let timestamp = head.timestamp;
    // The host's thread wrote `kind` from an `EventKind`.
    match EventKind::ALL[usize::from(head.kind)] {
        EventKind::Depth => {
            let depth = Depth::from_values(timestamp, &values[..4 * levels]);
            check_side(depth.bid_price, depth.bid_volume)?;
            check_side(depth.ask_price, depth.ask_volume)?;
            Ok(Body::Depth(depth))
        }
        EventKind::Ticker => {
            let ticker = Ticker::from_values(timestamp, values);
            check_price(ticker.bid_price)?;
            check_price(ticker.ask_price)?;
            check_size(ticker.bid_volume)?;
            check_size(ticker.ask_volume)?;
            Ok(Body::Ticker(ticker))
        }
        EventKind::Trade => {
            let trade = Trade::from_values(timestamp, head.side, values);
            check_price(trade.price)?;
            check_size(trade.volume)?;
            Ok(Body::Trade(trade))
        }
        EventKind::IndexPrice => {
            let price = values[0];
            check_price(price)?;
            Ok(Body::IndexPrice(IndexPrice { price }))
        }
    }
}

/// The best level must be there; a deeper one may be absent, that is all zero,
/// because thin books have fewer levels than the host's struct.
#[inline(always)]
fn check_side(prices: &[f64], sizes: &[f64]) -> Result<(), Refusal> {
    if prices[0] > 0.0 && are_levels(prices, sizes) {
        Ok(())
    } else {
        refuse_side(prices, sizes)
    }
}

/// Sums side by side: as many as a vector of the oldest x86-64 holds.
const LANES: usize = 2;

/// Whether all levels are in order, without a branch for each: no number is
/// negative, the sum of all is finite, and no level has a size without a price.
/// False also where sums of finite numbers overflow: look again then.
#[inline(always)]
fn are_levels(prices: &[f64], sizes: &[f64]) -> bool {
    let (mut sum, mut least, mut orphans) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, price: f64, size: f64| {
        sum[lane] += price + size;
        let less = if price < size { price } else { size };
        least[lane] = if less < least[lane] {
            less
        } else {
            least[lane]
        };
        orphans[lane] += if price == 0.0 { size } else { 0.0 };
    };
    let (mut prices, mut sizes) = (prices.chunks_exact(LANES), sizes.chunks_exact(LANES));
    for (price, size) in prices.by_ref().zip(sizes.by_ref()) {
        for lane in 0..LANES {
            add(lane, price[lane], size[lane]);
        }
    }
    if let ([price], [size]) = (prices.remainder(), sizes.remainder()) {
        add(0, *price, *size);
    }
    // NaN or infinite if any number is.
    let sum = sum[0] + sum[1];
    (sum * 0.0 == 0.0) & (least[0] == 0.0) & (least[1] == 0.0) & (orphans[0] + orphans[1] == 0.0)
}

/// Says what is wrong first.
#[cold]
#[inline(never)]
fn refuse_side(prices: &[f64], sizes: &[f64]) -> Result<(), Refusal> {
    check_price(prices[0])?;
    check_size(sizes[0])?;
    for (&price, &size) in prices[1..].iter().zip(&sizes[1..]) {
        if price != 0.0 || size != 0.0 {
            check_price(price)?;
            check_size(size)?;
        }
    }
    Ok(())
}

#[inline]
fn check_price(price: f64) -> Result<(), Refusal> {
    is_price(price).then_some(()).ok_or(Refusal::BadPrice)
}

#[inline]
fn is_price(price: f64) -> bool {
    (price > 0.0) & (price < f64::INFINITY)
}

#[inline]
fn check_size(size: f64) -> Result<(), Refusal> {
    is_size(size).then_some(()).ok_or(Refusal::BadSize)
}

#[inline]
fn is_size(size: f64) -> bool {
    (0.0..f64::INFINITY).contains(&size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What books are made of, and what spoils them.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => 0.001..1e6f64,
            2 => prop::sample::select(vec![0.0, -0.0, f64::MIN_POSITIVE / 2.0, f64::MAX]),
            1 => prop::sample::select(vec![-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        ]
    }

    proptest! {
        #[test]
        fn a_side_is_refused_as_level_by_level(
            levels in prop::collection::vec((number(), number()), 1..=10)
        ) {
            let (prices, sizes): (Vec<f64>, Vec<f64>) = levels.into_iter().unzip();
            prop_assert_eq!(check_side(&prices, &sizes), refuse_side(&prices, &sizes));
        }
    }
}
