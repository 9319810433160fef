"""`make_callable`: a closure that has decided everything before its first call but the sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.errors import BackendError, FeedError
from graphflow.session.cache import Plan, ProgramCache, Variant
from graphflow.session.feeds import to_array
from graphflow.session.fetches import Fetches


def make_step(
    cache: ProgramCache, plan: Plan, fetches: Fetches, order: Sequence[int], device_type: type
) -> Callable[..., Any]:
    """The function `step(*arrays)` of a plan.

    Arguments:
        order: for each feed of the plan, which of step's arguments it is.
        device_type: the type of arrays that are passed on as they are.
    """
    feeds = plan.signature.feeds
    dtypes = [tensor.dtype.numpy for tensor in feeds]
    in_order = list(order) == list(range(len(feeds)))
    assemble = fetches.assembler()
    latest: Variant | None = None

    def step(*arrays: Any) -> Any:
        """Run once on these arrays."""
        variant = latest
        if variant is None or not in_order:
            return careful(arrays)
        for array in arrays:
            if type(array) is not device_type:
                return careful(arrays)
        try:
            return variant.run(arrays, assemble)
        except BackendError:
            if _fits(arrays, dtypes, variant):
                raise
            return careful(arrays)  # other sizes than last time; the executable has refused them unread

    def careful(arrays: tuple[Any, ...]) -> Any:
        """Convert the arguments, and find or compile the program for their sizes."""
        nonlocal latest
        if len(arrays) != len(feeds):
            raise FeedError(
                f"the callable takes {len(feeds)} arrays but got {len(arrays)}",
                hint="pass " + (", ".join(tensor.name for tensor in feeds) or "nothing"),
            )
        ready = []
        for position, tensor, dtype in zip(order, feeds, dtypes):
            value = arrays[position]
            on_device = type(value) is device_type and value.dtype == dtype
            ready.append(value if on_device else to_array(value, tensor))
        shapes = tuple([value.shape for value in ready])
        variant = latest = plan.variants.get(shapes) or cache.variant(plan, shapes)
        return variant.run(ready, assemble)

    return step


def _fits(arrays: Sequence[Any], dtypes: Sequence[Any], variant: Variant) -> bool:
    """Whether the arguments are of the types that the variant was compiled for."""
    given = [(array.dtype, array.shape) for array in arrays]
    return given == list(zip(dtypes, variant.shapes))
