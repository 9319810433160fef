"""Profiles: the time and the bytes of each node, measured by running each as a program of its own."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.errors import BackendError, GraphFlowError
from graphflow.files import atomic_write
from graphflow.ir.attrs import Attrs
from graphflow.ir.node import Node, Tensor
from graphflow.ir.opdef import registry
from graphflow.optimizer.analysis.cost import node_bytes, node_flops
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.program import Program
from graphflow.runtime.backend import Backend, CompileOptions, Executable
from graphflow.session.step import wait_for
from graphflow.session.variables import Variables

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class NodeTime:
    """One node's row: what it is, where the user wrote it, and its seconds, bytes moved and operations."""

    name: str
    op: str
    type: str
    line: str
    seconds: float
    bytes: int
    flops: int


@dataclass(frozen=True, slots=True)
class Profile:
    """The rows of all nodes, in the order in which they ran; print it for the slowest.

    Attributes:
        backend: the name of the backend that ran them.
        rows: a NodeTime for each node.
    """

    backend: str
    rows: tuple[NodeTime, ...]

    @property
    def seconds(self) -> float:
        """The sum over all nodes."""
        return sum(row.seconds for row in self.rows)

    def __str__(self) -> str:
        slowest = sorted(self.rows, key=lambda row: row.seconds, reverse=True)
        width = max((len(row.name) for row in slowest[:_SHOWN]), default=4)
        lines = [f"{len(self.rows)} nodes on {self.backend}, {self.seconds * 1e6:.0f} us one by one"]
        lines.append(f"{'node':<{width}}  {'op':<16} {'us':>9} {'share':>6} {'bytes':>9}  line")
        for row in slowest[:_SHOWN]:
            share = row.seconds / self.seconds if self.seconds else 0.0
            lines.append(
                f"{row.name:<{width}}  {row.op:<16} {row.seconds * 1e6:9.1f} {share:6.1%} "
                f"{show_bytes(row.bytes):>9}  {row.line}".rstrip()
            )
        if len(slowest) > _SHOWN:
            lines.append(f"and {len(slowest) - _SHOWN} more")
        return "\n".join(lines)

    def trace(self) -> dict[str, Any]:
        """The profile as a Chrome trace (chrome://tracing, Perfetto): nodes end to end."""
        events, now = [], 0.0
        for row in self.rows:
            detail = {"type": row.type, "line": row.line, "bytes": row.bytes, "flops": row.flops}
            events.append(
                {
                    "name": row.name, "cat": row.op, "ph": "X", "pid": 0, "tid": 0,
                    "ts": now * 1e6, "dur": row.seconds * 1e6, "args": detail,
                }
            )  # fmt: skip
            now += row.seconds
        return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"backend": self.backend}}

    def save(self, path: str | Path) -> None:
        """Write the Chrome trace as JSON.

        Raises:
            FileFormatError: if the file cannot be written.
        """
        with atomic_write(path) as file:
            file.write(json.dumps(self.trace()).encode())


def profile_program(
    program: Program, backend: Backend, variables: Variables, feeds: Sequence[np.ndarray], repeats: int
) -> Profile:
    """Time the nodes of a program with static shapes one by one; the values flow, no variable changes.

    Raises:
        BackendError: naming the node that fails.
    """
    order = program.order()
    values: dict[Tensor, Any] = {tensor: backend.put(array) for tensor, array in zip(program.feeds, feeds)}
    with variables.lock:
        variables.require_intact()
        variables.ensure(node.name for node in order if node.op.name == "variable")
        for node in order:
            if node.op.name == "variable":  # a copy, since a later run may take over the variable's memory
                values[node.output] = backend.put(variables.read(node.name))
            elif node.op.name == "session_key":
                values[node.output] = backend.put(variables.key())
    compiled: dict[Any, Executable] = {}
    rows = []
    for node in order:
        if node.op.name == "constant":
            values[node.output] = backend.put(node.attrs.value)
        if all(tensor in values for tensor in node.outputs):
            continue
        rows.append(_time_node(node, values, backend, compiled, max(1, repeats)))
    return Profile(backend.name, tuple(rows))


def _time_node(
    node: Node, values: dict[Tensor, Any], backend: Backend, compiled: dict[Any, Executable], repeats: int
) -> NodeTime:
    key = (node.op.name, node.attrs, tuple(tensor.type for tensor in node.inputs))
    arguments = [values[tensor] for tensor in node.inputs]
    seconds = float("inf")
    try:
        executable = compiled.get(key)
        if executable is None:
            executable = compiled[key] = backend.compile(_alone(node), CompileOptions(donate=False))
            wait_for(executable((), (), arguments, None)[0])
        for _ in range(repeats):
            started = time.perf_counter()
            outputs, _none = executable((), (), arguments, None)
            wait_for(outputs)
            seconds = min(seconds, time.perf_counter() - started)
    except GraphFlowError as error:
        raise error.located(origin=node.origin) from error
    except Exception as error:
        raise BackendError(
            f"node {node.name!r} ({node.op.name}) fails: {error}",
            hint="feed values that it can take, or less of them",
            origin=node.origin,
        ) from error
    values.update((tensor, value) for tensor, value in zip(node.outputs, outputs) if tensor not in values)
    made = ", ".join(str(tensor.type) for tensor in node.outputs)
    line = "" if node.origin is None else str(node.origin)
    return NodeTime(
        node.name, node.op.name, made, line, seconds, int(node_bytes(node)), int(node_flops(node))
    )


def _alone(node: Node) -> Program:
    """A program of just this node, its inputs fed."""
    program = Program(node.name)
    inputs = []
    for position, tensor in enumerate(node.inputs):
        attrs = Attrs(dtype=tensor.dtype, shape=tensor.shape)
        feed = program.add(
            registry["placeholder"], (), attrs, (tensor.type,), f"input_{position}", node.origin
        )
        program.feeds.append(feed.output)
        inputs.append(feed.output)
    types = [tensor.type for tensor in node.outputs]
    copy = program.add(node.op, tuple(inputs), node.attrs, types, node.name, node.origin, node.lineage)
    program.outputs = list(copy.outputs)
    program.fetch_count = len(copy.outputs)
    return program
