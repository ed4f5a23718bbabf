"""The estimator: the same figures whatever the chunks, devices and interruptions, within bounded memory."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from dpm_ppl._common.checks import is_traced
from dpm_ppl._common.errors import InputError
from dpm_ppl.data.dataset import Dataset
from dpm_ppl.diffusion.bounds import bound
from dpm_ppl.diffusion.sampling import sample
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate
from dpm_ppl.likelihood import SequentialMonteCarlo, Trajectories, antithetic_noise, log_likelihood, stratified_noise
from dpm_ppl.likelihood import estimator as module
from dpm_ppl.models.heartbeats import sequences, share_of_phases
from dpm_ppl.schedules import Erasure
from tests import reference
from tests.instances import DIFFUSIONS, draw_data, small
from tests.oracles import atoms_diffusion, linear_diffusion

KEY = jax.random.key(0)
FIGURES = ("log_likelihood", "se", "se_bootstrap", "ess", "khat", "cumulant", "cumulant_se")


def make():
    return small(GaussianKernel(), Erasure(6, beta_1=0.05))


def assert_same(one, other, figures=FIGURES, rtol=1e-5):
    for name in figures:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol, atol=1e-5, err_msg=name)
    assert list(one.verdict) == list(other.verdict)


@pytest.mark.parametrize(
    "proposal", [Trajectories(), Trajectories(antithetic_noise, 2), Trajectories(stratified_noise, 8)]
)
def test_gaussian_data(proposal):
    """Every datum within its own error of the exact value, and K where the bound says it is."""
    diffusion = linear_diffusion(Erasure(10), reference.optimal_reverse(reference.erasure(10), 0.25))
    x_0 = jnp.linspace(-1.5, 1.5, 7)
    result = log_likelihood(diffusion, x_0, KEY, 4000, proposal=proposal, particles_chunk=400)
    exact = norm.logpdf(x_0, scale=np.sqrt(0.3925))
    assert (np.abs(result.log_likelihood - exact) < 4 * result.se).all()
    assert (np.abs(result.log_likelihood - exact) > 0.1 * result.se).any()
    assert (result.num_particles == 4000).all()
    assert (result.num_draws * proposal.num_particles == 4000).all()
    assert (result.ladder.rises >= -1e-12)[:, :-1].all()  # by Jensen's inequality, whatever the draws
    for rise in result.ladder.mean_rises():
        assert rise.mean > -4 * rise.se
    if proposal.num_particles == 1:
        assert (result.ladder.rises[:, :5] > 4 * result.ladder.rises_se[:, :5]).all()
        K = np.asarray(bound(diffusion, x_0, KEY, num_draws=4000).K)
        assert (np.abs(result.K - K) < 5 * result.ladder.se[:, 0]).all()


def test_the_heartbeats_have_no_more_than_all_the_probability():
    """The five sequences under the best chain of twenty steps, which leaves some of it to others."""
    kernel = BernoulliKernel(0.2, clean_rate)
    diffusion = atoms_diffusion(kernel, Erasure(20), sequences(5))
    result = log_likelihood(diffusion, sequences(5), KEY, 2000, particles_chunk=500)
    probability = np.exp(result.log_likelihood)
    se = np.sqrt(np.square(probability * result.se).sum())
    drawn = share_of_phases(np.asarray(sample(diffusion, KEY, 4000))).sum()
    assert abs(probability.sum() - drawn) < 4 * np.hypot(se, np.sqrt(drawn * (1 - drawn) / 4000))
    assert probability.sum() < 1 + 4 * se


def test_its_error_is_the_spread_of_many_runs():
    diffusion = make()
    x_0 = jnp.tile(draw_data(diffusion, 1), (300, 1))
    result = log_likelihood(diffusion, x_0, KEY, 200, data_chunk=300)
    spread = result.log_likelihood.std(ddof=1)
    assert np.sqrt(np.mean(np.square(result.se_delta))) == pytest.approx(spread, rel=0.2)
    for se in (result.se, result.se_bootstrap):
        assert 0.95 * spread < np.median(se) < 1.6 * spread  # wider by what 200 draws cannot have shown


def test_chunks_change_nothing():
    diffusion = make()
    x_0 = draw_data(diffusion, 5)
    whole = log_likelihood(diffusion, x_0, KEY, 70, particles_chunk=70, data_chunk=5, steps_chunk=100)
    chunked = log_likelihood(diffusion, x_0, KEY, 70, particles_chunk=9, data_chunk=2, steps_chunk=4)
    assert_same(whole, chunked, ("log_likelihood", "se", "ess", "khat", "cumulant"))
    np.testing.assert_allclose(whole.ladder.values, chunked.ladder.values, rtol=1e-5, atol=1e-5)


def test_bits():
    diffusion = DIFFUSIONS["bernoulli"]()
    result = log_likelihood(diffusion, draw_data(diffusion, 4), KEY, 100)
    assert np.isfinite(result.log_likelihood).all()
    assert result.mean().num == 4


def test_a_second_call_compiles_nothing():
    diffusion = make()
    x_0, others, key = draw_data(diffusion, 5), draw_data(diffusion, 5, seed=1), jax.random.key(1)
    log_likelihood(diffusion, x_0, KEY, 64, particles_chunk=32)
    with jax.no_tracing():
        log_likelihood(diffusion, others, key, 200, particles_chunk=32)


def test_log_weights_on_request():
    diffusion = make()
    x_0 = draw_data(diffusion, 5)
    result = log_likelihood(diffusion, x_0, KEY, 50, particles_chunk=16, data_chunk=2, keep_log_weights=True)
    assert result.log_weights.shape == (5, 50)
    expected = np.log(np.exp(result.log_weights).mean(axis=1))
    np.testing.assert_allclose(result.log_likelihood, expected, rtol=1e-9)
    assert log_likelihood(diffusion, x_0, KEY, 50).log_weights is None


def test_noise_that_is_integrated_out():
    """Levels under a null model, with dequantisation noise drawn anew for every particle: P(level) is an interval's."""
    from dpm_ppl.diffusion.diffusion import Diffusion
    from tests.oracles import AtRest

    diffusion = Diffusion(GaussianKernel(), Erasure(4), AtRest(2), (1,))
    data = Dataset.from_levels(np.array([[0], [1], [2], [3]]), 4)
    rows = data.rows(np.arange(4))
    result = log_likelihood(diffusion, rows, KEY, 4000, draw=data.draw, particles_chunk=1000)
    edges = data.units.standardise(np.arange(5)[:, None])[:, 0]
    width = np.diff(edges)
    exact = np.log(np.diff(norm.cdf(edges)) / width)
    assert (np.abs(result.log_likelihood - exact) < 4 * result.se).all()


