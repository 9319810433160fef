"""The program of a model for the chip: its weights as constants, its sizes known, and optimised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING

from graphflow.errors import AttributeValueError, GraphError
from graphflow.ir import dims
from graphflow.optimizer.program import Program, extract, specialize
from graphflow.session.arguments import checked_level
from graphflow.session.choices import Choices

if TYPE_CHECKING:
    from graphflow.model import Model
    from graphflow.runtime.bm1684.backend import Bm1684Backend

TARGETS = ("bm1684",)
"""What `gf.compile` writes files for."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program that only needs feeds, and the names of what goes in and out."""

    program: Program
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    sizes: Mapping[str, int]


def check_target(target: str) -> Bm1684Backend:
    """The backend whose files are asked for.

    Raises:
        AttributeValueError: if there is no such target.
    """
    from graphflow.runtime.bm1684.backend import Bm1684Backend

    if not isinstance(target, str) or target not in TARGETS:
        raise AttributeValueError(f"there is no target {target!r:.80}", hint=f"one of {', '.join(TARGETS)}")
    return Bm1684Backend()


def prepare(
    model: Model, sizes: Mapping[str, int], level: str, signature: str | None, backend: Bm1684Backend
) -> Prepared:
    """The program of one signature for given sizes.

    Raises:
        AttributeValueError: if a size is not given, no whole number, or none of the model's.
        GraphError: if there is no such signature.
    """
    from graphflow.model import Model

    if not isinstance(model, Model):
        raise AttributeValueError(f"{model!r:.80} is no model", hint="pass gf.Model(inputs=[x], outputs=[y])")
    checked_level(level)
    named = model.default if signature is None else signature
    chosen = model.signatures.get(named) if isinstance(named, str) else None
    if chosen is None:
        raise GraphError(
            f"the model has no signature {signature!r:.80}", hint=f"it has {', '.join(model.signatures)}"
        )
    program = extract(list(chosen.outputs.values()), feeds=list(chosen.inputs.values()), training=False)
    _check_sizes(program, sizes)
    program = specialize(program, sizes, model.weights)
    program = Choices(level=level).optimized(program, backend)
    return Prepared(program, tuple(chosen.inputs), tuple(chosen.outputs), dict(sizes))


def _check_sizes(program: Program, sizes: Mapping[str, int]) -> None:
    """Raises AttributeValueError unless exactly the symbolic sizes of the inputs are given."""
    shapes = [tensor.shape for tensor in program.feeds]
    known = list(dict.fromkeys(name for shape in shapes for size in shape for name in dims.symbols(size)))
    missing = [name for name in known if name not in sizes]
    if missing:
        said = " ".join(f"--size {name}=1" for name in missing)
        raise AttributeValueError(
            f"the sizes {', '.join(missing)} are not known, and a file for the chip has fixed sizes",
            hint=f"pass sizes={{{', '.join(f'{name!r}: 1' for name in missing)}}}, or {said}; a list of such "
            "makes a stage of each",
        )
    for name, size in sizes.items():
        if not _is_size(size):
            raise AttributeValueError(
                f"the size {name!r} is {size!r:.40}", hint="a size is a whole number from 1 on"
            )
    strange = [name for name in sizes if name not in known]
    if strange:
        raise AttributeValueError(
            f"the model has no size {strange[0]!r}", hint=f"it has {', '.join(known) or 'none'}"
        )


def _is_size(size: object) -> bool:
    return not isinstance(size, bool) and isinstance(size, Integral) and int(size) >= 1


def listed_sizes(sizes: Mapping[str, int] | Sequence[Mapping[str, int]] | None) -> list[Mapping[str, int]]:
    """What a user gave for sizes, as one mapping for each stage.

    Raises:
        AttributeValueError: if it is neither a mapping nor a list of different ones.
    """
    if sizes is None:
        return [{}]
    given = [sizes] if isinstance(sizes, Mapping) else sizes
    if (
        not isinstance(given, (list, tuple))
        or not given
        or not all(isinstance(one, Mapping) for one in given)
    ):
        raise AttributeValueError(
            f"the sizes are {sizes!r:.80}", hint="pass a dict such as {'batch': 1}, or a list of those"
        )
    for number, one in enumerate(given):
        if one in given[:number]:
            raise AttributeValueError(f"the sizes {dict(one)} are given twice", hint="each makes a stage")
    return list(given)
