"""Images as PNG files: arrays to pixels, and pixels to the bytes of a file.

Each row is stored as its difference to the row above, which zlib packs well for photographs and drawings.

Source: Portable Network Graphics specification, third edition (W3C 2025), chapters 5, 9 and 11.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import provenance

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LAYOUTS = ("HWC", "CHW", "NHWC", "NCHW")
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # grey, grey with alpha, RGB, RGB with alpha
_ABOVE = 2
_MAGENTA = (255, 0, 255)


def encode(pixels: np.ndarray) -> bytes:
    """The PNG file of uint8 pixels [height, width, channels], with 1 to 4 channels.

    >>> encode(np.zeros((1, 1, 3), np.uint8))[1:4]
    b'PNG'
    """
    height, width, channels = pixels.shape
    rows = np.ascontiguousarray(pixels).reshape(height, width * channels)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = _ABOVE
    filtered[:1, 1:] = rows[:1]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])  # modulo 256, as the format wants it
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPES[channels], 0, 0, 0)
    body = zlib.compress(filtered.tobytes(), 6)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def as_pixels(image: Any, layout: str) -> np.ndarray:
    """Images as uint8 pixels [count, height, width, channels].

    Arguments:
        image: uint8 or boolean, or floating point from 0 to 1, of which what lies outside is clipped and
            NaN becomes magenta.
        layout: of its axes; one of `LAYOUTS`. A matrix is a grey image, whatever the layout.

    Raises:
        ShapeError: for an array that is no image in this layout.
        DTypeError: for other dtypes.
        AttributeValueError: for an unknown layout.
    """
    if layout not in LAYOUTS:
        raise AttributeValueError(f"{layout!r:.40} is no layout of images", hint="use " + ", ".join(LAYOUTS))
    array = np.asarray(image)
    found = array.shape
    if array.ndim == 2:
        array = array[None, :, :, None]
    else:
        if len(layout) == 3:
            array, layout = array[None], "N" + layout
        if array.ndim != 4:
            raise _no_image(found, layout)
        if layout == "NCHW":
            array = array.transpose(0, 2, 3, 1)
    if array.shape[3] not in _COLOUR_TYPES or 0 in array.shape[:3] or max(array.shape) >= 2**24:
        raise _no_image(found, layout)
    return _quantised(array)


def _quantised(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint8:
        return array
    if array.dtype == bool:
        return array.astype(np.uint8) * 255
    if array.dtype.kind in "iucSUOMm" or array.dtype.names:
        raise DTypeError(
            f"an image of {array.dtype} has no known range",
            hint="pass uint8, or floating-point values from 0 to 1",
            origin=provenance.capture(),
        )
    values = array.astype(np.float32)
    missing = np.isnan(values).any(axis=3)
    pixels = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.uint8)
    if missing.any():
        if pixels.shape[3] < 3:
            opaque = [pixels[..., 1:]] if pixels.shape[3] == 2 else []
            pixels = np.concatenate([np.repeat(pixels[..., :1], 3, axis=3), *opaque], axis=3)
        pixels[..., :3][missing] = _MAGENTA
        pixels[..., 3:][missing] = 255
    return pixels


def _no_image(shape: tuple[int, ...], layout: str) -> ShapeError:
    return ShapeError(
        f"an array of shape {list(shape)} is no image of layout {layout}",
        hint="there are 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 channels; "
        "say where they are: layout='HWC', 'CHW', 'NHWC' or 'NCHW'",
        origin=provenance.capture(),
    )
