"""An event file being written: buffered, locked, flushed in time, and never left with half a record by us.

What is recorded waits in memory until `flush_seconds` have passed or enough has gathered, also if
nothing further is recorded. A write that fails half-way is taken back, so that the file stays a
sequence of whole records and what is waiting can still be written once there is space again.
"""

from __future__ import annotations

import itertools
import os
import platform
import threading
import time
from contextlib import suppress

from graphflow.errors import FileFormatError, GraphFlowError
from graphflow.ir import provenance
from graphflow.train import event_encoding as encoding

GATHERED_BYTES = 1 << 20
"""So much is written at once, without waiting for its time."""

_serial = itertools.count()


class EventFile:
    """A new event file in a folder.

    Arguments:
        folder: made if needed.
        flush_seconds: how long a record may wait in memory.

    Raises:
        FileFormatError: if it cannot be written to.
    """

    def __init__(self, folder: str, flush_seconds: float) -> None:
        self.folder, self.flush_seconds = folder, flush_seconds
        self._lock = threading.RLock()
        self._waiting = bytearray()
        self._whole = 0  # bytes of whole records in the file
        self._timer: threading.Timer | None = None
        self._failed: OSError | None = None
        self._handle = -1
        name = f"events.out.tfevents.{int(time.time()):010d}.{platform.node()}.{os.getpid()}.{next(_serial)}"
        self.path = os.path.join(folder, name)
        try:
            os.makedirs(folder, exist_ok=True)
            self._handle = os.open(
                self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
            )
        except OSError as error:
            raise self._unwritable(error) from error

    @property
    def closed(self) -> bool:
        """Whether nothing can be written any more."""
        return self._handle < 0

    def add(self, message: bytes) -> None:
        """Record an Event.

        Raises:
            GraphFlowError: if the file is closed.
            FileFormatError: if it, or what was recorded before, cannot be written.
        """
        with self._lock:
            self._check_open()
            self._report_failure()
            self._waiting += encoding.record(message)
            if len(self._waiting) >= GATHERED_BYTES or not self.flush_seconds:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(self.flush_seconds, self._flush_late)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Hand everything to the operating system.

        Raises:
            as `add` does.
        """
        with self._lock:
            self._check_open()
            self._failed = None
            self._write()

    def close(self) -> None:
        """Write what is left and close; closing twice is allowed.

        Raises:
            FileFormatError: if what is left cannot be written; the file is closed all the same.
        """
        with self._lock:
            if self.closed:
                return
            self._stop_timer()
            try:
                self._write()
            finally:
                handle, self._handle = self._handle, -1
                os.close(handle)

    def _flush_late(self) -> None:
        """What the timer does; nobody is there to be told of a failure, so the next call tells it."""
        with self._lock:
            self._timer = None
            if not self.closed:
                try:
                    self._write()
                except FileFormatError as error:
                    self._failed = error.__cause__ if isinstance(error.__cause__, OSError) else OSError()

    def _write(self) -> None:
        self._stop_timer()
        waiting = memoryview(self._waiting)
        written = 0
        try:
            while written < len(waiting):
                written += os.write(self._handle, waiting[written:])
        except OSError as error:
            with suppress(OSError):  # where even that fails, readers find the next whole record
                os.ftruncate(self._handle, self._whole)
                os.lseek(self._handle, self._whole, os.SEEK_SET)
            raise self._unwritable(error) from error
        finally:
            waiting.release()
        self._whole += written
        self._waiting.clear()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report_failure(self) -> None:
        if self._failed is not None:
            error, self._failed = self._failed, None
            raise self._unwritable(error) from error

    def _check_open(self) -> None:
        if self.closed:
            raise GraphFlowError(
                f"the summary writer to {self.path} is closed",
                hint="record before close(), or make a new gf.train.SummaryWriter for the same folder",
                origin=provenance.capture(),
            )

    def _unwritable(self, error: OSError) -> FileFormatError:
        return FileFormatError(
            f"no event file can be written to {self.folder!r}: {error.strerror or error}",
            hint="choose a folder that you may write to, on a disk with free space",
            origin=provenance.capture(),
        )
