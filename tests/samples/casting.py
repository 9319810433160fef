"""Samples of the conversions to and from the dtypes that are only stored."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from graphflow.ir.dtypes import NARROW, as_dtype
from tests.samples import sample

rng = np.random.default_rng(12)
EDGES = [
    0.0, -0.0, 1.0, -1.5, 2.5, 3.5, 448.0, 463.9, 464.0, 465.0, 57344.0, 61440.0, 1e30, -1e30, 1e-30, 2.0**-9,
    2.0**-10, 1.5 * 2.0**-10, 2.0**-127, 2.0**127, np.inf, -np.inf, np.nan, 6.0, 7.0, -9.5,
]  # fmt: skip
VALUES = np.concatenate([EDGES, rng.normal(size=60) * 10.0 ** rng.integers(-3, 4, 60)])
HALFWAY = np.array([1.0625 + 2.0**-40, 1.1875 - 2.0**-40, -1.125 - 2.0**-50, 2.5 + 2.0**-45, 1e300, 5e-324])
ON_XLA = [dtype.name for dtype in NARROW if "float6" not in dtype.name]
WIDTHS = {"int8": 8, "float8_e4m3fn": 8, "int4": 4, "float4_e2m1fn": 4, "uint4": 4, "int2": 2, "uint2": 2}
with np.errstate(all="ignore"):
    SOURCES = (
        VALUES.astype(np.float32), VALUES.astype(np.float16), VALUES.astype(ml_dtypes.bfloat16),
        np.concatenate([VALUES, HALFWAY]), rng.integers(-600, 600, 20), np.arange(256).astype(np.uint8),
        np.array([True, False]), np.array([2**40 + 3, -(2**63), 2**63 - 1, 17]), VALUES[:4] + 2j,
    )  # fmt: skip
    PATTERNS = {
        name: np.arange(256).astype(np.uint8).view(np.dtype(getattr(ml_dtypes, name))) for name in ON_XLA[:5]
    }
    PATTERNS |= {name: np.arange(-8, 16).astype(getattr(ml_dtypes, name)) for name in ON_XLA[5:]}

for name in ON_XLA:
    for source in SOURCES:
        sample("astype", source, dtype=name, gradient=False)
    for target in (
        "float32",
        "float64",
        "bfloat16",
        "int32",
        "uint8",
        "bool",
        "complex64",
        "int4",
        "float8_e5m2",
    ):
        sample("astype", PATTERNS[name], dtype=target, gradient=False)
    for target, width in WIDTHS.items():
        if width == as_dtype(name).bits:
            sample("bitcast", PATTERNS[name], dtype=target, gradient=False)
for name in ON_XLA[:5]:
    for source in SOURCES[:4]:
        sample("astype_float8", source, dtype=name, saturate=False, gradient=False)
for mode in ("up", "down", "nearest"):
    for saturate in (True, False):
        for source in SOURCES[:4]:
            sample(
                "astype_float8",
                source,
                dtype="float8_e8m0fnu",
                saturate=saturate,
                round_mode=mode,
                gradient=False,
            )
sample("bitcast", np.array([True, False]), dtype="int8", gradient=False)
sample("bitcast", np.array([0, 1, 7], np.uint8), dtype="bool", gradient=False)
sample("bitcast", np.array([1 + 2j, -0.0j], np.complex64), dtype="int64", gradient=False)
sample("bitcast", np.array([2**62, 3], np.int64), dtype="complex64", gradient=False)
