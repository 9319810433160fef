"""Saved models: the same bytes again, a failure leaves the old one whole, and nothing hostile gets in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

import graphflow as gf
from graphflow import files as files_module
from graphflow.errors import FileFormatError, GraphError, GraphFlowError
from graphflow.files import Content, atomic_write
from graphflow.ir.dims import Dim
from graphflow.ir.dtypes import DTYPES, as_dtype
from graphflow.ir.graph import Graph
from graphflow.ir.opdef import registry
from graphflow.model import Model
from graphflow.ops import initializers
from graphflow.ops.declare import constant, placeholder, training, variable
from graphflow.session.array_file import pack_arrays, unpack
from graphflow.session.session import Session

NAMES = ["graph.gf", "manifest.json", "weights.safetensors"]
add, multiply = registry["add"], registry["multiply"]


def build() -> tuple[Graph, object, object]:
    with Graph("small") as g:
        x = placeholder("x", (Dim("batch", 1, 99), 3))
        w = variable("layer/w", (3,), initializers.uniform(-1.0, 1.0))
        table = constant(np.linspace(0, 1, 99, dtype=np.float32).reshape(33, 3), name="table")
        y = add(multiply(x, w), registry["sum"](table, axis=0), name="y")
        placeholder("unused", ())
    return g, x, y


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    g, x, y = build()
    with Session(g, backend="numpy", seed=3) as sess:
        return gf.saved_model.save(tmp_path / "model", sess, inputs=[x], outputs=[y])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def vouch(folder: Path, edit: Callable[[dict], None] | None = None) -> None:
    """Let the manifest tell the truth about changed files, as an attacker would."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for name in ("graph.gf", "weights.safetensors"):
        data = (folder / name).read_bytes()
        manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    if edit is not None:
        edit(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def refused(folder: Path) -> str:
    with pytest.raises(FileFormatError) as caught:
        gf.saved_model.load(folder)
    assert caught.value.hint and str(folder) in caught.value.message
    return caught.value.message


# What is kept


def test_loading_gives_the_same_values(tmp_path: Path, rng: np.random.Generator) -> None:
    g, x, y = build()
    feed = rng.normal(size=(5, 3)).astype(np.float32)
    with Session(g, backend="numpy", seed=3) as sess:
        expected = sess.run(y, {x: feed})
        gf.saved_model.save(str(tmp_path / "m"), sess, inputs=[x], outputs=[y])
    model = gf.saved_model.load(str(tmp_path / "m"))
    assert list(model.inputs) == ["x"] and list(model.outputs) == ["y"]
    answer = model.run({"x": feed}, backend="numpy")
    assert answer["y"].tobytes() == expected.tobytes()
    np.testing.assert_allclose(model.run({"x": feed})["y"], expected, rtol=1e-6)
    assert model.inputs["x"].shape[0].symbol.max == 99
    assert "unused" not in [node.name for node in model.graph.nodes]


def test_saving_what_was_loaded_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    first = contents(folder)
    assert sorted(first) == NAMES
    gf.saved_model.save(tmp_path / "again", gf.saved_model.load(folder))
    assert contents(tmp_path / "again") == first
    gf.saved_model.save(folder, gf.saved_model.load(folder))
    assert contents(folder) == first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again", "model"]


def test_nothing_tells_where_it_was_made(folder: Path) -> None:
    for content in contents(folder).values():
        assert os.path.dirname(__file__).encode() not in content
    assert b'@ "test_saved_model.py":' in (folder / "graph.gf").read_bytes()


def test_every_dtype_of_weights_is_exact(tmp_path: Path) -> None:
    awkward = np.array([0.0, -0.0, 1 / 3, np.nan, np.inf, -np.inf])
    with Graph() as g, np.errstate(all="ignore"):
        for dtype in DTYPES:
            values = awkward if dtype.is_differentiable else np.array([0, 1, 1, 0, 1, 0])
            array = values.astype(dtype.numpy)
            if dtype.kind == "complex":
                array = array + np.array(1j, array.dtype) * np.array(
                    [1, 2, 3, np.inf, -1, -np.inf], array.dtype
                )
            variable(f"v/{dtype}", initializer=np.stack([array, array[::-1]], axis=-1))
        variable("scalar", (), initializers.constant(2.5))
        variable("empty", (0, 3))
    outputs = list(g.variables.values())
    model = Model(g, outputs=outputs)
    gf.saved_model.save(tmp_path / "m", model)
    back = gf.saved_model.load(tmp_path / "m").weights
    assert list(back) == list(model.weights)
    for name, array in model.weights.items():
        assert back[name].dtype == array.dtype and back[name].shape == array.shape
        assert back[name].tobytes() == array.tobytes(), name
        assert not back[name].flags.writeable


def test_strided_arrays_are_not_scrambled() -> None:
    """The library stores the memory of strided arrays as it lies; ours makes it contiguous before."""
    for dtype in (np.float32, ml_dtypes.bfloat16, np.complex64):
        base = np.arange(24).astype(dtype).reshape(4, 6)
        arrays = {"t": base.T, "s": base[::2, ::-3], "f": np.asfortranarray(base)}
        types = {name: (as_dtype(array.dtype), array.shape) for name, array in arrays.items()}
        content = b"".join(pack_arrays(arrays))
        back = unpack(Content(content, 0, len(content)), types, "test")
        for name, array in arrays.items():
            np.testing.assert_array_equal(back[name], array)


def test_several_signatures(tmp_path: Path) -> None:
    with Graph() as g:
        x, z = placeholder("x", (2,)), placeholder("z", (2,))
        w = variable("w", (2,), initializers.constant(2.0))
        y = multiply(x, w)
        both = add(y, z)
    with Session(g, backend="numpy") as sess:
        gf.saved_model.save(
            tmp_path / "m", sess, [x], {"y": y}, signatures={"sum": ([z, x], {"total": both})}
        )
    model = gf.saved_model.load(tmp_path / "m")
    assert list(model.signatures) == ["serve", "sum"] and list(model.signatures["sum"].inputs) == ["z", "x"]
    feeds = {"x": [1.0, 2.0], "z": [3.0, 4.0]}
    assert model.run(feeds, "numpy", signature="sum")["total"].tolist() == [5.0, 8.0]
    assert model.run({"x": [1.0, 2.0]}, "numpy")["y"].tolist() == [2.0, 4.0]
    first = contents(tmp_path / "m")
    gf.saved_model.save(tmp_path / "m", model)
    assert contents(tmp_path / "m") == first


def test_the_training_flag_and_odd_names(tmp_path: Path) -> None:
    with Graph("odd \ud800 name") as g:
        x = placeholder("x", (2,))
        y = registry["where"](training(), x, multiply(x, 2.0), name="weird,[name]")
    gf.saved_model.save(tmp_path / "m", Model(g, {"größe": x}, {"y \ud800": y}))
    model = gf.saved_model.load(tmp_path / "m")
    assert model.graph.name == g.name
    assert model.run({"größe": [1.0, 2.0]}, "numpy")["y \ud800"].tolist() == [2.0, 4.0]


# What cannot be saved


def test_arguments_of_save(tmp_path: Path) -> None:
    g, x, y = build()
    with Session(g, backend="numpy") as sess:
        with pytest.raises(GraphError, match="need 'x', which is not among the inputs"):
            gf.saved_model.save(tmp_path / "m", sess, inputs=[], outputs=[y])
        with pytest.raises(GraphError, match="needs outputs"):
            gf.saved_model.save(tmp_path / "m", sess, inputs=[x])
        with pytest.raises(FileFormatError, match="list cannot be saved"):
            gf.saved_model.save(tmp_path / "m", [], inputs=[x])
        with pytest.raises(FileFormatError, match="its own inputs"):
            gf.saved_model.save(tmp_path / "m", Model(g, [x], [y]), inputs=x)
        with pytest.raises(FileFormatError, match="cannot name"):
            gf.saved_model.save("/", sess, [x], [y])
    with Graph() as g:
        v = variable("__metadata__", (1,))
    with pytest.raises(FileFormatError, match="rename"):
        gf.saved_model.save(tmp_path / "m", Model(g, outputs=[v]))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_saved_model_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    model = gf.saved_model.load(folder)
    (tmp_path / "file").write_text("precious")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("precious")
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    shutil.copytree(folder, tmp_path / "mixed")
    (tmp_path / "mixed" / "notes.txt").write_text("precious")
    shutil.copytree(folder, tmp_path / "foreign")
    (tmp_path / "foreign" / "manifest.json").write_text('{"format": "another"}')
    before = sorted(tmp_path.rglob("*"))
    for name in ("file", "full", "link", "dangling", "mixed", "foreign"):
        with pytest.raises(FileFormatError, match="not replaced"):
            gf.saved_model.save(tmp_path / name, model)
    assert sorted(tmp_path.rglob("*")) == before
    (tmp_path / "empty").mkdir()
    gf.saved_model.save(tmp_path / "empty", model)
    assert contents(tmp_path / "empty") == contents(folder)


def test_a_place_that_cannot_be_written(folder: Path, tmp_path: Path) -> None:
    model = gf.saved_model.load(folder)
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "no" / "such" / "folder", tmp_path / "file" / "m", tmp_path / ("n" * 300)):
        with pytest.raises(FileFormatError) as caught:
            gf.saved_model.save(place, model)
        assert "cannot be written" in caught.value.message and caught.value.hint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "model"]


