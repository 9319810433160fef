"""Saved models: a folder with the graph as text, the weights, and a manifest that vouches for both.

    manifest.json         what the files are (sizes, SHA-256), the arrays, the signatures
    graph.gf              the graph in text form
    weights.safetensors   the weights, and constants of more than 64 elements

Loading executes nothing: every file is checked against the manifest before it is parsed, the graph is
verified, and what does not fit is refused. Saving what was loaded gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.errors import FileFormatError, GraphFlowError, ParseError
from graphflow.files import checked_path, read_file, write_folder
from graphflow.io.manifest import (
    GRAPH,
    LARGEST_MANIFEST,
    NAME,
    WEIGHTS,
    Manifest,
    is_manifest,
    read_manifest,
    write_manifest,
)
from graphflow.io.weights import pack_arrays, unpack_arrays
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.ir.parse import parse_graph
from graphflow.ir.text import print_graph
from graphflow.model.model import Model
from graphflow.session.session import Session

_FILES = frozenset({NAME, GRAPH, WEIGHTS})


def save(
    path: str | Path,
    source: Session | Model,
    inputs: Any = (),
    outputs: Any = (),
    *,
    signatures: Mapping[str, tuple[Any, Any]] | None = None,
) -> Path:
    """Write what the outputs need, with the session's weights, to a folder.

    A saved model that is there already is replaced all at once; after any failure the old one is
    whole. Files' folders are left out of the origins of nodes, so nothing tells where it was made.

    Arguments:
        path: the folder; its parent has to exist.
        source: the Session whose variables are the weights, or a Model to write as it is.
        inputs, outputs: tensors or names, or mappings of names of your choice to them; as for gf.Model.
        signatures: further pairs (inputs, outputs) by name.

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
    if isinstance(source, Session):
        model = Model(source.graph, inputs, outputs, source, signatures=signatures)
    elif not isinstance(source, Model):
        raise FileFormatError(
            f"{type(source).__name__} cannot be saved as a model", hint="pass a gf.Session or a gf.Model"
        )
    elif inputs != () or outputs != () or signatures:
        raise FileFormatError(
            "a Model has its own inputs and outputs",
            hint="leave them out, or make another gf.Model from its graph",
        )
    else:
        model = source
    write_folder(place, _contents(model), _check_replaceable)
    return place


def _contents(model: Model) -> dict[str, bytes]:
    """The files of a model by name."""
    arrays: dict[str, np.ndarray] = {}
    text = print_graph(model.graph, arrays, folders=False)
    files = {GRAPH: text.encode("utf-8"), WEIGHTS: pack_arrays(arrays)}
    signatures = {
        name: (_names(signature.inputs), _names(signature.outputs))
        for name, signature in model.signatures.items()
    }
    return {**files, NAME: write_manifest(files, arrays, signatures)}


def _names(tensors: Mapping[str, Tensor]) -> list[tuple[str, str]]:
    return [(name, tensor.name) for name, tensor in tensors.items()]


def _check_replaceable(place: Path) -> None:
    """Raise unless there is an empty folder or a saved model, and nothing else that could be lost."""
    try:
        names = set(os.listdir(place)) if place.is_dir() and not place.is_symlink() else None
    except OSError as error:
        raise FileFormatError(
            f"{str(place)!r} cannot be read: {error.strerror}", hint="choose another folder"
        ) from error
    if names is not None and (not names or (names <= _FILES and NAME in names and _has_manifest(place))):
        return
    raise FileFormatError(
        f"{str(place)!r} exists and is no saved model, so it is not replaced",
        hint="choose another path, or remove it",
    )


def _has_manifest(place: Path) -> bool:
    try:
        return is_manifest(read_file(place / NAME, LARGEST_MANIFEST))
    except FileFormatError:
        return False


def load(path: str | Path) -> Model:
    """The Model in a folder that `save` wrote.

    Arguments:
        path: the folder.

    Returns:
        a Model; `model.run({name: array})` runs it.

    Raises:
        FileFormatError: naming the file, if anything is missing, too much, changed, of another
            version, or does not describe a model.
    """
    place = checked_path(path)
    _check_listing(place)
    manifest = read_manifest(read_file(place / NAME, LARGEST_MANIFEST), repr(str(place / NAME)))
    text = _checked(place, GRAPH, manifest)
    arrays = unpack_arrays(_checked(place, WEIGHTS, manifest), manifest.arrays, repr(str(place / WEIGHTS)))
    graph = _graph(place / GRAPH, text, arrays)
    return _model(place, graph, arrays, manifest)


def _check_listing(place: Path) -> None:
    try:
        names = set(os.listdir(place))
    except OSError as error:
        raise FileFormatError(
            f"{str(place)!r} cannot be read: {error.strerror or error}",
            hint="pass the folder that save wrote",
        ) from error
    missing, extra = sorted(_FILES - names), sorted(names - _FILES)
    if missing or extra:
        said = [f"lacks {', '.join(missing)}"] * bool(missing)
        said += [f"has {', '.join(map(repr, extra[:4]))} too many"] * bool(extra)
        raise FileFormatError(
            f"{str(place)!r} is no whole saved model: it {' and '.join(said)}",
            hint=f"a model is a folder with {', '.join(sorted(_FILES))} and nothing else",
        )


def _checked(place: Path, name: str, manifest: Manifest) -> bytes:
    """The content of a file, if it is what the manifest says."""
    size, digest = manifest.files[name]
    content = read_file(place / name, size)
    if len(content) != size:
        raise FileFormatError(
            f"{str(place / name)!r} has {len(content)} bytes, not {size}",
            hint="it was cut off; get the model again",
        )
    if hashlib.sha256(content).hexdigest() != digest:
        raise FileFormatError(
            f"{str(place / name)!r} is not what was written: its SHA-256 differs from that in {NAME}",
            hint="the model was changed after it was written; get it again",
        )
    return content


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


def _model(place: Path, graph: Graph, arrays: Mapping[str, np.ndarray], manifest: Manifest) -> Model:
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
    weights = {name: tensor.node.attrs["initializer"].array for name, tensor in graph.variables.items()}
    try:
        return Model(graph, signatures=pairs, weights=weights)
    except GraphFlowError as error:
        raise FileFormatError(f"{str(place)!r} holds no model: {error.message}", hint=error.hint) from error
