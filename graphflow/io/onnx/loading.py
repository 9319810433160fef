"""gf.onnx.load: an ONNX model as a Model: its inputs placeholders, its weights constants or variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from graphflow.errors import UNFORESEEN, FileFormatError, GraphFlowError
from graphflow.io.names import safe_name
from graphflow.io.onnx.call import Value
from graphflow.io.onnx.importer import Importer, Scope, Weights
from graphflow.io.onnx.importer import unsupported as unsupported_in
from graphflow.io.onnx.reading import domain_of, opsets, read_model
from graphflow.io.onnx.tensors import dtype_of, given_array
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.ir.types import TensorType
from graphflow.model.model import Model
from graphflow.ops.declare import constant, placeholder

Given = Any
"""What an input is given: an array that it always holds, a TensorType, a list of such, or None for absent."""

_STATISTICS = slice(3, 5)


@dataclass
class Imported:
    """A graph with the inputs and outputs that the ONNX model has: tensors, lists of tensors, or None."""

    graph: Graph
    inputs: dict[str, Value]
    outputs: dict[str, Value]


def load(
    source: Any,
    trainable: bool = False,
    *,
    values: Mapping[str, Any] | None = None,
    shapes: Mapping[str, Sequence[Any]] | None = None,
) -> Model:
    """The model in an ONNX file, to be run, optimised, trained and saved like any other.

    Inputs and outputs have their ONNX names, sizes with names are symbolic, and each node keeps the name
    that it had as its origin. Opsets 1 to 28 are read, with functions, branches, loops, data in files
    beside the model, and all element types.

    Arguments:
        source: a path, the bytes of a file, or an onnx.ModelProto.
        trainable: let weights, floats of rank 1 and more, be variables to train rather than constants; the
            averages of batch normalizations become variables that no training method changes.
        values: what inputs always hold, by name; they are no inputs of the Model then. For those that
            decide what the graph is, as an axis or the sign of a step, where errors ask for it.
        shapes: of inputs, by name, in the place of those in the file.

    Returns:
        a Model. Of a sequence, the elements are inputs or outputs of their own: `name[0]`, `name[1]`.

    Raises:
        FileFormatError: for what is no ONNX model, is damaged, or has operators that are not supported,
            which are all listed.
        GraphFlowError: for a node that cannot be imported, with its name.

    >>> import graphflow as gf, onnx.parser
    >>> proto = onnx.parser.parse_model('<ir_version: 10, opset_import: ["": 22]> '
    ...     'g (float[n, 2] x) => (float[n, 2] y) {two = Constant<value_float = 2.0>() y = Mul(x, two)}')
    >>> gf.onnx.load(proto).run({"x": [[1.0, 3.0]]}, backend="numpy")
    {'y': array([[2., 6.]], dtype=float32)}
    """
    with damage_told():
        return _loaded(source, trainable, values, shapes)


def _loaded(
    source: Any, trainable: bool, values: Mapping[str, Any] | None, shapes: Mapping[str, Sequence[Any]] | None
) -> Model:
    model, folder = read_model(source)
    refuse_unsupported(model)
    given: dict[str, Given] = {name: given_array(value) for name, value in (values or {}).items()}
    fixed = set(given)
    for name, shape in (shapes or {}).items():
        kind = declared(_entry(model, name))
        given[name] = (kind, tuple(shape))
    _require_inputs(model, given)
    weights = Weights(trainable, _statistics(model) if trainable else frozenset())
    made = import_model(model, folder, given, weights)
    try:
        return Model(made.graph, _flat(made.inputs, fixed), _flat(made.outputs, set()))
    except GraphFlowError as error:
        raise FileFormatError(f"the ONNX model is no model: {error.message}", hint=error.hint) from error


def unsupported(source: Any) -> list[str]:
    """What of an ONNX model cannot be imported: one line for each operator and version, with its nodes.

    Raises:
        FileFormatError: for what is no ONNX model, or uses an unknown opset.

    >>> import graphflow as gf, onnx.parser
    >>> gf.onnx.unsupported(onnx.parser.parse_model('<ir_version: 10, opset_import: ["": 22, "me": 1]> '
    ...     'g (float[n] x) => (float[n] y) {y = me.Odd(x)}'))
    ["Odd of me 1: 'y'"]
    """
    with damage_told():
        return unsupported_in(read_model(source)[0])


@contextmanager
def damage_told() -> Iterator[None]:
    """Let what a damaged file makes Python and its libraries raise be an error about the file."""
    try:
        yield
    except (*UNFORESEEN, RecursionError) as error:
        raise FileFormatError(
            f"the ONNX model is damaged: {error!s:.200}", hint="see whether onnx.checker accepts it"
        ) from error


def refuse_unsupported(model: onnx.ModelProto) -> None:
    """Raise unless all operators are supported, listing those that are not."""
    missing = unsupported_in(model)
    if missing:
        raise FileFormatError(
            "the model has operators that are not supported: " + "; ".join(missing[:20]),
            hint=_way_out(model),
        )


def _way_out(model: onnx.ModelProto) -> str:
    """What may be done about operators that are not supported."""
    domains = {domain_of(node) for node in model.graph.node} - {""}
    ways = ["gf.onnx.unsupported(model) lists them"]
    if "com.microsoft" in domains:
        ways.append(
            "export without onnxruntime's fusions, and a decoder without its loop of generation "
            "(BeamSearch, GreedySearch, Sampling)"
        )
    if domains - {"com.microsoft"}:
        ways.append("an operator of your own can be a function of the model: onnx.helper.make_function")
    return "; ".join(ways)


def import_model(
    model: onnx.ModelProto,
    folder: Path | None,
    given: Mapping[str, Given],
    weights: Weights | None = None,
    fixed_sizes: bool = False,
) -> Imported:
    """A graph of what the model computes, with inputs as they are given, else as the file declares them."""
    graph = Graph(safe_name(model.graph.name or "onnx"))
    importer = Importer(model, folder, weights, fixed_sizes)
    initialized = _initialized(model)
    scope = Scope()
    inputs: dict[str, Value] = {}
    with graph:
        for entry in model.graph.input:
            if entry.name in initialized and entry.name not in given:
                continue
            if entry.name in inputs:
                raise FileFormatError(
                    f"the input {entry.name!r:.80} is there twice", hint="get the model again"
                )
            what = given[entry.name] if entry.name in given else _type_of(entry)
            inputs[entry.name] = _made(importer, entry.name, entry.name, what)
            scope.define(entry.name, inputs[entry.name])
        made = importer.graph(model.graph, scope, opsets(model.opset_import))
    outputs: dict[str, Value] = {}
    for entry, value in zip(model.graph.output, made):
        if entry.name in outputs:
            raise FileFormatError(f"the output {entry.name!r:.80} is there twice", hint="get the model again")
        outputs[entry.name] = value
    return Imported(graph, inputs, outputs)


# Inputs


def _initialized(model: onnx.ModelProto) -> set[str]:
    names = {tensor.name for tensor in model.graph.initializer}
    return names | {sparse.values.name for sparse in model.graph.sparse_initializer}


def open_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that have no value in the model itself."""
    initialized = _initialized(model)
    return [entry for entry in model.graph.input if entry.name not in initialized]


