"""What a target must offer (Backend, Executable), and how targets are found by entry point.

Discovery reads names without importing anything, so that a backend whose package is missing shows
up as unavailable, with the reason, instead of breaking the others.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Protocol

import numpy as np

from graphflow.errors import BackendError
from graphflow.ir.body import nested_nodes
from graphflow.ir.node import Node
from graphflow.optimizer.program import Program

GROUP = "graphflow.backends"

SEGMENT_NODES = 4000
"""The most nodes that are compiled as one, by default; docs/big-graphs.md has the measurements."""

# The backends of this package, so that they are found from a source tree that is not installed.
BUILT_IN = {
    "bm1684": "graphflow.runtime.bm1684.backend:Bm1684Backend",
    "jax": "graphflow.runtime.jax.backend:JaxBackend",
    "numpy": "graphflow.runtime.numpy.backend:NumpyBackend",
}


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """How to compile.

    Attributes:
        donate: let the new values of variables take over the memory of the old ones.
        cache_dir: a folder in which compiled programs are kept between processes, or None.
        segment_nodes: a program of more nodes is compiled in segments of at most half as many, where the
            target's compiler takes more than linear time; None never does that.
    """

    donate: bool = True
    cache_dir: str | None = None
    segment_nodes: int | None = SEGMENT_NODES


class Executable(Protocol):
    """A compiled program.

    Attributes:
        program: what was compiled, after the backend's own passes.
        updated, kept: names of the variables it updates, and of those it only reads.
        uses_key: whether random operators need the session's key.
    """

    program: Program
    updated: tuple[str, ...]
    kept: tuple[str, ...]
    uses_key: bool

    def __call__(
        self, updated: Sequence[Any], kept: Sequence[Any], feeds: Sequence[Any], key: np.ndarray | None
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """Run once: (values of `updated`, of `kept`, feeds in program order, uint32[4] key or None) ->
        (fetches, new values of `updated`), all as device arrays."""
        ...

    def memory(self) -> dict[str, int]:
        """What the target says of memory, in bytes by kind (arguments, outputs, temp); {} if nothing."""
        ...


class Backend(Protocol):
    """A target. Instances are stateless and shared."""

    name: str

    def compile(self, program: Program, options: CompileOptions) -> Executable:
        """An Executable for an optimised program with static shapes.

        Raises:
            BackendError: naming the nodes it cannot run, with reasons, or the compiler's failure.
        """
        ...

    def pipeline(self, level: str) -> str:
        """The optimizer pipeline for a level ("O0" to "O3"), in string form; "" for the default one."""
        ...

    def refusal(self, node: Node) -> str | None:
        """Why this target cannot run a node, or None if it can."""
        ...

    def put(self, array: np.ndarray) -> Any:
        """A device array with a copy of a host array; never aliases it."""
        ...

    def get(self, array: Any) -> np.ndarray:
        """A host copy of a device array."""
        ...


@cache
def _locations() -> dict[str, str]:
    found = dict(BUILT_IN)
    for entry in metadata.entry_points(group=GROUP):
        found[entry.name] = entry.value
    return found


def backend_names() -> list[str]:
    """All backends that are installed, available or not.

    >>> "numpy" in backend_names()
    True
    """
    return sorted(_locations())


@cache
def get_backend(name: str) -> Backend:
    """The backend of that name, imported now.

    Raises:
        BackendError: if there is none, or a package it needs is missing.
    """
    location = _locations().get(name)
    if location is None:
        close = difflib.get_close_matches(str(name), _locations(), 1)
        raise BackendError(
            f"there is no backend {name!r}",
            hint=(f"did you mean {close[0]!r}? " if close else "")
            + "installed: "
            + ", ".join(backend_names()),
        )
    try:
        return metadata.EntryPoint(name, location, GROUP).load()()
    except ImportError as error:
        raise BackendError(
            f"the backend {name!r} is not available: {error}",
            hint=f"{_remedy(error)}, or use backend='numpy'",
        ) from error


def _remedy(error: ImportError) -> str:
    """What to do about an import that failed."""
    lacking = (error.name or "").partition(".")[0]
    return f"pip install {lacking}" if isinstance(error, ModuleNotFoundError) and lacking else "mend that"


def availability() -> dict[str, str | None]:
    """For each backend, None if it can be used where none is named, else the reason why not.

    One that simulates a chip, as its attribute `simulated` tells, is slow and runs less: it is used by name.
    """
    reasons: dict[str, str | None] = {}
    for name in backend_names():
        try:
            simulated = getattr(get_backend(name), "simulated", False)
            reasons[name] = "it simulates a chip; name it to have it used" if simulated else None
        except BackendError as error:
            reasons[name] = error.message
    return reasons


def require_support(backend: Backend, program: Program) -> None:
    """Raise one BackendError that lists every node of the program the backend cannot run."""
    nodes = nested_nodes(program.order())
    refused = [(node, reason) for node in nodes if (reason := backend.refusal(node)) is not None]
    if refused:
        listed = "; ".join(f"{node.name} ({node.op.name}): {reason}" for node, reason in refused[:8])
        more = f" and {len(refused) - 8} more" if len(refused) > 8 else ""
        raise BackendError(
            f"the backend {backend.name!r} cannot run {len(refused)} of the nodes: {listed}{more}",
            hint="use backend='numpy', which runs every operator, or express it by other operators",
            origin=refused[0][0].origin,
        )
