"""What several commands share: finding out what a file is, and reading options such as NAME=SIZE."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.ir import dims

if TYPE_CHECKING:
    from graphflow.model import Model
    from graphflow.optimizer.rule import Rule


def command(commands: Any, name: str, help: str, examples: str, act: Any) -> argparse.ArgumentParser:
    """Add a command; `examples`, one a line, end its help."""
    listed = examples.strip().splitlines()
    made: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog="\n  ".join(["example:" if len(listed) == 1 else "examples:", *map(str.strip, listed)]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.set_defaults(act=act)
    return made


def add_model(parser: argparse.ArgumentParser) -> None:
    """The positional argument MODEL."""
    said = "a saved model (a folder or .gfm), or an .onnx or .tflite file"
    parser.add_argument("model", metavar="MODEL", help=said)


def add_level(parser: argparse.ArgumentParser) -> None:
    """The option --level."""
    parser.add_argument(
        "--level", choices=("O0", "O1", "O2", "O3"), default="O2", help="optimizer level (O2)"
    )


def add_rules(parser: argparse.ArgumentParser) -> None:
    """The option --rules."""
    parser.add_argument("--rules", metavar="FILE", help="a Python file with rules of your own, which is run")


def read_rules(path: str | None) -> list[Rule]:
    """The rules in a file; none without one."""
    from graphflow.prove import load_rules

    return [] if path is None else load_rules(path)


def add_optimizer(parser: argparse.ArgumentParser) -> None:
    """The options that say how to optimise; `optimizer_options` reads them."""
    add_level(parser)
    parser.add_argument(
        "-p", "--pipeline", default="", metavar="PASSES", help="passes in string form, instead of the level's"
    )
    add_rules(parser)
    parser.add_argument(
        "--passes", metavar="FILE", help="a Python file with passes of your own, which is run"
    )
    for name, said in (("include", "run"), ("exclude", "leave out")):
        parser.add_argument(
            f"--{name}", default="", metavar="LIST", help=f"rules, tags and passes to {said}, with commas"
        )


def optimizer_options(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments of gf.optimize that the options give."""
    from graphflow.prove import load_passes

    return {
        "level": options.level,
        "pipeline": options.pipeline,
        "rules": read_rules(options.rules),
        "passes": [] if options.passes is None else load_passes(options.passes),
        "include": listed(options.include),
        "exclude": listed(options.exclude),
    }


def listed(text: str) -> list[str]:
    """The names in an option with commas.

    >>> listed("O1, O2")
    ['O1', 'O2']
    """
    return [item.strip() for item in text.split(",") if item.strip()]


def add_sizes(parser: argparse.ArgumentParser) -> None:
    """The repeatable option --size."""
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="NAME=N",
        help="the value of a symbolic size, e.g. batch=32; may be repeated",
    )


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """The type of an option whose value is an integer from `low` up to `high`.

    >>> whole(1)("12")
    12
    """

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < low or (high is not None and value > high):
            limits = f"at least {low}" if high is None else f"from {low} to {high}"
            raise argparse.ArgumentTypeError(f"{value} is not {limits}")
        return value

    return read


def load_model(path: str) -> Model:
    """The model at a path, recognised by what is there.

    Raises:
        FileFormatError: if there is nothing, or nothing that GraphFlow reads.
    """
    from graphflow.runtime.bm1684.bmodel import is_bmodel

    place = Path(path)
    if not place.exists():
        raise FileFormatError(
            f"there is nothing at {path!r}",
            hint="give the folder of a saved model, or a .gfm, .onnx or .tflite file; "
            "`graphflow demo` makes demo_out/model",
        )
    if place.is_file() and (place.suffix == ".onnx" or _begins_as_onnx(place)):
        from graphflow.io import onnx

        imported: Model = onnx.load(path)
        return _from_file(imported, place)
    if place.is_file() and _is_tflite(place):
        from graphflow.io import tflite

        converted: Model = tflite.load(path)
        return _from_file(converted, place)
    if is_bmodel(place):
        raise FileFormatError(
            f"{path!r} holds commands for the BM1684, not a graph",
            hint=f"graphflow show {path}, or graphflow disassemble {path}",
        )
    if not (place.is_dir() and (place / "manifest.json").exists()) and not _begins_as_zip(place):
        raise FileFormatError(
            f"{path!r} is no model that GraphFlow reads",
            hint="give the folder that gf.saved_model.save wrote, which holds manifest.json, or an ONNX or "
            "TFLite file",
        )
    from graphflow.io import saved_model

    model: Model = saved_model.load(path)
    return model


