"""What several commands share: finding out what a file is, and reading options such as NAME=SIZE."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphflow.errors import AttributeValueError, FileFormatError

if TYPE_CHECKING:
    from graphflow.model import Model


def command(commands: Any, name: str, help: str, example: str, act: Any) -> argparse.ArgumentParser:
    """Add a command with an example to its help."""
    made = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(act=act)
    return made


def add_model(parser: argparse.ArgumentParser) -> None:
    """The positional argument MODEL."""
    parser.add_argument("model", metavar="MODEL", help="the folder of a saved model")


def add_level(parser: argparse.ArgumentParser) -> None:
    """The option --level."""
    parser.add_argument(
        "--level", choices=("O0", "O1", "O2", "O3"), default="O2", help="optimizer level (O2)"
    )


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """The repeatable option --size."""
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="NAME=N",
        help="the value of a symbolic size, e.g. batch=32; may be repeated",
    )


def load_model(path: str) -> Model:
    """The model at a path, recognised by what is there.

    Raises:
        FileFormatError: if there is nothing, or nothing that GraphFlow reads.
    """
    place = Path(path)
    if not place.exists():
        raise FileFormatError(f"there is nothing at {path}", hint="give the folder of a saved model")
    if not (place.is_dir() and (place / "manifest.json").exists()):
        raise FileFormatError(
            f"{path} is no model that GraphFlow reads",
            hint="give the folder that gf.saved_model.save wrote; it holds manifest.json",
        )
    from graphflow.io import saved_model

    return saved_model.load(path)


def read_sizes(given: Sequence[str]) -> dict[str, int]:
    """Sizes by name from options such as `batch=32`.

    Raises:
        AttributeValueError: for anything else.
    """
    sizes = {}
    for item in given:
        name, _, value = item.partition("=")
        if not (name.isidentifier() and value.isdigit()):
            raise AttributeValueError(
                f"--size {item} is not NAME=N", hint="write for example --size batch=32"
            )
        sizes[name] = int(value)
    return sizes
