"""Feeds: what a value may be, how it becomes an array of the tensor's type, and what its sizes tell.

A feed keeps its meaning: floats and complex numbers may be rounded to a narrower width, integers
may change width if every value fits, and what NumPy calls a safe cast is made; all else is refused.
Python numbers and lists are taken where their kind (bool < int < float < complex) is no higher than
the tensor's. Arrays are copied, so that writing to one after a run changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from graphflow.errors import DTypeError, FeedError
from graphflow.ir import dims
from graphflow.ir.data import as_array, extent
from graphflow.ir.dims import Dim, Size, Symbol
from graphflow.ir.dtypes import as_dtype
from graphflow.ir.fed_sizes import placeholders_in
from graphflow.ir.found_sizes import is_found
from graphflow.ir.graph import describe
from graphflow.ir.node import Node, Tensor
from graphflow.ir.text import sizes_of
from graphflow.ir.traversal import ancestors, creation_order
from graphflow.ops.inference import show
from graphflow.optimizer.program import Program
from graphflow.runtime.numpy.workspace import aligned, typed
from graphflow.session.value_feeds import deciding_placeholders

LARGE = 1 << 16
"""From so many bytes on a copy is aligned."""

_KIND_RANK = {"b": 0, "u": 1, "i": 1, "f": 2, "c": 3}


def to_array(value: Any, tensor: Tensor) -> np.ndarray:
    """A C-ordered copy of a feed as a NumPy array of the tensor's dtype; its shape is not looked at.

    Large copies begin at a multiple of 64 bytes, as XLA takes them as they are; others it copies again.

    Raises:
        FeedError: if the value is no array of numbers, or would change by the conversion.
    """
    if isinstance(value, Tensor):
        raise _refuse(
            tensor,
            f"the feed is the tensor {value.name}, which has no value by itself",
            f"feed what a run gives: session.run({value.name!r})",
        )
    wanted = tensor.dtype.numpy
    weak = isinstance(value, (bool, int, float, complex, list, tuple))
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise _refuse(
            tensor, f"the feed is no rectangular array: {error}", "make all rows equally long"
        ) from None
    if array.dtype == wanted:
        plain = array.nbytes < LARGE or array.dtype.kind in "TO"
        return np.array(array, order="C") if plain else _aligned_copy(array)
    if tensor.dtype.is_storage:
        return _stored(value, tensor)
    try:
        given = as_dtype(array.dtype)
    except DTypeError:
        raise _refuse(tensor, f"the feed has dtype {array.dtype}", "feed numbers or booleans") from None
    if array.size == 0 and weak:
        return np.empty(array.shape, wanted)
    if weak and _may_be_weak(value):
        fits = _KIND_RANK.get(array.dtype.kind, 2) <= _rank(wanted)
    else:
        fits = given.kind == tensor.dtype.kind and tensor.dtype.is_differentiable
        fits = (
            fits or (given.is_integer and tensor.dtype.is_integer) or np.can_cast(array.dtype, wanted, "safe")
        )
    if not fits:
        hint = (
            "feed its real part, value.real, or its absolute value"
            if given.kind == "complex"
            else f"convert it: value.astype({wanted.name!r})"
            if hasattr(value, "astype")
            else f"feed {tensor.dtype}"
        )
        raise _refuse(
            tensor, f"the feed has dtype {given}, which is not converted to {tensor.dtype} silently", hint
        )
    if given.is_integer and tensor.dtype.is_integer:
        _check_range(array, tensor)
    with np.errstate(over="ignore"):
        return array.astype(wanted, order="C")


def _aligned_copy(array: np.ndarray) -> np.ndarray:
    """A C-ordered copy that begins with a cache line."""
    copy = typed(aligned(array.nbytes), array.dtype, array.shape)
    np.copyto(copy, array)
    return copy


def _stored(value: Any, tensor: Tensor) -> np.ndarray:
    """A feed of a dtype that nothing computes with: Python data of the kind, or text of any NumPy dtype."""
    try:
        if tensor.dtype.kind != "string" and hasattr(value, "dtype"):
            raise DTypeError(
                f"the feed has dtype {value.dtype}, which is not converted to {tensor.dtype} silently",
                hint=f"feed {tensor.dtype}, or feed what it has and convert with gf.astype",
            )
        return np.array(as_array(value, tensor.dtype), order="C")
    except DTypeError as error:
        raise _refuse(tensor, error.message, error.hint or f"feed {tensor.dtype}") from None


def _may_be_weak(value: Any) -> bool:
    """Whether a list holds Python numbers only; one of arrays is as strict as an array."""
    return not isinstance(value, (list, tuple)) or not any(hasattr(item, "dtype") for item in value)


def _rank(dtype: np.dtype) -> int:
    return _KIND_RANK.get(dtype.kind, 2)  # bfloat16 is of NumPy's kind "V"


def _check_range(array: np.ndarray, tensor: Tensor) -> None:
    if array.size == 0:
        return
    limits = np.iinfo(tensor.dtype.numpy)
    low, high = int(array.min()), int(array.max())
    if low < limits.min or high > limits.max:
        raise _refuse(
            tensor,
            f"{extent(low, high)} not fit {tensor.dtype}",
            f"declare the placeholder with dtype=gf.{as_dtype(array.dtype)}, or feed smaller values",
        )


def _refuse(tensor: Tensor, message: str, hint: str) -> FeedError:
    return FeedError(f"{tensor.name}: {message}", hint=hint, operands=describe([tensor]))


# Which feeds a run needs


def needed_placeholders(fetches: Sequence[Tensor]) -> list[Tensor]:
    """The placeholders that tensors of one graph depend on, in the graph's order."""
    cone = ancestors(fetches)
    found = {node for node in cone if node.op.name == "placeholder"}
    for tensor in fetches:
        found.update([decisive.node for decisive in deciding_placeholders(tensor.graph, cone)])
        break
    return [node.output for node in creation_order(found)]


