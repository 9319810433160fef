"""Values that come from outside (constants, feeds, variables, the session) and updates of variables.

Everything here except `assign` has no inputs. Variables are values: reading one gives the value it
had when the run started, and an `assign` names the value it takes when the run ends.
"""

from __future__ import annotations

import numpy as np

from graphflow.errors import AttributeValueError, DTypeError, GraphError, ShapeError
from graphflow.ir import dims
from graphflow.ir.dtypes import as_dtype, bool_, uint32
from graphflow.ir.opdef import op
from graphflow.ir.types import TensorType, as_shape
from graphflow.ops.inference import require_dtype, show
from graphflow.ops.initializers import Initializer


def _constant_type(types, attrs):
    if not isinstance(attrs["value"], np.ndarray):
        raise DTypeError(f"a constant is an array, not {attrs['value']!r:.80}", hint="gf.constant makes one")
    return (TensorType(as_dtype(attrs["value"].dtype), attrs["value"].shape),)


@op("state", infer=_constant_type, traits="any_dtype")
def constant(*, value):
    """A fixed array. ONNX Constant-25."""
    return value


constant.not_differentiable("a constant has no inputs")


def _declared_attrs(types, attrs):
    return {**attrs, "dtype": as_dtype(attrs["dtype"]), "shape": as_shape(attrs["shape"])}


def _declared_type(types, attrs):
    return (TensorType(attrs["dtype"], attrs["shape"]),)


def _from_outside(what):
    raise GraphError(f"{what} has no value of its own; it is given when the graph runs")


@op("state", infer=_declared_type, normalize=_declared_attrs, traits="nullary_input any_dtype")
def placeholder(*, dtype, shape):
    """A value that is fed at each run."""
    return _from_outside("a placeholder")


placeholder.not_differentiable("a placeholder has no inputs")


def _variable_attrs(types, attrs):
    if not isinstance(attrs["initializer"], Initializer):
        raise AttributeValueError(
            f"a variable starts from an initializer, not {attrs['initializer']!r:.80}",
            hint="use one of gf.initializers",
        )
    return _declared_attrs(types, attrs)


@op("state", infer=_declared_type, normalize=_variable_attrs, traits="nullary_input any_dtype")
def variable(*, dtype, shape, initializer, trainable=True):
    """A value that lives in the session and changes only through `assign`.

    The tensor is the value at the start of the run.
    """
    return _from_outside("a variable")


variable.not_differentiable("a variable has no inputs")


def _training_type(types, attrs):
    return (TensorType(bool_, ()),)


@op("state", infer=_training_type, traits="nullary_input")
def training_flag():
    """True while training, False otherwise; `gf.training` is this graph's one such node."""
    return _from_outside("the training flag")


training_flag.not_differentiable("it is boolean")


def _session_key_type(types, attrs):
    return (TensorType(uint32, (4,)),)


@op("state", infer=_session_key_type, traits="nullary_input")
def session_key():
    """Four words (seed high, seed low, step high, step low) from which all random streams derive."""
    return _from_outside("the session's key")


session_key.not_differentiable("random bits have no derivative")


def _dimension_type(types, attrs):
    return (TensorType(attrs["dtype"], ()),)


def _dimension_attrs(types, attrs):
    size = dims.as_size(attrs["size"])
    if isinstance(size, int) and not -(2**63) <= size < 2**63:
        raise AttributeValueError(f"{size} is no size", hint="sizes are below 2**63")
    return {"size": size, "dtype": as_dtype(attrs["dtype"])}


@op("state", infer=_dimension_type, normalize=_dimension_attrs, traits="")
def dimension(*, size, dtype):
    """A symbolic size as a scalar tensor; a constant once the sizes are known."""
    return np.asarray(int(size), dtype=dtype.numpy)


dimension.not_differentiable("a size has no inputs")


def _assign_type(types, attrs):
    require_dtype(types[1], (types[0].dtype,), "the assigned value")
    old, new = types[0].shape, types[1].shape
    if len(old) != len(new) or any(dims.unify(a, b) is None for a, b in zip(old, new)):
        raise ShapeError(
            f"a variable of type {types[0]} cannot take a value of type {types[1]}",
            hint=f"give it a value of shape {show(old)}",
        )
    return ()


@op("state", infer=_assign_type, traits="effect any_dtype")
def assign(target, value, /):
    """Let the variable `target` have `value` from the end of the run on."""
    return ()


assign.not_differentiable("an update is no function of its inputs")
