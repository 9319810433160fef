"""GraphFlow: build a graph, let it be optimized and explained, run it or ship it to a chip.

This module is the table of contents of the public names. What builds graphs is imported at once;
sessions and the tools above them are imported on first use, so that `import graphflow` needs NumPy
alone and stays quick.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from graphflow import errors
from graphflow.autodiff.check import check_gradients
from graphflow.autodiff.custom import custom_gradient, straight_through
from graphflow.autodiff.function import function, recompute
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
    NonFiniteError,
    ParseError,
    RewriteError,
    SessionError,
    ShapeError,
    VerifyError,
)
from graphflow.ir import shown
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import (
    DType,
    as_dtype,
    bfloat16,
    complex64,
    complex128,
    float4_e2m1fn,
    float6_e2m3fn,
    float6_e3m2fn,
    float8_e4m3fn,
    float8_e4m3fnuz,
    float8_e5m2,
    float8_e5m2fnuz,
    float8_e8m0fnu,
    float16,
    float32,
    float64,
    int2,
    int4,
    int8,
    int16,
    int32,
    int64,
    promote,
    string,
    uint2,
    uint4,
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
from graphflow.ops import fourier as fft
from graphflow.ops import initializers, overloads, strings
from graphflow.ops import linear_algebra as linalg
from graphflow.ops import lists as sequence
from graphflow.ops import sampling as random
from graphflow.ops import spectral as signal
from graphflow.ops.arrange import roll, split, tile
from graphflow.ops.bits import bitcast
from graphflow.ops.branching import cond, switch_case
from graphflow.ops.casting import astype
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
from graphflow.ops.complex import angle, conj, imag, real
from graphflow.ops.complex import complex_ as complex
from graphflow.ops.creation import (
    arange,
    asarray,
    empty,
    empty_like,
    eye,
    from_dlpack,
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
from graphflow.ops.custom import op
from graphflow.ops.declare import Update, assign, constant, group, placeholder, variable
from graphflow.ops.einsum import einsum
from graphflow.ops.element_types import can_cast, finfo, iinfo, isdtype, result_type
from graphflow.ops.elementwise import (
    abs,
    add,
    copysign,
    divide,
    floor_divide,
    fmod,
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
from graphflow.ops.fed_axis import for_axis
from graphflow.ops.front_door import trace
from graphflow.ops.functions import erf, exp, expm1, hypot, log, log1p, log2, log10, logaddexp, rsqrt, sqrt
from graphflow.ops.images import decode_image
from graphflow.ops.indexing import (
    add_along_axis,
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
    vecdot,
    vector_norm,
)
from graphflow.ops.looping import fori_loop, scan, while_loop
from graphflow.ops.looping import map_ as map
from graphflow.ops.padding import pad
from graphflow.ops.quantization import dequantize_linear, quantize_linear
from graphflow.ops.quantized_products import (
    conv_integer,
    dynamic_quantize_linear,
    matmul_integer,
    qlinear_conv,
    qlinear_matmul,
)
from graphflow.ops.rearrange import (
    atleast_1d,
    atleast_2d,
    broadcast_arrays,
    broadcast_shapes,
    flatten,
    flip,
    meshgrid,
    moveaxis,
    stack,
    swapaxes,
    unstack,
)
from graphflow.ops.reduction import all, any, argmax, argmin, logsumexp, max, mean, min
from graphflow.ops.rounding import (
    ceil,
    floor,
    identity,
    is_finite,
    is_inf,
    is_nan,
    isfinite,
    isinf,
    isnan,
    nextafter,
    positive,
    round,
    signbit,
    stop_gradient,
    trunc,
)
from graphflow.ops.running import diff
from graphflow.ops.scattering import gather_nd, put_along_axis, scatter_nd
from graphflow.ops.selection import (
    argwhere,
    compress,
    nonzero,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
)
from graphflow.ops.sequences import reverse_sequence
from graphflow.ops.shape import broadcast_to, expand_dims, permute_dims, shape_of, squeeze
from graphflow.ops.slicing import slice_ as slice
from graphflow.ops.sorting import isin, median, top_k
from graphflow.ops.standard import (
    argsort,
    concat,
    cumulative_prod,
    cumulative_sum,
    e,
    inf,
    nan,
    newaxis,
    pi,
    prod,
    repeat,
    reshape,
    searchsorted,
    sort,
    sum,
)
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
from graphflow.ops.unique import unique
from graphflow.vectorize.fallback import VmapWarning
from graphflow.vectorize.vmap import vmap

if TYPE_CHECKING:
    from graphflow import data, layers, nn, prove, train, viz
    from graphflow.data.progress import progress
    from graphflow.deploy import compile, preflight
    from graphflow.io import onnx, saved_model, tflite
    from graphflow.model import Model, optimize, plan_memory
    from graphflow.runtime.jax.from_jax import call_jax, from_jax
    from graphflow.session.session import Session
    from graphflow.viz.networkx import to_networkx
    from graphflow.viz.tree import debug_print

    training: Tensor

__version__ = "0.1.0"

overloads.attach()
shown.drawer = lambda: importlib.import_module("graphflow.viz.notebook")

_ON_FIRST_USE = {
    "Model": "graphflow.model",
    "Session": "graphflow.session.session",
    "call_jax": "graphflow.runtime.jax.from_jax",
    "compile": "graphflow.deploy",
    "data": "",
    "debug_print": "graphflow.viz.tree",
    "from_jax": "graphflow.runtime.jax.from_jax",
    "layers": "",
    "nn": "",
    "onnx": "graphflow.io",
    "optimize": "graphflow.model",
    "plan_memory": "graphflow.model",
    "preflight": "graphflow.deploy",
    "progress": "graphflow.data.progress",
    "prove": "",
    "saved_model": "graphflow.io",
    "tflite": "graphflow.io",
    "to_networkx": "graphflow.viz.networkx",
    "train": "",
    "viz": "",
}


_INSIDE = ("nn", "random", "linalg", "layers", "train", "fft", "signal", "sequence", "data")
_KNOWN_AS = {
    "Variable": "variable", "cast": "astype", "cat": "concat", "checkpoint": "recompute",
    "concatenate": "concat", "cumprod": "cumulative_prod", "cumsum": "cumulative_sum",
    "detach": "stop_gradient", "gather": "take", "grad": "gradients", "norm": "vector_norm",
    "power": "pow", "rand": "random.uniform", "randn": "random.normal", "reduce_mean": "mean",
    "reduce_sum": "sum", "remat": "recompute", "topk": "top_k", "transpose": "permute_dims",
    "unsqueeze": "expand_dims",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name == "training":
        from graphflow.ops.declare import training

        return training()
    if name not in _ON_FIRST_USE:
        raise _missing(name)
    home = _ON_FIRST_USE[name]
    with errors.needing_packages(f"gf.{name}"):
        if not home:
            return importlib.import_module(f"graphflow.{name}")
        if home == "graphflow.io":
            return importlib.import_module(f"graphflow.io.{name}")
        found = globals()[name] = getattr(importlib.import_module(home), name)
    return found


def _missing(name: str) -> AttributeError:
    """The error for a name that is not here; it says where the name is, or what it is called here."""
    from importlib.util import find_spec

    told, itself = f"module 'graphflow' has no attribute {name!r}", sys.modules[__name__]
    if name.isidentifier() and not name.startswith("_") and find_spec(f"graphflow.{name}") is None:
        inside = (f"{place}.{name}" for place in _INSIDE if name in getattr(itself, place).__all__)
        meant = _KNOWN_AS.get(name) or next(inside, None)
        told += f"; it is gf.{meant}" if meant else ""
    return AttributeError(told, name=name, obj=itself)


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


__all__ = [
    "AttributeValueError", "BackendError", "Builder", "DType", "DTypeError", "Dim", "FeedError",
    "FetchError", "FileFormatError", "GradientError", "Graph", "GraphError", "GraphFlowError",
    "MemoryPlanError", "Model", "Node", "NonFiniteError", "OpDef", "ParseError", "RewriteError",
    "Session", "SessionError", "ShapeError", "Tensor", "TensorType", "Update", "VerifyError",
    "VmapWarning", "abs", "acos", "acosh", "add", "add_along_axis", "all", "angle", "any", "arange",
    "argmax", "argmin", "argsort", "argwhere", "as_dtype", "asarray", "asin", "asinh", "assign", "astype",
    "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "bfloat16", "bitcast", "bitwise_and",
    "bitwise_invert", "bitwise_left_shift", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "bool",
    "broadcast_arrays", "broadcast_shapes", "broadcast_to", "call_jax", "can_cast", "ceil",
    "check_gradients", "clip", "compile", "complex", "complex128", "complex64", "compress", "concat", "cond",
    "conj",
    "constant", "conv_integer", "copysign", "cos", "cosh", "count_nonzero", "cumulative_prod",
    "cumulative_sum", "custom_gradient", "data", "debug_print", "decode_image", "default_graph",
    "dequantize_linear", "diagonal", "diagonal_matrix", "diff", "divide", "dynamic_quantize_linear", "e",
    "einsum", "empty", "empty_like", "equal", "erf", "errors", "exp", "expand_dims", "expm1", "eye",
    "fft", "finfo", "flatten", "flip", "float16", "float32", "float4_e2m1fn", "float64", "float6_e2m3fn",
    "float6_e3m2fn", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz",
    "float8_e8m0fnu", "floor", "floor_divide", "fmod", "for_axis", "fori_loop", "from_dlpack", "from_jax",
    "full", "full_like", "function", "gather_nd", "gradients", "greater", "greater_equal", "group",
    "hessian", "hessian_vector_product", "hypot", "identity", "iinfo", "imag", "index_add", "inf",
    "initializers", "int16", "int2", "int32", "int4", "int64", "int8", "is_finite", "is_inf", "is_nan",
    "isdtype", "isfinite", "isin", "isinf", "isnan", "jvp", "layers", "less", "less_equal", "linalg",
    "linspace", "log", "log10", "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or",
    "logical_xor", "logsumexp", "map", "matmul", "matmul_integer", "matrix_transpose", "max", "maximum",
    "mean", "median", "meshgrid", "min", "minimum", "moveaxis", "multiply", "name_scope", "nan",
    "negative", "newaxis", "nextafter", "nn", "nonzero", "not_equal", "one_hot", "ones", "ones_like",
    "onnx", "op", "optimize", "outer", "pad", "parse_graph", "permute_dims", "pi", "placeholder",
    "plan_memory", "positive", "pow", "preflight", "print_graph", "prod", "progress", "promote", "prove",
    "put_along_axis", "qlinear_conv", "qlinear_matmul", "quantize_linear", "random", "real", "reciprocal",
    "recompute", "registry", "remainder", "repeat", "reset_default_graph", "reshape", "result_type",
    "reverse_sequence", "roll", "round", "rsqrt", "saved_model", "scan", "scatter_nd", "scatter_nd_add",
    "searchsorted", "sequence", "shape_of", "sign", "signal", "signbit", "sin", "sinh", "slice", "sort",
    "split", "sqrt", "square", "squeeze", "stack", "std", "stop_gradient", "straight_through", "string",
    "strings", "subtract", "sum", "swapaxes", "switch_case", "take", "take_along_axis", "tan", "tanh",
    "tensordot", "tflite", "tile", "to_networkx", "top_k", "trace", "train", "training", "tril", "triu",
    "trunc", "uint16", "uint2", "uint32", "uint4", "uint64", "uint8", "unique", "unique_all",
    "unique_counts", "unique_inverse", "unique_values", "unstack", "var", "variable", "vecdot",
    "vector_norm", "verify", "viz", "vjp", "vmap", "where", "while_loop", "zeros", "zeros_like",
]  # fmt: skip