def check_coverage(fetches: Sequence[Tensor], feeds: Sequence[Tensor], cone: Iterable[Node]) -> None:
    """Raise unless the feeds are exactly what the fetches need: their values, or the sizes only they tell.

    Arguments:
        fetches: all tensors to compute, new values of variables included.
        feeds: the tensors that are given.
        cone: the nodes that the fetches need, down to the feeds.

    Raises:
        FeedError: naming placeholders without a value, or feeds that nothing needs.
    """
    given = set(feeds)
    used = given.intersection(fetches)
    missing = []
    nodes = list(cone)
    for node in nodes:
        used.update(tensor for tensor in node.inputs if tensor in given)
        if node.op.name == "placeholder":
            missing.append(node.output)
    decisive = deciding_placeholders(nodes[0].graph, nodes) if nodes else []
    missing += [tensor for tensor in decisive if tensor not in given and tensor not in missing]
    used.update(given.intersection(decisive))
    if missing:
        missing.sort(key=lambda tensor: tensor.node.id)
        names = ", ".join(repr(tensor.node.name) for tensor in missing[:6])
        these = "it" if len(missing) == 1 else "them"
        raise FeedError(
            f"the fetches need {'a value' if len(missing) == 1 else 'values'} for {names}"
            + (f" and {len(missing) - 6} more" if len(missing) > 6 else ""),
            hint=f"add {these} to feed_dict: {{{missing[0].node.name!r}: array}}",
            operands=describe(missing[:6]),
        )
    extra = [tensor for tensor in feeds if tensor not in used]
    if extra:
        open_sizes = _sizes_in(nodes).difference(*[_sizes_of(tensor.shape) for tensor in used])
        extra = [tensor for tensor in extra if not open_sizes.intersection(_sizes_of(tensor.shape))]
    if extra:
        names = ", ".join(tensor.name for tensor in extra[:6])
        needed = ", ".join(tensor.name for tensor in feeds if tensor in used) or "no feed"
        raise FeedError(
            f"nothing that is fetched needs the feed {names}",
            hint=f"leave it out; the fetches need {needed}",
            operands=describe(extra[:6]),
        )


def _sizes_in(nodes: Iterable[Node]) -> set[str]:
    """The names of all symbolic sizes that nodes mention, in their types or attributes."""
    found: set[str] = set()
    for node in nodes:
        found.update(*[dims.symbols(size) for size in sizes_of(node)])
    return found


def _sizes_of(value: tuple[Any, ...]) -> set[str]:
    """The names of the symbolic sizes in nested tuples."""
    found: set[str] = set()
    pending: list[Any] = list(value)
    while pending:
        item = pending.pop()
        if isinstance(item, Dim):
            found.update(dims.symbols(item))
        elif isinstance(item, tuple):
            pending += item
    return found


# What their sizes tell


def solve_sizes(
    feeds: Sequence[Tensor], shapes: Sequence[tuple[int, ...]], fed: Mapping[str, int] | None = None
) -> dict[str, int]:
    """The values of the symbolic sizes in the feeds' types, after checking ranks and sizes.

    Arguments:
        fed: the sizes that are the values of feeds.

    Raises:
        FeedError: for a wrong rank or size, a size outside of its bounds, or two feeds that give
            one symbol different values; both are named.
    """
    solved: dict[str, tuple[int, Tensor]] = {}
    for tensor, shape in zip(feeds, shapes):
        _check_rank(tensor, shape)
        for axis, (size, actual) in enumerate(zip(tensor.shape, shape)):
            if isinstance(size, int):
                if size != actual:
                    raise _wrong_size(tensor, shape, axis, f"{size}")
                continue
            _solve_axis(tensor, shape, axis, solved)
    sizes = {**{name: value for name, (value, _) in solved.items()}, **(fed or {})}
    for tensor, shape in zip(feeds, shapes):
        for axis, (size, actual) in enumerate(zip(tensor.shape, shape)):
            value = dims.substitute(size, sizes)
            if isinstance(value, int) and value != actual:
                said = _known(size, solved) or "the fed values"
                raise _wrong_size(tensor, shape, axis, f"{size} = {value}, as {said} say")
    return sizes


