"""Kullback-Leibler rules that NumPyro lacks, registered with its `kl_divergence` when this module is imported."""

import jax
import jax.numpy as jnp
from numpyro.distributions import BernoulliLogits, BernoulliProbs
from numpyro.distributions.kl import kl_divergence

from dpm_ppl._common.types import Array


def _bernoulli_logits(p_logits: Array, q_logits: Array) -> Array:
    """KL between bits with these log-odds; infinite log-odds of p (a known bit) are allowed."""

    def term(sign: int) -> Array:
        log_p, log_q = jax.nn.log_sigmoid(sign * p_logits), jax.nn.log_sigmoid(sign * q_logits)
        impossible = jnp.isneginf(log_p)
        safe = jnp.where(impossible, 0.0, log_p)  # 0 log 0 = 0, without a NaN in the gradient
        return jnp.where(impossible, 0.0, jnp.exp(safe) * (safe - log_q))

    return term(1) + term(-1)


def _register(p_type: type, q_type: type) -> None:
    @kl_divergence.register(p_type, q_type)
    def _(p, q):
        return _bernoulli_logits(p.logits, q.logits)


for _p_type in (BernoulliLogits, BernoulliProbs):
    for _q_type in (BernoulliLogits, BernoulliProbs):
        _register(_p_type, _q_type)
