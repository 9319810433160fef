# %% [markdown]
# # 7. Second-order methods
#
# Gradients are nodes, so the gradient of a gradient is one more call. That gives curvature: products
# with the Hessian at the price of two gradients, Newton's method, Gauss-Newton, and the largest
# eigenvalue of a Hessian that is never formed. Loops run inside the graph.

# %%
import tempfile
from pathlib import Path

import numpy as np

import graphflow as gf

rng = np.random.default_rng(0)

# %% [markdown]
# ## Hessian-vector products
#
# Logistic regression on two overlapping clouds. `gf.hessian_vector_product` differentiates the inner
# product of the gradient with a direction. This Hessian has a closed form, X^T diag(p (1 - p)) X / n
# plus the penalty's, so NumPy can check.

# %%
count, size = 400, 20
labels = rng.integers(0, 2, count).astype(np.float32)
features = rng.normal(size=(count, size)) * np.linspace(0.2, 3.0, size) + labels[:, None] * 0.3
features = features.astype(np.float32)
decay = 1e-2


def loss_of(w, x, label):
    """The mean logistic loss with a quadratic penalty."""
    score = gf.matmul(x, w)
    return gf.mean(gf.logaddexp(0.0, score) - label * score) + 0.5 * decay * gf.sum(gf.square(w))


x = gf.placeholder("x", (count, size))
label = gf.placeholder("label", (count,))
w = gf.variable("w", (size,), initializer=gf.initializers.zeros())
loss = loss_of(w, x, label)
direction = gf.placeholder("direction", (size,))
(product,) = gf.hessian_vector_product(loss, [w], [direction])

data = {x: features, label: labels}
along = rng.normal(size=size).astype(np.float32)
with gf.Session() as sess:
    found = sess.run(product, {x: features, direction: along})  # labels do not bend the loss


def hessian_of(w):
    """The Hessian in closed form, in double precision."""
    p = 1 / (1 + np.exp(-features.astype(float) @ w))
    return features.T * (p * (1 - p)) @ features / count + decay * np.eye(size)


print(np.abs(found - hessian_of(np.zeros(size)) @ along).max())
assert np.allclose(found, hessian_of(np.zeros(size)) @ along, atol=1e-4)

# %% [markdown]
# ## The steepest direction
#
# Power iteration: multiply by the Hessian and normalise, again and again. `gf.scan` makes it one node
# whose body is a step; what a step returns second is stacked, so the estimates come back as a
# sequence. Inside of a body, gradients are taken with respect to what the body holds: the weights are
# carried along.


# %%
def power_step(carry, _):
    weights, v = carry
    (hv,) = gf.hessian_vector_product(loss_of(weights, x, label), [weights], [v])
    return (weights, hv / gf.linalg.vector_norm(hv)), gf.vecdot(v, hv)


start = gf.constant((np.ones(size) / np.sqrt(size)).astype(np.float32))
(_, steepest), estimates = gf.scan(power_step, (w, start), length=40)
with gf.Session() as sess:
    values, vector = sess.run([estimates, steepest], data)
eigenvalues, eigenvectors = np.linalg.eigh(hessian_of(np.zeros(size)))
print(values[[0, 1, 2, 5, 10, 39]], "exact:", eigenvalues[-1])
assert np.isclose(values[-1], eigenvalues[-1], rtol=1e-3)
print("condition number", eigenvalues[-1] / eigenvalues[0])

# %% [markdown]
# Gradient descent needs a step below 2 / the largest eigenvalue, and then creeps along the flat
# directions.
#
# ## Newton's method, with conjugate gradients in the graph
#
# A Newton step solves H d = g. Conjugate gradients need only products with H and stop by themselves,
# so they are a `gf.while_loop`: the carries are the state, and the loop ends when the residual is
# small.


# %%
def conjugate_gradients(multiply, right, steps=30, tolerance=1e-10):
    """The solution d of A d = right, for a symmetric positive definite A given by its products."""

    def going(state):
        return state[-1] > tolerance

    def step(state):
        d, residual, towards, square = state
        image = multiply(towards)
        length = square / gf.vecdot(towards, image)
        residual = residual - length * image
        rest = gf.vecdot(residual, residual)
        return d + length * towards, residual, residual + (rest / square) * towards, rest

    init = (gf.zeros_like(right), right, right, gf.vecdot(right, right))
    return gf.while_loop(going, step, init, max_steps=steps)[0]


# %% [markdown]
# `multiply` is called inside the loop, where w comes from outside; `gf.identity` makes the tensor of
# the body with respect to which the loss is differentiated there.


# %%
def hessian_product(v):
    """H v at the current weights."""
    here = gf.identity(w)
    return gf.hessian_vector_product(loss_of(here, x, label), [here], [v])[0]


