"""Operators of a user's own: declared around a NumPy kernel in any module, with any of the other facets.

    @gf.op
    def swish(x, /, beta=1.0):
        \"\"\"y = x / (1 + exp(-beta x)).\"\"\"
        return x / (1 + np.exp(-beta * x))

    @swish.lowering("jax")
    def _(x, beta): ...

    @swish.gradient
    def _(b, node, g): ...

A facet that is missing is derived where it can be: an expansion into other operators gives both the
gradient and every target; a kernel alone runs on the numpy backend, and on jax if it may be called back.
"""

from __future__ import annotations

import inspect
import types as python_types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from graphflow.errors import AttributeValueError, GraphError
from graphflow.ir.builder import Builder
from graphflow.ir.onnx_form import OnnxForm, onnx_form
from graphflow.ir.opdef import TRAITS, Infer, OpDef, Types, registry
from graphflow.ir.types import TensorType
from graphflow.ops.custom_facets import CheckedExpansion, checked_gradient, gradient_of_expansion
from graphflow.ops.inference import broadcast_bool, broadcast_type, same_type

_KINDS = inspect.Parameter
FAMILY = "custom"

INFERENCES: dict[str, Infer] = {
    "same": same_type,
    "broadcast": broadcast_type,
    "broadcast bool": broadcast_bool,
}
"""Inference by name; those that broadcast also set traits and promotion."""


class CustomOp(OpDef):
    """An operator that `gf.op` declared; its facets are added by the methods below.

    Attributes:
        lowerings: for a target's name, the function that computes it there.
        callback: whether a target without a lowering may call the NumPy kernel back.
        onnx_form: its name in ONNX models, or None.
    """

    def __init__(self, reference: Callable[..., Any], *, callback: bool, **facets: Any) -> None:
        super().__init__(reference, family=FAMILY, **facets)
        self.lowerings: dict[str, Callable[..., Any]] = {}
        self.callback = callback

    def gradient(self, vjp: Callable[..., Any]) -> OpDef:
        """Decorator that sets the vector-Jacobian product, `(b, node, *cotangents) -> cotangents of inputs`.

        There is one cotangent for each output, None where it is zero. The function returns a tensor or None
        for each input; of an operator with one input, it may return the one.
        """
        self.vjp = checked_gradient(_function(vjp, f"the gradient of {self.name}"))
        return self

    def decomposition(self, decompose: Callable[..., Any]) -> OpDef:
        """Decorator that sets the expansion into other operators, `(b, node) -> outputs`.

        Targets without a lowering run the expansion, and gradients go through it unless one is declared.
        """
        self.decompose = CheckedExpansion(_function(decompose, f"the expansion of {self.name}"))
        if self.vjp is None:
            self.vjp = gradient_of_expansion
        return self

    def refusal(self, target: str) -> str | None:
        """Why a target that knows no operators of users cannot run this one, or None if it can."""
        if target in self.lowerings or (self.callback and self.decompose is None):
            return None
        return (
            f'it has no lowering for {target}: declare one with @{self.name}.lowering("{target}"), or an '
            f"expansion with @{self.name}.decomposition, or let its kernel be called by gf.op(callback=True)"
        )

    def lowering(self, target: str) -> Callable[[Callable[..., Any]], OpDef]:
        """Decorator that sets how a target computes it: for "jax", `(*arrays, **attributes)` on JAX arrays.

        Raises:
            AttributeValueError: if the target is no name, or what is decorated no function.
        """
        if not isinstance(target, str) or not target.isidentifier() or target != target.lower():
            raise AttributeValueError(
                f"{target!r:.40} is no name of a target", hint='name a backend, as in lowering("jax")'
            )

        def enter(function: Callable[..., Any]) -> OpDef:
            self.lowerings[target] = _function(function, f"the {target} lowering of {self.name}")
            return self

        return enter

    def forget(self) -> None:
        """Take it out of the registry, so that the name is free; graphs that use it cannot run any more."""
        registry.remove(self)
        if self.name not in registry and hasattr(Builder, self.name):
            delattr(Builder, self.name)

    def onnx(
        self,
        op_type: str,
        domain: str = "",
        since_version: int = 1,
        attributes: Mapping[str, str] | Callable[..., Any] | None = None,
        read: Callable[..., Any] | None = None,
    ) -> OnnxForm:
        """Say how ONNX models name it; see `OnnxForm`.

        Arguments:
            op_type, domain, since_version: of the ONNX operator.
            attributes: ONNX names by our names, where they differ; or a function from our attributes to
                ONNX's, both as dicts.
            read: the way back, if `attributes` is a function.

        Raises:
            AttributeValueError: if one of them cannot be so.

        >>> import graphflow as gf
        >>> @gf.op
        ... def cube_of(x, /, gain=1.0):
        ...     return gain * x * x * x
        >>> cube_of.onnx("Cube", domain="my.company", attributes={"gain": "alpha"}).written({"gain": 2.0})
        {'alpha': 2.0}
        >>> cube_of.forget()
        """
        self.onnx_form = onnx_form(self, op_type, domain, since_version, attributes, read)
        return self.onnx_form


