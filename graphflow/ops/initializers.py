"""Initializers: frozen records that say what a variable starts from, and draw it from a random key.

An initializer is data (a name and numbers), so it can be an attribute of a node, be printed and be
saved. The same key gives the same bits on every machine: see `graphflow.ops.threefry`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.attrs import array_key, read_only, value_key
from graphflow.ir.builder import as_array
from graphflow.ir.dtypes import DType, as_dtype, float64
from graphflow.ir.narrow import fitted
from graphflow.ir.records import RecordForm, register_record
from graphflow.ops import threefry

Sampler: TypeAlias = Callable[["Initializer", tuple[int, ...], np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Initializer:
    """What a variable starts from.

    Attributes:
        name: which one, for example "glorot_uniform".
        params: its numbers, as (name, number) pairs.
        array: the start value of `value`, None for all others.
    """

    name: str
    params: tuple[tuple[str, float], ...] = ()
    array: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.name not in _SAMPLERS:
            raise AttributeValueError(
                f"there is no initializer {self.name!r}", hint="use one of " + ", ".join(_SAMPLERS)
            )

    def attribute_key(self) -> tuple:
        """A hashable value that is equal for exactly equal initializers."""
        numbers = tuple((name, value_key(number)) for name, number in self.params)
        return ("initializer", self.name, numbers, None if self.array is None else array_key(self.array))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Initializer) and self.attribute_key() == other.attribute_key()

    def __hash__(self) -> int:
        return hash(self.attribute_key())

    def __repr__(self) -> str:
        numbers = [f"{name}={number!r}" for name, number in self.params]
        shown = [] if self.array is None else [f"array of {self.array.dtype}{list(self.array.shape)}"]
        return f"{self.name}({', '.join(numbers + shown)})"

    def __getitem__(self, param: str) -> Any:
        return dict(self.params)[param]

    def check(self, shape: Sequence[int], dtype: Any) -> None:
        """Raise unless a variable of this shape and dtype can start from it.

        Raises:
            ShapeError: if the shape does not fit; DTypeError: if the dtype does not.
        """
        kind = as_dtype(dtype)
        if self.array is not None and self.array.shape != tuple(shape):
            raise ShapeError(
                f"the initial array has shape {list(self.array.shape)}, the variable {list(shape)}",
                hint="give both the same shape, or leave the variable's shape out",
            )
        if self.name in ("orthogonal", "identity") and len(shape) < 2:
            raise ShapeError(
                f"{self.name} makes matrices, but the variable has shape {list(shape)}",
                hint="give it two axes, or use gf.initializers.normal()",
            )
        if self.name == "identity" and len(shape) != 2:
            raise ShapeError(
                f"identity makes a matrix, but the variable has shape {list(shape)}", hint="give it two axes"
            )
        if self.name in _RANDOM and not kind.is_floating:
            raise DTypeError(
                f"{self.name} makes real numbers, but the variable has dtype {kind}",
                hint="use gf.initializers.zeros(), constant(...) or value(array) for it",
            )
        if self.name == "constant":
            _fits(np.asarray(self["value"]), kind)
        if self.array is not None:
            _fits(self.array, kind)

    def sample(self, shape: Sequence[int], dtype: Any, key: np.ndarray) -> np.ndarray:
        """The start value: a fresh array of the shape and dtype.

        Arguments:
            key: two words (uint32[2]); the same key gives the same bits everywhere.
        """
        sizes = tuple(int(size) for size in shape)
        made = _SAMPLERS[self.name](self, sizes, key)
        kind = as_dtype(dtype)
        if kind.is_narrow and made.dtype != kind.numpy:
            return np.array(fitted(made, kind), order="C")
        return np.array(made, dtype=kind.numpy, order="C")


def _fits(array: np.ndarray, dtype: DType) -> None:
    """Refuse a start value that changes when stored as `dtype`, but for the rounding of floats."""
    source = as_dtype(array.dtype)
    if source.kind == "complex" and dtype.kind != "complex":
        raise DTypeError(
            f"the initial value is complex, but the variable has dtype {dtype}", hint="use a complex dtype"
        )
    if dtype.is_differentiable or source is dtype:
        return
    if dtype.is_storage or source.is_storage:
        as_array(array, dtype)
        return
    with np.errstate(all="ignore"):
        stored = array.astype(dtype.numpy)
    if not np.array_equal(stored.astype(np.float64), array.astype(np.float64)):
        raise DTypeError(
            f"the initial value of dtype {source} does not fit the variable's dtype {dtype}",
            hint="give the variable a dtype that holds it, or round and clip the value first",
        )


# Drawing


def fans(shape: Sequence[int]) -> tuple[int, int]:
    """How many values one output of a layer reads, and how many outputs read one value.

    A matrix is (in, out); from rank 3 on the shape is that of a convolution kernel, (out, in, *window).

    >>> fans((64, 10)), fans((16, 3, 5, 5)), fans((7,)), fans(())
    ((64, 10), (75, 400), (7, 7), (1, 1))
    """
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    if len(shape) == 2:
        return shape[0], shape[1]
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _scaled_variance(initializer: Initializer, shape: Sequence[int]) -> float:
    """The variance a `glorot_`, `he_` or `lecun_` initializer asks for."""
    fan_in, fan_out = fans(shape)
    family = initializer.name.partition("_")[0]
    if family == "glorot":
        fan = (fan_in + fan_out) / 2
    else:
        fan = fan_in
    return initializer["gain"] * (2.0 if family == "he" else 1.0) / max(fan, 1)


def _uniform(shape: tuple[int, ...], key: np.ndarray, low: float, high: float) -> np.ndarray:
    return low + (high - low) * threefry.uniform(key, shape, float64)


# The inverse error function for |x| < 0.9966: Giles, "Approximating the erfinv function", GPU Gems 2012.
INVERSE_ERF = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087,
    -0.00125372503, -0.00417768164, 0.246640727, 1.50140941,
)  # fmt: skip
TRUNCATED_AT = 2.0
_INSIDE = math.erf(TRUNCATED_AT / math.sqrt(2.0))
_TRUNCATED_STD = math.sqrt(
    1.0 - 2.0 * TRUNCATED_AT * math.exp(-(TRUNCATED_AT**2) / 2) / (math.sqrt(2 * math.pi) * _INSIDE)
)


def _truncated(shape: tuple[int, ...], key: np.ndarray) -> np.ndarray:
    """Standard normal numbers conditioned on |z| < 2: z = sqrt(2) erfinv(u), u uniform."""
    spread = _INSIDE * (2.0 * threefry.uniform(key, shape, float64) - 1.0)
    centred = -np.log1p(-spread * spread) - 2.5
    return math.sqrt(2.0) * spread * np.polyval(INVERSE_ERF, centred)


def _scaled_uniform(initializer: Initializer, shape: tuple[int, ...], key: np.ndarray) -> np.ndarray:
    limit = math.sqrt(3.0 * _scaled_variance(initializer, shape))
    return _uniform(shape, key, -limit, limit)


def _scaled_normal(initializer: Initializer, shape: tuple[int, ...], key: np.ndarray) -> np.ndarray:
    return _truncated(shape, key) * (math.sqrt(_scaled_variance(initializer, shape)) / _TRUNCATED_STD)


def _normal(initializer: Initializer, shape: tuple[int, ...], key: np.ndarray) -> np.ndarray:
    return initializer["mean"] + initializer["std"] * threefry.normal(key, shape, float64)


def _truncated_normal(initializer: Initializer, shape: tuple[int, ...], key: np.ndarray) -> np.ndarray:
    return initializer["mean"] + initializer["std"] * _truncated(shape, key)


def _orthogonal(initializer: Initializer, shape: tuple[int, ...], key: np.ndarray) -> np.ndarray:
    """The orthogonal factor of a random normal matrix, signs fixed so that it is uniformly distributed."""
    if 0 in shape:
        return np.zeros(shape)
    rows, columns = (shape[0], shape[1]) if len(shape) == 2 else (shape[0], math.prod(shape[1:]))
    tall = threefry.normal(key, (max(rows, columns), min(rows, columns)), float64)
    factor, triangle = np.linalg.qr(tall)
    factor = factor * np.where(np.diagonal(triangle) < 0, -1.0, 1.0)
    return initializer["gain"] * (factor if rows >= columns else factor.T).reshape(shape)


_SAMPLERS: dict[str, Sampler] = {
    "zeros": lambda self, shape, key: np.zeros(shape),
    "ones": lambda self, shape, key: np.ones(shape),
    "constant": lambda self, shape, key: np.full(shape, self["value"]),
    "value": lambda self, shape, key: np.asarray(self.array),
    "identity": lambda self, shape, key: self["gain"] * np.eye(shape[0], shape[1]),
    "uniform": lambda self, shape, key: _uniform(shape, key, self["low"], self["high"]),
    "normal": _normal,
    "truncated_normal": _truncated_normal,
    "glorot_uniform": _scaled_uniform,
    "glorot_normal": _scaled_normal,
    "he_uniform": _scaled_uniform,
    "he_normal": _scaled_normal,
    "lecun_uniform": _scaled_uniform,
    "lecun_normal": _scaled_normal,
    "orthogonal": _orthogonal,
}
_RANDOM = frozenset(_SAMPLERS) - {"zeros", "ones", "constant", "value", "identity"}


def __dir__() -> list[str]:
    return sorted(_SAMPLERS)


# What users write


def _number(value: Any, what: str, finite: bool = True) -> Any:
    """A Python number from what the user passed for a parameter."""
    plain = value.item() if isinstance(value, np.generic) else value
    if not isinstance(plain, (bool, int, float, complex)):
        raise AttributeValueError(
            f"{what} must be a number, not {value!r:.80}",
            hint="pass a Python number; value(...) takes arrays",
        )
    if finite and (isinstance(plain, complex) or not math.isfinite(plain)):
        raise AttributeValueError(f"{what} must be real and finite, not {plain}", hint="pass a finite number")
    return plain


def zeros() -> Initializer:
    """All zeros.

    >>> zeros().sample((2,), "int32", np.zeros(2, np.uint32))
    array([0, 0], dtype=int32)
    """
    return Initializer("zeros")


def ones() -> Initializer:
    """All ones."""
    return Initializer("ones")


def constant(value: float) -> Initializer:
    """All elements equal to one number.

    >>> constant(0.5)
    constant(value=0.5)
    """
    return Initializer("constant", (("value", _number(value, "the constant", finite=False)),))


def value(array: Any) -> Initializer:
    """A given array; it is copied."""
    return Initializer("value", (), read_only(as_array(array)))


def uniform(low: float = -0.05, high: float = 0.05) -> Initializer:
    """Uniform numbers in [low, high)."""
    pair = (("low", _number(low, "low")), ("high", _number(high, "high")))
    if low > high:
        raise AttributeValueError(f"uniform needs low <= high, but {low} > {high}", hint="exchange them")
    return Initializer("uniform", pair)


def _spread(name: str, mean: float, std: float) -> Initializer:
    pair = (("mean", _number(mean, "mean")), ("std", _number(std, "std")))
    if std < 0:
        raise AttributeValueError(f"{name} needs std >= 0, not {std}", hint="pass its absolute value")
    return Initializer(name, pair)


def normal(mean: float = 0.0, std: float = 0.05) -> Initializer:
    """Normal numbers of the given mean and standard deviation."""
    return _spread("normal", mean, std)


def truncated_normal(mean: float = 0.0, std: float = 0.05) -> Initializer:
    """Normal numbers, those farther than two `std` from the mean left out."""
    return _spread("truncated_normal", mean, std)


def _scaled(name: str, gain: float) -> Initializer:
    if _number(gain, "gain") < 0:
        raise AttributeValueError(f"{name} needs gain >= 0, not {gain}", hint="pass its absolute value")
    return Initializer(name, (("gain", _number(gain, "gain")),))


def glorot_uniform(gain: float = 1.0) -> Initializer:
    """Uniform of variance gain * 2 / (fan_in + fan_out). Glorot and Bengio, AISTATS 2010.

    >>> drawn = glorot_uniform().sample((64, 10), "float32", np.array([0, 1], np.uint32))
    >>> bool(abs(drawn).max() <= (6 / 74) ** 0.5)
    True
    """
    return _scaled("glorot_uniform", gain)


def glorot_normal(gain: float = 1.0) -> Initializer:
    """Truncated normal of variance gain * 2 / (fan_in + fan_out). Glorot and Bengio, AISTATS 2010."""
    return _scaled("glorot_normal", gain)


def he_uniform(gain: float = 1.0) -> Initializer:
    """Uniform of variance gain * 2 / fan_in, for layers with relu. He et al., ICCV 2015."""
    return _scaled("he_uniform", gain)


def he_normal(gain: float = 1.0) -> Initializer:
    """Truncated normal of variance gain * 2 / fan_in, for layers with relu. He et al., ICCV 2015."""
    return _scaled("he_normal", gain)


def lecun_uniform(gain: float = 1.0) -> Initializer:
    """Uniform of variance gain / fan_in. LeCun et al., "Efficient BackProp", 1998."""
    return _scaled("lecun_uniform", gain)


def lecun_normal(gain: float = 1.0) -> Initializer:
    """Truncated normal of variance gain / fan_in. LeCun et al., 1998; Klambauer et al., NIPS 2017."""
    return _scaled("lecun_normal", gain)


def orthogonal(gain: float = 1.0) -> Initializer:
    """A matrix with orthonormal rows or columns, times `gain`. Saxe et al., ICLR 2014.

    From rank 3 on, the axes after the first are taken together.
    """
    return _scaled("orthogonal", gain)


def identity(gain: float = 1.0) -> Initializer:
    """A matrix with `gain` on its diagonal and zeros elsewhere."""
    return Initializer("identity", (("gain", _number(gain, "gain")),))


# The text form


def _write(initializer: Initializer) -> tuple[str, dict[str, Any]]:
    fields: dict[str, Any] = dict(initializer.params)
    if initializer.array is not None:
        fields["array"] = initializer.array
    return initializer.name, fields


def _read(name: str, fields: dict[str, Any]) -> Initializer:
    if name not in _SAMPLERS:
        raise AttributeValueError(
            f"there is no initializer {name!r}", hint="use one of " + ", ".join(_SAMPLERS)
        )
    make: Callable[..., Initializer] = globals()[name]
    return make(**fields)


register_record(Initializer, RecordForm("init", _write, _read))
