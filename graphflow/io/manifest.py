"""The manifest of a saved model: what its files are and what the model offers, as canonical JSON.

    {"arrays": {"w": {"dtype": "float32", "shape": [64, 10]}},
     "files": {"graph.gf": {"bytes": 812, "sha256": "..."}, "weights.safetensors": {...}},
     "format": "graphflow-model", "format_version": 1, "producer": "graphflow 0.1.0",
     "signatures": {"serve": {"inputs": [["image", "%image"]], "outputs": [["probabilities", "softmax:0"]]}}}

Keys are sorted, so that equal models have equal manifests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, NoReturn

import numpy as np

from graphflow.errors import FileFormatError
from graphflow.ir.dtypes import ALL_DTYPES, DType, as_dtype

FORMAT = "graphflow-model"
FORMAT_VERSION = 1
NAME = "manifest.json"
GRAPH = "graph.gf"
WEIGHTS = "weights.safetensors"
LARGEST_MANIFEST = 1 << 26
LARGEST_FILE = 1 << 44

_DTYPES = {dtype.name: dtype for dtype in ALL_DTYPES}
_FIELDS = {"arrays", "files", "format", "format_version", "producer", "signatures"}


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a manifest says.

    Attributes:
        files: size in bytes and SHA-256 by file name.
        arrays: dtype and shape by array name.
        signatures: for each, (name, tensor name) pairs of its inputs and of its outputs.
    """

    files: dict[str, tuple[int, str]]
    arrays: dict[str, tuple[DType, tuple[int, ...]]]
    signatures: dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]]]]


def write_manifest(
    files: Mapping[str, bytes], arrays: Mapping[str, np.ndarray], signatures: Mapping[str, tuple[Any, Any]]
) -> bytes:
    """The manifest of files, with the arrays and signatures they hold."""
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "producer": f"graphflow {_version()}",
        "files": {
            name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        },
        "arrays": {
            name: {"dtype": as_dtype(array.dtype).name, "shape": list(array.shape)}
            for name, array in arrays.items()
        },
        "signatures": {
            name: {"inputs": [list(pair) for pair in inputs], "outputs": [list(pair) for pair in outputs]}
            for name, (inputs, outputs) in signatures.items()
        },
    }
    return json.dumps(content, indent=1, sort_keys=True).encode("ascii") + b"\n"


def _version() -> str:
    try:
        return metadata.version("graphflow-compiler")
    except metadata.PackageNotFoundError:
        return "from source"


def is_manifest(content: bytes) -> bool:
    """Whether this is a manifest of a saved model, of whatever version."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("format") == FORMAT


def read_manifest(content: bytes, source: str) -> Manifest:
    """What a manifest says, checked field by field.

    Raises:
        FileFormatError: naming the file and what is wrong with it.
    """
    try:
        found = json.loads(content.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        _fail(source, f"is no JSON: {error}")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        _fail(source, "is no manifest of a saved model", "pass the folder that gf.saved_model.save wrote")
    if found.get("format_version") != FORMAT_VERSION or type(found["format_version"]) is not int:
        _fail(
            source,
            f"has format version {found.get('format_version')!r:.40}; this GraphFlow reads {FORMAT_VERSION}",
            "load it with the GraphFlow that wrote it",
        )
    if found.keys() != _FIELDS:
        _fail(source, f"has the fields {', '.join(sorted(found))[:200]}, not {', '.join(sorted(_FIELDS))}")
    return Manifest(
        _files(found["files"], source),
        _arrays(found["arrays"], source),
        _signatures(found["signatures"], source),
    )


def _fail(
    source: str, what: str, hint: str = "the model was changed after it was written; get it again"
) -> NoReturn:
    raise FileFormatError(f"{source} {what}", hint=hint)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is there twice")
    return made


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")


def _is_size(value: Any, most: int = LARGEST_FILE) -> bool:
    return type(value) is int and 0 <= value <= most


def _files(found: Any, source: str) -> dict[str, tuple[int, str]]:
    if not isinstance(found, dict):
        _fail(source, "does not list its files")
    for name in found:
        if name not in (GRAPH, WEIGHTS):
            _fail(source, f"lists the file {name!r:.80}; a model has {GRAPH} and {WEIGHTS}, and no paths")
    made = {}
    for name in (GRAPH, WEIGHTS):
        entry = found.get(name)
        if not isinstance(entry, dict) or entry.keys() != {"bytes", "sha256"} or not _is_size(entry["bytes"]):
            _fail(source, f"does not tell the size and SHA-256 of {name}")
        if not isinstance(entry["sha256"], str):
            _fail(source, f"has no SHA-256 of {name}")
        made[name] = (entry["bytes"], entry["sha256"])
    return made


def _arrays(found: Any, source: str) -> dict[str, tuple[DType, tuple[int, ...]]]:
    if not isinstance(found, dict):
        _fail(source, "does not list its arrays")
    made = {}
    for name, entry in found.items():
        shape = entry.get("shape") if isinstance(entry, dict) else None
        dtype = entry.get("dtype") if isinstance(entry, dict) else None
        if not isinstance(shape, list) or not isinstance(dtype, str) or not all(map(_is_size, shape)):
            _fail(source, f"does not tell the dtype and shape of the array {name!r:.80}")
        if dtype not in _DTYPES:
            _fail(source, f"gives the array {name!r:.80} the dtype {dtype!r:.40}, which there is not")
        made[name] = (_DTYPES[dtype], tuple(shape))
    return made


def _signatures(found: Any, source: str) -> dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]]]]:
    if not isinstance(found, dict) or not found:
        _fail(source, "lists no signatures")
    made = {}
    for name, entry in found.items():
        if not isinstance(entry, dict) or entry.keys() != {"inputs", "outputs"} or not entry["outputs"]:
            _fail(source, f"does not tell the inputs and outputs of the signature {name!r:.80}")
        made[name] = (_pairs(entry["inputs"], source, name), _pairs(entry["outputs"], source, name))
    return made


def _pairs(found: Any, source: str, signature: str) -> list[tuple[str, str]]:
    good = isinstance(found, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) and part for part in pair)
        for pair in found
    )
    if not good or len({name for name, _ in found}) != len(found):
        _fail(source, f"lists the inputs or outputs of the signature {signature!r:.80} wrongly")
    return [(name, tensor) for name, tensor in found]
