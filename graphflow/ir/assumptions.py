"""Equality of sizes: proved, refuted, or assumed and noted for whoever can check it later."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from graphflow.ir.atoms import bounds

if TYPE_CHECKING:
    from graphflow.ir.dims import Size


class _Assumptions(threading.local):
    def __init__(self) -> None:
        self.made: list[tuple[Size, Size]] = []


_assumptions = _Assumptions()


def unify(left: Size, right: Size) -> Size | None:
    """The common value of two sizes that must be equal, or None if they never are.

    When neither can be shown, equality is assumed and noted; see `take_assumptions`.
    """
    if left is right or left == right:
        return left
    if isinstance(left, int) and isinstance(right, int):
        return None
    low, high = bounds(left - right)
    if (low is not None and low > 0) or (high is not None and high < 0):
        return None
    _assumptions.made.append((left, right))
    return left if isinstance(left, int) else right if isinstance(right, int) else left


def has_assumptions() -> bool:
    """Whether `unify` has assumed anything in this thread since they were last taken."""
    return bool(_assumptions.made)


def take_assumptions() -> list[tuple[Size, Size]] | None:
    """The pairs that `unify` has assumed equal in this thread since the last call; None if none."""
    made = _assumptions.made
    if not made:
        return None
    _assumptions.made = []
    return made
