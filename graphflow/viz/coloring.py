"""What the colours of a picture tell: families of operators, dtypes, an amount, or what a target can run.

A colouring gives nodes that share a box a paint, and a line of text that says the same, so that no fact is
told by colour alone. Amounts (time, bytes, FLOP) are painted by their share of the whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from graphflow.errors import AttributeValueError
from graphflow.ir.body import nested_nodes
from graphflow.ir.dtypes import DType
from graphflow.ir.node import Node
from graphflow.optimizer.analysis.cost import node_bytes, node_flops
from graphflow.optimizer.memory.units import show_bytes
from graphflow.optimizer.report_text import count_text
from graphflow.runtime.backend import get_backend
from graphflow.session.profile import Profile
from graphflow.viz import colors
from graphflow.viz.collapse import WEIGHTS
from graphflow.viz.colors import Paint

MODES = ("family", "dtype", "bytes", "flops", "time")


class Coloring(Protocol):
    """Paints for boxes.

    Attributes:
        title: what the colours tell; "" needs no words.
        order: the paints in the order of a legend; others come in the order of their first box.
    """

    title: str
    order: Sequence[Paint]

    def of(self, nodes: Sequence[Node]) -> tuple[Paint, str]:
        """The paint of nodes that share a box, and a line of text, "" for none."""
        ...


class ByFamily:
    """The family of a single node's operator; several nodes are grey."""

    title = ""
    order: Sequence[Paint] = ()

    def of(self, nodes: Sequence[Node]) -> tuple[Paint, str]:
        """The paint of the family."""
        return (colors.paint_of(nodes[0]) if len(nodes) == 1 else colors.SCOPE), ""


class ByDtype:
    """The element type of what is made."""

    title = "dtype"
    order: Sequence[Paint] = ()

    def of(self, nodes: Sequence[Node]) -> tuple[Paint, str]:
        """The paint of the dtype, or that of several."""
        found = Counter([dtype for node in nodes if (dtype := _dtype(node)) is not None])
        if len(found) != 1:
            names = ", ".join(f"{count} {dtype}" for dtype, count in found.most_common(3))
            return (colors.SEVERAL if found else colors.OTHER), names + (", …" if len(found) > 3 else "")
        (dtype,) = found
        return colors.dtype_paint(dtype), "" if len(nodes) == 1 else str(dtype)


def _dtype(node: Node) -> DType | None:
    if node.op.name == "assign":
        return node.inputs[0].dtype
    return node.outputs[0].dtype if node.outputs else None


class ByAmount:
    """How much of a total is in the nodes of a box.

    Arguments:
        title: of what.
        amounts: by node.
        show: an amount in words.
    """

    def __init__(self, title: str, amounts: Mapping[Node, float], show: Callable[[float], str]) -> None:
        self.amounts = amounts
        self.show = show
        self.total = sum(amounts.values())
        self.title = f"{title}, {show(self.total)} in all"
        self.order: Sequence[Paint] = tuple(paint for _, paint in colors.HEAT)

    def of(self, nodes: Sequence[Node]) -> tuple[Paint, str]:
        """The paint of their share, the amount and the share."""
        amount = sum(self.amounts.get(node, 0) for node in nodes)
        share = amount / self.total if self.total > 0 else 0.0
        paint = next(paint for limit, paint in colors.HEAT if share >= limit)
        part = f"{share:.1%}" if share >= 0.0005 else "< 0.1%"
        return paint, f"{self.show(amount)} · {part}" if amount else ""


class BySupport:
    """Whether a backend can run the nodes; the reason of the first that it refuses."""

    def __init__(self, name: str) -> None:
        self.backend = get_backend(name)
        self.title = f"can run on {name}"
        self.order: Sequence[Paint] = (colors.SUPPORTED, colors.PARTLY, colors.REFUSED)

    def of(self, nodes: Sequence[Node]) -> tuple[Paint, str]:
        """The paint of all, some or none, with the reason."""
        inside = list(nested_nodes(nodes))
        reasons = [reason for node in inside if (reason := self.backend.refusal(node)) is not None]
        if not reasons:
            return colors.SUPPORTED, ""
        paint = colors.REFUSED if len(reasons) == len(inside) else colors.PARTLY
        return paint, reasons[0] if len(inside) == 1 else f"{len(reasons)} refused: {reasons[0]}"


