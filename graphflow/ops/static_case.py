"""static_case: a choice among bodies by sizes, made when they are known, so before anything is compiled.

What a fed axis decides is one: the results differ in shape from branch to branch, and only one of them
is ever compiled. `fed_axis` builds it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.body import Body
from graphflow.ir.dims import Size
from graphflow.ir.interpret import run_body
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.inference import Types, whole_number

Choice = tuple[int, ...]


def _static_attrs(types: Types, attrs: dict[str, Any]) -> dict[str, Any]:
    period = whole_number(attrs["period"], "period of static_case", 1)
    selector = tuple([dims.as_size(size) for size in attrs["selector"]])
    choices = tuple([tuple(map(int, choice)) for choice in attrs["choices"]])
    if not choices or len(choices) != len(attrs["branches"]) or any(len(c) != len(selector) for c in choices):
        raise AttributeValueError(
            f"static_case has {len(choices)} choices of {len(selector)} numbers for "
            f"{len(attrs['branches'])} branches"
        )
    return {**attrs, "selector": selector, "choices": choices, "period": period}


def _static_type(types: Types, attrs: Mapping[str, Any]) -> tuple[TensorType, ...]:
    branches: Sequence[Body] = attrs["branches"]
    for branch in branches:
        what = f"operands of the branch {branch.name!r}"
        _require_like(branch.parameter_types, types, what)
        if any(_differ(kind.shape, given.shape) for kind, given in zip(branch.parameter_types, types)):
            raise ShapeError(
                f"static_case: the {what} are {_listed(branch.parameter_types)}, not {_listed(types)}"
            )
        _require_like(branch.output_types, branches[0].output_types, f"results of the branch {branch.name!r}")
    weights = [_weight(attrs["selector"], choice, attrs["period"]) for choice in attrs["choices"]]
    made = []
    for kinds in zip(*[branch.output_types for branch in branches]):
        shape = tuple([_chosen_size(sizes, weights) for sizes in zip(*[kind.shape for kind in kinds])])
        made.append(TensorType(kinds[0].dtype, shape))
    return tuple(made)


def _require_like(found: Types, wanted: Types, what: str) -> None:
    """Raise unless there are as many types, of the same dtypes and ranks."""
    if [kind.dtype for kind in found] != [kind.dtype for kind in wanted]:
        raise DTypeError(f"static_case: the {what} are {_listed(found)}, not {_listed(wanted)}")
    if [kind.rank for kind in found] != [kind.rank for kind in wanted]:
        raise ShapeError(
            f"static_case: the {what} are {_listed(found)}, of other ranks than {_listed(wanted)}"
        )


def _differ(left: Sequence[Size], right: Sequence[Size]) -> bool:
    """Whether two shapes of one rank have different numbers somewhere; what is symbolic may fit."""
    return any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(left, right))


def _listed(types: Types) -> str:
    return ", ".join(map(str, types)) or "none"


def _weight(selector: Sequence[Size], choice: Choice, period: int) -> Size:
    """1 where this is what the selector chooses, else 0."""
    return dims.product(
        dims.equal(dims.remainder(size, period), value) for size, value in zip(selector, choice)
    )


def _chosen_size(sizes: Sequence[Size], weights: Sequence[Size]) -> Size:
    """The size that goes with the choice: sum_i weight_i * size_i."""
    if all(size == sizes[0] for size in sizes):
        return sizes[0]
    total: Size = 0
    for size, weight in zip(sizes, weights):
        total = total + weight * size
    return total


@op("control", infer=_static_type, normalize=_static_attrs, traits="any_dtype")
def static_case(*operands, selector, choices, period, branches):
    """What the body of that choice makes of the operands: y = branches[i](x_1, .., x_n).

    The choice is choices[i] = selector mod period, where the selector is a tuple of sizes, known when those
    are fed. So the branches may give results of different shapes (of the same rank), and only the chosen
    one is compiled; a session compiles once for each choice. What is given a fed axis builds it.

    >>> import graphflow as gf
    >>> axis = gf.placeholder("axis", (), gf.int32)
    >>> y = gf.sum(gf.placeholder("x", (2, 3)), axis=axis)
    >>> y.type, y.node.attrs.choices
    (float32[3*equal('axis[]' % 2, 0) + 2*equal('axis[]' % 2, 1)], ((0,), (1,)))
    """
    return tuple(run_body(branch_of(selector, choices, period, branches), operands))


def branch_of(
    selector: Sequence[Size], choices: Sequence[Choice], period: int, branches: Sequence[Body]
) -> Body:
    """The branch that a selector of numbers chooses.

    Raises:
        AttributeValueError: if there is no branch for what they are.
    """
    wanted = tuple([int(size) % period for size in selector])
    if not all(-period <= int(size) < period for size in selector) or wanted not in choices:
        shown = selector[0] if len(selector) == 1 else tuple(selector)
        raise AttributeValueError(
            f"{branches[0].name} cannot take the axis {shown} here",
            hint=f"feed axes from {-period} to {period - 1}, each once",
        )
    return branches[choices.index(wanted)]


def _choose(attrs: Mapping[str, Any], sizes: Mapping[str, Size]) -> Body | None:
    """The branch for these sizes; None while they do not tell."""
    selector = [dims.substitute(size, sizes) for size in attrs["selector"]]
    if not all(isinstance(size, int) for size in selector):
        return None
    return branch_of(selector, attrs["choices"], attrs["period"], attrs["branches"])


static_case.choose = _choose