def _solve_axis(
    tensor: Tensor, shape: tuple[int, ...], axis: int, solved: dict[str, tuple[int, Tensor]]
) -> None:
    size, actual = tensor.shape[axis], shape[axis]
    assert isinstance(size, Dim)
    answer = dims.solve(size, actual)
    if answer is None:
        if _is_linear(size):
            raise _wrong_size(tensor, shape, axis, f"of the form {size}")
        return
    name, value = answer
    symbol = dims.symbols(size)[name]
    if value < symbol.min or (symbol.max is not None and value > symbol.max):
        bounds = f"at least {symbol.min}" + ("" if symbol.max is None else f" and at most {symbol.max}")
        raise _wrong_size(tensor, shape, axis, f"{size} with {name} {bounds}")
    before = solved.setdefault(name, (value, tensor))
    if before[0] != value:
        other = before[1]
        raise FeedError(
            f"the feeds disagree on the size {name}: {other.name} says {before[0]}, "
            f"{tensor.name} says {value}",
            hint=f"feed arrays that agree on {name}, or give the sizes different names",
            operands=describe([other, tensor]),
        )


def _is_linear(size: Dim) -> bool:
    """Whether a size is a multiple of one symbol plus a number, so that its value gives the symbol's."""
    atoms = [atom for monomial, _ in size.terms for atom in monomial]
    return len(atoms) == 1 and isinstance(atoms[0], Symbol)


def _known(size: Size, solved: Mapping[str, tuple[int, Tensor]]) -> str:
    rows = [
        f"{name} = {solved[name][0]} of {solved[name][1].name}"
        for name in dims.symbols(size)
        if name in solved
    ]
    return " and ".join(rows)


def _check_rank(tensor: Tensor, shape: tuple[int, ...]) -> None:
    if len(shape) != len(tensor.shape):
        raise _refuse(
            tensor,
            f"the feed has shape {show(shape)} of rank {len(shape)}, but rank {tensor.ndim} is needed: "
            f"{show(tensor.shape)}",
            "reshape it, for example value[None] to add a leading axis of size 1",
        )


def _wrong_size(tensor: Tensor, shape: tuple[int, ...], axis: int, wanted: str) -> FeedError:
    return _refuse(
        tensor,
        f"the feed has shape {show(shape)}, but axis {axis} must be {wanted}",
        f"feed an array of shape {show(tensor.shape)}",
    )


def check_constraints(
    constraints: Iterable[tuple[Size, Size, Node]], sizes: Mapping[str, int], feeds: Sequence[Tensor]
) -> None:
    """Raise unless the sizes that nodes assumed to be equal are equal.

    Raises:
        FeedError: with the node that needs it, its user's line, and the feeds that give the sizes.
    """
    for left, right, node in constraints:
        first, second = dims.substitute(left, sizes), dims.substitute(right, sizes)
        if isinstance(first, int) and isinstance(second, int) and first != second:
            involved = {**dims.symbols(left), **dims.symbols(right)}
            fed = placeholders_in(involved)
            sources = [
                feed
                for feed in feeds
                if feed.node.name in fed or any(involved.keys() & dims.symbols(size) for size in feed.shape)
            ]
            named = " and ".join(feed.name for feed in sources)
            raise FeedError(
                f"{node.name} ({node.op.name}) needs {left} == {right}, but the feeds {named} make them "
                f"{first} and {second}",
                hint=f"feed arrays for {named} that agree",
                operands=describe(sources),
                origin=node.origin,
            )


def _is_found(size: Dim) -> bool:
    """Whether a size depends on nothing but sizes that the run itself finds."""
    return all(map(is_found, dims.symbols(size)))


def require_static(program: Program) -> None:
    """Raise if a size of a specialised program is still symbolic, and will not be found by running it.

    Raises:
        FeedError: with the node that needs it and its user's line.
    """
    for node in program.order():
        sizes = [size for tensor in node.outputs if not tensor.type.is_static for size in tensor.shape]
        for value in node.attrs.values():
            sizes += value if isinstance(value, tuple) else (value,)
        unknown = next((size for size in sizes if isinstance(size, Dim) and not _is_found(size)), None)
        if unknown is not None:
            names = ", ".join(dims.symbols(unknown))
            raise FeedError(
                f"the feeds do not tell the size {names}, which {node.name} ({node.op.name}) needs",
                hint=f"feed a tensor whose shape has {names}, or declare that size as a number",
                origin=node.origin,
            )
