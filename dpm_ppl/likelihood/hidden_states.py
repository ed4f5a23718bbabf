"""How much of an estimate lies in states that its draws are likely to miss.

A method may know such states (`AbstractMethod.hidden_states`), as a discrete chain does: paths that start with a jump.
With w the weight by way of one, r the ratio of the probabilities to visit it there and in a draw, and p the estimate,

    E_jump[(w / p - 1) / r]  over states that S draws are likely to miss

is the share that p lacks, or has too much: nothing where the weight is as elsewhere, much where it is far larger.
"""

import numpy as np

_ERRORS = 2.0
"""Standard errors added to the share, as it may rest on few states."""


def hidden_mass(jumps: np.ndarray, log_likelihood: np.ndarray, num_draws: int) -> np.ndarray:
    """By how much jumps that `num_draws` draws are likely to miss would move log p(x_0), nats, `(datum,)`.

    **Arguments:** `jumps`, as `AbstractMethod.hidden_states` gives them, `(datum, jump, 2)`. Zero where there are none,
    as none are needed, and NaN where they are NaN.
    """
    if jumps.shape[1] == 0:
        return np.zeros(len(jumps))
    log_w, log_ratio = jumps[..., 0], jumps[..., 1]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        seldom = log_ratio > np.log(num_draws / jumps.shape[1])  # made more often here than by all the draws
        share = np.where(seldom, np.exp(log_w - log_likelihood[:, None] - log_ratio) - np.exp(-log_ratio), 0.0)
        share = np.where(np.isnan(log_w), np.nan, share)
        error = share.std(axis=1, ddof=1) / np.sqrt(share.shape[1]) if share.shape[1] > 1 else np.nan
        return np.log1p(np.abs(share.mean(axis=1)) + _ERRORS * error)
