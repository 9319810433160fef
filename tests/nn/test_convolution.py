"""Convolutions in all their geometries: against ONNX's reference and JAX, transposed ones too."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from jax import lax

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_pads, onnx_run

NAMES = {"same": "SAME_UPPER", "same_upper": "SAME_UPPER", "same_lower": "SAME_LOWER", "valid": "VALID"}

# x, w, strides, dilation, groups
CASES = [
    ((2, 2, 7), (3, 2, 3), (2,), (1,), 1),
    ((1, 4, 9), (4, 1, 2), (1,), (3,), 4),
    ((2, 3, 5, 6), (2, 3, 3, 2), (1, 1), (1, 2), 1),
    ((1, 4, 6, 7), (6, 2, 2, 3), (2, 3), (1, 1), 2),
    ((1, 2, 3, 4, 5), (2, 2, 2, 1, 3), (1, 2, 2), (1, 1, 1), 1),
    ((1, 1, 1, 1), (2, 1, 1, 1), (1, 1), (1, 1), 1),
]
PADS = {
    1: [((0, 0),), ((1, 0),), ((2, 3),)],
    2: [((0, 0), (0, 0)), ((1, 2), (0, 1))],
    3: [((0, 0),) * 3, ((1, 0), (0, 2), (1, 1))],
}


def _paddings(case: Any) -> list[Any]:
    return [*PADS[len(case[2])], "same", "same_lower", "valid"]


@pytest.mark.parametrize(("case", "padding"), [(case, pad) for case in CASES for pad in _paddings(case)])
def test_conv_is_that_of_onnx(case: Any, padding: Any, rng: np.random.Generator) -> None:
    shape, kernel, strides, dilation, groups = case
    x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
    y = everywhere(lambda x, w: nn.conv(x, w, strides, padding, dilation, groups), x, w)
    if isinstance(padding, str) and padding != "valid":
        # ONNX's reference forgets dilation here, so JAX tells the positions and the padding
        named = lax.padtype_to_pads(
            shape[2:], [(k - 1) * d + 1 for k, d in zip(kernel[2:], dilation)], strides,
            "SAME" if padding == "same" else "SAME_LOWER",
        )  # fmt: skip
        padding = tuple(named)
    pads = {"auto_pad": "VALID"} if padding == "valid" else {"pads": onnx_pads(padding)}
    expected = onnx_run("Conv", x, w, strides=strides, dilations=dilation, group=groups, **pads)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [1, 2, 5, 6])
def test_same_lower_is_that_of_jax(size: int, kernel: int, strides: int) -> None:
    x, w = gf.placeholder("x", ("n", 1, size)), gf.placeholder("w", (1, 1, kernel))
    y = nn.conv(x, w, strides, "same_lower")
    assert y.node.attrs.padding == tuple(lax.padtype_to_pads((size,), (kernel,), (strides,), "SAME_LOWER"))
    assert y.shape == (x.shape[0], 1, -(-size // strides))


def test_names_of_paddings() -> None:
    x, w = gf.placeholder("x", (1, 1, 4)), gf.placeholder("w", (1, 1, 4))
    assert nn.conv(x, w, padding="same_upper").node.attrs == nn.conv(x, w, padding="SAME").node.attrs
    assert nn.conv(x, w, padding="Same_Lower").node.attrs.padding == ((2, 1),)


@pytest.mark.parametrize("padding", ["same", "same_lower"])
def test_symbolic_spatial_sizes(padding: str, rng: np.random.Generator) -> None:
    x, w = gf.placeholder("x", (2, 1, "h"), gf.float64), gf.constant(rng.standard_normal((1, 1, 4)))
    y = nn.conv(x, w, 3, padding)
    z = nn.conv_transpose(y, w, 3, padding, output_shape=(x.shape[2],))
    assert y.shape == (2, 1, (x.shape[2] + 2) // 3) and z.shape == x.shape
    for size in (4, 5, 6):
        data = rng.standard_normal((2, 1, size))
        fixed = nn.conv(data, w, 3, padding)
        for backend in ("numpy", "jax"):
            with gf.Session(backend=backend) as session:
                made, restored = session.run([y, z], {x: data})
            np.testing.assert_allclose(made, evaluate([fixed])[0], rtol=1e-12)
            assert restored.shape == data.shape


def test_empty_batches() -> None:
    x, w = np.zeros((0, 2, 5, 5), np.float32), np.ones((3, 2, 2, 2), np.float32)
    y = everywhere(lambda x, w: nn.conv(x, w, 2, "same_lower"), x, w, gradient=False)
    assert y.shape == (0, 3, 3, 3)
    z = everywhere(lambda y, w: nn.conv_transpose(y, w, 2, output_shape=(5, 6)), y, w, gradient=False)
    assert z.shape == (0, 2, 5, 6)


# Transposed

# x, w, strides, dilation, groups
TRANSPOSED = [
    ((2, 2, 4), (2, 3, 3), (2,), (1,), 1),
    ((1, 1, 5), (1, 2, 2), (3,), (2,), 1),
    ((2, 2, 3, 4), (2, 1, 3, 2), (1, 1), (2, 1), 1),
    ((1, 4, 3, 3), (4, 2, 3, 4), (2, 3), (1, 1), 2),
    ((1, 2, 2, 3, 2), (2, 1, 2, 2, 3), (2, 1, 2), (1, 1, 1), 1),
    ((1, 1, 1, 1), (1, 1, 2, 2), (2, 2), (1, 1), 1),
]


def _transposed(case: Any, x: np.ndarray, w: np.ndarray, **attributes: Any) -> np.ndarray:
    """ONNX's reference, group by group: it mixes them up where a group has several channels."""
    _, _, strides, dilation, groups = case
    inner = x.shape[1] // groups
    parts = [slice(group * inner, (group + 1) * inner) for group in range(groups)]
    options = {"strides": strides, "dilations": dilation, "group": 1, **attributes}
    return np.concatenate(
        [onnx_run("ConvTranspose", x[:, part], w[part], **options) for part in parts], axis=1
    )


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_conv_transpose_with_pairs_of_padding(case: Any, extra: int, rng: np.random.Generator) -> None:
    shape, kernel, strides, dilation, groups = case
    x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
    added = tuple(min(extra, stride - 1) for stride in strides)
    for pads in (((0, 0),) * len(strides), ((1, 0),) * len(strides)):
        options = {"padding": pads, "output_padding": added, "dilation": dilation, "groups": groups}
        y = everywhere(lambda x, w: nn.conv_transpose(x, w, strides, **options), x, w)  # noqa: B023
        expected = _transposed(case, x, w, pads=onnx_pads(pads), output_padding=added)
        np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("padding", ["same", "same_lower"])