@dataclass(frozen=True)
class ByNote:
    """A paint and a line of text by the name of the node; `rest` for all others.

    Attributes:
        title, order: see `Coloring`.
        notes: by name.
        rest: the paint of nodes without a note.
    """

    title: str
    order: Sequence[Paint]
    notes: Mapping[str, tuple[Paint, str]]
    rest: Paint

    def of(self, nodes: Sequence[Node]) -> tuple[Paint, str]:
        """The paint of the most frequent note, and how many of each there are."""
        found = [self.notes[node.name] for node in nodes if node.name in self.notes]
        if not found:
            return self.rest, ""
        if len(nodes) == 1:
            return found[0]
        counts = Counter(paint for paint, _ in found)
        told = ", ".join(f"{count} {paint.label}" for paint, count in counts.most_common())
        return counts.most_common(1)[0][0], told


def coloring(color: Any, nodes: Sequence[Node]) -> Coloring:
    """The colouring that an argument `color` asks for; see `render`.

    Raises:
        AttributeValueError: if it asks for nothing that there is; BackendError for an unknown target.
    """
    if isinstance(color, Profile):
        return _of_profile(color, nodes)
    if isinstance(color, Mapping):
        return _of_mapping(color, nodes)
    if color in ("bytes", "flops"):
        count, show = (node_bytes, _bytes) if color == "bytes" else (node_flops, _flops)
        what = "bytes read and written" if color == "bytes" else "operations"
        amounts = {node: float(count(node)) for node in nodes if node.op.name not in WEIGHTS}
        return ByAmount(what, amounts, show)
    if color == "time":
        raise AttributeValueError(
            "colours by time need measured times",
            hint="color=sess.profile(fetches, feeds), or on the command line --color time",
        )
    if isinstance(color, str) and color.startswith("target:"):
        return BySupport(color.removeprefix("target:"))
    if color in ("family", "dtype"):
        return ByFamily() if color == "family" else ByDtype()
    if hasattr(color, "of") and hasattr(color, "order"):
        ready: Coloring = color
        return ready
    raise AttributeValueError(
        f"a picture cannot be coloured by {color!r:.60}",
        hint='use "family", "dtype", "bytes", "flops", "target:jax", a profile, or numbers by node name',
    )


def _of_profile(profile: Profile, nodes: Sequence[Node]) -> Coloring:
    seconds = {row.name: row.seconds for row in profile.rows}
    found = ByAmount(
        f"time on {profile.backend}", {node: seconds.get(node.name, 0.0) for node in nodes}, _seconds
    )
    if profile.seconds > 0 and found.total < 0.995 * profile.seconds:
        found.title += f" ({found.total / profile.seconds:.0%} of the profile; the rest is in other nodes)"
    return found


def _of_mapping(amounts: Mapping[Any, Any], nodes: Sequence[Node]) -> Coloring:
    given = {getattr(getattr(key, "node", key), "name", key): value for key, value in amounts.items()}
    wrong = [value for value in given.values() if not isinstance(value, (int, float)) or not value >= 0]
    if wrong:
        raise AttributeValueError(
            f"{wrong[0]!r:.60} is no amount to colour by", hint="give numbers of 0 or more by node name"
        )
    return ByAmount("amount", {node: float(given.get(node.name, 0)) for node in nodes}, _plain)


def _bytes(amount: float) -> str:
    return show_bytes(int(amount))


def _flops(amount: float) -> str:
    return f"{count_text(int(amount))}FLOP"


def _plain(amount: float) -> str:
    return f"{amount:.4g}"


def _seconds(seconds: float) -> str:
    """A time in words.

    >>> _seconds(0.00234), _seconds(1.5), _seconds(4.2e-6)
    ('2.34 ms', '1.50 s', '4.2 us')
    """
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.1f} us"
