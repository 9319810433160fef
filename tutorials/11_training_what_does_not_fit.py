# %% [markdown]
# # 11. Training what does not fit
#
# A training step keeps activations from the forward to the backward computation. What if there is memory for
# half of them? Here we look where the bytes go, set a budget, see what is computed again and what that costs,
# and find the least that is possible.

# %%
import numpy as np

import graphflow as gf

# %% [markdown]
# ## A network whose activations are large
#
# Four convolutions with batch norm over images of 16 x 16: few weights, many activations.

# %%
x = gf.placeholder("x", ("batch", 3, 16, 16))
labels = gf.placeholder("labels", ("batch",), dtype=gf.int32)
h = x
for block in range(4):
    with gf.name_scope(f"block{block}"):
        h = gf.nn.relu(gf.layers.batch_norm(gf.layers.conv(h, 16, 3, padding="same")))
        h = gf.layers.dropout(h, 0.1)
loss = gf.nn.cross_entropy(gf.layers.dense(gf.mean(h, axis=(2, 3)), 10), labels)
train = gf.train.Adam(1e-3).minimize(loss)

rng = np.random.default_rng(0)
feeds = {
    x: rng.normal(size=(32, 3, 16, 16)).astype(np.float32),
    labels: rng.integers(0, 10, 32).astype(np.int32),
}

# %% [markdown]
# ## Where the bytes go
#
# At the turn from forward to backward everything is live that the backward computation is going to read. The
# rows "inside ..." are patches that numpy's convolution makes for itself while it runs.

# %%
plain = gf.Session(backend="numpy", seed=1)
losses = [float(plain.run([loss, train], feeds)[0]) for _ in range(3)]
print(plain.memory([train, loss]))

# %% [markdown]
# ## With a budget
#
# `memory_budget` bounds the intermediate values; variables, feeds, results and such patches come on top.
# What is too much is let go and computed again right before the backward computation reads it. Dropout
# draws the same numbers a second time, since they follow from its key, so the losses are the same to the
# last bit.

# %%
tight = gf.Session(backend="numpy", seed=1, memory_budget="4MB")
again = [float(tight.run([loss, train], feeds)[0]) for _ in range(3)]
assert again == losses
print(f"the same losses: {', '.join(f'{value:.4f}' for value in again)}")

# %% [markdown]
# ## What is computed again
#
# The pass `rematerialize` makes the change; on a model or a program of your own it stands behind `schedule`
# in the pipeline. Its note says what it gained and what that costs; second runs are named after the first.

# %%
from graphflow.optimizer.journal import Journal
from graphflow.optimizer.pipelines import optimize
from graphflow.optimizer.program import extract, specialize

step = specialize(optimize(extract([loss], list(train.assigns), [x, labels], training=True)), {"batch": 32})
journal = Journal("entries")
fitted = optimize(step, pipeline="schedule,rematerialize{budget=4000000}", journal=journal)
print(journal.passes[-1].note)
second = [node for node in fitted.order() if node.name.endswith(".again")]
kinds = sorted({node.op.name for node in second})
print(f"{len(second)} nodes run twice: {', '.join(kinds)}")
assert "conv" not in kinds  # the dear ones are kept

# %% [markdown]
# ## The least that is possible
#
# A budget that cannot be met is refused before anything runs. The message names the least that was found, and
# what has to be live even then.

# %%
try:
    gf.Session(backend="numpy", memory_budget="1MB").run([loss, train], feeds)
except gf.MemoryPlanError as error:
    print(error)

# %% [markdown]
# The same option works on jax, where XLA's own number (`sess.memory(...)`, the line of the backend) falls
# with the plan; `benchmarks/recompute.py` measures both, and the time. How the choice is made is written in
# [Recomputation](../docs/recomputation.md).
