//! The kernels against plain arithmetic in `f64`.

use proptest::prelude::*;

use super::{Activation, Dense, Isa, Lanes, blocks, flat};

fn kinds() -> Vec<Isa> {
    let mut kinds = vec![Isa::Portable, Isa::detect()];
    kinds.dedup();
    kinds
}

fn run(isa: Isa, dense: &Dense, x: &[f32]) -> Vec<f32> {
    let mut to = vec![Lanes([f32::NAN; 8]); blocks(dense.outputs())];
    isa.dense(dense, x, &mut to);
    flat(&to)[..dense.outputs()].to_vec()
}

fn activate(isa: Isa, activation: Activation, x: f32) -> f32 {
    let mut values = [Lanes([x; 8])];
    isa.activate(activation, &mut values);
    values[0].0[3]
}

#[test]
fn subnormal_weights_count_as_nothing_beside_large_ones() {
    let tiny = f32::MIN_POSITIVE / 4.0;
    let x = [f32::MAX, 0.5, 1.0];
    for (large, outputs) in [
        (0.5, [0.25, 0.0]),
        (0.0, [tiny * f32::MAX, tiny * f32::MAX]),
    ] {
        let dense = Dense::new(3, 2, |input, output| match (input, output) {
            (1, 0) => large,
            (0, _) => tiny,
            _ => 0.0,
        });
        for isa in kinds() {
            assert_eq!(run(isa, &dense, &x), outputs, "{isa:?}, {large}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn dense_equals_the_sum_of_products(
        inputs in 1usize..40,
        outputs in 1usize..90,
        seed in any::<u64>(),
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut numbers = |count: usize| -> Vec<f32> {
            (0..count).map(|_| random.f32() * 4.0 - 2.0).collect()
        };
        let (weights, bias, x) = (numbers(inputs * outputs), numbers(outputs), numbers(inputs));
        let mut dense = Dense::new(inputs, outputs, |input, output| weights[input * outputs + output]);
        dense.set_bias(&bias);
        for isa in kinds() {
            let ours = run(isa, &dense, &x);
            for output in 0..outputs {
                let (mut sum, mut size) = (f64::from(bias[output]), 1.0);
                for input in 0..inputs {
                    let product = f64::from(x[input]) * f64::from(weights[input * outputs + output]);
                    sum += product;
                    size += product.abs();
                }
                let error = (f64::from(ours[output]) - sum).abs();
                prop_assert!(error <= 1e-6 * size, "{isa:?} output {output}: {} for {sum}", ours[output]);
            }
        }
    }

    #[test]
    fn curves_are_close_to_those_in_f64(x in -40.0f32..40.0, near in -1.0f32..1.0) {
        for (isa, x) in kinds().into_iter().flat_map(|isa| [(isa, x), (isa, near), (isa, near * 1e-6)]) {
            let wide = f64::from(x);
            let off = |ours: f32, exact: f64| ((f64::from(ours) - exact) / exact).abs();
            let sigmoid = activate(isa, Activation::Sigmoid, x);
            prop_assert!(off(sigmoid, 1.0 / (1.0 + (-wide).exp())) < 5e-7, "{isa:?} sigmoid({x}) {sigmoid}");
            let tanh = activate(isa, Activation::Tanh, x);
            prop_assert!(x == 0.0 || off(tanh, wide.tanh()) < 5e-7, "{isa:?} tanh({x}) {tanh}");
            prop_assert_eq!(activate(isa, Activation::Relu, x), x.max(0.0));
            prop_assert_eq!(activate(isa, Activation::LeakyRelu(0.1), x), if x < 0.0 { 0.1 * x } else { x });
            let exp = super::exp::<false>(x);
            prop_assert!(off(exp, wide.exp()) < 5e-7, "exp({x}) {exp}");
        }
    }
}

#[test]
fn curves_hold_at_their_ends() {
    for isa in kinds() {
        for activation in [
            Activation::Relu,
            Activation::LeakyRelu(0.5),
            Activation::Tanh,
            Activation::Sigmoid,
        ] {
            assert!(
                activate(isa, activation, f32::NAN).is_nan(),
                "{activation:?}"
            );
        }
        assert_eq!(activate(isa, Activation::Tanh, f32::INFINITY), 1.0);
        assert_eq!(activate(isa, Activation::Tanh, -1e30), -1.0);
        assert_eq!(activate(isa, Activation::Tanh, 0.0), 0.0);
        assert_eq!(activate(isa, Activation::Sigmoid, 1e30), 1.0);
        for x in [f32::NEG_INFINITY, f32::MIN, -100.0, -87.34] {
            assert_eq!(activate(isa, Activation::Sigmoid, x), 0.0, "{x}");
        }
        assert!(activate(isa, Activation::Sigmoid, -87.3) > 0.0);
        assert_eq!(activate(isa, Activation::Sigmoid, 0.0), 0.5);
    }
}

#[test]
fn exp_vanishes_where_numbers_stop_being_normal() {
    for exp in [super::exp::<false>, super::exp::<true>] {
        for x in [f32::NEG_INFINITY, f32::MIN, -104.0, -88.0, -87.34] {
            assert_eq!(exp(x).to_bits(), 0, "exp({x})");
        }
        let mut x = -87.33f32;
        while x < -80.0 {
            let (ours, exact) = (exp(x), f64::from(x).exp());
            assert!(ours.is_normal(), "exp({x}) {ours:e}");
            assert!(
                (f64::from(ours) / exact - 1.0).abs() < 5e-7,
                "exp({x}) {ours:e}"
            );
            x += 1e-4;
        }
        assert!(exp(f32::NAN).is_nan());
    }
}

#[test]
fn nan_and_infinity_reach_every_output() {
    for isa in kinds() {
        let dense = Dense::new(20, 9, |_, _| 1.0);
        let mut x = [0.0; 20];
        x[19] = f32::NAN;
        assert!(run(isa, &dense, &x).iter().all(|y| y.is_nan()));
        x[19] = f32::INFINITY;
        assert_eq!(run(isa, &dense, &x), [f32::INFINITY; 9]);
    }
}

#[test]
fn a_dense_layer_knows_whether_it_has_a_bias() {
    let mut dense = Dense::new(2, 3, |_, _| 1.0);
    assert!(!dense.has_bias());
    dense.set_bias(&[1.0, 2.0, 3.0]);
    assert!(dense.has_bias());
}
