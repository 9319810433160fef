"""Writing what TensorBoard and GraphFlow's own board show of a run, without TensorFlow."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError
from graphflow.files import checked_path
from graphflow.ir import provenance
from graphflow.ir.graph import Graph
from graphflow.train import event_encoding as encoding
from graphflow.train import event_values as payloads
from graphflow.train import png, settings, side_files
from graphflow.train.event_file import EventFile
from graphflow.train.event_graph import graph_def
from graphflow.train.pr_curve import curve_table

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Report
    from graphflow.optimizer.fit import Fit
    from graphflow.optimizer.memory.report import MemoryReport
    from graphflow.session.profile import Profile


class SummaryWriter:
    """Writes a run's progress to a new event file, and what GraphFlow knows of it beside that.

    Arguments:
        logdir: the folder of the run, made if needed; each folder is taken for a run.
        flush_seconds: how long an event may wait in memory before it is written to the file; a crash
            loses at most what was recorded in that time.
        purge_step: for a run that goes on from a checkpoint: what earlier files of the folder have from
            this step on is not shown any more.

    Every method may be called from any thread. Leaving a `with` block closes the writer, and marks a run
    with settings as failed if an exception ends it.

    Raises:
        FileFormatError: if the folder cannot be written to.

    >>> import tempfile
    >>> import graphflow as gf
    >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
    ...     writer.scalar("loss", 0.25, step=1)
    ...     writer.histogram("weights", [0.0, 1.0, 1.5], step=1)
    """

    def __init__(
        self,
        logdir: str | os.PathLike[str],
        flush_seconds: float = 10.0,
        purge_step: int | None = None,
    ) -> None:
        self.logdir = str(checked_path(logdir))
        self.flush_seconds = settings.number("flush_seconds", flush_seconds, 0)
        self.purge_step = None if purge_step is None else _step(purge_step)
        self._file = EventFile(self.logdir, self.flush_seconds)
        self._has_settings = False
        self._write(encoding.version_payload())
        if self.purge_step is not None:
            self._write(encoding.restart_payload(), self.purge_step)
        self._file.flush()

    @property
    def path(self) -> str:
        """The event file."""
        return self._file.path

    # Curves and distributions

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
        self._write(payloads.scalar_payload({_tag(tag): _number(tag, value)}), step)

    def scalars(self, tag: str, values: Mapping[str, Any], step: int) -> None:
        """Add one point to each of several curves, `tag/name` for each name in `values`.

        Raises:
            DTypeError: if a value is not a single real number; then nothing is recorded.

        >>> import tempfile
        >>> import graphflow as gf
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.scalars("loss", {"train": 0.2, "held_out": 0.3}, step=100)
        """
        if not isinstance(values, Mapping):
            raise DTypeError(
                f"the scalars {tag!r} are a {type(values).__name__}", hint="pass a dict from names to numbers"
            )
        found = {f"{_tag(tag)}/{_tag(name)}": _number(name, value) for name, value in values.items()}
        if found:
            self._write(payloads.scalar_payload(found), step)

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
        self._write(payloads.histogram_payload(_tag(tag), array, buckets), step)

    def pr_curve(
        self, tag: str, labels: Any, scores: Any, step: int, thresholds: int = 127, weights: Any = None
    ) -> None:
        """Record how precision and recall of a two-class decision depend on its threshold.

        At the threshold t what has a score >= t is called positive; thresholds are spaced evenly in [0, 1].

        Arguments:
            tag: the name of the curve.
            labels: an array of what is true: booleans, or 0 and 1.
            scores: an array of the same shape, in [0, 1].
            step: the position in time.
            thresholds: how many, 2 or more.
            weights: how much each example counts, in the same shape; 1 by default.

        Raises:
            DTypeError, ShapeError: for labels, scores or weights that are none.

        >>> import tempfile
        >>> import graphflow as gf
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.pr_curve("digit 3", [1, 0, 1], [0.9, 0.4, 0.6], step=100)
        """
        table = curve_table(tag, labels, scores, settings.whole("thresholds", thresholds, 2), weights)
        self._write(payloads.curve_payload(_tag(tag), table), step)

    # Images, texts and settings

    def image(self, tag: str, image: Any, step: int, layout: str = "HWC") -> None:
        """Record an image, or several of one size, as PNG.

        Arguments:
            tag: the name of the image.
            image: an array of 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 channels: uint8, boolean, or
                floating point in [0, 1]; values outside are clipped, and NaN is shown in magenta. A
                matrix is a grey image.
            step: the position in time.
            layout: of the axes: "HWC", "CHW", or "NHWC", "NCHW" for several images.

        Raises:
            ShapeError, DTypeError: for an array that is no image.

        >>> import tempfile
        >>> import numpy as np
        >>> import graphflow as gf
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.image("filters", np.zeros((3, 8, 8)), step=100, layout="CHW")
        """
        pixels = png.as_pixels(image, layout)
        files = [png.encode(one) for one in pixels]
        self._write(payloads.image_payload(_tag(tag), files, pixels.shape[2], pixels.shape[1]), step)

    def text(self, tag: str, text: str, step: int) -> None:
        """Record a text; it is shown as Markdown.

        >>> import tempfile
        >>> import graphflow as gf
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.text("settings", "rate **1e-3**, batch 32", step=0)
        """
        if not isinstance(text, str):
            raise DTypeError(f"the text {tag!r} got a {type(text).__name__}", hint="pass str(value)")
        self._write(payloads.text_payload(_tag(tag), text), step)

    def hparams(
        self, values: Mapping[str, bool | int | float | str], metrics: Sequence[str] = (), name: str = ""
    ) -> None:
        """Record the settings of this run, so that runs can be compared in a table; closing ends it.

        Arguments:
            values: booleans, numbers and texts by name.
            metrics: tags of the scalars that judge a run, as further columns.
            name: of the group of runs that share these settings; each run is one of its own by default.

        Raises:
            DTypeError: for values of other types.

        >>> import tempfile
        >>> import graphflow as gf
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.hparams({"rate": 1e-3, "method": "adam"}, metrics=["accuracy"])
        ...     writer.scalar("accuracy", 0.98, step=100)
        """
        found = {_tag(key): _setting(key, value) for key, value in dict(values).items()}
        tags = [metrics] if isinstance(metrics, str) else list(metrics)
        self._write(payloads.settings_payload(found, [_tag(tag) for tag in tags], name, time.time()))
        self._has_settings = True

    # What GraphFlow knows of the run

    def graph(self, graph: Graph) -> None:
        """Record the nodes of a graph, with scopes, shapes, attributes, costs and the user's lines.

        TensorBoard takes them from the event file, the board from `graphflow/graph.json` beside it.

        Raises:
            FileFormatError: if the file beside cannot be written.

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
        side_files.write(self.logdir, "graph", side_files.graph_content(graph))

    def explain(self, report: Report) -> None:
        """Write what the optimizer did, pass by pass, to `graphflow/journal.json`.

        Arguments:
            report: what `sess.explain(fetches)` gave. The optimizer runs once more, on a copy, to tell
                how the program looked after each pass.

        Raises:
            FileFormatError: if it cannot be written.

        >>> import tempfile
        >>> import graphflow as gf
        >>> y = gf.log(gf.nn.softmax(gf.placeholder("x", (3,))))
        >>> sess = gf.Session(backend="numpy")
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.explain(sess.explain(y))
        """
        side_files.write(self.logdir, "journal", side_files.journal_content(report))

    def memory(self, report: MemoryReport, fit: Fit | None = None) -> None:
        """Write a memory plan to `graphflow/memory.json`.

        Arguments:
            report: what `sess.memory(fetches)` gave.
            fit: what `report.fit(budget)` gave, to be shown beside it.

        Raises:
            FileFormatError: if it cannot be written.

        >>> import tempfile
        >>> import graphflow as gf
        >>> y = gf.sum(gf.exp(gf.placeholder("x", (1000,))))
        >>> report = gf.Session(backend="numpy").memory(y)
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.memory(report, report.fit("1 kB"))
        """
        side_files.write(self.logdir, "memory", side_files.memory_content(report, fit))

    def profile(self, profile: Profile) -> None:
        """Write the time of each node to `graphflow/profile.json`, which is a Chrome trace as well.

        Arguments:
            profile: what `sess.profile(fetches, feeds)` gave.

        Raises:
            FileFormatError: if it cannot be written.

        >>> import tempfile
        >>> import graphflow as gf
        >>> y = gf.exp(gf.constant([1.0, 2.0]))
        >>> profile = gf.Session(backend="numpy").profile(y)
        >>> with tempfile.TemporaryDirectory() as folder, gf.train.SummaryWriter(folder) as writer:
        ...     writer.profile(profile)
        """
        side_files.write(self.logdir, "profile", side_files.profile_content(profile))

    # The file

    def flush(self) -> None:
        """Hand everything recorded so far to the operating system, so that viewers see it.

        Raises:
            FileFormatError: if it cannot be written; it is kept, and the next call tries again.
        """
        self._file.flush()

    def close(self) -> None:
        """Write what is left and close the file; closing twice is allowed."""
        self._end(succeeded=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: Any) -> None:
        self._end(succeeded=kind is None)

    def __repr__(self) -> str:
        return f"<summary writer to {self.path}{' (closed)' if self._file.closed else ''}>"

    def _end(self, succeeded: bool) -> None:
        if self._has_settings and not self._file.closed:
            self._has_settings = False
            self._write(payloads.settings_end_payload(succeeded, time.time()))
        self._file.close()

    def _write(self, payload: bytes, step: int = 0) -> None:
        self._file.add(encoding.event(time.time(), _step(step), payload))


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


def _setting(name: str, value: Any) -> bool | int | float | str:
    if isinstance(value, np.generic):
        value = value.item()
    if not isinstance(value, (bool, int, float, str)):
        raise DTypeError(
            f"the setting {name!r} is a {type(value).__name__}",
            hint="pass a boolean, a number or a text; str(value) is one",
            origin=provenance.capture(),
        )
    return value


def _number(tag: str, value: Any) -> float:
    array = _real(value, f"the scalar {tag!r}")
    if array.size != 1:
        raise DTypeError(
            f"the scalar {tag!r} got an array of shape {list(array.shape)}",
            hint="reduce it to one number first, or use writer.histogram",
            origin=provenance.capture(),
        )
    return float(array.reshape(()))


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
