"""gf.tflite.load: a TensorFlow Lite model as a Model: inputs placeholders, weights constants or variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.io.names import safe_name
from graphflow.io.tflite.importer import Importer, first_name
from graphflow.io.tflite.reading import File, Signature, Subgraph, TensorInfo, damage_told, read_file
from graphflow.io.tflite.tensors import dtype_of
from graphflow.io.tflite.vocabulary import COMPUTES, MOVES, STORED
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.model.model import Model
from graphflow.ops.declare import placeholder


def load(source: Any, trainable: bool = False, *, shapes: Mapping[str, Sequence[Any]] | None = None) -> Model:
    """The model in a .tflite file, to be run, optimised, trained and saved like any other.

    Inputs and outputs have the names of the file's first signature, or without one those of its tensors.
    They are as in the file: images have the channels last, and those of quantized models are whole numbers.
    What is quantized is computed as real numbers between `dequantize_linear` and `quantize_linear`, where
    TensorFlow Lite multiplies whole numbers by fixed-point factors: each operator agrees to one step of the
    scale of its output.

    Arguments:
        source: a path, or the bytes of a file.
        trainable: let weights, floats of rank 1 and more, be variables to train rather than constants;
            quantized ones stay constants.
        shapes: of inputs, by name, in the place of those in the file.

    Raises:
        FileFormatError: for what is no TensorFlow Lite model, is damaged, or has operators that are not
            supported, which are all listed.
        GraphFlowError: for an operator that cannot be imported, with its index.
        BackendError: if the package `tflite` is not installed.

    Source: TensorFlow Lite's schema, version 3, and its 8-bit quantization specification.

    >>> import graphflow as gf
    >>> gf.tflite.load(b"\\x08\\x0a:\\x00not one")  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    graphflow.errors.FileFormatError: what is given is no TensorFlow Lite model
    """
    file = read_file(source)
    missing = _unsupported(file)
    if missing:
        raise FileFormatError(
            "the model has operators that are not supported: " + "; ".join(missing[:20]),
            hint="gf.tflite.unsupported(path) lists them; convert with TensorFlow Lite's own operators",
        )
    with damage_told():
        return _imported(file, trainable, dict(shapes or {}))


def unsupported(source: Any) -> list[str]:
    """What of a .tflite file cannot be imported: one line for each operator and version, with its indices.

    Raises:
        FileFormatError: for what is no TensorFlow Lite model.

    >>> import graphflow as gf
    >>> gf.tflite.unsupported("model.tflite")  # doctest: +SKIP
    ["CUSTOM 'MyOperator' version 1: operator 3", 'SVDF version 2: operators 0, 7']
    """
    return _unsupported(read_file(source))


def _unsupported(file: File) -> list[str]:
    rows: dict[tuple[str, int], list[str]] = {}
    for number, graph in enumerate(file.subgraphs):
        for operator in graph.operators:
            if not any(operator.name in table for table in (COMPUTES, MOVES, STORED)):
                where = f"{operator.index}" if not number else f"{operator.index} of subgraph {number}"
                rows.setdefault((operator.name, operator.version), []).append(where)
    return [_row(key, places) for key, places in sorted(rows.items())]


def _row(key: tuple[str, int], places: Sequence[str]) -> str:
    several = "operators" if places[1:] else "operator"
    more = f" and {len(places) - 4} more" if places[4:] else ""
    return f"{key[0]} version {key[1]}: {several} {', '.join(places[:4])}{more}"


def _imported(file: File, trainable: bool, shapes: dict[str, Sequence[Any]]) -> Model:
    graph = file.subgraphs[0]
    signature = next((one for one in file.signatures if not one.subgraph), Signature(0, {}, {}))
    names = _names(graph, graph.inputs, signature.inputs)
    unknown = [name for name in shapes if name not in names]
    if unknown:
        raise FileFormatError(
            f"the model has no input {unknown[0]!r:.80}", hint=f"it has {', '.join(names) or 'none'}"
        )
    with Graph(safe_name(graph.name or "tflite")) as made:
        importer = Importer(file, trainable)
        inputs = {
            name: _fed(importer, name, graph.tensors[place], shapes.get(name))
            for name, place in zip(names, graph.inputs)
        }
        values = importer.subgraph(0, list(inputs.values()))
    outputs = dict(zip(_names(graph, graph.outputs, signature.outputs), values))
    try:
        return Model(made, inputs, outputs)
    except GraphFlowError as error:
        raise FileFormatError(f"the .tflite model is no model: {error.message}", hint=error.hint) from error


def _names(graph: Subgraph, places: Sequence[int], named: Mapping[int, str]) -> list[str]:
    """Different names for the tensors at these places: those of the signature, if it names all."""
    of_signature = all(named.get(place) for place in places)
    made: list[str] = []
    for place in places:
        name = named[place] if of_signature else first_name(graph.tensors[place].name)
        while name in made:
            name += "_"
        made.append(name)
    return made


def _fed(importer: Importer, name: str, info: TensorInfo, shape: Sequence[Any] | None) -> Tensor:
    sizes = [size if size >= 0 else None for size in info.shape] if shape is None else shape
    return placeholder(importer.plain_name(name), tuple(sizes), dtype_of(info.kind))
