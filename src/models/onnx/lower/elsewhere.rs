//! Operators that tract 0.22 supports, whether or not our kernels do.

/// Their names in the standard operator set, sorted, each with its attributes. A range says in which
/// versions of the operator set the standard has an attribute. tract ignores those with a value:
/// they must have one of these values, so that ignoring them is right (`*`: any value).
const TRACT: &[(&str, &str)] = &[
    ("Abs", ""),
    ("Acos", ""),
    ("Acosh", ""),
    ("Add", ""),
    ("And", ""),
    ("ArgMax", "axis keepdims select_last_index[12..]"),
    ("ArgMin", "axis keepdims select_last_index[12..]"),
    ("ArrayFeatureExtractor", ""),
    ("Asin", ""),
    ("Asinh", ""),
    ("Atan", ""),
    ("Atanh", ""),
    (
        "AveragePool",
        "auto_pad ceil_mode[10..] count_include_pad dilations[19..] kernel_shape pads strides",
    ),
    (
        "BatchNormalization",
        "epsilon momentum=* spatial[..9] training_mode[14..]=0",
    ),
    ("BitShift", "direction"),
    ("BitwiseAnd", ""),
    ("BitwiseNot", ""),
    ("BitwiseOr", ""),
    ("BitwiseXor", ""),
    ("BlackmanWindow", "output_datatype periodic"),
    ("Cast", "round_mode[24..]=* saturate[19..]=* to"),
    ("CastLike", "round_mode[24..]=* saturate[19..]=*"),
    ("Ceil", ""),
    ("Celu", "alpha"),
    ("Clip", "max[..11] min[..11]"),
    ("Compress", "axis"),
    ("Concat", "axis"),
    (
        "Constant",
        "value value_float[12..] value_floats[12..] value_int[12..] value_ints[12..] value_string[12..] value_strings[12..]",
    ),
    ("ConstantLike", "dtype shape value"),
    ("ConstantOfShape", "value"),
    ("Conv", "auto_pad dilations group kernel_shape pads strides"),
    (
        "ConvInteger",
        "auto_pad dilations group kernel_shape pads strides",
    ),
    (
        "ConvTranspose",
        "auto_pad dilations group kernel_shape output_padding output_shape pads strides",
    ),
    ("Cos", ""),
    ("Cosh", ""),
    ("CumSum", "exclusive reverse"),
    ("DFT", "axis[..20] inverse onesided"),
    ("DepthToSpace", "blocksize mode[11..]"),
    (
        "DequantizeLinear",
        "axis[13..]=1 block_size[21..]=0 output_dtype[23..]=0",
    ),
    ("Div", ""),
    ("Dropout", "ratio[..12]=* seed[12..]=*"),
    ("DynamicQuantizeLinear", ""),
    ("Einsum", "equation"),
    ("Elu", "alpha"),
    ("Equal", ""),
    ("Erf", ""),
    ("Exp", ""),
    ("Expand", ""),
    ("EyeLike", "dtype k"),
    ("Flatten", "axis"),
    ("Floor", ""),
    (
        "GRU",
        "activations=Sigmoid,Tanh|Sigmoid,Tanh,Sigmoid,Tanh direction=forward|bidirectional hidden_size=* layout[14..] linear_before_reset",
    ),
    ("Gather", "axis"),
    ("GatherElements", "axis"),
    ("GatherND", "batch_dims[12..]"),
    ("Gemm", "alpha beta transA transB"),
    ("GlobalAveragePool", ""),
    ("GlobalLpPool", "p"),
    ("GlobalMaxPool", ""),
    ("Greater", ""),
    ("GreaterOrEqual", ""),
    ("HammingWindow", "output_datatype periodic"),
    ("HannWindow", "output_datatype periodic"),
    ("HardSigmoid", "alpha beta"),
    ("HardSwish", ""),
    ("Hardmax", "axis"),
    ("Identity", ""),
    ("If", "else_branch then_branch"),
    ("InstanceNormalization", "epsilon"),
    ("IsInf", "detect_negative detect_positive"),
    ("IsNaN", ""),
    ("LRN", "alpha beta bias size"),
    (
        "LSTM",
        "activations=Sigmoid,Tanh,Tanh|Sigmoid,Tanh,Tanh,Sigmoid,Tanh,Tanh direction=forward|bidirectional hidden_size=* input_forget=0 layout[14..]",
    ),
    ("LayerNormalization", "axis epsilon stash_type"),
    ("LeakyRelu", "alpha"),
    ("Less", ""),
    ("LessOrEqual", ""),
    ("Log", ""),
    ("LogSoftmax", "axis"),
    ("MatMul", ""),
    ("MatMulInteger", ""),
    ("Max", ""),
    (
        "MaxPool",
        "auto_pad ceil_mode[10..] dilations[10..] kernel_shape pads storage_order[8..]=0 strides",
    ),
    ("Mean", ""),
    ("MelWeightMatrix", "output_datatype"),
    ("Min", ""),
    ("Mod", "fmod"),
    ("Mul", ""),
    ("Neg", ""),
    ("NonMaxSuppression", "center_point_box"),
    ("NonZero", ""),
    ("Not", ""),
    ("OneHot", "axis"),
    ("Or", ""),
    ("PRelu", ""),
    ("Pad", "mode pads[..11] value[..11]"),
    ("ParametricSoftplus", "alpha beta"),
    ("Pow", ""),
    (
        "QLinearConv",
        "auto_pad dilations group kernel_shape pads strides",
    ),
    ("QLinearMatMul", ""),
    (
        "QuantizeLinear",
        "axis[13..]=1 block_size[21..]=0 output_dtype[21..]=0 precision[23..]=0 saturate[19..]=1",
    ),
    (
        "RNN",
        "activations=Tanh|Tanh,Tanh direction=forward|bidirectional hidden_size=* layout[14..]",
    ),
    ("Range", "stash_type[27..]=1"),
    ("Reciprocal", ""),
    ("ReduceL1", "axes[..18] keepdims noop_with_empty_axes[18..]"),
    ("ReduceL2", "axes[..18] keepdims noop_with_empty_axes[18..]"),
    (
        "ReduceLogSum",
        "axes[..18] keepdims noop_with_empty_axes[18..]",
    ),
    (
        "ReduceLogSumExp",
        "axes[..18] keepdims noop_with_empty_axes[18..]",
    ),
    (
        "ReduceMax",
        "axes[..18] keepdims noop_with_empty_axes[18..]",
    ),
    (
        "ReduceMean",
        "axes[..18] keepdims noop_with_empty_axes[18..]",
    ),
    (
        "ReduceMin",
        "axes[..18] keepdims noop_with_empty_axes[18..]",
    ),
    (
        "ReduceProd",
        "axes[..18] keepdims noop_with_empty_axes[18..]",
    ),
    (
        "ReduceSum",
        "axes[..13] keepdims noop_with_empty_axes[13..]",
    ),
    (
        "ReduceSumSquare",
        "axes[..18] keepdims noop_with_empty_axes[18..]",
    ),
    ("Relu", ""),
    ("Reshape", "allowzero[14..]=0"),
    (
        "Resize",
        "antialias[18..]=0 axes[18..] coordinate_transformation_mode[11..] cubic_coeff_a[11..]=-0.75 exclude_outside[11..]=0 extrapolation_value[11..]=0 keep_aspect_ratio_policy[18..]=stretch mode nearest_mode[11..]",
    ),
    ("Round", ""),
    ("Rsqrt", ""),
    ("STFT", "onesided"),
    ("ScaledTanh", "alpha beta"),
    (
        "Scan",
        "body num_scan_inputs scan_input_axes[9..] scan_output_axes[9..]",
    ),
    ("Scatter", "axis"),
    ("ScatterElements", "axis reduction[16..]=none"),
    ("ScatterND", "reduction[16..]=none"),
    ("Selu", "alpha gamma"),
    ("Shape", "end[15..] start[15..]"),
    ("Shrink", "bias lambd"),
    ("Sigmoid", ""),
    ("Sign", ""),
    ("Sin", ""),
    ("Sinh", ""),
    ("Size", ""),
    ("Slice", "axes[..10] ends[..10] starts[..10]"),
    ("Softmax", "axis"),
    ("Softplus", ""),
    ("Softsign", ""),
    ("SpaceToDepth", "blocksize mode[28..]=DCR"),
    ("Split", "axis num_outputs[18..]=* split[..13]"),
    ("Sqrt", ""),
    ("Squeeze", "axes[..13]"),
    ("Sub", ""),
    ("Sum", ""),
    ("Tan", ""),
    ("Tanh", ""),
    ("ThresholdedRelu", "alpha"),
    ("Tile", ""),
    ("TopK", "axis largest[11..] sorted[11..]=*"),
    ("Transpose", "perm"),
    ("Trilu", "upper"),
    ("Unsqueeze", "axes[..13]"),
    ("Where", ""),
    ("Xor", ""),
];

