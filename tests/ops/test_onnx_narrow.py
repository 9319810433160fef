"""The onnx package's own cases for conversions, quantization and strings, all of them, on both backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import graphflow as gf
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.narrow import widened
from graphflow.session.feeds import needed_placeholders
from tests.onnx_cases import Case, cases


def array(value: Any) -> np.ndarray:
    """An input or output of a case, its text as NumPy's strings."""
    made = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    return made.astype(gf.string.numpy) if made.dtype.kind in "OU" else made


def named(number: int) -> Any:
    """The dtype with a number of ONNX, None for 0."""
    return onnx.helper.tensor_dtype_to_np_dtype(number) if number else None


def text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def window(attributes: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a convolution."""
    pads = attributes.get("pads")
    half = len(pads) // 2 if pads else 0
    return {
        "strides": tuple(attributes.get("strides", ())) or 1,
        "dilation": tuple(attributes.get("dilations", ())) or 1,
        "groups": attributes.get("group", 1),
        "padding": tuple(zip(pads[:half], pads[half:])) if pads else 0,
    }


def cast(case: Case, x: gf.Tensor, like: gf.Tensor | None = None) -> gf.Tensor:
    a = case.attributes
    target = named(a["to"]) if like is None else like.dtype
    mode = text(a.get("round_mode", "up"))
    return gf.astype(x, target, saturate=bool(a.get("saturate", 1)), round_mode=mode)


def quantize(case: Case, *given: gf.Tensor) -> gf.Tensor:
    a = case.attributes
    return gf.quantize_linear(
        *given,
        axis=a.get("axis", 1),
        block_size=a.get("block_size", 0),
        dtype=named(a.get("output_dtype", 0)),
        saturate=bool(a.get("saturate", 1)),
        precision=named(a.get("precision", 0)),
    )


def dequantize(case: Case, *given: gf.Tensor) -> gf.Tensor:
    a = case.attributes
    return gf.dequantize_linear(
        *given,
        axis=a.get("axis", 1),
        block_size=a.get("block_size", 0),
        dtype=named(a.get("output_dtype", 0)),
    )


def split(case: Case, x: gf.Tensor) -> Any:
    size = array(case.outputs[0]).shape[-1]
    a = case.attributes
    return gf.strings.split(x, size, text(a.get("delimiter")), a.get("maxsplit"))


def normalize(case: Case, x: gf.Tensor) -> gf.Tensor:
    a = case.attributes
    return gf.strings.normalize(
        x,
        stop_words=[text(word) for word in a.get("stopwords", ())],
        case=text(a.get("case_change_action", "NONE")),
        case_sensitive=bool(a.get("is_case_sensitive", 0)),
        size=array(case.outputs[0]).shape[-1],
    )


def tf_idf(case: Case, x: gf.Tensor) -> gf.Tensor:
    a = case.attributes
    return gf.strings.tf_idf(
        x,
        a.get("pool_int64s") or [text(word) for word in a["pool_strings"]],
        a["ngram_counts"],
        a["ngram_indexes"],
        max_length=a["max_gram_length"],
        min_length=a["min_gram_length"],
        max_skip=a["max_skip_count"],
        mode=text(a["mode"]),
        weights=a.get("weights"),
    )


FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("cast", "Cast"): cast,
    ("castlike", "CastLike"): cast,
    ("bitcast", "BitCast"): lambda case, x: gf.bitcast(x, named(case.attributes["to"])),
    ("quantizelinear", "QuantizeLinear"): quantize,
    ("dequantizelinear", "DequantizeLinear"): dequantize,
    ("dynamicquantizelinear", "DynamicQuantizeLinear"): lambda case, x: gf.dynamic_quantize_linear(x),
    ("matmulinteger", "MatMulInteger"): lambda case, *given: gf.matmul_integer(*given),
    ("convinteger", "ConvInteger"): lambda case, *given: gf.conv_integer(*given, **window(case.attributes)),
    ("qlinearmatmul", "QLinearMatMul"): lambda case, *given: gf.qlinear_matmul(*given),
    ("qlinearconv", "QLinearConv"): lambda case, *given: gf.qlinear_conv(*given, **window(case.attributes)),
    ("string_concat", "StringConcat"): lambda case, x, y: gf.strings.concat(x, y),
    ("string_split", "StringSplit"): split,
    ("stringnormalizer", "StringNormalizer"): normalize,
    ("regex_full_match", "RegexFullMatch"): lambda case, x: gf.strings.full_match(
        x, text(case.attributes["pattern"])
    ),
    ("tfidfvectorizer", "TfIdfVectorizer"): tf_idf,
    ("equal", "Equal"): lambda case, x, y: gf.equal(x, y),
}
COUNTS = {"Cast": 60, "CastLike": 50, "QuantizeLinear": 13, "DequantizeLinear": 14, "TfIdfVectorizer": 7}
"""At least so many cases there have to be; otherwise the walk has lost them."""
NUMPY_ONLY = ("string", "float6_e2m3fn", "float6_e3m2fn")


def same(found: np.ndarray, expected: np.ndarray, where: str) -> None:
    """Equal types and bits; of NaN there is one, and floats that were computed may be an ulp off."""
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape), where
    dtype = as_dtype(expected.dtype)
    if dtype.is_narrow:
        found, expected = (widened(one, dtype) for one in (found, expected))
    if dtype.kind in ("float", "narrow_float"):
        found, expected = found.astype(np.float64), expected.astype(np.float64)
        np.testing.assert_allclose(found, expected, rtol=2e-7, atol=0, err_msg=where)
    else:
        np.testing.assert_array_equal(found, expected, err_msg=where)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize(("module", "op_type"), FUNCTIONS)
def test_every_case(module: str, op_type: str, backend: str) -> None:
    feeds: dict[gf.Tensor, np.ndarray] = {}
    wanted = []
    found = cases(module, op_type)
    assert len(found) >= COUNTS.get(op_type, 1)
    for case in found:
        inputs = [array(value) for value in case.inputs if value is not None]
        outputs = [array(value) for value in case.outputs if value is not None]
        if backend == "jax" and any(as_dtype(one.dtype).name in NUMPY_ONLY for one in (*inputs, *outputs)):
            continue
        if backend == "jax" and op_type == "TfIdfVectorizer":
            continue
        given = [gf.placeholder(f"{case.name}_{i}", one.shape, one.dtype) for i, one in enumerate(inputs)]
        made = FUNCTIONS[module, op_type](case, *given)
        tensors = made if isinstance(made, (tuple, list)) else [made]
        wanted += [(tensor, one, case.name) for tensor, one in zip(tensors, outputs, strict=True)]
        feeds |= dict(zip(given, inputs))
    if not wanted:
        assert backend == "jax" and all(
            any(as_dtype(array(value).dtype).name in NUMPY_ONLY for value in case.inputs) for case in found
        ) == (op_type != "TfIdfVectorizer")
        return
    tensors = [tensor for tensor, _, _ in wanted]
    with gf.Session(backend=backend) as sess:
        values = sess.run(tensors, {tensor: feeds[tensor] for tensor in needed_placeholders(tensors)})
    for value, (_, expected, name) in zip(values, wanted):
        same(value, expected, name)
