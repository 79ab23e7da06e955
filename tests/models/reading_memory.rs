//! The memory needed to read a file, as a multiple of its size: no more than
//! `signal_create` checks for before it reads one. The files have the shapes that need
//! most.

use std::fmt::Write;

use signal::models::{Check, LightGbm, Linear, XgBoost};
use support::meters;

/// As in `src/models/room.rs`, without the file's own bytes, which are already in memory.
const OF_LINEAR: usize = 32 - 1;
const OF_TREES: usize = 12 - 1;
const OF_CHECK: usize = 32 - 1;
const OF_TABLES: usize = 16 << 20;

fn repeated(part: &str, count: usize) -> String {
    let mut text = part.repeat(count);
    text.pop();
    text
}

fn takes(what: &str, file: &str, most: usize, read: fn(&[u8])) {
    let ((), peak) = meters::peak(|| read(file.as_bytes()));
    println!(
        "{what}: {:.1} for each byte",
        peak as f64 / file.len() as f64
    );
    assert!(peak <= most, "{what}: {peak} bytes for {}", file.len());
}

#[test]
fn reading_a_file_takes_no_more_than_is_asked_for() {
    const COUNT: usize = 300_000;
    for row in ["[],", "[0],", "[0,0],", "[0,0,0,0,0],", "[null],"] {
        let rows = repeated(row, COUNT);
        let file = format!(r#"{{"tolerance":1,"inputs":[{rows}],"outputs":[{rows}]}}"#);
        takes(row, &file, OF_CHECK * file.len(), |bytes| {
            drop(Check::parse(bytes).unwrap());
        });
    }
    let weights = repeated("0,", COUNT);
    let names = repeated(r#""","#, COUNT);
    for more in ["", &format!(r#","factors":[{names}]"#)] {
        let file = format!(r#"{{"weights":[{weights}],"bias":0{more}}}"#);
        takes("weights", &file, OF_LINEAR * file.len(), |bytes| {
            drop(Linear::parse(bytes).unwrap());
        });
    }
    for (trees, leaves) in [(2, 50_000), (1000, 31), (20_000, 2)] {
        let most = |file: &str| OF_TREES * file.len() + OF_TABLES;
        let file = lightgbm(trees, leaves);
        takes("LightGBM", &file, most(&file), |bytes| {
            drop(LightGbm::parse(bytes).unwrap());
        });
        let file = xgboost(trees, leaves);
        takes("XGBoost", &file, most(&file), |bytes| {
            drop(XgBoost::parse(bytes).unwrap());
        });
    }
}

/// Trees that are chains of splits, with each number as short as possible.
fn lightgbm(trees: usize, leaves: usize) -> String {
    let mut file = String::from(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\n\
         objective=regression\nfeature_names=a b\n\n",
    );
    let splits = leaves - 1;
    let list = |of: &dyn Fn(usize) -> String, count| {
        let numbers: Vec<_> = (0..count).map(of).collect();
        numbers.join(" ")
    };
    let same = |text: &'static str, count| list(&|_| text.into(), count);
    let left = list(&|index| (-1 - index as i64).to_string(), splits);
    let right = list(
        &|index| match index + 1 < splits {
            true => (index + 1).to_string(),
            false => (-1 - splits as i64).to_string(),
        },
        splits,
    );
    let thresholds = list(&|index| (index % 7).to_string(), splits);
    for tree in 0..trees {
        let (zeros, twos) = (same("0", splits), same("2", splits));
        let values = same("1", leaves);
        writeln!(
            file,
            "Tree={tree}\nnum_leaves={leaves}\nnum_cat=0\nsplit_feature={zeros}\n\
             threshold={thresholds}\ndecision_type={twos}\nleft_child={left}\n\
             right_child={right}\nleaf_value={values}\nis_linear=0\nshrinkage=1\n"
        )
        .unwrap();
    }
    file + "end of trees\n"
}

fn xgboost(trees: usize, leaves: usize) -> String {
    let nodes = 2 * leaves - 1;
    let is_split = |node: usize| node.is_multiple_of(2) && node + 1 < nodes;
    let list = |of: &dyn Fn(usize) -> i64| {
        let numbers: Vec<_> = (0..nodes).map(|node| of(node).to_string()).collect();
        numbers.join(",")
    };
    let child = |node: usize, by: usize| {
        if is_split(node) {
            (node + by) as i64
        } else {
            -1
        }
    };
    let (left, right) = (list(&|node| child(node, 1)), list(&|node| child(node, 2)));
    let (zeros, values) = (list(&|_| 0), list(&|node| (node % 7) as i64));
    let tree = format!(
        r#"{{"left_children":[{left}],"right_children":[{right}],"split_indices":[{zeros}],"split_conditions":[{values}],"default_left":[{zeros}],"tree_param":{{}}}},"#
    );
    let trees = repeated(&tree, trees);
    format!(
        r#"{{"learner":{{"gradient_booster":{{"name":"gbtree","model":{{"trees":[{trees}]}}}},"learner_model_param":{{"base_score":"0","num_feature":"2"}},"objective":{{"name":"reg:squarederror"}}}},"version":[2,0,0]}}"#
    )
}
