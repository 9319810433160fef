"""Complex numbers: the parts, and gradients through complex tensors against those of JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.builder import Builder
from graphflow.ir.interpret import evaluate
from graphflow.ir.opdef import registry
from graphflow.runtime.jax import lower  # noqa: F401 (fills the table)
from graphflow.runtime.jax.lowering import LOWERINGS
from tests.samples import Sample, all_samples

SAMPLES = all_samples()
MUST_TAKE_COMPLEX = {
    "add", "subtract", "multiply", "divide", "negative", "square", "reciprocal", "pow", "abs", "exp", "log",
    "sqrt", "rsqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "real", "imag", "conj", "astype",
    "identity", "sum", "mean", "prod", "cumulative_sum", "cumulative_prod", "matmul", "where", "reshape",
    "permute_dims", "broadcast_to", "expand_dims", "squeeze", "concat", "slice", "pad", "take",
    "take_along_axis", "index_add", "diagonal", "diagonal_matrix", "cholesky", "qr", "svd", "svdvals",
    "eigh", "eigvalsh", "eigvals", "solve", "triangular_solve", "inv", "pinv", "det", "slogdet",
    "complex_dft", "inverse_real_dft",
}  # fmt: skip

DIFFERENTIATED_ELSEWHERE = {
    "eig": "test_eigen.py",
    "after": "its lowering goes by the bits, which have no slope",
}


def _complexified(sample: Sample, rng: np.random.Generator) -> list[np.ndarray]:
    return [
        np.asarray(a + 1j * rng.normal(size=a.shape)).astype(np.complex128) if a.dtype.kind == "f" else a
        for a in sample.inputs
    ]


def _applied(name: str, sample: Sample, rng: np.random.Generator):
    """The outputs for complex operands and their feeds; None if the operator refuses them."""
    arrays = _complexified(sample, rng)
    if not any(array.dtype.kind == "c" for array in arrays):
        return None
    with gf.Graph() as graph:
        feeds = {gf.placeholder(f"x{i}", a.shape, a.dtype): a for i, a in enumerate(arrays)}
    try:
        outputs = Builder(graph).apply(registry[name], list(feeds), dict(sample.attrs))
    except gf.GraphFlowError as error:
        assert "complex" in str(error) or "dtype" in str(error)
        return None
    return (outputs if isinstance(outputs, tuple) else (outputs,)), feeds


def _weight(rng: np.random.Generator, value: np.ndarray) -> np.ndarray | None:
    if value.dtype.kind not in "fc":
        return None
    weight = rng.normal(size=value.shape)
    if value.dtype.kind == "c":
        weight = weight + 1j * rng.normal(size=value.shape)
    return np.asarray(weight).astype(value.dtype)


ENOUGH = 2
"""Samples for each operator; JAX takes its time over each."""

SMOOTH = {
    name: [one for one in samples if one.gradient and all(np.size(x) for x in one.inputs)]
    for name, samples in sorted(SAMPLES.items())
    if name in LOWERINGS and registry[name].family not in ("state", "random")
}


@pytest.mark.parametrize("name", [name for name, samples in SMOOTH.items() if samples])
def test_every_operator_refuses_complex_numbers_or_has_the_gradient_of_jax(name: str) -> None:
    rng, taken = np.random.default_rng(5), 0
    for sample in SMOOTH[name]:
        made = _applied(name, sample, rng)
        if made is None:
            continue
        taken += 1
        if taken > ENOUGH:
            break
        outputs, feeds = made
        node = outputs[0].node
        values = evaluate(list(outputs), feeds)
        operands = evaluate(node.inputs, feeds)
        weights = [_weight(rng, value) for value in values]
        kept = [i for i, weight in enumerate(weights) if weight is not None]
        places = [i for i, array in enumerate(operands) if array.dtype.kind in "fc"]

        def lowered(*arrays, node=node, name=name):
            result = LOWERINGS[name](*arrays, **node.attrs)
            return tuple(result) if isinstance(result, (tuple, list)) else (result,)

        with jax.enable_x64(True):
            for value, theirs in zip(values, lowered(*map(jnp.asarray, operands)), strict=True):
                np.testing.assert_allclose(theirs, value, rtol=1e-6, atol=1e-9)
        if not kept or not callable(node.op.vjp) or name in DIFFERENTIATED_ELSEWHERE:
            continue
        b = Builder(node.graph)
        ours = evaluate(
            gf.gradients(
                [outputs[i] for i in kept],
                [node.inputs[i] for i in places],
                [b.constant(value=weights[i]) for i in kept],
            ),
            feeds,
        )

        def chosen(*floating, operands=operands, places=places, kept=kept, lowered=lowered):
            arrays = list(operands)
            for place, value in zip(places, floating):
                arrays[place] = value
            made = lowered(*arrays)
            return [made[i] for i in kept]

        with jax.enable_x64(True):
            _, pull = jax.vjp(chosen, *[jnp.asarray(operands[i]) for i in places])
            theirs = pull([jnp.asarray(weights[i]) for i in kept])
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-6, atol=1e-8, err_msg=f"{name} {sample.attrs}")
    assert taken or name not in MUST_TAKE_COMPLEX, f"{name} refuses complex numbers"


# Parts


def test_parts_are_those_of_numpy() -> None:
    x = np.array([[1 + 2j, -1j], [complex(np.inf, -0.0), complex(-0.0, np.nan)]], np.complex64)
    made = [gf.real(x), gf.imag(x), gf.conj(x), gf.angle(x), gf.abs(x)]
    expected = [x.real, x.imag, x.conj(), np.angle(x), np.abs(x)]
    for tensor, value, wanted in zip(made, evaluate(made), expected):
        assert tensor.dtype.name == wanted.dtype.name
        np.testing.assert_allclose(value, wanted, rtol=1e-6)


def test_real_numbers_have_parts_too() -> None:
    x = np.array([-2.0, 0.0, 3.0])
    values = evaluate([gf.real(x), gf.imag(x), gf.conj(x), gf.angle(x), gf.real(np.array([1, 2]))])
    for value, wanted in zip(values, [x, 0 * x, x, [np.pi, 0, 0], [1, 2]]):
        np.testing.assert_array_equal(value, wanted)


def test_complex_keeps_the_parts_apart() -> None:
    (value,) = evaluate([gf.complex(np.array([np.inf, np.nan]), np.array([-0.0, 1.0]))])
    np.testing.assert_array_equal(value.real, [np.inf, np.nan])
    np.testing.assert_array_equal(value.imag, [0.0, 1.0])
    assert np.signbit(value.imag[0])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "complex64"])
def test_complex_refuses(dtype: str) -> None:
    with pytest.raises(gf.DTypeError, match="complex"):
        gf.complex(gf.zeros(3, dtype), gf.zeros(3, dtype))


def test_what_refuses_complex_numbers_names_a_way_out() -> None:
    with pytest.raises(gf.DTypeError, match=r"gf\.real, gf\.imag or gf\.abs"):
        gf.maximum(gf.constant([1j]), 0.0)
    with pytest.raises(gf.DTypeError, match="copysign"):
        gf.copysign(gf.constant([1j]), 1.0)


def test_truth_of_complex_numbers_is_that_of_both_parts() -> None:
    x = np.array([[1j, 1.0], [0, 2j]])
    for backend in ("numpy", "jax"):
        with gf.Graph():
            z = gf.placeholder("z", (2, 2), gf.complex128)
            made = gf.Session(backend=backend).run([gf.all(z, 1), gf.any(z, 1)], {z: x})
        np.testing.assert_array_equal(made, [[True, False], [True, True]])


# Gradients of real losses


def _losses():
    """The same functions of two real vectors, in GraphFlow and in JAX, with complex numbers in between."""
    return [
        (
            lambda u, v: gf.sum(gf.abs(gf.exp(gf.complex(u, v)) * gf.complex(v, u))),
            lambda u, v: jnp.sum(jnp.abs(jnp.exp(u + 1j * v) * (v + 1j * u))),
        ),
        (
            lambda u, v: gf.sum(gf.real(gf.fft.fft(gf.complex(u, v)) ** 2)),
            lambda u, v: jnp.sum(jnp.real(jnp.fft.fft(u + 1j * v) ** 2)),
        ),
        (
            lambda u, v: gf.sum(gf.square(gf.angle(gf.complex(u, v) / (2 + 1j)))),
            lambda u, v: jnp.sum(jnp.angle((u + 1j * v) / (2 + 1j)) ** 2),
        ),
        (
            lambda u, v: gf.sum(gf.square(gf.abs(gf.fft.rfft(u) * gf.conj(gf.fft.rfft(v))))),
            lambda u, v: jnp.sum(jnp.abs(jnp.fft.rfft(u) * jnp.conj(jnp.fft.rfft(v))) ** 2),
        ),
        (
            lambda u, v: gf.imag(gf.linalg.det(gf.eye(5) * 2 + gf.outer(gf.complex(u, v), v))),
            lambda u, v: jnp.imag(jnp.linalg.det(2 * jnp.eye(5) + jnp.outer(u + 1j * v, v))),
        ),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_the_gradient_of_a_real_loss_is_that_of_jax(number: int, backend: str, rng) -> None:
    ours, theirs = _losses()[number]
    u, v = gf.placeholder("u", (5,)), gf.placeholder("v", (5,))
    point = [rng.normal(size=5).astype(np.float32) for _ in range(2)]
    grads = gf.gradients(ours(u, v), [u, v])
    assert [grad.dtype for grad in grads] == [gf.float32, gf.float32]
    found = gf.Session(backend=backend).run(grads, dict(zip([u, v], point)))
    for mine, other in zip(found, jax.grad(theirs, argnums=(0, 1))(*point)):
        np.testing.assert_allclose(mine, other, rtol=2e-4, atol=2e-4)


def test_the_gradient_by_a_complex_number_is_not_conjugated() -> None:
    """That of |z|^2 = u^2 + v^2 is 2 u - 2 i v, as jax.grad has it."""
    z = gf.placeholder("z", (), gf.complex64)
    (grad,) = gf.gradients(gf.square(gf.abs(z)), [z])
    (value,) = evaluate([grad], {z: np.complex64(3 + 4j)})
    assert value == pytest.approx(6 - 8j)
    assert value == pytest.approx(complex(jax.grad(lambda z: jnp.abs(z) ** 2)(3 + 4j)))


def test_gradients_are_checked_along_complex_directions() -> None:
    z = gf.placeholder("z", (3,), gf.complex64)
    (check,) = gf.check_gradients(gf.sum(gf.conj(z) * gf.exp(z) * z), z, {z: [1 + 1j, -0.5j, 0.25 + 0j]})
    assert check.error < 1e-6 and abs(check.symbolic) > 0.1


def test_rules_for_real_numbers_leave_complex_ones_alone(recwarn) -> None:
    x = gf.placeholder("x", (3,), gf.complex64)
    value = np.array([1 + 3j, -2j, -0.5 - 4j], np.complex64)
    made = [
        gf.log(gf.sum(gf.exp(x))), gf.exp(x) / gf.sum(gf.exp(x), keepdims=True), gf.square(gf.abs(x)),
        gf.log(gf.exp(x) + gf.exp(2 * x)), gf.log(gf.exp(x)), gf.sqrt(gf.square(x)), gf.exp(x) - 1,
    ]  # fmt: skip
    plain = gf.Session(backend="numpy", level="O0").run(made, {x: value})
    for level in ("O2", "O3"):
        for mine, other in zip(gf.Session(backend="numpy", level=level).run(made, {x: value}), plain):
            np.testing.assert_allclose(mine, other, rtol=1e-5)
    assert not [warning for warning in recwarn if "failed" in str(warning.message)]
