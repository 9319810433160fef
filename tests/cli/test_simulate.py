"""`graphflow simulate`: damaged files, those of another chip or no files, and inputs that do not fit."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import graphflow as gf
from graphflow.runtime.bm1684 import bmodel
from tests.cli.conftest import Answer

Call = Callable[..., Answer]


@pytest.fixture(scope="module")
def data() -> bytes:
    """The bytes of a file whose net takes x of 2 x 3 to x w, and has coefficients."""
    with gf.Graph("net"):
        x = gf.placeholder("x", (2, 3))
        y = gf.matmul(x, gf.constant(np.arange(12, dtype=np.float32).reshape(3, 4)))
        made = gf.compile(gf.Model(inputs=[x], outputs={"y": y}))
    assert made.memory.coefficients >= 48
    return bmodel.write(made.bmodel)


@pytest.fixture
def fed(tmp_path: Path) -> str:
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    return f"x={tmp_path / 'x.npy'}"


def refused(call: Call, path: Path, content: bytes, fed: str) -> str:
    """What the command says about a file that it does not take."""
    path.write_bytes(content)
    answer = call("simulate", path, "--feed", fed)
    assert answer.status == 2 and answer.out == "" and "Traceback" not in answer.err
    assert "try:" in answer.err or "get it again" in answer.err, answer.err
    return answer.err


def test_a_file_is_run_in_every_order(call: Call, data: bytes, fed: str, tmp_path: Path) -> None:
    path = tmp_path / "net.bmodel"
    path.write_bytes(data)
    for order in ("together", "tiu first", "gdma first", "random"):
        answer = call("simulate", path, "--feed", fed, "--order", order)
        assert answer.status == 0 and "12." in answer.out and "21." in answer.out, answer.err


def test_truncated_files(call: Call, data: bytes, fed: str, tmp_path: Path) -> None:
    for size in (64, 100, len(data) // 2, len(data) - 1):
        assert "net.bmodel" in refused(call, tmp_path / "net.bmodel", data[:size], fed)
    refused(call, tmp_path / "net.bmodel", data + b"\0", fed)


def test_every_flipped_bit_is_noticed(call: Call, data: bytes, fed: str, tmp_path: Path) -> None:
    for place in np.random.default_rng(0).integers(0, len(data), 40):
        broken = bytearray(data)
        broken[place] ^= 1 << int(place) % 8
        refused(call, tmp_path / "net.bmodel", bytes(broken), fed)


def test_coefficients_with_another_checksum(call: Call, data: bytes, fed: str, tmp_path: Path) -> None:
    """Without the checksum of the whole file, which other writers leave out, the format's own one speaks."""
    start = data.index(b"sha256:")
    other = bytearray(data)
    struct.pack_into("<I", other, start - 4, 10)
    place = data.rindex(np.float32(11).tobytes())
    path = tmp_path / "net.bmodel"
    path.write_bytes(bytes(other))
    assert call("simulate", path, "--feed", fed).status == 0
    other[place] ^= 1
    assert "checksum" in refused(call, path, bytes(other), fed)


def test_another_chip(call: Call, data: bytes, fed: str, tmp_path: Path) -> None:
    start = data.index(b"sha256:")
    foreign = bytearray(data.replace(b"BM1684\0", b"BM1880\0"))
    struct.pack_into("<I", foreign, start - 4, 10)  # a shorter note of the time, which is no checksum
    assert "for the chip 'BM1880', not BM1684" in refused(call, tmp_path / "net.bmodel", bytes(foreign), fed)


def test_what_is_no_bmodel(call: Call, model: Path, fed: str, tmp_path: Path) -> None:
    said = refused(call, tmp_path / "net.onnx", b"\x08\x07\x12\x04", fed)
    assert "is no .bmodel file" in said and "graphflow compile" in said
    for path, told in ((model, "is no .bmodel file"), (tmp_path / "missing.bmodel", "there is nothing at")):
        answer = call("simulate", path, "--feed", fed)
        assert answer.status == 2 and path.name in answer.err and told in answer.err


@pytest.mark.parametrize(
    "array",
    [
        np.ones((3, 2), np.float32),
        np.ones((1, 3), np.float32),
        np.ones((2, 3), np.float64),
        np.ones((2, 3), np.int8),
        np.ones(6, np.float32),
    ],
)
def test_inputs_that_do_not_fit(call: Call, data: bytes, tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "other.npy", array)
    said = refused(call, tmp_path / "net.bmodel", data, f"x={tmp_path / 'other.npy'}")
    assert "no stage for the inputs x " in said and "feed x float32[2, 3]" in said


def test_inputs_that_are_missing_or_unknown(call: Call, data: bytes, fed: str, tmp_path: Path) -> None:
    path = tmp_path / "net.bmodel"
    assert "no stage for the inputs z" in refused(call, path, data, fed.replace("x=", "z=", 1))
    answer = call("simulate", path)
    assert answer.status == 2 and "no stage for the inputs none" in answer.err
    answer = call("simulate", path, "--feed", "x=missing.npy")
    assert answer.status == 1 and "missing.npy" in answer.err
    answer = call("simulate", path, "--feed", fed, "-o", "answers.txt")
    assert answer.status == 1 and ".npz" in answer.err
