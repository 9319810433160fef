"""Control flow as operators: a choice among bodies, two kinds of loop, and a call.

Each has bodies as attributes and takes everything they read as operands, so that to the rest of the
system it is a pure function like any other. The functions that trace a user's code into bodies are in
`branching`, `looping` and `function`; gradients are in `control_gradients`.
"""

from __future__ import annotations

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir import dims
from graphflow.ir.body import Body
from graphflow.ir.dtypes import bool_
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType
from graphflow.ops.body_calls import call_calls, outcome, scan_calls, switch_calls, while_calls
from graphflow.ops.inference import whole_number

OPAQUE = "opaque"
RECOMPUTE = "recompute"

COMPOSITES = ("attention", "rms_norm", "lstm_cell")
"""Marks of calls that stand for what they are named after, whatever their bodies look like."""

KEPT = frozenset((OPAQUE, *COMPOSITES))
"""Marks of calls that the optimizer leaves as they are."""


def require_same(found, wanted, what):
    """Raise unless a type is the wanted one, up to sizes that can be taken to be equal."""
    if found is wanted:
        return
    if found.dtype is not wanted.dtype:
        raise DTypeError(
            f"{what} is {found}, but has to be {wanted}", hint="convert it with gf.astype inside the function"
        )
    fits = len(found.shape) == len(wanted.shape) and all(
        dims.unify(left, right) is not None for left, right in zip(found.shape, wanted.shape)
    )
    if not fits:
        raise ShapeError(f"{what} is {found}, but has to be {wanted}", hint="let the shapes be the same")


def _require_body(body, operation, types, results=None):
    """Raise unless it is a closed body that takes operands of these types and gives so many results."""
    if not isinstance(body, Body) or not body.frozen:
        raise AttributeValueError(f"{operation} needs a closed body, not {body!r:.80}")
    taken = body.parameter_types
    if len(taken) != len(types):
        raise AttributeValueError(
            f"{operation}: the body {body.name!r} has {len(taken)} parameters for {len(types)} operands"
        )
    for number, (parameter, kind) in enumerate(zip(taken, types)):
        require_same(kind, parameter, f"{operation}: operand {number} of the body {body.name!r}")
    if results is not None and len(body.outputs) < results:
        raise AttributeValueError(
            f"{operation}: the body {body.name!r} gives {len(body.outputs)} results, fewer than {results}"
        )
    for left, right, _ in body.constraints:
        dims.unify(left, right)


def _switch_type(types, attrs):
    branches = attrs["branches"]
    if not types or not isinstance(branches, tuple) or not branches:
        raise AttributeValueError("switch_case needs an index and at least one branch")
    index = types[0]
    if index.rank or not (index.dtype is bool_ or index.dtype.is_integer):
        raise DTypeError(f"the index of switch_case has to be a boolean or an integer scalar, not {index}")
    if index.dtype is bool_ and len(branches) != 2:
        raise AttributeValueError(f"a boolean chooses between 2 branches, not {len(branches)}")
    for branch in branches:
        _require_body(branch, "switch_case", types[1:])
    first = branches[0].output_types
    for number, branch in enumerate(branches[1:], 1):
        if len(branch.outputs) != len(first):
            raise AttributeValueError(
                f"branch {number} ({branch.name}) of switch_case gives {len(branch.outputs)} results, but "
                f"branch 0 ({branches[0].name}) gives {len(first)}"
            )
        for place, (kind, wanted) in enumerate(zip(branch.output_types, first)):
            require_same(kind, wanted, f"result {place} of branch {number} ({branch.name})")
    return tuple(first)


@op("control", infer=_switch_type, traits="any_dtype")
def switch_case(*operands, branches):
    """What one of several bodies makes of the operands: y = branches[i](x_1, .., x_n).

    The first operand is the index i; one out of range counts as the nearest branch. A boolean chooses
    branches[0] if false and branches[1] if true. Only the chosen branch runs. `gf.cond` and
    `gf.switch_case` build it. ONNX If-25.

    >>> import graphflow as gf
    >>> y = gf.switch_case(1, [gf.sin, gf.cos], gf.placeholder("x", (3,)))
    >>> y.node.op, [branch.name for branch in y.node.attrs.branches]
    (<op switch_case(*operands, branches)>, ['sin', 'cos'])
    """
    return outcome(switch_calls(operands, branches))


def _counted(attrs, operation, names):
    return {**attrs, **{name: whole_number(attrs[name], f"{name} of {operation}", 0) for name in names}}


def _scan_attrs(types, attrs):
    attrs = _counted(attrs, "scan", ("carries", "sequences"))
    return {**attrs, "length": dims.as_size(attrs["length"])}