@pytest.mark.parametrize("case", TRANSPOSED)
def test_conv_transpose_to_a_multiple_of_the_size(case: Any, padding: str, rng: Any) -> None:
    shape, kernel, strides, dilation, groups = case
    x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
    y = everywhere(lambda x, w: nn.conv_transpose(x, w, strides, padding, 0, dilation, groups), x, w)
    assert y.shape[2:] == tuple(size * stride for size, stride in zip(shape[2:], strides))
    expected = _transposed(case, x, w, auto_pad=NAMES[padding])
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("padding", [0, "same", "same_lower"])
@pytest.mark.parametrize("less", [0, 1, 2])
@pytest.mark.parametrize("case", [TRANSPOSED[0], TRANSPOSED[3], TRANSPOSED[4]])
def test_conv_transpose_to_a_given_size(case: Any, less: int, padding: Any, rng: Any) -> None:
    shape, kernel, strides, dilation, groups = case
    x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
    rows = zip(shape[2:], kernel[2:], strides, dilation)
    full = [(size - 1) * stride + (k - 1) * gap + 1 for size, k, stride, gap in rows]
    wanted = tuple(max(size - less, 1) for size in full)
    options = {"dilation": dilation, "groups": groups, "output_shape": wanted, "padding": padding}
    y = everywhere(lambda x, w: nn.conv_transpose(x, w, strides, **options), x, w)
    assert y.shape[2:] == wanted
    name = NAMES["same_lower" if padding == 0 else padding]
    expected = _transposed(case, x, w, output_shape=wanted, auto_pad=name)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)


def test_what_a_given_size_lacks_is_added_at_the_end() -> None:
    """The example of ONNX: 9 x 7 places, enlarged to 10 x 8."""
    x, w = np.arange(9.0).reshape(1, 1, 3, 3), np.ones((1, 2, 3, 3))
    (y,) = evaluate([nn.conv_transpose(x, w, (3, 2), output_shape=(10, 8))])
    expected = onnx_run("ConvTranspose", x, w, strides=[3, 2], output_shape=[10, 8], output_padding=[1, 1])
    np.testing.assert_allclose(y, expected)
    assert not y[..., -1, :].any() and not y[..., -1].any() and y[..., 0, :-1].sum() > 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"padding": 1, "output_shape": 8}, AttributeValueError, "both padding=1 and output_shape=8"),
        ({"output_shape": (8, 8)}, ShapeError, "2 sizes of output_shape for 1 spatial axes"),
        ({"output_shape": 11}, ShapeError, "cannot make 11 places of spatial axis 0: it gets 9"),
        ({"output_shape": -1}, ShapeError, "-1"),
        ({"output_padding": 2}, AttributeValueError, "output_padding=2"),
        ({"padding": 5}, ShapeError, "negative size -1"),
        ({"padding": "other"}, AttributeValueError, "padding='other'"),
    ],
)
def test_what_does_not_fit_is_refused(options: Any, error: type, message: str) -> None:
    x, w = gf.placeholder("x", (1, 2, 4)), gf.placeholder("w", (2, 1, 3))
    with pytest.raises(error, match=re.escape(message)) as caught:
        nn.conv_transpose(x, w, 2, **options)
    assert caught.value.hint
