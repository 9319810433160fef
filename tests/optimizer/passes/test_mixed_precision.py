"""Mixed precision: which nodes become narrow, where casts stand, and how far results move."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.verify import verify
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import level_pipeline, optimize
from graphflow.optimizer.program import Program, extract

PIPELINE = "mixed-precision{dtype=%s}," + level_pipeline("O2")


def mixed(fetches: Sequence[gf.Tensor], pipeline: str = PIPELINE % "bfloat16", **options: object) -> Program:
    graph = fetches[0].graph
    program = extract(fetches, (), list(graph.placeholders.values()))
    made = optimize(program, "O2", pipeline, strict=True, check=True, **options)
    verify(made)
    return made


def dtypes(program: Program, op: str) -> list[str]:
    return [node.outputs[0].dtype.name for node in program.order() if node.op.name == op]


def casts(program: Program) -> int:
    return len(dtypes(program, "astype"))


@pytest.fixture
def x() -> gf.Tensor:
    return gf.placeholder("x", ("batch", 8))


@pytest.fixture
def w() -> gf.Tensor:
    return gf.placeholder("w", (8, 8))


def test_products_and_what_follows_them_elementwise_are_narrow(x: gf.Tensor, w: gf.Tensor) -> None:
    program = mixed([gf.nn.relu(gf.matmul(gf.nn.relu(gf.matmul(x, w) + 1.0), w))])
    assert dtypes(program, "matmul") == ["bfloat16"] * 2
    assert dtypes(program, "relu") == ["bfloat16"] * 2
    assert dtypes(program, "add") == ["bfloat16"]
    assert casts(program) == 3  # x and w narrow, the result wide
    assert program.outputs[0].dtype is gf.float32


def test_what_needs_range_stays_wide_and_so_does_what_it_feeds(x: gf.Tensor, w: gf.Tensor) -> None:
    program = mixed([gf.nn.softmax(gf.matmul(x, w)) * 2.0 + 1.0])
    assert dtypes(program, "softmax") == dtypes(program, "multiply") == dtypes(program, "add") == ["float32"]


def test_a_wide_sum_keeps_a_residual_wide(x: gf.Tensor, w: gf.Tensor) -> None:
    program = mixed([gf.matmul(x, w) + gf.exp(x)])
    assert dtypes(program, "matmul") == ["bfloat16"]
    assert dtypes(program, "add") == ["float32"]


def test_a_transposed_weight_is_cast_once(x: gf.Tensor, w: gf.Tensor) -> None:
    program = mixed([gf.matmul(gf.matmul(x, w), gf.permute_dims(w, (1, 0)))])
    assert dtypes(program, "permute_dims") in (["bfloat16"], [])
    assert casts(program) == 3


def test_a_result_that_only_moves_stays_wide(x: gf.Tensor) -> None:
    assert casts(mixed([gf.permute_dims(x, (1, 0))])) == 0


def test_other_dtypes_are_left_alone() -> None:
    a = gf.placeholder("a", (3, 3), gf.float64)
    k = gf.placeholder("k", (3, 3), gf.int32)
    program = mixed([gf.matmul(a, a), gf.matmul(k, k)])
    assert dtypes(program, "matmul") == ["float64", "int32"] and casts(program) == 0


def test_the_lists_can_be_changed(x: gf.Tensor, w: gf.Tensor) -> None:
    y = gf.exp(gf.matmul(x, w))
    assert dtypes(mixed([y], "mixed-precision{deny=matmul}"), "matmul") == ["float32"]
    assert dtypes(mixed([y], "mixed-precision{infer=exp}"), "exp") == ["bfloat16"]
    assert dtypes(mixed([gf.exp(x)], "mixed-precision{allow=exp}"), "exp") == ["bfloat16"]


def test_bodies_are_narrowed_inside_and_keep_their_types(x: gf.Tensor, w: gf.Tensor) -> None:
    start = gf.placeholder("start", (8, 8))
    last, _ = gf.scan(lambda c, s: (gf.tanh(gf.matmul(c, w) + s), gf.sum(c)), start, gf.zeros((4, 8, 8)))
    program = mixed([last])
    (loop,) = [node for node in program.order() if node.op.name == "scan"]
    inside = [node for node in loop.attrs["body"].order() if node.op.name == "matmul"]
    assert [node.outputs[0].dtype.name for node in inside] == ["bfloat16"]
    assert loop.outputs[0].dtype is gf.float32


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 2e-2), ("float16", 2e-3)])
@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_values_differ_by_the_rounding_of_the_dtype(dtype: str, tolerance: float, backend: str) -> None:
    rng = np.random.default_rng(0)
    image = gf.placeholder("image", (2, 3, 8, 8))
    kernel = gf.variable("kernel", initializer=rng.normal(size=(4, 3, 3, 3)).astype(np.float32))
    weight = gf.variable("weight", initializer=rng.normal(size=(64, 5)).astype(np.float32))
    hidden = gf.nn.max_pool(gf.nn.relu(gf.nn.conv(image, kernel, padding=1)), 2)
    logits = gf.matmul(gf.reshape(hidden, (2, 64)), weight)
    loss = gf.nn.cross_entropy(logits, gf.constant([1, 2]))
    slopes = gf.gradients(loss, [kernel, weight])
    model = gf.Model(image.graph, inputs=[image], outputs=[logits, loss, *slopes])
    narrow = gf.optimize(model, pipeline=PIPELINE % dtype)
    feeds = {"image": rng.normal(size=(2, 3, 8, 8)).astype(np.float32)}
    found, wanted = narrow.run(feeds, backend=backend), model.run(feeds, backend="numpy")
    for one, other in zip(found.values(), wanted.values(), strict=True):
        assert one.dtype == np.float32
        assert np.abs(one - other).max() <= tolerance * max(1.0, np.abs(other).max())
        assert one.tobytes() != other.tobytes() or not one.shape


def test_products_accumulate_in_float32() -> None:
    ones = gf.constant(np.ones((1, 8192), np.float32))
    total = gf.matmul(ones, gf.placeholder("w", (8192, 1)))
    model = gf.Model(total.graph, inputs=["w"], outputs=[total])
    narrow = gf.optimize(model, pipeline="mixed-precision{dtype=bfloat16}")
    for backend in ("numpy", "jax"):
        (value,) = narrow.run({"w": np.ones((8192, 1), np.float32)}, backend=backend).values()
        assert value == 8192  # a sum in bfloat16 stops at 256


def test_every_edit_is_in_the_journal(x: gf.Tensor, w: gf.Tensor) -> None:
    journal = Journal("entries")
    mixed([gf.nn.relu(gf.matmul(x, w))], journal=journal)
    reasons = [entry.reason for entry in journal.entries if entry.rule == "mixed_precision"]
    assert reasons == ["matmul has bfloat16 operands", "relu has bfloat16 operands"]


def test_wrong_options_are_refused() -> None:
    with pytest.raises(gf.GraphFlowError, match="cannot compute in 'float8'"):
        mixed([gf.placeholder("x", (2, 2))], "mixed-precision{dtype=float8}")
    with pytest.raises(gf.GraphFlowError, match="'mathmul' that does not exist"):
        mixed([gf.placeholder("y", (2, 2))], "mixed-precision{allow=mathmul}")


def test_an_operator_has_one_part() -> None:
    with pytest.raises(gf.GraphFlowError, match="told to deny and to allow relu"):
        mixed([gf.placeholder("x", (2, 2))], "mixed-precision{allow=relu,deny=exp+relu}")
