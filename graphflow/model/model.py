"""The Model: a function from named inputs to named outputs, as a graph of its own with its weights."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphflow.errors import FeedError, GraphError, GraphFlowError
from graphflow.ir import provenance
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.ir.traversal import ancestors
from graphflow.model.prune import prune, refuse_missing_inputs
from graphflow.model.shown import Shown
from graphflow.session.arguments import checked_backend, checked_level
from graphflow.session.session import Session
from graphflow.session.value_feeds import deciding_placeholders

Named: TypeAlias = Mapping[str, Tensor | str] | Sequence[Tensor | str] | Tensor | str

DEFAULT = "serve"


@dataclass(frozen=True, slots=True)
class Signature:
    """Named inputs and outputs, in order.

    Attributes:
        inputs: the placeholders of the model's graph, by name.
        outputs: the tensors of the model's graph, by name.
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def __str__(self) -> str:
        return f"{_listed(self.inputs)} -> {_listed(self.outputs)}"


class Model(Shown):
    """A graph with named inputs and outputs, and its weights.

    It has a copy of what the outputs need, in which every variable starts from its weight, so a
    `gf.Session(model.graph)` goes on from there; later changes of the graph or session do not
    reach it. The training flag stays a built-in input, False when the model is run.

    Arguments:
        graph: the graph; that of the outputs by default.
        inputs: tensors or names, in order; or a mapping of names of your choice to them. A tensor in
            the middle of the graph becomes an input that cuts off what is above it.
        outputs: likewise. Without a mapping an output has the name of its node. A graph that has
            outputs of its own, as those of gf.trace, needs neither: its placeholders are the inputs.
        session: whose variables give the weights; by default they are drawn as a session of seed 0
            draws them.
        signatures: further pairs (inputs, outputs) by name; `inputs` and `outputs` are "serve".
        weights: arrays by variable, instead of a session.

    Attributes:
        graph: the model's own graph.
        signatures: the named functions it offers.
        exports: the model in other forms, bytes by file name, if it was loaded with some.
        calibration: what calibration has found, a dict, if it was loaded with that.

    Raises:
        GraphError: if an output needs a placeholder that is not among the inputs, a name is taken
            twice, or tensors are not of the graph.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 2))
    >>> w = gf.variable("w", (2,), initializer=gf.initializers.constant(3.0))
    >>> model = gf.Model(inputs=[x], outputs={"y": gf.multiply(x, w)})
    >>> model.run({"x": [[1.0, 2.0]]}, backend="numpy")
    {'y': array([[3., 6.]], dtype=float32)}
    >>> model
    <model 'default': x float32[batch, 2] -> y float32[batch, 2]; 2 weights in 1 variable>
    """

    def __init__(
        self,
        graph: Graph | None = None,
        inputs: Named = (),
        outputs: Named = (),
        session: Session | None = None,
        *,
        signatures: Mapping[str, tuple[Named, Named]] | None = None,
        weights: Mapping[str, Any] | None = None,
    ) -> None:
        pairs = _pairs(signatures)
        if _is_empty(outputs) and not pairs and isinstance(graph, Graph) and graph.outputs:
            outputs = _own_outputs(graph)
            inputs = list(graph.placeholders.values()) if _is_empty(inputs) else inputs
        if not _is_empty(outputs):
            if DEFAULT in pairs:
                raise GraphError(
                    f"the signature {DEFAULT!r} is given twice", hint="leave inputs and outputs out"
                )
            pairs = {DEFAULT: (inputs, outputs), **pairs}
        try:
            source = _source_graph(graph, session, pairs)
            named = {name: _resolve(source, name, *pair) for name, pair in pairs.items()}
            values = _weights(source, named, session, weights)
            self.graph, copies = _pruned(source, named, values)
        except GraphFlowError as error:
            raise error.located(origin=provenance.capture()) from None
        self.signatures = {
            name: Signature(_moved(inputs, copies), _moved(outputs, copies))
            for name, (inputs, outputs) in named.items()
        }
        self.exports: dict[str, bytes | memoryview] = {}
        self.calibration: dict[str, Any] | None = None
        self.report: Any = None
        self._sessions: dict[tuple[str, str], Session] = {}
        self._lock = threading.Lock()

    # Reading

    @property
    def default(self) -> str:
        """The name of the signature that is meant where none is given: "serve", or the first."""
        return DEFAULT if DEFAULT in self.signatures else next(iter(self.signatures))

    @property
    def inputs(self) -> dict[str, Tensor]:
        """The input tensors of the model's graph by name, in order."""
        return self.signatures[self.default].inputs

    @property
    def outputs(self) -> dict[str, Tensor]:
        """The output tensors of the model's graph by name, in order."""
        return self.signatures[self.default].outputs

    @property
    def weights(self) -> dict[str, np.ndarray]:
        """The value of each variable by name; read-only arrays."""
        return {name: tensor.node.attrs["initializer"].array for name, tensor in self.graph.variables.items()}

    def __repr__(self) -> str:
        weights = self.weights
        count = sum(array.size for array in weights.values())
        variables = f"{count:,} weights in {len(weights)} variable{'s' * (len(weights) != 1)}"
        return f"<model {self.graph.name!r}: {self.signatures[self.default]}; {variables}>"

    def __str__(self) -> str:
        weights = self.weights.values()
        lines = [f"model {self.graph.name!r}"]
        for name, signature in self.signatures.items():
            lines.append(f"  {name}")
            lines += [f"    in   {key}  {tensor.type}" for key, tensor in signature.inputs.items()]
            lines += [f"    out  {key}  {tensor.type}" for key, tensor in signature.outputs.items()]
        many, size = sum(array.size for array in weights), sum(array.nbytes for array in weights)
        lines.append(f"  {len(self.graph)} nodes, {len(weights)} variables, {many:,} weights, {size:,} bytes")
        if constants := [node.attrs.value.nbytes for node in self.graph if node.op.name == "constant"]:
            lines.append(f"  {len(constants)} constant{'s' * (len(constants) > 1)}, {sum(constants):,} bytes")
        if self.calibration is not None:
            lines.append("  with a calibration table")
        if self.exports:
            lines.append("  exported as " + ", ".join(self.exports))
        return "\n".join(lines)

    # Running

    def run(
        self,
        feeds: Mapping[Any, Any] | None = None,
        backend: str = "jax",
        level: str = "O2",
        signature: str | None = None,
    ) -> dict[str, np.ndarray]:
        """The outputs for given inputs.

        Arguments:
            feeds: an array for each input, by its name (or by the tensor in `inputs`).
            backend: "jax", "numpy" or another installed backend.
            level: how much to optimise, "O0" to "O3".
            signature: which of several functions; the default one if left out.

        Returns:
            an array for each output, by name.

        Raises:
            FeedError: for an unknown or missing input, or an array that does not fit.
        """
        chosen = self._signature(signature)
        if not isinstance(feeds, Mapping | None):
            raise FeedError(f"the feeds are {feeds!r:.80}", hint="pass a dict from input names to arrays")
        fed = self._feeds(chosen, feeds or {})
        values = self._session(backend, level).run(list(chosen.outputs.values()), fed)
        return dict(zip(chosen.outputs, values))

    def _signature(self, name: str | None) -> Signature:
        chosen = self.default if name is None else name
        if not isinstance(chosen, str) or chosen not in self.signatures:
            raise GraphError(
                f"the model has no signature {name!r:.80}",
                hint="it has " + ", ".join(map(repr, self.signatures)),
            )
        return self.signatures[chosen]

    def _feeds(self, signature: Signature, feeds: Mapping[Any, Any]) -> dict[Tensor, Any]:
        inputs = signature.inputs
        names = {tensor: name for name, tensor in inputs.items()}
        given: dict[str, Any] = {}
        for key, value in feeds.items():
            name = names.get(key) if isinstance(key, Tensor) else key
            if not isinstance(name, str) or name not in inputs:
                shown = key.name if isinstance(key, Tensor) else key
                raise FeedError(f"the model has no input {shown!r}", hint=f"it takes {_listed(inputs)}")
            if name in given:
                raise FeedError(
                    f"the input {name!r} is fed twice", hint="feed it by its name or by its tensor"
                )
            given[name] = value
        missing = [name for name in inputs if name not in given]
        if missing:
            listed = ", ".join(map(repr, missing))
            raise FeedError(
                f"the model's inputs {listed} are not fed"
                if missing[1:]
                else f"the model's input {listed} is not fed",
                hint=f"it takes {_listed(inputs)}",
            )
        needed = ancestors(signature.outputs.values())
        needed.update([tensor.node for tensor in deciding_placeholders(self.graph, needed)])
        return {tensor: given[name] for name, tensor in inputs.items() if tensor.node in needed}

    def _session(self, backend: str, level: str) -> Session:
        checked_backend(backend)
        checked_level(level)
        with self._lock:
            found = self._sessions.get((backend, level))
            if found is None:
                found = self._sessions[backend, level] = Session(self.graph, backend=backend, level=level)
            return found


