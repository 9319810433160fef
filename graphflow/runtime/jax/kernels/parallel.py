"""Handlers that XLA calls: what a call frame holds, and pieces of work shared out over XLA's own threads.

Pieces are numbered: each thread takes the next number until there are none, and the one that XLA called on
takes part, and waits for those that others have begun. A thread that comes only then finds no number left; it
still reads the counters, so that who holds them is counted, and the last one frees them.

Source: XLA's C interface for foreign functions, version 0.3, `xla/ffi/api/c_api.h`, which jaxlib ships.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir

from graphflow.runtime.jax.kernels.emit import (
    INT,
    NOTHING,
    POINTER,
    SHORT,
    Code,
    PointerTo,
    address,
    declared,
    function,
)

_EXTENSION, _API, _CONTEXT = 8, 16, 24  # of a frame
_ARGUMENTS, _RESULTS = 72, 112  # of a frame: arrays of pointers to buffers
_DATA = 24  # of a buffer
_METADATA = 24  # of the extension that asks for it
_FRAME_VERSION, _METADATA_VERSION = 32, 24  # of the tables of functions, of metadata: two ints
_DESTROY, _SCHEDULE, _THREADS = 64, 136, 144  # of the table of functions

_NEXT, _DONE, _HOLDERS, _PIECES, _COUNT, _QUESTION, JOB = 0, 8, 16, 24, 32, 40, 80
"""A shared job: three counters, the number of pieces, room for an answer of XLA's and for a question, and
from JOB on what a piece needs to know."""


class Frame:
    """The operands and results of a call, inside of a handler."""

    def __init__(self, code: Code, pointer: Any) -> None:
        self.code, self.pointer = code, pointer

    def operand(self, index: Any) -> Any:
        """The address of an operand's numbers; the index may be a number of the code."""
        return self._data(_ARGUMENTS, index)

    def result(self, index: int = 0) -> Any:
        """The address of a result's numbers."""
        return self._data(_RESULTS, index)

    def _data(self, table: int, index: Any) -> Any:
        buffers = self.code.pointer_at(self.pointer, table)
        offset = 8 * index if isinstance(index, int) else self.code.mul(index, INT(8))
        return self.code.pointer_at(self.code.pointer_at(buffers, offset), _DATA)


def handler(
    module: ir.Module, name: str, job_bytes: int, fill: Callable[[Code, Frame, Any], Any], piece: Any
) -> None:
    """Add a handler to a module.

    Arguments:
        job_bytes: the size of what a piece needs to know.
        fill: appends the code that writes it, for a frame and an address, and gives the number of pieces.
        piece: the function (address, number of the piece) that does one.
    """
    task = _task(module, name, piece)
    code, (frame,) = function(module, name, POINTER, POINTER)
    extension = code.pointer_at(frame, _EXTENSION)
    with code.if_then(code.icmp_unsigned("!=", extension, POINTER(None))):
        _tell_version(code, frame, extension)
        code.ret(POINTER(None))
    allocate = declared(module, "malloc", POINTER, INT)
    job = code.call(allocate, [INT(JOB + job_bytes)])
    pieces = fill(code, Frame(code, frame), code.bytes_at(job, JOB))
    for offset, value in ((_NEXT, INT(0)), (_DONE, INT(0)), (_PIECES, pieces)):
        code.store(value, code.bytes_at(job, offset))
    helpers = code.least(code.sub(_threads(code, frame, job), INT(1)), code.sub(pieces, INT(1)))
    code.store(code.add(helpers, INT(1)), code.bytes_at(job, _HOLDERS))
    with code.if_then(code.icmp_signed(">", helpers, INT(0))), code.loop(0, helpers):
        _schedule(code, frame, task, job)
    _take_pieces(code, piece, job)
    waiting, after = code.append_basic_block(), code.append_basic_block()
    code.branch(waiting)
    code.position_at_end(waiting)
    code.call(declared(module, "sched_yield", SHORT), [])
    done = code.load_atomic(code.bytes_at(job, _DONE), "acquire", 8, typ=INT)
    code.cbranch(code.icmp_signed("<", done, pieces), waiting, after)
    code.position_at_end(after)
    _let_go(code, job)
    code.ret(POINTER(None))


