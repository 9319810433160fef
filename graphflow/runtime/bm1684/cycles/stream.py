"""Streams of decoded commands, group by group, with the layer that each command is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from graphflow.errors import AttributeValueError
from graphflow.runtime.bm1684.bmodel import CommandGroup, Stage
from graphflow.runtime.bm1684.isa import Command, decode_stream


@dataclass(frozen=True, slots=True)
class Stream:
    """The commands of one group, of each engine in its order.

    Arguments:
        tiu, gdma: commands of the tensor unit and of the data mover.
        tiu_labels, gdma_labels: for each command the name of its layer; empty where that is not known.

    Raises:
        AttributeValueError: if there are labels, but not one for each command.
    """

    tiu: Sequence[Command] = ()
    gdma: Sequence[Command] = ()
    tiu_labels: Sequence[str] = ()
    gdma_labels: Sequence[str] = ()

    def __post_init__(self) -> None:
        for engine in ("tiu", "gdma"):
            commands, labels = getattr(self, engine), getattr(self, f"{engine}_labels")
            if labels and len(labels) != len(commands):
                raise AttributeValueError(
                    f"{len(labels)} {engine} labels for {len(commands)} commands",
                    hint="give one for each, or none",
                )

    def label(self, engine: str, index: int) -> str:
        """The layer of a command, or an empty text."""
        labels = self.tiu_labels if engine == "tiu" else self.gdma_labels
        return labels[index] if labels else ""


class Labelled(Protocol):
    """Anything with the fields of a `Stream`."""

    @property
    def tiu(self) -> Sequence[Command]:
        """The commands of the tensor unit."""

    @property
    def gdma(self) -> Sequence[Command]:
        """Those of the data mover."""

    @property
    def tiu_labels(self) -> Sequence[str]:
        """The layers of the former."""

    @property
    def gdma_labels(self) -> Sequence[str]:
        """The layers of the latter."""


Group: TypeAlias = Labelled | CommandGroup
"""What a timeline takes: decoded commands, or the words of a .bmodel."""


def streams(groups: Iterable[Group] | Stage) -> Iterator[Stream]:
    """The groups, decoded where they are words.

    Raises:
        FileFormatError: if a stream holds what is no command.
    """
    for group in groups.groups if isinstance(groups, Stage) else groups:
        if isinstance(group, CommandGroup):
            tiu, gdma = (list(decode_stream(name, getattr(group, name))) for name in ("tiu", "gdma"))
            yield Stream(tiu, gdma)
        else:
            yield Stream(group.tiu, group.gdma, group.tiu_labels, group.gdma_labels)
