"""Checks: what agrees passes, what parts is named first, and what cannot run is told."""

from __future__ import annotations

import json

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, BackendError, FeedError, GraphError
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import level_pipeline
from graphflow.prove.subject import Subject
from graphflow.runtime.backend import get_backend
from tests.prove.planted import tanh_is_sin


def tower(depth: int = 4) -> gf.Tensor:
    x = gf.placeholder("x", ("batch", 6))
    h = x
    for _ in range(depth):
        h = gf.log(gf.nn.softmax(gf.sin(h * 1.0) * 2.0))
    return h


def test_what_the_optimizer_does_passes_on_all_backends() -> None:
    found = gf.prove.check(tower())
    assert found.passed, str(found)
    assert [(row.backend, row.level) for row in found.rows] == [
        ("numpy", "O1"), ("numpy", "O2"), ("numpy", "O3"),
        ("jax", "O0"), ("jax", "O1"), ("jax", "O2"), ("jax", "O3"),
    ]  # fmt: skip
    exact = found.rows[0]
    assert exact.edits > 4 and exact.compared == exact.equal > 30
    assert len(found.inputs) == 3 and "special" in found.inputs[2]


def test_the_first_tensor_to_part_is_named() -> None:
    x = gf.placeholder("x", ("batch", 6))
    early = gf.exp(x)
    wrong = gf.tanh(early * x, name="culprit")
    found = gf.prove.check(gf.exp(wrong) + early, backends=["numpy"], rules=[tanh_is_sin])
    assert not found.passed and not any(row.passed for row in found.rows)
    parting = found.rows[0].parting
    assert parting is not None and parting.tensor == "culprit" and parting.rules == ("tanh_is_sin",)
    assert parting.origin.startswith("test_check.py:") and parting.safety == "exact"
    text = str(found)
    assert "culprit = tanh" in text and "is the first to part" in text and "PARTED" in text


def test_a_loop_parts_at_the_node_that_holds_it() -> None:
    x = gf.placeholder("x", (5, 2))
    rows = gf.map(lambda z: gf.tanh(z * (z + 1.0)), x)
    found = gf.prove.check(gf.exp(rows), backends=["numpy"], levels=["O1"], rules=[tanh_is_sin])
    parting = found.rows[0].parting
    assert parting is not None and parting.op == "scan" and "tanh_is_sin" in parting.rules


def test_rounding_is_permitted_where_a_rule_rounds_and_only_there() -> None:
    x = gf.placeholder("x", (50, 20))
    found = gf.prove.check(gf.log(gf.nn.softmax(x)), backends=["numpy"])
    assert found.passed and found.rows[0].worst.ulps == 0 < found.rows[1].worst.ulps
    strict = gf.prove.check(gf.log(gf.nn.softmax(x)), backends=["numpy"], exact=True)
    assert [row.passed for row in strict.rows] == [True, False, False]


def test_given_inputs_are_used() -> None:
    x = gf.placeholder("x", (2,))
    y = gf.tanh(x * (x + 1.0))
    zeros, ones = np.zeros(2, np.float32), np.ones(2, np.float32)
    options = {"backends": ["numpy"], "levels": ["O1"], "rules": [tanh_is_sin]}
    assert gf.prove.check(y, {"x": zeros}, **options).passed  # tanh(0) = sin(0)
    assert not gf.prove.check(y, {x: ones}, **options).passed
    for wrong in ({}, {"x": zeros, "z": zeros}, {"x": np.zeros(3, np.float32)}, 5):
        with pytest.raises(FeedError):
            gf.prove.check(y, wrong, **options)


def test_models_with_weights_gradients_random_numbers_and_loops() -> None:
    x = gf.placeholder("x", ("batch", 4))
    w = gf.variable("w", (4, 3))
    h = gf.nn.dropout(gf.matmul(x, w), 0.5, training=True)
    _, rows = gf.scan(lambda c, z: (gf.sin(c + z), c), gf.zeros(3), h)
    loss = gf.mean(gf.nn.softplus(rows))
    (slope,) = gf.gradients(loss, [w])
    found = gf.prove.check([loss, slope])
    assert found.passed, str(found)


def test_a_pipeline_is_a_level() -> None:
    found = gf.prove.check(tower(), levels=["eliminate,fold-constants"], backends=["numpy"])
    assert found.passed and found.rows[0].level == "eliminate,fold-constants"


def test_the_guard_names_the_first_node_that_makes_what_is_not_finite() -> None:
    x = gf.placeholder("x", (3,))
    y = gf.log(gf.minimum(x, -1.0), name="culprit")
    found = gf.prove.check(gf.exp(y) * 1.0, backends=["numpy"], nan_guard=True)
    assert not found.passed and all(row.passed for row in found.rows)
    assert found.born[0].startswith("culprit = log (test_check.py:") and "NaN" in found.born[0]
    assert gf.prove.check(gf.exp(x), backends=["numpy"], nan_guard=True).passed


