# %% [markdown]
# # 6. An operator of your own
#
# Most of what a model needs can be said by a function of existing operators. This tutorial adds one
# that cannot: *isotonic regression*, the non-decreasing sequence nearest to a given one. NumPy solves
# it by pooling neighbours until nothing decreases, a loop whose course depends on the data. We teach
# it to the framework step by step: first a kernel, then a gradient, then a kernel for JAX.

# %%
import numpy as np

import graphflow as gf

# %% [markdown]
# ## A kernel is an operator
#
# `gf.op` declares it around a NumPy function, here in this file. What stands before the slash are
# tensors; the rest would be attributes. The result has the type of the input, which is the default.


# %%
@gf.op(callback=True)
def isotonic(x, /):
    """y = argmin over non-decreasing y of |y - x|^2, along the last axis."""
    return np.stack([pooled(row)[0] for row in x.reshape(-1, x.shape[-1])]).reshape(x.shape)


def pooled(row):
    """The fitted row, and for each element the number of its block."""
    sums, counts = [], []
    for value in row.astype(np.float64):
        sums.append(value)
        counts.append(1)
        while len(sums) > 1 and sums[-2] * counts[-1] > sums[-1] * counts[-2]:
            sums[-2:], counts[-2:] = [sum(sums[-2:])], [sum(counts[-2:])]
    means = np.array(sums) / counts
    return np.repeat(means, counts).astype(row.dtype), np.repeat(np.arange(len(counts)), counts)


x = gf.placeholder("x", (6,))
y = isotonic(x)
value = np.array([1.0, 3.0, 2.0, 4.0, 3.5, 3.0], np.float32)
print(y)
print(gf.Session(backend="numpy").run(y, {x: value}))

# %% [markdown]
# It is a full citizen: it is checked when built, printed with the graph, merged with an equal node,
# and works inside loops and branches. `callback=True` allows the JAX backend to stop and call the
# kernel, since it has nothing else to run; without that it would refuse, and say what is missing.

# %%
with gf.Session(backend="jax") as sess:
    fitted = sess.run(y, {x: value})
print(fitted)
assert np.allclose(fitted, [1, 2.5, 2.5, 3.5, 3.5, 3.5])
try:
    isotonic(gf.placeholder("words", (6,), dtype=gf.string))
except gf.GraphFlowError as error:
    print(error)

# %% [markdown]
# ## A gradient
#
# Asking for a gradient now is an error that tells how to declare one.

# %%
loss = gf.sum(gf.square(y))
try:
    gf.gradients(loss, [x])
except gf.GradientError as error:
    print(error)

# %% [markdown]
# Each block of the result is the mean of its part of x, so the cotangent of x is the cotangent's mean
# over the block. Blocks are where neighbours of the *result* are equal, so ordinary operators find
# them: the number of a block is the count of steps up to there, and the mean is a product with the
# matrix that says which two elements share a block. A gradient is a function that builds nodes, and
# so can be differentiated again.


# %%
@isotonic.gradient
def _(b, node, g):
    [y] = node.outputs
    same = gf.equal(gf.expand_dims(y, -1), gf.expand_dims(y, -2))
    share = gf.astype(same, g.dtype)
    share = share / gf.sum(share, axis=-1, keepdims=True)
    return gf.squeeze(gf.matmul(share, gf.expand_dims(g, -1)), -1)


(slope,) = gf.gradients(loss, [x])
(check,) = gf.check_gradients(loss, x, {x: value})
print(check)
assert check.error < 1e-6

# %% [markdown]
# ## A kernel for JAX
#
# The callback leaves the compiled program at each call. The same fit has a closed form that XLA can
# compile: y_i is the largest, over j <= i, of the smallest, over k >= i, of the mean of x_j .. x_k.
# That is cubic in memory instead of linear in time, but it stays on the device. A lowering is a
# function of traced JAX arrays; where there is one, the kernel is not called back.


# %%
@isotonic.lowering("jax")
def _(x):
    import jax.numpy as jnp

    n = x.shape[-1]
    sums = jnp.concatenate([jnp.zeros_like(x[..., :1]), jnp.cumsum(x, -1)], -1)
    j, i, k = jnp.ogrid[:n, :n, :n]
    means = (sums[..., 1:][..., None, None, :] - sums[..., :-1][..., :, None, None]) / (k - j + 1)
    least = jnp.where(k >= i, means, jnp.inf).min(-1)
    return jnp.where(j[..., 0] <= i[..., 0], least, -jnp.inf).max(-2)


with gf.Session(backend="jax") as sess:
    compiled = sess.run([y, slope], {x: value})
with gf.Session(backend="numpy") as sess:
    reference = sess.run([y, slope], {x: value})
print(compiled)
assert all(np.allclose(one, other, atol=1e-5) for one, other in zip(compiled, reference))

# %% [markdown]
# ## An expansion
#
# A third way to every target at once, gradient included, is to say an operator by others. This one
# is a smooth minimum of two tensors that broadcast; the expansion is all it has beside the kernel.


# %%
@gf.op(infer="broadcast")
def soft_minimum(x, y, /, sharpness=1.0):
    """z = -log(exp(-s x) + exp(-s y)) / s."""
    return -np.logaddexp(-sharpness * x, -sharpness * y) / np.asarray(sharpness, x.dtype)


@soft_minimum.decomposition
def _(b, node):
    x, y = node.inputs
    sharpness = node.attrs.sharpness
    return -gf.logaddexp(-sharpness * x, -sharpness * y) / sharpness


z = soft_minimum(x, 2.5, sharpness=10.0)
(of_x,) = gf.gradients(z, [x])
with gf.Session(backend="jax") as sess:
    low, rate = sess.run([z, of_x], {x: value})
print(low.round(3), rate.round(3))
assert np.allclose(low, np.minimum(value, 2.5), atol=0.07)

# %% [markdown]
# ## In a model
#
# Calibration of a classifier: scores should grow with the probability they stand for. We learn a
# scale and a shift of noisy scores so that the *isotonic* fit of the result matches the truth; the
# gradient flows through our operator in every step.

# %%
rng = np.random.default_rng(0)
truth = np.sort(rng.uniform(size=64)).astype(np.float32)
noisy = (truth - 0.3) / 2 + rng.normal(scale=0.05, size=64).astype(np.float32)

scores = gf.placeholder("scores", (64,))
wanted = gf.placeholder("wanted", (64,))
scale = gf.variable("scale", (), initializer=gf.initializers.ones())
shift = gf.variable("shift", (), initializer=gf.initializers.zeros())
error = gf.mean(gf.square(isotonic(scores * scale + shift) - wanted))
train = gf.train.Adam(0.05).minimize(error)
with gf.Session() as sess:
    before = sess.run(error, {scores: noisy, wanted: truth})
    for _ in range(200):
        sess.run(train, {scores: noisy, wanted: truth})
    after, *learned = sess.run([error, scale, shift], {scores: noisy, wanted: truth})
print(f"error {before:.4f} -> {after:.4f}, scale and shift {np.round(learned, 2)} (made with 2 and 0.3)")
assert after < before / 20

# %% [markdown]
# A saved model with such an operator loads wherever the module that declares it has been imported,
# and `isotonic.onnx(...)` would say how ONNX models name it. The manual's page on operators of your
# own lists all facets.
