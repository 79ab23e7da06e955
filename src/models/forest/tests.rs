//! Every plan against a recursive evaluation of the splits.

use proptest::prelude::*;

use super::split::Scalar;
use super::*;
use crate::sync::prefetch;

/// Values at which tests change their results.
const SPECIAL: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    2.0,
    7.0,
    7.5,
    1e-35,
    -1e-35,
    5e-324,
    1e300,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
];

trait Number: Scalar + std::fmt::Debug {
    fn of(x: f64) -> Self;
}

impl Number for f64 {
    fn of(x: f64) -> Self {
        x
    }
}

impl Number for f32 {
    fn of(x: f64) -> Self {
        x as f32
    }
}

fn value<T: Number>(random: &mut fastrand::Rng) -> T {
    T::of(match random.u8(..8) {
        0..3 => SPECIAL[random.usize(..SPECIAL.len())],
        3..5 => f64::from(random.i8(..)),
        5 => f64::from_bits(random.u64(..)),
        _ => random.f64() * 8.0 - 4.0,
    })
}

fn test<T: Number>(random: &mut fastrand::Rng, kinds: u8) -> Test<T> {
    let t = value::<T>(random);
    match random.u8(..kinds) {
        0 => Test::Leq(t),
        1 => Test::Lt(t),
        2 => Test::Gte(t),
        3 => Test::Gt(t),
        4 => Test::Eq(t),
        5 => Test::Neq(t),
        _ => Test::In((0..random.usize(..4)).map(|_| random.u32(..)).collect()),
    }
}

type Made<T> = (Child<u32>, Vec<Split<T, u32>>);

/// A tree of random shape, with splits in random order and leaves numbered from `leaf`.
fn tree<T: Number>(
    random: &mut fastrand::Rng,
    features: usize,
    leaves: usize,
    kinds: u8,
    mut leaf: u32,
) -> Made<T> {
    let count = leaves - 1;
    let mut place: Vec<usize> = (0..count).collect();
    random.shuffle(&mut place);
    let mut splits: Vec<Option<Split<T, u32>>> = vec![None; count];
    let mut next = || {
        leaf += 1;
        Child::Leaf(leaf - 1)
    };
    // Leaves that may still become splits: (the split above, which side).
    let mut open: Vec<(usize, bool)> = Vec::new();
    for &at in &place {
        if !open.is_empty() {
            let (above, yes) = open.swap_remove(random.usize(..open.len()));
            let above = splits[above].as_mut().unwrap();
            *(if yes { &mut above.yes } else { &mut above.no }) = Child::Split(at);
        }
        splits[at] = Some(Split {
            feature: random.usize(..features),
            test: test(random, kinds),
            nan: random.bool(),
            zero: if kinds > 4 && random.u8(..4) == 0 {
                T::of(1e-35)
            } else {
                T::NAN
            },
            yes: next(),
            no: next(),
        });
        open.extend([(at, true), (at, false)]);
    }
    let root = place.first().map_or_else(next, |&at| Child::Split(at));
    (root, splits.into_iter().map(Option::unwrap).collect())
}

fn follow<T: Number>(at: Child<u32>, splits: &[Split<T, u32>], x: &[T]) -> u32 {
    match at {
        Child::Leaf(leaf) => leaf,
        Child::Split(index) => {
            let split = &splits[index];
            let x0 = x[split.feature];
            let zero = x0 >= -split.zero && x0 <= split.zero;
            let yes = if x0.is_nan() || zero {
                split.nan
            } else {
                match &split.test {
                    Test::Leq(t) => x0 <= *t,
                    Test::Lt(t) => x0 < *t,
                    Test::Gte(t) => x0 >= *t,
                    Test::Gt(t) => x0 > *t,
                    Test::Eq(t) => x0 == *t,
                    Test::Neq(t) => x0 != *t,
                    Test::In(set) => (0..set.len() as u32 * 32).any(|c| {
                        let category = x0.category() == Some(c);
                        category && set[c as usize / 32] & (1 << (c % 32)) != 0
                    }),
                }
            };
            follow(if yes { split.yes } else { split.no }, splits, x)
        }
    }
}

fn agree<T: Number>(seed: u64, trees: usize, leaves: usize, kinds: u8) {
    let random = &mut fastrand::Rng::with_seed(seed);
    let features = random.usize(1..20);
    let mut builder = Builder::new(features);
    let mut made: Vec<Made<T>> = Vec::new();
    for index in 0..trees {
        let leaves = random.usize(1..=leaves);
        let tree = tree(random, features, leaves, kinds, index as u32 * 1000);
        builder.add(tree.0, &tree.1).unwrap();
        made.push(tree);
    }
    let mut walk = builder.clone().walk();
    let mut forest = builder.build();
    let mut found = Vec::new();
    for _ in 0..50 {
        let x: Vec<T> = (0..features).map(|_| value(random)).collect();
        found.clear();
        forest.run(x.iter().copied(), |leaf| found.push(leaf));
        let expected: Vec<u32> = made
            .iter()
            .map(|(root, splits)| follow(*root, splits, &x))
            .collect();
        assert_eq!(found, expected, "{x:?}");
        found.clear();
        walk.run(x.iter().copied(), |leaf| found.push(leaf));
        assert_eq!(found, expected, "walk, {x:?}");
    }
}

