# %% [markdown]
# # 8. Bisecting a miscompile
#
# The optimizer rewrites what you built. Here we read what it did, teach it a rule of our own, get that
# rule wrong, and let GraphFlow find out: which tensor, which edit, and the smallest graph that shows it.

# %%
import tempfile
import warnings
from pathlib import Path

import numpy as np

import graphflow as gf
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.rule import decline, rule

# %% [markdown]
# ## Reading a report
#
# A model with some slack in it: products with 1, a softmax under a logarithm, and a loop.

# %%
x = gf.placeholder("x", ("batch", 8))
with gf.name_scope("encoder"):
    h = x
    for _ in range(12):
        h = gf.tanh(h * 1.0) + gf.nn.sigmoid(h) * 0.5
with gf.name_scope("loop"):
    state, _ = gf.scan(lambda c, row: (gf.sin(c + row * 1.0), c), gf.zeros(8), h)
logp = gf.log(gf.nn.softmax(h + state), name="logp")
model = gf.Model(inputs=[x], outputs={"logp": logp, "state": state})

report = gf.optimize(model).report
print(report)

# %% [markdown]
# Every line is a rule that fired, with its safety class and the evidence for it. `of` tells the story of
# one tensor, and `why_not` the reason for what did not happen.

# %%
print(report.of("logp"))
print(report.why_not("log_of_softmax", "encoder/tanh"))
print(report.why_not("log_of_one_plus", "logp"))

# %% [markdown]
# The optimizer is deterministic, so every point on its way can be visited again.

# %%
edits = report.journal.edits
print([len(report.replay(steps)) for steps in (0, edits // 2, edits)], "nodes after 0, half and all edits")
print(report.diff("bodies"))

# %% [markdown]
# ## Writing a rule
#
# A rule is a pattern and a replacement, with a safety class and the algebra in its docstring. This one
# computes a sigmoid by a softplus, and declines for other dtypes than float32. The tag lets O2 admit it.

# %%
(X,) = variables("X")


@rule(P.sigmoid(X), safety="rounding", evidence="assumed", tags="stabilize")
def sigmoid_by_softplus(match, b):
    """sigmoid(x) = exp(-softplus(-x))."""
    if match.X.dtype.name != "float32":
        return decline(f"{match.X.dtype} is not worth it")
    return b.exp(b.negative(b.softplus(b.negative(match.X))))


checked = gf.prove.check(model, rules=[sigmoid_by_softplus], backends=["numpy"])
print(checked)
assert checked.passed

# %% [markdown]
# It passes: below a rule that rounds, differences within rounding are permitted. At O1, which admits
# exact rules only, it never fires, and all is equal to the bit, NaN and infinities included.
#
# ## Planting a miscompile
#
# Now the same rule with a slip that types do not catch: x in place of -x. The right answer and the
# wrong one have the same dtype and shape.


# %%
@rule(P.sigmoid(X), safety="rounding", evidence="assumed", tags="stabilize")
def sigmoid_by_softplus_wrongly(match, b):
    """sigmoid(x) = exp(-softplus(-x)), with a slip."""
    return b.exp(b.negative(b.softplus(match.X)))


wrong = [sigmoid_by_softplus_wrongly]
checked = gf.prove.check(model, rules=wrong, backends=["numpy"], levels=["O2"])
print(checked)
assert not checked.passed and checked.rows[0].parting.tensor == "encoder/sigmoid"

# %% [markdown]
# `check` compares every tensor that still has a counterpart, so it names the first one that parts, with
# the line of this file. `bisect` goes on to the edit: it replays half of the edits, looks at the answer,
# takes half of what is left, and so on.

# %%
inputs = gf.prove.generate(model)
folder = Path(tempfile.mkdtemp())
found = gf.prove.bisect(model, inputs, rules=wrong, folder=folder)
print(found)
assert found.entry.rule == "sigmoid_by_softplus_wrongly"

# %% [markdown]
# What it wrote is a test to keep: the nodes that the rule met, fed with the values they had.

# %%
print((folder / "test_sigmoid_by_softplus_wrongly.py").read_text())

# %% [markdown]
# ## Watching instead of searching
#
# With values at hand, every edit can be checked as it is made. The wrong rule is refused where it would
# first do harm, with a warning, and the rest of the optimizer goes on.

# %%
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    small = gf.optimize(model, rules=wrong, check_values=inputs)
print(caught[0].message)
assert small.report.journal.fired("sigmoid_by_softplus_wrongly") == 0
for name, value in model.run(inputs, backend="numpy", level="O0").items():
    assert np.allclose(small.run(inputs, backend="numpy")[name], value, rtol=1e-5, atol=1e-6)

# %% [markdown]
# ## Comparing
#
# Last, the model beside what became of it. On the command line the same is
# `graphflow diff model model --optimized O2 --html changes.html`.

# %%
difference = gf.prove.diff(model, small)
print(difference.counts())
print("wrote", Path(difference.save_html(folder / "changes.html")).name)
