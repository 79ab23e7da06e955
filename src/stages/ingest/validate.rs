//! Checks an event's numbers.

use serde::Serialize;

use super::Refusal;
use crate::abi::EventKind;
use crate::messages::market::{Depth, IndexPrice, MAX_PRICE, MAX_SIZE, Ticker, Trade};
use crate::messages::{Body, RawHead};

/// The greatest numbers that are accepted. Gateways write a missing value as the greatest
/// `double`, or as another number that no market has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default, deny_unknown_fields))]
pub struct Limits {
    /// The greatest price, in quote currency; an event with a higher one is refused
    /// and counted in `refused_bad_price`. Above 0 and finite. Default 1e12.
    #[cfg_attr(test, schemars(extend("exclusiveMinimum" = 0)))]
    pub max_price: f64,
    /// The greatest size, in the exchange's size unit; an event with a greater one is
    /// refused and counted in `refused_bad_size`. Above 0 and finite. Default 1e18.
    #[cfg_attr(test, schemars(extend("exclusiveMinimum" = 0)))]
    pub max_size: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_price: MAX_PRICE,
            max_size: MAX_SIZE,
        }
    }
}

#[inline(always)]
pub(super) fn body<'a>(
    head: &RawHead,
    values: &'a [f64],
    levels: usize,
    limits: &Limits,
) -> Result<Body<'a>, Refusal> {
    let timestamp = head.timestamp;
    // The host's thread wrote `kind` from an `EventKind`.
    match EventKind::ALL[usize::from(head.kind)] {
        EventKind::Depth => {
            let depth = Depth::from_values(timestamp, &values[..4 * levels]);
            check_side(depth.bid_price, depth.bid_volume, limits)?;
            check_side(depth.ask_price, depth.ask_volume, limits)?;
            Ok(Body::Depth(depth))
        }
        EventKind::Ticker => {
            let ticker = Ticker::from_values(timestamp, values);
            check_price(ticker.bid_price, limits)?;
            check_price(ticker.ask_price, limits)?;
            check_size(ticker.bid_volume, limits)?;
            check_size(ticker.ask_volume, limits)?;
            Ok(Body::Ticker(ticker))
        }
        EventKind::Trade => {
            let trade = Trade::from_values(timestamp, head.side, values);
            check_price(trade.price, limits)?;
            check_size(trade.volume, limits)?;
            Ok(Body::Trade(trade))
        }
        EventKind::IndexPrice => {
            let price = values[0];
            check_price(price, limits)?;
            Ok(Body::IndexPrice(IndexPrice { price }))
        }
    }
}

/// The best level must be present. A deeper one may be absent (all zero), because thin books
/// have fewer levels than the host's struct.
#[inline(always)]
fn check_side(prices: &[f64], sizes: &[f64], limits: &Limits) -> Result<(), Refusal> {
    // If no set reads deeper levels, the sums cost more than they save.
    if let (&[price], &[size]) = (prices, sizes) {
        check_price(price, limits)?;
        return check_size(size, limits);
    }
    if prices[0] > 0.0 && are_levels(prices, sizes, limits) {
        Ok(())
    } else {
        look_again(prices, sizes, limits)
    }
}

/// Number of parallel sums: as many as a vector of the oldest x86-64 holds.
const LANES: usize = 2;