proptest! {
    #[test]
    fn leaves_are_those_of_a_recursion(
        seed: u64,
        trees in 0usize..40,
        leaves in prop::sample::select(vec![1usize, 2, 31, 32, 33, 64, 65, 128, 129, 256, 300]),
        kinds in prop::sample::select(vec![1u8, 2, 4, 5, 7]),
    ) {
        agree::<f64>(seed, trees, leaves, kinds);
        agree::<f32>(seed, trees, leaves, kinds);
    }
}

fn split(feature: usize, yes: Child<f64>, no: Child<f64>) -> Split<f64, f64> {
    Split {
        feature,
        test: Test::Leq(0.0),
        nan: false,
        zero: f64::NAN,
        yes,
        no,
    }
}

impl Test<f64> {
    fn is_ordered(&self) -> bool {
        match self {
            Test::Leq(t) | Test::Lt(t) | Test::Gte(t) | Test::Gt(t) => !t.is_nan(),
            _ => false,
        }
    }
}

fn plan(test: Test<f64>, splits: usize) -> Plan<f64, f64> {
    let mut builder = Builder::new(1);
    let leaf = Child::Leaf(1.0);
    let chain: Vec<_> = (1..=splits)
        .map(|next| Split {
            test: test.clone(),
            ..split(
                0,
                leaf,
                if next < splits {
                    Child::Split(next)
                } else {
                    leaf
                },
            )
        })
        .collect();
    builder.add(Child::Split(0), &chain).unwrap();
    assert_eq!(
        builder.clone().walk().stated.len(),
        if test.is_ordered() { 0 } else { splits }
    );
    builder.build().0
}

#[test]
fn small_trees_run_on_a_table_and_only_unordered_tests_are_stated() {
    use Test::{Eq, Gt, Gte, In, Leq, Lt, Neq};
    for test in [Leq(1.0), Lt(1.0), Gte(1.0), Gt(1.0), Eq(1.0), Neq(1.0)] {
        assert!(matches!(plan(test.clone(), 31), Plan::Narrow(_)));
        assert!(matches!(plan(test.clone(), 32), Plan::Wide(_)));
        assert!(matches!(plan(test.clone(), 127), Plan::Double(_)));
        assert!(matches!(plan(test.clone(), 255), Plan::Quadruple(_)));
        assert!(matches!(plan(test, 256), Plan::Walk(_)));
    }
    for of in [Leq, Lt, Gte, Gt] {
        assert!(matches!(plan(of(f64::NAN), 1), Plan::Narrow(_)));
    }
    // As many categories as a table can hold.
    assert!(matches!(plan(In(vec![1; 1024].into()), 1), Plan::Narrow(_)));
    assert!(matches!(plan(In(vec![1; 1025].into()), 1), Plan::Walk(_)));
}

#[test]
fn what_is_not_a_tree_is_refused() {
    let leaf = Child::Leaf(1.0);
    let refusal = |root, splits: &[Split<f64, f64>]| {
        Builder::new(2).add(root, splits).unwrap_err().to_string()
    };
    let error = refusal(Child::Split(0), &[split(2, leaf, leaf)]);
    assert!(error.contains("feature 2, but there are 2"), "{error}");
    let error = refusal(Child::Split(0), &[split(0, leaf, Child::Split(1))]);
    assert!(error.contains("split 0 leads to split 1"), "{error}");
    let error = refusal(Child::Split(0), &[split(0, leaf, Child::Split(0))]);
    assert!(error.contains("several paths lead to split 0"), "{error}");
    let error = refusal(
        Child::Split(0),
        &[
            split(0, Child::Split(1), Child::Split(1)),
            split(0, leaf, leaf),
        ],
    );
    assert!(error.contains("several paths lead to split 1"), "{error}");
    let error = refusal(leaf, &[split(0, leaf, leaf)]);
    assert!(error.contains("nothing leads to split 0"), "{error}");
    assert!(refusal(Child::Split(0), &[]).contains("the root leads to split 0"));
}

#[test]
fn keys_order_numbers() {
    let sorted = [
        f64::NEG_INFINITY,
        -1e300,
        -1.0,
        -5e-324,
        0.0,
        5e-324,
        1.0,
        1e300,
        f64::INFINITY,
        f64::NAN,
    ];
    assert!(sorted.is_sorted_by(|a, b| a.key() < b.key()));
    assert_eq!((-0.0f64).key(), 0.0f64.key());
    assert_eq!((-f64::NAN).key(), f64::NAN.key());
    assert_eq!(f64::of_key(1.5f64.key()), 1.5);
    assert_eq!(f32::of_key((-1.5f32).key()), -1.5);
    assert!(f32::of_key(f32::INFINITY.key() + 1).is_nan());
    assert_eq!(f32::of_category(16_777_217), 16_777_218.0);
}

#[test]
fn a_large_forest_prefetches_as_many_lines_as_it_may_and_a_small_one_fewer() {
    let random = &mut fastrand::Rng::with_seed(1);
    for (trees, leaves, is_large) in [(3, 8, false), (500, 31, true), (200, 300, true)] {
        let mut builder = Builder::new(15);
        for _ in 0..trees {
            let (root, splits) = tree::<f64>(random, 15, leaves, 4, 0);
            builder.add(root, &splits).unwrap();
        }
        let walk = Forest(Plan::Walk(builder.clone().walk()));
        for mut forest in [builder.build(), walk] {
            // Before the first run, too.
            for _ in 0..2 {
                let lines = prefetch::counted(|| forest.prefetch(&mut Parts::of(256)));
                assert_eq!((lines == 256, lines > 2), (is_large, true), "{lines}");
                forest.run((0..15).map(|_| random.f64()), |_| ());
            }
        }
    }
}
