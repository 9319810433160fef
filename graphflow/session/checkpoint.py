"""Checkpoints: a folder with the variables in a safetensors file, and a manifest that vouches for it.

The manifest names the data file, its size and its SHA-256, and is replaced last. So at every moment
the folder holds a whole checkpoint, the old one or the new one, whenever the writer is stopped.

    manifest.json                    format, version, step, seed, variables (name -> dtype, shape), data
    variables-<digest>.safetensors   one array a variable; complex ones as pairs of reals on a last axis,
                                     narrow ones (float8, int4 and the like) as bytes
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.errors import DTypeError, FileFormatError
from graphflow.files import atomic_write, checked_path
from graphflow.ir.dtypes import DType, as_dtype
from graphflow.ir.narrow import narrow_bytes, require_narrow_bytes
from graphflow.session.variables import Variables

FORMAT = "graphflow-checkpoint"
VERSION = 1
MANIFEST = "manifest.json"

_REALS = {"complex64": np.float32, "complex128": np.float64}
_NAMES = {
    "BOOL": "bool", "U8": "uint8", "U16": "uint16", "U32": "uint32", "U64": "uint64",
    "I8": "int8", "I16": "int16", "I32": "int32", "I64": "int64",
    "F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64",
}  # fmt: skip


def save(variables: Variables, folder: str | Path) -> None:
    """Write a checkpoint, replacing the one in the folder.

    Raises:
        FileFormatError: if the folder cannot be written, or has another manifest.
    """
    from safetensors.numpy import save as to_bytes

    place = checked_path(folder)
    with variables.lock:
        arrays, step, seed = variables.snapshot(), variables.step, variables.seed
    content = to_bytes({name: _as_reals(array) for name, array in arrays.items()})
    digest = hashlib.sha256(content).hexdigest()
    file = f"variables-{digest[:16]}.safetensors"
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "step": step,
        "seed": seed,
        "variables": {
            name: {"dtype": as_dtype(array.dtype).name, "shape": list(array.shape)}
            for name, array in arrays.items()
        },
        "data": {"file": file, "bytes": len(content), "sha256": digest},
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
        if (place / MANIFEST).exists():
            _read_manifest(place)  # never replace what is no checkpoint
        _write(place / file, content)
        _write(place / MANIFEST, json.dumps(manifest, indent=1).encode())
        for old in place.glob("variables-*.safetensors"):
            if old.name != file:
                old.unlink(missing_ok=True)
    except OSError as error:
        raise FileFormatError(
            f"the checkpoint {str(place)!r} cannot be written: {error.strerror or error}",
            hint="choose a folder that can be written; an older checkpoint there is untouched",
        ) from error


def restore(variables: Variables, folder: str | Path) -> None:
    """Set variables, step and seed from a checkpoint: all, or nothing.

    Raises:
        FileFormatError: if it is missing, corrupt, foreign, or of other variables than the graph's.
    """
    place = checked_path(folder)
    manifest = _read_manifest(place)
    arrays = _read_arrays(place, manifest)
    _compare(place, arrays, {name: tensor.type for name, tensor in variables.tensors.items()})
    with variables.lock:
        variables.update(arrays)
        variables.step = manifest["step"]
        variables.seed = manifest["seed"]


def _as_reals(array: np.ndarray) -> np.ndarray:
    reals = _REALS.get(array.dtype.name)
    flat = np.ascontiguousarray(array).reshape(array.shape)
    if as_dtype(array.dtype).is_narrow:
        return narrow_bytes(flat)
    return flat if reals is None else np.stack([flat.real, flat.imag], axis=-1).astype(reals)


def _write(path: Path, content: bytes) -> None:
    with atomic_write(path) as file:
        file.write(content)


# Reading, which trusts nothing


def _corrupt(place: Path, what: str) -> FileFormatError:
    return FileFormatError(
        f"the checkpoint {str(place)!r} is corrupt: {what}",
        hint="restore an older checkpoint; nothing in the session has changed",
    )


def _read_manifest(place: Path) -> dict[str, Any]:
    path = place / MANIFEST
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            f"{str(place)!r} is no checkpoint: {MANIFEST} cannot be read ({error.strerror or error})",
            hint="pass the folder that was given to sess.save_checkpoint",
        ) from error
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _corrupt(place, f"{MANIFEST} is no JSON ({error})") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else None
        raise FileFormatError(
            f"{str(path)!r} is no manifest of a checkpoint but of {found or 'something else'!r}",
            hint="pass the folder of a checkpoint; saved models are loaded with gf.saved_model.load",
        )
    if manifest.get("version") != VERSION:
        raise FileFormatError(
            f"the checkpoint {str(place)!r} has format version {manifest.get('version')!r}, not {VERSION}",
            hint="read it with the version of GraphFlow that wrote it",
        )
    _check_fields(place, manifest)
    return manifest


def _check_fields(place: Path, manifest: Mapping[str, Any]) -> None:
    for field in ("step", "seed"):
        value = manifest.get(field)
        if type(value) is not int or not 0 <= value < 2**64:
            raise _corrupt(place, f"its {field} is {value!r}")
    data = manifest.get("data")
    if not isinstance(data, dict) or not isinstance(manifest.get("variables"), dict):
        raise _corrupt(place, "its manifest lacks the fields 'data' and 'variables'")
    name = data.get("file")
    if not isinstance(name, str) or Path(name).name != name:
        raise _corrupt(place, f"its data file is named {name!r}")


def _read_arrays(place: Path, manifest: Mapping[str, Any]) -> dict[str, np.ndarray]:
    data = manifest["data"]
    try:
        content = (place / data["file"]).read_bytes()
    except OSError as error:
        raise _corrupt(place, f"{data['file']} cannot be read ({error.strerror or error})") from error
    if len(content) != data.get("bytes") or hashlib.sha256(content).hexdigest() != data.get("sha256"):
        raise _corrupt(place, f"{data['file']} is not what was written (its SHA-256 differs)")
    from safetensors import SafetensorError, deserialize

    try:
        stored = {
            name: (entry["dtype"], entry["shape"], entry["data"]) for name, entry in deserialize(content)
        }
        if stored.keys() != manifest["variables"].keys():
            raise _corrupt(place, "its manifest names other variables than its data")
        return {name: _from_reals(*stored[name], manifest["variables"][name]["dtype"]) for name in stored}
    except (SafetensorError, ValueError, KeyError, TypeError, DTypeError) as error:
        raise _corrupt(place, str(error)) from error


def _from_reals(code: str, shape: list[int], data: bytes, dtype: str) -> np.ndarray:
    wanted: DType = as_dtype(dtype)
    array = np.frombuffer(data, as_dtype(_NAMES[code]).numpy).reshape(shape)
    if wanted.name in _REALS:
        pairs = np.ascontiguousarray(array, np.dtype(f"f{wanted.itemsize // 2}"))
        return np.asarray(pairs.view(wanted.numpy)[..., 0])  # not x + iy, which has no infinities
    if wanted.is_narrow and array.dtype == np.uint8:
        require_narrow_bytes(array, wanted)
        return array.view(wanted.numpy)
    if array.dtype != wanted.numpy:
        raise ValueError(f"an array has dtype {array.dtype}, not {wanted}")
    return array


def _compare(place: Path, arrays: Mapping[str, np.ndarray], types: Mapping[str, Any]) -> None:
    """Raise unless the arrays are those of exactly these variables."""
    missing = sorted(types.keys() - arrays.keys())
    unknown = sorted(arrays.keys() - types.keys())
    if missing or unknown:
        said = [f"lacks {_listed(missing)}"] * bool(missing) + [f"has {_listed(unknown)} too many"] * bool(
            unknown
        )
        raise FileFormatError(
            f"the checkpoint {str(place)!r} is not of this graph: it {' and '.join(said)}",
            hint="restore it into a session of the graph that it was saved from",
        )
    for name, array in arrays.items():
        kind = types[name]
        if array.shape != kind.shape or array.dtype != kind.dtype.numpy:
            raise FileFormatError(
                f"the checkpoint {str(place)!r} has {array.dtype}{list(array.shape)} for the variable "
                f"{name!r}, which is {kind}",
                hint="restore it into a session of the graph that it was saved from",
            )


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
