"""Decoding image files: ONNX's own cases, pixels that are known, damaged and hostile files, refusals."""

from __future__ import annotations

import builtins
import struct
import zlib
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from tests.bad_input.refusal import refused
from tests.onnx_cases import cases
from tests.samples.images import COLOURS, as_bytes, png


def run(tensors: Any, feeds: dict[gf.Tensor, Any], level: str = "O2") -> Any:
    with gf.Session(backend="numpy", level=level) as session:
        return session.run(tensors, feeds)


def decoded(content: bytes, pixel_format: str = "RGB", size: Any = None) -> np.ndarray:
    with gf.Graph():
        x = gf.placeholder("x", ("n",), gf.uint8)
        made: np.ndarray = run(gf.decode_image(x, pixel_format, size), {x: as_bytes(content)})
    return made


def test_cases_of_onnx() -> None:
    known = cases("image_decoder", "ImageDecoder")
    assert len(known) == 9
    for case in known:
        (data,), (expected,) = case.inputs, case.outputs
        assert data is not None and expected is not None
        made = decoded(data.tobytes(), case.attributes["pixel_format"].decode())
        assert made.dtype == np.uint8, case.name
        np.testing.assert_array_equal(made, expected, err_msg=case.name)


@pytest.mark.parametrize("level", ["O0", "O2", "O3"])
def test_what_follows_knows_the_size(level: str) -> None:
    x, y = (gf.placeholder(name, (size,), gf.uint8) for name, size in ("xn", "ym"))
    first, second = gf.decode_image(x), gf.decode_image(y)
    assert first.shape[2] == 3 and first.shape[:2] != second.shape[:2]
    image = gf.permute_dims(gf.astype(first, gf.float32), (2, 0, 1))
    small = gf.nn.resize(gf.expand_dims(image, 0), (2, 2), mode="linear")
    other = COLOURS[:2, :4]
    made = run(
        [small, gf.shape_of(first), second, gf.mean(image)],
        {x: as_bytes(png(COLOURS)), y: as_bytes(png(other))},
        level,
    )
    assert made[0].shape == (1, 3, 2, 2) and made[1].tolist() == [3, 5, 3]
    np.testing.assert_array_equal(made[2], other)
    np.testing.assert_allclose(made[3], COLOURS.mean(), rtol=1e-6)


def test_text_and_saved_models_keep_the_sizes(tmp_path: Any) -> None:
    x = gf.placeholder("x", ("n",), gf.uint8)
    y = gf.decode_image(x)
    y.graph.outputs = [y]
    text = gf.print_graph(y.graph)
    assert gf.print_graph(gf.parse_graph(text)) == text
    gf.verify(y.graph)
    gf.saved_model.save(tmp_path / "model", gf.Session(backend="numpy"), inputs=[x], outputs=[y])
    (made,) = (
        gf.saved_model.load(tmp_path / "model").run({"x": as_bytes(png(COLOURS))}, backend="numpy").values()
    )
    np.testing.assert_array_equal(made, COLOURS)


def test_pixels_of_other_kinds() -> None:
    deep = np.array([[0, 255, 256, 65535]], np.uint16)
    np.testing.assert_array_equal(decoded(png(deep), "Grayscale")[..., 0], deep >> 8)
    clear = np.concatenate([COLOURS, np.zeros((3, 5, 1), np.uint8)], axis=2)
    np.testing.assert_array_equal(decoded(png(clear)), COLOURS)
    np.testing.assert_array_equal(decoded(png(COLOURS[..., 0])), np.repeat(COLOURS[..., :1], 3, axis=2))
    np.testing.assert_array_equal(decoded(b"P4 8 1\n\xf0", "Grayscale")[0, :, 0], [0] * 4 + [255] * 4)


def test_a_constant_file_is_decoded_while_compiling() -> None:
    y = gf.decode_image(gf.constant(as_bytes(png(COLOURS))), size=(3, 5))
    np.testing.assert_array_equal(gf.Session().run(gf.astype(y, gf.int32) + 1), COLOURS.astype(np.int32) + 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no image",
        bytes(1000),
        png(COLOURS)[:40],
        png(COLOURS)[:-40],
        png(COLOURS).replace(b"IDAT", b"IDAx"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
        b"GIF89a\1\0\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0;",
        b"P6 0 0 255\n",
        b"Pf 1 1 -1.0\n" + bytes(4),
    ],
    ids=["nothing", "text", "zeros", "head", "cut", "chunk", "postscript", "gif", "empty", "floats"],
)
def test_what_is_no_image(content: bytes) -> None:
    with refused(gf.BackendError, "decode_image cannot read"):
        decoded(content)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("width", [2**13 + 1, 2**14, 2**20, 2**31 - 1])
def test_bombs_are_refused_by_their_header(width: int) -> None:
    header = png(COLOURS)
    at = header.index(b"IHDR") + 4
    claims = header[:at] + struct.pack(">II", width, 2**13) + header[at + 8 :]
    claims = claims[: at + 13] + struct.pack(">I", zlib.crc32(claims[at - 4 : at + 13])) + claims[at + 17 :]
    with refused(gf.BackendError, "more than 67108864 pixels"):
        decoded(claims)


def test_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    x = gf.placeholder("x", ("n",), gf.uint8)
    with refused(gf.BackendError, "size 3 x 5", "told 3 x 4"):
        decoded(png(COLOURS), size=(3, 4))
    for size in (5, (0, 3), (1, 2, 3), (-1, 2), ()):
        with refused(gf.AttributeValueError, "of the size"):
            gf.decode_image(x, size=size)
    with refused(gf.AttributeValueError, "'rgb'"):
        gf.decode_image(x, "rgb")
    with refused(gf.DTypeError, "as uint8"):
        gf.decode_image(gf.zeros(3))
    with refused(gf.ShapeError, "a vector"):
        gf.decode_image(gf.zeros((2, 3), gf.uint8))
    with refused(gf.BackendError, "decode_image", "before they are fed"):
        gf.Session(backend="jax").run(gf.decode_image(x), {x: as_bytes(png(COLOURS))})
    with refused(gf.ShapeError, "inside of"):
        gf.map(lambda row: gf.decode_image(row), gf.placeholder("files", (2, 9), gf.uint8))
    really = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name == "PIL":
            raise ImportError("No module named 'PIL'")
        return really(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with refused(gf.BackendError, "needs Pillow", "pip install"):
        decoded(png(COLOURS))