def test_the_result_is_json() -> None:
    x = gf.placeholder("x", (3,))
    found = gf.prove.check(gf.tanh(x * (x + 1.0)), backends=["numpy"], rules=[tanh_is_sin])
    data = json.loads(json.dumps(found.to_dict()))
    assert data["passed"] is False and data["rows"][0]["parting"]["tensor"] == "tanh"


def test_bad_arguments_are_refused() -> None:
    y = tower(1)
    with pytest.raises(AttributeValueError, match="there is no level 'O9'"):
        gf.prove.check(y, levels=["O9"])
    with pytest.raises(BackendError):
        gf.prove.check(y, backends=["gpu"])
    for levels in ([], [3], None):
        with pytest.raises(AttributeValueError):
            gf.prove.check(y, levels=levels)
    for what in (None, 3, [], "model", gf.Graph()):
        with pytest.raises(GraphError):
            gf.prove.check(what)


# Inputs


def test_inputs_depend_on_the_seed_alone() -> None:
    y = tower(1)
    first, again, other = gf.prove.generate(y), gf.prove.generate(y), gf.prove.generate(y, seed=1)
    np.testing.assert_array_equal(first["x"], again["x"])
    assert (first["x"] != other["x"]).all()
    special = gf.prove.generate(y, special=True)["x"]
    assert not np.isfinite(special).all() and special.dtype == np.float32


def test_inputs_fit_types_bounds_and_constraints() -> None:
    n = gf.Dim("n", min=7, max=9)
    a = gf.placeholder("a", (n, "m"))
    b = gf.placeholder("b", ("k", 2), dtype=gf.float64)
    c = gf.placeholder("c", ("m",), dtype=gf.int32)
    d = gf.placeholder("d", (2,), dtype=gf.bool)
    y = [gf.matmul(a, gf.astype(b, gf.float32)), gf.take(a, c, axis=1), d]
    made = gf.prove.generate(y)
    assert made["a"].shape[0] == 7 and made["a"].shape[1] == made["b"].shape[0] == made["c"].shape[0]
    assert {name: str(array.dtype) for name, array in made.items()} == {
        "a": "float32", "b": "float64", "c": "int32", "d": "bool",
    }  # fmt: skip
    assert gf.prove.check(y, backends=["numpy"]).passed


def test_sizes_that_cannot_be_found_are_told() -> None:
    x = gf.placeholder("x", (gf.Dim("n", min=2) * 2 + 1,))
    y = gf.placeholder("y", (gf.Dim("m", min=2) * 2,))
    with pytest.raises(FeedError, match="no inputs could be made up"):
        gf.prove.generate(x + y)


def test_values_inside_of_a_loop_over_blocks_are_compared() -> None:
    """On numpy they are not kept by an ordinary run, which fuses what has sizes that are known."""
    x = gf.placeholder("x", (400, 400))
    model = gf.Model(inputs=[x], outputs={"y": gf.tanh(gf.exp(x) * 2.0 + 1.0)})
    found = gf.prove.check(model, backends=["numpy"])
    assert found.passed and all(row.compared >= 12 for row in found.rows), str(found)


def test_a_rule_in_a_body_counts_where_its_node_has_come_out() -> None:
    """x * 0 is 0 but for signs; hoisted out of a loop, it is merged with another 0 and folded."""
    xs, start = gf.placeholder("xs", (6,)), gf.placeholder("start", ())
    kept, rows = gf.scan(lambda carry, x: (carry, gf.sin(gf.cos(carry)) * 0.0), start, xs)
    other = gf.while_loop(lambda c: gf.less(c, 3.0), lambda c: gf.add(c, 1.0), gf.constant(0.0))
    found = gf.prove.check(
        [kept, rows, other], {"xs": np.ones(6, np.float32), "start": np.float32(2.0)}, ["O3"], ["numpy"]
    )
    assert found.passed, str(found)


def test_a_backend_that_lacks_an_operator_is_left_out_unless_it_is_asked_for() -> None:
    words = gf.placeholder("words", ("n",), dtype=gf.string)
    y = gf.strings.concat(words, gf.constant(["!"]))
    found = gf.prove.check(y, levels=["O2"])
    assert found.passed and {row.backend for row in found.rows} == {"numpy"}
    assert "XLA has no strings" in found.skipped["jax"] and "jax: not checked" in str(found)
    assert not gf.prove.check(y, levels=["O2"], backends=["jax"]).passed


def test_what_is_checked_is_what_a_session_runs_once_it_knows_the_sizes() -> None:
    """Weights are cut into panels when the batch is known: that is checked, too."""
    x = gf.placeholder("x", ("batch", 40))
    w = gf.constant(np.random.default_rng(0).standard_normal((40, 40), np.float32))
    subject = Subject(gf.nn.relu(gf.matmul(x, w)))
    case = subject.case("given", {"x": np.ones((3, 40), np.float32)})
    journal = Journal("entries")
    text = level_pipeline("O2") + ",pack-weights"
    program = subject.build(case, get_backend("numpy"), text, journal)
    assert "packed_conv" in [node.op.name for node in program.nodes]
    assert {"product_in_panels", "bound_into_panels"} <= {entry.rule for entry in journal.entries}
