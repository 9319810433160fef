"""The jax backend's convolutions: laid out and by all algorithms as the reference has them, and measured."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FileFormatError
from graphflow.ops.conv import conv
from graphflow.ops.winograd import transformed_weights
from graphflow.runtime.jax import conv_timer
from graphflow.runtime.jax.backend import JaxBackend
from graphflow.runtime.jax.kernels import library
from graphflow.runtime.jax.lowering import LOWERINGS

_ALL = ["direct", "im2col", "winograd2", "winograd4"]
_UNEVEN = {"strides": (2, 1), "padding": ((1, 0), (0, 1)), "groups": 4}
_GEOMETRIES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], list[str]]] = [
    ((2, 7, 9, 3), (3, 3, 3, 4), {"padding": ((1, 1), (1, 1))}, _ALL),
    ((1, 5, 6, 2), (3, 3, 2, 3), {"padding": ((2, 0), (0, 3))}, ["winograd2", "winograd4"]),
    ((1, 3, 3, 2), (3, 3, 2, 3), {}, ["winograd2", "winograd4"]),
    ((2, 8, 7, 4), (2, 3, 2, 6), {"strides": (2, 3), "dilation": (3, 1), "groups": 2}, ["direct", "im2col"]),
    ((1, 9, 5, 4), (3, 2, 1, 8), _UNEVEN, ["im2col", "shifts"]),
    ((1, 6, 5, 4), (1, 1, 4, 3), {"strides": (2, 2)}, ["direct", "dot", "im2col"]),
    ((2, 5, 4, 6), (1, 1, 2, 9), {"strides": (2, 1), "groups": 3}, ["direct", "dot", "im2col"]),
    ((2, 9, 8, 3), (2, 3, 3, 4), {**_UNEVEN, "groups": 1, "dilation": (2, 1)}, ["im2col"]),
    ((1, 5, 4, 9), (3, 2, 9, 2), {"padding": ((1, 0), (0, 2))}, ["im2col"]),
]  # fmt: skip


@pytest.mark.parametrize(("image", "kernel", "given", "algorithms"), _GEOMETRIES)
def test_every_algorithm_computes_the_convolution(
    image: tuple[int, ...], kernel: tuple[int, ...], given: dict[str, Any], algorithms: list[str]
) -> None:
    rng = np.random.default_rng(5)
    x, w = rng.standard_normal(image, np.float32), rng.standard_normal(kernel, np.float32)
    attrs = {"strides": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 1, **given}
    wide_x, wide_w = x.transpose(0, 3, 1, 2).astype(np.float64), w.transpose(3, 2, 0, 1).astype(np.float64)
    wanted = conv.reference(wide_x, wide_w, **attrs).transpose(0, 2, 3, 1)
    for algorithm in algorithms:
        if algorithm.startswith("winograd"):
            tile = int(algorithm[-1])
            lower = partial(LOWERINGS["winograd_conv"], tile=tile, padding=attrs["padding"])
            made = jax.jit(lower)(x, transformed_weights(w, tile))
        else:
            made = jax.jit(partial(LOWERINGS["channels_last_conv"], algorithm=algorithm, **attrs))(x, w)
        error = np.abs(made - wanted).max() / np.abs(wanted).max()
        assert made.shape == wanted.shape and error < (2e-5 if algorithm == "winograd4" else 2e-6), algorithm


_GROUPED: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any], bool]] = [
    ((1, 8, 5, 6), (12, 2, 1, 1), {"groups": 4}, True),
    ((3, 8, 5, 6), (12, 2, 1, 1), {"groups": 4, "strides": (2, 3)}, True),
    ((2, 6, 9), (6, 2, 1), {"groups": 3}, True),
    ((2, 4, 5, 6), (4, 1, 3, 3), {"groups": 4, "padding": ((1, 1), (1, 1))}, True),
    ((1, 4, 5, 6), (4, 1, 3, 5), {"groups": 4, "padding": ((2, 0), (1, 3))}, True),
    ((1, 4, 3, 1), (4, 1, 3, 3), {"groups": 4, "padding": ((1, 1), (1, 1))}, True),
    ((1, 4, 8, 7), (4, 1, 3, 2), {"groups": 4, "strides": (2, 1), "dilation": (1, 2)}, True),
    ((1, 4, 4, 5, 3), (4, 1, 3, 3, 3), {"groups": 4, "padding": ((1, 1),) * 3}, True),
    ((1, 4, 8, 7), (4, 1, 6, 6), {"groups": 4}, False),
    ((1, 4, 8, 7), (8, 2, 3, 3), {"groups": 2}, False),
    ((1, 4, 3, 3), (4, 2, 1, 1), {"groups": 2, "padding": ((1, 0), (0, 0))}, False),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize(("image", "kernel", "given", "rewritten"), _GROUPED)
def test_groups_with_channels_first(
    image: tuple[int, ...], kernel: tuple[int, ...], given: dict[str, Any], rewritten: bool, dtype: type
) -> None:
    """Products and shifts are what the reference computes; halves and other groups are left to XLA."""
    rng, axes = np.random.default_rng(5), len(image) - 2
    x, w = rng.standard_normal(image).astype(dtype), rng.standard_normal(kernel).astype(dtype)
    attrs = {"strides": (1,) * axes, "padding": ((0, 0),) * axes, "dilation": (1,) * axes, **given}
    wanted = conv.reference(x.astype(np.float64), w.astype(np.float64), **attrs)
    with jax.enable_x64(True):
        lowered = jax.jit(partial(LOWERINGS["conv"], **attrs)).lower(x, w)
        made = np.asarray(lowered.compile()(x, w))
    assert ("stablehlo.convolution" in lowered.as_text()) != (rewritten and dtype != np.float16)
    assert made.dtype == dtype and made.shape == wanted.shape
    error = np.abs(made - wanted).max() / np.abs(wanted).max()
    assert error < {np.float32: 2e-6, np.float64: 1e-14, np.float16: 2e-3}[dtype]


def test_a_row_ends_where_it_ends() -> None:
    """NaN and infinity at the end of a row do not reach the beginning of the next, nor other channels."""
    x = np.ones((1, 3, 4, 5), np.float32)
    x[0, 0, 1, 4], x[0, 1, 2, 0] = np.nan, np.inf
    w = np.full((3, 1, 3, 3), 0.5, np.float32)
    attrs = {"strides": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 3}
    made = np.asarray(LOWERINGS["conv"](x, w, **attrs))
    np.testing.assert_allclose(made, conv.reference(x, w, **attrs), rtol=1e-6)


def test_the_pipelines_lay_convolutions_out_on_the_cpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = JaxBackend()
    monkeypatch.delenv(conv_timer.VARIABLE, raising=False)
    monkeypatch.setattr(jax, "default_backend", lambda: "cpu")
    for why, packed in (("", ",packed=true"), ("llvmlite is not installed", "")):
        monkeypatch.setattr(library, "missing", lambda why=why: why)
        for level, tile in {"O0": None, "O1": None, "O2": 0, "O3": 4}.items():
            pipeline = backend.pipeline(level)
            assert ("layout" in pipeline) == (tile is not None)
            assert tile is None or f"layout{{winograd={tile}{packed}}}" in pipeline
            assert ("pack-weights{lanes=" in pipeline) == (tile is not None and not why)
    monkeypatch.setenv(conv_timer.VARIABLE, "times.json")
    assert "layout{winograd=4,timer=jax}" in backend.pipeline("O3")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "layout" not in backend.pipeline("O3")


def _small_net() -> tuple[Any, Any]:
    x = gf.placeholder("x", (2, 3, 9, 9))
    h = gf.nn.relu(gf.layers.batch_norm(gf.layers.conv(x, 4, 3, use_bias=False)))
    h = h + gf.layers.conv(gf.layers.conv(h, 4, 3, groups=4), 4, 1)
    h = gf.nn.max_pool(h, 3, strides=2, padding=1)
    return x, gf.sum(gf.square(gf.nn.global_avg_pool(h)))


def test_training_is_the_same_at_all_levels() -> None:
    arrays = [np.random.default_rng(step).standard_normal((2, 3, 9, 9), np.float32) for step in range(2)]
    losses: dict[str, list[float]] = {}
    for level in ("O0", "O2"):
        with gf.Graph():
            x, loss = _small_net()
            step = gf.train.SGD(0.1).minimize(loss)
            with gf.Session(level=level) as sess:
                losses[level] = [float(sess.run([loss, step], {x: array})[0]) for array in arrays]
                if level == "O2":
                    report = str(sess.explain([loss, step]))
    np.testing.assert_allclose(losses["O2"], losses["O0"], rtol=1e-5)
    assert "channels_last" in report and "conv_as_shifts" in report and "rounding, sampled" in report


def test_measurements_are_kept_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "times.json"
    monkeypatch.setenv(conv_timer.VARIABLE, str(path))
    measured: list[str] = []
    real = conv_timer._measured

    def counting(node: Any, algorithms: Any) -> Any:
        measured.extend(algorithms)
        return real(node, algorithms)

    monkeypatch.setattr(conv_timer, "_measured", counting)
    for _ in range(2):
        with gf.Graph():
            x = gf.placeholder("x", (1, 4, 6, 6))
            y = gf.nn.conv(x, gf.constant(np.ones((4, 1, 3, 3), np.float32)), groups=4)
            made = gf.Session().run(y, {x: np.ones((1, 4, 6, 6), np.float32)})
            assert (made == 9).all()
    wanted = ["direct", "im2col", "shifts"] if library.missing() else ["packed", "shifts"]
    assert measured == wanted
    held = json.loads(path.read_text())
    (times,) = held["records"].values()
    assert sorted(times) == wanted and min(times.values()) > 0
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": "other"}',
        '{"format": "graphflow-autotune-1", "records": 3}',
        '{"format": "graphflow-autotune-1", "records": {"a": {"direct": NaN}}}',
    ],
)
def test_a_foreign_file_is_refused(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "times.json"
    path.write_text(text)
    monkeypatch.setenv(conv_timer.VARIABLE, str(path))
    with pytest.raises(FileFormatError, match="holds no measurements"):
        conv_timer._read(str(path))
    with pytest.warns(UserWarning, match="holds no measurements") as warned:
        assert _counted_measurements(monkeypatch) == 1
    assert len(warned) == 1 and "in each process" in str(warned[0].message)
    assert path.read_text() == text


def _counted_measurements(monkeypatch: pytest.MonkeyPatch) -> int:
    """How often a convolution is measured that two sessions compile."""
    counts: list[int] = []
    real = conv_timer._measured
    monkeypatch.setattr(conv_timer, "_measured", lambda *given: counts.append(1) or real(*given))
    with gf.Graph():
        x = gf.placeholder("x", (1, 4, 6, 6))
        y = gf.nn.conv(x, np.ones((4, 1, 3, 3), np.float32), groups=4)
        for _ in range(2):
            made = gf.Session().run(y, {x: np.ones((1, 4, 6, 6))})
            np.testing.assert_allclose(made, np.full((1, 4, 4, 4), 9))
    return len(counts)


def test_a_file_that_cannot_be_written_leaves_measurements_in_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(conv_timer.VARIABLE, str(tmp_path / "missing" / "times.json"))
    with pytest.warns(UserWarning, match="measured in each process: .* cannot be written") as warned:
        assert _counted_measurements(monkeypatch) == 1
    assert len(warned) == 1
