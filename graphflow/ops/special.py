"""The error function in NumPy, to about one unit in the last place of float64.

Rational approximations on five intervals of |x|, as in FreeBSD's msun (s_erf.c, Sun Microsystems
1993): near 0 of (erf(x) - x) / x, around 1 of erf, and beyond of log(x e^(x^2) erfc(x)) in 1 / x^2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

# Numerator and denominator by interval of |x|, the highest power last.
_NEAR_ZERO = (
    (1.28379167095512558561e-01, -3.25042107247001499370e-01, -2.84817495755985104766e-02,
     -5.77027029648944159157e-03, -2.37630166566501626084e-05),
    (1.0, 3.97917223959155352819e-01, 6.50222499887672944485e-02, 5.08130628187576562776e-03,
     1.32494738004321644526e-04, -3.96022827877536812320e-06),
)  # fmt: skip
_NEAR_ONE = (
    (-2.36211856075265944077e-03, 4.14856118683748331666e-01, -3.72207876035701323847e-01,
     3.18346619901161753674e-01, -1.10894694282396677476e-01, 3.54783043256182359371e-02,
     -2.16637559486879084300e-03),
    (1.0, 1.06420880400844228286e-01, 5.40397917702171048937e-01, 7.18286544141962662868e-02,
     1.26171219808761642112e-01, 1.36370839120290507362e-02, 1.19844998467991074170e-02),
)  # fmt: skip
_MIDDLE = (
    (-9.86494403484714822705e-03, -6.93858572707181764372e-01, -1.05586262253232909814e01,
     -6.23753324503260060396e01, -1.62396669462573470355e02, -1.84605092906711035994e02,
     -8.12874355063065934246e01, -9.81432934416914548592e00),
    (1.0, 1.96512716674392571292e01, 1.37657754143519042600e02, 4.34565877475229228821e02,
     6.45387271733267880336e02, 4.29008140027567833386e02, 1.08635005541779435134e02,
     6.57024977031928170135e00, -6.04244152148580987438e-02),
)  # fmt: skip
_TAIL = (
    (-9.86494292470009928597e-03, -7.99283237680523006574e-01, -1.77579549177547519889e01,
     -1.60636384855821916062e02, -6.37566443368389627722e02, -1.02509513161107724954e03,
     -4.83519191608651397019e02),
    (1.0, 3.03380607434824582924e01, 3.25792512996573918826e02, 1.53672958608443695994e03,
     3.19985821950859553908e03, 2.55305040643316442583e03, 4.74528541206955367215e02,
     -2.24409524465858183362e01),
)  # fmt: skip
_ERF_NEAR_ONE = 8.45062911510467529297e-01  # erf on [0.84375, 1.25] is this plus a small correction
_SPLIT, _ONE_END, _MIDDLE_END, _UNDERFLOW = 0.84375, 1.25, 1 / 0.35, 28.0


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: np.ndarray) -> np.ndarray:
    above, below = (np.polynomial.polynomial.polyval(x, part) for part in coefficients)
    return above / below


def _tail(size: np.ndarray) -> np.ndarray:
    """erfc of |x| in [1.25, 28), with e^(-x^2) split so that the rounding of x^2 does no harm."""
    inverse = 1 / (size * size)
    ratio = np.where(size < _MIDDLE_END, _ratio(_MIDDLE, inverse), _ratio(_TAIL, inverse))
    high = (size.view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)
    return np.exp(-high * high - 0.5625) * np.exp((high - size) * (high + size) + ratio) / size


def _parts(x: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.dtype]:
    array = np.asarray(x)
    wide = np.array(array, dtype=np.float64, ndmin=1)
    return wide, np.abs(wide), array.dtype


def erf(x: ArrayLike) -> np.ndarray:
    """The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x.

    Computed in float64 and rounded to the dtype of `x`.

    >>> erf(np.array([0.0, 0.5, -1.0, 3.0])).round(12).tolist()
    [0.0, 0.520499877813, -0.84270079295, 0.999977909503]
    """
    wide, size, dtype = _parts(x)
    result = np.sign(wide)
    near = size < _SPLIT
    part = wide[near]
    result[near] = part + part * _ratio(_NEAR_ZERO, part * part)
    near_one = (size >= _SPLIT) & (size < _ONE_END)
    part = size[near_one]
    result[near_one] *= _ERF_NEAR_ONE + _ratio(_NEAR_ONE, part - 1)
    far = (size >= _ONE_END) & (size < _UNDERFLOW)
    result[far] *= 1 - _tail(size[far])
    return result.reshape(np.shape(x)).astype(dtype)


def erfc(x: ArrayLike) -> np.ndarray:
    """The complement 1 - erf(x), accurate where erf(x) rounds to 1.

    Computed in float64 and rounded to the dtype of `x`.

    >>> print(f"{erfc(np.float64(10.0)):.6e}")
    2.088488e-45
    """
    wide, size, dtype = _parts(x)
    result = 1 - np.sign(wide)
    near = size < _SPLIT
    part = wide[near]
    change = part * _ratio(_NEAR_ZERO, part * part)
    result[near] = np.where(part < 0.25, 1 - (part + change), 0.5 - (change + (part - 0.5)))
    near_one = (size >= _SPLIT) & (size < _ONE_END)
    correction = _ratio(_NEAR_ONE, size[near_one] - 1)
    positive = wide[near_one] > 0
    result[near_one] = np.where(positive, 1 - _ERF_NEAR_ONE - correction, 1 + (_ERF_NEAR_ONE + correction))
    far = (size >= _ONE_END) & (size < _UNDERFLOW)
    tail = _tail(size[far])
    result[far] = np.where(wide[far] > 0, tail, 2 - tail)
    return result.reshape(np.shape(x)).astype(dtype)
