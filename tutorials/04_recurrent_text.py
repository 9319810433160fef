# %% [markdown]
# # 4. Control flow, and a recurrent net that writes
#
# Python's `if` and `for` run while a graph is being built. What has to be decided, or repeated, while it
# *runs* is said with functions that take functions. We look at three of them, and then train a recurrent
# net on the letters of a poem and let it write, in one loop inside the graph.

# %%
import math
import tempfile
from pathlib import Path

import numpy as np

import graphflow as gf

# %% [markdown]
# ## A choice
#
# `gf.cond` takes a condition and two functions. Both are run once, now, to see what they build; when the
# graph runs, one of them is computed. Only that one is differentiated, too: at 0 the slope of the
# square root is infinite, but it is the other branch that counts there.

# %%
x = gf.placeholder("x", ())
root = gf.cond(x > 0, lambda: gf.sqrt(x), lambda: 0.5 * x)
(slope,) = gf.gradients(root, x)
with gf.Session(backend="numpy") as sess:
    for value in (4.0, 0.0):
        print(value, [float(one) for one in sess.run([root, slope], {x: value})])
    assert sess.run(slope, {x: 0.0}) == 0.5

# %% [markdown]
# What the functions have built are *bodies*: graphs that the node carries as attributes, the second of
# them for a condition that holds. `x` is read from outside in both; so it is an operand of the node, and a
# parameter of the bodies.

# %%
print(root.node.inputs)
print(root.node.attrs.branches[1])

# %% [markdown]
# ## A loop until something holds
#
# The carry of `gf.while_loop` is any nest of tensors. Here it is a pair: how many steps have been
# taken, and where they have led.

# %%
number = gf.placeholder("number", (), gf.int32)
steps, _ = gf.while_loop(
    lambda state: state[1] > 1,
    lambda state: (state[0] + 1, gf.where(state[1] % 2 < 1, state[1] // 2, 3 * state[1] + 1)),
    (0, number),
)
with gf.Session(backend="numpy") as sess:
    print("27 takes", sess.run(steps, {number: 27}), "steps")
    assert sess.run(steps, {number: 27}) == 111

# %% [markdown]
# ## A recurrence
#
# `gf.scan` runs over the slices of a sequence, with a carry from step to step, and stacks what each step
# gives. The sequence may be of any length: its size is a symbol. `rate * 2` is the same in all steps, so
# the optimizer takes it out of the loop: that is `invariant_steps` in the report.

# %%
series = gf.placeholder("series", ("time",))
rate = gf.variable("rate", initializer=0.25)


def smooth(level, value):
    level = level + (rate * 2) * (value - level)
    return level, level


last, levels = gf.scan(smooth, 0.0, series)
(slope,) = gf.gradients(last, rate)
print(last.node.attrs.body)
with gf.Session() as sess:
    print(sess.run([levels, slope], {series: [1.0, 1.0, 1.0, 5.0]}))
    report = sess.explain([levels, slope])
print(report)

# %% [markdown]
# The gradient of a scan is a scan in the other direction. It needs values of the steps on the way there;
# so the scan is built once more with these as further results, and the optimizer lets the two become
# one: two loops are left of the three.

# %%
loops = [[node.op.name for node in one.order()].count("scan") for one in (report.original, report.optimized)]
print("loops before and after:", loops)
assert loops == [3, 2]

# %% [markdown]
# ## A net that reads letters
#
# Each letter becomes a vector, a layer of 96 LSTM cells reads them one after the other, and a dense layer
# says which letter it expects next. The layer gives its last state, too, and takes a first one: that is
# all it remembers, so a text can be read in parts. We shall need that for writing, and the model twice;
# `gf.layers.shared` makes a function whose layers are the same in each call.

# %%
poem = gf.data.text()
alphabet = sorted(set(poem))
codes = np.array([alphabet.index(letter) for letter in poem], np.int32)
UNITS, WINDOW, BATCH, STEPS = 96, 48, 16, 300


def read(letters, state):
    vectors = gf.layers.embedding(letters, len(alphabet), 32)
    hidden, state = gf.layers.lstm(vectors, UNITS, initial_state=state)
    return gf.layers.dense(hidden, len(alphabet)), state


model = gf.layers.shared(read, name="model")
letters = gf.placeholder("letters", ("batch", "window"), gf.int32)
following = gf.placeholder("following", ("batch", "window"), gf.int32)
logits, _ = model(letters, None)
loss = gf.nn.cross_entropy(logits, following)
weights = [w for name, w in logits.graph.variables.items() if name.startswith("model/")]
print(len(weights), "variables,", sum(math.prod(w.shape) for w in weights), "numbers")

# %% [markdown]
# ## Training
#
# A gradient that has come through many steps of a recurrence may suddenly be very long. `clip_norm` scales
# all gradients together so that their common norm is at most 0.25; the norm before that is a tensor like
# any other, and we watch it.

# %%
norm = gf.train.global_norm(gf.gradients(loss, weights))
method = gf.train.Adam(gf.train.schedules.cosine(1e-2, STEPS), clip_norm=0.25)
train = method.minimize(loss, weights)

sess = gf.Session(seed=0)
rng = np.random.default_rng(0)
for step in range(STEPS):
    starts = rng.integers(0, len(codes) - WINDOW, BATCH)
    windows = codes[starts[:, None] + np.arange(WINDOW + 1)]
    _, value, length = sess.run([train, loss, norm], {letters: windows[:, :-1], following: windows[:, 1:]})
    if step % 50 == 0 or step == STEPS - 1:
        print(f"step {step:3d}: {value / math.log(2):.2f} bits a letter, gradients of norm {length:.2f}")
assert value / math.log(2) < 2.5

# %% [markdown]
# ## Writing, in one loop
#
# First the model reads a prompt. Then each step of a scan draws a letter from what the model expects, and
# reads that. It has no sequence, so `length` says how many steps there are. The layer's own loop over time,
# of one letter, lies inside of it; its variables are those that were trained.
#
# The random numbers of a loop are different in each step: the number of the step goes into their key.
# The key depends on the seed and the count of training steps, so the same session writes the same again.

# %%
prompt = gf.placeholder("prompt", (1, "read"), gf.int32)
expected, state = model(prompt, None)


def write(carry, _):
    likely, state = carry
    letter = gf.random.categorical(likely / 0.5)
    likely, state = model(gf.expand_dims(letter, 1), state)
    return (likely[:, 0], state), letter[0]


_, text = gf.scan(write, (expected[:, -1], state), length=200)
opening = "The Walrus"
drawn = sess.run(text, {prompt: [[alphabet.index(letter) for letter in opening]]})
written = opening + "".join(alphabet[letter] for letter in drawn)
print(written)
again = sess.run(text, {prompt: [[alphabet.index(letter) for letter in opening]]})
assert np.array_equal(drawn, again) and len(set(written)) > 10

# %% [markdown]
# ## What is in the loop, and a picture
#
# What a step adds for its letter does not need the state. So it is one product of matrices for all letters
# of all windows, before the loop; what is left inside is the product with the state.

# %%
order = sess.explain(logits).optimized.order()
(loop,) = [node for node in order if node.op.name == "scan"]
inside = [node.op.name for node in loop.attrs.body.order() if node.op.name != "placeholder"]
print("before and after the loop:", [node.op.name for node in order].count("matmul"), "products")
print("inside:", inside)
assert inside.count("matmul") == 1

with tempfile.TemporaryDirectory() as folder:
    picture = gf.viz.render(logits.graph, Path(folder) / "recurrent.svg")
    print(Path(picture).stat().st_size, "bytes of SVG")
sess.close()
