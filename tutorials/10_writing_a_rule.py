# %% [markdown]
# # 10. Writing a rule
#
# A rule is three things: a pattern, a guard that declines in words, and a replacement. We write one, find
# that its first form is wrong, mend it, prove it, and let sessions use it.

# %%
import warnings

import numpy as np

import graphflow as gf
from graphflow.optimizer.pattern import P, variables
from graphflow.optimizer.rule import decline, rule

# %% [markdown]
# ## The algebra
#
# sqrt(x) * sqrt(y) = sqrt(x y): one root instead of two. Patterns are written as what they match; variables
# stand for any tensor, a repeated one for the same tensor, and a number for a constant of that value.

# %%
X, Y = variables("X Y", kinds="float")


@rule(P.multiply(P.sqrt(X), P.sqrt(Y)), safety="exact", evidence="assumed", tags="roots")
def product_of_roots(match, b):
    """sqrt(x) sqrt(y) = sqrt(x y)."""
    return b.sqrt(b.multiply(match.X, match.Y))


a, c = gf.placeholder("a", (4,)), gf.placeholder("c", (4,))
y = gf.multiply(gf.sqrt(a), gf.sqrt(c), name="y")
model = gf.Model(inputs=[a, c], outputs={"y": y})
print(product_of_roots)
print(gf.optimize(model, rules=[product_of_roots]).report)

# %% [markdown]
# It fires. But is it *exact*: the same bits for every input? Two roots round twice, one root rounds once.
# And for x = y = -1 the left side is NaN, the right side 1. `check` compares every tensor at every level,
# with numbers and with NaN, infinities and zeros of both signs:

# %%
checked = gf.prove.check(model, rules=[product_of_roots], backends=["numpy"], levels=["O1"])
print(checked)
assert not checked.passed

# %% [markdown]
# ## The safety class
#
# | class | promise | levels |
# | --- | --- | --- |
# | exact | the same bits for every input | O1 and up |
# | finite | equal without NaN and infinities | O3 |
# | rounding | equal in real arithmetic | O3 |
# | unsafe | equal under conditions nobody checks | none, unless you name it |
#
# With negative numbers the two sides differ in real arithmetic, too; so even *rounding* needs a guard: one
# of the two has to be known not to be negative. The guard answers `decline(...)`, in words for who reads the
# report; None says that there is nothing worth a remark.


# %%
def is_not_negative(tensor):
    """Whether the operator that makes a tensor cannot give a negative number."""
    return tensor.node.op.name in ("exp", "square", "abs", "relu", "sigmoid")


@rule(P.multiply(P.sqrt(X), P.sqrt(Y)), safety="rounding", evidence="proved", tags="roots")
def product_of_positive_roots(match, b):
    """sqrt(x) sqrt(y) = sqrt(x y) for x and y that are not negative."""
    if not (is_not_negative(match.X) and is_not_negative(match.Y)):
        return decline(f"{match.X.name} or {match.Y.name} may be negative: take its abs")
    if not match.inner.has_one_use:
        return decline(f"{match.inner.name} has other users")
    return b.sqrt(b.multiply(match.X, match.Y))


mine = [product_of_positive_roots]
good = gf.multiply(gf.sqrt(gf.nn.sigmoid(a)), gf.sqrt(gf.abs(c)), name="good")
better = gf.Model(inputs=[a, c], outputs={"y": y, "good": good})
report = gf.optimize(better, level="O3", rules=mine).report
for remark in report.missed("product_of_positive_roots"):
    print(remark)
print(report.of("good"))
assert report.journal.fired("product_of_positive_roots") == 1

# %% [markdown]
# ## Proving it
#
# `check` again: now differences within rounding are permitted below the rule, and at O1, which does not admit
# it, none. A check looks at some inputs; the algebra in the docstring is what holds for all.

# %%
checked = gf.prove.check(better, rules=mine, backends=["numpy"])
print(checked)
assert checked.passed

# %% [markdown]
# ## Rules that misbehave
#
# What a rule raises, returns of a wrong type, or never ends is caught: it is named, left out, and all other
# rules go on. `strict=True` raises instead.


# %%
@rule(P.sqrt(X), safety="exact")
def wrong_type(match, b):
    """sqrt(x) = 0, of another shape."""
    return b.constant(value=np.zeros((7,), np.float32))


@rule(P.sigmoid(X), safety="exact")
def endless(match, b):
    """sigmoid(x) = sigmoid(sigmoid(sin(x))), which makes itself a new place to fire at each time."""
    return b.sigmoid(b.sigmoid(b.sin(match.X)))


with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    safe = gf.optimize(better, rules=[wrong_type, endless])
for warning in caught:
    print(warning.message)
assert len(caught) == 2
feeds = {"a": np.arange(4, dtype=np.float32), "c": np.ones(4, np.float32)}
expected = better.run(feeds, backend="numpy", level="O0")["good"]
np.testing.assert_allclose(better.run(feeds, backend="numpy")["good"], expected, rtol=1e-6)

# %% [markdown]
# ## Using it
#
# A session takes rules as well. `include` admits a rule, or a tag, below its level: here at O2. In a file,
# `RULES = [product_of_positive_roots]` makes them known to `--rules FILE` of `graphflow explain`, `check` and
# `bisect`.

# %%
with gf.Session(backend="numpy", rules=mine, include=["roots"], check_values=True) as sess:
    print(sess.run(good, {a: feeds["a"], c: feeds["c"]}))
    print(sess.explain(good).journal.fired("product_of_positive_roots"), "firing at O2")

# %% [markdown]
# What next: `docs/optimizer.md` has the passes, `CONTRIBUTING.md` how a rule becomes one of the package, and
# the eighth tutorial what to do when a rule turns out to be wrong.
