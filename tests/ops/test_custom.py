"""Operators of a user's own, declared here as in any module outside the package."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.ir.builder import Builder
from graphflow.ir.interpret import evaluate
from graphflow.ir.opdef import OpDef, registry
from graphflow.optimizer.program import extract
from graphflow.vectorize.vmap import vmap

X = np.array([-2.0, -0.5, 0.0, 1.0, np.inf, np.nan], np.float32)


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    """What a test declares is forgotten after it."""
    before = set(registry)
    yield
    for op in [op for op in registry if op not in before]:
        op.forget()


def swish(x, /, beta=1.0):
    """y = x / (1 + exp(-beta x))."""
    return x / (1 + np.exp(-beta * x))


def declared(**options: Any) -> Any:
    return gf.op(**options)(swish)


def swish_gradient(b, node, g):
    [x] = node.inputs
    beta = node.attrs.beta
    gate = gf.nn.sigmoid(x * beta)
    return g * (gate + beta * x * gate * (1.0 - gate))


def swish_expansion(b, node):
    [x] = node.inputs
    return x * gf.nn.sigmoid(x * node.attrs.beta)


def swish_in_jax(x, beta):
    import jax

    return x * jax.nn.sigmoid(beta * x)


def expected(x: np.ndarray, beta: float) -> np.ndarray:
    with np.errstate(all="ignore"):
        return swish(x, beta)


# The kernel alone


def test_a_kernel_runs_on_numpy() -> None:
    op = declared()
    assert isinstance(op, gf.OpDef) and gf.registry["swish"] is op and op.family == "custom"
    x = gf.placeholder("x", ("n",))
    y = op(x, beta=2.0)
    assert y.node.attrs.beta == 2.0 and str(y.type) == "float32[n]"
    with gf.Session(backend="numpy") as sess:
        np.testing.assert_array_equal(sess.run(y, {x: X}), expected(X, 2.0))
        assert sess.run(y, {x: X[:0]}).shape == (0,)


def test_a_kernel_alone_is_refused_by_jax_with_all_ways_out() -> None:
    y = declared()(gf.placeholder("x", (3,)))
    with pytest.raises(gf.BackendError) as caught, gf.Session() as sess:
        sess.run(y, {"x": X[:3]})
    for way in ('@swish.lowering("jax")', "@swish.decomposition", "callback=True", "backend='numpy'"):
        assert way in str(caught.value)
    assert caught.value.origin is not None and caught.value.origin.file == __file__


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "int64", "int8", "bfloat16", "bool", "complex64", "complex128"]
)
def test_jax_can_call_the_kernel_back(dtype: str, rng: np.random.Generator) -> None:
    """64-bit numbers arrive with all their bits."""

    @gf.op(infer="broadcast", callback=True)
    def swap_sum(x, y, /):
        return x | y if x.dtype == bool else x + y

    x = gf.placeholder("x", (3, 1), dtype=dtype)
    values = np.array([[3_000_000_019], [1], [0]]) if dtype == "int64" else rng.normal(size=(3, 1)) * 3
    values = values.astype(x.dtype.numpy)
    y = swap_sum(x, gf.constant(np.ones((1, 4)), dtype=gf.int8 if dtype == "int8" else x.dtype))
    with gf.Session() as sess:
        found = sess.run(y, {x: values})
    wanted = evaluate([y], {x: values})[0]
    assert found.dtype == wanted.dtype and found.tobytes() == wanted.tobytes()


def test_a_callback_works_in_a_loop_and_with_two_results() -> None:
    @gf.op(infer=lambda types, attrs: (types[0], gf.TensorType(gf.int32, ())), callback=True)
    def halved(x, /):
        return x / np.asarray(2, x.dtype), np.asarray(x.size, np.int32)

    x = gf.placeholder("x", (2,))
    last = gf.fori_loop(0, 3, lambda i, c: halved(c)[0] + gf.astype(halved(c)[1], gf.float32), x)
    with gf.Session() as sess:
        np.testing.assert_array_equal(sess.run(last, {x: [8.0, 0.0]}), [4.5, 3.5])


def test_a_callback_that_gives_another_type_is_found_on_numpy() -> None:
    @gf.op
    def widened(x, /):
        return x.astype(np.float64)

    y = widened(gf.placeholder("x", (2,)))
    with pytest.raises(gf.BackendError, match="float64") as caught, gf.Session(backend="numpy") as sess:
        sess.run(y, {"x": [1.0, 2.0]})
    assert "widened" in str(caught.value)


@pytest.mark.parametrize(
    ("kernel", "fault"),
    [
        (lambda x: 1 / 0, "the kernel of 'unlucky'"),
        (lambda x: x.astype(np.float64), r"gives float64\[2\], but the graph says float32\[2\]"),
    ],
)
def test_a_callback_that_fails_names_its_node(kernel: Callable[..., Any], fault: str) -> None:
    """The session stays usable."""

    @gf.op(callback=True)
    def unlucky(x, /):
        return kernel(x) if x[0] > 0 else x

    x = gf.placeholder("x", (2,))
    y = unlucky(x)
    with gf.Session() as sess:
        with pytest.raises(gf.BackendError, match=fault):
            sess.run(y, {x: [1.0, 2.0]})
        assert sess.run(y, {x: [0.0, 2.0]}).tolist() == [0.0, 2.0]


def test_a_wrong_kernel_is_not_folded() -> None:
    """What the optimizer computes itself is checked too."""

    @gf.op
    def one_more(x, /):
        return np.append(x, x)

    y = one_more(gf.constant([1.0]))
    with pytest.raises(gf.BackendError, match="one_more"), gf.Session(backend="numpy") as sess:
        sess.run(y)


# The other facets


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("facet", ["lowering", "decomposition"])
def test_a_lowering_or_an_expansion_is_enough_for_jax(facet: str, backend: str) -> None:
    op = declared()
    if facet == "lowering":
        assert op.lowering("jax")(swish_in_jax) is op
    else:
        assert op.decomposition(swish_expansion) is op
    x = gf.placeholder("x", (6,))
    with gf.Session(backend=backend) as sess:
        np.testing.assert_allclose(sess.run(op(x, beta=1.5), {x: X}), expected(X, 1.5), rtol=1e-6)


def test_the_lowering_wins_over_the_expansion_and_the_callback() -> None:
    op = declared(callback=True)
    op.decomposition(swish_expansion)
    op.lowering("jax")(lambda x, beta: x * 0 + 7)
    x = gf.placeholder("x", (2,))
    with gf.Session() as sess:
        assert sess.run(op(x), {x: [1.0, 2.0]}).tolist() == [7.0, 7.0]


@pytest.mark.parametrize("facet", ["gradient", "decomposition"])
def test_gradients_of_both_orders(facet: str) -> None:
    """Declared, or through the expansion; against differences, and the second order too."""
    op = declared()
    getattr(op, facet)(swish_gradient if facet == "gradient" else swish_expansion)
    x = gf.placeholder("x", (4,))
    point = {x: np.array([-1.0, 0.2, 0.0, 3.0])}
    assert gf.check_gradients(op(x, beta=2.0), x, point)[0].error < 1e-6
    (slope,) = gf.gradients(op(x, beta=2.0), [x])
    assert gf.check_gradients(slope, x, point)[0].error < 1e-6
    assert "swish" not in {node.op.name for node in extract([slope]).nodes} or facet == "gradient"
    gf.verify(x.graph)


@pytest.mark.parametrize("facet", ["gradient", "decomposition"])
def test_gradients_inside_loops_and_branches(facet: str) -> None:
    """gf functions in a gradient or an expansion build where the gradient is being built."""
    op = declared()
    getattr(op, facet)(swish_gradient if facet == "gradient" else swish_expansion)
    x = gf.placeholder("x", (3,))
    plain = op(op(op(x)))
    looped = gf.fori_loop(0, 3, lambda i, c: gf.cond(gf.sum(c) > -1e9, op, gf.square, c), x)
    slopes = [gf.gradients(y, [x])[0] for y in (plain, looped)]
    with gf.Session(backend="numpy") as sess:
        one, other = sess.run(slopes, {x: [0.5, -1.0, 2.0]})
    np.testing.assert_allclose(one, other, rtol=1e-5)
    gf.verify(x.graph)


def test_an_expansion_runs_in_a_loop_on_jax() -> None:
    op = declared()
    op.decomposition(swish_expansion)
    x = gf.placeholder("x", (3,))
    y = gf.fori_loop(0, 3, lambda i, c: op(c), x)
    feeds = {x: np.array([0.5, -1.0, 2.0], np.float32)}
    wanted = evaluate([y], feeds)[0]
    with gf.Session() as sess:
        np.testing.assert_allclose(sess.run(y, feeds), wanted, rtol=1e-5)


def test_without_a_gradient_the_error_says_how_to_declare_one() -> None:
    x = gf.placeholder("x", (3,))
    with pytest.raises(gf.GradientError, match=r"@swish\.gradient"):
        gf.gradients(declared()(x), [x])


def test_not_differentiable_is_quoted() -> None:
    op = declared()
    op.not_differentiable("it is a lookup")
    x = gf.placeholder("x", (3,))
    with pytest.raises(gf.GradientError, match="it is a lookup"):
        gf.gradients(op(x), [x])


@pytest.mark.parametrize(
    ("vjp", "fault"),
    [
        (lambda b, node, g: [g, g], "2 cotangents for 1 input"),
        (lambda b, node, g: gf.sum(g), r"for input 0, float32\[3\], it gives float32\[\]"),
        (lambda b, node, g: 1.0, "no tensor"),
    ],
)
def test_a_gradient_that_does_not_fit_is_refused(vjp: Callable[..., Any], fault: str) -> None:
    op = declared()
    op.gradient(vjp)
    x = gf.placeholder("x", (3,))
    with pytest.raises(gf.GradientError, match=fault) as caught:
        gf.gradients(op(x), [x])
    assert "swish" in str(caught.value)


def test_an_expansion_that_does_not_fit_is_refused() -> None:
    op = declared()
    op.decomposition(lambda b, node: gf.sum(node.inputs[0]))
    x = gf.placeholder("x", (3,))
    y = op(x)
    with pytest.raises(gf.GraphError, match=r"the expansion of swish gives float32\[\]"):
        gf.gradients(y, [x])
    with pytest.raises(gf.GraphFlowError, match="the expansion of swish"), gf.Session() as sess:
        sess.run(y, {x: np.zeros(3)})


def test_a_broadcasting_operator_of_two_inputs() -> None:
    """Its gradient has the result's shape, and is summed down to each input's."""

    @gf.op(infer="broadcast")
    def blend(x, y, /, share=0.5):
        return x * np.asarray(share, x.dtype) + y * np.asarray(1 - share, x.dtype)

    @blend.gradient
    def _(b, node, g):
        return g * node.attrs.share, g * (1 - node.attrs.share)

    x, y = gf.placeholder("x", ("n", 1)), gf.placeholder("y", (4,), dtype=gf.float64)
    z = blend(x, y, share=0.25)
    assert str(z.type) == "float64[n, 4]" and str(blend(x, 2.0).type) == "float32[n, 1]"
    slopes = gf.gradients(z, [x, y])
    with gf.Session(backend="numpy") as sess:
        found = sess.run(slopes, {x: np.zeros((3, 1))})
    assert found[0].tolist() == [[1.0]] * 3 and found[1].tolist() == [2.25] * 4


def test_a_function_as_inference() -> None:
    @gf.op(infer=lambda types, attrs: gf.TensorType(gf.int32, (*types[0].shape[:-1], attrs["bins"])))
    def histogram_of(x, /, bins):
        rows = [np.histogram(row, bins, (0, 1))[0] for row in x.reshape(-1, x.shape[-1])]
        return np.array(rows, np.int32).reshape(*x.shape[:-1], bins)

    x = gf.placeholder("x", ("n", 5))
    y = histogram_of(x, bins=2)
    assert str(y.type) == "int32[n, 2]"
    with gf.Session(backend="numpy") as sess:
        assert sess.run(y, {x: [[0.1, 0.2, 0.6, 0.7, 0.9]]}).tolist() == [[2, 3]]
    with pytest.raises(gf.AttributeValueError, match="needs the argument 'bins'"):
        histogram_of(x)


def test_several_tensors_as_one_sequence() -> None:
    @gf.op(infer="broadcast")
    def total_of(*xs):
        return sum(xs)

    x = gf.placeholder("x", (2,))
    assert evaluate([total_of(x, x, 1.0)], {x: np.ones(2, np.float32)})[0].tolist() == [3.0, 3.0]


# In the rest of the package


def test_text_verify_and_saved_models(tmp_path: Any) -> None:
    op = declared()
    x = gf.placeholder("x", ("n",))
    y = op(x, beta=3.0)
    text = gf.print_graph(y.graph)
    assert gf.print_graph(gf.parse_graph(text)) == text
    gf.saved_model.save(tmp_path / "model", gf.Session(backend="numpy"), inputs=[x], outputs=[y])
    model = gf.saved_model.load(tmp_path / "model")
    (found,) = model.run({"x": X}, backend="numpy").values()
    np.testing.assert_array_equal(found, expected(X, 3.0))
    op.forget()
    with pytest.raises(gf.GraphFlowError) as caught:
        gf.saved_model.load(tmp_path / "model")
    assert "there is no operator 'swish'" in str(caught.value)
    assert "once its module is imported" in str(caught.value)


def test_optimizer_merges_folds_and_explains() -> None:
    op = declared()
    op.decomposition(swish_expansion)
    x = gf.placeholder("x", (6,))
    y = op(x) + op(x) + op(gf.constant(1.0))
    with gf.Session(backend="numpy") as sess:
        report = sess.explain(y)
        np.testing.assert_allclose(
            sess.run(y, {x: X}), 2 * expected(X, 1.0) + expected(np.float32(1), 1.0), 1e-6
        )
    names = [node.op.name for node in report.optimized.order()]
    assert names.count("swish") == 1


@pytest.mark.parametrize("facet", ["nothing", "decomposition"])
def test_vmap(facet: str) -> None:
    """Batched by its expansion, else step by step, which it says."""

    @gf.op
    def scaled_to_one(x, /):
        return x / np.abs(x).max()

    if facet == "decomposition":
        scaled_to_one.decomposition(lambda b, node: node.inputs[0] / gf.max(gf.abs(node.inputs[0])))
    x = gf.placeholder("x", (2, 3))
    if facet == "nothing":
        with pytest.warns(UserWarning, match="scaled_to_one has no batching rule"):
            y = vmap(scaled_to_one)(x)
    else:
        y = vmap(scaled_to_one)(x)
    value = np.array([[1.0, -2.0, 4.0], [8.0, 0.0, -1.0]], np.float32)
    with gf.Session(backend="numpy") as sess:
        np.testing.assert_allclose(sess.run(y, {x: value}), value / [[4.0], [8.0]])


# Declaring again


def test_the_same_function_may_be_defined_again() -> None:
    """As when a notebook's cell runs twice; graphs that were built with the old one say so."""
    old, new = declared(), declared()
    assert gf.registry["swish"] is new
    x = gf.placeholder("x", (3,))
    assert Builder(x.graph).swish(x).node.op is new
    y = old(x)
    with pytest.raises(gf.VerifyError, match="not registered") as caught:
        gf.verify(y.graph)
    assert "swish was declared anew since: build the graph again" in str(caught.value)


