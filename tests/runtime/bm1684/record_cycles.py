"""Records what the vendor's estimates of cycles are: `python -m tests.runtime.bm1684.record_cycles`.

The library that writes commands for the vendor's compiler keeps an estimate beside each; the functions that
make them are called here over random sizes. It is found next to the one that GRAPHFLOW_BM1684_CMODEL names.
What is written holds arguments and answers, and nothing of the library.
"""

from __future__ import annotations

import ctypes
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.runtime.bm1684 import vendor

FILE = Path(__file__).resolve().parent / "vectors" / "cycles.json"
LIBRARY = Path(vendor.LIBRARY).parent / "libbackend_1684.so"
LOCAL, LANE = 0x0800_0000, 0x8_0000

FLOAT32, INT8 = "FLOAT32", "INT8"
ARITHMETIC = {"MULTIPLY": 0, "MULTIPLY_ACCUMULATE": 1, "ADD": 2, "SUBTRACT": 3, "MAXIMUM": 4, "MINIMUM": 5}
ARITHMETIC |= {"SHIFT": 6, "AND": 7, "OR": 8, "XOR": 9, "COPY": 19}
SCALAR = {"ADD": 0, "SUBTRACT": 1, "MULTIPLY": 2, "DIVIDE": 3}
SPECIAL = {"RECIPROCAL_SQUARE_ROOT": 3, "TO_INTEGER": 4, "EXPONENT": 5, "POWER_OF_TWO": 6}
COMPARE = {"LARGER": 1, "SELECT": 2, "LARGER_AND_SELECT": 3}
FORMATS = {"FLOAT32": 0, "INT16": 1, "UINT8": 2, "INT8": 3}
DIRECTIONS = {"LOAD": 0, "STORE": 1, "SYSTEM": 2, "LOCAL": 3}


class Estimates:
    """The vendor's functions, by the names of ours."""

    def __init__(self, library: Path) -> None:
        # It lacks a symbol that its compiler supplies: bound lazily, that is never missed here.
        load = ctypes.CDLL(None).dlopen
        load.restype = ctypes.c_void_p
        handle = load(str(library).encode(), os.RTLD_LAZY)
        self.library = ctypes.CDLL(str(library), handle=handle)

    def call(self, name: str, *arguments: Any) -> int:
        function = getattr(self.library, f"atomic_{name}_get_cycle")
        wide = [a if isinstance(a, ctypes.c_uint64) else ctypes.c_int(a) for a in arguments]
        return int(function(*wide))

    def conv_cycles(self, a: dict[str, Any]) -> int:
        name = "conv_forward" if a["precision"] == FLOAT32 else "conv_fix8b_forward"
        sizes = (a["n"], a["oc"], a["oh"], a["ow"], a["kh"], a["kw"], a["ic"], *a["step"])
        return self.call(name, *sizes, _at(a), a["bias"])

    def winograd_cycles(self, a: dict[str, Any]) -> int:
        name = "winograd_forward" if a["precision"] == FLOAT32 else "winograd_fix8b_forward"
        return self.call(name, a["n"], a["oc"], a["oh"], a["ow"], a["ic"], _at(a), a["bias"])

    def _windowed(self, a: dict[str, Any], kind: int) -> int:
        name = "depthwise_fp32" if a["precision"] == FLOAT32 else "depthwise_fix8b"
        sizes = (a["n"], a["c"], a["oh"], a["ow"], a["kh"], a["kw"])
        return self.call(name, *sizes, _at(a), a["step_w"], kind)

    def depthwise_cycles(self, a: dict[str, Any]) -> int:
        return self._windowed(a, 2)

    def pool_cycles(self, a: dict[str, Any]) -> int:
        return self._windowed(a, 1 if a["kind"] == "maximum" else 0)

    def matmul_cycles(self, a: dict[str, Any]) -> int:
        name = "fc" if a["precision"] == FLOAT32 else "fc_fix8b"
        left = (1, a["inner"])  # one slice, of which the last is as wide
        result = (a["rows"], a["slices"], a["width"])
        return self.call(name, *result, a["inner"], *left, _at(a), a["bias"], a["accumulate"])

    def outer_cycles(self, a: dict[str, Any]) -> int:
        code = 12 if a["operation"] == "DIVIDE" else ARITHMETIC[a["operation"]]
        return self.call("vec_corr", a["rows"], a["slices"], 1, a["width"], _at(a), code)

    def arithmetic_cycles(self, a: dict[str, Any]) -> int:
        code = 12 if a["operation"] == "DIVIDE" else ARITHMETIC[a["operation"]]
        if a["precision"] == FLOAT32:
            return self.call("tensor_arithmetic", *_sizes(a), _at(a), code)
        wide = (a["result_precision"] != INT8, a["precision"] != INT8)
        return self.call("tensor_arithmetic_fix8b", *_sizes(a), _at(a), code, *wide)

    def scalar_cycles(self, a: dict[str, Any]) -> int:
        return self.call("md_scalar", *_sizes(a), SCALAR[a["operation"]], _at(a))

    def special_cycles(self, a: dict[str, Any]) -> int:
        return self.call("md_sfu", *_sizes(a), SPECIAL[a["operation"]], 0, _at(a))

    def series_cycles(self, a: dict[str, Any]) -> int:
        return self.call("md_sfu", *_sizes(a), 7, a["terms"], _at(a))

    def lookup_cycles(self, a: dict[str, Any]) -> int:
        return self.call("table_lookup", *_sizes(a), _at(a))

    def linear_cycles(self, a: dict[str, Any]) -> int:
        return self.call("md_linear", *_sizes(a), _at(a))

    def compare_cycles(self, a: dict[str, Any]) -> int:
        return self.call("md_cmp", *_sizes(a), COMPARE[a["operation"]], _at(a))

    def transfer(self, a: dict[str, Any], fill: bool = False) -> int:
        source, there = a["source_shape"], a["destination_shape"]
        come, go = a["source_strides"], a["destination_strides"]
        shapes = (*source, *there, ctypes.c_uint64(a["address"]))
        kinds = (FORMATS[a["source_format"]], FORMATS[a["destination_format"]], a["accumulate"])
        flags = (DIRECTIONS[a["direction"]], a["transpose"] == 1, a["transpose"] == 5, 0, fill)
        strides = (come[3], go[3], 0, 0, come[2], go[2], 0, 0, come[1], go[1], come[0], go[0])
        return self.call("gdma_tensor", *shapes, *kinds, *flags, *strides)

    def fill(self, a: dict[str, Any]) -> int:
        way = "SYSTEM" if a["direction"] == "SYSTEM" else "LOAD"
        shape = a["destination_shape"]
        source = (0, shape[2] * shape[3], shape[3], 1)
        return self.transfer(
            a | {"direction": way, "source_shape": shape, "source_strides": source, "address": 0}, fill=True
        )


