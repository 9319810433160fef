"""Evaluation by references: it feeds anything, runs what is needed, and says what is missing."""

from __future__ import annotations

import numpy as np
import pytest

from graphflow.errors import FeedError, GraphFlowError
from graphflow.ir.interpret import evaluate, run_node
from graphflow.ir.opdef import registry
from graphflow.ops.declare import assign, constant, placeholder, training, variable

add, multiply, exp, log = (registry[name] for name in ("add", "multiply", "exp", "log"))


def test_values_agree_with_numpy(rng: np.random.Generator) -> None:
    x, w = placeholder("x", (3, 4)), variable("w", (4,))
    y = exp(multiply(add(x, w), 0.5))
    a, b = rng.normal(size=(3, 4)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    got, same, given = evaluate([y, y, x], {x: a, w: b})
    np.testing.assert_allclose(got, np.exp((a + b) * np.float32(0.5)), rtol=1e-6)
    assert same is got and got.dtype == np.float32
    np.testing.assert_array_equal(given, a)


def test_feeding_the_middle_cuts_what_is_above() -> None:
    x = placeholder("x", ())
    y = exp(x)
    assert evaluate([add(y, 1.0)], {y: np.float32(2)})[0] == 3


def test_what_is_missing_is_named() -> None:
    x, w = placeholder("x", ()), variable("w", ())
    for tensor, name in (
        (exp(x), "placeholder 'x'"),
        (exp(w), "variable 'w'"),
        (training(), "training_flag"),
    ):
        with pytest.raises(FeedError, match=name) as caught:
            evaluate([tensor])
        assert caught.value.origin.file == __file__ and caught.value.hint
    assert evaluate([constant(2.0)])[0] == 2 and evaluate([]) == []


def test_awkward_values_make_no_noise() -> None:
    values = constant(np.array([0.0, -0.0, -1.0, np.inf, np.nan], np.float32), allow_nan=True)
    got = evaluate([log(values)])[0]
    np.testing.assert_array_equal(got, np.array([-np.inf, -np.inf, np.nan, np.inf, np.nan], np.float32))
    assert evaluate([exp(constant(np.zeros((0, 3))))])[0].shape == (0, 3)


def test_several_outputs_and_none() -> None:
    first, second = registry["split"](constant([1.0, 2.0, 3.0]), (1, 2))
    assert [value.tolist() for value in evaluate([second, first])] == [[2.0, 3.0], [1.0]]
    w = variable("w", ())
    update = assign(w, add(w, 1.0))
    assert run_node(update.assigns[0], [np.float32(0), np.float32(1)]) == ()


def test_sizes_have_to_be_known() -> None:
    x = placeholder("x", ("n",))
    with pytest.raises(GraphFlowError, match="known only when the graph runs"):
        evaluate([multiply(x, x.shape[0])], {x: np.ones(2, np.float32)})
