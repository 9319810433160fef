"""The hunt: one random graph after the other until the time is up, and a ready test of each fault found.

A graph is made by the seed and its number, so that any of them can be had again; what is found does not
depend on how fast the machine is, but for how many graphs there are.
"""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError
from graphflow.optimizer.pipelines import PIPELINES, parse_pipeline
from graphflow.prove.fuzz.judging import Fault, case_of, faults
from graphflow.prove.fuzz.programs import Generated, generated
from graphflow.prove.fuzz.shrink import shrunk
from graphflow.prove.minimal import Minimal
from graphflow.prove.reproduction import Settings, write
from graphflow.prove.subject import Case, Subject
from graphflow.runtime.backend import Backend, availability, get_backend

OTHERS_EVERY = 8
"""Backends that compile look at one graph in so many: compiling takes a hundred times as long as numpy."""

Progress = Callable[["Hunt", float], None]
"""Is told now and then how far the hunt is, and which share of the time is over."""


@dataclass(frozen=True)
class Finding:
    """A graph with a fault: which one, what is wrong, the smallest graph that has it, what was written."""

    seed: int
    number: int
    fault: Fault
    minimal: Minimal | None
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"graph {self.number} of seed {self.seed} {self.fault.kind} on {self.fault.backend} at "
            f"{self.fault.level}: {self.fault.what}",
            f"to repeat: graphflow fuzz --seed {self.seed} --start {self.number} --graphs 1",
        ]
        if self.minimal is not None:
            lines += [f"shown by {self.minimal}:", self.minimal.text.rstrip()]
        return "\n".join([*lines, *[f"wrote {path}" for path in self.files]])


@dataclass
class Hunt:
    """What a hunt has found so far; print it.

    Attributes:
        seed: what the graphs are made of.
        graphs, nodes: how many were looked at.
        edits: what the optimizer did to them, by level.
        operators: how often each occurs.
        findings: the faults.
    """

    seed: int
    graphs: int = 0
    nodes: int = 0
    seconds: float = 0.0
    backends: dict[str, int] = field(default_factory=dict)
    operators: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __str__(self) -> str:
        looked = ", ".join(f"{count} on {name}" for name, count in self.backends.items())
        lines = [
            f"seed {self.seed}: {_counted(self.graphs, 'graph')} ({looked}) of {self.nodes:,} nodes and "
            f"{len(self.operators)} operators in {self.seconds:.0f} s, "
            f"{_counted(len(self.findings), 'fault')}"
        ]
        return "\n\n".join([*lines, *map(str, self.findings)])

    def to_dict(self) -> dict[str, Any]:
        """The whole result in types that JSON has."""
        return {
            "seed": self.seed,
            "graphs": self.graphs,
            "nodes": self.nodes,
            "seconds": self.seconds,
            "passed": self.passed,
            "backends": self.backends,
            "operators": dict(sorted(self.operators.items())),
            "findings": [
                {
                    "seed": one.seed,
                    "number": one.number,
                    "kind": one.fault.kind,
                    "backend": one.fault.backend,
                    "level": one.fault.level,
                    "what": one.fault.what,
                    "rules": list(one.fault.rules),
                    "graph": one.minimal.text if one.minimal is not None else "",
                    "files": list(one.files),
                }
                for one in self.findings
            ],
        }


