"""Samples of the images family: small files that Python's own zlib writes, so that no decoder made them."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from tests.samples import sample


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 or uint16 pixels [height, width] or [height, width, 2, 3 or 4], without filters."""
    height, width = pixels.shape[:2]
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, kind, 0, 0, 0)
    big = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = b"".join(b"\0" + row.tobytes() for row in big)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def as_bytes(content: bytes) -> np.ndarray:
    """The bytes of a file, as they are fed."""
    return np.frombuffer(content, np.uint8)


COLOURS = np.random.default_rng(5).integers(0, 256, (3, 5, 3), np.uint8)

sample("decode_image", as_bytes(png(COLOURS)), size=(3, 5))
sample("decode_image", as_bytes(png(COLOURS)), pixel_format="BGR", size=(3, 5))
sample("decode_image", as_bytes(png(COLOURS)), pixel_format="Grayscale", size=(3, 5))
sample("decode_image", as_bytes(png(COLOURS[:1, :1, 0])), size=(1, 1))
sample("decode_image", as_bytes(b"P6 2 1 255\n" + bytes(range(6))), size=(1, 2))
