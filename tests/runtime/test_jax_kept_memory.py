"""Memory that was freed is kept by the process, if its environment says so."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from graphflow.runtime.jax import kept_memory

CODE = """
import ctypes, resource, sys
from graphflow.runtime.jax import kept_memory
answer = kept_memory.keep()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
faults = []
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    memory = libc.malloc(96 << 20)
    libc.memset(memory, 1, 96 << 20)
    libc.free(memory)
    faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(answer, faults[-1])
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about glibc's malloc")


def answer_and_faults(first: str = "", **environment: str) -> tuple[bool, int]:
    """What a process is told, and how many pages it gets anew for 96 MiB that it has freed before."""
    inherited = {name: value for name, value in os.environ.items() if name not in kept_memory.SETTINGS}
    inherited.pop(kept_memory.VARIABLE, None)
    made = subprocess.run(
        [sys.executable, "-c", first + CODE],
        env={**inherited, kept_memory.VARIABLE: "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    answer, faults = made.stdout.split()
    return answer == "True", int(faults)


@glibc
def test_freed_memory_is_used_again() -> None:
    kept, faults = answer_and_faults()
    assert kept and faults < 20


@glibc
@pytest.mark.parametrize(("name", "value"), [(kept_memory.VARIABLE, "0"), ("MALLOC_ARENA_MAX", "4")])
def test_the_environment_decides(name: str, value: str) -> None:
    kept, faults = answer_and_faults(**{name: value})
    assert not kept and faults > 20


@glibc
def test_a_running_jax_is_left_alone() -> None:
    kept, _ = answer_and_faults("import jax; jax.devices()")
    assert not kept


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (kept_memory.VARIABLE, *kept_memory.SETTINGS):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert kept_memory.keep.__wrapped__() is False