(gradient,) = gf.gradients(loss, [w])
newton = gf.assign(w, w - conjugate_gradients(hessian_product, gradient))
descent = gf.train.SGD(1.9 / float(eigenvalues[-1])).minimize(loss)

with gf.Session() as sess:
    by_newton = []
    for _ in range(6):
        by_newton.append(float(sess.run([newton, loss], data)[1]))
with gf.Session() as sess:
    by_descent = [float(sess.run([descent, loss], data)[1]) for _ in range(200)]
print("Newton  ", np.round(by_newton, 6))
print("descent ", np.round(by_descent[::40], 6))

weights = np.zeros(size)
for _ in range(10):
    p = 1 / (1 + np.exp(-features.astype(float) @ weights))
    exact = features.T.astype(float) @ (p - labels) / count + decay * weights
    weights -= np.linalg.solve(hessian_of(weights), exact)
score = features.astype(float) @ weights
best = np.mean(np.logaddexp(0, score) - labels * score) + decay / 2 * weights @ weights
print("minimum ", round(best, 6))
assert np.isclose(by_newton[-1], best, rtol=1e-5)
assert by_newton[-1] <= by_descent[-1]

# %% [markdown]
# Newton's steps double the number of right digits; descent is still on its way after 200. One step
# costs about 30 products here, but few steps are needed, and no step size has to be chosen.
#
# The loop and its body are one node of the graph, and the picture shows what is inside:

# %%
pictures = Path(tempfile.mkdtemp())
print(gf.viz.render(newton, pictures / "newton.svg", title="One Newton step", budget=40))

# %% [markdown]
# ## Gauss-Newton
#
# For least squares, 1/2 |r(w)|^2, the Hessian is close to J^T J, where J is the Jacobian of the
# residuals: always positive, and again only products are needed. J v is forward mode (`gf.jvp`), and
# J^T u reverse mode (`gf.vjp`). If the noise is Gaussian, J^T J is the Fisher matrix up to a factor, so
# the same step is that of the natural gradient. We fit a damped oscillation.

# %%
time = np.linspace(0, 4, 80).astype(np.float32)
true = np.array([2.0, 0.7, 5.0], np.float32)


def wave(w, t):
    """a exp(-b t) cos(c t)."""
    return w[0] * gf.exp(-w[1] * t) * gf.cos(w[2] * t)


measured = true[0] * np.exp(-true[1] * time) * np.cos(true[2] * time)
measured = (measured + rng.normal(scale=0.02, size=80)).astype(np.float32)

guess = gf.variable("guess", (3,), initializer=gf.initializers.value([1.0, 1.0, 4.6]))
residual = wave(guess, time) - measured
squares = 0.5 * gf.sum(gf.square(residual))


def gauss_newton_product(v):
    """(J^T J + damping) v."""
    here = gf.identity(guess)
    curve = wave(here, time)
    (forward,) = gf.jvp(curve, here, [v])
    (back,) = gf.vjp(curve, here, [forward])
    return back + 1e-3 * v


(slope,) = gf.vjp(residual, guess, [residual])
fit = gf.assign(guess, guess - conjugate_gradients(gauss_newton_product, slope, steps=3))
with gf.Session() as sess:
    errors = [float(sess.run([fit, squares])[1]) for _ in range(8)]
    fitted = sess.run(guess)
print(np.round(errors, 4), fitted)
assert np.allclose(fitted, true, atol=0.05)

jacobian = np.stack(
    [
        np.exp(-fitted[1] * time) * np.cos(fitted[2] * time),
        -time * fitted[0] * np.exp(-fitted[1] * time) * np.cos(fitted[2] * time),
        -time * fitted[0] * np.exp(-fitted[1] * time) * np.sin(fitted[2] * time),
    ],
    axis=1,
)
vector = np.array([1.0, -1.0, 0.5], np.float32)
with gf.Session() as sess:
    products = sess.run(gauss_newton_product(gf.constant(vector)), {guess: fitted})
print(products, (jacobian.T @ jacobian + 1e-3 * np.eye(3)) @ vector)
assert np.allclose(products, (jacobian.T @ jacobian + 1e-3 * np.eye(3)) @ vector, rtol=1e-3)

# %% [markdown]
# ## All of the Hessian
#
# For few parameters `gf.hessian` gives the whole matrix. Its inverse at the minimum, times the noise,
# says how sure the fit is of each parameter.

# %%
with gf.Session() as sess:
    curvature = sess.run(gf.hessian(squares, guess), {guess: fitted})
spread = np.sqrt(2 * errors[-1] / (80 - 3) * np.diag(np.linalg.inv(curvature.astype(float))))
for name, value, deviation, wanted in zip("abc", fitted, spread, true):
    print(f"{name} = {value:.3f} +- {deviation:.3f}   (made with {wanted:g})")
assert np.all(np.abs(fitted - true) < 5 * spread)
