"""Restoring: all or nothing, in part, under other names, with the data's position, on another backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import AttributeValueError, FileFormatError

ROOT = Path(__file__).resolve().parents[2]


def session(*names: str, shape: tuple[int, ...] = (2,), backend: str = "numpy", seed: int = 0) -> gf.Session:
    with gf.Graph() as graph:
        for number, name in enumerate(names):
            gf.variable(name, shape, initializer=gf.initializers.constant(float(number + 1)))
    return gf.Session(graph, backend=backend, seed=seed)


def values(sess: gf.Session) -> dict[str, float]:
    return {name: float(value[0]) for name, value in sess.variables.items()}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    sess = session("body/a", "body/b", "head/a", seed=9)
    sess.variables.step = 5
    sess.save_checkpoint(tmp_path / "saved")
    return tmp_path / "saved"


def test_what_restoring_tells(saved: Path) -> None:
    sess = session("body/a", "body/b", "head/a")
    restored = sess.restore_checkpoint(saved)
    assert restored.step == 5 and restored.variables == ("body/a", "body/b", "head/a")
    assert restored.kept == restored.unused == () and restored.position is None
    assert str(restored) == "step 5: 3 variables restored, 0 kept, 0 of the checkpoint's unused"


def test_in_part(saved: Path) -> None:
    sess = session("body/b", "head/a", "tail")
    restored = sess.restore_checkpoint(saved, partial=True)
    assert values(sess) == {"body/b": 2.0, "head/a": 3.0, "tail": 3.0}
    assert (restored.kept, restored.unused) == (("tail",), ("body/a",))
    assert sess.step == 0 and sess.seed == 0
    other = session("x", "y")
    with pytest.raises(FileFormatError, match="none of the graph's variables, but 'body/a'") as caught:
        other.restore_checkpoint(saved, partial=True)
    assert "rename" in (caught.value.hint or "") and values(other) == {"x": 1.0, "y": 2.0}


@pytest.mark.parametrize(
    ("rename", "expected"),
    [
        ({"body/": "trunk/"}, {"trunk/a": 1.0, "trunk/b": 2.0, "head/a": 3.0}),
        ({"": "old/"}, {"old/body/a": 1.0, "old/body/b": 2.0, "old/head/a": 3.0}),
        ({"body/a": "head/a", "head/a": "body/a"}, {"head/a": 1.0, "body/a": 3.0, "body/b": 2.0}),
        ({"body/": "x/", "body/b": "y"}, {"x/a": 1.0, "y": 2.0, "head/a": 3.0}),
        ({"body/": "x/", "": None}, {"x/a": 1.0, "x/b": 2.0}),
    ],
)
def test_under_other_names(saved: Path, rename: dict[str, Any], expected: dict[str, float]) -> None:
    sess = session(*reversed(expected))
    sess.restore_checkpoint(saved, rename=rename)
    assert values(sess) == expected and sess.step == 5


def test_leaving_out(saved: Path) -> None:
    sess = session("body/a", "head/a", shape=(2,))
    sess.restore_checkpoint(saved, rename={"body/b": None, "head/": None}, partial=True)
    assert values(sess) == {"body/a": 1.0, "head/a": 2.0}
    with pytest.raises(FileFormatError, match="lacks 'head/a'"):
        sess.restore_checkpoint(saved, rename={"body/b": None, "head/": None})


def test_names_that_meet(saved: Path) -> None:
    sess = session("a", "body/b")
    with pytest.raises(FileFormatError, match="both 'body/a' and 'head/a' are to be 'a'"):
        sess.restore_checkpoint(saved, rename={"body/a": "a", "head/a": "a"})
    with pytest.raises(FileFormatError, match="rename is"):
        sess.restore_checkpoint(saved, rename=["body"])
    for odd in ({"body/": 3}, {"body/a": b"a"}, {3: "a"}):
        with pytest.raises(FileFormatError, match="rename is"):
            sess.restore_checkpoint(saved, rename=odd, partial=True)


def test_another_shape_is_refused_also_in_part(saved: Path) -> None:
    sess = session("body/a", shape=(3,))
    with pytest.raises(FileFormatError, match=r"has float32\[2\] for the variable 'body/a'") as caught:
        sess.restore_checkpoint(saved, partial=True)
    assert "rename={'body/a': None}" in (caught.value.hint or "") and values(sess) == {"body/a": 1.0}


class Reader:
    """A source of data whose position is a number."""

    def __init__(self) -> None:
        self.place = 0

    def state(self) -> int:
        return self.place

    def restore(self, state: Any) -> None:
        if not isinstance(state, int):
            raise AttributeValueError("no place", hint="pass a number")
        self.place = state


def test_the_position_of_data(tmp_path: Path) -> None:
    sess, reader = session("a"), Reader()
    reader.place = 7
    sess.save_checkpoint(tmp_path / "with", reader)
    sess.save_checkpoint(tmp_path / "without")
    other = Reader()
    assert sess.restore_checkpoint(tmp_path / "with", other).position == 7 and other.place == 7
    assert sess.restore_checkpoint(tmp_path / "with").position == 7
    with pytest.raises(FileFormatError, match="has no position of the data"):
        sess.restore_checkpoint(tmp_path / "without", other)
    reader.place = {"a": (1, 2)}
    with pytest.raises(FileFormatError, match="is no JSON"):
        sess.save_checkpoint(tmp_path / "with", reader)
    sess.restore_checkpoint(tmp_path / "with", other)
    assert sorted(path.suffix for path in (tmp_path / "with").iterdir()) == [".json", ".safetensors"]


def test_a_position_that_is_refused_changes_nothing(tmp_path: Path) -> None:
    sess = session("a")
    sess.save_checkpoint(tmp_path, gf.data.Batches([np.arange(6)], 2))
    sess.variables["a"] = [5.0, 5.0]
    with pytest.raises(AttributeValueError, match="other batches, whose size is 2, not 3"):
        sess.restore_checkpoint(tmp_path, gf.data.Batches([np.arange(6)], 3))
    assert values(sess) == {"a": 5.0}


def test_variables_that_are_refused_leave_the_data_where_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sess, reader = session("a"), Reader()
    sess.save_checkpoint(tmp_path, reader)
    reader.place = 3

    def full(values: Any) -> None:
        raise MemoryError("out of memory")

    monkeypatch.setattr(sess.variables, "update", full)
    with pytest.raises(MemoryError):
        sess.restore_checkpoint(tmp_path, reader)
    assert reader.place == 3


def trained(backend: str, steps: int, folder: Path | None, restore: Path | None = None) -> dict[str, Any]:
    """The variables after so many steps of Adam with dropout on shuffled batches."""
    with gf.Graph():
        x = gf.placeholder("x", (None, 4))
        hidden = gf.layers.dropout(gf.layers.dense(x, 8, activation=gf.nn.relu), 0.5)
        train = gf.train.Adam(0.01).minimize(gf.mean(gf.layers.dense(hidden, 1) ** 2))
        sess = gf.Session(backend=backend, seed=3)
    rows = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    data = gf.data.Batches([rows], 5, seed=1)
    with sess:
        if restore is not None:
            sess.restore_checkpoint(restore, data)
        while sess.step < steps:
            for (batch,) in data:
                sess.run(train, {x: batch})
                if sess.step == steps:
                    break
        if folder is not None:
            sess.save_checkpoint(folder, data)
        return dict(sess.variables)


@pytest.mark.parametrize("at", [1, 3, 4])
def test_going_on_gives_the_same_bits(tmp_path: Path, at: int) -> None:
    """In the middle of an epoch of three batches, at its end, and in the next."""
    expected = trained("numpy", 7, None)
    trained("numpy", at, tmp_path)
    found = trained("numpy", 7, None, restore=tmp_path)
    assert {name: value.tobytes() for name, value in found.items()} == {
        name: value.tobytes() for name, value in expected.items()
    }


def test_on_another_backend(tmp_path: Path) -> None:
    expected = trained("numpy", 5, None)
    trained("jax", 3, tmp_path / "jax")
    found = trained("numpy", 5, tmp_path / "numpy", restore=tmp_path / "jax")
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-6)
    after = trained("jax", 5, None, restore=tmp_path / "numpy")
    assert {name: value.tobytes() for name, value in after.items()} == {
        name: value.tobytes() for name, value in found.items()
    }


ON_TWO = """
import sys, jax, graphflow as gf
with gf.Graph() as graph:
    gf.variable("a", (4,)), gf.variable("b", (2, 2), dtype=gf.bfloat16)
with gf.Session(graph) as sess:
    sess.restore_checkpoint(sys.argv[1])
    sess.variables["a"] = sess.variables["a"] * 2
    sess.save_checkpoint(sys.argv[1])
print(jax.device_count())
"""


def test_on_another_number_of_devices(tmp_path: Path) -> None:
    with gf.Graph() as graph:
        gf.variable("a", (4,), initializer=np.arange(4, dtype=np.float32))
        b = gf.variable("b", (2, 2), dtype=gf.bfloat16, initializer=gf.initializers.ones())
    with gf.Session(graph) as sess:
        sess.save_checkpoint(tmp_path)
        environment = {
            **os.environ,
            "JAX_NUM_CPU_DEVICES": "2",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": str(ROOT),
        }
        command = [sys.executable, "-c", ON_TWO, str(tmp_path)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == "2", done.stderr
        sess.restore_checkpoint(tmp_path)
        assert sess.variables["a"].tolist() == [0.0, 2.0, 4.0, 6.0] and (sess.variables[b] == 1).all()
