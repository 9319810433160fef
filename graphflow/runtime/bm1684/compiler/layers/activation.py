"""Functions of one element, in the fewest cycles that keep them within about 1e-5 of the true value.

The tensor unit does 16 elements of a lane at a time. Of its commands a table lookup takes 24 cycles for them,
a division 30, a series 4 a term and 2; an addition or multiplication of aligned operands takes 1, also where
it adds a product to a total, and a shift of bits 2. So everything here is done by additions, multiplications
and bits, and no table in L2 is read:

* exp: with z = x log2(e), adding 1.5 * 2**23 + 127 to z rounds it to an integer i; the low byte of the sum is
  i + 127, and shifted by 23 bits it is 2**i. The rest, z - i within +-1/2, goes into a polynomial for 2**f.
  1 for the product, 3 for the bounds, 4 for i, 2**i and f, 7 or 9 for the polynomial, 1 for the product: 16
  or 18 cycles, where two lookups, a series of 12 terms and what is between them take 102.
* 1 / d for d > 0: the bits of d, all inverted but the sign, are those of 4 / d up to a factor within 1 and
  9/8, as the exponent is subtracted from 255 and the mantissa from its largest. Each step of Newton,
  y (a - d y), takes 3: two of them, with the a that centre the error, end within 1.5e-6, three exact to
  rounding: 8 and 14 cycles, where a division takes 30. The factor that two steps leave is part of what is
  multiplied anyway.
* Polynomials: k powers of x, then groups of k coefficients, each a sum to which products are added, joined by
  x**k: (k + 1) / k cycles a coefficient and k - 1 for the powers, where Horner's rule takes 2 a coefficient.

That gives (cycles for 16 elements): exp 18, sigmoid 25, silu 26, tanh 27, erf 27, gelu 29 by tanh and 31 by
erf, softplus 31, mish 30, elu 21, log 33. A SiLU by lookups, a series and a division takes 135.

The polynomials are minimax approximations in the relative error, found by weighted least squares whose
weights grow where the error is large, in doubles.

Where the chip differs: denormals are 0. A NaN becomes a bound wherever the input is bounded, as the larger of
a NaN and a bound is the bound. Infinite inputs give the limits of the function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphflow.runtime.bm1684.compiler.layers.recipe import MAGNITUDE, SIGN, Recorder, Term
from graphflow.runtime.bm1684.isa import Operation

LOG2_E = 1 / math.log(2)
_ROUNDS = 1.5 * 2.0**23
"""Added to a number within 2**22 of 0, it leaves no place for a fraction."""

POWER_4 = (1.0, 0.6931241934163315, 0.24024098610072012, 0.055906424604839446, 0.009582853089769614)
POWER_5 = (
    1.0,
    0.6931469775991481,
    0.24022242085364295,
    0.05550733743275455,
    0.009671512640141473,
    0.0013264727190066558,
)
"""2**f for f within +-1/2, exact at 0: within 2.9e-6 and 9.2e-8."""

LOG1P_UNIT = (
    0.9999987315350168,
    -0.499869656386784,
    0.33109448973305905,
    -0.23503860358342848,
    0.1492238743445154,
    -0.0664017994135868,
    0.014141023563611278,
)
"""ln(1 + u) / u for u within 0 and 1: within 1.3e-6."""

_LOG1P = (
    0.9999999453094979,
    -0.500003651235222,
    0.3333505894632777,
    -0.249699090577909,
    0.19900165431925,
    -0.17250829755622307,
    0.16222580783413332,
    -0.10106895748898254,
)
"""ln(1 + u) / u for 1 + u within sqrt(1/2) and sqrt(2): within 1.7e-7."""

_TANH_END = 7.6
_TANH = (3854081.035254562, 499502.02074275794, 11518.351129718549, 45.65074851539653)
_TANH_BELOW = (3854081.3952179346, 1784192.8057036481, 92376.00509519654, 940.5402626020535, 1.0)
"""tanh(x) / x as a quotient of polynomials in x * x up to 7.6, where tanh is 1 - 5e-7: within 1e-7."""

_ERF_END = 3.75
_ERF = (23003.089977062977, 3435.0273012265247, 966.434734653164, 25.57444034296978)
_ERF_BELOW = (20385.878606812876, 9841.232443757717, 2092.184496913726, 229.84007811433045, 1.0)
"""erf(x) / x as a quotient of polynomials in x * x up to 3.75, where erf is 1 - 1.2e-7: within 3.9e-6."""

_FIRST, _SECOND = 8.5, 36.0625
_LEFT = math.sqrt(18 * 18.0625) * 18.03125
"""What two steps of Newton give, times d: they take factors within 4 and 4.5 to within 18 and 18.0625."""


# Parts


def bounded(r: Recorder, x: Term, low: float | None = None, high: float | None = None) -> Term:
    """min(max(x, low), high): 1 for low, 2 for high."""
    x = x if low is None else r.larger(x, low)
    return x if high is None else r.smaller(x, high)


def polynomial(r: Recorder, x: Term, coefficients: Sequence[float]) -> Term:
    """The sum of coefficients[i] * x**i, with groups of the size that takes the fewest commands."""
    group = min(range(2, 6), key=lambda size: _polynomial_cost(len(coefficients), size))
    powers = [x]
    while len(powers) < min(group, len(coefficients) - 1):
        powers.append(r.multiply(powers[-1], x))
    parts = [coefficients[start : start + group] for start in range(0, len(coefficients), group)]
    total: Term | float | None = None
    for part in reversed(parts):
        if len(part) == 1:
            total = part[0]
            continue
        own = x if part[1] == 1.0 else r.multiply(x, part[1])
        own = r.add(own, part[0])
        for power, coefficient in zip(powers[1:], part[2:]):
            own = r.add_product(own, power, coefficient)
        total = own if total is None else r.add_product(own, powers[group - 1], total)
    assert isinstance(total, Term)
    return total


def _polynomial_cost(count: int, group: int) -> int:
    """Commands for so many coefficients in groups."""
    full, rest = divmod(count, group)
    joins = full + bool(rest) - 1
    return min(group, count - 1) - 1 + full * group + (rest if rest > 1 else 0) + joins


def scaled(coefficients: Sequence[float], factor: float) -> tuple[float, ...]:
    """The coefficients of a multiple."""
    return tuple([factor * one for one in coefficients])


def power_of_two(r: Recorder, z: Term, coefficients: Sequence[float], down: int = 0) -> Term:
    """2**z for z within -127 and 128, as polynomial(f) * 2**(i - down); 5 and the polynomial and 1.

    With i - down at -127 the result is 0. z is used up.
    """
    magic = _ROUNDS + 127 - down
    shifted = r.add(z, magic)
    fraction = r.add_difference(z, magic, shifted)
    power = r.bits(Operation.SHIFT, shifted, 23)
    return r.multiply(polynomial(r, fraction, coefficients), power)


def reciprocal_multiple(r: Recorder, d: Term) -> Term:
    """_LEFT / d for d > 0 within 1.5e-6, up to 2**123: 8."""
    return newton(r, d, newton(r, d, inverted(r, d), _FIRST), _SECOND)


def inverted(r: Recorder, d: Term) -> Term:
    """Within 4 / d and 4.5 / d: 2."""
    return r.bits(Operation.XOR, d, MAGNITUDE)


def newton(r: Recorder, d: Term, y: Term, total: float) -> Term:
    """y * (total - d * y): 3."""
    return r.multiply(y, r.subtract(total, r.multiply(d, y)))


# Functions


def exponential(r: Recorder, x: Term, scale: float = 1.0) -> Term:
    """exp(x) * scale; results below 2**-125.5 are 0."""
    z = bounded(r, r.multiply(x, LOG2_E), -126.0, 128.49)
    return power_of_two(r, z, scaled(POWER_5, 2 * scale), 1)


def negative_exponential(
    r: Recorder, x: Term, scale: float = 1.0, coefficients: Sequence[float] = POWER_5
) -> Term:
    """exp(x) * scale for x <= 0."""
    z = r.larger(r.multiply(x, LOG2_E), -127.0)
    return power_of_two(r, z, scaled(coefficients, scale))


def sigmoid_of(r: Recorder, z: Term) -> Term:
    """1 / (1 + 2**z)."""
    bound = bounded(r, z, -127.0, 116.0)
    above = power_of_two(r, bound, scaled(POWER_4, _LEFT))
    return reciprocal_multiple(r, r.add(above, _LEFT))


def sigmoid(r: Recorder, x: Term) -> Term:
    """1 / (1 + exp(-x)), no less than 2**-116."""
    return sigmoid_of(r, r.multiply(x, -LOG2_E))


def silu(r: Recorder, x: Term) -> Term:
    """x * sigmoid(x)."""
    return r.multiply(sigmoid(r, x), x)


def quotient(
    r: Recorder, x: Term, above: Sequence[float], below: Sequence[float], factor: float = 1.0
) -> Term:
    """factor * x * above(x * x) / below(x * x)."""
    square = r.multiply(x, x)
    inverse = reciprocal_multiple(r, polynomial(r, square, below))
    top = r.multiply(x, polynomial(r, square, scaled(above, factor / _LEFT)))
    return r.multiply(top, inverse)


def tanh(r: Recorder, x: Term) -> Term:
    """tanh(x)."""
    return quotient(r, bounded(r, x, -_TANH_END, _TANH_END), _TANH, _TANH_BELOW)


def erf(r: Recorder, x: Term, factor: float = 1.0) -> Term:
    """factor * erf(x)."""
    return quotient(r, bounded(r, x, -_ERF_END, _ERF_END), _ERF, _ERF_BELOW, factor)


def gelu(r: Recorder, x: Term) -> Term:
    """x * (1 + erf(x / sqrt(2))) / 2."""
    half = r.add(erf(r, r.multiply(x, math.sqrt(0.5)), 0.5), 0.5)
    # Where erf ends it is a little beyond -1, so that far below 0 nothing is left.
    return r.multiply(r.larger(half, 0.0), x)


def gelu_tanh(r: Recorder, x: Term) -> Term:
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3))) / 2 = x * sigmoid(twice that)."""
    factor = -2 * math.sqrt(2 / math.pi) * LOG2_E
    inner = r.add(r.multiply(r.multiply(x, x), 0.044715 * factor), factor)
    return r.multiply(sigmoid_of(r, r.multiply(x, inner)), x)


