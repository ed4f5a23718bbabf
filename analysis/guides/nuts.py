"""Draws of NUTS to hold guides against, and how well its chains have mixed."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
from numpyro.infer import MCMC, NUTS

from dpm_ppl._common.types import PRNGKey

NUM_CHAINS, NUM_WARMUP, NUM_SAMPLES = 4, 1000, 1000
TARGET_ACCEPT = 0.9
LARGEST_RHAT = 1.01


def nuts_draws(
    model: Callable[..., Any], key: PRNGKey, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dict[str, np.ndarray], str]:
    """Draws of the latents by site, `(chain, draw, ...)`, and what they are, in words.

    The words name the seconds, the smallest effective sample size and the largest R-hat, and say where chains disagree
    or have diverged: distances to such draws, and upper bounds from them, say little.
    """
    kernel = NUTS(model, target_accept_prob=TARGET_ACCEPT)
    mcmc = MCMC(
        kernel,
        num_warmup=NUM_WARMUP,
        num_samples=NUM_SAMPLES,
        num_chains=NUM_CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    began = time.perf_counter()
    mcmc.run(key, *args, extra_fields=("diverging",), **kwargs)
    draws = {name: np.asarray(values) for name, values in mcmc.get_samples(group_by_chain=True).items()}
    seconds = time.perf_counter() - began
    num_diverging = int(np.sum(mcmc.get_extra_fields()["diverging"]))
    moving = [values for values in draws.values() if np.ptp(values) > 0]
    ess = min(float(np.nanmin(effective_sample_size(values))) for values in moving)
    rhat = max(float(np.nanmax(split_gelman_rubin(values))) for values in moving)
    words = f"NUTS ({NUM_CHAINS} x {NUM_SAMPLES:,} draws in {seconds:.0f} s, ESS {ess:,.0f} or more, R-hat {rhat:.3f}"
    if num_diverging:
        words += f", {num_diverging:,} divergent"
    return draws, words + (", which have NOT mixed)" if rhat > LARGEST_RHAT else ")")
