"""Models: their own graph and weights, named inputs and outputs, and errors that say what to do."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FeedError, GraphError, GraphFlowError, ShapeError
from graphflow.ir.dims import Dim
from graphflow.ir.graph import Graph
from graphflow.ir.opdef import registry
from graphflow.ir.text import print_graph
from graphflow.ir.verify import verify
from graphflow.model import Model, optimize, plan_memory
from graphflow.ops import initializers
from graphflow.ops.declare import assign, constant, placeholder, training, variable
from graphflow.session.session import Session

add, multiply, exp, matmul = (registry[name] for name in ("add", "multiply", "exp", "matmul"))


@pytest.fixture
def dense() -> tuple[Graph, dict]:
    with Graph("dense") as g:
        x = placeholder("x", (Dim("batch", 1, 64), 4))
        label = placeholder("label", ("batch",))
        w = variable("w", (4, 3))
        b = variable("b", (3,), initializers.constant(0.5))
        other = variable("other", (7,))
        y = add(matmul(x, w), b, name="y")
        loss = add(registry["sum"](y, axis=1), label, name="loss")
        step = assign(b, multiply(b, 2.0))
    return g, {"x": x, "label": label, "w": w, "b": b, "y": y, "loss": loss, "step": step, "other": other}


def test_weights_come_from_the_session_and_stay(dense) -> None:
    g, t = dense
    with Session(g, backend="numpy", seed=5) as sess:
        sess.run(t["step"])
        model = Model(g, [t["x"]], [t["y"]], sess)
        w = sess.variables["w"]
        sess.run(t["step"])
    assert set(model.weights) == {"w", "b"}
    np.testing.assert_array_equal(model.weights["w"], w)
    np.testing.assert_array_equal(model.weights["b"], np.ones(3, np.float32))
    feed = np.arange(8, dtype=np.float32).reshape(2, 4)
    answer = model.run({"x": feed}, "numpy")
    assert list(answer) == ["y"] and isinstance(answer["y"], np.ndarray)
    np.testing.assert_allclose(answer["y"], feed @ w + 1, rtol=1e-6)
    np.testing.assert_allclose(model.run({"x": feed})["y"], answer["y"], rtol=1e-5)


def test_without_a_session_weights_are_those_of_seed_0(dense) -> None:
    g, t = dense
    model = Model(g, [t["x"]], [t["y"]])
    with Session(g, backend="numpy", seed=0) as sess:
        np.testing.assert_array_equal(model.weights["w"], sess.variables["w"])
    assert len(np.unique(model.weights["w"])) == 12


def test_the_graph_is_a_pruned_copy(dense) -> None:
    g, t = dense
    before = print_graph(g)
    model = Model(g, [t["x"]], [t["y"]])
    verify(model.graph)
    assert [node.name for node in model.graph.nodes] == ["x", "w", "b", "matmul", "y"]
    assert list(model.graph.placeholders) == ["x"] and list(model.graph.variables) == ["w", "b"]
    assert model.graph is not g and print_graph(g) == before
    assert model.inputs["x"].graph is model.graph and model.outputs["y"] is model.graph.outputs[0]
    assert model.graph.nodes[-1].origin is t["y"].node.origin
    assert model.inputs["x"].shape[0].symbol.max == 64
    with g:
        exp(t["y"])
    assert len(model.graph.nodes) == 5


def test_a_session_on_the_models_graph_starts_from_the_weights(dense) -> None:
    g, t = dense
    with Session(g, backend="numpy", seed=9) as sess:
        model = Model(g, [t["x"]], [t["y"]], sess)
        w = sess.variables["w"]
    with Session(model.graph, backend="numpy", seed=1) as sess:
        np.testing.assert_array_equal(sess.variables["w"], w)


def test_constraints_and_builtins_come_along() -> None:
    with Graph() as g:
        x, y = placeholder("x", ("n",)), placeholder("y", ("m",))
        z = registry["where"](training(), add(x, y), x, name="z")
    model = Model(g, [x, y], [z])
    ((left, right, node),) = model.graph.constraints
    assert (left, right) == (Dim("n"), Dim("m")) and node.graph is model.graph
    with pytest.raises(GraphFlowError, match="n"):
        model.run({"x": np.ones(2), "y": np.ones(3)}, "numpy")
    assert model.run({"x": [1.0, 2.0], "y": [3.0, 4.0]}, "numpy")["z"].tolist() == [1.0, 2.0]
    with Session(model.graph, backend="numpy") as sess:
        flag = model.graph.builtins["training_flag"]
        fed = {flag: True, "x": [1.0, 2.0], "y": [3.0, 4.0]}
        assert sess.run(model.outputs["z"], fed).tolist() == [4.0, 6.0]


def test_names_of_inputs_and_outputs(dense) -> None:
    g, t = dense
    model = Model(g, {"image": "x"}, {"scores": t["y"], "same": "y:0", "bias": "b"})
    answer = model.run({"image": np.zeros((1, 4))}, "numpy")
    assert list(answer) == ["scores", "same", "bias"]
    assert answer["bias"].tolist() == answer["scores"][0].tolist()
    assert model.run({model.inputs["image"]: np.zeros((1, 4))}, "numpy")["same"].shape == (1, 3)
    assert list(Model(outputs=constant(1.0, name="one")).outputs) == ["one"]
    first, second = gf.split(t["x"], 2, axis=1)
    assert list(Model(g, t["x"], [first, second]).outputs) == [first.name, second.name]


def test_an_input_in_the_middle_cuts_the_graph(dense) -> None:
    g, t = dense
    product = t["y"].node.inputs[0]
    model = Model(g, [product], [t["y"]])
    assert [node.op.name for node in model.graph.nodes] == ["variable", "placeholder", "add"]
    assert list(model.inputs) == ["matmul"] and list(model.weights) == ["b"]
    assert model.run({"matmul": [[1.0, 2.0, 3.0]]}, "numpy")["y"].tolist() == [[1.5, 2.5, 3.5]]


def test_an_input_that_no_output_needs_is_kept(dense) -> None:
    g, t = dense
    model = Model(g, [t["x"], t["label"]], [t["y"]])
    assert list(model.inputs) == ["x", "label"]
    assert model.run({"x": np.zeros((1, 4)), "label": [0.0]}, "numpy")["y"].shape == (1, 3)
    with pytest.raises(FeedError, match="'label' is not fed"):
        model.run({"x": np.zeros((1, 4))}, "numpy")


def test_feeds_that_do_not_fit(dense) -> None:
    g, t = dense
    model = Model(g, [t["x"]], [t["y"]])
    for feeds, message in [
        (None, "'x' is not fed"),
        ({"y": 1}, "no input 'y'"),
        ({t["x"]: np.zeros((1, 4))}, "no input 'x:0'"),
        ({"x": np.zeros((1, 4)), 3: 1}, "no input 3"),
        ({"x": np.zeros((1, 4)), model.inputs["x"]: 0}, "fed twice"),
        ({"x": np.zeros((1, 5))}, "5"),
        ({"x": np.zeros((65, 4))}, "64"),
    ]:
        with pytest.raises(FeedError, match=message):
            model.run(feeds, "numpy")


def test_arguments_that_do_not_fit(dense) -> None:
    g, t = dense
    with Graph("elsewhere"):
        foreign = placeholder("foreign", (2,))
    cases = [
        (lambda: Model(g, [t["x"]]), "needs outputs"),
        (lambda: Model(outputs=["y"]), "not known"),
        (lambda: Model(g, [t["x"]], [t["loss"]]), "'label', which is not among the inputs"),
        (lambda: Model(g, [], [t["loss"]]), "'x', 'label', which are not among"),
        (lambda: Model(g, ["z"], [t["y"]]), "no tensor 'z'"),
        (lambda: Model(g, [foreign], [t["y"]]), "belongs to the graph 'elsewhere'"),
        (lambda: Model(g, [t["x"], t["x"]], [t["y"]]), "listed twice"),
        (lambda: Model(g, {"a": t["x"], "b": t["x"]}, [t["y"]]), "listed twice"),
        (lambda: Model(g, [t["x"]], [t["y"], t["y"]]), "listed twice"),
        (lambda: Model(g, {3: t["x"]}, [t["y"]]), "cannot name"),
        (lambda: Model(g, [3.0], [t["y"]]), "cannot be an input"),
        (
            lambda: Model(g, [t["x"]], [t["y"]], weights={"w": np.zeros((4, 3))}),
            "no weight for the variable 'b'",
        ),
        (lambda: Model(g, [t["x"]], [t["y"]], signatures={"serve": ([], ["b"])}), "given twice"),
        (lambda: Model(g, signatures={"a": ([t["x"]], [])}), "needs a name and outputs"),
        (lambda: Model(g, signatures={"a": (["x", "label"], ["loss"]), "b": (["x"], ["loss"])}), "'label'"),
        (lambda: Model(g, [t["x"]], [t["y"]]).run({}, signature="no"), "no signature 'no'"),
        (
            lambda: Model(foreign.graph, outputs=[foreign], session=Session(g, backend="numpy")),
            "session runs",
        ),
    ]
    for make, message in cases:
        with pytest.raises(GraphError, match=message) as caught:
            make()
        assert caught.value.hint
    with pytest.raises(ShapeError, match="initial array has shape"):
        Model(g, [t["x"]], [t["y"]], weights={"w": np.zeros((3, 4)), "b": np.zeros(3)})
    with pytest.raises(GraphError, match="not among the inputs") as caught:
        Model(g, [], [t["y"]])
    assert caught.value.origin.file == __file__


def test_representations(dense) -> None:
    g, t = dense
    model = Model(g, [t["x"]], [t["y"]])
    assert (
        repr(model)
        == "<model 'dense': x float32[batch, 4] -> y float32[batch, 3]; 15 weights in 2 variables>"
    )
    assert "in   x  float32[batch, 4]" in str(model) and "60 bytes" in str(model)
    halved = gf.Model(inputs=[x := gf.placeholder("halved", (2,))], outputs=[x * gf.constant([0.5, 0.25])])
    assert "0 variables" in str(halved) and "  1 constant, 8 bytes" in str(halved)


def test_one_session_a_backend_serves_all_runs(dense) -> None:
    g, t = dense
    model = Model(g, [t["x"]], [t["y"]])
    answers = []

    def run() -> None:
        answers.append(model.run({"x": np.ones((2, 4))}, "numpy")["y"])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 4 and len(model._sessions) == 1
    assert len(model._sessions["numpy", "O2"].compiles) == 1
    for answer in answers:
        np.testing.assert_array_equal(answer, answers[0])


def test_optimize_takes_a_pipeline() -> None:
    x = gf.placeholder("x", (2,))
    model = Model(inputs=[x], outputs={"y": gf.exp(x * 1.0) + gf.exp(x * 1.0)})
    merged = optimize(model, pipeline="eliminate")
    assert [node.op.name for node in merged.graph] == ["placeholder", "constant", "multiply", "exp", "add"]
    assert merged.report.label == "eliminate"
    with pytest.raises(gf.AttributeValueError, match="there is no pass 'eliminat'"):
        optimize(model, pipeline="eliminat")


def test_optimize_keeps_values_and_names(dense, rng: np.random.Generator) -> None:
    g, t = dense
    with g:
        y = multiply(add(t["y"], 0.0), 1.0)
    model = Model(g, {"image": t["x"], "unused": t["label"]}, {"scores": y})
    small = optimize(model)
    verify(small.graph)
    assert len(small.graph.nodes) < len(model.graph.nodes)
    assert list(small.inputs) == ["image", "unused"] and list(small.outputs) == ["scores"]
    feeds = {"image": rng.normal(size=(3, 4)), "unused": np.zeros(3)}
    np.testing.assert_allclose(
        small.run(feeds, "numpy")["scores"], model.run(feeds, "numpy")["scores"], rtol=1e-6
    )
    assert small.report is not None and model.report is None


def test_memory_of_a_model(dense) -> None:
    g, t = dense
    with g:
        model = Model(g, [t["x"]], [exp(matmul(t["y"], np.ones((3, 3), np.float32)))])
    plan = plan_memory(model, {"batch": 8})
    assert 0 < plan.lower_bound_bytes <= plan.arena_bytes
    assert plan_memory(model, {"batch": 16}).plan.output_bytes == 16 * 3 * 4
    assert set(plan.offsets.values()) == {0} and plan.order[-1].op.name == "exp"
    with pytest.raises(GraphFlowError, match="batch"):
        plan_memory(model)


def test_public_names() -> None:
    assert gf.Model is Model