def softplus(r: Recorder, x: Term) -> Term:
    """ln(1 + exp(x)) = max(x, 0) + ln(1 + exp(-|x|))."""
    small = negative_exponential(r, r.bits(Operation.OR, x, SIGN))
    return r.add_product(r.larger(x, 0.0), small, polynomial(r, small, LOG1P_UNIT))


def mish(r: Recorder, x: Term) -> Term:
    """x * tanh(softplus(x)) = x * w / (w + 2) with w = e (e + 2), e = exp(x)."""
    z = bounded(r, r.multiply(x, LOG2_E), -127.0, 28.0)
    e = power_of_two(r, z, POWER_4)
    w = r.multiply(e, r.add(e, 2.0))
    inverse = reciprocal_multiple(r, r.add(w, 2.0))
    return r.multiply(r.multiply(w, inverse), r.multiply(x, 1 / _LEFT))


def elu(r: Recorder, x: Term, alpha: float = 1.0, scale: float = 1.0) -> Term:
    """scale * (x if x > 0 else alpha * (exp(x) - 1))."""
    below = negative_exponential(r, r.smaller(x, 0.0), alpha * scale)
    above = r.larger(x, 0.0)
    above = above if scale == 1.0 else r.multiply(above, scale)
    return r.add_difference(above, below, alpha * scale)