# Taking arguments apart


def _pairs(signatures: Any) -> dict[str, tuple[Named, Named]]:
    """The signatures as a dict of pairs, once it is known that they are some."""
    if signatures is None:
        return {}
    good = isinstance(signatures, Mapping) and all(
        isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in signatures.values()
    )
    if not good:
        raise GraphError(
            f"the signatures are {signatures!r:.80}", hint='pass a dict: {"serve": ([x], [y]), ...}'
        )
    return {name: tuple(pair) for name, pair in signatures.items()}


def _own_outputs(graph: Graph) -> dict[str, Tensor]:
    """The outputs that a traced graph has, by names that are each used once."""
    named: dict[str, Tensor] = {}
    for tensor in graph.outputs:
        base = tensor.node.name if len(tensor.node.outputs) == 1 else tensor.name
        name, number = base, 0
        while name in named:
            number += 1
            name = f"{base}_{number}"
        named[name] = tensor
    return named


def _is_empty(named: Named) -> bool:
    return isinstance(named, (list, tuple, Mapping)) and not named


def _listed(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join([f"{name} {tensor.type}" for name, tensor in tensors.items()]) or "nothing"


def _moved(tensors: Mapping[str, Tensor], copies: Mapping[Tensor, Tensor]) -> dict[str, Tensor]:
    return {name: copies[tensor] for name, tensor in tensors.items()}


def _values(named: Named) -> Iterable[Tensor | str]:
    if isinstance(named, (Tensor, str)):
        return [named]
    if isinstance(named, Mapping):
        return named.values()
    if not isinstance(named, (list, tuple)):
        raise GraphError(
            f"{named!r:.80} are no inputs or outputs of a model",
            hint="pass a list of tensors, or a dict from names to tensors",
        )
    return named


def _source_graph(
    graph: Graph | None, session: Session | None, pairs: Mapping[str, tuple[Named, Named]]
) -> Graph:
    if not pairs:
        raise GraphError("a model needs outputs", hint="pass outputs=[tensor, ...]")
    for value, kind in ((graph, Graph), (session, Session)):
        if not isinstance(value, kind | None):
            raise GraphError(
                f"{value!r:.80} is no {kind.__name__}",
                hint="call it as gf.Model(graph, inputs, outputs, session)",
            )
    if graph is None and session is not None:
        graph = session.graph
    if graph is None:
        found = [value for pair in pairs.values() for value in _values(pair[1]) if isinstance(value, Tensor)]
        if not found:
            raise GraphError(
                "the graph of the model is not known", hint="pass the graph, or tensors as outputs"
            )
        graph = found[0].graph
    if session is not None and session.graph is not graph:
        raise GraphError(
            f"the session runs the graph {session.graph.name!r}, not {graph.name!r}",
            hint="pass a session of the model's graph",
        )
    return graph


def _resolve(
    graph: Graph, name: str, inputs: Named, outputs: Named
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    if not isinstance(name, str) or not name or _is_empty(outputs):
        raise GraphError(f"the signature {name!r} needs a name and outputs", hint='{"serve": ([x], [y])}')
    return _named(graph, inputs, "input"), _named(graph, outputs, "output")


def _named(graph: Graph, given: Named, kind: str) -> dict[str, Tensor]:
    """Tensors by name: the given names, or those of their nodes."""
    if isinstance(given, Mapping):
        pairs = [(name, _tensor(graph, value, kind)) for name, value in given.items()]
    else:
        tensors = [_tensor(graph, value, kind) for value in _values(given)]
        pairs = [
            (tensor.node.name if len(tensor.node.outputs) == 1 else tensor.name, tensor) for tensor in tensors
        ]
    named: dict[str, Tensor] = {}
    for name, tensor in pairs:
        if not isinstance(name, str) or not name:
            raise GraphError(f"{name!r} cannot name an {kind}", hint="use a string")
        if name in named or (kind == "input" and tensor in named.values()):
            raise GraphError(f"the {kind} {name!r} is listed twice", hint=f"list each {kind} once")
        named[name] = tensor
    return named


def _tensor(graph: Graph, value: Any, kind: str) -> Tensor:
    if isinstance(value, str):
        return graph.tensor(value)
    if not isinstance(value, Tensor):
        raise GraphError(f"{value!r} cannot be an {kind} of a model", hint="pass tensors or names of tensors")
    if value.graph is not graph:
        raise GraphError(
            f"the {kind} {value.name!r} belongs to the graph {value.graph.name!r}, not to {graph.name!r}",
            hint="pass the graph that holds it",
        )
    return value


def _pruned(
    graph: Graph,
    named: Mapping[str, tuple[dict[str, Tensor], dict[str, Tensor]]],
    weights: Mapping[str, np.ndarray],
) -> tuple[Graph, dict[Tensor, Tensor]]:
    every_input = list(dict.fromkeys(tensor for inputs, _ in named.values() for tensor in inputs.values()))
    every_output = list(dict.fromkeys(tensor for _, outputs in named.values() for tensor in outputs.values()))
    copy, copies = prune(graph, every_input, every_output, weights)
    for inputs, outputs in named.values():
        own = {copies[tensor] for tensor in inputs.values()}
        refuse_missing_inputs(own, [copies[tensor] for tensor in outputs.values()])
    return copy, copies


def _weights(
    graph: Graph,
    named: Mapping[str, tuple[dict[str, Tensor], dict[str, Tensor]]],
    session: Session | None,
    weights: Mapping[str, Any] | None,
) -> Mapping[str, np.ndarray]:
    """The values of the variables that the outputs need."""
    names: dict[str, None] = {}
    for inputs, outputs in named.values():
        needed = ancestors(outputs.values(), stop=set(inputs.values()).__contains__)
        names.update(dict.fromkeys(sorted([node.name for node in needed if node.op.name == "variable"])))
    if weights is not None:
        if not isinstance(weights, Mapping):
            raise GraphError(f"the weights are {weights!r:.80}", hint="pass a dict from variables to arrays")
        missing = [name for name in names if name not in weights]
        if missing:
            raise GraphError(
                f"there is no weight for the variable {missing[0]!r}", hint="pass one for each variable"
            )
        return {name: weights[name] for name in names}
    if session is not None:
        return {name: session.variables[name] for name in names}
    with Session(graph, backend="numpy", seed=0) as fresh:
        return {name: fresh.variables[name] for name in names}
