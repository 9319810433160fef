"""Our backends behind ONNX's own interface, onnx.backend.base: prepare a model, run it on arrays.

A run imports the model for the shapes, and the lengths of sequences, that it is given; and for the
values of those inputs that decide what the graph is. What was imported is kept for the next such run.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep

from graphflow.errors import FeedError
from graphflow.io.onnx.call import Value, ValueNeeded
from graphflow.io.onnx.loading import Given, Imported, import_model, open_inputs, refuse_unsupported
from graphflow.io.onnx.reading import NEWEST, read_model
from graphflow.io.onnx.tensors import given_array
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.node import Tensor
from graphflow.ir.types import TensorType
from graphflow.session.session import Session

MOST_KEPT = 16
"""How many graphs a prepared model keeps."""


class PreparedModel(BackendRep):
    """A model that is ready to run.

    Attributes:
        deciding: the names of the inputs for whose values the graph is imported anew.
    """

    def __init__(self, source: Any, backend: str, level: str) -> None:
        self.model, self.folder = read_model(source)
        refuse_unsupported(self.model)
        self.backend, self.level = backend, level
        self.deciding: set[str] = set()
        self._kept: OrderedDict[Any, tuple[Imported, Session]] = OrderedDict()

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs for these inputs.

        Arguments:
            inputs: a value for each input, in order or by name: an array, a list of arrays for a sequence,
                None for an optional value that is absent.

        Returns:
            for each output an array, a list of arrays, or None.

        Raises:
            FeedError: for another number of inputs, or names that are no inputs.
        """
        named = self._named(inputs)
        while True:
            try:
                made, session = self._graph(named)
                break
            except ValueNeeded as error:
                if not error.names or set(error.names) <= self.deciding:
                    raise
                self.deciding.update(error.names)
        feeds: dict[Tensor, Any] = {}
        for name, value in made.inputs.items():
            if name not in self.deciding:
                _feed(feeds, value, named[name])
        return _computed(session, made, feeds)

    def _named(self, inputs: Any) -> dict[str, Any]:
        if isinstance(inputs, dict):
            named = dict(inputs)
        else:
            listed = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
            known = open_inputs(self.model)
            entries = known if len(listed) <= len(known) else list(self.model.graph.input)
            if len(listed) > len(entries):
                raise FeedError(
                    f"the model has {len(entries)} inputs, but {len(listed)} are given",
                    hint="pass one for each",
                )
            named = {entry.name: value for entry, value in zip(entries, listed)}
        unknown = sorted(named.keys() - {entry.name for entry in self.model.graph.input})
        missing = [entry.name for entry in open_inputs(self.model) if entry.name not in named]
        if unknown or missing:
            what = f"has no input {unknown[0]!r}" if unknown else f"needs the input {missing[0]!r}"
            raise FeedError(f"the model {what}", hint="pass a value for each input")
        return {name: _plain(value) for name, value in named.items()}

    def _graph(self, named: dict[str, Any]) -> tuple[Imported, Session]:
        """The graph for such inputs, and a session that runs it."""
        given = {name: value if name in self.deciding else _kind(value) for name, value in named.items()}
        key = tuple([(name, _key(value)) for name, value in given.items()])
        found = self._kept.get(key)
        if found is None:
            made = import_model(self.model, self.folder, given, fixed_sizes=True)
            found = made, Session(made.graph, backend=self.backend, level=self.level)
            self._kept[key] = found
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)[1][1].close()
        self._kept.move_to_end(key)
        return found


def _plain(value: Any) -> Any:
    """An input as arrays."""
    if value is None:
        return None
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else given_array(value)


