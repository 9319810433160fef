"""Image files as tensors (family images): what is in the file decides how large the image is.

So the size is found when the graph runs (`ir.found_sizes`), by Pillow, on targets that run node by node.
Bytes come from anywhere, so only formats that are pictures and nothing else are read, and an image that
would fill the memory is refused by its header.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, BackendError, DTypeError, GraphFlowError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dims import Dim, Size
from graphflow.ir.dtypes import uint8
from graphflow.ir.found_sizes import found_symbol, is_found
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import entries, show

CHANNELS = {"RGB": 3, "BGR": 3, "Grayscale": 1}

FORMATS = ("BMP", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What Pillow calls the formats that ONNX names; its readers of others (PostScript among them) stay shut."""

MOST_PIXELS = 1 << 26
"""An image of more is refused before it is decoded: a file of a few kilobytes can claim billions."""


def _image_attrs(types, attrs):
    if attrs["pixel_format"] not in CHANNELS:
        raise AttributeValueError(
            f"decode_image has no pixel format {attrs['pixel_format']!r:.80}",
            hint="use " + ", ".join(CHANNELS),
        )
    return {**attrs, "size": _pair(attrs["size"])}


def _pair(size: Any) -> tuple[Size, Size]:
    """Height and width, of which one found size makes two."""
    symbol = size.symbol if isinstance(size, Dim) else None
    if symbol is not None and is_found(symbol.name):
        stem = symbol.name.removesuffix("?")
        return found_symbol(f"{stem}.height?"), found_symbol(f"{stem}.width?")
    pair = tuple(dims.as_size(one) for one in entries(size))
    if len(pair) != 2 or any(isinstance(one, int) and one < 1 for one in pair):
        raise AttributeValueError(
            f"decode_image cannot make an image of the size {size!r:.80}",
            hint="pass size=(height, width), or leave it out to have it found",
        )
    return pair


def _image_type(types, attrs):
    data = types[0]
    if data.dtype is not uint8:
        raise DTypeError(f"decode_image takes the bytes of a file as uint8, not {data}", hint="use gf.astype")
    if data.rank != 1:
        raise ShapeError(
            f"decode_image takes the bytes of one file, a vector, not {show(data.shape)}",
            hint="decode one after the other: gf.stack([gf.decode_image(x) for x in files])",
        )
    return (TensorType(uint8, (*attrs["size"], CHANNELS[attrs["pixel_format"]])),)


@op("images", infer=_image_type, normalize=_image_attrs, traits="finds_size")
def decode_image(data, /, pixel_format="RGB", size=None):
    """The image in the bytes of a file: uint8 [height, width, channels].

    The format is recognised: BMP, JPEG, JPEG 2000, PNG, PNM, TIFF or WebP. Of several images in a file the
    first counts; transparency is dropped; pixels of 16 bits keep their upper 8. The orientation that a
    camera notes is not applied.

    Arguments:
        data: the bytes, uint8 [n]: np.fromfile(path, np.uint8), or np.frombuffer(bytes, np.uint8).
        pixel_format: "RGB", "BGR" (3 channels) or "Grayscale" (1 channel).
        size: (height, width) that the image has to have, where they are known; None to have them found.

    Raises:
        BackendError: on jax, which cannot decode; without Pillow (`pip install pillow`); for bytes that are
            no image or a damaged one, for one of another size than `size`, or of more than 2^26 pixels.

    ONNX ImageDecoder-20, except that it gives an empty image where this is an error.

    >>> import graphflow as gf
    >>> gf.decode_image(gf.placeholder("file", ("bytes",), gf.uint8), size=(480, 640)).type
    uint8[480, 640, 3]
    """
    pixels = _decoded(data.tobytes(), "L" if pixel_format == "Grayscale" else "RGB", size)
    return np.ascontiguousarray(pixels[:, :, ::-1] if pixel_format == "BGR" else pixels)


decode_image.not_differentiable("its input are the bytes of a file", zero=True)


def _decoded(content: bytes, mode: str, size: tuple[Size, Size]) -> np.ndarray:
    """The pixels, in Pillow's mode "L" or "RGB", with an axis of channels."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise BackendError(
            f"decode_image needs Pillow, which cannot be imported: {error}", hint="pip install pillow"
        ) from None
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _require_size(image.height, image.width, size)
            pixels = np.asarray(_eight_bits(image, Image).convert(mode))
    except GraphFlowError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(str(error)) from None
    except Exception as error:  # what a reader raises for damaged bytes is not said anywhere
        unknown = isinstance(error, UnidentifiedImageError)  # whose text is about an object of ours
        raise BackendError(
            f"decode_image cannot read the {len(content)} bytes as an image: "
            + ("they begin like none" if unknown else str(error)),
            hint=f"pass all bytes of a file in one of the formats {', '.join(FORMATS)}",
        ) from None
    return pixels.reshape(*pixels.shape[:2], len(mode))


def _require_size(height: int, width: int, size: tuple[Size, Size]) -> None:
    """Raise unless the header tells a size that is wanted, and that memory can hold."""
    if height * width > MOST_PIXELS:
        raise _too_large(f"it has {height} x {width} pixels")
    if any(isinstance(one, int) and one != found for one, found in zip(size, (height, width))):
        raise BackendError(
            f"the image is of size {height} x {width}, but decode_image was told {size[0]} x {size[1]}",
            hint="leave out size= to have it found, and bring images to one size by gf.nn.resize",
        )


def _too_large(told: str) -> BackendError:
    return BackendError(
        f"decode_image refuses an image of more than {MOST_PIXELS} pixels: {told}",
        hint="if it is to be trusted, decode and shrink it before it is fed",
    )


def _eight_bits(image: Any, library: Any) -> Any:
    """The image, one of 16 bits a pixel by their upper 8: `convert` would clip them."""
    if image.mode.startswith("I;16"):
        return library.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise BackendError(
            "decode_image cannot read pixels of 32 bits", hint="convert the file to 8 or 16 bits a channel"
        )
    return image
