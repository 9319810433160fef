"""ONNX's own 2,033 backend tests, run for a backend and a level, and what is known to miss.

    python -m tests.io.onnx.conformance

runs them all for both backends, at O2 and O0, prints the score of each group, and fails if a test misses
that is not listed in misses_numpy.txt or misses_jax.txt, or passes though it is. With --write it renews
docs/onnx-conformance.md, which is made of those lists.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import unittest
import warnings
from collections import Counter
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from onnx.backend.test import BackendTest

from graphflow.io.onnx.backend import GraphFlowBackend, JaxBackend, NumpyBackend

HERE = Path(__file__).parent
PAGE = HERE.parents[2] / "docs" / "onnx-conformance.md"
BACKENDS: dict[str, type[GraphFlowBackend]] = {"numpy": NumpyBackend, "jax": JaxBackend}
GROUPS = {
    "OnnxBackendNodeModelTest": "node",
    "OnnxBackendSimpleModelTest": "simple",
    "OnnxBackendRealModelTest": "real",
    "OnnxBackendPyTorchConvertedModelTest": "pytorch-converted",
    "OnnxBackendPyTorchOperatorModelTest": "pytorch-operator",
}
REASONS = {
    "random": "what is expected are draws of NumPy's generator; to draw the same by chance is no pass",
    "rounding": "differs from the expected float16 in the last place, which the tolerance does not allow",
    "noise": "what is expected is rounding noise around 0, and the tolerance is smaller",
    "harness": "onnx's runner fails on a sequence of scalars, whatever the result is",
    "found-size": "how large the result is depends on values, which needs the numpy backend",
    "text": "jax has no text",
    "host": "images are decoded on the numpy backend only",
}
CHANCE = {"numpy": ("random",), "jax": ("random", "rounding", "noise")}
"""Reasons of misses that may pass here or there, by chance or by the order in which a processor adds."""

Name = tuple[str, str]
"""The class and the name of a test."""


class Checked(GraphFlowBackend):
    """A backend that notes whether a test has come to run a model: onnx's runner swallows refusals."""

    ran = 0

    @classmethod
    def prepare(cls, model: Any, device: str = "CPU", **options: Any) -> Any:
        """As the backend does it."""
        prepared = super().prepare(model, device, **options)
        run = prepared.run

        def counted(inputs: Any) -> Any:
            cls.ran += 1
            return run(inputs)

        prepared.run = counted
        return prepared


@cache
def tests() -> dict[str, type[unittest.TestCase]]:
    """The classes of all tests, for the backend and level that `Checked` has at the time."""
    os.environ.setdefault("ONNX_MODELS", tempfile.mkdtemp(prefix="onnx-models-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return dict(BackendTest(Checked, __name__).test_cases)


@cache
def names() -> list[Name]:
    """All tests for the CPU."""
    return [(group, name) for group, made in tests().items() for name in dir(made) if name.endswith("_cpu")]


def known_misses(backend: str) -> dict[str, str]:
    """The reason of each test that is known to miss."""
    lines = (HERE / f"misses_{backend}.txt").read_text("utf-8").splitlines()
    rows = [line.split() for line in lines if line and not line.startswith("#")]
    return {name: reason for name, reason in rows}


def third(all_of_them: Iterable[Name], seed: int = 0) -> list[Name]:
    """A third of the tests, the same each time."""
    listed = list(all_of_them)
    return random.Random(seed).sample(listed, len(listed) // 3)


def outcomes(backend: str, level: str, chosen: Iterable[Name]) -> dict[str, str]:
    """For each test "" if it passes, else why not; a test that runs nothing does not pass."""
    Checked.backend, Checked.level = backend, level
    chance = {name: why for name, why in known_misses(backend).items() if why in CHANCE[backend]}
    found = {}
    for group, name in chosen:
        before = Checked.ran
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                getattr(tests()[group](name), name)()
        except Exception as error:  # whatever a test or a backend raises is a miss
            found[name] = f"{type(error).__name__}: {getattr(error, 'message', error)!s:.300}"
            continue
        ran = Checked.ran > before
        found[name] = chance.get(name, "") if ran else "nothing was run"
    return found


def differences(backend: str, found: dict[str, str]) -> list[str]:
    """Tests that miss and are not listed, and tests that pass and are."""
    known = known_misses(backend)
    wrong = [f"{name} misses: {why}" for name, why in found.items() if why and name not in known]
    return wrong + [
        f"{name} passes, but is listed" for name, why in found.items() if not why and name in known
    ]


def scores(misses: Iterable[str]) -> dict[str, tuple[int, int]]:
    """For each group, and in all, how many pass and how many there are."""
    missed = set(misses)
    total = Counter(group for group, _ in names())
    passed = Counter(group for group, name in names() if name not in missed)
    rows = {label: (passed[group], total[group]) for group, label in GROUPS.items()}
    return {**rows, "all": (sum(passed.values()), sum(total.values()))}


def page() -> str:
    """The page of scores and misses, from the lists."""
    lists = {backend: known_misses(backend) for backend in BACKENDS}
    tables = {backend: scores(missed) for backend, missed in lists.items()}
    lines = [
        "# Conformance to ONNX",
        "",
        "<!-- Written by python -m tests.io.onnx.conformance --write. -->",
        "",
        "The backend tests of the package onnx (`onnx.backend.test`), run by `graphflow.io.onnx.backend` on",
        "the CPU, at O2 and at O0. A test that is not run counts as a miss, and so does one that could pass",
        "by chance. `make conformance` repeats it.",
        "",
        "| tests | " + " | ".join(tables) + " | of |",
        "| --- |" + " --- |" * (len(tables) + 1),
    ]
    for label, (_, count) in tables["numpy"].items():
        cells = " | ".join(str(table[label][0]) for table in tables.values())
        lines.append(f"| {label} | {cells} | {count} |")
    for backend, missed in lists.items():
        lines += ["", f"## Misses on {backend}"]
        for reason, told in REASONS.items():
            chosen = sorted(name.removesuffix("_cpu") for name, why in missed.items() if why == reason)
            if chosen:
                listed = ", ".join(f"`{name}`" for name in chosen)
                lines += ["", f"{reason} ({len(chosen)}): {told}.", "", listed]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run all, print the scores, and tell what is not as listed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=list(BACKENDS), action="append")
    parser.add_argument("--level", choices=("O0", "O1", "O2", "O3"), action="append")
    parser.add_argument("--write", action="store_true", help="renew docs/onnx-conformance.md")
    options = parser.parse_args()
    wrong: list[str] = []
    for backend in options.backend or BACKENDS:
        for level in options.level or ("O2", "O0"):
            found = outcomes(backend, level, names())
            told = scores(name for name, why in found.items() if why)
            print(backend, level, *[f"{label} {ok}/{of}" for label, (ok, of) in told.items()], flush=True)
            wrong += [f"{backend} {level}: {one}" for one in differences(backend, found)]
    print("\n".join(wrong))
    if options.write:
        PAGE.write_text(page(), "utf-8")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
