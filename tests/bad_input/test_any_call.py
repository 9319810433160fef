"""Whatever the public functions are called with, they succeed or raise a GraphFlowError, never another error.

Each function gets random tensors, of all ranks and dtypes, and random other values for its arguments.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphflow as gf
from graphflow.errors import GraphFlowError

CALLS = 150
SHAPES = [
    (), (1,), (3,), (0,), (2, 3), (4, 4), (0, 3), ("n",), ("n", 3), (2, "n"), ("n", "m"), ("n", "n"),
    (2, 3, 4), (1, 3, 5, 5), ("n", 3, 8, 8), (2, 3, 4, 5, 6),
]  # fmt: skip
DTYPES = [
    "float32", "int32", "bool", "float64", "complex64", "uint8", "int64", "bfloat16", "uint32",
    "float8_e4m3fn", "int4", "string",
]  # fmt: skip


class Odd:
    """A value that is nothing to the package."""


def others() -> list[Any]:
    """Values that are no tensors, most of them wrong wherever they are passed."""
    n, m = gf.Dim("n"), gf.Dim("m")
    return [
        None, True, False, 0, 1, -1, 2, 3, -5, 10**6, 2**31, 2**70, -(2**70), 0.5, -0.0, 1j, 10**18,
        (10**18,) * 2, float("nan"), float("inf"), "", "axis", "same", "valid", "mean", "é", "ij,jk->ik",
        "...", "->", b"x", (), [], (0,), (0, 1), (1, 0), (0, 0), (-1,), (2, 2), (1, 2, 3), ((1, 1), (0, 0)),
        ((1,), (2,)), [[1, 2], [3]], (None,), (1.5,), ("a",), {}, {"a": 1}, set(), object(), Odd(),
        Odd, int, float, str,
        gf.float32, gf.int32, gf.bool, "float32", "nope", np.float32, np.dtype("S3"), np.array([1, 2]),
        np.array(["a"]), np.array(None), np.float64(2), np.int64(1), np.bool_(True), np.zeros((2, 3)),
        np.zeros((0,)), n, m, n * m + 1, n // 2, (n, 3), [n, -1], range(3), slice(1, 2), Ellipsis,
        Odd.__repr__, gf.Graph(), gf.initializers.zeros(), gf.nn.relu, gf.train.SGD(0.1), memoryview(b"ab"),
        gf,
    ]  # fmt: skip


class Caller:
    """Draws arguments, calls, and judges."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.others = others()
        self.tensors = [
            gf.placeholder(f"{dtype}_{index}", shape, dtype=dtype)
            for index, shape in enumerate(SHAPES)
            for dtype in DTYPES
        ]
        self.floats = [tensor for tensor in self.tensors if tensor.dtype is gf.float32]

    def one(self, values: list[Any]) -> Any:
        return values[self.rng.integers(len(values))]

    def operand(self) -> Any:
        kind = self.rng.random()
        if kind < 0.8:
            return self.one(self.floats if kind < 0.45 else self.tensors)
        return self.one(self.others) if kind > 0.85 else [self.one(self.tensors) for _ in range(2)]

    def operands(self, count: int) -> list[Any]:
        drawn = [self.operand() for _ in range(count)]
        same = self.operand() if self.rng.random() < 0.4 else None
        return [same if same is not None and self.rng.random() < 0.8 else one for one in drawn]

    def call(self, function: Callable[..., Any], inputs: list[Any], options: dict[str, Any]) -> bool:
        """Whether the call succeeded; it must not fail otherwise than by a well-told GraphFlowError."""
        try:
            function(*inputs, **options)
        except GraphFlowError as error:
            shown = str(error)
            assert "test_any_call.py:" in shown and "\n  try: " in shown, (inputs, options, shown)
            return False
        except Exception as error:
            pytest.fail(f"{function} with {inputs} and {options} raised {type(error).__name__}: {error}")
        return True


@pytest.fixture
def caller(rng: np.random.Generator) -> Caller:
    return Caller(rng)


