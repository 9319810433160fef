"""Restoring a checkpoint into a session: all of it, or some of it under other names.

Arrays are stored whole and on no device, so it does not matter on which backend, or on how many devices,
they were before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graphflow.errors import FileFormatError
from graphflow.session import checkpoint
from graphflow.session.array_file import Types
from graphflow.session.variables import Variables


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        step: the checkpoint's.
        variables: the names of the session's variables that have new values.
        kept: the names of those that keep their values, as the checkpoint has none for them.
        unused: the checkpoint's names that were used for none.
        metrics: the numbers that were saved with it.
        position: where the data were, a JSON value or None.
    """

    step: int
    variables: tuple[str, ...]
    kept: tuple[str, ...]
    unused: tuple[str, ...]
    metrics: Mapping[str, float]
    position: Any

    def __str__(self) -> str:
        return (
            f"step {self.step}: {len(self.variables)} variables restored, {len(self.kept)} kept, "
            f"{len(self.unused)} of the checkpoint's unused"
        )


def restore(
    variables: Variables,
    folder: str | Path,
    data: Any = None,
    partial: bool = False,
    rename: Mapping[str, str | None] | None = None,
) -> Restored:
    """Set variables from a checkpoint; all that are meant, or nothing if there is an error.

    Arguments:
        data: has `restore(state)`, which puts it back where its `state()` was; None for nothing.
        partial: take the variables that both have, and leave the step, the seed and `data` as they are.
        rename: the session's name, or None for no use, by the checkpoint's. A key that ends in "/" stands
            for the beginning of names, and "" for that of all; the longest that fits counts.

    Raises:
        FileFormatError: if it is missing, corrupt, foreign, or has other variables than it should.
    """
    state = checkpoint.read(folder)
    place = Path(folder)
    sources = _sources(place, state.types, rename or {})
    wanted = variables.tensors
    used = {name: source for name, source in sources.items() if name in wanted}
    kept = tuple([name for name in wanted if name not in used])
    taken = set(used.values())
    unused = tuple([name for name in state.types if name not in taken])
    if not partial:
        _refuse_differences(place, kept, tuple(sorted(sources.keys() - wanted.keys())))
    elif not used:
        raise FileFormatError(
            f"the checkpoint {str(place)!r} has none of the graph's variables, but {_listed([*state.types])}",
            hint='say how they are called here: rename={"old/": "new/"}',
        )
    _check_types(place, variables, state.types, used)
    with _moved(place, None if partial else data, state.position), variables.lock:
        variables.update({name: state.read(source) for name, source in used.items()})
        if not partial:
            variables.step, variables.seed = state.step, state.seed
    return Restored(state.step, tuple(used), kept, unused, state.metrics, state.position)


@contextmanager
def _moved(place: Path, data: Any, position: Any) -> Iterator[None]:
    """Have the data at a position; where they were, if what follows fails."""
    if data is None:
        yield
        return
    if position is None:
        raise FileFormatError(
            f"the checkpoint {str(place)!r} has no position of the data",
            hint="restore it without data, or save with it: sess.save_checkpoint(folder, data)",
        )
    before = data.state()
    data.restore(position)
    try:
        yield
    except BaseException:
        data.restore(before)
        raise


def _sources(place: Path, types: Types, rename: Mapping[str, str | None]) -> dict[str, str]:
    """The checkpoint's name by the session's."""
    if not isinstance(rename, Mapping) or not all(
        isinstance(old, str) and (new is None or isinstance(new, str)) for old, new in rename.items()
    ):
        raise FileFormatError(
            f"rename is {rename!r:.80}",
            hint='pass a dict from names to names, or to None: {"old/": "new/", "head/": None}',
        )
    found: dict[str, str] = {}
    for name in types:
        new = _renamed(name, rename)
        if new in found:
            raise FileFormatError(
                f"of the checkpoint {str(place)!r} both {found[new]!r} and {name!r} are to be {new!r}",
                hint="rename one of them otherwise, or to None, which leaves it out",
            )
        if new is not None:
            found[new] = name
    return found


def _renamed(name: str, rename: Mapping[str, str | None]) -> str | None:
    if name in rename:
        return rename[name]
    for end in reversed([0, *(at + 1 for at, letter in enumerate(name) if letter == "/")]):
        if name[:end] in rename:
            new = rename[name[:end]]
            return None if new is None else new + name[end:]
    return name


def _refuse_differences(place: Path, missing: tuple[str, ...], unknown: tuple[str, ...]) -> None:
    if missing or unknown:
        said = [f"lacks {_listed(sorted(missing))}"] * bool(missing)
        said += [f"has {_listed(unknown)} too many"] * bool(unknown)
        raise FileFormatError(
            f"the checkpoint {str(place)!r} is not of this graph: it {' and '.join(said)}",
            hint="restore it into a session of the graph that it was saved from, or what both have with "
            "partial=True",
        )


def _check_types(place: Path, variables: Variables, types: Types, used: Mapping[str, str]) -> None:
    for name, source in used.items():
        wanted, (dtype, shape) = variables.tensors[name].type, types[source]
        if shape != wanted.shape or dtype is not wanted.dtype:
            raise FileFormatError(
                f"the checkpoint {str(place)!r} has {dtype}{list(shape)} for the variable {name!r}, which is "
                f"{wanted}",
                hint=f"restore it into a session of the graph that it was saved from, or without it: "
                f"partial=True, rename={{{source!r}: None}}",
            )


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(map(repr, names[:4])) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
