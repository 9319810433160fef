# %% [markdown]
# # 2. Gradients
#
# `gf.gradients` does not compute numbers. It adds nodes to the graph: the derivative is a
# computation like any other, so it is optimized, printed, drawn, saved, and differentiated again in
# the same way.

# %%
import numpy as np

import graphflow as gf

# %%
x = gf.placeholder("x", ())
y = gf.sin(x) * x
(slope,) = gf.gradients(y, [x])
with gf.Session() as sess:
    print(sess.run([y, slope], {x: 1.0}))
    value = sess.run(slope, {x: 1.0})
assert np.isclose(value, np.cos(1.0) + np.sin(1.0))

# %% [markdown]
# What was added is readable: it lies in the scope `gradients`. The sweep starts from the constant 1,
# which belongs to the call of `gf.gradients`; every other new node points at the line of the forward
# computation that it belongs to, so messages about the backward half lead to your model:

# %%
for node in y.graph:
    print(f"{node.name:24} {node.op.name:12} {node.origin}")

# %% [markdown]
# (The multiplication by 1 stays in your graph; the optimizer leaves it out of what runs.)
#
# ## How it works
#
# One sweep runs from the result backwards. For each node it knows the *cotangent* of the output,
# that is the derivative of the result with respect to it, and asks the operator for the cotangents
# of the inputs. For a product z = x y these are g y and g x. Where a tensor is used twice its
# cotangents add up; where broadcasting copied a value they are summed:

# %%
bias = gf.variable("bias", (2,), initializer=gf.initializers.zeros())
rows = gf.placeholder("rows", ("n", 2))
(of_bias,) = gf.gradients(gf.sum(gf.square(rows + bias)), [bias])
print(of_bias)
with gf.Session() as sess:
    total = sess.run(of_bias, {rows: [[1.0, 2.0], [3.0, 4.0]]})
print(total)
assert np.array_equal(total, [8.0, 12.0])

# %% [markdown]
# ## Higher orders
#
# Since gradients are nodes, differentiating them again needs nothing new:

# %%
(curvature,) = gf.gradients(slope, [x])
with gf.Session() as sess:
    second = sess.run(curvature, {x: 1.0})
print(second)
assert np.isclose(second, 2 * np.cos(1.0) - np.sin(1.0))

# %% [markdown]
# ## When there is no gradient
#
# Rounding is flat almost everywhere, so its derivative is zero, and the default gives a zero tensor.
# In training that is rarely what was meant; `unconnected="raise"` tells where the path breaks:

# %%
try:
    gf.gradients(gf.round(x) * 2.0, [x], unconnected="raise")
except gf.GradientError as error:
    print(error)

# %% [markdown]
# ## Checking
#
# `gf.check_gradients` compares the symbolic gradient with a difference quotient, in float64, along a
# random direction. It raises if they differ, and returns the two numbers otherwise.

# %%
point = gf.placeholder("point", (5,))
checks = gf.check_gradients(gf.sum(gf.tanh(point) * point), point, {point: np.linspace(-1, 1, 5)})
print(checks)
assert checks[0].error < 1e-6

# %% [markdown]
# ## Training is gradients and assignments
#
# A training method does nothing magical: it takes the gradients and builds one Update, a group of
# assignments. This is linear regression by hand, and by `gf.train.SGD`; both come close to the
# weights 1, -2, 0.5 that made the data, and agree with each other to the last bit. Each session
# starts from the initial weights again.

# %%
rng = np.random.default_rng(0)
inputs = rng.normal(size=(64, 3)).astype(np.float32)
targets = inputs @ np.array([1.0, -2.0, 0.5], np.float32)

data = gf.placeholder("data", (64, 3))
goal = gf.placeholder("goal", (64,))
weights = gf.variable("weights", (3,), initializer=gf.initializers.zeros())
loss = gf.mean(gf.square(gf.matmul(data, weights) - goal))
by_hand = gf.assign(weights, weights - 0.1 * gf.gradients(loss, [weights])[0])
by_method = gf.train.SGD(0.1).minimize(loss)

results = []
for step in (by_hand, by_method):
    with gf.Session() as sess:
        for _ in range(50):
            sess.run(step, {data: inputs, goal: targets})
        results.append(sess.run(weights))
print(results)
assert np.array_equal(*results)
assert np.allclose(results[0], [1.0, -2.0, 0.5], atol=1e-2)