def _from_file(model: Model, path: Path) -> Model:
    """Give the nodes the file as their origin: no line of the user's made them."""
    from graphflow.ir.body import nested_nodes
    from graphflow.ir.provenance import Origin

    origins: dict[str | None, Origin] = {}
    for node in nested_nodes(model.graph.nodes):
        name = None if node.origin is None else node.origin.source_name
        node.origin = origins.setdefault(name, Origin(str(path), 0, name))
    return model


def is_model(path: str) -> bool:
    """Whether `load_model` has a format for what is there, as far as the first bytes tell."""
    place = Path(path)
    known = place.suffix in (".onnx", ".tflite", ".gfm")
    return place.is_dir() or (
        place.is_file() and (known or _begins_as_onnx(place) or _begins_as_zip(place) or _is_tflite(place))
    )


def _is_tflite(place: Path) -> bool:
    """Whether a file has the identifier of TensorFlow Lite models."""
    from graphflow.io.tflite.reading import is_tflite

    try:
        with place.open("rb") as file:
            return is_tflite(file.read(8))
    except OSError:
        return False


def _begins_as_zip(place: Path) -> bool:
    """Whether it is a file that begins as saved models in one file do."""
    from graphflow.io.zip_file import MAGIC

    try:
        with place.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def _begins_as_onnx(place: Path) -> bool:
    """Whether a file begins as ONNX models do: with the version of the format, and then another field."""
    try:
        with place.open("rb") as file:
            start = file.read(3)
    except OSError:
        return False
    return (
        len(start) == 3
        and start[0] == 0x08
        and 0 < start[1] < 64
        and start[2] in b"\x12\x1a\x22\x28\x32\x3a\x42"
    )


def read_sizes(given: Sequence[str]) -> dict[str, int]:
    """Sizes by name from options such as `batch=32`.

    Raises:
        AttributeValueError: for anything else.

    >>> read_sizes(["batch=32", "time=7"])
    {'batch': 32, 'time': 7}
    """
    sizes: dict[str, int] = {}
    for item in given:
        name, _, value = item.partition("=")
        if not (name.isidentifier() and value.isdecimal()):
            raise AttributeValueError(
                f"--size {item} is not NAME=N", hint="write for example --size batch=32"
            )
        if int(value) >= 2**63:
            raise AttributeValueError(f"--size {item} is larger than any array", hint="give a smaller size")
        if sizes.setdefault(name, int(value)) != int(value):
            raise AttributeValueError(
                f"--size {name} is given twice, as {sizes[name]} and {int(value)}", hint="give it once"
            )
    return sizes


def check_sizes(model: Model, sizes: Mapping[str, int], what: str = "memory") -> None:
    """Raise unless these are the symbolic sizes of the model's inputs, on which `what` depends.

    Raises:
        AttributeValueError: naming the sizes that are missing, or that it does not have.
    """
    needed = sorted({name for tensor in model.inputs.values() for name in dims.symbols_of(tensor.shape)})
    unknown = [name for name in sizes if name not in needed]
    if unknown:
        raise AttributeValueError(
            f"the model has no size {unknown[0]!r}",
            hint=f"its sizes are {', '.join(needed)}"
            if needed
            else "all its sizes are fixed; leave --size out",
        )
    missing = [name for name in needed if name not in sizes]
    if missing:
        sizes_said = "size" if len(missing) == 1 else "sizes"
        raise AttributeValueError(
            f"the model's {what} depends on its {sizes_said} {', '.join(missing)}",
            hint="add " + " ".join(f"--size {name}=32" for name in missing),
        )
