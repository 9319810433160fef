"""Records as attribute values: how kinds of them that are defined higher up are written and read as text.

A record (an initializer) is an attribute value with an `attribute_key`. Its module registers here how
to take one apart into a name and fields, and how to make one from them, so that the text form can
hold it without knowing it: `init.uniform(high=0x1p+0, low=-0x1p+0)`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from graphflow.errors import GraphError, GraphFlowError, ParseError


@dataclass(frozen=True, slots=True)
class RecordForm:
    """How one kind of record is written and read.

    Attributes:
        prefix: the word in front of the dot.
        write: a record -> its name and its fields, which are attribute values.
        read: a name and fields -> the record; raises a GraphFlowError for what makes none.
    """

    prefix: str
    write: Callable[[Any], tuple[str, Mapping[str, Any]]]
    read: Callable[[str, dict[str, Any]], Any]


_by_kind: dict[type, RecordForm] = {}
_by_prefix: dict[str, RecordForm] = {}


def register_record(kind: type, form: RecordForm) -> None:
    """Let attributes hold records of `kind`; a prefix can be taken once."""
    if form.prefix in _by_prefix:
        raise GraphError(f"the record prefix {form.prefix!r} is taken", hint="choose another one")
    _by_kind[kind] = _by_prefix[form.prefix] = form


def write_record(value: Any) -> tuple[str, str, Mapping[str, Any]]:
    """The prefix, name and fields of a record.

    Raises:
        GraphError: if its kind was never registered.
    """
    form = _by_kind.get(type(value))
    if form is None:
        raise GraphError(
            f"a {type(value).__name__} has no text form, so a node that holds one cannot be written",
            hint="register it with graphflow.ir.records.register_record",
        )
    return form.prefix, *form.write(value)


def read_record(prefix: str, name: str, fields: dict[str, Any]) -> Any:
    """The record that `prefix.name(fields)` stands for.

    Raises:
        GraphFlowError: if there is none, or its fields do not fit.
    """
    form = _by_prefix.get(prefix)
    if form is None:
        raise ParseError(
            f"there are no records {prefix!r}", hint="known are " + ", ".join(sorted(_by_prefix))
        )
    try:
        return form.read(name, fields)
    except GraphFlowError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise ParseError(f"{prefix}.{name} cannot be made of the fields {sorted(fields)}: {error}") from None