def op(
    function: Callable[..., Any] | None = None,
    *,
    infer: str | Callable[..., Any] | None = None,
    traits: str = "",
    promotion: str | None = None,
    normalize: Callable[..., Any] | None = None,
    name: str | None = None,
    version: int = 1,
    callback: bool = False,
    replace: bool = False,
) -> Any:
    """Declare an operator of your own around its NumPy kernel; a decorator, bare or with arguments.

    Positional-only parameters (before `/`) are tensors, `*xs` any number of them; the others are attributes
    with their defaults. The kernel gets NumPy arrays and gives one, or a tuple of several. The operator is
    called as the function was, on tensors.

    Arguments:
        function: the kernel.
        infer: what it returns, as a type: "same" (the first input's; the default if there is one input),
            "broadcast" (the common dtype and shape of all inputs), "broadcast bool" (booleans of that
            shape), or a function `(types, attrs)` that returns a `gf.TensorType`, or several.
        traits: names from `graphflow.ir.opdef.TRAITS`, separated by spaces.
        promotion: how inputs get a common dtype: "same", "float" (integers become floats), or None.
        normalize: `(types, attrs as a dict) -> attrs`, to check attributes and write them in one way.
        name: its name; that of the function, less a trailing underscore, by default.
        version: raise it when the meaning changes, so that older saved models are refused.
        callback: let backends that lack a lowering call the kernel in the middle of their program. It works,
            but data leaves the device and comes back.
        replace: let it take the place of another operator of that name that `gf.op` declared. A function
            that is defined again in its module, as when a notebook's cell runs twice, needs no leave.

    Returns:
        The operator, a `gf.OpDef` with the decorators `gradient`, `decomposition` and `lowering(target)` and
        the methods `not_differentiable(reason)`, `onnx(op_type, ...)` and `forget()`.

    Raises:
        AttributeValueError: if an argument, or the kernel's signature, cannot be that of an operator.
        GraphError: if the name is taken.

    >>> import numpy as np, graphflow as gf
    >>> @gf.op
    ... def swish_of(x, /, beta=1.0):
    ...     return x / (1 + np.exp(-beta * x))
    >>> @swish_of.decomposition
    ... def _(b, node):
    ...     [x] = node.inputs
    ...     return x * gf.nn.sigmoid(x * node.attrs.beta)
    >>> y = swish_of(gf.constant([0.0, 1.0]), beta=2.0)
    >>> gf.Session(y.graph).run(y).round(3)
    array([0.   , 0.881], dtype=float32)
    >>> swish_of.forget()
    """
    if isinstance(infer, str) and infer.startswith("broadcast"):
        traits = f"{traits} broadcasting elementwise" if isinstance(traits, str) else traits
        promotion = promotion or "same"
    facets: dict[str, Any] = {
        "traits": _traits(traits),
        "promotion": _promotion(promotion),
        "normalize": None if normalize is None else _function(normalize, "normalize"),
        "version": _version(version),
        "callback": _flag(callback, "callback"),
    }

    leave = _flag(replace, "replace")

    def declare(reference: Callable[..., Any]) -> OpDef:
        _check_signature(_kernel(reference))
        chosen = _name(reference.__name__.rstrip("_") if name is None else name)
        inferring = _inference(infer, reference, chosen)
        definition = CustomOp(reference, name=chosen, infer=inferring, **facets)
        if chosen in registry:
            _check_replaced(registry[chosen], definition, leave)
        registry.add(definition, replace=True)
        return definition

    return declare if function is None else declare(function)


# Checking the declaration


def _function(value: Any, what: str) -> Callable[..., Any]:
    if not callable(value):
        raise AttributeValueError(
            f"{what} is {value!r:.80}, which is no function", hint="decorate a function"
        )
    found: Callable[..., Any] = value
    return found


def _kernel(value: Any) -> Callable[..., Any]:
    if not isinstance(value, python_types.FunctionType):
        raise AttributeValueError(
            f"an operator is declared around a Python function, not {value!r:.80}",
            hint="write @gf.op above def my_op(x, /, factor=1.0)",
        )
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.isidentifier() or value.startswith("_"):
        raise AttributeValueError(
            f"an operator cannot be named {value!r:.80}", hint="use letters, digits and inner underscores"
        )
    return value


