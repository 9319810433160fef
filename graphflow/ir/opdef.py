"""Operators: what one is (its facets), and the registry of all of them.

An operator is declared around its NumPy reference, a plain function whose signature is the schema:
positional-only parameters are tensor inputs, the others are attributes with their defaults.

    @op("reduction", infer=_reduced, traits="")
    def sum(x, /, axis=None, keepdims=False):
        \"\"\"The sum of the elements along `axis`: y = sum_i x_i. ...\"\"\"
        return np.sum(x, axis=axis, keepdims=keepdims)

    @sum.gradient
    def _(b, node, g): ...

Everything that is true of an operator on every target is a facet here. What a particular target
does with it (a JAX lowering, an ONNX name) is a table in the folder of that target.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, GraphError
from graphflow.ir import provenance
from graphflow.ir.dtypes import storage_hint
from graphflow.ir.types import TensorType

if TYPE_CHECKING:
    from graphflow.ir.attrs import Attrs
    from graphflow.ir.builder import Builder
    from graphflow.ir.node import Node, Tensor
    from graphflow.ir.onnx_form import OnnxForm

Types: TypeAlias = Sequence[TensorType]
Infer: TypeAlias = Callable[[Types, "Attrs"], Sequence[TensorType]]

REQUIRED = inspect.Parameter.empty

TRAITS = {
    "elementwise": "each output element depends on the input elements at its own (broadcast) index",
    "broadcasting": "inputs follow NumPy's broadcasting, which differentiation has to undo",
    "commutative": "the two inputs may be exchanged",
    "associative": "(x op y) op z = x op (y op z) in exact arithmetic",
    "idempotent": "op(op(x)) = op(x)",
    "injective": "each output element is a copy of one input element",
    "reduction": "each output element combines the elements of the one input along `axis`",
    "contraction": "each output element is a sum of products over whole rows or windows of two inputs",
    "finds_size": "without a `size`, as many results as the values make: a found size",
    "any_dtype": "it also takes the dtypes that nothing computes with: float8, int4, string and the like",
    "view": "the output may share the memory of the first input",
    "in_place": "the output may overwrite the first input that has its type",
    "nullary_input": "the value comes from outside: a feed, a variable, or the session",
    "effect": "it changes a variable when the run ends; never merged, moved or removed",
}


class NotDifferentiable:
    """The explicit statement that an operator has no gradient, with the reason.

    `zero=True` says that the derivative is zero wherever it exists (floor, sign), so gradients
    silently stop there; otherwise asking for one is an error that quotes the reason.
    """

    __slots__ = ("reason", "zero")

    def __init__(self, reason: str, zero: bool = False) -> None:
        self.reason, self.zero = reason, zero


class OpDef:
    """An operator; calling it adds a node to the graph of its arguments.

    Attributes:
        name, family: its public name and the module of `graphflow.ops` that holds it.
        version: raised when its meaning changes; saved graphs name the version they mean.
        arity: the number of inputs, or None if it takes a sequence of them.
        attributes: default values by name; `REQUIRED` for those without.
        infer: (input types, attrs) -> output types; raises ShapeError or DTypeError.
        normalize: (input types, attrs as a dict) -> attrs in canonical form (axis=-1 becomes 1).
        settle: (input types, attrs as a dict) -> attrs in canonical form, for canonical attrs in which
            symbolic sizes have become numbers; None where `normalize` does that.
        choose: (attrs, sizes) -> the body that stands for a node once its sizes are known, or None while they
            are not; None for all operators but those whose choice is made when compiling.
        computed: (input types, attrs as a dict) -> attrs, applied before `normalize` to a call in which
            a tensor stands for an attribute, or for part of one; None where that makes no difference.
        promotion: how inputs get a common dtype: "same" (promote), "float" (promote, then lift
            integers to floats), "float64" (promote, then lift integers to float64), "same_but_first"
            (promote all but the first, which is a condition), or None (taken as they are).
        reference: (*arrays, **attrs) -> array or tuple of arrays, in NumPy.
        vjp: (b, node, *cotangents) -> for each input its cotangent, None where that is zero, or a
            function without arguments that makes it, called only if a gradient needs it; or a
            NotDifferentiable.
        decompose: (b, node) -> output tensors made of simpler operators, or None.
        traits: a set of the names explained in `TRAITS`.
        lowerings, callback, onnx_form: see `graphflow.ops.custom.CustomOp`.
    """

    def __init__(
        self,
        reference: Callable[..., Any],
        *,
        family: str,
        name: str,
        infer: Infer,
        traits: frozenset[str],
        promotion: str | None,
        normalize: Callable[[Types, dict], dict] | None,
        version: int,
    ) -> None:
        self.name = self.__name__ = name
        self.family = family
        self.version = version
        self.reference = self.__wrapped__ = reference
        self.__doc__ = inspect.cleandoc(reference.__doc__ or "")
        self.infer = infer if "any_dtype" in traits else _computing(name, infer)
        self.normalize = normalize
        self.settle: Callable[[Types, dict], dict] | None = None
        self.computed: Callable[[Types, dict], dict] | None = None
        self.choose: Callable[[Attrs, Mapping[str, Any]], Any] | None = None
        self.promotion = promotion
        self.traits = traits
        self.finds_size = "finds_size" in traits
        self.vjp: Callable[..., Any] | NotDifferentiable | None = None
        self.decompose: Callable[[Builder, Node], Sequence[Tensor]] | None = None
        parameters = inspect.signature(reference).parameters.values()
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        inputs = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self.arity = None if self.variadic else len(inputs)
        self.attributes = {
            p.name: p.default for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        }
        self.memo: dict[tuple, tuple[TensorType, ...]] = {}  # (input types, attrs) -> output types
        self.plain: dict[tuple, tuple[Attrs, Sequence[TensorType]]] = {}  # types -> attrs, output types
        self.calls: dict[tuple, Attrs] = {}  # (input types, given attributes) -> canonical attrs

    # How a call becomes a node, (op, inputs, given attributes, name) -> outputs; the Builder supplies it.
    apply: ClassVar[Callable[..., Any]]

    # What a call with a fed axis gives, (function, arguments, keywords, error) -> outputs: `ops.fed_axis`.
    for_each_axis: ClassVar[Callable[..., Any]]

    # What an operator may bring along for targets; GraphFlow's own are in tables of the targets instead.
    lowerings: Mapping[str, Callable[..., Any]] = MappingProxyType({})
    callback: bool = False
    onnx_form: OnnxForm | None = None

    def gradient(self, vjp: Callable[..., Any]) -> OpDef:
        """Decorator that sets the vector-Jacobian product."""
        self.vjp = vjp
        return self

    def not_differentiable(self, reason: str, zero: bool = False) -> None:
        """State that there is no gradient, and why."""
        self.vjp = NotDifferentiable(reason, zero)

    def decomposition(self, decompose: Callable[..., Any]) -> OpDef:
        """Decorator that sets the expansion into simpler operators."""
        self.decompose = decompose
        return self

    def bind(
        self, arguments: Sequence[Any], keywords: dict[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any]]:
        """Split a user's arguments into inputs and attributes, as the signature says."""
        inputs: Sequence[Any]
        rest: Sequence[Any]
        if self.variadic:
            if arguments and isinstance(arguments[0], (list, tuple)):
                inputs, rest = arguments[0], arguments[1:]
            else:
                inputs, rest = arguments, ()
        else:
            inputs, rest = arguments[: self.arity], arguments[self.arity :]
            if len(inputs) != self.arity:
                raise self._miscalled(
                    f"takes {self.arity} tensor{'s' * (self.arity != 1)} but got {len(inputs)}"
                )
        if rest:
            if len(rest) > len(self.attributes):
                raise self._miscalled(f"got {len(rest) - len(self.attributes)} arguments too many")
            for name, value in zip(self.attributes, rest):
                if name in keywords:
                    raise self._miscalled(f"got {name!r} twice")
                keywords[name] = value
        return inputs, keywords

    def _miscalled(self, fault: str) -> AttributeValueError:
        return AttributeValueError(
            f"{self.name} {fault}", hint=f"call it as {self.signature()}", origin=provenance.capture()
        )

    def complete(self, given: dict[str, Any]) -> dict[str, Any]:
        """All attributes by name, defaults filled in; unknown and missing ones are errors.

        An attribute that is a bool by default has to be one.
        """
        attributes = self.attributes
        for name, value in given.items():
            if isinstance(attributes.get(name), bool) and not isinstance(value, bool):
                given = {**given, name: self._truth(name, value)}
            if name not in attributes:
                close = difflib.get_close_matches(name, attributes, 1)
                raise AttributeValueError(
                    f"{self.name} has no argument {name!r}",
                    hint=(f"did you mean {close[0]!r}? " if close else "") + f"call it as {self.signature()}",
                )
        full = {**attributes, **given}
        for name, value in full.items():
            if value is REQUIRED:
                raise AttributeValueError(
                    f"{self.name} needs the argument {name!r}", hint=f"call it as {self.signature()}"
                )
        return full

    def _truth(self, name: str, value: Any) -> bool:
        """A bool from what NumPy and C call one: np.bool_, 0 and 1."""
        plain = value.item() if isinstance(value, np.generic) else value
        if not isinstance(plain, int) or plain not in (0, 1):
            raise AttributeValueError(
                f"{self.name} needs True or False as {name}, not {value!r:.80}",
                hint=f"call it as {self.signature()}",
            )
        return bool(plain)

    def signature(self) -> str:
        """The call as a user writes it."""
        shown = str(inspect.signature(self.reference)).replace("/, ", "").replace(", /", "")
        return f"{self.name}{shown}"

    def __call__(self, *arguments: Any, name: str | None = None, **keywords: Any) -> Any:
        if keywords or len(arguments) != self.arity:
            inputs, given = self.bind(arguments, keywords)
            return OpDef.apply(self, inputs, given, name)
        return OpDef.apply(self, arguments, None, name)

    def __repr__(self) -> str:
        return f"<op {self.signature()}>"

    def __reduce__(self) -> str:
        return f"{self.family}.{self.name}"


