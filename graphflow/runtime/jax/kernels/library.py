"""The kernels as machine code of this processor, known to XLA by name; compiled when first needed.

LLVM compiles them, by way of llvmlite: an optional package, without which XLA computes everything itself.
"""

from __future__ import annotations

import ctypes
import importlib.util
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax

if TYPE_CHECKING:
    from graphflow.runtime.jax.kernels.machine import Machine

API_VERSION = (0, 3)
"""Of XLA's interface for foreign functions, which a call frame's layout depends on."""

_VERSION = re.compile(r"^#define XLA_FFI_API_(?:MAJOR|MINOR) (\d+)$", re.MULTILINE)
_HEADER = Path("xla", "ffi", "api", "c_api.h")

_lock = threading.Lock()
_engines: list[Any] = []
"""What owns the machine code, which has to live as long as XLA may call it."""


_left_out: ContextVar[bool] = ContextVar("kernels are left out", default=False)


@contextmanager
def left_out() -> Iterator[None]:
    """Leave kernels out of what is traced within, as it will run elsewhere."""
    token = _left_out.set(True)
    try:
        yield
    finally:
        _left_out.reset(token)


def missing() -> str:
    """Why kernels cannot be used here, or "" if they can."""
    return "what is exported runs elsewhere" if _left_out.get() else _missing()


@cache
def _missing() -> str:
    if importlib.util.find_spec("llvmlite") is None:
        return "llvmlite is not installed"
    if jax.default_backend() != "cpu":
        return "they are for the CPU"
    path = Path(jax.ffi.include_dir()) / _HEADER
    found = tuple(map(int, _VERSION.findall(path.read_text("utf-8")))) if path.is_file() else ()
    if found != API_VERSION:
        return f"jaxlib's interface for foreign functions has version {found}, not {API_VERSION}"
    return ""


@cache
def machine() -> Machine:
    """The processor that kernels are made for."""
    from graphflow.runtime.jax.kernels.machine import host

    return host()


def registered(machine: Machine, is_depthwise: bool) -> str:
    """Compile one of the kernels for a machine and tell XLA, once; the name that it calls it by."""
    with _lock:
        return _registered(machine, is_depthwise)


@cache
def _registered(machine: Machine, is_depthwise: bool) -> str:
    from llvmlite import ir

    from graphflow.runtime.jax.kernels.product import add_product

    module = ir.Module("graphflow")
    name = add_product(module, machine, is_depthwise)
    engine = _compiled(str(module), machine)
    _engines.append(engine)
    prototype = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)
    handler = prototype(engine.get_function_address(name))
    jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(handler), platform="cpu")
    return name


def _compiled(text: str, machine: Machine) -> Any:
    """The engine that holds the machine code of a module.

    LLVM's passes over the module are left out: they find nothing to gain in it, and take as long as the rest.
    """
    from llvmlite import binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple().create_target_machine(
        cpu=machine.name, features=machine.features, opt=2
    )
    parsed = binding.parse_assembly(text)
    parsed.verify()
    engine = binding.create_mcjit_compiler(parsed, target)
    engine.finalize_object()
    return engine