def _traits(value: Any) -> frozenset[str]:
    chosen = frozenset(value.split()) if isinstance(value, str) else None
    if chosen is None or chosen - set(TRAITS) or chosen & {"nullary_input", "effect"}:
        usable = [one for one in TRAITS if one not in ("nullary_input", "effect")]
        raise AttributeValueError(
            f"an operator cannot have the traits {value!r:.80}", hint="use some of " + ", ".join(usable)
        )
    return chosen


def _promotion(value: Any) -> str | None:
    known = (None, "same", "float", "float64", "same_but_first")
    if not any(value is one or (isinstance(value, str) and value == one) for one in known):
        raise AttributeValueError(f"there is no promotion {value!r:.80}", hint='use None, "same" or "float"')
    return None if value is None else str(value)


def _flag(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise AttributeValueError(
            f"{what} of gf.op is True or False, not {value!r:.80}", hint="leave it out for False"
        )
    return value


def _version(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise AttributeValueError(
            f"an operator's version is 1, 2, 3 ..., not {value!r:.40}", hint="leave it out for the first"
        )
    return value


def _check_signature(reference: Callable[..., Any]) -> None:
    """Raise unless the signature has inputs, and attributes with names of their own."""
    parameters = list(inspect.signature(reference).parameters.values())
    call = f"{reference.__name__}{inspect.signature(reference)}"
    inputs = [one for one in parameters if one.kind in (_KINDS.POSITIONAL_ONLY, _KINDS.VAR_POSITIONAL)]
    if not inputs:
        raise AttributeValueError(
            f"{call} has no tensor among its parameters",
            hint="put a slash after those that are tensors, as in def my_op(x, /, factor=1.0)",
        )
    if len(inputs) > 1 and any(one.kind is _KINDS.VAR_POSITIONAL for one in inputs):
        raise AttributeValueError(f"{call} has both single tensors and *tensors", hint="take them all as *xs")
    if any(one.kind is _KINDS.VAR_KEYWORD for one in parameters):
        raise AttributeValueError(f"{call} takes any attribute", hint="name each attribute, with its default")
    if any(one.name == "name" for one in parameters):
        raise AttributeValueError(
            f"{call} has a parameter called name, by which calls name the node", hint="call it otherwise"
        )


def _inference(infer: Any, reference: Callable[..., Any], name: str) -> Infer:
    if infer is None:
        kinds = [one.kind for one in inspect.signature(reference).parameters.values()]
        if _KINDS.VAR_POSITIONAL in kinds or kinds.count(_KINDS.POSITIONAL_ONLY) > 1:
            raise AttributeValueError(
                f"{name} takes several tensors, and nothing says what type its result has",
                hint='pass infer="same", infer="broadcast", or a function of (types, attrs)',
            )
        infer = "same"
    if isinstance(infer, str):
        if infer not in INFERENCES:
            raise AttributeValueError(
                f"there is no inference {infer!r:.80}",
                hint="use a function, or " + ", ".join(map(repr, INFERENCES)),
            )
        return INFERENCES[infer]
    return _checked_inference(_function(infer, f"infer of {name}"), name)


def _checked_inference(infer: Callable[..., Any], name: str) -> Infer:
    """`infer` as the package calls it: it returns a tuple of types, or an error says that it does not."""

    def checked(types: Types, attrs: Any) -> Sequence[TensorType]:
        made = infer(types, attrs)
        several = made if isinstance(made, (tuple, list)) else (made,)
        wrong = [one for one in several if not isinstance(one, TensorType)]
        if wrong or not several:
            raise AttributeValueError(
                f"the inference of {name} gives {made!r:.80}, which is no type",
                hint="return gf.TensorType(dtype, shape), or a tuple of them",
            )
        return tuple(several)

    return checked


def _check_replaced(old: OpDef, new: OpDef, leave: bool) -> None:
    """Raise unless the new definition may take the place of the old one."""
    if not isinstance(old, CustomOp):
        raise GraphError(
            f"an operator named {new.name!r} exists already, and it is GraphFlow's own",
            hint="choose another name, or pass name=... to gf.op",
        )
    places = [(one.reference.__module__, one.reference.__qualname__) for one in (old, new)]
    if not leave and places[0] != places[1]:
        raise GraphError(
            f"an operator named {new.name!r} exists already: {places[0][1]} of the module {places[0][0]}",
            hint="choose another name, or pass replace=True to put this one in its place",
        )
