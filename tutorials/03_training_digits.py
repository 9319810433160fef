# %% [markdown]
# # 3. Training on handwritten digits
#
# The data are 1,797 real 8x8 images that come with scikit-learn. We build a small convolutional
# net, train it, ask the optimizer and the memory planner what they did, draw the graph, save the
# model and load it again.

# %%
import tempfile
from pathlib import Path

import numpy as np

import graphflow as gf

digits = gf.data.digits()
print({name: array.shape for name, array in digits._asdict().items()})

# %% [markdown]
# ## The model
#
# Functions in `gf.nn` only compute; those in `gf.layers` also create the variables they need. Each
# layer opens a name scope, so its variables are `conv/kernel`, `conv_1/kernel` and so on.

# %%
image = gf.placeholder("image", ("batch", 1, 8, 8))
label = gf.placeholder("label", ("batch",), dtype=gf.int32)

hidden = gf.layers.conv(image, filters=16, kernel_size=3, use_bias=False)
hidden = gf.nn.relu(gf.layers.batch_norm(hidden))
hidden = gf.flatten(gf.nn.max_pool(hidden, 2))
hidden = gf.layers.dropout(hidden, 0.25)
logits = gf.layers.dense(hidden, 10)
probabilities = gf.nn.softmax(logits)
loss = gf.nn.cross_entropy(logits, label)
accuracy = gf.nn.metrics.accuracy(logits, label)

# %% [markdown]
# ## One Update for everything
#
# `minimize` differentiates the loss and groups the new values of all weights, the method's own
# memory, and the moving averages of batch norm into one Update. Fetching it also switches dropout
# and batch norm to training; without it, as where the held-out accuracy is fetched below, they are
# in their mode for inference.

# %%
train = gf.train.Adam(gf.train.schedules.cosine(3e-3, 400)).minimize(loss)
print(train)

# %%
sess = gf.Session(seed=0)
batches = gf.data.Batches([digits.train_images, digits.train_labels], size=64, drop_last=True)
for epoch in range(10):
    for images, labels in batches:
        _, value = sess.run([train, loss], {image: images, label: labels})
    held_out = sess.run(accuracy, {image: digits.test_images, label: digits.test_labels})
    print(f"epoch {epoch}: loss {value:.4f}, held-out accuracy {held_out:.2%}")
assert held_out > 0.95

# %% [markdown]
# ## What the optimizer did
#
# For inference the training flag is the constant False, so dropout and the batch statistics vanish
# before anything is compiled: that is the rule `where_constant`. `rename_axes` did what its name
# says. Each line tells how often a rule fired, what that saved, and how far the rule can be trusted:
# `exact` means the same bits.

# %%
report = sess.explain(probabilities)
print(report)
assert report.after.nodes < report.before.nodes

# %% [markdown]
# One tensor has a story too: what computes it now, by which rule, and from which of your lines. What
# dropout gave is now what flattening gives.

# %%
print(report.of(hidden))

# %% [markdown]
# ## What it needs in memory
#
# A training step keeps the activations for its backward half. The naive sum is what all
# intermediate values take together; the peak of the order is what lives at one time, and so the
# lower bound of any plan with that order; the gap tells how far the plan is from it. Below stands who
# is responsible for the peak. The last line is what XLA says of its own, fused program.

# %%
print(sess.memory([train, loss], sizes={"batch": 64}))

# %% [markdown]
# ## A picture, and a saved model
#
# The picture goes to a file. The model is a folder with the graph as text, the weights, and a
# manifest with their checksums; it has what the probabilities need, and nothing of the training.
# Loading it executes no code, and it predicts the same bits.

# %%
with tempfile.TemporaryDirectory() as folder:
    picture = gf.viz.render(probabilities.graph, Path(folder) / "graph.svg")
    print(Path(picture).stat().st_size, "bytes of SVG")

    gf.saved_model.save(Path(folder) / "model", sess, inputs=[image], outputs=[probabilities])
    model = gf.saved_model.load(Path(folder) / "model")
    print(model)
    before = sess.run(probabilities, {image: digits.test_images})
    (after,) = model.run({"image": digits.test_images}).values()
    assert np.array_equal(before, after)
sess.close()
