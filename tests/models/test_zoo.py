"""What holds for every experiment of the zoo, its variants and both edges, without running any."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dpm_ppl import diffusion, experiments
from dpm_ppl.models import EXPERIMENTS
from dpm_ppl.models._parts import TAIL, Edge
from tests.models.images.test_images import NAMES as IMAGES  # which tests those whose data come from files
from tests.tiny import flat

# T of each variant where none is asked for.
NUM_STEPS = {
    ("digits", "default"): 1000,
    ("digits", "dense"): 1000,
    ("digits", "paper"): 1000,
    ("swissroll", "default"): 4000,
    ("swissroll", "paper"): 40,
    ("swissroll", "continuous"): 4000,
    ("heartbeat", "default"): 2000,
    ("heartbeat", "paper"): 2000,
}


@pytest.fixture(params=["fixed", "learned"])
def edge(request):
    return request.param


def test_every_variant_is_looked_at():
    assert {name for name, _ in NUM_STEPS} | {"array"} | set(IMAGES) == set(EXPERIMENTS)


def test_an_experiment_has_the_edges_of_a_diffusion():
    assert Edge == diffusion.Edge


@pytest.mark.parametrize(("name", "variant"), NUM_STEPS)
def test_declaration(name, variant, edge):
    asked = {"variant": variant, "edge": edge, "num_steps": 7}
    experiment = experiments.declare(EXPERIMENTS, name, asked)
    method = experiment.recipe.method
    assert (experiment.name, method.num_steps, method.edge) == (name, 7, edge)
    assert experiment.options.recorded().items() >= asked.items()
    assert set(experiment.options.recorded()) == {option.name for option in EXPERIMENTS[name].all()}
    assert experiment.task.train.event_shape == experiment.task.heldout.event_shape == method.event_shape
    assert experiment.task.heldout.units.kind == experiment.task.train.units.kind
    assert experiment.recipe.batch_size <= experiment.task.train.num_points
    # A fixed schedule holds nothing that an optimiser could move.
    assert (jax.tree.leaves(eqx.filter(method.schedule, eqx.is_array)) == []) == (variant != "continuous")
    units = {experiment.task.unit, "bits/dim"}
    assert {reference.unit for reference in experiment.task.references} <= units
    assert all(re.search(r"\(\d{4}\)", reference.name) for reference in experiment.task.references)  # published
    few_steps = (name, variant) == ("swissroll", "paper")  # which leave the last part of the signal to the end point
    np.testing.assert_allclose(method.steps.alpha_bar[-1], 0, atol=0.3 if few_steps else 2e-3)


@pytest.mark.parametrize(("name", "variant"), NUM_STEPS)
def test_a_seed_decides_the_data_and_the_initial_network(name, variant):
    first, again, other = (EXPERIMENTS[name](variant=variant, num_steps=5).experiment(seed) for seed in (3, 3, 4))
    assert (first.seed, other.seed) == (3, 4)
    for what, same in (  # the centres of the paper's network of the roll are a grid
        (lambda one: one.task.train.source, name == "heartbeat"),  # whose data are all there are
        (lambda one: one.task.heldout.source, name == "heartbeat"),
        (
            lambda one: flat(one.recipe.method.network),
            (name, variant) == ("swissroll", "paper"),
        ),  # whose centres are a grid
    ):
        np.testing.assert_array_equal(what(first), what(again))
        assert np.array_equal(what(first), what(other)) == same


@pytest.mark.parametrize(("name", "variant"), NUM_STEPS)
def test_number_of_steps(name, variant):
    experiment = EXPERIMENTS[name](variant=variant).experiment()
    assert experiment.recipe.method.num_steps == experiment.options.num_steps == NUM_STEPS[name, variant]


@pytest.mark.parametrize(("name", "variant"), [("heartbeat", "default"), ("heartbeat", "paper")])
def test_the_optimiser_starts_and_ends_at_rest(name, variant):
    experiment = EXPERIMENTS[name](variant=variant, num_steps=5).experiment()
    optimiser, parameter = experiment.recipe.optimiser(1000), jnp.ones(3)

    def update(state, gradient):
        move, state = optimiser.update(gradient, state, parameter)
        return state, jnp.abs(move).max()

    _, sizes = jax.lax.scan(update, optimiser.init(parameter), jnp.ones((1001, 3)))
    sizes = np.asarray(sizes)
    assert sizes[0] == pytest.approx(0, abs=1e-8)
    assert sizes[999] == pytest.approx(0, abs=1e-6)
    assert sizes[1000] == pytest.approx(TAIL * sizes.max(), rel=1e-3)  # of a training that goes on
    assert np.argmax(sizes) in range(90, 110)
