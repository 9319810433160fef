"""What a Session is made from and told: its graph, backend, level, seed and paths, each checked."""

from __future__ import annotations

import operator
from typing import Any

from graphflow.errors import AttributeValueError, BackendError, SessionError
from graphflow.ir import provenance
from graphflow.ir.graph import Graph, peek_default_graph
from graphflow.optimizer.memory.units import checked_bytes
from graphflow.runtime.backend import Backend, backend_names, get_backend

LEVELS = ("O0", "O1", "O2", "O3")


def graph_or_current(graph: Graph | None) -> Graph:
    """The graph to run: the given one, or that of this thread.

    Raises:
        SessionError: if there is neither.
    """
    if graph is None:
        graph = peek_default_graph()
        if graph is None:
            raise SessionError(
                "there is no graph to run: this thread has not built one, and each thread has a default "
                "graph of its own",
                hint="pass the graph: gf.Session(graph), or build it in this thread first",
                origin=provenance.capture(),
            )
    if not isinstance(graph, Graph):
        raise SessionError(
            f"{type(graph).__name__} is no graph",
            hint="pass a gf.Graph as the first argument",
            origin=provenance.capture(),
        )
    return graph


def checked_level(level: Any) -> str:
    """An optimization level, if it is one."""
    if not isinstance(level, str) or level not in LEVELS:
        raise SessionError(
            f"there is no optimization level {level!r}", hint="use one of " + ", ".join(LEVELS)
        )
    return level


def checked_backend(backend: Any) -> Backend:
    """The backend of a name, or the one that was passed.

    Raises:
        BackendError: if there is none of that name, it is not available, or it is no backend.
    """
    if isinstance(backend, str):
        return get_backend(backend)
    if isinstance(backend, type) or not all(hasattr(backend, name) for name in ("compile", "put", "get")):
        raise BackendError(
            f"{backend!r:.80} is no backend", hint="pass the name of one: " + ", ".join(backend_names())
        )
    made: Backend = backend
    return made


def checked_seed(seed: Any) -> int:
    """A seed as an int of 64 bits, if it is one."""
    try:
        value = operator.index(seed)
    except TypeError:
        value = -1
    if not 0 <= value < 2**64:
        raise SessionError(f"{seed!r} cannot be a seed", hint="use an integer from 0 to 2**64 - 1")
    return value


def checked_segment_nodes(count: Any) -> int | None:
    """A number of nodes from 1 on, or None, if it is one of these."""
    if count is None:
        return None
    try:
        value = -1 if isinstance(count, bool) else operator.index(count)
    except TypeError:
        value = -1
    if value < 1:
        raise SessionError(
            f"segment_nodes is {count!r:.80}", hint="pass a number of nodes, or None to compile all as one"
        )
    return value


def checked_memory_budget(budget: Any) -> int:
    """A number of bytes from 1 on, given as an int or as text such as "512MB"; 0 for None, no budget."""
    try:
        return 0 if budget is None else checked_bytes(budget)
    except AttributeValueError as error:
        raise SessionError(f"memory_budget: {error.message}", hint=error.hint) from None
