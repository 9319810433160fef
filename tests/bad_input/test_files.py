"""Files and folders that are missing, foreign, half-written, corrupt, hostile, or cannot be written."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphflow as gf
from graphflow.errors import AttributeValueError, FileFormatError, GraphError, GraphFlowError, ParseError
from tests.bad_input.refusal import refused

MANIFEST, GRAPH, WEIGHTS = "manifest.json", "graph.gf", "weights.safetensors"


def trained(backend: str) -> tuple[gf.Session, gf.Tensor, gf.Tensor]:
    """A session after one update, and the input and output of its model."""
    x = gf.placeholder("x", ("batch", 3))
    w = gf.variable("w", (3, 2), initializer=gf.initializers.ones())
    y = gf.matmul(x, w, name="y")
    sess = gf.Session(backend=backend)
    sess.run(gf.assign(w, w * 2.0))
    return sess, x, y


def goes_on(sess: gf.Session, x: gf.Tensor, y: gf.Tensor) -> None:
    """Assert that the session has lost nothing."""
    assert sess.step == 1 and sess.run(y, {x: [[1.0, 1.0, 1.0]]}).tolist() == [[6.0, 6.0]]


NOWHERE: dict[str, Callable[[Path], Any]] = {
    "below a file": lambda folder: folder / "file" / "model",
    "a file": lambda folder: folder / "file",
    "below a missing folder": lambda folder: folder / "missing" / "model",
    "a foreign folder": lambda folder: folder / "foreign",
    "a dangling link": lambda folder: folder / "link",
    "no path": lambda folder: None,
    "a number": lambda folder: 3,
    "an empty path": lambda folder: "",
    "the root": lambda folder: "/",
    "a name with a zero byte": lambda folder: "mo\0del",
    "a name that is too long": lambda folder: folder / ("m" * 1000),
}


@pytest.mark.parametrize("case", NOWHERE)
def test_places_where_no_model_can_be_written(tmp_path: Path, case: str) -> None:
    (tmp_path / "file").write_text("precious")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "thesis.txt").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    sess, x, y = trained("numpy")
    before = sorted(os.listdir(tmp_path))
    with refused(FileFormatError):
        gf.saved_model.save(NOWHERE[case](tmp_path), sess, inputs=[x], outputs=[y])
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "file").read_text() == (tmp_path / "foreign" / "thesis.txt").read_text() == "precious"
    goes_on(sess, x, y)


@pytest.mark.parametrize("case", ["below a file", "a file", "no path", "a number", "a name with a zero byte"])
def test_places_where_nothing_can_be_written(tmp_path: Path, case: str) -> None:
    (tmp_path / "file").write_text("precious")
    sess, x, y = trained("numpy")
    place = NOWHERE[case](tmp_path)
    with refused(FileFormatError):
        sess.save_checkpoint(place)
    with refused(FileFormatError):
        gf.train.SummaryWriter(place)
    with refused(FileFormatError):
        gf.viz.render(y, place)
    with refused(FileFormatError):
        sess.profile(y, {x: np.ones((1, 3))}).save(tmp_path / "file" / "trace.json")
    assert (tmp_path / "file").read_text() == "precious" and os.listdir(tmp_path) == ["file"]
    goes_on(sess, x, y)


def test_pictures_that_cannot_be_drawn(tmp_path: Path) -> None:
    _, _, y = trained("numpy")
    for name in ("g.jpeg", "g", "g.svg.zip"):
        with refused(FileFormatError, name, ".svg"):
            gf.viz.render(y, tmp_path / name)
    for wrong in (None, 3, "y", np.zeros(2), [y, None]):
        with refused(GraphFlowError, "drawn"):
            gf.viz.render(wrong, tmp_path / "g.svg")
    with gf.Graph("other"):
        stranger = gf.constant(1.0)
    with refused(GraphError, "'other'"):
        gf.viz.render([y, stranger], tmp_path / "g.svg")
    assert os.listdir(tmp_path) == []


# Loading


def test_folders_that_hold_no_model(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / MANIFEST).write_text('{"format": "another"}')
    sess, _, _ = trained("numpy")
    sess.save_checkpoint(tmp_path / "checkpoint")
    for name in ("file", "empty", "foreign", "missing", "checkpoint"):
        with refused(FileFormatError, name):
            gf.saved_model.load(tmp_path / name)
    for name in ("file", "empty", "foreign", "missing"):
        with refused(FileFormatError, name):
            sess.restore_checkpoint(tmp_path / name)
    for wrong in (None, 3, "", "a\0b", ["model"]):
        with refused(FileFormatError):
            gf.saved_model.load(wrong)
        with refused(FileFormatError):
            sess.restore_checkpoint(wrong)


def vouch(folder: Path) -> None:
    """Let the manifest tell the sizes and digests of what the files hold now, as an attacker would."""
    manifest = json.loads((folder / MANIFEST).read_bytes())
    for name in (GRAPH, WEIGHTS):
        content = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (folder / MANIFEST).write_text(json.dumps(manifest))


def edit(name: str, before: str, after: str) -> Callable[[Path], None]:
    """Replace text in a file, and vouch for the result."""

    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert before in text, text
        (folder / name).write_text(text.replace(before, after))
        vouch(folder)

    return change


class Exploit:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/graphflow-was-exploited",)


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "no manifest": lambda folder: (folder / MANIFEST).unlink(),
    "no graph": lambda folder: (folder / GRAPH).unlink(),
    "no weights": lambda folder: (folder / WEIGHTS).unlink(),
    "an empty manifest": lambda folder: (folder / MANIFEST).write_bytes(b""),
    "half a manifest": lambda folder: os.truncate(folder / MANIFEST, 100),
    "half a graph": lambda folder: os.truncate(folder / GRAPH, 60),
    "half the weights": lambda folder: os.truncate(folder / WEIGHTS, 20),
    "half a graph, vouched for": lambda folder: (os.truncate(folder / GRAPH, 60), vouch(folder)),
    "half the weights, vouched for": lambda folder: (os.truncate(folder / WEIGHTS, 20), vouch(folder)),
    "a file too many": lambda folder: (folder / "extra.py").write_text("import os"),
    "a manifest as deep as a well": lambda folder: (folder / MANIFEST).write_text("[" * 100_000),
    "a manifest of a huge number": lambda folder: (folder / MANIFEST).write_text('{"format": 1' + "0" * 9999),
    "a pickle for weights": lambda folder: (
        (folder / WEIGHTS).write_bytes(pickle.dumps(Exploit())),
        vouch(folder),
    ),
    "weights behind a link": lambda folder: (
        (folder / WEIGHTS).rename(folder.parent / "aside"),
        (folder / WEIGHTS).symlink_to(folder.parent / "aside"),
    ),
    "a folder for weights": lambda folder: ((folder / WEIGHTS).unlink(), (folder / WEIGHTS).mkdir()),
    "a pipe for weights": lambda folder: ((folder / WEIGHTS).unlink(), os.mkfifo(folder / WEIGHTS)),
    "an unknown operator": edit(GRAPH, "= matmul(", "= system("),
    "an operator of tomorrow": edit(GRAPH, "graphflow-text 1", "graphflow-text 99"),
    "a type that lies": edit(GRAPH, "float32[batch, 2]", "float32[batch, 5]"),
    "a variable of another shape": edit(GRAPH, "float32[3, 2]", "float32[2, 3]"),
    "a size beyond memory": edit(GRAPH, "float32[3, 2]", "float32[300000000000, 200000000000]"),
    "an expression for a size": edit(GRAPH, "float32[batch, 3]", "float32[__import__('os').getpid(), 3]"),
    "a size of ten thousand brackets": edit(GRAPH, "[batch, 3]", "[" + "(" * 10_000 + "batch, 3]"),
    "no initializer": edit(GRAPH, "init.value(", "init.exec("),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_or_hostile_model(tmp_path: Path, case: str) -> None:
    sess, x, y = trained("numpy")
    folder = gf.saved_model.save(tmp_path / "model", sess, inputs=[x], outputs=[y])
    DAMAGE[case](folder)
    with refused(FileFormatError, str(folder)):
        gf.saved_model.load(folder)
    assert not os.path.exists("/tmp/graphflow-was-exploited")
    goes_on(sess, x, y)


def test_a_failed_save_leaves_the_old_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sess, x, y = trained("numpy")
    folder = gf.saved_model.save(tmp_path / "model", sess, inputs=[x], outputs=[y])
    w = y.graph.variables["w"]
    sess.run(gf.assign(w, w * 5.0))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with refused(FileFormatError, "No space left", "untouched"):
            gf.saved_model.save(folder, sess, inputs=[x], outputs=[y])
        with refused(FileFormatError, "No space left"):
            sess.save_checkpoint(tmp_path / "checkpoint")
    assert sorted(os.listdir(tmp_path)) in (["model"], ["checkpoint", "model"])
    assert gf.saved_model.load(folder).run({"x": np.ones((1, 3))}, backend="numpy")["y"].tolist() == [
        [6.0, 6.0]
    ]


def test_what_is_wrong_with_a_model_call(tmp_path: Path) -> None:
    sess, x, y = trained("numpy")
    model = gf.Model(inputs=[x], outputs=[y], session=sess)
    cases: list[tuple[Callable[[], Any], type[GraphFlowError]]] = [
        (lambda: model.run({"y": 1.0}, backend="numpy"), gf.FeedError),
        (lambda: model.run({}, backend="numpy"), gf.FeedError),
        (lambda: model.run(None, backend="numpy"), gf.FeedError),
        (lambda: model.run([1.0], backend="numpy"), gf.FeedError),
        (lambda: model.run({3: 1.0}, backend="numpy"), gf.FeedError),
        (lambda: model.run({"x": np.ones((1, 4))}, backend="numpy"), gf.FeedError),
        (lambda: model.run({"x": np.ones((1, 3))}, backend="cuda"), gf.BackendError),
        (lambda: model.run({"x": np.ones((1, 3))}, backend=None), gf.BackendError),
        (lambda: model.run({"x": np.ones((1, 3))}, backend="numpy", level="O9"), gf.SessionError),
        (lambda: model.run({"x": np.ones((1, 3))}, signature="train"), GraphError),
        (lambda: gf.Model(inputs=[x]), GraphError),
        (lambda: gf.Model(outputs=[y]), GraphError),
        (lambda: gf.Model(3, [x], [y]), GraphError),
        (lambda: gf.Model(inputs=x, outputs=3), GraphError),
        (lambda: gf.Model(inputs=[x], outputs=["nope"], graph=y.graph), GraphError),
        (lambda: gf.Model(inputs=[x, x], outputs=[y]), GraphError),
        (lambda: gf.Model(inputs=[x], outputs=[y], session=3), GraphError),
        (lambda: gf.Model(inputs=[x], outputs=[y], weights={}), GraphError),
        (lambda: gf.Model(inputs=[x], outputs=[y], weights=[1]), GraphError),
        (lambda: gf.Model(inputs=[x], outputs=[y], weights={"w": np.zeros(3)}), GraphFlowError),
        (lambda: gf.Model(signatures={"a": 3}), GraphError),
        (lambda: gf.saved_model.save(tmp_path / "m", 3), FileFormatError),
        (lambda: gf.saved_model.save(tmp_path / "m", model, inputs=[x]), FileFormatError),
        (lambda: gf.optimize(3), GraphError),
        (lambda: gf.optimize(model, "O9"), gf.SessionError),
        (lambda: gf.plan_memory(model), gf.SessionError),
        (lambda: gf.plan_memory(model, {"batch": -1}), gf.SessionError),
        (lambda: gf.plan_memory(model, {"bach": 1}), gf.SessionError),
        (lambda: gf.plan_memory(y), GraphError),
        (lambda: gf.to_networkx(3), AttributeValueError),
    ]
    for act, kind in cases:
        with pytest.raises(kind) as caught:
            act()
        assert "test_files.py:" in str(caught.value) and "try: " in str(caught.value), str(caught.value)
    assert os.listdir(tmp_path) == []


# Text


@given(st.text() | st.text('graphflow-tx1 "{}%:=()[]@n,#\n'))
def test_garbage_is_no_graph(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        gf.parse_graph(text)
    assert "try: " in str(caught.value) or "line " in str(caught.value)


@pytest.mark.parametrize("text", [None, 3, b"graphflow-text 1", ["graphflow-text 1"], np.zeros(2), object()])
def test_what_is_no_text(text: Any) -> None:
    with refused(ParseError, "text"):
        gf.parse_graph(text)


def test_what_is_no_graph() -> None:
    for wrong in (None, 3, "graph", gf.constant(1.0)):
        with refused(GraphError, "is no graph"):
            gf.print_graph(wrong)
        with refused(GraphError, "is no graph"):
            gf.verify(wrong)
