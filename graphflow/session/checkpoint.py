"""Checkpoints: a folder with the variables in a safetensors file, and a manifest that vouches for it.

The manifest names the data file, its size and its SHA-256, and is replaced last. So at every moment
the folder holds a whole checkpoint, the old one or the new one, whenever the writer is stopped.

    manifest.json                    format, version, producer, step, seed, variables (name -> dtype, shape),
                                     data (file, size, SHA-256), metrics (name -> number), position (where
                                     the data were, as JSON)
    variables-*.safetensors          one array a variable, as `graphflow.session.array_file` writes them

The random state is the seed and the step, from which all random streams derive; what a training method
remembers is variables like any others.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from graphflow.errors import FileFormatError
from graphflow.files import (
    Content,
    Digests,
    Piece,
    atomic_write,
    checked_path,
    map_file,
    read_file,
    remove_leftovers,
    strict_json,
    unwritable,
    write_folder,
)
from graphflow.ir.dtypes import ALL_DTYPES, DType
from graphflow.ir.node import Tensor
from graphflow.session.array_file import Types, pack, types_of, unpack
from graphflow.session.variables import Variables

FORMAT = "graphflow-checkpoint"
VERSION = 1
MANIFEST = "manifest.json"

_DATA_FILES = "variables-*.safetensors"
_LARGEST_MANIFEST = 1 << 26
_LARGEST_DATA = 1 << 44
_MAPPED_FROM = 1 << 24
_DTYPES = {dtype.name: dtype for dtype in ALL_DTYPES}
_FIELDS = {"format", "version", "producer", "step", "seed", "variables", "data", "metrics", "position"}


def producer() -> str:
    """This GraphFlow and its version, for messages about files that another one wrote."""
    try:
        return f"graphflow {metadata.version('graphflow-compiler')}"
    except metadata.PackageNotFoundError:
        return "graphflow from source"


@dataclass(frozen=True, slots=True)
class State:
    """What a checkpoint holds.

    Attributes:
        step: how many runs with an Update there were.
        seed: the session's seed.
        types: the dtype and shape of each variable.
        read: the array of a variable, by name.
        metrics: numbers such as the loss, by name.
        position: where the data were, a JSON value or None.
    """

    step: int
    seed: int
    types: Types
    read: Callable[[str], np.ndarray]
    metrics: Mapping[str, float] = field(default_factory=dict)
    position: Any = None


def state_of(variables: Variables, position: Any = None, metrics: Mapping[str, float] | None = None) -> State:
    """A copy of the state of a session, which later runs do not change."""
    with variables.lock:
        arrays, step, seed = variables.snapshot(), variables.step, variables.seed
    return State(step, seed, types_of(arrays), arrays.__getitem__, metrics or {}, position)


# Writing


def save(variables: Variables, folder: str | Path, position: Any = None) -> None:
    """Write a checkpoint of a session, of whose variables no copy is made but of one at a time.

    Raises:
        FileFormatError: if the folder cannot be written, or has another manifest.
    """
    with variables.lock:
        variables.require_intact()
        variables.ensure(variables)
        types = {name: (tensor.dtype, _sizes(tensor)) for name, tensor in variables.tensors.items()}
        write(State(variables.step, variables.seed, types, variables.read, {}, position), folder)


def _sizes(variable: Tensor) -> tuple[int, ...]:
    return tuple([size for size in variable.shape if isinstance(size, int)])


def write(state: State, folder: str | Path) -> None:
    """Write a checkpoint into a folder, replacing the one in it and leaving all else alone.

    Raises:
        FileFormatError: if the folder cannot be written, or has another manifest.
    """
    place = checked_path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(place, error) from error
    if os.path.lexists(place / MANIFEST):
        read_manifest(place)  # never replace what is no checkpoint
    for pattern in (_DATA_FILES, MANIFEST):
        remove_leftovers(place, pattern)
    data = f"variables-{secrets.token_hex(8)}.safetensors"
    for name, pieces in _parts(state, data):
        with atomic_write(place / name) as file:
            for piece in pieces:
                file.write(piece)
    for old in place.glob(_DATA_FILES):
        if old.name != data:
            with suppress(OSError):  # it is litter by now, which the next checkpoint tries to remove again
                old.unlink()


def write_new(state: State, folder: Path) -> None:
    """Write a folder that is a checkpoint and nothing else, all at once.

    Raises:
        FileFormatError: if it cannot be written, or something that is no checkpoint is in the way.
    """
    write_folder(folder, _parts(state, "variables.safetensors"), _check_old)


def _check_old(place: Path) -> None:
    read_manifest(place)


def _parts(state: State, data: str) -> Iterator[tuple[str, Iterable[Piece]]]:
    """The files of a checkpoint; the manifest last."""
    position, digests = checked_json(state.position), Digests()
    yield data, digests.watch(data, pack(state.types, state.read))
    size, digest = digests.files[data]
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "producer": producer(),
        "step": state.step,
        "seed": state.seed,
        "variables": {
            name: {"dtype": dtype.name, "shape": list(shape)} for name, (dtype, shape) in state.types.items()
        },
        "data": {"file": data, "bytes": size, "sha256": digest},
        "metrics": dict(state.metrics),
        "position": position,
    }
    yield MANIFEST, [json.dumps(manifest, indent=1).encode("ascii")]


def checked_json(position: Any) -> Any:
    """The position, if it is the same when it comes back from JSON.

    Raises:
        FileFormatError: if it is not.
    """
    try:
        same = json.loads(json.dumps(position, allow_nan=False)) == position
    except (TypeError, ValueError, RecursionError):
        same = False
    if not same:
        raise FileFormatError(
            f"the position of the data, {position!r:.80}, is no JSON",
            hint="let state() give dicts with texts as keys, lists, texts, finite numbers, booleans and None",
        )
    return position


# Reading, which trusts nothing


def read(folder: str | Path) -> State:
    """The checkpoint in a folder; its arrays are views of the file, where that is large.

    Raises:
        FileFormatError: if it is missing, corrupt, foreign, or of another version.
    """
    place = checked_path(folder)
    manifest = read_manifest(place)
    types = _types(place, manifest["variables"])
    content = _checked_data(place, manifest["data"])
    try:
        arrays = unpack(content, types, manifest["data"]["file"])
    except FileFormatError as error:
        _corrupt(place, error.message)
    step, seed, metrics, position = (manifest[name] for name in ("step", "seed", "metrics", "position"))
    return State(step, seed, types, arrays.__getitem__, metrics, position)


def _corrupt(place: Path, what: str) -> NoReturn:
    raise FileFormatError(
        f"the checkpoint {str(place)!r} is corrupt: {what}",
        hint="restore an older checkpoint; nothing in the session has changed",
    )


def read_manifest(place: Path) -> dict[str, Any]:
    """What the manifest in a folder says, checked field by field.

    Raises:
        FileFormatError: if there is none, or none of a checkpoint that can be read.
    """
    path = place / MANIFEST
    try:
        content = read_file(path, _LARGEST_MANIFEST)
    except FileFormatError as error:
        raise FileFormatError(
            f"{str(place)!r} is no checkpoint: {MANIFEST} cannot be read ({error.message})",
            hint="pass the folder that was given to sess.save_checkpoint; of a gf.train.CheckpointManager's "
            "folder, the newest step-... in it",
        ) from error
    try:
        manifest = strict_json(content)
    except ValueError as error:
        _corrupt(place, f"{MANIFEST} is no JSON ({error})")
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise FileFormatError(
            f"{str(path)!r} is no manifest of a checkpoint but of {found or 'something else'!r:.80}",
            hint="pass the folder of a checkpoint; saved models are loaded with gf.saved_model.load",
        )
    if type(manifest.get("version")) is not int or manifest["version"] != VERSION:
        found, writer = manifest.get("version"), manifest.get("producer")
        raise FileFormatError(
            f"the checkpoint {str(place)!r} has format version {found!r:.40}, not {VERSION}",
            hint=f"read it with the GraphFlow that wrote it, {writer!r:.60}",
        )
    _check_fields(place, manifest)
    return manifest


def _check_fields(place: Path, manifest: Mapping[str, Any]) -> None:
    for name in ("step", "seed"):
        value = manifest.get(name)
        if type(value) is not int or not 0 <= value < 2**64:
            _corrupt(place, f"its {name} is {value!r:.40}")
    data = manifest.get("data")
    if not isinstance(data, dict) or not isinstance(manifest.get("variables"), dict):
        _corrupt(place, "its manifest lacks the fields 'data' and 'variables'")
    if manifest.keys() != _FIELDS:
        _corrupt(place, f"its manifest has the fields {', '.join(sorted(manifest))[:200]}")
    file = data.get("file")
    if not isinstance(file, str) or "\0" in file or Path(file).name != file:
        _corrupt(place, f"its data file is named {file!r:.80}")
    metrics = manifest["metrics"]
    if not isinstance(metrics, dict) or not all(_is_number(value) for value in metrics.values()):
        _corrupt(place, f"its metrics are {metrics!r:.80}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < math.inf


def _types(place: Path, found: Mapping[str, Any]) -> dict[str, tuple[DType, tuple[int, ...]]]:
    types = {}
    for name, entry in found.items():
        good = isinstance(entry, dict) and isinstance(entry.get("shape"), list)
        known = good and isinstance(entry.get("dtype"), str) and entry["dtype"] in _DTYPES
        if not known or not all(map(_is_size, entry["shape"])):
            _corrupt(place, f"its manifest describes the variable {name!r:.80} as {entry!r:.80}")
        types[name] = (_DTYPES[entry["dtype"]], tuple(entry["shape"]))
    return types


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _checked_data(place: Path, data: Mapping[str, Any]) -> Content:
    try:
        content = map_file(place / data["file"], _LARGEST_DATA, _MAPPED_FROM)
    except FileFormatError as error:
        _corrupt(place, f"{data['file']} cannot be read ({error.message})")
    differs = content.size != data.get("bytes")
    if differs or hashlib.sha256(content.view()).hexdigest() != data.get("sha256"):
        _corrupt(place, f"{data['file']} is not what was written (its SHA-256 differs)")
    return content
