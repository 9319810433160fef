"""When each value of a program lives, and which values share memory: views, and results written in place.

The unit is a *storage*: the memory of one computed value together with all its views and whatever is
written over it in place. Instants are positions in the order of running; a node's inputs and
outputs are live together at its own position, so a storage is live in [first, last).

Three questions are answered for single nodes, so that other planners answer them alike:

    view_source      which input a result shares its memory with, by the trait `view`
    write_targets    which inputs a result may be written over, by the trait `in_place`
    obstacle         why it may not be, in this order; "" if it may
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphflow.errors import MemoryPlanError
from graphflow.ir.body import Body, bodies_of, has_bodies
from graphflow.ir.node import Node, Tensor
from graphflow.ir.types import TensorType
from graphflow.optimizer.analysis.cost import type_bytes
from graphflow.optimizer.memory.lifetimes import live_bytes

# Views after which the elements still lie in row-major order, so that an elementwise operator may
# write its result over them. A transposed or sliced view also shares memory, but in another order.
ROW_MAJOR_VIEWS = frozenset(
    {"reshape", "flatten", "expand_dims", "squeeze", "identity", "stop_gradient", "after"}
)

# Of what is not in row-major order these cannot make a view: the elements have to be moved.
_REORDERING = frozenset({"reshape", "flatten"})

Refused = Callable[[Node, str], None]


@dataclass(slots=True)
class Storage:
    """One piece of memory.

    Attributes:
        kind: "argument" (fed, variable or key), "constant", "temporary" or "output".
        size: bytes.
        first, last: it is live in [first, last).
        tensors: the values it holds, in the order in which they are made; none if it is what the bodies
            of its maker need while they run.
        maker, last_reader: the node that makes its first value, and the last to read any.
    """

    kind: str
    size: int
    first: int
    last: int
    tensors: list[Tensor]
    maker: Node
    last_reader: Node | None = None

    @property
    def name(self) -> str:
        """What it is called: as the node of its first value, or by whose bodies it is for."""
        return self.tensors[0].node.name if self.tensors else f"inside {self.maker.name}"


@dataclass(slots=True)
class Liveness:
    """The storages of a program, and which one holds each tensor.

    Attributes:
        order: the nodes as they run.
        storages: in the order of their birth.
        of: for each tensor, the position of its storage in `storages`.
        in_place: the nodes that write over an input.
        copied_bytes: outputs that need a copy, since their memory belongs to something else.
        strided: views whose elements are not in row-major order.
    """

    order: tuple[Node, ...]
    storages: list[Storage] = field(default_factory=list)
    of: dict[Tensor, int] = field(default_factory=dict)
    in_place: list[Node] = field(default_factory=list)
    copied_bytes: int = 0
    strided: set[Tensor] = field(default_factory=set)

    def storage(self, tensor: Tensor) -> Storage:
        """The memory that holds a tensor."""
        return self.storages[self.of[tensor]]


def analyse(
    order: Sequence[Node],
    outputs: Sequence[Tensor],
    in_place: bool = True,
    refused: Refused | None = None,
    assumed: bool = False,
) -> Liveness:
    """The liveness of nodes that run in `order` and return `outputs`.

    Arguments:
        in_place: let operators write over a dying input where they can.
        refused: is told each node that could write over an input of its type but must not, and why.
        assumed: whether a symbolic size counts as 1; who shares with whom does not depend on it.

    Raises:
        MemoryPlanError: if a size is symbolic and not assumed.
    """
    result = Liveness(tuple(order))
    count = len(result.order)
    last_use = last_uses(order, outputs)
    sizes: dict[TensorType, int] = {}
    for position, node in enumerate(result.order):
        scratch = scratch_bytes(node) if node.attrs and not assumed and has_bodies(node) else 0
        if scratch:
            result.storages.append(Storage("temporary", scratch, position, position + 1, [], node, node))
        may_share = in_place or "view" in node.op.traits
        for tensor in node.outputs:
            shared = _shared_storage(result, node, tensor, position, in_place, refused) if may_share else None
            if shared is None:
                size = sizes.get(tensor.type)
                if size is None:
                    size = sizes[tensor.type] = type_bytes(tensor.type) if assumed else byte_size(tensor)
                shared = len(result.storages)
                storage = Storage(_kind(node), size, position, position + 1, [tensor], node)
                result.storages.append(storage)
            else:
                storage = result.storages[shared]
                storage.tensors.append(tensor)
            result.of[tensor] = shared
            reader = last_use.get(tensor, position)
            if reader + 1 > storage.last:
                storage.last = reader + 1
                storage.last_reader = result.order[reader] if reader < count else None
    _give_to_outputs(result, outputs)
    return result


def scratch_bytes(node: Node) -> int:
    """What the bodies of a node need while it runs, beside its operands and results.

    That is the most of any one body; a loop also holds the carries of the step before.
    """
    bodies = list(bodies_of(node))
    if not bodies:
        return 0
    loops = "carries" in node.attrs
    carried = sum([byte_size(tensor) for tensor in node.outputs[: node.attrs["carries"]]]) if loops else 0
    return carried + max([_body_peak(body, loops) for body in bodies])


def _body_peak(body: Body, with_results: bool) -> int:
    """The most bytes that are live at once inside a body; remembered, as bodies do not change."""
    key = (with_results, body.attribute_key())
    found = _peaks.get(key)
    if found is None:
        inner = analyse(body.order(), body.outputs)
        kinds = ("temporary", "output") if with_results else ("temporary",)
        counted = [storage for storage in inner.storages if storage.kind in kinds]
        rows = [(storage.first, storage.last, storage.size) for storage in counted]
        first, last, size = np.array(rows, np.int64).reshape(-1, 3).T
        found = int(live_bytes(first, last, size)[1].max(initial=0))
        if len(_peaks) >= _MOST_PEAKS:
            _peaks.clear()
        _peaks[key] = found
    return found


_MOST_PEAKS = 256
_peaks: dict[tuple, int] = {}


def last_uses(order: Sequence[Node], outputs: Sequence[Tensor]) -> dict[Tensor, int]:
    """For each tensor that is read, the position of its last reader; len(order) for an output."""
    last: dict[Tensor, int] = {}
    for position, node in enumerate(order):
        for tensor in node.inputs:
            last[tensor] = position
    last.update((tensor, len(order)) for tensor in outputs)
    return last


def byte_size(tensor: Tensor) -> int:
    """The bytes of a tensor, which must be static."""
    if not tensor.type.is_static:
        raise MemoryPlanError(
            f"{tensor.name} has the symbolic type {tensor.type}, so its bytes are not known",
            hint="give the sizes first (a Session takes them from the feeds)",
            origin=tensor.node.origin,
        )
    return int(tensor.type.nbytes)


def _kind(node: Node) -> str:
    if "nullary_input" in node.op.traits:
        return "argument"
    return "constant" if node.op.name == "constant" else "temporary"


def view_source(node: Node, tensor: Tensor, strided: set[Tensor]) -> Tensor | None:
    """The input whose memory a result shares, or None if it has memory of its own.

    A view that is larger than what it shows (a broadcast) counts as a copy; and so does a reshape of one of
    `strided`, the views in another order than row-major, to which a new one is added.
    """
    if "view" not in node.op.traits or not node.inputs:
        return None
    source = node.inputs[0]
    moves = source in strided and node.op.name in _REORDERING
    if moves or (tensor.type is not source.type and type_bytes(tensor.type) > type_bytes(source.type)):
        return None
    if source in strided or node.op.name not in ROW_MAJOR_VIEWS:
        strided.add(tensor)
    return source


def write_targets(node: Node) -> list[Tensor]:
    """The inputs over which an operator may write its result, if nothing else needs them.

    Elementwise, any operand of the result's type will do; the trait itself promises the first only.
    """
    traits = node.op.traits
    if "in_place" not in traits or len(node.outputs) != 1:
        return []
    kind = node.outputs[0].type
    alike = [given for given in node.inputs if given.type is kind]
    return alike if len(alike) < 2 or "elementwise" in traits else alike[:1]


def _shared_storage(
    result: Liveness, node: Node, tensor: Tensor, position: int, in_place: bool, refused: Refused | None
) -> int | None:
    """The storage of an input that the output can live in, or None for one of its own."""
    if "view" in node.op.traits:
        source = view_source(node, tensor, result.strided)
        if source is not None:
            return result.of[source]
    reasons = []
    for target in write_targets(node) if in_place else ():
        index = result.of[target]
        if refused is None:
            storage = result.storages[index]
            if storage.last > position + 1 or storage.kind != "temporary":
                continue  # the most frequent obstacles, and nobody asks for the sentence
        reason = obstacle(result, node, target, position)
        if not reason:
            result.in_place.append(node)
            return index
        reasons.append(reason)
    if reasons and refused is not None:
        refused(node, "; ".join(dict.fromkeys(reasons)))
    return None


def obstacle(result: Liveness, node: Node, source: Tensor, position: int) -> str:
    """Why a node at a position may not write its result over `source`; "" if it may.

    It may if nothing else needs what the storage holds, now or later. The node itself must not read it
    through another view: elements would be overwritten before it comes to them.
    """
    index = result.of[source]
    storage = result.storages[index]
    name = source.node.name
    if storage.kind != "temporary":
        return f"{name} is {_KEPT[storage.kind]}"
    if storage.last > position + 1:
        return _needed_later(storage, name, len(result.order))
    if source in result.strided:
        return f"{name} is a view in another order than row-major"
    if source is not storage.tensors[0] and storage.size != type_bytes(source.type):
        return f"{name} is a view of only a part of {storage.maker.name}"
    if len(node.inputs) > 1 and not all(
        [given is source for given in node.inputs if result.of[given] == index]
    ):
        return f"{node.name} also reads the memory of {name} through another view"
    return ""


_KEPT = {
    "argument": "passed in, and what is passed in stays as it is",
    "constant": "a constant, which later runs read again",
}


def _needed_later(storage: Storage, name: str, count: int) -> str:
    """The sentence for a storage whose last reader is another node, or the caller."""
    views = (
        "" if storage.tensors[0].node.name == name else f", which shares the memory of {storage.maker.name},"
    )
    if storage.last > count:
        return f"{name}{views} is returned, or a view of it is"
    reader = storage.last_reader
    return f"{name}{views} is read later, by {reader.name if reader is not None else 'the caller'}"


def _give_to_outputs(result: Liveness, outputs: Sequence[Tensor]) -> None:
    """Each output gets memory of its own: the storage that holds it if nobody else claims that, or a copy."""
    for tensor in outputs:
        storage = result.storage(tensor)
        if storage.kind == "temporary" and storage.size == type_bytes(tensor.type):
            storage.kind = "output"
        else:
            result.copied_bytes += type_bytes(tensor.type)
