"""Exports of a model: the same in other forms, as files beside it that are never read back into a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphflow.errors import BackendError, FileFormatError, GraphError, SessionError
from graphflow.files import checked_path, read_file
from graphflow.io.manifest import LARGEST_FILE, is_export_name
from graphflow.ir.dims import symbols_of
from graphflow.model.model import Model, Signature
from graphflow.optimizer import pipelines
from graphflow.optimizer.program import Program, extract, specialize
from graphflow.runtime.backend import get_backend, require_support

_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def exported(model: Model, exports: Mapping[str, Any]) -> dict[str, bytes]:
    """The bytes of each export.

    Arguments:
        exports: by file name the bytes, the path of a file that has them, or None to have it made.

    Raises:
        FileFormatError: for a name that a model's file cannot have, or a form that cannot be made.
    """
    if not isinstance(exports, Mapping):
        raise FileFormatError(
            f"the exports are {exports!r:.80}", hint='pass a dict: {"model.onnx": None}, or bytes for None'
        )
    made = {}
    for name, given in exports.items():
        if not is_export_name(name):
            raise FileFormatError(
                f"{name!r:.80} cannot name an export",
                hint='use letters, digits, ".", "_" and "-", but no name with a meaning',
            )
        made[name] = _content(model, name, given)
    return made


def _content(model: Model, name: str, given: Any) -> bytes:
    if given is None:
        return _made(model, name)
    if isinstance(given, (bytes, bytearray, memoryview)):
        return bytes(given)
    return read_file(checked_path(given), LARGEST_FILE)


def _made(model: Model, name: str) -> bytes:
    if name.endswith(".onnx"):
        from graphflow.io.onnx import to_proto

        content: bytes = to_proto(model).SerializeToString(deterministic=True)
        return content
    if name.endswith(".stablehlo"):
        return stablehlo(model)
    raise FileFormatError(
        f"there is no way to make the export {name!r}",
        hint="pass its bytes, or the path of a file; only names that end in .onnx and .stablehlo are made",
    )


def stablehlo(
    model: Model,
    sizes: Mapping[str, int] | None = None,
    signature: str | None = None,
    platforms: Sequence[str] = ("cpu",),
    *,
    gradient: bool = False,
    inside: bool = False,
) -> bytes:
    """A model as a serialised `jax.export`, which runs where JAX is, without GraphFlow.

    `jax.export.deserialize(content).call(weights, inputs)` takes two dicts of arrays by name, and gives a
    dict of the outputs; the weights lie beside it, in weights.safetensors. JAX reads such a file for half a
    year, so it is for deployment and never replaces the model.

    Arguments:
        sizes: values of symbolic sizes, by name; those that are left out stay symbolic.
        signature: which function; the default one if left out.
        platforms: for which it is made, whatever this machine has: "cpu", "cuda", "rocm", "tpu".
        gradient: let it be differentiated, by `jax.grad` of what calls it.
        inside: let the weights be part of it, so that the dict of weights is empty.

    Raises:
        SessionError: if a size is unknown, or the model draws random numbers.
        GraphError: if there is no such signature.
        BackendError: for operators that XLA cannot run, or not for symbolic sizes, and platforms that it
            does not know.

    >>> import numpy as np
    >>> import graphflow as gf
    >>> x = gf.placeholder("x", ("batch", 2))
    >>> content = gf.saved_model.stablehlo(gf.Model(inputs=[x], outputs={"y": gf.exp(x)}))
    >>> import jax.export
    >>> jax.export.deserialize(bytearray(content)).call({}, {"x": np.zeros((1, 2), np.float32)})["y"].tolist()
    [[1.0, 1.0]]
    """
    name = model.default if signature is None else signature
    if name not in model.signatures:
        raise GraphError(
            f"the model has no signature {name!r:.80}",
            hint="it has " + ", ".join(map(repr, model.signatures)),
        )
    unknown = [platform for platform in platforms if platform not in _PLATFORMS]
    if unknown or not platforms:
        raise BackendError(
            f"JAX exports for no platform {unknown[0]!r:.40}" if unknown else "an export needs a platform",
            hint="use " + ", ".join(map(repr, _PLATFORMS)),
        )
    chosen = model.signatures[name]
    program = _program(chosen, dict(sizes or {}))
    try:
        from graphflow.runtime.jax.stablehlo import Form, serialized
    except ImportError as error:
        raise BackendError(
            f"jax.export cannot be imported: {error}", hint="pip install jax flatbuffers"
        ) from error
    held = model.weights if inside else {}
    return serialized(program, Form(list(chosen.inputs), list(chosen.outputs), platforms, gradient, held))


def _program(chosen: Signature, given: dict[str, int]) -> Program:
    """A function of a model, optimised for any machine."""
    known = {name for tensor in chosen.inputs.values() for name in symbols_of(tensor.shape)}
    odd = sorted(given.keys() - known)
    if odd:
        raise SessionError(
            f"the model has no size {odd[0]!r:.80}",
            hint=f"its sizes are {', '.join(sorted(known)) or 'all known'}",
        )
    backend = get_backend("jax")
    program = extract(list(chosen.outputs.values()), feeds=list(chosen.inputs.values()), training=False)
    # The target's own passes choose for this machine; what is exported may run on any.
    pipeline = pipelines.level_pipeline("O2") + ",decompose"
    program = pipelines.optimize(specialize(program, given), "O2", pipeline, refusal=backend.refusal)
    require_support(backend, program)
    return program
