"""Saved models: a folder, or one file, with the graph as text, the weights, and a manifest that vouches.

    manifest.json         what the files are (sizes, SHA-256), the arrays, the signatures
    graph.gf              the graph in text form
    weights.safetensors   the weights, and constants of more than 64 elements
    calibration.json      ranges of values for quantisation, if there are some
    model.onnx, ...       exports, if there are some

Loading executes nothing: the files are checked against the manifest before they are parsed, the graph is
verified, and what does not fit is refused. Saving what was loaded gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.errors import FileFormatError, GraphError, GraphFlowError, ParseError
from graphflow.files import Content, Digests, Piece, checked_path, strict_json
from graphflow.io.exports import exported, stablehlo
from graphflow.io.manifest import (
    CALIBRATION,
    GRAPH,
    LARGEST_MANIFEST,
    NAME,
    WEIGHTS,
    Manifest,
    read_manifest,
    write_manifest,
)
from graphflow.io.parts import check_names, open_parts, write_parts
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from graphflow.model.model import Model
from graphflow.session.array_file import pack, types_of, unpack
from graphflow.session.session import Session

__all__ = ["load", "save", "stablehlo"]

_SMALL = (GRAPH, CALIBRATION)
"""Files that are read in any case."""


def __dir__() -> list[str]:
    return sorted(__all__)


def save(
    path: str | Path,
    source: Session | Model,
    inputs: Any = (),
    outputs: Any = (),
    *,
    signatures: Mapping[str, tuple[Any, Any]] | None = None,
    exports: Mapping[str, bytes | Path | None] | None = None,
    calibration: Mapping[str, Any] | None = None,
) -> Path:
    """Write what the outputs need, with the session's weights, to a folder or to one file.

    A saved model that is there already is replaced all at once; after any failure the old one is
    whole. Files' folders are left out of the origins of nodes, so nothing tells where it was made.

    Arguments:
        path: the folder, or a file if it ends in .gfm or .zip; its parent has to exist.
        source: the Session whose variables are the weights, or a Model to write as it is.
        inputs, outputs: tensors or names, or mappings of names of your choice to them; as for gf.Model.
        signatures: pairs (inputs, outputs) by name; `inputs` and `outputs` are the one named "serve".
        exports: the model in other forms, by file name: the bytes, the path of a file that has them, or
            None to have it made, where the name ends in .onnx or .stablehlo. A Model's own are kept.
        calibration: a JSON object with what calibration has found; by default a Model's own.

    Returns:
        the path.

    Raises:
        FileFormatError: if it cannot be written, or something that is no saved model is in the way.
        GraphError: if an output needs a placeholder that is not among the inputs.

    >>> import tempfile
    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch",))
    >>> w = gf.variable("w", (), initializer=gf.initializers.constant(2.0))
    >>> with tempfile.TemporaryDirectory() as folder, gf.Session(backend="numpy") as sess:
    ...     path = gf.saved_model.save(folder + "/double", sess, inputs=[x], outputs={"y": gf.multiply(x, w)})
    ...     gf.saved_model.load(path).run({"x": [1.0, 4.0]}, backend="numpy")
    {'y': array([2., 8.], dtype=float32)}
    """
    place = checked_path(path)
    if not place.name:
        raise FileFormatError(
            f"{str(path)!r} cannot name a saved model", hint="give the name of a new folder"
        )
    model = _model_of(source, inputs, outputs, signatures)
    added = {**model.exports, **exported(model, exports or {})}
    table = model.calibration if calibration is None else calibration
    write_parts(place, _parts(model, added, None if table is None else _canonical(table)))
    return place


def _model_of(source: Any, inputs: Any, outputs: Any, signatures: Any) -> Model:
    if isinstance(source, Session):
        return Model(source.graph, inputs, outputs, source, signatures=signatures)
    if not isinstance(source, Model):
        raise FileFormatError(
            f"{type(source).__name__} cannot be saved as a model", hint="pass a gf.Session or a gf.Model"
        )
    if inputs != () or outputs != () or signatures:
        raise FileFormatError(
            "a Model has its own inputs and outputs",
            hint="leave them out, or make another gf.Model from its graph",
        )
    return source


def _canonical(table: Any) -> bytes:
    """A calibration table as JSON that is equal for equal tables."""
    try:
        content = json.dumps(table, indent=1, sort_keys=True, allow_nan=False).encode("ascii") + b"\n"
        same = isinstance(table, Mapping) and strict_json(content) == table
    except (TypeError, ValueError, RecursionError) as error:
        raise FileFormatError(
            f"the calibration table is no JSON: {error}", hint="use dicts, lists, texts and finite numbers"
        ) from error
    if not same:
        raise FileFormatError(
            f"the calibration table is no JSON object: {table!r:.80}",
            hint="pass a dict with texts as keys, in which sequences are lists",
        )
    return content


def _parts(
    model: Model, exports: Mapping[str, Piece], calibration: bytes | None
) -> Iterator[tuple[str, Iterable[Piece]]]:
    """The files of a model; the manifest last, when the others are known."""
    arrays: dict[str, np.ndarray] = {}
    text = print_graph(model.graph, arrays, folders=False)
    types = types_of(arrays)
    digests = Digests()
    yield GRAPH, digests.watch(GRAPH, [text.encode("utf-8")])
    yield WEIGHTS, digests.watch(WEIGHTS, pack(types, arrays.__getitem__))
    if calibration is not None:
        yield CALIBRATION, digests.watch(CALIBRATION, [calibration])
    for name in sorted(exports):
        yield name, digests.watch(name, [exports[name]])
    signatures = {
        name: (_names(signature.inputs), _names(signature.outputs))
        for name, signature in model.signatures.items()
    }
    yield NAME, [write_manifest(digests.files, types, signatures)]


def _names(tensors: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    return [(name, tensor.name) for name, tensor in tensors.items()]


def load(
    path: str | Path,
    signature: str | None = None,
    *,
    mapped: bool | None = None,
    verify: bool = False,
) -> Model:
    """The Model that `save` wrote.

    Arguments:
        path: the folder or file.
        signature: load this function alone, cut down to what it needs; by default all.
        mapped: whether the weights are views of the files, which the system reads when they are used
            and may forget again; by default where a file has 16 MiB or more. Such a file must not be
            changed in place while the model lives; `save` replaces it, which is safe.
        verify: whether to compare the SHA-256 of files that are mapped, for which they are read once;
            those of the others are always compared.

    Returns:
        a Model; `model.run({name: array})` runs it, `model.exports` are the files that came with it.

    Raises:
        FileFormatError: naming the file, if anything is missing, too much, changed, of another
            version, or does not describe a model.
        GraphError: if there is no such signature.
    """
    place = checked_path(path)
    parts = open_parts(place, mapped)
    if not {NAME, GRAPH, WEIGHTS} <= {*parts}:
        check_names(place, parts, {NAME, GRAPH, WEIGHTS})
    manifest = read_manifest(bytes(parts.content(NAME, LARGEST_MANIFEST).view()), repr(str(place / NAME)))
    check_names(place, parts, {NAME, *manifest.files})
    contents = {
        name: _checked(name, place, parts.content(name, size), manifest, verify or name in _SMALL)
        for name, (size, _) in manifest.files.items()
    }
    arrays = unpack(contents.pop(WEIGHTS), manifest.arrays, repr(str(place / WEIGHTS)))
    graph = _graph(place / GRAPH, bytes(contents.pop(GRAPH).view()), arrays)
    model = _model(place, graph, manifest, signature)
    if CALIBRATION in contents:
        model.calibration = _calibration(place / CALIBRATION, bytes(contents.pop(CALIBRATION).view()))
    model.exports = {
        name: content.view() if content.is_mapped else bytes(content.view())
        for name, content in contents.items()
    }
    return model


def _checked(name: str, place: Path, content: Content, manifest: Manifest, verify: bool) -> Content:
    """The content of a file, if it is what the manifest says."""
    size, digest = manifest.files[name]
    if content.size != size:
        raise FileFormatError(
            f"{str(place / name)!r} has {content.size} bytes, not {size}",
            hint="it was cut off; get the model again",
        )
    if (verify or not content.is_mapped) and hashlib.sha256(content.view()).hexdigest() != digest:
        raise FileFormatError(
            f"{str(place / name)!r} is not what was written: its SHA-256 differs from that in {NAME}",
            hint="the model was changed after it was written; get it again",
        )
    return content


def _calibration(file: Path, content: bytes) -> Any:
    try:
        table = strict_json(content)
    except ValueError as error:
        raise FileFormatError(f"{str(file)!r} is no JSON: {error}", hint="get the model again") from error
    if not isinstance(table, dict):
        raise FileFormatError(f"{str(file)!r} holds no JSON object", hint="get the model again")
    return table


def _graph(file: Path, content: bytes, arrays: Mapping[str, np.ndarray]) -> Graph:
    """The graph, which has to use exactly these arrays."""
    try:
        graph = parse_graph(content.decode("utf-8"), arrays)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{str(file)!r} is no UTF-8: {error}", hint="get the model again") from error
    except ParseError as error:
        raise FileFormatError(f"{str(file)!r}, {error.message}", hint=error.hint) from error
    used: dict[str, np.ndarray] = {}
    print_graph(graph, used)
    unused = sorted(arrays.keys() - used.keys())
    loose = sorted((used.keys() | graph.variables.keys()) - arrays.keys())
    if unused or loose:
        names = ", ".join((unused + loose)[:4])
        raise FileFormatError(
            f"{str(file)!r} does not use the arrays of {WEIGHTS} as it should: {names}",
            hint="the files are not of one model; get it again",
        )
    return graph


def _model(place: Path, graph: Graph, manifest: Manifest, signature: str | None) -> Model:
    tensors = {tensor.name: tensor for node in graph.nodes for tensor in node.outputs}
    pairs = {}
    for name, sides in manifest.signatures.items():
        for _, tensor in [*sides[0], *sides[1]]:
            if tensor not in tensors:
                raise FileFormatError(
                    f"{str(place / NAME)!r} names the tensor {tensor!r:.80}, which is not in {GRAPH}",
                    hint="the files are not of one model; get it again",
                )
        inputs, outputs = [{key: tensors[tensor] for key, tensor in side} for side in sides]
        pairs[name] = (inputs, outputs)
    if signature is not None:
        if signature not in pairs:
            raise GraphError(
                f"the model {str(place)!r} has no signature {signature!r:.80}",
                hint="it has " + ", ".join(map(repr, pairs)),
            )
        pairs = {signature: pairs[signature]}
    weights = {name: tensor.node.attrs["initializer"].array for name, tensor in graph.variables.items()}
    try:
        return Model(graph, signatures=pairs, weights=weights)
    except GraphFlowError as error:
        raise FileFormatError(f"{str(place)!r} holds no model: {error.message}", hint=error.hint) from error
