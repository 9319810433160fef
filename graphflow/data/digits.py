"""Handwritten digits: 1,797 real 8x8 images that come with scikit-learn, in one fixed split."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from graphflow.errors import AttributeValueError, BackendError
from graphflow.ir import provenance

HELD_OUT = 360


class Digits(NamedTuple):
    """Images as float32[n, 1, 8, 8] between 0 and 1, labels as int32[n]."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def digits(seed: int = 0) -> Digits:
    """The digits data, split into 1,437 images to learn from and 360 held out.

    Arguments:
        seed: of the permutation before the split; the same seed always gives the same split.

    Raises:
        BackendError: if scikit-learn, which carries the data, is not installed.

    Source: E. Alpaydin and C. Kaynak, Optical recognition of handwritten digits, UCI repository, 1998.

    >>> import graphflow as gf
    >>> gf.data.digits().test_images.shape
    (360, 1, 8, 8)
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise BackendError(
            f"the digits come with scikit-learn, which cannot be imported: {error}",
            hint="pip install scikit-learn",
            origin=provenance.capture(),
        ) from None
    try:
        rng = np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise AttributeValueError(f"{seed!r:.80} cannot be a seed", hint="use an int of at least 0") from None
    data = load_digits()
    order = rng.permutation(len(data.target))
    images = (data.images[order, np.newaxis] / 16).astype(np.float32)
    labels = data.target[order].astype(np.int32)
    cut = len(labels) - HELD_OUT
    return Digits(images[:cut], labels[:cut], images[cut:], labels[cut:])