def test_another_module_needs_leave() -> None:
    old = declared()
    foreign = types.FunctionType(swish.__code__, {"np": np}, "swish", swish.__defaults__)
    foreign.__module__ = "elsewhere"
    with pytest.raises(gf.GraphError, match=f"swish of the module {__name__}") as caught:
        gf.op(foreign)
    assert "replace=True" in str(caught.value) and gf.registry["swish"] is old
    new = gf.op(foreign, replace=True)
    assert gf.registry["swish"] is new


@pytest.mark.parametrize("replace", [False, True])
def test_what_graphflow_defines_stays(replace: bool) -> None:
    with pytest.raises(gf.GraphError, match="'exp' exists already, and it is GraphFlow's own"):
        gf.op(swish, name="exp", replace=replace)


def test_to_forget() -> None:
    """The name is free again, but not if another has taken it since."""
    old, new = declared(), declared()
    old.forget()
    assert gf.registry["swish"] is new and hasattr(Builder, "swish")
    new.forget()
    assert "swish" not in gf.registry and not hasattr(Builder, "swish")


def test_a_name_that_the_builder_uses_leaves_nothing_behind() -> None:
    with pytest.raises(gf.AttributeValueError, match="the Builder uses that name"):
        gf.op(swish, name="make")
    assert "make" not in registry


