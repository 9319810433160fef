"""Writes the pages of the manual that are made from the code: `python docs/generate.py`."""

from __future__ import annotations

import os
from pathlib import Path

from graphflow.ops.matrix import Matrix, table_column
from graphflow.runtime.jax import lower
from graphflow.runtime.jax.lowering import NO_LOWERING

FOLDER = Path(__file__).resolve().parent


def matrix() -> Matrix:
    """The operators against the tables of all targets."""
    return Matrix([table_column("jax", lower.LOWERINGS, NO_LOWERING, decomposes=True)])


def pages() -> dict[str, str]:
    """The text of every generated page, by its name in this folder."""
    return {"operators.md": matrix().markdown()}


def main() -> None:
    """Write the pages whose text has changed."""
    for name, text in pages().items():
        path = FOLDER / name
        if path.exists() and path.read_text("utf-8") == text:
            continue
        unfinished = path.with_suffix(".partial")
        unfinished.write_text(text, "utf-8")
        os.replace(unfinished, path)
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
