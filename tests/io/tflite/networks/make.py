"""Writes the networks beside it with TensorFlow's converter: `python make.py` where tensorflow is installed.

Each is a Keras model with weights from a fixed seed, converted to floats, to whole numbers ("int8",
calibrated on random inputs), and with weights alone as whole numbers ("dynamic"). The files were made by
tensorflow 2.21.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

HERE = Path(__file__).parent


def mobile() -> Any:
    """Separable convolutions with inverted residuals, as in MobileNet-v2."""
    x = given = keras.Input((32, 32, 3), batch_size=1, name="image")
    x = keras.layers.Conv2D(8, 3, 2, "same", use_bias=False)(x)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
    for width, stride in ((8, 1), (12, 2), (12, 1), (12, 1), (16, 2), (16, 1)):
        before = x
        x = keras.layers.Conv2D(4 * x.shape[-1], 1, use_bias=False)(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
        if stride == 2:
            x = keras.layers.ZeroPadding2D(((0, 1), (0, 1)))(x)
        x = keras.layers.DepthwiseConv2D(3, stride, "valid" if stride == 2 else "same", use_bias=False)(x)
        x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization()(x))
        x = keras.layers.BatchNormalization()(keras.layers.Conv2D(width, 1, use_bias=False)(x))
        if stride == 1 and before.shape[-1] == width:
            x = keras.layers.Add()([before, x])
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(given, keras.layers.Dense(10, activation="softmax", name="classes")(x))


def segments() -> Any:
    """A small U-Net: pooling, transposed convolution, resizing, and skips that are joined."""
    x = given = keras.Input((24, 24, 3), batch_size=1, name="image")
    skips = []
    for width in (6, 12):
        x = keras.layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        skips.append(x)
        x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(16, 3, padding="same", dilation_rate=2, activation="relu")(x)
    x = keras.layers.Conv2DTranspose(12, 2, 2)(x)
    x = keras.layers.Conv2D(12, 3, padding="same", activation="relu")(
        keras.layers.Concatenate()([x, skips[1]])
    )
    x = keras.layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = keras.layers.Conv2D(6, 3, padding="same", activation="relu")(
        keras.layers.Concatenate()([x, skips[0]])
    )
    return keras.Model(given, keras.layers.Conv2D(4, 1, activation="sigmoid", name="mask")(x))


def encoder() -> Any:
    """A transformer encoder of one layer, for any batch."""
    x = given = keras.Input((12, 16), name="tokens")
    for _ in range(2):
        mixed = keras.layers.MultiHeadAttention(2, 8)(x, x)
        x = keras.layers.LayerNormalization()(x + mixed)
        wide = keras.layers.Dense(64, activation="gelu")(x)
        x = keras.layers.LayerNormalization()(x + keras.layers.Dense(16)(wide))
    return keras.Model(given, x)


def recurrent() -> Any:
    """A long short-term memory over a sequence."""
    x = given = keras.Input((9, 5), batch_size=1, name="sequence")
    x = keras.layers.LSTM(8, return_sequences=True)(x)
    x = keras.layers.LSTM(6)(x)
    return keras.Model(given, keras.layers.Dense(3, name="classes")(x))


def seeded(model: Any) -> None:
    """Give all weights values from a seed, and batch normalizations statistics that are not 0 and 1."""
    rng = np.random.default_rng(7)
    weights = []
    for weight in model.weights:
        value = rng.standard_normal(weight.shape) * (0.9 / np.sqrt(max(np.prod(weight.shape[:-1]), 1)))
        if any(part in weight.path for part in ("gamma", "variance")):
            value = rng.uniform(0.6, 1.4, weight.shape)
        weights.append(value.astype(np.float32))
    model.set_weights(weights)


def samples(model: Any) -> Iterator[list[np.ndarray]]:
    """What the converter calibrates on."""
    rng = np.random.default_rng(8)
    for _ in range(32):
        yield [rng.standard_normal([size or 1 for size in model.inputs[0].shape]).astype(np.float32)]


def converted(model: Any, how: str) -> bytes:
    """The bytes of a .tflite file."""
    made = tf.lite.TFLiteConverter.from_keras_model(model)
    if how != "float":
        made.optimizations = [tf.lite.Optimize.DEFAULT]
    if how == "int8":
        made.representative_dataset = lambda: samples(model)
        made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        made.inference_input_type = made.inference_output_type = tf.int8
    content: bytes = made.convert()
    return content


def main() -> None:
    """Write all of them."""
    for make, kinds in (
        (mobile, ("float", "int8")),
        (segments, ("float", "int8")),
        (encoder, ("float", "dynamic")),
        (recurrent, ("float",)),
    ):
        model = make()
        seeded(model)
        for kind in kinds:
            content = converted(model, kind)
            (HERE / f"{make.__name__}_{kind}.tflite").write_bytes(content)
            print(make.__name__, kind, len(content), flush=True)


if __name__ == "__main__":
    main()
