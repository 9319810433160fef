"""Affine grids and sampling at grids, against ONNX's reference; derivatives, awkward positions, refusals."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from tests.nn.backends import everywhere
from tests.onnx_reference import onnx_run

MODES = ["nearest", "linear", "cubic"]
PADDINGS = ["zeros", "border", "reflection"]


def _value(tensor: gf.Tensor) -> np.ndarray:
    return evaluate([tensor], {})[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_agrees_with_onnx(rng: np.random.Generator, mode: str, padding: str, count: int) -> None:
    x = rng.normal(size=(2, 2, *(5, 4, 3)[:count])).astype(np.float32)
    grid = rng.uniform(-3, 3, (2, *(3, 2, 4)[:count], count)).astype(np.float32)
    for aligned in (False, True):
        found = _value(gf.nn.grid_sample(x, grid, mode, padding, aligned))
        expected = onnx_run(
            "GridSample", x, grid, mode=mode, padding_mode=padding, align_corners=int(aligned)
        )
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_both_backends_and_derivatives(rng: np.random.Generator, mode: str, padding: str) -> None:
    x, grid = rng.normal(size=(2, 3, 4, 5)), rng.uniform(-1.4, 1.4, (2, 3, 2, 2))
    everywhere(
        lambda x, grid: [gf.nn.grid_sample(x, grid, mode, padding, aligned) for aligned in (False, True)],
        x,
        grid,
        batched=(0, 1),
    )


def test_derivatives_of_a_volume(rng: np.random.Generator) -> None:
    x, grid = rng.normal(size=(1, 2, 3, 4, 2)), rng.uniform(-0.9, 0.9, (1, 2, 1, 2, 3))
    everywhere(gf.nn.grid_sample, x, grid)


def test_the_identity_grid_gives_the_image_back(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    theta = np.tile(np.array([[1, 0, 0], [0, 1, 0]], np.float32), (2, 1, 1))
    for aligned, mode in product((False, True), MODES):
        grid = gf.nn.affine_grid(theta, (4, 5), align_corners=aligned)
        np.testing.assert_allclose(
            _value(gf.nn.grid_sample(x, grid, mode, align_corners=aligned)), x, rtol=1e-5, atol=1e-5
        )


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_awkward_positions(backend: str) -> None:
    x = gf.constant(np.arange(1.0, 5.0)[None, None])
    far = [np.nan, np.inf, -np.inf, 1e30, -1e30, -0.0]
    grid = gf.constant(np.array(far)[None, :, None], allow_nan=True)
    sampled = {mode: [gf.nn.grid_sample(x, grid, mode, padding) for padding in PADDINGS] for mode in MODES}
    with gf.Session(backend=backend) as session:
        for mode, made in session.run(sampled).items():
            zeros, border, reflected = (one[0, 0] for one in made)
            assert zeros[:5].tolist() == [0] * 5
            assert border[1:5].tolist() == [4, 1, 4, 1]
            assert mode == "nearest" or np.isnan(border[0])
            # A cubic may overshoot.
            assert ((reflected[3:] >= 0.5) & (reflected[3:] <= 4.5)).all()


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_an_image_of_one_place(backend: str) -> None:
    x, grid = gf.constant([[[[7.0]]]]), gf.constant([[[[0.3, -2.0], [0.0, 0.0]]]])
    options = product(MODES, ("border", "reflection"), (False, True))
    sampled = [gf.nn.grid_sample(x, grid, *option) for option in options]
    with gf.Session(backend=backend) as session:
        np.testing.assert_allclose(session.run(sampled), [[[[[7, 7]]]]] * 12, rtol=1e-6)


def test_narrow_and_whole_numbers(rng: np.random.Generator) -> None:
    x = rng.integers(0, 9, (1, 1, 3, 3))
    grid = rng.uniform(-1, 1, (1, 2, 2, 2)).astype(np.float32)
    nearest = _value(gf.nn.grid_sample(x, grid, "nearest"))
    assert nearest.dtype == x.dtype
    half = _value(gf.nn.grid_sample(x.astype(np.float16), grid.astype(np.float16)))
    assert half.dtype == np.float16
    exact = _value(gf.nn.grid_sample(x.astype(np.float64), grid.astype(np.float16).astype(np.float64)))
    np.testing.assert_allclose(half, exact, rtol=2e-3)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sizes", [(3, 4), (2, 5), (2, 3, 4)])
def test_affine_grids_agree_with_onnx(rng: np.random.Generator, sizes: tuple, aligned: bool) -> None:
    count = len(sizes)
    theta = rng.normal(size=(2, count, count + 1)).astype(np.float32)
    expected = onnx_run("AffineGrid", theta, np.array((2, 1, *sizes)), align_corners=int(aligned))
    for size in (sizes, (2, 1, *sizes)):
        found = _value(gf.nn.affine_grid(theta, size, aligned))
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_affine_grids_have_derivatives_and_symbolic_sizes(rng: np.random.Generator) -> None:
    theta = rng.normal(size=(2, 2, 3))
    everywhere(lambda theta: gf.nn.affine_grid(theta, (3, 1), align_corners=True), theta)
    x, matrix = gf.placeholder("x", ("n", 1, "h", "w")), gf.placeholder("m", ("n", 2, 3))
    grid = gf.nn.affine_grid(matrix, x.shape)
    assert str(grid.shape) == "(n, h, w, 2)"
    with gf.Session() as session:
        image = rng.normal(size=(2, 1, 4, 6)).astype(np.float32)
        turned = np.tile(np.array([[-1, 0, 0], [0, 1, 0]], np.float32), (2, 1, 1))
        made = session.run(gf.nn.grid_sample(x, grid), {x: image, matrix: turned})
    np.testing.assert_allclose(made, image[..., ::-1], rtol=1e-5, atol=1e-5)


def test_refusals() -> None:
    x, grid = gf.placeholder("x", ("n", 3, 8, 8)), gf.placeholder("grid", ("n", 4, 4, 2))
    with pytest.raises(
        AttributeValueError, match="mode is one of 'nearest', 'linear', 'cubic', not 'bilinear'"
    ):
        gf.nn.grid_sample(x, grid, "bilinear")
    with pytest.raises(AttributeValueError, match="padding_mode is one of"):
        gf.nn.grid_sample(x, grid, padding_mode="wrap")
    with pytest.raises(AttributeValueError, match="align_corners is True or False"):
        gf.nn.grid_sample(x, grid, align_corners="no")
    with pytest.raises(ShapeError, match="1 to 3 spatial axes"):
        gf.nn.grid_sample(gf.zeros((3, 3)), grid)
    with pytest.raises(ShapeError, match="a last axis of 2"):
        gf.nn.grid_sample(x, gf.zeros((1, 4, 4, 3)))
    with pytest.raises(ShapeError, match="different numbers"):
        gf.nn.grid_sample(gf.zeros((2, 3, 8, 8)), gf.zeros((3, 4, 4, 2)))
    with pytest.raises(DTypeError, match="needs floats as grid"):
        gf.nn.grid_sample(x, gf.zeros((1, 4, 4, 2), gf.int32))
    with pytest.raises(DTypeError, match="linear sampling does not take int32"):
        gf.nn.grid_sample(gf.zeros((1, 3, 8, 8), gf.int32), grid)
    with pytest.raises(ShapeError, match="matrices of shape"):
        gf.nn.affine_grid(gf.zeros((1, 3, 3)), (2, 2))
    with pytest.raises(ShapeError, match="for 2 spatial axes"):
        gf.nn.affine_grid(gf.zeros((1, 2, 3)), (2, 2, 2))
    with pytest.raises(ShapeError, match="different batches"):
        gf.nn.affine_grid(gf.zeros((2, 2, 3)), (3, 1, 2, 2))
    with pytest.raises(DTypeError, match="needs floats as theta"):
        gf.nn.affine_grid(gf.zeros((2, 2, 3), gf.int32), (2, 2))