def _kind(value: Any) -> Given:
    """What of an input a graph is imported for."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_kind(one) for one in value]
    return TensorType(as_dtype(value.dtype), value.shape)


def _key(given: Given) -> Any:
    if isinstance(given, list):
        return tuple(map(_key, given))
    if isinstance(given, np.ndarray):
        data = tuple(given.reshape(-1).tolist()) if given.dtype.kind == "T" else given.tobytes()
        return str(given.dtype), given.shape, data
    return given


def _feed(feeds: dict[Tensor, Any], value: Value, given: Any) -> None:
    if isinstance(value, list):
        for one, other in zip(value, given):
            _feed(feeds, one, other)
    elif isinstance(value, Tensor) and value.node.op.name == "placeholder":
        feeds[value] = given


def _computed(session: Session, made: Imported, feeds: dict[Tensor, Any]) -> tuple[Any, ...]:
    """The outputs, in the structure that the model gives them."""
    wanted: list[Tensor] = []
    for value in made.outputs.values():
        wanted += [one for one in (value if isinstance(value, list) else [value]) if one is not None]
    needed = _needed(wanted)
    found = session.run(wanted, {tensor: value for tensor, value in feeds.items() if tensor in needed})
    results = iter([_handed_out(one) for one in found])
    return tuple(
        [
            [next(results) for _ in value]
            if isinstance(value, list)
            else None
            if value is None
            else next(results)
            for value in made.outputs.values()
        ]
    )


def _needed(wanted: Sequence[Tensor]) -> set[Tensor]:
    from graphflow.session.feeds import needed_placeholders

    return set(needed_placeholders(wanted)) if wanted else set()


def _handed_out(value: Any) -> np.ndarray:
    """A result as onnx has it, with text as objects."""
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "T" else array


class GraphFlowBackend(Backend):
    """ONNX's interface to backends.

    >>> import numpy as np, onnx
    >>> node = onnx.helper.make_node("Abs", ["x"], ["y"])
    >>> GraphFlowBackend.run_node(node, [np.float32([-1, 2])], backend="numpy")
    (array([1., 2.], dtype=float32),)
    """

    backend = "jax"
    level = "O2"

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether there is such a device; the CPU."""
        return device.partition(":")[0] == "CPU"

    @classmethod
    def prepare(
        cls,
        model: Any,
        device: str = "CPU",
        backend: str | None = None,
        level: str | None = None,
        **kwargs: Any,
    ) -> PreparedModel:
        """A model that is ready to run.

        Arguments:
            model: an onnx.ModelProto, a path or bytes.
            device: "CPU".
            backend: "jax" or "numpy".
            level: how much to optimise, "O0" to "O3".
        """
        return PreparedModel(model, backend or cls.backend, level or cls.level)

    @classmethod
    def run_model(cls, model: Any, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """The outputs of a model for these inputs."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls, node: onnx.NodeProto, inputs: Any, device: str = "CPU", outputs_info: Any = None, **kwargs: Any
    ) -> tuple[Any, ...]:
        """The outputs of one node for these inputs."""
        arrays = [_plain(value) for value in inputs]
        names = [name for name in node.input if name]
        entries = [_info(name, value) for name, value in zip(names, arrays)]
        made = [helper.make_tensor_value_info(name, 0, None) for name in node.output if name]
        domains = {"": kwargs.pop("opset_version", NEWEST), **({node.domain: 1} if node.domain else {})}
        sets = [helper.make_opsetid(domain, version) for domain, version in domains.items()]
        graph = helper.make_graph([node], node.name or node.op_type, entries, made)
        model = helper.make_model(graph, opset_imports=sets)
        return cls.prepare(model, device, **kwargs).run(arrays)


def _info(name: str, value: Any) -> onnx.ValueInfoProto:
    entry = onnx.ValueInfoProto(name=name)
    entry.type.tensor_type.elem_type = 0
    return entry


class JaxBackend(GraphFlowBackend):
    """Models run by the jax backend."""


class NumpyBackend(GraphFlowBackend):
    """Models run by the numpy backend."""

    backend = "numpy"


prepare = GraphFlowBackend.prepare
run_model = GraphFlowBackend.run_model
run_node = GraphFlowBackend.run_node
supports_device = GraphFlowBackend.supports_device
