"""GraphFlow's own files of a run, read with care: size, format and version are checked, forms are mended.

What they say is described in `graphflow.train.side_files`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from graphflow.board.store.places import opened, read_exactly
from graphflow.errors import FileFormatError
from graphflow.train.side_files import FOLDER, KINDS

MOST_BYTES = 512 << 20

_SCHEMAS = {
    "graph": "graphflow.graph", "journal": "graphflow.explain", "memory": "graphflow.memory",
    "profile": "graphflow.profile",
}  # fmt: skip


def present(root: Path, folder: str) -> tuple[str, ...]:
    """Which side files a run has."""
    place = root / folder / FOLDER
    if place.is_symlink():
        return ()
    return tuple(kind for kind in KINDS if os.path.isfile(place / f"{kind}.json"))


def read(root: Path, folder: str, kind: str) -> dict[str, Any] | None:
    """A side file, or None if there is none.

    Raises:
        FileFormatError: if it cannot be read, is too large, or of another format or version.
    """
    if kind not in KINDS:
        raise FileFormatError(f"{kind!r:.40} is no side file", hint="there are " + ", ".join(KINDS))
    place = os.path.join(folder, FOLDER, f"{kind}.json")
    try:
        with opened(root, place) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MOST_BYTES:
                raise FileFormatError(
                    f"{kind}.json has {size} bytes", hint=f"files of up to {MOST_BYTES} bytes are read"
                )
            data = read_exactly(file, 0, size)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileFormatError(
            f"{kind}.json cannot be read: {error.strerror or error}", hint="look at its permissions"
        ) from error
    return _checked(kind, data)


def _checked(kind: str, data: bytes) -> dict[str, Any]:
    hint = f"write it again with writer.{'explain' if kind == 'journal' else kind}(...)"
    try:
        found = json.loads(data, parse_constant=lambda _: None)
    except RecursionError:
        raise FileFormatError(f"{kind}.json is no JSON: it is nested too deep", hint=hint) from None
    except ValueError as error:
        raise FileFormatError(f"{kind}.json is no JSON: {error!s:.200}", hint=hint) from error
    if not isinstance(found, dict) or found.get("schema") != _SCHEMAS[kind]:
        raise FileFormatError(f"{kind}.json is not of the format {_SCHEMAS[kind]!r}", hint=hint)
    if found.get("version") != 1:
        raise FileFormatError(
            f"{kind}.json is of version {found.get('version')!r:.40}; this GraphFlow reads 1",
            hint="open it with the GraphFlow that wrote it",
        )
    for key in ("nodes", "entries", "declined", "passes", "rules", "steps", "values", "rows", "traceEvents"):
        if key in found:
            found[key] = [one for one in _listed(found[key]) if isinstance(one, dict)]
    if "nodes" in found:
        found["nodes"] = [_node(one) for one in found["nodes"]]
    for step in found.get("steps", ()):
        step["nodes"] = [_node(one) for one in _listed(step.get("nodes")) if isinstance(one, dict)]
        step["removed"] = [str(one) for one in _listed(step.get("removed"))]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _node(found: dict[str, Any]) -> dict[str, Any]:
    """A node with everything that a node has, of the right type."""
    made: dict[str, Any] = {key: found[key] for key in ("key", "lineage") if key in found}
    for key in ("name", "op", "scope", "line"):
        made[key] = str(found.get(key, ""))
    made["inputs"] = [str(one) for one in _listed(found.get("inputs"))]
    made["outputs"] = [
        {
            "dtype": str(one.get("dtype", "")),
            "shape": [size if isinstance(size, int) else str(size) for size in _listed(one.get("shape"))],
        }
        for one in _listed(found.get("outputs"))
        if isinstance(one, dict)
    ]
    attrs = found.get("attrs")
    made["attrs"] = {str(key): str(value) for key, value in attrs.items()} if isinstance(attrs, dict) else {}
    for key in ("flops", "bytes"):
        value = found.get(key, 0)
        made[key] = value if isinstance(value, int) else 0
    return made
