"""The state of a session: one device array for each variable, by name, and the count of steps.

A variable gets its first value when a run first needs it, drawn by its initializer from the
session's seed and the variable's name; so it does not depend on the order of runs, on the backend,
or on which other variables there are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from graphflow.errors import FeedError, SessionError
from graphflow.ir.graph import Graph, describe
from graphflow.ir.node import Tensor
from graphflow.ops import threefry
from graphflow.runtime.backend import Backend
from graphflow.session.feeds import to_array

RESTORE = (
    "restore them with sess.restore_checkpoint(folder), or set them all with sess.variables.update({...}); "
    "a session made with donate=False keeps the old values instead"
)

CLOSED: dict[str, Any] = {}
"""The state of a closed session: it lacks all names, and who asks for none knows it by its identity."""


class Variables(Mapping[Any, np.ndarray]):
    """The values of a session's variables, as a mapping: `sess.variables`.

    Keys are names; a variable's tensor is accepted wherever a name is. Reading gives a NumPy copy,
    `sess.variables[w] = array` sets a value, `sess.variables.update({...})` sets several, all or none.

    >>> import graphflow as gf
    >>> w = gf.variable("w", (2,), initializer=gf.initializers.ones())
    >>> with gf.Session(backend="numpy") as sess:
    ...     sess.variables[w] = [3.0, 4.0]
    ...     sess.run(w * 2.0)
    array([6., 8.], dtype=float32)
    """

    def __init__(self, graph: Graph, backend: Backend, seed: int) -> None:
        self._graph = graph
        self.tensors = graph.variables
        self._backend = backend
        self.seed = seed
        self.step = 0
        self.lock = threading.RLock()
        self.arrays: dict[str, Any] = {}
        self.lost: dict[str, str] = {}
        self.closed = False

    # As users see it

    def __getitem__(self, key: Tensor | str) -> np.ndarray:
        """A copy of the current value.

        Raises:
            SessionError: if the graph has no such variable, or its value was lost in a failed run.
        """
        name = self._find(key).node.name
        with self.lock:
            self.require_intact([name])
            self.ensure([name])
            return self.read(name)

    def __setitem__(self, key: Tensor | str, value: Any) -> None:
        self._set([(key, value)])

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._graph.variables))

    def __len__(self) -> int:
        return len(self._graph.variables)

    def __contains__(self, key: object) -> bool:
        return key in self._graph.variables if isinstance(key, str) else key in self._graph.variables.values()

    def __repr__(self) -> str:
        return f"<{len(self)} variables of {self._graph.name!r}, {len(self.arrays)} of them with a value>"

    def update(self, values: Mapping[Any, Any]) -> None:
        """Set several variables, all or none; arrays are copied.

        Arguments:
            values: arrays (or numbers, lists) by variable or name, of the variables' shapes and dtypes.

        Raises:
            SessionError: for an unknown variable; FeedError: for a value of another shape or dtype.
        """
        if not isinstance(values, Mapping):
            raise SessionError(
                f"the values are {values!r:.80}", hint="pass a dict from variables or names to arrays"
            )
        self._set(values.items())

    def _set(self, pairs: Iterable[tuple[Any, Any]]) -> None:
        placed = {}
        for key, value in pairs:
            tensor = self._find(key)
            placed[tensor.node.name] = self._backend.put(checked_value(tensor, value))
        with self.lock:
            self.require_open()
            self.arrays = {**self.arrays, **placed}
            for name in placed:
                self.lost.pop(name, None)

    def _find(self, key: Tensor | str) -> Tensor:
        if isinstance(key, Tensor) and key.node.op.name == "variable" and key.graph is self._graph:
            return key
        found = self._graph.variables.get(key.removesuffix(":0")) if isinstance(key, str) else None
        if found is None:
            import difflib

            close = difflib.get_close_matches(str(key), self._graph.variables, 3)
            raise SessionError(
                f"the session's graph {self._graph.name!r} has no variable {key!r}",
                hint=f"did you mean {' or '.join(map(repr, close))}?"
                if close
                else "list(sess.variables) names them",
            )
        return found

    # As runs use it. `arrays` is replaced, never changed; where a value is lost its name is missing, and
    # when the session is closed it is CLOSED, so that a run has nothing to check beforehand.

    def ensure(self, names: Iterable[str]) -> None:
        """Give first values to those of the named variables that have none."""
        with self.lock:
            self.require_open()
            new = [name for name in dict.fromkeys(names) if name not in self.arrays and name not in self.lost]
            made = {name: self._backend.put(self.initial_value(self._graph.variables[name])) for name in new}
            self.arrays = {**self.arrays, **made}

    def clear(self) -> None:
        """Release all values; every later use raises."""
        with self.lock:
            self.closed = True
            self.arrays = CLOSED
            self.lost.clear()

    def initial_value(self, variable: Tensor) -> np.ndarray:
        """What a variable starts from under this session's seed."""
        attrs, name = variable.node.attrs, variable.node.name
        key = threefry.stream_key(session_key(self.seed, 0), f"initial value of {name}")
        return attrs.initializer.sample(attrs.shape, attrs.dtype, key)

    def require_open(self) -> None:
        """Raise a SessionError if the session is closed."""
        if self.closed:
            raise SessionError(
                "the session is closed", hint="use it inside its `with` block, or make another one"
            )

    def require_intact(self, names: Iterable[str] | None = None) -> None:
        """Raise if a failed run has lost the values of the named variables (all, by default).

        Raises:
            SessionError: saying which, in which failure, and how to restore them; or that all is closed.
        """
        self.require_open()
        lost = [name for name in (self.lost if names is None else names) if name in self.lost]
        if lost:
            raise self.lost_error(lost)

    def note_losses(self, names: Iterable[str], reason: str) -> list[str]:
        """Forget the values that a failed run has consumed or spoilt; return their names."""
        gone = [name for name in names if _is_spoilt(self.arrays.get(name))]
        self.forget(gone, reason)
        return gone

    def forget(self, names: Iterable[str], reason: str) -> None:
        """Count the values of the named variables as lost."""
        self.lost.update(dict.fromkeys(names, reason))
        self.arrays = {name: array for name, array in self.arrays.items() if name not in self.lost}

    def lost_error(self, names: list[str]) -> SessionError:
        """The error that says that the values of the named variables are gone, and how to go on."""
        listed = ", ".join(map(repr, names[:6])) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        return SessionError(
            f"the session has lost the values of {listed}: their memory was handed to a run that failed "
            f"({self.lost[names[0]]})",
            hint=RESTORE,
            operands=describe(self._graph.variables[name] for name in names[:6]),
        )

    def key(self) -> np.ndarray:
        """The key of the next run: uint32[4]."""
        return session_key(self.seed, self.step)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Copies of all values, initialised where they were not."""
        with self.lock:
            self.require_intact()
            self.ensure(self._graph.variables)
            return {name: self.read(name) for name in self._graph.variables}

    def read(self, name: str) -> np.ndarray:
        """A copy of a value that is there; the lock is held.

        Raises:
            SessionError: if it turns out that the run that made it has failed in the background.
        """
        try:
            value: np.ndarray = self._backend.get(self.arrays[name])
            return value
        except Exception as error:
            lost = self.note_losses(self.arrays, f"{type(error).__name__}: {error}")
            if not lost:
                raise
            raise self.lost_error(lost) from error


def _is_spoilt(array: Any) -> bool:
    """Whether a device array was handed to a run, or made by one that failed; host arrays never are."""
    block = getattr(array, "block_until_ready", None)
    try:
        return block is not None and (array.is_deleted() or block() is None)
    except Exception:
        return True


def session_key(seed: int, step: int) -> np.ndarray:
    """The four words from which all random streams of a run derive.

    >>> session_key(2**32 + 5, 7).tolist()
    [1, 5, 0, 7]
    """
    mask = 0xFFFFFFFF
    return np.array([seed >> 32, seed & mask, step >> 32, step & mask], np.uint32)


def checked_value(tensor: Tensor, value: Any) -> np.ndarray:
    """A copy of a value for a variable, of its dtype and exactly its shape."""
    array = to_array(value, tensor)
    if array.shape != tensor.shape:
        raise FeedError(
            f"the variable {tensor.node.name!r} has shape {list(tensor.shape)}, "
            f"the value {list(array.shape)}",
            hint=f"give it an array of shape {list(tensor.shape)}",
            operands=describe([tensor]),
        )
    return array
