//! A factor set as wide as one likes: what a set of one's own costs as it grows.

use signal::factors::{Depth, FactorSet, NoParams};

/// Levels whose imbalances the factors are means of.
const READ: usize = 5;

/// `N` factors: means of the imbalance of sizes at one of five levels, each over
/// another span.
#[derive(Clone, Debug)]
pub struct Wide<const N: usize>([f64; N]);

const NAMES: [&str; 64] = [
    "w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "w11", "w12", "w13", "w14",
    "w15", "w16", "w17", "w18", "w19", "w20", "w21", "w22", "w23", "w24", "w25", "w26", "w27",
    "w28", "w29", "w30", "w31", "w32", "w33", "w34", "w35", "w36", "w37", "w38", "w39", "w40",
    "w41", "w42", "w43", "w44", "w45", "w46", "w47", "w48", "w49", "w50", "w51", "w52", "w53",
    "w54", "w55", "w56", "w57", "w58", "w59", "w60", "w61", "w62", "w63",
];

/// What a new book weighs in each factor.
const WEIGHTS: [f64; 64] = {
    let mut weights = [0.0; 64];
    let mut place = 0;
    while place < weights.len() {
        weights[place] = 1.0 / (place + 2) as f64;
        place += 1;
    }
    weights
};

impl<const N: usize> FactorSet<N> for Wide<N> {
    const NAME: &'static str = "wide";
    const FACTORS: [&'static str; N] = *NAMES.first_chunk().expect("64 factors at most");
    const LEVELS: usize = READ;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self([0.0; N])
    }

    #[inline]
    fn on_depth(&mut self, depth: &Depth<'_>) {
        let mut imbalances = [0.0; READ];
        let sizes = depth.bid_volume.iter().zip(depth.ask_volume);
        for (imbalance, (bid, ask)) in imbalances.iter_mut().zip(sizes) {
            *imbalance = (bid - ask) / (bid + ask).max(f64::MIN_POSITIVE);
        }
        // Level by level round the factors, without a division for each.
        for (means, weights) in self.0.chunks_mut(READ).zip(WEIGHTS.chunks(READ)) {
            for ((mean, weight), imbalance) in means.iter_mut().zip(weights).zip(&imbalances) {
                *mean += weight * (imbalance - *mean);
            }
        }
    }

    fn write(&mut self, out: &mut [f64; N]) {
        *out = self.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal::testing;

    #[test]
    fn each_factor_is_a_mean_over_its_own_span() {
        let mut set = testing::instrument::<Wide<7>, _>("{}").unwrap();
        let mut next = |time, bid: f64, ask: f64| {
            let sides = [[1.0; READ], [2.0; READ], [bid; READ], [ask; READ]].concat();
            set.on_depth(&Depth::from_values(time, &sides));
            testing::vector(&mut set)
        };
        let first = next(0, 3.0, 1.0);
        assert_eq!((first[0], first[6]), (0.25, 0.5 / 8.0));
        assert_eq!(next(1, 1.0, 3.0)[0], -0.125);
    }
}
