"""How a gamma number moves with its concentration while its quantile stays: d ln x / d a, in NumPy.

With P(a, x) the distribution function, P(a, x(a)) = u gives dx/da = -(dP/da) / (dP/dx). The power
series of P serves up to x = max(a, 1), the continued fraction of 1 - P beyond.

Source: Figurnov, Mohamed, Mnih, "Implicit Reparameterization Gradients", 2018, whose algorithm
`jax.lax.random_gamma_grad` has too.
"""

from __future__ import annotations

import numpy as np

_STEPS = 2000
_EPSILON = np.finfo(np.float64).eps


def log_gamma_slope(concentration: np.ndarray, log_sample: np.ndarray) -> np.ndarray:
    """d ln x / d a for gamma numbers of concentration a, given by their logarithms.

    NaN where the concentration is not positive, or either is NaN or infinite.
    Computed in float64.

    >>> log_gamma_slope(np.array([1.0, 20.0]), np.array([0.0, 3.0])).round(6).tolist()
    [1.173563, 0.050311]
    """
    a, wanted = (np.array(part, np.float64) for part in np.broadcast_arrays(concentration, log_sample))
    result = np.full(a.shape, np.nan)
    known = (a > 0) & np.isfinite(a) & np.isfinite(wanted)
    with np.errstate(all="ignore"):
        x = np.exp(wanted)
        beyond = known & (x > 1) & (x > a) & np.isfinite(x)
        within = known & ~((x > 1) & (x > a))
        result[within] = _by_series(a[within], x[within], wanted[within])
        result[beyond] = _by_fraction(a[beyond], x[beyond], wanted[beyond])
    return result


def _by_series(a: np.ndarray, x: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """From P = x^a e^-x / Gamma(a + 1) (1 + x / (a + 1) + x^2 / ((a + 1) (a + 2)) + ...)."""
    place, term, total = a.copy(), np.ones_like(a), np.ones_like(a)
    slope_of_term, slope_of_total = np.zeros_like(a), np.zeros_like(a)
    moving = np.full(a.shape, True)
    while moving.any():
        place = place + 1
        slope_of_term = slope_of_term * (x / place) - term * x / (place * place)
        slope_of_total = slope_of_total + slope_of_term
        term = term * (x / place)
        total = total + term
        moving = np.abs(slope_of_term / slope_of_total) > _EPSILON
    return -(slope_of_total + total * (log_x - digamma(a + 1))) / a


def _by_fraction(a: np.ndarray, x: np.ndarray, log_x: np.ndarray) -> np.ndarray:
    """From the continued fraction of 1 - P, whose convergents p_k / q_k and their slopes are made in turn."""
    y, z = 1 - a, x - a + 2
    # each row: p, q and their derivatives by a, of the convergent before and of the last one
    before = np.array([np.ones_like(x), x, np.zeros_like(x), np.zeros_like(x)])
    last = np.array([x + 1, z * x, np.zeros_like(x), -x])
    value = last[0] / last[1]
    slope = (last[2] - value * last[3]) / last[1]
    for count in range(1, _STEPS + 1):
        y, z = y + 1, z + 2
        new = last * z - before * (y * count)
        new[2:] += before[:2] * count - last[:2]
        found = new[1] != 0
        safe = np.where(found, new[1], 1)
        value = np.where(found, new[0] / safe, value)
        moved = np.where(found, (new[2] - value * new[3]) / safe, slope)
        done = found & ~(np.abs(moved - slope) > _EPSILON)
        slope = moved
        if done.all():
            break
        shrink = np.where(np.abs(new[0]) > 1 / _EPSILON, _EPSILON, 1.0)
        before, last = last * shrink, new * shrink
    return slope + value * (log_x - digamma(a))


def digamma(x: np.ndarray) -> np.ndarray:
    """The logarithmic derivative of the gamma function, for x > 0.

    >>> digamma(np.array([1.0, 10.0])).round(12).tolist()
    [-0.577215664902, 2.251752589067]
    """
    total = np.zeros_like(x)
    for _ in range(10):
        low = x < 10
        total = total - np.where(low, 1 / x, 0)
        x = np.where(low, x + 1, x)
    t = 1 / (x * x)
    series = t * (1 / 12 - t * (1 / 120 - t * (1 / 252 - t * (1 / 240 - t * (1 / 132 - t * 691 / 32760)))))
    return total + np.log(x) - 0.5 / x - series
