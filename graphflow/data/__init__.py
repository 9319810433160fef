"""Feeding a training loop: mini-batches, progress bars, and small real data sets that need no network."""

from graphflow.data.batches import Batches
from graphflow.data.digits import digits
from graphflow.data.progress import progress
from graphflow.data.texts import text

__all__ = ["Batches", "digits", "progress", "text"]


def __dir__() -> list[str]:
    return sorted(__all__)
