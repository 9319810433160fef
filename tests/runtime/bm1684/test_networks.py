"""Whole networks: compiled, simulated, and run on the vendor's simulator and through the vendor's runtime.

In our simulator their outputs are those of the backend numpy. With GRAPHFLOW_BM1684_CMODEL set, the same
files run on the vendor's functional simulator, whose memory is full of NaN where nothing was written, and in
its runtime, whose two engines are threads. Those two give the same bits; ours adds in another order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from benchmarks.networks import NETWORKS
from graphflow.deploy import Compiled
from tests.runtime.bm1684 import vendor, vendor_network, vendor_runtime

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("digits_cnn", {"batch": 1}),
    "four digits": ("digits_cnn", {"batch": 4}),
    "resnet50": ("resnet50", {"image": 64, "width": 16, "blocks": (1, 1, 1, 1)}),
    "mobilenet_v2": ("mobilenet_v2", {"image": 64, "width": 0.5}),
    "unet": ("unet", {"image": 16, "width": 4, "depth": 2}),
    "yolov5s": ("yolov5s", {"image": 64, "width": 8}),
    "vit_block": ("vit_block", {"length": 33, "features": 64, "heads": 2}),
    "bert": ("bert", {"length": 8, "vocabulary": 32, "features": 16, "heads": 2, "layers": 2}),
    "gpt2": ("gpt2", {"length": 8, "vocabulary": 32, "features": 16, "heads": 2, "layers": 2}),
    "lstm": ("lstm", {"batch": 2, "length": 4, "vocabulary": 8, "units": 8}),
}
"""Small networks; those that read tokens begin behind their embedding, which is for the host."""

CLOSE = 3e-5
"""The largest difference from numpy, as a share of the largest output."""

needs_vendor = pytest.mark.skipif(
    not (vendor.LIBRARY and vendor_runtime.available()), reason="GRAPHFLOW_BM1684_CMODEL names no library"
)


def compiled(case: str) -> tuple[gf.Model, Compiled, dict[str, np.ndarray]]:
    """A network, its file, and inputs by name."""
    name, sizes = CASES[case]
    net = NETWORKS[name](**{"batch": 1, **sizes}, weights="constant")
    (given,) = net.inputs
    if not given.dtype.is_floating:
        given = next(node.output for node in net.graph.nodes if node.op.name == "take")
    outputs = {f"y{index}": tensor for index, tensor in enumerate(net.outputs)}
    model = gf.Model(inputs={"x": given}, outputs=outputs)
    feeds = {"x": np.random.default_rng(0).standard_normal([int(size) for size in given.shape], np.float32)}
    return model, gf.compile(model), feeds


def wanted(model: gf.Model, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return list(model.run(feeds, backend="numpy").values())


def apart(made: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """The largest difference beside the largest output; NaN if there is one."""
    assert [one.shape for one in made] == [one.shape for one in expected]
    return float(max(np.abs(one - two).max() / np.abs(two).max() for one, two in zip(made, expected)))


@pytest.mark.parametrize("case", CASES)
def test_simulated_networks_compute_what_numpy_does(case: str) -> None:
    model, made, feeds = compiled(case)
    outputs = list(made.simulate(feeds).values())
    assert apart(outputs, wanted(model, feeds)) < CLOSE
    assert made.memory.moved[0] >= made.memory.compulsory[0]


@pytest.mark.slow
@needs_vendor
@pytest.mark.parametrize("case", CASES)
def test_networks_on_the_vendor_s_simulator_and_runtime(case: str, tmp_path: Path) -> None:
    model, made, feeds = compiled(case)
    made.save(tmp_path / "net.bmodel")
    theirs = list(vendor_network.run(tmp_path / "net.bmodel", feeds).values())
    assert apart(theirs, wanted(model, feeds)) < CLOSE
    assert apart(list(made.simulate(feeds).values()), theirs) < 1e-5
    stage = made.bmodel.nets[0].stages[0]
    inputs, shapes = [feeds[one.name] for one in stage.inputs], [one.shape for one in stage.outputs]
    ran = vendor_runtime.run(tmp_path / "net.bmodel", made.name, inputs, shapes)
    for one, two in zip(ran, theirs):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
@needs_vendor
def test_what_adds_nothing_up_is_equal_to_the_bit(tmp_path: Path) -> None:
    """Activations, maxima, copies: ours and theirs round every step alike."""
    with gf.Graph("net"):
        x = gf.placeholder("x", (2, 70, 9, 11))
        functions = (
            gf.nn.silu,
            gf.nn.gelu,
            gf.exp,
            gf.tanh,
            gf.nn.sigmoid,
            gf.nn.relu,
            gf.sqrt,
            gf.nn.softplus,
        )
        outputs = {function.__name__: function(x) for function in functions}
        outputs["pool"] = gf.nn.max_pool(x * 3.0 + 0.1, 3, strides=2)
        outputs["turned"] = gf.permute_dims(gf.concat([x, 1.0 / x], axis=3), (0, 3, 1, 2))
        made = gf.compile(gf.Model(inputs=[x], outputs=outputs))
    made.save(tmp_path / "net.bmodel")
    value = 10 * np.random.default_rng(1).normal(size=(2, 70, 9, 11)).astype(np.float32)
    value[0, 0, 0, :6] = 0.0, -0.0, 88.0, -103.0, 1e-30, 1e30
    ours = made.simulate({"x": value})
    theirs = vendor_network.run(tmp_path / "net.bmodel", {"x": value})
    assert [name for name in ours if not np.array_equal(ours[name], theirs[name], equal_nan=True)] == []


def operators(x: gf.Tensor, z: gf.Tensor) -> dict[str, gf.Tensor]:
    """What operators of every family make of images x[2, 5, 6, 7] and rows z[2, 12, 33]."""
    rng = np.random.default_rng(4)
    row, above, both = rng.normal(size=33).astype(np.float32), gf.abs(x) + 0.1, gf.concat([x, x], axis=1)
    heads = gf.reshape(z, (2, 3, 4, 33))

    def weights(*shape: int) -> np.ndarray:
        return rng.normal(size=shape).astype(np.float32)

    made = {
        "layer norm": gf.nn.layer_norm(z, row, row),
        "group norm": gf.nn.group_norm(both, 2, weights(10), weights(10)),
        "rows by rows": gf.matmul(z, gf.permute_dims(z, (0, 2, 1))),
        "rows by weights": gf.matmul(z, weights(33, 70)),
        "attention": gf.nn.attention(heads, heads, heads),
        "chosen": gf.where(gf.greater(x, 0.3), x, x * 2.0),
        "divided": x / above,
        "powers": gf.pow(above, 1.5),
        "broadcast": x * gf.mean(x, axis=(2, 3), keepdims=True) + gf.max(x, axis=1, keepdims=True),
        "padded": gf.pad(x, ((0, 0), (1, 2), (2, 1), (0, 3))),
        "tiled": gf.tile(x, (1, 2, 1, 2)),
        "rolled": gf.roll(x, 2, axis=3),
        "repeated": gf.repeat(x, 2, axis=1),
        "sliced": x[:, 1:4, ::2, 1:-1],
        "taken": gf.take(x, np.array([2, 0, 4]), axis=1),
        "upsampled": gf.nn.upsample(x, 2),
        "interpolated": gf.nn.upsample(x, 2, mode="linear"),
        "means": gf.nn.avg_pool(x, 3, strides=2, padding=1),
        "transposed": gf.nn.conv_transpose(x, weights(5, 4, 3, 3), strides=2),
        "grouped": gf.nn.conv(both, weights(20, 5, 3, 3), groups=2, padding=1),
    }
    for name in ["abs", "cos", "sin", "erf", "expm1", "floor", "ceil", "round", "sign", "square", "trunc"]:
        made[name] = getattr(gf, name)(x)
    for name in ["elu", "hard_swish", "mish", "selu", "softsign"]:
        made[name] = getattr(gf.nn, name)(x)
    for name in ["log", "log1p", "log2", "rsqrt", "reciprocal"]:
        made[name] = getattr(gf, name)(above)
    for function in (gf.sum, gf.mean, gf.max, gf.min, gf.prod):
        for axis in ((2, 3), 1, (0, 1)):
            made[f"{function.__name__} over {axis}"] = function(x, axis=axis)
    for function in (gf.nn.softmax, gf.nn.log_softmax, gf.logsumexp):
        for axis in (1, 3):
            made[f"{function.__name__} over {axis}"] = function(x, axis=axis)
    return made


@pytest.mark.slow
@needs_vendor
def test_operators_of_every_family_on_the_vendor_s_simulator(tmp_path: Path) -> None:
    """Those that no network above has, in one file."""
    x, z = gf.placeholder("x", (2, 5, 6, 7)), gf.placeholder("z", (2, 12, 33))
    net = gf.Model(inputs=[x, z], outputs=operators(x, z))
    made = gf.compile(net)
    made.save(tmp_path / "net.bmodel")
    rng = np.random.default_rng(1)
    feeds = {"x": rng.normal(size=(2, 5, 6, 7)), "z": rng.normal(size=(2, 12, 33))}
    given = {name: array.astype(np.float32) for name, array in feeds.items()}
    expected, theirs = net.run(given, backend="numpy"), vendor_network.run(tmp_path / "net.bmodel", given)
    ours = made.simulate(given)
    assert len(theirs) > 60
    for name, array in expected.items():
        assert apart([theirs[name]], [array]) < 1e-5, name
        assert apart([ours[name]], [theirs[name]]) < 1e-5, name


@pytest.mark.slow
@needs_vendor
def test_no_order_of_the_engines_changes_a_bit_there(tmp_path: Path) -> None:
    _, made, feeds = compiled("mobilenet_v2")
    made.save(tmp_path / "net.bmodel")
    first, *others = [
        vendor_network.run(tmp_path / "net.bmodel", feeds, order)["y0"]
        for order in ("together", "tiu first", "gdma first", "random")
    ]
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.slow
@needs_vendor
def test_stages_several_inputs_and_outputs_in_the_vendor_s_runtime(tmp_path: Path) -> None:
    """The runtime chooses the stage by the shapes that it is given."""
    rng = np.random.default_rng(3)
    with gf.Graph("pair"):
        x, z = gf.placeholder("x", ("batch", 3, 5, 6)), gf.placeholder("z", ("batch", 4, 5, 6))
        h = gf.nn.relu(gf.nn.conv(x, rng.normal(size=(4, 3, 3, 3)).astype(np.float32), padding=1))
        outputs = {"sum": h + z, "mean": gf.mean(h, axis=(2, 3)), "z": z, "h": h}
        model = gf.Model(inputs=[x, z], outputs=outputs)
    made = gf.compile(model, sizes=[{"batch": 1}, {"batch": 3}])
    made.save(tmp_path / "net.bmodel")
    for number, batch in ((1, 3), (0, 1)):
        feeds = {
            "x": rng.normal(size=(batch, 3, 5, 6)).astype(np.float32),
            "z": rng.normal(size=(batch, 4, 5, 6)).astype(np.float32),
        }
        ours = made.simulate(feeds)
        shapes = [info.shape for info in made.bmodel.nets[0].stages[number].outputs]
        ran = vendor_runtime.run(tmp_path / "net.bmodel", "pair", list(feeds.values()), shapes)
        for name, array in zip(outputs, ran):
            np.testing.assert_allclose(array, ours[name], rtol=0, atol=1e-5)
