"""A progress bar around a loop, with figures such as the loss beside it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

from graphflow.errors import needing_packages

Item = TypeVar("Item")


class Progress(Generic[Item]):
    """An iterable that draws a bar on standard error while it is iterated; see `progress`."""

    def __init__(self, items: Iterable[Item], title: str, unit: str, hidden: bool | None) -> None:
        with needing_packages("gf.progress"):
            from tqdm import tqdm

        disable = not sys.stderr.isatty() if hidden is None else hidden
        self._bar = tqdm(items, desc=title or None, unit=unit, disable=disable, dynamic_ncols=True)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._bar)

    def __len__(self) -> int:
        return len(self._bar)

    def show(self, **figures: Any) -> None:
        """Show figures beside the bar: `bar.show(loss=0.1, accuracy=0.97)`."""
        self._bar.set_postfix({name: _short(value) for name, value in figures.items()}, refresh=False)


def progress(
    items: Iterable[Item], title: str = "", unit: str = "batch", hidden: bool | None = None
) -> Progress[Item]:
    """Iterate over `items` with a progress bar.

    Arguments:
        items: what to iterate over.
        title: shown before the bar.
        unit: what one item is.
        hidden: draw nothing; by default where standard error is no terminal.

    >>> import graphflow as gf
    >>> sum(gf.progress([1, 2, 3]))
    6
    """
    return Progress(items, title, unit, hidden)


def _short(value: Any) -> str:
    try:
        return f"{float(value):.4g}"
    except (TypeError, ValueError):
        return str(value)
