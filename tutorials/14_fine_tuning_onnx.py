# %% [markdown]
# # 14. Fine-tuning a model that PyTorch exported
#
# A network comes as an ONNX file, is trained further on data of our own, and goes back into an ONNX
# file that others run. Nothing here needs PyTorch: to run anywhere, the tutorial writes the file itself,
# with the names, operators and attributes that `torch.onnx.export(..., dynamo=True)` gives
#
# ```
# nn.Sequential(OrderedDict(
#     conv1=nn.Conv2d(1, 16, 3, padding=1), relu1=nn.ReLU(), pool=nn.MaxPool2d(2),
#     conv2=nn.Conv2d(16, 32, 3, padding=1), relu2=nn.ReLU(),
#     flat=nn.Flatten(), fc=nn.Linear(512, 10)))
# ```
#
# and weights drawn as PyTorch draws them. With a file of yours, begin at "Importing".

# %%
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import graphflow as gf

folder = Path(tempfile.mkdtemp())
rng = np.random.default_rng(0)


def drawn(name: str, *shape: int, fan_in: int) -> onnx.TensorProto:
    """A weight, uniform within 1/sqrt(fan_in) of zero."""
    bound = fan_in**-0.5
    return numpy_helper.from_array(rng.uniform(-bound, bound, shape).astype(np.float32), name)


def convolution(name: str, read: str, layer: str) -> onnx.NodeProto:
    """A 3x3 convolution with all the attributes that the exporter writes."""
    return helper.make_node(
        "Conv", [read, f"{layer}.weight", f"{layer}.bias"], [name], f"node_{name}", group=1,
        pads=[1, 1, 1, 1], auto_pad="NOTSET", strides=[1, 1], dilations=[1, 1], kernel_shape=[3, 3],
    )  # fmt: skip


nodes = [
    convolution("conv2d", "image", "conv1"),
    helper.make_node("Relu", ["conv2d"], ["relu"], "node_relu"),
    helper.make_node(
        "MaxPool", ["relu"], ["max_pool2d"], "node_max_pool2d", storage_order=0, dilations=[1, 1],
        ceil_mode=0, pads=[0, 0, 0, 0], auto_pad="NOTSET", strides=[2, 2], kernel_shape=[2, 2],
    ),
    convolution("conv2d_1", "max_pool2d", "conv2"),
    helper.make_node("Relu", ["conv2d_1"], ["relu_1"], "node_relu_1"),
    helper.make_node("Reshape", ["relu_1", "val_10"], ["view"], "node_view", allowzero=1),
    helper.make_node(
        "Gemm", ["view", "fc.weight", "fc.bias"], ["logits"], "node_linear", beta=1.0, transB=1, alpha=1.0
    ),
]  # fmt: skip
weights = [
    drawn("conv1.weight", 16, 1, 3, 3, fan_in=9), drawn("conv1.bias", 16, fan_in=9),
    drawn("conv2.weight", 32, 16, 3, 3, fan_in=144), drawn("conv2.bias", 32, fan_in=144),
    drawn("fc.weight", 10, 512, fan_in=512), drawn("fc.bias", 10, fan_in=512),
    numpy_helper.from_array(np.array([-1, 512]), "val_10"),
]  # fmt: skip
given = [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8])]
made = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])]
exported = helper.make_model(
    helper.make_graph(nodes, "main_graph", given, made, weights),
    opset_imports=[helper.make_opsetid("", 20)],
    ir_version=10,
)
onnx.save(exported, folder / "exported.onnx")

# %% [markdown]
# ## Importing
#
# By default weights are constants, which is what inference wants: the optimizer can fold and lay out what it
# knows. With `trainable=True` they are variables, under the names that they had.

# %%
model = gf.onnx.load(folder / "exported.onnx", trainable=True)
print(model)
print({name: array.shape for name, array in model.weights.items()})

# %% [markdown]
# ## Training on the digits
#
# The model is a graph like any other: a loss is put on top of its outputs, and `minimize` differentiates
# what was imported. Which variables are trained is up to us. First the last layer alone, as one would for a
# network that knows much already; then all.

# %%
digits = gf.data.digits()
image, logits = model.inputs["image"], model.outputs["logits"]
with model.graph:
    label = gf.placeholder("label", ("batch",), dtype=gf.int32)
    loss = gf.nn.cross_entropy(logits, label)
    accuracy = gf.nn.metrics.accuracy(logits, label)
    head = [tensor for name, tensor in model.graph.variables.items() if name.startswith("fc.")]
    train_head = gf.train.Adam(1e-2).minimize(loss, head)
    train_all = gf.train.Adam(3e-3, name="all").minimize(loss)
print("the last layer:", [tensor.name for tensor in head])

# %%
held_out = {image: digits.test_images, label: digits.test_labels}
batches = gf.data.Batches([digits.train_images, digits.train_labels], size=64, drop_last=True)
sess = gf.Session(model.graph, seed=0)
print(f"as it came: held-out accuracy {sess.run(accuracy, held_out):.2%}")
for name, train, epochs in (("last layer", train_head, 3), ("all layers", train_all, 4)):
    step = sess.make_callable([train, loss], [image, label])
    for _ in range(epochs):
        for images, labels in batches:
            _, value = step(images, labels)
    print(f"{name}: loss {float(value):.3f}, held-out accuracy {sess.run(accuracy, held_out):.2%}")
assert sess.run(accuracy, held_out) > 0.95

# %% [markdown]
# ## Exporting again
#
# A Model of the session has the weights of now, and what the logits need: neither the loss nor Adam's
# memory. Names of inputs and outputs are those of the file that came, so that whoever ran it can run this.

# %%
tuned = gf.Model(model.graph, {"image": image}, {"logits": logits}, session=sess)
gf.onnx.save(tuned, folder / "tuned.onnx", opset=20)
proto = onnx.load(folder / "tuned.onnx")
onnx.checker.check_model(proto, full_check=True)
print([node.op_type for node in proto.graph.node])

# %% [markdown]
# What was written answers what the session answers: read again by GraphFlow, and, where it is installed,
# by onnxruntime.

# %%
expected = sess.run(logits, {image: digits.test_images})
again = gf.onnx.load(folder / "tuned.onnx").run({"image": digits.test_images})["logits"]
print(f"read again: differs by at most {np.abs(again - expected).max():.1e}")
assert np.allclose(again, expected, rtol=1e-4, atol=1e-4)

try:
    import onnxruntime
except ImportError:
    print("onnxruntime is not installed")
else:
    runner = onnxruntime.InferenceSession(folder / "tuned.onnx", providers=["CPUExecutionProvider"])
    (theirs,) = runner.run(["logits"], {"image": digits.test_images})
    print(f"onnxruntime: differs by at most {np.abs(theirs - expected).max():.1e}")
    assert np.allclose(theirs, expected, rtol=1e-4, atol=1e-4)
    right = (theirs.argmax(axis=1) == digits.test_labels).mean()
    print(f"onnxruntime: held-out accuracy {right:.2%}")
sess.close()

# %% [markdown]
# The same from the command line: `graphflow check tuned.onnx` compares levels and backends, and
# `graphflow bench tuned.onnx --batch 32 --against onnxruntime` says how long each takes.
#
# Docs: [ONNX models](../docs/onnx.md), [writing ONNX](../docs/onnx-export.md).
