"""Colours by operator family: light fills with darker lines, from a palette that is safe for all eyes.

The hues are those of Okabe and Ito's palette; families that are alike share one, so that a legend
stays short. Colour never carries a fact alone: every box names its operator.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphflow.ir.dtypes import DType
from graphflow.ir.node import Node
from graphflow.ir.opdef import OpDef

TEXT = "#1a1a1a"
QUIET = "#5c5c5c"
EDGE = "#7a7a7a"
ACCENT = "#c1121f"
BACKGROUND = "#ffffff"
FONT = "Helvetica,Arial,sans-serif"


@dataclass(frozen=True, slots=True)
class Paint:
    """A fill and line colour, what the legend calls it, and the colour of small text on it."""

    label: str
    fill: str
    line: str
    quiet: str = QUIET


INPUT = Paint("input", "#ffffff", "#333333")
VARIABLE = Paint("variable", "#fbf4c0", "#9a8700")
CONSTANT = Paint("constant", "#f0f0f0", "#8c8c8c")
SCOPE = Paint("scope", "#f4f6f8", "#44546a")
OTHER = Paint("other", "#e6e6e6", "#555555")
LINEAR = Paint("linear algebra, convolution", "#cfe4f5", "#0072b2")
ELEMENTWISE = Paint("elementwise", "#d7efe5", "#008a65")
ACTIVATION = Paint("activation", "#fde5bd", "#b86f00")
REDUCTION = Paint("reduction, normalization", "#f9d6c5", "#c04f00")
SHAPE = Paint("shape, indexing", "#f4deeb", "#a64d80")
RANDOM = Paint("random", "#def3fd", "#2f8fc4")
CONTROL = Paint("control flow, update", "#d9dce1", "#2f3640")
REGION = Paint("fused into one loop", "#f5f2fb", "#6b4fa8")

SEVERAL = Paint("several dtypes", "#eceff3", "#4a5a70")
SUPPORTED = Paint("supported", "#d9f0e4", "#00795a")
PARTLY = Paint("in part", "#fdeec0", "#a87400")
REFUSED = Paint("refused", "#fbd5d5", "#b5121b")

HEAT = (
    (0.20, Paint("20 % or more", "#fc9a6b", "#8a2a06", "#2e2e2e")),
    (0.05, Paint("5 to 20 %", "#fdbf8f", "#a8480f", "#333333")),
    (0.01, Paint("1 to 5 %", "#fddcb0", "#a0621c", "#404040")),
    (0.001, Paint("0.1 to 1 %", "#fdf1de", "#8d7138", "#505050")),
    (float("-inf"), Paint("less", "#fafafa", "#808080")),
)
"""Paints by the least share of the whole, the largest first."""

_BY_DTYPE = {
    "float32": ("#cfe4f5", "#0072b2"),
    "float64": ("#c3cff0", "#2f4699"),
    "float16": ("#fde5bd", "#b86f00"),
    "bfloat16": ("#f9d6c5", "#c04f00"),
    "bool": ("#f0f0f0", "#6f6f6f"),
}
_BY_KIND = {
    "float": ("#f6d9e8", "#a64d80"),
    "int": ("#d7efe5", "#008a65"),
    "uint": ("#e9efc4", "#6d7a00"),
    "complex": ("#e5dcf5", "#6b4fa8"),
}


def dtype_paint(dtype: DType) -> Paint:
    """The colours of an element type, which the legend calls by its name.

    >>> from graphflow.ir.dtypes import int32
    >>> dtype_paint(int32).label
    'int32'
    """
    found = _BY_DTYPE.get(str(dtype)) or _BY_KIND.get(dtype.kind) or (OTHER.fill, OTHER.line)
    return Paint(str(dtype), *found)


_BY_FAMILY = {
    "linalg": LINEAR,
    "factorization": LINEAR,
    "fourier": LINEAR,
    "conv": LINEAR,
    "convolution": LINEAR,
    "attention": LINEAR,
    "recurrent": LINEAR,
    "elementwise": ELEMENTWISE,
    "comparison": ELEMENTWISE,
    "casting": ELEMENTWISE,
    "complex": ELEMENTWISE,
    "quantization": ELEMENTWISE,
    "strings": ELEMENTWISE,
    "activation": ACTIVATION,
    "softmax": ACTIVATION,
    "loss": REDUCTION,
    "reduction": REDUCTION,
    "pooling": REDUCTION,
    "normalization": REDUCTION,
    "shape": SHAPE,
    "indexing": SHAPE,
    "sorting": SHAPE,
    "resize": SHAPE,
    "detection": SHAPE,
    "images": SHAPE,
    "random": RANDOM,
    "control": CONTROL,
    "state": CONTROL,
}


def paint_of(node: Node) -> Paint:
    """The colours of one node.

    >>> import graphflow as gf
    >>> paint_of(gf.exp(gf.constant(1.0)).node).label
    'elementwise'
    """
    return operator_paint(node.op)


def operator_paint(op: OpDef) -> Paint:
    """The colours of the nodes of an operator."""
    if op.name == "variable":
        return VARIABLE
    if op.name == "constant":
        return CONSTANT
    if op.name == "dimension":
        return SHAPE
    if "nullary_input" in op.traits:
        return INPUT
    return _BY_FAMILY.get(op.family, OTHER)