# Wrong declarations


def no_slash(x, factor=1.0):
    return x * factor


def anything(x, /, **attributes):
    return x


def named(x, /, name=""):
    return x


def mixed(x, /, *xs):
    return x


def two(x, y, /):
    return x


@pytest.mark.parametrize(
    ("declare", "fault"),
    [
        (lambda: gf.op(3), "around a Python function"),
        (lambda: gf.op(np.exp), "around a Python function"),
        (lambda: gf.op(lambda x, /: x), "cannot be named '<lambda>'"),
        (lambda: gf.op(no_slash), "put a slash"),
        (lambda: gf.op(anything), "name each attribute"),
        (lambda: gf.op(named), "called name"),
        (lambda: gf.op(mixed), "both single tensors"),
        (lambda: gf.op(two), "nothing says what type"),
        (lambda: gf.op(swish, infer="same_shape"), "no inference 'same_shape'"),
        (lambda: gf.op(swish, infer=3), "which is no function"),
        (lambda: gf.op(swish, traits="effect"), "cannot have the traits"),
        (lambda: gf.op(swish, traits=3), "cannot have the traits"),
        (lambda: gf.op(swish, promotion="up"), "no promotion"),
        (lambda: gf.op(swish, version=0), "version"),
        (lambda: gf.op(swish, callback=np.array([1, 2])), "callback of gf.op"),
        (lambda: gf.op(swish, replace="yes"), "replace of gf.op"),
        (lambda: gf.op(swish, infer=np.array([1, 2])), "which is no function"),
        (lambda: gf.op(swish, name=np.array([1, 2])), "cannot be named"),
        (lambda: gf.op(swish, name="my op"), "cannot be named"),
        (lambda: declared().lowering("JAX"), "no name of a target"),
        (lambda: declared().lowering("jax")(3), "which is no function"),
        (lambda: declared().gradient(None), "which is no function"),
        (lambda: gf.op(infer=lambda types, attrs: 3)(swish)(gf.constant(1.0)), "which is no type"),
    ],
)
def test_wrong_declarations(declare: Callable[[], Any], fault: str) -> None:
    with pytest.raises(gf.AttributeValueError, match=fault):
        declare()


