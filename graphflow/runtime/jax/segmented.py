"""A program too large to compile as one: compiled segments, called one after another.

What passes between segments stays on the device. A value that no later segment reads is let go at once,
or its memory handed to the segment that reads it last; so it is with the old value of an updated
variable. Everything a call is given is checked before the first segment runs, so that a wrong argument
costs nothing; a failure half-way costs the variables whose memory had been handed over, as in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import jax
import numpy as np

from graphflow.errors import BackendError
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import TensorType
from graphflow.ops import threefry
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.runtime.backend import CompileOptions
from graphflow.runtime.jax.calls import (
    Call,
    FlatCall,
    compile_function,
    dispatcher,
    memory_bytes,
    place,
    share,
)
from graphflow.runtime.jax.fusion_barriers import repeated_values
from graphflow.runtime.jax.fusion_guard import compile_options
from graphflow.runtime.jax.lower import lower
from graphflow.runtime.segment import Segmentation
from graphflow.runtime.segment_kinds import Segment, segment_program


@dataclass(frozen=True, slots=True)
class _Step:
    """One call: the slots it reads, those its results fill, one after another, and those it empties.

    `aliased` are the bytes that its results take over from what it reads.
    """

    compiled: Any
    reads: tuple[int, ...]
    first: int
    end: int
    frees: tuple[int, ...]
    aliased: int = 0


class SegmentedExecutable(FlatCall):
    """A program compiled in segments; see `graphflow.runtime.backend.Executable`.

    Attributes:
        flat: takes updated, kept, feeds and, if `uses_key`, the key as one flat list of arguments,
            and gives fetches and new values as one tuple.
        note: how many nodes, segments and kinds of segments there are, in words.
        compilations: how many functions XLA has compiled for it.
    """

    def __init__(self, cut: Segmentation, options: CompileOptions) -> None:
        program = self.program = cut.program
        sources = [node for node in program.order() if "nullary_input" in node.op.traits]
        read = {node.name: node.output for node in sources if node.op.name == "variable"}
        keys = [node.output for node in sources if node.op.name == "session_key"]
        self.updated = tuple(program.updated)
        self.kept = tuple(name for name in read if name not in set(self.updated))
        self.uses_key = bool(keys)
        self.note = cut.note
        plan = self._plan = _Plan(options)
        for name, result in zip(self.updated, program.updates):
            plan.argument([read[name]] if name in read else [], result.type)
        for tensor in (*[read[name] for name in self.kept], *program.feeds, *keys[:1]):
            plan.argument(keys if tensor in keys else [tensor], tensor.type)
        plan.add_constants(cut)
        self._results = plan.add_steps(cut)
        self.compilations = plan.compilations
        self.flat = self._bound()

    def _bound(self) -> Call:
        """The function that runs the steps, with all it needs at hand."""
        plan = self._plan
        kinds = {id(step.compiled): step.compiled for step in plan.steps}
        calls = {kind: dispatcher(compiled) for kind, compiled in kinds.items()}
        steps = [
            (calls[id(step.compiled)], _picker(step.reads), step.first, step.end, step.frees)
            for step in plan.steps
        ]
        expected = [(kind.dtype.numpy, kind.shape) for kind in plan.types]
        before = len(self.updated) + len(self.kept)
        feeds = range(before, before + len(self.program.feeds))
        rest = [*plan.constants, *[None] * (plan.count - len(expected) - len(plan.constants))]
        numbers, keys_at = plan.stream_numbers, plan.streams_at
        finish = _picker(self._results)

        def flat(*arguments: Any) -> Sequence[Any]:
            if [(array.dtype, array.shape) for array in arguments] != expected:
                _refuse(arguments, expected)
            values = [*arguments, *rest]
            for index in feeds:
                if not isinstance(values[index], jax.Array):
                    values[index] = place(values[index])
            if len(numbers):
                values[keys_at] = _stream_keys(np.asarray(arguments[-1]), numbers)
            for call, pick, first, end, frees in steps:
                values[first:end] = call(*pick(values))
                for slot in frees:
                    values[slot] = None
            return finish(values)

        return flat

    def memory(self) -> dict[str, int]:
        """In bytes: arguments, outputs, aliased (in both), temp, code; XLA's numbers and what lies between.

        "temp" is the most that is held at once of values that pass between segments, and of what a
        segment needs while it runs.
        """
        plan, results = self._plan, set(self._results)
        temporary = live = 0
        for step in plan.steps:
            passed = [slot for slot in range(step.first, step.end) if slot not in results]
            live += sum([plan.sizes[slot] for slot in passed])
            own = memory_bytes(step.compiled).get("temp", 0)
            temporary = max(temporary, live + own - step.aliased)
            live -= sum([plan.sizes[slot] for slot in step.frees if slot >= len(plan.types)])
        known = {id(step.compiled): memory_bytes(step.compiled) for step in plan.steps}
        return {
            "arguments": sum(plan.sizes[: len(plan.types)]),
            "outputs": sum([plan.sizes[slot] for slot in self._results]),
            "aliased": plan.aliased,
            "temp": temporary,
            "code": sum([numbers.get("code", 0) for numbers in known.values()]),
        }

    def text(self) -> str:
        """The optimised HLO of each function that was compiled, in the order of first use."""
        known = {id(step.compiled): step.compiled for step in self._plan.steps}
        return "\n\n".join([compiled.as_text() for compiled in known.values()])


class _Plan:
    """The slots that values pass through, and the steps that fill them; arguments come first.

    Attributes:
        types: of the arguments.
        sizes: the bytes of what each slot holds.
        constants: what is passed rather than compiled in, on the device; in the slots after the arguments.
        stream_numbers, streams_at: what tells random streams apart, and the slots of their keys.
        aliased: the bytes of updated variables whose memory is handed over.
    """

    stream_numbers: np.ndarray
    streams_at: slice

    def __init__(self, options: CompileOptions) -> None:
        self.options = options
        self.slots: dict[Tensor, int] = {}
        self.types: list[TensorType] = []
        self.sizes: list[int] = []
        self.constants: list[jax.Array] = []
        self.steps: list[_Step] = []
        self.compilations = 0
        self.aliased = 0

    @property
    def count(self) -> int:
        """How many slots there are."""
        return len(self.sizes)

    def argument(self, tensors: Sequence[Tensor], kind: TensorType) -> None:
        """A further argument, which these tensors stand for."""
        self.slots.update((tensor, self.count) for tensor in tensors)
        self.types.append(kind)
        self.sizes.append(type_bytes(kind))

    def add_constants(self, cut: Segmentation) -> None:
        """Place the constants that segments take as inputs, or that are results; equal ones once."""
        passed = [tensor for segment in cut.segments for tensor in segment.inputs]
        known: dict[Any, int] = {}
        for tensor in dict.fromkeys((*passed, *cut.program.outputs)):
            if tensor.node.op.name == "constant":
                attrs = tensor.node.attrs
                if attrs not in known:
                    known[attrs] = self.count
                    self.constants.append(share(attrs.value))
                    self.sizes.append(type_bytes(tensor.type))
                self.slots[tensor] = known[attrs]

    def add_steps(self, cut: Segmentation) -> tuple[int, ...]:
        """Compile each kind of segment, and plan the calls; the slots of the results.

        Results that are given values, and the second of two that are the same, are copied: they must
        not share memory with anything. The former have to be copied before that memory is handed over.
        """
        self._add_streams(cut.streams)
        outputs = cut.program.outputs
        place_of: dict[int, int] = {}
        self._copy([number for number, each in enumerate(outputs) if each in self.slots], outputs, place_of)
        compiled = [self._compiled(segment) for segment in cut.kinds]
        for segment in cut.segments:
            self._append(compiled[segment.kind], segment)
        seen: set[Tensor] = set()
        repeated = []
        for number, tensor in enumerate(outputs):
            if number not in place_of:
                if tensor in seen:
                    repeated.append(number)
                seen.add(tensor)
                place_of[number] = self.slots[tensor]
        self._copy(repeated, outputs, place_of)
        return tuple([place_of[number] for number in range(len(outputs))])

    def _copy(self, numbers: Sequence[int], outputs: Sequence[Tensor], place_of: dict[int, int]) -> None:
        """A step that copies these of the outputs, and where the copies are."""
        if numbers:
            place_of.update((number, self.count + turn) for turn, number in enumerate(numbers))
            types = [outputs[number].type for number in numbers]
            what = "a copy of results"
            compiled = compile_function(lambda *arrays: arrays, types, (), self.options.cache_dir, what)
            self.compilations += 1
            reads = tuple([self.slots[outputs[number]] for number in numbers])
            first = self.count
            self.sizes += map(type_bytes, types)
            self.steps.append(_Step(compiled, reads, first, self.count, ()))

    def _add_streams(self, streams: Sequence[Node]) -> None:
        """Slots for the keys of random streams, which the host computes: compiling that takes longer."""
        numbers = [threefry.stream_number(node.attrs.stream) for node in streams]
        self.stream_numbers = np.array(numbers, np.uint64)
        self.streams_at = slice(self.count, self.count + len(streams))
        for node in streams:
            self.slots[node.output] = self.count
            self.sizes.append(type_bytes(node.output.type))

    def _compiled(self, segment: Segment) -> Any:
        """The executable of a segment, and of all others of its kind."""
        program = segment_program(segment)
        separated = repeated_values(program)
        lowered = lower(program, separated)
        what = f"a segment of {len(segment.nodes)} nodes from {segment.nodes[-1].name!r} on"
        self.compilations += 1
        options = compile_options(program, bool(separated))
        return compile_function(
            lowered.function, lowered.types, segment.donated, self.options.cache_dir, what, options
        )

    def _append(self, compiled: Any, segment: Segment) -> None:
        """The call of a segment."""
        reads = tuple([self.slots[tensor] for tensor in segment.inputs])
        frees = tuple([self.slots[tensor] for tensor in segment.freed])
        donated = [segment.inputs[place] for place in segment.donated]
        first = self.count
        self.slots.update((tensor, first + turn) for turn, tensor in enumerate(segment.outputs))
        self.sizes += [type_bytes(tensor.type) for tensor in segment.outputs]
        variables = [tensor for tensor in donated if tensor.node.op.name == "variable"]
        self.aliased += sum([type_bytes(tensor.type) for tensor in variables])
        passed = sum([type_bytes(tensor.type) for tensor in donated if tensor not in variables])
        self.steps.append(_Step(compiled, reads, first, self.count, frees, passed))


def _picker(slots: Sequence[int]) -> Callable[[list[Any]], tuple[Any, ...]]:
    """A function that gives the values in these slots."""
    if len(slots) > 1:
        return itemgetter(*slots)
    return lambda values: tuple([values[slot] for slot in slots])


def _stream_keys(session_key: np.ndarray, numbers: np.ndarray) -> list[np.ndarray]:
    """The keys of random streams; as `threefry.stream_key` of each."""
    at_step = np.array(threefry.threefry_2x32(session_key[:2], session_key[2], session_key[3]), np.uint32)
    high, low = (numbers >> np.uint64(32)).astype(np.uint32), numbers.astype(np.uint32)
    return list(np.stack(threefry.threefry_2x32(at_step, high, low), axis=-1))


def _refuse(arguments: Sequence[Any], expected: Sequence[tuple[np.dtype, Any]]) -> None:
    """Raise for arguments that the program was not compiled for."""
    given = [(array.dtype, array.shape) for array in arguments]
    if len(given) != len(expected):
        raise BackendError(f"the program takes {len(expected)} arrays, not {len(given)}")
    number, got = next(pair for pair in enumerate(given) if pair[1] != expected[pair[0]])
    raise BackendError(
        f"argument {number} is {got[0]}{list(got[1])}, but the program was compiled for "
        f"{expected[number][0]}{list(expected[number][1])}",
        hint="nothing has run; compile it for these types",
    )
