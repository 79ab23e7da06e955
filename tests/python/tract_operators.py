"""The same for the operators that tract runs, in a build of the library with the feature `tract`.

    tract_operators.py FOLDER OPERATOR...

A case for each input of an ONNX backend test, and one for all its inputs together: they are the
model's, and the others are stored. Each is there in every version of the operator from opset 7 on,
on the test's numbers, their negatives, zeros, ties, NaN and infinities at several places, and large
and small numbers. More cases have attributes and numbers that those tests lack. Each output goes
through a Transpose, which only tract has.
"""

import sys
import warnings

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

import onnx_operators as base
from onnx_operators import F32, INF, ML, NAN, NUMBERS, ROWS

OPERATORS = set(sys.argv[2:])
# What onnxruntime runs.
NEWEST = 26
# Inputs that were attributes before a version.
ATTRIBUTES = {
    "Clip": (11, ["min", "max"]), "Dropout": (12, ["ratio"]), "Pad": (11, ["pads", "value"]), "ReduceSum": (13, ["axes"]),
    "Slice": (10, ["starts", "ends", "axes"]), "Split": (13, ["split"]), "Squeeze": (13, ["axes"]), "TopK": (10, ["k"]),
    "Unsqueeze": (13, ["axes"]),
}
for reduction in "L1 L2 LogSum LogSumExp Max Mean Min Prod SumSquare".split():
    ATTRIBUTES["Reduce" + reduction] = (18, ["axes"])
SINGLE = {"ratio", "value", "k", "min", "max"}
# Operators that add up, which are exact to 1e-5 of the greatest of their numbers.
SUMS = set("AveragePool BatchNormalization Conv ConvTranspose CumSum Einsum GRU Gemm GlobalAveragePool InstanceNormalization LRN LSTM "
           "LayerNormalization MatMul Mean RNN ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMean ReduceSum ReduceSumSquare Sum".split())
# Operators of which an input says the output's shape: from there on, inputs are stored.
STORED = {"BlackmanWindow": 0, "ConstantOfShape": 0, "HammingWindow": 0, "HannWindow": 0, "MelWeightMatrix": 0, "Range": 0, "NonMaxSuppression": 2}
STORED |= dict.fromkeys("CumSum DFT Expand OneHot Pad Reshape Resize STFT Slice Split Squeeze Tile TopK Trilu Unsqueeze".split(), 1)
# Others than these come from outside only in models that need a check file.
TYPES = {np.dtype(np.float32), np.dtype(np.bool_)}


def versions(operator, domain, newest):
    """The versions of the operator from opset 7 to this one."""
    if domain == ML:
        return [17]
    first = {max(7, onnx.defs.get_schema(operator, at).since_version) for at in range(7, newest) if known(operator, at)}
    return sorted(first | {max(7, newest)})


def known(operator, at):
    try:
        return bool(onnx.defs.get_schema(operator, at))
    except onnx.defs.SchemaError:
        return False


def changed(node):
    """The attributes that are not the default."""
    schema = onnx.defs.get_schema(node.op_type, domain=node.domain)
    names = []
    for attribute in node.attribute:
        default = schema.attributes[attribute.name].default_value if attribute.name in schema.attributes else None
        if default is None or helper.get_attribute_value(attribute) != helper.get_attribute_value(default):
            names.append(attribute.name)
    return names


def older(node, inputs, version):
    """The node and its inputs in a version in which some of them were attributes. None if it has none."""
    before, names = ATTRIBUTES.get(node.op_type, (0, []))
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    if version >= before:
        return copy, inputs
    kept = len(inputs) - len(names) if node.op_type != "Slice" else 1
    kept = max(kept, 1) if node.op_type not in ("Clip", "Pad", "Dropout") else 1
    extra = list(zip(names, inputs[kept:]))
    if len(inputs) - kept > len(names) or any(value is not None and not value.size for _, value in extra):
        # Steps of Slice, axes of Pad, the mode of Dropout; no axes.
        return None
    del copy.input[kept:]
    for name, value in extra:
        if value is not None:
            value = value.ravel().tolist()
            copy.attribute.append(helper.make_attribute(name, value[0] if name in SINGLE else value))
    return copy, inputs[:kept]


