"""How far apart two arrays are, in units in the last place and otherwise, and whether a rule may do that.

A rule's safety class says what may differ; `judge` holds two arrays against it:

    exact     nothing: the same bits, zeros by sign; any NaN equals any NaN
    finite    nothing where the expected value is finite, but the sign of zeros
    rounding  as much as rounding of a long computation gives, where the expected value is finite
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from graphflow.ir.dtypes import DType, as_dtype

_BLOCK = 1 << 20  # elements that are looked at together
_SIGNED = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


@dataclass(frozen=True, slots=True)
class Distance:
    """How far an array is from the expected one.

    Attributes:
        ulps: the largest number of representable values between two elements; inf where one is NaN or
            infinite and the other is not that, or where shapes or dtypes differ.
        absolute: the largest difference of two finite elements.
        relative: that, as a share of the largest finite element expected.
        cosine: of the angle between the two, taken as vectors of their finite elements.
        place: the index of the element with most ulps.
        expected, actual: that element.
    """

    ulps: float
    absolute: float = 0.0
    relative: float = 0.0
    cosine: float = 1.0
    place: tuple[int, ...] = ()
    expected: str = ""
    actual: str = ""

    def __str__(self) -> str:
        if self.ulps == 0:
            return "equal to the bit"
        at = f" at {list(self.place)}" if self.place else ""
        apart = "apart" if self.ulps == float("inf") else f"{self.ulps:,.0f} ulp apart"
        measures = f"relative {self.relative:.2g}, cosine {self.cosine:.7g}"
        return f"{self.expected} became {self.actual}{at}, {apart}; {measures}"

    def to_dict(self) -> dict[str, Any]:
        """The numbers in types that JSON has."""
        found = asdict(self)
        found.update(place=list(self.place), ulps=self.ulps if np.isfinite(self.ulps) else "inf")
        return found


EQUAL = Distance(0.0)


def distance(expected: np.ndarray, actual: np.ndarray) -> Distance:
    """How far `actual` is from `expected`.

    >>> import numpy as np
    >>> one = np.array([1.0, 2.0], np.float32)
    >>> distance(one, np.nextafter(one, np.float32(9.0))).ulps
    1.0
    >>> distance(np.array([0.0]), np.array([-0.0])).ulps, distance(one, one * np.nan).ulps
    (1.0, inf)
    """
    if expected.dtype != actual.dtype or expected.shape != actual.shape:
        kinds = [f"{array.dtype}{list(array.shape)}" for array in (expected, actual)]
        return Distance(np.inf, np.inf, np.inf, 0.0, (), *kinds)
    if not expected.size:
        return EQUAL
    left, right = _plain(expected), _plain(actual)
    apart = _ulps(left, right)
    worst = int(np.argmax(apart))
    if apart[worst] == 0:
        return EQUAL
    place = tuple([int(index) for index in np.unravel_index(worst // _parts(expected), expected.shape)])
    shown = [str(array[place]) for array in (expected, actual)]
    return Distance(float(apart[worst]), *_measures(left, right), place, *shown)


def _parts(array: np.ndarray) -> int:
    """How many numbers an element is made of."""
    return 2 if array.dtype.kind == "c" else 1


def _plain(array: np.ndarray) -> np.ndarray:
    """The numbers in a row: complex ones as two, narrow ones as float32 or int8, texts as they are."""
    dtype = as_dtype(array.dtype)
    if dtype.kind == "complex":
        return np.ascontiguousarray(array).reshape(-1).view(np.float32 if dtype.itemsize == 8 else np.float64)
    if dtype.is_narrow:
        return array.reshape(-1).astype(np.float32 if dtype.kind == "narrow_float" else np.int8)
    return np.ascontiguousarray(array).reshape(-1)


def _ulps(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    kind = as_dtype(left.dtype)
    if kind.kind == "string":
        return np.where(left == right, 0.0, np.inf)
    if not kind.is_floating:
        return _apart(left, right) if kind.is_integer else (left != right).astype(np.float64)
    first, second = np.isnan(left), np.isnan(right)
    found = _apart(_ranks(left), _ranks(right))
    found[np.isinf(left) != np.isinf(right)] = np.inf
    found[first != second] = np.inf
    found[first & second] = 0.0
    return found


def _ranks(array: np.ndarray) -> np.ndarray:
    """The place of each float among all floats, with -0.0 right below 0.0."""
    bits = array.view(_SIGNED[array.dtype.itemsize])
    return np.where(bits < 0, -(bits & np.iinfo(bits.dtype).max) - 1, bits)


def _apart(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The differences of integers, which may be larger than the largest of their dtype."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    return np.asarray(high.astype(np.uint64) - low.astype(np.uint64), np.float64)


def _measures(left: np.ndarray, right: np.ndarray) -> tuple[float, float, float]:
    """The largest absolute difference, the relative one, and the cosine, of finite elements."""
    if left.dtype.kind == "T":
        return np.inf, np.inf, 0.0
    first, second = left.astype(np.float64), right.astype(np.float64)
    both = np.isfinite(first) & np.isfinite(second)
    first, second = first[both], second[both]
    if not first.size:
        return 0.0, 0.0, 1.0
    with np.errstate(all="ignore"):
        most = float(np.max(np.abs(first - second)))
        scale = float(np.max(np.abs(first)))
        lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
        cosine = float(np.dot(first, second)) / lengths if lengths and np.isfinite(lengths) else 1.0
    return most, most / scale if scale else (np.inf if most else 0.0), cosine


def rounding_tolerance(dtype: DType) -> float:
    """What rounding may amount to, relative to the largest element: the machine epsilon to 2/3.

    >>> import graphflow as gf
    >>> f"{rounding_tolerance(gf.float32):.1g} {rounding_tolerance(gf.float64):.1g}"
    '2e-05 4e-11'
    """
    digits = {"float16": 10, "bfloat16": 7, "float32": 23, "complex64": 23, "float64": 52, "complex128": 52}
    return float(2.0 ** (-digits[dtype.name] * 2 / 3)) if dtype.name in digits else 0.0


def judge(
    expected: np.ndarray,
    actual: np.ndarray,
    safety: str,
    tolerance: float,
    scale: float = 0.0,
    slack: float = 0.0,
) -> tuple[bool, Distance]:
    """Whether `actual` may stand for `expected` under a safety class, and how far it is from it.

    Arguments:
        safety: "exact", "finite", "rounding" or "unsafe".
        tolerance: how large a difference rounding may make, relative to the largest element.
        scale: what it is relative to if that is larger: the largest element of the operands, since
            a sum may cancel.
        slack: a difference that is permitted on top of that.
    """
    found = distance(expected, actual)
    if found.ulps == 0 or safety == "exact":
        return found.ulps == 0, found
    if expected.dtype != actual.dtype or expected.shape != actual.shape:
        return False, found
    if as_dtype(expected.dtype).kind == "string":
        return False, found
    left, right = _plain(expected), _plain(actual)
    if as_dtype(left.dtype).kind in ("bool", "int", "uint"):
        # Where a float is rounded another way, a comparison or an argmax of it may fall the other way.
        return safety != "finite" and float(np.mean(left != right)) <= tolerance, found
    with np.errstate(all="ignore"):
        first, second = left.astype(np.float64), right.astype(np.float64)
        known = np.isfinite(first)
        if not known.any():
            return True, found
        largest = max(float(np.max(np.abs(first[known]))), scale, 1e-30)
        allowed = 0.0 if safety == "finite" else tolerance * largest + slack
        return bool(np.all(np.abs(first - second)[known] <= allowed)), found


def magnitude(array: np.ndarray) -> float:
    """The largest finite absolute value of an array of numbers, else 0.

    >>> import numpy as np
    >>> magnitude(np.array([1.0, -3.0, np.inf]))
    3.0
    """
    if as_dtype(array.dtype).kind in ("string", "bool") or not array.size:
        return 0.0
    # In blocks: a weight of 2 GB is looked at without three copies of it in doubles.
    flat, most = (array.reshape(-1) if array.flags.c_contiguous else array.flat), 0.0
    for start in range(0, array.size, _BLOCK):
        with np.errstate(all="ignore"):
            found = np.abs(_plain(flat[start : start + _BLOCK]).astype(np.float64))
        finite = found[np.isfinite(found)]
        most = max(most, float(np.max(finite))) if finite.size else most
    return most
