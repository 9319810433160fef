"""One small model for each operator: its inputs, fed or constant, its options, and what kinds come out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.io.tflite.build import Net, file_of

RNG = np.random.default_rng(0)


@dataclass
class Fed:
    """An array that is fed, rather than a constant of the model."""

    value: np.ndarray


@dataclass
class Case:
    """A model of one operator.

    Attributes:
        op: the operator.
        given: arrays for constants, Fed for inputs, None for absent.
        made: the dtypes of the outputs.
        options: the kind of the options, with values.
        exact: whether results are equal to the last bit.
    """

    op: str
    given: list[Any]
    made: tuple[str, ...] = ("float32",)
    options: str = ""
    values: dict[str, Any] | None = None
    exact: bool = False
    label: str = ""

    def file(self) -> bytes:
        """The bytes of the model."""
        net = Net()
        places = [self._place(net, one) for one in self.given]
        outputs = [net.tensor((), dtype) for dtype in self.made]
        net.op(self.op, places, outputs, self.options, **(self.values or {}))
        return file_of(net.out(*outputs))

    def _place(self, net: Net, one: Any) -> int:
        if one is None:
            return -1
        if isinstance(one, Fed):
            return net.input(one.value.shape, one.value.dtype)
        return net.constant(one)

    def feeds(self) -> list[np.ndarray]:
        """What is fed, in order."""
        return [one.value for one in self.given if isinstance(one, Fed)]


def floats(*shape: int) -> np.ndarray:
    """Numbers around 0."""
    return RNG.standard_normal(shape).astype(np.float32)


def fed(*shape: int) -> Fed:
    """Numbers around 0, fed."""
    return Fed(floats(*shape))


def ints(*values: Any, dtype: Any = np.int32) -> np.ndarray:
    """Integers."""
    return np.array(values[0] if len(values) == 1 else values, dtype)


def whole(low: int, high: int, *shape: int, dtype: Any = np.int32) -> Fed:
    """Integers, fed."""
    return Fed(RNG.integers(low, high, shape).astype(dtype))


def case(op: str, *given: Any, made: Any = ("float32",), options: str = "", **how: Any) -> Case:
    """A case with its options as keywords; `exact` and `label` are its own."""
    own = {name: how.pop(name) for name in ("exact", "label") if name in how}
    return Case(op, list(given), (made,) if isinstance(made, str) else made, options, how, **own)


AWKWARD = Fed(np.array([0.0, -0.0, 1.5, -2.5, 0.5, 7.0, -7.0, np.inf, -np.inf, 3e-39, 1e30], np.float32))
POSITIVE = Fed(np.array([0.0, 1.0, 0.25, 3.0, 1e-30, 1e30, np.inf], np.float32))
TRUTH = Fed(np.array([True, False, True, True]))
SAME, VALID = 0, 1


def _elementwise() -> list[Case]:
    made = [
        case(op, AWKWARD)
        for op in (
            "ABS", "CEIL", "COS", "ELU", "EXP", "FLOOR", "HARD_SWISH", "LOGISTIC", "NEG", "RELU", "RELU6",
            "RELU_N1_TO_1", "RELU_0_TO_1", "ROUND", "SIGN", "SIN", "SQUARE", "TANH",
        )
    ]  # fmt: skip
    made += [case(op, POSITIVE) for op in ("LOG", "RSQRT", "SQRT")]
    for op, options in (("ADD", "Add"), ("SUB", "Sub"), ("MUL", "Mul"), ("DIV", "Div")):
        for number in (0, 1, 2, 3):
            how = {"options": f"{options}Options", "FusedActivationFunction": number, "label": str(number)}
            made.append(case(op, fed(2, 3, 4), floats(3, 1) + 3, **how))
        made.append(case(op, whole(-9, 9, 2, 3), ints([[2, -3, 5]]), made="int32", label="int32", exact=True))
    for op in ("MAXIMUM", "MINIMUM", "SQUARED_DIFFERENCE", "FLOOR_DIV", "FLOOR_MOD"):
        made.append(case(op, fed(2, 3), floats(3)))
    for op in ("FLOOR_DIV", "FLOOR_MOD", "MAXIMUM", "MINIMUM"):
        made.append(case(op, whole(-9, 9, 2, 3), ints(2, -3, 5), made="int32", label="int32", exact=True))
    made.append(case("ATAN2", fed(2, 3), floats(2, 3)))
    made.append(case("POW", Fed(np.abs(floats(2, 3))), floats(3), options="PowOptions"))
    for op in ("EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"):
        made.append(case(op, whole(0, 3, 2, 3), ints(0, 1, 2), made="bool", exact=True))
    for op in ("LOGICAL_AND", "LOGICAL_OR"):
        made.append(case(op, TRUTH, np.array([True, True, False, True]), made="bool", exact=True))
    made.append(case("LOGICAL_NOT", TRUTH, made="bool", exact=True))
    made.append(case("ADD_N", fed(2, 3), fed(2, 3), fed(2, 3)))
    made.append(case("BITWISE_XOR", whole(0, 99, 5), ints(1, 2, 3, 4, 5), made="int32", exact=True))
    made.append(case("RIGHT_SHIFT", whole(-99, 99, 5), ints(1, 2, 3, 0, 5), made="int32", exact=True))
    made.append(case("GELU", AWKWARD_FINITE, options="GeluOptions", Approximate=False))
    made.append(case("GELU", AWKWARD_FINITE, options="GeluOptions", Approximate=True, label="tanh"))
    made.append(case("LEAKY_RELU", AWKWARD, options="LeakyReluOptions", Alpha=0.25))
    made.append(case("PRELU", fed(1, 3, 3, 4), floats(1, 1, 4)))
    made.append(case("SOFTMAX", fed(3, 5), options="SoftmaxOptions", Beta=1.5))
    made.append(case("LOG_SOFTMAX", fed(3, 5)))
    made.append(case("L2_NORMALIZATION", fed(3, 5), options="L2NormOptions"))
    made.append(
        case("CAST", AWKWARD_FINITE, made="int32", options="CastOptions", InDataType=0, OutDataType=2)
    )
    made.append(case("CAST", whole(0, 2, 4), made="bool", options="CastOptions", label="bool"))
    made.append(case("SELECT", Fed(np.array([True, False])), fed(2, 3), fed(2, 3), label="rows"))
    made.append(case("SELECT", Fed(np.array([[True, False]])), fed(1, 2), fed(1, 2)))
    made.append(case("SELECT_V2", Fed(np.array([[True], [False]])), fed(2, 3), fed(3)))
    fake = {"Min": -1.1, "Max": 2.2, "NumBits": 8, "NarrowRange": False}
    made.append(case("FAKE_QUANT", fed(4, 5), options="FakeQuantOptions", **fake))
    made.append(case("DEQUANTIZE", floats(3, 2).astype(np.float16)))
    return made


AWKWARD_FINITE = Fed(np.array([0.0, -0.0, 1.5, -2.5, 0.5, 7.0, -7.0, 100.0, -9.9], np.float32))


def _windows() -> list[Case]:
    made = []
    for padding in (SAME, VALID):
        for stride, dilation in ((1, 1), (2, 1), (1, 2)):
            how = {
                "Padding": padding, "StrideH": stride, "StrideW": stride, "DilationHFactor": dilation,
                "DilationWFactor": dilation, "label": f"{padding}{stride}{dilation}",
            }  # fmt: skip
            conv = {**how, "FusedActivationFunction": 1}
            made.append(
                case(
                    "CONV_2D", fed(2, 7, 6, 3), floats(4, 3, 2, 3), floats(4), options="Conv2DOptions", **conv
                )
            )
            depth = {**how, "DepthMultiplier": 2, "options": "DepthwiseConv2DOptions"}
            made.append(case("DEPTHWISE_CONV_2D", fed(1, 7, 6, 3), floats(1, 3, 2, 6), floats(6), **depth))
        for op in ("AVERAGE_POOL_2D", "MAX_POOL_2D", "L2_POOL_2D"):
            how = {"Padding": padding, "StrideH": 2, "StrideW": 1, "FilterHeight": 3, "FilterWidth": 2}
            made.append(case(op, fed(1, 7, 6, 3), options="Pool2DOptions", label=str(padding), **how))
        shape = ints(1, 8, 7, 3) if padding == SAME else ints(1, 9, 8, 3)
        for stride, sizes in ((2, shape), (1, ints(1, 4, 4, 3) if padding == SAME else ints(1, 6, 5, 3))):
            how = {"Padding": padding, "StrideH": stride, "StrideW": stride, "label": f"{padding}{stride}"}
            x = fed(1, 4, 4, 2)
            made.append(
                case("TRANSPOSE_CONV", sizes, floats(3, 3, 2, 2), x, options="TransposeConvOptions", **how)
            )
    grouped = {"Padding": SAME, "StrideH": 1, "StrideW": 1, "label": "groups"}
    made.append(
        case("CONV_2D", fed(1, 5, 5, 4), floats(6, 3, 3, 2), floats(6), options="Conv2DOptions", **grouped)
    )
    volume = {"Padding": SAME, "StrideD": 1, "StrideH": 2, "StrideW": 1}
    made.append(
        case(
            "CONV_3D", fed(1, 4, 5, 3, 2), floats(2, 3, 2, 2, 3), floats(3), options="Conv3DOptions", **volume
        )
    )
    sizes = ints(1, 4, 6, 3, 2)
    made.append(
        case(
            "CONV_3D_TRANSPOSE",
            sizes,
            floats(2, 3, 2, 2, 3),
            fed(1, 4, 3, 3, 3),
            options="Conv3DOptions",
            **volume,
        )
    )
    full = {"options": "FullyConnectedOptions"}
    made.append(
        case("FULLY_CONNECTED", fed(2, 6), floats(4, 6), floats(4), FusedActivationFunction=1, **full)
    )
    made.append(case("FULLY_CONNECTED", fed(2, 2, 3), floats(4, 6), None, label="flat", **full))
    made.append(
        case("FULLY_CONNECTED", fed(2, 2, 6), floats(4, 6), floats(4), KeepNumDims=True, label="kept", **full)
    )
    for left, right in ((False, False), (True, False), (False, True)):
        x, y = fed(*((2, 4, 3) if left else (2, 3, 4))), fed(*((1, 5, 4) if right else (2, 4, 5)))
        how = {"AdjX": left, "AdjY": right, "label": f"{left}{right}"}
        made.append(case("BATCH_MATMUL", x, y, options="BatchMatMulOptions", **how))
    norm = {"Radius": 2, "Bias": 1.5, "Alpha": 0.3, "Beta": 0.6}
    made.append(
        case(
            "LOCAL_RESPONSE_NORMALIZATION",
            fed(1, 2, 2, 9),
            options="LocalResponseNormalizationOptions",
            **norm,
        )
    )
    for op, options in (
        ("RESIZE_BILINEAR", "ResizeBilinearOptions"),
        ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    ):
        for aligned, half in ((False, False), (True, False), (False, True)):
            for size in ((7, 10), (2, 3), (1, 4)):
                how = {
                    "AlignCorners": aligned,
                    "HalfPixelCenters": half,
                    "label": f"{aligned}{half}{size[0]}",
                }
                made.append(case(op, fed(1, 3, 5, 2), ints(size), options=options, **how))
    return made


def _shapes() -> list[Case]:
    x = fed(2, 3, 4)
    made = [
        case("RESHAPE", x, ints(4, -1)),
        case("RESHAPE", x, options="ReshapeOptions", NewShape=[6, 4], label="option"),
        case("SQUEEZE", fed(1, 3, 1, 2), options="SqueezeOptions", SqueezeDims=[0, -2]),
        case("SQUEEZE", fed(1, 3, 1, 2), options="SqueezeOptions", label="all"),
        case("EXPAND_DIMS", x, ints(-1)),
        case("TRANSPOSE", x, ints(2, 0, 1)),
        case("BROADCAST_TO", fed(3, 1), ints(2, 3, 4), version=2),
        case("TILE", x, ints(1, 2, 3)),
        case("SHAPE", x, made="int32", options="ShapeOptions", OutType=2),
        case("RANK", x, made="int32"),
        case("CONCATENATION", fed(2, 3), fed(2, 1), options="ConcatenationOptions", Axis=-1),
        case("PACK", fed(2, 3), fed(2, 3), options="PackOptions", Axis=1, ValuesCount=2),
        case("UNPACK", x, made=("float32",) * 3, options="UnpackOptions", Axis=1, Num=3),
        case("SPLIT", ints(2), x, made=("float32",) * 2, options="SplitOptions", NumSplits=2),
        case(
            "SPLIT_V",
            x,
            ints(1, -1, 1),
            ints(-1),
            made=("float32",) * 3,
            options="SplitVOptions",
            NumSplits=3,
        ),
        case("SLICE", x, ints(0, 1, 2), ints(-1, 2, 1)),
        case("PAD", x, ints([[0, 1], [2, 0], [1, 1]])),
        case("PADV2", x, ints([[0, 1], [2, 0], [1, 1]]), np.float32(-7)),
        case("MIRROR_PAD", x, ints([[0, 1], [2, 0], [1, 1]]), options="MirrorPadOptions", Mode=0),
        case(
            "MIRROR_PAD",
            x,
            ints([[2, 1], [3, 0], [0, 4]]),
            options="MirrorPadOptions",
            Mode=1,
            label="symmetric",
        ),
        case("SPACE_TO_DEPTH", fed(2, 4, 6, 3), options="SpaceToDepthOptions", BlockSize=2),
        case("DEPTH_TO_SPACE", fed(2, 2, 3, 12), options="DepthToSpaceOptions", BlockSize=2),
        case("SPACE_TO_BATCH_ND", fed(2, 4, 5, 3), ints(2, 3), ints([[1, 1], [0, 1]])),
        case("SPACE_TO_BATCH_ND", fed(2, 4, 3), ints([2]), ints([[1, 1]]), label="1d"),
        case("BATCH_TO_SPACE_ND", fed(12, 3, 2, 3), ints(2, 3), ints([[1, 1], [0, 1]])),
        case("REVERSE_V2", x, ints([1])),
        case(
            "REVERSE_SEQUENCE",
            fed(3, 4, 2),
            ints(1, 4, 2),
            options="ReverseSequenceOptions",
            SeqDim=1,
            BatchDim=0,
        ),
    ]
    masks = (
        {},
        {"BeginMask": 1, "EndMask": 6},
        {"ShrinkAxisMask": 2},
        {"NewAxisMask": 1, "EndMask": 4},
        {"EllipsisMask": 1, "ShrinkAxisMask": 2},
    )
    for place, mask in enumerate(masks):
        given = x, ints(1, 0, 3), ints(2, 3, -5), ints(1, 2, -1)
        if place == 4:
            given = x, ints(0, 1), ints(0, 2), ints(1, 1)
        made.append(case("STRIDED_SLICE", *given, options="StridedSliceOptions", label=str(place), **mask))
    for one in made:
        one.exact = True
    return made


def _indices() -> list[Case]:
    x = fed(3, 4, 5)
    made = [
        case("GATHER", x, whole(0, 4, 2, 2), options="GatherOptions", Axis=1),
        case("GATHER", x, whole(0, 4, 3, 2), options="GatherOptions", Axis=1, BatchDims=1, label="batch"),
        case("GATHER", x, whole(0, 5, 3, 2), options="GatherOptions", Axis=2, BatchDims=1, label="between"),
        case("GATHER_ND", x, whole(0, 3, 2, 2)),
        case("EMBEDDING_LOOKUP", whole(0, 3, 4), floats(3, 2)),
        case(
            "ONE_HOT",
            whole(-1, 4, 3, 2),
            np.int32(4),
            np.float32(2),
            np.float32(-1),
            options="OneHotOptions",
            Axis=1,
        ),
        case("SCATTER_ND", ints([[0], [2], [0]]), fed(3, 4), ints(5, 4)),
        case("SPARSE_TO_DENSE", ints([[0, 1], [2, 0]]), ints(3, 2), fed(2), np.float32(9)),
        case("DYNAMIC_UPDATE_SLICE", x, fed(2, 2, 5), whole(1, 4, 3)),
        case("TOPK_V2", x, np.int32(3), made=("float32", "int32")),
        case("ARG_MAX", x, np.int32(1), made="int32", options="ArgMaxOptions", OutputType=2),
        case("ARG_MIN", x, np.int32(-1), made="int64", options="ArgMinOptions", OutputType=4),
        case("CUMSUM", x, np.int32(1), options="CumsumOptions"),
        case("CUMSUM", x, np.int32(2), options="CumsumOptions", Exclusive=True, Reverse=True, label="back"),
        case("WHERE", Fed(np.array([[True, False], [True, True]])), made="int64"),
        case("MATRIX_DIAG", fed(2, 3)),
        case("MATRIX_SET_DIAG", fed(2, 3, 4), fed(2, 3)),
        case("FILL", ints(2, 3), Fed(np.float32(1.5))),
        case("ZEROS_LIKE", x),
        case("RANGE", np.float32(1), np.float32(4), np.float32(0.5)),
        case("RANGE", np.int32(9), np.int32(0), np.int32(-2), made="int32", label="int32"),
        case("SEGMENT_SUM", fed(4, 2), ints(0, 0, 1, 2)),
    ]
    for op in ("SUM", "PROD", "MAX", "MIN"):
        segments = whole(0, 3, 5)
        made.append(case(f"UNSORTED_SEGMENT_{op}", fed(5, 2), segments, np.int32(4)))
    for op in ("MEAN", "SUM", "REDUCE_PROD", "REDUCE_MAX", "REDUCE_MIN"):
        made.append(case(op, x, ints(0, -1), options="ReducerOptions", KeepDims=True))
        made.append(case(op, x, np.int32(1), options="ReducerOptions", label="scalar"))
    for op in ("REDUCE_ANY", "REDUCE_ALL"):
        truth = Fed(np.array([[True, False], [True, True], [False, False]]))
        made.append(case(op, truth, ints([1]), made="bool", options="ReducerOptions"))
    boxes = np.array([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, 2, 1, 3], [0, 2.05, 1, 3.05]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.95], np.float32)
    limits = np.int32(3), np.float32(0.5), np.float32(0.1)
    made.append(case("NON_MAX_SUPPRESSION_V4", Fed(boxes), Fed(scores), *limits, made=("int32", "int32")))
    kinds = ("int32", "float32", "int32")
    made.append(case("NON_MAX_SUPPRESSION_V5", Fed(boxes), Fed(scores), *limits, np.float32(0), made=kinds))
    return made


CASES = [*_elementwise(), *_windows(), *_shapes(), *_indices()]
"""All of them; those that are not here are in tests of their own: recurrent nets, loops, whole numbers."""