def test_extending_a_saved_result(tmp_path):
    diffusion = make()
    x_0 = draw_data(diffusion, 5)
    options = {"particles_chunk": 32, "data_chunk": 2}
    whole = log_likelihood(diffusion, x_0, KEY, 96, **options)
    path = tmp_path / "weights.npz"
    log_likelihood(diffusion, x_0, KEY, 64, checkpoint=path, **options)
    extended = log_likelihood(diffusion, x_0, KEY, 96, checkpoint=path, **options)
    assert_same(whole, extended)
    np.testing.assert_array_equal(whole.ladder.rises, extended.ladder.rises)
    other_chunk = options | {"particles_chunk": 24}
    log_likelihood(diffusion, x_0, KEY, 150, checkpoint=tmp_path / "other.npz", **other_chunk)
    other = log_likelihood(diffusion, x_0, KEY, 200, checkpoint=tmp_path / "other.npz", **options)
    direct = log_likelihood(diffusion, x_0, KEY, 200, **options)
    assert_same(direct, other, ("log_likelihood", "se", "ess", "khat", "cumulant"))
    again = log_likelihood(diffusion, x_0, KEY, 10, checkpoint=path, **options)  # nothing is thrown away
    assert (again.num_particles == 96).all()
    assert_same(whole, again)


