"""Runners: one run of an executable, from the state to the state, all or nothing.

The state is a dict that is replaced, never changed, so whoever holds it has the values of one moment.
Runs that change variables are serialised by a lock. Runs that only read take no lock; should a
concurrent update take over the memory of what one of them has just gathered, it is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NoReturn

from graphflow.errors import BackendError, GraphFlowError
from graphflow.runtime.backend import Executable
from graphflow.session.variables import CLOSED, Variables

Finish = Callable[[Sequence[Any]], Any]
Call = Callable[..., Sequence[Any]]
Runner = Callable[[Sequence[Any], Finish], Any]


def make_runner(executable: Executable, variables: Variables, donate: bool) -> Runner:
    """The function `run(feeds, finish)` of an executable.

    `feeds` are arrays of exactly the program's types. `finish` turns the sequence that starts with
    the fetched device arrays into the result.

    Its errors:
        SessionError: if variables it needs are lost, in this run or an earlier one.
        BackendError: if the run failed and nothing has changed.
    """
    make = _make_update if executable.updated else _make_reader
    call = bound_call(executable, variables, donate)
    if executable.updated and donate and not executable.program.fetch_count:
        call = _waiting(call)  # there is no result whose arrival would show that the run has failed
    return make(executable, variables, call)


def _make_update(executable: Executable, variables: Variables, call: Call) -> Runner:
    names, acquire, release = executable.updated, variables.lock.acquire, variables.lock.release
    needed = (*names, *executable.kept)
    gather, count = gatherer(needed), executable.program.fetch_count

    def run(feeds: Sequence[Any], finish: Finish) -> Any:
        acquire()  # a `with` costs twice as much
        try:
            state = variables.arrays
            try:
                outputs = call(*gather(state), *feeds)
            except BaseException as error:
                fail(error, variables, needed)
            changed = state.copy()
            changed.update(zip(names, outputs[count:]))
            # The old values go now, while the new ones are computed, rather than after the wait for them.
            variables.arrays = state = changed
            variables.step += 1
        finally:
            release()
        try:
            return finish(outputs)
        except BaseException as error:
            fail_late(error, variables, names, outputs[count:])

    return run


def _make_reader(executable: Executable, variables: Variables, call: Call) -> Runner:
    names = executable.kept
    gather = gatherer(names)

    def run(feeds: Sequence[Any], finish: Finish) -> Any:
        try:
            return finish(call(*gather(variables.arrays), *feeds))
        except Exception:
            return again(feeds, finish)

    def again(feeds: Sequence[Any], finish: Finish) -> Any:
        with variables.lock:
            try:
                return finish(call(*gather(variables.arrays), *feeds))
            except BaseException as error:
                fail(error, variables, names)

    return run


def bound_call(executable: Executable, variables: Variables, donate: bool) -> Call:
    """The executable as a function of one flat list of arguments: updated, kept, feeds.

    It adds the session's key where random operators need it. An update that must not lose the old
    values returns only when the new ones are computed.
    """
    call = _flat_call(executable)
    if executable.uses_key:
        call = _with_key(call, variables)
    return _waiting(call) if executable.updated and not donate else call


def _with_key(call: Call, variables: Variables) -> Call:
    return lambda *arguments: call(*arguments, variables.key())


def _waiting(call: Call) -> Call:
    def waiting(*arguments: Any) -> Sequence[Any]:
        outputs = call(*arguments)
        wait_for(outputs)
        return outputs

    return waiting


def gatherer(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    """A function from the state to the values of the named variables; it fails where one is gone."""
    if len(names) > 1:
        return itemgetter(*names)
    if not names:
        return _nothing
    (name,) = names
    return lambda arrays: (arrays[name],)


def _nothing(arrays: Mapping[str, Any]) -> Sequence[Any]:
    if arrays is CLOSED:
        raise KeyError("the session is closed")
    return ()


def _flat_call(executable: Executable) -> Call:
    """The executable as a function of one flat list: updated, kept, feeds, and the key if it uses one.

    An executable may offer that itself, as `flat`, to save the time of splitting and joining lists.
    """
    flat = getattr(executable, "flat", None)
    if flat is not None:
        return flat
    first = len(executable.updated)
    second = first + len(executable.kept)
    third = second + len(executable.program.feeds)

    def call(*arguments: Any) -> Sequence[Any]:
        key = arguments[third] if executable.uses_key else None
        fetched, new = executable(arguments[:first], arguments[first:second], arguments[second:third], key)
        return (*fetched, *new)

    return call


def fail(error: BaseException, variables: Variables, names: Sequence[str]) -> NoReturn:
    """Raise what a failed run means for the session; the lock is held."""
    variables.require_intact(names)
    lost = variables.note_losses(variables.arrays, f"{type(error).__name__}: {error}")
    if lost:
        raise variables.lost_error(lost) from error
    if isinstance(error, GraphFlowError) or not isinstance(error, Exception):
        raise error
    raise BackendError(
        f"the run failed: {type(error).__name__}: {error}",
        hint="no variable has changed; sess.profile runs the nodes one by one and names the one that fails",
    ) from error


def fail_late(
    error: BaseException, variables: Variables, names: Sequence[str], new: Sequence[Any]
) -> NoReturn:
    """Raise what it means that results cannot be had though the run had begun well.

    A backend that computes in the background reports a failure there. The old values are gone by
    then, so the new ones, which failed with the results, count as lost.
    """
    try:
        wait_for(new)
    except Exception:
        with variables.lock:
            variables.forget(names, f"{type(error).__name__}: {error}")
            variables.step -= 1
            raise variables.lost_error(list(names)) from error
    raise error


def wait_for(arrays: Sequence[Any]) -> None:
    """Wait until device arrays are computed, where the backend computes them in the background."""
    for array in arrays:
        block = getattr(array, "block_until_ready", None)
        if block is not None:
            block()
