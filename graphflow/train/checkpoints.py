"""A folder of checkpoints: written beside the training, the last and the best of them kept.

    runs/digits/step-400/manifest.json, variables.safetensors
    runs/digits/step-500/...

A checkpoint gets its name when it is whole and on the disk, and loses it before it is removed. So at every
moment each folder named step-... is a whole checkpoint, whenever the process is killed.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from graphflow.errors import AttributeValueError, FileFormatError, SessionError
from graphflow.files import checked_path, remove_folder, remove_leftovers, unwritable
from graphflow.session import checkpoint
from graphflow.session.restoring import Restored, restore
from graphflow.session.session import Session

_NAME = re.compile(r"step-(0|[1-9][0-9]*)")
_MODES = ("min", "max")


class CheckpointManager:
    """Checkpoints of a session in a folder, of which only some are kept.

    Arguments:
        folder: where they are; made with the folders above it where it is missing.
        session: whose variables, step and seed are saved.
        data: what is trained on, whose position is saved, too: gf.data.Batches, or anything with
            `state()`, which gives a JSON value, and `restore(state)`.
        keep_last: how many of the newest are kept; None keeps all.
        keep_best: how many of the best are kept besides, by `metric`.
        metric: the name of the number that tells which are the best.
        mode: "min" if the least is the best, "max" if the greatest is.
        wait: write before `save` returns. Otherwise it returns once the variables are copied, and a
            thread writes. There is one such copy at most: the next `save` waits for the last to end.

    A failure to write is raised by what waits for it: the next `save`, `wait`, `restore`, `steps` or
    `close`. What was there before is whole.

    Raises:
        FileFormatError: if the folder cannot be made or read.
        AttributeValueError: for numbers that make no sense.

    >>> import tempfile
    >>> import graphflow as gf
    >>> w = gf.variable("w", initializer=[4.0])
    >>> loss = gf.sum(w * w)
    >>> train = gf.train.SGD(0.1).minimize(loss)
    >>> with tempfile.TemporaryDirectory() as folder, gf.Session(backend="numpy") as sess:
    ...     with gf.train.CheckpointManager(folder, sess, keep_last=2) as checkpoints:
    ...         for _ in range(5):
    ...             value, _ = sess.run([loss, train])
    ...             checkpoints.save({"loss": value})
    ...         print(checkpoints.steps, checkpoints.restore(4).step)
    [4, 5] 4
    """

    def __init__(
        self,
        folder: str | Path,
        session: Session,
        data: Any = None,
        *,
        keep_last: int | None = 3,
        keep_best: int = 0,
        metric: str = "loss",
        mode: str = "min",
        wait: bool = False,
    ) -> None:
        self._place = checked_path(folder)
        self._session = session
        self._data = data
        self._keep_last = None if keep_last is None else _count("keep_last", keep_last, 1)
        self._keep_best = _count("keep_best", keep_best, 0)
        self._metric, self._sign = metric, _sign(mode)
        self._wait = bool(wait)
        self._writer: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._closed = False
        try:
            self._place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self._place, error) from error
        remove_leftovers(self._place, "step-*")
        # Only the numbers are kept in mind; whether they can be read is found out when they are restored.
        self._metrics = {step: _saved_metrics(self._step_folder(step)) for step in self._found()}

    def __enter__(self) -> CheckpointManager:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        try:
            self.close()
        except FileFormatError as failure:
            if error is None:
                raise
            error.add_note(str(failure))

    def __repr__(self) -> str:
        return f"<checkpoints in {str(self._place)!r}: steps {sorted(self._found())}>"

    @property
    def steps(self) -> list[int]:
        """The steps of which there are checkpoints, oldest first."""
        self.wait()
        return sorted(self._found())

    @property
    def best(self) -> int | None:
        """The step whose checkpoint has the best metric, the later of two equals; None if none has one."""
        ranked = self._ranked(self.steps)
        return ranked[0] if ranked else None

    # Saving

    def save(self, metrics: Mapping[str, Any] | None = None) -> None:
        """Save the session at its step, and remove what is not to be kept.

        Arguments:
            metrics: numbers to keep with it, such as {"loss": 0.3}.

        Raises:
            FileFormatError: if it, or without `wait` the one before, cannot be written.
        """
        numbers = _numbers(metrics or {})
        self._require_open()
        self.wait()
        position = checkpoint.checked_json(None if self._data is None else self._data.state())
        state = checkpoint.state_of(self._session.variables, position, numbers)
        if self._wait:
            self._write(state)
            return
        self._writer = threading.Thread(target=self._write_later, args=(state,), name="graphflow-checkpoint")
        self._writer.start()

    def wait(self) -> None:
        """Wait until what was saved is written.

        Raises:
            FileFormatError: if it could not be.
        """
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Wait until what was saved is written; nothing more can be saved.

        Raises:
            FileFormatError: if it could not be.
        """
        self._closed = True
        self.wait()

    def _require_open(self) -> None:
        if self._closed:
            raise SessionError(
                "the checkpoint manager is closed", hint="save inside its `with` block, or make another one"
            )

    def _write_later(self, state: checkpoint.State) -> None:
        try:
            self._write(state)
        except BaseException as error:
            self._failure = error

    def _write(self, state: checkpoint.State) -> None:
        checkpoint.write_new(state, self._step_folder(state.step))
        self._metrics[state.step] = state.metrics
        steps = sorted(self._found())
        kept = {*steps} if self._keep_last is None else {*steps[-self._keep_last :], state.step}
        kept.update(self._ranked(steps)[: self._keep_best])
        for step in steps:
            if step not in kept:
                remove_folder(self._step_folder(step))
                self._metrics.pop(step, None)

    # Restoring

    def restore(
        self,
        step: int | str | None = None,
        *,
        partial: bool = False,
        rename: Mapping[str, str | None] | None = None,
    ) -> Restored:
        """Set the session, and the position of the data, to those of a checkpoint: all, or nothing.

        Arguments:
            step: which one; the newest by default, or "best".
            partial, rename: as in sess.restore_checkpoint.

        Raises:
            FileFormatError: if there is none, or it is corrupt or of other variables.
        """
        self.wait()
        chosen = self.best if step == "best" else max(self.steps, default=None) if step is None else step
        if chosen is None and step == "best" and self.steps:
            raise FileFormatError(
                f"none of the checkpoints in {str(self._place)!r} has the metric {self._metric!r:.40}",
                hint=f"pass it to save: {{{self._metric!r:.40}: ...}}; there are the steps {self.steps}",
            )
        if chosen is None or chosen not in self._found():
            wanted = "" if step is None else f" {step!r:.40}" if step == "best" else f" of step {step!r:.40}"
            raise FileFormatError(
                f"there is no checkpoint{wanted} in {str(self._place)!r}",
                hint=f"there are those of the steps {self.steps}" if self.steps else "save one first",
            )
        place = self._step_folder(int(chosen))
        return restore(self._session.variables, place, self._data, partial, rename)

    # Finding

    def _step_folder(self, step: int) -> Path:
        return self._place / f"step-{step}"

    def _found(self) -> set[int]:
        try:
            names = [path.name for path in self._place.iterdir()]
        except OSError as error:
            raise FileFormatError(
                f"{str(self._place)!r} cannot be read: {error.strerror or error}", hint="pass a folder"
            ) from error
        return {int(found[1]) for found in map(_NAME.fullmatch, names) if found and len(found[1]) <= 20}

    def _ranked(self, steps: list[int]) -> list[int]:
        """The steps that have the metric, best first."""
        known = [(step, self._metrics.get(step, {}).get(self._metric)) for step in steps]
        ranked = [(self._sign * value, -step) for step, value in known if value is not None]
        return [-step for _, step in sorted(ranked)]


