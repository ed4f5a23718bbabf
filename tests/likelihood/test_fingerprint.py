"""The digest that guards saved sums: other computations, other digest; the same, the same digest in every process."""

import json
import os
import subprocess
import sys
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest

from dpm_ppl import Program
from dpm_ppl._common.errors import InputError
from dpm_ppl.data.units import Units
from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, noise_prediction
from dpm_ppl.likelihood import SequentialMonteCarlo, Trajectories, antithetic_noise, estimator, log_likelihood
from dpm_ppl.likelihood.fingerprint import fingerprint
from dpm_ppl.likelihood.proposals.from_guide import FromGuide
from dpm_ppl.schedules import Erasure, Linear
from dpm_ppl.smc.resampling import multinomial
from tests.instances import small

KEY = jax.random.key(0)

SOURCE = """
import jax, jax.numpy as jnp, numpy as np, numpyro, numpyro.distributions as dist
from functools import partial

SIGMA = 1.0
TABLE = np.arange(5000.0)
SETTINGS = {"shift": 0.25}

def doubled(z, *, factor=2.0):
    return factor * z

@jax.custom_jvp
def bent(z):
    return jnp.tanh(z) + 0.5
bent.defjvp(lambda primals, tangents: (bent(*primals), 1.5 * tangents[0]))

@jax.jit
def compiled(z):
    return z + 0.125

def walked(z):
    return jax.lax.scan(lambda carry, _: (carry * 0.75, None), z, length=3)[0]

def chosen(z):
    return jax.lax.cond(z.sum() > 0, lambda z: z + 1.5, lambda z: z, z)

def model(x_0=None, num_points=None):
    def inner(z):
        return 0.0625 * z + SETTINGS["shift"] + TABLE[2500] * 1e-3
    # each helper once
    with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
        z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        loc = compiled(doubled(z)) + bent(inner(z)) + walked(z) + chosen(z)
        return numpyro.sample("x_0", dist.Normal(loc, SIGMA).to_event(1), obs=x_0)

def guide(x_0, width=1.0):
    with numpyro.plate("data", len(x_0)):
        numpyro.sample("z", dist.Normal(x_0 / 2, width).to_event(1))
"""

OTHERS = {
    "a global": ("SIGMA = 1.0", "SIGMA = 1.5"),
    "an entry of a large table": ("TABLE = np.arange(5000.0)", "TABLE = np.arange(5000.0); TABLE[2500] = 0"),
    "a mutable object": ('"shift": 0.25', '"shift": 0.5'),
    "a keyword-only default": ("factor=2.0", "factor=3.0"),
    "a helper": ("return factor * z", "return factor + z"),
    "a constant within a function": ("0.0625", "0.125"),
    "a constant of a function with its own derivative": ("jnp.tanh(z) + 0.5", "jnp.tanh(z) + 1.0"),
    "a constant of a compiled function": ("z + 0.125", "z + 0.25"),
    "a constant of a loop": ("carry * 0.75", "carry * 0.5"),
    "the length of a loop": ("length=3", "length=4"),
    "a branch": ("z + 1.5", "z + 2.5"),
    "a law": ("dist.Normal(loc, SIGMA)", "dist.Laplace(loc, SIGMA)"),
    "the guide's default": ("width=1.0", "width=2.0"),
}
SAME = {
    "the same": ("", ""),
    "the name of a helper": ("doubled", "twice"),
    "the name of a compiled function": ("compiled", "added"),
    "the name of a global": ("SIGMA", "SCALE"),
    "a comment": ("# each helper once", "# every helper"),
    "the layout": ("return factor * z", "product = (\\n        factor\\n        * z\\n    )\\n    return product"),
    "a docstring": ("return 0.0625", "'What it is.'; return 0.0625"),
    "a global that nothing reads": ("SIGMA = 1.0", "SIGMA = 1.0; UNREAD = 3.0"),
    "a derivative": ("1.5 * tangents", "2.5 * tangents"),
    "a print": ("loc = ", "jax.debug.print('{}', z); loc = "),
}


def program_of(change=("", "")):
    names = {}
    source = SOURCE.replace(change[0], change[1].replace("\\n", "\n")) if change[0] else SOURCE
    assert (source == SOURCE) == (change[0] == "")
    exec(compile(source, "program", "exec"), names)
    return Program(names["model"], names["guide"], event_shape=(2,)), names


def digest_of(method, proposal=None, draw=None, dtype=np.float32):
    x_0 = np.zeros((2, 2), dtype)
    return estimator._identity((method, proposal or FromGuide(), draw), x_0, KEY, 2)[1]


class Holder:
    """A model bound to the object that holds its program."""

    def __init__(self, scale):
        self.scale = scale
        self.program = Program(self.model, event_shape=(2,))

    def model(self, x_0=None, num_points=None):
        with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
            return numpyro.sample("x_0", dist.Normal(0.0, self.scale).expand([2]).to_event(1), obs=x_0)


def moved(x_0, key, by):
    return x_0 + by


def moving(by):
    return lambda x_0, key: x_0 + by


def units(scale):
    return Units((2,), "levels", np.zeros(2), np.full(2, scale), 4)


def chain(*arguments, proposal=None, draw=None, **options):
    return digest_of(small(*arguments, **options), proposal or Trajectories(), draw)


def bits(pi):
    return digest_of(small(BernoulliKernel(pi, clean_rate), Erasure(6)), Trajectories(), dtype=np.int32)


