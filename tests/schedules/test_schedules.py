"""What every schedule owes the chains, and the values that its source gives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl._common.errors import InputError
from dpm_ppl.schedules import Cosine, Erasure, Fixed, Learned, LearnedLogSNR, Linear, LogSNR
from tests.instances import SCHEDULES

over_schedules = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


@over_schedules
@pytest.mark.parametrize("num_steps", [2, 7, 1000])
def test_every_schedule(make, num_steps):
    """Rates in (0, 1], a signal that never grows, and one number that all agree on."""
    schedule = make(num_steps)
    betas, alpha_bar = np.asarray(schedule.betas), np.asarray(schedule.alpha_bar)
    assert schedule.num_steps == len(schedule.steps()) == num_steps
    assert schedule.steps().t.tolist() == list(range(1, num_steps + 1))
    assert betas.shape == (num_steps,)
    assert alpha_bar.shape == (num_steps + 1,)
    assert ((betas > 0) & (betas <= 1)).all()
    assert alpha_bar[0] == 1
    assert (np.diff(alpha_bar) <= 0).all()
    np.testing.assert_allclose(alpha_bar[1:], np.cumprod(1 - betas.astype(float)), rtol=1e-3, atol=1e-6)
    assert alpha_bar[-1] < alpha_bar[0]


@over_schedules
def test_only_what_is_learned_can_be_trained(make):
    schedule = make(7)
    leaves = jax.tree.leaves(eqx.filter(schedule, eqx.is_array))
    trained = {Learned: [(6,)], LearnedLogSNR: [(2,), (50,)]}
    assert [leaf.shape for leaf in leaves] == trained.get(type(schedule), [])


@over_schedules
def test_schedules_are_static_under_jit(make):
    schedule = make(7)
    np.testing.assert_allclose(eqx.filter_jit(lambda s: s.betas)(schedule), schedule.betas, rtol=1e-6)


@pytest.mark.parametrize("num_steps", [2, 40, 2000])
def test_erasure_erases_equal_parts(num_steps, x64):
    schedule = Erasure(num_steps)
    np.testing.assert_allclose(schedule.alpha_bar, 1 - np.arange(num_steps + 1) / num_steps, rtol=1e-9, atol=1e-15)
    assert schedule.betas[0] == pytest.approx(1 / num_steps, rel=1e-12)
    assert schedule.betas[-1] == 1


def test_erasure_with_a_small_first_rate(x64):
    betas, plain = Erasure(40, beta_1=1e-6).betas, Erasure(40).betas
    assert betas[0] == pytest.approx(1e-6, rel=1e-12)
    np.testing.assert_array_equal(betas[1:], plain[1:])


def test_the_released_code_of_the_paper(x64):
    """Its Gaussian schedule at T = 1000, as `Fixed`."""
    betas = 1 / np.linspace(1000, 2, 1000)
    floor = np.full(1000, 1e-6)
    floor[0] += 1e-3
    schedule = Fixed(floor + betas * (1 - floor - 1e-5))
    assert schedule.betas[0] == pytest.approx(0.00199999, abs=2e-8)
    assert schedule.alpha_bar[-1] == pytest.approx(9.916e-4, abs=5e-8)


def test_linear_of_ho_et_al(x64):
    np.testing.assert_allclose(Linear(1000).betas, np.linspace(1e-4, 0.02, 1000), rtol=1e-12)
    assert Linear(1000).alpha_bar[-1] == pytest.approx(4.0358e-5, rel=1e-4)
    assert Linear(200).steps().log_alpha_bar[-1] == pytest.approx(np.log(4.0358e-5), rel=0.06)


def test_cosine_of_nichol_and_dhariwal(x64):
    f = np.cos((np.arange(101) / 100 + 0.008) / 1.008 * np.pi / 2) ** 2
    np.testing.assert_allclose(Cosine(100).alpha_bar[:-1], (f / f[0])[:-1], rtol=1e-9)
    assert Cosine(100).betas[-1] == pytest.approx(0.999)


def test_log_snr_falls_linearly(x64):
    steps = LogSNR(50, first=13.0, last=-9.0).steps()
    np.testing.assert_allclose(steps.log_snr, np.linspace(13, -9, 50), rtol=1e-9)


def test_log_snr_in_float32():
    steps = LogSNR(50, first=18.0, last=-9.0).steps()
    np.testing.assert_allclose(steps.log_snr, np.linspace(18, -9, 50), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("initial", [Erasure(9), Linear(9), LogSNR(9, first=18.0, last=-6.0)], ids=str)
def test_learned_starts_where_it_is_told(initial, x64):
    np.testing.assert_allclose(Learned(initial).betas, initial.betas, rtol=1e-4)


def test_the_first_learned_rate_is_held(x64):
    learned = Learned(Linear(5, beta_1=1e-7))
    moved = eqx.tree_at(lambda s: s.logits, learned, learned.logits + 3.0)
    assert moved.betas[0] == learned.betas[0] == pytest.approx(1e-7, rel=1e-12)
    assert (moved.betas[1:] > learned.betas[1:]).all()


@pytest.mark.parametrize("shift", [-1e3, 0.0, 1e3])
def test_learned_rates_stay_rates_however_far_they_are_moved(shift):
    learned = Learned(Linear(5))
    learned = eqx.tree_at(lambda s: s.logits, learned, learned.logits + shift)
    assert not np.isnan(learned.steps().log_noise).any()
    assert ((learned.betas >= 0) & (learned.betas <= 1)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Erasure(1), "num_steps: expected an integer T from 2 to 100,000, got 1; a diffusion needs"),
        (lambda: Erasure(0), "num_steps"),
        (lambda: Linear(1), "num_steps"),
        (lambda: Cosine(2.5), "num_steps: .* got 2.5"),
        (lambda: LogSNR(1, first=1.0, last=0.0), "num_steps"),
        (lambda: Erasure(5, beta_1=0.0), r"beta_1: expected rates in \(0, 1\], got 0.0;"),
        (lambda: Erasure(5, beta_1=1.5), "beta_1: .* got 1.5"),
        (lambda: Linear(5, beta_1=-0.1), "beta_1: .* got -0.1"),
        (lambda: Linear(5, beta_T=1.1), "beta_T: .* got 1.1"),
        (lambda: Cosine(5, max_beta=0.0), "max_beta"),
        (lambda: Cosine(5, offset=-1.0), "offset: expected a finite number >= 0, got -1.0"),
        (lambda: LogSNR(5, first=-1.0, last=1.0), "first, last: .* first > last, got -1.0, 1.0; .* swap them"),
        (lambda: LogSNR(5, first=np.inf, last=1.0), "first, last: expected finite"),
        (lambda: Fixed([0.1]), "num_steps: expected an integer T from 2 to 100,000, got 1"),
        (lambda: Fixed([]), "num_steps"),
        (lambda: Fixed([[0.1, 0.2]]), r"betas: expected one axis \(T,\), got shape \(1, 2\)"),
        (lambda: Fixed([0.1, 0.0, 1.2]), r"betas: .* got 2 outside, the first at t = 2: 0.0"),
        (lambda: Fixed([0.1, np.nan]), "betas: .* got 1 outside, the first at t = 2: nan"),
        (lambda: Learned(Fixed([1.0, 0.5])), "initial: expected beta_1 below 1"),
    ],
)
def test_bad_input(make, message, unchecked):
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_a_learned_log_snr(x64):
    """It starts as the linear one, and falls from end to end whatever it has learned."""
    schedule, linear = LearnedLogSNR(40, 6.0, -5.0), LogSNR(40, 6.0, -5.0)
    for one, other in zip(jax.tree.leaves(schedule.steps()), jax.tree.leaves(linear.steps()), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)
    moved = eqx.tree_at(lambda one: one.logits, schedule, jax.random.normal(jax.random.key(0), (50,)) * 4)
    log_snr = moved.steps().log_snr
    np.testing.assert_allclose(log_snr[jnp.array([0, -1])], [6.0, -5.0], rtol=1e-9)
    assert (jnp.diff(log_snr) < 0).all()


def test_the_fall_of_a_learned_log_snr(x64):
    """An instant has the log-SNR of its time and the slope; both move with the ends alone."""
    schedule = LearnedLogSNR(40, 6.0, -5.0, num_parts=4)
    schedule = eqx.tree_at(lambda one: one.logits, schedule, jnp.array([1.0, -1.0, 0.5, 0.0]))
    time, ahead = jnp.array([0.05, 0.3, 0.62, 0.9]), 1e-6
    step, pace = schedule.instant(time)
    later, _ = schedule.instant(time + ahead)
    np.testing.assert_allclose(pace, (step.log_snr - later.log_snr) / ahead, rtol=1e-6)
    slopes = jax.jacobian(lambda one: one.instant(time)[0].log_snr)(schedule)
    assert (slopes.logits == 0).all()
    np.testing.assert_allclose(slopes.ends.sum(axis=1), 1, rtol=1e-9)
