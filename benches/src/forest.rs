//! Ensembles of trees to time: LightGBM's text, made from a seed and from factor
//! vectors, so that each split parts some of them.

use std::fmt::Write;

use fastrand::Rng;

/// Leaves of each tree: LightGBM's default.
pub const LEAVES: usize = 31;
/// Thresholds that a feature can have: LightGBM's default `max_bin`.
const BINS: usize = 255;

/// Children of a split: a split's number, or a leaf's complement.
#[derive(Clone, Copy)]
struct Split {
    feature: usize,
    threshold: f64,
    children: [i64; 2],
}

/// So many trees of [`LEAVES`] leaves, as LightGBM's `save_model` writes them. A split's
/// threshold is a value that its feature has in one of the first 255 `rows`.
///
/// # Panics
///
/// If there are no rows.
pub fn lightgbm(trees: usize, rows: &[Vec<f64>], seed: u64) -> String {
    let features = rows[0].len();
    let mut rng = Rng::with_seed(seed);
    let names: Vec<String> = (0..features).map(|place| format!("f{place}")).collect();
    let mut text = format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx={}\n\
         objective=regression\nfeature_names={}\ntree_sizes={}\n\n",
        features - 1,
        names.join(" "),
        vec!["1"; trees].join(" "),
    );
    for tree in 0..trees {
        let splits = grow(rows, &mut rng);
        let list = |item: &dyn Fn(&Split) -> String| -> String {
            splits.iter().map(item).collect::<Vec<_>>().join(" ")
        };
        let leaves: Vec<String> = (0..LEAVES).map(|_| (rng.f64() - 0.5).to_string()).collect();
        // Writing to a String does not fail.
        let _ = write!(
            text,
            "Tree={tree}\nnum_leaves={LEAVES}\nnum_cat=0\nsplit_feature={}\nthreshold={}\n\
             decision_type={}\nleft_child={}\nright_child={}\nleaf_value={}\nis_linear=0\n\
             shrinkage=1\n\n",
            list(&|split| split.feature.to_string()),
            list(&|split| split.threshold.to_string()),
            list(&|_| "2".into()),
            list(&|split| split.children[0].to_string()),
            list(&|split| split.children[1].to_string()),
            leaves.join(" "),
        );
    }
    text.push_str("end of trees\n");
    text
}

/// Leaf by leaf: a leaf drawn by lot becomes a split, as `num_leaves` - 1 times.
fn grow(rows: &[Vec<f64>], rng: &mut Rng) -> Vec<Split> {
    let mut splits: Vec<Split> = Vec::with_capacity(LEAVES - 1);
    // Where each leaf hangs: a split and its side; the first is the root.
    let mut leaves: Vec<Option<(usize, usize)>> = vec![None];
    while leaves.len() < LEAVES {
        let leaf = rng.usize(..leaves.len());
        let feature = rng.usize(..rows[0].len());
        let split = splits.len();
        if let Some((parent, side)) = leaves[leaf] {
            splits[parent].children[side] = split as i64;
        }
        splits.push(Split {
            feature,
            threshold: rows[rng.usize(..rows.len().min(BINS))][feature],
            children: [!(leaf as i64), !(leaves.len() as i64)],
        });
        leaves[leaf] = Some((split, 0));
        leaves.push(Some((split, 1)));
    }
    splits
}

#[cfg(test)]
mod tests {
    use super::*;
    use signal::models::{LightGbm, Model};

    fn rows() -> Vec<Vec<f64>> {
        let mut rng = Rng::with_seed(1);
        (0..64)
            .map(|_| (0..15).map(|_| rng.f64()).collect())
            .collect()
    }

    #[test]
    fn the_library_reads_what_is_made() {
        let mut model = LightGbm::parse(lightgbm(10, &rows(), 1).as_bytes()).unwrap();
        assert_eq!(model.inputs(), 15);
        let mut outputs: Vec<u64> = rows()
            .iter()
            .map(|row| {
                let mut out = [0.0];
                model.run(signal::InstrumentId(0), row, &mut out);
                out[0].to_bits()
            })
            .collect();
        outputs.sort_unstable();
        outputs.dedup();
        assert!(
            outputs.len() > 32,
            "rows take different ways: {}",
            outputs.len()
        );
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(lightgbm(3, &rows(), 7), lightgbm(3, &rows(), 7));
        assert_ne!(lightgbm(3, &rows(), 7), lightgbm(3, &rows(), 8));
    }
}
