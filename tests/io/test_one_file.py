"""Saved models in one file, mapped weights, exports and calibration: what is kept, and what is refused."""

from __future__ import annotations

import io
import mmap
import os
import struct
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import FileFormatError, GraphError
from graphflow.files import Content
from graphflow.io.zip_file import ZipParts, write_zip

PARTS = {"manifest.json": b"{}", "graph.gf": b"text", "empty": b"", "größe": bytes(range(256))}


def zipped(parts: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    write_zip(file, [(name, [content[:3], memoryview(content)[3:]]) for name, content in parts.items()])
    return file.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    parts = ZipParts(Path("test.zip"), Content(data, 0, len(data)))
    return {name: bytes(parts.content(name, 1 << 20).view()) for name in parts}


def refused(data: bytes) -> str:
    with pytest.raises(FileFormatError) as caught:
        read(data)
    assert caught.value.hint
    return caught.value.message


@pytest.fixture
def model() -> gf.Model:
    with gf.Graph("small") as graph:
        x = gf.placeholder("x", ("batch", 3))
        w = gf.variable("w", (3,), initializer=np.array([1.0, 2.0, 3.0], np.float32))
        b = gf.variable("b", (3,), initializer=np.array([1, 0, 1], np.int8))
        y = gf.multiply(x, w, name="y")
        z = gf.add(x, gf.astype(b, gf.float32), name="z")
    return gf.Model(graph, signatures={"times": ([x], {"y": y}), "plus": ([x], {"z": z})})


# The container


def test_members_come_back_and_are_aligned() -> None:
    data = zipped(PARTS)
    assert read(data) == PARTS and zipped(PARTS) == data
    parts = ZipParts(Path("test.zip"), Content(data, 0, len(data)))
    assert [parts.content(name, 1 << 20).start % 64 for name in parts] == [0, 0, 0, 0]
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert (
            archive.testzip() is None and {name: archive.read(name) for name in archive.namelist()} == PARTS
        )


def test_what_another_tool_has_stored_is_read() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in PARTS.items():
            archive.writestr(name, content)
    assert read(file.getvalue()) == PARTS


def test_cut_off_at_every_byte() -> None:
    data = zipped({"a": b"12345", "b": b"6"})
    for length in range(len(data)):
        refused(data[:length])


def custom(*infos: tuple[str, int, int]) -> bytes:
    """A zip with members of these names, ways of compression and kinds of file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, compression, mode in infos:
            info = zipfile.ZipInfo(name)
            info.compress_type, info.external_attr = compression, mode << 16
            archive.writestr(info, b"0" * 100_000)
    return file.getvalue()


@pytest.mark.parametrize(
    "name",
    ["../evil", "/etc/passwd", "a/b", "folder/", "..\\evil", "C:evil", ".hidden", "..", "a\nb", "\u202egpj"],
)
def test_names_that_lead_elsewhere(name: str) -> None:
    assert "no folder" in refused(custom((name, zipfile.ZIP_STORED, 0o100644)))


def test_members_that_are_no_plain_stored_files() -> None:
    assert "compressed" in refused(custom(("bomb", zipfile.ZIP_DEFLATED, 0o100644)))
    assert "no file" in refused(custom(("link", zipfile.ZIP_STORED, 0o120777)))
    assert "twice" in refused(custom(("a", 0, 0), ("a", 0, 0)))
    assert "257 members" in refused(zipped({f"{number}": b"" for number in range(257)}))
    data = bytearray(zipped({"a": b"12345"}))
    data[data.index(b"PK\1\2") + 8] |= 1
    assert "encrypted" in refused(bytes(data))


def test_members_that_overlap_or_differ_from_the_directory() -> None:
    data = zipped({"a": b"12345", "b": b"6789"})
    second = data.index(b"PK\1\2", data.index(b"PK\1\2") + 4)
    overlapping = bytearray(data)
    overlapping[second + 42 : second + 46] = struct.pack("<I", 0)
    assert "differ" in refused(bytes(overlapping))
    larger = bytearray(data)
    first = data.index(b"PK\1\2")
    larger[first + 20 : first + 28] = struct.pack("<II", 200, 200)
    assert "overlaps" in refused(bytes(larger))
    larger[first + 20 : first + 28] = struct.pack("<II", 2**31, 2**31)
    assert "cut off" in refused(bytes(larger))


# Models in it


@pytest.mark.parametrize("name", ["m.gfm", "m.zip"])
def test_one_file_holds_what_the_folder_holds(model: gf.Model, tmp_path: Path, name: str) -> None:
    gf.saved_model.save(tmp_path / "m", model, exports={"a.bin": b"1"}, calibration={"x": [1.5]})
    place = gf.saved_model.save(tmp_path / name, model, exports={"a.bin": b"1"}, calibration={"x": [1.5]})
    with zipfile.ZipFile(place) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    assert found == {path.name: path.read_bytes() for path in (tmp_path / "m").iterdir()}
    first = place.read_bytes()
    gf.saved_model.save(place, gf.saved_model.load(place))
    assert place.read_bytes() == first
    gf.saved_model.save(tmp_path / "back", gf.saved_model.load(place))
    for path in (tmp_path / "m").iterdir():
        assert (tmp_path / "back" / path.name).read_bytes() == path.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "m", name]


def test_what_is_no_model_in_one_file_is_not_replaced(model: gf.Model, tmp_path: Path) -> None:
    (tmp_path / "text.gfm").write_text("precious")
    (tmp_path / "foreign.zip").write_bytes(zipped({"thesis.txt": b"precious"}))
    (tmp_path / "mixed.zip").write_bytes(
        zipped({"manifest.json": b'{"format": "graphflow-model"}', "thesis.txt": b"precious"})
    )
    (tmp_path / "folder.gfm").mkdir()
    (tmp_path / "link.gfm").symlink_to(tmp_path / "text.gfm")
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(FileFormatError, match="not replaced"):
            gf.saved_model.save(path, model)
    assert (tmp_path / "text.gfm").read_text() == "precious"


@pytest.mark.parametrize("name", ["m", "m.gfm"])
@pytest.mark.parametrize("mapped", [True, False])
def test_mapped_weights_are_views_of_the_file(
    model: gf.Model, tmp_path: Path, name: str, mapped: bool
) -> None:
    place = gf.saved_model.save(tmp_path / name, model)
    found = gf.saved_model.load(place, mapped=mapped)
    for key, array in found.weights.items():
        owner = array
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        assert isinstance(owner, mmap.mmap) is mapped
        np.testing.assert_array_equal(array, model.weights[key])
        assert not array.flags.writeable and array.flags.aligned
    gf.saved_model.save(place, model)  # replacing the file does not reach what is mapped
    assert found.run({"x": np.ones((1, 3))}, "numpy")["y"].tolist() == [[1.0, 2.0, 3.0]]


def test_digests_of_mapped_weights_are_compared_on_demand(model: gf.Model, tmp_path: Path) -> None:
    place = gf.saved_model.save(tmp_path / "m", model)
    data = bytearray((place / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (place / "weights.safetensors").write_bytes(data)
    with pytest.raises(FileFormatError, match="SHA-256 differs"):
        gf.saved_model.load(place)
    with pytest.raises(FileFormatError, match="SHA-256 differs"):
        gf.saved_model.load(place, mapped=True, verify=True)
    assert gf.saved_model.load(place, mapped=True).weights["b"].tolist() == [1, 0, 0]


def test_large_weights_are_mapped_by_default_and_not_read(tmp_path: Path) -> None:
    """What no page was touched of is not in memory: the file has a hole, and keeps it."""
    with gf.Graph() as graph:
        w = gf.variable("w", (1 << 26,), initializer=gf.initializers.zeros(), dtype=gf.int8)
        y = gf.identity(w[:2])
    place = gf.saved_model.save(tmp_path / "m", gf.Model(graph, outputs={"y": y}))
    before = _resident()
    model = gf.saved_model.load(place)
    assert model.weights["w"].nbytes == 1 << 26
    assert _resident() - before < 1 << 24


def _resident() -> int:
    """The bytes of this process that are in memory."""
    pages = Path("/proc/self/statm")
    if not pages.exists():
        pytest.skip("only Linux tells how much of a process is in memory")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# Signatures, exports, calibration


def test_one_of_several_signatures(model: gf.Model, tmp_path: Path) -> None:
    place = gf.saved_model.save(tmp_path / "m.gfm", model)
    assert list(gf.saved_model.load(place).signatures) == ["times", "plus"]
    plus = gf.saved_model.load(place, signature="plus")
    assert list(plus.signatures) == ["plus"] and list(plus.weights) == ["b"]
    assert plus.run({"x": np.zeros((1, 3))}, "numpy")["z"].tolist() == [[1.0, 0.0, 1.0]]
    with pytest.raises(GraphError, match="no signature 'minus'") as caught:
        gf.saved_model.load(place, signature="minus")
    assert caught.value.hint == "it has 'times', 'plus'"


def test_exports_come_along(model: gf.Model, tmp_path: Path) -> None:
    (tmp_path / "chip").write_bytes(b"commands")
    exports = {"net.bmodel": tmp_path / "chip", "net.stablehlo": b"\0\1"}
    place = gf.saved_model.save(tmp_path / "m", model, exports=exports)
    found = gf.saved_model.load(place)
    assert found.exports == {"net.bmodel": b"commands", "net.stablehlo": b"\0\1"}
    assert (place / "net.bmodel").read_bytes() == b"commands"
    gf.saved_model.save(place, found, exports={"net.bmodel": b"others"})
    assert gf.saved_model.load(place).exports == {"net.bmodel": b"others", "net.stablehlo": b"\0\1"}


def test_onnx_is_made(tmp_path: Path) -> None:
    with gf.Graph("small"):
        x = gf.placeholder("x", (2, 3))
        y = gf.exp(x, name="y")
    place = gf.saved_model.save(tmp_path / "m", gf.Model(inputs=[x], outputs=[y]), exports={"m.onnx": None})
    again = gf.onnx.load(place / "m.onnx")
    assert again.run({"x": np.zeros((2, 3))}, "numpy")["y"].tolist() == [[1.0] * 3] * 2


@pytest.mark.parametrize(
    "exports",
    [{"../x": b""}, {"manifest.json": b""}, {"Graph.gf": b""}, {"": b""}, {"a b": b""}, {3: b""},
     {"x.tar": None}, {"x": "/no/such/file"}, {"x": 3}, ["onnx"]],
    ids=range(10),
)  # fmt: skip
def test_exports_that_cannot_be(model: gf.Model, tmp_path: Path, exports: object) -> None:
    with pytest.raises(FileFormatError) as caught:
        gf.saved_model.save(tmp_path / "m", model, exports=exports)
    assert caught.value.hint and not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    "table", [{"a": float("nan")}, {"a": (1, 2)}, {1: 2}, {"a": b""}, [1], "text", {"a": {1}}]
)
def test_calibration_that_is_no_json(model: gf.Model, tmp_path: Path, table: object) -> None:
    with pytest.raises(FileFormatError, match="calibration table is no JSON"):
        gf.saved_model.save(tmp_path / "m", model, calibration=table)


def test_calibration_comes_back_to_the_bit(model: gf.Model, tmp_path: Path) -> None:
    table = {"z": 0.1, "a": {"é": [1e-320, -0.0, 2**70, True, None]}}
    gf.saved_model.save(tmp_path / "m", model, calibration=table)
    assert repr(gf.saved_model.load(tmp_path / "m").calibration) == repr(dict(sorted(table.items())))


@pytest.mark.parametrize("name", ["m", "m.gfm", "no-ending"])
def test_show_lists_the_signatures(
    model: gf.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    from graphflow.cli import main

    place = gf.saved_model.save(tmp_path / "m.gfm", model, exports={"net.bin": b""}, calibration={})
    place = (
        place.rename(tmp_path / name) if name == "no-ending" else gf.saved_model.save(tmp_path / name, model)
    )
    assert main(["show", str(place)]) == 0
    said = capsys.readouterr().out
    for line in ("times", "plus", "in   x  float32[batch, 3]", "out  z  float32[batch, 3]"):
        assert f"  {line}\n" in said
    assert ("exported as net.bin" in said) is (name == "no-ending")
    assert ("with a calibration table" in said) is (name == "no-ending")
