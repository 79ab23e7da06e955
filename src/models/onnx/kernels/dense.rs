//! `act(W x + b)`.

use super::curves;
use super::{LANES, Lanes, blocks};
use crate::sync::prefetch::Parts;

/// Number of blocks of outputs that are summed in parallel.
const PANEL: usize = 4;

/// A weight beside which subnormal ones are nothing.
const LARGE: f32 = 1e-20;

/// A dense layer. The weights are repacked so that the inner loop reads them in order: panels of up
/// to four blocks of outputs, and in a panel the weights of its outputs, input by input. Outputs
/// are padded with zeros to whole blocks.
#[derive(Clone, Debug)]
pub struct Dense {
    inputs: usize,
    outputs: usize,
    weights: Box<[Lanes]>,
    bias: Box<[Lanes]>,
    has_bias: bool,
    activation: Activation,
}

/// What is applied after a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// `max(x, 0)`; NaN stays.
    Relu,
    /// `x` above 0, else the slope times `x`.
    LeakyRelu(f32),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
}

/// A few blocks of outputs.
pub struct Panel<'a> {
    pub bias: &'a [Lanes],
    pub weights: &'a [Lanes],
}

impl Dense {
    /// A layer with the weights `weight(input, output)`.
    ///
    /// Subnormal weights (below 1.2e-38) become 0 if others are above 1e-20: training with weight
    /// decay leaves some, and many processors take over a hundred cycles for each product with one.
    ///
    /// # Panics
    ///
    /// If there are no inputs or outputs.
    pub fn new(inputs: usize, outputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        assert!(inputs > 0 && outputs > 0, "an empty layer");
        let total = blocks(outputs);
        let mut weights = Vec::with_capacity(total * inputs);
        for first in (0..total).step_by(PANEL) {
            for input in 0..inputs {
                for block in first..total.min(first + PANEL) {
                    weights.push(Lanes(std::array::from_fn(|lane| {
                        let output = block * LANES + lane;
                        if output < outputs {
                            weight(input, output)
                        } else {
                            0.0
                        }
                    })));
                }
            }
        }
        let all = super::flat_mut(&mut weights);
        if all.iter().any(|weight| weight.abs() > LARGE) {
            let tiny = all.iter_mut().filter(|weight| weight.is_subnormal());
            tiny.for_each(|weight| *weight = 0.0);
        }
        Self {
            inputs,
            outputs,
            weights: weights.into(),
            bias: vec![Lanes([0.0; LANES]); total].into(),
            has_bias: false,
            activation: Activation::None,
        }
    }

    /// Sets the bias.
    ///
    /// # Panics
    ///
    /// If there is not one value for each output.
    pub fn set_bias(&mut self, bias: &[f32]) {
        assert_eq!(bias.len(), self.outputs, "a bias for each output");
        super::flat_mut(&mut self.bias)[..bias.len()].copy_from_slice(bias);
        self.has_bias = true;
    }

    /// Whether there is a bias.
    pub fn has_bias(&self) -> bool {
        self.has_bias
    }

    /// Sets the activation.
    pub fn set_activation(&mut self, activation: Activation) {
        self.activation = activation;
    }

    /// The activation.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Number of inputs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Prefetches biases and weights.
    pub fn prefetch(&self, parts: &mut Parts) {
        parts.add(&*self.bias);
        parts.add(&*self.weights);
    }

    /// The panels, each with the blocks of `to` that its outputs go to.
    #[inline(always)]
    pub(super) fn panels<'a>(
        &'a self,
        to: &'a mut [Lanes],
    ) -> impl Iterator<Item = (Panel<'a>, &'a mut [Lanes])> {
        assert_eq!(to.len(), self.bias.len(), "a block for each eight outputs");
        let weights = self.weights.chunks(PANEL * self.inputs);
        let parts = self.bias.chunks(PANEL).zip(weights);
        parts
            .zip(to.chunks_mut(PANEL))
            .map(|((bias, weights), to)| (Panel { bias, weights }, to))
    }
}

/// `W x + b` with instructions that every machine has.
pub(super) fn portable(dense: &Dense, x: &[f32], to: &mut [Lanes]) {
    for (panel, to) in dense.panels(to) {
        match to.len() {
            4 => sums::<4>(panel, x, to),
            3 => sums::<3>(panel, x, to),
            2 => sums::<2>(panel, x, to),
            _ => sums::<1>(panel, x, to),
        }
    }
}

#[expect(
    clippy::needless_range_loop,
    reason = "the sums must stay in registers"
)]
fn sums<const B: usize>(panel: Panel<'_>, x: &[f32], to: &mut [Lanes]) {
    let mut sums = [[0.0; LANES]; B];
    let (rows, _) = panel.weights.as_chunks::<B>();
    for input in 0..rows.len().min(x.len()) {
        let (row, x) = (&rows[input], x[input]);
        for block in 0..B {
            for lane in 0..LANES {
                sums[block][lane] += row[block].0[lane] * x;
            }
        }
    }
    for block in 0..B {
        for lane in 0..LANES {
            to[block].0[lane] = panel.bias[block].0[lane] + sums[block][lane];
        }
    }
}

impl Activation {
    /// Applies the activation in place. `FMA` says whether the caller may use that instruction.
    #[inline(always)]
    pub(super) fn apply<const FMA: bool>(self, values: &mut [Lanes]) {
        match self {
            Self::None => {}
            Self::Relu => each(values, |x| if x < 0.0 { 0.0 } else { x }),
            Self::LeakyRelu(slope) => each(values, |x| if x < 0.0 { slope * x } else { x }),
            Self::Tanh => each(values, curves::tanh::<FMA>),
            Self::Sigmoid => each(values, curves::sigmoid::<FMA>),
        }
    }
}

#[inline(always)]
fn each(values: &mut [Lanes], curve: impl Fn(f32) -> f32) {
    for block in values {
        for value in &mut block.0 {
            *value = curve(*value);
        }
    }
}
