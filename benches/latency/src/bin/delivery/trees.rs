//! A model of so many trees, as LightGBM would write it.

use std::fmt::Write;

/// Leaves of each tree, a power of two: every way to one takes five splits.
pub const LEAVES: usize = 32;
/// Factors of the set `market`.
const FACTORS: usize = 15;

/// The model's text. The thresholds lie among the values that the factors of the
/// bench's book take; the same number of trees makes the same text.
pub fn text(trees: usize) -> String {
    let mut random = 2024u64;
    let mut next = |below: u64| {
        // SplitMix64.
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    };
    let names = words((0..FACTORS).map(|factor| format!("Column_{factor}")));
    let mut text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\n\
         max_feature_idx={}\nobjective=regression\nfeature_names={names}\n\n",
        FACTORS - 1
    );
    let splits = LEAVES - 1;
    // A child beyond the last split is a leaf, which is written as its complement.
    let child = |node: usize| match node < splits {
        true => node as i64,
        false => !((node - splits) as i64),
    };
    for tree in 0..trees {
        let features: Vec<u64> = (0..splits).map(|_| next(FACTORS as u64)).collect();
        let thresholds = features.iter().map(|&feature| match feature {
            // Spread and prices.
            0 => 1.0 + next(100) as f64 / 100.0,
            1 | 4 => 100.9 + next(100) as f64 / 100.0,
            _ => next(100) as f64 / 100.0,
        });
        let thresholds = words(thresholds);
        let lines = [
            ("Tree", tree.to_string()),
            ("num_leaves", LEAVES.to_string()),
            ("num_cat", "0".to_owned()),
            ("split_feature", words(features.iter())),
            ("threshold", thresholds),
            ("decision_type", words((0..splits).map(|_| 2))),
            ("left_child", words((0..splits).map(|at| child(2 * at + 1)))),
            (
                "right_child",
                words((0..splits).map(|at| child(2 * at + 2))),
            ),
            (
                "leaf_value",
                words((0..LEAVES).map(|_| next(1000) as f64 / 1000.0 - 0.5)),
            ),
            ("is_linear", "0".to_owned()),
            ("shrinkage", "1".to_owned()),
        ];
        for (key, value) in lines {
            let _ = writeln!(text, "{key}={value}");
        }
        text.push('\n');
    }
    text.push_str("end of trees\n");
    text
}

fn words<T: ToString>(values: impl Iterator<Item = T>) -> String {
    values
        .map(|value| value.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use signal::models;

    use super::*;

    #[test]
    fn it_is_a_model_that_looks_at_its_factors() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.txt");
        std::fs::write(&file, text(20)).unwrap();
        let mut model = models::load(&file, None, &[]).unwrap();
        assert_eq!(model.inputs(), FACTORS);
        let mut run = |factors: [f64; FACTORS]| {
            let mut out = [0.0];
            model.run(&factors, &mut out);
            out[0]
        };
        assert_ne!(run([0.5; FACTORS]), run([0.1; FACTORS]));
    }
}
