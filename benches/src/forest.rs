//! Ensembles of trees to time: LightGBM's text, made from a seed and from factor
//! vectors, so that each split parts some of them.

use std::fmt::{Display, Write};

use fastrand::Rng;

/// Leaves of each tree: LightGBM's default.
pub const LEAVES: usize = 31;
/// Thresholds that a feature can have: LightGBM's default `max_bin`.
const BINS: usize = 255;

/// A tree as LightGBM writes it: an entry a split, then a value a leaf.
#[derive(Default)]
pub struct Tree<T> {
    pub features: Vec<usize>,
    pub thresholds: Vec<T>,
    /// A split's number, or a leaf's complement.
    pub children: Vec<[i64; 2]>,
    pub leaves: Vec<T>,
}

fn join(values: impl IntoIterator<Item = impl Display>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(" ")
}

/// As LightGBM's `save_model` writes them.
pub fn lightgbm_text<T: Display>(features: usize, trees: &[Tree<T>]) -> String {
    let mut text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nlabel_index=0\nmax_feature_idx={}\n\
         objective=regression\nfeature_names={}\nfeature_infos={}\ntree_sizes={}\n",
        features - 1,
        join((0..features).map(|place| format!("f{place}"))),
        join(vec!["none"; features]),
        join(vec![1; trees.len()]),
    );
    for (number, tree) in trees.iter().enumerate() {
        let side = |side: usize| join(tree.children.iter().map(|children| children[side]));
        let lines = [
            ("\nTree", number.to_string()),
            ("num_leaves", tree.leaves.len().to_string()),
            ("num_cat", "0".to_owned()),
            ("split_feature", join(&tree.features)),
            ("threshold", join(&tree.thresholds)),
            ("decision_type", join(vec![2; tree.features.len()])),
            ("left_child", side(0)),
            ("right_child", side(1)),
            ("leaf_value", join(&tree.leaves)),
            ("is_linear", "0".to_owned()),
            ("shrinkage", "1".to_owned()),
        ];
        for (key, value) in lines {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{key}={value}");
        }
    }
    text.push_str("\nend of trees\n");
    text
}

/// So many trees of [`LEAVES`] leaves, as text. A split's threshold is a value that its
/// feature has in one of the first 255 `rows`, of which there is one at least.
pub fn lightgbm(trees: usize, rows: &[Vec<f64>], seed: u64) -> String {
    let mut rng = Rng::with_seed(seed);
    let trees: Vec<Tree<f64>> = (0..trees).map(|_| grow(rows, &mut rng)).collect();
    lightgbm_text(rows[0].len(), &trees)
}

/// Leaf by leaf: a leaf drawn by lot becomes a split, as `num_leaves` - 1 times.
fn grow(rows: &[Vec<f64>], rng: &mut Rng) -> Tree<f64> {
    let mut tree = Tree::default();
    // Where each leaf hangs: a split and its side; the first is the root.
    let mut leaves: Vec<Option<(usize, usize)>> = vec![None];
    while leaves.len() < LEAVES {
        let leaf = rng.usize(..leaves.len());
        let feature = rng.usize(..rows[0].len());
        let split = tree.features.len();
        if let Some((parent, side)) = leaves[leaf] {
            tree.children[parent][side] = split as i64;
        }
        tree.features.push(feature);
        tree.thresholds
            .push(rows[rng.usize(..rows.len().min(BINS))][feature]);
        tree.children.push([!(leaf as i64), !(leaves.len() as i64)]);
        leaves[leaf] = Some((split, 0));
        leaves.push(Some((split, 1)));
    }
    tree.leaves = (0..LEAVES).map(|_| rng.f64() - 0.5).collect();
    tree
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use signal::models::{LightGbm, Model};

    use super::*;
    use crate::feed;

    /// Different sums of an ensemble that was made of these rows.
    fn sums(trees: usize, rows: &[Vec<f64>]) -> usize {
        let mut model = LightGbm::parse(lightgbm(trees, rows, 1).as_bytes()).unwrap();
        let sum = |row: &Vec<f64>| {
            let mut out = [0.0];
            model.run(signal::InstrumentId(0), row, &mut out);
            out[0].to_bits()
        };
        rows.iter().map(sum).collect::<BTreeSet<_>>().len()
    }

    #[test]
    fn rows_take_different_ways() {
        assert!(sums(10, &feed::market_rows(64, 1).unwrap()) > 32);
        let moving = feed::rows_of_moving_books().unwrap();
        assert!(sums(20, &moving) > moving.len() / 2);
    }
}
