"""`graphflow run`: the right answers, files in and out, and inputs that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from tests.cli.conftest import Answer

Call = Callable[..., Answer]

X = np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 1e3], [np.nan, 0.0, -np.inf]], np.float32)


def expected(x: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        return np.exp(x @ (np.arange(6, dtype=np.float32).reshape(3, 2) / 10))


@pytest.fixture
def fed(tmp_path: Path) -> Path:
    """A folder with inputs, whole and broken."""
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", x=X)
    np.savez(tmp_path / "more.npz", x=X[:1], other=np.zeros(2))
    np.save(tmp_path / "wide.npy", np.zeros((2, 4), np.float32))
    np.save(tmp_path / "none.npy", np.zeros((0, 3), np.float32))
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "junk.npy").write_text("hello")
    (tmp_path / "empty.npy").write_bytes(b"")
    (tmp_path / "zip.npz").write_bytes(b"PK\x03\x04 and nothing else")
    (tmp_path / "cut.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-1])
    (tmp_path / "cut.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:-9])
    return tmp_path


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("feed", ["x={}/x.npy", "x={}/x.npz", "{}/x.npz"])
def test_it_computes(call: Call, model: Path, fed: Path, backend: str, feed: str) -> None:
    target = fed / "answers.npz"
    answer = call("run", model, "--feed", feed.format(fed), "--backend", backend, "-o", target)
    assert answer == (0, f"wrote {target}\n", "")
    with np.load(target, allow_pickle=False) as answers:
        assert answers.files == ["head/y"]
        np.testing.assert_allclose(answers["head/y"], expected(X), rtol=1e-6)


def test_it_prints_without_an_output_file(call: Call, model: Path, fed: Path) -> None:
    status, out, _ = call("run", model, "--feed", f"x={fed}/none.npy", "--backend", "numpy")
    assert (status, out) == (0, "head/y: float32[0, 2]\n[]\n")


def test_a_single_output_fits_a_npy_file(call: Call, model: Path, fed: Path) -> None:
    assert call("run", model, "--feed", f"x={fed}/more.npz", "-o", fed / "y.npy").status == 0
    np.testing.assert_allclose(np.load(fed / "y.npy"), expected(X[:1]), rtol=1e-6)


@pytest.mark.parametrize(
    ("feeds", "said", "hint"),
    [
        ([], "the model's input 'x' is not fed", "it takes x float32[batch, 3]"),
        (["y={}/x.npy"], "the model has no input 'y'", "it takes x float32[batch, 3]"),
        (["{}/x.npy"], "does not say which input it is", "--feed NAME="),
        (["{}/more.npz"], "the model has no input 'other'", "it takes x"),
        (["other={}/x.npz"], "has no array 'other'", "it has 'x'"),
        (["x={}/x.npy", "{}/x.npz"], "the input 'x' is fed twice", "once"),
        (["x="], "--feed x= is not NAME=FILE", "--feed image="),
        (["={}/x.npy"], "is not NAME=FILE", "--feed image="),
        (["x={}/wide.npy"], "axis 1 must be 3", "shape [batch, 3]"),
        (["x={}/gone.npy"], "gone.npy' cannot be read: No such file", "npy"),
        (["x={}"], "cannot be read: Is a directory", "npy"),
        (["x={}/objects.npy"], "it holds Python objects", "np.save"),
        (["x={}/junk.npy"], "no whole .npy or .npz file", "np.save"),
        (["x={}/empty.npy"], "no whole .npy or .npz file", "np.save"),
        (["x={}/cut.npy"], "no whole .npy or .npz file", "np.save"),
        (["x={}/cut.npz"], "no whole .npy or .npz file", "np.save"),
        (["x={}/zip.npz"], "no whole .npy or .npz file", "np.save"),
    ],
)
def test_feeds_that_do_not_fit(
    call: Call, model: Path, fed: Path, feeds: list[str], said: str, hint: str
) -> None:
    options = [part for feed in feeds for part in ("--feed", feed.format(fed))]
    status, out, err = call("run", model, "--backend", "numpy", *options)
    assert (status, out) == (1, "")
    assert said in err and hint in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--backend", "jaxx"], "there is no backend 'jaxx'"),
        (["--signature", "train"], "the model has no signature 'train'"),
        (["-o", "answers.txt"], "ends in neither .npz nor .npy"),
        (["-o", "no/such/folder/y.npz"], "cannot be written"),
    ],
)
def test_other_options_that_do_not_fit(
    call: Call, model: Path, fed: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.chdir(fed)
    before = sorted(fed.iterdir())
    status, _, err = call("run", model, "--feed", "x=x.npy", *options)
    assert status == 1 and said in err and "try: " in err
    assert sorted(fed.iterdir()) == before


def test_outputs_may_have_any_name_and_dtype(call: Call, tmp_path: Path) -> None:
    x = gf.placeholder("x", (2,))
    outputs = {"file": x * 2.0, "allow_pickle": gf.astype(x, gf.bfloat16), "a/b c": x > 1.0}
    path = gf.saved_model.save(tmp_path / "model", gf.Model(inputs=[x], outputs=outputs))
    np.save(tmp_path / "x.npy", np.array([1.0, 1.5], np.float32))
    options = ["--feed", f"x={tmp_path}/x.npy", "--backend", "numpy", "-o", tmp_path / "y.npz"]
    assert call("run", path, *options).status == 0
    with np.load(tmp_path / "y.npz", allow_pickle=False) as answers:
        found = {name: (answers[name].dtype.name, answers[name].tolist()) for name in answers.files}
    assert found == {
        "file": ("float32", [2.0, 3.0]),
        "allow_pickle": ("float32", [1.0, 1.5]),
        "a/b c": ("bool", [False, True]),
    }
    status, _, err = call("run", path, *options[:-1], tmp_path / "y.npy")
    assert status == 1 and "a .npy file holds one array, but there are 3 outputs" in err
