"""gf.scan, gf.map, gf.fori_loop and gf.while_loop: the functions that build loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.errors import AttributeValueError, DTypeError, GraphError, ShapeError
from graphflow.ir import dims
from graphflow.ir.body import Body
from graphflow.ir.builder import Builder, builder_for, several
from graphflow.ir.dims import Dim, Size
from graphflow.ir.dtypes import bool_, int32
from graphflow.ir.graph import checked_name
from graphflow.ir.nest import Nest, flatten
from graphflow.ir.node import Tensor
from graphflow.ir.types import TensorType
from graphflow.ops.composite import composite
from graphflow.ops.control import require_same
from graphflow.ops.inference import whole_number
from graphflow.ops.tracing import Traced, described, require_callable, share_captures, trace

__all__ = ["fori_loop", "map_", "scan", "while_loop"]


@composite
def scan(
    fn: Callable[..., Any],
    init: Any,
    xs: Any = None,
    length: Any = None,
    reverse: bool = False,
    name: str | None = None,
) -> tuple[Any, Any]:
    """A loop with a known number of steps: carry, y_t = fn(carry, x_t), over the first axis of xs.

    Arguments:
        fn: from the carry and a slice of xs to the next carry and a result; a nest each. It may read any
            tensor around it. It runs once, to build the body of the loop.
        init: the first carry: a tensor, or a nest (tuple, list, dict) of tensors.
        xs: a tensor, or a nest of tensors of equal length, whose slices xs[t] step t gets; None for none.
        length: the number of steps, where there is no xs to tell it; an int or a symbolic size.
        reverse: run from the last step to the first; results stay at the index of their slice.
        name: of the node.

    Returns:
        the last carry, and the results of all steps stacked along a new first axis.

    Raises:
        ShapeError, DTypeError: naming the carry, if fn changes its type; or sequences of several lengths.

    Source: ONNX Scan-25; as jax.lax.scan.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("steps",))
    >>> total, sums = gf.scan(lambda carry, x: (carry + x, carry + x), 0.0, x)
    >>> gf.Session(backend="numpy").run([total, sums], {x: [1.0, 2.0, 3.0]})
    [array(6., dtype=float32), array([1., 3., 6.], dtype=float32)]
    """
    carry_leaves, carry_nest = flatten(init, "the first carry of scan")
    leaves, nest = flatten(xs, "xs of scan")
    builder = builder_for([*carry_leaves, *leaves])
    carries, sequences = builder.operands_of(carry_leaves), builder.operands_of(leaves)
    steps = _length(sequences, nest, length)
    label = checked_name(name or "scan", "node")
    with builder.graph.attempt():
        kinds = [(tensor.type, f"carry{path}") for tensor, path in zip(carries, _labels(carry_nest))]
        kinds += [
            (TensorType(tensor.dtype, tensor.shape[1:]), f"x{path}")
            for tensor, path in zip(sequences, _labels(nest))
        ]
        traced = trace(fn, builder.graph, [carry_nest, nest], kinds, "the step of scan", label, repeats=True)
        after, rows, rows_nest = _step_results(traced, fn, carries, carry_nest)
        made = _scan(builder, traced, carries, sequences, [*after, *rows], steps, bool(reverse), label)
    return carry_nest.build(made[: len(carries)]), rows_nest.build(made[len(carries) :])


def _scan(
    builder: Builder,
    traced: Traced,
    carries: Sequence[Tensor],
    sequences: Sequence[Tensor],
    results: Sequence[Tensor],
    steps: Size,
    reverse: bool,
    name: str,
) -> tuple[Tensor, ...]:
    """The node, with the numbers of the steps as a further sequence if the body counts them."""
    body, parameters, moving = traced.body, list(traced.parameters), list(sequences)
    if body.iteration is not None:
        parameters.append(body.iteration)
        moving.append(builder.iota(size=steps, dtype=int32))
    outer, inner = body.captured()
    closed = body.close(results, [*parameters, *inner])
    made = builder.scan(
        *carries, *moving, *outer, body=closed, carries=len(carries), sequences=len(moving), length=steps,
        reverse=reverse, name=name,
    )  # fmt: skip
    return several(made)


def _labels(nest: Nest) -> list[str]:
    return [
        "".join(letter if letter.isalnum() else "_" for letter in path).rstrip("_") for path in nest.paths
    ]


def _length(sequences: Sequence[Tensor], nest: Nest, given: Any) -> Size:
    """The number of steps, on which the sequences and what is given have to agree."""
    found: Size | None = None if given is None else dims.as_size(given)
    if isinstance(found, int) and found < 0:
        raise AttributeValueError(f"scan cannot have {found} steps", hint="pass length >= 0")
    for tensor, path in zip(sequences, nest.paths):
        if not tensor.shape:
            raise ShapeError(f"xs{path} of scan is a scalar, which has no slices", hint="capture it instead")
        size = tensor.shape[0] if found is None else dims.unify(tensor.shape[0], found)
        if size is None:
            raise ShapeError(
                f"xs{path} of scan has {tensor.shape[0]} slices, but the loop has {found} steps",
                hint="let all sequences have the same first axis",
            )
        found = size
    if found is None:
        raise AttributeValueError("scan has neither xs nor length", hint="pass length=, the number of steps")
    return found


def _step_results(
    traced: Traced, fn: Any, carries: Sequence[Tensor], nest: Nest
) -> tuple[list[Tensor], list[Tensor], Nest]:
    """The next carries and the results of a step."""
    parts = traced.nest.build(traced.leaves)
    if not isinstance(parts, tuple) or len(parts) != 2:
        raise GraphError(
            f"{described('the step of scan', traced.name)} returns "
            f"{'nothing' if parts is None else 'no pair'}",
            hint="return (carry, result); the result may be None",
        )
    leaves, after = flatten(parts[0], "the carry")
    rows, rows_nest = flatten(parts[1], "the result")
    _require_alike(traced.name, after, nest, "scan")
    made = traced.tensors([*[tensor.dtype for tensor in carries], *[None] * len(rows)])
    _check_carries(made[: len(leaves)], carries, nest, described("the step of scan", traced.name))
    return made[: len(leaves)], made[len(leaves) :], rows_nest


def _require_alike(name: str, after: Nest, before: Nest, loop: str) -> None:
    if after.key != before.key:
        raise GraphError(
            f"{described(f'the step of {loop}', name)} returns a carry with the parts {_parts(after)}, "
            f"but the first carry has the parts {_parts(before)}",
            hint="return the carry with the structure it came with",
        )


def _parts(nest: Nest) -> str:
    return ", ".join(path or "of one tensor" for path in nest.paths) or "of nothing"


def _check_carries(made: Sequence[Tensor], carries: Sequence[Tensor], nest: Nest, step: str) -> None:
    for tensor, first, path in zip(made, carries, nest.paths):
        require_same(tensor.type, first.type, f"carry{path} after {step}")


@composite
def map_(fn: Callable[..., Any], xs: Any, name: str | None = None) -> Any:
    """The results of a function for every slice of xs along the first axis: y_t = fn(x_t).

    Arguments:
        fn: from a slice of xs to a result; a nest each.
        xs: a tensor, or a nest of tensors of equal length.
        name: of the node.

    Returns:
        the results stacked along a new first axis.

    Source: as jax.lax.map. gf.vmap computes the same without a loop.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("n", 3))
    >>> gf.map(lambda row: gf.sort(row), x).type
    float32[n, 3]
    """
    require_callable(fn, 1, "the function of map")
    return scan(lambda carry, x: (carry, fn(x)), None, xs, name=name or "map")[1]


map_.__name__ = "map"


@composite
def fori_loop(lower: Any, upper: Any, fn: Callable[..., Any], init: Any, name: str | None = None) -> Any:
    """A loop over a range of integers: carry = fn(i, carry) for i = lower, .., upper - 1.

    With bounds that are ints or symbolic sizes the number of steps is known, and the loop can be
    differentiated; with tensors it is a while loop.

    Arguments:
        lower, upper: ints, symbolic sizes, or int32 scalars.
        fn: from the index, an int32 scalar, and the carry to the next carry.
        init: the first carry: a tensor, or a nest of tensors.
        name: of the node.

    Source: as jax.lax.fori_loop.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ())
    >>> y = gf.fori_loop(0, 3, lambda i, y: y * x, 1.0)
    >>> gf.Session(backend="numpy").run([y, *gf.gradients(y, x)], {x: 2.0})
    [array(8., dtype=float32), array(12., dtype=float32)]
    """
    label = name or "fori_loop"
    require_callable(fn, 2, "the step of fori_loop")
    if not isinstance(lower, Tensor) and not isinstance(upper, Tensor):
        start = lower if isinstance(lower, Dim) else whole_number(lower, "lower of fori_loop")
        end = upper if isinstance(upper, Dim) else whole_number(upper, "upper of fori_loop")
        steps = dims.maximum(end - start, 0)
        leaves, _ = flatten(init)
        builder = builder_for(leaves)
        numbers = builder.iota(size=steps, dtype=int32)
        if start != 0:
            numbers = builder.add(numbers, builder.astype(builder.tensor(start), dtype=int32))
        return scan(lambda carry, i: (fn(i, carry), None), init, numbers, name=label)[0]
    builder = builder_for([lower, upper])
    first = builder.astype(builder.tensor(lower), dtype=int32)
    last = builder.astype(builder.tensor(upper), dtype=int32)
    made = while_loop(
        lambda state: state[0] < last, lambda state: (state[0] + 1, fn(*state)), (first, init), name=label
    )
    return made[1]


@composite
def while_loop(
    condition: Callable[..., Any],
    fn: Callable[..., Any],
    init: Any,
    max_steps: int | None = None,
    name: str | None = None,
) -> Any:
    """A loop that runs while a condition holds: while condition(carry): carry = fn(carry).

    Arguments:
        condition: from the carry to a boolean scalar.
        fn: from the carry to the next carry, of the same structure and types.
        init: the first carry: a tensor, or a nest (tuple, list, dict) of tensors.
        max_steps: end after so many steps at the latest. Only with it can the loop be differentiated,
            which takes time and memory for `max_steps` steps.
        name: of the node.

    Raises:
        ShapeError, DTypeError: naming the carry, if fn changes its type, or for another condition.

    Source: ONNX Loop-25; as jax.lax.while_loop.

    >>> import graphflow as gf
    >>> n = gf.placeholder("n", (), gf.int32)
    >>> steps, _ = gf.while_loop(
    ...     lambda s: s[1] > 1,
    ...     lambda s: (s[0] + 1, gf.where(gf.equal(s[1] % 2, 0), s[1] // 2, 3 * s[1] + 1)),
    ...     (0, n))
    >>> gf.Session(backend="numpy").run(steps, {n: 6})
    array(8, dtype=int32)
    """
    leaves, nest = flatten(init, "the first carry of while_loop")
    builder = builder_for(leaves)
    carries = builder.operands_of(leaves)
    label = checked_name(name or "while_loop", "node")
    kinds = [(tensor.type, f"carry{path}") for tensor, path in zip(carries, _labels(nest))]
    with builder.graph.attempt():
        test = trace(condition, builder.graph, [nest], kinds, "the condition of while_loop", label)
        step = trace(fn, builder.graph, [nest], kinds, "the step of while_loop", label, repeats=True)
        _require_alike(step.name, step.nest, nest, "while_loop")
        after = step.tensors([tensor.dtype for tensor in carries])
        _check_carries(after, carries, nest, described("the step of while_loop", step.name))
        made = _while(builder, test, step, carries, after, max_steps, label)
    return nest.build(made[: len(carries)])


def _require_condition(kind: TensorType) -> None:
    """Raise unless a condition gives a boolean scalar."""
    told = f"the condition of while_loop is {kind}, but has to be {TensorType(bool_, ())}"
    if kind.dtype is not bool_:
        raise DTypeError(told, hint="compare it with something")
    if kind.rank:
        raise ShapeError(told, hint="reduce it with gf.any or gf.all")


def _while(
    builder: Builder,
    test: Traced,
    step: Traced,
    carries: Sequence[Tensor],
    after: Sequence[Tensor],
    max_steps: int | None,
    name: str,
) -> tuple[Tensor, ...]:
    """The node, with the number of the step as a further carry if the body counts them."""
    if len(test.leaves) != 1:
        raise GraphError(
            f"{described('the condition of while_loop', test.name)} returns {len(test.leaves)} results",
            hint="return one boolean scalar",
        )
    going = test.tensors([None])
    _require_condition(going[0].type)
    first, results = list(carries), list(after)
    before: list[list[Tensor]] = [list(test.parameters), list(step.parameters)]
    if step.body.iteration is not None:
        first.append(builder.tensor(0, int32))
        results.append(Builder(step.body).add(step.body.iteration, 1))
        before[0].append(test.body.parameter(TensorType(int32, ()), "step"))
        before[1].append(step.body.iteration)
    outer, captured = share_captures([test, step])
    closed: list[Body] = [
        one.body.close(made, [*own, *inner])
        for one, made, own, inner in zip((test, step), (going, results), before, captured)
    ]
    made = builder.while_loop(
        *first,
        *outer,
        condition=closed[0],
        body=closed[1],
        carries=len(first),
        max_steps=max_steps,
        name=name,
    )
    return several(made)
