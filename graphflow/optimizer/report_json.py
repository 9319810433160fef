"""A report as JSON, and back: the schema that tools may rely on.

`graphflow.explain` version 1 is an object with

    schema, version      "graphflow.explain", 1
    label, seconds       the level or pipeline that ran, and how long
    before, after        totals: nodes, inside (in bodies), flops, bytes (read and written by all nodes),
                         weight_bytes, peak_bytes (of the memory plan, or null)
    passes               name, seconds, before, after (nodes), changed, note; `cost` has before and after as
                         {nodes, flops, bytes, peak_bytes}, or is null where nothing was measured
    rules                pass_name, rule, fired, declined, nodes, inside (nodes in bodies), flops, bytes,
                         peak_bytes, seconds (changes; null where not measured), evidence, algebra
    entries              every edit: sequence, pass_name, rule, kind, removed, added, into, reason, flops,
                         bytes
    declined             pass_name, rule, node, reason, origin

where sizes were given, also what ran once they were known, with " at sizes" behind the names of passes in
`passes` and `rules`; and, only where a memory budget asked for something,

    recomputed           node, bytes, flops, origin: what is computed twice
    fitted               what was done for the budget, as such an object

A later version 1 may have further keys, which a reader is to pass over; where the meaning of one changes,
the version does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from graphflow.errors import FileFormatError
from graphflow.optimizer.declines import all_remarks

if TYPE_CHECKING:
    from graphflow.optimizer.explain import Report

SCHEMA, VERSION = "graphflow.explain", 1

_KEYS = ("label", "seconds", "before", "after", "passes", "rules", "entries", "declined")


def to_dict(report: Report) -> dict[str, Any]:
    """The report in types that JSON has; see the module docstring."""
    journal, meter = report.journal, report.meter
    costs = [None] * len(journal.passes) if meter is None else meter.passes
    passes = []
    for record, cost in zip(journal.passes, costs):
        measured = (
            None if cost is None else {key: getattr(cost, key)._asdict() for key in ("before", "after")}
        )
        passes.append({**record._asdict(), "cost": measured})
    found = {
        "schema": SCHEMA,
        "version": VERSION,
        "label": report.label,
        "seconds": report.seconds,
        "before": asdict(report.before),
        "after": asdict(report.after),
        "passes": passes,
        "rules": [asdict(line) for line in report.lines],
        "entries": [_lists(entry._asdict()) for entry in journal.entries],
        "declined": [remark._asdict() for remark in all_remarks(report)],
    }
    if report.fitted is not None:
        found["recomputed"] = [one._asdict() for one in report.recomputed]
        found["fitted"] = to_dict(report.fitted)
    return found


def to_json(report: Report) -> str:
    """The report as JSON text."""
    return _written(to_dict(report))


@dataclass(frozen=True)
class SavedReport:
    """What a JSON text tells of an optimisation; its attributes are those of the schema.

    Attributes:
        label, seconds, before, after, passes, rules, entries, declined: see the module docstring.
        further: keys that this version does not know.
    """

    label: str
    seconds: float
    before: dict[str, Any]
    after: dict[str, Any]
    passes: list[dict[str, Any]]
    rules: list[dict[str, Any]]
    entries: list[dict[str, Any]]
    declined: list[dict[str, Any]]
    further: dict[str, Any]

    def to_json(self) -> str:
        """The text that it was read from, as `Report.to_json` writes it."""
        known = {key: getattr(self, key) for key in _KEYS}
        return _written({"schema": SCHEMA, "version": VERSION, **known, **self.further})


def read_report(text: str) -> SavedReport:
    """A report from its JSON text.

    Raises:
        FileFormatError: for text that is no such JSON, or of another version.

    >>> import graphflow as gf
    >>> y = gf.exp(gf.placeholder("x", (3,)) * 1.0)
    >>> report = gf.Session(backend="numpy").explain(y)
    >>> saved = read_report(report.to_json())
    >>> saved.before["nodes"], saved.to_json() == report.to_json()
    (4, True)
    """
    try:
        found = json.loads(text)
    except (TypeError, ValueError) as error:
        raise FileFormatError(
            f"the report is no JSON: {error}", hint="read what report.to_json() wrote"
        ) from error
    if not isinstance(found, Mapping) or found.get("schema") != SCHEMA:
        raise FileFormatError(
            f"the JSON is no report: its schema is not {SCHEMA!r}", hint="read what report.to_json() wrote"
        )
    if found.get("version") != VERSION:
        raise FileFormatError(
            f"the report is of version {found.get('version')!r:.40}; this GraphFlow reads {VERSION}",
            hint="read it with the GraphFlow that wrote it",
        )
    missing = [key for key in _KEYS if key not in found]
    if missing:
        raise FileFormatError(f"the report has no {missing[0]!r}", hint="it was cut off or edited")
    further = {key: value for key, value in found.items() if key not in (*_KEYS, "schema", "version")}
    return SavedReport(**{key: found[key] for key in _KEYS}, further=further)


def _written(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1, allow_nan=False)


def _lists(record: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in record.items()}