def _at(a: dict[str, Any]) -> int:
    return LOCAL + a["lane"] * LANE


def _sizes(a: dict[str, Any]) -> tuple[int, ...]:
    return a["n"], a["c"], a["h"], a["w"]


# Random arguments


def _grid(draw: random.Random) -> dict[str, Callable[[], dict[str, Any]]]:
    """For each of our functions, a maker of arguments."""

    def place() -> dict[str, Any]:
        return {"lane": draw.choice((0, 0, 1, 17, 63))}

    def size(*names: str) -> dict[str, int]:
        made = {name: draw.choice((1, 2, 3, 5, 7, 14, 28, 56, 112)) for name in names}
        return {"n": draw.choice((1, 1, 2, 4, 5)), "c": draw.choice((1, 3, 64, 65, 130, 512))} | made

    def of(operations: dict[str, int]) -> dict[str, str]:
        return {"operation": draw.choice(sorted(operations))}

    def window() -> dict[str, Any]:
        made = size("oh", "ow") | place() | {"precision": draw.choice((FLOAT32, INT8))}
        return made | {name: draw.choice((1, 2, 3, 5, 7)) for name in ("kh", "kw")}

    def convolution() -> dict[str, Any]:
        made = window() | {"bias": draw.random() < 0.5, "ic": draw.choice((1, 2, 3, 4, 9, 16, 21, 64, 197))}
        return made | {"oc": made.pop("c"), "step": (draw.randint(1, 12), draw.randint(1, 12))}

    def winograd() -> dict[str, Any]:
        made = convolution()
        return {name: made[name] for name in ("n", "oc", "oh", "ow", "ic", "bias", "precision", "lane")}

    def depthwise() -> dict[str, Any]:
        return window() | {"step_w": draw.randint(1, 5)}

    def product() -> dict[str, Any]:
        made = {"rows": draw.choice((1, 10, 197)), "inner": draw.choice((1, 64, 197, 2048))}
        made |= {"slices": draw.choice((1, 13, 64, 70)), "width": draw.choice((1, 16, 17, 64, 100))}
        made |= {"bias": draw.random() < 0.5, "accumulate": draw.random() < 0.5}
        return made | {"precision": draw.choice((FLOAT32, INT8))} | place()

    def outer() -> dict[str, Any]:
        made = {
            name: value for name, value in product().items() if name in ("rows", "slices", "width", "lane")
        }
        return made | {"operation": draw.choice(("ADD", "MULTIPLY", "DIVIDE"))}

    def arithmetic() -> dict[str, Any]:
        made = size("h", "w") | place() | {"precision": FLOAT32, "result_precision": FLOAT32}
        if draw.random() < 0.6:
            both = (INT8, "INT16")
            return (
                made
                | of(ARITHMETIC)
                | {name: draw.choice(both) for name in ("precision", "result_precision")}
            )
        return made | of(ARITHMETIC | {"DIVIDE": 12})

    return {
        "conv_cycles": convolution,
        "winograd_cycles": winograd,
        "depthwise_cycles": depthwise,
        "pool_cycles": lambda: depthwise() | {"kind": draw.choice(("maximum", "average"))},
        "matmul_cycles": product,
        "outer_cycles": outer,
        "arithmetic_cycles": arithmetic,
        "scalar_cycles": lambda: size("h", "w") | place() | of(SCALAR),
        "special_cycles": lambda: size("h", "w") | place() | of(SPECIAL),
        "series_cycles": lambda: size("h", "w") | place() | {"terms": draw.randint(1, 20)},
        "lookup_cycles": lambda: size("h", "w") | place(),
        "linear_cycles": lambda: size("h", "w") | place(),
        "compare_cycles": lambda: size("h", "w") | place() | of(COMPARE),
        "transfer": lambda: _transfer(draw),
        "fill": lambda: _fill(draw),
    }


