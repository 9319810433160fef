"""Commands as text: one line each, with what differs from the usual."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

from graphflow.runtime.bm1684.chip import LOCAL_BASE, place
from graphflow.runtime.bm1684.isa.command import Command
from graphflow.runtime.bm1684.isa.parts import Constant, Operand, Precision, Shape

_ADDRESSES = ("source", "destination", "chosen")
_LEADING = ("id", "wait", "last")


def disassemble(command: Command) -> str:
    """A command as one line of text: its engine and id, for whom it waits, its kind and attributes.

    >>> from graphflow.runtime.bm1684 import isa
    >>> print(disassemble(isa.LinearCopy(id=2, wait=1, source=1 << 32, destination=0x10000000, length=64)))
    gdma 2 after tiu 1: LinearCopy direction=system destination=l2+0x0 source=ddr+0x0 length=64
    """
    other = "gdma" if command.ENGINE == "tiu" else "tiu"
    head = f"{command.ENGINE} {command.id}" + (f" after {other} {command.wait}" if command.wait else "")
    said = [type(command).__name__]
    defaults = {field.name: field.default for field in dataclasses.fields(command)}
    for name, _ in command.CODECS:
        value = getattr(command, name)
        if name not in _LEADING and (value != defaults[name] or name == "direction"):
            said.append(f"{name}={_text(name, value)}")
    said += [f"{name}:{value:#x}" for name, value in command.others]
    return f"{head}: {' '.join(said)}{' (last)' if command.last else ''}"


def listing(commands: Iterable[Command]) -> Iterator[str]:
    """The lines of a stream."""
    return (disassemble(command) for command in commands)


def _text(name: str, value: Any) -> str:
    if isinstance(value, Operand):
        where = place(value.address) if value.address >= LOCAL_BASE else f"{value.address:#x}"
        strides = "" if value.strides is None else f"[{','.join(map(str, value.strides))}]"
        return f"{where}:{_precision(value)}{strides}"
    if isinstance(value, Constant):
        number = f"{value.value:g}" if value.precision is Precision.FLOAT32 else f"{value.bits:#x}"
        return f"{number}:{_precision(value)}"
    if isinstance(value, Shape):
        return "x".join(map(str, value)) if "stride" not in name else f"[{','.join(map(str, value))}]"
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in _ADDRESSES:
        return place(value)
    return f"{value:#x}" if name in ("table", "value") else str(value)


def _precision(value: Operand | Constant) -> str:
    short = {"FLOAT32": "f32", "FLOAT16": "f16", "INT8": "i8", "INT16": "i16", "INT32": "i32"}
    name = short[value.precision.name]
    return name.replace("i", "u") if name[0] == "i" and not value.signed else name
