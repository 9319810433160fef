"""The activations of recurrent nets: those that ONNX names, with their numbers, or functions of the user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.errors import AttributeValueError
from graphflow.ir.builder import builder_for
from graphflow.ir.node import Tensor
from graphflow.ops.inference import real_number

Function = Callable[[Tensor], Tensor]
_Known = Callable[..., Tensor]

# What each computes of the tensor and its numbers, and the numbers by default: first alpha, then beta.
_KNOWN: dict[str, tuple[_Known, tuple[float, ...]]] = {
    "relu": (lambda b, x: b.relu(x), ()),
    "tanh": (lambda b, x: b.tanh(x), ()),
    "sigmoid": (lambda b, x: b.sigmoid(x), ()),
    "softsign": (lambda b, x: b.softsign(x), ()),
    "softplus": (lambda b, x: b.softplus(x), ()),
    "affine": (lambda b, x, alpha, beta: b.add(b.multiply(x, alpha), beta), (1.0, 0.0)),
    "leaky_relu": (lambda b, x, alpha: b.leaky_relu(x, alpha=alpha), (0.01,)),
    "thresholded_relu": (
        lambda b, x, alpha: b.where(b.greater_equal(x, alpha), x, b.like(0, x)),
        (1.0,),
    ),
    "scaled_tanh": (lambda b, x, alpha, beta: b.multiply(b.tanh(b.multiply(x, beta)), alpha), (1.0, 1.0)),
    "hard_sigmoid": (lambda b, x, alpha, beta: b.hard_sigmoid(x, alpha=alpha, beta=beta), (0.2, 0.5)),
    "elu": (lambda b, x, alpha: b.elu(x, alpha=alpha), (1.0,)),
}
_PLAIN = {name.replace("_", ""): name for name in _KNOWN}
_HINT = (
    "pass functions, such as gf.nn.relu, names, such as 'tanh', or names with their numbers, such as "
    "('leaky_relu', 0.1)"
)


def gate_functions(given: Any, count: int, ways: int, kind: str) -> list[list[Function]]:
    """For each direction its functions, from `count` of them, or `count` for each direction.

    Each is a function of a tensor, a name, or a name with its numbers; a single one may stand alone.
    Names are those of ONNX, or of gf.nn: upper case and underscores make no difference.
    """
    entries = [given] if _is_entry(given) else list(given) if isinstance(given, (tuple, list)) else []
    if len(entries) not in (count, count * ways):
        each = f", or {count * ways} for both directions" if ways == 2 else ""
        raise AttributeValueError(f"{kind} takes {count} activations{each}, not {given!r:.80}", hint=_HINT)
    found = [_function(entry, kind) for entry in entries] * (count * ways // len(entries))
    return [found[start : start + count] for start in range(0, count * ways, count)]


def _is_entry(value: Any) -> bool:
    named = isinstance(value, (tuple, list)) and len(value) > 1 and isinstance(value[0], str)
    return isinstance(value, str) or callable(value) or (named and not _is_entry(value[1]))


def _function(entry: Any, kind: str) -> Function:
    if callable(entry):
        return _checked(entry, kind)
    name, *numbers = [entry] if isinstance(entry, str) else entry if _is_entry(entry) else [None]
    known = _PLAIN.get(str(name).lower().replace("_", ""))
    if name is None or known is None:
        raise AttributeValueError(
            f"{kind} knows no activation {entry!r:.80}; the names are {', '.join(_KNOWN)}", hint=_HINT
        )
    compute, defaults = _KNOWN[known]
    if len(numbers) > len(defaults):
        raise AttributeValueError(
            f"the activation {known} takes {len(defaults)} numbers, not {numbers!r:.80}", hint=_HINT
        )
    values = _values(numbers, defaults, known)
    return lambda x: compute(builder_for([x]), x, *values)


def _values(numbers: Sequence[Any], defaults: Sequence[float], name: str) -> list[float]:
    """Alpha and beta, by default those of ONNX."""
    given = [
        real_number(value, f"{what} of the activation {name}")
        for value, what in zip(numbers, ("alpha", "beta"))
    ]
    return given + list(defaults[len(given) :])


def _checked(function: Callable[..., Any], kind: str) -> Function:
    """A function of the user's, whose result has to have the type of its argument."""

    def checked(x: Tensor) -> Tensor:
        y = function(x)
        if not isinstance(y, Tensor) or y.type != x.type:
            made = str(y.type) if isinstance(y, Tensor) else repr(y)
            raise AttributeValueError(
                f"an activation of {kind} makes {made:.80} of {x.type}",
                hint="it has to keep the shape and the dtype",
            )
        return y

    return checked
