"""Samples of activation functions and softmax."""

from __future__ import annotations

import numpy as np

from tests.samples import sample
from tests.samples.elementwise import INTS, _unary, _values

for _name in ("relu", "sigmoid", "softplus", "gelu", "silu", "elu", "leaky_relu"):
    _unary(_name, rtol=3e-6)
for _name in ("selu", "hard_sigmoid", "hard_swish", "mish", "softsign"):
    _unary(_name, rtol=3e-6)
sample("relu", INTS)
sample("gelu", _values((2, 3), -3, 3), approximate=True, rtol=4e-6)
sample("gelu", np.array([-20.0, -8.0, -5.0, 5.0, 40.0]), rtol=1e-12)
sample("gelu", np.array([-20.0, -8.0, -5.0, 5.0, 40.0]), rtol=1e-9, approximate=True)
sample("elu", _values((2, 3), -3, 3), alpha=0.5)
sample("leaky_relu", _values((2, 3), -3, 3), alpha=0.2)
sample("hard_sigmoid", _values((2, 3), -2, 2), alpha=0.2, beta=0.4)
for _name in ("sigmoid", "softplus", "mish", "hard_swish", "hard_sigmoid"):
    sample(_name, np.array([-800.0, -90.0, -40.0, 40.0, 90.0, 800.0]), rtol=1e-12)
    sample(_name, np.array([-900, 0, 900], np.int32), rtol=1e-12)

LOGITS = np.array([[1000.0, 999.0, -1000.0], [-1000.0, -1000.0, -1001.0]])
for _name in ("softmax", "log_softmax"):
    sample(_name, _values((2, 3, 4), -2, 2), rtol=4e-6)
    sample(_name, _values((2, 3, 4), -2, 2, 1), axis=0, rtol=4e-6)
    sample(_name, _values((2, 3, 4), -2, 2, 2), axis=-2, rtol=4e-6)
    sample(_name, _values((3, 1), -2, 2, 3))
    sample(_name, np.zeros((0, 3)))
    sample(_name, np.zeros((3, 0)))
    sample(_name, LOGITS, rtol=1e-12)
    sample(
        _name, np.array([[np.nan, 1.0], [-np.inf, 1.0], [-np.inf, -np.inf], [np.inf, 1.0]]), gradient=False
    )
    sample(_name, _values((2, 5), -2, 2, 4, np.float16), rtol=3e-3, atol=3e-3, gradient=False)
    sample(_name, np.array([[1, 2], [3, 5]], np.int32))