def interrupted_after(monkeypatch, num_calls):
    """Counts the blocks that are computed, and presses Ctrl-C during one of them."""
    blocks = []
    compute = module._log_weights

    def counting(*args):
        if is_traced(args):  # for what its memory would be
            return compute(*args)
        blocks.append(args[5])
        if len(blocks) == num_calls:
            os.kill(os.getpid(), signal.SIGINT)
        return compute(*args)

    monkeypatch.setattr(module, "_log_weights", counting)
    return blocks


def test_an_interrupted_call_is_finished_without_repeating_it(tmp_path, monkeypatch, capsys):
    diffusion = make()
    x_0 = draw_data(diffusion, 5)
    options = {"particles_chunk": 16, "data_chunk": 2}
    whole = log_likelihood(diffusion, x_0, KEY, 80, **options)  # 3 chunks of data, 5 of particles
    blocks = interrupted_after(monkeypatch, 7)
    path = tmp_path / "weights.npz"
    first = log_likelihood(diffusion, x_0, KEY, 80, checkpoint=path, **options)
    assert first.interrupted
    assert len(blocks) == 7
    assert list(first.num_particles) == [48, 48, 32, 32, 32]
    assert np.isfinite(first.log_likelihood).all()
    second = log_likelihood(diffusion, x_0, KEY, 80, checkpoint=path, **options)
    assert not second.interrupted
    assert len(blocks) == 15
    assert_same(whole, second, rtol=0)
    assert "stopping after this chunk of particles" in capsys.readouterr().err


def test_what_an_early_interruption_leaves(monkeypatch):
    diffusion = make()
    interrupted_after(monkeypatch, 1)
    result = log_likelihood(diffusion, draw_data(diffusion, 4), KEY, 80, particles_chunk=16, data_chunk=2)
    assert list(result.num_particles) == [16, 16, 0, 0]
    assert list(np.isnan(result.log_likelihood)) == [False, False, True, True]
    assert result.mean().num == 2
    assert list(result.verdict[2:]) == ["too few draws", "too few draws"]


def test_log_weights_that_an_interruption_leaves(monkeypatch):
    diffusion = make()
    interrupted_after(monkeypatch, 3)
    options = {"particles_chunk": 16, "data_chunk": 2, "keep_log_weights": True}
    result = log_likelihood(diffusion, draw_data(diffusion, 4), KEY, 80, **options)
    assert result.log_weights.shape == (4, 32)
    assert list(np.isfinite(result.log_weights).sum(axis=1)) == [32, 32, 16, 16]


def test_ctrl_c_in_the_last_chunk_interrupts_nothing(monkeypatch):
    diffusion = make()
    interrupted_after(monkeypatch, 2)
    assert not log_likelihood(diffusion, draw_data(diffusion, 4), KEY, 16, particles_chunk=16, data_chunk=2).interrupted


@pytest.mark.parametrize("change", ["method", "data", "key", "proposal", "data_chunk"])
def test_a_checkpoint_of_something_else(change, tmp_path):
    asked = {"method": make(), "x_0": draw_data(make(), 4), "key": KEY, "proposal": None, "data_chunk": 2}
    path = tmp_path / "weights.npz"
    log_likelihood(**asked, num_particles=4, checkpoint=path)
    other = {
        "method": small(GaussianKernel(), Erasure(6, beta_1=0.05), scale=0.6),
        "data": asked["x_0"] + 1,
        "key": jax.random.key(1),
        "proposal": Trajectories(antithetic_noise, 2),
        "data_chunk": 4,
    }
    asked |= {"x_0" if change == "data" else change: other[change]}
    with pytest.raises(InputError, match="checkpoint: expected the weights of this method"):
        log_likelihood(**asked, num_particles=4, checkpoint=path)


