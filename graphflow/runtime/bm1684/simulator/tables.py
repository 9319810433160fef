"""The constant tables that the chip's firmware keeps in L2, computed from what they hold."""

from __future__ import annotations

import math

import numpy as np

_SERIES = 64
_BYTES = np.arange(256)
_SIGNED = _BYTES.astype(np.int8).astype(np.float64)


def _exponentials() -> np.ndarray:
    """exp(i) for i the int8 of the index; 0 where fp32 overflows."""
    with np.errstate(over="ignore"):
        values = np.exp(_SIGNED).astype(np.float32)
    return np.where(np.isfinite(values), values, np.float32(0))


def _inverse_factorials() -> np.ndarray:
    """1/n! as the firmware computes it: each from the one before, in fp32."""
    values = [np.float32(1)]
    for divisor in range(2, _SERIES + 1):
        values.append(np.float32(values[-1] / np.float32(divisor)))
    return np.array(values, np.float32)


def _sine() -> np.ndarray:
    """The coefficients of sin(x)."""
    values = _inverse_factorials()
    values[1::2] = 0
    values[2::4] *= -1
    return values


def _logarithm() -> np.ndarray:
    """The coefficients of ln(1 + x)."""
    powers = np.arange(1, _SERIES + 1)
    return ((-1.0) ** (powers + 1) / powers).astype(np.float32)


TABLES: dict[int, np.ndarray] = {
    0x0000: np.where((_SIGNED >= -103) & (_SIGNED <= 88), _SIGNED, 0).astype(np.float32),
    0x0400: _exponentials(),
    0x0800: ((_BYTES - 127) * math.log(2)).astype(np.float32),
    0x0C00: _inverse_factorials(),
    0x0D00: _logarithm(),
    0x0F00: _BYTES.astype(np.float32),
    0x1300: _SIGNED.astype(np.float32),
    0x1700: _sine(),
    0x1800: np.arange(2048).astype(np.float32),
}
"""Each table by its offset in the part of L2 that holds them.

In order: the int8 of the index within the range of exp, exp of the int8, ln of the power of two with that
exponent, the coefficients of exp(x) - 1 and of ln(1 + x), the uint8, the int8, the coefficients of sin(x),
and the numbers 0 to 2047. The firmware has one for arcsin too, whose rounding is not known: it counts as
unwritten.
"""