@pytest.mark.parametrize("family", sorted({op.family for op in gf.registry}))
def test_every_operator(family: str, caller: Caller) -> None:
    rng = caller.rng
    for op in [op for op in gf.registry if op.family == family]:
        for _ in range(CALLS):
            arity = rng.integers(4) if op.arity is None or rng.random() < 0.1 else op.arity
            options = {name: caller.one(caller.others) for name in op.attributes if rng.random() < 0.6}
            if rng.random() < 0.1:
                options[caller.one(["axes", "dtpye", "keepdim", "name"])] = caller.one(caller.others)
            caller.call(op, caller.operands(arity), options)


TENSOR_LIKE = {
    "x", "y", "a", "b", "logits", "labels", "predictions", "targets", "query", "key", "value", "condition",
    "indices", "ys", "xs", "loss", "probabilities", "tensors", "scale", "offset", "mean", "variance",
    "log_probabilities", "gate", "slope", "cache", "update", "updates", "write_indices", "anchor",
    "positive", "negative", "lengths", "input_lengths", "label_lengths", "log_rates", "values",
    "class_weights",
}  # fmt: skip


def functions() -> dict[str, Callable[..., Any]]:
    """The public functions that are no operators, by name."""
    homes = {
        "gf": (gf, gf.__all__),
        "nn": (gf.nn, gf.nn.__all__),
        "metrics": (gf.nn.metrics, list(vars(gf.nn.metrics))),
        "random": (gf.random, gf.random.__all__),
        "linalg": (gf.linalg, gf.linalg.__all__),
        "fft": (gf.fft, gf.fft.__all__),
        "signal": (gf.signal, gf.signal.__all__),
        "sequence": (gf.sequence, gf.sequence.__all__),
        "layers": (gf.layers, gf.layers.__all__),
        "initializers": (gf.initializers, list(gf.initializers._SAMPLERS)),
    }
    found = {
        f"{home}.{name}": getattr(module, name) for home, (module, names) in homes.items() for name in names
    }
    return {
        name: function
        for name, function in found.items()
        if inspect.isfunction(function)
        and function.__name__ not in ("reset_default_graph", "promote", "progress")
        and "._" not in name
        and (not name.startswith("metrics.") or function.__module__ == gf.nn.metrics.__name__)
    }


@pytest.mark.parametrize("name", functions())
def test_every_function(name: str, caller: Caller) -> None:
    rng, function = caller.rng, functions()[name]
    for _ in range(CALLS):
        inputs: list[Any] = []
        options: dict[str, Any] = {}
        for parameter in inspect.signature(function).parameters.values():
            like = parameter.name in TENSOR_LIKE or rng.random() < 0.1
            value = caller.operand() if like else caller.one(caller.others)
            if parameter.kind is parameter.VAR_POSITIONAL:
                inputs += caller.operands(rng.integers(3))
            elif parameter.default is parameter.empty and parameter.kind is not parameter.KEYWORD_ONLY:
                inputs.append(value)
            elif rng.random() < 0.35:
                options[parameter.name] = value
        caller.call(function, inputs, options)


# What Python itself refuses, in its own words, because a tensor leaves the operator to the other operand.
FOREIGN = (TypeError,)
OPERATORS = [
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift",
    "rshift", "lt", "le", "gt", "ge", "getitem", "contains",
]  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
def test_every_python_operator(name: str, caller: Caller) -> None:
    function = getattr(operator, name)

    def apply(left: gf.Tensor, right: Any) -> None:
        try:
            function(left, right)
        except FOREIGN as error:
            known = (
                "unsupported operand",
                "not supported between",
                "can't multiply sequence",
                "can only concat",
            )
            assert any(phrase in str(error) for phrase in known), error

    for _ in range(CALLS):
        right = caller.one(caller.others) if caller.rng.random() < 0.6 else caller.operand()
        if name == "getitem" and caller.rng.random() < 0.5:
            right = tuple([caller.one(caller.others) for _ in range(caller.rng.integers(4))])
        caller.call(apply, [caller.one(caller.tensors), right], {})


def test_the_calls_are_not_all_refused(caller: Caller) -> None:
    succeeded = sum(caller.call(gf.add, caller.operands(2), {}) for _ in range(CALLS))
    assert 5 < succeeded < CALLS