def _tell_version(code: Code, frame: Any, extension: Any) -> None:
    """Answer XLA's question, with the version that it has itself: it is compared before registration."""
    metadata = code.pointer_at(extension, _METADATA)
    both = code.load(code.bytes_at(code.pointer_at(frame, _API), _FRAME_VERSION), typ=INT, align=4)
    code.store(both, code.bytes_at(metadata, _METADATA_VERSION), align=4)


def _threads(code: Code, frame: Any, job: Any) -> Any:
    """How many threads XLA has for one computation."""
    count = code.bytes_at(job, _COUNT)
    code.store(INT(1), count)
    _ask(code, frame, _THREADS, job, (code.pointer_at(frame, _CONTEXT), count))
    return code.load(count, typ=INT)


def _schedule(code: Code, frame: Any, task: Any, job: Any) -> None:
    """Let one of XLA's threads run the task; where it refuses, there is a holder less."""
    refused = _ask(code, frame, _SCHEDULE, job, (code.pointer_at(frame, _CONTEXT), address(task), job))
    with code.if_then(refused):
        code.atomic_rmw("sub", code.bytes_at(job, _HOLDERS), INT(1), "acq_rel")


def _ask(code: Code, frame: Any, offset: int, job: Any, fields: Sequence[Any]) -> Any:
    """Call one of XLA's functions; whether it answers with an error, which is dropped."""
    error = _call(code, frame, offset, job, fields)
    is_error = code.icmp_unsigned("!=", error, POINTER(None))
    with code.if_then(is_error):
        _call(code, frame, _DESTROY, job, [error])
    return is_error


def _call(code: Code, frame: Any, offset: int, job: Any, fields: Sequence[Any]) -> Any:
    """Call a function with a structure of the interface: its size, no extensions, and the fields."""
    question = code.bytes_at(job, _QUESTION)
    for index, field in enumerate((INT(16 + 8 * len(fields)), POINTER(None), *fields)):
        code.store(field, code.bytes_at(question, 8 * index))
    rule = code.bytes_at(code.pointer_at(frame, _API), offset)
    kind = PointerTo(ir.FunctionType(POINTER, [POINTER]))
    return code.call(code.load(rule, typ=kind), [question])


def _task(module: ir.Module, name: str, piece: Any) -> Any:
    """What one of XLA's threads runs."""
    code, (job,) = function(module, f"{name}_task", NOTHING, POINTER)
    _take_pieces(code, piece, job)
    _let_go(code, job)
    code.ret_void()
    return code.function


def _take_pieces(code: Code, piece: Any, job: Any) -> None:
    """Do pieces until there are no more."""
    taking, doing, after = [code.append_basic_block() for _ in range(3)]
    pieces = code.load(code.bytes_at(job, _PIECES), typ=INT)
    code.branch(taking)
    code.position_at_end(taking)
    number = code.atomic_rmw("add", code.bytes_at(job, _NEXT), INT(1), "monotonic")
    code.cbranch(code.icmp_signed("<", number, pieces), doing, after)
    code.position_at_end(doing)
    code.call(piece, [code.bytes_at(job, JOB), number])
    code.atomic_rmw("add", code.bytes_at(job, _DONE), INT(1), "release")
    code.branch(taking)
    code.position_at_end(after)


def _let_go(code: Code, job: Any) -> None:
    """Free the job if nobody else holds it."""
    holders = code.atomic_rmw("sub", code.bytes_at(job, _HOLDERS), INT(1), "acq_rel")
    with code.if_then(code.icmp_signed("==", holders, INT(1))):
        code.call(declared(code.module, "free", NOTHING, POINTER), [job])