def _strides(draw: random.Random, shape: list[int]) -> list[int]:
    """Of a tensor without gaps, or with some."""
    w = draw.choice((1, 1, 1, 1, 2, 3))
    h = shape[3] * w + draw.choice((0, 0, 0, 5, 1500))
    c = shape[2] * h + draw.choice((0, 0, 0, 32, 1024, 5000))
    return [shape[1] * c + draw.choice((0, 0, 0, 128, 4096)), c, h, w]


def _transfer(draw: random.Random) -> dict[str, Any]:
    shape = [draw.choice(some) for some in ((1, 1, 2, 5), (1, 3, 64, 100), (1, 2, 7, 28), (1, 2, 9, 28, 224))]
    direction, transpose = draw.choice(sorted(DIRECTIONS)), draw.choice((0, 0, 0, 1))
    there = [shape[1], shape[0], *shape[2:]] if transpose else list(shape)
    if direction == "LOCAL":
        transpose, there = 0, list(shape)
    if direction == "LOCAL" and draw.random() < 0.3:
        shape, transpose = [1, shape[1], 1, shape[3]], 5
        there = list(shape)
    formats = draw.choice(
        (("FLOAT32", "FLOAT32"),) * 2 + (("INT8", "FLOAT32"), ("INT8",) * 2, ("INT16",) * 2)
    )
    return {
        "source_shape": shape,
        "destination_shape": there,
        "source_strides": _strides(draw, shape),
        "destination_strides": _strides(draw, there),
        "address": (1 << 32) + 4 * draw.randrange(1 << 20),
        "source_format": formats[0],
        "destination_format": formats[1],
        "direction": direction,
        "accumulate": draw.random() < 0.3 and not transpose and formats[0] == formats[1] == FLOAT32,
        "transpose": transpose,
    }


def _fill(draw: random.Random) -> dict[str, Any]:
    made = _transfer(draw) | {"transpose": 0, "accumulate": False}
    made["destination_format"] = made["source_format"]
    made["direction"] = draw.choice(("LOCAL", "SYSTEM"))
    if made["direction"] == "SYSTEM":
        made["destination_strides"][3] = 1
    return made


def answers(seed: int, count: int = 60) -> dict[str, list[list[Any]]]:
    """For each function, pairs of arguments and the vendor's answer."""
    estimates = Estimates(LIBRARY)
    made = {}
    for name, make in _grid(random.Random(seed)).items():
        several = [make() for _ in range(count * (6 if name == "transfer" else 1))]
        made[name] = [[a, getattr(estimates, name)(a)] for a in several]
    return made


def main() -> None:
    """Write the file, or print answers for another seed."""
    if len(sys.argv) > 1:
        print(json.dumps(answers(int(sys.argv[1]))))
        return
    if not LIBRARY.exists():
        raise SystemExit(
            f"there is no {LIBRARY}: make vendor-simulator says how to set GRAPHFLOW_BM1684_CMODEL"
        )
    lines = [
        f"{json.dumps(name)}: [\n"
        + ",\n".join(json.dumps(pair, separators=(",", ":")) for pair in pairs)
        + "\n]"
        for name, pairs in answers(1684).items()
    ]
    FILE.write_text("{" + ",\n".join(lines) + "}\n", "utf-8")
    print(f"{FILE.name}: {FILE.stat().st_size} bytes")


if __name__ == "__main__":
    main()
