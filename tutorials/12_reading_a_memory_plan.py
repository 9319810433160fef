# %% [markdown]
# # 12. Reading a memory plan
#
# Where does memory go? Before anything runs, a plan says when each value is live and where it lies. Here we
# read its report line by line, look at its picture, and ask what would make it smaller.

# %%
from pathlib import Path

import numpy as np

import graphflow as gf

# %% [markdown]
# ## A network with a skip connection
#
# A small U-shaped net: the image is halved, worked on, and doubled again, and the early features are kept for
# the end. `batch` has no number yet.

# %%
image = gf.placeholder("image", ("batch", 1, 32, 32))
labels = gf.placeholder("labels", ("batch", 32, 32), dtype=gf.int32)
with gf.name_scope("down"):
    early = gf.nn.relu(gf.layers.conv(image, 8, 3, padding="same"))
    half = gf.nn.max_pool(early, 2)
with gf.name_scope("deep"):
    deep = gf.nn.relu(gf.layers.conv(half, 16, 3, padding="same"))
with gf.name_scope("up"):
    wide = gf.repeat(gf.repeat(deep, 2, axis=2), 2, axis=3)
    scores = gf.layers.conv(gf.concat([early, wide], axis=1), 4, 3, padding="same")
loss = gf.nn.cross_entropy(gf.permute_dims(scores, (0, 2, 3, 1)), labels)
train = gf.train.SGD(0.1).minimize(loss)

sess = gf.Session()
report = sess.memory([loss, train], sizes={"batch": 16})
print(report)

# %% [markdown]
# From the top:
#
# * **naive sum**: every value in memory of its own, for the whole run.
# * **order peak**: the most that is live at once as the nodes run. No placement can need less.
# * **arena** and **gap**: what the plan needs, and how far that is above the order peak.
# * **arguments, constants, outputs**: what is passed in, built in and returned, beside the arena.
# * **peak at**: the node at which most is live, the largest values there, and your lines that made them and
#   read them last. To save memory, begin with these lines.
# * **checked**: the plan was verified by code that took no part in making it.
#
# All of it is there as values:

# %%
first = report.live[0]
print(f"{first.name}: {first.bytes:,} bytes, {first.places}")
print(f"the plan needs {report.arena_bytes / report.naive_bytes:.0%} of the naive sum")
assert report.lower_bound_bytes <= report.arena_bytes < report.naive_bytes
offsets = sorted(report.plan.offsets.items(), key=lambda item: -item[1])
print("highest in the arena:", offsets[0])

# %% [markdown]
# ## The picture
#
# Addresses upwards, time to the right, one box for each value; the dark line is what is live. Long boxes are
# activations that wait for the backward computation, here above all the features of the skip connection; the
# tower at the red line is the peak. In a notebook the report shows its picture by itself; pointing at a box
# tells its bytes and your lines.

# %%
path = report.picture("memory.svg", "a training step of a U-shaped net, batch 16")
print("wrote", path, f"with {path.read_text('utf-8').count('class=' + chr(34) + 'buffer')} boxes")

# %% [markdown]
# ## What does the target say?
#
# XLA fuses nodes and makes a plan of its own; `compiled=True` compiles the program, and its numbers stand
# beside ours: "temp" is what compares with the arena. The numpy backend runs in the planned arena; there
# the plan also has the workspaces of kernels, as `inside ...`.

# %%
print(str(sess.memory([loss, train], {"batch": 16}, compiled=True)).splitlines()[-1])
on_numpy = gf.Session(backend="numpy").memory([loss, train], {"batch": 16})
print(on_numpy.live[0].name, f"{on_numpy.live[0].bytes:,} bytes;", str(on_numpy).splitlines()[-1])

# %% [markdown]
# ## What if there is less?
#
# `fit` carries out what could help, each on a copy, plans it and ranks the results: another order, values
# that are computed again and what that costs, 16 bits, the largest batch. The last column is what to type.

# %%
budget = report.arena_bytes // 2
fit = report.fit(budget)
print(fit)

# %% [markdown]
# Do what a row says, and the plan is as promised:

# %%
way = next(way for way in fit.ways if way.name == "smaller batch")
batch = int(way.code.removeprefix("batch="))
smaller = sess.memory([loss, train], sizes={"batch": batch})
assert smaller.arena_bytes == way.arena_bytes <= budget
feeds = {image: np.zeros((batch, 1, 32, 32)), labels: np.zeros((batch, 32, 32), np.int32)}
print(f"loss with a batch of {batch}: {gf.Session(backend='numpy').run([loss, train], feeds)[0]:.4f}")

# %% [markdown]
# What nothing can bring down has a reason, and that is named too:

# %%
impossible = report.fit("10 kB")
print(str(impossible).splitlines()[-1])
try:
    impossible.require()
except gf.MemoryPlanError as error:
    print(error.hint)

Path("memory.svg").unlink()

# %% [markdown]
# The same from a shell, for a [saved model](../docs/saved-models.md):
#
#     graphflow plan MODEL --size batch=16 --fit 2MB --picture memory.svg
#
# [Memory](../docs/memory.md) has the details; [tutorial 11](11_training_what_does_not_fit.py) goes on with
# budgets.
