"""An operator that says when: `after`, which lets what reads a value wait until another one is there.

It is how the optimizer keeps a value that is computed again (see `passes.rematerialize`) from being merged
with the first computation, and from being computed as soon as it could be: both follow from what it reads.
"""

from __future__ import annotations

from graphflow.ir.opdef import op


def _first_type(types, attrs):
    return (types[0],)


@op("control", infer=_first_type, traits="view any_dtype")
def after(x, moment, /):
    """The first argument itself, as soon as the second has been computed: y = x.

    No backend merges it with `x`, so that what is computed from it is not merged with what is computed
    from `x`. The value of `moment` does not matter, nor do its shape and dtype.

    >>> import graphflow as gf
    >>> x = gf.placeholder("x", (2,))
    >>> gf.ops.ordering.after(x, gf.sum(gf.exp(x))).type
    float32[2]
    """
    return x


@after.gradient
def _(b, node, g):
    return [g, None]
