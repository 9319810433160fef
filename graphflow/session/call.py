"""A Call: what fetches and feed keys, which come again in every run, have been found to mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from graphflow.ir.node import Tensor
from graphflow.session.cache import Plan
from graphflow.session.fetches import Fetches


class Call:
    """What a pair of fetches and feed keys has been found to mean.

    Attributes:
        fetches: the fetches, taken apart.
        flag: the key under which the training flag is fed, or None.
        slots: for each feed, in program order, its key, dtype and tensor.
        plan: the plan, where the training flag is not fed.
        to_host, to_device: turn the fetched device arrays into the result.
    """

    __slots__ = ("fetches", "flag", "plan", "plans", "slots", "to_device", "to_host")

    def __init__(
        self, fetches: Fetches, fed: Mapping[Tensor, Any], flag: Any, get: Callable[[Any], Any]
    ) -> None:
        self.fetches = fetches
        self.to_host = fetches.assembler(get)
        self.to_device = fetches.assembler()
        self.flag = flag
        ordered = sorted(fed, key=lambda tensor: (tensor.node.id, tensor.index))
        self.slots = [(fed[tensor], tensor.dtype.numpy, tensor) for tensor in ordered]
        self.plans: dict[bool, Plan] = {}
        self.plan: Plan | None = None
