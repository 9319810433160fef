# %% [markdown]
# # 1. Graph and session
#
# GraphFlow works in two steps: you *define* a computation as a graph, then a session *runs* it. The
# gap between the two is where all the work happens: a graph can be checked, differentiated,
# simplified, planned, drawn and saved, because nothing has been computed yet.

# %%
import numpy as np

import graphflow as gf

# %% [markdown]
# ## Building
#
# A placeholder is a value that you will feed later. Its shape may have sizes that are not known
# yet; here `"batch"` is a *symbolic size*. A variable lives in the session and starts from its
# initializer.

# %%
x = gf.placeholder("x", ("batch", 3))
w = gf.variable("w", (3, 2), initializer=gf.initializers.ones())
y = gf.matmul(x, w) + 1.0
print(y)

# %% [markdown]
# `y` is no array. It is a *tensor*: output 0 of the node that adds. Shapes and dtypes are inferred
# while you build, so a mistake shows up on the line that makes it, not in the middle of a run:

# %%
try:
    gf.matmul(x, gf.constant(np.ones((4, 2), np.float32)))
except gf.GraphFlowError as error:
    print(error)

# %% [markdown]
# The whole graph can be printed. The same text is what a saved model contains, and it can be parsed
# back.

# %%
print(y.graph)

# %% [markdown]
# ## Running
#
# A session binds the current graph. `run` takes what you want to know (any nest of tensors) and
# what you know (a value for each placeholder), and computes just what is needed.

# %%
with gf.Session() as sess:
    value = sess.run(y, {x: [[1.0, 2.0, 3.0]]})
print(value)
assert np.array_equal(value, [[7.0, 7.0]])

# %% [markdown]
# The symbolic size takes its value from the feed, and every tensor that mentions `batch` has to
# agree:

# %%
other = gf.placeholder("other", ("batch", 2))
with gf.Session() as sess:
    print(sess.run(y * other, {x: np.ones((2, 3)), other: np.ones((2, 2))}))
    try:
        sess.run(y * other, {x: np.ones((2, 3)), other: np.ones((5, 2))})
    except gf.GraphFlowError as error:
        print(error)

# %% [markdown]
# ## Variables change only through updates
#
# `gf.assign` describes a change; fetching it applies the change when the run ends. Inside the run,
# every read gives the value from its start. So a run is a pure function of the state and the feeds,
# and the order of updates cannot matter:

# %%
a = gf.variable("a", initializer=1.0)
b = gf.variable("b", initializer=2.0)
swap = [gf.assign(a, b), gf.assign(b, a)]
with gf.Session() as sess:
    sess.run(swap)
    swapped = sess.run([a, b])
print(swapped)
assert [float(v) for v in swapped] == [2.0, 1.0]

# %% [markdown]
# ## Any tensor can be fed
#
# Feeding a tensor in the middle cuts the graph there: what lies above it is not computed.

# %%
with gf.Session() as sess:
    middle = gf.matmul(x, w, name="middle")
    print(sess.run(middle * 10.0, {middle: np.full((1, 2), 5.0)}))

# %% [markdown]
# ## Backends
#
# The same graph runs on XLA (`backend="jax"`, the default) and on plain NumPy (`backend="numpy"`),
# the reference against which everything else is tested.

# %%
feeds = {x: np.random.default_rng(0).normal(size=(4, 3))}
answers = {}
for backend in ("jax", "numpy"):
    with gf.Session(backend=backend) as sess:
        answers[backend] = sess.run(y, feeds)
print(np.abs(answers["jax"] - answers["numpy"]).max())
assert np.allclose(answers["jax"], answers["numpy"], atol=1e-6)
