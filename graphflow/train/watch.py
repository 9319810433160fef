"""Watching gradients and activations: further fetches of a training step, and what is written of them.

A watch asks a run for values that the graph makes anyway; no node that is there changes, and steps at
which it is not due run the program that they would run without it. What it writes has the names of nodes:

    gradients/NODE                 histogram of the finite values
    gradients.norm/NODE            scalars: Euclidean norm and mean of the finite values,
    gradients.mean/NODE            and how many values are NaN or infinite
    gradients.nonfinite/NODE

and the same with `activations` in place of `gradients`; NODE is a variable there, and here the node whose
output it is (`NODE:1` for a second output). So the part behind the first `/` joins a tag to its node.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from graphflow.autodiff.reverse import gradients as gradients_of
from graphflow.errors import DTypeError, GraphError
from graphflow.ir import provenance
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.ir.traversal import ancestors
from graphflow.train import settings

if TYPE_CHECKING:
    from graphflow.train.events import SummaryWriter

KINDS = ("gradients", "activations")
STATISTICS = ("norm", "mean", "nonfinite")

_VALUELESS = frozenset({"placeholder", "variable", "constant"})


class Watch:
    """What `watch` gives: fetches for the steps at which it is due, and a way to write them.

    Attributes:
        tensors: what it fetches, by the tag of its histogram.
        every: at which steps it is due: those that this divides.
    """

    def __init__(self, tensors: Mapping[str, Tensor], every: int) -> None:
        self.tensors = dict(tensors)
        self.every = every

    def fetches(self, step: int) -> dict[str, Tensor]:
        """What to fetch beside the rest at this step: `tensors` if it is due, else nothing."""
        return self.tensors if step % self.every == 0 else {}

    def write(self, writer: SummaryWriter, values: Mapping[str, Any], step: int) -> None:
        """Write what a run gave for `fetches(step)`; nothing if that was nothing."""
        for tag, value in values.items():
            kind, _, node = tag.partition("/")
            array = np.asarray(value).astype(np.float64, copy=False)
            finite = array[np.isfinite(array)]
            writer.histogram(tag, finite, step)
            found = {
                "norm": _norm(finite),
                "mean": float(finite.mean()) if finite.size else math.nan,
                "nonfinite": array.size - finite.size,
            }
            for name in STATISTICS:
                writer.scalar(f"{kind}.{name}/{node}", found[name], step)

    def __repr__(self) -> str:
        return f"<watch of {len(self.tensors)} tensors, every {self.every} steps>"


def watch(
    loss: Tensor,
    gradients: bool | str | Sequence[Any] = True,
    activations: str | Sequence[Any] = (),
    every: int = 100,
) -> Watch:
    """Fetches that tell how gradients and activations are doing, for use beside those of a training step.

    Arguments:
        loss: what is trained on.
        gradients: True for the gradients of all trainable variables that the loss depends on; or some:
            variables, names, or patterns such as "dense*". They are built here, once, and in a run
            merged with those that the training method built.
        activations: names of nodes, patterns such as "encoder/*/relu", or tensors.
        every: at which steps: those that this divides.

    Returns:
        a Watch; see its methods for use.

    Raises:
        GraphError: for a name or pattern that fits nothing.
        DTypeError: for a tensor that has no real numbers.

    >>> import tempfile
    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (4, 3))
    >>> w = gf.variable("w", initializer=[[1.0], [2.0], [3.0]])
    >>> loss = gf.mean(gf.nn.relu(x @ w, name="score"))
    >>> train = gf.train.SGD(0.1).minimize(loss)
    >>> watch = gf.train.watch(loss, activations="score", every=2)
    >>> with tempfile.TemporaryDirectory() as folder, gf.Session(backend="numpy") as sess:
    ...     with gf.train.SummaryWriter(folder) as writer:
    ...         for step in range(4):
    ...             _, seen = sess.run([train, watch.fetches(step)], {x: [[1.0, 2.0, 3.0]] * 4})
    ...             watch.write(writer, seen, step)
    ...     print(sorted(watch.tensors), len(seen))
    ['activations/score', 'gradients/w'] 0
    """
    if not isinstance(loss, Tensor):
        raise DTypeError(f"a {type(loss).__name__} is no loss", hint="pass the tensor that is trained on")
    period = settings.whole("every", every)
    found: dict[str, Tensor] = {}
    variables = _variables(loss, gradients)
    slopes = gradients_of(loss, variables, unconnected="none") if variables else []
    for variable, slope in zip(variables, slopes):
        if slope is not None:
            found[f"gradients/{variable.node.name}"] = slope
    for tensor in _activations(loss.graph, activations):
        name = tensor.node.name + (f":{tensor.index}" if tensor.index else "")
        found[f"activations/{name}"] = tensor
    return Watch(found, period)


def _variables(loss: Tensor, wanted: Any) -> list[Tensor]:
    reached = ancestors([loss])
    usable = {
        tensor.node.name: tensor
        for tensor in loss.graph.variables.values()
        if tensor.dtype.is_floating and tensor.node in reached
    }
    if isinstance(wanted, bool):
        return [tensor for tensor in usable.values() if wanted and tensor.node.attrs.trainable]
    return _chosen(wanted, usable, "variable that the loss depends on")


def _activations(graph: Graph, wanted: Any) -> list[Tensor]:
    usable = {
        node.name: node.outputs[0]
        for node in graph.nodes
        if node.op.name not in _VALUELESS and node.outputs and _is_real(node.outputs[0])
    }
    return _chosen(wanted, usable, "node that makes real numbers")


def _chosen(wanted: Any, usable: Mapping[str, Tensor], what: str) -> list[Tensor]:
    """The tensors that names, patterns and tensors stand for, each once, in the order asked for."""
    found: dict[Tensor, None] = {}
    for one in [wanted] if isinstance(wanted, (str, Tensor)) else list(wanted):
        if isinstance(one, Tensor):
            if not _is_real(one):
                raise DTypeError(
                    f"{one.name} is {one.type}, which has no distribution",
                    hint="watch tensors of real numbers",
                    origin=provenance.capture(),
                )
            found[one] = None
            continue
        fitting = (
            [usable[one]] if one in usable else [t for name, t in usable.items() if fnmatchcase(name, one)]
        )
        if not fitting:
            near = ", ".join(list(usable)[:5]) or "none"
            raise GraphError(
                f"{one!r:.80} fits the name of no {what}",
                hint=f"there are {len(usable)}, such as {near}",
                origin=provenance.capture(),
            )
        found.update(dict.fromkeys(fitting))
    return list(found)


def _is_real(tensor: Tensor) -> bool:
    return tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.name == "bool"


def _norm(values: np.ndarray) -> float:
    """The Euclidean norm, in units of the largest value so that squares do not overflow."""
    largest = float(np.abs(values).max()) if values.size else 0.0
    return largest * float(np.linalg.norm(values / largest)) if largest else 0.0
