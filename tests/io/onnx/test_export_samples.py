"""Every operator that has an ONNX form: its samples, run by onnx's evaluator and imported again."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

import graphflow as gf
from graphflow.errors import FileFormatError
from graphflow.io.onnx.export import EXPORTS
from graphflow.io.onnx.export_control import TABLE as CONTROL
from graphflow.ir.opdef import registry
from tests.samples import Sample, all_samples

OPSET = 28
MOST = 9
"""Samples of one operator, spread over all that it has."""

SAMPLES = {name: listed for name, listed in sorted(all_samples().items())}

WITHOUT_FORM = {
    "adjugate", "argwhere", "cholesky", "complex", "complex_dft", "conj", "decode_image", "eig", "eigh",
    "eigvals", "eigvalsh", "imag", "inv", "inverse_real_dft", "max_unpool", "max_unpool_gradient",
    "nextafter", "non_max_suppression", "pinv", "qr", "random_binomial", "random_bits",
    "random_fold_in", "random_gamma", "random_gamma_slope", "random_key", "random_normal",
    "random_permutation", "random_poisson", "random_uniform", "real", "real_dft", "regex_full_match",
    "resample_gradient", "searchsorted", "slice_ranks", "slogdet", "solve", "static_case",
    "string_normalizer", "string_split", "svd", "svdvals", "tf_idf_vectorizer", "triangular_solve",
    "unique_all",
}  # fmt: skip
"""Whose samples are all refused. Those of argwhere have a size, which ONNX's NonZero does not take."""

FINITE = {"avg_pool", "logsumexp", "max_pool", "max_pool_gradient", "max_pool_select", "quantize_linear"}
"""Where the evaluator has its own results for NaN and infinities."""

IMPORT_ALONE = {
    "astype": "it computes with float8 and int4 in its own way",
    "astype_float8": "it computes with float8 in its own way",
    "avg_pool": "it counts windows beyond the padding wrongly",
    "avg_pool_gradient": "it transposes convolutions in two dimensions alone",
    "channels_last_conv_input_gradient": "it transposes convolutions in groups wrongly",
    "col2im": "it has two dimensions alone",
    "conv_input_gradient": "it transposes convolutions in groups wrongly",
    "dequantize_linear": "it refuses zero points of float8 that are zero",
    "log_softmax": "it takes the logarithm of what has vanished",
    "matmul_integer": "it does not take zero points of rows",
    "pad": "it does not pad scalars",
    "pow": "it does not take negative integer powers",
    "resample": "it does not take empty axes",
    "scan": "it does not take loops without a step",
    "softsign": "it gives a Python number for a scalar",
    "string_concat": "it takes text in another form",
}
"""Operators that onnx's evaluator runs wrongly, or not at all, for some samples."""


def spread(listed: list[Sample]) -> list[Sample]:
    """A few of the samples, the first and the last among them."""
    if len(listed) <= MOST:
        return listed
    return [listed[place] for place in np.linspace(0, len(listed) - 1, MOST).astype(int)]


def model_of(name: str, one: Sample) -> gf.Model:
    op = registry[name]
    with gf.Graph() as graph:
        inputs = [
            gf.placeholder(
                f"x{place}", array.shape, "string" if array.dtype.kind in "OUT" else array.dtype.name
            )
            for place, array in enumerate(one.inputs)
        ]
        made = op(inputs, **one.attrs) if op.variadic else op(*inputs, **one.attrs)
        outputs = {
            f"y{place}": one for place, one in enumerate(made if isinstance(made, (tuple, list)) else [made])
        }
        return gf.Model(graph, inputs, outputs)


def compare(got: Any, want: np.ndarray, one: Sample) -> None:
    got = np.asarray(got)
    assert got.shape == want.shape
    if want.dtype.kind not in "fV":
        assert np.array_equal(got, want, equal_nan=want.dtype.kind == "c")
        return
    assert got.dtype == want.dtype
    rtol = max(4 * one.rtol, 1e-5 if want.dtype.itemsize > 2 else 2e-2)
    wide = [array.astype(np.float64) for array in (got, want)]
    np.testing.assert_allclose(*wide, rtol=rtol, atol=max(one.atol, 1e-6))


def is_finite(one: Sample) -> bool:
    return all(bool(np.isfinite(array).all()) for array in one.inputs if array.dtype.kind == "f")


def check(name: str, one: Sample) -> None:
    """Raise FileFormatError if there is no form, and AssertionError if it computes something else."""
    model = model_of(name, one)
    proto = gf.onnx.to_proto(model, OPSET)
    onnx.checker.check_model(proto, full_check=True)
    feeds = {f"x{place}": array for place, array in enumerate(one.inputs)}
    want = list(model.run(feeds, backend="numpy", level="O0").values())
    for got, value in zip(
        gf.onnx.load(proto).run(feeds, backend="numpy", level="O0").values(), want, strict=True
    ):
        compare(got, value, one)
    if name not in IMPORT_ALONE and (name not in FINITE or is_finite(one)):
        for got, value in zip(ReferenceEvaluator(proto).run(None, feeds), want, strict=True):
            compare(got, value, one)


@pytest.mark.parametrize("name", [name for name in SAMPLES if name not in WITHOUT_FORM])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_export_computes_the_same(name: str) -> None:
    written = 0
    for one in spread(SAMPLES[name]):
        try:
            check(name, one)
            written += 1
        except FileFormatError as error:
            assert "cannot say" in str(error) and name in str(error)
    assert written > 0


@pytest.mark.parametrize("name", sorted(WITHOUT_FORM))
def test_what_has_no_form_says_so(name: str) -> None:
    for one in spread(SAMPLES[name])[:2]:
        with pytest.raises(FileFormatError, match="cannot say"):
            gf.onnx.to_proto(model_of(name, one), OPSET)


def test_tables_name_operators() -> None:
    assert not [name for name in {**EXPORTS, **CONTROL} if name not in registry]
    assert not set(EXPORTS) & (WITHOUT_FORM - {"argwhere"})
