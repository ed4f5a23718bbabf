"""The digest that guards saved sums: other parts, other digest; same parts, same digest in every process."""

import json
import os
import subprocess
import sys
from functools import partial

import equinox as eqx
import jax
import numpy as np

from dpm_ppl.kernels import BernoulliKernel, GaussianKernel, clean_rate, noise_prediction
from dpm_ppl.likelihood import SequentialMonteCarlo, Trajectories, antithetic_noise
from dpm_ppl.likelihood.fingerprint import fingerprint
from dpm_ppl.likelihood.resampling import multinomial
from dpm_ppl.schedules import Erasure, Linear
from dpm_ppl.units import Units
from tests.instances import small

TABLE = np.arange(5000.0)


class Holder(eqx.Module):
    """Something with a large array where no array is looked for."""

    values: tuple = eqx.field(static=True)


def adding(width):
    return lambda x, key: x + width


def scaled(x, key, width):
    return x * width


def changed(table):
    return np.where(np.arange(5000) == 2500, -1.0, table)


def units(scale):
    return Units((2,), "levels", np.zeros(2), np.full(2, scale), 4)


DIFFERENT = {
    "null": lambda: None,
    "numbers": lambda: (1, 2),
    "nested numbers": lambda: ((1,), 2),
    "one": lambda: 1,
    "true": lambda: True,
    "float": lambda: 1.0,
    "closure": lambda: adding(1.0),
    "another closure": lambda: adding(2.0),
    "partial": lambda: partial(scaled, width=1.0),
    "another partial": lambda: partial(scaled, width=2.0),
    "method": lambda: units(1.0).dequantise,
    "another method": lambda: units(2.0).dequantise,
    "array": lambda: TABLE,
    "another array": lambda: changed(TABLE),
    "float32": lambda: TABLE.astype(np.float32),
    "static": lambda: Holder(tuple(TABLE.tolist())),
    "another static": lambda: Holder(tuple(changed(TABLE).tolist())),
    "key": lambda: jax.random.key(0),
    "another key": lambda: jax.random.key(1),
    "diffusion": lambda: small(GaussianKernel(), Erasure(6)),
    "another readout": lambda: small(GaussianKernel(noise_prediction), Erasure(6)),
    "another schedule": lambda: small(GaussianKernel(), Linear(6)),
    "another network": lambda: small(GaussianKernel(), Erasure(6), scale=0.6),
    "another edge": lambda: small(GaussianKernel(), Erasure(6), edge="learned"),
    "bits": lambda: small(BernoulliKernel(0.2, clean_rate), Erasure(6)),
    "other bits": lambda: small(BernoulliKernel(0.3, clean_rate), Erasure(6)),
    "trajectories": lambda: Trajectories(),
    "pairs": lambda: Trajectories(antithetic_noise, 2),
    "smc": lambda: SequentialMonteCarlo(8),
    "another smc": lambda: SequentialMonteCarlo(8, multinomial),
}


def digests():
    return {name: fingerprint(make()) for name, make in DIFFERENT.items()}


def test_other_parts_have_another_digest():
    assert len(set(digests().values())) == len(DIFFERENT)
    assert len({fingerprint(1, 2), fingerprint((1, 2)), fingerprint(2, 1), fingerprint("12")}) == 4


def test_the_same_parts_have_the_same_digest():
    before = digests()
    with np.printoptions(threshold=3, precision=1):
        assert digests() == before


def test_every_process_finds_the_same():
    program = "import json; from tests.likelihood.test_fingerprint import digests; print(json.dumps(digests()))"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=os.environ | {"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE
        )
        for seed in ("1", "2")
    ]
    one, other = (json.loads(process.communicate()[0]) for process in processes)
    assert one == other
    assert len(one) == len(DIFFERENT)