GAUSSIAN = (GaussianKernel(), Erasure(6))
DIFFERENT = {
    **{name: partial(lambda change: digest_of(program_of(change)[0]), change) for name, change in OTHERS.items()},
    "as it was": lambda: digest_of(program_of()[0]),
    "params": lambda: digest_of(program_of()[0].with_params({"unread": jnp.ones(2)})),
    "bound": lambda: digest_of(Holder(1.0).program),
    "bound to another": lambda: digest_of(Holder(2.0).program),
    "bound to an array": lambda: digest_of(Holder(jnp.asarray([1.0, 2.0])).program),
    "bound to another array": lambda: digest_of(Holder(np.asarray([1.0, 3.0], np.float32)).program),
    "diffusion": lambda: chain(*GAUSSIAN),
    "another readout": lambda: chain(GaussianKernel(noise_prediction), Erasure(6)),
    "another schedule": lambda: chain(GaussianKernel(), Linear(6)),
    "another network": lambda: chain(*GAUSSIAN, scale=0.6),
    "another edge": lambda: chain(*GAUSSIAN, edge="learned"),
    "bits": lambda: bits(0.2),
    "other bits": lambda: bits(0.3),
    "pairs": lambda: chain(*GAUSSIAN, proposal=Trajectories(antithetic_noise, 2)),
    "smc": lambda: chain(*GAUSSIAN, proposal=SequentialMonteCarlo(8)),
    "another smc": lambda: chain(*GAUSSIAN, proposal=SequentialMonteCarlo(8, multinomial)),
    "closure": lambda: chain(*GAUSSIAN, draw=moving(1.0)),
    "another closure": lambda: chain(*GAUSSIAN, draw=moving(2.0)),
    "partial": lambda: chain(*GAUSSIAN, draw=partial(moved, by=3.0)),
    "another partial": lambda: chain(*GAUSSIAN, draw=partial(moved, by=4.0)),
    "method": lambda: chain(*GAUSSIAN, draw=units(1.0).dequantise),
    "another method": lambda: chain(*GAUSSIAN, draw=units(2.0).dequantise),
}


def digests():
    return {name: make() for name, make in DIFFERENT.items()}


def test_other_computations_have_another_digest_in_every_process():
    code = "import json; from tests.likelihood.test_fingerprint import digests; print(json.dumps(digests()))"
    environment = os.environ | {"PYTHONHASHSEED": "1"}
    other = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    found = digests()
    assert len(set(found.values())) == len(DIFFERENT)
    assert json.loads(other.communicate()[0]) == found


@pytest.mark.parametrize("name", SAME)
def test_the_same_computation_has_the_same_digest(name):
    assert digest_of(program_of(SAME[name])[0]) == digest_of(program_of()[0])


def test_one_closure_is_as_good_as_another():
    assert chain(*GAUSSIAN, draw=moving(1.0)) == chain(*GAUSSIAN, draw=partial(moved, by=1.0))


def test_arrays_numbers_and_keys():
    parts = [1, 2], [2, 1], ["12"], [1.0], [True], [np.ones(2)], [np.ones(2, np.float32)], [np.ones((2, 1))], [KEY]
    assert len({fingerprint(*part) for part in (*parts, [jax.random.key(1)])}) == len(parts) + 1
    with np.printoptions(threshold=3, precision=1):
        assert fingerprint(np.arange(5000.0)) == fingerprint(np.arange(5000.0))


def test_a_changed_global_is_seen_within_one_process(tmp_path):
    program, names = program_of()
    x_0 = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    first = log_likelihood(program, x_0, KEY, 8, checkpoint=tmp_path / "first.npz")
    names["SIGMA"] = 3.0
    with pytest.raises(InputError, match="checkpoint: expected the weights of this method"):
        log_likelihood(program, x_0, KEY, 8, checkpoint=tmp_path / "first.npz")
    second = log_likelihood(program, x_0, KEY, 8, checkpoint=tmp_path / "second.npz")
    afresh = log_likelihood(program_of(("SIGMA = 1.0", "SIGMA = 3.0"))[0], x_0, KEY, 8)
    np.testing.assert_allclose(second.log_likelihood, afresh.log_likelihood, rtol=1e-6)
    assert not np.allclose(first.log_likelihood, afresh.log_likelihood, rtol=1e-3)


def calling_back(x_0=None, num_points=None):
    with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
        shape = jax.ShapeDtypeStruct((), np.float32)
        scale = jax.pure_callback(lambda: np.float32(2.0), shape, vmap_method="sequential")
        return numpyro.sample("x_0", dist.Normal(0.0, scale).expand([2]).to_event(1), obs=x_0)


def checking(x_0=None, num_points=None):
    scale = eqx.error_if(jnp.ones(()), jnp.zeros(()) > 1, "never")
    with numpyro.plate("data", num_points if x_0 is None else len(x_0)):
        return numpyro.sample("x_0", dist.Normal(0.0, scale).expand([2]).to_event(1), obs=x_0)


def test_what_calls_back_to_python_cannot_be_known_again(tmp_path):
    with pytest.raises(InputError, match="checkpoint: expected a computation that JAX sees as a whole"):
        log_likelihood(
            Program(calling_back, event_shape=(2,)), np.zeros((2, 2), np.float32), KEY, 8, checkpoint=tmp_path / "w.npz"
        )
    assert digest_of(Program(checking, event_shape=(2,))) == digest_of(Program(checking, event_shape=(2,)))
