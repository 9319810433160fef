"""`precision=`: products in 16 bits at any level and pipeline, named in reports, refused where unclear."""

from __future__ import annotations

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import SessionError


@pytest.fixture
def product() -> tuple:
    x = gf.placeholder("x", ("n", 8))
    w = gf.variable("w", (8, 4), initializer=gf.initializers.glorot_uniform())
    return x, gf.nn.softmax(gf.nn.relu(gf.matmul(x, w)))


def dtypes(report) -> list[str]:
    return [node.outputs[0].dtype.name for node in report.optimized.order() if node.op.name == "matmul"]


@pytest.mark.parametrize("options", [{}, {"level": "O0"}, {"level": "O3"}, {"pipeline": "eliminate"}])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_products_are_narrow_at_every_level(product, options: dict, precision: str) -> None:
    x, y = product
    values = {x: np.linspace(-1, 1, 24).reshape(3, 8)}
    with gf.Session(backend="numpy", precision=precision, **options) as sess:
        report = sess.explain(y)
        assert dtypes(report) == [precision] and y.dtype is gf.float32
        assert report.label.endswith(f" in {precision}") and f"in {precision}" in str(report)
        found = sess.run(y, values)
        wide = gf.Session(backend="numpy")
        wide.variables["w"] = sess.variables["w"]
        assert found.dtype == np.float32
        difference = np.abs(found - wide.run(y, values)).max()
    assert 0 < difference < 0.02


def test_it_is_the_pass_by_another_name(product) -> None:
    x, y = product
    values = {x: np.linspace(-1, 1, 16).reshape(2, 8)}
    by_pass = gf.Session(backend="jax", pipeline="mixed-precision{dtype=bfloat16},eliminate")
    by_name = gf.Session(backend="jax", pipeline="eliminate", precision="bfloat16")
    np.testing.assert_array_equal(by_pass.run(y, values), by_name.run(y, values))


def test_a_dtype_is_a_precision(product) -> None:
    assert dtypes(gf.Session(backend="numpy", precision=gf.bfloat16).explain(product[1])) == ["bfloat16"]
    assert dtypes(gf.Session(backend="numpy", precision=None).explain(product[1])) == ["float32"]


@pytest.mark.parametrize("precision", ["int8", "float32", "", 16, gf.float64, "bfloat"])
def test_other_precisions_are_refused(product, precision: object) -> None:
    with pytest.raises(SessionError, match="the precision is") as caught:
        gf.Session(backend="numpy", precision=precision)
    assert "'bfloat16' or 'float16'" in str(caught.value)


def test_twice_is_refused(product) -> None:
    with pytest.raises(SessionError, match="and there is a precision as well"):
        gf.Session(backend="numpy", precision="float16", pipeline="mixed-precision")


def test_models_have_it_too(product) -> None:
    x, y = product
    model = gf.Model(inputs=[x], outputs={"y": y})
    small = gf.optimize(model, precision="bfloat16")
    assert dtypes(small.report) == ["bfloat16"] and small.report.label == "O2 in bfloat16"
    feeds = {"x": np.ones((2, 8))}
    np.testing.assert_allclose(small.run(feeds, "numpy")["y"], model.run(feeds, "numpy")["y"], atol=0.02)
    with pytest.raises(SessionError, match="the precision is 'int4'"):
        gf.optimize(model, precision="int4")
    wide, narrow = (gf.plan_memory(model, {"n": 64}, precision=one) for one in (None, "bfloat16"))
    assert wide.source is not None and narrow.source is not None
    assert (wide.source.precision, narrow.source.precision) == ("", "bfloat16")
