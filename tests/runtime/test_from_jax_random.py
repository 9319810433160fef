"""Random numbers of JAX: the same bits from the same keys."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tests.runtime.from_jax_cases import agree, case, normal

KEY = np.asarray(jax.random.PRNGKey(5))
SEED = np.int32(9)

DISTRIBUTIONS = ["normal", "uniform", "bernoulli", "exponential", "gumbel", "laplace", "logistic", "cauchy"]


@pytest.mark.parametrize("name", [*DISTRIBUTIONS, "rademacher", "maxwell", "ball"])
def test_distribution(name):
    options = {"d": 3, "shape": (4,)} if name == "ball" else {"shape": (3, 5)}
    agree(lambda key: getattr(jax.random, name)(key, **options), KEY, tol=1e-4 if name == "ball" else 1e-5)


TABLE = [
    case("bits", lambda k: [jax.random.bits(k, (7,)), jax.random.bits(k, (3, 3), "uint8")], KEY),
    case("wide bits", lambda k: jax.random.bits(k, (5,), "uint64"), KEY, wide=True),
    case("integers", lambda k: jax.random.randint(k, (9,), 0, 100), KEY),
    case("split", lambda k: [*jax.random.split(k, 3), jax.random.fold_in(k, 7)], KEY),
    case("permutation", lambda k: jax.random.permutation(k, 8), KEY),
    case("shuffle", jax.random.permutation, KEY, normal(3, 4), gradient=False),
    case("truncated normal", lambda k: jax.random.truncated_normal(k, -1, 1, (3, 5)), KEY),
    case("categorical", jax.random.categorical, KEY, normal(3, 4), gradient=False),
    case("choice", lambda k: jax.random.choice(k, 10, (4,)), KEY),
    case("gamma", lambda k, a: jax.random.gamma(k, a, (3,)), KEY, np.float32(2), tol=1e-4),
    case("poisson", lambda k: jax.random.poisson(k, 3.0, (4,)), KEY),
    case("dirichlet", lambda k: jax.random.dirichlet(k, jnp.ones(3)), KEY, tol=1e-4),
    case("correlated", lambda k: jax.random.multivariate_normal(k, jnp.zeros(2), jnp.eye(2)), KEY, tol=1e-4),
    case(
        "seed", lambda s: [jax.random.normal(k, (2,)) for k in jax.random.split(jax.random.key(s), 3)], SEED
    ),
    case("wide seed", lambda s: jax.random.bits(jax.random.key(s), (3,)), np.int64(2**40 + 3), wide=True),
    case("known key", lambda x: x + jax.random.normal(jax.random.key(3), (4,)), normal(3, 4)),
    case("key result", jax.random.key, SEED),
    case(
        "each key",
        lambda s: jax.vmap(lambda k: jax.random.normal(k, (2,)))(jax.random.split(jax.random.key(s), 4)),
        SEED,
    ),
    case(
        "keys in a loop",
        lambda s: lax.scan(
            lambda k, _: (jax.random.split(k)[0], jax.random.normal(k, (2,))),
            jax.random.key(s),
            None,
            length=3,
        ),
        SEED,
    ),
]


@pytest.mark.parametrize(("name", "fn", "arrays", "options"), TABLE, ids=[row[0] for row in TABLE])
def test_function(name, fn, arrays, options):
    agree(fn, *arrays, **options)
