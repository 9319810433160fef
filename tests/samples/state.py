"""Samples of the operators without inputs; values from outside have no reference to compare with."""

import numpy as np

from graphflow.ir.dtypes import float32, int64
from tests.samples import sample

sample("constant", value=np.array([1.5, -0.0, np.inf], np.float32), gradient=False)
sample("constant", value=np.arange(200, dtype=np.int64).reshape(2, 100), gradient=False)
sample("constant", value=np.zeros((0, 3), bool), gradient=False)
sample("dimension", size=7, dtype=float32, gradient=False)
sample("dimension", size=0, dtype=int64, gradient=False)
