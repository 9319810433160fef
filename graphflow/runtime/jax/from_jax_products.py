"""Matrix products and convolutions of JAX."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.ir import dims
from graphflow.ir.node import Tensor
from graphflow.runtime.jax.from_jax_shape import converted, padded, permuted, reshaped, spread
from graphflow.runtime.jax.jaxpr_reader import Step, Value, mapped


@mapped("dot_general")
def _(step: Step, x: Value, y: Value) -> Value:
    (x_axes, y_axes), (x_batch, y_batch) = step.params["dimension_numbers"]
    b, wanted = step.b, step.out.dtype
    x, y = converted(step, x, wanted), converted(step, y, wanted)
    if wanted.kind == "bool":
        x, y = b.astype(x, dtype="int32"), b.astype(y, dtype="int32")
    if not x_batch and not y_batch and len(x_axes) == 1 and x.ndim and y_axes[0] == max(y.ndim - 2, 0):
        if y.ndim <= 2:  # as x @ w is written
            rest = [axis for axis in range(x.ndim) if axis != x_axes[0]]
            return b.matmul(permuted(step, x, [*rest, x_axes[0]]), y)
    x_free = [axis for axis in range(x.ndim) if axis not in x_axes and axis not in x_batch]
    y_free = [axis for axis in range(y.ndim) if axis not in y_axes and axis not in y_batch]
    batch = [x.shape[axis] for axis in x_batch]
    inner = dims.product([x.shape[axis] for axis in x_axes])
    rows, columns = [x.shape[axis] for axis in x_free], [y.shape[axis] for axis in y_free]
    left = permuted(step, x, [*x_batch, *x_free, *x_axes])
    right = permuted(step, y, [*y_batch, *y_axes, *y_free])
    left = reshaped(step, left, (*batch, dims.product(rows), inner))
    right = reshaped(step, right, (*batch, inner, dims.product(columns)))
    return reshaped(step, b.matmul(left, right), (*batch, *rows, *columns))


@mapped("conv_general_dilated")
def _(step: Step, x: Value, w: Value) -> Value:
    params, b, wanted = step.params, step.b, step.out.dtype
    numbers = params["dimension_numbers"]
    spatial = len(params["window_strides"])
    if not 1 <= spatial <= 3:
        raise step.refuse(f"has {spatial} spatial axes", "use 1 to 3; without any it is a matrix product")
    x = permuted(step, converted(step, x, wanted), numbers.lhs_spec)
    w = permuted(step, converted(step, w, wanted), numbers.rhs_spec)
    rows = [step.sizes(row) for row in params["padding"]]
    if any(gap != 1 for gap in params["lhs_dilation"]):
        x = spread(step, x, (0, 0, *[gap - 1 for gap in step.sizes(params["lhs_dilation"])]))
    cuts = [tuple([size if isinstance(size, int) and size < 0 else 0 for size in row]) for row in rows]
    if any(size for row in cuts for size in row):
        x = padded(step, x, [(0, 0, 0), (0, 0, 0), *[(*row, 0) for row in cuts]])
    pads = tuple([tuple([size - cut for size, cut in zip(row, cut_row)]) for row, cut_row in zip(rows, cuts)])
    groups = params["feature_group_count"]
    if params["batch_group_count"] != 1:
        x, groups = _groups_of_channels(step, step.tensor(x), params["batch_group_count"])
    made = b.conv(
        x, w, strides=tuple(params["window_strides"]), padding=pads, dilation=tuple(params["rhs_dilation"]),
        groups=groups,
    )  # fmt: skip
    return permuted(step, made, _inverse(numbers.out_spec))


def _groups_of_channels(step: Step, x: Tensor, groups: int) -> tuple[Value, int]:
    """Groups of the batch as groups of channels: [g n, c, ..] becomes [n, g c, ..]."""
    whole, channels, *rest = x.shape
    part = dims.floor_divide(whole, groups)
    x = step.b.reshape(x, shape=(groups, part, channels, *rest))
    x = step.b.permute_dims(x, axes=(1, 0, *range(2, x.ndim)))
    return step.b.reshape(x, shape=(part, groups * channels, *rest)), groups


def _inverse(order: Sequence[int]) -> list[int]:
    return sorted(range(len(order)), key=lambda place: order[place])
