"""`graphflow run`: a model's outputs for inputs from .npy or .npz files."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.cli.options import add_level, add_model, command, load_model
from graphflow.errors import FeedError, FileFormatError
from graphflow.ir.dtypes import as_dtype

_WRITE_NPY = "write it with np.save(FILE, array)"


def add_parser(commands: Any) -> None:
    """Add the command."""
    made = command(
        commands,
        "run",
        "run a model on inputs from files",
        """
        graphflow run demo_out/model --feed image=demo_out/held_out.npy
        graphflow run demo_out/model --feed image=demo_out/held_out.npy -o answers.npz
        graphflow run demo_out/model --feed inputs.npz --backend numpy
        """,
        _act,
    )
    add_model(made)
    add_level(made)
    made.add_argument(
        "--feed",
        "--input",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="the input NAME from a .npy file, or from the array NAME of a .npz file; "
        "FILE alone, a .npz, feeds all its arrays; may be repeated",
    )
    made.add_argument("--backend", default="jax", metavar="NAME", help="jax, numpy or an installed one (jax)")
    made.add_argument("--signature", metavar="NAME", help="which function of a model that has several")
    made.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the outputs to a .npz file, or a single one to a .npy file; otherwise they are printed",
    )


def _act(options: argparse.Namespace) -> None:
    check_ending(options.output)
    model = load_model(options.model)
    feeds = read_feeds(options.feed)
    write_answers(model.run(feeds, options.backend, options.level, options.signature), options.output)


# Reading


def read_feeds(given: Sequence[str], option: str = "--feed") -> dict[str, np.ndarray]:
    """Arrays by input name from options such as `image=digits.npy` and `inputs.npz`.

    Raises:
        FileFormatError: if a file cannot be read.
        FeedError: if an input is given twice, or it is not said which one a file is for.
    """
    feeds: dict[str, np.ndarray] = {}
    for item in given:
        for name, array in _read_feed(item, option).items():
            if name in feeds:
                raise FeedError(f"the input {name!r} is fed twice", hint=f"give {option} once for each input")
            feeds[name] = array
    return feeds


def _read_feed(item: str, option: str) -> dict[str, np.ndarray]:
    name, separator, path = item.partition("=")
    if not separator:
        name, path = "", item
    if not path or (separator and not name):
        raise FeedError(
            f"{option} {item} is not NAME=FILE", hint=f"write for example {option} image=digits.npy"
        )
    loaded = _read_arrays(path)
    if isinstance(loaded, np.ndarray):
        if not name:
            raise FeedError(
                f"{option} {item} does not say which input it is", hint=f"write {option} NAME={path}"
            )
        return {name: loaded}
    if name and name not in loaded:
        raise FeedError(
            f"{path!r} has no array {name!r}", hint="it has " + (", ".join(map(repr, loaded)) or "none")
        )
    return {name: loaded[name]} if name else loaded


def _read_arrays(path: str) -> np.ndarray | dict[str, np.ndarray]:
    """What is in a .npy file, or all that is in a .npz file."""
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            with loaded:
                return {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise FileFormatError(
            f"{path!r} cannot be read: {error.strerror or error}", hint="give a .npy or .npz file"
        ) from None
    except Exception as error:  # NumPy and zlib raise a dozen kinds for broken files
        said = (
            "it holds Python objects" if "Object arrays" in str(error) else "it is no whole .npy or .npz file"
        )
        raise FileFormatError(f"{path!r} cannot be read as numbers: {said}", hint=_WRITE_NPY) from error


# Writing


def check_ending(path: str | None) -> None:
    """Raises FileFormatError unless arrays can be written to a file of this name; None stands for no file."""
    if path is not None and Path(path).suffix not in (".npy", ".npz"):
        raise FileFormatError(f"{path!r} ends in neither .npz nor .npy", hint="name it answers.npz, say")


def write_answers(answers: Mapping[str, np.ndarray], path: str | None) -> None:
    """Write arrays by name to a file, or print them.

    Raises:
        FileFormatError: if the file cannot hold them.
    """
    if path is not None:
        _write(path, {name: _portable(value) for name, value in answers.items()})
        return
    for name, value in answers.items():
        print(f"{name}: {value.dtype}{list(value.shape)}\n{value}")


def _portable(value: np.ndarray) -> np.ndarray:
    """The array, as float32 if it is of a dtype that NumPy's files do not have (bfloat16, float8, int4)."""
    dtype = as_dtype(value.dtype)
    if dtype.kind == "string":
        return value.astype(np.str_)
    return value.astype(np.float32) if dtype.is_narrow or dtype.name == "bfloat16" else value


def _write(path: str, arrays: Mapping[str, np.ndarray]) -> None:
    from graphflow.files import atomic_write

    single = Path(path).suffix == ".npy"
    if single and len(arrays) != 1:
        raise FileFormatError(
            f"a .npy file holds one array, but there are {len(arrays)} outputs", hint="name a .npz file"
        )
    with atomic_write(path) as file:
        if single:
            np.lib.format.write_array(file, next(iter(arrays.values())), allow_pickle=False)
        else:
            # Not np.savez, whose own arguments would clash with outputs of the same names.
            with zipfile.ZipFile(file, "w", allowZip64=True) as archive:
                for name, array in arrays.items():
                    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                        np.lib.format.write_array(entry, array, allow_pickle=False)
    print("wrote", path)
