"""The deformable convolution: against ONNX's reference and a loop, and as an ordinary convolution."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import graphflow as gf
from graphflow import nn
from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_pads, onnx_run

# x, w, strides, padding, dilation, groups, offset groups
CASES = [
    ((1, 1, 3, 3), (1, 1, 2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1, 1),
    ((2, 2, 4, 5), (3, 2, 2, 3), (1, 2), ((1, 0), (0, 1)), (1, 1), 1, 2),
    ((1, 4, 5, 4), (2, 2, 2, 2), (2, 1), ((0, 1), (1, 1)), (2, 1), 2, 1),
]
OTHERS = [
    ((2, 2, 6), (2, 1, 3), (2,), ((1, 0),), (1,), 2, 2),
    ((1, 2, 3, 2, 3), (1, 2, 2, 1, 2), (1, 1, 1), ((0, 0), (0, 0), (1, 0)), (1, 1, 1), 1, 1),
    ((1, 1, 1, 2), (1, 1, 1, 1), (1, 1), ((1, 1), (0, 0)), (1, 1), 1, 1),
]


def _arrays(case: Any, rng: np.random.Generator, spread: float = 1.5) -> list[np.ndarray]:
    shape, kernel, strides, padding, dilation, _, shares = case
    rows = zip(shape[2:], kernel[2:], strides, padding, dilation)
    positions = [(size + sum(pair) - (k - 1) * gap - 1) // step + 1 for size, k, step, pair, gap in rows]
    places = int(np.prod(kernel[2:]))
    offset = rng.uniform(-spread, spread, (shape[0], shares * places * len(strides), *positions))
    mask = rng.uniform(0, 1, (shape[0], shares * places, *positions))
    return [rng.standard_normal(shape), rng.standard_normal(kernel), offset, mask]


def _loop(x: np.ndarray, w: np.ndarray, offset: np.ndarray, mask: np.ndarray, case: Any) -> np.ndarray:
    """The definition, with SciPy's linear interpolation of the image among zeros."""
    _, _, strides, padding, dilation, groups, shares = case
    count, places = len(strides), int(np.prod(w.shape[2:]))
    offset = offset.reshape(len(x), shares, places, count, *offset.shape[2:])
    mask = mask.reshape(len(x), shares, places, *mask.shape[2:])
    y = np.zeros((len(x), len(w), *mask.shape[3:]))
    inner, outer, each = w.shape[1], len(w) // groups, x.shape[1] // shares
    for n, o, c in itertools.product(*map(range, (len(x), len(w), inner))):
        channel = (o // outer) * inner + c
        padded = np.pad(x[n, channel], 9)
        for k, steps in enumerate(itertools.product(*map(range, w.shape[2:]))):
            for p in itertools.product(*map(range, y.shape[2:])):
                at = [
                    p[i] * strides[i] + steps[i] * dilation[i] - padding[i][0]
                    + offset[(n, channel // each, k, i, *p)] + 9 for i in range(count)
                ]  # fmt: skip
                value = ndimage.map_coordinates(padded, np.array(at)[:, None], order=1)[0]
                y[(n, o, *p)] += w[(o, c, *steps)] * mask[(n, channel // each, k, *p)] * value
    return y


def _build(case: Any) -> Any:
    *_, strides, padding, dilation, groups, shares = case

    def build(x: Any, w: Any, offset: Any, mask: Any = None) -> Any:
        return nn.deform_conv(x, w, offset, mask, strides, padding, dilation, groups, shares)

    return build


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_values_are_those_of_onnx(case: Any, masked: bool, rng: np.random.Generator) -> None:
    _, _, strides, padding, dilation, groups, shares = case
    x, w, offset, mask = _arrays(case, rng)
    arrays = [x, w, offset, mask] if masked else [x, w, offset]
    y = everywhere(_build(case), *arrays, batched=(0, 2, 3))
    expected = onnx_run(
        "DeformConv", x, w, offset, None, mask if masked else None, strides=strides,
        pads=onnx_pads(padding), dilations=dilation, group=groups, offset_group=shares,
    )  # fmt: skip
    np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", CASES + OTHERS)
def test_values_are_those_of_a_loop(case: Any, rng: np.random.Generator) -> None:
    arrays = _arrays(case, rng, spread=3)
    y = everywhere(_build(case), *arrays, batched=(0, 2, 3), gradient=case in OTHERS)
    np.testing.assert_allclose(y, _loop(*arrays, case), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("case", CASES + OTHERS)
def test_without_offsets_it_is_a_convolution(case: Any, rng: np.random.Generator) -> None:
    _, _, strides, padding, dilation, groups, _ = case
    x, w, offset, _ = _arrays(case, rng)
    made, expected = evaluate(
        [_build(case)(x, w, np.zeros_like(offset)), nn.conv(x, w, strides, padding, dilation, groups)]
    )
    np.testing.assert_allclose(made, expected, rtol=1e-10, atol=1e-12)


def test_far_and_odd_offsets_read_zeros() -> None:
    x, w = np.array([[[5.0, np.inf]]]), np.ones((1, 1, 1))
    far = np.array([1e30, -1e30, np.inf, -np.inf, 7.0, np.nan])
    x, offset = np.repeat(x, 6, 0), np.repeat(far.reshape(6, 1, 1), 2, 2)
    y = everywhere(nn.deform_conv, x, w, offset, batched=(0, 2), gradient=False)
    assert not y[:5].any() and np.isnan(y[5]).all()


def test_symbolic_sizes_empty_batches_and_halves(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", ("n", 2, "h", 5), gf.float16)
    w, offset = (
        gf.constant(np.ones((3, 2, 2, 2), np.float16)),
        gf.placeholder("o", ("n", 8, "k", 4), gf.float16),
    )
    y = nn.deform_conv(x, w, offset)
    assert y.shape == (x.shape[0], 3, x.shape[2] - 1, 4) and y.dtype is gf.float16
    for batch in (0, 1):
        feeds = {x: np.ones((batch, 2, 3, 5), np.float16), offset: np.zeros((batch, 8, 2, 4), np.float16)}
        with gf.Session() as session:
            made = session.run(y, feeds)
        np.testing.assert_array_equal(made, np.full((batch, 3, 2, 4), 8))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"offset": np.ones((1, 17, 4, 4))}, ShapeError, "the offset has a wrong shape: [1, 17, 4, 4]"),
        ({"offset": np.ones((1, 18, 4))}, ShapeError, "the offset has a wrong shape"),
        ({"mask": np.ones((1, 18, 4, 4))}, ShapeError, "the mask has a wrong shape"),
        ({"w": np.ones((3, 1, 3, 3))}, ShapeError, "2 channels, but the kernel takes 1 x 1 groups"),
        ({"w": np.ones((3, 1, 3, 3)), "groups": 2}, ShapeError, "3 out channels do not divide into 2 groups"),
        ({"offset_groups": 3}, ShapeError, "2 channels do not divide into 3 groups"),
        ({"offset_groups": 0}, AttributeValueError, "offset_groups=0"),
        ({"w": np.ones((3, 2, 3))}, ShapeError, "a kernel of 4 axes"),
        ({"w": np.ones((3, 2, 7, 7))}, ShapeError, "does not fit"),
        ({"w": np.ones((3, 2, 0, 3))}, ShapeError, "fixed sizes"),
        ({"strides": 0}, AttributeValueError, "strides=0"),
    ],
)
def test_what_does_not_fit_is_refused(options: Any, error: type, message: str) -> None:
    given = {
        "x": np.ones((1, 2, 6, 6)),
        "w": np.ones((3, 2, 3, 3)),
        "offset": np.ones((1, 18, 4, 4)),
        **options,
    }
    with pytest.raises(error, match=re.escape(message)):
        nn.deform_conv(given.pop("x"), given.pop("w"), given.pop("offset"), **given)