def leaky_relu(r: Recorder, x: Term, alpha: float) -> Term:
    """x if x > 0 else alpha * x."""
    other = r.multiply(x, alpha)
    return r.larger(x, other) if alpha <= 1 else r.smaller(x, other)


def hard_sigmoid(r: Recorder, x: Term, alpha: float, beta: float) -> Term:
    """min(max(alpha * x + beta, 0), 1)."""
    return bounded(r, r.add(r.multiply(x, alpha), beta), 0.0, 1.0)


def hard_swish(r: Recorder, x: Term) -> Term:
    """x * min(max(x / 6 + 1/2, 0), 1)."""
    return r.multiply(x, hard_sigmoid(r, x, 1 / 6, 0.5))


def softsign(r: Recorder, x: Term) -> Term:
    """x / (1 + |x|)."""
    below = r.add(r.bits(Operation.AND, x, MAGNITUDE), 1.0)
    return r.multiply(reciprocal(r, below), x)


def reciprocal(r: Recorder, x: Term) -> Term:
    """1 / x within 3e-7; of either zero it is inf, of an infinity NaN, and 0 beyond 2**126."""
    start = r.smaller(r.multiply(inverted(r, x), 16 / 17 / 4), 2.0**125)
    y = newton(r, x, start, 2.0)
    y = newton(r, x, y, 2.0)
    return newton(r, x, y, 2.0)