def hunt(
    seconds: float = 60.0,
    seed: int = 0,
    levels: Sequence[str] = ("O1", "O2", "O3"),
    backends: Sequence[str] | None = None,
    *,
    start: int = 0,
    graphs: int | None = None,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> Hunt:
    """Make random graphs, compare levels and backends, and make what fails small.

    Arguments:
        seconds: for how long; the graph that is looked at then is finished.
        seed: what the graphs are made of.
        levels: what is compared with O0: levels, or pipelines in string form.
        backends: names; all that are available if left out.
        start: the number of the first graph.
        graphs: how many at most.
        folder: where a ready test of each fault is written.
        progress: is told after each graph.

    Raises:
        AttributeValueError: for an unknown level or backend.

    >>> hunt(graphs=2, backends=["numpy"]).graphs
    2
    """
    chosen = _backends(backends)
    listed = [levels] if isinstance(levels, str) else list(levels)
    for level in listed:
        if level not in PIPELINES:
            parse_pipeline(level)
    found = Hunt(seed, backends=dict.fromkeys(chosen, 0))
    began = time.monotonic()
    number = start
    while (graphs is None or found.graphs < graphs) and time.monotonic() - began < seconds:
        made = generated(seed, number)
        now = {name: one for name, one in chosen.items() if name == "numpy" or number % OTHERS_EVERY == 0}
        _look(found, made, now or chosen, listed, folder)
        number += 1
        found.seconds = time.monotonic() - began
        if progress is not None:
            progress(found, min(found.seconds / seconds, 1.0))
    return found


def _backends(names: Sequence[str] | None) -> dict[str, Backend]:
    if names is None:
        names = [name for name, reason in availability().items() if reason is None]
    listed = [names] if isinstance(names, str) else list(names)
    if not listed:
        raise AttributeValueError("there is no backend to run on", hint='pass a list of names: ["numpy"]')
    return {name: get_backend(name) for name in sorted(listed, key=lambda name: (name != "numpy", name))}


def _look(found: Hunt, made: Generated, backends: dict[str, Backend], levels: list[str], folder: Any) -> None:
    """Judge one graph, and enter what is wrong with it."""
    subject = Subject(list(made.outputs))
    nodes = subject.model.graph.nodes
    found.graphs += 1
    found.nodes += len(nodes)
    found.operators.update([node.op.name for node in nodes])
    for name in backends:
        found.backends[name] += 1
    for crash in made.crashes:
        found.findings.append(Finding(made.seed, made.number, Fault("crashed", "numpy", "O0", crash), None))
    cases = [case_of(subject, made.inputs, special=False), _special(subject, made)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # overflow and the like is what special values do
        wrong = faults(subject, cases, backends, levels)
        for fault in _distinct(wrong):
            inputs = dict(zip(subject.inputs, cases[fault.special].arrays))
            minimal = shrunk(subject, inputs, fault, backends[fault.backend])
            files = _written(folder, minimal, made, fault, len(found.findings))
            found.findings.append(Finding(made.seed, made.number, fault, minimal, files))


def _special(subject: Subject, made: Generated) -> Case:
    """Inputs of the same shapes with NaN, infinities and the like among them."""
    rng = np.random.default_rng([made.seed, made.number, 1])
    given = {name: made.inputs[name] for name in subject.inputs}
    for name, array in given.items():
        if array.dtype.kind == "f" and array.size:
            given[name] = _spoilt(array, rng)
    return subject.case("special values", given, special=True)


def _spoilt(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    from graphflow.prove.inputs import SPECIAL

    with np.errstate(all="ignore"):
        values = rng.choice(SPECIAL, array.shape).astype(array.dtype)
    return np.where(rng.random(array.shape) < 0.5, values, array)


def _distinct(wrong: list[Fault]) -> list[Fault]:
    """One fault of each kind and backend: the levels above the first mostly have the same."""
    return list({(fault.kind, fault.backend): fault for fault in reversed(wrong)}.values())


def _written(
    folder: Any, minimal: Minimal | None, made: Generated, fault: Fault, count: int
) -> tuple[str, ...]:
    if folder is None or minimal is None:
        return ()
    level = fault.level if fault.level in PIPELINES else "O2"
    name = f"fuzz_{made.seed}_{made.number}_{count}"
    settings = Settings(level, fault.backend, (), False, name)
    title = f"A random graph {fault.kind} at {fault.level} on {fault.backend}: {_line(fault.what)}"
    return tuple(map(str, write(folder, minimal, settings, "", title, "graphflow fuzz")))


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" + "s" * (number != 1)


def _line(text: str) -> str:
    first = text.replace("\\", "/").replace('"', "'").splitlines()[0]
    return first if len(first) <= 60 else first[:57] + "..."