@pytest.mark.parametrize("exchange", [True, False])
@pytest.mark.parametrize("step", ["fsync", "mkdir", "rename"])
def test_a_failure_leaves_the_old_model_whole(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, exchange: bool
) -> None:
    before = contents(folder)
    with Graph() as g:
        other = Model(g, outputs=[constant(1.0)])
    if not exchange:
        monkeypatch.setattr(files_module, "_exchange", lambda first, second: False)
    elif step == "rename":
        monkeypatch.setattr(files_module, "_exchange", _full)
    calls = 0
    real = getattr(os, step)

    def failing(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == (1 if step == "mkdir" else 2):
            _full()
        return real(*args)

    monkeypatch.setattr(files_module.os, step, failing)
    with pytest.raises(FileFormatError, match="No space left"):
        gf.saved_model.save(folder, other)
    monkeypatch.undo()
    assert contents(folder) == before and [path.name for path in tmp_path.iterdir()] == ["model"]
    gf.saved_model.save(folder, other)
    assert gf.saved_model.load(folder).run(backend="numpy")["constant"] == 1.0


def _full(*args: object) -> None:
    raise OSError(28, "No space left on device")


def test_replacing_without_an_exchange(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "_exchange", lambda first, second: False)
    before = contents(folder)
    gf.saved_model.save(folder, gf.saved_model.load(folder))
    assert contents(folder) == before and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_atomic_write(tmp_path: Path) -> None:
    place = tmp_path / "file"
    with atomic_write(place) as file:
        file.write(b"old")
    with pytest.raises(RuntimeError), atomic_write(place) as file:
        file.write(b"new")
        raise RuntimeError
    assert place.read_bytes() == b"old" and list(tmp_path.iterdir()) == [place]
    with pytest.raises(FileFormatError, match="cannot be written"), atomic_write(tmp_path / "a" / "b"):
        pass


# What is not loaded


def test_a_folder_that_is_not_whole(folder: Path, tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "nothing")
    for name in NAMES:
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        assert f"lacks {name}" in refused(folder)
        (folder / name).mkdir()
        assert "no regular file" in refused(folder)
        (folder / name).rmdir()
        (tmp_path / "elsewhere").write_bytes(content)
        (folder / name).symlink_to(tmp_path / "elsewhere")
        assert "symbolic link" in refused(folder)
        (folder / name).unlink()
        os.mkfifo(folder / name)
        assert "no regular file" in refused(folder)
        (folder / name).unlink()
        (folder / name).write_bytes(content)
    (folder / "run.py").write_text("raise SystemExit")
    assert "has 'run.py' too many" in refused(folder)


def test_truncated_and_grown_files(folder: Path) -> None:
    for name in NAMES:
        content = (folder / name).read_bytes()
        for changed in (content[:-1], content[: len(content) // 2], b"", content + b" ", content * 2):
            (folder / name).write_bytes(changed)
            if name == "manifest.json" and changed.strip() == content.strip():
                gf.saved_model.load(folder)  # white space around a JSON document means nothing
            else:
                refused(folder)
        (folder / name).write_bytes(content)
    gf.saved_model.load(folder)


HOSTILE: dict[str, tuple[Callable[[dict], object], str]] = {
    "format": (lambda m: m.update(format="zip"), "no manifest"),
    "version": (lambda m: m.update(format_version=2), "format version 2; this GraphFlow reads 1"),
    "boolean version": (lambda m: m.update(format_version=True), "format version True"),
    "no version": (lambda m: m.pop("format_version"), "format version None"),
    "extra field": (lambda m: m.update(exec="rm"), "has the fields"),
    "traversal": (lambda m: m["files"].update({"../../etc/passwd": {"bytes": 1, "sha256": ""}}), "no paths"),
    "absolute": (lambda m: m["files"].update({"/etc/passwd": {"bytes": 1, "sha256": ""}}), "no paths"),
    "huge file": (lambda m: m["files"]["graph.gf"].update(bytes=2**60), "size and SHA-256"),
    "larger file": (lambda m: m["files"]["graph.gf"].update(bytes=2**40), "bytes, not"),
    "negative size": (lambda m: m["files"]["graph.gf"].update(bytes=-1), "size and SHA-256"),
    "hash": (lambda m: m["files"]["graph.gf"].update(sha256="0" * 64), "SHA-256 differs"),
    "no files": (lambda m: m.update(files=[]), "list its files"),
    "huge array": (lambda m: m["arrays"]["layer/w"].update(shape=[2**43]), "manifest says"),
    "too huge array": (lambda m: m["arrays"]["layer/w"].update(shape=[2**70]), "dtype and shape"),
    "negative array": (lambda m: m["arrays"]["layer/w"].update(shape=[-3]), "dtype and shape"),
    "float shape": (lambda m: m["arrays"]["layer/w"].update(shape=[3.0]), "dtype and shape"),
    "other shape": (lambda m: m["arrays"]["layer/w"].update(shape=[3, 1]), "manifest says"),
    "other dtype": (lambda m: m["arrays"]["layer/w"].update(dtype="int32"), "manifest says"),
    "complex": (lambda m: m["arrays"]["layer/w"].update(dtype="complex64"), "manifest says"),
    "object dtype": (lambda m: m["arrays"]["layer/w"].update(dtype="object"), "which there is not"),
    "no arrays": (lambda m: m.update(arrays={}), "too many"),
    "more arrays": (lambda m: m["arrays"].update(x={"dtype": "int8", "shape": []}), "lacks ['x']"),
    "no signatures": (lambda m: m.update(signatures={}), "no signatures"),
    "no outputs": (lambda m: m["signatures"]["serve"].update(outputs=[]), "inputs and outputs"),
    "unknown tensor": (lambda m: m["signatures"]["serve"].update(outputs=[["y", "z:0"]]), "not in graph.gf"),
    "twice": (lambda m: m["signatures"]["serve"].update(outputs=[["y", "y:0"]] * 2), "wrongly"),
    "no input": (lambda m: m["signatures"]["serve"].update(inputs=[]), "not among the inputs"),
    "nested": (lambda m: m["signatures"].update(serve=[[[]]]), "inputs and outputs"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_manifests(folder: Path, case: str) -> None:
    edit, reason = HOSTILE[case]
    vouch(folder, lambda manifest: edit(manifest) and None)
    assert reason in refused(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"\xff\xfe", b"{" * 100_000, b"[" * 100_000, b'{"a": 1, "a": 2}', b'{"a": NaN}',
     b'{"format_version": ' + b"9" * 5000 + b"}"],
    ids=range(9),
)  # fmt: skip
def test_manifests_that_are_none(folder: Path, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    assert "manifest.json" in refused(folder)


def test_a_graph_that_does_not_fit_the_weights(folder: Path) -> None:
    good = (folder / "graph.gf").read_text()
    changes = {
        "float32[3]@weights": ("float64[3]@weights", "should be float64[3] but is float32[3]"),
        '@weights["layer/w"]': ('@weights["table:value"]', "should be float32[3]"),
        'init.value(array=float32[3]@weights["layer/w"])': ("init.zeros()", "does not use the arrays"),
        "graphflow-text 1": ("graphflow-text 9", "this GraphFlow reads version 1"),
        "multiply(": ("multiply@7(", "not version 7"),
        "multiply(%x": ("evil(%x", "no operator 'evil'"),
        "outputs %y": ("outputs %z", "no node 'z'"),
        "%x: float32[batch, 3]": ("%x: float32[batch, 4]", "do not broadcast"),
    }
    for old, (new, reason) in changes.items():
        assert old in good
        (folder / "graph.gf").write_text(good.replace(old, new, 1))
        vouch(folder)
        assert reason in refused(folder), old
    (folder / "graph.gf").write_bytes(good.encode() + b"\xff")
    vouch(folder)
    assert "no UTF-8" in refused(folder)


def test_mutated_bytes_are_refused_or_change_nothing(folder: Path, rng: np.random.Generator) -> None:
    """Whatever byte of whatever file changes, with and without a manifest that vouches for it."""
    good = contents(folder)
    outcomes = {"loaded": 0, "refused": 0}
    for turn in range(450):
        name = NAMES[turn % 3]
        data = bytearray(good[name])
        for _ in range(int(rng.integers(1, 4))):
            place = int(rng.integers(len(data)))
            action = int(rng.integers(3))
            if action == 0:
                data[place] = int(rng.integers(256))
            elif action == 1:
                del data[place : place + int(rng.integers(1, 9))]
            else:
                data[place:place] = bytes(rng.integers(32, 127, size=3, dtype=np.uint8))
        (folder / name).write_bytes(bytes(data))
        if turn % 2 and name != "manifest.json":
            vouch(folder)
        try:
            model = gf.saved_model.load(folder)
            assert isinstance(model, Model)
            outcomes["loaded"] += 1
        except GraphFlowError as error:
            assert str(error)
            outcomes["refused"] += 1
        for path, content in good.items():
            (folder / path).write_bytes(content)
    assert outcomes["refused"] > 200 and outcomes["loaded"] > 10


def test_unvouched_mutations_never_change_an_answer(folder: Path, rng: np.random.Generator) -> None:
    feed = np.ones((2, 3), np.float32)
    expected = gf.saved_model.load(folder).run({"x": feed}, "numpy")["y"]
    for turn in range(60):
        name = ("graph.gf", "weights.safetensors")[turn % 2]
        good = (folder / name).read_bytes()
        data = bytearray(good)
        place = int(rng.integers(len(data)))
        data[place] ^= 1 << int(rng.integers(8))
        (folder / name).write_bytes(bytes(data))
        assert "SHA-256 differs" in refused(folder)
        (folder / name).write_bytes(good)
    np.testing.assert_array_equal(gf.saved_model.load(folder).run({"x": feed}, "numpy")["y"], expected)