def log(r: Recorder, x: Term, scale: float = 1.0, zero: bool = True) -> Term:
    """scale * ln(x); -inf of what is no larger than 0, and of the largest number beyond it."""
    finite = bounded(r, x, 2.0**-125, 3.0e38)
    shifted = r.multiply(finite, math.sqrt(0.5))
    exponent = r.bits(Operation.OR, r.bits(Operation.SHIFT, shifted, -23), 0x4B00_0000)
    exponent = r.subtract(exponent, 2.0**23 + 126)
    field = r.bits(Operation.XOR, r.bits(Operation.AND, shifted, 0x7F80_0000), 0x7F80_0000)
    # The field stands for 2**(1 - e) of shifted, so that the product is within 2 sqrt(2) and 4 sqrt(2).
    rest = r.subtract(r.multiply(r.multiply(finite, field), 0.25), 1.0)
    total = r.multiply(rest, polynomial(r, rest, scaled(_LOG1P, scale)))
    total = r.add_product(total, exponent, scale * math.log(2))
    if zero:
        nothing = r.greater(2.0**-126, x, -math.inf if scale > 0 else math.inf)
        total = r.add(total, nothing)
    return total


def sine(r: Recorder, x: Term, quarter: float = 0.0) -> Term:
    """sin(x + quarter * pi) for |x| within 1e4, where the number of half turns is exact."""
    turns = r.multiply(x, 1 / math.pi)
    whole = r.add(r.add(turns, quarter) if quarter else turns, _ROUNDS)
    count = r.subtract(whole, _ROUNDS)
    count = r.subtract(count, quarter) if quarter else count
    rest = r.copy(x)
    for part in (-3.140625, -9.67502593994140625e-4, -1.509957990978376432e-7):
        rest = r.add_product(rest, count, part)
    odd = r.bits(Operation.SHIFT, whole, 31)
    square = r.multiply(rest, rest)
    made = r.multiply(polynomial(r, square, _SINE), rest)
    return r.both_bits(Operation.XOR, made, odd)


_SINE = (
    0.9999999946860045,
    -0.1666665668400507,
    0.00833302513892868,
    -0.00019807418724853386,
    2.6019030625289965e-06,
)
"""sin(x) / x in x * x up to half pi: within 5.4e-9."""
