//! The imbalance of a book's sizes.

use super::ratio;
use crate::abi::LEVELS;

/// Number of parallel sums: as many as two vector registers of the oldest x86-64 hold.
const LANES: usize = 4;

const _: () = assert!(LEVELS.is_multiple_of(2));

/// (sum of bids - sum of asks) / (sum of both); 0 if all sizes are 0.
///
/// The difference often cancels all but the last digits of the sums. So the rounding error of each
/// of its additions is summed separately: Ogita, Rump and Oishi, "Accurate Sum and Dot Product"
/// (2005), algorithm 4.4 (Sum2). The sum of both does not cancel.
#[inline]
pub(super) fn imbalance(bids: &[f64], asks: &[f64]) -> f64 {
    match (bids.first_chunk(), asks.first_chunk()) {
        (Some(bids), Some(asks)) => of_all(bids, asks),
        _ => of_all(&padded(bids), &padded(asks)),
    }
}

#[inline]
fn of_all(bids: &[f64; LEVELS], asks: &[f64; LEVELS]) -> f64 {
    let mut difference = [0.0; LANES];
    let mut lost = [0.0; LANES];
    let mut total = [0.0; LANES];
    for level in (0..LEVELS).step_by(2) {
        let terms = [bids[level], bids[level + 1], -asks[level], -asks[level + 1]];
        for lane in 0..LANES {
            let (sum, error) = two_sum(difference[lane], terms[lane]);
            difference[lane] = sum;
            lost[lane] += error;
            total[lane] += terms[lane].abs();
        }
    }
    let (left, left_error) = two_sum(difference[0], difference[2]);
    let (right, right_error) = two_sum(difference[1], difference[3]);
    let (sum, error) = two_sum(left, right);
    let lost = (lost[0] + lost[2]) + (lost[1] + lost[3]) + (left_error + right_error + error);
    let total = (total[0] + total[2]) + (total[1] + total[3]);
    ratio(sum + lost, total)
}

/// The sum and its rounding error: Knuth, "The Art of Computer Programming", volume 2, 4.2.2,
/// theorem B.
#[inline(always)]
fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let of_b = sum - a;
    (sum, (a - (sum - of_b)) + (b - of_b))
}

/// All levels of a slice that may be shorter, as in tests; missing levels are 0.
#[cold]
fn padded(sizes: &[f64]) -> [f64; LEVELS] {
    let mut all = [0.0; LEVELS];
    for (all, size) in all.iter_mut().zip(sizes) {
        *all = *size;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{LEVELS, imbalance};

    #[test]
    fn does_not_cancel() {
        // Plain sums lose the 1.0 in 1e17.
        let bids = [1e17, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0];
        let asks = [1e17, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert_eq!(imbalance(&bids, &asks), 2.0 / 2e17);
        assert_eq!(imbalance(&asks, &bids), -2.0 / 2e17);
    }

    /// Sizes of many magnitudes, almost all of them on both sides but at different levels.
    #[test]
    fn a_difference_that_cancels_is_as_exact_as_one_of_integers() {
        let mut random = fastrand::Rng::with_seed(7);
        for magnitude in (1..54).cycle().take(1_000) {
            let mut bids = [0i128; LEVELS];
            bids.fill_with(|| i128::from(random.u64(..1 << 53)) << random.u32(..40));
            bids[0] = i128::from(random.u64(..1 << magnitude));
            let mut asks = bids;
            asks[0] = i128::from(random.u64(..1 << magnitude));
            random.shuffle(&mut bids);
            random.shuffle(&mut asks);
            let sum = |sizes: &[i128]| sizes.iter().sum::<i128>();
            let total = sum(&bids) + sum(&asks);
            let exact = (sum(&bids) - sum(&asks)) as f64 / total as f64;
            let [bids, asks] = [bids, asks].map(|side| side.map(|size| size as f64));
            let error = imbalance(&bids, &asks) - exact;
            assert!(error.abs() <= 1e-14 * exact.abs(), "{bids:?} {asks:?}");
        }
    }

    #[test]
    fn takes_fewer_levels_and_no_sizes() {
        assert_eq!(imbalance(&[3.0], &[1.0]), 0.5);
        assert_eq!(imbalance(&[0.0; 10], &[0.0; 10]), 0.0);
        assert_eq!(imbalance(&[2.0; 10], &[0.0; 10]), 1.0);
        assert_eq!(imbalance(&[0.0; 10], &[2.0; 10]), -1.0);
    }
}
