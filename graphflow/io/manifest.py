"""The manifest of a saved model: what its files are and what the model offers, as canonical JSON.

    {"arrays": {"w": {"dtype": "float32", "shape": [64, 10]}},
     "files": {"graph.gf": {"bytes": 812, "sha256": "..."}, "weights.safetensors": {...}},
     "format": "graphflow-model", "format_version": 1, "producer": "graphflow 0.1.0",
     "signatures": {"serve": {"inputs": [["image", "%image"]], "outputs": [["probabilities", "softmax:0"]]}}}

Equal models have equal manifests: keys are sorted, but for those of the signatures, which are in order.
Besides the graph and the weights `files` may name a calibration table and exports, whose names are letters,
digits, ".", "_" and "-".
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from graphflow.errors import FileFormatError
from graphflow.files import strict_json
from graphflow.ir.dtypes import ALL_DTYPES, DType
from graphflow.session.checkpoint import producer

FORMAT = "graphflow-model"
FORMAT_VERSION = 1
NAME = "manifest.json"
GRAPH = "graph.gf"
WEIGHTS = "weights.safetensors"
CALIBRATION = "calibration.json"
LARGEST_MANIFEST = 1 << 26
LARGEST_FILE = 1 << 44

_DTYPES = {dtype.name: dtype for dtype in ALL_DTYPES}
_EXPORT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
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


def is_export_name(name: Any) -> bool:
    """Whether a file of a model may have this name, besides those that have a meaning."""
    return (
        isinstance(name, str)
        and _EXPORT.fullmatch(name) is not None
        and name.lower() not in (NAME, GRAPH, WEIGHTS, CALIBRATION)
    )


def write_manifest(
    files: Mapping[str, tuple[int, str]],
    arrays: Mapping[str, tuple[DType, tuple[int, ...]]],
    signatures: Mapping[str, tuple[Any, Any]],
) -> bytes:
    """The manifest of files, given by size and SHA-256, with the arrays and signatures they hold."""
    content = {
        "arrays": {
            name: {"dtype": arrays[name][0].name, "shape": list(arrays[name][1])} for name in sorted(arrays)
        },
        "files": {name: {"bytes": size, "sha256": digest} for name, (size, digest) in sorted(files.items())},
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "producer": producer(),
        "signatures": {
            name: {"inputs": [list(pair) for pair in inputs], "outputs": [list(pair) for pair in outputs]}
            for name, (inputs, outputs) in signatures.items()
        },
    }
    return json.dumps(content, indent=1).encode("ascii") + b"\n"


def is_manifest(content: bytes) -> bool:
    """Whether this is a manifest of a saved model, of whatever version."""
    return _fields(content).get("format") == FORMAT


def file_names(content: bytes) -> list[str]:
    """The files that a manifest names, of whatever version."""
    files = _fields(content).get("files")
    return list(files) if isinstance(files, dict) else []


def _fields(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_manifest(content: bytes, source: str) -> Manifest:
    """What a manifest says, checked field by field.

    Raises:
        FileFormatError: naming the file and what is wrong with it.
    """
    try:
        found = strict_json(content)
    except ValueError as error:
        _fail(source, f"is no JSON: {error}")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        _fail(source, "is no manifest of a saved model", "pass the folder that gf.saved_model.save wrote")
    if found.get("format_version") != FORMAT_VERSION or type(found["format_version"]) is not int:
        _fail(
            source,
            f"has format version {found.get('format_version')!r:.40}; this GraphFlow reads {FORMAT_VERSION}",
            f"load it with the GraphFlow that wrote it, {found.get('producer')!r:.60}",
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


def _is_size(value: Any, most: int = LARGEST_FILE) -> bool:
    return type(value) is int and 0 <= value <= most


def _files(found: Any, source: str) -> dict[str, tuple[int, str]]:
    if not isinstance(found, dict):
        _fail(source, "does not list its files")
    for name in found:
        if name not in (GRAPH, WEIGHTS, CALIBRATION) and not is_export_name(name):
            _fail(source, f"lists the file {name!r:.80}; names are plain, and no paths")
    made = {}
    for name in dict.fromkeys((GRAPH, WEIGHTS, *found)):
        entry = found.get(name)
        if not isinstance(entry, dict) or entry.keys() != {"bytes", "sha256"} or not _is_size(entry["bytes"]):
            _fail(source, f"does not tell the size and SHA-256 of {name}")
        if not isinstance(entry["sha256"], str) or _SHA256.fullmatch(entry["sha256"]) is None:
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
