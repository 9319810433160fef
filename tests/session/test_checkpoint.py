"""Checkpoints: every dtype comes back to the bit, and nothing damaged or foreign is let in."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.ir.dtypes import DTYPES


def small() -> gf.Graph:
    with gf.Graph("small") as graph:
        w = gf.variable("layer/w", (2,), initializer=gf.initializers.ones())
        gf.assign(w, w * 2.0)
    return graph


def test_every_dtype_comes_back(backend: str, tmp_path: Path, rng: np.random.Generator) -> None:
    with gf.Graph() as graph:
        for dtype in DTYPES:
            for shape in ((), (3, 2), (0, 4)):
                value = np.asarray(rng.normal(size=shape) * 50).astype(dtype.numpy)
                gf.variable(f"{dtype}_{len(shape)}_{value.size}", initializer=value)
        gf.variable("awkward", initializer=np.array([np.nan, np.inf, -np.inf, -0.0, 1e-45], np.float32))
    with gf.Session(graph, backend=backend, seed=5) as sess:
        saved = dict(sess.variables)
        sess.save_checkpoint(tmp_path / "deep" / "folder")
    with gf.Session(graph, backend=backend) as sess:
        for name in sess.variables:
            sess.variables[name] = np.zeros_like(saved[name])
        sess.restore_checkpoint(tmp_path / "deep" / "folder")
        assert sess.seed == 5 and len(sess.variables) == 3 * len(DTYPES) + 1
        for name, value in sess.variables.items():
            assert value.dtype == saved[name].dtype and value.shape == saved[name].shape
            assert value.tobytes() == saved[name].tobytes()


def test_step_and_seed_go_on_where_they_were(backend: str, tmp_path: Path, counter) -> None:
    drawn = gf.registry["random_uniform"](
        gf.registry["random_key"](gf.ops.declare.builtin(counter.count.graph, "session_key"), "s"), (2,)
    )
    with gf.Session(backend=backend, seed=3) as sess:
        for _ in range(3):
            sess.run(counter.add, {"by": 2})
        sess.save_checkpoint(tmp_path)
        expected = sess.run([drawn, counter.count])
    with gf.Session(counter.count.graph, backend=backend) as sess:
        assert not np.array_equal(sess.run(drawn), expected[0])
        sess.restore_checkpoint(tmp_path)
        assert sess.step == 3 and sess.seed == 3
        np.testing.assert_array_equal(sess.run(drawn), expected[0])
        assert sess.run(counter.count) == expected[1] == 6


def test_saving_again_replaces_and_leaves_no_litter(tmp_path: Path) -> None:
    with gf.Session(small(), backend="numpy") as sess:
        for value in (1.0, 2.0, 2.0):
            sess.variables["layer/w"] = [value, value]
            sess.save_checkpoint(tmp_path)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert len(names) == 2 and names[0] == "manifest.json" and names[1].endswith(".safetensors")
        sess.variables["layer/w"] = [0.0, 0.0]
        sess.restore_checkpoint(str(tmp_path))
        assert sess.variables["layer/w"].tolist() == [2.0, 2.0]


def test_the_data_is_a_plain_safetensors_file(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    with gf.Session(small(), backend="numpy") as sess:
        sess.save_checkpoint(tmp_path)
    (data,) = tmp_path.glob("*.safetensors")
    assert {name: value.tolist() for name, value in load_file(data).items()} == {"layer/w": [1.0, 1.0]}


def test_a_crash_while_writing_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gf.Session(small(), backend="numpy") as sess:
        sess.save_checkpoint(tmp_path)
        original = os.replace
        for good in (0, 1):
            left = iter([original] * good)

            def replace(*arguments: str, left: Iterator[Any] = left) -> None:
                step = next(left, None)
                if step is None:
                    raise OSError(28, "No space left on device")
                step(*arguments)

            monkeypatch.setattr(os, "replace", replace)
            sess.variables["layer/w"] = [7.0, float(good)]
            with pytest.raises(FileFormatError, match="cannot be written: No space left on device"):
                sess.save_checkpoint(tmp_path)
            monkeypatch.setattr(os, "replace", original)
            sess.restore_checkpoint(tmp_path)
            assert sess.variables["layer/w"].tolist() == [1.0, 1.0]
            assert not list(tmp_path.glob(".*"))


def damage(folder: Path, change: str) -> None:
    manifest = folder / "manifest.json"
    (data,) = folder.glob("*.safetensors")
    fields = json.loads(manifest.read_text())
    if change == "flip":
        content = bytearray(data.read_bytes())
        content[-1] ^= 1
        data.write_bytes(content)
    elif change == "cut":
        data.write_bytes(data.read_bytes()[:-1])
    elif change == "gone":
        data.unlink()
    elif change == "no json":
        manifest.write_text("{")
    elif change == "deep json":
        manifest.write_text("[" * 100_000)
    elif change == "no manifest":
        manifest.unlink()
    else:
        exec(change, {"m": fields})
        manifest.write_text(json.dumps(fields))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("flip", "is corrupt: .*SHA-256 differs"),
        ("cut", "is corrupt: .*SHA-256 differs"),
        ("gone", "is corrupt: .* cannot be read"),
        ("no json", "is corrupt: manifest.json is no JSON"),
        ("deep json", "is corrupt: manifest.json is no JSON"),
        ("no manifest", "is no checkpoint: manifest.json cannot be read"),
        ("m['format'] = 'another'", "no manifest of a checkpoint but of 'another'"),
        ("m['version'] = 2", "has format version 2, not 1"),
        ("m['step'] = -1", "is corrupt: its step is -1"),
        ("m['seed'] = 'x'", "is corrupt: its seed is 'x'"),
        ("m['data']['file'] = '../secret'", "is corrupt: its data file is named '../secret'"),
        ("m['data']['file'] = None", "is corrupt: its data file is named None"),
        ("del m['data']", "lacks the fields 'data' and 'variables'"),
        ("m['variables'] = []", "lacks the fields"),
        ("m['variables'] = {}", "is corrupt: .* has .'layer/w'. too many"),
        ("m['variables']['layer/w']['dtype'] = 'float64'", "is corrupt: .* as 'F32'.* manifest says float64"),
        ("m['variables']['layer/w']['dtype'] = 'complex64'", "is corrupt: .* manifest says complex64"),
        ("m['variables']['layer/w'] = 3", "is corrupt"),
    ],
)
def test_damage_is_found_and_changes_nothing(tmp_path: Path, change: str, message: str) -> None:
    with gf.Session(small(), backend="numpy") as sess:
        sess.save_checkpoint(tmp_path)
        sess.variables["layer/w"] = [8.0, 9.0]
        damage(tmp_path, change)
        with pytest.raises(FileFormatError, match=message):
            sess.restore_checkpoint(tmp_path)
        assert sess.variables["layer/w"].tolist() == [8.0, 9.0] and sess.step == 0


def test_a_checkpoint_of_another_graph_is_refused(tmp_path: Path) -> None:
    with gf.Session(small(), backend="numpy") as sess:
        sess.save_checkpoint(tmp_path)
    with gf.Graph() as other:
        gf.variable("layer/w", (3,))
    with (
        gf.Session(other, backend="numpy") as sess,
        pytest.raises(
            FileFormatError, match=r"has float32\[2\] for the variable 'layer/w', which is float32\[3\]"
        ),
    ):
        sess.restore_checkpoint(tmp_path)
    with gf.Graph() as other:
        gf.variable("layer/v", (2,))
    wrong = pytest.raises(FileFormatError, match="lacks 'layer/v' and has 'layer/w' too many")
    with gf.Session(other, backend="numpy") as sess, wrong:
        sess.restore_checkpoint(tmp_path)


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with gf.Session(small(), backend="numpy") as sess:
        (tmp_path / "file").write_text("x")
        with pytest.raises(FileFormatError, match="cannot be written"):
            sess.save_checkpoint(tmp_path / "file")
        (tmp_path / "manifest.json").write_text('{"format": "graphflow-model"}')
        with pytest.raises(GraphFlowError, match="but of 'graphflow-model'"):
            sess.save_checkpoint(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "manifest.json"]
        with pytest.raises(FileFormatError, match="is no checkpoint"):
            sess.restore_checkpoint(tmp_path / "missing")


def test_complex_infinities_and_signs_survive(tmp_path: Path) -> None:
    values = np.array([complex(np.inf, -0.0), complex(1.0, np.inf), complex(np.nan, -np.inf)], np.complex64)
    v = gf.variable("v", initializer=gf.initializers.value(values))
    with gf.Session(backend="numpy") as sess:
        sess.run(gf.identity(v))
        sess.save_checkpoint(tmp_path / "saved")
        sess.variables["v"] = np.zeros(3, np.complex64)
        sess.restore_checkpoint(tmp_path / "saved")
        assert sess.variables["v"].tobytes() == values.tobytes()
