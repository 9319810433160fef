"""Einstein summation, by axis moves, one matrix product a pair of operands, and sums."""

from __future__ import annotations

from typing import Any

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder
from graphflow.ir.dims import Size
from graphflow.ir.node import Tensor
from graphflow.ops.composite import composite, with_tensors
from graphflow.ops.inference import show


@composite
def einsum(subscripts: str, *xs: Any) -> Tensor:
    """Products summed over labelled axes: "ij,jk->ik" is z_ik = sum_j x_ij y_jk.

    Operands are contracted from left to right. NumPy `einsum`; ONNX Einsum-12.

    Arguments:
        subscripts: one letter an axis, operands separated by commas; after "->" the axes of the
            result, or, without "->", the letters that occur once, in alphabetical order. "..."
            stands for leading axes, which broadcast.
        xs: a tensor for each operand.

    Raises:
        AttributeValueError: for subscripts that do not fit; a letter twice in one operand (a diagonal)
            is not supported.
        ShapeError: if one letter has two sizes.

    >>> import graphflow as gf
    >>> q, k = gf.placeholder("q", ("b", "h", "t", 8)), gf.placeholder("k", ("b", "h", "s", 8))
    >>> gf.einsum("bhtd,bhsd->bhts", q, k).type
    float32[b, h, t, s]
    """
    if not isinstance(subscripts, str) or not xs:
        raise AttributeValueError("einsum takes a string of subscripts and at least one tensor")
    b, tensors = with_tensors(*xs)
    terms, result = _parse(subscripts, tensors)
    sizes = _sizes(terms, tensors)
    term, tensor = terms[0], tensors[0]
    for place, (next_term, next_tensor) in enumerate(zip(terms[1:], tensors[1:]), 1):
        needed = set(result).union(*terms[place + 1 :])
        term, tensor = _contract(b, (term, tensor), (next_term, next_tensor), needed, sizes)
    term, tensor = _sum_out(b, term, tensor, set(result))
    tensor = _permuted(b, term, tensor, result)
    return tensor


def _parse(subscripts: str, tensors: list[Tensor]) -> tuple[list[str], str]:
    """The letters of each operand and of the result; "..." is spelled with digits, aligned at the end."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(tensors):
        raise AttributeValueError(
            f"einsum {subscripts!r} names {len(terms)} operands, but got {len(tensors)}"
        )
    hidden = 0
    for place, (term, tensor) in enumerate(zip(terms, tensors)):
        terms[place] = _spelled(term, tensor.ndim, subscripts)
        hidden = max(hidden, sum(letter.isdigit() for letter in terms[place]))
    leading = "".join(str(hidden - 1 - place) for place in range(hidden))
    if arrow:
        result = right.replace("...", leading)
    else:
        once = [letter for letter in "".join(terms) if letter.isalpha() and "".join(terms).count(letter) == 1]
        result = leading + "".join(sorted(once))
    known = set("".join(terms))
    bad = [letter for letter in result if letter not in known]
    if bad or len(set(result)) < len(result):
        raise AttributeValueError(
            f"einsum {subscripts!r} asks for {bad[0]!r}, which no operand has"
            if bad
            else f"einsum {subscripts!r} names an axis of the result twice"
        )
    return terms, result


def _spelled(term: str, rank: int, subscripts: str) -> str:
    """An operand's letters, with "..." replaced by one digit an axis, counting from the last."""
    letters = term.replace("...", "", 1)
    if not (letters.isascii() and (letters.isalpha() or not letters)):
        raise AttributeValueError(
            f"einsum cannot read {term!r} in {subscripts!r}", hint="use letters and '...'"
        )
    if len(set(letters)) < len(letters):
        raise AttributeValueError(
            f"einsum {subscripts!r} names an axis of {term!r} twice, which is not supported",
            hint="take gf.diagonal of that operand first",
        )
    hidden = rank - len(letters)
    if hidden < 0 or (hidden and "..." not in term) or hidden > 10:
        raise AttributeValueError(
            f"einsum operand {term!r} has {len(letters)} letters for a tensor of rank {rank}",
            hint="write one letter an axis, or '...' for leading ones",
        )
    return term.replace("...", "".join(str(hidden - 1 - place) for place in range(hidden)))


def _sizes(terms: list[str], tensors: list[Tensor]) -> dict[str, Size]:
    """The size of each label; a 1 of "..." gives way to another size."""
    sizes: dict[str, Size] = {}
    for term, tensor in zip(terms, tensors):
        for label, size in zip(term, tensor.shape):
            known = sizes.get(label, size)
            if label.isdigit() and 1 in (known, size):
                sizes[label] = size if known == 1 else known
                continue
            common = dims.unify(known, size)
            if common is None:
                raise ShapeError(
                    f"einsum label {label!r} has sizes {known} and {size} (in {show(tensor.shape)})"
                )
            sizes[label] = common
    return sizes


def _sum_out(b: Builder, term: str, tensor: Tensor, needed: set[str]) -> tuple[str, Tensor]:
    """Sum over the labels that nothing needs any more, in the operand's own dtype."""
    gone = tuple(axis for axis, label in enumerate(term) if label not in needed)
    if not gone:
        return term, tensor
    summed = b.sum(tensor, axis=gone)
    if summed.dtype is not tensor.dtype:
        summed = b.astype(summed, dtype=tensor.dtype)
    return "".join(label for label in term if label in needed), summed


def _permuted(b: Builder, term: str, tensor: Tensor, order: str) -> Tensor:
    axes = tuple(term.index(label) for label in order)
    return tensor if axes == tuple(range(len(axes))) else b.permute_dims(tensor, axes=axes)


def _contract(
    b: Builder, left: tuple[str, Tensor], right: tuple[str, Tensor], needed: set[str], sizes: dict[str, Size]
) -> tuple[str, Tensor]:
    """One matrix product: labels in both and needed are its batch, in both and not needed its sum."""
    (first, x), (second, y) = left, right
    first, x = _sum_out(b, first, x, needed | set(second))
    second, y = _sum_out(b, second, y, needed | set(first))
    x, y = _stretch(b, first, x, sizes), _stretch(b, second, y, sizes)
    batch = "".join(label for label in first if label in second and label in needed)
    inner = "".join(label for label in first if label in second and label not in needed)
    rows = "".join(label for label in first if label not in second)
    columns = "".join(label for label in second if label not in first)

    def size(labels: str) -> Size:
        return dims.product(sizes[label] for label in labels)

    def shaped(term: str, tensor: Tensor, order: str, merged: tuple[str, str]) -> Tensor:
        shape = (*[sizes[label] for label in batch], *[size(group) for group in merged])
        moved = _permuted(b, term, tensor, batch + order)
        return moved if moved.shape == shape else b.reshape(moved, shape=shape)

    product = b.matmul(
        shaped(first, x, rows + inner, (rows, inner)), shaped(second, y, inner + columns, (inner, columns))
    )
    result = batch + rows + columns
    shape = tuple(sizes[label] for label in result)
    return result, product if product.shape == shape else b.reshape(product, shape=shape)


def _stretch(b: Builder, term: str, tensor: Tensor, sizes: dict[str, Size]) -> Tensor:
    """Broadcast the axes of "..." that have size 1 here and another size elsewhere."""
    shape = tuple(sizes[label] if size == 1 else size for label, size in zip(term, tensor.shape))
    return tensor if shape == tensor.shape else b.broadcast_to(tensor, shape=shape)