def rows_of(x):
    """Rows like an input of the operator."""
    flat = x.reshape(1, -1).astype(F32)
    if x.dtype == np.bool_:
        return np.vstack([flat, 1 - flat, np.zeros_like(flat), np.ones_like(flat)])
    rows = [flat, -flat, np.zeros_like(flat), np.full_like(flat, 2), np.full_like(flat, -3), flat * 100, flat * F32(1e15), flat * F32(1e-15)]
    places = np.arange(flat.size)
    for special in (NAN, INF, -INF, 1e30, -1e30):
        for place in sorted({0, flat.size // 2, flat.size - 1}):
            rows.append(np.where(places == place, special, flat))
        rows.append(np.full_like(flat, special))
    rows.append(np.where(places % 2 == 0, INF, -INF))
    rows.append(np.where(places % 2 == 0, NAN, flat))
    rows.append(np.where(places % 2 == 0, NAN, INF))
    return np.vstack(rows).astype(F32)


def case(name, node, inputs, version, live=None, rows=None, some=False):
    """A case for each input that can be the model's, or for these; with some of the rows only."""
    made = older(node, inputs, version)
    if made is None:
        return
    node, inputs = made
    fits = [place for place, x in enumerate(inputs) if x is not None and x.dtype in TYPES and x.size]
    stored = 1 if node.op_type.startswith("Reduce") else STORED.get(node.op_type, len(inputs))
    fits = [place for place in fits if place < stored or place == 2 and node.op_type == "OneHot"]
    turns = [live] if live else [[place] for place in fits]
    floats = [place for place in fits if inputs[place].dtype.kind == "f"]
    if not live and len(floats) > 1:
        turns.append(floats)
    for turn in turns:
        if not set(turn) <= set(fits):
            continue
        model = wrapped(node, inputs, turn, version)
        if model is None:
            continue
        parts = [rows_of(inputs[place])[:: 3 if some else 1] for place in turn]
        if rows is not None:
            parts = rows
        count = max(len(part) for part in parts)
        whole = np.hstack([part[np.arange(count) % len(part)] for part in parts]).astype(F32)
        floor = None if node.op_type in SUMS else 1e-2
        base.add(f"{name}{turn}, opset {version}", node.op_type, model, whole, changed=changed(node), floor=floor)


def wrapped(node, inputs, live, version):
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for place, name in enumerate(copy.input):
        copy.input[place] = name and f"i{place}"
    nodes, ports, stored = [], [], {"row": np.array([1, -1], np.int64)}
    for place, x in enumerate(inputs):
        if x is None:
            continue
        if place not in live:
            stored[f"i{place}"] = x
            continue
        stored[f"shape{place}"] = np.array(x.shape, np.int64)
        ports.append((f"x{place}", x.size))
        to = helper.np_dtype_to_tensor_dtype(x.dtype)
        nodes.append(helper.make_node("Reshape", [f"x{place}", f"shape{place}"], [f"i{place}" if to == 1 else f"f{place}"]))
        if to != 1:
            nodes.append(helper.make_node("Cast", [f"f{place}"], [f"i{place}"], to=to))
    nodes.append(copy)
    ends = []
    for place, name in enumerate(copy.output):
        if not name:
            continue
        copy.output[place] = f"o{place}"
        nodes.append(helper.make_node("Cast", [f"o{place}"], [f"c{place}"], to=1))
        nodes.append(helper.make_node("Reshape", [f"c{place}", "row"], [f"r{place}"]))
        nodes.append(helper.make_node("Transpose", [f"r{place}"], [f"y{place}"], perm=[0, 1]))
        ends.append(f"y{place}")
    return base.graph(nodes, stored, ends, ports, version)


def backend():
    for test in collect_testcases():
        node, opset = test.model.graph.node[0], test.model.opset_import[0].version
        if len(test.model.graph.node) != 1 or node.op_type not in OPERATORS or not test.data_sets:
            continue
        if any(attribute.g.node for attribute in node.attribute):
            continue
        for inputs, _ in test.data_sets:
            if not all(isinstance(x, (np.ndarray, np.generic)) and x.dtype != object for x in inputs):
                continue
            given = iter(inputs)
            inputs = [np.asarray(next(given)) if name else None for name in node.input]
            if sum(x.size for x in inputs if x is not None) > 1000:
                continue
            opset = min(opset, NEWEST)
            for version in versions(node.op_type, node.domain, opset):
                if version < 13 and "unsqueeze_unsorted" in test.name:
                    continue  # the reference does not compute it
                case(test.name, node, inputs, version, some=version < opset)


# Without a number that is not normal: tract divides by multiplying with 1 / x.
NUMBERS = [number for number in NUMBERS if number != 1e-40]
MANY = np.array([
    *NUMBERS, 1e30, -1e30, 1e15, -1e15, 1e-15, 100, -100, 20, -20, 9, -9, 5, -5, 1e-3, -1e-3, 0.25, -0.5, 0.999, -0.999, 1.5, -1.5,
    2.5, -2.5, 3.5, 1.001, 10, -10, 89, -89, 700, -700, 1e4, -1e4, 1e6, -1e6, *np.arange(-8, 8, 0.37),
], F32)
WHOLE = np.array([0, 1, -1, 2, -2, 3, -3, 7, -7, 100, -100, 30000, -30000, 1 << 20], F32)
ONES = "Abs Acos Acosh Asin Asinh Atan Atanh Ceil Celu Clip Cos Cosh Elu Erf Exp Floor HardSigmoid HardSwish Identity IsInf IsNaN " \
    "LeakyRelu Log Neg Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh ThresholdedRelu Dropout"
TWOS = "Add Sub Mul Div Max Min Mean Sum Mod Pow Equal Greater GreaterOrEqual Less LessOrEqual PRelu"
SETTINGS = {
    "Celu": [{"alpha": 2.0}, {"alpha": 0.5}], "Elu": [{"alpha": 2.0}, {"alpha": 0.5}], "Clip": [{"min": -0.5}, {"max": 0.5}, {"min": -1.0, "max": 2.0}],
    "HardSigmoid": [{"alpha": 0.5, "beta": 0.25}], "IsInf": [{"detect_negative": 0}, {"detect_positive": 0}],
    "LeakyRelu": [{"alpha": 0.1}, {"alpha": -0.1}, {"alpha": 2.0}], "Selu": [{"alpha": 2.0, "gamma": 3.0}],
    "Shrink": [{"lambd": 1.5, "bias": 1.5}, {"lambd": 0.0, "bias": -1.0}, {"lambd": 2.5}], "ThresholdedRelu": [{"alpha": 2.0}, {"alpha": 0.0}, {"alpha": -1.5}],
    "Mod": [{"fmod": 1}],
}


def each(operator, name, inputs, newest=NEWEST, live=None, rows=None, outputs=1, **attributes):
    """Cases of a node in all versions."""
    if operator not in OPERATORS:
        return
    node = helper.make_node(operator, [f"i{i}" if x is not None else "" for i, x in enumerate(inputs)], [f"o{i}" for i in range(outputs)], **attributes)
    for version in versions(operator, "", newest):
        case(f"{operator} {name} {attributes}", node, inputs, version, live, rows, some=version < newest)


def elements():
    for operator in ONES.split():
        for attributes in [{}, *SETTINGS.get(operator, [])]:
            each(operator, "numbers", [MANY], rows=[MANY[None]], **attributes)
    some = np.array([*NUMBERS, 3, -3, 1e30, -1e30, 2.5, -2.5, 0.1], F32)
    left, right = (x.astype(F32).ravel() for x in np.meshgrid(some, some))
    for operator in TWOS.split():
        if operator == "PRelu":
            right = np.where(np.isfinite(right), right, F32(0.25))
        for attributes in [{}, *SETTINGS.get(operator, [])]:
            for live, rows in (([0], [left[None]]), ([1], [right[None]]), ([0, 1], [left[None], right[None]])):
                each(operator, "numbers", [left, right], live=live, rows=rows, **attributes)
            if operator in ("Mean", "PRelu"):
                continue  # the reference does not broadcast
            for live, x in ((0, [MANY, np.array([0.5], F32)]), (1, [np.array([2.0], F32), MANY])):
                each(operator, "and one", x, live=[live], rows=[MANY[None]], **attributes)
    each("Pow", "to a whole power", [MANY, np.array([3], np.int64)], live=[0], rows=[MANY[None]])
    three = [np.array([1, 0, 1], bool), np.zeros(3, F32), np.zeros(3, F32)]
    each("Where", "numbers", three, live=[1, 2], rows=[ROWS, ROWS[::-1]])
    for operator in ("Sum", "Max", "Min", "Mean"):
        each(operator, "of three", [ROWS[0], ROWS[1], ROWS[0]], live=[0, 1, 2], rows=[ROWS, ROWS[::-1], np.roll(ROWS, 3, 0)])
        each(operator, "of one", [ROWS[0]], rows=[ROWS])
    for low, high in ((None, 0.5), (-0.5, None), (-0.5, 0.5), (2.0, -2.0)):
        bounds = [None if x is None else np.array(x, F32) for x in (low, high)]
        each("Clip", "numbers", [MANY, *bounds], live=[0], rows=[MANY[None]])
    for to in (1, 6, 7, 9, 11):
        for name, numbers in (("whole", WHOLE), ("numbers", MANY[np.abs(MANY) < 1e6]), ("beyond", MANY)):
            each("Cast", f"{name}", [numbers], rows=[numbers[None]], to=to)
            like = np.zeros(1, helper.tensor_dtype_to_np_dtype(to))
            each("CastLike", f"{name} {to}", [numbers, like], live=[0], rows=[numbers[None]])


def rows():
    """Operators over rows of three, and over two dimensions of three."""
    wide = np.random.default_rng(7).normal(size=(2, 3, 2, 2)).astype(F32)
    more = np.vstack([ROWS, [[100, 100, 100], [90, -90, 0], [-100, -101, -102], [1e30, 1, -1], [1e30, 1e30, 1], [1e-20, 1e-20, 0]]]).astype(F32)
    long = np.random.default_rng(9).normal(size=(1, 77)).astype(F32)
    for operator in sorted(OPERATORS):
        if operator.startswith("Reduce"):
            each(operator, "long", [long, np.array([1])], live=[0])
            for axes in (None, [1], [-1], [0, 1]):
                for keep in (0, 1):
                    inputs = [more[:1], None if axes is None else np.array(axes)][: 1 if axes is None else 2]
                    each(operator, f"rows {axes}", inputs, live=[0], rows=[more], keepdims=keep)
            for axes in ([0], [1, 3], [-2, 2], [3, 1, 0]):
                each(operator, f"wide {axes}", [wide, np.array(axes)], live=[0])
            each(operator, "no axes", [wide, np.array([], np.int64)], live=[0], noop_with_empty_axes=1)
        if operator in ("Softmax", "LogSoftmax", "Hardmax"):
            each(operator, "long", [long], axis=1)
            for axis in (1, -1, 0):
                each(operator, "rows", [more[:1]], rows=[more], axis=axis)
            for axis in (0, 1, 2, 3, -2):
                each(operator, "wide", [wide], axis=axis)
        if operator in ("ArgMax", "ArgMin"):
            for last in (0, 1):
                each(operator, "rows", [more[:1]], rows=[more], axis=1, select_last_index=last)
            each(operator, "rows", [more[:1]], rows=[more], axis=1)
    for largest in (0, 1):
        for k in (1, 2, 3):
            each("TopK", f"rows {k}", [more[:1], np.array([k])], live=[0], rows=[more], outputs=2, largest=largest)
        each("TopK", "wide", [wide, np.array([2])], live=[0], outputs=2, largest=largest, axis=1)
    for k in (1, 2, 3):
        each("TopK", f"rows {k}", [more[:1], np.array([k])], live=[0], rows=[more], outputs=2)
    for exclusive in (0, 1):
        for reverse in (0, 1):
            each("CumSum", "rows", [more[:1], np.array(1)], live=[0], rows=[more], exclusive=exclusive, reverse=reverse)


def layers():
    make = np.random.default_rng(5)

    def some(*shape):
        return make.normal(size=shape).astype(F32)

    for attributes in (
        {}, {"dilations": [2]}, {"strides": [2]}, {"pads": [1, 2]}, {"auto_pad": "SAME_UPPER"}, {"auto_pad": "SAME_LOWER"}, {"auto_pad": "VALID"},
        {"auto_pad": "SAME_UPPER", "strides": [2]}, {"auto_pad": "SAME_LOWER", "strides": [2]}, {"pads": [2, 0], "strides": [3], "dilations": [2]},
        {"dilations": [1]},
    ):
        for width in (2, 3):
            each("Conv", "1", [some(1, 2, 9), some(3, 2, width), some(3)], live=[0], kernel_shape=[width], **attributes)
            each("Conv", "groups", [some(1, 4, 9), some(4, 2, width)], live=[0], group=2, **attributes)
            each("Conv", "depthwise", [some(1, 4, 9), some(4, 1, width), some(4)], live=[0], group=4, **attributes)
            if "auto_pad" not in attributes or "dilations" not in attributes:
                for transposed in ({}, {"output_padding": [1]}, {"group": 2}):
                    if transposed.get("output_padding") and attributes.get("strides", [1]) == [1]:
                        continue
                    groups = transposed.get("group", 1)
                    inputs = [some(1, 2, 7), some(2, 3 if groups == 1 else 2, width), some(3 if groups == 1 else 4)]
                    each("ConvTranspose", "1", inputs, live=[0], kernel_shape=[width], **attributes, **transposed)
            for pool, more in (("MaxPool", [{}]), ("AveragePool", [{}, {"count_include_pad": 1}])):
                for ceil in ({}, {"ceil_mode": 1}):
                    for attribute in more:
                        every = {**attributes, **ceil, **attribute}
                        each(pool, "1", [some(1, 2, 9)], kernel_shape=[width], **every)
                        each(pool, "1", [some(1, 2, 8)], kernel_shape=[width], **every)
    for attributes in ({"pads": [1, 0, 2, 1]}, {"strides": [2, 1]}, {"dilations": [1, 2]}, {"auto_pad": "SAME_UPPER", "strides": [2, 3]}, {}):
        each("Conv", "2", [some(1, 2, 6, 5), some(3, 2, 3, 2), some(3)], live=[0], **attributes)
        each("ConvTranspose", "2", [some(1, 2, 6, 5), some(2, 3, 3, 2), some(3)], live=[0], **attributes)
        for pool in ("MaxPool", "AveragePool"):
            each(pool, "2", [some(1, 2, 6, 5)], kernel_shape=[3, 2], **attributes)
    each("MaxPool", "indices", [some(1, 2, 8)], outputs=2, kernel_shape=[2])
    each("MaxPool", "ties", [np.ones((1, 1, 8), F32)], outputs=2, kernel_shape=[3])
    for shape in ((1, 2, 9), (1, 3, 4, 5), (1, 2, 3, 2, 2)):
        for pool in ("GlobalAveragePool", "GlobalMaxPool"):
            each(pool, "", [some(*shape)])
        each("GlobalLpPool", "", [some(*shape)])
        each("GlobalLpPool", "", [some(*shape)], p=1)
        each("GlobalLpPool", "", [some(*shape)], p=3)
        channels = shape[1]
        each("BatchNormalization", "", [some(*shape), some(channels), some(channels), some(channels), np.abs(some(channels))], live=[0])
        each("BatchNormalization", "", [some(*shape), some(channels), some(channels), some(channels), np.abs(some(channels))], live=[0], epsilon=0.1, momentum=0.5)
        each("InstanceNormalization", "", [some(*shape), some(channels), some(channels)], live=[0], epsilon=0.1)
        each("PRelu", "channels", [some(*shape), some(channels, *[1] * (len(shape) - 2))], live=[0])
    each("BatchNormalization", "rows", [some(1, 3), some(3), some(3), some(3), np.abs(some(3))], live=[0], rows=[ROWS])
    for axis in (-1, 1, 2):
        scale = some(*(1, 3, 4)[axis:])
        each("LayerNormalization", "", [some(1, 3, 4), scale, scale], live=[0], axis=axis, epsilon=0.1)
        each("LayerNormalization", "", [some(1, 3, 4), scale], live=[0], axis=axis, stash_type=1)
    for size in (1, 3, 5):
        each("LRN", "", [some(1, 5, 2, 2)], size=size, alpha=0.5, beta=0.5, bias=2.0)
    for alpha, beta in ((1.0, 1.0), (0.5, 2.0)):
        for first in (0, 1):
            a, b = some(*((3, 1) if first else (1, 3))), some(*((2, 3) if not first else (3, 2)))
            for second in (0, 1):
                each("Gemm", "", [a, b if second != first else b.T.copy(), some(2)], live=[0], alpha=alpha, beta=beta, transA=first, transB=second)
    weights = np.array([[1, 0], [0, 1], [-2, 0.5]], F32)
    each("Gemm", "rows", [ROWS[:1], weights], live=[0], rows=[ROWS])
    each("MatMul", "rows", [ROWS[:1], weights], live=[0], rows=[ROWS])
    for operator in ("Gemm", "MatMul"):
        each(operator, "long", [some(1, 77), some(77, 19)], live=[0])
        each(operator, "long", [some(5, 77), some(77, 19)], live=[0, 1])
    each("Conv", "long", [some(1, 9, 41), some(17, 9, 3), some(17)], live=[0], pads=[1, 1])
    each("MatMul", "of two", [some(2, 3), some(3, 2)], live=[0, 1])
    for equation in ("ij,jk->ik", "bij,bjk->bik", "ij->ji", "ij,ij->i", "ij->", "i,j->ij"):
        shapes = [{"i": 2, "j": 3, "k": 2, "b": 2}[axis] for part in equation.split("->")[0].split(",") for axis in part]
        inputs = []
        for part in equation.split("->")[0].split(","):
            inputs.append(some(*shapes[: len(part)]))
            shapes = shapes[len(part):]
        each("Einsum", "", inputs, equation=equation)


def shapes():
    x = np.random.default_rng(3).normal(size=(2, 3, 4)).astype(F32)
    for axis in (0, 1, 2, 3, -1, -2):
        each("Flatten", "", [x], axis=axis)
        each("Concat", "", [x, x], live=[0, 1], axis=axis)
        each("Gather", "", [x, np.array([1, 0, -1])], live=[0], axis=axis)
        each("GatherElements", "", [x, np.arange(24).reshape(2, 3, 4) % 2], live=[0], axis=axis)
        each("Unsqueeze", "", [x, np.array([axis])], live=[0])
        each("Compress", "", [x, np.array([1, 0], bool)], live=[0], axis=axis)
        each("Split", "", [x, np.array([1, 1])], live=[0], outputs=2, axis=axis)
        each("Split", "", [x, np.array([1, 3])], live=[0], outputs=2, axis=axis)
        each("Split", "", [x, np.array([1, 2])], live=[0], outputs=2, axis=axis)
        each("Split", "in two", [x], live=[0], outputs=2, axis=axis)
        each("Split", "in two", [x], live=[0], outputs=2, axis=axis, num_outputs=2)
        each("OneHot", "", [np.array([0, 2, -1, 5]), np.array(3), np.array([0.5, 2], F32)], live=[0, 2], axis=axis)
    for perm in ([0, 2, 1], [2, 1, 0], [1, 2, 0]):
        each("Transpose", "", [x], perm=perm)
    each("Transpose", "", [x])
    each("Squeeze", "", [x[:, :1], np.array([1])], live=[0])
    each("Squeeze", "", [x[:1, :1], np.array([-2, 0])], live=[0])
    each("Squeeze", "all", [x[:1, :1]], live=[0])
    for shape in ([6, 4], [0, -1], [2, 0, -1], [-1], [24], [1, 24]):
        each("Reshape", "", [x, np.array(shape)], live=[0])
    for shape in ([2, 3, 4], [3, 1], [2, 1, 4], [1, 1, 1, 1], [5, 2, 3, 4]):
        each("Expand", "", [x, np.array(shape)], live=[0])
    for starts, ends, axes in (([1], [3], [2]), ([-2], [100], [1]), ([0, 1], [1, -1], [0, 2]), ([0], [-1], [-1])):
        each("Slice", "", [x, np.array(starts), np.array(ends), np.array(axes)], live=[0])
        each("Slice", "steps", [x, np.array(starts), np.array(ends), np.array(axes), np.array([2] * len(axes))], live=[0])
    each("Slice", "back", [x, np.array([-1]), np.array([-100]), np.array([2]), np.array([-1])], live=[0])
    each("Slice", "back", [x, np.array([3]), np.array([0]), np.array([2]), np.array([-2])], live=[0])
    for mode in ("constant", "edge", "reflect"):
        for pads in ([0, 1, 2, 0, 1, 1], [0, 0, 1, 1, 0, 2], [0, 0, 0, 0, -1, -1]):
            each("Pad", "", [x, np.array(pads)], live=[0], mode=mode)
            each("Pad", "value", [x, np.array(pads), np.array(1.5, F32)], live=[0], mode=mode)
    each("Tile", "", [x, np.array([1, 2, 3])], live=[0])
    for upper in (0, 1):
        for k in (0, 1, -1):
            each("Trilu", "", [x, np.array(k)], live=[0], upper=upper)
    for block in (2,):
        y = np.random.default_rng(4).normal(size=(1, 4, 2, 4)).astype(F32)
        for mode in ("DCR", "CRD"):
            each("DepthToSpace", "", [y], blocksize=block, mode=mode)
        each("SpaceToDepth", "", [y], blocksize=block)
    for start, end in ((0, 2), (1, 3), (-2, 3), (-1, -1)):
        each("Shape", "", [x], start=start, end=end)
    each("Size", "", [x])
    each("EyeLike", "", [x[0]], k=1)
    each("EyeLike", "", [x[0]], k=-1, dtype=1)
    each("GatherND", "", [x, np.array([[0, 1], [1, 2]])], live=[0])
    each("GatherND", "", [x, np.array([[1], [2]])], live=[0], batch_dims=1)
    indices = np.array([[[1, 0, 2, 1]]])
    for axis in (0, 1, 2, -1):
        for operator in ("Scatter", "ScatterElements"):
            each(operator, "", [x, indices % 2, x[:1, :1] * 2], newest=10 if operator == "Scatter" else NEWEST, live=[0, 2], axis=axis)
    each("ScatterND", "", [x, np.array([[0, 1], [1, 2]]), x[0, :2] * 2], live=[0, 2])


def constants():
    """Operators without numbers from outside: x is added to what they make."""
    x = np.zeros((2, 3), F32)
    values = [
        ("Constant", [], {"value": numpy_helper.from_array(np.array([[NAN, 1, -2]], F32), "v")}), ("Constant", [], {"value_float": 1.5}),
        ("Constant", [], {"value_floats": [1.5, 2.0, -1.0]}), ("Constant", [], {"value_int": 3}), ("Constant", [], {"value_ints": [1, 2, 3]}),
        ("ConstantOfShape", [np.array([2, 3])], {}), ("ConstantOfShape", [np.array([2, 3])], {"value": numpy_helper.from_array(np.array([2.5], F32), "v")}),
        ("ConstantOfShape", [np.array([2, 3])], {"value": numpy_helper.from_array(np.array([4]), "v")}),
        ("Range", [np.array(1), np.array(7), np.array(2)], {}), ("Range", [np.array(1, F32), np.array(2, F32), np.array(0.4, F32)], {}),
        ("Range", [np.array(5), np.array(-1), np.array(-2)], {}),
        *[(f"{window}Window", [np.array(3)], {"periodic": periodic}) for window in ("Blackman", "Hamming", "Hann") for periodic in (0, 1)],
    ]
    for operator, inputs, attributes in values:
        if operator not in OPERATORS:
            continue
        stored = {f"i{place}": value for place, value in enumerate(inputs)}
        stored |= {"shape": np.array(x.shape, np.int64), "row": np.array([1, -1], np.int64)}
        made = helper.make_node(operator, list(stored)[: len(inputs)], ["o"], **attributes)
        nodes = [
            helper.make_node("Reshape", ["x", "shape"], ["i"]), made, helper.make_node("Cast", ["o"], ["f"], to=1),
            helper.make_node("Add", ["i", "f"], ["a"]), helper.make_node("Reshape", ["a", "row"], ["b"]),
            helper.make_node("Transpose", ["b"], ["y"], perm=[0, 1]),
        ]
        for version in versions(operator, "", NEWEST):
            model = base.graph(nodes, stored, ["y"], x.size, version)
            base.add(f"{operator} {attributes}, opset {version}", operator, model, rows_of(x), changed=changed(made))


if __name__ == "__main__":
    backend()
    elements()
    rows()
    layers()
    shapes()
    constants()
    base.write()
