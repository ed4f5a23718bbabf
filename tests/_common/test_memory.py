"""One budget in bytes: what it leaves side by side fits it, and changes no result but in its last digits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import dpm_ppl as dpm
from benchmarks.measurement import compiled_programs
from dpm_ppl._common import memory
from dpm_ppl._common.checks import is_traced
from dpm_ppl._common.memory import budget, memory_budget, num_bytes, peak_bytes, sizes_within_budget
from dpm_ppl.diffusion import bounds, sampling
from dpm_ppl.evaluation.scores import score
from dpm_ppl.likelihood import estimator
from dpm_ppl.methods import base
from dpm_ppl.objectives.diffusion_elbo import _steps_within_budget
from tests._common.test_chunks import PROGRAM, levels

KEY = jax.random.key(0)
X_0 = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)


def gaussian(width: int = 32, num_steps: int = 8) -> dpm.Diffusion:
    network = dpm.TimeMLP((2,), 2, num_steps, width=width, depth=1, key=KEY)
    filled = jax.tree.map(lambda leaf: jnp.full_like(leaf, 0.02), network.readout)
    network = eqx.tree_at(lambda net: net.readout, network, filled)
    return dpm.Diffusion(dpm.GaussianKernel(dpm.noise_prediction), dpm.LogSNR(num_steps, 8.0, -6.0), network, (2,))


class Case(NamedTuple):
    """A function of the number of data, and the compiled program behind it that is called with chunks."""

    of: Callable[[int], Any]
    module: Any
    program: str


CASES = {
    "bound": Case(lambda num: dpm.bound(gaussian(), X_0[:num], KEY), bounds, "_bound"),
    "entropy_bounds": Case(
        lambda num: dpm.diffusion.entropy_bounds(gaussian(), X_0[:num], KEY), bounds, "_entropy_bounds"
    ),
    "score of a program": Case(
        lambda num: score(PROGRAM, levels(num), KEY, num_draws=1).K_values, base, "_log_weights"
    ),
    "sample": Case(lambda num: dpm.sample(gaussian(), KEY, num), sampling, "_draws"),
    "log_likelihood": Case(
        lambda num: dpm.log_likelihood(gaussian(), X_0[:num], KEY, 32).log_likelihood, estimator, "_log_weights"
    ),
}


@pytest.fixture
def calls(monkeypatch):
    """Records the arguments of a program each time it is called with values."""

    def record(case: Case) -> list[tuple]:
        program, found = getattr(case.module, case.program), []

        def recorded(*arguments: Any) -> Any:
            if not is_traced(arguments):
                found.append(arguments)
            return program(*arguments)

        monkeypatch.setattr(case.module, case.program, recorded)
        return found

    return record


@pytest.mark.parametrize("name", CASES)
def test_a_small_budget_divides_the_work_and_changes_no_result(name, calls):
    case = CASES[name]
    program = getattr(case.module, case.program)
    found = calls(case)
    whole = case.of(64)
    usual = peak_bytes(program, *found[-1])
    with memory_budget(usual // 5):
        parts = case.of(64)
        assert peak_bytes(program, *found[-1]) <= budget() < usual
        if name != "entropy_bounds":  # which is an average over all data
            with compiled_programs() as programs:
                case.of(45)
            assert programs == []
    for one, other in zip(jax.tree.leaves(parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_sizes_that_are_given_win():
    def chosen(*given: int | None) -> tuple[int, int]:
        return bounds._sizes(gaussian(), X_0, KEY, (jnp.arange(1), 1), *given)

    assert chosen(None, None) == (100, 64)
    assert chosen(30, 16) == (30, 16)
    with memory_budget(1):
        assert [chosen(8, None), chosen(None, 16), chosen(None, None)] == [(8, 1), (1, 16), (1, 1)]


def test_sizes_give_way_one_after_the_other():
    def bytes_of(steps: int, data: int) -> int:
        return 1000 + 10 * steps * data

    assert sizes_within_budget(bytes_of, (None, 100), (None, 64)) == [100, 64]
    with memory_budget(1000 + 10 * 8 * 64):
        assert sizes_within_budget(bytes_of, (None, 100), (None, 64)) == [8, 64]
    with memory_budget(1500):
        assert sizes_within_budget(bytes_of, (None, 100), (None, 64)) == [1, 32]
        assert sizes_within_budget(bytes_of, (30, 100), (None, 64)) == [30, 1]


def test_draws_take_what_was_counted():
    """By the account of XLA, which comes too late to choose by."""
    arguments = gaussian(256), KEY, jnp.arange(512), 512
    taken = sampling._draws.lower(*arguments).compile().compiled.memory_analysis().temp_size_in_bytes
    assert taken / 1.6 < peak_bytes(sampling._draws, *arguments) < 1.6 * taken


def test_training_divides_a_batch_that_is_too_large():
    """The loss and its gradient are the same, in a small part of the memory."""
    diffusion = gaussian(128)
    objective = dpm.DiffusionELBO(4)

    def program():
        def loss(network, x_0):
            given = eqx.tree_at(lambda d: d.network, diffusion, network)
            return objective.loss(KEY, {}, given.model, given.guide, x_0)

        return eqx.filter_jit(eqx.filter_value_and_grad(loss))

    def compiled(num_bytes: int) -> Any:
        with memory_budget(num_bytes):
            return program().lower(diffusion.network, jnp.asarray(X_0)).compile()

    whole, parts = compiled(2**30), compiled(2**18)
    of_whole, of_parts = (one.compiled.memory_analysis().temp_size_in_bytes for one in (whole, parts))
    assert of_parts < of_whole / 2
    (value, gradient), (expected, derivative) = (one(diffusion.network, jnp.asarray(X_0)) for one in (parts, whole))
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(derivative), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


def test_training_on_all_steps_has_as_many_side_by_side_as_fit():
    sizes = []
    for size in (2**30, 2**20, 1):
        with memory_budget(size):
            sizes.append(_steps_within_budget(gaussian(num_steps=33), jnp.asarray(X_0)))
    assert sizes[0] == 32 > sizes[1] > sizes[2] == 1


def test_a_budget_is_bytes_or_a_text():
    assert 0 < budget() <= 2**30
    with memory_budget("2GB"):
        assert budget() == 2 * 10**9
        with memory_budget("1.5 GiB"):
            assert budget() == 3 * 2**29
    assert [num_bytes(size) for size in (1000, 1e3, "512MiB")] == [1000, 1000, 2**29]
    for size in (0, -1, "much", "2 parsecs"):
        with pytest.raises(dpm.InputError, match="expected bytes"), memory_budget(size):
            pass


def test_without_a_word_it_is_a_share_of_what_the_machine_has(monkeypatch):
    monkeypatch.setattr(memory, "_memory", lambda: 2**32)
    memory._default.cache_clear()
    assert budget() == 2**29
    memory._default.cache_clear()


def test_what_divides_its_work_by_the_budget_is_counted_under_each():
    def divided(x):
        return jax.lax.map(lambda row: jnp.outer(row, row).sum(), x, batch_size=max(1, budget() // 100_000))

    x = jax.ShapeDtypeStruct((64, 100), jnp.float32)
    with memory_budget(6_400_000):
        whole = peak_bytes(divided, x)
    with memory_budget(400_000):
        assert peak_bytes(divided, x) < whole / 4
