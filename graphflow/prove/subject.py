"""The subject of a proof: a model as programs at every level, cut off after any edit, and their values.

What runs here is what a session runs: the program is optimised while its sizes are symbolic, then for
the sizes of the inputs, once more. Both count as one series of edits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphflow.errors import FeedError, GraphError
from graphflow.ir.graph import Graph
from graphflow.ir.node import Tensor
from graphflow.model.model import Model
from graphflow.ops.state import session_key
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import PIPELINES, optimize
from graphflow.optimizer.program import Program, extract, specialize
from graphflow.optimizer.rule import Rule
from graphflow.runtime.backend import Backend, CompileOptions
from graphflow.session.choices import Choices
from graphflow.session.feeds import (
    check_constraints,
    needed_placeholders,
    require_static,
    solve_sizes,
    to_array,
)
from graphflow.session.value_feeds import value_feeds


@dataclass(frozen=True)
class Case:
    """Inputs of a run: arrays in the order of the subject's feeds, and the sizes they tell.

    Attributes:
        label: how reports call it.
        special: whether there are NaN, infinities and the like among the elements on purpose.
    """

    label: str
    arrays: tuple[np.ndarray, ...]
    sizes: dict[str, int]
    special: bool = False


class Subject:
    """A model as something whose programs can be made and run.

    Arguments:
        what: a Model; or a Graph, for its outputs; or tensors.
        rules: further rules that the optimizer is to use.

    Raises:
        GraphError: for anything else.
    """

    def __init__(self, what: Any, rules: Sequence[Rule] = ()) -> None:
        self.model = as_model(what)
        self.rules = tuple(rules)
        self.fetches = list(self.model.outputs.values())
        needed = set(needed_placeholders(self.fetches))
        self.inputs = {name: tensor for name, tensor in self.model.inputs.items() if tensor in needed}
        self.feeds = list(self.inputs.values())
        self._weights = self.model.weights

    def extract(self) -> Program:
        """The program as built."""
        return extract(self.fetches, feeds=self.feeds, training=False, name=self.model.graph.name)

    def case(self, label: str, given: Mapping[Any, Any], special: bool = False) -> Case:
        """Inputs by name, or by tensor, as a Case.

        Raises:
            FeedError: if one is missing, unknown, or does not fit.
        """
        if not isinstance(given, Mapping):
            raise FeedError(f"the inputs are {given!r:.80}", hint="pass a dict from input names to arrays")
        named = {key.node.name if isinstance(key, Tensor) else key: value for key, value in given.items()}
        unknown = [name for name in named if name not in self.model.inputs]
        missing = [name for name in self.inputs if name not in named]
        if unknown or missing:
            said = (
                f"there is no input {unknown[0]!r:.80}"
                if unknown
                else f"the input {missing[0]!r} is not given"
            )
            raise FeedError(said, hint="the inputs are " + (", ".join(map(repr, self.inputs)) or "none"))
        arrays = tuple([_array(named[name], tensor) for name, tensor in self.inputs.items()])
        program = self.extract()
        valued = value_feeds(self.feeds, self.fetches, program.constraints)
        values = valued.read(arrays)
        shapes = [array.shape for array in arrays]
        sizes = solve_sizes(self.feeds, shapes, valued.solve(values))
        with valued.blamed(values):
            valued.check(sizes, values)
            check_constraints(program.constraints, sizes, self.feeds)
        return Case(label, arrays, sizes, special)

    def build(
        self, case: Case, backend: Backend, level: str, journal: Journal, observer: Any = None
    ) -> Program:
        """The optimised program for the sizes of a case.

        Arguments:
            level: "O0" to "O3", or a pipeline in string form.
            journal: where the edits are written down; if it has a limit, no more are made.
        """
        named = level in PIPELINES
        choices = Choices(level if named else "O2", "" if named else level, self.rules)
        program = self.extract()
        choices.mark_steady(program, backend)
        program = choices.optimized(program, backend, journal, observer)
        program = specialize(program, case.sizes)
        require_static(program)
        for name in journal.gone:
            program.unique_name(name)  # a name in the journal means one node only
        if case.sizes and not choices.changes_nothing:
            program = choices.simplified(program, backend, observer, journal)
        if journal.is_full:
            # Without this a program that is cut off early may still have what the target cannot run.
            program = optimize(program, "O2", "decompose", Journal("off"), refusal=backend.refusal)
        journal.label = level
        return program

    def static(self, case: Case) -> Program:
        """The program as built, for the sizes of a case."""
        return specialize(self.extract(), case.sizes)

    def outside(self, program: Program, case: Case) -> dict[Tensor, np.ndarray]:
        """The values that a program takes from outside, by tensor: its feeds, variables and key."""
        values: dict[Tensor, np.ndarray] = dict(zip(program.feeds, case.arrays))
        for node in program.nodes:
            if node.op.name == "variable":
                values[node.output] = self._weights[node.name]
            elif node.op is session_key:
                values[node.output] = _key()
        return values

    def run(
        self, program: Program, case: Case, backend: Backend, watched: Sequence[Tensor] = ()
    ) -> list[np.ndarray]:
        """The outputs of a program, and after them the values of the watched tensors.

        Raises:
            BackendError: if the backend cannot compile or run it.
        """
        count, tables = len(program.outputs), (program.regions, program.schedule, program.in_arena)
        if watched:
            # Regions and places were chosen for the outputs alone: inside of them nothing else is kept.
            program.regions, program.schedule, program.in_arena = (), (), False
        program.outputs = [*program.outputs, *watched]
        program.fetch_count = len(program.outputs)
        try:
            executable = backend.compile(program, CompileOptions(donate=False))
            kept = [backend.put(self._weights[name]) for name in executable.kept]
            feeds = [backend.put(array) for array in case.arrays]
            results, _ = executable([], kept, feeds, _key() if executable.uses_key else None)
            return [backend.get(result) for result in results]
        finally:
            program.outputs = program.outputs[:count]
            program.fetch_count = count
            program.regions, program.schedule, program.in_arena = tables


def as_model(what: Any) -> Model:
    """A model of what can be checked.

    Raises:
        GraphError: if there is nothing to compute.
    """
    if isinstance(what, Model):
        return what
    if isinstance(what, Graph):
        outputs = list(what.outputs) or _unread(what)
        if not outputs:
            raise GraphError("the graph computes nothing", hint="pass tensors, or a Model with outputs")
    else:
        outputs = (
            [what] if isinstance(what, Tensor) else list(what) if isinstance(what, (list, tuple)) else []
        )
        if not outputs or not all(isinstance(tensor, Tensor) for tensor in outputs):
            raise GraphError(
                f"{what!r:.80} is nothing that can be checked", hint="pass a gf.Model, a graph, or tensors"
            )
    distinct = list(dict.fromkeys(outputs))
    return Model(distinct[0].graph, inputs=needed_placeholders(distinct), outputs=distinct)


def _unread(graph: Graph) -> list[Tensor]:
    read = {tensor for node in graph.nodes for tensor in node.inputs}
    return [
        tensor
        for node in graph.nodes
        if "nullary_input" not in node.op.traits and "effect" not in node.op.traits
        for tensor in node.outputs
        if tensor not in read
    ]


def _array(value: Any, tensor: Tensor) -> np.ndarray:
    if tensor.dtype.is_storage and hasattr(value, "tolist") and value.dtype != tensor.dtype.numpy:
        value = value.tolist()  # files have no arrays of such dtypes
    return to_array(value, tensor)


def _key() -> np.ndarray:
    """The key of a session of seed 0 at step 0."""
    return np.zeros(4, np.uint32)