def _computing(name: str, infer: Infer) -> Infer:
    """`infer` of an operator that computes: it refuses dtypes that are only stored."""

    def checked(types: Types, attrs: Attrs) -> Sequence[TensorType]:
        _refuse_storage(f"{name} does not take", types)
        made = infer(types, attrs)
        _refuse_storage(f"{name} does not give", made)
        return made

    return checked


def _refuse_storage(fault: str, types: Types) -> None:
    for type in types:
        if type.dtype.is_storage:
            raise DTypeError(f"{fault} {type.dtype}", hint=storage_hint(type.dtype))


class Registry:
    """All operators by name.

    >>> "relu" in registry
    True
    """

    def __init__(self) -> None:
        self._ops: dict[str, OpDef] = {}
        self.listeners: list[Callable[[OpDef], None]] = []

    def add(self, definition: OpDef, replace: bool = False) -> None:
        """Register an operator; a name can be taken once, unless the new one is to replace the old."""
        if definition.name in self._ops and not replace:
            raise GraphError(
                f"an operator named {definition.name!r} exists already", hint="choose another name"
            )
        for listener in self.listeners:
            listener(definition)
        self._ops[definition.name] = definition

    def remove(self, definition: OpDef) -> None:
        """Forget an operator; nodes that have it are no longer valid."""
        if self._ops.get(definition.name) is definition:
            del self._ops[definition.name]

    def __contains__(self, name: str) -> bool:
        return name in self._ops

    def __getitem__(self, name: str) -> OpDef:
        found = self._ops.get(name)
        if found is None:
            close = difflib.get_close_matches(name, self._ops, 3)
            raise GraphError(
                f"there is no operator {name!r}",
                hint=("did you mean " + " or ".join(close) + "? " if close else "see docs/operators.md; ")
                + "one that gf.op declares is there once its module is imported",
            )
        return found

    def __iter__(self) -> Iterator[OpDef]:
        return iter(self._ops.values())

    def __len__(self) -> int:
        return len(self._ops)


registry = Registry()


def op(
    family: str,
    *,
    infer: Infer,
    traits: str = "",
    promotion: str | None = None,
    normalize: Callable[[Types, dict], dict] | None = None,
    name: str | None = None,
    version: int = 1,
) -> Callable[[Callable[..., Any]], OpDef]:
    """Declare an operator around its NumPy reference; see the module docstring.

    Arguments:
        family: the file of `graphflow.ops` it belongs to; pictures colour nodes by it.
        infer, promotion, normalize, version: see `OpDef`.
        traits: names from `TRAITS`, separated by spaces.
        name: its public name; the function's, less a trailing underscore, by default.
    """
    chosen = frozenset(traits.split())
    unknown = chosen - set(TRAITS)
    if unknown:
        raise AttributeValueError(f"unknown traits {sorted(unknown)}", hint="use " + ", ".join(TRAITS))

    def declare(reference: Callable[..., Any]) -> OpDef:
        definition = OpDef(
            reference,
            family=family,
            name=name or reference.__name__.rstrip("_"),
            infer=infer,
            traits=chosen,
            promotion=promotion,
            normalize=normalize,
            version=version,
        )
        registry.add(definition)
        return definition

    return declare