# ONNX


def test_the_onnx_form_goes_both_ways() -> None:
    op = declared()
    assert op.onnx_form is None and gf.registry["exp"].onnx_form is None
    form = op.onnx("Swish", "com.example", 2, attributes={"beta": "alpha"})
    assert op.onnx_form is form and (form.op_type, form.domain, form.since_version) == (
        "Swish",
        "com.example",
        2,
    )
    assert form.written({"beta": 2.0}) == {"alpha": 2.0} and form.written({"beta": None}) == {}
    assert form.given({"alpha": 2.0}) == {"beta": 2.0} and form.given({}) == {}
    with pytest.raises(gf.AttributeValueError, match="no attribute 'gamma'"):
        form.given({"gamma": 1.0})


def test_an_onnx_form_of_functions() -> None:
    op = declared()
    form = op.onnx("Swish", attributes=lambda ours: {"log_beta": np.log(ours["beta"])})
    assert form.written({"beta": 1.0}) == {"log_beta": 0.0}
    with pytest.raises(gf.AttributeValueError, match="written but not read"):
        form.given({"log_beta": 0.0})
    form = op.onnx("Swish", attributes=lambda ours: {}, read=lambda theirs: {"beta": 5.0})
    assert form.given({}) == {"beta": 5.0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"op_type": "My Scale"}, {"op_type": None}, {"domain": "com example"}, {"domain": None},
        {"since_version": 0}, {"since_version": True}, {"attributes": {"gamma": "g"}}, {"attributes": 3},
        {"attributes": {"beta": ""}}, {"read": lambda theirs: theirs},
    ],
)  # fmt: skip
def test_wrong_onnx_forms(wrong: dict[str, Any]) -> None:
    op: OpDef = declared()
    with pytest.raises(gf.AttributeValueError):
        op.onnx(**{"op_type": "Swish", **wrong})
    assert op.onnx_form is None


def test_two_attributes_need_two_onnx_names() -> None:
    @gf.op
    def affine(x, /, scale=1.0, shift=0.0):
        return x * scale + shift

    with pytest.raises(gf.AttributeValueError, match="the same ONNX name"):
        affine.onnx("Affine", attributes={"scale": "shift"})
