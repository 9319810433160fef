"""JAX's persistent compilation cache, switched on for single compilations.

The cache is a process-wide setting of JAX. A session that wants one sets it for the time of its own
compilation and puts back what was there, so that programs of other code in the process are not
written to the user's folder.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache

from graphflow.errors import BackendError

_SETTINGS = {
    "jax_enable_compilation_cache": True,
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}

_lock = threading.RLock()


@contextmanager
def persistent_cache(folder: str | None) -> Iterator[None]:
    """Keep what is compiled inside the block in `folder`, and find it there; None changes nothing.

    Raises:
        BackendError: if the folder cannot be made.
    """
    if folder is None:
        yield
        return
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(
            f"the compilation cache {str(folder)!r} cannot be used: {error.strerror or error}",
            hint="pass a folder that can be written as cache_dir",
        ) from error
    wanted = {"jax_compilation_cache_dir": str(folder), **_SETTINGS}
    with _lock:
        before = {name: getattr(jax.config, name) for name in wanted}
        try:
            _set(wanted)
            yield
        finally:
            _set(before)


def _set(settings: dict[str, object]) -> None:
    for name, value in settings.items():
        jax.config.update(name, value)
    # JAX opens its cache once; without this the folder of the first compilation would stay in use.
    compilation_cache.reset_cache()
