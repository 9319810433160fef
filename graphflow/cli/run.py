"""`graphflow run`: a model's outputs for inputs from .npy or .npz files."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from graphflow.cli.options import add_level, add_model, command, load_model
from graphflow.errors import FeedError, FileFormatError


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "run",
        "run a model on inputs from files",
        "graphflow run demo_out/model --feed image=demo_out/held_out.npy -o answers.npz",
        _act,
    )
    add_model(made)
    add_level(made)
    made.add_argument(
        "--feed",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="an input from a .npy file, or every input of that name from a .npz file (FILE alone)",
    )
    made.add_argument("--backend", default="jax", help="jax or numpy (jax)")
    made.add_argument("-o", "--output", metavar="FILE.npz", help="write the outputs; otherwise print them")


def _act(options: argparse.Namespace) -> None:
    model = load_model(options.model)
    answers = model.run(_read_feeds(options.feed), backend=options.backend, level=options.level)
    if options.output:
        _write(options.output, answers)
        return
    for name, value in answers.items():
        print(f"{name}: {value.dtype}{list(value.shape)}\n{value}")


def _read_feeds(given: list[str]) -> dict[str, np.ndarray]:
    feeds: dict[str, np.ndarray] = {}
    for item in given:
        name, separator, path = item.partition("=")
        path = path if separator else item
        try:
            loaded = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise FileFormatError(
                f"{path} cannot be read as an array: {error}", hint="write it with np.save"
            ) from None
        if isinstance(loaded, np.ndarray):
            if not separator:
                raise FeedError(
                    f"--feed {item} does not say which input it is", hint=f"write --feed NAME={path}"
                )
            feeds[name] = loaded
        else:
            with loaded:
                feeds.update({key: loaded[key] for key in loaded.files if not separator or key == name})
    return feeds


def _write(path: str, arrays: dict[str, np.ndarray]) -> None:
    from graphflow.io.files import atomic_write

    with atomic_write(path) as file:
        np.savez(file, allow_pickle=False, **arrays)
    print("wrote", path)