def _scan_type(types, attrs):
    body, carries, sequences, length = attrs["body"], attrs["carries"], attrs["sequences"], attrs["length"]
    if carries + sequences > len(types):
        raise AttributeValueError(f"scan has {len(types)} operands, fewer than {carries} + {sequences}")
    steps = []
    for number, kind in enumerate(types[carries : carries + sequences]):
        if not kind.shape or dims.unify(kind.shape[0], length) is None:
            raise ShapeError(f"sequence {number} of scan is {kind}, but the loop has {length} steps")
        steps.append(TensorType(kind.dtype, kind.shape[1:]))
    inner = [*types[:carries], *steps, *types[carries + sequences :]]
    _require_body(body, "scan", inner, carries)
    made = body.output_types
    for number in range(carries):
        require_same(made[number], types[number], f"carry {number} after a step of {body.name!r}")
    stacked = [TensorType(kind.dtype, (length, *kind.shape)) for kind in made[carries:]]
    return (*types[:carries], *stacked)


@op("control", infer=_scan_type, normalize=_scan_attrs, traits="any_dtype")
def scan(*operands, body, carries, sequences, length, reverse=False):
    """A loop with a known number of steps: c_(t+1), y_t = body(c_t, x_t, k) for t = 0 .. length - 1.

    The operands are the initial carries c_0, the sequences x, of which step t gets the slices at index
    t of the first axis, and captured values k, the same in all steps. The results are the final carries
    and the y_t stacked along a new first axis. With `reverse`, steps run from the last index to the
    first. `gf.scan`, `gf.map` and `gf.fori_loop` build it. ONNX Scan-25.

    >>> import graphflow as gf
    >>> last, rows = gf.scan(lambda c, x: (c + x, c), 0.0, gf.placeholder("x", ("n",)))
    >>> last.node.attrs.length, last.node.attrs.body.output_types
    (n, [float32[], float32[]])
    """
    return outcome(scan_calls(operands, body, carries, sequences, length, reverse))


def _while_attrs(types, attrs):
    attrs = _counted(attrs, "while_loop", ("carries",))
    if attrs["max_steps"] is None:
        return attrs
    return _counted(attrs, "while_loop", ("max_steps",))


def _while_type(types, attrs):
    condition, body, carries = attrs["condition"], attrs["body"], attrs["carries"]
    _require_body(condition, "while_loop", types, 1)
    _require_body(body, "while_loop", types, carries)
    require_same(condition.output_types[0], TensorType(bool_, ()), "the condition of while_loop")
    for number, kind in enumerate(body.output_types[:carries]):
        require_same(kind, types[number], f"carry {number} after a step of {body.name!r}")
    return tuple(types[:carries])


@op("control", infer=_while_type, normalize=_while_attrs, traits="any_dtype")
def while_loop(*operands, condition, body, carries, max_steps=None):
    """A loop that runs while a condition holds: while condition(c, k): c = body(c, k).

    The operands are the initial carries and captured values k; the results the final carries. With
    `max_steps` it ends after so many steps whatever the condition says, which makes it differentiable.
    `gf.while_loop` builds it. ONNX Loop-25.

    >>> import graphflow as gf
    >>> y = gf.while_loop(lambda c: c < 9.0, lambda c: c * 2.0, gf.placeholder("x", ()))
    >>> y.node.attrs.condition.output_types
    [bool[]]
    """
    return outcome(while_calls(operands, condition, body, carries, max_steps))


def _call_attrs(types, attrs):
    if attrs["mark"] not in ("", RECOMPUTE, *KEPT):
        raise AttributeValueError(f"call has no mark {attrs['mark']!r:.40}")
    return attrs


def _call_type(types, attrs):
    _require_body(attrs["body"], "call", types)
    return tuple(attrs["body"].output_types)


@op("control", infer=_call_type, normalize=_call_attrs, traits="any_dtype")
def call(*operands, body, mark=""):
    """What a body makes of the operands: y_1, .., y_m = body(x_1, .., x_n).

    `gf.function` builds it. The mark "recompute" (of `gf.recompute`) lets the gradient compute the body
    again instead of keeping its intermediate values; "opaque" is that second computation, which is not
    merged with the first. "attention", "rms_norm" and "lstm_cell" are given by the optimizer to what it
    recognises, see `passes.name_composites`. Otherwise it puts the body in the place of the call.

    >>> import graphflow as gf
    >>> gf.function(gf.exp)(gf.placeholder("x", (3,))).node.attrs.body.name
    'exp'
    """
    return outcome(call_calls(operands, body, mark))


@call.decomposition
def _(b, node):
    return node.attrs.body.replay(b, node.inputs)
