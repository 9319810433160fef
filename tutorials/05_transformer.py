# %% [markdown]
# # 5. A small transformer
#
# A language model says which letter comes next. We train one on a poem of 3,275 letters, let it write
# with a cache of what it has read, and look at what the optimizer makes of it. It learns the poem by
# heart, of course: the text is a thousand times too short for anything else. What the parts do, and that
# they agree with one another, is the same at any size.

# %%
import math
import tempfile
from pathlib import Path

import numpy as np

import graphflow as gf

poem = gf.data.text()
alphabet = sorted(set(poem))
codes = np.array([alphabet.index(letter) for letter in poem], np.int32)
print(f"{len(poem)} letters, {len(alphabet)} different ones")
print(poem[:68])

# %% [markdown]
# ## The model
#
# Two blocks of attention and a dense net, each added to what comes in. `causal` keeps a letter from
# seeing those behind it; `rotary` turns queries and keys by their positions, so that their products tell
# how far apart two letters are; and two heads of queries share a head of keys and values (`kv_heads`),
# which halves the cache that we shall need for writing.
#
# We need the model twice: on whole windows of text for training, and on one letter at a time, with a
# cache, for writing. `gf.layers.shared` makes a function whose layers are the same in each call: the
# first call creates the variables, the others find them.

# %%
HEADS, KV_HEADS, FEATURES, BLOCKS, WINDOW = 4, 2, 64, 2, 96


def read(letters, caches):
    x = gf.layers.embedding(letters, len(alphabet), FEATURES)
    moved = []
    for cache in caches:
        x = gf.layers.transformer_block(
            x, HEADS, hidden=128, causal=True, rotary=True, kv_heads=KV_HEADS, cache=cache
        )
        if cache is not None:
            x, new = x
            moved.append(new)
    return gf.layers.dense(gf.layers.layer_norm(x), len(alphabet)), moved


model = gf.layers.shared(read, name="model")

letters = gf.placeholder("letters", ("batch", "time"), dtype=gf.int32)
following = gf.placeholder("following", ("batch", "time"), dtype=gf.int32)
logits, _ = model(letters, [None] * BLOCKS)
loss = gf.nn.cross_entropy(logits, following)
weights = list(logits.graph.variables.values())
print(len(weights), "variables,", sum(math.prod(w.shape) for w in weights), "numbers")

# %% [markdown]
# ## Training
#
# A model that knows nothing needs log2(51) = 5.7 bits a letter, one that knows how often each letter
# occurs about 4.5. Anything below that has to come from the letters before.

# %%
STEPS, BATCH = 300, 12
train = gf.train.AdamW(gf.train.schedules.cosine(5e-3, STEPS), clip_norm=1.0).minimize(loss)
shares = np.bincount(codes) / len(codes)
by_frequency = -float(np.sum(shares * np.log2(shares)))
print(f"by frequency alone: {by_frequency:.2f} bits a letter")

sess = gf.Session(seed=0)
rng = np.random.default_rng(0)
for step in range(STEPS):
    starts = rng.integers(0, len(codes) - WINDOW, BATCH)
    windows = codes[starts[:, None] + np.arange(WINDOW + 1)]
    _, value = sess.run([train, loss], {letters: windows[:, :-1], following: windows[:, 1:]})
    if step % 50 == 0 or step == STEPS - 1:
        print(f"step {step:3d}: {value / math.log(2):.2f} bits a letter")
assert value / math.log(2) < 0.6 * by_frequency

# %% [markdown]
# ## Writing, with a cache
#
# To write a letter the model looks at all letters before it. Without a cache it would compute the keys
# and values of the whole text again for each letter; they have not changed, since no letter sees what
# comes behind it. So they are kept in variables, and a run moves them on: `assign` gives one Update for all
# of a cache. There is room for one window, as the model has never seen letters farther apart than that.
#
# The letter itself is drawn in the graph. A run that contains an Update is a step, and every step
# has its own random numbers: the same seed writes the same text again.

# %%
caches = [gf.layers.attention_cache(1, KV_HEADS, WINDOW, FEATURES // HEADS) for _ in range(BLOCKS)]
few = gf.placeholder("few", (1, "few"), dtype=gf.int32)
said, moved = model(few, caches)
advance = gf.group(*[cache.assign(new) for cache, new in zip(caches, moved)])
drawn = gf.random.categorical(said[:, -1:] / 0.4)
assert all(variable.name.startswith("model/") for variable in weights)

prompt = "The Walrus"
written = list(prompt)
next_letter, _ = sess.run([drawn, advance], {few: [[alphabet.index(letter) for letter in prompt]]})
before = len(sess.compiles)
while len(written) < WINDOW:
    written.append(alphabet[int(next_letter[0, 0])])
    next_letter, _ = sess.run([drawn, advance], {few: next_letter})
print("".join(written))
print(len(sess.compiles) - before, "program compiled for all single letters")

# %% [markdown]
# ## Is it the same model?
#
# What the cache gives, letter by letter, has to be what one pass over the whole text gives. `restart`
# sets the position back to 0; what lies behind it is never read.

# %%
restart = gf.group(*[cache.restart() for cache in caches])
sess.run(restart)
line = codes[:40][None]
whole = sess.run(logits, {letters: line})
single = [sess.run([said, advance], {few: line[:, place : place + 1]})[0] for place in range(40)]
difference = float(np.max(np.abs(np.concatenate(single, axis=1) - whole)))
print(f"largest difference: {difference:.1e}")
assert difference < 1e-3

# %% [markdown]
# ## What the optimizer did
#
# Every block computes the cosines and sines of its rotation, and the mask, as if it were alone. They are
# equal in both, so `merge_twins` keeps one of each; what a shared layer computes twice from the same
# letters would meet the same fate. The cache and the training are not among what the logits need.

# %%
report = sess.explain(logits)
print(report)
assert report.after.nodes < report.before.nodes

# %% [markdown]
# ## A picture
#
# Each block is a name scope, so the picture can show it as one box.

# %%
with tempfile.TemporaryDirectory() as folder:
    picture = gf.viz.render(logits.graph, Path(folder) / "transformer.svg")
    print(Path(picture).stat().st_size, "bytes of SVG")
sess.close()
