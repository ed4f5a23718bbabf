"""What holds for every experiment of the zoo, its variants and both edges, without running any."""

import equinox as eqx
import jax
import numpy as np
import pytest

from dpm_ppl import runs
from dpm_ppl.models import EXPERIMENTS

VARIANTS = {
    name: {
        variant: num_steps
        for variant, num_steps in steps.items()
    }
    for name, steps in {
        "digits": {"default": 1000, "paper": 1000},
        "swissroll": {"default": 1000, "paper": 40},
        "heartbeat": {"default": 2000, "paper": 2000},
    }.items()
}