def test_a_damaged_checkpoint(tmp_path):
    path = tmp_path / "weights.npz"
    diffusion = make()
    x_0 = draw_data(diffusion, 2)
    log_likelihood(diffusion, x_0, KEY, 4, checkpoint=path)
    content = path.read_bytes()
    foreign = io.BytesIO()
    np.savez(foreign, weights=np.zeros(3))
    for damaged in (content[:-100], b"", foreign.getvalue()):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="checkpoint: expected a file written by log_likelihood"):
            log_likelihood(diffusion, x_0, KEY, 4, checkpoint=path)


def test_a_checkpoint_of_an_older_version_or_another_jax(tmp_path):
    path, diffusion = tmp_path / "weights.npz", make()
    asked = diffusion, draw_data(diffusion, 2), KEY, 4
    log_likelihood(*asked, checkpoint=path)
    arrays = dict(np.load(path))
    for changed, says in (
        ({"format": "dpm_ppl running weights 1"}, "got those of an older version"),
        ({"identity": "other", "jax": "0.0.1"}, "got those of something else .*, or of the same traced by JAX 0.0.1"),
    ):
        np.savez(path, **(arrays | {name: np.array(value) for name, value in changed.items()}))
        with pytest.raises(InputError, match=f"{says}.*; name another file, or delete this one"):
            log_likelihood(*asked, checkpoint=path)


def test_data_shared_out_over_devices():
    program = """
        import json, jax, numpy as np
        from dpm_ppl.kernels import GaussianKernel
        from dpm_ppl.likelihood import estimator, log_likelihood
        from dpm_ppl.schedules import Erasure
        from tests.instances import draw_data, small

        diffusion = small(GaussianKernel(), Erasure(6, beta_1=0.05))
        x_0, key = draw_data(diffusion, 10), jax.random.key(0)
        devices = jax.devices()
        chunks = estimator._Chunks(np.asarray(x_0), 8, devices)
        one, many = (log_likelihood(diffusion, x_0, key, 40, data_chunk=8, devices=d) for d in (None, devices))
        print(json.dumps({
            "devices": len(devices),
            "holders": [len(chunks[place][0].sharding.device_set) for place in range(2)],
            "difference": float(np.abs(one.log_likelihood - many.log_likelihood).max()),
        }))
    """
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], env=environment, capture_output=True, text=True, check=True
    )
    facts = json.loads(answer.stdout)
    assert facts["devices"] == 4
    assert facts["holders"] == [4, 4]
    assert facts["difference"] < 1e-5


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("num_particles", {"num_particles": 0}),
        ("particles_chunk", {"particles_chunk": -1}),
        ("data_chunk", {"data_chunk": 1.5}),
        ("steps_chunk", {"steps_chunk": 0}),
        ("x_0", {"x_0": np.zeros((3, 5))}),
        ("x_0", {"x_0": np.zeros((0, 2))}),
        ("x_0", {"x_0": np.full((3, 2), np.nan)}),
        ("proposal", {"proposal": "smc"}),
        ("proposal", {"proposal": antithetic_noise}),
        ("key", {"key": 0}),
        ("key", {"key": jax.random.split(KEY)}),
        ("num_particles", {"num_particles": True}),
        ("num_particles", {"num_particles": 2**33}),
        ("resample", {"proposal": SequentialMonteCarlo(4, stratified_noise)}),
        ("proposal", {"method": small(BernoulliKernel(), Erasure(3)), "x_0": np.zeros((1, 2), int)}),
        ("keep_log_weights", {"keep_log_weights": True, "checkpoint": "weights.npz"}),
        ("checkpoint", {"checkpoint": "/nowhere/at/all/weights.npz"}),
    ],
)
def test_bad_input(argument, options, unchecked):
    asked = {"method": make(), "x_0": np.zeros((3, 2)), "key": KEY, "proposal": Trajectories(antithetic_noise, 2)}
    with pytest.raises(InputError, match=f"^{argument}: expected"):
        log_likelihood(**asked | options)
