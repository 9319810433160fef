"""`make_callable`: closures that have decided everything before their first call but the sizes.

They do what a runner of `graphflow.session.step` does, with nothing between the user's call and the
compiled program: each Python function in between would cost a hundredth of a small call. What they
rebind when sizes change is the compiled function alone; all else is the same for every size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NoReturn

from graphflow.errors import BackendError, FeedError
from graphflow.ir.node import Tensor
from graphflow.session.cache import Plan, ProgramCache, Variant
from graphflow.session.feeds import to_array
from graphflow.session.fetches import Fetches
from graphflow.session.step import Call, bound_call, fail, fail_late, gatherer
from graphflow.session.variables import Variables

Step = Callable[..., Any]


@dataclass(slots=True)
class Binding:
    """What a callable is bound to; its arguments are the plan's feeds.

    Attributes:
        device_type: the type of arrays that are passed on as they are.
        dtypes: those of the feeds.
    """

    cache: ProgramCache
    variables: Variables
    plan: Plan
    fetches: Fetches
    device_type: type
    dtypes: list[Any] = field(init=False)

    def __post_init__(self) -> None:
        self.dtypes = [tensor.dtype.numpy for tensor in self.plan.signature.feeds]

    def accept(self, arrays: tuple[Any, ...]) -> tuple[list[Any], Variant]:
        """Convert the arguments to feeds, and find or compile the program for their sizes."""
        feeds = self.plan.signature.feeds
        if len(arrays) != len(feeds):
            _wrong_number(arrays, feeds)
        ready = []
        for value, tensor, dtype in zip(arrays, feeds, self.dtypes):
            kind = type(value)
            on_device = kind is self.device_type and value.dtype == dtype
            ready.append(value if on_device else to_array(value, tensor))
        key = self.plan.key(ready)
        return ready, self.plan.variants.get(key) or self.cache.variant(self.plan, key)

    def bind(self, variant: Variant) -> Call:
        """The compiled function of a variant."""
        return bound_call(variant.executable, self.variables, self.cache.options.donate)

    def fits(self, arrays: Sequence[Any], variant: Variant) -> bool:
        """Whether the arguments are of exactly the types that the variant was compiled for."""
        return [(array.dtype, array.shape) for array in arrays] == list(zip(self.dtypes, variant.shapes))


def make_step(binding: Binding, feeds: Sequence[Tensor]) -> Step:
    """The function `step(*arrays)`, whose arguments are `feeds` in the given order."""
    make = _update_step if binding.plan.signature.assigns else _reader_step
    if binding.plan.valued.places or binding.cache.debug is not None:
        make = _valued_step
    step = make(binding, binding.fetches.assembler())
    ordered = binding.plan.signature.feeds
    return step if tuple(feeds) == ordered else _permuted(step, feeds, ordered)


def _permuted(step: Step, feeds: Sequence[Tensor], ordered: Sequence[Tensor]) -> Step:
    pick = itemgetter(*[feeds.index(tensor) for tensor in ordered])

    def permuted(*arrays: Any) -> Any:
        """Run once on these arrays."""
        if len(arrays) != len(feeds):
            _wrong_number(arrays, feeds)
        return step(*pick(arrays))

    return permuted


def _wrong_number(arrays: Sequence[Any], feeds: Sequence[Tensor]) -> NoReturn:
    raise FeedError(
        f"the callable takes {len(feeds)} arrays but got {len(arrays)}",
        hint="pass " + (", ".join(tensor.name for tensor in feeds) or "nothing"),
    )


def _nothing_yet(*arguments: Any) -> Any:
    raise BackendError("the callable has not compiled its program yet")


def _reader_step(binding: Binding, assemble: Callable[[Sequence[Any]], Any]) -> Step:
    device_type, variables = binding.device_type, binding.variables
    call: Call = _nothing_yet
    gather = gatherer(())

    def step(*arrays: Any) -> Any:
        """Run once on these arrays."""
        for array in arrays:
            if type(array) is not device_type:
                return careful(arrays)
        try:
            return assemble(call(*gather(variables.arrays), *arrays))
        except Exception:
            return careful(arrays)  # reading twice does no harm, and the second time finds the reason

    def careful(arrays: tuple[Any, ...]) -> Any:
        nonlocal call, gather
        ready, variant = binding.accept(arrays)
        gather, call = gatherer(variant.executable.kept), binding.bind(variant)
        return variant.run(ready, assemble)

    return step


def _valued_step(binding: Binding, assemble: Callable[[Sequence[Any]], Any]) -> Step:
    """A step that looks at its feeds each time, as the values of some decide which program runs."""

    def step(*arrays: Any) -> Any:
        """Run once on these arrays, and apply the updates."""
        ready, variant = binding.accept(arrays)
        return variant.run(ready, assemble)

    return step


def _update_step(binding: Binding, assemble: Callable[[Sequence[Any]], Any]) -> Step:
    device_type, variables, lock = binding.device_type, binding.variables, binding.variables.lock
    acquire, release = lock.acquire, lock.release
    count = len(binding.plan.signature.fetches)
    names: Sequence[str] = ()
    needed: Sequence[str] = ()
    latest: Variant | None = None
    call: Call = _nothing_yet
    gather = gatherer(())

    def step(*arrays: Any) -> Any:
        """Run once on these arrays, and apply the updates."""
        for array in arrays:
            if type(array) is not device_type:
                return careful(arrays)
        try:
            acquire()  # a `with` costs twice as much
            try:
                state = variables.arrays
                try:
                    outputs = call(*gather(state), *arrays)
                except BaseException as error:
                    fail(error, variables, needed)
                changed = state.copy()
                changed.update(zip(names, outputs[count:]))
                variables.arrays = changed
                variables.step += 1
            finally:
                release()
        except BackendError:
            if latest is not None and binding.fits(arrays, latest):
                raise
            return careful(arrays)  # other sizes than last time: the program has refused them unread
        try:
            return assemble(outputs)
        except BaseException as error:
            fail_late(error, variables, names, outputs[count:])

    def careful(arrays: tuple[Any, ...]) -> Any:
        nonlocal names, needed, latest, call, gather
        ready, variant = binding.accept(arrays)
        names = variant.executable.updated
        needed = (*names, *variant.executable.kept)
        with lock:
            latest, gather, call = variant, gatherer(needed), binding.bind(variant)
        return variant.run(ready, assemble)

    return step