def _saved_metrics(place: Path) -> Mapping[str, float]:
    """The metrics of a checkpoint; none of one that cannot be read, which restoring it will tell."""
    metrics: Mapping[str, float] = {}
    with suppress(FileFormatError):
        metrics = checkpoint.read_manifest(place)["metrics"]
    return metrics


def _numbers(metrics: Any) -> dict[str, float]:
    """Metrics as Python numbers; those that are not finite are left out, as they are never the best."""
    try:
        made = {name: float(value) for name, value in metrics.items()}
        good = all(isinstance(name, str) for name in made)
    except (TypeError, ValueError, AttributeError):
        good = False
    if not good:
        raise AttributeValueError(
            f"the metrics are {metrics!r:.80}", hint='pass a dict from names to numbers: {"loss": 0.3}'
        )
    return {name: value for name, value in made.items() if math.isfinite(value)}


def _count(name: str, value: Any, least: int) -> int:
    if type(value) is not int or value < least:
        raise AttributeValueError(
            f"{name} cannot be {value!r:.40}", hint=f"use a whole number, {least} or more"
        )
    return value


def _sign(mode: Any) -> int:
    if mode not in _MODES:
        raise AttributeValueError(f"mode cannot be {mode!r:.40}", hint='use "min" or "max"')
    return 1 if mode == "min" else -1
