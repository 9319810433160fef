"""What all command records share: encoding by the codecs of their parts, and decoding by their keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, ClassVar, TypeVar, dataclass_transform, get_args, get_type_hints

from graphflow.errors import AttributeValueError, FileFormatError
from graphflow.runtime.bm1684.chip import COMMAND_BYTES
from graphflow.runtime.bm1684.isa import fields, words
from graphflow.runtime.bm1684.isa.fields import BitField
from graphflow.runtime.bm1684.isa.parts import Codec, Flag

C = TypeVar("C", bound="Command")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command of one of the two engines.

    Arguments:
        id: its number, which counts 1, 2, 3, ... on each engine within a group.
        wait: the id of the command of the other engine that must be complete before it starts, or 0.
        last: whether it ends its group; 0 in files, where the runtime sets it.
        others: fields, by name and value, that this kind has no use for and that differ from the usual.
    """

    id: Annotated[int, Codec("id")] = 0
    wait: Annotated[int, Codec("wait")] = 0
    last: Annotated[bool, Flag("last")] = False
    others: tuple[tuple[str, int], ...] = ()

    ENGINE: ClassVar[str] = ""
    TABLE: ClassVar[tuple[BitField, ...]] = ()
    KEY: ClassVar[Mapping[str, tuple[int, ...]]] = {}
    """The values of fields by which this kind is told; if there are several, an attribute says which."""

    USUAL: ClassVar[Mapping[str, int]] = {}
    """The value of every field that no attribute writes."""

    CODECS: ClassVar[tuple[tuple[str, Codec], ...]] = ()
    """The attributes that lie in bit fields, with what writes and reads them."""


class TiuCommand(Command):
    """A command of the tensor unit."""

    ENGINE = "tiu"
    TABLE = fields.TIU


class GdmaCommand(Command):
    """A command of the data mover."""

    ENGINE = "gdma"
    TABLE = fields.GDMA


KINDS: dict[str, list[type[Command]]] = {"tiu": [], "gdma": []}
"""The kinds of each engine's commands; the first whose key fits is it."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
def kind(
    *, usual: Mapping[str, int] | None = None, **key: int | tuple[int, ...]
) -> Callable[[type[C]], type[C]]:
    """Make a class a frozen record, and one of the kinds that `decode` finds.

    Arguments:
        usual: usual values of fields that are other than the table's for this kind.
        key: for each field by which the kind is told, its value or values.
    """

    def register(record: type[C]) -> type[C]:
        made = dataclasses.dataclass(frozen=True, kw_only=True)(record)
        made.KEY = {name: value if isinstance(value, tuple) else (value,) for name, value in key.items()}
        keys = {name: values[0] for name, values in made.KEY.items()}
        made.USUAL = {field.name: field.usual for field in made.TABLE} | dict(usual or {}) | keys
        hints = get_type_hints(made, include_extras=True)
        named = [(field.name, get_args(hints[field.name])[1:]) for field in dataclasses.fields(made)]
        made.CODECS = tuple((name, said[0]) for name, said in named if said and isinstance(said[0], Codec))
        KINDS[made.ENGINE].append(made)
        return made

    return register


def values_of(command: Command) -> dict[str, int]:
    """The values of all bit fields of a command.

    Raises:
        AttributeValueError: if an attribute has a value that its kind does not take.
    """
    values = dict(command.USUAL)
    for name, codec in command.CODECS:
        values.update(zip(codec.names, codec.write(getattr(command, name))))
    values.update(command.others)
    for name, allowed in command.KEY.items():
        if values[name] not in allowed:
            raise AttributeValueError(
                f"{type(command).__name__} has no {name} {values[name]}",
                hint=f"it takes {', '.join(map(str, allowed))}",
            )
    return values


def encode(command: Command) -> bytes:
    """The 128 bytes of a command.

    Raises:
        AttributeValueError: if a value does not fit in its field, or its kind does not take it.

    >>> from graphflow.runtime.bm1684 import isa
    >>> len(encode(isa.LinearCopy(id=1, source=1 << 32, destination=(1 << 32) + 4096, length=64)))
    128
    """
    return words.pack(command.TABLE, values_of(command))


def decode(engine: str, data: bytes) -> Command:
    """The command in 128 bytes of the stream of an engine, "tiu" or "gdma"; `encode` gives the bytes again.

    Raises:
        FileFormatError: if they are no command that is known.
    """
    table = fields.TIU if engine == "tiu" else fields.GDMA
    values = words.unpack(table, data)
    for record in KINDS[engine]:
        if all(values[name] in allowed for name, allowed in record.KEY.items()):
            return _read(record, values)
    names = ("task", "operation") if engine == "tiu" else ("function", "direction", "matrix")
    told = ", ".join(f"{name} {values[name]}" for name in names)
    raise FileFormatError(
        f"a {engine} command with {told} is none that is known", hint="see docs/bm1684-commands.md"
    )


def _read(record: type[C], values: dict[str, int]) -> C:
    parts = {name: codec.read(*[values[at] for at in codec.names]) for name, codec in record.CODECS}
    made = record(**parts)
    told = values_of(made)
    others = tuple([(name, value) for name, value in values.items() if value != told[name]])
    return dataclasses.replace(made, others=others) if others else made


def encode_stream(commands: Iterable[Command]) -> bytes:
    """The bytes of commands one after the other."""
    return b"".join([encode(command) for command in commands])


def decode_stream(engine: str, data: bytes) -> Iterator[Command]:
    """The commands in the stream of an engine.

    Raises:
        FileFormatError: if there is something that is no command; its number is told.
    """
    for start in range(0, len(data), COMMAND_BYTES):
        try:
            yield decode(engine, data[start : start + COMMAND_BYTES])
        except FileFormatError as error:
            raise FileFormatError(
                f"command {start // COMMAND_BYTES} of the {engine} stream: {error.message}", hint=error.hint
            ) from error
