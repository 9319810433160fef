"""GraphFlow: build a graph, let it be optimized and explained, run it or ship it to a chip.

This module is the table of contents of the public names. What builds graphs is imported at once;
sessions and the tools above them are imported on first use, so that `import graphflow` needs NumPy
alone and stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from graphflow import errors
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.custom import custom_gradient, straight_through
from graphflow.autodiff.products import hessian, hessian_vector_product, jvp, vjp
from graphflow.autodiff.reverse import gradients
from graphflow.errors import (
    AttributeValueError,
    BackendError,
    DTypeError,
    FeedError,
    FetchError,
    FileFormatError,
    GradientError,
    GraphError,
    GraphFlowError,
    MemoryPlanError,
    ParseError,
    RewriteError,
    SessionError,
    ShapeError,
    VerifyError,
)
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import (
    DType,
    as_dtype,
    bfloat16,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    promote,
    uint8,
    uint16,
    uint32,
    uint64,
)
from graphflow.ir.dtypes import bool_ as bool
from graphflow.ir.graph import Graph, default_graph, name_scope, reset_default_graph
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import OpDef, registry
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from graphflow.ir.types import TensorType
from graphflow.ir.verify import verify
from graphflow.ops import initializers, overloads
from graphflow.ops import sampling as random
from graphflow.ops.arrange import concat, repeat, roll, split, tile
from graphflow.ops.comparison import (
    bitwise_and,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    equal,
    greater,
    greater_equal,
    less,
    less_equal,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    not_equal,
    where,
)
from graphflow.ops.creation import (
    arange,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tril,
    triu,
    zeros,
    zeros_like,
)
from graphflow.ops.declare import Update, assign, constant, group, placeholder, variable
from graphflow.ops.einsum import einsum
from graphflow.ops.elementwise import (
    abs,
    add,
    copysign,
    divide,
    floor_divide,
    maximum,
    minimum,
    multiply,
    negative,
    pow,
    reciprocal,
    remainder,
    sign,
    square,
    subtract,
)
from graphflow.ops.functions import erf, exp, expm1, hypot, log, log1p, log2, log10, logaddexp, rsqrt, sqrt
from graphflow.ops.indexing import (
    add_along_axis,
    gather_nd,
    index_add,
    one_hot,
    scatter_nd_add,
    take,
    take_along_axis,
)
from graphflow.ops.linalg import (
    diagonal,
    diagonal_matrix,
    matmul,
    matrix_transpose,
    outer,
    tensordot,
    trace,
    vecdot,
    vector_norm,
)
from graphflow.ops.padding import pad
from graphflow.ops.rearrange import (
    atleast_1d,
    atleast_2d,
    flatten,
    flip,
    meshgrid,
    moveaxis,
    stack,
    swapaxes,
    unstack,
)
from graphflow.ops.reduction import all, any, argmax, argmin, logsumexp, max, mean, min, prod, sum
from graphflow.ops.rounding import (
    astype,
    ceil,
    floor,
    identity,
    is_finite,
    is_inf,
    is_nan,
    round,
    stop_gradient,
    trunc,
)
from graphflow.ops.running import cumulative_prod, cumulative_sum
from graphflow.ops.selection import (
    argwhere,
    compress,
    nonzero,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from graphflow.ops.shape import broadcast_to, expand_dims, permute_dims, reshape, shape_of, squeeze
from graphflow.ops.slicing import slice_ as slice
from graphflow.ops.sorting import argsort, isin, median, searchsorted, sort, top_k
from graphflow.ops.statistics import clip, count_nonzero, std, var
from graphflow.ops.trigonometry import (
    acos,
    acosh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cos,
    cosh,
    sin,
    sinh,
    tan,
    tanh,
)

if TYPE_CHECKING:
    from graphflow import data, layers, nn, train, viz
    from graphflow.data.progress import progress
    from graphflow.io import saved_model
    from graphflow.model import Model, optimize, plan_memory
    from graphflow.session.session import Session
    from graphflow.viz.networkx import to_networkx

    training: Tensor

__version__ = "0.1.0"

overloads.attach()

_ON_FIRST_USE = {
    "Model": "graphflow.model",
    "Session": "graphflow.session.session",
    "data": "",
    "layers": "",
    "nn": "",
    "optimize": "graphflow.model",
    "plan_memory": "graphflow.model",
    "progress": "graphflow.data.progress",
    "saved_model": "graphflow.io",
    "to_networkx": "graphflow.viz.networkx",
    "train": "",
    "viz": "",
}


def __getattr__(name: str) -> Any:
    if name == "training":
        from graphflow.ops.declare import training

        return training()
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'graphflow' has no attribute {name!r}")
    home = _ON_FIRST_USE[name]
    if not home:
        return importlib.import_module(f"graphflow.{name}")
    if home == "graphflow.io":
        return importlib.import_module(f"graphflow.io.{name}")
    found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def __dir__() -> list[str]:
    return sorted([*globals(), *_ON_FIRST_USE, "training"])


__all__ = [
    "AttributeValueError", "BackendError", "Builder", "DType", "DTypeError", "Dim", "FeedError",
    "FetchError", "FileFormatError", "GradientError", "Graph", "GraphError", "GraphFlowError",
    "MemoryPlanError", "Model", "Node", "OpDef", "ParseError", "RewriteError", "Session", "SessionError",
    "ShapeError", "Tensor", "TensorType", "Update", "VerifyError", "abs", "acos", "acosh", "add",
    "add_along_axis", "all", "any", "arange", "argmax", "argmin", "argsort", "argwhere", "as_dtype", "asin",
    "asinh", "assign", "astype", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "bfloat16",
    "bitwise_and", "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift",
    "bitwise_xor", "bool", "broadcast_to", "ceil", "check_gradients", "clip", "complex128", "complex64",
    "compress", "concat", "constant", "copysign", "cos", "cosh", "count_nonzero", "cumulative_prod",
    "cumulative_sum", "custom_gradient", "data", "default_graph", "diagonal", "diagonal_matrix", "divide",
    "einsum", "equal", "erf", "errors", "exp", "expand_dims", "expm1", "eye", "flatten", "flip", "float16",
    "float32", "float64", "floor", "floor_divide", "full", "full_like", "gather_nd", "gradients", "greater",
    "greater_equal", "group", "hessian", "hessian_vector_product", "hypot", "identity", "index_add",
    "initializers", "int16", "int32", "int64", "int8", "is_finite", "is_inf", "is_nan", "isin", "jvp",
    "layers", "less", "less_equal", "linspace", "log", "log10", "log1p", "log2", "logaddexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsumexp", "matmul", "matrix_transpose", "max", "maximum",
    "mean", "median", "meshgrid", "min", "minimum", "moveaxis", "multiply", "name_scope", "negative", "nn",
    "nonzero", "not_equal", "one_hot", "ones", "ones_like", "optimize", "outer", "pad", "parse_graph",
    "permute_dims", "placeholder", "plan_memory", "pow", "print_graph", "prod", "progress", "promote",
    "random", "reciprocal", "registry", "remainder", "repeat", "reset_default_graph", "reshape", "roll",
    "round", "rsqrt", "saved_model", "scatter_nd_add", "searchsorted", "shape_of", "sign", "sin", "sinh",
    "slice", "sort", "split", "sqrt", "square", "squeeze", "stack", "std", "stop_gradient",
    "straight_through", "subtract", "sum", "swapaxes", "take", "take_along_axis", "tan", "tanh",
    "tensordot", "tile", "to_networkx", "top_k", "trace", "train", "training", "tril", "triu", "trunc",
    "uint16", "uint32", "uint64", "uint8", "unique_all", "unique_counts", "unique_inverse", "unique_values",
    "unstack", "var", "variable", "vecdot", "vector_norm", "verify", "viz", "vjp", "where", "zeros",
    "zeros_like",
]  # fmt: skip
