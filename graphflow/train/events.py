"""Writing what TensorBoard shows: scalars, histograms, texts and the graph, without TensorFlow."""

from __future__ import annotations

import itertools
import operator
import os
import platform
import threading
import time
from typing import Any, Self

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, FileFormatError, GraphFlowError
from graphflow.files import checked_path
from graphflow.ir import provenance
from graphflow.ir.graph import Graph
from graphflow.train import event_encoding as encoding
from graphflow.train import settings
from graphflow.train.event_graph import graph_def

_serial = itertools.count()


class SummaryWriter:
    """Writes a run's progress to a new event file; see it with `tensorboard --logdir LOGDIR`.

    Arguments:
        logdir: the folder of the run, made if needed; TensorBoard takes each folder for a run.
        flush_seconds: how long an event may wait in memory before it is written to the file.

    Every method may be called from any thread.

    Raises:
        FileFormatError: if the folder cannot be written to.

    >>> import tempfile
    >>> import graphflow as gf
    >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
    ...     writer.scalar("loss", 0.25, step=1)
    ...     writer.histogram("weights", [0.0, 1.0, 1.5], step=1)
    """

    def __init__(self, logdir: str | os.PathLike[str], flush_seconds: float = 10.0) -> None:
        self.logdir = str(checked_path(logdir))
        self.flush_seconds = settings.number("flush_seconds", flush_seconds, 0)
        self._lock = threading.Lock()
        self._flushed = time.monotonic()
        name = f"events.out.tfevents.{int(time.time()):010d}.{platform.node()}.{os.getpid()}.{next(_serial)}"
        self.path = os.path.join(self.logdir, name)
        try:
            os.makedirs(self.logdir, exist_ok=True)
            self._file = open(self.path, "xb")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise self._unwritable(error) from error
        self._write(encoding.version_payload())
        self.flush()

    def scalar(self, tag: str, value: Any, step: int) -> None:
        """Add one point to the curve `tag`.

        Arguments:
            tag: the name of the curve; those with a common part before `/` are shown together.
            value: a real number, or an array of one; NaN and infinities are recorded as they are.
            step: the horizontal position, usually the number of updates done.

        Raises:
            DTypeError: if the value is not a single real number.

        >>> import tempfile
        >>> import graphflow as gf
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.scalar("accuracy/test", 0.98, step=100)
        """
        array = _real(value, f"the scalar {tag!r}")
        if array.size != 1:
            raise DTypeError(
                f"the scalar {tag!r} got an array of shape {list(array.shape)}",
                hint="reduce it to one number first, or use writer.histogram",
                origin=provenance.capture(),
            )
        self._write(encoding.scalar_payload(_tag(tag), float(array.reshape(()))), step)

    def histogram(self, tag: str, values: Any, step: int, buckets: int = 30) -> None:
        """Record how the elements of an array are distributed.

        Arguments:
            tag: the name of the histogram.
            values: an array of any shape, of finite real numbers; an empty one is shown as empty.
            step: the position in time.
            buckets: how many, of equal width from the smallest to the largest value.

        Raises:
            DTypeError: for NaN and infinite values, which lie in no bucket.

        >>> import tempfile
        >>> import graphflow as gf
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.histogram("weights", [[0.0, 1.0], [1.5, 2.0]], step=100)
        """
        array = _real(values, f"the histogram {tag!r}")
        stray = array.size - int(np.isfinite(array).sum())
        if stray:
            raise DTypeError(
                f"the histogram {tag!r} got {stray} of {array.size} values that are NaN or infinite",
                hint="pass values[numpy.isfinite(values)], and record how many were left out as a scalar",
                origin=provenance.capture(),
            )
        if not isinstance(buckets, int) or buckets < 1:
            raise AttributeValueError(f"{buckets!r} buckets make no histogram", hint="use 1 or more")
        self._write(encoding.histogram_payload(_tag(tag), array, buckets), step)

    def text(self, tag: str, text: str, step: int) -> None:
        """Record a text; TensorBoard renders it as Markdown.

        >>> import tempfile
        >>> import graphflow as gf
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.text("settings", "rate **1e-3**, batch 32", step=0)
        """
        if not isinstance(text, str):
            raise DTypeError(f"the text {tag!r} got a {type(text).__name__}", hint="pass str(value)")
        self._write(encoding.text_payload(_tag(tag), text), step)

    def graph(self, graph: Graph) -> None:
        """Record the nodes of a graph, with their scopes, shapes, attributes and the user's lines.

        >>> import tempfile
        >>> import graphflow as gf
        >>> with gf.Graph() as g:
        ...     y = gf.exp(gf.constant(1.0))
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.graph(g)
        """
        if not isinstance(graph, Graph):
            raise DTypeError(
                f"a {type(graph).__name__} is no graph",
                hint="pass a gf.Graph, such as tensor.graph or sess.graph",
            )
        self._write(encoding.graph_payload(graph_def(graph)))

    def flush(self) -> None:
        """Hand everything recorded so far to the operating system, so that TensorBoard sees it."""
        with self._lock:
            self._check_open()
            try:
                self._file.flush()
            except OSError as error:
                raise self._unwritable(error) from error
            self._flushed = time.monotonic()

    def close(self) -> None:
        """Write what is left and close the file; closing twice is allowed."""
        with self._lock:
            try:
                self._file.close()
            except OSError as error:
                raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<summary writer to {self.path}{' (closed)' if self._file.closed else ''}>"

    def _write(self, payload: bytes, step: int = 0) -> None:
        record = encoding.record(encoding.event(time.time(), _step(step), payload))
        with self._lock:
            self._check_open()
            try:
                self._file.write(record)
            except OSError as error:
                raise self._unwritable(error) from error
            late = time.monotonic() - self._flushed >= self.flush_seconds
        if late:
            self.flush()

    def _check_open(self) -> None:
        if self._file.closed:
            raise GraphFlowError(
                f"the summary writer to {self.path} is closed",
                hint="record before close(), or make a new gf.train.SummaryWriter for the same folder",
                origin=provenance.capture(),
            )

    def _unwritable(self, error: OSError) -> FileFormatError:
        return FileFormatError(
            f"no event file can be written to {self.logdir!r}: {error.strerror or error}",
            hint="choose a folder that you may write to, on a disk with free space",
            origin=provenance.capture(),
        )


def _tag(tag: Any) -> str:
    if not isinstance(tag, str) or not tag:
        raise AttributeValueError(f"{tag!r} is no tag", hint="a tag is a name such as 'loss' or 'train/loss'")
    return tag


def _step(step: Any) -> int:
    try:
        number = operator.index(step)
    except TypeError:
        raise AttributeValueError(f"{step!r} is no step", hint="count steps with integers") from None
    if not -(2**63) <= number < 2**63:
        raise AttributeValueError(f"the step {number} does not fit 64 bits", hint="count steps from 0")
    return number


def _real(value: Any, what: str) -> np.ndarray:
    """The value as float64, for booleans, integers, and floats of any width."""
    try:
        array = np.asarray(float(value) if isinstance(value, int) else value)
        if array.dtype.kind in "cSUOMm":
            raise TypeError(f"{array.dtype} data are no real numbers")
        return array.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise DTypeError(
            f"{what} got {value!r:.80}: {error}", hint="pass real numbers", origin=provenance.capture()
        ) from None
