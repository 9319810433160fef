"""The calls of bodies are those that the reference makes, in its order, with its values."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.body import bodies_of
from graphflow.ir.interpret import evaluate, run_body
from graphflow.ops.body_calls import body_calls, following


def calls(tensor: gf.Tensor, **feeds: object) -> list:
    node = tensor.node
    fed = {node.graph.placeholders[name]: value for name, value in feeds.items()}
    return list(body_calls(node, evaluate(node.inputs, fed)))


@pytest.mark.parametrize("reverse", [False, True])
def test_a_scan_calls_its_body_once_a_step(reverse: bool) -> None:
    x, k = gf.placeholder("x", (4,)), gf.placeholder("k", ())
    last, _ = gf.scan(lambda c, z: (c * k + z, c), 1.0, x, reverse=reverse)
    made = calls(last, x=np.arange(4, dtype=np.float32), k=np.float32(2.0))
    assert [float(call.arguments[1]) for call in made] == ([3, 2, 1, 0] if reverse else [0, 1, 2, 3])
    final = run_body(made[-1].body, made[-1].arguments)[0]
    fed = {x: np.arange(4, dtype=np.float32), k: np.float32(2.0)}
    np.testing.assert_array_equal(final, evaluate([last], fed)[0])


def test_a_scan_of_no_steps_calls_nothing() -> None:
    last, _ = gf.scan(lambda c, z: (c + z, c), 1.0, gf.placeholder("x", (0,)))
    assert calls(last, x=np.zeros(0, np.float32)) == []


@pytest.mark.parametrize(("most", "wanted"), [(None, [0, 1, 0, 1, 0]), (1, [0, 1]), (0, [])])
def test_a_loop_asks_its_condition_first(most: int | None, wanted: list[int]) -> None:
    x = gf.placeholder("x", ())
    y = gf.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, x, max_steps=most)
    made = calls(y, x=np.float32(3.0))
    first = [list(bodies_of(y.node)).index(call.body) for call in made]
    condition = next(n for n, body in enumerate(bodies_of(y.node)) if body is y.node.attrs.condition)
    assert [number != condition for number in first] == [bool(one) for one in wanted]
    assert [call.number for call in made] == first


@pytest.mark.parametrize(("index", "number"), [(-5, 0), (0, 0), (1, 1), (2, 2), (9, 2)])
def test_a_choice_calls_one_branch(index: int, number: int) -> None:
    x, i = gf.placeholder("x", (3,)), gf.placeholder("i", (), dtype=gf.int32)
    y = gf.switch_case(i, [gf.sin, gf.cos, gf.tan], x)
    (made,) = calls(y, x=np.ones(3, np.float32), i=np.int32(index))
    assert made.number == number and made.body is y.node.attrs.branches[number]


def test_what_is_sent_stands_for_the_results() -> None:
    last, _ = gf.scan(lambda c, z: (c + z, c), 1.0, gf.placeholder("x", (3,)))
    made = body_calls(last.node, [np.float32(1.0), np.arange(3, dtype=np.float32)])
    seen, call = [], next(made)
    while call is not None:
        seen.append(float(call.arguments[0]))
        call = following(made, [np.float32(2.0 * len(seen)), np.float32(0.0)])
    assert seen == [1.0, 2.0, 4.0] and following(made, []) is None


def test_a_body_runs_once_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []

    def counted(body: object, arrays: object) -> object:
        ran.append(body)
        return run_body(body, arrays)

    monkeypatch.setattr("graphflow.ops.body_calls.run_body", counted)
    last, rows = gf.scan(lambda c, z: (c + z, c), 1.0, gf.placeholder("x", (5,)))
    assert len(calls(last, x=np.ones(5, np.float32))) == len(ran) == 5
    ran.clear()
    evaluate([last, rows], {last.graph.placeholders["x"]: np.ones(5, np.float32)})
    assert len(ran) == 5


def test_the_numbers_survive_the_text_form() -> None:
    y = gf.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, gf.placeholder("x", ()))
    y.graph.outputs = [y]
    read = gf.parse_graph(gf.print_graph(y.graph))
    node = read.outputs[0].node
    for made in body_calls(node, [np.float32(3.0)]):
        assert made.body is list(bodies_of(node))[made.number]


def test_ordinary_nodes_call_nothing() -> None:
    assert calls(gf.exp(gf.placeholder("x", ())), x=np.float32(1.0)) == []
