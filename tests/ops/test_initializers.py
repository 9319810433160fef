"""Initializers: distributions, variances, what they refuse, and equal bits for equal keys."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.special
import scipy.stats

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.dtypes import as_dtype, bool_, complex64, float16, float32, float64, int32, uint8
from graphflow.ops import initializers
from graphflow.ops.declare import variable

KEY = np.array([7, 11], np.uint32)
ALL = [
    initializers.zeros(), initializers.ones(), initializers.constant(2.5), initializers.uniform(),
    initializers.normal(), initializers.truncated_normal(), initializers.glorot_uniform(),
    initializers.glorot_normal(), initializers.he_uniform(), initializers.he_normal(),
    initializers.lecun_uniform(), initializers.lecun_normal(), initializers.orthogonal(),
    initializers.identity(),
]  # fmt: skip


@pytest.mark.parametrize("initializer", ALL, ids=repr)
def test_samples_have_the_type_asked_for_and_repeat(initializer) -> None:
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        initializer.check((6, 4), dtype)
        first, again = (initializer.sample((6, 4), dtype, KEY) for _ in range(2))
        assert first.shape == (6, 4) and first.dtype == as_dtype(dtype).numpy
        assert first.flags.c_contiguous and first.flags.writeable and first.flags.owndata
        assert first.tobytes() == again.tobytes()
        assert np.isfinite(first.astype(np.float64)).all()


def test_another_key_gives_other_numbers() -> None:
    other = np.array([7, 12], np.uint32)
    drawn = [initializers.normal().sample((100,), float32, key) for key in (KEY, other)]
    assert not np.intersect1d(*drawn).size


def test_pinned_bits() -> None:
    """A seed must give the same start in every version and on every machine."""
    drawn = initializers.glorot_uniform().sample((2, 3), float32, KEY)
    assert drawn.tobytes().hex() == PINNED


PINNED = "e57a6b3e79cf343f6dcf9fbea3bb87bf5538823f0386023f"


@pytest.mark.parametrize(
    ("name", "fan"),
    [("glorot", (300 + 200) / 2), ("he", 300 / 2), ("lecun", 300)],
)
@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_variance_of_the_scaled_ones(name: str, fan: float, kind: str) -> None:
    for gain in (1.0, 4.0):
        drawn = getattr(initializers, f"{name}_{kind}")(gain).sample((300, 200), float64, KEY)
        assert drawn.var() == pytest.approx(gain / fan, rel=0.02)
        assert abs(drawn.mean()) < 5 * math.sqrt(gain / fan / drawn.size)


def test_fans_of_convolution_kernels() -> None:
    assert initializers.fans((16, 3, 5, 5)) == (75, 400)
    assert initializers.fans((0, 4)) == (0, 4)
    drawn = initializers.he_normal().sample((64, 32, 3, 3), float64, KEY)
    assert drawn.var() == pytest.approx(2 / (32 * 9), rel=0.03)


def test_truncated_normal_follows_its_distribution() -> None:
    drawn = initializers.truncated_normal(1.0, 0.5).sample((50_000,), float64, KEY)
    assert np.abs(drawn - 1.0).max() <= 1.0
    expected = scipy.stats.truncnorm(-2, 2, loc=1.0, scale=0.5)
    assert scipy.stats.kstest(drawn, expected.cdf).pvalue > 1e-3


def test_the_inverse_error_function_is_one() -> None:
    inside = np.linspace(-0.9545, 0.9545, 1001)
    made = inside * np.polyval(initializers.INVERSE_ERF, -np.log1p(-inside * inside) - 2.5)
    np.testing.assert_allclose(made, scipy.special.erfinv(inside), atol=2e-7)


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8), (6, 2, 3, 1)])
def test_orthogonal(shape) -> None:
    drawn = initializers.orthogonal(2.0).sample(shape, float64, KEY).reshape(shape[0], -1) / 2.0
    small = drawn.T @ drawn if drawn.shape[0] >= drawn.shape[1] else drawn @ drawn.T
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-12)


def test_exact_ones() -> None:
    np.testing.assert_array_equal(initializers.identity(3.0).sample((2, 3), float32, KEY), 3 * np.eye(2, 3))
    np.testing.assert_array_equal(initializers.constant(-0.0).sample((2,), float32, KEY), [-0.0, -0.0])
    assert np.isnan(initializers.constant(float("nan")).sample((), float32, KEY))
    source = np.arange(6).reshape(2, 3)
    made = initializers.value(source).sample((2, 3), int32, KEY)
    source[:] = 0
    np.testing.assert_array_equal(made, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_empty_shapes(shape) -> None:
    for initializer in ALL[:-2]:
        assert initializer.sample(shape, float32, KEY).shape == shape


def test_equality_is_exact() -> None:
    assert initializers.constant(0.0) != initializers.constant(-0.0)
    assert initializers.constant(1) != initializers.constant(1.0)
    assert initializers.value([1.0, 2.0]) == initializers.value(np.array([1, 2], np.float32))
    assert initializers.value([1.0]) != initializers.value([1])
    assert hash(initializers.normal()) == hash(initializers.normal())
    assert initializers.normal() != initializers.truncated_normal()


def test_repr_is_the_call() -> None:
    assert repr(initializers.normal(0.0, 0.02)) == "normal(mean=0.0, std=0.02)"
    assert repr(initializers.value([[1.0, 2.0]])) == "value(array of float32[1, 2])"


@pytest.mark.parametrize(
    ("initializer", "shape", "dtype", "error"),
    [
        (initializers.normal(), (2,), int32, DTypeError),
        (initializers.glorot_uniform(), (2, 2), bool_, DTypeError),
        (initializers.he_normal(), (2, 2), complex64, DTypeError),
        (initializers.orthogonal(), (4,), float32, ShapeError),
        (initializers.identity(), (4,), float32, ShapeError),
        (initializers.identity(), (4, 4, 4), float32, ShapeError),
        (initializers.constant(0.5), (2,), int32, DTypeError),
        (initializers.constant(-1), (2,), uint8, DTypeError),
        (initializers.constant(1j), (2,), float32, DTypeError),
        (initializers.value([1.0, 2.0]), (3,), float32, ShapeError),
        (initializers.value([300]), (1,), uint8, DTypeError),
    ],
)
def test_what_does_not_fit_is_refused(initializer, shape, dtype, error) -> None:
    with pytest.raises(error):
        initializer.check(shape, dtype)


@pytest.mark.parametrize(
    "make",
    [
        lambda: initializers.normal(std=-1),
        lambda: initializers.uniform(1.0, 0.0),
        lambda: initializers.uniform(0.0, float("inf")),
        lambda: initializers.he_normal(float("nan")),
        lambda: initializers.constant("x"),
        lambda: initializers.orthogonal(-1.0),
        lambda: initializers.Initializer("golden"),
    ],
)
def test_bad_parameters_are_refused(make) -> None:
    with pytest.raises(AttributeValueError):
        make()


def test_what_fits_is_accepted() -> None:
    initializers.constant(2.0).check((3,), int32)
    initializers.value([0, 1]).check((2,), bool_)
    initializers.value([1.5]).check((1,), float16)


def test_a_value_of_the_same_dtype_keeps_its_bits() -> None:
    """float8_e5m2 has several NaNs, which a conversion would make one."""
    for name in ("float8_e5m2", "float8_e4m3fn", "bfloat16"):
        array = np.arange(256, dtype=np.uint8).view(as_dtype(name).numpy)
        made = initializers.value(array).sample(array.shape, name, np.zeros(2, np.uint32))
        np.testing.assert_array_equal(made.view(np.uint8), array.view(np.uint8))


def test_variables_check_their_initializer() -> None:
    with pytest.raises(DTypeError, match="real numbers") as caught:
        variable("steps", (3,), initializers.normal(), dtype=int32)
    assert "test_initializers.py" in str(caught.value)
    assert variable("w", (3, 4)).node.attrs["initializer"].name == "glorot_uniform"
    assert variable("b", (3,)).node.attrs["initializer"].name == "zeros"
