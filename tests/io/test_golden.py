"""What every version of GraphFlow that was given out has written can be read by this one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from tests.io import golden_models

VERSIONS = sorted((Path(__file__).parent / "golden").glob("version_*"), key=lambda path: path.name)


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.mark.parametrize("name", ["model", "model.gfm"])
def test_models(golden: Path, name: str) -> None:
    model = gf.saved_model.load(golden / name)
    assert list(model.signatures) == ["serve", "score", "arrays"]
    x = np.array([[1.0, -2.0, 0.5]], np.float32)
    logits = x @ (np.arange(6, dtype=np.float32).reshape(3, 2) / 7)
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(model.run({"x": x}, "numpy")["y"], expected, rtol=1e-6)
    total = model.run({"x": x}, "numpy", signature="score")["total"]
    np.testing.assert_allclose(total, 50 + logits.sum(), rtol=1e-5)
    assert model.calibration == golden_models.CALIBRATION
    assert {name: bytes(content) for name, content in model.exports.items()} == golden_models.EXPORTS


@pytest.mark.parametrize("name", ["model", "model.gfm"])
def test_their_arrays_are_exact(golden: Path, name: str) -> None:
    weights = gf.saved_model.load(golden / name).weights
    expected = golden_models.arrays()
    assert weights.keys() == {"layer/w", *(f"all/{name}" for name in expected)}
    for key, array in expected.items():
        found = weights[f"all/{key}"]
        assert found.dtype == array.dtype and found.shape == array.shape
        assert found.tobytes() == array.tobytes(), key


def test_saving_them_again_changes_at_most_the_producer(golden: Path, tmp_path: Path) -> None:
    gf.saved_model.save(tmp_path / "again", gf.saved_model.load(golden / "model"))
    names = sorted(path.name for path in (golden / "model").iterdir())
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == names
    for name in names:
        old, new = ((folder / name).read_bytes() for folder in (golden / "model", tmp_path / "again"))
        if name == "manifest.json":
            old, new = ({**json.loads(text), "producer": None} for text in (old, new))
        assert old == new, name


def test_checkpoints(golden: Path) -> None:
    sess, data = golden_models.checkpointed(None)
    restored = sess.restore_checkpoint(golden / "checkpoint", data)
    assert sess.step == restored.step == golden_models.STEPS and sess.seed == 7
    assert sess.variables["w"].tobytes() == np.load(golden / "w.npy").tobytes()
    assert sess.variables["adam/step"] == golden_models.STEPS
    order = np.random.default_rng((5, 0)).permutation(golden_models.SIZE)
    assert [rows.tolist() for (rows,) in data] == [data.arrays[0][order[4:]].tolist()]


def test_a_version_that_is_not_known_is_refused_with_the_reason(golden: Path, tmp_path: Path) -> None:
    shutil.copytree(golden, tmp_path / "new")
    for place, field in (("model", "format_version"), ("checkpoint", "version")):
        path = tmp_path / "new" / place / "manifest.json"
        found = json.loads(path.read_text())
        path.write_text(json.dumps({**found, field: 99, "producer": "graphflow 9.9"}))
    with pytest.raises(gf.FileFormatError, match=r"version 99; this GraphFlow reads 1(?s:.*)graphflow 9\.9"):
        gf.saved_model.load(tmp_path / "new" / "model")
    sess, _ = golden_models.checkpointed(None)
    with pytest.raises(gf.FileFormatError, match=r"version 99, not 1(?s:.*)graphflow 9\.9"):
        sess.restore_checkpoint(tmp_path / "new" / "checkpoint")
