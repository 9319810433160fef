"""LogDirectory: what the board asks for. See `graphflow.board.store` for a tour."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from graphflow.board.store import columns, decode, graph_def, side, views
from graphflow.board.store.catalog import Tag
from graphflow.board.store.index_file import IndexFile, cache_folder
from graphflow.board.store.places import opened, read_exactly
from graphflow.board.store.reading import Reader
from graphflow.board.store.runs import MOST_NOTICES, RunReader
from graphflow.board.store.thinning import kept_points
from graphflow.board.store.wire import Malformed
from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.files import checked_path

_STATUS = {1: "succeeded", 2: "failed", 3: "running"}
_TAG_PLACES = ("gradients", "activations")


class NotLogged(GraphFlowError):
    """A run, tag or value that is not in the log directory, or not any more."""


class LogDirectory:
    """A folder with event files, read in the background while it grows.

    Arguments:
        path: the folder. What lies outside of it is never read, whatever links there are.
        index: "cache" keeps an index in the user's cache folder, so that the next opening is quick; None
            keeps none; a path keeps it there.
        refresh: seconds between two looks at the files; 0 reads only when `refresh()` is called.

    All methods may be called from any thread; none waits for files to be read.

    Raises:
        FileFormatError: if there is no such folder.

    >>> import tempfile
    >>> import graphflow as gf
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with gf.train.SummaryWriter(folder + "/first") as writer:
    ...         for step in range(3):
    ...             writer.scalar("loss", 1 / (1 + step), step)
    ...     with LogDirectory(folder, index=None, refresh=0) as log:
    ...         _ = log.refresh()
    ...         print([run.name for run in log.runs()], log.scalars("first", "loss").step)
    ['first'] [0 1 2]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        index: str | os.PathLike[str] | None = "cache",
        refresh: float = 2.0,
    ) -> None:
        self.root = Path(os.path.realpath(checked_path(path)))
        if not self.root.is_dir():
            raise FileFormatError(
                f"{str(path)!r} is no folder", hint="name the folder that SummaryWriter writes to"
            )
        folder = cache_folder() if index == "cache" else None if index is None else checked_path(index)
        self._reader = Reader(self.root, IndexFile(self.root, folder))
        self._lock = self._reader.lock
        self._period = refresh
        self._passed = threading.Condition()
        self._passes = 0
        self._thread: threading.Thread | None = None
        if refresh > 0:
            self._thread = threading.Thread(target=self._follow, name="graphflow-board-reader", daemon=True)
            self._thread.start()

    # Reading

    def _follow(self) -> None:
        while not self._reader.stopping.is_set():
            try:
                self._reader.pass_over()
            except Exception as error:  # whatever a file has in it, the next look may do better
                with self._lock:
                    note = f"reading stopped: {type(error).__name__}: {error}"
                    self._reader.notices = [*self._reader.notices[-MOST_NOTICES:], note]
            with self._passed:
                self._passes += 1
                self._passed.notify_all()
            self._reader.stopping.wait(self._period)

    def refresh(self) -> bool:
        """Read, in this thread, all that has come; whether anything had."""
        return self._reader.pass_over(find=True)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the background thread has read all that is there; False if that took longer."""
        with self._passed:
            return self._passed.wait_for(lambda: self._passes > 0, timeout)

    def prefer(self, runs: Iterable[str]) -> None:
        """Read these runs before others, as they are being looked at."""
        self._reader.preferred = frozenset(runs)

    def close(self) -> None:
        """Stop reading, and write the index; closing twice is allowed."""
        self._reader.stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    # What there is

    @property
    def revision(self) -> int:
        """How often something changed."""
        return self._reader.revision

    def runs(self) -> list[views.Run]:
        """All runs, by name."""
        with self._lock:
            readers = list(self._reader.runs.values())
            return [
                views.Run(
                    run.name, run.size, run.size - run.unread_bytes, len(run.catalog),
                    int(run.catalog.count.sum()), side.present(self.root, run.folder), tuple(run.notices),
                    run.changed,
                )
                for run in readers
            ]  # fmt: skip

    def tags(self, run: str, kind: str | None = None) -> list[Tag]:
        """The tags of a run, of one kind or of all, in the order of first use.

        Raises:
            NotLogged: if there is no such run.
        """
        with self._lock:
            return self._run(run).catalog.tags(kind)

    def node_tags(self, run: str, node: str) -> list[Tag]:
        """The tags that speak of a node: those that `gf.train.watch` writes for it, and one of its name.

        Raises:
            NotLogged: if there is no such run.
        """
        return [tag for tag in self.tags(run) if node in (tag.name, node_of(tag.name))]

    def notices(self) -> list[str]:
        """What of the folder could not be read, in words; runs have their own."""
        with self._lock:
            return list(self._reader.notices)

    def poll(self, since: int = -1) -> views.Changes:
        """What changed after a revision; everything for -1, or one of an earlier session."""
        with self._lock:
            reader = self._reader
            since = -1 if since > reader.revision else since
            runs = reader.runs.values()
            changed = {run.name: run.catalog.tags(since=since) for run in runs if run.changed > since}
            names = list(reader.runs) if reader.listed > since else None
            size, unread = sum(run.size for run in runs), sum(run.unread_bytes for run in runs)
            return views.Changes(reader.revision, reader.is_complete, size, size - unread, names, changed)

    # Curves

    def scalars(
        self, run: str, tag: str, max_points: int | None = None, method: str = "minmax"
    ) -> views.Curve:
        """A curve, in the order in which it was logged.

        Arguments:
            max_points: thin it out to so many; None gives all.
            method: how: "minmax", "lttb", "last" or "spread"; see `thinning.kept_points`.

        Raises:
            NotLogged: if there is no such run or tag.
            AttributeValueError: for another method.
        """
        step, wall, value = self._columns(run, "scalars", tag)
        count = step.size
        if max_points is not None and count > max_points:
            kept = kept_points(step, value, max_points, method)
            step, wall, value = step[kept], wall[kept], value[kept]
        return views.Curve(step, wall, value, count)

    def histograms(self, run: str, tag: str, max_points: int | None = 100) -> list[views.Histogram]:
        """The histograms of a tag, spread over its steps if there are more than `max_points`.

        Raises:
            NotLogged: if there is no such run or tag.
        """

        def made(index: int, step: int, wall: float, data: bytes) -> views.Histogram:
            table = decode.histogram(data)
            return views.Histogram(step, wall, table[:, 0], table[:, 1], table[:, 2])

        return self._decoded(run, "histograms", tag, max_points, made)

    def pr_curves(self, run: str, tag: str, max_points: int | None = 100) -> list[views.PrCurve]:
        """The precision-recall curves of a tag.

        Raises:
            NotLogged: if there is no such run or tag.
        """

        def made(index: int, step: int, wall: float, data: bytes) -> views.PrCurve:
            rows = decode.curve(data)
            return views.PrCurve(step, wall, np.linspace(0, 1, rows.shape[1]), *rows)

        return self._decoded(run, "pr_curves", tag, max_points, made)

    # Images, texts, settings

    def images(self, run: str, tag: str, max_points: int | None = 100) -> list[views.Image]:
        """Which images a tag has; `image_file` gives one.

        Raises:
            NotLogged: if there is no such run or tag.
        """

        def made(index: int, step: int, wall: float, data: bytes) -> views.Image:
            found = decode.images(data)
            return views.Image(index, step, wall, found.width, found.height, len(found.files))

        return self._decoded(run, "images", tag, max_points, made)

    def image_file(self, run: str, tag: str, index: int, which: int = 0) -> tuple[str, bytes]:
        """The MIME type and the bytes of an image as it was logged.

        The type is "application/octet-stream" for what is no PNG, JPEG, GIF, BMP or WebP file, whatever
        it says it is; that is not to be shown.

        Raises:
            NotLogged: if there is no such image, or it cannot be read any more.
        """
        reader, found = self._references(run, "images", tag)
        if not 0 <= index < found[0].size:
            raise NotLogged(f"{tag!r:.80} has no image {index}", hint=f"it has {found[0].size} steps")
        try:
            files = decode.images(self._message(reader, *[int(column[index]) for column in found[2:]])).files
        except (OSError, Malformed) as error:
            raise NotLogged(f"the image cannot be read: {error}", hint="was its file replaced?") from error
        if not 0 <= which < len(files):
            raise NotLogged(f"{tag!r:.80} has no image {which} there", hint=f"there are {len(files)}")
        return decode.mime(files[which]), files[which]

    def texts(self, run: str, tag: str, max_points: int | None = 100) -> list[views.Text]:
        """The texts of a tag.

        Raises:
            NotLogged: if there is no such run or tag.
        """

        def made(index: int, step: int, wall: float, data: bytes) -> views.Text:
            return views.Text(step, wall, decode.texts(data))

        return self._decoded(run, "text", tag, max_points, made)

    def hparams(self, run: str) -> views.Settings | None:
        """The settings of a run, or None if it has none.

        Raises:
            NotLogged: if there is no such run.
        """
        told: dict[str, Any] = {}
        for tag in self.tags(run, "hparams"):
            for part in self._decoded(run, "hparams", tag.name, 10, lambda *found: decode.settings(found[3])):
                told.update(part)
        status = _STATUS.get(told.pop("status", 0), "running" if "values" in told else "unknown")
        return views.Settings(status=status, **told) if told or status != "unknown" else None

    # The graph and what GraphFlow knows of it

    def side(self, run: str, kind: str) -> dict[str, Any] | None:
        """The content of "graph", "journal", "memory" or "profile", or None if the run has none.

        Raises:
            NotLogged: if there is no such run.
            FileFormatError: if the file is damaged, too large, or of another version.
        """
        with self._lock:
            folder = self._run(run).folder
        return side.read(self.root, folder, kind)

    def place(self, run: str) -> str:
        """The folder of a run below `root`; NotLogged if there is no such run."""
        with self._lock:
            return self._run(run).folder

    def graph(self, run: str) -> dict[str, Any] | None:
        """The graph of a run, as `graph.json` has it; from TensorBoard's form where there is no such file.

        Raises:
            NotLogged: if there is no such run.
            FileFormatError: if graph.json is damaged, too large, or of another version.
        """
        found = self.side(run, "graph")
        if found is not None or not self.tags(run, "graph"):
            return found
        records = self._decoded(
            run, "graph", "", None, lambda *one: graph_def.node_records(one[3]), last=True
        )
        return (
            {"schema": "graphflow.graph", "version": 1, "name": run, "nodes": records[-1]}
            if records
            else None
        )

    # Within

    def _run(self, name: str) -> RunReader:
        found = self._reader.runs.get(name)
        if found is None:
            raise NotLogged(
                f"there is no run {name!r:.80}", hint=f"there are {len(self._reader.runs)}; runs() lists them"
            )
        return found

    def _taken(self, run: str, kind: str, tag: str) -> tuple[RunReader, int, columns.Series, Any]:
        with self._lock:
            reader = self._run(run)
            id = reader.catalog.ids.get((kind, tag), -1)
            if id < 0:
                raise NotLogged(
                    f"the run {run!r:.80} has no {kind} {tag!r:.80}",
                    hint=f"tags({run!r:.80}) lists what it has",
                )
            series = reader.scalars if kind == "scalars" else reader.references
            return reader, id, series, series.snapshot()

    def _columns(self, run: str, kind: str, tag: str) -> list[np.ndarray]:
        _, id, series, taken = self._taken(run, kind, tag)
        try:
            return columns.read(self._reader.index.columns, taken, series.schema, id)
        except (OSError, ValueError) as error:
            raise NotLogged(
                f"the index cannot be read: {error}", hint="open the log directory again"
            ) from error

    def _references(self, run: str, kind: str, tag: str) -> tuple[RunReader, list[np.ndarray]]:
        with self._lock:
            reader = self._run(run)
        return reader, self._columns(run, kind, tag)

    def _message(self, reader: RunReader, number: int, offset: int, length: int) -> bytes:
        with opened(self.root, reader.files[number].place) as file:
            data = read_exactly(file, offset, length)
        if len(data) != length:
            raise Malformed("the event file was cut")
        return data

    def _decoded(
        self, run: str, kind: str, tag: str, most: int | None, made: Callable[..., Any], last: bool = False
    ) -> list[Any]:
        """What `made` makes of the messages of a tag; those that cannot be read are left out."""
        reader, found = self._references(run, kind, tag)
        count = found[0].size
        chosen: Sequence[int] = range(count)
        if last:
            chosen = range(max(count - 1, 0), count)
        elif most is not None and count > most:
            chosen = kept_points(found[0], found[1], max(most, 2), "spread").tolist()
        listed = []
        for index in chosen:
            step, wall, *place = (column[index].item() for column in found)
            with contextlib.suppress(OSError, Malformed, IndexError):
                listed.append(made(index, step, wall, self._message(reader, *place)))
        if len(listed) < len(chosen):
            note = f"{len(chosen) - len(listed)} values of {tag!r:.80} ({kind}) cannot be read"
            with self._lock:
                if note not in reader.notices and len(reader.notices) < MOST_NOTICES:
                    reader.notices.append(note)
        return listed


def node_of(tag: str) -> str:
    """The node that a tag of `gf.train.watch` speaks of, or "".

    >>> node_of("gradients.norm/dense/kernel"), node_of("loss/train")
    ('dense/kernel', '')
    """
    kind, _, node = tag.partition("/")
    return node if kind.partition(".")[0] in _TAG_PLACES else ""
