# %% [markdown]
# # 9. Reading an explain report
#
# What does the optimizer do to a network, what did each step buy, and why did it leave the rest alone?
# One report answers; here we read it line by line.

# %%
import json
import tempfile
from pathlib import Path

import numpy as np

import graphflow as gf
from graphflow.optimizer.report_json import read_report

# %% [markdown]
# ## A network with something to find
#
# A classifier as people write it: a factor that is 1, a loss built of log and softmax, the same product
# twice, and a value that nobody reads.

# %%
x = gf.placeholder("x", (32, 64))
labels = gf.placeholder("labels", (32, 10))
with gf.name_scope("hidden"):
    w = gf.variable("w", (64, 128), initializer=gf.initializers.glorot_uniform())
    h = gf.nn.relu(gf.matmul(x, w) * 1.0)
    again = gf.nn.relu(gf.matmul(x, w))
with gf.name_scope("head"):
    v = gf.variable("v", (128, 10), initializer=gf.initializers.glorot_uniform())
    logits = gf.matmul((h + again) * gf.sqrt(gf.constant(0.25)), v)
    unused = gf.exp(logits) * 3.0
    loss = -gf.mean(gf.sum(labels * gf.log(gf.nn.softmax(logits)), axis=-1), name="loss")
gradients = gf.gradients(loss, [w, v])

sess = gf.Session(backend="numpy")
report = sess.explain([loss, *gradients])
print(report)

# %% [markdown]
# From the top:
#
# * **as built / after O2**: nodes, floating-point operations and weights of the whole program, and the
#   arena that its [memory plan](../docs/memory.md) needs.
# * **pass**: what each pass changed. Bytes are what all nodes read and write, so they fall where a
#   temporary array goes. Passes that changed nothing share one line.
# * **rule**: how often each rule fired, what its edits saved, by how much they moved the peak, and how long
#   it took, including the nodes at which it did not fire. Over all rules, nodes, FLOP and bytes add up to
#   what the totals differ by. The last column is its safety class (exact,
#   finite, rounding) and the evidence for it (proved, exhaustive, sampled, assumed).
# * **declined**: rules that fitted but had a reason not to fire, with your line.
#
# The same numbers are there as values:

# %%
first, last = report.meter.passes[0].before, report.meter.passes[-1].after
print(f"{first.nodes} -> {last.nodes} nodes, {first.bytes / last.bytes:.2f} times the bytes before")
slowest = max((line for line in report.lines if line.seconds), key=lambda line: line.seconds)
print(f"the slowest rule: {slowest.rule}, evidence: {slowest.evidence}")
assert last.nodes < first.nodes and last.bytes < first.bytes
assert sum(line.bytes for line in report.lines) == last.bytes - first.bytes

# %% [markdown]
# ## One tensor, from the line to what runs
#
# `hidden/matmul_1` was a second copy of a product; `log` became part of a stable form, whose last line goes
# back to the nodes that you made.

# %%
print(report.of("hidden/matmul_1"))
print(report.of("head/log"))

# %% [markdown]
# ## Why not?
#
# `missed` lists declines of a pass, a rule, or a family of rules; `why_not` asks about one rule, or a pass
# such as `fuse`, at one node: not admitted at this level, a pattern that does not fit (and what does not),
# or a decline.

# %%
for remark in report.missed():
    print(remark)
print(report.why_not("log_of_one_plus", "head/log"))
print(report.why_not("neutral_element", "head/loss"))
print(report.why_not("fuse", "head/matmul"))
try:
    report.missed("log_of_softmx")
except gf.GraphFlowError as error:
    print(error.message, "-", error.hint)

# %% [markdown]
# ## Before and after one pass
#
# The optimizer is deterministic, so a report can take the program to any point on its way. `diff` puts the
# program before a pass beside that after it, as text or as one page to look at offline; `draw_pass` draws it.

# %%
difference = report.diff("canonicalize")
print(difference.counts())
folder = Path(tempfile.mkdtemp())
difference.save_html(folder / "canonicalize.html")
gf.viz.draw_pass(report, folder / "canonicalize.svg", "canonicalize")
print([len(report.replay(steps)) for steps in range(0, report.journal.edits + 1, 4)], "nodes, each 4 edits")

# %% [markdown]
# ## Leaving things out
#
# What would be lost without a rule, or a family? Exclude it, and compare. A budget is another way: a pass
# that is over it stops with a program that is right, and the report says that it did.

# %%
for excluded in ([], ["stabilize"], ["fold"]):
    with gf.Session(backend="numpy", exclude=excluded) as other:
        print(excluded or "everything", other.explain([loss, *gradients]).after.nodes, "nodes")
with gf.Session(backend="numpy", pipeline="eliminate,canonicalize{max-nodes=4}") as other:
    print(str(other.explain([loss, *gradients])).splitlines()[-1])

# %% [markdown]
# ## For tools
#
# JSON has every edit; its schema is in `graphflow/optimizer/report_json.py`, and it can be read again. On the
# command line: `graphflow explain MODEL --json edits.json`. There, `--backend jax --size batch=32` explains
# what a session of that backend runs.

# %%
text = report.to_json()
saved = read_report(text)
assert saved.to_json() == text
print(len(text), "characters,", len(saved.entries), "edits, first:", json.dumps(saved.entries[0])[:90])

# %% [markdown]
# Measuring is for reports alone: a session that runs has neither clock nor plans in its optimizer, and gives
# the same program.

# %%
feeds = {x: np.ones((32, 64), np.float32), labels: np.eye(10, dtype=np.float32)[np.arange(32) % 10]}
with gf.Session(backend="numpy", level="O0") as plain:
    np.testing.assert_allclose(sess.run(loss, feeds), plain.run(loss, feeds), rtol=1e-5)
print("the same loss:", float(sess.run(loss, feeds)))