def _entry(model: onnx.ModelProto, name: str) -> onnx.ValueInfoProto:
    found = next((entry for entry in model.graph.input if entry.name == name), None)
    if found is None:
        raise FileFormatError(f"the model has no input {name!r:.80}", hint=_inputs_of(model))
    return found


def _inputs_of(model: onnx.ModelProto) -> str:
    return "it has " + (", ".join(repr(entry.name) for entry in open_inputs(model)) or "none")


def _require_inputs(model: onnx.ModelProto, given: Mapping[str, Given]) -> None:
    for name in given:
        _entry(model, name)


def declared(entry: onnx.ValueInfoProto) -> Any:
    """The dtype of an input.

    Raises:
        FileFormatError: if it is no tensor.
    """
    kind = entry.type
    if kind.HasField("optional_type"):
        kind = kind.optional_type.elem_type
    if not kind.HasField("tensor_type"):
        raise FileFormatError(
            f"the input {entry.name!r:.80} is no tensor",
            hint="pass values={...} with what it holds; graphflow.io.onnx.backend takes sequences",
        )
    return dtype_of(kind.tensor_type.elem_type)


def _type_of(entry: onnx.ValueInfoProto) -> Given:
    dtype, kind = declared(entry), entry.type.tensor_type
    if not entry.type.HasField("tensor_type") or not kind.HasField("shape"):
        raise FileFormatError(
            f"the number of axes of the input {entry.name!r:.80} is not known",
            hint=f"pass shapes={{{entry.name!r}: (...)}}",
        )
    return dtype, tuple([_size(dim) for dim in kind.shape.dim])


def _size(dim: Any) -> int | str | None:
    if dim.HasField("dim_value"):
        return int(dim.dim_value) if dim.dim_value >= 0 else None
    plain = re.sub(r"\W", "_", dim.dim_param)
    return None if not plain else plain if plain.isidentifier() else f"_{plain}"


def _made(importer: Importer, name: str, label: str, what: Given) -> Value:
    if what is None:
        return None
    if isinstance(what, list):
        return [_made(importer, name, f"{label}.{index}", one) for index, one in enumerate(what)]
    plain = importer.plain_name(label)
    if isinstance(what, np.ndarray):
        return constant(what, name=plain, allow_nan=True)
    dtype, shape = (what.dtype, what.shape) if isinstance(what, TensorType) else what
    fed = placeholder(plain, shape, dtype)
    importer.fed[fed] = name
    return fed


# What a Model needs


def _statistics(model: onnx.ModelProto) -> frozenset[str]:
    """The initializers that are averages of batch normalizations."""
    return frozenset(
        name
        for node in model.graph.node
        if node.op_type == "BatchNormalization" and not domain_of(node)
        for name in node.input[_STATISTICS]
    )


def _flat(named: Mapping[str, Value], fixed: set[str]) -> dict[str, Tensor]:
    """The tensors, those in lists with their places."""
    made: dict[str, Tensor] = {}
    for name, value in named.items():
        if name in fixed:
            continue
        for place, one in enumerate(value) if isinstance(value, list) else [("", value)]:
            if isinstance(one, Tensor):
                made[f"{name}[{place}]" if isinstance(value, list) else name] = one
    return made
