"""`gf.compile`: what it makes computes what the model does; what it cannot do is refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import (
    AttributeValueError,
    BackendError,
    FeedError,
    FileFormatError,
    GraphError,
    SessionError,
)
from graphflow.runtime.bm1684 import bmodel
from graphflow.runtime.bm1684.simulator import simulate
from tests.deploy.models import assert_as_numpy, convolving, floats, model

# What comes out


@pytest.mark.parametrize("batch", [1, 4, 5])
def test_the_file_computes_what_the_model_does(batch: int, tmp_path: Path) -> None:
    net = convolving()
    made = gf.compile(net, sizes={"batch": batch})
    feeds = {"x0": floats(batch, 3, 12, 12, seed=9)}
    assert_as_numpy(made.simulate(feeds), net, feeds)
    made.save(tmp_path / "net.bmodel")
    read = simulate(bmodel.load(tmp_path / "net.bmodel"), feeds)
    np.testing.assert_array_equal(read["y"], made.simulate(feeds)["y"])
    assert str(made.name) == "net" and "coefficients" in repr(made)


@pytest.mark.parametrize("order", ["tiu first", "gdma first", "random"])
def test_no_order_that_the_ids_allow_changes_a_bit(order: str) -> None:
    made = gf.compile(convolving(2))
    feeds = {"x0": floats(2, 3, 12, 12)}
    np.testing.assert_array_equal(made.simulate(feeds, order)["y"], made.simulate(feeds)["y"])


OUTPUTS: dict[str, Callable[[gf.Tensor], Any]] = {
    "an input and what comes of it": lambda x: {"a": x, "b": gf.exp(x)},
    "an input alone": lambda x: {"a": x},
    "an input reshaped": lambda x: {"a": gf.reshape(x, (3, 2))},
    "a constant beside another": lambda x: {"a": gf.constant(np.full((2, 2), 3, np.float32)), "b": x + 1.0},
    "one tensor twice": lambda x: dict.fromkeys(["a", "b"], x * 2.0),
    "a tensor that others read": lambda x: {
        "b": gf.exp(x * 2.0),
        "a": x * 2.0,
        "c": gf.reshape(x * 2.0, (6,)),
    },
    "one that another one reads": lambda x: (lambda y: {"a": y, "b": gf.exp(y)})(x * 2.0),
    "a scalar": lambda x: {"a": gf.sum(x)},
    "all of it turned": lambda x: {"a": gf.permute_dims(x, (1, 0))},
}


@pytest.mark.parametrize("build", OUTPUTS.values(), ids=OUTPUTS)
def test_outputs_of_every_kind(build: Callable[[gf.Tensor], Any]) -> None:
    net, feeds = model(build, (2, 3)), {"x0": floats(2, 3)}
    assert_as_numpy(gf.compile(net).simulate(feeds), net, feeds)


def test_an_input_that_nothing_reads_is_asked_for() -> None:
    made = gf.compile(model(lambda x, _: x * 2.0, (2, 3), (4,)))
    x = floats(2, 3)
    np.testing.assert_array_equal(made.simulate({"x0": x, "x1": floats(4)})["y"], 2 * x)
    with pytest.raises(FeedError, match="no stage for the inputs x0"):
        made.simulate({"x0": x})


@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3, 2, 2, 2, 3), (600, 1, 2, 2), (1, 1, 1, 40_000)])
def test_shapes_that_the_chip_does_not_have(shape: tuple[int, ...]) -> None:
    net, feeds = model(gf.exp, shape), {"x0": floats(*shape)}
    assert_as_numpy(gf.compile(net).simulate(feeds), net, feeds)


FAR: dict[str, tuple[Callable[[gf.Tensor], Any], tuple[int, ...]]] = {
    "a step of 20": (lambda x: gf.nn.conv(x, floats(4, 3, 20, 20), strides=20), (1, 3, 60, 60)),
    "a step of 20, by channel": (
        lambda x: gf.nn.conv(x, floats(3, 1, 20, 20), strides=20, groups=3),
        (1, 3, 60, 60),
    ),
    "a maximum of 20 x 20": (lambda x: gf.nn.max_pool(x, 20), (1, 4, 60, 65)),
    "a mean of 16 x 16": (lambda x: gf.nn.avg_pool(x, 16), (2, 4, 32, 33)),
    "a mean of all": (lambda x: gf.nn.avg_pool(x, 60), (1, 4, 60, 60)),
    "dilated by 18": (lambda x: gf.nn.conv(x, floats(3, 1, 3, 3), dilation=18, groups=3), (1, 3, 60, 60)),
    "a long image": (lambda x: gf.nn.conv(x, floats(2, 1, 3, 3)), (1, 1, 3, 70_000)),
}


@pytest.mark.parametrize(("build", "shape"), FAR.values(), ids=FAR)
def test_windows_that_do_not_fit_into_a_command(
    build: Callable[[gf.Tensor], Any], shape: tuple[int, ...]
) -> None:
    net, feeds = model(build, shape), {"x0": floats(*shape)}
    assert_as_numpy(gf.compile(net).simulate(feeds), net, feeds)


# Stages


def test_stages_share_their_coefficients(tmp_path: Path) -> None:
    net = convolving()
    one = gf.compile(net, sizes={"batch": 1})
    both = gf.compile(net, sizes=[{"batch": 1}, {"batch": 3}])
    for name, made in (("one", one), ("both", both)):
        made.save(tmp_path / f"{name}.bmodel")
    assert one.memory.coefficients > 90_000
    assert both.memory.coefficients < 1.4 * one.memory.coefficients  # Winograd's way may pay for one of them
    sizes = [(tmp_path / f"{name}.bmodel").stat().st_size for name in ("one", "both")]
    assert sizes[1] - sizes[0] < 0.5 * one.memory.coefficients
    read = bmodel.load(tmp_path / "both.bmodel")
    for batch in (3, 1):
        feeds = {"x0": floats(batch, 3, 12, 12, seed=batch)}
        assert_as_numpy(simulate(read, feeds), net, feeds)
    with pytest.raises(FeedError, match=r"feed x0 float32\[1, 3, 12, 12\] or x0 float32\[3, 3, 12, 12\]"):
        both.simulate({"x0": floats(2, 3, 12, 12)})


def test_time_and_memory_are_told_for_each_stage() -> None:
    made = gf.compile(convolving(), sizes=[{"batch": 1}, {"batch": 8}])
    assert made.cycles.seconds == made.timeline(0).seconds < made.timeline(1).seconds
    memory = made.memory
    assert len(memory.context) == 2
    assert memory.moved[0] >= memory.compulsory[0] >= 4 * 70 * 36 * 10 + 4 * 3 * 144
    assert memory.context[1] >= memory.context_bound[1] >= 8 * 3 * 144 * 4
    assert str(memory).count("DDR traffic") == 2
    with pytest.raises(AttributeValueError, match="no stage 2"):
        made.timeline(2)


# What cannot be compiled

REFUSED: dict[str, tuple[Callable[..., Any], tuple[Any, ...], Any, str]] = {
    "an operator": (gf.sort, (2, 3), gf.float32, r"sort \(sort\)"),
    "a 64-bit dtype": (gf.exp, (2, 3), gf.float64, "exp:0 has dtype float64"),
    "integers": (lambda x: x + 1, (2, 3), gf.int32, "add:0 has dtype int32"),
    "nothing": (gf.exp, (0, 3), gf.float32, "exp:0 is empty"),
    "three spatial axes": (
        lambda x: gf.nn.conv(x, floats(2, 2, 3, 3, 3)),
        (1, 2, 5, 5, 5),
        gf.float32,
        "has 3 spatial axes",
    ),
    "a row for softmax": (gf.nn.softmax, (2, 200_000), gf.float32, "200000 elements together"),
    "steps of 17": (lambda x: gf.nn.max_pool(x, 17), (1, 1, 51, 51), gf.float32, r"\(17, 17\) apart"),
    "windows far apart": (
        lambda x: gf.nn.max_pool(x, 3, 20),
        (1, 1, 51, 51),
        gf.float32,
        r"\(20, 20\) apart",
    ),
    "rows too wide": (
        lambda x: gf.nn.conv(x, floats(4, 600, 3, 3), padding=1),
        (1, 600, 5, 60_000),
        gf.float32,
        "padded rows have 60002 elements",
    ),
}


@pytest.mark.parametrize(("build", "shape", "dtype", "said"), REFUSED.values(), ids=REFUSED)
def test_what_the_chip_cannot_do_is_refused(
    build: Callable[..., Any], shape: tuple[Any, ...], dtype: Any, said: str
) -> None:
    net = model(build, shape, dtype=dtype)
    with pytest.raises(BackendError, match=said) as caught:
        gf.compile(net)
    assert caught.value.hint and caught.value.origin is not None


def test_a_slice_that_is_larger_than_local_memory_is_refused() -> None:
    net = model(lambda x: gf.nn.max_pool(x, (1, 140_000), strides=1), (1, 1, 2, 140_001))
    with pytest.raises(BackendError, match=r"needs \d+ bytes of every lane at once, of 524288") as caught:
        gf.compile(net)
    assert "make its rows shorter" in (caught.value.hint or "")


def test_weights_that_are_computed_are_refused() -> None:
    net = model(gf.nn.conv, (1, 3, 8, 8), (4, 3, 3, 3))
    with pytest.raises(BackendError, match="its weights are computed"):
        gf.compile(net)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (None, "the sizes batch are not known"),
        ({}, "the sizes batch are not known"),
        ({"batch": 2, "time": 1}, "no size 'time'"),
        ({"batch": 0}, "'batch' is 0"),
        ({"batch": -1}, "'batch' is -1"),
        ({"batch": "a"}, "'batch' is 'a'"),
        ({"batch": 2.5}, r"'batch' is 2\.5"),
        ({"batch": True}, "'batch' is True"),
        ([], r"the sizes are \[\]"),
        (5, "the sizes are 5"),
        ([{"batch": 1}, 2], "the sizes are"),
        ([{"batch": 1}, {"batch": 1}], "given twice"),
    ],
)
def test_strange_sizes_are_refused(sizes: Any, said: str) -> None:
    net = model(gf.exp, ("batch", 3))
    for function in (gf.compile, gf.preflight):
        with pytest.raises(AttributeValueError, match=said):
            function(net, sizes=sizes)


def test_sizes_may_be_of_numpy() -> None:
    made = gf.compile(model(gf.exp, ("batch", 3)), sizes={"batch": np.int64(2)})
    assert made.simulate({"x0": np.zeros((2, 3), np.float32)})["y"].shape == (2, 3)


def test_other_arguments_are_checked() -> None:
    net = model(gf.exp, (2, 3))
    for given, error, said in (
        ({"target": "bm1688"}, AttributeValueError, "no target 'bm1688'"),
        ({"target": None}, AttributeValueError, "no target None"),
        ({"level": "O9"}, SessionError, "no optimization level 'O9'"),
        ({"signature": "other"}, GraphError, "no signature 'other'"),
    ):
        for function in (gf.compile, gf.preflight):
            with pytest.raises(error, match=said):
                function(net, **given)
    with pytest.raises(AttributeValueError, match=r"'net\.onnx' is no model"):
        gf.compile("net.onnx")


@pytest.mark.parametrize("quantization", ["int8", False, {"method": "kl"}])
def test_a_quantization_is_refused(quantization: Any) -> None:
    net = model(gf.exp, (2, 3))
    with pytest.raises(AttributeValueError, match="only fp32 is compiled") as caught:
        gf.compile(net, "bm1684", quantization)
    assert "leave quantization out" in (caught.value.hint or "")
    assert gf.compile(net, target="bm1684", quantization=None).report.supported


# What is fed


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"y": np.zeros((2, 3), np.float32)},
        {"x0": np.zeros((3, 2), np.float32)},
        {"x0": np.zeros((2, 3), np.int32)},
        {"x0": np.zeros((2, 3), np.float16)},
        {"x0": "text"},
        {"x0": None},
        {"x0": np.zeros((2, 3), np.float32), "x1": np.zeros(1, np.float32)},
    ],
)
def test_strange_feeds_are_refused(feeds: dict[str, Any]) -> None:
    made = gf.compile(model(gf.exp, (2, 3)))
    with pytest.raises(FeedError, match="no stage for the inputs") as caught:
        made.simulate(feeds)
    assert caught.value.hint == "feed x0 float32[2, 3]"


def test_feeds_may_be_lists_and_doubles_but_no_ragged_ones() -> None:
    made = gf.compile(model(lambda x: x + 1.0, (2, 2)))
    assert made.simulate({"x0": [[1, 2.5], [3, 4]]})["y"].tolist() == [[2, 3.5], [4, 5]]
    with pytest.raises(FeedError, match="'x0' is no array"):
        made.simulate({"x0": [[1], [2, 3]]})
    with pytest.raises(FeedError, match="the feeds are 5"):
        made.simulate(5)
    with pytest.raises(AttributeValueError, match="no order 'fast'"):
        made.simulate({"x0": np.zeros((2, 2))}, "fast")


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    made = gf.compile(model(gf.exp, (2, 3)))
    with pytest.raises(FileFormatError, match="cannot be written"):
        made.save(tmp_path / "none" / "net.bmodel")
