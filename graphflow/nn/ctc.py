"""Connectionist temporal classification: the likelihood of labels of which the times are not known.

A path gives every frame a class; what it says are its classes with repetitions merged and blanks left
out. The likelihood of labels l is the sum over all paths that say l, by a recursion over the states
(blank, l_1, blank, l_2, ..., blank), in logarithms. Source: A. Graves et al., "Connectionist temporal
classification", ICML 2006.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from graphflow.errors import AttributeValueError, ShapeError
from graphflow.ir import dims
from graphflow.ir.builder import Builder, builder_for
from graphflow.ir.dtypes import float32, int64
from graphflow.ir.node import Tensor
from graphflow.nn.loss_parts import reduced
from graphflow.ops.composite import composite
from graphflow.ops.indexing import require_indices
from graphflow.ops.inference import require_dtype, show, whole_number
from graphflow.ops.looping import scan


@composite
def ctc_loss(
    log_probabilities: Any,
    labels: Any,
    input_lengths: Any,
    label_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
) -> Tensor:
    """-ln of the likelihood of labels whose times are not known: loss = -ln sum_paths prod_t p[t, path_t].

    The sum goes over all paths, one class a frame, that give the labels when repetitions are merged and
    blanks left out. Labels that are longer than their input can say have the loss inf, and the gradient 0.

    Arguments:
        log_probabilities: floats [time, batch, classes], such as gf.nn.log_softmax gives.
        labels: integer classes [batch, longest], none of them the blank, padded at the end.
        input_lengths: integers [batch], the number of frames; what is more than there are means all.
        label_lengths: integers [batch], the number of labels.
        blank: the class that says nothing.
        reduction: "mean" (of the losses, whatever the lengths), "sum" or "none" (of shape [batch]).

    Raises:
        ShapeError, DTypeError: if the shapes do not fit together, or labels and lengths are no integers.

    Source: A. Graves et al., "Connectionist temporal classification", ICML 2006.

    >>> import graphflow as gf
    >>> scores, labels = gf.placeholder("p", (50, "n", 28)), gf.placeholder("labels", ("n", 9), gf.int32)
    >>> frames, letters = (gf.placeholder(name, ("n",), gf.int32) for name in ("frames", "letters"))
    >>> gf.nn.ctc_loss(gf.nn.log_softmax(scores), labels, frames, letters).type
    float32[]
    """
    b = builder_for([log_probabilities, labels, input_lengths, label_lengths])
    scores, labels = b.tensor(log_probabilities), b.tensor(labels)
    frames, letters = b.tensor(input_lengths), b.tensor(label_lengths)
    _require_sequences(scores, labels, frames, letters)
    blank = _class_number(blank, scores.shape[-1])
    dtype = scores.dtype
    if dtype.itemsize == 2:
        scores = b.astype(scores, dtype=float32)
    losses = b.negative(_log_likelihood(b, scores, labels, frames, letters, blank))
    return reduced(b, b.astype(losses, dtype=dtype) if dtype.itemsize == 2 else losses, reduction)


def _require_sequences(scores: Tensor, labels: Tensor, *lengths: Tensor) -> None:
    require_dtype(scores.type, "float", "log_probabilities of ctc_loss")
    for indices in (labels, *lengths):
        require_indices(indices.type, "ctc_loss")
    fits = scores.ndim == 3 and labels.ndim == 2 and all(length.ndim == 1 for length in lengths)
    for other in (labels, *lengths) if fits else ():
        fits = fits and dims.unify(scores.shape[1], other.shape[0]) is not None
    if not fits:
        shapes = ", ".join(show(tensor.shape) for tensor in (scores, labels, *lengths))
        raise ShapeError(
            f"ctc_loss got log_probabilities, labels, input_lengths and label_lengths of shapes {shapes}",
            hint="their shapes are [time, batch, classes], [batch, longest], [batch] and [batch]",
        )


def _class_number(blank: Any, classes: Any) -> int:
    number = whole_number(blank, "the blank of ctc_loss")
    if number < 0 or (isinstance(classes, int) and number >= classes):
        raise AttributeValueError(
            f"ctc_loss got the blank {number}, but there are {classes} classes",
            hint="the blank is one of the classes, 0 by default",
        )
    return number


def _log_likelihood(
    b: Builder, scores: Tensor, labels: Tensor, frames: Tensor, letters: Tensor, blank: int
) -> Tensor:
    """ln of the sum of the likelihoods of all paths that end in one of the two last states."""
    steps, batch, _ = scores.shape
    states = _states(b, labels, blank)
    shape = states.shape
    place = b.iota(size=shape[1], dtype=int64)
    emitted = b.take_along_axis(
        scores, b.broadcast_to(b.expand_dims(states, axis=0), shape=(steps, *shape)), axis=2
    )
    number = b.reshape(b.iota(size=steps, dtype=int64), shape=(steps, 1, 1))
    active = b.less(number, b.reshape(b.astype(frames, dtype=int64), shape=(1, batch, 1)))
    nothing, first = b.like(-np.inf, scores), b.where(b.equal(place, 0), b.like(0, scores), -np.inf)
    skips = _skips(b, states, blank)

    def step(before: Tensor, frame: tuple[Tensor, Tensor]) -> tuple[Tensor, None]:
        """Each state is reached from itself, from the one before, or past a blank between two labels."""
        emitted, active = frame
        inner = builder_for([before])
        ways = inner.logaddexp(before, _later(inner, before, 1))
        ways = inner.logaddexp(ways, inner.where(skips, _later(inner, before, 2), nothing))
        return inner.where(active, inner.add(ways, emitted), before), None

    last, _ = scan(step, b.broadcast_to(first, shape=shape), (emitted, active), name="ctc")
    end = b.expand_dims(b.multiply(b.astype(letters, dtype=int64), 2), axis=1)
    end = b.minimum(end, b.tensor(shape[1] - 1, dtype=int64))
    final = b.logical_or(b.equal(place, end), b.equal(place, b.subtract(end, 1)))
    return b.logsumexp(b.where(final, last, nothing), axis=1)


def _states(b: Builder, labels: Tensor, blank: int) -> Tensor:
    """The classes (blank, l_1, blank, l_2, ..., blank) that a path goes through, as int64."""
    batch, longest = labels.shape
    wide = b.expand_dims(b.astype(labels, dtype=int64), axis=2)
    pairs = b.pad(wide, pads=((0, 0), (0, 0), (0, 1)), value=blank)
    return b.pad(b.reshape(pairs, shape=(batch, 2 * longest)), pads=((0, 0), (1, 0)), value=blank)


def _skips(b: Builder, states: Tensor, blank: int) -> Tensor:
    """Whether a state may follow the last but one: a label that is not the same as that before it."""
    before_last = _later(b, states, 2, blank)
    return b.logical_and(b.not_equal(states, blank), b.not_equal(states, before_last))


def _later(b: Builder, x: Tensor, by: int, value: float = -np.inf) -> Tensor:
    """The rows moved to later states, a value coming in."""
    moved = b.pad(x, pads=((0, 0), (by, 0)), value=value)
    return b.slice(moved, starts=(0,), stops=(x.shape[1],), axes=(1,))
