"""Sums over draws against the draws themselves."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import logsumexp

from dpm_ppl.estimates.widening import widening
from dpm_ppl.likelihood.result import LogLikelihood
from dpm_ppl.likelihood.running import TAIL, RunningWeights
from dpm_ppl.likelihood.saved import read_weights, write_weights

LOG_WEIGHTS = np.random.default_rng(0).normal([[-300.0], [0.0], [500.0]], [[0.1], [1.0], [3.0]], (3, 1000))


def kept(log_weights, *lengths):
    """Added in pieces of these lengths, over and over."""
    running, start = RunningWeights(len(log_weights), seed=0), 0
    while start < log_weights.shape[1]:
        for length in lengths:
            piece = log_weights[:, start : start + length]
            if piece.shape[1]:
                running.add(piece)
            start += length
    return running


PIECES = pytest.mark.parametrize("lengths", [(1000,), (64,), (1, 7, 30), (3,)], ids=str)


@PIECES
def test_the_estimate_and_its_moments(lengths):
    result = LogLikelihood.of([kept(LOG_WEIGHTS, *lengths)], 1)
    weights = np.exp(LOG_WEIGHTS - LOG_WEIGHTS.max(axis=1, keepdims=True))
    np.testing.assert_allclose(result.log_likelihood, logsumexp(LOG_WEIGHTS, axis=1) - np.log(1000), rtol=1e-12)
    np.testing.assert_allclose(result.ess, weights.sum(axis=1) ** 2 / (weights**2).sum(axis=1), rtol=1e-10)
    relative_error = weights.std(axis=1, ddof=1) / weights.mean(axis=1) / np.sqrt(1000)
    np.testing.assert_allclose(result.se_delta, relative_error, rtol=1e-8)
    assert (result.se >= result.se_delta).all()
    np.testing.assert_allclose(result.K, LOG_WEIGHTS.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(
        result.cumulant, LOG_WEIGHTS.mean(axis=1) + LOG_WEIGHTS.var(axis=1, ddof=1) / 2, rtol=1e-12
    )


def plain_se(values):
    return values.std(axis=1, ddof=1) / np.sqrt(values.shape[1])


@PIECES
def test_the_ladder_averages_groups_of_the_same_draws(lengths):
    ladder = LogLikelihood.of([kept(LOG_WEIGHTS, *lengths)], 1).ladder
    np.testing.assert_array_equal(ladder.num_particles, [*(2**j for j in range(10)), 1000])
    means = []
    for place, size in enumerate(ladder.num_particles[:-1]):
        groups = LOG_WEIGHTS[:, : 1000 // size * size].reshape(3, -1, size)
        values = logsumexp(groups, axis=2) - np.log(size)
        means.append(values)
        np.testing.assert_allclose(ladder.values[:, place], values.mean(axis=1), rtol=1e-12)
        if values.shape[1] > 1:
            expected = plain_se(values) * widening(values.shape[1], 8.0)
            np.testing.assert_allclose(ladder.se[:, place], expected, rtol=1e-8)
    for place, (below, above) in enumerate(pairwise(means)):
        pairs = below[:, : 2 * above.shape[1]].reshape(3, -1, 2).mean(axis=2)
        np.testing.assert_allclose(ladder.rises[:, place], (above - pairs).mean(axis=1), rtol=1e-6)
        if above.shape[1] > 1:
            expected = plain_se(above - pairs) * widening(above.shape[1], 8.0)
            np.testing.assert_allclose(ladder.rises_se[:, place], expected, rtol=1e-6)
    assert (ladder.rises[:, :-1] > 0).all()


def test_the_paired_error_is_smaller_than_that_of_two_runs():
    ladder = LogLikelihood.of([kept(LOG_WEIGHTS[1:2], 1000)], 1).ladder
    assert (ladder.rises_se[0, :5] < 0.8 * np.hypot(ladder.se[0, :5], ladder.se[0, 1:6])).all()


@PIECES
def test_k_hat_needs_the_largest_weights_only(lengths):
    from dpm_ppl.likelihood import pareto_khat

    log_weights = 0.4 * np.random.default_rng(1).standard_exponential((2, 5000))
    running = kept(log_weights, *lengths)
    assert running.tail.shape == (2, TAIL)
    np.testing.assert_allclose(LogLikelihood.of([running], 1).khat, pareto_khat(log_weights), rtol=1e-9)


def test_the_bootstrap_agrees_with_the_delta_method():
    log_weights = np.random.default_rng(2).normal(size=(200, 1000))
    result = LogLikelihood.of([kept(log_weights, 100)], 1)
    assert np.median(result.se_bootstrap / result.se) == pytest.approx(1, abs=0.05)


def test_the_error_of_the_cumulant_estimate():
    """Its spread over many data with the same law of weights is what its bootstrap says."""
    log_weights = np.random.default_rng(3).normal(-2.0, 1.5, size=(400, 500))
    result = LogLikelihood.of([kept(log_weights, 100)], 1)
    assert abs(result.cumulant.mean() - (-2 + 1.5**2 / 2)) < 4 * result.cumulant.std() / np.sqrt(400)
    assert np.median(result.cumulant_se) / result.cumulant.std() == pytest.approx(1, abs=0.15)


def test_memory_is_that_of_a_datum():
    sizes = [sum(array.nbytes for array in kept(np.zeros((2, num)), 500).arrays().values()) for num in (2000, 20000)]
    assert sizes[0] == sizes[1]


def test_weights_of_zero():
    """A datum that the model cannot make now and then, or never."""
    log_weights = np.zeros((2, 100))
    log_weights[0, ::2], log_weights[1] = -np.inf, -np.inf
    result = LogLikelihood.of([kept(log_weights, 30)], 1)
    np.testing.assert_allclose(result.log_likelihood, [np.log(0.5), -np.inf])
    assert result.K[0] == result.K[1] == -np.inf
    assert result.ess[0] == 50
    assert result.verdict[1] == "unusable"


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_failed_weight_is_not_hidden(wrong):
    log_weights = np.zeros((2, 100))
    log_weights[0, 40] = wrong
    result = LogLikelihood.of([kept(log_weights, 30)], 1)
    assert not np.isfinite(result.log_likelihood[0])
    assert list(result.verdict) == ["unusable", "too few draws"]


def test_saved_and_read_they_go_on_alike():
    first, second = LOG_WEIGHTS[:, :333], LOG_WEIGHTS[:, 333:]
    whole = RunningWeights(3, seed=5)
    whole.add(first)
    again = RunningWeights.from_arrays(whole.arrays(), seed=5)
    for running in (whole, again):
        running.add(second)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array)


def test_files_of_the_old_names_are_read(tmp_path):
    running, path = kept(LOG_WEIGHTS, 100), tmp_path / "weights.npz"
    write_weights(path, "of something", [running])
    with np.load(path) as archive:
        np.savez(path, **{name.replace("group_means_", "rungs_"): archive[name] for name in archive})
    (again,) = read_weights(path, "of something", 0, 1) or []
    np.testing.assert_array_equal(again.group_means.mean, running.group_means.mean)
