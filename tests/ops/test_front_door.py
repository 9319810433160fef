"""gf.trace: specs, names of placeholders, outputs, and errors."""

from typing import NamedTuple

import numpy as np
import pytest

import graphflow as gf


class Pair(NamedTuple):
    left: object
    right: object


def test_a_graph_from_a_function():
    def model(x, w, bias):
        return gf.tanh(x @ w) + bias

    graph = gf.trace(model, ("batch", 4), gf.TensorType(gf.float32, (4, 2)), 1.0)
    assert graph.name == "model"
    assert {name: str(tensor.type) for name, tensor in graph.placeholders.items()} == {
        "x": "float32[batch, 4]", "w": "float32[4, 2]", "bias": "float32[]",
    }  # fmt: skip
    x, w = np.ones((3, 4), np.float32), np.full((4, 2), 0.5, np.float32)
    (got,) = gf.Model(graph).run({"x": x, "w": w, "bias": 2.0}, backend="numpy").values()
    np.testing.assert_allclose(got, np.tanh(x @ w) + 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ((), "float32[]"),
        ((3,), "float32[3]"),
        ([3, "n"], "float32[3, n]"),
        (("n", None), "float32[n, x_1]"),
        ((("n", 2), gf.int32), "int32[n, 2]"),
        (((), "bool"), "bool[]"),
        (((2,), np.float64), "float64[2]"),
        (gf.TensorType(gf.int8, (gf.Dim("n") + 1,)), "int8[n + 1]"),
        (gf.bfloat16, "bfloat16[]"),
        (float, "float32[]"),
        (np.zeros((2, 0), np.int16), "int16[2, 0]"),
        (np.float64(3), "float64[]"),
        (7, "int32[]"),
        (True, "bool[]"),
    ],
)
def test_forms_of_a_spec(spec, kind):
    graph = gf.trace(gf.identity, spec) if not isinstance(spec, str) else None
    (tensor,) = graph.placeholders.values()
    assert str(tensor.type) == kind or "None" in repr(spec)
    assert tensor.ndim == len(graph.outputs[0].shape)


def test_nests_of_specs_and_results():
    def fn(params, pair, *rest):
        assert isinstance(pair, Pair)
        return {"sum": params["w"] + params["deep"][0], "rest": [pair.left * rest[1], pair.right]}

    graph = gf.trace(fn, {"w": (2,), "deep": [(2,)]}, Pair((2,), gf.int32), (3,), (2,))
    assert list(graph.placeholders) == [
        "params.w",
        "params.deep.0",
        "pair.left",
        "pair.right",
        "rest.0",
        "rest.1",
    ]
    assert [str(tensor.type) for tensor in graph.outputs] == ["float32[2]", "float32[2]", "int32[]"]


def test_names_that_cannot_be_used_as_they_are():
    graph = gf.trace(lambda t: t["a b"] + t["a_b"] + t["a:b"], {"a b": (), "a_b": (), "a:b": ()})
    assert list(graph.placeholders) == ["t.a.b", "t.a_b", "t.a.b_1"]


def test_options_and_name():
    graph = gf.trace(lambda x, axis: gf.sum(x, axis=axis), (2, 3), axis=1, name="total")
    assert graph.name == "total" and graph.outputs[0].shape == (2,)


def test_layers_make_their_variables_in_the_graph():
    graph = gf.trace(lambda x: gf.layers.dense(x, 3), ("batch", 2))
    assert len(graph.variables) == 2
    (got,) = gf.Model(graph).run({"x": np.ones((4, 2), np.float32)}, backend="numpy").values()
    assert got.shape == (4, 3)


def test_the_current_graph_is_left_alone():
    with gf.Graph() as outer:
        gf.trace(lambda x: x * 2.0, (3,))
    assert not outer.nodes


def test_constants_and_arguments_as_results():
    graph = gf.trace(lambda x: (x, x, 2.0, np.arange(3)), (2,))
    got = gf.Model(graph).run({"x": [1.0, 2.0]}, backend="numpy")
    assert [value.tolist() for value in got.values()] == [[1.0, 2.0], [1.0, 2.0], 2.0, [0, 1, 2]]


def test_a_model_with_chosen_outputs_still_names_its_inputs():
    graph = gf.trace(lambda x, y: (x * 2.0, y * 3.0), (), ())
    model = gf.Model(graph, inputs=["y"], outputs={"only": graph.outputs[1]})
    assert list(model.inputs) == ["y"]
    assert list(gf.Model(graph).inputs) == ["x", "y"]


# Errors


def test_the_trace_of_a_matrix_is_elsewhere():
    with pytest.raises(gf.AttributeValueError, match=r"linalg\.trace"):
        gf.trace(gf.eye(3))
    with pytest.raises(gf.GraphFlowError, match=r"linalg\.trace"):
        gf.trace(np.eye(3))
    with pytest.raises(gf.GraphError, match=r"linalg\.trace"):
        gf.trace(gf.sin, gf.eye(3))


@pytest.mark.parametrize(
    "spec", [object(), "batch", (3, -1), ((2,), "no dtype"), {1, 2}, ("two words",), (True,), (2.5,), b"3"]
)
def test_wrong_specs(spec):
    with pytest.raises(gf.GraphFlowError):
        gf.trace(gf.sin, spec)


@pytest.mark.parametrize("specs", [(), ((3,), (3,))])
def test_wrong_number_of_specs(specs):
    with pytest.raises(gf.GraphFlowError, match="argument"):
        gf.trace(lambda x: x, *specs)


@pytest.mark.parametrize("result", [None, "text", object(), {"a": "text"}, []])
def test_results_that_are_no_tensors(result):
    with pytest.raises(gf.GraphError, match="return"):
        gf.trace(lambda x: result, (3,))


def test_a_tensor_of_another_graph():
    with gf.Graph():
        other = gf.placeholder("other", (3,))
    with pytest.raises(gf.GraphError, match="belongs to"):
        gf.trace(lambda x: other, (3,))


def test_errors_inside_keep_their_line():
    def fn(x, y):
        return x @ y

    with pytest.raises(gf.ShapeError) as caught:
        gf.trace(fn, (2, 3), (4, 5))
    assert (caught.value.origin.file, caught.value.origin.line) == (__file__, fn.__code__.co_firstlineno + 1)
    with pytest.raises(ZeroDivisionError):
        gf.trace(lambda x: 1 // 0, (3,))


def test_a_nest_without_end():
    spec: list = []
    spec.append(spec)
    with pytest.raises(gf.GraphError, match="deep"):
        gf.trace(gf.sin, spec)


def test_a_model_of_a_graph_without_outputs():
    with gf.Graph() as graph:
        gf.placeholder("x", ())
    with pytest.raises(gf.GraphError, match="outputs"):
        gf.Model(graph)
