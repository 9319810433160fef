"""Fourier transforms against numpy.fft; lengths, norms and axes; gradients against JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.interpret import evaluate
from tests.ops.symbolic import run

ONE_AXIS = ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]
SEVERAL = ["fftn", "ifftn", "rfftn", "irfftn"]
REAL_ONLY = ("rfft", "ihfft", "rfftn")
NORMS = ["backward", "ortho", "forward"]


def _draw(rng, name: str, shape) -> np.ndarray:
    made = rng.normal(size=shape)
    return made if name in REAL_ONLY else made + 1j * rng.normal(size=shape)


def test_the_extension_is_complete() -> None:
    assert set(gf.fft.__all__) == {*ONE_AXIS, *SEVERAL, "fftfreq", "rfftfreq", "fftshift", "ifftshift"}


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ONE_AXIS)
def test_transforms_of_one_axis_are_those_of_numpy(name, norm, rng) -> None:
    ours, theirs = getattr(gf.fft, name), getattr(np.fft, name)
    x = _draw(rng, name, (3, 6, 5))
    calls = [{"n": n, "axis": axis} for n in (None, 1, 4, 9) for axis in (-1, 1)]
    made = evaluate([ours(x, **options, norm=norm) for options in calls])
    for value, options in zip(made, calls):
        expected = theirs(x, **options, norm=norm)
        assert value.dtype == expected.dtype and value.shape == expected.shape
        np.testing.assert_allclose(value, expected, atol=1e-12, err_msg=str(options))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", SEVERAL)
def test_transforms_of_several_axes_are_those_of_numpy(name, norm, rng) -> None:
    ours, theirs = getattr(gf.fft, name), getattr(np.fft, name)
    x = _draw(rng, name, (3, 6, 5))
    calls = [
        {},
        {"axes": (0, 2)},
        {"axes": (2, 0), "s": (4, 7)},
        {"axes": (1,)},
        {"axes": (0, 1), "s": (-1, 3)},
    ]
    made = evaluate([ours(x, **options, norm=norm) for options in calls])
    for value, options in zip(made, calls):
        np.testing.assert_allclose(value, theirs(x, **options, norm=norm), atol=1e-12, err_msg=str(options))
    (last,) = evaluate([ours(x, s=(4, 3))])
    np.testing.assert_allclose(last, theirs(x, s=(4, 3), axes=(-2, -1)), atol=1e-12)


@pytest.mark.parametrize("name", ONE_AXIS)
def test_dtypes(name) -> None:
    kinds = {"rfft": "c", "ihfft": "c", "fft": "c", "ifft": "c"}
    for given, width in [("float32", 8), ("float64", 16), ("int32", 16), ("bool", 16)]:
        made = getattr(gf.fft, name)(gf.zeros(4, given)).dtype
        assert made.kind == ("complex" if name in kinds else "float")
        assert made.itemsize == (width if name in kinds else width // 2)
    with pytest.raises(gf.DTypeError, match="float16"):
        getattr(gf.fft, name)(gf.zeros(4, "float16"))


@pytest.mark.parametrize("name", [*ONE_AXIS, "fftn", "irfftn"])
@pytest.mark.parametrize("length", [None, 3, 8])
def test_gradients_are_those_of_jax(name, length, rng) -> None:
    data = _draw(rng, name, (2, 6))
    options = {} if length is None else {"s": (length,), "axes": (1,)} if name[-1] == "n" else {"n": length}
    x = gf.placeholder("x", (2, 6), data.dtype)
    y = getattr(gf.fft, name)(x, **options, norm="ortho")
    weight = rng.normal(size=y.shape)
    (grad,) = gf.gradients(gf.sum(gf.square(gf.abs(y)) * weight), [x])
    with jax.enable_x64(True):
        theirs = jax.grad(
            lambda x: jnp.sum(jnp.abs(getattr(jnp.fft, name)(x, **options, norm="ortho")) ** 2 * weight)
        )(data)
    np.testing.assert_allclose(evaluate([grad], {x: data})[0], theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_symbolic_lengths(norm, rng) -> None:
    x = gf.placeholder("x", ("n",), gf.float64)
    spectrum = gf.fft.rfft(x, norm=norm)
    longer = gf.fft.fft(x, n=gf.Dim("n") + 2, norm=norm)
    fixed = gf.fft.rfft(x, n=5, norm=norm)
    back = gf.fft.irfft(spectrum, n=gf.Dim("n"), norm=norm)
    shifted = gf.fft.ifftshift(gf.fft.fftshift(x))
    (grad,) = gf.gradients(gf.sum(gf.square(gf.abs(spectrum))), [x])
    for size in (1, 4, 7):
        data = rng.normal(size=size)
        made = run([spectrum, longer, fixed, back, shifted, gf.fft.fftshift(x), grad], {x: data}, n=size)
        np.testing.assert_allclose(made[0], np.fft.rfft(data, norm=norm), atol=1e-12)
        np.testing.assert_allclose(made[1], np.fft.fft(data, size + 2, norm=norm), atol=1e-12)
        np.testing.assert_allclose(made[2], np.fft.rfft(data, 5, norm=norm), atol=1e-12)
        np.testing.assert_allclose(made[3], data, atol=1e-12)
        np.testing.assert_array_equal(made[4], data)
        np.testing.assert_array_equal(made[5], np.fft.fftshift(data))
        assert made[6].shape == (size,) and np.isfinite(made[6]).all()


def test_frequencies_are_those_of_numpy() -> None:
    x = gf.placeholder("x", ("n",))
    n = x.shape[0]
    symbolic = [gf.fft.fftfreq(n, 0.5, "float64"), gf.fft.rfftfreq(n, 0.5, "float64")]
    for size in (1, 2, 7, 8):
        wanted = [np.fft.fftfreq(size, 0.5), np.fft.rfftfreq(size, 0.5)]
        static = evaluate([gf.fft.fftfreq(size, 0.5, "float64"), gf.fft.rfftfreq(size, 0.5, "float64")])
        made = run(symbolic, {}, n=size)
        for value, other, expected in zip(static, made, wanted):
            np.testing.assert_array_equal(value, expected)
            np.testing.assert_allclose(other, expected, rtol=1e-15)
    assert gf.fft.fftfreq(8).dtype is gf.float32


def test_shifts_are_those_of_numpy(rng) -> None:
    x = rng.normal(size=(4, 5, 1))
    for axes in (None, 0, (1,), (0, -1)):
        made = evaluate([gf.fft.fftshift(x, axes), gf.fft.ifftshift(x, axes)])
        for value, wanted in zip(made, [np.fft.fftshift(x, axes), np.fft.ifftshift(x, axes)]):
            np.testing.assert_array_equal(value, wanted)


def test_transforms_refuse() -> None:
    x, z = gf.constant(np.zeros((2, 3))), gf.constant(np.zeros((2, 3), np.complex64))
    cases = [
        (lambda: gf.fft.fft(x, norm="both"), gf.AttributeValueError, "'ortho'"),
        (lambda: gf.fft.fft(x, axis=2), gf.AttributeValueError, "axis 2"),
        (lambda: gf.fft.fft(1.0), gf.AttributeValueError, "axis"),
        (lambda: gf.fft.fft(x, n=0), gf.ShapeError, "at least one point"),
        (lambda: gf.fft.fft(gf.zeros((2, 0))), gf.ShapeError, "at least one point"),
        (lambda: gf.fft.irfft(gf.zeros((2, 1))), gf.ShapeError, "at least one point"),
        (lambda: gf.fft.rfft(z), gf.DTypeError, "complex64"),
        (lambda: gf.fft.fftn(x, axes=(0, 0)), gf.AttributeValueError, "twice"),
        (lambda: gf.fft.fftn(x, s=(2,), axes=(0, 1)), gf.AttributeValueError, "1 lengths for 2 axes"),
        (lambda: gf.fft.fftn(x, s=(2, 2, 2)), gf.ShapeError, "3 lengths"),
        (lambda: gf.fft.rfftn(x, axes=()), gf.ShapeError, "an axis"),
        (lambda: gf.fft.fftfreq(0), gf.ShapeError, "at least one point"),
        (lambda: gf.fft.fftfreq(4, d=0), gf.AttributeValueError, "other than 0"),
        (lambda: gf.fft.rfftfreq(4, dtype="int32"), gf.DTypeError, "int32"),
    ]
    for make, error, phrase in cases:
        with pytest.raises(error, match=phrase) as caught:
            make()
        assert "test_fourier.py" in str(caught.value)
