"""The digits: all of the original data, scaled, in one split that never changes."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import graphflow as gf
from graphflow.data.digits import HELD_OUT
from graphflow.errors import BackendError


def test_shapes_and_dtypes() -> None:
    data = gf.data.digits()
    assert {name: (array.dtype.name, array.shape) for name, array in data._asdict().items()} == {
        "train_images": ("float32", (1437, 1, 8, 8)),
        "train_labels": ("int32", (1437,)),
        "test_images": ("float32", (HELD_OUT, 1, 8, 8)),
        "test_labels": ("int32", (HELD_OUT,)),
    }


def test_every_image_is_there_once_with_its_label() -> None:
    original, data = load_digits(), gf.data.digits()
    images = np.concatenate([data.train_images, data.test_images])[:, 0] * 16
    labels = np.concatenate([data.train_labels, data.test_labels])

    def rows(images: np.ndarray, labels: np.ndarray) -> list[tuple]:
        return sorted((*image.ravel().tolist(), int(label)) for image, label in zip(images, labels))

    assert rows(images, labels) == rows(original.images, original.target)


def test_pixels_lie_between_0_and_1() -> None:
    images = gf.data.digits().train_images
    assert images.min() == 0.0 and images.max() == 1.0


def test_the_split_is_fixed() -> None:
    data = gf.data.digits()
    digest = hashlib.sha256(data.test_labels.astype("<i4").tobytes()).hexdigest()
    assert digest[:16] == "cae89a830a523025"
    again = gf.data.digits(seed=0)
    assert all(np.array_equal(one, other) for one, other in zip(data, again))
    assert not np.array_equal(data.test_labels, gf.data.digits(seed=1).test_labels)


def test_without_scikit_learn_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(BackendError, match="scikit-learn, which cannot be imported") as caught:
        gf.data.digits()
    assert "pip install scikit-learn" in str(caught.value)