fn attributes(op: &str) -> Option<&'static str> {
    let place = TRACT.binary_search_by_key(&op, |&(name, _)| name).ok()?;
    Some(TRACT[place].1)
}

/// Whether the feature `tract` can run the operator.
pub fn tract_has(domain: &str, op: &str) -> bool {
    match op {
        "ArrayFeatureExtractor" => domain == super::ML,
        _ => matches!(domain, "" | "ai.onnx") && attributes(op).is_some(),
    }
}

/// What tract makes of an attribute.
#[cfg(feature = "tract")]
#[derive(Debug, PartialEq, Eq)]
pub enum Use {
    /// It computes with it.
    Read,
    /// It ignores it, which is right for these values, or for all if there are none.
    Ignored(Vec<&'static str>),
}

/// What tract makes of the attribute of an operator in this version of the operator set. `None` if
/// the operator has no such attribute, or if tract always gets it wrong.
#[cfg(feature = "tract")]
pub fn tract_use(op: &str, attribute: &str, opset: i64) -> Option<Use> {
    attributes(op)?.split(' ').find_map(|word| {
        let (name, values) = match word.split_once('=') {
            Some((name, "*")) => (name, Use::Ignored(Vec::new())),
            Some((name, values)) => (name, Use::Ignored(values.split('|').collect())),
            None => (word, Use::Read),
        };
        let (name, range) = name.split_once('[').unwrap_or((name, "..]"));
        let (first, end) = range.strip_suffix(']')?.split_once("..")?;
        let from = first.parse().unwrap_or(i64::MIN);
        let to = end.parse().unwrap_or(i64::MAX);
        (name == attribute && (from..to).contains(&opset)).then_some(values)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_are_sorted() {
        assert!(TRACT.is_sorted_by(|a, b| a.0 < b.0));
        assert!(tract_has("", "Elu") && tract_has("ai.onnx", "Xor"));
        assert!(!tract_has("", "Elux") && !tract_has("com.microsoft", "Elu"));
    }

    #[cfg(feature = "tract")]
    #[test]
    fn attributes_are_those_of_the_version() {
        assert_eq!(tract_use("Elu", "alpha", 7), Some(Use::Read));
        assert_eq!(tract_use("Elu", "scale", 7), None);
        assert_eq!(tract_use("Clip", "min", 10), Some(Use::Read));
        assert_eq!(tract_use("Clip", "min", 11), None);
        assert_eq!(tract_use("Shape", "end", 14), None);
        assert_eq!(tract_use("Shape", "end", 15), Some(Use::Read));
        let direction = Some(Use::Ignored(vec!["forward", "bidirectional"]));
        assert_eq!(tract_use("LSTM", "direction", 14), direction);
        assert_eq!(tract_use("LSTM", "clip", 14), None);
        assert_eq!(tract_use("Dropout", "seed", 12), Some(Use::Ignored(vec![])));
        for (op, words) in TRACT {
            for word in words.split_terminator(' ') {
                let name = word.split(['[', '=']).next().unwrap();
                let known = (7..30).any(|opset| tract_use(op, name, opset).is_some());
                assert!(known, "{op} {word}");
            }
        }
    }
}
