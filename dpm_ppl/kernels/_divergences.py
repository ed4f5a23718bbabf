"""Kullback-Leibler rules that NumPyro lacks, registered with its `kl_divergence` when this module is imported."""

from collections.abc import Callable
from itertools import product

import jax
import jax.numpy as jnp
from numpyro.distributions import BernoulliLogits, BernoulliProbs, CategoricalLogits, CategoricalProbs
from numpyro.distributions.kl import kl_divergence

from dpm_ppl._common.types import Array


def _bernoulli_logits(p_logits: Array, q_logits: Array) -> Array:
    """KL between bits with these log-odds; infinite log-odds of p (a known bit) are allowed."""

    def term(sign: int) -> Array:
        return _term(jax.nn.log_sigmoid(sign * p_logits), jax.nn.log_sigmoid(sign * q_logits))

    return term(1) + term(-1)


def _categorical_logits(p_logits: Array, q_logits: Array) -> Array:
    """KL between levels with these log-weights along the last axis; -inf, of an impossible level, is allowed."""
    return _term(jax.nn.log_softmax(p_logits), jax.nn.log_softmax(q_logits)).sum(axis=-1)


def _term(log_p: Array, log_q: Array) -> Array:
    impossible = jnp.isneginf(log_p)
    safe_p, safe_q = (jnp.where(impossible, 0.0, log) for log in (log_p, log_q))  # 0 log 0 = 0, in the gradient too
    return jnp.where(impossible, 0.0, jnp.exp(safe_p) * (safe_p - safe_q))


def _register(p_type: type, q_type: type, divergence: Callable[[Array, Array], Array]) -> None:
    @kl_divergence.register(p_type, q_type)
    def _(p, q):
        return divergence(p.logits, q.logits)


for _types, _divergence in (
    ((BernoulliLogits, BernoulliProbs), _bernoulli_logits),
    ((CategoricalLogits, CategoricalProbs), _categorical_logits),
):
    for _p_type, _q_type in product(_types, repeat=2):
        _register(_p_type, _q_type, _divergence)