/// Whether all levels are in order, without a branch for each. No number is negative, the sum
/// of all prices and the sum of all sizes are within the limit of a single one, and no level
/// has a size without a price. Also false if only a sum is above the limit: then the levels
/// are checked one by one.
#[inline(always)]
fn are_levels(prices: &[f64], sizes: &[f64], limits: &Limits) -> bool {
    let (mut all_prices, mut all_sizes) = ([0.0; LANES], [0.0; LANES]);
    let (mut least, mut orphans) = ([0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, price: f64, size: f64| {
        all_prices[lane] += price;
        all_sizes[lane] += size;
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
    // A sum is NaN, and so not within the limit, if any number is NaN.
    let within = (all_prices[0] + all_prices[1] <= limits.max_price)
        & (all_sizes[0] + all_sizes[1] <= limits.max_size);
    within & (least[0] == 0.0) & (least[1] == 0.0) & (orphans[0] + orphans[1] == 0.0)
}

/// Checks level by level and returns the first error, if there is one.
#[cold]
#[inline(never)]
fn look_again(prices: &[f64], sizes: &[f64], limits: &Limits) -> Result<(), Refusal> {
    check_price(prices[0], limits)?;
    check_size(sizes[0], limits)?;
    for (&price, &size) in prices[1..].iter().zip(&sizes[1..]) {
        if price != 0.0 || size != 0.0 {
            check_price(price, limits)?;
            check_size(size, limits)?;
        }
    }
    Ok(())
}

#[inline]
fn check_price(price: f64, limits: &Limits) -> Result<(), Refusal> {
    let is_price = (price > 0.0) & (price <= limits.max_price);
    is_price.then_some(()).ok_or(Refusal::BadPrice)
}

#[inline]
fn check_size(size: f64, limits: &Limits) -> Result<(), Refusal> {
    let is_size = (size >= 0.0) & (size <= limits.max_size);
    is_size.then_some(()).ok_or(Refusal::BadSize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Numbers that books contain, and numbers that make them invalid.
    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            8 => 0.001..1e6f64,
            2 => prop::sample::select(vec![0.0, -0.0, f64::MIN_POSITIVE / 2.0, f64::MAX, 1e308]),
            1 => prop::sample::select(vec![-1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
        ]
    }

    /// Some limits are below a single number, some only below the sum.
    fn limit() -> impl Strategy<Value = f64> {
        prop_oneof![1.0..1e7f64, Just(1e12), Just(f64::MAX)]
    }

    proptest! {
        #[test]
        fn a_side_is_refused_as_level_by_level(
            levels in prop::collection::vec((number(), number()), 1..=10),
            max_price in limit(),
            max_size in limit(),
        ) {
            let limits = Limits { max_price, max_size };
            let (prices, sizes): (Vec<f64>, Vec<f64>) = levels.into_iter().unzip();
            prop_assert_eq!(
                check_side(&prices, &sizes, &limits),
                look_again(&prices, &sizes, &limits)
            );
        }
    }

    /// Every book of a few levels with the numbers that matter.
    #[test]
    fn no_side_is_taken_that_level_by_level_would_not_be() {
        let limits = Limits {
            max_price: 4.0,
            max_size: 4.0,
        };
        let all = [0.0, 1.0, 3.0, -1.0, 5.0, f64::NAN, f64::INFINITY];
        for (levels, numbers) in [(1, &all[..]), (2, &all), (3, &all[..5]), (4, &all[..3])] {
            for book in 0..numbers.len().pow(2 * levels) {
                let number = |place| numbers[book / numbers.len().pow(place) % numbers.len()];
                let prices: Vec<f64> = (0..levels).map(number).collect();
                let sizes: Vec<f64> = (levels..2 * levels).map(number).collect();
                assert_eq!(
                    check_side(&prices, &sizes, &limits),
                    look_again(&prices, &sizes, &limits),
                    "{prices:?} {sizes:?}"
                );
            }
        }
    }

    #[test]
    fn a_number_at_its_limit_is_taken_and_the_next_one_is_not() {
        let limits = Limits::default();
        let (price, size) = (limits.max_price, limits.max_size);
        assert_eq!(check_side(&[price; 10], &[size; 10], &limits), Ok(()));
        for level in 0..10 {
            let mut prices = [price; 10];
            prices[level] = price.next_up();
            let refused = check_side(&prices, &[0.0; 10], &limits);
            assert_eq!(refused, Err(Refusal::BadPrice), "level {level}");
            let mut sizes = [size; 10];
            sizes[level] = size.next_up();
            let refused = check_side(&[price; 10], &sizes, &limits);
            assert_eq!(refused, Err(Refusal::BadSize), "level {level}");
        }
    }
}
