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
# `y` is no array. It is a *tensor*: output 0 of the node that adds, with a dtype and a shape, and no
# value. Its name, `add:0`, says that.
#
# The whole graph can be printed, one node a line: its name and type, the operator, what it reads, and
# the line of this file that made it. Floats are in hex, so that no bit is lost (0x1p+0 is 1.0). The
# same text is what a saved model contains, and it can be read back.

# %%
print(y.graph)

# %% [markdown]
# Shapes and dtypes are inferred while you build, so a mistake shows up on the line that makes it, not
# in the middle of a run. The message tells the operands, where they were made, and a way out:

# %%
try:
    gf.matmul(x, gf.constant(np.ones((4, 2), np.float32)))
except gf.GraphFlowError as error:
    print(error)

# %% [markdown]
# ## Running
#
# A session binds the current graph. `run` takes what you want to know (a tensor, or lists and dicts
# of them) and what you know (a value for each placeholder that is needed), and computes just what
# is needed for it.

# %%
with gf.Session() as sess:
    value = sess.run(y, {x: [[1.0, 2.0, 3.0]]})
    print(value)
    print(sess.run({"answer": y, "weights": w}, {x: np.zeros((0, 3))}))
assert np.array_equal(value, [[7.0, 7.0]])

# %% [markdown]
# The symbolic size took its value from the feed: 1, then 0. Every tensor that mentions `batch` has
# to agree, and the message names both feeds if they do not:

# %%
other = gf.placeholder("other", ("batch", 2))
with gf.Session() as sess:
    print(sess.run(y * other, {x: np.ones((2, 3)), other: np.ones((2, 2))}))
    try:
        sess.run(y * other, {x: np.ones((2, 3)), other: np.ones((5, 2))})
    except gf.FeedError as error:
        print(error)

# %% [markdown]
# ## Variables change only through updates
#
# The session keeps the values of variables from run to run. `gf.assign` describes a change; fetching
# it applies the change when the run ends, and gives None. Inside the run, every read gives the value
# from its start: here the run that adds 1 still fetches the old value.

# %%
count = gf.variable("count", initializer=0)
increment = gf.assign(count, count + 1)
with gf.Session() as sess:
    print(sess.run([count, increment]), sess.run(count))

# %% [markdown]
# So a run is a pure function of the state and the feeds, all updates of a run happen together, and
# their order cannot matter. Two variables can swap their values:

# %%
a = gf.variable("a", initializer=1.0)
b = gf.variable("b", initializer=2.0)
swap = [gf.assign(a, b), gf.assign(b, a)]
with gf.Session() as sess:
    sess.run(swap)
    swapped = [float(value) for value in sess.run([a, b])]
print(swapped)
assert swapped == [2.0, 1.0]

# %% [markdown]
# ## Any tensor can be fed
#
# Feeding a tensor in the middle cuts the graph there: what lies above it is not computed, so `x`
# need not be fed.

# %%
middle = gf.matmul(x, w, name="middle")
scaled = middle * 10.0
with gf.Session() as sess:
    print(sess.run(scaled, {middle: np.full((1, 2), 5.0)}))

# %% [markdown]
# Note that `scaled` was built before the session ran. Building inside a loop of runs would make the
# graph grow, and compile it anew, each time round; the session warns about that.
#
# ## Compiling
#
# A program is compiled once for each set of fetches and sizes. The session tells when and why:

# %%
with gf.Session() as sess:
    for rows in (1, 2, 2, 1):
        sess.run(y, {x: np.ones((rows, 3))})
    causes = [record.cause for record in sess.compiles]
print(causes)
assert len(causes) == 2

# %% [markdown]
# ## Backends
#
# The same graph runs on XLA (`backend="jax"`, the default) and on plain NumPy (`backend="numpy"`),
# the reference against which everything else is tested. They agree up to rounding.

# %%
feeds = {x: np.random.default_rng(0).normal(size=(4, 3))}
answers = {}
for backend in ("jax", "numpy"):
    with gf.Session(backend=backend) as sess:
        answers[backend] = sess.run(y, feeds)
print(np.abs(answers["jax"] - answers["numpy"]).max())
assert np.allclose(answers["jax"], answers["numpy"], atol=1e-6)
