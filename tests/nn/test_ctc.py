"""The CTC loss: against all paths, against optax with its gradients, second derivatives, awkward lengths."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
import optax
import pytest
import scipy.special

import graphflow as gf
from graphflow.autodiff.reverse import gradients
from graphflow.errors import AttributeValueError, DTypeError, ShapeError
from graphflow.ir.interpret import evaluate
from graphflow.nn import ctc_loss

FRAMES, LETTERS = np.array([9, 7, 4, 9, 3]), np.array([4, 3, 2, 0, 1])


def _said(path: Any, blank: int) -> list[int]:
    return [one for one, _ in itertools.groupby(path) if one != blank]


@pytest.mark.parametrize("labels", [[], [1], [1, 1], [2, 1], [2, 2, 2], [1, 2, 1, 2]])
@pytest.mark.parametrize("blank", [0, 2])
def test_the_sum_over_all_paths(labels: list[int], blank: int, rng: np.random.Generator) -> None:
    labels = [(one + blank) % 3 for one in labels]
    logs = scipy.special.log_softmax(rng.normal(size=(5, 1, 3)), -1)
    paths = [path for path in itertools.product(range(3), repeat=5) if _said(path, blank) == labels]
    total = sum(np.exp(sum(logs[t, 0, one] for t, one in enumerate(path))) for path in paths)
    padded = np.array([[*labels, 1]])
    (made,) = evaluate([ctc_loss(logs, padded, [5], [len(labels)], blank, "sum")])
    np.testing.assert_allclose(made, -np.log(total) if total else np.inf, rtol=1e-12)


def _case(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.integers(1, 6, (5, 4))
    labels[0], labels[1] = [2, 2, 2, 3], [1, 1, 4, 4]
    return rng.normal(size=(9, 5, 6)), labels


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_loss_and_gradient_are_those_of_optax(backend: str, rng: np.random.Generator) -> None:
    logits, labels = _case(rng)

    def theirs(x: Any) -> Any:
        unread = (np.arange(9) >= FRAMES[:, None]).astype(np.float64)
        unsaid = (np.arange(4) >= LETTERS[:, None]).astype(np.float64)
        return optax.ctc_loss(x.transpose(1, 0, 2), unread, labels, unsaid)

    with jax.enable_x64(True):
        expected = np.asarray(theirs(jax.numpy.asarray(logits)))
        slope = np.asarray(jax.grad(lambda x: theirs(x).sum())(jax.numpy.asarray(logits)))
    x = gf.placeholder("x", logits.shape, gf.float64)
    losses = ctc_loss(gf.nn.log_softmax(x), labels, FRAMES, LETTERS, reduction="none")
    with gf.Session(backend=backend) as session:
        made = session.run([losses, gf.sum(losses), gf.mean(losses), *gradients([losses], [x])], {x: logits})
    np.testing.assert_allclose(made[0], expected, rtol=1e-9)
    np.testing.assert_allclose(made[1], expected.sum(), rtol=1e-9)
    np.testing.assert_allclose(made[2], expected.mean(), rtol=1e-9)
    np.testing.assert_allclose(made[3], slope, rtol=1e-7, atol=1e-10)


def test_second_derivatives_match_differences(rng: np.random.Generator) -> None:
    logits, labels = _case(rng)
    x = gf.placeholder("x", logits.shape, gf.float64)
    loss = ctc_loss(gf.nn.log_softmax(x), labels, FRAMES, LETTERS, reduction="sum")
    (first,) = gradients(loss, [x])
    along, width = rng.normal(size=logits.shape), 1e-5
    (second,) = gradients(gf.sum(first * along), [x])
    ends = [evaluate([first], {x: logits + sign * width * along})[0] for sign in (1, -1)]
    (made,) = evaluate([second], {x: logits})
    np.testing.assert_allclose(made, (ends[0] - ends[1]) / (2 * width), atol=1e-8)


def test_what_cannot_be_said_has_an_infinite_loss_and_no_gradient(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (5, 2, 3), gf.float64)
    losses = ctc_loss(x, np.full((2, 3), 1), np.array([4, 5]), np.array([3, 3]), reduction="none")
    logs = scipy.special.log_softmax(rng.normal(size=(5, 2, 3)), -1)
    value, slope = evaluate([losses, *gradients([losses], [x])], {x: logs})
    assert value[0] == np.inf and np.isfinite(value[1])
    assert not slope[:, 0].any() and np.isfinite(slope).all()
    np.testing.assert_allclose(slope[:, 1].sum(-1), -1)  # one class a frame


def test_frames_behind_the_end_do_not_count(rng: np.random.Generator) -> None:
    x = gf.placeholder("x", (6, 1, 3), gf.float64)
    loss = ctc_loss(x, [[1, 2]], [3], [2])
    logs = rng.normal(size=(6, 1, 3))
    spoilt = logs.copy()
    spoilt[3:] = 99.0
    slope = gradients(loss, [x])[0]
    assert evaluate([loss], {x: logs})[0] == evaluate([loss], {x: spoilt})[0]
    assert not evaluate([slope], {x: logs})[0][3:].any()


def test_empty_sizes() -> None:
    for steps, count, longest in ((0, 2, 1), (3, 0, 2), (2, 2, 0)):
        x = gf.placeholder(f"x{steps}", (steps, count, 3), gf.float32)
        zeros = np.zeros(count, np.int32)
        losses = ctc_loss(x, np.ones((count, longest), np.int8), zeros, zeros, reduction="none")
        made = evaluate([losses, *gradients([losses], [x])], {x: np.zeros((steps, count, 3), np.float32)})
        assert made[0].tolist() == [0.0] * count and made[1].shape == (steps, count, 3)


def test_narrow_floats_are_computed_in_float32(rng: np.random.Generator) -> None:
    logits, labels = _case(rng)
    logs = scipy.special.log_softmax(logits, -1).astype(np.float16)
    half, full = (
        ctc_loss(part, labels, FRAMES, LETTERS, reduction="none") for part in (logs, logs.astype("f4"))
    )
    made, expected = evaluate([half, full])
    assert made.dtype == np.float16
    np.testing.assert_array_equal(made, expected.astype(np.float16))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"scores": gf.int32}, DTypeError),
        ({"labels": (2,)}, ShapeError),
        ({"labels": (3, 4)}, ShapeError),
        ({"lengths": (3,)}, ShapeError),
        ({"dtype": gf.float32}, DTypeError),
        ({"blank": 6}, AttributeValueError),
        ({"blank": -1}, AttributeValueError),
        ({"blank": None}, AttributeValueError),
        ({"reduction": "batch"}, AttributeValueError),
    ],
)
def test_refusals(change: dict[str, Any], error: Any) -> None:
    scores = gf.placeholder("p", (5, 2, 6), change.get("scores", gf.float32))
    labels = gf.placeholder("labels", change.get("labels", (2, 4)), change.get("dtype", gf.int32))
    frames, letters = (gf.placeholder(name, change.get("lengths", (2,)), gf.int32) for name in "fl")
    with pytest.raises(error):
        ctc_loss(scores, labels, frames, letters, change.get("blank", 0), change.get("reduction", "mean"))
