"""The values of summaries, one encoding for each of TensorBoard's plugins.

Scalars are simple values; all others are tensors, marked with the plugin that shows them:

    histograms   float64 [buckets, 3]: left edge, right edge, count
    images       strings: width, height, then a PNG file for each image
    text         one string of Markdown
    pr_curves    float32 [6, thresholds]: true and false positives, true and false negatives,
                 precision, recall
    hparams      nothing; what is told lies in the metadata

Source: summary.proto and tensor.proto of tensorboard/compat/proto; metadata.py and plugin_data.proto of
tensorboard/plugins/{histogram,image,text,pr_curve,hparams}.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from graphflow.train.event_encoding import bytes_field, double_field, float_field, integer_field

_FLOAT, _DOUBLE, _STRING = 1, 2, 7
_TENSORS, _BLOBS = 2, 3  # classes of data
_SUCCESS, _FAILURE = 1, 2
_TEXT_VALUE, _BOOL_VALUE, _NUMBER_VALUE = 1, 2, 3


def scalar_payload(values: Mapping[str, float]) -> bytes:
    """A Summary with a simple value for each tag."""
    return _summary(_value(tag, float_field(2, value)) for tag, value in values.items())


def text_payload(tag: str, text: str) -> bytes:
    """A Summary with a string for the text plugin."""
    return _one(tag, _strings([text]), _metadata("text", _TENSORS))


def image_payload(tag: str, files: Sequence[bytes], width: int, height: int) -> bytes:
    """A Summary with PNG files of one size."""
    tensor = _strings([str(width), str(height), *files], (2 + len(files),))
    return _one(tag, tensor, _metadata("images", _BLOBS))


def histogram_payload(tag: str, values: np.ndarray, buckets: int) -> bytes:
    """A Summary with a histogram of finite float64 values, in buckets of equal width."""
    counts, edges = counted(values, buckets)
    table = np.stack([edges[:-1], edges[1:], counts], axis=1)
    return _one(tag, _array(table.astype("<f8"), _DOUBLE), _metadata("histograms", _TENSORS))


def curve_payload(tag: str, table: np.ndarray) -> bytes:
    """A Summary with a precision-recall curve: rows as the module docstring has them."""
    content = integer_field(2, table.shape[1])
    return _one(tag, _array(table.astype("<f4"), _FLOAT), _metadata("pr_curves", _TENSORS, content))


def counted(values: np.ndarray, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """How many values lie in each bucket, and the edges of the buckets."""
    if not values.size:
        return np.zeros(1), np.zeros(2)
    # counted in units of the largest value, as the width of the whole range may overflow
    largest = np.abs(values).max()
    unit = 2.0 ** max(int(np.frexp(largest)[1]) - 1, -1000)
    scaled = values.ravel() / unit
    width = scaled.max() - scaled.min()
    counts, edges = np.histogram(scaled, 1 if width <= 1e-12 * abs(scaled).max() else buckets)
    return counts, edges * unit


# Settings of a run


def settings_payload(
    values: Mapping[str, bool | int | float | str], metrics: Sequence[str], name: str, started: float
) -> bytes:
    """A Summary with the two messages that begin a run with settings: what there is, and what is chosen."""
    infos = b"".join(bytes_field(4, _setting_info(key, value)) for key, value in values.items())
    shown = b"".join(bytes_field(5, bytes_field(1, bytes_field(2, tag))) for tag in metrics)
    experiment = infos + shown + double_field(3, started)
    chosen = b"".join(
        bytes_field(1, bytes_field(1, key) + bytes_field(2, _setting(value))) for key, value in values.items()
    )
    session = chosen + bytes_field(4, name) + double_field(5, started)
    return _summary(
        [_settings_value("experiment", 2, experiment), _settings_value("session_start_info", 3, session)]
    )


def settings_end_payload(succeeded: bool, ended: float) -> bytes:
    """A Summary that ends a run with settings."""
    content = integer_field(1, _SUCCESS if succeeded else _FAILURE) + double_field(2, ended)
    return _summary([_settings_value("session_end_info", 4, content)])


def _setting_info(key: str, value: bool | int | float | str) -> bytes:
    kind = _NUMBER_VALUE
    if isinstance(value, bool):
        kind = _BOOL_VALUE
    elif isinstance(value, str):
        kind = _TEXT_VALUE
    return bytes_field(1, key) + integer_field(4, kind)


def _setting(value: bool | int | float | str) -> bytes:
    """A google.protobuf.Value."""
    if isinstance(value, bool):
        return integer_field(4, value)
    return bytes_field(3, value) if isinstance(value, str) else double_field(2, float(value))


def _settings_value(part: str, field: int, content: bytes) -> bytes:
    metadata = _metadata("hparams", 0, bytes_field(field, content))
    return _value(f"_hparams_/{part}", bytes_field(8, _array(np.zeros(1, "<f4"), _FLOAT)), metadata)


# The parts of a Summary


def _summary(values: Iterable[bytes]) -> bytes:
    return bytes_field(5, b"".join(bytes_field(1, value) for value in values))


def _one(tag: str, tensor: bytes, metadata: bytes) -> bytes:
    return _summary([_value(tag, bytes_field(8, tensor), metadata)])


def _value(tag: str, content: bytes, metadata: bytes = b"") -> bytes:
    return bytes_field(1, tag) + content + (bytes_field(9, metadata) if metadata else b"")


def _metadata(plugin: str, data_class: int, content: bytes = b"") -> bytes:
    described = bytes_field(1, plugin) + (bytes_field(2, content) if content else b"")
    return bytes_field(1, described) + (integer_field(4, data_class) if data_class else b"")


def _shape(shape: Sequence[int]) -> bytes:
    return bytes_field(2, b"".join(bytes_field(2, integer_field(1, size)) for size in shape))


def _array(array: np.ndarray, kind: int) -> bytes:
    return integer_field(1, kind) + _shape(array.shape) + bytes_field(4, array.tobytes())


def _strings(strings: Sequence[str | bytes], shape: Sequence[int] = ()) -> bytes:
    listed = b"".join(bytes_field(8, one) for one in strings)
    return integer_field(1, _STRING) + _shape(shape) + listed
